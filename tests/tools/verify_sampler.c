/*
 * Makes random code, asks the verifier, and writes what it accepts to standard output for verify_spec.py:
 *     verify_sampler SEQUENCES SEED
 * The kinds of sequences take turns. "bytes": no structure at all. "grammar": prefixes, opcode, ModRM and SIB in the order of the
 * contract, anything in them. "sequences": S1 to S3, context operands and branches, with a byte or two changed. "mutants": what was
 * accepted lately with bits, bytes, prefixes and instructions changed, moved and spliced. Equal records are written once (as far as a
 * table of 2^22 hashes remembers). Counts go to standard error. The same seed makes the same bytes.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/verifier.h"

#define CODE_MAX 64u
#define ZONE_WORDS 3u
#define POOL 4096u
#define HASHES (1u << 22)
#define HLT 0xf4

/* As verify_spec.py reads it: little-endian, no padding. */
struct record {
    uint32_t size, zone_offset;
    uint64_t entries[ZONE_WORDS];
    uint64_t boundaries;
    uint32_t cpu, kind;
    uint8_t code[CODE_MAX];
};

enum kind { BYTES, GRAMMAR, SEQUENCES, MUTANTS, KINDS };
static const char *const kind_names[KINDS] = {"bytes", "grammar", "sequences", "mutants"};

static struct { uint64_t tried, accepted, written; } counts[KINDS];
static struct record pool[POOL];
static uint64_t pooled, hashes[HASHES], state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)((next() >> 32) * limit >> 32);
}

static void add(struct record *r, uint8_t byte)
{
    if (r->size < CODE_MAX)
        r->code[r->size++] = byte;
}

static void add_bytes(struct record *r, const char *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        add(r, (uint8_t)bytes[i]);
}
#define ADD(r, literal) add_bytes(r, literal, sizeof literal - 1)

static void add_random(struct record *r, uint32_t size)
{
    static const uint8_t often[] = {0, 1, 4, 8, 0x10, 0x14, 0x7f, 0x80, 0xff, HLT, 0x25, 0x65, 0x67, 0x0f};

    while (size--)
        add(r, below(3) ? (uint8_t)next() : often[below(sizeof often)]);
}

/* One instruction: each part as the contract orders it, more or less. */
static void add_grammar(struct record *r)
{
    bool memory = below(8) < 5;
    uint32_t map = below(8), prefix = below(6);

    if (memory != (below(32) == 0))
        ADD(r, "\x65\x67");
    if (below(10) == 0)
        add(r, 0xf0);
    if (prefix == 0 || prefix == 1)
        add(r, 0x66);
    if (prefix == 2 || (prefix == 1 && below(3) == 0))
        add(r, below(2) ? 0xf2 : 0xf3);
    if (below(3) == 0)
        add(r, (uint8_t)(0x40 + below(below(8) ? 8 : 16)));
    if (map == 7 && below(3) == 0) { /* VEX */
        bool three = below(2);
        add(r, three ? 0xc4 : 0xc5);
        if (three)
            add(r, (uint8_t)(0xe0 * (below(8) != 0) | (below(4) ? 1 + below(3) : below(32))));
        add(r, (uint8_t)(below(4) ? next() & 0x7f : next()) | (below(8) ? 0x40 : 0));
    } else if (map >= 3) {
        add(r, 0x0f);
        if (map == 5)
            add(r, 0x38);
        else if (map == 6)
            add(r, 0x3a);
    }
    add(r, (uint8_t)next());
    if (below(8)) { /* ModRM */
        uint8_t mod = memory ? (uint8_t)below(3) : 3, modrm = (uint8_t)(mod << 6 | below(64));
        add(r, modrm);
        if (mod != 3 && (modrm & 7) == 4) {
            uint8_t sib = (uint8_t)next();
            add(r, sib);
            if (mod == 0 && (sib & 7) == 5)
                add_random(r, 4);
        }
        add_random(r, mod == 1 ? 1 : mod == 2 || (mod == 0 && (modrm & 7) == 5) ? 4 : 0);
    }
    if (below(3) == 0)
        add_random(r, below(3) == 0 ? 1 : below(2) ? 2 : 4);
}

static void add_string(struct record *r)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    uint8_t op = opcodes[below(sizeof opcodes)];

    if ((op < 0xa8 || op == 0xac || op == 0xad) != (below(16) == 0))
        ADD(r, "\x89\xf6\x49\x8d\x74\x35\x00");
    if ((op != 0xac && op != 0xad) != (below(16) == 0))
        ADD(r, "\x89\xff\x49\x8d\x7c\x3d\x00");
    bool repeat = below(2);
    if (repeat != (below(16) == 0))
        ADD(r, "\x89\xc9");
    if (below(3) == 0)
        add(r, 0x66);
    if (repeat)
        add(r, below(2) ? 0xf2 : 0xf3);
    add(r, op);
}

static void add_branch(struct record *r)
{
    switch (below(6)) {
    case 0: add(r, 0xeb); add(r, (uint8_t)(below(40) - 20)); break;
    case 1: add(r, (uint8_t)(0x70 + below(16))); add(r, (uint8_t)(below(40) - 20)); break;
    case 2: ADD(r, "\x67\xe3"); add(r, (uint8_t)(below(40) - 20)); break;
    default: {
        uint32_t distance = below(256) - 128, kind = below(3);
        if (kind == 2)
            add(r, 0x0f);
        add(r, kind == 0 ? 0xe8 : kind == 1 ? 0xe9 : (uint8_t)(0x80 + below(16)));
        add_bytes(r, (const char *)&distance, 4);
    }
    }
}

static void add_sequence(struct record *r)
{
    switch (below(6)) {
    case 0:
        if (below(2))
            ADD(r, "\x41\xb8"), add_random(r, 4);
        else
            ADD(r, "\x65\x67\x44\x8b\x00");
        ADD(r, "\x4f\x8b\x9c\xc7\x00\x10\x00\x00\x4f\x8d\x1c\x1c\x41\xff");
        add(r, below(2) ? 0xe3 : 0xd3);
        break;
    case 1: case 2: add_string(r); break;
    case 3:
        ADD(r, "\x41\x89\xc9\x41\x8d\x88");
        add_random(r, 4);
        ADD(r, "\x48\x8d\x49\xff\x48\x0f\xc9\x67\xe3");
        add(r, (uint8_t)(below(24) - 8));
        ADD(r, "\x44\x89\xc9");
        break;
    case 4:
        if (below(2)) {
            ADD(r, "\x41\xff\x67");
            add(r, (uint8_t)(below(4) * 8));
        } else {
            add(r, below(2) ? 0x45 : 0x41);
            add(r, 0x8b);
            add(r, (uint8_t)(0x47 + below(8) * 8));
            add(r, (uint8_t)(below(8) * 4));
        }
        break;
    default: add_branch(r);
    }
}

static void change(struct record *r)
{
    static const uint8_t prefixes[] = {0x65, 0x67, 0x66, 0xf0, 0xf2, 0xf3, 0x40, 0x41, 0x44, 0x48, 0x64, 0x2e, 0x3e, 0x0f, 0xc4, 0xc5};
    const struct record *other = &pool[below(pooled < POOL ? (uint32_t)pooled : POOL)];
    uint32_t at = below(r->size), length = 1 + below(8);

    switch (below(7)) {
    case 0: r->code[at] ^= (uint8_t)(1u << below(8)); break;
    case 1: r->code[at] = (uint8_t)next(); break;
    case 2: /* a prefix more, or a byte twice */
    case 3:
        if (r->size == CODE_MAX)
            break;
        memmove(r->code + at + 1, r->code + at, r->size++ - at);
        if (below(4))
            r->code[at] = prefixes[below(sizeof prefixes)];
        break;
    case 4:
        if (r->size > 1)
            memmove(r->code + at, r->code + at + 1, --r->size - at);
        break;
    case 5: /* somebody else's bytes */
        for (uint32_t from = below(other->size); length && at < r->size && from < other->size; length--)
            r->code[at++] = other->code[from++];
        break;
    default: r->entries[below(ZONE_WORDS)] ^= 1ull << below(64);
    }
}

static void finish(struct record *r)
{
    uint32_t padding = below(8) ? 1 + below(3) : 0;

    while (padding--)
        add(r, HLT);
    if (r->size == 0)
        add(r, HLT);
}

static void make(struct record *r, uint32_t kind)
{
    uint32_t count = 1 + below(3);

    if (kind == MUTANTS && pooled) {
        *r = pool[below(pooled < POOL ? (uint32_t)pooled : POOL)];
        r->kind = kind;
        while (count--)
            change(r);
        return;
    }
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->zone_offset = 64 * below(3);
    if (kind == BYTES) {
        for (count = 1 + below(12); count; count--)
            add(r, (uint8_t)next());
        finish(r);
        return;
    }
    while (count--)
        if (kind == SEQUENCES)
            add_sequence(r);
        else
            add_grammar(r);
    finish(r);
    for (count = below(4) ? 0 : below(4); count; count--)
        r->entries[below(ZONE_WORDS)] |= 1ull << below(64);
    if (kind == SEQUENCES && below(2))
        r->code[below(r->size)] ^= (uint8_t)(1u << below(8));
}

static bool is_new(const struct record *r)
{
    uint64_t hash = 14695981039346656037ull;
    const uint8_t *bytes = (const uint8_t *)r;

    for (size_t i = 0; i < sizeof *r; i++)
        hash = (hash ^ (i >= offsetof(struct record, kind) && i < offsetof(struct record, code) ? 0 : bytes[i])) * 1099511628211ull;
    uint64_t *slot = &hashes[hash >> 42];
    if (*slot == hash)
        return false;
    *slot = hash;
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: verify_sampler SEQUENCES SEED\n", stderr);
        return 2;
    }
    uint64_t limit = strtoull(argv[1], NULL, 10), seed = strtoull(argv[2], NULL, 10);
    state = seed * 0x9e3779b97f4a7c15ull + 1;
    for (uint64_t i = 0; i < limit; i++) {
        /* of sixteen: six of bytes, four of grammar, one of sequences, five of mutants */
        static const uint8_t turns[16] = {BYTES, GRAMMAR, MUTANTS, BYTES, MUTANTS, BYTES, GRAMMAR, MUTANTS,
                                          BYTES, SEQUENCES, MUTANTS, BYTES, GRAMMAR, BYTES, MUTANTS, GRAMMAR};
        struct record r;
        struct vxv_result result;
        uint64_t targets;
        make(&r, turns[i % 16]);
        memset(r.code + r.size, 0, CODE_MAX - r.size);
        struct vxv_input input = {.code = r.code, .size = r.size, .zone_offset = r.zone_offset, .zone_size = 64 * ZONE_WORDS,
                                  .entries = r.entries};
        counts[r.kind].tried++;
        if (!vxv_verify(&input, &r.boundaries, &targets, &result))
            continue;
        counts[r.kind].accepted++;
        r.cpu = result.cpu_features;
        if (!is_new(&r))
            continue;
        counts[r.kind].written++;
        pool[pooled++ % POOL] = r;
        if (fwrite(&r, sizeof r, 1, stdout) != 1)
            return 3;
    }
    fprintf(stderr, "seed %" PRIu64, seed);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        fprintf(stderr, "; %s: %" PRIu64 " tried, %" PRIu64 " accepted, %" PRIu64 " written", kind_names[kind], counts[kind].tried,
                counts[kind].accepted, counts[kind].written);
    fputs("\n", stderr);
    return fflush(stdout) != 0 ? 3 : 0;
}

/*
 * How fast the verifier is, in MB of code a second on one core.
 *
 *     cc -O2 -D_GNU_SOURCE -I. -o verify_bench corpus/bench/verify_bench.c format/[a-z]*.c verifier/[a-z]*.c -lz -lxxhash
 *     ./verify_bench              generated code, a mix as compilers make it, one chunk of 1 MiB
 *     ./verify_bench FILE.vxc     the code of a cache, inflated before, chunk by chunk
 *     ./verify_bench FILE         raw code bytes, one chunk
 *
 * Prints the median and the best of 15 rounds, in this thread's processor time, so that other work on the machine counts as little as
 * it can; and the rate of the very first time, before any branch has been predicted. To compare machines: in turn with those, the
 * same bytes are copied and hashed (XXH3-128). For a cache also the time for all of a load but the file's reading.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/cache.h"
#include "verifier/verifier.h"

#define CHUNK_BYTES (1u << 20)
#define ROUNDS 15

static uint64_t seed = 88172645463325252u;
static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % limit;
}

struct buffer {
    uint8_t *bytes;
    uint32_t size;
    uint32_t starts[64], start_count; /* recent instruction starts */
};

static void put(struct buffer *b, uint8_t byte)
{
    b->bytes[b->size++] = byte;
}

static uint32_t guest_register(void)
{
    static const uint8_t numbers[7] = {0, 1, 2, 3, 5, 6, 7};
    return numbers[random_below(7)];
}

/* ModRM for [register + disp8 or disp32], sometimes with an index; reg as given. */
static void put_memory(struct buffer *b, uint32_t reg, uint32_t base)
{
    bool wide = random_below(6) == 0, indexed = (base & 7) == 4 || random_below(7) == 0;
    uint32_t i;

    put(b, (uint8_t)((wide ? 0x80 : 0x40) | reg << 3 | (indexed ? 4 : base & 7)));
    if (indexed)
        put(b, (uint8_t)(random_below(4) << 6 | (guest_register() & 7) << 3 | (base & 7)));
    for (i = 0; i < (wide ? 4 : 1); i++)
        put(b, (uint8_t)random_below(256));
}

/* Memory instruction; a third of the operands are on the guest's stack, r14. */
static void memory(struct buffer *b, uint32_t prefix, uint32_t opcode, uint32_t reg)
{
    uint32_t base = random_below(3) == 0 ? 14 : guest_register();

    put(b, 0x65);
    put(b, 0x67);
    if (prefix)
        put(b, (uint8_t)prefix);
    if (base == 14)
        put(b, 0x41);
    if (opcode > 0xff)
        put(b, 0x0f);
    put(b, (uint8_t)opcode);
    put_memory(b, reg, base);
}

static void two_registers(struct buffer *b, uint32_t opcode)
{
    if (opcode > 0xff)
        put(b, 0x0f);
    put(b, (uint8_t)opcode);
    put(b, (uint8_t)(0xc0 | guest_register() << 3 | guest_register()));
}

static void put32(struct buffer *b, uint32_t value)
{
    memcpy(b->bytes + b->size, &value, 4);
    b->size += 4;
}

/* To an instruction among the last 64, so mostly backwards by under 300 bytes. */
static void branch(struct buffer *b, uint32_t opcode)
{
    uint32_t target = b->starts[random_below(b->start_count < 64 ? b->start_count : 64)];

    if (opcode < 0xe0 && b->size + 2 - target < 128 && random_below(2)) {
        put(b, (uint8_t)opcode);
        put(b, (uint8_t)(target - (b->size + 1)));
        return;
    }
    if (opcode < 0xe0) {
        put(b, 0x0f);
        opcode += 0x10;
    }
    put(b, (uint8_t)opcode);
    put32(b, target - (b->size + 4));
}

static void one_instruction(struct buffer *b)
{
    static const uint16_t alu[] = {0x01, 0x29, 0x31, 0x39, 0x21, 0x85, 0x89, 0x89, 0x1b6, 0x1af};
    static const uint16_t loads[] = {0x8b, 0x8b, 0x8b, 0x8b, 0x89, 0x89, 0x89, 0x03, 0x3b, 0x1b6, 0x1be};
    uint32_t dice = random_below(100), i;

    b->starts[b->start_count++ % 64] = b->size;
    if (dice < 38) {
        memory(b, 0, loads[random_below(11)], guest_register());
    } else if (dice < 56) {
        two_registers(b, alu[random_below(10)]);
    } else if (dice < 63) {
        put(b, 0x83);
        put(b, (uint8_t)(0xc0 | random_below(8) << 3 | guest_register()));
        put(b, (uint8_t)random_below(256));
    } else if (dice < 69) {
        put(b, 0x8d);
        put_memory(b, guest_register(), guest_register());
    } else if (dice < 73) {
        put(b, 0x45); /* leal disp8(%r14),%r14d */
        put(b, 0x8d);
        put(b, 0x76);
        put(b, (uint8_t)random_below(256));
    } else if (dice < 76) {
        put(b, (uint8_t)(0xb8 + guest_register()));
        put32(b, random_below(~0u));
    } else if (dice < 89) {
        branch(b, 0x70 + random_below(16));
    } else if (dice < 92) {
        branch(b, 0xe9);
    } else if (dice < 95) { /* call: return address to the guest's stack, continuation */
        static const uint8_t store[] = {0x65, 0x67, 0x41, 0xc7, 0x46, 0xfc};
        for (i = 0; i < sizeof store; i++)
            put(b, store[i]);
        put32(b, random_below(~0u));
        branch(b, 0xe8);
        put(b, 0x41);
        put(b, 0x81);
        put(b, 0xf8);
        put32(b, random_below(~0u));
    } else if (dice < 97) {
        memory(b, 0xf2, 0x110 + random_below(2) * 0x48, random_below(8)); /* movsd, addsd */
    } else if (dice < 98) {
        put(b, 0xc3);
    } else {
        put(b, 0xc1); /* shl sar shr */
        put(b, (uint8_t)(0xe0 | guest_register()));
        put(b, (uint8_t)random_below(32));
    }
}

static void generate(struct buffer *b)
{
    while (b->size < CHUNK_BYTES - 64)
        one_instruction(b);
    put(b, 0xf4);
}

/* A zone of code with its chunks and declared entries. */
struct zone {
    uint8_t *code;
    uint32_t size;
    struct vxf_chunk *chunks;
    size_t chunk_count;
    uint64_t *entries;
};

static bool load_cache(struct zone *zone, struct vxf_file *file)
{
    const struct vxf_chunk *chunks = vxf_chunks(file, &zone->chunk_count);
    const struct vxf_entry *entries;
    struct vx_error error;
    size_t i, count;

    zone->size = vxf_zone_size(file);
    zone->code = calloc(1, zone->size);
    zone->entries = calloc(zone->size / 64 + 1, 8);
    zone->chunks = calloc(zone->chunk_count, sizeof chunks[0]);
    if (!zone->code || !zone->entries || !zone->chunks)
        return false;
    memcpy(zone->chunks, chunks, zone->chunk_count * sizeof chunks[0]);
    entries = vxf_entries(file, &count);
    for (i = 0; i < count; i++)
        zone->entries[entries[i].host / 64] |= 1ull << (entries[i].host & 63);
    for (i = 0; i < zone->chunk_count; i++)
        if (vxf_read_code(file, i, 0, zone->code + chunks[i].host, &error) != VX_OK)
            return false;
    return true;
}

static bool load_raw(struct zone *zone, uint8_t *bytes, uint32_t size)
{
    zone->code = bytes;
    zone->size = size < CHUNK_BYTES ? size : CHUNK_BYTES;
    zone->chunk_count = 1;
    zone->chunks = calloc(1, sizeof zone->chunks[0]);
    zone->entries = calloc(zone->size / 64 + 1, 8);
    if (!zone->chunks || !zone->entries)
        return false;
    zone->chunks[0].size = zone->size;
    return true;
}

static void free_zone(struct zone *zone)
{
    free(zone->code);
    free(zone->entries);
    free(zone->chunks);
}

/* If it is a .vxc, *cache and *size are its bytes, which stay allocated. */
static bool load_file(struct zone *zone, const char *path, uint8_t **cache, size_t *size)
{
    FILE *stream = fopen(path, "rb");
    uint8_t *bytes = malloc(256u << 20);
    struct vxf_file *file;
    struct vx_error error;

    if (!stream || !bytes) {
        perror(path);
        return false;
    }
    *size = fread(bytes, 1, 256u << 20, stream);
    fclose(stream);
    if (vxf_open(bytes, *size, &file, &error) != VX_OK)
        return load_raw(zone, bytes, (uint32_t)*size);
    *cache = bytes;
    return load_cache(zone, file);
}

/* The whole zone once; false and a message if refused. */
static bool verify_zone(const struct zone *zone, uint64_t *boundaries, uint64_t *targets)
{
    size_t i;

    for (i = 0; i < zone->chunk_count; i++) {
        const struct vxf_chunk *chunk = &zone->chunks[i];
        struct vxv_input input = {zone->code + chunk->host, chunk->size, chunk->host, zone->size, zone->entries};
        struct vxv_result result;
        if (!vxv_verify(&input, boundaries, targets, &result)) {
            fprintf(stderr, "rejected V%02u at 0x%x: %s\n", result.rule, chunk->host + result.offset,
                    vxv_rule_text(result.rule));
            return false;
        }
    }
    return true;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum measure { VERIFY, COPY, HASH, MEASURES };

/* Over the whole zone, `times` times; MB/s, or 0 if the code is refused. */
static double rate(enum measure measure, const struct zone *zone, uint64_t code_bytes, size_t times, uint8_t *copy)
{
    static uint64_t boundaries[CHUNK_BYTES / 64], targets[CHUNK_BYTES / 64];
    double start = seconds();
    size_t i, k;

    for (k = 0; k < times; k++) {
        if (measure == VERIFY && !verify_zone(zone, boundaries, targets))
            return 0;
        for (i = 0; measure != VERIFY && i < zone->chunk_count; i++) {
            const struct vxf_chunk *chunk = &zone->chunks[i];
            uint64_t hash[2];
            if (measure == COPY)
                memcpy(copy, zone->code + chunk->host, chunk->size);
            else
                vxf_hash128(zone->code + chunk->host, chunk->size, hash);
            __asm__ volatile("" : : "r"(copy) : "memory");
        }
    }
    return (double)times * (double)code_bytes / 1e6 / (seconds() - start);
}

/* From the bytes of a .vxc to the verdict on all of its code: hashes, inflating, verifying. ms, or 0. */
static double load_and_verify(const uint8_t *cache, size_t size)
{
    static uint64_t boundaries[CHUNK_BYTES / 64], targets[CHUNK_BYTES / 64];
    double start = seconds();
    struct zone zone = {0};
    struct vxf_file *file;
    struct vx_error error;
    bool good;

    if (vxf_open(cache, size, &file, &error) != VX_OK)
        return 0;
    good = load_cache(&zone, file) && verify_zone(&zone, boundaries, targets);
    vxf_close(file);
    free_zone(&zone);
    return good ? (seconds() - start) * 1e3 : 0;
}

int main(int argc, char **argv)
{
    static const char *const names[MEASURES] = {"verify", "memcpy", "XXH3-128"};
    struct buffer b = {.bytes = calloc(1, CHUNK_BYTES)};
    double rates[MEASURES][ROUNDS], loads[ROUNDS], first;
    struct zone zone = {0};
    uint64_t code_bytes = 0;
    uint8_t *copy = malloc(CHUNK_BYTES), *cache = NULL;
    size_t i, times, size = 0;
    int measure;

    if (!b.bytes || !copy)
        return 1;
    generate(&b);
    if (!(argc > 1 ? load_file(&zone, argv[1], &cache, &size) : load_raw(&zone, b.bytes, b.size)))
        return 1;
    for (i = 0; i < zone.chunk_count; i++)
        code_bytes += zone.chunks[i].size;
    first = rate(VERIFY, &zone, code_bytes, 1, copy);
    times = (20u << 20) / code_bytes + 1;
    for (i = 0; i < ROUNDS; i++)
        for (measure = 0; measure < MEASURES; measure++)
            if (!(rates[measure][i] = rate((enum measure)measure, &zone, code_bytes, times, copy)))
                return 1;
    printf("%llu bytes in %zu chunks, MB/s, median and best:", (unsigned long long)code_bytes, zone.chunk_count);
    for (measure = 0; measure < MEASURES; measure++) {
        qsort(rates[measure], ROUNDS, sizeof rates[0][0], by_value);
        printf("%s %s %.0f %.0f", measure ? "," : "", names[measure], rates[measure][ROUNDS / 2], rates[measure][ROUNDS - 1]);
    }
    printf("; verify the first time %.0f\n", first);
    for (i = 0; cache && i < ROUNDS; i++)
        if (!(loads[i] = load_and_verify(cache, size)))
            return 1;
    if (cache) {
        qsort(loads, ROUNDS, sizeof loads[0], by_value);
        printf("from the file's %zu bytes to the verdict on all its code: median %.1f ms, best %.1f ms\n", size, loads[ROUNDS / 2], loads[0]);
    }
    return 0;
}

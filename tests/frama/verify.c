/*
 * Driver for Frama-C's Eva (scripts/frama.sh): verify.c, one step of the scan with so many bytes left, whatever they are. The decoder and the sequences, which have drivers
 * of their own, are replaced by any that keep their word: an instruction has 1 to 15 bytes, its immediate among them; a sequence that is accepted ends in
 * the chunk, behind its jecxz. Each length is a call of its own: Eva does not relate the variables of one state.
 */
#include <__fc_builtin.h>
#include <stdbool.h>
#include <stdint.h>

#define VX_VERIFIER_DECODE_H
#include "verifier/rules.h"
#include "verifier/table.h"
#include "verifier/verifier.h"

#define LOOK_AHEAD 16u
#define BEFORE 17
#define LEFT 24
#define LONGEST 15
#define SEQUENCE 23
#define LARGE 130

struct insn {
    enum vxv_rule rule;
    uint32_t form, length;
};

/* The next instruction; the one after it is refused. */
static struct insn next;

static struct insn decode(const uint8_t *p)
{
    struct insn insn = next;

    /*@ assert \valid_read(p + (0 .. 15)); */
    next.rule = VXV_UNLISTED;
    next.length = 1;
    return insn;
}

/* What the next sequence is. */
static struct vxv_sequence found;
static enum vxv_rule verdict;

#include "verifier/verify.c"

enum vxv_rule vxv_sequence(const uint8_t *code, uint32_t size, uint32_t at, uint32_t previous, uint64_t *boundaries, struct vxv_sequence *sequence)
{
    (void)code, (void)size, (void)previous;
    *sequence = found;
    boundaries[at >> 6] &= Frama_C_unsigned_long_interval(0, UINT64_MAX);
    return verdict;
}

/* One step of the scan from `at`; what it leaves is again such a place, so all scans are covered by induction. */
static void step(uint32_t size, uint32_t at, bool sequence, bool again)
{
    uint8_t code[BEFORE + LEFT];
    uint64_t boundaries[1], targets[1], known[1], entries[3];
    struct vxv_input input = {.code = code, .size = size, .zone_offset = 64, .zone_size = 3 * 64, .entries = entries};
    struct scan scan = {.input = &input, .boundaries = boundaries, .targets = targets, .at = at};

    Frama_C_make_unknown((char *)code, size);
    Frama_C_make_unknown((char *)entries, sizeof entries);
    Frama_C_make_unknown((char *)known, sizeof known);
    Frama_C_make_unknown((char *)boundaries, sizeof boundaries);
    Frama_C_make_unknown((char *)targets, sizeof targets);
    scan.known = again ? known : NULL;
    if (sequence)
        (void)one_sequence(&scan);
    else
        (void)plain_instructions(&scan);
    /*@ assert scan.at <= size; */
}

static void instructions(uint32_t size, uint32_t at)
{
    static const uint32_t kinds[] = {0, VXV_TARGET | VXV_IMM1, VXV_TARGET}, least[] = {1, 2, 5};

    /*@ loop unroll 3; */
    for (int kind = 0; kind < 3; kind++)
        /*@ loop unroll 20; */
        for (uint32_t length = least[kind]; length <= LONGEST; length++)
            /*@ loop unroll 2; */
            for (int again = 0; again <= (kind > 0); again++) {
                next.rule = VXV_OK;
                next.length = length;
                next.form = kinds[kind] | (Frama_C_interval(0, 1) ? VXV_STOP : 0) | (uint32_t)Frama_C_interval(0, 31) << 24;
                step(size, at, false, again);
            }
}

static void sequences(uint32_t size, uint32_t at)
{
    found = (struct vxv_sequence){.end = at};
    verdict = VXV_STRING;
    step(size, at, true, false);
    verdict = VXV_OK;
    /*@ loop unroll 30; */
    for (uint32_t end = at + 1; end <= size && end <= at + SEQUENCE; end++) {
        found.stops = Frama_C_interval(0, 1);
        found.end = end;
        found.branch = 0;
        step(size, at, true, false);
        if (end > 3) {
            found.branch = end - 3;
            step(size, at, true, false);
            step(size, at, true, true);
        }
    }
}

/* The whole verdict of chunks that are refused at once or, of one byte, accepted; and what follows the scan, with bitmaps of some lengths. */
static void whole(uint32_t size, enum vxv_rule rule)
{
    uint8_t code[LARGE];
    uint64_t boundaries[(LARGE + 63) / 64], targets[(LARGE + 63) / 64], entries[2 + (LARGE + 63) / 64];
    struct vxv_input input = {.code = code, .size = size, .zone_offset = 64, .zone_size = 2 * 64 + size, .entries = entries};
    struct vxv_result result;
    struct scan scan = {.input = &input, .boundaries = boundaries, .targets = targets};

    Frama_C_make_unknown((char *)code, size);
    Frama_C_make_unknown((char *)entries, sizeof entries);
    verdict = VXV_STRING;
    next = (struct insn){.rule = rule, .form = Frama_C_interval(0, 1) ? VXV_STOP : 0, .length = 1};
    (void)vxv_verify(&input, boundaries, targets, &result);
    Frama_C_make_unknown((char *)boundaries, sizeof boundaries);
    Frama_C_make_unknown((char *)targets, sizeof targets);
    (void)compare(&scan);
    find_branch(&scan);
    (void)features(Frama_C_unsigned_int_interval(0, UINT32_MAX));
}

int main(void)
{
    /*@ loop unroll 30; */
    for (uint32_t left = 1; left <= LEFT; left++) {
        if (left <= LOOK_AHEAD + 1) {
            instructions(left, 0);
            instructions(BEFORE + left, BEFORE);
        }
        sequences(left, 0);
        sequences(BEFORE + left, BEFORE);
    }
    whole(1, VXV_OK);
    whole(64, VXV_UNLISTED);
    whole(LARGE, VXV_UNLISTED);
    return 0;
}

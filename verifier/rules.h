/*
 * Inside the verifier: the rule numbers, and the check of the listed sequences.
 */
#ifndef VX_VERIFIER_RULES_H
#define VX_VERIFIER_RULES_H

#include <stdbool.h>
#include <stdint.h>

/* Rule numbers, as in docs/security.md; never reused. */
enum vxv_rule {
    VXV_OK = 0,
    VXV_INPUT = 1,      /* V01 size, offset or zone out of range */
    VXV_TRUNCATED = 2,  /* V02 runs past the end of the chunk */
    VXV_PREFIX = 3,     /* V03 prefix not in the listed order, repeated, or not listed */
    VXV_UNLISTED = 4,   /* V04 no row in the allow-list */
    VXV_LOCKED = 5,     /* V05 lock without memory destination */
    VXV_MEMORY = 6,     /* V06 65 67 missing on a memory operand, or present without one */
    VXV_RIP = 7,        /* V07 RIP-relative */
    VXV_RESERVED = 8,   /* V08 rsp r11 r12 r13 r15 named */
    VXV_REX = 9,        /* V09 REX bit without use (also: xmm8-15), or bpl sil dil */
    VXV_CONTEXT = 10,   /* V10 context operand not as listed */
    VXV_TABLE_JUMP = 11, /* V11 S1 not as listed */
    VXV_STRING = 12,    /* V12 S2 not as listed, or a string instruction outside S2 */
    VXV_COMPARE = 13,   /* V13 S3 not as listed */
    VXV_BAD_TARGET = 14, /* V14 branch to something that is no boundary or entry */
    VXV_ENTRY = 15,     /* V15 declared entry that is no boundary */
    VXV_FALLS_OFF = 16, /* V16 execution runs past the end */
    VXV_RULE_COUNT
};

/*
 * A sequence's part that starts with REX.W (48, 49, 4f) at code[at]. `previous` is
 * the start of the instruction before (== at if none); boundaries as set so far,
 * of which a bit inside the sequence is cleared. On success *end is the
 * offset behind the sequence; *branch is the offset of a jecxz inside or 0; *stops
 * if it does not fall through.
 */
struct vxv_sequence {
    uint32_t end, branch;
    bool stops;
};
enum vxv_rule vxv_sequence(const uint8_t *code, uint32_t size, uint32_t at, uint32_t previous,
                           uint64_t *boundaries, struct vxv_sequence *sequence);

#endif

/*
 * The verifier: decides whether one chunk of translated code is safe to run.
 *
 * A pure function of its input: no allocation, no I/O, no globals, no
 * callbacks. The rules (V01...) are those of format/sandbox.h and
 * docs/security.md; anything not listed there is refused.
 */
#ifndef VX_VERIFIER_H
#define VX_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>

/* CPU features that code can need beyond the SSE2 of every x86-64. A bit is what format/cpu.h calls the same. */
enum vxv_cpu {
    VXV_CPU_SSE3 = 1u << 0,
    VXV_CPU_SSSE3 = 1u << 1,
    VXV_CPU_SSE41 = 1u << 2,
    VXV_CPU_SSE42 = 1u << 3,
    VXV_CPU_POPCNT = 1u << 4,
    VXV_CPU_LAHF = 1u << 5, /* lahf and sahf in 64-bit mode */
    VXV_CPU_CX8 = 1u << 6,
    VXV_CPU_LZCNT = 1u << 7,
    VXV_CPU_BMI1 = 1u << 8,
    VXV_CPU_BMI2 = 1u << 9,
    VXV_CPU_MOVBE = 1u << 10,
    VXV_CPU_AES = 1u << 11,
    VXV_CPU_PCLMULQDQ = 1u << 12,
    VXV_CPU_SHA = 1u << 13,
    VXV_CPU_ADX = 1u << 14,
    VXV_CPU_RDRAND = 1u << 15,
    VXV_CPU_RDSEED = 1u << 16,
    VXV_CPU_TSC = 1u << 17, /* rdtsc: every machine has it, not every box may use it */
    VXV_CPU_AVX = 1u << 18, /* the system saves the registers, too */
    VXV_CPU_AVX2 = 1u << 19,
    VXV_CPU_FMA = 1u << 20,
    VXV_CPU_F16C = 1u << 21,
};

struct vxv_input {
    const uint8_t *code;       /* the private copy that will run */
    uint32_t size;             /* bytes, 1..VXF_CHUNK_LIMIT */
    uint32_t zone_offset;      /* of the chunk; a multiple of 64 */
    uint32_t zone_size;        /* bytes; zone_offset + size <= zone_size <= 1 GiB */
    const uint64_t *entries;   /* bitmap over the zone: bit o set = o is a declared entry;
                                  (zone_size + 63) / 64 words */
};

struct vxv_result {
    uint32_t rule;         /* number of the broken rule, 0 = accepted */
    uint32_t offset;       /* of the offending instruction, from the chunk's start */
    uint32_t cpu_features; /* VXV_CPU_* that the code needs (when accepted) */
};

/*
 * True if the chunk is accepted. `boundaries` and `targets` are caller-supplied
 * scratch of (size + 63) / 64 words each; on acceptance boundaries holds
 * a bit for every offset that may be entered: the start of an instruction
 * outside the interior of a sequence. Thread-safe.
 */
bool vxv_verify(const struct vxv_input *input, uint64_t *boundaries, uint64_t *targets,
                struct vxv_result *result);

/* One line for a rule number ("V03: ..." without the number), or "unknown rule". */
const char *vxv_rule_text(uint32_t rule);

/* The VXV_CPU_* bits of this machine. */
uint32_t vxv_cpu_of_this_machine(void);

#endif

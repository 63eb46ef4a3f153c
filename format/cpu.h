/*
 * Virtual CPUs: what an i386 processor that a guest sees can do, as a set of
 * bits, and their names. The bits are those of the verifier's CPU features
 * (verifier/verifier.h), so that what code needs can be compared with what its guest
 * may use. Every virtual CPU has VX_CPU_I686: no valid set is 0.
 */
#ifndef VX_FORMAT_CPU_H
#define VX_FORMAT_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vx_cpu {
    VX_CPU_SSE3 = 1u << 0,
    VX_CPU_SSSE3 = 1u << 1,
    VX_CPU_SSE41 = 1u << 2,
    VX_CPU_SSE42 = 1u << 3, /* with crc32 */
    VX_CPU_POPCNT = 1u << 4,
    VX_CPU_I686 = 3u << 5,  /* i686 with MMX, SSE and SSE2; two bits: lahf and sahf, cmpxchg8b */
    VX_CPU_LZCNT = 1u << 7,
    VX_CPU_BMI1 = 1u << 8,  /* with tzcnt */
    VX_CPU_BMI2 = 1u << 9,
    VX_CPU_MOVBE = 1u << 10,
    VX_CPU_AES = 1u << 11,
    VX_CPU_PCLMULQDQ = 1u << 12,
    VX_CPU_SHA = 1u << 13,
    VX_CPU_ADX = 1u << 14,
    VX_CPU_RDRAND = 1u << 15,
    VX_CPU_RDSEED = 1u << 16,
    VX_CPU_TSC = 1u << 17,  /* rdtsc */
    VX_CPU_AVX = 1u << 18,  /* with the XSAVE family */
    VX_CPU_AVX2 = 1u << 19,
    VX_CPU_FMA = 1u << 20,
    VX_CPU_F16C = 1u << 21,
    VX_CPU_RDTSCP = 1u << 22,
};

#define VX_CPU_I686_SSE2 (VX_CPU_I686 | VX_CPU_TSC)
#define VX_CPU_DEFAULT \
    (VX_CPU_I686_SSE2 | VX_CPU_SSE3 | VX_CPU_SSSE3 | VX_CPU_SSE41 | VX_CPU_SSE42 | VX_CPU_POPCNT)
#define VX_CPU_ALL ((1u << 23) - 1)

/* Longest text of vxf_cpu_text, with its NUL. */
#define VXF_CPU_TEXT_BYTES 256

/*
 * The set that a name stands for: i686-sse2, sse4.2 (the default), avx2 or host, each followed by any number of
 * +FEATURE and -FEATURE, for example "avx2+rdrand-tsc". machine: features of this machine (vxv_cpu_of_this_machine),
 * for "host". A feature brings with it what it needs (avx2 needs avx), and takes with it what needs it. False: not such a
 * name. Thread-safe.
 */
bool vxf_cpu_parse(const char *name, uint32_t machine, uint32_t *cpu);

/* Is it a set of known bits, with what each of them needs? Only such sets have names. */
bool vxf_cpu_is_valid(uint32_t cpu);

/* The shortest such name, for messages; text has VXF_CPU_TEXT_BYTES. Never fails: unknown bits are left out. */
void vxf_cpu_text(uint32_t cpu, char *text);

/* Name of the feature of one bit, or NULL. Static. */
const char *vxf_cpu_feature(unsigned bit);

#endif

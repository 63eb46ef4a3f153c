/*
 * The virtual CPU's CPUID (SDM vol. 2, CPUID): it shows exactly what the box's CPU
 * (format/cpu.h) has, so that guests behave the same on every host. Leaves 2 and 4 describe caches that let C libraries choose sane
 * copy thresholds: 32 KiB L1, 1 MiB L2, no L3.
 */
#include <string.h>

#include "format/cpu.h"
#include "vxrt/helper_op.h"

#define VENDOR "VxVirtualCPU"
/* GCC's __builtin_cpu_supports asks only processors whose vendor it knows: with AVX the CPU is shown as the first that had it all. */
#define VENDOR_AVX "GenuineIntel"
#define SIGNATURE_AVX 0x000306c3u
#define BRAND "Vx virtual i686 CPU"

/* Family 6, model 23, stepping 6. */
#define SIGNATURE 0x00010676u

/* CPUID.1:EDX of every CPU: fpu cx8 cmov mmx fxsr sse sse2. */
#define LEAF1_EDX 0x07808101u

/* Which bit of which register shows a feature. */
enum place { LEAF1_ECX, LEAF1_EDX_MORE, LEAF7_EBX, EXTENDED_ECX, EXTENDED_EDX };
static const struct { uint32_t feature; uint8_t place, bit; } shown[] = {
    { VX_CPU_SSE3, LEAF1_ECX, 0 }, { VX_CPU_PCLMULQDQ, LEAF1_ECX, 1 }, { VX_CPU_SSSE3, LEAF1_ECX, 9 },
    { VX_CPU_SSE41, LEAF1_ECX, 19 }, { VX_CPU_SSE42, LEAF1_ECX, 20 }, { VX_CPU_MOVBE, LEAF1_ECX, 22 },
    { VX_CPU_POPCNT, LEAF1_ECX, 23 }, { VX_CPU_AES, LEAF1_ECX, 25 }, { VX_CPU_RDRAND, LEAF1_ECX, 30 },
    { VX_CPU_AVX, LEAF1_ECX, 26 }, { VX_CPU_AVX, LEAF1_ECX, 27 }, { VX_CPU_AVX, LEAF1_ECX, 28 }, /* xsave osxsave avx */
    { VX_CPU_FMA, LEAF1_ECX, 12 }, { VX_CPU_F16C, LEAF1_ECX, 29 }, { VX_CPU_AVX2, LEAF7_EBX, 5 }, { VX_CPU_BMI2, LEAF7_EBX, 8 },
    { VX_CPU_TSC, LEAF1_EDX_MORE, 4 },
    { VX_CPU_BMI1, LEAF7_EBX, 3 }, { VX_CPU_RDSEED, LEAF7_EBX, 18 }, { VX_CPU_ADX, LEAF7_EBX, 19 }, { VX_CPU_SHA, LEAF7_EBX, 29 },
    { VX_CPU_LZCNT, EXTENDED_ECX, 5 }, { VX_CPU_RDTSCP, EXTENDED_EDX, 27 },
};

static uint32_t bits_at(uint32_t cpu, enum place place)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (shown[i].place == place && cpu & shown[i].feature)
            bits |= 1u << shown[i].bit;
    return bits;
}

struct leaf {
    uint32_t eax, ebx, ecx, edx;
};

static uint32_t word_at(const char *text, unsigned index)
{
    uint32_t word;
    memcpy(&word, text + 4 * index, 4);
    return word;
}

/* Deterministic cache parameters: one row a cache. */
static struct leaf cache_leaf(uint32_t index)
{
    /* eax: type, level, self-initialising; ebx: line 64, ways; ecx: sets - 1 */
    switch (index) {
    case 0: /* L1 data, 8 ways, 64 sets */
        return (struct leaf){1 | 1 << 5 | 1 << 8, 63 | 7u << 22, 63, 0};
    case 1: /* L1 instruction */
        return (struct leaf){2 | 1 << 5 | 1 << 8, 63 | 7u << 22, 63, 0};
    case 2: /* L2 unified, 16 ways, 1024 sets */
        return (struct leaf){3 | 2 << 5 | 1 << 8, 63 | 15u << 22, 1023, 0};
    default:
        return (struct leaf){0, 0, 0, 0};
    }
}

static struct leaf brand_leaf(uint32_t number)
{
    char text[48] = BRAND;
    const char *part = text + 16 * (number - 0x80000002u);
    return (struct leaf){word_at(part, 0), word_at(part, 1), word_at(part, 2), word_at(part, 3)};
}

static struct leaf vendor_leaf(uint32_t highest, const char *vendor)
{
    return (struct leaf){highest, word_at(vendor, 0), word_at(vendor, 2), word_at(vendor, 1)};
}

/* x87, SSE and AVX, the last 256 bytes from 576 on; xsaveopt, xsavec and xgetbv of 1. */
static struct leaf state_leaf(uint32_t index)
{
    static const struct leaf leaves[] = { { 7, 832, 832, 0 }, { 7, 832, 0, 0 }, { 256, 576, 0, 0 } };
    return index < 3 ? leaves[index] : (struct leaf){0, 0, 0, 0};
}

static struct leaf get_leaf(uint32_t cpu, uint32_t number, uint32_t index)
{
    switch (number) {
    case 0:
        return vendor_leaf(cpu & VX_CPU_AVX ? 13 : 7, cpu & VX_CPU_AVX ? VENDOR_AVX : VENDOR);
    case 1:
        return (struct leaf){cpu & VX_CPU_AVX ? SIGNATURE_AVX : SIGNATURE, 0, bits_at(cpu, LEAF1_ECX), LEAF1_EDX | bits_at(cpu, LEAF1_EDX_MORE)};
    case 2: /* 2c: L1d 32 KiB, 30: L1i 32 KiB, 7c: L2 1 MiB */
        return (struct leaf){0x00002c01, 0, 0, 0x007c3000};
    case 4:
        return cache_leaf(index);
    case 7:
        return (struct leaf){0, index == 0 ? bits_at(cpu, LEAF7_EBX) : 0, 0, 0};
    case 13:
        return cpu & VX_CPU_AVX ? state_leaf(index) : (struct leaf){0, 0, 0, 0};
    case 0x80000000u:
        return (struct leaf){0x80000008u, 0, 0, 0};
    case 0x80000001u:
        return (struct leaf){0, 0, bits_at(cpu, EXTENDED_ECX), bits_at(cpu, EXTENDED_EDX)};
    case 0x80000002u:
    case 0x80000003u:
    case 0x80000004u:
        return brand_leaf(number);
    case 0x80000006u: /* L2: 1 MiB, 16 ways (encoding 8), 64-byte lines */
        return (struct leaf){0, 0, 1024u << 16 | 8u << 12 | 64, 0};
    case 0x80000008u: /* 36 physical, 32 linear address bits */
        return (struct leaf){36 | 32 << 8, 0, 0, 0};
    default:
        return (struct leaf){0, 0, 0, 0};
    }
}

void helper_cpuid(struct vx_regs *regs, uint32_t cpu)
{
    struct leaf leaf = get_leaf(cpu, regs->eax, regs->ecx);
    regs->eax = leaf.eax;
    regs->ebx = leaf.ebx;
    regs->ecx = leaf.ecx;
    regs->edx = leaf.edx;
}

/*
 * The virtual CPU's CPUID (SDM vol. 2, CPUID): a fixed processor that has
 * exactly what the translator translates, so that guests behave the same on
 * every host. Leaves 2 and 4 describe caches that let C libraries choose sane
 * copy thresholds: 32 KiB L1, 1 MiB L2, no L3.
 */
#include <string.h>

#include "vxrt/helper_op.h"

#define VENDOR "VxVirtualCPU"
#define BRAND "Vx virtual i686 CPU"

/* Family 6, model 23, stepping 6. */
#define SIGNATURE 0x00010676u

enum {
    EDX_FPU = 1u << 0, EDX_TSC = 1u << 4, EDX_CX8 = 1u << 8, EDX_CMOV = 1u << 15,
    EDX_MMX = 1u << 23, EDX_FXSR = 1u << 24, EDX_SSE = 1u << 25, EDX_SSE2 = 1u << 26,
    ECX_SSE3 = 1u << 0, ECX_SSSE3 = 1u << 9, ECX_SSE41 = 1u << 19, ECX_SSE42 = 1u << 20,
    ECX_POPCNT = 1u << 23,
};

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

static struct leaf get_leaf(uint32_t number, uint32_t index)
{
    switch (number) {
    case 0:
        return (struct leaf){7, word_at(VENDOR, 0), word_at(VENDOR, 2), word_at(VENDOR, 1)};
    case 1:
        return (struct leaf){SIGNATURE, 0,
                             ECX_SSE3 | ECX_SSSE3 | ECX_SSE41 | ECX_SSE42 | ECX_POPCNT,
                             EDX_FPU | EDX_TSC | EDX_CX8 | EDX_CMOV | EDX_MMX | EDX_FXSR |
                                 EDX_SSE | EDX_SSE2};
    case 2: /* 2c: L1d 32 KiB, 30: L1i 32 KiB, 7c: L2 1 MiB */
        return (struct leaf){0x00002c01, 0, 0, 0x007c3000};
    case 4:
        return cache_leaf(index);
    case 0x80000000u:
        return (struct leaf){0x80000008u, 0, 0, 0};
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

void helper_cpuid(struct vx_regs *regs)
{
    struct leaf leaf = get_leaf(regs->eax, regs->ecx);
    regs->eax = leaf.eax;
    regs->ebx = leaf.ebx;
    regs->ecx = leaf.ecx;
    regs->edx = leaf.edx;
}

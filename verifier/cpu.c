/*
 * Which CPU features this machine has, by cpuid (SDM vol. 2, table 3-8 ff.).
 */
#include "verifier/verifier.h"

#include <cpuid.h>

uint32_t vxv_cpu_of_this_machine(void)
{
    uint32_t a, b, c, d, cpu = 0;

    if (__get_cpuid(1, &a, &b, &c, &d)) {
        cpu |= c & bit_SSE3 ? VXV_CPU_SSE3 : 0;
        cpu |= c & bit_SSSE3 ? VXV_CPU_SSSE3 : 0;
        cpu |= c & bit_SSE4_1 ? VXV_CPU_SSE41 : 0;
        cpu |= c & bit_SSE4_2 ? VXV_CPU_SSE42 : 0;
        cpu |= c & bit_POPCNT ? VXV_CPU_POPCNT : 0;
        cpu |= d & bit_CMPXCHG8B ? VXV_CPU_CX8 : 0;
    }
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d))
        cpu |= c & bit_LAHF_LM ? VXV_CPU_LAHF : 0;
    return cpu;
}

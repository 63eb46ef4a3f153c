/*
 * Which CPU features this machine has (SDM vol. 2, CPUID). The C library has asked
 * the processor already where it can tell; cpuid itself costs tens of
 * microseconds in a virtual machine.
 */
#include "verifier/verifier.h"

#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#define HAS(glibc_name, gcc_name) CPU_FEATURE_PRESENT(glibc_name)
#define USABLE(glibc_name, gcc_name) CPU_FEATURE_ACTIVE(glibc_name) /* the kernel, too */
#else
#define HAS(glibc_name, gcc_name) __builtin_cpu_supports(gcc_name)
#define USABLE(glibc_name, gcc_name) __builtin_cpu_supports(gcc_name)
#endif

uint32_t vxv_cpu_of_this_machine(void)
{
    return (HAS(SSE3, "sse3") ? VXV_CPU_SSE3 : 0u) | (HAS(SSSE3, "ssse3") ? VXV_CPU_SSSE3 : 0u) |
           (HAS(SSE4_1, "sse4.1") ? VXV_CPU_SSE41 : 0u) | (HAS(SSE4_2, "sse4.2") ? VXV_CPU_SSE42 : 0u) |
           (HAS(POPCNT, "popcnt") ? VXV_CPU_POPCNT : 0u) | (HAS(LAHF64_SAHF64, "lahf_lm") ? VXV_CPU_LAHF : 0u) |
           (HAS(CX8, "cmpxchg8b") ? VXV_CPU_CX8 : 0u) | (HAS(LZCNT, "lzcnt") ? VXV_CPU_LZCNT : 0u) |
           (HAS(BMI1, "bmi") ? VXV_CPU_BMI1 : 0u) | (HAS(BMI2, "bmi2") ? VXV_CPU_BMI2 : 0u) |
           (HAS(MOVBE, "movbe") ? VXV_CPU_MOVBE : 0u) | (HAS(AES, "aes") ? VXV_CPU_AES : 0u) |
           (HAS(PCLMULQDQ, "pclmul") ? VXV_CPU_PCLMULQDQ : 0u) | (HAS(SHA, "sha") ? VXV_CPU_SHA : 0u) |
           (HAS(ADX, "adx") ? VXV_CPU_ADX : 0u) | (HAS(RDRAND, "rdrnd") ? VXV_CPU_RDRAND : 0u) |
           (HAS(RDSEED, "rdseed") ? VXV_CPU_RDSEED : 0u) | (USABLE(AVX, "avx") ? VXV_CPU_AVX : 0u) |
           (USABLE(AVX2, "avx2") ? VXV_CPU_AVX2 : 0u) | (USABLE(FMA, "fma") ? VXV_CPU_FMA : 0u) |
           (USABLE(F16C, "f16c") ? VXV_CPU_F16C : 0u) | VXV_CPU_TSC;
}

/*
 * Names of virtual CPUs and of their features (see cpu.h).
 */
#include "format/cpu.h"

#include <stdio.h>
#include <string.h>

#define SSE42_SETS (VX_CPU_SSE3 | VX_CPU_SSSE3 | VX_CPU_SSE41 | VX_CPU_SSE42)

/* x86-64 processors of 2013: what compilers mean by -march=haswell, without its random numbers. */
#define AVX2_CPU                                                                                                \
    (VX_CPU_DEFAULT | VX_CPU_LZCNT | VX_CPU_BMI1 | VX_CPU_BMI2 | VX_CPU_MOVBE | VX_CPU_AES | VX_CPU_PCLMULQDQ | \
     VX_CPU_AVX | VX_CPU_AVX2 | VX_CPU_FMA | VX_CPU_F16C | VX_CPU_RDTSCP)

/* `needs`: with all that those need in turn. */
static const struct { const char *name; uint32_t bit, needs; } features[] = {
    { "sse3", VX_CPU_SSE3, 0 },
    { "ssse3", VX_CPU_SSSE3, VX_CPU_SSE3 },
    { "sse4.1", VX_CPU_SSE41, VX_CPU_SSE3 | VX_CPU_SSSE3 },
    { "sse4.2", VX_CPU_SSE42, VX_CPU_SSE3 | VX_CPU_SSSE3 | VX_CPU_SSE41 },
    { "popcnt", VX_CPU_POPCNT, 0 },
    { "lzcnt", VX_CPU_LZCNT, 0 },
    { "bmi1", VX_CPU_BMI1, 0 },
    { "bmi2", VX_CPU_BMI2, 0 },
    { "movbe", VX_CPU_MOVBE, 0 },
    { "aes", VX_CPU_AES, 0 },
    { "pclmulqdq", VX_CPU_PCLMULQDQ, 0 },
    { "sha", VX_CPU_SHA, 0 },
    { "adx", VX_CPU_ADX, 0 },
    { "rdrand", VX_CPU_RDRAND, 0 },
    { "rdseed", VX_CPU_RDSEED, 0 },
    { "tsc", VX_CPU_TSC, 0 },
    { "avx", VX_CPU_AVX, SSE42_SETS },
    { "avx2", VX_CPU_AVX2, VX_CPU_AVX | SSE42_SETS },
    { "fma", VX_CPU_FMA, VX_CPU_AVX | SSE42_SETS },
    { "f16c", VX_CPU_F16C, VX_CPU_AVX | SSE42_SETS },
    { "rdtscp", VX_CPU_RDTSCP, VX_CPU_TSC },
};
#define FEATURE_COUNT (sizeof features / sizeof *features)

static const struct { const char *name; uint32_t cpu; } models[] = {
    { "i686-sse2", VX_CPU_I686_SSE2 },
    { "sse4.2", VX_CPU_DEFAULT },
    { "avx2", AVX2_CPU },
};
#define MODEL_COUNT (sizeof models / sizeof *models)

static bool is_name(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(text, name, length) == 0;
}

static uint32_t with(uint32_t cpu, size_t feature)
{
    return cpu | features[feature].bit | features[feature].needs;
}

static uint32_t without(uint32_t cpu, size_t feature)
{
    uint32_t bit = features[feature].bit;
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (i == feature || (features[i].needs & bit))
            cpu &= ~features[i].bit;
    return cpu;
}

/* Only what stands on its own here. */
static uint32_t host(uint32_t machine)
{
    uint32_t known = 0;
    if (machine & VX_CPU_TSC)
        machine |= VX_CPU_RDTSCP; /* done by the runtime with rdtsc */
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (!((features[i].bit | features[i].needs) & ~machine))
            known |= features[i].bit;
    return VX_CPU_I686 | known;
}

bool vxf_cpu_parse(const char *name, uint32_t machine, uint32_t *cpu)
{
    size_t length = strcspn(name, "+-"), i = 0;
    if (length == 4 && !strncmp(name, "i686", 4) && name[4] == '-') /* the one name with a dash */
        length += 1 + strcspn(name + 5, "+-");
    while (i < MODEL_COUNT && !is_name(name, length, models[i].name))
        i++;
    if (i == MODEL_COUNT && !is_name(name, length, "host"))
        return false;
    uint32_t set = i < MODEL_COUNT ? models[i].cpu : host(machine);
    for (name += length; *name; name += length) {
        char sign = *name++;
        length = strcspn(name, "+-");
        for (i = 0; i < FEATURE_COUNT && !is_name(name, length, features[i].name);)
            i++;
        if (i == FEATURE_COUNT)
            return false;
        set = sign == '+' ? with(set, i) : without(set, i);
    }
    *cpu = set;
    return true;
}

bool vxf_cpu_is_valid(uint32_t cpu)
{
    uint32_t needs = VX_CPU_I686, known = VX_CPU_I686;
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        known |= features[i].bit;
        if (cpu & features[i].bit)
            needs |= features[i].needs;
    }
    return !(needs & ~cpu) && !(cpu & ~known);
}

static size_t count_bits(uint32_t bits)
{
    return (size_t)__builtin_popcount(bits);
}

void vxf_cpu_text(uint32_t cpu, char *text)
{
    size_t nearest = 0;
    for (size_t i = 1; i < MODEL_COUNT; i++)
        if (count_bits((models[i].cpu ^ cpu) & VX_CPU_ALL) < count_bits((models[nearest].cpu ^ cpu) & VX_CPU_ALL))
            nearest = i;
    uint32_t base = models[nearest].cpu;
    size_t used = (size_t)snprintf(text, VXF_CPU_TEXT_BYTES, "%s", models[nearest].name);
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if ((base ^ cpu) & features[i].bit)
            used += (size_t)snprintf(text + used, VXF_CPU_TEXT_BYTES - used, "%c%s", cpu & features[i].bit ? '+' : '-',
                                     features[i].name);
}

const char *vxf_cpu_feature(unsigned bit)
{
    if (bit == 5)
        return "lahf";
    if (bit == 6)
        return "cx8";
    for (size_t i = 0; i < FEATURE_COUNT; i++)
        if (features[i].bit == 1u << bit)
            return features[i].name;
    return NULL;
}

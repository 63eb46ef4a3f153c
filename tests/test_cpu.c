/*
 * Virtual CPUs: their names, what their CPUID shows, and that instructions outside of the chosen one are
 * #UD, or what processors without them take them for.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/cpu.h"
#include "format/sandbox.h"
#include "tests/test_box.h"
#include "verifier/verifier.h"
#include "vxrt/helper.h"

static void names(void)
{
    static const struct { const char *name, *text; } cases[] = {
        { "sse4.2", "sse4.2" }, { "i686-sse2", "i686-sse2" }, { "i686-sse2+sse3", "i686-sse2+sse3" },
        { "i686-sse2+sse4.2", "sse4.2-popcnt" }, { "sse4.2-sse3+popcnt", "i686-sse2+popcnt" },
        { "sse4.2+aes-aes", "sse4.2" }, { "sse4.2-tsc", "sse4.2-tsc" }, { "i686-sse2+rdtscp", "i686-sse2+rdtscp" },
        { "sse4.2+rdtscp-tsc", "sse4.2-tsc" }, { "sse4.2+rdrand+rdseed", "sse4.2+rdrand+rdseed" },
        { "avx2", "avx2" }, { "avx2-avx", "avx2-avx-avx2-fma-f16c" }, { "i686-sse2+avx2", "sse4.2-popcnt+avx+avx2" }, { "avx2+sha", "avx2+sha" },
    };
    static const char *const bad[] = { "", "sse4", "SSE4.2", "sse4.2+", "sse4.2+aes+", "sse4.2+nothing", "+aes", "i686", "host host" };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t cpu, again;
        char text[VXF_CPU_TEXT_BYTES];
        CU_ASSERT_TRUE(vxf_cpu_parse(cases[i].name, 0, &cpu));
        vxf_cpu_text(cpu, text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
        CU_ASSERT_TRUE(vxf_cpu_parse(text, 0, &again));
        CU_ASSERT_EQUAL(again, cpu);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t cpu = 7;
        CU_ASSERT_FALSE(vxf_cpu_parse(bad[i], 0, &cpu));
        CU_ASSERT_EQUAL(cpu, 7);
    }
}

/* "host" is what stands on its own: sse4.2 without ssse3 does not. Every set has a text that gives it back. */
static void host_name(void)
{
    uint32_t cpu, again;
    char text[VXF_CPU_TEXT_BYTES];
    CU_ASSERT_TRUE(vxf_cpu_parse("host", VX_CPU_SSE3 | VX_CPU_SSE42 | VX_CPU_AES, &cpu));
    CU_ASSERT_EQUAL(cpu, VX_CPU_I686 | VX_CPU_SSE3 | VX_CPU_AES);
    srandom(1);
    for (int i = 0; i < 10000; i++) {
        CU_ASSERT_TRUE(vxf_cpu_parse("host", (uint32_t)random() & VX_CPU_ALL, &cpu));
        vxf_cpu_text(cpu, text);
        CU_ASSERT_TRUE(vxf_cpu_parse(text, 0, &again));
        CU_ASSERT_EQUAL(again, cpu);
    }
}

static struct vx_box *box_of(const char *cpu)
{
    struct vx_box_options options = { .size = sizeof options, .cpu = cpu };
    struct vx_error error;
    struct vx_box *box;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, &options, &box, &error), VX_OK);
    return box;
}

static struct vx_regs cpuid(const char *cpu, uint32_t leaf, uint32_t index)
{
    struct vx_box *box = box_of(cpu);
    struct vx_trap trap;
    struct vx_regs regs = { .eax = leaf, .ecx = index };
    CU_ASSERT_EQUAL(vxi_helper(box, &regs, VX_EVENT(VX_EVENT_CPUID, 0, 2), 0, &trap), VXI_HELPER_DONE);
    vx_box_free(box);
    return regs;
}

static void shown(void)
{
    CU_ASSERT_EQUAL(cpuid("i686-sse2", 1, 0).ecx, 0);
    CU_ASSERT_EQUAL(cpuid("i686-sse2", 1, 0).edx, 0x07808111);
    CU_ASSERT_EQUAL(cpuid("i686-sse2-tsc", 1, 0).edx, 0x07808101);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 1, 0).ecx, 0x00980201);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 7, 0).ebx, 0);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 0x80000001, 0).edx, 0);
    CU_ASSERT_EQUAL(cpuid("sse4.2+rdtscp", 0x80000001, 0).edx, 1u << 27);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 0x80000001, 0).ecx, 0);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 0xb, 0).ebx, 0);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 0xd, 0).ebx, 0);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 0x14, 0).eax, 0);
    CU_ASSERT_EQUAL(cpuid("sse4.2", 0, 0).eax, 7);
    if (vxv_cpu_of_this_machine() & VX_CPU_AVX2) {
        /* As glibc and GCC read it; 0, 4, 7 and 13 are there. */
        CU_ASSERT_EQUAL(cpuid("avx2", 0, 0).eax, 13);
        CU_ASSERT_EQUAL(cpuid("avx2", 0, 0).ebx, 0x756e6547);
        CU_ASSERT_EQUAL(cpuid("avx2", 1, 0).ecx, 0x3ed81203);
        CU_ASSERT_EQUAL(cpuid("avx2", 7, 0).ebx, 0x00000128);
        CU_ASSERT_EQUAL(cpuid("avx2", 13, 0).eax, 7);
        CU_ASSERT_EQUAL(cpuid("avx2", 13, 0).ecx, 832);
        CU_ASSERT_EQUAL(cpuid("avx2", 13, 1).eax, 7);
        CU_ASSERT_EQUAL(cpuid("avx2", 13, 2).ebx, 576);
        CU_ASSERT_EQUAL(cpuid("avx2", 0x80000001, 0).ecx, 0x20);
    }
}

/* Bytes of one instruction, and what a CPU does with it. */
enum outcome { RUNS, UNDEFINED };
static void try(const char *cpu, const char *bytes, uint32_t size, enum outcome outcome)
{
    struct vx_box *box = box_of(cpu);
    struct vx_regs regs;
    struct vx_trap trap;
    uint8_t code[32];
    memset(code, 0xcc, sizeof code);
    memcpy(code, bytes, size);
    vx_box_map(box, CODE, CODE_BYTES, RX);
    vx_box_map(box, DATA, DATA_BYTES, RW);
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE, code, sizeof code), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.ebx = DATA;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_OK);
    bool is_undefined = trap.kind == VX_TRAP_UNDEFINED && trap.eip == CODE;
    CU_ASSERT_EQUAL(is_undefined, outcome == UNDEFINED);
    if (is_undefined != (outcome == UNDEFINED))
        printf("%s: %02x %02x %02x %02x: trap %s\n", cpu, code[0], code[1], code[2], code[3], vx_trap_name(trap.kind));
    vx_box_free(box);
}

static void undefined_without(void)
{
    static const struct { const char *name, *bytes; uint32_t size; } cases[] = {
        { "sse3", "\xf2\x0f\x7c\xc1", 4 },              { "ssse3", "\x66\x0f\x38\x00\xc1", 5 },
        { "sse4.1", "\x66\x0f\x38\x17\xc1", 5 },        { "sse4.2", "\xf2\x0f\x38\xf0\xc1", 5 },
        { "popcnt", "\xf3\x0f\xb8\xc1", 4 },            { "movbe", "\x0f\x38\xf0\x03", 4 },
        { "movbe", "\x66\x0f\x38\xf1\x03", 5 },         { "aes", "\x66\x0f\x38\xdc\xc1", 5 },
        { "pclmulqdq", "\x66\x0f\x3a\x44\xc1\x10", 6 }, { "sha", "\x0f\x38\xc9\xc1", 4 },
        { "bmi1", "\xc4\xe2\x70\xf2\xc1", 5 },         { "bmi2", "\xc4\xe3\x7b\xf0\xc1\x03", 6 },
        { "avx", "\xc5\xf8\x58\xc1", 4 },             { "avx", "\xc5\xfc\x77", 3 },
        { "avx", "\x0f\x01\xd0", 3 },                 { "avx", "\xc5\xfd\x6f\xc1", 4 },
        { "avx2", "\xc5\xfd\xfe\xc1", 4 },            { "avx2", "\xc4\xe2\x79\x18\xc1", 5 }, /* from a register */
        { "avx2", "\xc4\xe2\x71\x90\x14\x03", 6 },    { "fma", "\xc4\xe2\x71\x98\xc1", 5 },
        { "f16c", "\xc4\xe2\x79\x13\xc1", 5 },        { "adx", "\x66\x0f\x38\xf6\xc1", 5 },           { "adx", "\xf3\x0f\x38\xf6\xc1", 5 },
        { "rdrand", "\x0f\xc7\xf0", 3 },                { "rdseed", "\x66\x0f\xc7\xf8", 4 },
        { "tsc", "\x0f\x31", 2 },                       { "rdtscp", "\x0f\x01\xf9", 3 },
    };
    uint32_t machine = vxv_cpu_of_this_machine(), cpu;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char with[64], without[64];
        snprintf(with, sizeof with, "i686-sse2+%s", cases[i].name);
        snprintf(without, sizeof without, "host-%s", cases[i].name);
        vxf_cpu_parse(with, machine, &cpu);
        if (cpu & ~(machine | VX_CPU_RDTSCP))
            printf("(this machine has no %s) ", cases[i].name);
        else
            try(with, cases[i].bytes, cases[i].size, RUNS);
        try(without, cases[i].bytes, cases[i].size, UNDEFINED);
        try("i686-sse2-tsc", cases[i].bytes, cases[i].size, UNDEFINED);
    }
}

/* Processors without tzcnt and lzcnt run bsf and bsr. */
GUEST(count_zeros, "mov $0x00f0, %ecx\n tzcnt %ecx, %eax\n lzcnt %ecx, %edx\n int3");
static void other_meaning(void)
{
    static const struct { const char *cpu; uint32_t tz, lz; } cases[] = {
        { "sse4.2", 4, 7 }, { "sse4.2+bmi1", 4, 7 }, { "sse4.2+lzcnt", 4, 24 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t cpu;
        vxf_cpu_parse(cases[i].cpu, 0, &cpu);
        if (cpu & ~vxv_cpu_of_this_machine())
            continue;
        struct vx_box *box = box_of(cases[i].cpu);
        struct vx_trap trap;
        struct vx_regs regs;
        vx_box_map(box, CODE, CODE_BYTES, RX);
        vx_box_poke(box, CODE, guest_count_zeros, (size_t)(guest_count_zeros_end - guest_count_zeros));
        vx_box_get_regs(box, &regs);
        regs.eip = CODE;
        vx_box_set_regs(box, &regs);
        regs = run_to(box, VX_TRAP_BREAKPOINT, &trap);
        CU_ASSERT_EQUAL(regs.eax, cases[i].tz);
        CU_ASSERT_EQUAL(regs.edx, cases[i].lz);
        vx_box_free(box);
    }
}

static void refused(void)
{
    struct vx_box_options options = { .size = sizeof options, .cpu = "pentium" };
    struct vx_error error = { 0 };
    struct vx_box *box;
    CU_ASSERT_EQUAL(vx_box_new(NULL, &options, &box, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "pentium"));
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("cpu", NULL, NULL);
    CU_add_test(suite, "names", names);
    CU_add_test(suite, "host", host_name);
    CU_add_test(suite, "cpuid", shown);
    CU_add_test(suite, "undefined without the feature", undefined_without);
    CU_add_test(suite, "tzcnt and lzcnt without the feature", other_meaning);
    CU_add_test(suite, "no such cpu", refused);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

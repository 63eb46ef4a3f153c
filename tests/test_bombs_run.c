/*
 * What a running guest can make the runtime do: a million writes into code, a million traps, code rewritten after each run of it. The runtime's
 * own counters say that the work is in proportion, whatever the machine; memory stays where it was. Times are printed, not judged.
 * docs/security.md, "Denial of service"; mappings and permissions are in test_box_mappings.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tests/test_box.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif
#define MILLION (UNDER_SANITIZER ? 100000u : 1000000u)

/* ecx writes into another page of code, which is run after each 1024 of them. */
GUEST(write_code, "movl $0x11000, %ebx; 1: movb $0xc3, (%ebx); testl $0x3ff, %ecx; jnz 2f; call *%ebx; 2: decl %ecx; jnz 1b; int3");
/* ecx times: another operand for the instruction that follows, in the page that runs. */
GUEST(rewrite_next, "1: incl 2f+1-guest_rewrite_next+0x10000; 2: movl $0, %eax; decl %ecx; jnz 1b; int3");
GUEST(traps, "1: int3; jmp 1b");
GUEST(bad_reads, "1: movl (%edx), %eax; jmp 1b");

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CU_ASSERT_EQUAL(fscanf(file, "%lu %lu", &all, &resident), 2);
    fclose(file);
    return (uint64_t)resident * 4096;
}

/* Runs to the first int3 with ecx = count. */
static struct vx_stats run_counted(struct vx_box *box, uint32_t count, struct vx_stats *before)
{
    struct vx_regs regs;
    struct vx_trap trap;
    struct vx_stats after;
    vx_box_stats(box, before);
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.ecx = count;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_BREAKPOINT, &trap).ecx, 0);
    vx_box_stats(box, &after);
    return after;
}

static void a_million_writes(void)
{
    struct vx_box *box = BOX_RWX(write_code);
    struct vx_stats before, after;
    double from = seconds();
    after = run_counted(box, MILLION, &before);
    uint64_t runs = MILLION / 1024 + 1, drops = after.code_invalidations - before.code_invalidations;
    printf("%.2f s, %lu pages dropped, %lu units ", seconds() - from, (unsigned long)drops, (unsigned long)after.units_translated);
    CU_ASSERT(drops <= runs + 2);
    CU_ASSERT(after.units_translated <= 2 * runs + 8);
    vx_box_free(box);
}

/* Each rewrite drops the page's code once, and has the same few instructions translated again, however many there were before. */
static void rewrites(void)
{
    struct vx_box *box = BOX_RWX(rewrite_next);
    struct vx_stats before, after;
    uint64_t units[2], bytes[2], count = UNDER_SANITIZER ? 1000 : 4000, resident = 0;
    for (int large = 0; large < 2; large++, count *= 4) {
        double from = seconds();
        after = run_counted(box, (uint32_t)count, &before);
        units[large] = after.units_translated - before.units_translated;
        bytes[large] = after.guest_bytes_translated - before.guest_bytes_translated;
        CU_ASSERT(after.code_invalidations - before.code_invalidations <= count + 4);
        CU_ASSERT(units[large] <= 3 * count + 16);
        CU_ASSERT(bytes[large] <= 256 * count + 65536);
        printf("%lu: %.1f us, %.2f units, %.1f bytes each ", (unsigned long)count, (seconds() - from) * 1e6 / (double)count,
               (double)units[large] / (double)count, (double)bytes[large] / (double)count);
        if (!large)
            resident = resident_bytes();
    }
    CU_ASSERT(UNDER_SANITIZER || resident_bytes() < resident + (64u << 20));
    vx_box_free(box);
}

/* A trap leaves nothing behind: no unit, no translation, no memory. */
static void take_traps(struct vx_box *box, enum vx_trap_kind kind, uint32_t count)
{
    struct vx_regs regs;
    struct vx_trap trap;
    struct vx_stats before, after;
    vx_box_get_regs(box, &regs);
    regs.edx = 0x30000000;
    vx_box_set_regs(box, &regs);
    for (unsigned i = 0; i < 100; i++) /* until all is translated */
        run_to(box, kind, &trap);
    uint64_t resident = resident_bytes();
    vx_box_stats(box, &before);
    double from = seconds();
    unsigned wrong = 0;
    for (uint32_t i = 0; i < count; i++)
        wrong += vx_box_run(box, &trap) != VX_OK || trap.kind != kind;
    vx_box_stats(box, &after);
    printf("%.2f us each ", (seconds() - from) * 1e6 / count);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(after.traps - before.traps, count);
    CU_ASSERT_EQUAL(after.units_translated, before.units_translated);
    CU_ASSERT(after.dispatches - before.dispatches <= 4ull * count);
    CU_ASSERT(resident_bytes() <= resident + (1u << 20));
    vx_box_free(box);
}

static void a_million_traps(void)
{
    take_traps(BOX(traps), VX_TRAP_BREAKPOINT, MILLION);
    take_traps(BOX(bad_reads), VX_TRAP_PAGE, MILLION / 4);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("bombs_run", NULL, NULL);
    CU_add_test(suite, "a million writes into code", a_million_writes);
    CU_add_test(suite, "code rewritten", rewrites);
    CU_add_test(suite, "a million traps", a_million_traps);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

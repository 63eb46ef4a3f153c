/*
 * Much code: tens of thousands of pages that become executable one after the other, each run once, then each rewritten; and hundreds of thousands of addresses
 * that are jumped to. Translated once each, whatever there is already: the runtime's counters say so, and the last of many cost no more than a few times what the
 * first did. docs/security.md, "Denial of service". An argument: how many addresses; above a million the runtime begins anew.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/test_box.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif
#define AREA 0x20000000u
#define FAR 0xf7000000u
#define PAGE 0x1000u
#define PAGES (UNDER_SANITIZER ? 2000u : 16000u)
#define REWRITES 11000u
#define NOPS 65u
#define RET 0xc3
/* A loaded machine is not even. */
#define UNEVEN 10
#define MERGES 16u

static uint32_t target_count = UNDER_SANITIZER ? 20000 : 200000;

GUEST(call_it, "call *%edx; int3");
/* ecx calls, from edx on, ebx apart. The loop at its end is never run: without it all the zeros behind the breakpoint were code as well. */
GUEST(call_all, "1: call *%edx; addl %ebx, %edx; decl %ecx; jnz 1b; int3; 2: jmp 2b");

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
    return (uint64_t)resident * PAGE;
}

/* What this took, and what it had translated. */
static double call(struct vx_box *box, vx_gaddr addr, uint32_t count, uint32_t distance, struct vx_stats *work)
{
    struct vx_regs regs;
    struct vx_trap trap;
    struct vx_stats before;
    double from = seconds();
    vx_box_stats(box, &before);
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.edx = addr;
    regs.ecx = count;
    regs.ebx = distance;
    vx_box_set_regs(box, &regs);
    run_to(box, VX_TRAP_BREAKPOINT, &trap);
    vx_box_stats(box, work);
    work->units_translated -= before.units_translated;
    work->guest_bytes_translated -= before.guest_bytes_translated;
    return seconds() - from;
}

static void run_at(struct vx_box *box, vx_gaddr eip)
{
    struct vx_regs regs;
    struct vx_trap trap;
    vx_box_get_regs(box, &regs);
    regs.eip = eip;
    vx_box_set_regs(box, &regs);
    run_to(box, VX_TRAP_BREAKPOINT, &trap);
}

/* Pages in turn: written, made executable, run. The time of so many. */
static double make_code(struct vx_box *box, uint32_t from, uint32_t to)
{
    static const uint8_t ret = RET;
    double start = seconds();
    struct vx_stats work;
    unsigned wrong = 0;
    for (uint32_t page = from; page < to; page++) {
        vx_gaddr at = AREA + page * PAGE;
        wrong += vx_box_protect(box, at, PAGE, RW) != VX_OK || vx_box_poke(box, at, &ret, 1) != VX_OK || vx_box_protect(box, at, PAGE, RX) != VX_OK;
        call(box, at, 0, 0, &work);
        wrong += work.units_translated > 2; /* its own, and the caller's where all was made anew */
    }
    CU_ASSERT_EQUAL(wrong, 0);
    return seconds() - start;
}

/* Seconds for a page that is rewritten, the least of several parts. */
static double page_seconds(uint32_t pages, bool is_spread)
{
    struct vx_box *box = BOX(call_it);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, AREA, pages * PAGE, RW), VX_OK);
    if (is_spread) /* what may be executed spans nearly all there is */
        CU_ASSERT_EQUAL_FATAL(vx_box_map(box, FAR, PAGE, RX), VX_OK);
    uint32_t part = pages / 8;
    double least = 1e9;
    make_code(box, 0, pages);
    for (uint32_t page = 0; page < pages; page += part) {
        double took = make_code(box, page, page + part) / part;
        least = took < least ? took : least;
    }
    vx_box_free(box);
    return least;
}

static void pages_of_code(void)
{
    double few = page_seconds(400, false), many = page_seconds(PAGES, true);
    printf("%.1f us each, of %u pages %.1f us ", few * 1e6, PAGES, many * 1e6);
    CU_ASSERT(many < 5 * few);
}

/* Bytes of rets, each an address to call. */
static void targets(uint32_t distance)
{
    struct vx_box *box = BOX(call_all);
    struct vx_stats work;
    uint64_t before, units = 0, bytes = 0;
    uint32_t part = target_count / 8, size = (target_count * distance + PAGE) / PAGE * PAGE;
    double first = 0, last = 0;
    uint8_t *rets = malloc(size);
    CU_ASSERT_FATAL(rets != NULL);
    memset(rets, RET, size);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, AREA, size, RX), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, AREA, rets, size), VX_OK);
    free(rets);
    before = resident_bytes();
    for (uint32_t i = 0; i < 8; i++) {
        last = call(box, AREA + i * part * distance, part, distance, &work);
        first = i ? first : last;
        units += work.units_translated;
        bytes += work.guest_bytes_translated;
    }
    uint64_t grown = resident_bytes() - before;
    printf("%u targets, %u apart: %.1f us, at last %.1f us and %lu bytes each ", target_count, distance, first / part * 1e6, last / part * 1e6,
           (unsigned long)(grown / target_count));
    CU_ASSERT(units <= target_count + MERGES);
    CU_ASSERT(bytes <= 3ull * target_count); /* merged ones are translated again, three times as many each time */
    CU_ASSERT(last < UNEVEN * first);
    CU_ASSERT(UNDER_SANITIZER || grown < 2048ull * target_count);
    /* All are there: nothing is translated any more. */
    call(box, AREA + (target_count - 100) * distance, 100, distance, &work);
    CU_ASSERT_EQUAL(work.units_translated, 0);
    vx_box_free(box);
}

/*
 * A unit of two pages, of which the first is rewritten again and again: each time the unit is made anew. The second page has an older unit, which is
 * entered in the middle: none of those that are gone stands in the way.
 */
static void two_pages(void)
{
    static const uint8_t code[] = { 0x90, 0x40, 0x48, 0xcc, 0xeb, 0xfe }; /* nop; the second page: inc %eax; dec %eax; int3; jmp . */
    const vx_gaddr page = AREA + PAGE, older = page + 0x100;
    uint8_t nops[NOPS + 3];
    struct vx_box *box = BOX(call_it);
    double rewriting[REWRITES / 1000] = { 0 }, entering[REWRITES / 1000] = { 0 };
    const uint32_t end = REWRITES / 1000 - 1;
    size_t noted;
    memset(nops, code[0], NOPS);
    memcpy(nops + NOPS, code + 3, 3);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, AREA, 2 * PAGE, RX), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, page - 1, code, sizeof code), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, older, nops, sizeof nops), VX_OK);
    run_at(box, older);
    for (uint32_t i = 0; i < REWRITES; i++) {
        double from = seconds();
        CU_ASSERT_EQUAL(vx_box_poke(box, page - 1, code, 1), VX_OK);
        run_at(box, page - 1);
        double middle = seconds();
        run_at(box, older + 1 + i % (NOPS - 1));
        rewriting[i / 1000] += middle - from;
        entering[i / 1000] += seconds() - middle;
    }
    printf("%.1f and %.1f us, after %u times %.1f and %.1f us ", rewriting[0] * 1e3, entering[0] * 1e3, end * 1000, rewriting[end] * 1e3, entering[end] * 1e3);
    CU_ASSERT(rewriting[end] < 5 * rewriting[0]);
    CU_ASSERT(entering[end] < 5 * entering[0]);
    /* Where translation began is remembered once. */
    vx_box_profile(box, &noted);
    CU_ASSERT(noted <= NOPS + 2);
    vx_box_free(box);
}

static void many_targets(void)
{
    targets(1);
    targets(64);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        target_count = (uint32_t)strtoul(argv[1], NULL, 10);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("bombs_code", NULL, NULL);
    CU_add_test(suite, "pages of code", pages_of_code);
    CU_add_test(suite, "two pages", two_pages);
    CU_add_test(suite, "many targets", many_targets);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

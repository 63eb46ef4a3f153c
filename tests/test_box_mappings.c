/*
 * Mappings that fail, and more of them than the kernel allows a process: the window has no hole, what the box says of a page is true of it, and
 * the box goes on. Also what guests do to make the runtime work: code rewritten, traps, and permissions changed without end
 * cost time in proportion.
 */
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/test_box.h"

#define AREA 0x10000000u
#define PAGE 0x1000u
#define PAGES 0x30000u /* more than twice the mappings that Linux allows by default */
#define WINDOW 0x100000000ull

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEPS_FREED_MEMORY 1
#else
#define KEEPS_FREED_MEMORY 0
#endif

GUEST(store, "movl %ecx, (%edx); int3");
/* rewrites the operand of a mov each time, ecx times */
GUEST(rewrite, "1: incl 2f+1-guest_rewrite+0x10000; 2: movl $0, %eax; decl %ecx; jnz 1b; int3");
GUEST(faults, "1: movl (%edx), %eax; jmp 1b");

/* The window has no hole: its mappings follow one another. */
static bool is_whole(struct vx_box *box)
{
    char line[512];
    uint8_t *page = vx_box_pointer(box, CODE, 1, VX_PROT_READ);
    uint64_t from, to, at = (uint64_t)(uintptr_t)page - CODE, end = at + WINDOW;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (at < end && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 && from <= at && to > at)
            at = to;
    fclose(maps);
    return page && at >= end;
}

/* Does a store by the guest go through? */
static bool can_store(struct vx_box *box, vx_gaddr addr)
{
    struct vx_regs regs;
    struct vx_trap trap;
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.edx = addr;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_OK);
    CU_ASSERT(trap.kind == VX_TRAP_BREAKPOINT || (trap.kind == VX_TRAP_PAGE && trap.address == addr));
    return trap.kind == VX_TRAP_BREAKPOINT;
}

static bool is_told_right(struct vx_box *box, vx_gaddr addr)
{
    int prot = vx_box_page_prot(box, addr);
    return can_store(box, addr) == (prot > 0 && prot & VX_PROT_WRITE);
}

/* A file system that refuses: a kernel before 6.12 has unmapped the pages by then. */
static void a_file_that_cannot_be_mapped(void)
{
    struct vx_box *box = BOX(store);
    int fd = open("/proc/self/status", O_RDONLY);
    CU_ASSERT_EQUAL(vx_box_map(box, AREA, 16 * PAGE, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map_file(box, AREA + 4 * PAGE, 8 * PAGE, RW, fd, 0), VX_ERR_MEMORY);
    CU_ASSERT(is_whole(box));
    for (unsigned i = 0; i < 16; i++)
        CU_ASSERT(is_told_right(box, AREA + i * PAGE));
    CU_ASSERT_EQUAL(vx_box_map(box, AREA, 16 * PAGE, RW), VX_OK);
    CU_ASSERT(can_store(box, AREA + 5 * PAGE));
    close(fd);
    vx_box_free(box);
}

static void more_mappings_than_there_are(void)
{
    struct vx_box *box = BOX(store);
    vx_status status = VX_OK;
    uint32_t i;
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, AREA, PAGES * PAGE, RW), VX_OK);
    CU_ASSERT(can_store(box, AREA)); /* the code is translated while there is room */
    for (i = 0; i < PAGES && status == VX_OK; i += 2)
        status = vx_box_protect(box, AREA + i * PAGE, PAGE, VX_PROT_READ);
    if (status == VX_OK) {
        printf("skipped: no limit here ");
        vx_box_free(box);
        return;
    }
    CU_ASSERT_EQUAL(status, VX_ERR_MEMORY);
    for (uint32_t page = i - 12; page < i + 4; page++)
        CU_ASSERT(is_told_right(box, AREA + page * PAGE));
    /* pages with another protection in between: refused as a whole, or done as a whole */
    for (uint32_t page = i - 40; page < i + 8; page += 5) {
        CU_ASSERT(vx_box_protect(box, AREA + page * PAGE, 3 * PAGE, page & 1 ? RW : VX_PROT_READ) != VX_ERR_RANGE);
        vx_box_unmap(box, AREA + (page + 1) * PAGE, PAGE);
        vx_box_map(box, AREA + (page + 2) * PAGE, PAGE, RW);
    }
    for (uint32_t page = i - 44; page < i + 16; page++)
        CU_ASSERT(is_told_right(box, AREA + page * PAGE));
    CU_ASSERT(is_whole(box));
    CU_ASSERT_EQUAL(vx_box_unmap(box, AREA, PAGES * PAGE), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, AREA, 2 * PAGE, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_protect(box, AREA, PAGE, VX_PROT_READ), VX_OK);
    CU_ASSERT(!can_store(box, AREA) && can_store(box, AREA + PAGE));
    CU_ASSERT(is_whole(box));
    vx_box_free(box);
}

static uint64_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CU_ASSERT_EQUAL(fscanf(file, "%lu %lu", &all, &resident), 2);
    fclose(file);
    return (uint64_t)resident * PAGE;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

typedef void storm(struct vx_box *box, uint32_t count);

static void rewrite_code(struct vx_box *box, uint32_t count)
{
    struct vx_regs regs;
    struct vx_trap trap;
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.ecx = count;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_BREAKPOINT, &trap).ecx, 0);
}

static void take_faults(struct vx_box *box, uint32_t count)
{
    struct vx_regs regs;
    struct vx_trap trap;
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.edx = AREA;
    vx_box_set_regs(box, &regs);
    for (uint32_t i = 0; i < count; i++)
        run_to(box, VX_TRAP_PAGE, &trap);
}

/* The code's own page loses and gets back permission to execute, and is run in between. */
static void change_permissions(struct vx_box *box, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        vx_box_protect(box, CODE, PAGE, RW);
        vx_box_protect(box, CODE, PAGE, RX);
        can_store(box, STACK);
    }
}

/* Four times as much work takes about four times as long. Code that was replaced is kept until its 256 MiB are full, and no more. */
static void expect_linear(struct vx_box *box, storm *work, uint32_t count)
{
    double start = seconds();
    work(box, count);
    double first = seconds() - start;
    uint64_t before = resident_bytes();
    start = seconds();
    work(box, 4 * count);
    double second = seconds() - start;
    uint64_t after = resident_bytes();
    printf("%.2f us each, then %.2f, %ld KiB ", first / count * 1e6, second / count / 4 * 1e6,
           ((long)after - (long)before) / 1024);
    CU_ASSERT(second < 4 * 3 * first);
    CU_ASSERT(KEEPS_FREED_MEMORY || after < before + (64u << 20));
    vx_box_free(box);
}

static void storms(void)
{
    expect_linear(BOX_RWX(rewrite), rewrite_code, 4000);
    expect_linear(BOX(faults), take_faults, 20000);
    expect_linear(BOX(store), change_permissions, 4000);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("box_mappings", NULL, NULL);
    CU_add_test(suite, "a file that cannot be mapped", a_file_that_cannot_be_mapped);
    CU_add_test(suite, "more mappings than there are", more_mappings_than_there_are);
    CU_add_test(suite, "storms", storms);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

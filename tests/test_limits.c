/*
 * Limits: each ends in its own kind of trap, in guest code, in a host function and below nested calls, and
 * leaves a box that can be looked at and used again. And many boxes at once.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "test_call.h"

#define MS 1000000ull

static struct vx_image *library, *program;
static bool is_slow, is_idle; /* what host_add does */
static const char *inner, *inner_signature;
static union vx_value inner_args[2];
static struct vx_trap inner_trap;

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    if (is_slow)
        for (uint64_t end = cpu_ns() + 60 * MS; cpu_ns() < end;)
            ;
    if (is_idle)
        while (nanosleep(&(struct timespec){ .tv_nsec = 60 * MS }, NULL) != 0)
            ;
    result->i32 = args[0].i32 + args[1].i32;
    return VX_HOST_DONE;
}

/* -2: calls what `inner` says, and passes its trap on. */
static enum vx_host_result host_nest(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    if (args[0].i32 != -2) {
        struct vx_func again = export_of(library, "call_nest", "i(i)");
        int32_t depth = args[0].i32 ? args[0].i32 - 1 : -2;
        return vx_box_call(box, &again, ARGS(I(depth)), result, NULL) == VX_OK ? VX_HOST_DONE : VX_HOST_PASS_ON;
    }
    struct vx_func func = export_of(library, inner, inner_signature);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, inner_args, result, &inner_trap), VX_ERR_TRAP);
    return VX_HOST_PASS_ON;
}

static const struct vx_host_function functions[] = { { "host_add", "i(ii)", host_add, NULL },
                                                     { "host_nest", "i(i)", host_nest, NULL } };

static void test_open(void)
{
    library = plugin_image(PLUGIN("calls.so.vxc"), functions, 2);
    program = plugin_image(PLUGIN("program.vxc"), functions, 1);
}

static void set_limits(struct vx_box *box, uint64_t wall, uint64_t cpu)
{
    is_slow = is_idle = false;
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, wall), VX_OK);
    CU_ASSERT_EQUAL(vx_box_set_cpu_limit(box, cpu), VX_OK);
}

/* The box can be looked at, and called. */
static void check_usable(struct vx_image *image, struct vx_box *box, const struct vx_trap *trap)
{
    struct vx_regs regs;
    struct vx_frame frames[32];
    uint8_t byte;
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(regs.eip, trap->eip);
    CU_ASSERT_TRUE(vx_box_backtrace(box, frames, 32) >= 1);
    CU_ASSERT_EQUAL(frames[0].address, regs.eip);
    CU_ASSERT_EQUAL(vx_box_read(box, (regs.eip & ~1u) - 16, &byte, 1), VX_OK);
    set_limits(box, 0, 0);
    if (image == library) {
        CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
        CU_ASSERT_EQUAL(call(image, box, "recurse", "i(i)", ARGS(I(20))).i32, 210);
    } else {
        CU_ASSERT_TRUE(call(image, box, "state", "i()", NULL).i32 > 0);
    }
}

static const struct limit_case {
    const char *name, *signature;
    int32_t argument;
    uint64_t wall, cpu;
    bool is_slow, is_idle;
    enum vx_trap_kind kind;
} cases[] = {
    { "spin", "v()", 0, 20 * MS, 0, false, false, VX_TRAP_LIMIT },
    { "spin", "v()", 0, 0, 20 * MS, false, false, VX_TRAP_CPU_LIMIT },
    { "spin", "v()", 0, 10000 * MS, 20 * MS, false, false, VX_TRAP_CPU_LIMIT },
    { "spin", "v()", 0, 20 * MS, 10000 * MS, false, false, VX_TRAP_LIMIT },
    { "spin_host", "v()", 0, 20 * MS, 0, false, false, VX_TRAP_LIMIT },
    { "spin_host", "v()", 0, 0, 20 * MS, false, false, VX_TRAP_CPU_LIMIT },
    { "call_add_often", "i(i)", 1000, 20 * MS, 0, true, false, VX_TRAP_LIMIT }, /* reached inside a host function */
    { "call_add_often", "i(i)", 1000, 0, 20 * MS, true, false, VX_TRAP_CPU_LIMIT },
    { "call_add_often", "i(i)", 1000, 20 * MS, 1000 * MS, false, true, VX_TRAP_LIMIT },
    { "recurse", "i(i)", 1000000, 0, 0, false, false, VX_TRAP_STACK },
    { "call_nest", "i(i)", 100000, 0, 0, false, false, VX_TRAP_NESTING },
};

static void test_positions(void)
{
    for (size_t i = 0; i < 3 * sizeof cases / sizeof *cases; i++) {
        const struct limit_case *c = &cases[i / 3];
        int depth = (int)(i % 3); /* in a call, below one host function, below many */
        struct vx_box *box = plugin_box(library);
        struct vx_trap trap;
        set_limits(box, c->wall, c->cpu);
        is_slow = c->is_slow;
        is_idle = c->is_idle;
        inner = c->name;
        inner_signature = c->signature;
        inner_args[0].i32 = c->argument;
        if (depth == 0) {
            trap = call_trap(library, box, c->name, c->signature, inner_args, c->kind);
        } else {
            trap = call_trap(library, box, "call_nest", "i(i)", ARGS(I(depth == 1 ? -2 : 100)), c->kind);
            CU_ASSERT_EQUAL(inner_trap.kind, c->kind);
        }
        if (c->kind == VX_TRAP_STACK)
            CU_ASSERT_TRUE(trap.access == VX_ACCESS_WRITE && trap.is_protection);
        check_usable(library, box, &trap);
        vx_box_free(box);
    }
}

/* Time that passes while the box does not use the processor does not count, nor what others use. */
static void test_cpu_time(void)
{
    struct vx_box *box = plugin_box(library);
    set_limits(box, 0, 200 * MS);
    is_idle = true;
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(call(library, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    is_idle = false;
    for (uint64_t end = cpu_ns() + 250 * MS; cpu_ns() < end;)
        ;
    CU_ASSERT_EQUAL(call(library, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    /* In pieces: runs add up. */
    int pieces = 0;
    struct vx_func func = export_of(library, "call_add", "i(ii)");
    struct vx_trap trap;
    is_slow = true;
    while (pieces < 20 && vx_box_call(box, &func, ARGS(I(2), I(3)), NULL, &trap) == VX_OK)
        pieces++;
    CU_ASSERT_EQUAL(trap.kind, VX_TRAP_CPU_LIMIT);
    CU_ASSERT_TRUE(pieces >= 1 && pieces <= 4);
    /* Reached: nothing runs before there is a new one. */
    is_slow = false;
    call_trap(library, box, "add", "i(ii)", ARGS(I(2), I(3)), VX_TRAP_CPU_LIMIT);
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(vx_box_set_cpu_limit(box, 200 * MS), VX_OK);
    CU_ASSERT_EQUAL(call(library, box, "add", "i(ii)", ARGS(I(2), I(3))).i32, 5);
    CU_ASSERT_EQUAL(vx_box_set_cpu_limit(NULL, 1), VX_ERR_ARGUMENT);
    vx_box_free(box);
}

/* A reset gives the time back. */
static void test_reset(void)
{
    struct vx_box *box = plugin_box(library);
    struct vx_snapshot *snapshot;
    CU_ASSERT_EQUAL_FATAL(vx_box_snapshot(box, &snapshot), VX_OK);
    for (int i = 0; i < 4; i++) {
        if (i == 0)
            set_limits(box, 30 * MS, 0);
        if (i == 2)
            set_limits(box, 0, 30 * MS);
        call_trap(library, box, "spin", "v()", NULL, i < 2 ? VX_TRAP_LIMIT : VX_TRAP_CPU_LIMIT);
        CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        CU_ASSERT_EQUAL(call(library, box, "add", "i(ii)", ARGS(I(2), I(3))).i32, 5);
    }
    vx_snapshot_close(snapshot);
    vx_box_free(box);
}

static void test_stack_size(void)
{
    static const uint32_t sizes[] = { 8192, 65536, 1 << 20, 16 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vx_box *box;
        struct vx_error error;
        struct vx_trap trap;
        struct vx_start options = { .size = sizeof options, .stack_bytes = sizes[i] };
        CU_ASSERT_EQUAL_FATAL(vx_box_new(library, NULL, &box, &error), VX_OK);
        CU_ASSERT_EQUAL(vx_box_start(box, &options, &trap), VX_OK);
        int32_t fits = (int32_t)(sizes[i] / 400), too_deep = (int32_t)(sizes[i] / 256);
        struct vx_func func = export_of(library, "recurse", "i(i)");
        CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(fits)), NULL, &trap), VX_OK);
        trap = call_trap(library, box, "recurse", "i(i)", ARGS(I(too_deep)), VX_TRAP_STACK);
        struct vx_regs regs;
        vx_box_get_regs(box, &regs);
        CU_ASSERT_TRUE(trap.address - (regs.esp & ~0xfffu) < 0x2000 || trap.address - regs.esp < 0x1000);
        check_usable(library, box, &trap);
        vx_box_free(box);
    }
}

/* Memory: an error for the guest, or a trap; in its own code and below a host function. */
static void test_memory(void)
{
    for (int has_trap = 0; has_trap < 2; has_trap++) {
        struct vx_box_options options = { .size = sizeof options, .max_memory = 4 << 20, .memory_traps = has_trap };
        struct vx_box *box;
        struct vx_error error;
        struct vx_trap trap;
        union vx_value result;
        CU_ASSERT_EQUAL_FATAL(vx_box_new(program, &options, &box, &error), VX_OK);
        CU_ASSERT_EQUAL(vx_box_start(box, NULL, &trap), VX_OK);
        struct vx_func func = export_of(program, "allocate_bytes", "p(i)");
        for (int i = 0; i < 3; i++) {
            static const int32_t sizes[] = { 8 << 20, 2000000000, 100 << 20 };
            vx_status status = vx_box_call(box, &func, ARGS(I(sizes[i])), &result, &trap);
            if (has_trap) {
                CU_ASSERT_EQUAL(status, VX_ERR_TRAP);
                CU_ASSERT_EQUAL(trap.kind, VX_TRAP_MEMORY);
                /* The guest can go on, and sees the error; it may ask the system in another way then. */
                while ((status = vx_box_resume(box, NULL, &result, &trap)) == VX_ERR_TRAP && trap.kind == VX_TRAP_MEMORY)
                    ;
            }
            CU_ASSERT_EQUAL(status, VX_OK);
            CU_ASSERT_EQUAL(result.ptr, 0);
            CU_ASSERT_NOT_EQUAL(call(program, box, "allocate_bytes", "p(i)", ARGS(I(1000))).ptr, 0);
        }
        if (has_trap) {
            trap = call_trap(program, box, "allocate_bytes", "p(i)", ARGS(I(8 << 20)), VX_TRAP_MEMORY);
            check_usable(program, box, &trap);
        }
        vx_box_free(box);
    }
}

/* ---- stopping, many boxes ---- */

static void *spin(void *box)
{
    call_trap(library, box, "spin", "v()", NULL, VX_TRAP_STOPPED);
    return NULL;
}

/* What another thread may and may not do to a box that runs. */
static void test_running(void)
{
    struct vx_box *box = plugin_box(library);
    struct vx_snapshot *snapshot = NULL;
    struct vx_trap trap;
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, spin, box), 0);
    nanosleep(&(struct timespec){ .tv_nsec = 20 * MS }, NULL);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_snapshot(box, &snapshot), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_start(box, NULL, &trap), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 1), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_set_cpu_limit(box, 1), VX_ERR_BUSY);
    vx_box_interrupt(box);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(call(library, box, "add", "i(ii)", ARGS(I(2), I(3))).i32, 5);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

/* Bytes of this process that are in memory. */
static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    CU_ASSERT_EQUAL(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void test_many(void)
{
    enum { COUNT = 1000 };
    static struct vx_box *boxes[COUNT];
    struct vx_box *first = plugin_box(library);
    struct vx_snapshot *snapshot;
    struct vx_error error;
    struct vx_func next = export_of(library, "thread_local_sum", "i()");
    union vx_value result;
    CU_ASSERT_EQUAL_FATAL(vx_box_snapshot(first, &snapshot), VX_OK);
    long before = resident();
    int made = 0;
    while (made < COUNT && vx_box_new_from(snapshot, NULL, &boxes[made], &error) == VX_OK)
        made++;
    if (made < COUNT)
        fprintf(stderr, "  not tested: this machine has address space for %d boxes\n", made);
    else
        CU_ASSERT_TRUE((resident() - before) / COUNT <= 65536);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < made; i++) {
            CU_ASSERT_EQUAL(vx_box_call(boxes[i], &next, NULL, &result, NULL), VX_OK);
            CU_ASSERT_EQUAL(result.i32, 560 + 111 * round);
        }
    for (int i = 0; i < made; i++) {
        if (i % 2)
            CU_ASSERT_EQUAL(vx_box_reset(boxes[i]), VX_OK);
        CU_ASSERT_EQUAL(vx_box_call(boxes[i], &next, NULL, &result, NULL), VX_OK);
        CU_ASSERT_EQUAL(result.i32, i % 2 ? 560 : 782);
        CU_ASSERT_EQUAL(vx_box_free(boxes[i]), VX_OK);
    }
    vx_snapshot_close(snapshot);
    vx_box_free(first);
}

int main(void)
{
    if (!has_plugins())
        return SKIPPED;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("limits", NULL, NULL);
    CU_add_test(suite, "open", test_open);
    CU_add_test(suite, "every limit in every position", test_positions);
    CU_add_test(suite, "processor time", test_cpu_time);
    CU_add_test(suite, "time after a reset", test_reset);
    CU_add_test(suite, "stack size", test_stack_size);
    CU_add_test(suite, "memory", test_memory);
    CU_add_test(suite, "a box that runs", test_running);
    CU_add_test(suite, "1,000 boxes", test_many);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    vx_image_close(library);
    vx_image_close(program);
    return failures != 0;
}

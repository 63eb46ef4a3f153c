/*
 * Snapshots of plug-ins, with and without a C library: boxes that begin where initialisation ended, cached code that was left
 * and is used again, calls that stopped, many threads.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "test_call.h"
#include "test_snapshot.h"

static struct vx_image *library, *program;
static vx_status busy_status[2];

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    struct vx_snapshot *snapshot;
    busy_status[0] = vx_box_reset(box);
    busy_status[1] = vx_box_snapshot(box, &snapshot);
    result->i32 = args[0].i32 + args[1].i32;
    return VX_HOST_DONE;
}

static enum vx_host_result host_wait(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    return VX_HOST_SUSPEND;
}

static enum vx_host_result host_double(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->f64 = 2 * args[0].f64;
    return VX_HOST_DONE;
}

static const struct vx_host_function functions[] = {
    { "host_add", "i(ii)", host_add, NULL }, { "host_wait", "i(i)", host_wait, NULL },
    { "host_double", "d(d)", host_double, NULL } };

static void test_open(void)
{
    library = plugin_image(PLUGIN("calls.so.vxc"), functions, 3);
    program = plugin_image(PLUGIN("program.vxc"), functions, 3);
}

static void test_library(void)
{
    struct vx_box *box = plugin_box(library);
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *other = box_from(snapshot);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(call(library, other, "constructed", "i()", NULL).i32, 212);
        CU_ASSERT_EQUAL(call(library, other, "thread_local_sum", "i()", NULL).i32, 560);
        CU_ASSERT_EQUAL(call(library, other, "thread_local_sum", "i()", NULL).i32, 671);
        CU_ASSERT_EQUAL(call(library, other, "call_add", "i(ii)", ARGS(I(3), I(4))).i32, 8);
        CU_ASSERT_EQUAL(busy_status[0], VX_ERR_BUSY);
        CU_ASSERT_EQUAL(busy_status[1], VX_ERR_BUSY);
        call_trap(library, other, "divide", "i(ii)", ARGS(I(1), I(0)), VX_TRAP_DIVIDE);
        CU_ASSERT_EQUAL(call(library, other, "recurse", "i(i)", ARGS(I(2000))).i32 & 0, 0);
        CU_ASSERT_EQUAL(vx_box_reset(other), VX_OK);
        SAME_STATE(box, other);
    }
    /* Back to before it was started: no call is possible until it is started again. */
    struct vx_box *plain = NULL;
    struct vx_error error;
    struct vx_trap trap;
    struct vx_func add = export_of(library, "add", "i(ii)");
    CU_ASSERT_EQUAL_FATAL(vx_box_new(library, NULL, &plain, &error), VX_OK);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(vx_box_start(plain, NULL, &trap), VX_OK);
        CU_ASSERT_EQUAL(call(library, plain, "add", "i(ii)", ARGS(I(3), I(4))).i32, 7);
        SAME_STATE(plain, plain);
        CU_ASSERT_EQUAL(vx_box_reset(plain), VX_OK);
        CU_ASSERT_EQUAL(vx_box_call(plain, &add, ARGS(I(3), I(4)), NULL, &trap), VX_ERR_ARGUMENT);
    }
    vx_snapshot_close(snapshot);
    vx_box_free(plain);
    vx_box_free(box);
    vx_box_free(other);
}

/* Calls that wait are no part of a snapshot, and a reset ends them. */
static void test_stopped_calls(void)
{
    struct vx_box *box = plugin_box(library);
    struct vx_trap trap;
    union vx_value result;
    call_trap(library, box, "call_wait", "i(i)", ARGS(I(5)), VX_TRAP_SUSPENDED);
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *other = box_from(snapshot);
    CU_ASSERT_EQUAL(vx_box_resume(other, NULL, &result, &trap), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(call(library, other, "add", "i(ii)", ARGS(I(3), I(4))).i32, 7);
    CU_ASSERT_EQUAL(vx_box_resume(box, ARGS(I(6)), &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 106);
    call_trap(library, box, "call_wait", "i(i)", ARGS(I(5)), VX_TRAP_SUSPENDED);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    CU_ASSERT_EQUAL(vx_box_resume(box, ARGS(I(6)), &result, &trap), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(call(library, box, "add", "i(ii)", ARGS(I(3), I(4))).i32, 7);
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    vx_box_free(other);
}

/* A write to code that the cache stands for: the box leaves the cache, and is back after a reset. */
static void test_cache_again(void)
{
    struct vx_box *box = NULL;
    struct vx_error error;
    struct vx_trap trap;
    struct vx_box_options options = { .size = sizeof options, .no_dynamic = true };
    struct vx_func add = export_of(library, "add", "i(ii)");
    CU_ASSERT_EQUAL_FATAL(vx_image_cache_status(library, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(library, &options, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_start(box, NULL, &trap), VX_OK);
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *twin = box_from(snapshot);
    for (int i = 0; i < 3; i++) {
        uint8_t ret = 0xc3;
        CU_ASSERT_EQUAL(call(library, box, "add", "i(ii)", ARGS(I(3), I(4))).i32, 7);
        CU_ASSERT_EQUAL(vx_box_poke(box, add.address, &ret, 1), VX_OK);
        call_trap(library, box, "add", "i(ii)", ARGS(I(3), I(4)), VX_TRAP_NOT_CACHED);
        CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        SAME_STATE(box, twin);
    }
    CU_ASSERT_EQUAL(call(library, box, "add", "i(ii)", ARGS(I(3), I(4))).i32, 7);
    vx_snapshot_close(snapshot);
    vx_box_free(twin);
    vx_box_free(box);
}

static void test_program(void)
{
    struct vx_box *box = plugin_box(program);
    vx_gaddr block = call(program, box, "allocate_bytes", "p(i)", ARGS(I(1000))).ptr;
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *other = box_from(snapshot);
    int state = call(program, box, "state", "i()", NULL).i32;
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    for (int i = 0; i < 4; i++) {
        SAME_STATE(box, other);
        CU_ASSERT_EQUAL(call(program, other, "state", "i()", NULL).i32, state);
        CU_ASSERT_EQUAL(call(program, other, "next_local", "i()", NULL).i32, 5);
        CU_ASSERT_NOT_EQUAL(call(program, other, "allocate_bytes", "p(i)", ARGS(I(1000))).ptr, block);
        /* heap that grows, and blocks with mappings of their own */
        call(program, other, "allocate", "i(ii)", ARGS(I(100), I(5000)));
        call(program, other, "allocate", "i(ii)", ARGS(I(10), I(400000)));
        if (i == 1)
            call_trap(program, other, "leave", "v(i)", ARGS(I(3)), VX_TRAP_EXIT);
        if (i == 2)
            call_trap(program, other, "give_up", "v()", NULL, VX_TRAP_EXIT);
        CU_ASSERT_EQUAL(vx_box_reset(other), VX_OK);
    }
    SAME_STATE(box, other);
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    vx_box_free(other);
}

/* A stream that was granted is not there after a reset. */
static void test_streams(void)
{
    struct vx_box *box = plugin_box(program);
    struct vx_snapshot *snapshot;
    int pipes[2];
    char text[64] = { 0 };
    CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
    CU_ASSERT_EQUAL(vx_box_set_stream(box, 1, pipes[1]), VX_OK);
    snapshot = snapshot_of(box);
    struct vx_box *other = box_from(snapshot);
    vx_gaddr at = call(program, box, "allocate_bytes", "p(i)", ARGS(I(100))).ptr;
    CU_ASSERT_EQUAL(vx_box_write(box, at, "hello", 6), VX_OK);
    CU_ASSERT_EQUAL(call(program, box, "print", "i(p)", ARGS(P(at))).i32, 17);
    CU_ASSERT_EQUAL(read(pipes[0], text, sizeof text), 17);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    for (int i = 0; i < 2; i++) {
        struct vx_box *one = i ? other : box;
        at = call(program, one, "allocate_bytes", "p(i)", ARGS(I(100))).ptr;
        CU_ASSERT_EQUAL(call(program, one, "print", "i(p)", ARGS(P(at))).i32, -9);
    }
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    vx_box_free(other);
    close(pipes[0]);
    close(pipes[1]);
}

static struct vx_snapshot *shared;
static atomic_uint failures;

static void *use(void *unused)
{
    struct vx_func next = export_of(program, "next_local", "i()"), allocate = export_of(program, "allocate", "i(ii)");
    for (int i = 0; i < 20; i++) {
        struct vx_box *box = NULL;
        struct vx_error error;
        union vx_value result;
        struct vx_trap trap;
        if (vx_box_new_from(shared, NULL, &box, &error) != VX_OK) {
            failures++;
            continue;
        }
        for (int n = 0; n < 10; n++) {
            if (vx_box_call(box, &next, NULL, &result, &trap) != VX_OK || result.i32 != 5 ||
                vx_box_call(box, &allocate, ARGS(I(20), I(10000)), &result, &trap) != VX_OK ||
                vx_box_reset(box) != VX_OK)
                failures++;
        }
        vx_box_free(box);
    }
    return NULL;
}

static void test_threads(void)
{
    struct vx_box *box = plugin_box(program);
    pthread_t threads[4];
    shared = snapshot_of(box);
    vx_box_free(box);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, use, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
    vx_snapshot_close(shared);
}

int main(void)
{
    if (!has_plugins())
        return SKIPPED;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("snapshot_plugin", NULL, NULL);
    CU_add_test(suite, "open", test_open);
    CU_add_test(suite, "shared object", test_library);
    CU_add_test(suite, "calls that stopped", test_stopped_calls);
    CU_add_test(suite, "the cache again", test_cache_again);
    CU_add_test(suite, "program with a C library", test_program);
    CU_add_test(suite, "streams", test_streams);
    CU_add_test(suite, "threads", test_threads);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    vx_image_close(library);
    vx_image_close(program);
    return failed != 0;
}

/*
 * Calls between host and guest: arguments and results of every kind, nesting, traps in every
 * position, suspending, and what each side sees of the other.
 */
#include <CUnit/Basic.h>
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <time.h>

#include "test_call.h"

static char logged[64];
static uint32_t nested_status, deepest;

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->i32 = args[0].i32 + args[1].i32;
    return VX_HOST_DONE;
}

static enum vx_host_result host_mixed(struct vx_box *box, void *context, const union vx_value *args,
                                      union vx_value *result)
{
    char text[8];
    CU_ASSERT_EQUAL(vx_box_read_string(box, args[4].ptr, text, sizeof text), VX_OK);
    CU_ASSERT_STRING_EQUAL(text, "text");
    CU_ASSERT_EQUAL(args[1].i64, args[0].i32 * INT64_C(0x100000001));
    CU_ASSERT_EQUAL(args[2].f32, (float)args[0].i32 * 0.5f);
    CU_ASSERT_EQUAL(args[3].f64, args[0].i32 * 0.25);
    result->i64 = args[1].i64 + 1;
    return VX_HOST_DONE;
}

static enum vx_host_result host_float(struct vx_box *box, void *context, const union vx_value *args,
                                      union vx_value *result)
{
    result->f32 = args[0].f32 * 2;
    return VX_HOST_DONE;
}

static enum vx_host_result host_double(struct vx_box *box, void *context, const union vx_value *args,
                                       union vx_value *result)
{
    CU_ASSERT_PTR_EQUAL(context, &deepest);
    result->f64 = args[0].f64 * 4;
    return VX_HOST_DONE;
}

static enum vx_host_result host_sum(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    for (int32_t i = 0; i < args[0].i32; i++) {
        int32_t value;
        CU_ASSERT_EQUAL(vx_box_read(box, args[1].ptr + 4 * (uint32_t)i, &value, sizeof value), VX_OK);
        result->i32 += value;
    }
    return VX_HOST_DONE;
}

static enum vx_host_result host_log(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    CU_ASSERT_EQUAL(vx_box_read_string(box, args[0].ptr, logged, sizeof logged), VX_OK);
    return VX_HOST_DONE;
}

/* depth > 0: call_nest(depth - 1) in the guest. -1: jumper. Else nothing. */
static enum vx_host_result host_nest(struct vx_box *box, void *context, const union vx_value *args,
                                     union vx_value *result)
{
    struct vx_image *image = vx_box_user(box);
    struct vx_trap trap;
    int32_t depth = args[0].i32;
    struct vx_func func = export_of(image, depth < 0 ? "jumper" : "call_nest", depth < 0 ? "i()" : "i(i)");
    if (depth == 0)
        return VX_HOST_DONE;
    nested_status = vx_box_call(box, &func, ARGS(I(depth - 1)), result, &trap);
    if (nested_status == VX_OK)
        return VX_HOST_DONE;
    deepest = deepest > (uint32_t)depth ? deepest : (uint32_t)depth;
    return VX_HOST_PASS_ON;
}

static enum vx_host_result host_fail(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->u32 = args[0].u32 + 1;
    return VX_HOST_FAIL;
}

static enum vx_host_result host_wait(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    return VX_HOST_SUSPEND;
}

/* Leaves as much as it can in registers. */
static enum vx_host_result host_dirty(struct vx_box *box, void *context, const union vx_value *args,
                                      union vx_value *result)
{
    static const uint8_t secret[16] = "0123456789abcdef";
    static const long double big = 1.2345e77L, small = 3.21e-55L;
    __asm__ volatile("movdqu %0, %%xmm0\n\tmovdqu %0, %%xmm3\n\tmovdqu %0, %%xmm7\n\t"
                     "fldt %1\n\tfldt %2\n\tfldt %1\n\tfldt %2\n\tfldt %1\n\tfldt %2\n\tfldt %1\n\tfldt %2\n\t"
                     "fmulp\n\tfcompp\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\t"
                     : : "m"(secret), "m"(big), "m"(small) : "memory");
    return VX_HOST_DONE;
}

static const struct vx_host_function functions[] = {
    { "host_add", "i(ii)", host_add, NULL },       { "host_mixed", "l(ilfdp)", host_mixed, NULL },
    { "host_float", "f(f)", host_float, NULL },    { "host_double", "d(d)", host_double, &deepest },
    { "host_sum", "i(i.)", host_sum, NULL },       { "host_log", "v(p)", host_log, NULL },
    { "host_nest", "i(i)", host_nest, NULL },      { "host_fail", "i(i)", host_fail, NULL },
    { "host_wait", "i(i)", host_wait, NULL },      { "host_wait_double", "d()", host_wait, NULL },
    { "host_dirty", "i(ii)", host_dirty, NULL },   { "not_imported", "v()", host_add, NULL },
};
#define FUNCTION_COUNT (sizeof functions / sizeof *functions)

static struct vx_image *image;

static struct vx_box *new_box(void)
{
    if (!image)
        image = plugin_image(PLUGIN("calls.so"), functions, FUNCTION_COUNT);
    struct vx_box *box = plugin_box(image);
    vx_box_set_user(box, image);
    return box;
}

static void test_values(void)
{
    struct vx_box *box = new_box();
    CU_ASSERT_EQUAL(call(image, box, "add", "i(ii)", ARGS(I(2), I(-44))).i32, -42);
    CU_ASSERT_EQUAL(call(image, box, "add64", "l(ll)", ARGS(L(0x1ffffffff), L(1))).i64, 0x200000000);
    CU_ASSERT_EQUAL(call(image, box, "addf", "f(ff)", ARGS(F(1.5f), F(0.25f))).f32, 1.75f);
    CU_ASSERT_EQUAL(call(image, box, "addd", "d(dd)", ARGS(D(1e300), D(1))).f64, 1e300);
    CU_ASSERT_EQUAL(call(image, box, "advance", "p(pi)", ARGS(P(0xfffffff0), I(5))).ptr, 0xfffffff5);
    CU_ASSERT_EQUAL(call(image, box, "nothing", "v()", NULL).u64, 0);
    CU_ASSERT_EQUAL(call(image, box, "stack_remainder", "i()", NULL).i32, 0);
    CU_ASSERT_EQUAL(call(image, box, "stack_remainder", "i(iii)", ARGS(I(1), I(2), I(3))).i32, 0);
    vx_gaddr object;
    int32_t value;
    CU_ASSERT_EQUAL(vx_image_export(image, "exported_object", &object), VX_OK);
    CU_ASSERT_EQUAL(vx_box_read(box, object, &value, sizeof value), VX_OK);
    CU_ASSERT_EQUAL(value, 77);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

static void test_host_functions(void)
{
    struct vx_box *box = new_box();
    CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    CU_ASSERT_EQUAL(call(image, box, "call_add_often", "i(i)", ARGS(I(1000))).i32, 499500);
    CU_ASSERT_EQUAL(call(image, box, "call_mixed", "l(i)", ARGS(I(-9))).i64, (-9 * INT64_C(0x100000001) + 1) * 2);
    CU_ASSERT_EQUAL(call(image, box, "call_floats", "d(d)", ARGS(D(1.5))).f64, 6.0);
    CU_ASSERT_EQUAL(call(image, box, "call_sum", "i()", NULL).i32, 15);
    CU_ASSERT_EQUAL(call(image, box, "through_table", "i(iii)", ARGS(I(0), I(4), I(5))).i32, 9);
    CU_ASSERT_EQUAL(call(image, box, "through_table", "i(iii)", ARGS(I(1), I(4), I(6))).i32, 10);
    call(image, box, "call_log", "v()", NULL);
    CU_ASSERT_STRING_EQUAL(logged, "hello from the guest");
    vx_box_free(box);
}

static void test_initialisation(void)
{
    struct vx_box *box = new_box(), *other = new_box();
    CU_ASSERT_EQUAL(call(image, box, "constructed", "i()", NULL).i32, 212);
    vx_gaddr word = call(image, box, "word", "p(i)", ARGS(I(2))).ptr;
    char text[8];
    CU_ASSERT_EQUAL(vx_box_read_string(box, word, text, sizeof text), VX_OK);
    CU_ASSERT_STRING_EQUAL(text, "two");
    CU_ASSERT_EQUAL(call(image, box, "thread_local_sum", "i()", NULL).i32, 560);
    CU_ASSERT_EQUAL(call(image, box, "thread_local_sum", "i()", NULL).i32, 671);
    CU_ASSERT_EQUAL(call(image, other, "thread_local_sum", "i()", NULL).i32, 560);
    CU_ASSERT_EQUAL(call(image, box, "call_indirect", "i(i)", ARGS(I(21))).i32, 42);
    vx_box_free(box);
    vx_box_free(other);
}

static void test_nesting(void)
{
    struct vx_box *box = new_box();
    CU_ASSERT_EQUAL(call(image, box, "call_nest", "i(i)", ARGS(I(1000))).i32, 1001);
    CU_ASSERT_EQUAL(nested_status, VX_OK);
    /* Deeper than allowed: every level passes the trap on. */
    deepest = 0;
    call_trap(image, box, "call_nest", "i(i)", ARGS(I(5000)), VX_TRAP_NESTING);
    CU_ASSERT_EQUAL(deepest, 5000);
    CU_ASSERT_EQUAL(call(image, box, "call_nest", "i(i)", ARGS(I(1000))).i32, 1001);
    /* A return stack that is full when the host calls. */
    CU_ASSERT_EQUAL(call(image, box, "recurse_then_nest", "i(i)", ARGS(I(20000))).i32, 1);
    vx_box_free(box);
}

int main(void)
{
    if (!has_plugins())
        return SKIPPED;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("call", NULL, NULL);
    CU_add_test(suite, "values", test_values);
    CU_add_test(suite, "host functions", test_host_functions);
    CU_add_test(suite, "initialisation", test_initialisation);
    CU_add_test(suite, "nesting", test_nesting);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    vx_image_close(image);
    return failures != 0;
}

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
#include "vxrt/internal.h"

static char logged[64];
static uint32_t nested_status, deepest;

static vx_gaddr rewrite_at; /* host_add changes the guest's code here, to what it was */

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    uint8_t byte;
    if (rewrite_at) {
        CU_ASSERT_EQUAL(vx_box_read(box, rewrite_at, &byte, 1), VX_OK);
        CU_ASSERT_EQUAL(vx_box_poke(box, rewrite_at, &byte, 1), VX_OK);
    }
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

static enum vx_host_result host_log_busy(struct vx_box *box);

static enum vx_host_result host_log(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    CU_ASSERT_EQUAL(vx_box_read_string(box, args[0].ptr, logged, sizeof logged), VX_OK);
    return host_log_busy(box);
}

/* What a nested call does, and what its host function makes of a trap. */
static struct {
    const char *name, *signature;
    union vx_value args[2];
    enum vx_host_result policy;
    vx_status status;
    struct vx_trap trap;
    union vx_value result;
    struct vx_regs before, after;
} nested;

static enum vx_host_result nest_any(struct vx_box *box, union vx_value *result)
{
    struct vx_func func = export_of(vx_box_user(box), nested.name, nested.signature);
    vx_box_get_regs(box, &nested.before);
    nested.status = vx_box_call(box, &func, nested.args, &nested.result, &nested.trap);
    vx_box_get_regs(box, &nested.after);
    result->i32 = 1234;
    return nested.status == VX_OK ? VX_HOST_DONE : nested.policy;
}

/* -2: nest_any. depth > 0: call_nest(depth - 1) in the guest. -1: jumper. Else nothing. */
static enum vx_host_result host_nest(struct vx_box *box, void *context, const union vx_value *args,
                                     union vx_value *result)
{
    struct vx_image *image = vx_box_user(box);
    struct vx_trap trap;
    int32_t depth = args[0].i32;
    struct vx_func func = export_of(image, depth < 0 ? "jumper" : "call_nest", depth < 0 ? "i()" : "i(i)");
    if (depth == 0)
        return VX_HOST_DONE;
    if (depth == -2)
        return nest_any(box, result);
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

/* What a host function may not do with the box that called it. */
static enum vx_host_result host_log_busy(struct vx_box *box)
{
    struct vx_trap trap;
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_start(box, NULL, &trap), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 1), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, NULL, &trap), VX_ERR_ARGUMENT);
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


/* A host function drops the code that it returns to: from the cache, translated, and below nested calls. */
static void test_code_changes(void)
{
    struct vx_error error;
    for (int cached = 0; cached < 2; cached++) {
        struct vx_image *own = plugin_image(cached ? PLUGIN("calls.so.vxc") : PLUGIN("calls.so"), functions, FUNCTION_COUNT);
        struct vx_box *box = plugin_box(own);
        CU_ASSERT_EQUAL(vx_image_cache_status(own, &error), cached ? VX_OK : VX_ERR_NOT_FOUND);
        vx_box_set_user(box, own);
        CU_ASSERT_EQUAL(vx_image_export(own, "call_add_often", &rewrite_at), VX_OK);
        CU_ASSERT_EQUAL(call(own, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
        CU_ASSERT_EQUAL(call(own, box, "call_add_often", "i(i)", ARGS(I(100))).i32, 4950);
        nested.name = "call_add_often";
        nested.signature = "i(i)";
        nested.args[0].i32 = 10;
        for (int i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL(call(own, box, "call_nest", "i(i)", ARGS(I(-2))).i32, 1235);
            CU_ASSERT_EQUAL(nested.status, VX_OK);
            CU_ASSERT_EQUAL(nested.result.i32, 45);
        }
        rewrite_at = 0;
        CU_ASSERT_EQUAL(call(own, box, "call_nest", "i(i)", ARGS(I(900))).i32, 901);
        vx_box_free(box);
        vx_image_close(own);
    }
}

/* ---- traps ---- */

static void *interrupt_soon(void *box)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    vx_box_interrupt(box);
    return NULL;
}

static const struct trap_case {
    const char *name, *signature;
    union vx_value args[2];
    enum vx_trap_kind kind;
    vx_gaddr address;
    uint32_t detail;
    vx_status status;
    bool is_stopped, is_limited;
} trap_cases[] = {
    { "divide", "i(ii)", { I(1), I(0) }, VX_TRAP_DIVIDE, 0, 0, 0, false, false },
    { "peek", "i(p)", { P(0x1000) }, VX_TRAP_PAGE, 0x1000, 0, 0, false, false },
    { "poke", "i(p)", { P(0xfffffffc) }, VX_TRAP_PAGE, 0xfffffffc, 0, 0, false, false },
    { "undefined", "v()", { I(0) }, VX_TRAP_UNDEFINED, 0, 0, 0, false, false },
    { "system_call", "i(i)", { I(20) }, VX_TRAP_SYSCALL, 0, 0, 0, false, false },
    { "spin", "v()", { I(0) }, VX_TRAP_STOPPED, 0, 0, 0, true, false },
    { "spin_host", "v()", { I(0) }, VX_TRAP_STOPPED, 0, 0, 0, true, false },
    { "spin", "v()", { I(0) }, VX_TRAP_LIMIT, 0, 0, 0, false, true },
    { "spin_host", "v()", { I(0) }, VX_TRAP_LIMIT, 0, 0, 0, false, true },
    { "call_fail", "i(i)", { I(41) }, VX_TRAP_HOST, 0, 42, 0, false, false },
    { "call_missing", "i(i)", { I(41) }, VX_TRAP_IMPORT, 0, 0, 0, false, false },
    { "jump_out", "i()", { I(0) }, VX_TRAP_ERROR, 0, 0, VX_ERR_UNWOUND, false, false },
    { "call_nest", "i(i)", { I(100000) }, VX_TRAP_NESTING, 0, 0, 0, false, false },
};
#define TRAP_CASES (sizeof trap_cases / sizeof *trap_cases)

static void check_trap(const struct trap_case *c, const struct vx_trap *trap)
{
    CU_ASSERT_EQUAL(trap->kind, c->kind);
    CU_ASSERT_EQUAL(trap->address, c->address);
    CU_ASSERT_EQUAL(trap->detail, c->detail);
    CU_ASSERT_EQUAL(trap->status, c->status);
    if (trap->kind != c->kind || trap->detail != c->detail)
        fprintf(stderr, "  %s: %s, detail %u, eip 0x%08x\n", c->name, vx_trap_name(trap->kind), trap->detail, trap->eip);
}

static void prepare(struct vx_box *box, const struct trap_case *c, pthread_t *thread)
{
    if (c->is_stopped)
        CU_ASSERT_EQUAL(pthread_create(thread, NULL, interrupt_soon, box), 0);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, c->is_limited ? 20000000 : 0), VX_OK);
}

static void tidy(struct vx_box *box, const struct trap_case *c, pthread_t thread)
{
    if (c->is_stopped)
        pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 0), VX_OK);
    /* The box is as good as new for calls. */
    CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    CU_ASSERT_EQUAL(call(image, box, "call_nest", "i(i)", ARGS(I(10))).i32, 11);
}

static void test_traps(void)
{
    struct vx_box *box = new_box();
    for (size_t i = 0; i < TRAP_CASES; i++) {
        const struct trap_case *c = &trap_cases[i];
        pthread_t thread = 0;
        prepare(box, c, &thread);
        struct vx_trap trap = call_trap(image, box, c->name, c->signature, c->args, c->kind);
        check_trap(c, &trap);
        tidy(box, c, thread);
    }
    vx_box_free(box);
}

/* The same below a host function that passes the trap on, turns it into its own, or goes on as if nothing were. */
static void test_nested_traps(void)
{
    static const enum vx_host_result policies[] = { VX_HOST_PASS_ON, VX_HOST_FAIL, VX_HOST_DONE };
    struct vx_box *box = new_box();
    for (size_t i = 0; i < 3 * TRAP_CASES; i++) {
        const struct trap_case *c = &trap_cases[i / 3];
        pthread_t thread = 0;
        nested.name = c->name;
        nested.signature = c->signature;
        memcpy(nested.args, c->args, sizeof nested.args);
        nested.policy = policies[i % 3];
        prepare(box, c, &thread);
        struct vx_func func = export_of(image, "call_nest", "i(i)");
        struct vx_trap trap = { 0 };
        struct vx_regs regs;
        union vx_value result;
        vx_status status = vx_box_call(box, &func, ARGS(I(-2)), &result, &trap);
        CU_ASSERT_EQUAL(nested.status, VX_ERR_TRAP);
        check_trap(c, &nested.trap);
        CU_ASSERT_EQUAL(nested.after.eip, nested.trap.eip);
        vx_box_get_regs(box, &regs);
        if (nested.policy == VX_HOST_PASS_ON) {
            CU_ASSERT_EQUAL(status, VX_ERR_TRAP);
            check_trap(c, &trap);
            CU_ASSERT_EQUAL(regs.eip, nested.trap.eip);
            CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
        } else if (nested.policy == VX_HOST_FAIL) {
            CU_ASSERT_EQUAL(status, VX_ERR_TRAP);
            CU_ASSERT_EQUAL(trap.kind, VX_TRAP_HOST);
            CU_ASSERT_EQUAL(trap.detail, 1234);
            /* At the import, not where the nested call was. */
            CU_ASSERT_EQUAL(regs.eip, nested.before.eip);
            CU_ASSERT_EQUAL(regs.esp, nested.before.esp);
        } else if (!c->is_limited) {
            CU_ASSERT_EQUAL(status, VX_OK);
            CU_ASSERT_EQUAL(result.i32, 1235);
        }
        tidy(box, c, thread);
    }
    vx_box_free(box);
}

/* What trapped may go on once its cause is gone. */
static void test_resume(void)
{
    struct vx_box *box = new_box();
    struct vx_trap trap;
    struct vx_regs regs;
    union vx_value result;
    pthread_t thread;
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
    trap = call_trap(image, box, "peek", "i(p)", ARGS(P(0x1234)), VX_TRAP_PAGE);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_TRAP); /* again */
    CU_ASSERT_EQUAL(trap.address, 0x1234);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x1000, 0x1000, VX_PROT_READ | VX_PROT_WRITE), VX_OK);
    CU_ASSERT_EQUAL(vx_box_write(box, 0x1234, &(int32_t){ 99 }, 4), VX_OK);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 99);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
    /* A system call, served by the host. */
    call_trap(image, box, "system_call", "i(i)", ARGS(I(20)), VX_TRAP_SYSCALL);
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(regs.eax, 20);
    regs.eax = 4321;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 4321);
    /* Stopped, and stopped again. */
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(pthread_create(&thread, NULL, interrupt_soon, box), 0);
        if (i == 0)
            call_trap(image, box, "spin_host", "v()", NULL, VX_TRAP_STOPPED);
        else
            CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_TRAP);
        pthread_join(thread, NULL);
    }
    CU_ASSERT_EQUAL(trap.kind, VX_TRAP_STOPPED);
    /* Another call abandons it. */
    call(image, box, "nothing", "v()", NULL);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
    vx_box_free(box);
}

static void test_suspend(void)
{
    struct vx_box *box = new_box();
    struct vx_trap trap;
    union vx_value result;
    call_trap(image, box, "call_wait", "i(i)", ARGS(I(1)), VX_TRAP_SUSPENDED);
    CU_ASSERT_EQUAL(vx_box_resume(box, &(union vx_value)I(7), &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 107);
    call_trap(image, box, "call_wait_double", "d()", NULL, VX_TRAP_SUSPENDED);
    /* Others run meanwhile, and may wait as well: the newest goes on first. */
    CU_ASSERT_EQUAL(call(image, box, "call_nest", "i(i)", ARGS(I(50))).i32, 51);
    call_trap(image, box, "call_wait", "i(i)", ARGS(I(1)), VX_TRAP_SUSPENDED);
    call_trap(image, box, "divide", "i(ii)", ARGS(I(1), I(0)), VX_TRAP_DIVIDE);
    CU_ASSERT_EQUAL(call(image, box, "add", "i(ii)", ARGS(I(1), I(2))).i32, 3);
    CU_ASSERT_EQUAL(vx_box_resume(box, &(union vx_value)I(-100), &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 0);
    CU_ASSERT_EQUAL(vx_box_resume(box, &(union vx_value)D(2.25), &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.f64, 2.75);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
    /* Below a host function: it cannot be passed on, it ends with it. */
    nested.name = "call_wait";
    nested.signature = "i(i)";
    nested.policy = VX_HOST_PASS_ON;
    trap = call_trap(image, box, "call_nest", "i(i)", ARGS(I(-2)), VX_TRAP_HOST);
    CU_ASSERT_EQUAL(nested.trap.kind, VX_TRAP_SUSPENDED);
    nested.policy = VX_HOST_DONE;
    CU_ASSERT_EQUAL(call(image, box, "call_nest", "i(i)", ARGS(I(-2))).i32, 1235);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
    /* Stopped before it has its value: it still waits, and the host function is not called again. */
    call_trap(image, box, "call_wait", "i(i)", ARGS(I(1)), VX_TRAP_SUSPENDED);
    for (int i = 0; i < 3; i++) {
        vx_box_interrupt(box);
        CU_ASSERT_EQUAL(vx_box_resume(box, &(union vx_value)I(7), &result, &trap), VX_ERR_TRAP);
        CU_ASSERT_EQUAL(trap.kind, VX_TRAP_STOPPED);
        CU_ASSERT_EQUAL(call(image, box, "add", "i(ii)", ARGS(I(1), I(2))).i32, 3);
    }
    CU_ASSERT_EQUAL(vx_box_resume(box, &(union vx_value)I(8), &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 108);
    /* Left suspended: the box takes it along. */
    call_trap(image, box, "call_wait", "i(i)", ARGS(I(1)), VX_TRAP_SUSPENDED);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

/* Another call has popped slots of the one that waits, and a signal handler of the application has left something in their place. */
static void test_popped_slots(void)
{
    struct vx_box *box = new_box();
    struct vx_trap trap;
    union vx_value result;
    for (unsigned popped = 1; popped < 4; popped++) {
        call_trap(image, box, "call_wait", "i(i)", ARGS(I(1)), VX_TRAP_SUSPENDED);
        uint64_t *slot = (uint64_t *)box->ctx->rsp;
        for (unsigned i = 0; i < popped && (uint64_t)slot < box->ctx->rsp_top; i++)
            *slot++ = 0x5a5a5a5a5a5a;
        box->ctx->rsp = (uint64_t)slot;
        CU_ASSERT_EQUAL(vx_box_resume(box, &(union vx_value)I(7), &result, &trap), VX_OK);
        CU_ASSERT_EQUAL(result.i32, 107);
    }
    vx_box_free(box);
}

static void check_frames(struct vx_box *box, const char *const *names, size_t count)
{
    struct vx_frame frames[16];
    size_t found = vx_box_backtrace(box, frames, 16);
    CU_ASSERT_EQUAL(found, count);
    for (size_t i = 0; i < found && i < count; i++) {
        CU_ASSERT_EQUAL(frames[i].is_host, names[i] == NULL);
        if (names[i] && frames[i].symbol)
            CU_ASSERT_STRING_EQUAL(frames[i].symbol, names[i]);
        CU_ASSERT_EQUAL(frames[i].symbol != NULL, names[i] != NULL);
        CU_ASSERT_TRUE(frames[i].offset < 200);
    }
}

static void check_backtraces(void)
{
    static const char *const faulting[] = { "frame_inner", "frame_middle", "frame_outer", NULL };
    static const char *const failing[] = { "host_fail", "frame_host", NULL };
    static const char *const nesting[] = { "frame_inner", "frame_middle", "frame_outer", NULL, "frame_nest", NULL };
    struct vx_box *box = new_box();
    struct vx_frame one;
    call_trap(image, box, "frame_outer", "i(p)", ARGS(P(0x100)), VX_TRAP_PAGE);
    check_frames(box, faulting, 4);
    CU_ASSERT_EQUAL(vx_box_backtrace(box, &one, 1), 1);
    CU_ASSERT_EQUAL(vx_box_backtrace(box, &one, 0), 0);
    call_trap(image, box, "frame_host", "i(i)", ARGS(I(1)), VX_TRAP_HOST);
    check_frames(box, failing, 3);
    nested.name = "frame_outer";
    nested.signature = "i(p)";
    nested.args[0].ptr = 0x100;
    nested.policy = VX_HOST_PASS_ON;
    call_trap(image, box, "frame_nest", "i()", NULL, VX_TRAP_PAGE);
    check_frames(box, nesting, 6);
    vx_box_free(box);
}

/* By .eh_frame, or where a plug-in has none by frame pointers. */
static void test_backtrace(void)
{
    static const char *const paths[] = { PLUGIN("calls.so"), PLUGIN("calls_framed.so") };
    struct vx_image *shared = image;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        image = plugin_image(paths[i], functions, FUNCTION_COUNT);
        check_backtraces();
        vx_image_close(image);
    }
    image = shared;
}

static void *spin_in_thread(void *box)
{
    struct vx_func func = export_of(image, "spin_host", "v()");
    struct vx_trap trap;
    CU_ASSERT_EQUAL(vx_box_call(box, &func, NULL, NULL, &trap), VX_ERR_TRAP);
    CU_ASSERT_EQUAL(trap.kind, VX_TRAP_STOPPED);
    return NULL;
}

/* A box that another thread runs, mostly in host functions. */
static void test_busy(void)
{
    struct vx_box *box = new_box();
    struct vx_func func = export_of(image, "add", "i(ii)");
    struct vx_trap trap;
    pthread_t thread;
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, spin_in_thread, box), 0);
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(1), I(2)), NULL, &trap), VX_ERR_BUSY);
        CU_ASSERT_EQUAL(vx_box_resume(box, NULL, NULL, &trap), VX_ERR_BUSY);
        CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    }
    vx_box_interrupt(box);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(call(image, box, "add", "i(ii)", ARGS(I(1), I(2))).i32, 3);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

/* ---- state at the crossing ---- */

struct seen {
    uint8_t xmm[8][16], mm[8][8];
    uint32_t gpr[7];
    uint16_t status;
};

static struct seen look(struct vx_box *box, const char *name)
{
    struct seen seen;
    vx_gaddr to;
    CU_ASSERT_EQUAL(vx_image_export(image, "seen", &to), VX_OK);
    call(image, box, name, "v(p)", ARGS(P(to)));
    CU_ASSERT_EQUAL(vx_box_read(box, to, &seen, sizeof seen), VX_OK);
    return seen;
}

static bool is_constant(const struct seen *seen)
{
    static const uint8_t zero[16], ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
    bool is = (seen->status & 0x7fff & ~0x3800) == 0;
    for (int i = 0; i < 8; i++)
        is &= !memcmp(seen->xmm[i], zero, 16) && !memcmp(seen->mm[i], i == 7 ? ones : zero, 8);
    return is;
}

static void test_nothing_shows(void)
{
    struct vx_box *box = new_box();
    union vx_value result;
    for (int i = 0; i < 3; i++) {
        host_dirty(box, NULL, NULL, &result);
        struct seen seen = look(box, "look");
        CU_ASSERT_TRUE(is_constant(&seen));
        for (int r = 0; r < 7; r++)
            CU_ASSERT_EQUAL(seen.gpr[r], 0);
        seen = look(box, "look_after_host");
        CU_ASSERT_TRUE(is_constant(&seen));
        CU_ASSERT_EQUAL(seen.gpr[0], 0);
        CU_ASSERT_EQUAL(seen.gpr[1], 0);
        CU_ASSERT_EQUAL(seen.gpr[2], 0);
    }
    vx_box_free(box);
}

/* The guest leaves flags and control words in disorder; the host does not notice, the guest finds its own again. */
/* An invalid operation on the x87 unit leaves its flag; with_marker: and mm7 as the runtime leaves it. */
static void leave_flag(bool with_marker)
{
    __asm__ volatile("fninit\n\tfld1\n\tfchs\n\tfsqrt\n\tfstp %st(0)\n\temms");
    if (with_marker)
        __asm__ volatile("pcmpeqd %mm7, %mm7\n\temms");
}

/*
 * The marker stands for the x87 status word (call.S). A host that writes it by its own MMX code can let exception flags across,
 * and condition bits, but no value; one that does not lets nothing across.
 */
static void test_marker(void)
{
    struct vx_box *box = new_box();
    for (int i = 0; i < 4; i++) {
        leave_flag(i & 1);
        struct seen seen = look(box, "look");
        CU_ASSERT_EQUAL(seen.status & 0x3f, i & 1);
        seen.status &= (uint16_t)~0x477f; /* flags, summary, conditions: all else is constant */
        CU_ASSERT_TRUE(is_constant(&seen));
    }
    __asm__ volatile("fninit");
    vx_box_free(box);
}

static void test_control(void)
{
    struct vx_box *box = new_box();
    uint16_t control = 0, status = 0;
    uint32_t mxcsr = 0, flags;
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    uint32_t plain = (uint32_t)call(image, box, "read_control", "i()", NULL).u32;
    CU_ASSERT_EQUAL(plain, 0x1f80u << 16 | 0x37f);
    call(image, box, "leave_control", "v()", NULL);
    call(image, box, "leave_direction", "v()", NULL);
    call(image, box, "leave_mmx", "v()", NULL);
    CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    call(image, box, "pending_x87", "v()", NULL);
    __asm__ volatile("pushfq\n\tpopq %q0" : "=r"(flags));
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1\n\tfnstsw %2" : "=m"(control), "=m"(mxcsr), "=m"(status));
    CU_ASSERT_EQUAL(flags & 0x400, 0);
    CU_ASSERT_EQUAL(control, 0xb7f);
    CU_ASSERT_EQUAL(mxcsr & 0xffc0, 0x5f80);
    CU_ASSERT_EQUAL(status & 0xff, 0);
    CU_ASSERT_EQUAL(fegetround(), FE_UPWARD);
    volatile long double one = 1; /* the x87 stack is empty and usable */
    CU_ASSERT_TRUE(one + one == 2);
    CU_ASSERT_EQUAL(call(image, box, "read_control", "i()", NULL).u32 & 0xffffffc0, (0x1f80u + 0x6000 - 0x400) << 16 | 0x340);
    /* Results in st0 with a strange control word, and of a function that has none. */
    call(image, box, "leave_control", "v()", NULL);
    CU_ASSERT_EQUAL(call(image, box, "addd", "d(dd)", ARGS(D(1), D(2))).f64, 3);
    double empty = call(image, box, "empty_double", "d()", NULL).f64;
    CU_ASSERT_TRUE(empty != empty);
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    double work = call(image, box, "x87_work", "d(d)", ARGS(D(2))).f64;
    CU_ASSERT_TRUE(work > 1.4 && work < 1.6);
    CU_ASSERT_EQUAL(fetestexcept(FE_ALL_EXCEPT), 0);
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
    CU_add_test(suite, "code goes away under a host function", test_code_changes);
    CU_add_test(suite, "traps", test_traps);
    CU_add_test(suite, "traps below a host function", test_nested_traps);
    CU_add_test(suite, "go on after a trap", test_resume);
    CU_add_test(suite, "suspend", test_suspend);
    CU_add_test(suite, "popped slots are gone", test_popped_slots);
    CU_add_test(suite, "backtrace", test_backtrace);
    CU_add_test(suite, "busy", test_busy);
    CU_add_test(suite, "nothing of the host shows", test_nothing_shows);
    CU_add_test(suite, "control words and flags", test_control);
    CU_add_test(suite, "the marker for x87 flags", test_marker);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    vx_image_close(image);
    return failures != 0;
}

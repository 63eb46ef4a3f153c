/*
 * Boxes that cross each other's path: one box on several host threads in turn, boxes that run below a host function of another, on its thread and on others,
 * and a plug-in that ends, or is to be freed, below calls (D6, D7, E14). What a crossing leaves behind would show in the values: gs base, the return stack, the
 * host's thread. docs/security.md, "Threats".
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <signal.h>

#include "tests/test_box.h"
#include "tests/test_call.h"

#define THREADS 4
#define ROUNDS 200

/* ---- one box, many threads ---- */

/* Adds one to a word of its own memory each time, by way of a call, and says so. */
GUEST(count, "1: call 2f; int $0x80; jmp 1b; 2: incl 0x40000; movl 0x40000, %eax; ret");

static pthread_barrier_t turn;
static struct vx_box *wanderer;
static __thread uint32_t own; /* the host's thread-local storage, next to what a wrong base would reach */

static uint32_t counted(struct vx_box *box)
{
    struct vx_trap trap;
    return run_to(box, VX_TRAP_SYSCALL, &trap).eax;
}

/* The box of all is run by each thread in turn, between runs of one that is the thread's own. */
static void *wander(void *number)
{
    struct vx_box *home = BOX(count);
    uint32_t wrong = 0, mine = (uint32_t)(uintptr_t)number;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t thread = 0; thread < THREADS; thread++) {
            if (thread == mine) {
                own = round;
                wrong += counted(wanderer) != round * THREADS + thread + 1;
                wrong += counted(home) != round + 1;
                wrong += own != round;
            }
            pthread_barrier_wait(&turn);
        }
    }
    vx_box_free(home);
    return (void *)(uintptr_t)wrong;
}

static void from_thread_to_thread(void)
{
    pthread_t threads[THREADS];
    wanderer = BOX(count);
    pthread_barrier_init(&turn, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, wander, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CU_ASSERT_PTR_NULL(wrong);
    }
    pthread_barrier_destroy(&turn);
    vx_box_free(wanderer);
}

/* ---- boxes below boxes ---- */

#define DEEP 6

static struct vx_image *image;
static struct vx_box *boxes[DEEP];

static int32_t add_in(uint32_t level)
{
    return call(image, boxes[level], "call_add", "i(ii)", ARGS(I((int32_t)level), I(100))).i32;
}

static void *add_in_thread(void *level)
{
    return (void *)(intptr_t)add_in((uint32_t)(uintptr_t)level);
}

/* At each level: the box of the next one, on this thread and on a thread of its own; and one without calls. */
static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    uint32_t level = args[0].u32, next = level + 1;
    struct vx_box *plain = BOX(count);
    CU_ASSERT_PTR_EQUAL(box, boxes[level]);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    result->i32 = args[0].i32 + args[1].i32;
    CU_ASSERT_EQUAL(counted(plain), 1);
    if (next < DEEP) {
        pthread_t thread;
        void *there;
        int32_t here = add_in(next);
        CU_ASSERT_EQUAL(counted(plain), 2);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, add_in_thread, (void *)(uintptr_t)next), 0);
        pthread_join(thread, &there);
        CU_ASSERT_EQUAL(here, (int32_t)next + 101);
        CU_ASSERT_EQUAL((int32_t)(intptr_t)there, here);
    }
    /* While a call is under way, the outer box takes another from its host function alone. */
    CU_ASSERT_EQUAL(call(image, box, "add", "i(ii)", ARGS(I(2), I(3))).i32, 5);
    vx_box_free(plain);
    return VX_HOST_DONE;
}

static void below_one_another(void)
{
    static const struct vx_host_function functions[] = { { "host_add", "i(ii)", host_add, NULL } };
    image = plugin_image(PLUGIN("calls.so"), functions, 1);
    for (int i = 0; i < DEEP; i++)
        boxes[i] = plugin_box(image);
    CU_ASSERT_EQUAL(add_in(0), 101);
    for (int i = 0; i < DEEP; i++) {
        CU_ASSERT_EQUAL(add_in(DEEP - 1), DEEP - 1 + 101);
        CU_ASSERT_EQUAL(vx_box_free(boxes[i]), VX_OK);
        boxes[i] = plugin_box(image);
        CU_ASSERT_EQUAL(call(image, boxes[i], "add", "i(ii)", ARGS(I(2), I(3))).i32, 5);
    }
    for (int i = 0; i < DEEP; i++)
        vx_box_free(boxes[i]);
    vx_image_close(image);
}

/* ---- the end, below calls ---- */

enum { CODE_AT_END = 7, NESTED = 77, DEPTH = 40 };
static unsigned passed_on;

/* Of ask(depth, NESTED): one level further down; at the last one the program ends itself, in a call of a host function of a call. */
static enum vx_host_result host_end(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    bool is_last = args[0].i32 == 0;
    struct vx_trap trap;
    result->i32 = args[0].i32 + args[1].i32;
    if (args[1].i32 != NESTED)
        return VX_HOST_DONE;
    struct vx_func func = is_last ? export_of(image, "leave", "v(i)") : export_of(image, "ask", "i(ii)");
    vx_status status = vx_box_call(box, &func, is_last ? ARGS(I(CODE_AT_END)) : ARGS(I(args[0].i32 - 1), I(NESTED)), result, &trap);
    CU_ASSERT_EQUAL(status, VX_ERR_TRAP);
    CU_ASSERT(trap.kind == VX_TRAP_EXIT && trap.detail == CODE_AT_END);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    passed_on++;
    return VX_HOST_PASS_ON;
}

static void exit_below_calls(void)
{
    static const struct vx_host_function functions[] = { { "host_add", "i(ii)", host_end, NULL } };
    image = plugin_image(PLUGIN("program"), functions, 1);
    struct vx_box *other = plugin_box(image);
    for (int i = 0; i < 3; i++) {
        struct vx_box *box = plugin_box(image);
        passed_on = 0;
        struct vx_trap trap = call_trap(image, box, "ask", "i(ii)", ARGS(I(DEPTH), I(NESTED)), VX_TRAP_EXIT);
        CU_ASSERT_EQUAL(trap.detail, CODE_AT_END);
        CU_ASSERT_EQUAL(passed_on, DEPTH + 1);
        CU_ASSERT_EQUAL(call(image, other, "ask", "i(ii)", ARGS(I(2), I(3))).i32, 50);
        CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
    }
    CU_ASSERT_EQUAL(vx_box_free(other), VX_OK);
    vx_image_close(image);
}

int main(void)
{
    if (!has_plugins())
        return SKIPPED;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("escape_nesting", NULL, NULL);
    CU_add_test(suite, "from thread to thread", from_thread_to_thread);
    CU_add_test(suite, "below one another", below_one_another);
    CU_add_test(suite, "exit below calls", exit_below_calls);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

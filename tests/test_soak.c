/*
 * A soak: threads use boxes at random (calls, traps of all kinds, limits, resets, snapshots, buffers) while another one stops
 * boxes at random. Every result is checked against a model; every request to stop must be served.
 *
 *     test_soak [SECONDS [THREADS [BOXES [SEED]]]]     3, 8, 64, 1
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "test_call.h"

#define MAX_THREADS 64
#define MAX_BOXES 1024
#define BUFFER_AT 0x30000000u
#define MS 1000000ull
/* A spinning box that nobody stopped ends here: the request was lost. */
#define LOST_NS (60000 * MS)

/* One box, used by one thread at a time. */
struct slot {
    pthread_mutex_t use;   /* by the thread that works with it */
    pthread_mutex_t guard; /* of `box`, against those that stop it */
    struct vx_box *box;
    struct vx_snapshot *base; /* what it goes back to */
    bool is_program;
    int32_t count, base_count; /* calls of the counter since it was made; when `base` was */
    bool has_buffer;
    atomic_bool is_spinning;
};

static struct vx_image *images[2];
static struct vx_snapshot *ready[2];
static struct vx_buffer *buffer;
static struct slot slots[MAX_BOXES];
static int slot_count = 64, thread_count = 8;
static unsigned seconds = 3, first_seed = 1;
static atomic_bool is_over, is_done; /* for those who work; for the one who stops */
static atomic_ulong done, stops, failures, traps[32];
static struct { struct vx_func add, add64, addd, often, counter, divide, peek, poke, undefined, spin, spin_host, recurse, fail, wait,
    nest, next, ask, allocate; } f;

static void complain(const char *what, vx_status status, const struct vx_trap *trap)
{
    if (atomic_fetch_add(&failures, 1) < 20)
        fprintf(stderr, "  %s: status %d, %s at 0x%08x, address 0x%08x, detail %u\n", what, status, vx_trap_name(trap->kind), trap->eip,
                trap->address, trap->detail);
}

static void expect(bool is_good, const char *what)
{
    if (!is_good)
        complain(what, VX_OK, &(struct vx_trap){ 0 });
}

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->i32 = (int32_t)(args[0].u32 + args[1].u32);
    return VX_HOST_DONE;
}

/* 0: nothing; else a division by zero below the host, passed on. */
static enum vx_host_result host_nest(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    struct vx_trap trap;
    if (args[0].i32 > 0) {
        vx_status status = vx_box_call(box, &f.nest, ARGS(I(args[0].i32 - 1)), result, &trap);
        return status == VX_OK ? VX_HOST_DONE : VX_HOST_PASS_ON;
    }
    if (args[0].i32 == 0)
        return VX_HOST_DONE;
    vx_box_call(box, &f.divide, ARGS(I(1), I(0)), result, &trap);
    return VX_HOST_PASS_ON;
}

static enum vx_host_result host_fail(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->u32 = args[0].u32;
    return VX_HOST_FAIL;
}

static enum vx_host_result host_wait(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    return VX_HOST_SUSPEND;
}

static const struct vx_host_function functions[] = {
    { "host_add", "i(ii)", host_add, NULL }, { "host_nest", "i(i)", host_nest, NULL },
    { "host_fail", "i(i)", host_fail, NULL }, { "host_wait", "i(i)", host_wait, NULL } };

/* ---- one operation --------------------------------------------------- */

/* A call that may be stopped any number of times on the way, and goes on. Returns how it ended. */
static enum vx_trap_kind run(struct slot *s, const struct vx_func *func, const union vx_value *args, union vx_value *result,
                             struct vx_trap *trap)
{
    vx_status status = vx_box_call(s->box, func, args, result, trap);
    for (; status == VX_ERR_TRAP && trap->kind == VX_TRAP_STOPPED; atomic_fetch_add(&stops, 1))
        status = vx_box_resume(s->box, NULL, result, trap);
    if (status == VX_OK)
        return 0;
    if (status != VX_ERR_TRAP)
        complain("a call", status, trap);
    else
        atomic_fetch_add(&traps[trap->kind % 32], 1);
    return trap->kind;
}

static void expect_trap(struct slot *s, const struct vx_func *func, const union vx_value *args, enum vx_trap_kind kind)
{
    struct vx_trap trap = { 0 };
    struct vx_regs regs;
    struct vx_frame frames[8];
    union vx_value result;
    if (run(s, func, args, &result, &trap) != kind)
        complain(vx_trap_name(kind), VX_OK, &trap);
    vx_box_get_regs(s->box, &regs);
    expect(regs.eip == trap.eip, "eip");
    expect(vx_box_backtrace(s->box, frames, 8) >= 1, "backtrace");
}

static void expect_value(struct slot *s, const struct vx_func *func, const union vx_value *args, uint64_t value, const char *what)
{
    struct vx_trap trap = { 0 };
    union vx_value result = { 0 };
    if (run(s, func, args, &result, &trap) != 0 || (func->result == 'i' ? result.u32 : result.u64) != value)
        complain(what, VX_OK, &trap);
}

/* Nested calls cannot go on after a stop: what was passed on ends them all. */
static void nest(struct slot *s, int32_t depth, enum vx_trap_kind kind)
{
    struct vx_trap trap = { 0 };
    union vx_value result;
    vx_status status = vx_box_call(s->box, &f.nest, ARGS(I(depth)), &result, &trap);
    if (status == VX_ERR_TRAP && trap.kind == VX_TRAP_STOPPED)
        atomic_fetch_add(&stops, 1);
    else if (kind ? status != VX_ERR_TRAP || trap.kind != kind : status != VX_OK || result.i32 != depth + 1)
        complain("nested", status, &trap);
}

static void suspend(struct slot *s, int32_t value)
{
    struct vx_trap trap = { 0 };
    union vx_value result = { 0 };
    if (run(s, &f.wait, ARGS(I(1)), &result, &trap) != VX_TRAP_SUSPENDED)
        complain("suspend", VX_OK, &trap);
    vx_status status = vx_box_resume(s->box, ARGS(I(value)), &result, &trap);
    /* Stopped before the value was taken: it is given again. */
    while (status == VX_ERR_TRAP && trap.kind == VX_TRAP_STOPPED)
        status = vx_box_resume(s->box, ARGS(I(value)), &result, &trap);
    if (status != VX_OK || result.i32 != value + 100)
        complain("resume", status, &trap);
}

/* Until another thread stops it. */
static void spin(struct slot *s, bool is_host)
{
    struct vx_trap trap = { 0 };
    vx_box_set_time_limit(s->box, LOST_NS);
    atomic_store(&s->is_spinning, true);
    vx_status status = vx_box_call(s->box, is_host ? &f.spin_host : &f.spin, NULL, NULL, &trap);
    atomic_store(&s->is_spinning, false);
    if (status != VX_ERR_TRAP || trap.kind != VX_TRAP_STOPPED)
        complain("a request to stop was lost", status, &trap);
    atomic_fetch_add(&stops, 1);
    vx_box_set_time_limit(s->box, 0);
}

static void limit(struct slot *s, bool is_cpu, bool is_host)
{
    if (is_cpu)
        vx_box_set_cpu_limit(s->box, 2 * MS);
    else
        vx_box_set_time_limit(s->box, 2 * MS);
    expect_trap(s, is_host ? &f.spin_host : &f.spin, NULL, is_cpu ? VX_TRAP_CPU_LIMIT : VX_TRAP_LIMIT);
    vx_box_set_cpu_limit(s->box, 0);
    vx_box_set_time_limit(s->box, 0);
}

static void use_buffer(struct slot *s, unsigned random)
{
    uint32_t offset = random % 1024 * 4;
    if (!s->has_buffer)
        expect(vx_box_share(s->box, buffer, 0, BUFFER_AT, VX_PAGE_BYTES, VX_PROT_READ) == VX_OK, "share");
    s->has_buffer = true;
    expect_value(s, &f.peek, ARGS(P(BUFFER_AT + offset)), offset * 3, "buffer");
    if (random % 5 == 0)
        expect_trap(s, &f.poke, ARGS(P(BUFFER_AT + offset)), VX_TRAP_PAGE);
}

static void back(struct slot *s)
{
    expect(vx_box_reset(s->box) == VX_OK, "reset");
    s->count = s->base_count;
    s->has_buffer = false;
}

static void make(struct slot *s, struct vx_snapshot *base, bool is_program, int32_t count)
{
    struct vx_error error;
    struct vx_box *box = NULL, *old = s->box;
    expect(vx_box_new_from(base, NULL, &box, &error) == VX_OK, "new box");
    vx_snapshot_retain(base);
    pthread_mutex_lock(&s->guard);
    s->box = box;
    pthread_mutex_unlock(&s->guard);
    expect(vx_box_free(old) == VX_OK, "free");
    vx_snapshot_close(s->base);
    s->base = base;
    s->is_program = is_program;
    s->count = s->base_count = count;
    s->has_buffer = false;
}

static void snapshot(struct slot *s)
{
    struct vx_snapshot *now;
    vx_status status = vx_box_snapshot(s->box, &now);
    expect(status == VX_OK, "snapshot");
    if (status != VX_OK)
        return;
    vx_snapshot_close(s->base);
    s->base = now;
    s->base_count = s->count;
}

static void use_library(struct slot *s, unsigned r, unsigned q)
{
    int32_t a = (int32_t)(q * 2654435761u) >> 3, b = (int32_t)(q >> 7);
    switch (r % 24) {
    case 0: expect_value(s, &f.add64, ARGS(L(a * (1ll << 31)), L(b)), (uint64_t)(a * (1ll << 31) + b), "add64"); break;
    case 1: expect_value(s, &f.addd, ARGS(D(a), D(b)), (union vx_value){ .f64 = (double)a + b }.u64, "addd"); break;
    case 2: expect_value(s, &f.often, ARGS(I((int32_t)(q % 20000))), (uint32_t)((uint64_t)(q % 20000) * ((uint64_t)(q % 20000) - 1) / 2), "often"); break;
    case 3: expect_trap(s, &f.divide, ARGS(I(a), I(0)), VX_TRAP_DIVIDE); break;
    case 4: expect_trap(s, &f.peek, ARGS(P(q % 4096)), VX_TRAP_PAGE); break;
    case 5: expect_trap(s, &f.undefined, NULL, VX_TRAP_UNDEFINED); break;
    case 6: expect_trap(s, &f.recurse, ARGS(I(1000000)), VX_TRAP_STACK); break;
    case 7: expect_trap(s, &f.fail, ARGS(I(a)), VX_TRAP_HOST); break;
    case 8: nest(s, (int32_t)(q % 40), 0); break;
    case 9: nest(s, -2, VX_TRAP_DIVIDE); break;
    case 10: suspend(s, a & 0xffffff); break;
    case 11: spin(s, q & 1); break;
    case 12: limit(s, q & 1, q & 2); break;
    case 13: use_buffer(s, q); break;
    case 14: case 15: case 16: case 17:
        expect_value(s, &f.counter, NULL, (uint32_t)(560 + 111 * s->count), "counter");
        s->count++;
        break;
    default: expect_value(s, &f.add, ARGS(I(a), I(b)), (uint32_t)a + (uint32_t)b, "add"); break;
    }
}

static void use_program(struct slot *s, unsigned r, unsigned q)
{
    uint32_t sum = 0, count = 1 + q % 300, size = 16 + q % 3000;
    switch (r % 4) {
    case 0:
        for (uint32_t i = 0; i < count; i++)
            sum += i & 0xff;
        expect_value(s, &f.allocate, ARGS(I((int32_t)count), I((int32_t)size)), sum, "allocate");
        break;
    case 1: expect_value(s, &f.ask, ARGS(I((int32_t)q % 1000), I(5)), (uint32_t)(((int32_t)q % 1000 + 5) * 10), "ask"); break;
    default:
        expect_value(s, &f.next, NULL, (uint32_t)(5 + s->count), "next");
        s->count++;
        break;
    }
}

static void step(struct slot *s, unsigned *seed)
{
    unsigned r = (unsigned)rand_r(seed), q = (unsigned)rand_r(seed) ^ (unsigned)rand_r(seed) << 16;
    switch (rand_r(seed) % 64) {
    case 0: make(s, ready[q & 1], q & 1, 0); break;
    case 1: make(s, s->base, s->is_program, s->base_count); break;
    case 2: case 3: case 4: case 5: case 6: back(s); break;
    case 7: if (r % 8 == 0) snapshot(s); break;
    default:
        if (s->is_program)
            use_program(s, r, q);
        else
            use_library(s, r, q);
    }
    atomic_fetch_add(&done, 1);
}

static void *work(void *number)
{
    unsigned seed = first_seed * 1000 + (unsigned)(uintptr_t)number;
    while (!atomic_load(&is_over)) {
        struct slot *s = &slots[rand_r(&seed) % slot_count];
        if (pthread_mutex_trylock(&s->use) != 0)
            continue;
        for (int n = rand_r(&seed) % 8; n >= 0; n--)
            step(s, &seed);
        pthread_mutex_unlock(&s->use);
    }
    return NULL;
}

/* Stops what spins, and now and then anything else. */
static void *stop(void *unused)
{
    unsigned seed = first_seed;
    while (!atomic_load(&is_done)) {
        for (int i = 0; i < slot_count; i++) {
            struct slot *s = &slots[i];
            if (!atomic_load(&s->is_spinning) && rand_r(&seed) % 64)
                continue;
            pthread_mutex_lock(&s->guard);
            vx_box_interrupt(s->box);
            pthread_mutex_unlock(&s->guard);
        }
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
    return NULL;
}

/* ---- all of it ------------------------------------------------------- */

static void prepare(void)
{
    images[0] = plugin_image(PLUGIN("calls.so.vxc"), functions, 4);
    images[1] = plugin_image(PLUGIN("program.vxc"), functions, 1);
    const struct { struct vx_func *func; int image; const char *name, *signature; } exports[] = {
        { &f.add, 0, "add", "i(ii)" }, { &f.add64, 0, "add64", "l(ll)" }, { &f.addd, 0, "addd", "d(dd)" },
        { &f.often, 0, "call_add_often", "i(i)" }, { &f.counter, 0, "thread_local_sum", "i()" }, { &f.divide, 0, "divide", "i(ii)" },
        { &f.peek, 0, "peek", "i(p)" }, { &f.poke, 0, "poke", "i(p)" }, { &f.undefined, 0, "undefined", "v()" },
        { &f.spin, 0, "spin", "v()" }, { &f.spin_host, 0, "spin_host", "v()" }, { &f.recurse, 0, "recurse", "i(i)" },
        { &f.fail, 0, "call_fail", "i(i)" }, { &f.wait, 0, "call_wait", "i(i)" }, { &f.nest, 0, "call_nest", "i(i)" },
        { &f.next, 1, "next_local", "i()" }, { &f.ask, 1, "ask", "i(ii)" }, { &f.allocate, 1, "allocate", "i(ii)" } };
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++)
        *exports[i].func = export_of(images[exports[i].image], exports[i].name, exports[i].signature);
    CU_ASSERT_EQUAL_FATAL(vx_buffer_new(VX_PAGE_BYTES, &buffer), VX_OK);
    for (uint32_t i = 0; i < 1024; i++)
        ((uint32_t *)vx_buffer_data(buffer))[i] = 12 * i;
    for (int i = 0; i < 2; i++) {
        struct vx_box *box = plugin_box(images[i]);
        CU_ASSERT_EQUAL_FATAL(vx_box_snapshot(box, &ready[i]), VX_OK);
        vx_box_free(box);
    }
    for (int i = 0; i < slot_count; i++) {
        pthread_mutex_init(&slots[i].use, NULL);
        pthread_mutex_init(&slots[i].guard, NULL);
        make(&slots[i], ready[i % 4 == 3], i % 4 == 3, 0);
    }
}

static void test_soak(void)
{
    pthread_t threads[MAX_THREADS], stopper;
    prepare();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&stopper, NULL, stop, NULL), 0);
    for (int i = 0; i < thread_count; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 1)), 0);
    for (unsigned i = 0; i < seconds; i++)
        while (nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL) != 0)
            ;
    atomic_store(&is_over, true);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&is_done, true);
    pthread_join(stopper, NULL);
    for (int i = 0; i < slot_count; i++) {
        CU_ASSERT_EQUAL(vx_box_free(slots[i].box), VX_OK);
        vx_snapshot_close(slots[i].base);
    }
    for (int i = 0; i < 2; i++) {
        vx_snapshot_close(ready[i]);
        vx_image_close(images[i]);
    }
    vx_buffer_close(buffer);
    printf("%u s, %d threads, %d boxes, seed %u: %lu operations, %lu stops;", seconds, thread_count, slot_count, first_seed,
           atomic_load(&done), atomic_load(&stops));
    for (unsigned i = 0; i < 32; i++)
        if (atomic_load(&traps[i]))
            printf(" %lu %s,", atomic_load(&traps[i]), vx_trap_name(i));
    printf(" %lu failures\n", atomic_load(&failures));
    CU_ASSERT_EQUAL(atomic_load(&failures), 0);
}

int main(int argc, char **argv)
{
    if (!has_plugins())
        return SKIPPED;
    if (argc > 1)
        seconds = (unsigned)atoi(argv[1]);
    if (argc > 2)
        thread_count = atoi(argv[2]);
    if (argc > 3)
        slot_count = atoi(argv[3]);
    if (argc > 4)
        first_seed = (unsigned)atoi(argv[4]);
    if (thread_count < 1 || thread_count > MAX_THREADS || slot_count < 1 || slot_count > MAX_BOXES) {
        fprintf(stderr, "usage: test_soak [SECONDS [THREADS [BOXES [SEED]]]]\n");
        return 2;
    }
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("soak", NULL, NULL);
    CU_add_test(suite, "soak", test_soak);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

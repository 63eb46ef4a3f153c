/*
 * Threads of a box: in parallel on one window, and what they may do to each other's code.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "test_box.h"

#define WORKERS 4
#ifdef __SANITIZE_THREAD__
#define HAS_TSAN true
#else
#define HAS_TSAN false
#endif

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* One guest thread on a host thread: runs to its first system call. */
struct worker {
    struct vx_box *box;
    struct vx_thread *thread;
    pthread_t host;
    struct vx_regs regs; /* in and out */
    struct vx_trap trap;
    uint8_t fx[512];
};

static void *work(void *argument)
{
    struct worker *w = argument;
    vx_thread_enter(w->thread);
    vx_box_set_regs(w->box, &w->regs);
    CU_ASSERT_EQUAL(vx_box_run(w->box, &w->trap), VX_OK);
    vx_box_get_regs(w->box, &w->regs);
    vx_box_get_fxsave(w->box, w->fx);
    vx_thread_leave(w->thread);
    return NULL;
}

/* `count` threads begin at eip, with numbers 0.. in edi and a page of stack each. */
static void make_workers(struct vx_box *box, struct worker *workers, unsigned count, vx_gaddr eip)
{
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){ .box = box, .regs = regs };
        CU_ASSERT_EQUAL_FATAL(vx_thread_new(box, &workers[i].thread), VX_OK);
        workers[i].regs.eip = eip;
        workers[i].regs.edi = i;
        workers[i].regs.esp = STACK_TOP - i * 0x1000;
        if (i == 0)
            vx_thread_enter(workers[0].thread);
    }
    vx_thread_leave(workers[0].thread);
}

static void start_workers(struct worker *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&workers[i].host, NULL, work, &workers[i]), 0);
}

static void join_workers(struct worker *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].host, NULL);
}

static void free_workers(struct vx_box *box, struct worker *workers, unsigned count)
{
    vx_thread_enter(workers[count - 1].thread);
    for (unsigned i = 0; i < count; i++)
        vx_thread_free(workers[i].thread);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

/* Adds to a shared counter, by calls; waits until all have begun, so that they are there at once. */
GUEST(count, "lock incl 0x40000\n"
             "1: cmpl $4, 0x40000\n pause\n jb 1b\n"
             "cvtsi2sd %edi, %xmm3\n pushl %edi\n fildl (%esp)\n popl %eax\n"
             "movl $200000, %ecx\n movl $2f-guest_count+0x10000, %ebx\n"
             "1: call 2f\n call *%ebx\n decl %ecx\n jnz 1b\n"
             "movl %edi, %eax\n int $0x80\n"
             "2: lock incl 0x40004\n incl %esi\n ret\n");

static void test_parallel(void)
{
    struct worker workers[WORKERS];
    struct vx_box *box = BOX(count);
    uint32_t sum = 0;
    make_workers(box, workers, WORKERS, CODE);
    start_workers(workers, WORKERS);
    join_workers(workers, WORKERS);
    vx_thread_enter(workers[0].thread);
    CU_ASSERT_EQUAL(vx_box_read(box, DATA + 4, &sum, 4), VX_OK);
    vx_thread_leave(workers[0].thread);
    CU_ASSERT_EQUAL(sum, WORKERS * 400000);
    for (unsigned i = 0; i < WORKERS; i++) {
        double value;
        memcpy(&value, workers[i].fx + 160 + 3 * 16, sizeof value);
        CU_ASSERT_EQUAL(workers[i].trap.kind, VX_TRAP_SYSCALL);
        CU_ASSERT_EQUAL(workers[i].regs.eax, i);
        CU_ASSERT_EQUAL(workers[i].regs.esi, 400000);
        CU_ASSERT_EQUAL(workers[i].regs.esp, STACK_TOP - i * 0x1000);
        CU_ASSERT_EQUAL(value, (double)i);
        CU_ASSERT_EQUAL(workers[i].fx[4], 0x80); /* one x87 register in use */
    }
    free_workers(box, workers, WORKERS);
}

/* Two threads that compute, after each other and at once: printed, as the machine may have one processor to spare. */
GUEST(compute, "movl $40000000, %ecx\n 1: imull $0x343fd, %eax\n addl $0x269ec3, %eax\n decl %ecx\n jnz 1b\n int $0x80\n");

static void test_speed(void)
{
    struct worker workers[2];
    struct vx_box *box = BOX(compute);
    make_workers(box, workers, 2, CODE);
    double begin = seconds();
    work(&workers[0]);
    work(&workers[1]);
    double middle = seconds();
    workers[0].regs.eip = workers[1].regs.eip = CODE;
    start_workers(workers, 2);
    join_workers(workers, 2);
    double end = seconds();
    printf(" one by one %.0f ms, at once %.0f ms ", (middle - begin) * 1e3, (end - middle) * 1e3);
    free_workers(box, workers, 2);
}

/* Thread 0 changes what the others run, 150 times, and waits until one of them has run it. */
GUEST(patch, "testl %edi, %edi\n jnz 3f\n"
             "movl $1, %ecx\n"
             "1: movl %ecx, 4f-guest_patch+0x10001\n"
             "2: cmpl %ecx, 0x40010\n pause\n jne 2b\n"
             "incl %ecx\n cmpl $150, %ecx\n jne 1b\n"
             "movl $-1, 4f-guest_patch+0x10001\n int $0x80\n"
             ".balign 4096\n .zero 4095-1\n"
             "3: nop\n"
             "4: movl $0, %eax\n"
             "cmpl %eax, %ebx\n ja 5f\n movl %eax, %ebx\n" /* never backwards */
             "movl %eax, 0x4000c(,%edi,4)\n"
             "cmpl $-1, %eax\n jne 3b\n int $0x80\n"
             "5: ud2\n");

static void test_patch(void)
{
    struct worker workers[WORKERS];
    struct vx_box *box = BOX_RWX(patch);
    make_workers(box, workers, WORKERS, CODE);
    start_workers(workers, WORKERS);
    join_workers(workers, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++)
        CU_ASSERT_EQUAL(workers[i].trap.kind, VX_TRAP_SYSCALL);
    free_workers(box, workers, WORKERS);
}

/* ---- a hostile guest ------------------------------------------------- */

/*
 * Two pages of code at 0x14000 and 0x15000 that all threads write, call and jump to, at odd places as well, with
 * memory, string and x87 instructions among them; deep recursion; faults. Where it faults, the host sends
 * it back to the begin; meanwhile the host unmaps, maps, protects and writes the pages.
 */
GUEST(hostile, "1: rdtsc\n xorl %ebp, %eax\n movl %eax, %ebp\n imull $0x343fd, %ebp\n addl $0x269ec3, %ebp\n"
               "movl %ebp, %ecx\n shrl $8, %ecx\n andl $0x1fff, %ecx\n"
               "testl $7, %ebp\n jnz 2f\n"
               "movl %ebp, %edx\n shrl $21, %edx\n andl $15, %edx\n movl 5f-guest_hostile+0x10000(,%edx,4), %edx\n"
               "movl %edx, 0x14000(%ecx)\n jmp 1b\n"
               "2: testl $8, %ebp\n jz 3f\n"
               "leal 0x14000(%ecx), %edx\n call *%edx\n jmp 1b\n"
               "3: movl %ecx, %ebx\n andl $63, %ebx\n call 4f\n"
               "pushl $1b-guest_hostile+0x10000\n testl $16, %ebp\n jz 1b\n leal 0x14000(%ecx), %edx\n jmp *%edx\n"
               "4: decl %ebx\n js 6f\n call 4b\n 6: ret\n"
               "5: .byte 0xc3,0x90,0x90,0xc3, 0x40,0x43,0xc3,0xc3, 0xe8,0,0,0, 0xf3,0xa4,0xc3,0xc3, 0xd9,0xe8,0xdd,0xd8\n"
               ".byte 0xeb,0xfe,0xc3,0xc3, 0xff,0x25,0,0, 0xcd,0x80,0xc3,0xc3, 0xc9,0xc3,0xc2,4, 0x0f,0x0b,0xc3,0xc3\n"
               ".byte 0x65,0xa1,0,0, 0x66,0x0f,0xef,0xc0, 0xff,0xe2,0xc3,0xc3, 0xf0,0xff,0x07,0xc3, 0x9c,0x9d,0xc3,0xc3, 0x60,0x61,0xc3,0xc3\n");

struct hostile {
    struct worker worker;
    atomic_bool *is_over;
    unsigned traps, seed;
};

static void send_back(struct hostile *h)
{
    struct vx_regs regs;
    vx_box_get_regs(h->worker.box, &regs);
    regs.eip = CODE;
    regs.esp = h->worker.regs.esp;
    regs.ecx &= 0xffff; /* of a rep */
    regs.eflags = h->traps % 64 == 0 ? 0x302 : 0x202;
    vx_box_set_regs(h->worker.box, &regs);
}

/* What embedders do between runs: each thread to the pages that all run. */
static void change_pages(struct hostile *h)
{
    static const int prots[] = { RWX, RWX, RX, RW, VX_PROT_READ, RWX };
    struct vx_box *box = h->worker.box;
    uint32_t number = (h->seed = h->seed * 1103515245 + 12345) >> 16;
    vx_gaddr page = 0x14000 + (number & 1) * 0x1000;
    uint8_t bytes[64];
    switch (number >> 1 & 7) {
    case 0: vx_box_unmap(box, page, 0x1000); vx_box_map(box, page, 0x1000, RWX); break;
    case 1: case 2: vx_box_protect(box, page, 0x1000, prots[(number >> 4) % 6]); break;
    case 3: memset(bytes, 0xc3, sizeof bytes); vx_box_poke(box, page + (number >> 4 & 0xf) * 64, bytes, sizeof bytes); break;
    case 4: vx_box_read(box, page, bytes, sizeof bytes); break;
    default: break;
    }
    if ((number >> 8) % 16 == 0)
        vx_box_protect(box, 0x14000, 0x2000, RWX);
}

static void *attack(void *argument)
{
    struct hostile *h = argument;
    struct worker *w = &h->worker;
    vx_thread_enter(w->thread);
    vx_box_set_regs(w->box, &w->regs);
    while (!atomic_load(h->is_over)) {
        CU_ASSERT_EQUAL(vx_box_run(w->box, &w->trap), VX_OK);
        if (w->trap.kind == VX_TRAP_ERROR)
            break;
        h->traps++;
        change_pages(h);
        send_back(h);
    }
    vx_thread_leave(w->thread);
    return NULL;
}

static void test_hostile(void)
{
    struct hostile hostile[WORKERS];
    struct worker workers[WORKERS];
    atomic_bool is_over = false;
    const char *text = getenv("VX_HOSTILE_SECONDS");
    double end = seconds() + (text ? atof(text) : 2);
    struct vx_box *box = BOX_RWX(hostile);
    uint8_t code[0x2000];
    memset(code, 0xc3, sizeof code);
    CU_ASSERT_EQUAL(vx_box_poke(box, 0x14000, code, sizeof code), VX_OK);
    make_workers(box, workers, WORKERS, CODE);
    for (unsigned i = 0; i < WORKERS; i++) {
        hostile[i] = (struct hostile){ workers[i], &is_over, 0, i };
        hostile[i].worker.regs.ebp = i * 0x9e3779b9;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&hostile[i].worker.host, NULL, attack, &hostile[i]), 0);
    }
    while (seconds() < end) {
        nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
        vx_box_interrupt(box);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        vx_box_interrupt(box);
        pthread_join(hostile[i].worker.host, NULL);
        CU_ASSERT_NOT_EQUAL(hostile[i].worker.trap.kind, VX_TRAP_ERROR);
        CU_ASSERT(hostile[i].traps > 10);
        printf(" %u", hostile[i].traps);
    }
    struct vx_stats stats;
    vx_box_stats(box, &stats);
    printf(" traps, %llu units, %llu invalidations ", (unsigned long long)stats.units_translated,
           (unsigned long long)stats.code_invalidations);
    free_workers(box, workers, WORKERS);
}

/* ---- the interface --------------------------------------------------- */

GUEST(spin, "1: incl %eax\n jmp 1b\n");

static void wait_ms(long ms)
{
    nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL);
}

static void test_interrupt(void)
{
    struct worker workers[2];
    struct vx_box *box = BOX(spin);
    make_workers(box, workers, 2, CODE);
    start_workers(workers, 2);
    wait_ms(20);
    vx_thread_interrupt(workers[1].thread);
    pthread_join(workers[1].host, NULL);
    CU_ASSERT_EQUAL(workers[1].trap.kind, VX_TRAP_STOPPED);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_run(box, &workers[1].trap), VX_ERR_BUSY);
    vx_box_interrupt(box);
    pthread_join(workers[0].host, NULL);
    CU_ASSERT_EQUAL(workers[0].trap.kind, VX_TRAP_STOPPED);
    free_workers(box, workers, 2);
}

static void test_limit(void)
{
    struct worker workers[2];
    struct vx_box *box = BOX(spin);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 30000000), VX_OK);
    make_workers(box, workers, 2, CODE);
    start_workers(workers, 2);
    join_workers(workers, 2);
    CU_ASSERT_EQUAL(workers[0].trap.kind, VX_TRAP_LIMIT);
    CU_ASSERT_EQUAL(workers[1].trap.kind, VX_TRAP_LIMIT);
    free_workers(box, workers, 2);
}

GUEST(once, "incl %eax\n int $0x80\n");

/* Contexts are used again; the box goes on without threads, and with them again. */
static void test_life(void)
{
    struct vx_trap trap;
    struct vx_thread *first, *t, *again;
    struct vx_regs regs;
    struct vx_box *box = BOX(once);
    CU_ASSERT_EQUAL(vx_thread_new(NULL, &t), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL_FATAL(vx_thread_new(box, &first), VX_OK);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_ERR_BUSY);
    vx_thread_enter(first);
    for (unsigned i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL_FATAL(vx_thread_new(box, &t), VX_OK);
        vx_thread_leave(first);
        vx_thread_enter(t);
        regs = run_to(box, VX_TRAP_SYSCALL, &trap);
        CU_ASSERT_EQUAL(regs.eax, 1);
        vx_thread_free(t);
        vx_thread_enter(first);
    }
    CU_ASSERT_EQUAL_FATAL(vx_thread_new(box, &t), VX_OK);
    vx_thread_free(first);
    vx_thread_enter(t);
    CU_ASSERT_EQUAL_FATAL(vx_thread_new(box, &again), VX_OK); /* in the box's own context */
    vx_thread_free(t);
    vx_thread_enter(again);
    regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 1);
    vx_thread_free(again);
    set_eip(box, CODE);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 2);
    CU_ASSERT_EQUAL_FATAL(vx_thread_new(box, &first), VX_OK);
    vx_thread_enter(first);
    struct vx_thread *many[VX_MAX_THREADS];
    unsigned made = 0;
    while (made < VX_MAX_THREADS && vx_thread_new(box, &many[made]) == VX_OK)
        made++;
    /* ThreadSanitizer leaves less address space */
    CU_ASSERT(made == VX_MAX_THREADS - 1 || HAS_TSAN);
    CU_ASSERT(vx_thread_new(box, &t) == VX_ERR_TOO_LARGE || HAS_TSAN);
    while (made > 0)
        vx_thread_free(many[--made]);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    vx_thread_free(first);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

int main(void)
{
    setbuf(stdout, NULL);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("threads", NULL, NULL);
    CU_add_test(suite, "in parallel", test_parallel);
    CU_add_test(suite, "speed", test_speed);
    /* ThreadSanitizer holds signals back until the next library call, which translated code never makes: nobody could be stopped */
    if (!HAS_TSAN) {
        CU_add_test(suite, "one writes code that others run", test_patch);
        CU_add_test(suite, "hostile races", test_hostile);
        CU_add_test(suite, "interrupt one, interrupt all", test_interrupt);
        CU_add_test(suite, "time limit", test_limit);
    }
    CU_add_test(suite, "made and freed", test_life);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

/*
 * Boxes and signals: stopping a guest from outside, time limits, the
 * application's own handlers, threads, and what is left in the registers.
 */
#include <CUnit/Basic.h>
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test_box.h"

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Interrupts a box again and again until told not to. */
struct poker {
    struct vx_box *box;
    unsigned pause_us;
    atomic_bool is_over;
    pthread_t thread;
};

static void *poke(void *argument)
{
    struct poker *poker = argument;
    while (!atomic_load(&poker->is_over)) {
        usleep(poker->pause_us);
        vx_box_interrupt(poker->box);
    }
    return NULL;
}

static void start(struct poker *poker, struct vx_box *box, unsigned pause_us)
{
    poker->box = box;
    poker->pause_us = pause_us;
    atomic_store(&poker->is_over, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&poker->thread, NULL, poke, poker), 0);
}

static void stop(struct poker *poker)
{
    atomic_store(&poker->is_over, true);
    pthread_join(poker->thread, NULL);
}

GUEST(tight, "1: jmp 1b\n");

static void test_tight_loop(void)
{
    struct vx_trap trap;
    struct poker poker;
    struct vx_box *box = BOX(tight);
    start(&poker, box, 500);
    for (int i = 0; i < 100; i++) {
        run_to(box, VX_TRAP_STOPPED, &trap);
        CU_ASSERT_EQUAL(trap.eip, CODE);
    }
    stop(&poker);
    vx_box_free(box);
}

/* At every boundary: memory at DATA = eax, and the stack is balanced but inside the push. */
GUEST(busy, "1: incl %eax\n"               /* 0 */
            "movl %eax, 0x40000\n"         /* 1 */
            "pushl %eax\n"                 /* 6 */
            "pushl $5\n"                   /* 7 */
            "popl %edx\n"                  /* 9 */
            "popl %ecx\n"                  /* 10 */
            "call 2f\n"                    /* 11 */
            "jmp 1b\n"                     /* 16 */
            "2: addl $3, %ebx\n"           /* 18 */
            "ret\n");                      /* 21 */

static void check_busy(struct vx_box *box, const struct vx_regs *regs)
{
    uint32_t depth = STACK_TOP - regs->esp, data;
    CU_ASSERT_EQUAL(vx_box_read(box, DATA, &data, 4), VX_OK);
    switch (regs->eip - CODE) {
    case 0: CU_ASSERT_TRUE(depth == 0 && data == regs->eax && regs->ebx == 3 * regs->eax); break;
    case 1: CU_ASSERT_TRUE(depth == 0 && data + 1 == regs->eax); break;
    case 6: CU_ASSERT_TRUE(depth == 0 && data == regs->eax); break;
    case 7: CU_ASSERT_TRUE(depth == 4 && data == regs->eax); break;
    case 9: CU_ASSERT_TRUE(depth == 8 && data == regs->eax); break;
    case 10: CU_ASSERT_TRUE(depth == 4 && regs->edx == 5); break;
    case 11: CU_ASSERT_TRUE(depth == 0 && regs->ecx == regs->eax); break;
    case 16: CU_ASSERT_TRUE(depth == 0 && regs->ebx == 3 * regs->eax); break;
    case 18: CU_ASSERT_TRUE(depth == 4 && regs->ebx + 3 == 3 * regs->eax); break;
    case 21: CU_ASSERT_TRUE(depth == 4 && regs->ebx == 3 * regs->eax); break;
    default: CU_FAIL("not at an instruction"); break;
    }
}

static void test_exact_stops(void)
{
    struct vx_trap trap;
    struct poker poker;
    struct vx_box *box = BOX(busy);
    uint32_t seen = 0;
    start(&poker, box, 50);
    for (int i = 0; i < 1000; i++) {
        struct vx_regs regs = run_to(box, VX_TRAP_STOPPED, &trap);
        check_busy(box, &regs);
        seen |= 1u << (regs.eip - CODE);
    }
    stop(&poker);
    CU_ASSERT_TRUE(__builtin_popcount(seen) >= 3);
    vx_box_free(box);
}

GUEST(rep, "movl $0xffffffff, %ecx\n movl $0x1000000, %esi\n rep lodsb\n int $0x80\n");

static void test_long_rep(void)
{
    struct vx_trap trap;
    struct poker poker;
    struct vx_box *box = BOX(rep);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x1000000, 0xef000000, VX_PROT_READ), VX_OK);
    start(&poker, box, 5000);
    uint32_t before = 0xffffffff;
    for (int i = 0; i < 5; i++) {
        struct vx_regs regs = run_to(box, VX_TRAP_STOPPED, &trap);
        if (regs.eip < CODE + 10)
            continue;
        CU_ASSERT_EQUAL(regs.eip, CODE + 10);
        CU_ASSERT_TRUE(regs.ecx < before || before == 0xffffffff);
        CU_ASSERT_EQUAL(regs.esi - 0x1000000, 0xffffffff - regs.ecx);
        before = regs.ecx;
    }
    stop(&poker);
    vx_box_free(box);
}

GUEST(calls, "1: incl %eax\n int $0x80\n jmp 1b\n");

/* A request that finds the box at rest ends the next run, once. */
static void test_request_before_run(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(calls);
    vx_box_interrupt(box);
    vx_box_interrupt(box);
    struct vx_regs regs = run_to(box, VX_TRAP_STOPPED, &trap);
    CU_ASSERT_EQUAL(regs.eax, 0);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    vx_box_free(box);
}

/* Requests while the box goes in and out all the time: none is lost, none counts twice. */
static void test_no_request_lost(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(calls);
    struct poker poker;
    unsigned stops = 0;
    uint32_t count = 0;
    struct vx_regs regs;
    start(&poker, box, 20);
    for (int i = 0; i < 200000 || stops < 100; i++) {
        vx_box_run(box, &trap);
        vx_box_get_regs(box, &regs);
        if (trap.kind == VX_TRAP_STOPPED)
            stops++;
        else if (trap.kind != VX_TRAP_SYSCALL || regs.eax != ++count)
            break;
    }
    stop(&poker);
    CU_ASSERT_TRUE(trap.kind == VX_TRAP_STOPPED || trap.kind == VX_TRAP_SYSCALL);
    CU_ASSERT_TRUE(stops >= 100);
    vx_box_free(box);
}

static void test_time_limit(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(tight), *other = BOX(calls);
    uint64_t start_ns = now_ns();
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 30000000), VX_OK);
    run_to(box, VX_TRAP_LIMIT, &trap);
    uint64_t took_ns = now_ns() - start_ns;
    CU_ASSERT_TRUE(took_ns >= 30000000 && took_ns < 1000000000);
    run_to(box, VX_TRAP_LIMIT, &trap);
    /* Time outside of runs does not count. */
    CU_ASSERT_EQUAL(vx_box_set_time_limit(other, 200000000), VX_OK);
    run_to(other, VX_TRAP_SYSCALL, &trap);
    usleep(250000);
    run_to(other, VX_TRAP_SYSCALL, &trap);
    run_to(other, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 0), VX_OK);
    vx_box_free(box);
    vx_box_free(other);
}

/* The limit is on the sum of many short runs. */
static void test_time_limit_in_pieces(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(calls);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 5000000), VX_OK);
    uint64_t start_ns = now_ns();
    do
        vx_box_run(box, &trap);
    while (trap.kind == VX_TRAP_SYSCALL && now_ns() - start_ns < 5000000000u);
    CU_ASSERT_EQUAL(trap.kind, VX_TRAP_LIMIT);
    vx_box_free(box);
}

static sigjmp_buf back;
static volatile sig_atomic_t host_faults, urgent, alarms;

static void on_host_fault(int number)
{
    host_faults++;
    siglongjmp(back, 1);
}

static void on_count(int number)
{
    if (number == SIGURG)
        urgent++;
    else
        alarms++;
}

/* Installed by main before the first box. A fault of the host is the application's to handle. */
static void test_host_fault(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(calls);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    void *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1))
        *(volatile char *)bad = 1;
    CU_ASSERT_EQUAL(host_faults, 1);
    /* Inside the window, but it is the host that writes. */
    char *inside = vx_box_pointer(box, CODE, 1, VX_PROT_READ);
    if (!sigsetjmp(back, 1))
        *(volatile char *)inside = 1;
    CU_ASSERT_EQUAL(host_faults, 2);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    munmap(bad, 4096);
    vx_box_free(box);
}

static void test_urgent_chained(void)
{
    urgent = 0;
    raise(SIGURG);
    CU_ASSERT_EQUAL(urgent, 1);
    struct vx_trap trap;
    struct vx_box *box = BOX(tight);
    struct poker poker;
    start(&poker, box, 1000);
    run_to(box, VX_TRAP_STOPPED, &trap);
    stop(&poker);
    CU_ASSERT_EQUAL(urgent, 1);
    vx_box_free(box);
}

/* A handler without SA_ONSTACK runs on the return stack, below what is in use (test_hostile_cache: what it leaves there). */
static void test_handler_on_return_stack(void)
{
    struct vx_trap trap;
    struct sigaction action = { .sa_handler = on_count }, old;
    struct itimerval every = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
    struct vx_box *box = BOX(busy);
    alarms = 0;
    sigaction(SIGALRM, &action, &old);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 100000000), VX_OK);
    setitimer(ITIMER_REAL, &every, NULL);
    struct vx_regs regs = run_to(box, VX_TRAP_LIMIT, &trap);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    check_busy(box, &regs);
    CU_ASSERT_TRUE(alarms > 10);
    vx_box_free(box);
}

/* Goes down to where the return stack ends, and up again, for ever. */
GUEST(deep, "0: movl $131000, %ecx\n call 1f\n jmp 0b\n 1: decl %ecx\n jz 2f\n call 1b\n 2: ret\n");

/* The same where there is hardly room for the handler's frame. */
static void test_handler_without_room(void)
{
    struct vx_trap trap;
    struct vx_regs regs;
    struct sigaction action = { .sa_handler = on_count }, old;
    struct itimerval every = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
    struct vx_box *box = BOX(deep);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x1000000, 0x200000, RW), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.esp = 0x1200000;
    vx_box_set_regs(box, &regs);
    alarms = 0;
    sigaction(SIGALRM, &action, &old);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 300000000), VX_OK);
    setitimer(ITIMER_REAL, &every, NULL);
    run_to(box, VX_TRAP_LIMIT, &trap);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    CU_ASSERT_TRUE(alarms > 10);
    vx_box_free(box);
}

/* How a child ends that runs a guest and then does something. */
static int end_of(void (*deed)(void))
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct vx_trap trap;
        struct vx_box *box = BOX(calls);
        run_to(box, VX_TRAP_SYSCALL, &trap);
        deed();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

static void abort_by_trap(void)
{
    __asm__ volatile("int3");
}

static void kill_by_fpe(void)
{
    raise(SIGFPE);
}

/* Without a handler of the application the default happens. */
static void test_default_actions(void)
{
    int status = end_of(abort_by_trap);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP);
    status = end_of(kill_by_fpe);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGFPE);
}

/* A thread that blocks everything can still run a box. */
static void *run_blocked(void *box)
{
    struct vx_trap trap;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    vx_box_run(box, &trap);
    return (void *)(uintptr_t)trap.kind;
}

GUEST(null, "movl 0, %eax\n");

static void test_blocked_signals(void)
{
    pthread_t thread;
    void *kind;
    struct vx_box *box = BOX(null);
    pthread_create(&thread, NULL, run_blocked, box);
    pthread_join(thread, &kind);
    CU_ASSERT_EQUAL((uintptr_t)kind, VX_TRAP_PAGE);
    vx_box_free(box);
}

static struct vx_box *nested;
static volatile sig_atomic_t nested_runs;

static void on_alarm_run(int number)
{
    struct vx_trap trap;
    if (vx_box_run(nested, &trap) == VX_OK && trap.kind == VX_TRAP_SYSCALL)
        nested_runs++;
}

/* A handler that interrupted one box runs another: each has its own base and registers. */
static void test_nested_run(void)
{
    struct vx_trap trap;
    struct sigaction action = { .sa_handler = on_alarm_run, .sa_flags = SA_ONSTACK }, old;
    struct itimerval every = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
    struct vx_box *box = BOX(busy);
    nested = BOX(calls);
    nested_runs = 0;
    CU_ASSERT_EQUAL(vx_box_run(nested, &trap), VX_OK);
    sigaction(SIGALRM, &action, &old);
    CU_ASSERT_EQUAL(vx_box_set_time_limit(box, 100000000), VX_OK);
    setitimer(ITIMER_REAL, &every, NULL);
    struct vx_regs regs = run_to(box, VX_TRAP_LIMIT, &trap);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    check_busy(box, &regs);
    CU_ASSERT_TRUE(nested_runs > 5);
    vx_box_get_regs(nested, &regs);
    CU_ASSERT_EQUAL(regs.eax, (uint32_t)nested_runs + 1);
    vx_box_free(box);
    vx_box_free(nested);
}

static struct vx_box *to_stop;

static void on_alarm_stop(int number)
{
    struct vx_trap trap;
    vx_box_interrupt(to_stop);
    if (nested)
        vx_box_run(nested, &trap);
}

/* The request arrives while a handler, and then another box, runs on top of the guest. */
static void test_request_inside_handler(void)
{
    struct vx_trap trap;
    struct sigaction action = { .sa_handler = on_alarm_stop, .sa_flags = SA_ONSTACK }, old;
    struct itimerval once = { { 0, 0 }, { 0, 2000 } };
    sigaction(SIGALRM, &action, &old);
    for (int i = 0; i < 20; i++) {
        to_stop = BOX(tight);
        nested = i % 2 ? BOX(calls) : NULL;
        if (nested)
            CU_ASSERT_EQUAL(vx_box_run(nested, &trap), VX_OK);
        setitimer(ITIMER_REAL, &once, NULL);
        run_to(to_stop, VX_TRAP_STOPPED, &trap);
        vx_box_free(to_stop);
        if (nested)
            vx_box_free(nested);
    }
    sigaction(SIGALRM, &old, NULL);
}

GUEST(dirty, "std\n pushfl\n orl $0x40000, (%esp)\n popfl\n"
             "fldcw 1f-guest_dirty+0x10000\n ldmxcsr 2f-guest_dirty+0x10000\n"
             "fld1\n fldz\n fldpi\n fld1\n fld1\n fld1\n fld1\n fldpi\n"
             "int $0x80\n"
             "fstpt 0x40000\n int $0x80\n .balign 4\n 1: .word 0x0740\n .balign 4\n 2: .long 0x5f00\n");

/* The host computes as if there had been no guest; the guest goes on as if there had been no host. */
static void test_state_at_crossing(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(dirty);
    uint16_t control = 0;
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    CU_ASSERT_EQUAL(flags & 0x40400, 0);
    __asm__ volatile("fnstcw %0" : "=m"(control));
    CU_ASSERT_EQUAL(control, 0x37f);
    CU_ASSERT_EQUAL(__builtin_ia32_stmxcsr() & 0xffc0, 0x1f80);
    volatile long double sum = 0;
    for (int i = 1; i <= 100; i++)
        sum += (long double)i * (long double)i / 2;
    CU_ASSERT_TRUE(sum == 169175.0L);
    CU_ASSERT_TRUE(regs.eflags & 0x400);
    CU_ASSERT_TRUE(regs.eflags & 0x40000);
    uint8_t fx[512], pi[10];
    vx_box_get_fxsave(box, fx);
    CU_ASSERT_TRUE(fx[0] == 0x40 && fx[1] == 0x07 && fx[4] == 0xff);
    CU_ASSERT_TRUE(fx[24] == 0 && fx[25] == 0x5f);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    /* pi, rounded down as the control word says */
    CU_ASSERT_EQUAL(vx_box_read(box, DATA, pi, sizeof pi), VX_OK);
    CU_ASSERT_EQUAL(memcmp(pi, "\x34\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10), 0);
    vx_box_free(box);
}

GUEST(look, "movups %xmm0, 0x40000\n movups %xmm7, 0x40010\n movq %mm0, 0x40020\n movq %mm7, 0x40028\n int $0x80\n"
            "movl $0x1234, %eax\n movd %eax, %mm3\n movd %eax, %xmm5\n int $0x80\n"
            "movd %mm3, %ebx\n movd %xmm5, %ecx\n emms\n int $0x80\n");

/* A fresh box sees zeros, whatever the host had in its registers, and keeps its own. */
static void test_nothing_shows(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(look);
    uint8_t seen[0x30], zero[0x30] = { 0 };
    volatile long double a = 3.14159L, b = 2.71828L, c = a * b;
    __asm__ volatile("fldpi\n\tfldpi\n\tfldpi\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\t"
                     "pcmpeqd %%xmm0, %%xmm0\n\tmovaps %%xmm0, %%xmm7" : : : "xmm0", "xmm7");
    run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_TRUE(c > 8);
    CU_ASSERT_EQUAL(vx_box_read(box, DATA, seen, sizeof seen), VX_OK);
    CU_ASSERT_EQUAL(memcmp(seen, zero, sizeof seen), 0);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    c = a / b;
    __asm__ volatile("pcmpeqd %%xmm5, %%xmm5" : : : "xmm5");
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_TRUE(regs.ebx == 0x1234 && regs.ecx == 0x1234 && c > 1);
    vx_box_free(box);
}

GUEST(x87_trap, "fldcw 1f-guest_x87_trap+0x10000\n fldz\n fld1\n fdivp\n int $0x80\n fwait\n int $0x80\n"
                "1: .word 0x037b\n");
GUEST(simd_trap, "ldmxcsr 1f-guest_simd_trap+0x10000\n xorps %xmm0, %xmm0\n divss %xmm0, %xmm0\n 1: .long 0x1f00\n");

/* A pending x87 exception waits for the guest, not for the host. */
static void test_fp_exceptions(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(x87_trap);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    __asm__ volatile("fwait");
    run_to(box, VX_TRAP_X87, &trap);
    CU_ASSERT_EQUAL(trap.vector, 16);
    CU_ASSERT_EQUAL(trap.eip, CODE + 14);
    vx_box_free(box);
    box = BOX(simd_trap);
    run_to(box, VX_TRAP_SIMD, &trap);
    CU_ASSERT_EQUAL(trap.vector, 19);
    CU_ASSERT_EQUAL(trap.eip, CODE + 10);
    vx_box_free(box);
}

GUEST(count, "1: incl 0x40000\n movl 0x40000, %eax\n cmpl $2000000, %eax\n jne 1b\n int $0x80\n");

static void *count(void *argument)
{
    struct vx_box *box = argument;
    struct vx_trap trap;
    struct vx_regs regs;
    vx_box_run(box, &trap);
    vx_box_get_regs(box, &regs);
    return (void *)(uintptr_t)(trap.kind == VX_TRAP_SYSCALL ? regs.eax : 0);
}

static void test_threads(void)
{
    struct vx_box *boxes[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        boxes[i] = BOX(count);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count, boxes[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        CU_ASSERT_EQUAL((uintptr_t)result, 2000000);
        vx_box_free(boxes[i]);
    }
}

static void test_two_boxes_one_thread(void)
{
    struct vx_trap trap;
    struct vx_box *a = BOX(calls), *b = BOX(calls);
    for (uint32_t i = 1; i <= 100; i++) {
        CU_ASSERT_EQUAL(run_to(a, VX_TRAP_SYSCALL, &trap).eax, i);
        CU_ASSERT_EQUAL(run_to(b, VX_TRAP_SYSCALL, &trap).eax, i);
    }
    vx_box_free(a);
    vx_box_free(b);
}

static void *run_tight(void *box)
{
    struct vx_trap trap;
    vx_box_run(box, &trap);
    return NULL;
}

static void test_busy_box(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(tight);
    pthread_t thread;
    pthread_create(&thread, NULL, run_tight, box);
    usleep(20000);
    CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_ERR_BUSY);
    vx_box_interrupt(box);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
}

int main(void)
{
    struct sigaction fault = { .sa_handler = on_host_fault }, count_them = { .sa_handler = on_count };
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGURG, &count_them, NULL);
    /* A sanitizer has handlers of its own. */
    signal(SIGFPE, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("box and signals", NULL, NULL);
    CU_add_test(suite, "stop a tight loop", test_tight_loop);
    CU_add_test(suite, "stops are exact", test_exact_stops);
    CU_add_test(suite, "stop a long rep", test_long_rep);
    CU_add_test(suite, "request before a run", test_request_before_run);
    CU_add_test(suite, "no request is lost", test_no_request_lost);
    CU_add_test(suite, "time limit", test_time_limit);
    CU_add_test(suite, "time limit over many runs", test_time_limit_in_pieces);
    CU_add_test(suite, "fault of the host", test_host_fault);
    CU_add_test(suite, "SIGURG is chained", test_urgent_chained);
    CU_add_test(suite, "handler on the return stack", test_handler_on_return_stack);
    CU_add_test(suite, "handler without room", test_handler_without_room);
    CU_add_test(suite, "default actions", test_default_actions);
    CU_add_test(suite, "blocked signals", test_blocked_signals);
    CU_add_test(suite, "run inside a handler", test_nested_run);
    CU_add_test(suite, "request inside a handler", test_request_inside_handler);
    CU_add_test(suite, "state at the crossing", test_state_at_crossing);
    CU_add_test(suite, "nothing of the host shows", test_nothing_shows);
    CU_add_test(suite, "floating-point exceptions", test_fp_exceptions);
    CU_add_test(suite, "threads", test_threads);
    CU_add_test(suite, "two boxes on one thread", test_two_boxes_one_thread);
    CU_add_test(suite, "busy box", test_busy_box);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}

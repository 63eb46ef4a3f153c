/*
 * Guest of tests/test_vxrun.py: signals, their frames, timers. What it prints
 * must be the same natively and in a box.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "show.h"

static sigjmp_buf back;
static volatile sig_atomic_t count;
static char *page; /* addresses in it are shown as offsets */

static void on_fault(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *regs = uc->uc_mcontext.gregs;
    unsigned long addr = (unsigned long)info->si_addr, cr2 = uc->uc_mcontext.cr2;
    unsigned long at = (unsigned long)page;
    if (addr - at < 8192)
        addr -= at;
    if (cr2 - at < 8192)
        cr2 -= at;
    printf("signal %d code %d addr %lx trap %d err %x cr2 %lx\n", signal, info->si_code,
           signal == SIGTRAP || signal == SIGILL ? 0 : addr,
           regs[REG_TRAPNO], regs[REG_ERR],
           regs[REG_TRAPNO] == 14 ? cr2 : 0);
    siglongjmp(back, 1);
}

static void faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    int pair[2] = {1, 5};
    page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
#define TRY(what) if (!sigsetjmp(back, 1)) { what; puts("no fault"); }
    TRY(*(volatile int *)16 = 1)
    TRY(count += *(volatile int *)0x14)
    TRY(*(volatile char *)0x2000 += 1)
    TRY(__asm__ volatile("movl $1, (%0)" : : "r"(0xfffffff0u)))
    /* reading is allowed */
    TRY(count += page[5])
    TRY(((void (*)(void))0x1000)())
    TRY(__asm__ volatile("movl $1, %%eax; cltd; xorl %%ecx, %%ecx; idivl %%ecx" : : : "eax", "ecx", "edx"))
    TRY(__asm__ volatile("movl $0x80000000, %%eax; cltd; movl $-1, %%ecx; idivl %%ecx" : : : "eax", "ecx", "edx"))
    TRY(__asm__ volatile("ud2"))
    TRY(__asm__ volatile("int3"))
    TRY(__asm__ volatile("int $0x33"))
    TRY(__asm__ volatile("movl $0x7fffffff, %%eax; addl $1, %%eax; into" : : : "eax"))
    TRY(__asm__ volatile("hlt"))
    TRY(__asm__ volatile("bound %0, (%1)" : : "r"(9), "r"(pair)))
    TRY(__asm__ volatile("movaps (%0), %%xmm0" : : "r"(((long)pair & ~15l) + 4)))
    TRY(__asm__ volatile("movw $0x1234, %%ax; movw %%ax, %%es" : : : "eax"))
    TRY(__asm__ volatile("aam $0" : : : "eax"))
    unsigned mxcsr = 0x1f80 & ~0x200u;
    TRY(__asm__ volatile("ldmxcsr %0; xorps %%xmm1, %%xmm1; movss %1, %%xmm0; divss %%xmm1, %%xmm0"
                         : : "m"(mxcsr), "m"((float){1})))
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    unsigned short control = 0x37f & ~4;
    TRY(__asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" : : "m"(control)))
    __asm__ volatile("fninit");
    mprotect(page, 4096, PROT_NONE);
    TRY(count += page[0])
    /* across a page boundary: the address is that of the page that is missing */
    munmap(page, 4096);
    TRY(__asm__ volatile("movl (%0), %%eax" : : "r"(page + 4096 - 2) : "eax"))
    munmap(page + 4096, 4096);
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    action.sa_flags |= SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    TRY(__asm__ volatile("movl $0x3000, %esp; pushl %eax"))
    stack_t now;
    sigaltstack(NULL, &now);
    printf("stack flags %d size %d\n", now.ss_flags, (int)now.ss_size);
}

/* ---- frames ---------------------------------------------------------- */

static ucontext_t seen;
static unsigned seen_fp[28]; /* cw sw tag ... st0 .. status magic */

static void on_frame(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    seen = *uc;
    memcpy(&seen_fp, uc->uc_mcontext.fpregs, sizeof seen_fp);
    printf("pid is mine %d code %d\n", info->si_pid == getpid(), info->si_code);
    printf("frame: handler aligned %d\n", ((unsigned long)__builtin_frame_address(0) & 15) == 8);
    /* changes that must arrive */
    uc->uc_mcontext.gregs[REG_EBX] = 0x1234;
    uc->uc_mcontext.gregs[REG_EFL] |= 0x801; /* CF OF */
    *(unsigned *)uc->uc_mcontext.fpregs = 0x27f;
    __asm__ volatile("fninit; fldpi; std; cld; pxor %%xmm3, %%xmm3" : : : "xmm3");
}

static void frames(void)
{
    struct sigaction action = {.sa_sigaction = on_frame, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    unsigned ebx = 0, flags = 0, xmm3[4];
    unsigned short control = 0;
    long double top = 0;
    const unsigned pattern[4] = {1, 2, 3, 4};
    __asm__ volatile(
        "fninit; fld1; fldl2e; movups %[pattern], %%xmm3\n"
        "pushl %%ebx; movl $0x77, %%ebx\n"
        "pushl %%edx; movl %[nr], %%eax; movl %%edx, %%ecx; "
        "movl %[pid], %%ebx; int $0x80; popl %%edx\n"
        "pushfl; popl %%ecx; movl %%ebx, %%eax; popl %%ebx\n"
        : "=a"(ebx), "=c"(flags)
        : [nr] "i"(SYS_kill), [pid] "S"(getpid()), "d"(SIGUSR1), [pattern] "m"(pattern)
        : "memory", "cc", "xmm3");
    __asm__ volatile("fnstcw %0; movups %%xmm3, %1; fstpt %2" : "=m"(control), "=m"(xmm3), "=m"(top));
    printf("ebx %x CF OF %x cw %x xmm3 %u %u %u %u top %.6Lf\n", ebx, flags & 0x801, control, xmm3[0],
           xmm3[1], xmm3[2], xmm3[3], top);
    __asm__ volatile("fninit");
    printf("seen: edx %x cs %x ds %x ss %x flags %x mask %lx cw %x tag %x sw %x\n",
           seen.uc_mcontext.gregs[REG_EDX], seen.uc_mcontext.gregs[REG_CS] & 0xffff,
           seen.uc_mcontext.gregs[REG_DS] & 0xffff, seen.uc_mcontext.gregs[REG_SS] & 0xffff,
           seen.uc_mcontext.gregs[REG_EFL] & 0x200600, *(unsigned long *)&seen.uc_sigmask,
           seen_fp[0], seen_fp[2], seen_fp[1]);
    printf("magic %x status %x exponent %x\n", seen_fp[27] >> 16, seen_fp[27] & 0xffff,
           seen_fp[9] & 0xffff);
}

/* ---- asynchronous ---------------------------------------------------- */

static void on_count(int signal)
{
    count++;
}

static void on_nested(int signal)
{
    printf("in %d\n", signal);
    if (signal == SIGUSR1) {
        raise(SIGUSR2); /* blocked by sa_mask: after this one */
        raise(SIGHUP);  /* at once */
    }
    printf("out %d\n", signal);
}

static void masks(void)
{
    struct sigaction action = {.sa_handler = on_nested};
    sigset_t set, old, pending;
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR2);
    raise(SIGUSR2);
    sigpending(&pending);
    printf("pending %d %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2));
    sigset_t only = old;
    printf("suspend %d", sigsuspend(&only));
    printf(" errno %d\n", errno);
    sigpending(&pending);
    printf("pending %d\n", sigismember(&pending, SIGUSR2));
    raise(SIGUSR1);
    siginfo_t info;
    struct timespec none = {0, 0};
    printf("wait %d", sigtimedwait(&set, &info, &none));
    printf(" code %d\n", info.si_code);
    SHOW("again", sigtimedwait(&set, &info, &none));
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    action = (struct sigaction){.sa_handler = on_count, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGUSR1, &action, NULL);
    count = 0;
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &action);
    printf("count %d default again %d\n", count, action.sa_handler == SIG_DFL);
    SHOW("kill stop", sigaction(SIGKILL, &action, NULL));
}

static void *send_ignored(void *argument)
{
    usleep(50000);
    if (argument)
        pthread_kill(*(pthread_t *)argument, SIGURG);
    else
        kill(getpid(), SIGURG);
    return NULL;
}

/* A signal that nobody would be told of stays for who blocks it and waits for it. */
static void awaited(void)
{
    static const int ignored[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};
    struct timespec none = {0, 0}, some = {5, 0};
    pthread_t thread, self = pthread_self();
    sigset_t set, old;
    int got;
    for (int i = 0; i < 4; i++) {
        sigemptyset(&set);
        sigaddset(&set, ignored[i]);
        raise(ignored[i]);
        SHOW("not blocked", sigtimedwait(&set, NULL, &none));
        sigprocmask(SIG_BLOCK, &set, &old);
        raise(ignored[i]);
        SHOW("blocked", sigtimedwait(&set, NULL, &none));
        SHOW("again", sigtimedwait(&set, NULL, &none));
        sigprocmask(SIG_SETMASK, &old, NULL);
    }
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    for (int i = 0; i < 4; i++) {
        sigprocmask(i < 2 ? SIG_SETMASK : SIG_BLOCK, i < 2 ? &old : &set, NULL);
        pthread_create(&thread, NULL, send_ignored, i & 1 ? &self : NULL);
        got = sigtimedwait(&set, NULL, &some);
        pthread_join(thread, NULL);
        printf("from a thread %d\n", got);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void timers(void)
{
    struct sigaction action = {.sa_handler = on_count};
    struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0}}, once = {{0}, {0, 400000}};
    sigaction(SIGALRM, &action, NULL);
    /* many interruptions of a loop that computes */
    count = 0;
    setitimer(ITIMER_REAL, &every, NULL);
    unsigned x = 1, steps = 0;
    while (count < 100) {
        for (int i = 0; i < 1000; i++)
            x = x * 1103515245 + 12345;
        steps++;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    unsigned y = 1;
    for (unsigned i = 0; i < steps * 1000; i++)
        y = y * 1103515245 + 12345;
    printf("computed the same %d\n", x == y);
    /* a long rep is interrupted, and goes on */
    char *big = malloc(64 << 20);
    count = 0;
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < 4; i++) {
        char *to = big;
        int left = 16 << 20;
        __asm__ volatile("cld; rep stosl" : "+D"(to), "+c"(left) : "a"(i) : "memory");
    }
    setitimer(ITIMER_REAL, &off, NULL);
    int good = 1;
    for (int i = 0; i < 16 << 20; i += 997)
        good &= ((int *)big)[i] == 3;
    printf("filled %d interrupted %d\n", good, count > 0);
    free(big);
    /* interrupted calls */
    int ends[2];
    char byte;
    pipe(ends);
    count = 0;
    setitimer(ITIMER_REAL, &once, NULL);
    printf("read %zd", read(ends[0], &byte, 1));
    printf(" errno %d count %d\n", errno, count);
    setitimer(ITIMER_REAL, &once, NULL);
    struct timespec sleep = {5, 0}, left;
    printf("sleep %d", nanosleep(&sleep, &left));
    printf(" errno %d left %d count %d\n", errno, (int)left.tv_sec, count);
    setitimer(ITIMER_REAL, &once, NULL);
    printf("pause %d", pause());
    printf(" errno %d count %d\n", errno, count);
    alarm(100);
    printf("alarm %u %u\n", alarm(0), alarm(0));
    struct itimerval now;
    printf("timer %d", getitimer(ITIMER_REAL, &now));
    printf(" %ld\n", (long)now.it_value.tv_sec);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    faults();
    for (int i = 1; i < 32; i++)
        signal(i, SIG_DFL);
    frames();
    masks();
    awaited();
    timers();
    return 0;
}

/*
 * AVX state where the kernel has it: in signal frames, read and changed there, and in threads. Also what C libraries
 * and compilers find by CPUID and XGETBV. Prints what it sees.
 */
#pragma GCC target("avx2")
#include <immintrin.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define FX 112     /* the fxsave image in the frame's state */
#define SOFTWARE 464
#define XSTATE 512
#define YMM3 (576 + 16 * 3)

struct software {
    uint32_t magic1, extended_size, features[2], xstate_size;
};

/* What a handler changes: nothing, a register, the register is marked initial, the end's mark. */
enum { LOOK, CHANGE, INITIAL, NO_MARK };
static int mode;
static sigjmp_buf env;

static void handler(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs + FX;
    struct software software;
    uint64_t present;
    uint32_t magic2, ymm3, value = 0xabcd;
    memcpy(&software, fx + SOFTWARE, sizeof software);
    memcpy(&present, fx + XSTATE, 8);
    memcpy(&magic2, fx + software.xstate_size, 4);
    memcpy(&ymm3, fx + YMM3, 4);
    printf("flags %lx, marks %x %x, %u bytes more, ymm3 %x, aligned %d, avx %d\n", uc->uc_flags & 1, software.magic1, magic2,
           software.extended_size - software.xstate_size, ymm3, (uintptr_t)fx % 64 == 0, (int)(present & 4));
    if (mode == CHANGE)
        memcpy(fx + YMM3, &value, 4);
    present &= ~4ull;
    if (mode == INITIAL)
        memcpy(fx + XSTATE, &present, 8);
    value = 0;
    if (mode == NO_MARK)
        memcpy(fx + software.xstate_size, &value, 4);
    __asm__ volatile("vzeroall");
}

static void fault(int signal, siginfo_t *info, void *context)
{
    handler(signal, info, context);
    siglongjmp(env, 1);
}

static void raise_with(int what)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    uint32_t out[8], pid = (uint32_t)getpid();
    __m256i value = _mm256_set1_epi32(0x1234567);
    mode = what;
    sigaction(SIGUSR1, &action, NULL);
    __asm__ volatile("vmovdqu %1, %%ymm3\n mov $37, %%eax\n mov %2, %%ebx\n mov $10, %%ecx\n int $0x80\n vmovdqu %%ymm3, %0"
                     : "=m"(out) : "m"(value), "m"(pid) : "eax", "ebx", "ecx", "memory");
    printf("mode %d: %x %x\n", what, out[0], out[4]);
}

static void *thread(void *number)
{
    uint32_t own[8], value = (uint32_t)(uintptr_t)number;
    __m256i vector = _mm256_set1_epi32((int)value);
    uintptr_t bad = 0;
    for (int i = 0; i < 2000; i++) {
        __asm__ volatile("vmovdqu %1, %%ymm5\n mov $158, %%eax\n int $0x80\n vmovdqu %%ymm5, %0" /* sched_yield */
                         : "=m"(own) : "m"(vector) : "eax", "memory");
        for (int k = 0; k < 8; k++)
            bad += own[k] != value;
    }
    return (void *)bad;
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO };
    pthread_t threads[4];
    uint32_t low, high;
    for (int what = LOOK; what <= NO_MARK; what++)
        raise_with(what);
    sigaction(SIGSEGV, &action, NULL);
    mode = LOOK;
    if (!sigsetjmp(env, 1))
        __asm__ volatile("vpcmpeqd %%ymm3, %%ymm3, %%ymm3\n vmovdqu %%ymm3, 16" : : : "memory");
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, thread, (void *)(i + 5));
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        printf("thread %d: %u wrong\n", i, (unsigned)(uintptr_t)bad);
    }
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    printf("%u %d %d %d %d\n", low & 7, !!__builtin_cpu_supports("avx2"), !!__builtin_cpu_supports("fma"),
           !!__builtin_cpu_supports("bmi2"), !!__builtin_cpu_supports("sse4.2"));
    return 0;
}

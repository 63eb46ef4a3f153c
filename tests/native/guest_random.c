/*
 * Guest of tests/test_vxrun.py: random system calls with random arguments. It
 * must not be able to harm vxrun; what becomes of the guest does not matter.
 * Arguments: seed, number of calls.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t state;

static uint32_t random32(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static char area[3][8192];
static const char *const names[] = {"a", "a/b", "..", ".", "/", "c/../d", "/dev/null", "/proc/self/mem",
                                    "l", "/dev/zero", "a/../../..", ""};

static uint32_t argument(void)
{
    static const uint32_t edges[] = {0, 1, 2, 3, 4, 5, 8, 16, 0x7f, 0xfff, 0x1000, 0x2000, 0xffff, 0x10000,
                                     0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff, 0xffffff9c, 0x7ffff000};
    switch (random32() % 6) {
    case 0:
        return edges[random32() % (sizeof edges / 4)];
    case 1:
        return random32() % 40;
    case 2:
        return (uint32_t)area[random32() % 3] + random32() % 8192;
    case 3:
        return (uint32_t)names[random32() % (sizeof names / sizeof *names)];
    case 4: /* pointers in the area, so that structures of pointers work */
        ((uint32_t *)area[0])[random32() % 64] = (uint32_t)area[1] + random32() % 4096;
        ((uint32_t *)area[0])[random32() % 64] = random32() % 64;
        return (uint32_t)area[0] + random32() % 64 * 4;
    default:
        return random32();
    }
}

/* What would only end the run early, or block it. */
static int is_dull(uint32_t number)
{
    static const uint16_t dull[] = {SYS_exit, SYS_exit_group, SYS_pause, SYS_sigsuspend, SYS_rt_sigsuspend,
                                    SYS_sigreturn, SYS_rt_sigreturn, SYS_nanosleep, SYS_clock_nanosleep,
                                    407, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_kill, SYS_tkill, SYS_tgkill,
                                    SYS_futex, 422, SYS_poll, SYS_ppoll, 414, SYS_select, SYS__newselect,
                                    SYS_pselect6, 413, SYS_alarm, SYS_setitimer, SYS_rt_sigtimedwait, 421,
                                    SYS_execve, SYS_fork, SYS_vfork, SYS_clone, SYS_mmap, SYS_mmap2, SYS_brk};
    for (unsigned i = 0; i < sizeof dull / sizeof *dull; i++)
        if (number == dull[i])
            return random32() % 64 != 0;
    return 0;
}

int main(int argc, char **argv)
{
    state = argc > 1 ? (uint32_t)atoi(argv[1]) * 2654435761u + 1 : 1;
    int calls = argc > 2 ? atoi(argv[2]) : 1000;
    for (int i = 1; i < 32; i++)
        signal(i, SIG_IGN);
    for (int i = 0; i < calls; i++) {
        uint32_t number = random32() % 460;
        if (is_dull(number))
            continue;
        /* inline: the C library's own state may be gone */
        uint32_t a[6], result;
        for (int k = 0; k < 6; k++)
            a[k] = argument();
        __asm__ volatile("pushl %%ebp; movl %%edx, %%ebp; movl 4(%%ebp), %%ecx; movl 8(%%ebp), %%edx\n"
                         "movl (%%ebp), %%ebx; movl 12(%%ebp), %%esi; movl 16(%%ebp), %%edi\n"
                         "movl 20(%%ebp), %%ebp; int $0x80; popl %%ebp"
                         : "=a"(result) : "a"(number), "d"(a)
                         : "ebx", "ecx", "esi", "edi", "memory", "cc");
    }
    return 0;
}

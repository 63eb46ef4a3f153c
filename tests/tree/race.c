/*
 * A hostile guest of tests/tree_test.py: one thread changes what the calls of others point to, while they are made, and
 * maps, unmaps and protects the pages; others make calls with such arguments, close and open descriptors under each
 * other, and are interrupted. Nothing outside of the granted directory may ever be opened, and the process ends as it should.
 * What calls write they write to the upper half of the shared pages only: elsewhere the guest would
 * harm itself, natively as well. Argument: seconds. Prints "outside N": files opened that are none of the directory's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGES 8
#define PAGE 4096

static unsigned char *shared; /* arguments of all calls */
static _Atomic int is_over, outside, opened, calls;

static unsigned next(unsigned *seed)
{
    return (*seed = *seed * 1664525 + 1013904223) >> 8;
}

static void *change(void *arg)
{
    static const char *const paths[] = {"/data/inside", "/data/../secret", "/data/link", "/secret", "inside", "../secret",
                                        "/data/a/../../../etc/passwd", "/proc/self/exe"};
    unsigned seed = (unsigned)(uintptr_t)arg;
    while (!is_over) {
        unsigned number = next(&seed);
        unsigned char *page = shared + PAGE * (number % PAGES);
        switch (number >> 4 & 15) {
        case 0:
            mprotect(page, PAGE, number & 256 ? PROT_READ : PROT_NONE);
            mprotect(page, PAGE, PROT_READ | PROT_WRITE);
            break;
        case 1:
            munmap(page, PAGE);
            mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        case 2:
            mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
            break;
        default:
            for (unsigned i = 0; i < 64; i++)
                strcpy((char *)shared + 32 * (next(&seed) % 64), paths[next(&seed) % 8]);
            for (unsigned i = 0; i < 64; i++)
                ((volatile uint32_t *)(shared + 2 * PAGE))[next(&seed) % 1024] =
                    next(&seed) % 4 ? (uint32_t)(uintptr_t)shared + PAGES / 2 * PAGE + next(&seed) % (PAGES / 2 * PAGE) : next(&seed) % 70000;
        }
    }
    return NULL;
}

static void look_at(int fd)
{
    struct stat st;
    if (fd < 0)
        return;
    opened++;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size != 6)
        outside++;
    close(fd);
}

static void handler(int number)
{
    calls++;
}

static void *call(void *arg)
{
    static const int futex_calls[] = {1, 3, 4, 5, 10}; /* those that do not wait */
    unsigned seed = (unsigned)(uintptr_t)arg * 77;
    int ends[2];
    if (pipe(ends))
        return NULL;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (!is_over) {
        unsigned number = next(&seed);
        unsigned char *at = shared + PAGES / 2 * PAGE + next(&seed) % (PAGES / 2 * PAGE);
        unsigned char *words = shared + 2 * PAGE + 4 * (next(&seed) % 512);
        calls++;
        switch (number % 16) {
        case 0: case 1: case 2: look_at((int)syscall(SYS_openat, AT_FDCWD, shared + 32 * (number / 16 % 64), O_RDONLY)); break;
        case 3: look_at((int)syscall(SYS_open, shared + 32 * (number / 16 % 64), O_RDWR)); break;
        case 4: syscall(SYS_writev, ends[1], words, number / 16 % 64); break;
        case 5: syscall(SYS_readv, ends[0], words, number / 16 % 64); break;
        case 6: syscall(SYS_poll, words, number / 16 % 64, 0); break;
        case 7: syscall(SYS_futex, words, futex_calls[number / 16 % 5], 1, number / 80 % 3, at, number); break;
        case 8: syscall(SYS_stat64, shared + 32 * (number / 16 % 64), at); break;
        case 9: syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, at, 8); break;
        case 10: syscall(SYS_readlinkat, AT_FDCWD, shared + 32 * (number / 16 % 64), at, 200); break;
        case 11: syscall(SYS_getcwd, at, 4096); break;
        case 12: raise(SIGUSR1); break;
        case 13: syscall(SYS_dup3, ends[number & 1], 40 + number / 16 % 8, 0); break;
        case 14: close(40 + (int)(number / 16 % 8)); break;
        default: syscall(SYS_read, 40 + number / 16 % 8, at, 1000); break;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[5];
    /* with a page of nothing on both sides, so that no call writes to the threads' stacks */
    shared = mmap(NULL, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared += PAGE;
    mprotect(shared, PAGES * PAGE, PROT_READ | PROT_WRITE);
    signal(SIGUSR1, handler);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGSEGV, SIG_DFL);
    for (long i = 0; i < 5; i++)
        if (pthread_create(&threads[i], NULL, i < 1 ? change : call, (void *)(i + 1)))
            return 2;
    struct timespec time = {argc > 1 ? atoi(argv[1]) : 2, 0};
    while (nanosleep(&time, &time) && errno == EINTR)
        ;
    is_over = 1;
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    printf("outside %d, opened %s, calls %s\n", outside, opened > 20 ? "many" : "few", calls > 500 ? "many" : "few");
    return 7;
}

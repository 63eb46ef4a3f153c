/*
 * Guest of tests/test_vxrun.py: memory calls. What it prints must be the same
 * natively and in a box; no addresses are printed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "show.h"

static sigjmp_buf back;

static void on_fault(int signal)
{
    siglongjmp(back, 1);
}

static const char *try_read(volatile char *at)
{
    if (sigsetjmp(back, 1))
        return "no";
    (void)*at;
    return "yes";
}

static const char *try_write(volatile char *at)
{
    if (sigsetjmp(back, 1))
        return "no";
    *at = 1;
    return "yes";
}

#define PAGE 4096
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void maps(void)
{
    char *at = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    memset(at, 7, 16 * PAGE);
    printf("unmap middle %d\n", munmap(at + 4 * PAGE, 4 * PAGE));
    printf("%s %s %s\n", try_read(at), try_read(at + 4 * PAGE), try_read(at + 8 * PAGE));
    printf("fixed %d\n", mmap(at + 5 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == at + 5 * PAGE);
    printf("%d %s %s\n", at[5 * PAGE], try_write(at + 5 * PAGE), try_read(at + 6 * PAGE));
    SHOW("noreplace", mmap(at, PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    printf("hint %d\n", mmap(at + 4 * PAGE, PAGE, PROT_READ, ANON, -1, 0) == at + 4 * PAGE);
    printf("protect %d\n", mprotect(at, 2 * PAGE, PROT_NONE));
    printf("%s %s\n", try_read(at), try_read(at + 2 * PAGE));
    SHOW("protect hole", mprotect(at + 3 * PAGE, 10 * PAGE, PROT_READ));
    SHOW("protect odd", mprotect(at + 3, PAGE, PROT_READ));
    SHOW("zero size", mmap(NULL, 0, PROT_READ, ANON, -1, 0) == MAP_FAILED);
    SHOW("huge", mmap(NULL, 0xfff00000u, PROT_READ, ANON, -1, 0) == MAP_FAILED);
    SHOW("no type", mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    printf("write only is readable %s\n",
           try_read(mmap(NULL, PAGE, PROT_WRITE, ANON, -1, 0)));
    munmap(at, 16 * PAGE);
}

static void remaps(void)
{
    char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    for (int i = 0; i < 4; i++)
        at[i * PAGE] = (char)(i + 1);
    char *big = mremap(at, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    printf("%d %d %d %d\n", big[0], big[3 * PAGE], big[4 * PAGE], big[63 * PAGE]);
    char *small = mremap(big, 64 * PAGE, 2 * PAGE, 0);
    printf("%d %s %s\n", small == big, try_read(small + PAGE), try_read(small + 2 * PAGE));
    char *block = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    char *fixed = mremap(small, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, block);
    printf("%d %d %s\n", fixed == block, block[PAGE], try_read(small));
    SHOW("not mapped", mremap(small, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
    SHOW("overlap", mremap(block, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, block + PAGE) == MAP_FAILED);
    munmap(block, 8 * PAGE);
    /* a large block that grows by realloc */
    char *heap = malloc(1 << 20);
    memset(heap, 5, 1 << 20);
    heap = realloc(heap, 8 << 20);
    printf("realloc %d %d\n", heap[0], heap[(1 << 20) - 1]);
    free(heap);
}

static void others(void)
{
    char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    memset(at, 9, 4 * PAGE);
    printf("dontneed %d %d %d\n", madvise(at + PAGE, PAGE, MADV_DONTNEED), at[PAGE], at[2 * PAGE]);
    SHOW("bad advice", madvise(at, PAGE, 77));
    printf("msync %d\n", msync(at, PAGE, MS_SYNC));
    /* the call itself: musl has no sbrk */
    char *end = (char *)syscall(SYS_brk, 0);
    printf("brk %d\n", (char *)syscall(SYS_brk, end + 100000) == end + 100000);
    end[0] = end[99999] = 1;
    printf("shrink %d\n", (char *)syscall(SYS_brk, end) == end);
    printf("too low %d\n", (char *)syscall(SYS_brk, 0x1000) == end);
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("shared %s\n", try_write(shared));
}

/* Code made at run time, rewritten, and run again. */
static void code(void)
{
    unsigned char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, ANON, -1, 0);
    for (int i = 0; i < 5; i++) {
        unsigned char text[] = {0xb8, (unsigned char)(i + 10), 0, 0, 0, 0xc3};
        memcpy(at, text, sizeof text);
        printf("made %d\n", ((int (*)(void))at)());
    }
    /* a system call writes over code */
    int ends[2];
    unsigned char text[] = {0xb8, 99, 0, 0, 0, 0xc3};
    pipe(ends);
    write(ends[1], text, sizeof text);
    printf("read into code %zd\n", read(ends[0], at, sizeof text));
    printf("made %d\n", ((int (*)(void))at)());
    mprotect(at, PAGE, PROT_READ | PROT_WRITE);
    if (sigsetjmp(back, 1))
        puts("not executable");
    else
        printf("ran %d\n", ((int (*)(void))at)());
    signal(SIGSEGV, SIG_DFL);
}

int main(void)
{
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    maps();
    remaps();
    others();
    code();
    return 0;
}

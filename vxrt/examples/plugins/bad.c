/*
 * A decoder as one fears it. The first letter of the file says what it does to the host that calls it.
 */
#include <stdlib.h>
#include <string.h>

#include "../decoder.h"
#include <vx/vx_guest.h>

VX_EXPORT struct picture picture;

VX_EXPORT void *reserve(unsigned size) { return malloc(size); }

static volatile int zero;

static int recurse(int n)
{
    volatile char pad[1000];
    pad[0] = (char)n;
    return zero ? 0 : recurse(n + 1) + pad[0];
}

/* Everything that would be worth trying from inside: all of it ends here, or does nothing. */
static void attack(void)
{
    static const unsigned char code[] = { 0x0f, 0x05, 0xc3 }; /* syscall, in the host's mode */
    static volatile int result;
    /* execve, ptrace, mmap of a file, and the like: not there */
    for (int number = 11; number < 400; number++)
        if (number != 20 && (number < 37 || number > 45) && number != 238 && number != 252 && number != 270)
            __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"("/bin/sh"), "c"(0), "d"(0), "S"(0), "D"(0) : "memory");
    /* all of its memory is its own: writing everywhere reaches nothing else */
    memcpy(malloc(16), code, sizeof code);
    void (*jump)(void) = (void (*)(void))0xfffe0000; /* where calls of the host return to */
    for (volatile unsigned char *p = (unsigned char *)0xfffdf000; p < (unsigned char *)0xfffe0000; p++)
        *p = 0x41;
    jump();
}

VX_EXPORT int decode(const unsigned char *file, unsigned size, struct picture *out)
{
    switch (size ? *file : 0) {
    case 'C': return *(volatile int *)(zero + 0x10);                          /* crash */
    case 'D': return *file / zero;                                            /* divide */
    case 'L': for (;;) __asm__ volatile("");                                  /* loop */
    case 'E': for (;;) memset(malloc(1 << 20), 1, 1 << 20);                   /* eat */
    case 'R': return recurse(0);                                              /* recurse */
    case 'A': attack(); return 0;                                             /* attack */
    case 'B': abort();                                                        /* give up */
    case 'P': *out = (struct picture){ 1 << 15, 1 << 15, (void *)0xfff00000 }; return 0; /* lie about the picture */
    default: return 3;
    }
}

int main(void) { vx_park(); }

/*
 * What a program of csmith needs of a C library, so that a campaign compiles and translates the program alone
 * (tests/csmith_test.py --bare).
 */
#include <stdarg.h>
#include <stddef.h>

int main(int argc, char **argv);
int printf(const char *format, ...);
int strcmp(const char *a, const char *b);
void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
_Noreturn void start(int *stack);

static int system_call(int number, int a, const void *b, size_t c)
{
    __asm__ volatile("xchg %%ebx, %1\n\tint $0x80\n\txchg %%ebx, %1" : "+a"(number), "+&r"(a) : "c"(b), "d"(c) : "memory");
    return number;
}

static void put_hex(unsigned value)
{
    char text[8];
    int n = 8;
    do
        text[--n] = "0123456789ABCDEF"[value & 15];
    while (value >>= 4);
    system_call(4, 1, text + n, 8 - n);
}

/* %X, %lX, %s and %d of what is not negative, which is shown in base 16. */
int printf(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    for (; *format; format++) {
        if (*format != '%') {
            system_call(4, 1, format, 1);
            continue;
        }
        while (*++format == 'l')
            ;
        if (*format == 's') {
            const char *text = va_arg(list, const char *);
            size_t size = 0;
            while (text[size])
                size++;
            system_call(4, 1, text, size);
        } else {
            put_hex(va_arg(list, unsigned));
        }
    }
    va_end(list);
    return 0;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (unsigned char)*a - (unsigned char)*b;
}

void *memset(void *to, int byte, size_t size)
{
    for (char *p = to; size--; p++)
        *p = (char)byte;
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    char *t = to;
    const char *f = from;
    if (t < f)
        for (size_t i = 0; i < size; i++)
            t[i] = f[i];
    else
        while (size--)
            t[size] = f[size];
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *p = a, *q = b;
    for (; size; size--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void start(int *stack)
{
    int status = main(*stack, (char **)(stack + 1));
    for (;;)
        system_call(1, status, NULL, 0);
}

__asm__(".globl _start\n"
        "_start: mov %esp, %eax\n"
        "    xor %ebp, %ebp\n"
        "    and $-16, %esp\n"
        "    sub $12, %esp\n"
        "    push %eax\n"
        "    call start\n");

/*
 * A whole program under TF: from its first instruction to its last each one traps, and the handler mixes eip,
 * all registers and flags into a hash. Sorting, recursion, pointers to functions, strings, jump tables, x87 and SSE. It runs on a stack of its own and
 * calls no library, so that all addresses are the same natively and in a box, and so must be the hash.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#define FLAG_TF 0x100
#define SHOWN_FLAGS 0x4cd5 /* CF PF AF ZF SF DF OF NT */
#define NUMBERS 12

static uint32_t hash = 2166136261u, count;
static uint8_t own_stack[65536] __attribute__((aligned(4096)));
static volatile uint32_t result;

static void mix(uint32_t word)
{
    hash = (hash ^ word) * 16777619u;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
    const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    static const int shown[] = { REG_EIP, REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI };
    for (unsigned i = 0; i < sizeof shown / sizeof *shown; i++)
        mix((uint32_t)g[shown[i]]);
    mix((uint32_t)g[REG_EFL] & SHOWN_FLAGS);
    mix((uint32_t)signal + (uint32_t)info->si_code);
    count++;
}

/* ---- the program ------------------------------------------------------ */

static uint32_t numbers[NUMBERS];
static double table[8];
static char text[64], copy[64];

static int is_less(uint32_t a, uint32_t b) { return a < b; }
static int is_more(uint32_t a, uint32_t b) { return a > b; }

static void sort(uint32_t *from, uint32_t *to, int (*before)(uint32_t, uint32_t))
{
    if (to - from < 2)
        return;
    uint32_t *store = from, pivot = to[-1], swap;
    for (uint32_t *p = from; p < to - 1; p++)
        if (before(*p, pivot)) {
            swap = *p, *p = *store, *store++ = swap;
        }
    swap = *store, *store = to[-1], to[-1] = swap;
    sort(from, store, before);
    sort(store + 1, to, before);
}

static uint32_t fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__attribute__((noinline)) static uint32_t choose(uint32_t n)
{
    switch (n) {
    case 0: return 5;
    case 1: return result * 3;
    case 2: return result ^ 0x55;
    case 3: return result << 3 | result >> 29;
    case 4: return (uint32_t)-(int32_t)result;
    case 5: return result / 7;
    case 6: return result % 1000;
    default: return result + n;
    }
}

__attribute__((used)) static void program(void)
{
    uint64_t wide = 88172645463325252u;
    for (unsigned i = 0; i < NUMBERS; i++) {
        wide ^= wide << 13, wide ^= wide >> 7, wide ^= wide << 17;
        numbers[i] = (uint32_t)(wide >> 16);
    }
    sort(numbers, numbers + NUMBERS, is_less);
    sort(numbers, numbers + NUMBERS / 2, is_more);
    result = fibonacci(5);
    for (unsigned i = 0; i < 20; i++)
        result = choose(i % 9) + numbers[i % NUMBERS];
    for (int i = 0; i < 40; i++)
        text[i] = (char)('a' + i % 26);
    const char *from = text;
    char *to = copy;
    uint32_t left = 40, al = 'q';
    __asm__ volatile("cld\n rep movsb" : "+S"(from), "+D"(to), "+c"(left) : : "memory");
    to = copy, left = 40;
    __asm__ volatile("repne scasb" : "+D"(to), "+c"(left) : "a"(al) : "memory", "cc");
    result += left;
    double sum = 1.0;
    for (int i = 0; i < 8; i++) {
        table[i] = 1.0 / (i + 1.5);
        sum = sum * 0.75 + table[i];
        __asm__ volatile("fldl %1\n fsqrt\n fldpi\n fmulp\n fstpl %0" : "=m"(table[i]) : "m"(sum));
    }
    result += (uint32_t)(sum * 1e6);
    __asm__ volatile("pushfl\n popl %%eax\n pushal\n popal\n movl %%esp, %%edx\n pushl %%ss\n popl %%ss\n call 1f\n 1: popl %%ecx\n enter $16, $1\n leave"
                     : : : "eax", "ecx", "edx", "memory", "cc");
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
    sigaction(SIGTRAP, &action, NULL);
    /* popfl sets TF; what follows is stepped, up to the popfl that clears it. */
    __asm__ volatile("pushal\n movl %%esp, %%ebx\n movl %0, %%esp\n xorl %%eax, %%eax\n xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n movl %%ebx, (%%esp)\n"
                     "xorl %%ebx, %%ebx\n xorl %%esi, %%esi\n xorl %%edi, %%edi\n xorl %%ebp, %%ebp\n"
                     "pushl $0x302\n popfl\n"
                     "call program\n"
                     "pushl $0x202\n popfl\n"
                     "movl (%%esp), %%esp\n popal"
                     : : "r"(own_stack + sizeof own_stack - 16) : "memory", "cc");
    uint32_t sum = result;
    for (unsigned i = 0; i < NUMBERS; i++)
        sum = sum * 31 + numbers[i];
    printf("%u steps, hash %08x, result %08x\n", count, hash, sum);
    return 0;
}

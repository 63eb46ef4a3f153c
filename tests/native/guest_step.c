/*
 * Single-step by TF: a handler counts the traps of an instruction sequence and prints where each came, with
 * the registers that changed. The same program natively and in a box: the output must be the same.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define FLAG_TF 0x100
#define MOST 4000
#define SHOWN_FLAGS 0x14cd5 /* CF PF AF ZF SF DF OF NT RF */

struct step {
    uint32_t eip, eax, ecx, edx, ebx, esp, esi, edi, eflags, address;
    int signal, code, trapno;
};

static struct step steps[MOST];
static volatile unsigned count;
uint8_t source[64], target[64];
uint32_t saved_esp;
uint8_t stack[4096] __attribute__((aligned(4096)));
void (*jump_target)(void);

static void on_trap(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    if (count == MOST) {
        g[REG_EFL] &= ~FLAG_TF;
        return;
    }
    steps[count++] = (struct step){ (uint32_t)g[REG_EIP], (uint32_t)g[REG_EAX], (uint32_t)g[REG_ECX], (uint32_t)g[REG_EDX],
                                    (uint32_t)g[REG_EBX], (uint32_t)g[REG_ESP], (uint32_t)g[REG_ESI], (uint32_t)g[REG_EDI],
                                    (uint32_t)g[REG_EFL], (uint32_t)info->si_addr, signal, info->si_code, (int)g[REG_TRAPNO] };
    if (signal == SIGSEGV) /* the page comes, and the instruction starts again */
        mprotect((void *)((uintptr_t)info->si_addr & ~4095u), 4096, PROT_READ | PROT_WRITE);
    if (signal == SIGILL)
        g[REG_EIP] += 2;
}

/* The text between the labels runs with TF on; begin and end are where it lies. */
#define STEPPED(name, text)                                                                            \
    void run_##name(void);                                                                             \
    extern const uint8_t begin_##name[], end_##name[];                                                 \
    __asm__(".pushsection .text\n.globl run_" #name ", begin_" #name ", end_" #name "\n"                \
            "run_" #name ": pushal\n movl %esp, saved_esp\n movl $stack+2048, %esp\n"                    \
            " movl $source, %esi\n movl $target, %edi\n movl $5, %ecx\n movl $7, %eax\n movl $3, %edx\n xorl %ebx, %ebx\n" \
            " pushfl\n orl $0x100, (%esp)\n popfl\n"                                                   \
            "begin_" #name ": " text "\n"                                                              \
            " pushfl\n andl $~0x4500, (%esp)\n popfl\n"                                                \
            "end_" #name ": nop\n movl saved_esp, %esp\n popal\n ret\n.popsection\n")

STEPPED(plain, "incl %eax\n addl %eax, %ebx\n pushl %eax\n popl %ecx\n leal (%eax,%ecx,4), %edx\n addl $4, %esp\n subl $4, %esp\n"
               "cmpl %eax, %ebx\n movl %eax, target\n xchgl %eax, %ecx\n nop\n nopw 0(%eax)\n movzbl target, %eax\n imull %eax, %eax");
STEPPED(branches, "jmp 1f\n nop\n 1: jecxz 2f\n 2: loop 2b\n cmpl %eax, %eax\n je 3f\n nop\n 3: jne 3b\n call 4f\n jmp 5f\n"
                  "4: incl %ebx\n ret\n 5: movl $6f, %eax\n jmp *%eax\n nop\n 6: call *jump_target\n pushl $7f\n ret\n 7: stc\n jnc 7b");
STEPPED(strings, "rep movsb\n movl $3, %ecx\n rep stosl\n movl $4, %ecx\n repe cmpsb\n movl $0, %ecx\n rep lodsb\n movl $2, %ecx\n"
                 "repne scasb\n movl $source, %esi\n lodsl\n stosb\n std\n movl $2, %ecx\n rep lodsb\n cld\n"
                 "movl $2, %ecx\n .byte 0x26\n rep lodsb\n movl $3, %ecx\n movl $0, %edi\n .byte 0x67\n jecxz 1f\n 1: nop");
STEPPED(helpers, "pushfl\n popl %eax\n andl $~0x100, %eax\n daa\n aam\n cpuid\n xorl %eax, %eax\n xorl %ebx, %ebx\n xorl %ecx, %ecx\n xorl %edx, %edx\n"
                 "movw %ds, %ax\n movw %ax, %es\n pushl %ds\n popl %ds\n enter $8, $2\n leave\n"
                 "fninit\n fldpi\n fnstenv target\n fstp %st(0)\n movaps %xmm0, %xmm1\n lahf\n .byte 0xd6");
STEPPED(calls, "movl $20, %eax\n int $0x80\n xorl %eax, %eax\n movl $20, %eax\n int $0x80\n movl $1, %eax\n nop");
STEPPED(faults, "movl %eax, page\n incl %eax\n ud2\n incl %eax\n movl page, %eax\n rep stosb");
STEPPED(flags, "pushfl\n popfl\n pushfl\n andl $~0x100, (%esp)\n popfl\n nop\n nop\n pushfl\n orl $0x100, (%esp)\n popfl\n nop\n"
               "pushl $0x346\n popfw\n popw %ax\n nop\n pushfl\n pushl %cs\n pushl $1f\n iret\n nop\n 1: nop");

uint8_t page[4096] __attribute__((aligned(4096)));

void target_function(void);
__asm__(".globl target_function\ntarget_function: movl $9, %ebx\n ret\n");

static void show(const char *name, void (*run)(void), const uint8_t *begin, const uint8_t *end)
{
    count = 0;
    mprotect(page, sizeof page, PROT_NONE);
    run();
    printf("%s: %u\n", name, count);
    for (unsigned i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        int is_here = s->eip - (uint32_t)begin <= (uint32_t)(end - begin);
        printf("  %d %d %d at %s%#x address %#x eax %x ecx %x edx %x ebx %x esp %d esi %x edi %x flags %x%s\n", s->signal, s->code, s->trapno,
               is_here ? "+" : "", is_here ? s->eip - (uint32_t)begin : s->eip, s->signal == SIGTRAP ? s->address - s->eip : s->address,
               s->eax, s->ecx, s->edx, s->ebx, (int)(s->esp - (uint32_t)stack - 2048), s->esi, s->edi, s->eflags & SHOWN_FLAGS, s->eflags & FLAG_TF ? " TF" : "");
    }
}
/* ---- a whole computation --------------------------------------------- */

static uint32_t hash;
static int numbers[40];

static void on_step(int signal, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    count++;
    hash = (hash ^ (uint32_t)g[REG_EIP]) * 16777619u;
    hash = (hash ^ (uint32_t)g[REG_EAX] ^ (uint32_t)g[REG_EDX] << 1 ^ (uint32_t)g[REG_ECX] << 2) * 16777619u;
}

__attribute__((noinline)) static int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static int compare(int a, int b)
{
    return a < b ? -1 : a > b;
}

__attribute__((noinline)) static void sort(int (*volatile less)(int, int))
{
    for (unsigned i = 0; i < 40; i++)
        for (unsigned k = i; k > 0 && less(numbers[k], numbers[k - 1]) < 0; k--) {
            int swap = numbers[k];
            numbers[k] = numbers[k - 1];
            numbers[k - 1] = swap;
        }
}

static void whole(void)
{
    struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    sigaction(SIGTRAP, &action, NULL);
    count = 0;
    for (unsigned i = 0; i < 40; i++)
        numbers[i] = (int)(i * 7919 % 101);
    /* the same stack addresses in every process */
    __asm__ volatile("movl %%esp, saved_esp\n\tmovl $stack+3072, %%esp\n\tpushfl\n\torl $0x100, (%%esp)\n\tpopfl" : : : "memory", "cc");
    sort(compare);
    numbers[0] += fibonacci(11);
    __asm__ volatile("pushfl\n\tandl $~0x100, (%%esp)\n\tpopfl\n\tmovl saved_esp, %%esp" : : : "memory", "cc");
    printf("whole: %u steps, hash %x, %d %d\n", count, hash, numbers[0], numbers[39]);
}

#define SHOW(name) show(#name, run_##name, begin_##name, end_##name)

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
    jump_target = target_function;
    for (unsigned i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)(i * 3);
    sigaction(SIGTRAP, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    SHOW(plain);
    SHOW(branches);
    SHOW(strings);
    SHOW(helpers);
    SHOW(calls);
    SHOW(faults);
    SHOW(flags);
    whole();
    return 0;
}

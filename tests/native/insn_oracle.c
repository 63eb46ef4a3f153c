/*
 * Runs single i386 instructions on the processor: gcc -m32, cases on stdin,
 * results on stdout. The tests compare the runtime's helpers with it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "insn_oracle.h"

/* Names that the assembly uses. */
uint32_t oracle_in[8], oracle_in_flags, oracle_out[8], oracle_out_flags, oracle_saved_esp;
uint16_t oracle_out_es, oracle_out_fs;
void oracle_run(void);
void oracle_back(void);

__asm__(".text\n"
        ".globl oracle_run, oracle_back\n"
        "oracle_run:\n"
        "  pushal\n"
        "  movl %esp, oracle_saved_esp\n"
        "  fninit\n"
        "  pushl oracle_in_flags\n"
        "  popfl\n"
        "  movl oracle_in, %eax\n"
        "  movl oracle_in+4, %ecx\n"
        "  movl oracle_in+8, %edx\n"
        "  movl oracle_in+12, %ebx\n"
        "  movl oracle_in+16, %esp\n"
        "  movl oracle_in+20, %ebp\n"
        "  movl oracle_in+24, %esi\n"
        "  movl oracle_in+28, %edi\n"
        "  jmp 0x30000000\n"
        "oracle_back:\n"
        "  movl %eax, oracle_out\n"
        "  movl %ecx, oracle_out+4\n"
        "  movl %edx, oracle_out+8\n"
        "  movl %ebx, oracle_out+12\n"
        "  movl %esp, oracle_out+16\n"
        "  movl %ebp, oracle_out+20\n"
        "  movl %esi, oracle_out+24\n"
        "  movl %edi, oracle_out+28\n"
        "  movw %es, oracle_out_es\n"
        "  movw %fs, oracle_out_fs\n"
        "  movl oracle_saved_esp, %esp\n"
        "  pushfl\n"
        "  popl oracle_out_flags\n"
        "  pushl $0x202\n"
        "  popfl\n"
        "  movw %ss, %ax\n"
        "  movw %ax, %ds\n"
        "  movw %ax, %es\n"
        "  popal\n"
        "  ret\n");

static struct oracle_result result;
static uint32_t trap_number, trap_eip, trap_cr2;

static void trapped(int signal, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    trap_number = (uint32_t)regs[REG_TRAPNO];
    trap_eip = (uint32_t)regs[REG_EIP] - CODE;
    trap_cr2 = (uint32_t)((ucontext_t *)context)->uc_mcontext.cr2;
    regs[REG_EIP] = (greg_t)oracle_back;
}

static void *map(uint32_t at, uint32_t size, int prot)
{
    void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED)
        exit(2);
    return p;
}

int main(void)
{
    static uint8_t stack[65536];
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    uint8_t *arena = map(ARENA, ARENA_PAGES * 4096, PROT_READ | PROT_WRITE);
    uint8_t *code = map(CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    struct oracle_case c;
    sigaltstack(&alternate, NULL);
    for (int signal = 1; signal < 32; signal++)
        if (signal == SIGSEGV || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP ||
            signal == SIGBUS)
            sigaction(signal, &action, NULL);
    while (fread(&c, sizeof c, 1, stdin) == 1) {
        uint8_t *bytes = arena + c.arena_at;
        memset(arena, 0, ARENA_PAGES * 4096);
        if (c.arena_size && fread(bytes, c.arena_size, 1, stdin) != 1)
            return 2;
        memcpy(code, c.code, c.code_size);
        code[c.code_size] = 0xe9;
        uint32_t distance = (uint32_t)oracle_back - (CODE + c.code_size + 5);
        memcpy(code + c.code_size + 1, &distance, 4);
        memcpy(oracle_in, c.regs, sizeof oracle_in);
        oracle_in_flags = c.eflags;
        trap_number = 0xff;
        trap_eip = trap_cr2 = 0;
        oracle_run();
        memset(&result, 0, sizeof result);
        memcpy(result.regs, oracle_out, sizeof result.regs);
        result.eflags = oracle_out_flags;
        result.trapno = trap_number;
        result.eip = trap_eip;
        result.cr2 = trap_number == 14 ? trap_cr2 : 0;
        result.es = oracle_out_es;
        result.fs = oracle_out_fs;
        if (fwrite(&result, sizeof result, 1, stdout) != 1 ||
            (c.arena_size && fwrite(bytes, c.arena_size, 1, stdout) != 1))
            return 2;
    }
    return 0;
}

/*
 * Into translated code and out of it (System V AMD64, GNU assembler).
 *
 * vxi_enter loads the guest's registers from the context and jumps; the stubs
 * below are where translated code comes out: they store the registers with
 * instructions that leave the flags alone, go back to the host's stack and
 * return a VXI_EXIT_* to the caller of vxi_enter. x87 and SSE registers
 * pass through untouched in both directions.
 *
 * Interrupts: a signal that finds RIP in [vxi_enter_begin, vxi_enter_end)
 * sends it to vxi_enter_abort, so that no request falls between the check of
 * ctx->interrupt and the guest.
 */
#include "vxrt/context.h"

#define REG(n) (VXI_CTX_REGS + 4 * (n))
#define EFLAGS REG(9)
/* How far up the return stack to look: mostly next door, now and then further. */
#define NEAR_SLOTS 2
#define FAR_SLOTS 64
#define DIRECTION 0x400

        .text
        .globl vxi_enter, vxi_enter_begin, vxi_enter_end, vxi_enter_abort
        .globl vxi_stub_miss, vxi_stub_return, vxi_stub_underflow, vxi_stub_event
        .globl vxi_stubs_begin, vxi_stubs_end, vxi_exit_signal
        .globl vxi_copy, vxi_copy_insn, vxi_copy_fault, vxi_swap, vxi_swap_insn, vxi_swap_fault
        .hidden vxi_enter, vxi_enter_begin, vxi_enter_end, vxi_enter_abort
        .hidden vxi_stub_miss, vxi_stub_return, vxi_stub_underflow, vxi_stub_event
        .hidden vxi_stubs_begin, vxi_stubs_end, vxi_exit_signal
        .hidden vxi_copy, vxi_copy_insn, vxi_copy_fault, vxi_swap, vxi_swap_insn, vxi_swap_fault

        .balign 64
        .type vxi_enter, @function
vxi_enter:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rdi, %r15
        movq    %rsp, VXI_CTX_HOST_RSP(%r15)
vxi_enter_begin:
        movl    $1, VXI_CTX_INSIDE(%r15)
        cmpl    $0, VXI_CTX_INTERRUPT(%r15)
        jne     vxi_enter_abort
        movq    VXI_CTX_MISS(%r15), %r12
        movq    VXI_CTX_WINDOW(%r15), %r13
        movl    VXI_CTX_R8(%r15), %r8d
        movl    VXI_CTX_R9(%r15), %r9d
        movl    VXI_CTX_R10(%r15), %r10d
        movq    VXI_CTX_R11(%r15), %r11
        movl    REG(1)(%r15), %ecx
        movl    REG(2)(%r15), %edx
        movl    REG(3)(%r15), %ebx
        movl    REG(5)(%r15), %ebp
        movl    REG(6)(%r15), %esi
        movl    REG(7)(%r15), %edi
        movl    VXI_CTX_R14(%r15), %r14d
        cmpl    $0, VXI_CTX_IS_WIDE(%r15)
        je      1f
        movq    VXI_CTX_RCX(%r15), %rcx
        movq    VXI_CTX_RSI(%r15), %rsi
        movq    VXI_CTX_RDI(%r15), %rdi
1:      /* popfq is slow: arithmetic flags alone go through sahf, and OF by an addition. */
        movl    VXI_CTX_FLAGS(%r15), %eax
        testl   $~0xad7, %eax
        jnz     1f
        movl    VXI_CTX_FLAGS(%r15), %eax
        xchgb   %al, %ah                /* ah: SF ZF AF PF CF, al: OF in bit 3, IF */
        addb    $0x78, %al              /* 8 + 0x78 = 0x80: overflow; 0 + 0x78: none */
        sahf
        movq    VXI_CTX_RSP(%r15), %rsp
        movl    REG(0)(%r15), %eax
        jmpq    *VXI_CTX_ENTRY(%r15)
1:      pushq   VXI_CTX_FLAGS(%r15)
        movl    REG(0)(%r15), %eax
        popfq
        movq    VXI_CTX_RSP(%r15), %rsp
        jmpq    *VXI_CTX_ENTRY(%r15)
vxi_enter_end:

vxi_enter_abort:
        movl    $VXI_EXIT_ABORT, %eax
        jmp     leave
        .size vxi_enter, .-vxi_enter

        .balign 64
vxi_stubs_begin:
vxi_stub_miss:
        movl    %eax, REG(0)(%r15)
        movl    $VXI_EXIT_MISS, %eax
        jmp     out

        /*
         * A return that is not the one the host predicted (longjmp, unwinding, stack switching). Answered here as
         * far as possible: a frame a little further up may be the one that is returned to; else the table knows the target. The popped
         * slot is gone: below rsp there may be anything, as handlers of the application's signals run there, and code may come here without
         * having returned. r10d tells the flags (format/sandbox.h). r9-r11 are free; flags are
         * kept in eax. A request to stop that arrives meanwhile comes again (signal.c).
         */
        .balign 64
vxi_stub_return:
        movl    %eax, REG(0)(%r15)
        movl    %r10d, %eax
        testl   $0x200, %eax            /* lahf sets it */
        jz      9f
10:     cmpl    $0, VXI_CTX_STEPPING(%r15)
        jne     6f
        cmpl    $0, VXI_CTX_INTERRUPT(%r15)
        jne     6f
        incq    VXI_CTX_RETURN_MISSES(%r15)
        movl    %ecx, REG(1)(%r15)
        movq    %rsp, %r9
        leaq    8*NEAR_SLOTS(%rsp), %r10
        testb   $15, VXI_CTX_RETURN_MISSES(%r15)
        jnz     7f
        leaq    8*FAR_SLOTS(%rsp), %r10
7:      cmpq    VXI_CTX_RSP_TOP(%r15), %r10
        jbe     1f
        movq    VXI_CTX_RSP_TOP(%r15), %r10
1:      cmpq    %r10, %r9
        jae     4f
        movq    (%r9), %r11
        addq    $8, %r9
        leal    15(%r11), %ecx          /* the page after may not be readable */
        xorl    %r11d, %ecx
        testl   $0xfffff000, %ecx
        jnz     1b
        movl    (%r11), %ecx
        cmpl    $0x41c98941, %ecx       /* S3 */
        je      2f
        andl    $0xffffff, %ecx
        cmpl    $0xf88141, %ecx         /* cmpl $G,%r8d */
        jne     1b
        cmpl    %r8d, 3(%r11)
        jne     1b
        jmp     3f
2:      movl    6(%r11), %ecx           /* -G */
        addl    %r8d, %ecx
        jnz     1b
3:      movq    %r9, %rsp
        jmp     5f
4:      movl    %r8d, %r11d
        movq    VXI_CTX_TABLE(%r15,%r11,8), %r11
        leaq    (%r12,%r11), %r11
5:      movl    REG(1)(%r15), %ecx
        addb    $0x7f, %al              /* OF */
        sahf
        movl    REG(0)(%r15), %eax
        jmpq    *%r11
6:      addb    $0x7f, %al
        sahf
        movl    $VXI_EXIT_RETURN, %eax
        jmp     out
9:      movl    %eax, %r9d
        shrl    $16, %r9d               /* added */
        movzwl  %r10w, %r10d            /* popped since */
        movl    %r14d, %eax
        subl    %r10d, %eax
        subl    %r9d, %eax
        addl    %r9d, %eax              /* again */
        lahf
        seto    %al
        jmp     10b

        .balign 16
vxi_stub_underflow:
        /* The sentinel was popped; it stays in its slot. */
        movq    VXI_CTX_RSP_TOP(%r15), %rsp
        movl    %eax, REG(0)(%r15)
        movl    $VXI_EXIT_UNDERFLOW, %eax
        jmp     out

        .balign 16
vxi_stub_event:
        movl    %eax, REG(0)(%r15)
        movl    %r9d, VXI_CTX_R9(%r15)
        movl    %r10d, VXI_CTX_R10(%r15)
        movl    $VXI_EXIT_EVENT, %eax
out:
        movl    $0, VXI_CTX_IS_WIDE(%r15)
        movl    %r8d, VXI_CTX_R8(%r15)
        movl    %ecx, REG(1)(%r15)
        movl    %edx, REG(2)(%r15)
        movl    %ebx, REG(3)(%r15)
        movl    %r14d, REG(4)(%r15)
        movl    %ebp, REG(5)(%r15)
        movl    %esi, REG(6)(%r15)
        movl    %edi, REG(7)(%r15)
        movq    %rsp, VXI_CTX_RSP(%r15)
        movq    VXI_CTX_HOST_RSP(%r15), %rsp
        pushfq
        popq    %rcx
        movl    %ecx, EFLAGS(%r15)
        testl   $DIRECTION, %ecx
        jz      leave
        cld
leave:
        movl    $0, VXI_CTX_INSIDE(%r15)
        movq    VXI_CTX_HOST_RSP(%r15), %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        /* From a signal handler that took the state itself; r15 and the flags are set by it. */
vxi_exit_signal:
        movl    $VXI_EXIT_SIGNAL, %eax
        jmp     leave
vxi_stubs_end:

        /* size_t vxi_copy(void *dst, const void *src, size_t n) */
        .balign 16
        .type vxi_copy, @function
vxi_copy:
        movq    %rdx, %rcx
vxi_copy_insn:
        rep movsb
vxi_copy_fault:
        movq    %rcx, %rax
        ret
        .size vxi_copy, .-vxi_copy

        /* int vxi_swap(void *at, uint32_t *value, uint32_t new) */
        .balign 16
        .type vxi_swap, @function
vxi_swap:
        movl    (%rsi), %eax
vxi_swap_insn:
        lock cmpxchgl %edx, (%rdi)
        movl    %eax, (%rsi)
        movl    $1, %eax
        ret
vxi_swap_fault:
        xorl    %eax, %eax
        ret
        .size vxi_swap, .-vxi_swap

        .section .note.GNU-stack, "", @progbits

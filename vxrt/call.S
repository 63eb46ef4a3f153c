/*
 * Calls between host and guest (System V AMD64 on one side, i386 cdecl on the other).
 *
 * vxi_call runs a guest function as a call, so that the processor predicts both its entry and its
 * return; the guest's return to VX_GATE_RETURN comes out behind the call instruction. vxi_stub_host is
 * where the table sends a guest that calls an import: it runs the host function on the host's stack, and
 * returns to the guest.
 *
 * At a call boundary cdecl keeps ebx ebp esi edi esp alone: x87 stack and MMX registers are empty, xmm registers dead.
 * So nothing is saved. What the guest sees next is cleared; control words are each side's own.
 *
 * Requests to stop that arrive in this code come again (signal.c, `inside`).
 */
#include "vxrt/context.h"

#define REG(n) (VXI_CTX_REGS + 4 * (n))
#define EIP REG(8)
#define FX_CONTROL VXI_CTX_FX
#define FX_MXCSR (VXI_CTX_FX + 24)
#define CLEAN_CONTROL 0x37f
#define X87_PENDING 0xff        /* exception flags of the x87 status word */

        .text
        .globl vxi_call, vxi_call_done, vxi_stub_host, vxi_calls_begin, vxi_calls_end
        .globl vxi_copy_words, vxi_words_insn, vxi_spread_words, vxi_spread_insn, vxi_words_fault
        .hidden vxi_call, vxi_call_done, vxi_stub_host, vxi_calls_begin, vxi_calls_end
        .hidden vxi_copy_words, vxi_words_insn, vxi_spread_words, vxi_spread_insn, vxi_words_fault

/*
 * The x87 unit as either side may find it: no exception flags, condition bits zero, the marker in mm7. Reading the
 * status word costs more than the rest of a crossing, so the marker, all ones, says that nobody has used
 * the unit since it was set: TOP was 0, and whatever is pushed first goes to the register of mm7. Changes rax.
 */
        .macro  CHECK_X87
        movq    %mm7, %rax
        incq    %rax
        jz      3f
        fnstsw  %ax
        testb   $X87_PENDING, %al
        jz      2f
        fnclex
2:      emms
        fld1
        ftst
        fstp    %st(0)
        pcmpeqd %mm7, %mm7
3:
        .endm

/*
 * Host -> guest: registers of constant content, the guest's control words. MMX instructions reach what empty x87
 * registers hold, so that is cleared as well. Changes rax.
 */
        .macro  SHOW_NOTHING
        CHECK_X87
        pxor    %mm0, %mm0
        pxor    %mm1, %mm1
        pxor    %mm2, %mm2
        pxor    %mm3, %mm3
        pxor    %mm4, %mm4
        pxor    %mm5, %mm5
        pxor    %mm6, %mm6
        emms
        cmpl    $0, VXI_CTX_HAS_AVX(%r15)
        je      1f
        vzeroall
        jmp     2f
1:      xorps   %xmm0, %xmm0
        xorps   %xmm1, %xmm1
        xorps   %xmm2, %xmm2
        xorps   %xmm3, %xmm3
        xorps   %xmm4, %xmm4
        xorps   %xmm5, %xmm5
        xorps   %xmm6, %xmm6
        xorps   %xmm7, %xmm7
2:      movzwl  FX_CONTROL(%r15), %eax
        cmpw    VXI_CTX_HOST_CONTROL(%r15), %ax
        je      1f
        fldcw   FX_CONTROL(%r15)
1:      movl    FX_MXCSR(%r15), %eax
        cmpl    VXI_CTX_HOST_MXCSR(%r15), %eax
        je      1f
        ldmxcsr FX_MXCSR(%r15)
1:
        .endm

/* Guest -> host: the host's control words. The x87 stack is still the guest's. Changes rax. */
        .macro  HOST_CONTROLS
        stmxcsr FX_MXCSR(%r15)
        movl    FX_MXCSR(%r15), %eax
        cmpl    VXI_CTX_HOST_MXCSR(%r15), %eax
        je      1f
        ldmxcsr VXI_CTX_HOST_MXCSR(%r15)
1:      movzwl  FX_CONTROL(%r15), %eax
        cmpw    $CLEAN_CONTROL, %ax
        jne     2f
        cmpw    VXI_CTX_HOST_CONTROL(%r15), %ax
        je      1f
2:      fnclex                                  /* an exception that either word lets through */
        fldcw   VXI_CTX_HOST_CONTROL(%r15)
1:      cmpl    $0, VXI_CTX_HAS_AVX(%r15)
        je      1f
        vzeroupper
1:
        .endm

        .balign 64
vxi_calls_begin:
        /* int vxi_call(struct vxi_context *ctx): VXI_EXIT_* */
        .type vxi_call, @function
vxi_call:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rdi, %r15
        movq    %rsp, VXI_CTX_HOST_RSP(%r15)
        movl    $1, VXI_CTX_INSIDE(%r15)
        cmpl    $0, VXI_CTX_INTERRUPT(%r15)
        jne     vxi_enter_abort
        stmxcsr VXI_CTX_HOST_MXCSR(%r15)
        fnstcw  VXI_CTX_HOST_CONTROL(%r15)
        SHOW_NOTHING
        movq    VXI_CTX_MISS(%r15), %r12
        movq    VXI_CTX_WINDOW(%r15), %r13
        movl    VXI_CTX_R14(%r15), %r14d
        movl    REG(3)(%r15), %ebx
        movl    REG(5)(%r15), %ebp
        movl    REG(6)(%r15), %esi
        movl    REG(7)(%r15), %edi
        movl    EIP(%r15), %r8d
        movq    VXI_CTX_RSP(%r15), %rsp
        xorl    %r9d, %r9d
        xorl    %r10d, %r10d
        xorl    %r11d, %r11d
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        callq   *VXI_CTX_ENTRY(%r15)
vxi_call_done:
        /* A continuation like those of translated code (S3 of sandbox.h), byte by byte. */
        .byte   0x41, 0x89, 0xc9                /* movl %ecx,%r9d */
        .byte   0x41, 0x8d, 0x88                /* leal -VX_GATE_RETURN(%r8),%ecx */
        .long   0x100000000 - VX_GATE_RETURN
        .byte   0x48, 0x8d, 0x49, 0xff          /* leaq -1(%rcx),%rcx */
        .byte   0x48, 0x0f, 0xc9                /* bswapq %rcx */
        .byte   0x67, 0xe3, 2                   /* jecxz other */
        jmp     1f
other:  movl    %r9d, %ecx
        jmp     vxi_stub_return
1:      movl    %eax, REG(0)(%r15)
        movl    %edx, REG(2)(%r15)
        movl    %r14d, REG(4)(%r15)
        movq    %rsp, VXI_CTX_RSP(%r15)
        movq    VXI_CTX_HOST_RSP(%r15), %rsp
        cld
        fnstcw  FX_CONTROL(%r15)
        cmpl    $0, VXI_CTX_IS_FLOAT(%r15)
        jne     result
8:      HOST_CONTROLS
        CHECK_X87
        emms
        movl    $VXI_EXIT_DONE, %eax
back:   movl    $0, VXI_CTX_IS_WIDE(%r15)
        movl    $0, VXI_CTX_INSIDE(%r15)
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
        /* st0, whatever the guest's control word: nothing may be pending when it is stored. */
result: cmpw    $CLEAN_CONTROL, FX_CONTROL(%r15)
        je      1f
        fnclex
        fldcw   clean_control(%rip)
1:      cmpl    $VXI_FLOAT, VXI_CTX_IS_FLOAT(%r15)
        je      1f
        fstpl   VXI_CTX_RESULT(%r15)
        jmp     8b
1:      fstps   VXI_CTX_RESULT(%r15)
        jmp     8b
        .size vxi_call, .-vxi_call

        /* r8d = address of the import, r14d = esp, where the return address is. */
        .balign 64
vxi_stub_host:
        movl    %eax, REG(0)(%r15)
        cmpl    $0, VXI_CTX_INTERRUPT(%r15)
        jne     vxi_stub_miss
        cmpl    $0, VXI_CTX_STEPPING(%r15)
        jne     vxi_stub_miss
        movl    %ecx, REG(1)(%r15)
        movl    %edx, REG(2)(%r15)
        movl    %ebx, REG(3)(%r15)
        movl    %r14d, REG(4)(%r15)
        movl    %ebp, REG(5)(%r15)
        movl    %esi, REG(6)(%r15)
        movl    %edi, REG(7)(%r15)
        movl    %r8d, EIP(%r15)
        movq    %rsp, VXI_CTX_RSP(%r15)
        movq    VXI_CTX_HOST_RSP(%r15), %rsp
        movl    $0, VXI_CTX_INSIDE(%r15)
        cld
        pushq   %rsi
        pushq   %rdi
        pushq   %rdi                            /* for alignment */
        fnstcw  FX_CONTROL(%r15)
        HOST_CONTROLS
        pcmpeqd %mm7, %mm7
        emms
        movq    %r15, %rdi
        call    vxi_host_call
        addq    $8, %rsp
        popq    %rdi
        popq    %rsi
        movq    %rsp, VXI_CTX_HOST_RSP(%r15)    /* nested calls had their own */
        cmpl    $VXI_HOST_TRAP, %eax
        je      failed
        movl    $1, VXI_CTX_INSIDE(%r15)
        movl    %eax, %ecx
        SHOW_NOTHING
        testl   %ecx, %ecx
        jz      1f
        fldl    VXI_CTX_RESULT(%r15)
1:      movl    REG(0)(%r15), %eax
        movl    REG(2)(%r15), %edx
        movq    VXI_CTX_RSP(%r15), %rsp
        xorl    %r9d, %r9d
        movl    $0x200, %r10d                   /* as a ret: no flags */
        xorl    %r11d, %r11d
        movl    EIP(%r15), %r8d                 /* vxi_host_call has put the return address there */
        leal    4(%r14), %r14d
        cmpl    $0, VXI_CTX_INTERRUPT(%r15)
        jne     vxi_stub_miss
        movl    %r11d, %ecx
        ret
failed: movl    $VXI_EXIT_HOST, %eax
        jmp     back
vxi_calls_end:

        .balign 16
clean_control:
        .word   CLEAN_CONTROL

        /* size_t vxi_copy_words(uint32_t *dst, const uint32_t *src, size_t n): words not stored. n > 0 */
        .balign 16
        .type vxi_copy_words, @function
vxi_copy_words:
        leaq    (%rdi,%rdx,4), %rdi
        leaq    (%rsi,%rdx,4), %rsi
        negq    %rdx
1:      movl    (%rsi,%rdx,4), %eax
vxi_words_insn:
        movl    %eax, (%rdi,%rdx,4)
        incq    %rdx
        jnz     1b
vxi_words_fault:
        movq    %rdx, %rax
        negq    %rax
        ret
        .size vxi_copy_words, .-vxi_copy_words

        /* size_t vxi_spread_words(uint64_t *dst, const uint32_t *src, size_t n): words not copied. n > 0 */
        .balign 16
        .type vxi_spread_words, @function
vxi_spread_words:
        leaq    (%rdi,%rdx,8), %rdi
        leaq    (%rsi,%rdx,4), %rsi
        negq    %rdx
vxi_spread_insn:
1:      movl    (%rsi,%rdx,4), %eax
        movq    %rax, (%rdi,%rdx,8)
        incq    %rdx
        jnz     1b
        movq    %rdx, %rax
        ret
        .size vxi_spread_words, .-vxi_spread_words

        .section .note.GNU-stack, "", @progbits

/*
 * The sandbox contract: what translated code may assume and must obey.
 *
 * This is the only file that the translator and the verifier share. The
 * translator emits code of this form; the verifier accepts nothing else; the
 * runtime provides the environment. Every rule is local: no data flow
 * analysis is needed to check it.
 *
 * REGISTERS
 *   eax ecx edx ebx ebp esi edi   the guest's; upper halves carry no meaning
 *   r14d                          the guest's ESP
 *   r8 r9 r10                     scratch, free use in 8/16/32-bit operations
 *   r11                           only inside the table jump (S1)
 *   r12                           address of the runtime's lookup-miss stub
 *   r13                           window base (4 GiB aligned), only in S2
 *   r15                           runtime context of the box, only as listed
 *   rsp                           return stack, only through call and ret
 *   xmm0-7 (ymm0-7), mm/x87, flags   the guest's
 *   %gs base = window base. rsp, r11, r12, r13, r15 (any width) appear as
 *   operands nowhere but in the listed forms: host addresses never reach a
 *   register that other code can read.
 *
 * MEMORY OPERANDS (all guest data)
 *   Prefix bytes, in exactly this order, then opcode:
 *       65 67 [f0] [66] [f2|f3] [REX]
 *   65 67 are present exactly when the instruction accesses memory through
 *   ModRM. 67 cuts the effective address to 32 bits in hardware before the
 *   base is added. Base and index: any register but rsp, r11, r12, r13, r15.
 *   No RIP-relative form: [disp32] is encoded through SIB (mod 0, rm 4, base 5,
 *   no index). LEA and multi-byte NOP (0f 1f) access nothing and carry no 65/67
 *   (their operand registers obey the same exclusions; LEA has a 16- or
 *   32-bit destination and is never RIP-relative).
 *   The same order without 65 67 holds for instructions without memory
 *   operand: [66] [f2|f3] [REX] opcode. REX is 41..47: W never, outside the
 *   listed sequences. 8-bit registers are al cl dl bl ah ch dh bh without REX
 *   and al cl dl bl r8b r9b r10b r14b with it (spl bpl sil dil are denied).
 *   xmm8-15 are denied.
 *
 * VEX
 *   [65 67] c4|c5 ... in either form, with no other prefix; 65 67 and the
 *   operands as above, VEX.R, X and B as the bits of REX. VEX.W is 0 but where
 *   the row asks for 1, and 0 wherever a general register is named. VEX.vvvv
 *   names what REX.R could name: a general register that is not denied, ymm0-7,
 *   or is 1111. A register in the immediate is ymm0-7. Gathers and vmaskmovdqu
 *   are not listed: their addresses are not those of ModRM.
 *
 * CONTEXT OPERANDS: no prefix but REX, base r15, mod 1 (disp8), exactly:
 *       movl disp8(%r15), %r8d|%r9d|%r10d   disp8 = VX_CTX_FS_BASE, VX_CTX_GS_BASE
 *       jmpq *disp8(%r15)                   disp8 = VX_CTX_RETURN, VX_CTX_EVENT
 *
 * CONTROL FLOW
 *   jmp rel8/rel32, jcc rel8/rel32, jecxz rel8 (67 e3), call rel32, ret (c3),
 *   without any other prefix. Every direct target is an instruction boundary
 *   outside the interior of a sequence in the same chunk, or a declared entry in
 *   another chunk of the zone. A call is never the last instruction of a
 *   chunk. The last instruction of a chunk does not fall through. hlt (f4) is
 *   the padding byte; it traps, and does not fall through.
 *
 * SEQUENCES (indivisible: no branch target, entry or continuation inside)
 *   S1 table jump or call:
 *       movl ..., %r8d            8b /r with reg=r8 (register or 65 67 memory
 *                                 operand), or 41 b8 imm32
 *       movq VX_CTX_TABLE(%r15,%r8,8), %r11      4f 8b 9c c7 disp32
 *       leaq (%r12,%r11), %r11                   4f 8d 1c 1c
 *       jmpq *%r11  41 ff e3   or   callq *%r11  41 ff d3
 *   S2 string instruction, address size 64, no segment prefix:
 *       uses rSI (movs lods cmps):  movl %esi,%esi      89 f6
 *                                   leaq (%r13,%rsi),%rsi   49 8d 74 35 00
 *       uses rDI (movs stos scas cmps): movl %edi,%edi  89 ff
 *                                   leaq (%r13,%rdi),%rdi   49 8d 7c 3d 00
 *       with f2/f3:                 movl %ecx,%ecx      89 c9
 *       [66] [f2|f3] a4 a5 a6 a7 aa ab ac ad ae af      (in this order)
 *     (66 with a 16-bit element; never REX.W.)
 *   S3 flag-preserving comparison of r8d with the constant G:
 *       movl %ecx,%r9d            41 89 c9
 *       leal -G(%r8),%ecx         41 8d 88 imm32      (imm32 = -G)
 *       leaq -1(%rcx),%rcx        48 8d 49 ff
 *       bswapq %rcx               48 0f c9
 *       jecxz miss                67 e3 rel8          (miss: r8d != G)
 *       movl %r9d,%ecx            44 89 c9
 *     The miss target starts with 44 89 c9 (restores ecx).
 *
 * CALL AND RETURN (contract between translator and runtime; the verifier only
 * needs the rules above)
 *   Guest call: store the guest return address on the guest stack, adjust
 *   r14d, then call rel32 or S1 with callq. Guest ret: r8d = guest return
 *   address, adjust r14d, host ret. The instruction after a host call is a
 *   continuation and starts with one of
 *       cmpl $G,%r8d (41 81 f8 imm32) ; jne miss
 *       S3
 *   where miss leads to jmpq *VX_CTX_RETURN(%r15) with r8d intact, and r10d too: cmpl has
 *   lost the guest's flags, and r10d holds what ret left there: either AH and AL
 *   as `lahf; seto %al` make them in bits 15-0 (so bit 9 is set), or, where an add of a constant
 *   to ESP made the flags, VX_RETURN_ADD_ESP. Behind S3 the miss path makes r10d itself. The runtime
 *   reads G from these bytes to resynchronise the return stack.
 *   A stale return-stack slot holds the runtime's return-miss stub: legal.
 *
 * EVENTS: everything that needs the runtime ends the block with
 *       movl $EIP,%r8d ; movl $code,%r9d ; [leal operand,%r10d]
 *       jmpq *VX_CTX_EVENT(%r15)
 *   EIP is the address of the guest instruction; code as below. All guest
 *   registers, r14d (= ESP) and flags are exact there, as before the
 *   instruction.
 */
#ifndef VX_FORMAT_SANDBOX_H
#define VX_FORMAT_SANDBOX_H

#define VX_CONTRACT_VERSION 3

/* Offsets from r15. */
#define VX_CTX_RETURN 0x00  /* 8 bytes: stub, continuation mismatch, r8d = target */
#define VX_CTX_EVENT 0x08   /* 8 bytes: stub, event, r8d/r9d/r10d as above */
#define VX_CTX_FS_BASE 0x10 /* 4 bytes: base of the guest's %fs */
#define VX_CTX_GS_BASE 0x14 /* 4 bytes: base of the guest's %gs */
#define VX_CTX_TABLE 0x1000 /* 8 bytes per guest address: entry - miss stub; 0 = miss */

/* r10d at a ret: the flags are those of an addition to ESP, after which `popped` bytes were taken off the stack. Bit 9 is clear. */
#define VX_RETURN_ADD_MAX 0xffff
#define VX_RETURN_POPPED_MAX 0x1ff
#define VX_RETURN_ADD_ESP(added, popped) ((uint32_t)(added) << 16 | (uint32_t)(popped))

/* Event code in r9d: bits 0-7 number, 8-23 operand, 24-27 instruction length. */
#define VX_EVENT(number, operand, length) \
    ((uint32_t)(number) | (uint32_t)(operand) << 8 | (uint32_t)(length) << 24)
#define VX_EVENT_NUMBER(code) ((code) & 0xffu)
#define VX_EVENT_OPERAND(code) ((code) >> 8 & 0xffffu)
#define VX_EVENT_LENGTH(code) ((code) >> 24 & 0xfu)

/*
 * Event numbers. r10d holds an effective address (segment base included) where
 * the comment says EA. "o16" is operand bit 15: 16-bit operand size.
 */
enum vx_event {
    VX_EVENT_SYSCALL = 1, /* int 0x80 */
    VX_EVENT_TRAP = 2,    /* operand = vector: 1 #DB (icebp), 3 #BP, 4 #OF, 5 #BR, 6 #UD, 13 #GP */
    VX_EVENT_INT = 3,     /* int n, operand = n (not 0x80, 3, 4) */
    VX_EVENT_STEP = 4,    /* end of a single-instruction unit; r8d = next EIP, length 0 */
    /* helpers: the runtime does the instruction and goes on after it */
    VX_EVENT_CPUID = 16,
    VX_EVENT_XGETBV,
    VX_EVENT_RDTSCP,
    VX_EVENT_PUSHF,  /* o16 */
    VX_EVENT_POPF,   /* o16 */
    VX_EVENT_DAA,
    VX_EVENT_DAS,
    VX_EVENT_AAA,
    VX_EVENT_AAS,
    VX_EVENT_AAM,    /* operand bits 0-7 = imm8 */
    VX_EVENT_AAD,    /* operand bits 0-7 = imm8 */
    VX_EVENT_SALC,
    VX_EVENT_BOUND,  /* EA; operand bits 0-2 = register, o16 */
    VX_EVENT_ENTER,  /* r10d = imm16 size | nesting level << 16; o16 */
    VX_EVENT_MOV_FROM_SEG, /* operand bits 0-2 segment (es cs ss ds fs gs), 4-6 GPR, bit 8: to memory at EA; o16 */
    VX_EVENT_MOV_TO_SEG,   /* operand bits 0-2 segment, 4-6 GPR, bit 8: from memory at EA */
    VX_EVENT_PUSH_SEG,     /* operand bits 0-2 segment, o16 */
    VX_EVENT_POP_SEG,      /* operand bits 0-2 segment, o16 */
    VX_EVENT_LOAD_FAR,     /* les lds lss lfs lgs: EA; operand bits 0-2 segment, 4-6 GPR, o16 */
    VX_EVENT_FNSTENV,      /* EA, o16 */
    VX_EVENT_FLDENV,       /* EA, o16 */
    VX_EVENT_FNSAVE,       /* EA, o16 */
    VX_EVENT_FRSTOR,       /* EA, o16 */
    VX_EVENT_FXSAVE,       /* EA */
    VX_EVENT_FXRSTOR,      /* EA */
    VX_EVENT_STRING,       /* string instruction with 16-bit addresses or fs/gs override:
                              operand bits 0-7 opcode (a4..af), 8-9 rep (0, 2, 3), 10 = addr16,
                              11 = 16-bit element, 12-14 source segment (es cs ss ds fs gs) */
    VX_EVENT_ARPL,         /* r10d = EA or GPR number; operand bit 8: memory, bits 0-2 source register */
    VX_EVENT_LAR_LSL,      /* operand bits 0-2 destination, 3 = lsl, 4-6 GPR, 8 = memory at EA; o16 */
    VX_EVENT_VERR_VERW,    /* operand bit 3 = verw, 4-6 GPR, 8 = memory at EA */
    VX_EVENT_FAR_JUMP,     /* r10d = offset; operand = selector; */
    VX_EVENT_FAR_CALL,     /* r10d = offset; operand = selector; */
    VX_EVENT_MASKMOV,      /* maskmovq, maskmovdqu: r10d = EDI + segment base; operand bits 0-7 ModRM, 8 = xmm */
    VX_EVENT_FAR_RET,      /* r10d = imm16 | iret << 16; o16 */
    VX_EVENT_FAR_MEMORY,   /* far jmp or call through memory: EA; operand bit 0 = call, o16 */
    VX_EVENT_FAR_CALL_16,  /* as FAR_CALL, with two 16-bit words on the stack */
    VX_EVENT_GATHER,       /* EA of index 0; operand bits 0-2 destination, 3-5 mask, 6-8 indices, 9-10 scale,
                              11 = 64-bit indices, 12 = 64-bit elements, 13 = ymm */
    VX_EVENT_XSAVE,        /* EA; operand bits 0-1: 0 xsave, 1 xsaveopt, 2 xsavec */
    VX_EVENT_XRSTOR,       /* EA */
    VX_EVENT_LAST = VX_EVENT_XRSTOR,
};

#endif

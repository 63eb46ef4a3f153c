/*
 * Guest instruction decoder: bytes of i386 code -> struct vxt_insn.
 *
 * Driven by one table (optable.h), one row an encoding, in the notation of
 * the opcode maps of the Intel manual (SDM vol. 2, appendix A). What the
 * chosen virtual CPU does not have is VXT_UD. Untrusted part: its mistakes can give wrong guests, not unsafe hosts.
 */
#ifndef VX_TRANSLATE_DECODE_H
#define VX_TRANSLATE_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/cpu.h"
#include "format/types.h"

/* Arithmetic flags, one bit each (not the EFLAGS layout). */
enum {
    VXT_CF = 1, VXT_PF = 2, VXT_AF = 4, VXT_ZF = 8, VXT_SF = 16, VXT_OF = 32,
    VXT_FLAGS = 63
};

/* What the translator has to do with an instruction. */
enum vxt_class {
    VXT_PASS,      /* the same opcode in 64-bit mode: only registers and memory operand are re-encoded */
    VXT_UD,        /* not an instruction of the virtual CPU: #UD */
    VXT_GP,        /* privileged or refused: #GP (hlt, in, out, cli, sti, lgdt, mov cr, rdpmc, ...) */
    VXT_TRUNC,     /* runs past the bytes available: the fetch faults */
    VXT_INC_R, VXT_DEC_R,               /* 40-4f */
    VXT_PUSH_R, VXT_POP_R,              /* 50-5f */
    VXT_PUSH_I,                         /* 68, 6a (imm sign-extended) */
    VXT_PUSH_E, VXT_POP_E,              /* ff /6, 8f /0 */
    VXT_PUSHA, VXT_POPA, VXT_PUSHF, VXT_POPF,
    VXT_PUSH_SEG, VXT_POP_SEG,          /* seg in .seg_reg */
    VXT_CALL, VXT_CALL_E, VXT_JMP, VXT_JMP_E, /* direct: .target */
    VXT_JCC,                            /* .cc, .target */
    VXT_LOOP, VXT_LOOPE, VXT_LOOPNE, VXT_JCXZ, /* .target; addr16: counter is cx */
    VXT_RET,                            /* c3, c2: .imm = bytes to pop */
    VXT_LEAVE, VXT_ENTER,               /* enter: .imm = size, .imm2 = level */
    VXT_INT,                            /* cd ib: .imm */
    VXT_INT3, VXT_INTO, VXT_INT1,       /* cc, ce, f1 */
    VXT_MOV_MOFFS,                      /* a0-a3: .disp; opcode bit 1 = store */
    VXT_STRING,                         /* a4-a7, aa-af; 6c-6f (ins, outs) are VXT_GP */
    VXT_XLAT, VXT_LEA, VXT_NOP_E,       /* NOP_E: 0f 1f and other hint nops with ModRM, endbr32, prefetches */
    VXT_BOUND, VXT_LOAD_FAR,            /* seg in .seg_reg */
    VXT_MOV_FROM_SEG, VXT_MOV_TO_SEG,
    VXT_DAA, VXT_DAS, VXT_AAA, VXT_AAS, VXT_AAM, VXT_AAD, VXT_SALC,
    VXT_CPUID, VXT_XGETBV, VXT_RDTSCP,
    VXT_ARPL, VXT_LAR, VXT_LSL, VXT_VERR, VXT_VERW,
    VXT_FAR_JMP, VXT_FAR_CALL,          /* 9a, ea: .imm offset, .imm2 selector */
    VXT_FAR_RET,                        /* cb, ca, cf (iret: .imm2 = 1) */
    VXT_FAR_E,                          /* ff /3, ff /5 */
    VXT_FNSTENV, VXT_FLDENV, VXT_FNSAVE, VXT_FRSTOR, VXT_FXSAVE, VXT_FXRSTOR,
    VXT_CLFLUSH,
    VXT_FFREEP,                         /* df c0+i: ffree and a pop */
    VXT_GATHER,                         /* a vector of addresses */
    VXT_XSAVE, VXT_XSAVEC, VXT_XSAVEOPT, VXT_XRSTOR,
    VXT_CLASS_COUNT
};

/* Kind of the ModRM.reg, ModRM.rm (register form) and opcode-embedded register operands. */
enum vxt_reg_kind {
    VXT_R_NONE,  /* no operand there (opcode extension, x87 st(i), or absent) */
    VXT_R_8,     /* 8-bit GPR: al cl dl bl ah ch dh bh */
    VXT_R_V,     /* 16- or 32-bit GPR by .osize */
    VXT_R_16,    /* always a 16-bit GPR */
    VXT_R_32,    /* always a 32-bit GPR */
    VXT_R_MMX, VXT_R_XMM, VXT_R_SEG
};

struct vxt_insn {
    vx_gaddr addr;
    uint8_t length;      /* bytes; 1..15. For VXT_UD: of the part that was decoded, >= 1 */
    uint8_t klass;       /* enum vxt_class */
    /* prefixes */
    bool addr16;         /* 67 */
    bool osize16;        /* 66 as operand size (not as mandatory prefix) */
    bool lock;           /* f0, legal here (else the class is VXT_UD) */
    uint8_t rep;         /* string instructions: 0, 0xf2, 0xf3. Others: 0 */
    int8_t seg;          /* last segment prefix: -1 none, 0 es 1 cs 2 ss 3 ds 4 fs 5 gs */
    uint8_t mandatory;   /* 0, 0x66, 0xf2, 0xf3: prefix that is part of the opcode */
    /* VEX */
    bool is_vex;
    bool vex_l, vex_w;   /* false where the instruction ignores them */
    uint8_t vsib, vsib_scale; /* GATHER: register of the indices, log2 of their scale; base and disp are as in other addresses */
    uint8_t vvvv, vvvv_kind; /* register and its enum vxt_reg_kind: VXT_R_32, VXT_R_XMM (or ymm) or none */
    /* opcode */
    uint8_t map;         /* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a */
    uint8_t opcode;
    bool has_modrm;
    uint8_t modrm;       /* as in the bytes; for 16-bit addresses too */
    uint8_t reg, rm;     /* ModRM fields; for opcode-embedded registers rm = the register, has_modrm false */
    bool is_mem;         /* ModRM names memory */
    uint8_t reg_kind, rm_kind; /* enum vxt_reg_kind; rm_kind also for opcode-embedded registers */
    bool reg_write, reg_read;  /* explicit operand in ModRM.reg is written / read */
    bool rm_write, rm_read;    /* same for ModRM.rm or the embedded register, register or memory */
    bool byte_op;        /* rm is an 8-bit operand */
    /* 32-bit addresses: base/index 0-7 or -1 none; 16-bit: base/index as bx si etc. by number, disp sign-extended */
    int8_t base, index;
    uint8_t scale;       /* 0-3: log2 */
    int32_t disp;
    /* immediates */
    uint8_t imm_size;    /* bytes of immediate in the encoding: 0 1 2 4 (branches: 0) */
    uint32_t imm;        /* sign-extended to 32 bits where the instruction sign-extends, else zero-extended */
    uint32_t imm2;
    vx_gaddr target;     /* direct branches: where to (masked to 16 bits when osize16) */
    uint8_t cc;          /* JCC: condition 0-15 */
    uint8_t seg_reg;     /* MOV/PUSH/POP seg, LOAD_FAR: 0 es .. 5 gs */
    /* flags, VXT_CF.. bits. written: certainly overwritten whatever the inputs. Flags that the manual calls
     * undefined count as written only for and/or/xor/test and shifts by a nonzero immediate. */
    uint8_t flags_read, flags_written;
    uint32_t cpu;        /* VX_CPU_*: feature the row needs, 0 = VX_CPU_I686 */
};

/*
 * Decode one instruction of a virtual CPU (VX_CPU_*). bytes: code at addr; available: bytes readable there
 * (>= 1). Always fills *insn. Thread-safe.
 */
void vxt_decode_cpu(uint32_t cpu, const uint8_t *bytes, uint32_t available, vx_gaddr addr, struct vxt_insn *insn);
/* The same for the default CPU. */
void vxt_decode(const uint8_t *bytes, uint32_t available, vx_gaddr addr, struct vxt_insn *insn);

/* Mnemonic of a decoded instruction, lower case ("add", "cvtsi2sd"), "(bad)" for VXT_UD. */
const char *vxt_mnemonic(const struct vxt_insn *insn);

#endif

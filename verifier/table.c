/*
 * The allow-list: every host instruction form that translated code may hold,
 * in the notation of the Intel manual's opcode maps (SDM vol. 2, appendix A).
 * What has no row here is refused, but for the context operands (decode.h)
 * and the sequences with REX.W (sequence.c), which are compared byte by byte.
 *
 * COLUMNS of INSN, one row an encoding; no column has a default
 *   map    M0 one byte, M1 0f, M2 0f 38, M3 0f 3a
 *   pfx    NP none; OS none or 66 (operand size 16); 66 F2 F3 mandatory;
 *          F2o F3o mandatory, 66 allowed with it (operand size 16)
 *   op     opcode byte
 *   reg    what ModRM.reg names: G8 GV general register of 8 or 16/32 bits,
 *          X xmm, N mmx, i ignored by the processor
 *   rm     what ModRM.rm names when mod = 3; - is written n
 *   form   RM register or memory, R register only, M memory only,
 *          A memory operand of which only the address is used
 *   lock   L: f0 allowed with the memory form; n: never
 *   imm    0, B one byte, Z four bytes (two with 66)
 *   cpu    feature beyond SSE2 that the instruction needs
 *   impl   general registers used without being named: subset of a c d b, o = none
 */
#include "verifier/table.h"
#include "verifier/verifier.h"

/* What each kind of operand grants (enum vxv_ask). */
#define REG_G8 (VXV_REG_RESERVED | VXV_REX_R)
#define REG_GV (VXV_REG8_RESERVED | VXV_REG8_NEW | VXV_REX_R)
#define REG_X (VXV_REG_RESERVED | VXV_REG8_RESERVED | VXV_REG8_NEW)
#define REG_N REG_X
#define REG_i REG_X
#define RM_G8 (VXV_RM_RESERVED | VXV_REX_B)
#define RM_GV (VXV_RM8_RESERVED | VXV_RM8_NEW | VXV_REX_B)
#define RM_X (VXV_RM_RESERVED | VXV_RM8_RESERVED | VXV_RM8_NEW)
#define RM_N RM_X
#define RM_n RM_X
#define FORM_RM (VXV_MODRM | VXV_REGISTER_FORM | VXV_MEMORY_FORM)
#define FORM_R (VXV_MODRM | VXV_REGISTER_FORM)
#define FORM_M (VXV_MODRM | VXV_MEMORY_FORM)
#define FORM_A (VXV_MODRM | VXV_MEMORY_FORM | VXV_ADDRESS)
#define LOCK_L VXV_LOCK
#define LOCK_n 0u
#define IMM_0 0u
#define IMM_B VXV_IMM1
#define IMM_Z VXV_IMMZ
/* The bit's number + 1. */
#define CPU_BIT(bit) ((uint32_t)__builtin_ffs(bit) << 24)
#define CPU_BASE 0u
#define CPU_SSE3 CPU_BIT(VXV_CPU_SSE3)
#define CPU_SSSE3 CPU_BIT(VXV_CPU_SSSE3)
#define CPU_SSE41 CPU_BIT(VXV_CPU_SSE41)
#define CPU_SSE42 CPU_BIT(VXV_CPU_SSE42)
#define CPU_POPCNT CPU_BIT(VXV_CPU_POPCNT)
#define CPU_LAHF CPU_BIT(VXV_CPU_LAHF)
#define CPU_CX8 CPU_BIT(VXV_CPU_CX8)
#define CPU_LZCNT CPU_BIT(VXV_CPU_LZCNT)
#define CPU_BMI1 CPU_BIT(VXV_CPU_BMI1)
#define CPU_BMI2 CPU_BIT(VXV_CPU_BMI2)
#define CPU_MOVBE CPU_BIT(VXV_CPU_MOVBE)
#define CPU_AES CPU_BIT(VXV_CPU_AES)
#define CPU_PCLMULQDQ CPU_BIT(VXV_CPU_PCLMULQDQ)
#define CPU_SHA CPU_BIT(VXV_CPU_SHA)
#define CPU_ADX CPU_BIT(VXV_CPU_ADX)
#define CPU_RDRAND CPU_BIT(VXV_CPU_RDRAND)
#define CPU_RDSEED CPU_BIT(VXV_CPU_RDSEED)
#define CPU_TSC CPU_BIT(VXV_CPU_TSC)
/* Numbers, by which VXV_FORM_IMPLICIT finds the registers. */
#define IMPL_o 0u
#define IMPL_a (1u << 29)
#define IMPL_c (2u << 29)
#define IMPL_ad (3u << 29)
#define IMPL_acd (4u << 29)
#define IMPL_acdb (5u << 29)
#define IMPL_d (6u << 29)

enum { M0, M1, M2, M3 };
#define AT_NP(map, op, form) [map][VXV_NP][op] = (form)
#define AT_66(map, op, form) [map][VXV_66][op] = (form)
#define AT_F2(map, op, form) [map][VXV_F2][op] = (form)
#define AT_F3(map, op, form) [map][VXV_F3][op] = (form)
#define AT_F2o(map, op, form) [map][VXV_F2][op] = (form) | VXV_OS
#define AT_F3o(map, op, form) [map][VXV_F3][op] = (form) | VXV_OS
#define AT_OS(map, op, form) AT_NP(map, op, form), AT_66(map, op, form)

#define PACK(reg, rm, form, lock, imm, cpu, impl) \
    (REG_##reg | RM_##rm | FORM_##form | LOCK_##lock | IMM_##imm | CPU_##cpu | IMPL_##impl)
#define INSN(map, pfx, op, reg, rm, form, lock, imm, cpu, impl) \
    AT_##pfx(map, op, PACK(reg, rm, form, lock, imm, cpu, impl))
/* No ModRM, no register named: asks for nothing but "register form". */
#define BARE(map, pfx, op, imm, cpu, impl) \
    AT_##pfx(map, op, VXV_REGISTER_FORM | IMM_##imm | CPU_##cpu | IMPL_##impl)
/* Eight opcodes from op: the low three bits are the register (+rb, +rd). */
#define PLUS(map, pfx, op, rm, imm, impl) \
    AT_##pfx(map, op ... op + 7,                    \
             VXV_REGISTER_FORM | VXV_EMBEDDED | RM_##rm | IMM_##imm | IMPL_##impl)
/* ModRM.reg is part of the opcode: see vxv_groups. */
#define DIGIT(map, pfx, op, group) \
    AT_##pfx(map, op, VXV_MODRM | VXV_GROUP | (uint32_t)(group) << 24)
/* Control flow, never with a prefix. */
#define FLOW(map, op, bits) AT_NP(map, op, VXV_REGISTER_FORM | (bits))
#define REL8 (VXV_TARGET | VXV_IMM1)
#define REL32 (VXV_TARGET | VXV_IMMZ)

/* The eight ALU operations have the same six encodings each; op = 0, 8, ... 0x38. */
#define ALU(op, lock)                                              \
    INSN(M0, NP, op + 0, G8, G8, RM, lock, 0, BASE, o), /* Eb,Gb */ \
    INSN(M0, OS, op + 1, GV, GV, RM, lock, 0, BASE, o), /* Ev,Gv */ \
    INSN(M0, NP, op + 2, G8, G8, RM, n, 0, BASE, o),    /* Gb,Eb */ \
    INSN(M0, OS, op + 3, GV, GV, RM, n, 0, BASE, o),    /* Gv,Ev */ \
    BARE(M0, NP, op + 4, B, BASE, a),                   /* AL,Ib */ \
    BARE(M0, OS, op + 5, Z, BASE, a)                    /* rAX,Iz */

const uint32_t vxv_forms[4][4][256] = {
    /* one-byte opcodes */
    ALU(0x00, L), /* add */
    ALU(0x08, L), /* or */
    ALU(0x10, L), /* adc */
    ALU(0x18, L), /* sbb */
    ALU(0x20, L), /* and */
    ALU(0x28, L), /* sub */
    ALU(0x30, L), /* xor */
    ALU(0x38, n), /* cmp */
    /*   map pfx  op    reg rm  form lock imm cpu impl */
    INSN(M0, OS, 0x69, GV, GV, RM, n, Z, BASE, o), /* imul Gv,Ev,Iz */
    INSN(M0, OS, 0x6b, GV, GV, RM, n, B, BASE, o), /* imul Gv,Ev,Ib */
    FLOW(M0, 0x70 ... 0x7f, REL8),                 /* jcc Jb */
    DIGIT(M0, NP, 0x80, VXV_80),                   /* grp1 Eb,Ib */
    DIGIT(M0, OS, 0x81, VXV_81),                   /* grp1 Ev,Iz */
    DIGIT(M0, OS, 0x83, VXV_83),                   /* grp1 Ev,Ib */
    INSN(M0, NP, 0x84, G8, G8, RM, n, 0, BASE, o), /* test */
    INSN(M0, OS, 0x85, GV, GV, RM, n, 0, BASE, o),
    INSN(M0, NP, 0x86, G8, G8, RM, L, 0, BASE, o), /* xchg */
    INSN(M0, OS, 0x87, GV, GV, RM, L, 0, BASE, o),
    INSN(M0, NP, 0x88, G8, G8, RM, n, 0, BASE, o), /* mov */
    INSN(M0, OS, 0x89, GV, GV, RM, n, 0, BASE, o),
    INSN(M0, NP, 0x8a, G8, G8, RM, n, 0, BASE, o),
    INSN(M0, OS, 0x8b, GV, GV, RM, n, 0, BASE, o),
    INSN(M0, OS, 0x8d, GV, n, A, n, 0, BASE, o),   /* lea Gv,M */
    PLUS(M0, OS, 0x90, GV, 0, a),                  /* xchg rAX,Zv; nop */
    BARE(M0, F3, 0x90, 0, BASE, o),                /* pause */
    BARE(M0, OS, 0x98, 0, BASE, a),                /* cbw, cwde */
    BARE(M0, OS, 0x99, 0, BASE, ad),               /* cwd, cdq */
    BARE(M0, NP, 0x9b, 0, BASE, o),                /* fwait */
    BARE(M0, NP, 0x9e, 0, LAHF, a),                /* sahf */
    BARE(M0, NP, 0x9f, 0, LAHF, a),                /* lahf */
    BARE(M0, NP, 0xa8, B, BASE, a),                /* test AL,Ib */
    BARE(M0, OS, 0xa9, Z, BASE, a),                /* test rAX,Iz */
    PLUS(M0, NP, 0xb0, G8, B, o),                  /* mov Zb,Ib */
    PLUS(M0, OS, 0xb8, GV, Z, o),                  /* mov Zv,Iz */
    DIGIT(M0, NP, 0xc0, VXV_C0),                   /* grp2 Eb,Ib */
    DIGIT(M0, OS, 0xc1, VXV_C1),                   /* grp2 Ev,Ib */
    FLOW(M0, 0xc3, VXV_STOP),                      /* ret */
    DIGIT(M0, NP, 0xc6, VXV_C6),                   /* mov Eb,Ib */
    DIGIT(M0, OS, 0xc7, VXV_C7),                   /* mov Ev,Iz */
    DIGIT(M0, NP, 0xd0, VXV_D0),                   /* grp2 Eb,1 */
    DIGIT(M0, OS, 0xd1, VXV_D1),                   /* grp2 Ev,1 */
    DIGIT(M0, NP, 0xd2, VXV_D2),                   /* grp2 Eb,CL */
    DIGIT(M0, OS, 0xd3, VXV_D3),                   /* grp2 Ev,CL */
    DIGIT(M0, NP, 0xd8, VXV_D8),                   /* x87 */
    DIGIT(M0, NP, 0xd9, VXV_D9),
    DIGIT(M0, NP, 0xda, VXV_DA),
    DIGIT(M0, NP, 0xdb, VXV_DB),
    DIGIT(M0, NP, 0xdc, VXV_DC),
    DIGIT(M0, NP, 0xdd, VXV_DD),
    DIGIT(M0, NP, 0xde, VXV_DE),
    DIGIT(M0, NP, 0xdf, VXV_DF),
    FLOW(M0, 0xe3, VXV_ADDR32 | REL8 | IMPL_c),    /* jecxz Jb: 67 e3 */
    FLOW(M0, 0xe8, REL32),                         /* call Jz */
    FLOW(M0, 0xe9, VXV_STOP | REL32),              /* jmp Jz */
    FLOW(M0, 0xeb, VXV_STOP | REL8),               /* jmp Jb */
    FLOW(M0, 0xf4, VXV_STOP),                      /* hlt */
    BARE(M0, NP, 0xf5, 0, BASE, o),                /* cmc */
    DIGIT(M0, NP, 0xf6, VXV_F6),                   /* grp3 Eb */
    DIGIT(M0, OS, 0xf7, VXV_F7),                   /* grp3 Ev */
    BARE(M0, NP, 0xf8, 0, BASE, o),                /* clc */
    BARE(M0, NP, 0xf9, 0, BASE, o),                /* stc */
    BARE(M0, NP, 0xfc, 0, BASE, o),                /* cld */
    BARE(M0, NP, 0xfd, 0, BASE, o),                /* std */
    DIGIT(M0, NP, 0xfe, VXV_FE),                   /* inc, dec Eb */
    DIGIT(M0, OS, 0xff, VXV_FF),                   /* inc, dec Ev */

    /* 0f: integer */
    FLOW(M1, 0x0b, VXV_STOP),                      /* ud2 */
    DIGIT(M1, OS, 0x1f, VXV_0F1F),                 /* nop Ev */
    BARE(M1, NP, 0x31, 0, TSC, ad),                /* rdtsc */
    INSN(M1, OS, 0x40 ... 0x4f, GV, GV, RM, n, 0, BASE, o), /* cmovcc */
    FLOW(M1, 0x80 ... 0x8f, REL32),                /* jcc Jz */
    INSN(M1, NP, 0x90 ... 0x9f, i, G8, RM, n, 0, BASE, o), /* setcc */
    INSN(M1, OS, 0xa3, GV, GV, RM, n, 0, BASE, o), /* bt */
    INSN(M1, OS, 0xa4, GV, GV, RM, n, B, BASE, o), /* shld Ib */
    INSN(M1, OS, 0xa5, GV, GV, RM, n, 0, BASE, c), /* shld CL */
    INSN(M1, OS, 0xab, GV, GV, RM, L, 0, BASE, o), /* bts */
    INSN(M1, OS, 0xac, GV, GV, RM, n, B, BASE, o), /* shrd Ib */
    INSN(M1, OS, 0xad, GV, GV, RM, n, 0, BASE, c), /* shrd CL */
    DIGIT(M1, NP, 0xae, VXV_0FAE),                 /* ldmxcsr, stmxcsr, fences */
    INSN(M1, OS, 0xaf, GV, GV, RM, n, 0, BASE, o), /* imul */
    INSN(M1, NP, 0xb0, G8, G8, RM, L, 0, BASE, a), /* cmpxchg */
    INSN(M1, OS, 0xb1, GV, GV, RM, L, 0, BASE, a),
    INSN(M1, OS, 0xb3, GV, GV, RM, L, 0, BASE, o), /* btr */
    INSN(M1, OS, 0xb6, GV, G8, RM, n, 0, BASE, o), /* movzx Gv,Eb */
    INSN(M1, OS, 0xb7, GV, GV, RM, n, 0, BASE, o), /* movzx Gv,Ew */
    INSN(M1, F3o, 0xb8, GV, GV, RM, n, 0, POPCNT, o), /* popcnt */
    DIGIT(M1, OS, 0xba, VXV_0FBA),                 /* grp8 Ev,Ib */
    INSN(M1, OS, 0xbb, GV, GV, RM, L, 0, BASE, o), /* btc */
    INSN(M1, OS, 0xbc, GV, GV, RM, n, 0, BASE, o), /* bsf */
    INSN(M1, OS, 0xbd, GV, GV, RM, n, 0, BASE, o), /* bsr */
    INSN(M1, F3o, 0xbc, GV, GV, RM, n, 0, BMI1, o),  /* tzcnt */
    INSN(M1, F3o, 0xbd, GV, GV, RM, n, 0, LZCNT, o), /* lzcnt */
    INSN(M1, OS, 0xbe, GV, G8, RM, n, 0, BASE, o), /* movsx Gv,Eb */
    INSN(M1, OS, 0xbf, GV, GV, RM, n, 0, BASE, o), /* movsx Gv,Ew */
    INSN(M1, NP, 0xc0, G8, G8, RM, L, 0, BASE, o), /* xadd */
    INSN(M1, OS, 0xc1, GV, GV, RM, L, 0, BASE, o),
    INSN(M1, NP, 0xc3, GV, n, M, n, 0, BASE, o),   /* movnti */
    DIGIT(M1, NP, 0xc7, VXV_0FC7),                 /* cmpxchg8b, rdrand, rdseed */
    DIGIT(M1, 66, 0xc7, VXV_660FC7),               /* rdrand, rdseed */
    PLUS(M1, NP, 0xc8, GV, 0, o),                  /* bswap */

    /* 0f: SSE moves, 10-17 and 28-2f */
    INSN(M1, NP, 0x10, X, X, RM, n, 0, BASE, o), /* movups */
    INSN(M1, 66, 0x10, X, X, RM, n, 0, BASE, o), /* movupd */
    INSN(M1, F3, 0x10, X, X, RM, n, 0, BASE, o), /* movss */
    INSN(M1, F2, 0x10, X, X, RM, n, 0, BASE, o), /* movsd */
    INSN(M1, NP, 0x11, X, X, RM, n, 0, BASE, o),
    INSN(M1, 66, 0x11, X, X, RM, n, 0, BASE, o),
    INSN(M1, F3, 0x11, X, X, RM, n, 0, BASE, o),
    INSN(M1, F2, 0x11, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x12, X, X, RM, n, 0, BASE, o), /* movlps; movhlps */
    INSN(M1, 66, 0x12, X, n, M, n, 0, BASE, o),  /* movlpd */
    INSN(M1, F3, 0x12, X, X, RM, n, 0, SSE3, o), /* movsldup */
    INSN(M1, F2, 0x12, X, X, RM, n, 0, SSE3, o), /* movddup */
    INSN(M1, NP, 0x13, X, n, M, n, 0, BASE, o),  /* movlps store */
    INSN(M1, 66, 0x13, X, n, M, n, 0, BASE, o),
    INSN(M1, NP, 0x14, X, X, RM, n, 0, BASE, o), /* unpcklps */
    INSN(M1, 66, 0x14, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x15, X, X, RM, n, 0, BASE, o), /* unpckhps */
    INSN(M1, 66, 0x15, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x16, X, X, RM, n, 0, BASE, o), /* movhps; movlhps */
    INSN(M1, 66, 0x16, X, n, M, n, 0, BASE, o),  /* movhpd */
    INSN(M1, F3, 0x16, X, X, RM, n, 0, SSE3, o), /* movshdup */
    INSN(M1, NP, 0x17, X, n, M, n, 0, BASE, o),  /* movhps store */
    INSN(M1, 66, 0x17, X, n, M, n, 0, BASE, o),
    INSN(M1, NP, 0x28, X, X, RM, n, 0, BASE, o), /* movaps */
    INSN(M1, 66, 0x28, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x29, X, X, RM, n, 0, BASE, o),
    INSN(M1, 66, 0x29, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x2a, X, N, RM, n, 0, BASE, o),  /* cvtpi2ps */
    INSN(M1, 66, 0x2a, X, N, RM, n, 0, BASE, o),  /* cvtpi2pd */
    INSN(M1, F3, 0x2a, X, GV, RM, n, 0, BASE, o), /* cvtsi2ss */
    INSN(M1, F2, 0x2a, X, GV, RM, n, 0, BASE, o), /* cvtsi2sd */
    INSN(M1, NP, 0x2b, X, n, M, n, 0, BASE, o),   /* movntps */
    INSN(M1, 66, 0x2b, X, n, M, n, 0, BASE, o),
    INSN(M1, NP, 0x2c, N, X, RM, n, 0, BASE, o),  /* cvttps2pi */
    INSN(M1, 66, 0x2c, N, X, RM, n, 0, BASE, o),
    INSN(M1, F3, 0x2c, GV, X, RM, n, 0, BASE, o), /* cvttss2si */
    INSN(M1, F2, 0x2c, GV, X, RM, n, 0, BASE, o), /* cvttsd2si */
    INSN(M1, NP, 0x2d, N, X, RM, n, 0, BASE, o),  /* cvtps2pi */
    INSN(M1, 66, 0x2d, N, X, RM, n, 0, BASE, o),
    INSN(M1, F3, 0x2d, GV, X, RM, n, 0, BASE, o), /* cvtss2si */
    INSN(M1, F2, 0x2d, GV, X, RM, n, 0, BASE, o), /* cvtsd2si */
    INSN(M1, NP, 0x2e, X, X, RM, n, 0, BASE, o),  /* ucomiss */
    INSN(M1, 66, 0x2e, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x2f, X, X, RM, n, 0, BASE, o),  /* comiss */
    INSN(M1, 66, 0x2f, X, X, RM, n, 0, BASE, o),

    /* 0f: SSE arithmetic, 50-5f */
    INSN(M1, NP, 0x50, GV, X, R, n, 0, BASE, o), /* movmskps */
    INSN(M1, 66, 0x50, GV, X, R, n, 0, BASE, o),
    INSN(M1, NP, 0x51, X, X, RM, n, 0, BASE, o), /* sqrt */
    INSN(M1, 66, 0x51, X, X, RM, n, 0, BASE, o),
    INSN(M1, F3, 0x51, X, X, RM, n, 0, BASE, o),
    INSN(M1, F2, 0x51, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x52, X, X, RM, n, 0, BASE, o), /* rsqrt */
    INSN(M1, F3, 0x52, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x53, X, X, RM, n, 0, BASE, o), /* rcp */
    INSN(M1, F3, 0x53, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x54 ... 0x57, X, X, RM, n, 0, BASE, o), /* and andn or xor */
    INSN(M1, 66, 0x54 ... 0x57, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x58 ... 0x5a, X, X, RM, n, 0, BASE, o), /* add mul cvtps2pd */
    INSN(M1, 66, 0x58 ... 0x5a, X, X, RM, n, 0, BASE, o),
    INSN(M1, F3, 0x58 ... 0x5a, X, X, RM, n, 0, BASE, o),
    INSN(M1, F2, 0x58 ... 0x5a, X, X, RM, n, 0, BASE, o),
    INSN(M1, NP, 0x5b, X, X, RM, n, 0, BASE, o), /* cvtdq2ps */
    INSN(M1, 66, 0x5b, X, X, RM, n, 0, BASE, o), /* cvtps2dq */
    INSN(M1, F3, 0x5b, X, X, RM, n, 0, BASE, o), /* cvttps2dq */
    INSN(M1, NP, 0x5c ... 0x5f, X, X, RM, n, 0, BASE, o), /* sub min div max */
    INSN(M1, 66, 0x5c ... 0x5f, X, X, RM, n, 0, BASE, o),
    INSN(M1, F3, 0x5c ... 0x5f, X, X, RM, n, 0, BASE, o),
    INSN(M1, F2, 0x5c ... 0x5f, X, X, RM, n, 0, BASE, o),

    /* 0f: MMX and SSE2 integer, 60-7f */
    INSN(M1, NP, 0x60 ... 0x6b, N, N, RM, n, 0, BASE, o), /* punpckl* pack* pcmpgt* punpckh* packssdw */
    INSN(M1, 66, 0x60 ... 0x6d, X, X, RM, n, 0, BASE, o), /* and punpcklqdq punpckhqdq */
    INSN(M1, NP, 0x6e, N, GV, RM, n, 0, BASE, o),  /* movd mm,Ed */
    INSN(M1, 66, 0x6e, X, GV, RM, n, 0, BASE, o),  /* movd xmm,Ed */
    INSN(M1, NP, 0x6f, N, N, RM, n, 0, BASE, o),   /* movq */
    INSN(M1, 66, 0x6f, X, X, RM, n, 0, BASE, o),   /* movdqa */
    INSN(M1, F3, 0x6f, X, X, RM, n, 0, BASE, o),   /* movdqu */
    INSN(M1, NP, 0x70, N, N, RM, n, B, BASE, o),   /* pshufw */
    INSN(M1, 66, 0x70, X, X, RM, n, B, BASE, o),   /* pshufd */
    INSN(M1, F3, 0x70, X, X, RM, n, B, BASE, o),   /* pshufhw */
    INSN(M1, F2, 0x70, X, X, RM, n, B, BASE, o),   /* pshuflw */
    DIGIT(M1, OS, 0x71, VXV_0F71),                 /* psrlw psraw psllw Ib: mm, with 66 xmm */
    DIGIT(M1, OS, 0x72, VXV_0F71),                 /* psrld psrad pslld Ib */
    DIGIT(M1, NP, 0x73, VXV_0F73),                 /* psrlq psllq Ib */
    DIGIT(M1, 66, 0x73, VXV_660F73),               /* and psrldq pslldq */
    INSN(M1, NP, 0x74 ... 0x76, N, N, RM, n, 0, BASE, o), /* pcmpeq */
    INSN(M1, 66, 0x74 ... 0x76, X, X, RM, n, 0, BASE, o),
    BARE(M1, NP, 0x77, 0, BASE, o),                /* emms */
    INSN(M1, 66, 0x7c, X, X, RM, n, 0, SSE3, o),   /* haddpd */
    INSN(M1, F2, 0x7c, X, X, RM, n, 0, SSE3, o),   /* haddps */
    INSN(M1, 66, 0x7d, X, X, RM, n, 0, SSE3, o),   /* hsubpd */
    INSN(M1, F2, 0x7d, X, X, RM, n, 0, SSE3, o),   /* hsubps */
    INSN(M1, NP, 0x7e, N, GV, RM, n, 0, BASE, o),  /* movd Ed,mm */
    INSN(M1, 66, 0x7e, X, GV, RM, n, 0, BASE, o),  /* movd Ed,xmm */
    INSN(M1, F3, 0x7e, X, X, RM, n, 0, BASE, o),   /* movq */
    INSN(M1, NP, 0x7f, N, N, RM, n, 0, BASE, o),   /* movq store */
    INSN(M1, 66, 0x7f, X, X, RM, n, 0, BASE, o),   /* movdqa store */
    INSN(M1, F3, 0x7f, X, X, RM, n, 0, BASE, o),   /* movdqu store */

    /* 0f: c2-c6, d0-fe */
    INSN(M1, NP, 0xc2, X, X, RM, n, B, BASE, o),   /* cmpps */
    INSN(M1, 66, 0xc2, X, X, RM, n, B, BASE, o),
    INSN(M1, F3, 0xc2, X, X, RM, n, B, BASE, o),
    INSN(M1, F2, 0xc2, X, X, RM, n, B, BASE, o),
    INSN(M1, NP, 0xc4, N, GV, RM, n, B, BASE, o),  /* pinsrw */
    INSN(M1, 66, 0xc4, X, GV, RM, n, B, BASE, o),
    INSN(M1, NP, 0xc5, GV, N, R, n, B, BASE, o),   /* pextrw */
    INSN(M1, 66, 0xc5, GV, X, R, n, B, BASE, o),
    INSN(M1, NP, 0xc6, X, X, RM, n, B, BASE, o),   /* shufps */
    INSN(M1, 66, 0xc6, X, X, RM, n, B, BASE, o),
    INSN(M1, 66, 0xd0, X, X, RM, n, 0, SSE3, o),   /* addsubpd */
    INSN(M1, F2, 0xd0, X, X, RM, n, 0, SSE3, o),   /* addsubps */
    INSN(M1, NP, 0xd1 ... 0xd5, N, N, RM, n, 0, BASE, o), /* psrl* paddq pmullw */
    INSN(M1, 66, 0xd1 ... 0xd5, X, X, RM, n, 0, BASE, o),
    INSN(M1, 66, 0xd6, X, X, RM, n, 0, BASE, o),   /* movq store */
    INSN(M1, F3, 0xd6, X, N, R, n, 0, BASE, o),    /* movq2dq */
    INSN(M1, F2, 0xd6, N, X, R, n, 0, BASE, o),    /* movdq2q */
    INSN(M1, NP, 0xd7, GV, N, R, n, 0, BASE, o),   /* pmovmskb */
    INSN(M1, 66, 0xd7, GV, X, R, n, 0, BASE, o),
    INSN(M1, NP, 0xd8 ... 0xe5, N, N, RM, n, 0, BASE, o), /* psubus* ... pmulhw */
    INSN(M1, 66, 0xd8 ... 0xe5, X, X, RM, n, 0, BASE, o),
    INSN(M1, 66, 0xe6, X, X, RM, n, 0, BASE, o),   /* cvttpd2dq */
    INSN(M1, F3, 0xe6, X, X, RM, n, 0, BASE, o),   /* cvtdq2pd */
    INSN(M1, F2, 0xe6, X, X, RM, n, 0, BASE, o),   /* cvtpd2dq */
    INSN(M1, NP, 0xe7, N, n, M, n, 0, BASE, o),    /* movntq */
    INSN(M1, 66, 0xe7, X, n, M, n, 0, BASE, o),    /* movntdq */
    INSN(M1, NP, 0xe8 ... 0xef, N, N, RM, n, 0, BASE, o), /* psubs* ... pxor */
    INSN(M1, 66, 0xe8 ... 0xef, X, X, RM, n, 0, BASE, o),
    INSN(M1, F2, 0xf0, X, n, M, n, 0, SSE3, o),    /* lddqu */
    INSN(M1, NP, 0xf1 ... 0xf6, N, N, RM, n, 0, BASE, o), /* psll* pmuludq pmaddwd psadbw */
    INSN(M1, 66, 0xf1 ... 0xf6, X, X, RM, n, 0, BASE, o), /* f7 maskmov: implicit rDI, refused */
    INSN(M1, NP, 0xf8 ... 0xfe, N, N, RM, n, 0, BASE, o), /* psub* padd* */
    INSN(M1, 66, 0xf8 ... 0xfe, X, X, RM, n, 0, BASE, o),

    /* 0f 38 */
    INSN(M2, NP, 0x00 ... 0x0b, N, N, RM, n, 0, SSSE3, o), /* pshufb ... pmulhrsw */
    INSN(M2, 66, 0x00 ... 0x0b, X, X, RM, n, 0, SSSE3, o),
    INSN(M2, 66, 0x10, X, X, RM, n, 0, SSE41, o),          /* pblendvb */
    INSN(M2, 66, 0x14 ... 0x15, X, X, RM, n, 0, SSE41, o), /* blendvps blendvpd */
    INSN(M2, 66, 0x17, X, X, RM, n, 0, SSE41, o),          /* ptest */
    INSN(M2, NP, 0x1c ... 0x1e, N, N, RM, n, 0, SSSE3, o), /* pabs */
    INSN(M2, 66, 0x1c ... 0x1e, X, X, RM, n, 0, SSSE3, o),
    INSN(M2, 66, 0x20 ... 0x25, X, X, RM, n, 0, SSE41, o), /* pmovsx */
    INSN(M2, 66, 0x28 ... 0x29, X, X, RM, n, 0, SSE41, o), /* pmuldq pcmpeqq */
    INSN(M2, 66, 0x2a, X, n, M, n, 0, SSE41, o),           /* movntdqa */
    INSN(M2, 66, 0x2b, X, X, RM, n, 0, SSE41, o),          /* packusdw */
    INSN(M2, 66, 0x30 ... 0x35, X, X, RM, n, 0, SSE41, o), /* pmovzx */
    INSN(M2, 66, 0x37, X, X, RM, n, 0, SSE42, o),          /* pcmpgtq */
    INSN(M2, 66, 0x38 ... 0x41, X, X, RM, n, 0, SSE41, o), /* pmin* pmax* pmulld phminposuw */
    INSN(M2, NP, 0xc8 ... 0xcd, X, X, RM, n, 0, SHA, o),   /* sha1nexte ... sha256msg2; xmm0 is implicit in cb */
    INSN(M2, 66, 0xdb ... 0xdf, X, X, RM, n, 0, AES, o),   /* aesimc aesenc aesenclast aesdec aesdeclast */
    INSN(M2, OS, 0xf0, GV, n, M, n, 0, MOVBE, o),          /* movbe Gv,M */
    INSN(M2, OS, 0xf1, GV, n, M, n, 0, MOVBE, o),          /* movbe M,Gv */
    INSN(M2, 66, 0xf6, GV, GV, RM, n, 0, ADX, o),          /* adcx */
    INSN(M2, F3, 0xf6, GV, GV, RM, n, 0, ADX, o),          /* adox */
    INSN(M2, F2, 0xf0, GV, G8, RM, n, 0, SSE42, o),        /* crc32 Gd,Eb */
    INSN(M2, F2o, 0xf1, GV, GV, RM, n, 0, SSE42, o),       /* crc32 Gd,Ev */

    /* 0f 3a */
    INSN(M3, 66, 0x08 ... 0x0e, X, X, RM, n, B, SSE41, o), /* round* blend* pblendw */
    INSN(M3, NP, 0x0f, N, N, RM, n, B, SSSE3, o),          /* palignr */
    INSN(M3, 66, 0x0f, X, X, RM, n, B, SSSE3, o),
    INSN(M3, 66, 0x14, X, GV, RM, n, B, SSE41, o),         /* pextrb */
    INSN(M3, 66, 0x15, X, GV, RM, n, B, SSE41, o),         /* pextrw */
    INSN(M3, 66, 0x16, X, GV, RM, n, B, SSE41, o),         /* pextrd */
    INSN(M3, 66, 0x17, X, GV, RM, n, B, SSE41, o),         /* extractps */
    INSN(M3, 66, 0x20, X, GV, RM, n, B, SSE41, o),         /* pinsrb */
    INSN(M3, 66, 0x21, X, X, RM, n, B, SSE41, o),          /* insertps */
    INSN(M3, 66, 0x22, X, GV, RM, n, B, SSE41, o),         /* pinsrd */
    INSN(M3, 66, 0x40 ... 0x42, X, X, RM, n, B, SSE41, o), /* dpps dppd mpsadbw */
    INSN(M3, 66, 0x44, X, X, RM, n, B, PCLMULQDQ, o),      /* pclmulqdq */
    INSN(M3, 66, 0x60, X, X, RM, n, B, SSE42, ad),         /* pcmpestrm */
    INSN(M3, 66, 0x61, X, X, RM, n, B, SSE42, acd),        /* pcmpestri */
    INSN(M3, 66, 0x62, X, X, RM, n, B, SSE42, o),          /* pcmpistrm */
    INSN(M3, 66, 0x63, X, X, RM, n, B, SSE42, c),          /* pcmpistri */
    INSN(M3, NP, 0xcc, X, X, RM, n, B, SHA, o),            /* sha1rnds4 */
    INSN(M3, 66, 0xdf, X, X, RM, n, B, AES, o),            /* aeskeygenassist */
};

/* Rows of groups: as INSN, with the ModRM.reg value instead of map, prefix, opcode and reg. */
#define ROW(digit, rm, form, lock, imm, cpu, impl) [digit] = PACK(i, rm, form, lock, imm, cpu, impl)

const uint32_t vxv_groups[VXV_GROUP_COUNT][8] = {
    /*       /digit rm form lock imm cpu impl */
    [VXV_80] = {ROW(0 ... 6, G8, RM, L, B, BASE, o), ROW(7, G8, RM, n, B, BASE, o)}, /* 7: cmp */
    [VXV_81] = {ROW(0 ... 6, GV, RM, L, Z, BASE, o), ROW(7, GV, RM, n, Z, BASE, o)},
    [VXV_83] = {ROW(0 ... 6, GV, RM, L, B, BASE, o), ROW(7, GV, RM, n, B, BASE, o)},
    /* rotates and shifts; 6 is an undocumented alias of 4 */
    [VXV_C0] = {ROW(0 ... 5, G8, RM, n, B, BASE, o), ROW(7, G8, RM, n, B, BASE, o)},
    [VXV_C1] = {ROW(0 ... 5, GV, RM, n, B, BASE, o), ROW(7, GV, RM, n, B, BASE, o)},
    [VXV_D0] = {ROW(0 ... 5, G8, RM, n, 0, BASE, o), ROW(7, G8, RM, n, 0, BASE, o)},
    [VXV_D1] = {ROW(0 ... 5, GV, RM, n, 0, BASE, o), ROW(7, GV, RM, n, 0, BASE, o)},
    [VXV_D2] = {ROW(0 ... 5, G8, RM, n, 0, BASE, c), ROW(7, G8, RM, n, 0, BASE, c)},
    [VXV_D3] = {ROW(0 ... 5, GV, RM, n, 0, BASE, c), ROW(7, GV, RM, n, 0, BASE, c)},
    [VXV_C6] = {ROW(0, G8, RM, n, B, BASE, o)},
    [VXV_C7] = {ROW(0, GV, RM, n, Z, BASE, o)},
    [VXV_F6] = {ROW(0, G8, RM, n, B, BASE, o),         /* test; 1 is its alias */
                ROW(2 ... 3, G8, RM, L, 0, BASE, o),   /* not neg */
                ROW(4 ... 7, G8, RM, n, 0, BASE, a)},  /* mul imul div idiv */
    [VXV_F7] = {ROW(0, GV, RM, n, Z, BASE, o),
                ROW(2 ... 3, GV, RM, L, 0, BASE, o),
                ROW(4 ... 7, GV, RM, n, 0, BASE, ad)},
    [VXV_FE] = {ROW(0 ... 1, G8, RM, L, 0, BASE, o)},  /* inc dec */
    [VXV_FF] = {ROW(0 ... 1, GV, RM, L, 0, BASE, o)},
    [VXV_0F1F] = {ROW(0, n, A, n, 0, BASE, o)},        /* nop */
    [VXV_0F71] = {ROW(2, X, R, n, B, BASE, o), ROW(4, X, R, n, B, BASE, o), ROW(6, X, R, n, B, BASE, o)},
    [VXV_0F73] = {ROW(2, N, R, n, B, BASE, o), ROW(6, N, R, n, B, BASE, o)},
    [VXV_660F73] = {ROW(2 ... 3, X, R, n, B, BASE, o), ROW(6 ... 7, X, R, n, B, BASE, o)},
    [VXV_0FBA] = {ROW(4, GV, RM, n, B, BASE, o),       /* bt */
                  ROW(5 ... 7, GV, RM, L, B, BASE, o)}, /* bts btr btc */
    [VXV_0FC7] = {ROW(1, n, M, L, 0, CX8, acdb),       /* cmpxchg8b */
                  ROW(6, GV, R, n, 0, RDRAND, o), ROW(7, GV, R, n, 0, RDSEED, o)},
    [VXV_660FC7] = {ROW(6, GV, R, n, 0, RDRAND, o), ROW(7, GV, R, n, 0, RDSEED, o)},

    /* x87 memory forms; not d9 /4 fldenv, d9 /6 fnstenv, dd /4 frstor, dd /6 fnsave */
    [VXV_D8] = {ROW(0 ... 7, n, M, n, 0, BASE, o)},    /* fadd ... m32fp */
    [VXV_D9] = {ROW(0, n, M, n, 0, BASE, o),           /* fld m32fp */
                ROW(2 ... 3, n, M, n, 0, BASE, o),     /* fst fstp m32fp */
                ROW(5, n, M, n, 0, BASE, o),           /* fldcw */
                ROW(7, n, M, n, 0, BASE, o)},          /* fnstcw */
    [VXV_DA] = {ROW(0 ... 7, n, M, n, 0, BASE, o)},    /* fiadd ... m32int */
    [VXV_DB] = {ROW(0, n, M, n, 0, BASE, o),           /* fild m32int */
                ROW(1, n, M, n, 0, SSE3, o),           /* fisttp */
                ROW(2 ... 3, n, M, n, 0, BASE, o),     /* fist fistp */
                ROW(5, n, M, n, 0, BASE, o),           /* fld m80fp */
                ROW(7, n, M, n, 0, BASE, o)},          /* fstp m80fp */
    [VXV_DC] = {ROW(0 ... 7, n, M, n, 0, BASE, o)},    /* fadd ... m64fp */
    [VXV_DD] = {ROW(0, n, M, n, 0, BASE, o),           /* fld m64fp */
                ROW(1, n, M, n, 0, SSE3, o),           /* fisttp */
                ROW(2 ... 3, n, M, n, 0, BASE, o),     /* fst fstp m64fp */
                ROW(7, n, M, n, 0, BASE, o)},          /* fnstsw m16 */
    [VXV_DE] = {ROW(0 ... 7, n, M, n, 0, BASE, o)},    /* fiadd ... m16int */
    [VXV_DF] = {ROW(0, n, M, n, 0, BASE, o),           /* fild m16int */
                ROW(1, n, M, n, 0, SSE3, o),           /* fisttp */
                ROW(2 ... 7, n, M, n, 0, BASE, o)},    /* fist fistp fbld fild fbstp fistp */
    /* not fxsave /0, fxrstor /1, xsave /4, xrstor /5, xsaveopt /6, clflush /7 */
    [VXV_0FAE] = {ROW(2 ... 3, n, M, n, 0, BASE, o)},  /* ldmxcsr stmxcsr */
};

/* Register forms named byte by byte: ModRM from `first` to `last`, both in c0-ff. */
#define BYTES(first, last) ((~0ull >> (63 - ((last) - (first)))) << ((first) - 0xc0))

const uint64_t vxv_escapes[VXV_ESCAPE_COUNT] = {
    [VXV_D8] = BYTES(0xc0, 0xff),                        /* fadd fmul fcom fcomp fsub fsubr fdiv fdivr */
    [VXV_D9] = BYTES(0xc0, 0xcf) | BYTES(0xd0, 0xd0) |   /* fld fxch; fnop */
               BYTES(0xe0, 0xe1) | BYTES(0xe4, 0xe5) |   /* fchs fabs; ftst fxam */
               BYTES(0xe8, 0xee) | BYTES(0xf0, 0xff),    /* fld1 ... fldz; f2xm1 ... fcos */
    [VXV_DA] = BYTES(0xc0, 0xdf) | BYTES(0xe9, 0xe9),    /* fcmov; fucompp */
    [VXV_DB] = BYTES(0xc0, 0xdf) | BYTES(0xe2, 0xe3) |   /* fcmovn; fnclex fninit */
               BYTES(0xe8, 0xf7),                        /* fucomi fcomi */
    [VXV_DC] = BYTES(0xc0, 0xcf) | BYTES(0xe0, 0xff),    /* fadd fmul; fsubr fsub fdivr fdiv */
    [VXV_DD] = BYTES(0xc0, 0xc7) | BYTES(0xd0, 0xef),    /* ffree; fst fstp fucom fucomp */
    [VXV_DE] = BYTES(0xc0, 0xcf) | BYTES(0xd9, 0xd9) |   /* faddp fmulp; fcompp */
               BYTES(0xe0, 0xff),                        /* fsubrp fsubp fdivrp fdivp */
    [VXV_DF] = BYTES(0xe0, 0xe0) | BYTES(0xe8, 0xf7),    /* fnstsw ax; fucomip fcomip */
    [VXV_0FAE] = BYTES(0xe8, 0xe8) | BYTES(0xf0, 0xf0) | /* lfence mfence */
                 BYTES(0xf8, 0xf8),                      /* sfence */
};
const uint32_t vxv_escape_row = PACK(i, n, R, n, 0, BASE, o);

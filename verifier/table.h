/*
 * The packed form of one allow-list row, as table.c builds it and decode.h
 * reads it. A row is a set of grants: all-zero is "refuse". What an encoding
 * (REX and ModRM) asks for is in the same bits, so that the check is
 * asked & ~granted == 0.
 */
#ifndef VX_VERIFIER_TABLE_H
#define VX_VERIFIER_TABLE_H

#include <stdint.h>

/* What REX and ModRM ask for (vxv_modrm); bits 0-9 are what a row may grant. */
enum vxv_ask {
    VXV_MEMORY_FORM = 1u << 0,   /* mod < 3 */
    VXV_REGISTER_FORM = 1u << 1, /* mod = 3, or no ModRM */
    VXV_REG_RESERVED = 1u << 2,  /* reg = rsp r11 r12 r13 r15: harmless unless a 16/32-bit register */
    VXV_REG8_RESERVED = 1u << 3, /* reg = spl r11b r12b r13b r15b: harmless unless an 8-bit register */
    VXV_REG8_NEW = 1u << 4,      /* reg = bpl sil dil: same */
    VXV_RM_RESERVED = 1u << 5,   /* the same three for rm */
    VXV_RM8_RESERVED = 1u << 6,
    VXV_RM8_NEW = 1u << 7,
    VXV_REX_R = 1u << 8,         /* REX.R set: only if reg is a general register */
    VXV_REX_B = 1u << 9,         /* REX.B set, mod = 3: only if rm is a general register */
    /* never granted */
    VXV_BASE_RESERVED = 1u << 10,
    VXV_RIP_RELATIVE = 1u << 11,
    VXV_REX_UNUSED = 1u << 12,   /* REX.X without SIB */
    VXV_ASK_MASK = (1u << 13) - 1,
    /* vxv_modrm only; bits 16-18 are the length of ModRM and displacement (without SIB) */
    VXV_HAS_SIB = 1u << 13,
};

/* Other bits of a row. */
enum vxv_form {
    VXV_GROUP = 1u << 13,    /* look further by ModRM.reg in vxv_groups */
    VXV_MODRM = 1u << 14,    /* a ModRM byte follows the opcode */
    VXV_ADDRESS = 1u << 15,  /* the memory form only computes or ignores the address */
    VXV_EMBEDDED = 1u << 16, /* the opcode's low three bits are a register, of the kind of rm */
    VXV_LOCK = 1u << 17,     /* f0 allowed with the memory form */
    VXV_OS = 1u << 18,       /* 66 allowed next to the mandatory f2 or f3 */
    VXV_IMM1 = 1u << 19,     /* one byte of immediate */
    VXV_IMMZ = 1u << 20,     /* four bytes of immediate, two with 66 */
    VXV_TARGET = 1u << 21,   /* the immediate is a relative branch target */
    VXV_STOP = 1u << 22,     /* does not fall through */
    VXV_ADDR32 = 1u << 23,   /* carries 67 alone (jecxz) */
};

/* Bits of a row with VEX that mean something else than above. The form that leaves decode.h does not have them. */
enum vxv_vex_form {
    VXV_VEX_W0 = 1u << 15,    /* VEX.W may be 0; 1 */
    VXV_VEX_W1 = 1u << 16,
    VXV_VEX_NONE = 1u << 17,  /* what VEX.vvvv names: nothing, an xmm register, a general register */
    VXV_VEX_X = 1u << 18,
    VXV_VEX_G = 1u << 20,
    VXV_VEX_IMM_X = 1u << 21, /* the immediate's high half names an xmm register */
    VXV_VEX_M_NONE = 1u << 23, /* nothing, beside a memory operand */
    VXV_VEX_R_AVX2 = 1u << 22, /* the register form needs AVX2 */
};

/* Features that only rows have: the verdict says what they stand for. */
enum {
    VXV_CPU_VEX_AES = 1u << 23,       /* AES and AVX */
    VXV_CPU_VEX_PCLMULQDQ = 1u << 24, /* PCLMULQDQ and AVX */
};

/* Bits 24-28: CPU feature, 0 = none, n = bit n-1 of enum vxv_cpu. */
#define VXV_FORM_CPU(form) ((form) >> 24 & 31u)
/* Bits 29-31: which general registers are implicit, as a number in the order of the digits here. Result: bits 0-3
 * eax, ecx, edx, ebx. */
#define VXV_FORM_IMPLICIT(form) (0x4f75210u >> ((form) >> 29) * 4 & 15u)
/* Bits 24-28 with VXV_GROUP: group number. */
#define VXV_FORM_GROUP(form) ((form) >> 24 & 31u)

/* Second index of vxv_forms: the last of 66, f2, f3 that is present. */
enum { VXV_NP, VXV_66, VXV_F2, VXV_F3 };

enum vxv_group {
    /* groups whose register forms are whole ModRM bytes, in vxv_escapes */
    VXV_D8, VXV_D9, VXV_DA, VXV_DB, VXV_DC, VXV_DD, VXV_DE, VXV_DF, VXV_0FAE,
    VXV_ESCAPE_COUNT,
    /* groups by ModRM.reg alone */
    VXV_80 = VXV_ESCAPE_COUNT, VXV_81, VXV_83, VXV_C0, VXV_C1, VXV_D0, VXV_D1, VXV_D2, VXV_D3,
    VXV_C6, VXV_C7, VXV_F6, VXV_F7, VXV_FE, VXV_FF, VXV_0F1F, VXV_0F71, VXV_0F73, VXV_660F73,
    VXV_0FBA, VXV_0FC7, VXV_660FC7,
    VXV_GROUP_COUNT
};
_Static_assert(VXV_GROUP_COUNT <= 32, "group number has five bits");

enum vxv_vex_group { VXV_VEX_0F71, VXV_VEX_0F73, VXV_VEX_0FAE, VXV_VEX_0F38F3, VXV_VEX_GROUP_COUNT };

/* rsp, r11, r12, r13, r15: a bit for each register number. */
#define VXV_RESERVED_REGISTERS (1u << 4 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 15)

extern const uint32_t vxv_forms[4][4][256];              /* [map][prefix][opcode] */
extern const uint32_t vxv_groups[VXV_GROUP_COUNT][8];    /* [group][ModRM.reg] */
extern const uint32_t vxv_vex_forms[3][4][2][256];       /* [map - 1][VEX.pp][VEX.L][opcode] */
extern const uint32_t vxv_vex_groups[VXV_VEX_GROUP_COUNT][2][8]; /* [group][VEX.L][ModRM.reg] */
extern const uint64_t vxv_escapes[VXV_ESCAPE_COUNT];     /* bit n: ModRM byte c0+n allowed */
extern const uint32_t vxv_escape_row;                    /* the row of those: no general register */
extern const uint32_t vxv_modrm[8 * 256];                /* [REX.RXB << 8 | ModRM]: enum vxv_ask */

#endif

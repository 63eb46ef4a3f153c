/*
 * The packed form of one allow-list row, as table.c builds it and decode.c
 * reads it. Every bit grants something; an all-zero descriptor is "refuse".
 */
#ifndef VX_VERIFIER_TABLE_H
#define VX_VERIFIER_TABLE_H

#include <stdint.h>

enum vxv_form {
    VXV_LISTED = 1u << 0,    /* the row exists */
    VXV_MODRM = 1u << 1,     /* a ModRM byte follows the opcode */
    VXV_REG_FORM = 1u << 2,  /* ModRM.mod = 3 allowed */
    VXV_MEM_FORM = 1u << 3,  /* ModRM.mod < 3 allowed */
    VXV_ADDRESS = 1u << 4,   /* the memory form only computes or ignores the address */
    VXV_REG_GPR = 1u << 5,   /* ModRM.reg is a 16/32-bit general register */
    VXV_REG_GPR8 = 1u << 6,  /* ModRM.reg is an 8-bit general register */
    VXV_RM_GPR = 1u << 7,    /* ModRM.rm (mod 3), or the opcode's +r, is a 16/32-bit one */
    VXV_RM_GPR8 = 1u << 8,   /* same, 8-bit */
    VXV_EMBEDDED = 1u << 9,  /* the opcode's low three bits are a register */
    VXV_LOCK = 1u << 10,     /* f0 allowed with the memory form */
    VXV_OS = 1u << 11,       /* 66 allowed next to the mandatory f2 or f3 */
    VXV_IMM1 = 1u << 12,     /* one byte of immediate */
    VXV_IMMZ = 1u << 13,     /* four bytes of immediate, two with 66 */
    VXV_TARGET = 1u << 14,   /* the immediate is a relative branch target */
    VXV_STOP = 1u << 15,     /* does not fall through */
    VXV_ADDR32 = 1u << 16,   /* carries 67 alone (jecxz) */
    VXV_GROUP = 1u << 17,    /* look further by ModRM.reg in vxv_groups */
};

/* Bits 18-20: CPU feature, 0 = none, n = bit n-1 of enum vxv_cpu. */
#define VXV_FORM_CPU(form) ((form) >> 18 & 7u)
/* Bits 21-24: implicit general registers eax, ecx, edx, ebx. */
#define VXV_FORM_IMPLICIT(form) ((form) >> 21 & 15u)
/* Bits 25-29: group number, with VXV_GROUP. */
#define VXV_FORM_GROUP(form) ((form) >> 25 & 31u)

/* Second index of vxv_forms: the last of 66, f2, f3 that is present. */
enum { VXV_NP, VXV_66, VXV_F2, VXV_F3 };

enum vxv_group {
    /* groups whose register forms are whole ModRM bytes, in vxv_escapes */
    VXV_D8, VXV_D9, VXV_DA, VXV_DB, VXV_DC, VXV_DD, VXV_DE, VXV_DF, VXV_0FAE,
    VXV_ESCAPE_COUNT,
    /* groups by ModRM.reg alone */
    VXV_80 = VXV_ESCAPE_COUNT, VXV_81, VXV_83, VXV_C0, VXV_C1, VXV_D0, VXV_D1, VXV_D2, VXV_D3,
    VXV_C6, VXV_C7, VXV_F6, VXV_F7, VXV_FE, VXV_FF, VXV_0F1F, VXV_0F71, VXV_0F73, VXV_660F73,
    VXV_0FBA, VXV_0FC7,
    VXV_GROUP_COUNT
};
_Static_assert(VXV_GROUP_COUNT <= 32, "group number has five bits");

extern const uint32_t vxv_forms[4][4][256];              /* [map][prefix][opcode] */
extern const uint32_t vxv_groups[VXV_GROUP_COUNT][8];    /* [group][ModRM.reg] */
extern const uint64_t vxv_escapes[VXV_ESCAPE_COUNT];     /* bit n: ModRM byte c0+n allowed */

#endif

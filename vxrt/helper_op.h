/*
 * What the files of the instruction helpers share: one instruction in the
 * making, its memory accesses and its traps. Private to vxrt/helper*.c.
 */
#ifndef VXRT_HELPER_OP_H
#define VXRT_HELPER_OP_H

#include "vxrt/helper.h"

enum {
    FLAG_CF = 1u << 0, FLAG_PF = 1u << 2, FLAG_AF = 1u << 4, FLAG_ZF = 1u << 6,
    FLAG_SF = 1u << 7, FLAG_TF = 1u << 8, FLAG_IF = 1u << 9, FLAG_DF = 1u << 10,
    FLAG_OF = 1u << 11, FLAG_NT = 1u << 14, FLAG_RF = 1u << 16, FLAG_VM = 1u << 17,
    FLAG_AC = 1u << 18, FLAG_ID = 1u << 21,
    FLAGS_ARITHMETIC = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

/* One instruction: regs is a working copy, committed by vxi_helper when it is done. */
struct op {
    struct vx_box *box;
    struct vx_regs *regs;
    struct vx_trap *trap;
    uint32_t number;   /* enum vx_event */
    uint32_t bits;     /* operand bits of the event */
    uint32_t length;
    uint32_t operand;  /* r10d */
    bool partial;      /* trap, but what regs holds by now is to be kept */
};

#define OPERAND_16 0x8000u

/* Guest memory with the page fault filled in on failure. size <= 4096. */
bool op_load(struct op *op, vx_gaddr addr, void *dst, uint32_t size);
bool op_store(struct op *op, vx_gaddr addr, const void *src, uint32_t size);
/* Check that [addr, addr + size) can be written, without writing. */
bool op_probe_write(struct op *op, vx_gaddr addr, uint32_t size);
/* Fill a trap that has no address. Always false, for `return op_trap(...)`. */
bool op_trap(struct op *op, enum vx_trap_kind kind, unsigned vector);

uint32_t op_get_gpr(const struct op *op, unsigned number);
void op_set_gpr(struct op *op, unsigned number, uint32_t value, bool is_16);
/* SF, ZF, PF of an 8-bit result. */
uint32_t flags_of_byte(uint8_t result);

/* The groups. True: done. False: the trap is filled. eip is not moved, except by branches. */
bool helper_decimal(struct op *op);  /* helper_decimal.c: daa das aaa aas aam aad */
bool helper_segment(struct op *op);  /* helper_segment.c: selectors, far transfers */
bool helper_fpu(struct op *op);      /* helper_fpu.c: x87 environment, fxsave, maskmov */
bool helper_vector(struct op *op);   /* helper_vector.c: xsave and its like, gathers */
bool helper_string(struct op *op, bool *is_finished); /* helper_string.c */
void helper_cpuid(struct vx_regs *regs, uint32_t cpu);              /* helper_cpuid.c */

#endif

/*
 * What the files lower*.c share: operands, and each one's instructions.
 */
#ifndef VX_TRANSLATE_LOWER_PARTS_H
#define VX_TRANSLATE_LOWER_PARTS_H

#include "vxc/translate/lower.h"

static inline int vxt_host_reg(int guest)
{
    return guest == ESP ? R14 : guest;
}

static inline struct vxt_mem vxt_at(int base, int32_t disp)
{
    return (struct vxt_mem){ .base = (int8_t)base, .index = NO_REG, .disp = disp };
}

/* The guest stack at `offset` from the guest's ESP. */
static inline struct vxt_mem vxt_stack(const struct vxt_lower *l, int32_t offset)
{
    return vxt_at(R14, l->delta + offset);
}

/* Effective address within its segment. A 16-bit address is computed into r8d. */
struct vxt_mem vxt_effective(struct vxt_lower *l, const struct vxt_insn *insn);
/* Memory operand of an instruction, with the base of fs or gs added through r9d. May use r8, r9. */
struct vxt_mem vxt_operand(struct vxt_lower *l, const struct vxt_insn *insn);

/* lower_stack.c: stack instructions; only `delta` follows ESP. */
void vxt_lower_push(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_pop(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_pusha(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_popa(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_leave(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_enter(struct vxt_lower *l, const struct vxt_insn *insn);

/* lower_flow.c: control flow. */
void vxt_lower_call(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn);
void vxt_lower_call_indirect(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn);
void vxt_lower_jump_indirect(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_ret(struct vxt_lower *l, const struct vxt_insn *insn);
void vxt_lower_loop(struct vxt_lower *l, const struct vxt_insn *insn);
/* The target of a branch is here. */
void vxt_bind_here(struct vxt_lower *l, uint32_t branch);

/* lower_event.c: what is left to the runtime. */
void vxt_lower_event(struct vxt_lower *l, const struct vxt_insn *insn);

#endif

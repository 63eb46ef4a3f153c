/*
 * Lowering of stack instructions: they address off r14d, and only `delta` changes.
 */
#include "vxc/translate/lower_parts.h"

static void store_sized(struct vxt_lower *l, int reg, struct vxt_mem mem, bool is_16)
{
    emit_mem(l->chunk, OP1_16(0x89, is_16), reg, mem);
}

void vxt_lower_push(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    int reg;
    if (insn->klass == VXT_PUSH_I) {
        emit_mem(l->chunk, OP1_16(0xc7, insn->osize16), 0, vxt_stack(l, -size));
        emit_bytes(l->chunk, &insn->imm, (uint32_t)size);
        l->delta -= size;
        return;
    }
    if (insn->klass == VXT_PUSH_E && insn->is_mem) {
        reg = R10;
        emit_mem(l->chunk, OP1_16(0x8b, insn->osize16), reg, vxt_operand(l, insn));
    } else if (insn->rm == ESP) {
        reg = R10;
        emit_lea(l->chunk, reg, vxt_stack(l, 0), false);
    } else {
        reg = insn->rm;
    }
    store_sized(l, reg, vxt_stack(l, -size), insn->osize16);
    l->delta -= size;
}

void vxt_lower_pop(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    struct vxt_op load = OP1_16(0x8b, insn->osize16);
    if (insn->klass == VXT_POP_E && insn->is_mem) {
        /* an address with ESP in it uses the incremented value */
        emit_mem(l->chunk, load, R10, vxt_stack(l, 0));
        l->delta += size;
        store_sized(l, R10, vxt_operand(l, insn), insn->osize16);
    } else if (insn->rm == ESP && insn->osize16) {
        emit_mem(l->chunk, load, R10, vxt_stack(l, 0));
        emit_lea(l->chunk, R14, vxt_stack(l, 2), false);
        emit_reg(l->chunk, load, R14, R10);
        l->delta = 0;
    } else if (insn->rm == ESP) {
        emit_load(l->chunk, R14, vxt_stack(l, 0));
        l->delta = 0;
    } else {
        emit_mem(l->chunk, load, insn->rm, vxt_stack(l, 0));
        l->delta += size;
    }
}

void vxt_lower_pusha(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    emit_lea(l->chunk, R10, vxt_stack(l, 0), false);
    for (int reg = 0; reg < 8; reg++)
        store_sized(l, reg == ESP ? R10 : reg, vxt_stack(l, -size * (reg + 1)), insn->osize16);
    l->delta -= 8 * size;
}

/* Both ends are read first: then nothing in between can fault (32 bytes touch at most two pages). */
void vxt_lower_popa(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    struct vxt_op load = OP1_16(0x8b, insn->osize16);
    emit_mem(l->chunk, load, R10, vxt_stack(l, 0));
    emit_mem(l->chunk, load, R10, vxt_stack(l, 7 * size));
    for (int reg = 7; reg >= 0; reg--)
        if (reg != ESP)
            emit_mem(l->chunk, load, reg, vxt_stack(l, size * (7 - reg)));
    l->delta += 8 * size;
}

void vxt_lower_leave(struct vxt_lower *l, const struct vxt_insn *insn)
{
    bool is_16 = insn->osize16;
    emit_mem(l->chunk, OP1_16(0x8b, is_16), R10, vxt_at(EBP, 0));
    emit_mov(l->chunk, R14, EBP);
    emit_reg(l->chunk, OP1_16(0x8b, is_16), EBP, R10);
    l->delta = is_16 ? 2 : 4;
}

/*
 * enter without nesting; the others go to the runtime. The processor tests that the new top of the stack
 * can be written, before EBP changes: two complements leave it, and the flags, as they were.
 */
void vxt_lower_enter(struct vxt_lower *l, const struct vxt_insn *insn)
{
    emit_store(l->chunk, EBP, vxt_stack(l, -4));
    for (int i = 0; i < 2 && insn->imm & 0xffff; i++)
        emit_mem(l->chunk, OP1(0xf7), 2, vxt_stack(l, -4 - (int32_t)(insn->imm & 0xffff)));
    l->delta -= 4;
    emit_lea(l->chunk, EBP, vxt_stack(l, 0), false);
    l->delta -= (int32_t)(insn->imm & 0xffff);
}

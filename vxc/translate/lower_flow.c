/*
 * Lowering of control flow: branches, calls with the check behind them, returns, loops.
 */
#include "format/sandbox.h"
#include "vxc/translate/lower_parts.h"

void vxt_lower_branch(struct vxt_lower *l, uint8_t opcode, vx_gaddr target)
{
    uint32_t index = vxt_find(l->program, target);
    if (index != VXT_NO_INDEX) {
        bool is_far = index < l->chunk->first || index >= l->chunk->last;
        emit_branch(l->chunk, opcode, is_far ? BRANCH_FAR : BRANCH_GUEST, index);
        return;
    }
    size_t branch = emit_branch(l->chunk, opcode, BRANCH_LOCAL, 0);
    if (vxt_grow(l->chunk, (void **)&l->exits, &l->exit_capacity, l->exit_count, sizeof *l->exits))
        l->exits[l->exit_count++] = (struct vxt_exit){ target, (uint32_t)branch };
}

void vxt_lower_exit(struct vxt_lower *l, vx_gaddr guest)
{
    emit_mov_gaddr(l->chunk, R8, guest);
    emit_table_jump(l->chunk, false);
}

void vxt_bind_here(struct vxt_lower *l, uint32_t branch)
{
    if (branch < l->chunk->branch_count)
        l->chunk->branches[branch].target = l->chunk->size;
}

void vxt_lower_miss_stubs(struct vxt_lower *l)
{
    static const uint8_t restore_ecx[3] = { 0x44, 0x89, 0xc9 };
    if (l->miss_count + l->slow_miss_count == 0)
        return;
    emit_row(l->chunk, VXF_ROW_NONE, 0, 0);
    for (unsigned i = 0; i < l->slow_miss_count; i++)
        vxt_bind_here(l, l->slow_misses[i]);
    if (l->slow_miss_count) {
        emit_bytes(l->chunk, restore_ecx, 3);
        vxt_keep_flags(l->chunk);
    }
    for (unsigned i = 0; i < l->miss_count; i++)
        vxt_bind_here(l, l->misses[i]);
    emit_context_jump(l->chunk, VX_CTX_RETURN);
    l->miss_count = l->slow_miss_count = 0;
}

void vxt_lower_island(struct vxt_lower *l)
{
    if (l->chunk->out_of_memory) { /* the branches may not be there, and the chunk is given up */
        l->miss_count = l->slow_miss_count = 0;
        return;
    }
    bool is_due = l->miss_count == MAX_PENDING ||
                  (l->slow_miss_count && l->chunk->size - l->chunk->branches[l->slow_misses[0]].at > 40);
    if (!is_due)
        return;
    emit_row(l->chunk, VXF_ROW_NONE, 0, 0);
    size_t over = emit_branch(l->chunk, 0xe9, BRANCH_LOCAL, 0);
    vxt_lower_miss_stubs(l);
    vxt_bind_here(l, (uint32_t)over);
}

/* The check that a host return came to the right place: r8d must be the guest return address. */
static void continuation(struct vxt_lower *l, const struct vxt_rec *rec)
{
    struct vxt_chunk *chunk = l->chunk;
    vx_gaddr guest = rec->addr + rec->length;
    uint32_t index = vxt_find(l->program, guest);
    bool flags_live = index == VXT_NO_INDEX || l->program->recs[index].live_in;
    emit_row(chunk, VXF_ROW_NONE, 0, 0);
    if (!flags_live) {
        static const uint8_t compare[3] = { 0x41, 0x81, 0xf8 };
        emit_bytes(chunk, compare, 3);
        emit_gaddr(chunk, guest, false);
        l->misses[l->miss_count++] = (uint32_t)emit_branch(chunk, 0x85, BRANCH_LOCAL, 0);
        return;
    }
    static const uint8_t save_subtract[6] = { 0x41, 0x89, 0xc9, 0x41, 0x8d, 0x88 };
    static const uint8_t borrow_swap[7] = { 0x48, 0x8d, 0x49, 0xff, 0x48, 0x0f, 0xc9 };
    static const uint8_t restore[3] = { 0x44, 0x89, 0xc9 };
    emit_bytes(chunk, save_subtract, 6);
    emit_gaddr(chunk, guest, true);
    emit_bytes(chunk, borrow_swap, 7);
    l->slow_misses[l->slow_miss_count++] = (uint32_t)emit_branch(chunk, 0xe3, BRANCH_LOCAL, 0);
    emit_bytes(chunk, restore, 3);
}

static void push_return(struct vxt_lower *l, vx_gaddr guest, bool is_16)
{
    int size = is_16 ? 2 : 4;
    emit_mem(l->chunk, OP1_16(0xc7, is_16), 0, vxt_stack(l, -size));
    if (is_16) {
        emit_bytes(l->chunk, &guest, 2);
    } else {
        emit_gaddr(l->chunk, guest, false);
    }
    l->delta -= size;
}

/* A call that only fetches its own address: the return address goes to the stack and to the thunk's register. */
static void lower_thunk(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn)
{
    vx_gaddr next = insn->addr + insn->length;
    push_return(l, next, false);
    if (insn->target == next)
        return;
    emit_mov_gaddr(l->chunk, rec->thunk, next);
    l->delta += 4;
}

void vxt_lower_call(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn)
{
    if (rec->mark & MARK_THUNK && !l->program->input->single) {
        lower_thunk(l, rec, insn);
        return;
    }
    push_return(l, insn->addr + insn->length, insn->osize16);
    vxt_lower_flush(l);
    vxt_lower_branch(l, 0xe8, insn->target);
    continuation(l, rec);
}

static void load_target(struct vxt_lower *l, const struct vxt_insn *insn, int reg)
{
    if (insn->is_mem)
        emit_mem(l->chunk, insn->osize16 ? OP2(0xb7) : OP1(0x8b), reg, vxt_operand(l, insn));
    else if (insn->osize16)
        emit_reg(l->chunk, OP2(0xb7), reg, vxt_host_reg(insn->rm));
    else
        emit_mov(l->chunk, reg, vxt_host_reg(insn->rm));
}

void vxt_lower_call_indirect(struct vxt_lower *l, const struct vxt_rec *rec,
                                const struct vxt_insn *insn)
{
    bool is_plain = !insn->is_mem && insn->rm != ESP && !insn->osize16;
    if (!is_plain)
        load_target(l, insn, R10);
    push_return(l, insn->addr + insn->length, insn->osize16);
    vxt_lower_flush(l);
    emit_mov(l->chunk, R8, is_plain ? insn->rm : R10);
    emit_table_jump(l->chunk, true);
    continuation(l, rec);
}

void vxt_lower_jump_indirect(struct vxt_lower *l, const struct vxt_insn *insn)
{
    if (insn->osize16) {
        load_target(l, insn, R10);
        emit_mov(l->chunk, R8, R10);
    } else {
        load_target(l, insn, R8);
    }
    emit_table_jump(l->chunk, false);
}

void vxt_lower_ret(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    /* Behind a push it is a jump, and no call is returned to: through the table flags stay as they are. So, too,
     * where the instruction runs alone. */
    bool is_jump = l->program->input->single || insn->addr == l->after_push;
    uint32_t popped = (uint32_t)size + (insn->imm & 0xffff);
    emit_mem(l->chunk, insn->osize16 ? OP2(0xb7) : OP1(0x8b), is_jump ? R10 : R8, vxt_stack(l, 0));
    l->delta += (int32_t)popped;
    vxt_lower_flush(l);
    if (!is_jump) {
        vxt_return_flags(l, insn, popped);
        emit8(l->chunk, 0xc3);
        return;
    }
    emit_reg(l->chunk, OP1(0x8b), R8, R10);
    emit_table_jump(l->chunk, false);
}

/* loop, loope, loopne, jecxz: jecxz is short and needs no flags; far targets are jumped to around it. */
void vxt_lower_loop(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_chunk *chunk = l->chunk;
    if (insn->klass != VXT_JCXZ) {
        emit_lea(chunk, insn->addr16 ? R10 : ECX, vxt_at(ECX, -1), false);
        if (insn->addr16)
            emit_reg(chunk, OP1_16(0x8b, true), ECX, R10);
    }
    if (insn->addr16) { /* test cx alone */
        emit_mov(chunk, R10, ECX);
        emit_reg(chunk, OP2(0xb7), ECX, ECX);
    }
    size_t zero = emit_branch(chunk, 0xe3, BRANCH_LOCAL, 0);
    if (insn->addr16)
        emit_mov(chunk, ECX, R10);
    size_t over = 0;
    if (insn->klass == VXT_JCXZ)
        over = emit_branch(chunk, 0xe9, BRANCH_LOCAL, 0);
    else if (insn->klass == VXT_LOOP)
        vxt_lower_branch(l, 0xe9, insn->target);
    else
        vxt_lower_branch(l, insn->klass == VXT_LOOPE ? 0x84 : 0x85, insn->target);
    if (insn->addr16 && insn->klass != VXT_JCXZ) {
        over = emit_branch(chunk, 0xe9, BRANCH_LOCAL, 0);
        vxt_bind_here(l, (uint32_t)zero);
        emit_mov(chunk, ECX, R10);
        vxt_bind_here(l, (uint32_t)over);
        return;
    }
    vxt_bind_here(l, (uint32_t)zero);
    if (insn->klass != VXT_JCXZ)
        return;
    if (insn->addr16)
        emit_mov(chunk, ECX, R10);
    vxt_lower_branch(l, 0xe9, insn->target);
    vxt_bind_here(l, (uint32_t)over);
}

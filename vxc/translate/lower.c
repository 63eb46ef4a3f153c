/*
 * Lowering of guest instructions (see lower.h).
 *
 * ESP updates are merged: pushes and pops address off r14d with a displacement
 * and only change `delta`. Every instruction is arranged so that nothing of the
 * guest's state changes before its last access that can fault; the fault map
 * row then describes all of it. What must flush `delta` does so before its row.
 */
#include "format/sandbox.h"
#include "vxc/translate/lower.h"

static int host_reg(int guest)
{
    return guest == ESP ? R14 : guest;
}

static bool is_gpr(uint8_t kind)
{
    return kind == VXT_R_V || kind == VXT_R_16 || kind == VXT_R_32;
}

static struct vxt_mem at(int base, int32_t disp)
{
    return (struct vxt_mem){ .base = (int8_t)base, .index = NO_REG, .disp = disp };
}

/* The guest stack at `offset` from the guest's ESP. */
static struct vxt_mem stack(const struct vxt_lower *l, int32_t offset)
{
    return at(R14, l->delta + offset);
}

static struct vxt_op op_of(const struct vxt_insn *insn)
{
    return (struct vxt_op){ .map = insn->map, .opcode = insn->opcode, .mandatory = insn->mandatory,
                            .osize16 = insn->osize16, .lock = insn->lock, .is_vex = insn->is_vex, .vex_l = insn->vex_l,
                            .vex_w = insn->vex_w,
                            .vvvv = (uint8_t)(is_gpr(insn->vvvv_kind) ? host_reg(insn->vvvv) : insn->vvvv) };
}

void vxt_lower_flush(struct vxt_lower *l)
{
    if (l->delta)
        emit_lea(l->chunk, R14, at(R14, l->delta), false);
    l->delta = 0;
}

/* Effective address within its segment. A 16-bit address is computed into r8d. */
static struct vxt_mem effective(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_mem mem = { .base = NO_REG, .index = NO_REG, .scale = insn->scale, .disp = insn->disp };
    if (insn->base >= 0)
        mem.base = (int8_t)host_reg(insn->base);
    if (insn->index >= 0)
        mem.index = insn->index;
    if (insn->addr16) {
        if (mem.base == NO_REG && mem.index == NO_REG)
            return at(NO_REG, insn->disp & 0xffff);
        emit_lea(l->chunk, R8, mem, false);
        emit_reg(l->chunk, OP2(0xb7), R8, R8);
        return at(R8, 0);
    }
    if (mem.base == R14)
        mem.disp += l->delta;
    return mem;
}

/* Memory operand of an instruction, with the base of fs or gs added through r9d. May use r8, r9. */
static struct vxt_mem operand(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_mem mem = effective(l, insn);
    if (insn->seg < 4)
        return mem;
    emit_context_load(l->chunk, R9, insn->seg == 4 ? VX_CTX_FS_BASE : VX_CTX_GS_BASE);
    if (mem.base == NO_REG) {
        mem.base = R9;
    } else if (mem.index == NO_REG) {
        mem.index = R9;
        mem.scale = 0;
    } else {
        emit_lea(l->chunk, R8, mem, false);
        mem = (struct vxt_mem){ .base = R8, .index = R9 };
    }
    return mem;
}

static void immediate(struct vxt_lower *l, const struct vxt_insn *insn)
{
    emit_bytes(l->chunk, &insn->imm, insn->imm_size);
}

/* Exchange the low and the high byte of a register, to reach ah..bh where a REX prefix is needed. */
static void swap_bytes(struct vxt_lower *l, int q)
{
    emit_reg(l->chunk, OP1(0x86), q + 4, q);
}

/* r10b = high byte of register q. */
static void fetch_high(struct vxt_lower *l, int q)
{
    swap_bytes(l, q);
    emit_mov(l->chunk, R10, q);
    swap_bytes(l, q);
}

/* op with memory that needs REX, and ah..bh as the other operand. */
static void pass_high_byte(struct vxt_lower *l, const struct vxt_insn *insn, struct vxt_mem mem)
{
    int q = insn->reg - 4;
    if (insn->reg_write && !insn->rm_write) {
        emit_mem(l->chunk, OP2(0xb6), R10, mem);
        swap_bytes(l, q);
        emit_reg(l->chunk, op_of(insn), q, R10);
        swap_bytes(l, q);
        return;
    }
    fetch_high(l, q);
    emit_mem(l->chunk, op_of(insn), R10, mem);
    if (insn->reg_write) {
        swap_bytes(l, q);
        emit_reg(l->chunk, OP1(0x8a), q, R10);
        swap_bytes(l, q);
    }
}

/* The same opcode, with registers and memory operand re-encoded. */
static void lower_pass(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_op op = op_of(insn);
    int reg = is_gpr(insn->reg_kind) ? host_reg(insn->reg) : insn->reg;
    int rm = is_gpr(insn->rm_kind) ? host_reg(insn->rm) : insn->rm;
    bool is_bswap16 = insn->map == 1 && (insn->opcode & 0xf8) == 0xc8 && insn->osize16;
    if (is_bswap16) { /* undefined by the manual: processors clear the register's low half */
        emit_opreg(l->chunk, OP1_16(0xb8, true), rm);
        emit8(l->chunk, 0);
        emit8(l->chunk, 0);
    } else if (!insn->has_modrm) {
        if (insn->is_vex) {
            emit_vex_plain(l->chunk, op);
        } else if (insn->rm_kind == VXT_R_NONE) {
            int low = insn->opcode & 7; /* the opcode as it is */
            emit_opreg(l->chunk, op, low);
        } else {
            emit_opreg(l->chunk, op, rm);
        }
    } else if (insn->is_mem) {
        struct vxt_mem mem = operand(l, insn);
        if (insn->reg_kind == VXT_R_8 && reg >= 4 && (mem.base >= 8 || mem.index >= 8))
            pass_high_byte(l, insn, mem);
        else
            emit_mem(l->chunk, op, reg, mem);
    } else {
        if (insn->rm_kind == VXT_R_8 && rm >= 4 && reg == R14) {
            fetch_high(l, rm - 4);
            rm = R10;
        }
        emit_reg(l->chunk, op, reg, rm);
    }
    immediate(l, insn);
}

/* add or sub of an immediate to ESP: its value, if that is all the instruction does (flags dead). */
static bool is_esp_adjust(const struct vxt_rec *rec, const struct vxt_insn *insn, int32_t *by)
{
    if (insn->klass != VXT_PASS || insn->map || (insn->opcode != 0x81 && insn->opcode != 0x83) ||
        insn->is_mem || insn->rm != ESP || insn->osize16 || rec->live_out)
        return false;
    if (insn->reg != 0 && insn->reg != 5)
        return false;
    *by = insn->reg == 0 ? (int32_t)insn->imm : -(int32_t)insn->imm;
    return *by > -0x100000 && *by < 0x100000;
}

/* mov between ESP and another register, 32 bits: which is the destination? */
static bool is_esp_move(const struct vxt_insn *insn, int *to, int *from)
{
    if (insn->klass != VXT_PASS || insn->map || insn->is_mem || insn->osize16 ||
        (insn->opcode != 0x89 && insn->opcode != 0x8b))
        return false;
    *to = insn->opcode == 0x89 ? insn->rm : insn->reg;
    *from = insn->opcode == 0x89 ? insn->reg : insn->rm;
    return *to == ESP || *from == ESP;
}

static bool names_esp(const struct vxt_insn *insn)
{
    return (is_gpr(insn->reg_kind) && insn->reg == ESP) ||
           (!insn->is_mem && is_gpr(insn->rm_kind) && insn->rm == ESP) || (is_gpr(insn->vvvv_kind) && insn->vvvv == ESP);
}

/* ---- stack --------------------------------------------------------------- */

static void store_sized(struct vxt_lower *l, int reg, struct vxt_mem mem, bool is_16)
{
    emit_mem(l->chunk, OP1_16(0x89, is_16), reg, mem);
}

static void lower_push(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    int reg;
    if (insn->klass == VXT_PUSH_I) {
        emit_mem(l->chunk, OP1_16(0xc7, insn->osize16), 0, stack(l, -size));
        emit_bytes(l->chunk, &insn->imm, (uint32_t)size);
        l->delta -= size;
        return;
    }
    if (insn->klass == VXT_PUSH_E && insn->is_mem) {
        reg = R10;
        emit_mem(l->chunk, OP1_16(0x8b, insn->osize16), reg, operand(l, insn));
    } else if (insn->rm == ESP) {
        reg = R10;
        emit_lea(l->chunk, reg, stack(l, 0), false);
    } else {
        reg = insn->rm;
    }
    store_sized(l, reg, stack(l, -size), insn->osize16);
    l->delta -= size;
}

static void lower_pop(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    struct vxt_op load = OP1_16(0x8b, insn->osize16);
    if (insn->klass == VXT_POP_E && insn->is_mem) {
        /* an address with ESP in it uses the incremented value */
        emit_mem(l->chunk, load, R10, stack(l, 0));
        l->delta += size;
        store_sized(l, R10, operand(l, insn), insn->osize16);
    } else if (insn->rm == ESP && insn->osize16) {
        emit_mem(l->chunk, load, R10, stack(l, 0));
        emit_lea(l->chunk, R14, stack(l, 2), false);
        emit_reg(l->chunk, load, R14, R10);
        l->delta = 0;
    } else if (insn->rm == ESP) {
        emit_load(l->chunk, R14, stack(l, 0));
        l->delta = 0;
    } else {
        emit_mem(l->chunk, load, insn->rm, stack(l, 0));
        l->delta += size;
    }
}

static void lower_pusha(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    emit_lea(l->chunk, R10, stack(l, 0), false);
    for (int reg = 0; reg < 8; reg++)
        store_sized(l, reg == ESP ? R10 : reg, stack(l, -size * (reg + 1)), insn->osize16);
    l->delta -= 8 * size;
}

/* Both ends are read first: then nothing in between can fault (32 bytes touch at most two pages). */
static void lower_popa(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    struct vxt_op load = OP1_16(0x8b, insn->osize16);
    emit_mem(l->chunk, load, R10, stack(l, 0));
    emit_mem(l->chunk, load, R10, stack(l, 7 * size));
    for (int reg = 7; reg >= 0; reg--)
        if (reg != ESP)
            emit_mem(l->chunk, load, reg, stack(l, size * (7 - reg)));
    l->delta += 8 * size;
}

static void lower_leave(struct vxt_lower *l, const struct vxt_insn *insn)
{
    bool is_16 = insn->osize16;
    emit_mem(l->chunk, OP1_16(0x8b, is_16), R10, at(EBP, 0));
    emit_mov(l->chunk, R14, EBP);
    emit_reg(l->chunk, OP1_16(0x8b, is_16), EBP, R10);
    l->delta = is_16 ? 2 : 4;
}

/*
 * enter without nesting; the others go to the runtime. The processor tests that the new top of the stack
 * can be written, before EBP changes: two complements leave it, and the flags, as they were.
 */
static void lower_enter(struct vxt_lower *l, const struct vxt_insn *insn)
{
    emit_store(l->chunk, EBP, stack(l, -4));
    for (int i = 0; i < 2 && insn->imm & 0xffff; i++)
        emit_mem(l->chunk, OP1(0xf7), 2, stack(l, -4 - (int32_t)(insn->imm & 0xffff)));
    l->delta -= 4;
    emit_lea(l->chunk, EBP, stack(l, 0), false);
    l->delta -= (int32_t)(insn->imm & 0xffff);
}

/* ---- control flow -------------------------------------------------------- */

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

static void bind_here(struct vxt_lower *l, uint32_t branch)
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
        bind_here(l, l->slow_misses[i]);
    if (l->slow_miss_count) {
        emit_bytes(l->chunk, restore_ecx, 3);
        vxt_keep_flags(l->chunk);
    }
    for (unsigned i = 0; i < l->miss_count; i++)
        bind_here(l, l->misses[i]);
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
    bind_here(l, (uint32_t)over);
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
    emit_mem(l->chunk, OP1_16(0xc7, is_16), 0, stack(l, -size));
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

static void lower_call(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn)
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
        emit_mem(l->chunk, insn->osize16 ? OP2(0xb7) : OP1(0x8b), reg, operand(l, insn));
    else if (insn->osize16)
        emit_reg(l->chunk, OP2(0xb7), reg, host_reg(insn->rm));
    else
        emit_mov(l->chunk, reg, host_reg(insn->rm));
}

static void lower_call_indirect(struct vxt_lower *l, const struct vxt_rec *rec,
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

static void lower_jump_indirect(struct vxt_lower *l, const struct vxt_insn *insn)
{
    if (insn->osize16) {
        load_target(l, insn, R10);
        emit_mov(l->chunk, R8, R10);
    } else {
        load_target(l, insn, R8);
    }
    emit_table_jump(l->chunk, false);
}

static void lower_ret(struct vxt_lower *l, const struct vxt_insn *insn)
{
    int size = insn->osize16 ? 2 : 4;
    /* Behind a push it is a jump, and no call is returned to: through the table flags stay as they are. So, too,
     * where the instruction runs alone. */
    bool is_jump = l->program->input->single || insn->addr == l->after_push;
    uint32_t popped = (uint32_t)size + (insn->imm & 0xffff);
    emit_mem(l->chunk, insn->osize16 ? OP2(0xb7) : OP1(0x8b), is_jump ? R10 : R8, stack(l, 0));
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
static void lower_loop(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_chunk *chunk = l->chunk;
    if (insn->klass != VXT_JCXZ) {
        emit_lea(chunk, insn->addr16 ? R10 : ECX, at(ECX, -1), false);
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
        bind_here(l, (uint32_t)zero);
        emit_mov(chunk, ECX, R10);
        bind_here(l, (uint32_t)over);
        return;
    }
    bind_here(l, (uint32_t)zero);
    if (insn->klass != VXT_JCXZ)
        return;
    if (insn->addr16)
        emit_mov(chunk, ECX, R10);
    vxt_lower_branch(l, 0xe9, insn->target);
    bind_here(l, (uint32_t)over);
}

/* ---- events -------------------------------------------------------------- */

static void event(struct vxt_lower *l, const struct vxt_insn *insn, uint32_t number, uint32_t operand_bits)
{
    emit_mov_gaddr(l->chunk, R8, insn->addr);
    emit_opreg(l->chunk, OP1(0xb8), R9);
    emit32(l->chunk, VX_EVENT(number, operand_bits & 0xffff, insn->length & 15));
    emit_context_jump(l->chunk, VX_CTX_EVENT);
}

static void event_value(struct vxt_lower *l, const struct vxt_insn *insn, uint32_t number,
                        uint32_t operand_bits, uint32_t value)
{
    emit_opreg(l->chunk, OP1(0xb8), R10);
    emit32(l->chunk, value);
    event(l, insn, number, operand_bits);
}

static void event_address(struct vxt_lower *l, const struct vxt_insn *insn, uint32_t number,
                          uint32_t operand_bits)
{
    emit_lea(l->chunk, R10, operand(l, insn), false);
    event(l, insn, number, operand_bits);
}

void vxt_lower_step(struct vxt_lower *l, vx_gaddr next)
{
    struct vxt_insn insn = { .addr = next };
    emit_row(l->chunk, VXF_ROW_NONE, 0, 0);
    event(l, &insn, VX_EVENT_STEP, 0);
}

static void event_rm(struct vxt_lower *l, const struct vxt_insn *insn, uint32_t number, uint32_t bits)
{
    uint32_t o16 = insn->osize16 ? 0x8000 : 0;
    if (insn->is_mem)
        event_address(l, insn, number, bits | 0x100 | o16);
    else
        event(l, insn, number, bits | (uint32_t)(insn->rm & 7) << 4 | o16);
}

static void lower_into(struct vxt_lower *l, const struct vxt_insn *insn)
{
    size_t over = emit_branch(l->chunk, 0x81, BRANCH_LOCAL, 0);
    event(l, insn, VX_EVENT_TRAP, 4);
    bind_here(l, (uint32_t)over);
}

static void lower_arpl(struct vxt_lower *l, const struct vxt_insn *insn)
{
    uint32_t source = insn->reg & 7;
    if (insn->is_mem)
        event_address(l, insn, VX_EVENT_ARPL, source | 0x100);
    else
        event_value(l, insn, VX_EVENT_ARPL, source, insn->rm);
}

static void lower_string_event(struct vxt_lower *l, const struct vxt_insn *insn)
{
    uint32_t bits = insn->opcode;
    if (insn->rep)
        bits |= insn->rep == 0xf2 ? 2u << 8 : 3u << 8;
    bits |= (insn->addr16 ? 1u << 10 : 0) | (insn->osize16 ? 1u << 11 : 0);
    bits |= (uint32_t)(insn->seg < 0 ? 3 : insn->seg) << 12;
    event(l, insn, VX_EVENT_STRING, bits);
}

static void lower_maskmov(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_insn edi = *insn; /* DS:EDI as an operand */
    edi.base = EDI;
    edi.index = -1;
    edi.scale = 0;
    edi.disp = 0;
    emit_lea(l->chunk, R10, operand(l, &edi), false);
    event(l, insn, VX_EVENT_MASKMOV, insn->modrm | (insn->mandatory == 0x66 ? 0x100u : 0));
}

static void lower_gather(struct vxt_lower *l, const struct vxt_insn *insn)
{
    uint32_t bits = insn->reg | (uint32_t)insn->vvvv << 3 | (uint32_t)insn->vsib << 6 | (uint32_t)insn->vsib_scale << 9;
    bits |= (insn->opcode & 1 ? 1u << 11 : 0) | (insn->vex_w ? 1u << 12 : 0) | (insn->vex_l ? 1u << 13 : 0);
    event_address(l, insn, VX_EVENT_GATHER, bits);
}

static void lower_event(struct vxt_lower *l, const struct vxt_insn *insn)
{
    uint32_t o16 = insn->osize16 ? 0x8000 : 0;
    uint32_t reg = insn->reg & 7, seg = insn->seg_reg & 7;
    switch (insn->klass) {
    case VXT_INT:
        if (insn->imm == 0x80)
            event(l, insn, VX_EVENT_SYSCALL, 0);
        else if (insn->imm == 3 || insn->imm == 4)
            event(l, insn, VX_EVENT_TRAP, insn->imm);
        else
            event(l, insn, VX_EVENT_INT, insn->imm & 0xff);
        break;
    case VXT_INT3: event(l, insn, VX_EVENT_TRAP, 3); break;
    case VXT_INT1: event(l, insn, VX_EVENT_TRAP, 1); break;
    case VXT_INTO: lower_into(l, insn); break;
    case VXT_PUSHF: event(l, insn, VX_EVENT_PUSHF, o16); break;
    case VXT_POPF: event(l, insn, VX_EVENT_POPF, o16); break;
    case VXT_PUSH_SEG: event(l, insn, VX_EVENT_PUSH_SEG, seg | o16); break;
    case VXT_POP_SEG: event(l, insn, VX_EVENT_POP_SEG, seg | o16); break;
    case VXT_BOUND: event_address(l, insn, VX_EVENT_BOUND, reg | o16); break;
    case VXT_ENTER:
        event_value(l, insn, VX_EVENT_ENTER, o16, (insn->imm & 0xffff) | (insn->imm2 & 0xff) << 16);
        break;
    case VXT_LOAD_FAR: event_address(l, insn, VX_EVENT_LOAD_FAR, seg | reg << 4 | o16); break;
    case VXT_MOV_FROM_SEG: event_rm(l, insn, VX_EVENT_MOV_FROM_SEG, seg); break;
    case VXT_MOV_TO_SEG: event_rm(l, insn, VX_EVENT_MOV_TO_SEG, seg); break;
    case VXT_DAA: event(l, insn, VX_EVENT_DAA, 0); break;
    case VXT_DAS: event(l, insn, VX_EVENT_DAS, 0); break;
    case VXT_AAA: event(l, insn, VX_EVENT_AAA, 0); break;
    case VXT_AAS: event(l, insn, VX_EVENT_AAS, 0); break;
    case VXT_AAM: event(l, insn, VX_EVENT_AAM, insn->imm & 0xff); break;
    case VXT_AAD: event(l, insn, VX_EVENT_AAD, insn->imm & 0xff); break;
    case VXT_SALC: event(l, insn, VX_EVENT_SALC, 0); break;
    case VXT_CPUID: event(l, insn, VX_EVENT_CPUID, 0); break;
    case VXT_XGETBV: event(l, insn, VX_EVENT_XGETBV, 0); break;
    case VXT_RDTSCP: event(l, insn, VX_EVENT_RDTSCP, 0); break;
    case VXT_ARPL: lower_arpl(l, insn); break;
    case VXT_LAR: event_rm(l, insn, VX_EVENT_LAR_LSL, reg); break;
    case VXT_LSL: event_rm(l, insn, VX_EVENT_LAR_LSL, reg | 8); break;
    case VXT_VERR: event_rm(l, insn, VX_EVENT_VERR_VERW, 0); break;
    case VXT_VERW: event_rm(l, insn, VX_EVENT_VERR_VERW, 8); break;
    case VXT_FAR_CALL: event_value(l, insn, insn->osize16 ? VX_EVENT_FAR_CALL_16 : VX_EVENT_FAR_CALL, insn->imm2, insn->imm); break;
    case VXT_FAR_JMP: event_value(l, insn, VX_EVENT_FAR_JUMP, insn->imm2, insn->imm); break;
    case VXT_FAR_RET:
        event_value(l, insn, VX_EVENT_FAR_RET, o16, (insn->imm & 0xffff) | (insn->imm2 & 1) << 16);
        break;
    case VXT_FAR_E: event_address(l, insn, VX_EVENT_FAR_MEMORY, (reg == 3) | o16); break;
    case VXT_FNSTENV: event_address(l, insn, VX_EVENT_FNSTENV, o16); break;
    case VXT_FLDENV: event_address(l, insn, VX_EVENT_FLDENV, o16); break;
    case VXT_FNSAVE: event_address(l, insn, VX_EVENT_FNSAVE, o16); break;
    case VXT_FRSTOR: event_address(l, insn, VX_EVENT_FRSTOR, o16); break;
    case VXT_FXSAVE: event_address(l, insn, VX_EVENT_FXSAVE, 0); break;
    case VXT_FXRSTOR: event_address(l, insn, VX_EVENT_FXRSTOR, 0); break;
    case VXT_GATHER: lower_gather(l, insn); break;
    case VXT_XSAVE: event_address(l, insn, VX_EVENT_XSAVE, 0); break;
    case VXT_XSAVEOPT: event_address(l, insn, VX_EVENT_XSAVE, 1); break;
    case VXT_XSAVEC: event_address(l, insn, VX_EVENT_XSAVE, 2); break;
    case VXT_XRSTOR: event_address(l, insn, VX_EVENT_XRSTOR, 0); break;
    case VXT_STRING: lower_string_event(l, insn); break;
    case VXT_PASS: lower_maskmov(l, insn); break;
    case VXT_UD: event(l, insn, VX_EVENT_TRAP, 6); break;
    default: event(l, insn, VX_EVENT_TRAP, 13); break;
    }
}

/* ---- the rest ------------------------------------------------------------ */

static void lower_string(struct vxt_lower *l, const struct vxt_insn *insn)
{
    static const uint8_t source[7] = { 0x89, 0xf6, 0x49, 0x8d, 0x74, 0x35, 0x00 };
    static const uint8_t destination[7] = { 0x89, 0xff, 0x49, 0x8d, 0x7c, 0x3d, 0x00 };
    static const uint8_t count[2] = { 0x89, 0xc9 };
    uint8_t kind = insn->opcode & 0xfe;
    if (kind == 0xa4 || kind == 0xa6 || kind == 0xac)
        emit_bytes(l->chunk, source, 7);
    if (kind != 0xac)
        emit_bytes(l->chunk, destination, 7);
    if (insn->rep)
        emit_bytes(l->chunk, count, 2);
    if (insn->osize16 && (insn->opcode & 1)) /* no byte instruction has it in the contract */
        emit8(l->chunk, 0x66);
    if (insn->rep)
        emit8(l->chunk, insn->rep);
    emit8(l->chunk, insn->opcode);
}

static void lower_xlat(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_insn table = *insn; /* EBX + zero-extended AL as an operand */
    emit_reg(l->chunk, OP2(0xb6), R10, EAX);
    table.base = EBX;
    table.index = R10;
    table.scale = 0;
    table.disp = 0;
    emit_mem(l->chunk, OP1(0x8a), EAX, operand(l, &table));
}

static void lower_lea(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_mem mem = effective(l, insn);
    int reg = host_reg(insn->reg);
    if (reg == R14 && insn->osize16) { /* sp alone: the upper half of ESP must be right first */
        emit_lea(l->chunk, R10, mem, false);
        vxt_lower_flush(l);
        emit_reg(l->chunk, OP1_16(0x8b, true), R14, R10);
        return;
    }
    emit_lea(l->chunk, reg, mem, insn->osize16);
    if (reg == R14)
        l->delta = 0;
}

static void lower_esp_move(struct vxt_lower *l, int to, int from)
{
    if (from != ESP || l->delta == 0)
        emit_mov(l->chunk, host_reg(to), host_reg(from));
    else
        emit_lea(l->chunk, host_reg(to), stack(l, 0), false);
    if (to == ESP)
        l->delta = 0;
}

static void lower_moffs(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_insn plain = *insn;
    plain.base = plain.index = -1;
    struct vxt_op op = OP1_16(0x8a, insn->osize16);
    op.opcode = (uint8_t)((insn->opcode & 2 ? 0x88 : 0x8a) | (insn->opcode & 1));
    if (insn->addr16)
        plain.disp &= 0xffff;
    emit_mem(l->chunk, op, EAX, operand(l, &plain));
}

/* Must r14d be up to date before this instruction? Stack instructions, calls and ret see to it themselves. */
static bool needs_flush(const struct vxt_rec *rec, const struct vxt_insn *insn)
{
    switch (insn->klass) {
    case VXT_CALL: case VXT_RET: case VXT_PUSH_R: case VXT_PUSH_I: case VXT_PUSH_E: case VXT_POP_R:
    case VXT_POP_E: case VXT_LEA:
        return false;
    case VXT_CALL_E:
        return names_esp(insn);
    default:
        return rec->flow != FLOW_NEXT || names_esp(insn);
    }
}

/* What only changes `delta`, or nothing: no code, no row. */
static bool lower_to_nothing(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn)
{
    int32_t by;
    if (insn->klass == VXT_NOP_E)
        return true;
    if (is_esp_adjust(rec, insn, &by)) {
        l->delta += by;
        return true;
    }
    if (insn->klass == VXT_LEA && insn->reg == ESP && insn->base == ESP && insn->index < 0 &&
        !insn->osize16 && !insn->addr16 && insn->disp > -0x100000 && insn->disp < 0x100000) {
        l->delta += insn->disp;
        return true;
    }
    return false;
}

void vxt_lower_insn(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn)
{
    int to, from;
    if (lower_to_nothing(l, rec, insn))
        return;
    bool is_move = is_esp_move(insn, &to, &from);
    if (!is_move && needs_flush(rec, insn))
        vxt_lower_flush(l);
    emit_row(l->chunk, VXF_ROW_INSN, insn->addr, l->delta);
    if (is_move) {
        lower_esp_move(l, to, from);
        return;
    }
    if (rec->flow == FLOW_EVENT || rec->flow == FLOW_STOP) {
        lower_event(l, insn);
        return;
    }
    switch (insn->klass) {
    case VXT_PASS: lower_pass(l, insn); break;
    case VXT_INC_R: emit_reg(l->chunk, OP1_16(0xff, insn->osize16), 0, host_reg(insn->rm)); break;
    case VXT_DEC_R: emit_reg(l->chunk, OP1_16(0xff, insn->osize16), 1, host_reg(insn->rm)); break;
    case VXT_PUSH_R: case VXT_PUSH_I: case VXT_PUSH_E:
        lower_push(l, insn);
        l->after_push = insn->addr + insn->length;
        break;
    case VXT_POP_R: case VXT_POP_E: lower_pop(l, insn); break;
    case VXT_PUSHA: lower_pusha(l, insn); break;
    case VXT_POPA: lower_popa(l, insn); break;
    case VXT_CALL: lower_call(l, rec, insn); break;
    case VXT_CALL_E: lower_call_indirect(l, rec, insn); break;
    case VXT_JMP: vxt_lower_branch(l, 0xe9, insn->target); break;
    case VXT_JMP_E: lower_jump_indirect(l, insn); break;
    case VXT_JCC: vxt_lower_branch(l, (uint8_t)(0x80 | insn->cc), insn->target); break;
    case VXT_LOOP: case VXT_LOOPE: case VXT_LOOPNE: case VXT_JCXZ: lower_loop(l, insn); break;
    case VXT_RET: lower_ret(l, insn); break;
    case VXT_LEAVE: lower_leave(l, insn); break;
    case VXT_ENTER: lower_enter(l, insn); break;
    case VXT_MOV_MOFFS: lower_moffs(l, insn); break;
    case VXT_STRING: lower_string(l, insn); break;
    case VXT_XLAT: lower_xlat(l, insn); break;
    case VXT_LEA: lower_lea(l, insn); break;
    default: break;
    }
}

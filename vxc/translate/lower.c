/*
 * Lowering of guest instructions (see lower.h).
 *
 * ESP updates are merged: pushes and pops address off r14d with a displacement
 * and only change `delta`. Every instruction is arranged so that nothing of the
 * guest's state changes before its last access that can fault; the fault map
 * row then describes all of it. What must flush `delta` does so before its row.
 */
#include "format/sandbox.h"
#include "vxc/translate/lower_parts.h"

static bool is_gpr(uint8_t kind)
{
    return kind == VXT_R_V || kind == VXT_R_16 || kind == VXT_R_32;
}

static struct vxt_op op_of(const struct vxt_insn *insn)
{
    return (struct vxt_op){ .map = insn->map, .opcode = insn->opcode, .mandatory = insn->mandatory,
                            .osize16 = insn->osize16, .lock = insn->lock, .is_vex = insn->is_vex, .vex_l = insn->vex_l,
                            .vex_w = insn->vex_w,
                            .vvvv = (uint8_t)(is_gpr(insn->vvvv_kind) ? vxt_host_reg(insn->vvvv) : insn->vvvv) };
}

void vxt_lower_flush(struct vxt_lower *l)
{
    if (l->delta)
        emit_lea(l->chunk, R14, vxt_at(R14, l->delta), false);
    l->delta = 0;
}

struct vxt_mem vxt_effective(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_mem mem = { .base = NO_REG, .index = NO_REG, .scale = insn->scale, .disp = insn->disp };
    if (insn->base >= 0)
        mem.base = (int8_t)vxt_host_reg(insn->base);
    if (insn->index >= 0)
        mem.index = insn->index;
    if (insn->addr16) {
        if (mem.base == NO_REG && mem.index == NO_REG)
            return vxt_at(NO_REG, insn->disp & 0xffff);
        emit_lea(l->chunk, R8, mem, false);
        emit_reg(l->chunk, OP2(0xb7), R8, R8);
        return vxt_at(R8, 0);
    }
    if (mem.base == R14)
        mem.disp += l->delta;
    return mem;
}

struct vxt_mem vxt_operand(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_mem mem = vxt_effective(l, insn);
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
    int reg = is_gpr(insn->reg_kind) ? vxt_host_reg(insn->reg) : insn->reg;
    int rm = is_gpr(insn->rm_kind) ? vxt_host_reg(insn->rm) : insn->rm;
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
        struct vxt_mem mem = vxt_operand(l, insn);
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
    emit_mem(l->chunk, OP1(0x8a), EAX, vxt_operand(l, &table));
}

/* Undocumented, but compilers for AMD's processors use it: both registers become empty, and the stack is popped. */
static void lower_ffreep(struct vxt_lower *l, const struct vxt_insn *insn)
{
    const uint8_t code[6] = { 0xdd, 0xc0 | insn->rm, 0xdd, 0xc0, 0xd9, 0xf7 }; /* ffree %st(i); ffree %st(0); fincstp */
    emit_bytes(l->chunk, code, sizeof code);
}

/* The cache is not the guest's to flush; but the byte must be there. */
static void lower_clflush(struct vxt_lower *l, const struct vxt_insn *insn)
{
    emit_mem(l->chunk, OP2(0xb6), R10, vxt_operand(l, insn));
}

static void lower_lea(struct vxt_lower *l, const struct vxt_insn *insn)
{
    struct vxt_mem mem = vxt_effective(l, insn);
    int reg = vxt_host_reg(insn->reg);
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
        emit_mov(l->chunk, vxt_host_reg(to), vxt_host_reg(from));
    else
        emit_lea(l->chunk, vxt_host_reg(to), vxt_stack(l, 0), false);
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
    emit_mem(l->chunk, op, EAX, vxt_operand(l, &plain));
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
        vxt_lower_event(l, insn);
        return;
    }
    switch (insn->klass) {
    case VXT_PASS: lower_pass(l, insn); break;
    case VXT_INC_R: emit_reg(l->chunk, OP1_16(0xff, insn->osize16), 0, vxt_host_reg(insn->rm)); break;
    case VXT_DEC_R: emit_reg(l->chunk, OP1_16(0xff, insn->osize16), 1, vxt_host_reg(insn->rm)); break;
    case VXT_PUSH_R: case VXT_PUSH_I: case VXT_PUSH_E:
        vxt_lower_push(l, insn);
        l->after_push = insn->addr + insn->length;
        break;
    case VXT_POP_R: case VXT_POP_E: vxt_lower_pop(l, insn); break;
    case VXT_PUSHA: vxt_lower_pusha(l, insn); break;
    case VXT_POPA: vxt_lower_popa(l, insn); break;
    case VXT_CALL: vxt_lower_call(l, rec, insn); break;
    case VXT_CALL_E: vxt_lower_call_indirect(l, rec, insn); break;
    case VXT_JMP: vxt_lower_branch(l, 0xe9, insn->target); break;
    case VXT_JMP_E: vxt_lower_jump_indirect(l, insn); break;
    case VXT_JCC: vxt_lower_branch(l, (uint8_t)(0x80 | insn->cc), insn->target); break;
    case VXT_LOOP: case VXT_LOOPE: case VXT_LOOPNE: case VXT_JCXZ: vxt_lower_loop(l, insn); break;
    case VXT_RET: vxt_lower_ret(l, insn); break;
    case VXT_LEAVE: vxt_lower_leave(l, insn); break;
    case VXT_ENTER: vxt_lower_enter(l, insn); break;
    case VXT_MOV_MOFFS: lower_moffs(l, insn); break;
    case VXT_STRING: lower_string(l, insn); break;
    case VXT_XLAT: lower_xlat(l, insn); break;
    case VXT_CLFLUSH: lower_clflush(l, insn); break;
    case VXT_FFREEP: lower_ffreep(l, insn); break;
    case VXT_LEA: lower_lea(l, insn); break;
    default: break;
    }
}

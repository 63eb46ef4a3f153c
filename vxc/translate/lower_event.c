/*
 * Lowering of what is left to the runtime: an event with its number and operands (format/sandbox.h).
 */
#include "format/sandbox.h"
#include "vxc/translate/lower_parts.h"

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
    emit_lea(l->chunk, R10, vxt_operand(l, insn), false);
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
    vxt_bind_here(l, (uint32_t)over);
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
    emit_lea(l->chunk, R10, vxt_operand(l, &edi), false);
    event(l, insn, VX_EVENT_MASKMOV, insn->modrm | (insn->mandatory == 0x66 ? 0x100u : 0));
}

static void lower_gather(struct vxt_lower *l, const struct vxt_insn *insn)
{
    uint32_t bits = insn->reg | (uint32_t)insn->vvvv << 3 | (uint32_t)insn->vsib << 6 | (uint32_t)insn->vsib_scale << 9;
    bits |= (insn->opcode & 1 ? 1u << 11 : 0) | (insn->vex_w ? 1u << 12 : 0) | (insn->vex_l ? 1u << 13 : 0);
    event_address(l, insn, VX_EVENT_GATHER, bits);
}

void vxt_lower_event(struct vxt_lower *l, const struct vxt_insn *insn)
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

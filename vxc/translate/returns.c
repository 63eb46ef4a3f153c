/*
 * What a ret leaves in r10d for the return-miss stub: the flags, or how to get them (format/sandbox.h).
 *
 * A continuation that was not meant may have compared, and so lost the flags. Saving them costs four instructions; at the
 * end of most functions it is known where they come from, and one instruction says it.
 */
#include "format/sandbox.h"
#include "vxc/translate/lower.h"

enum { FLAGS_UNKNOWN, FLAGS_ZERO_RESULT, FLAGS_ADD_ESP };

/* AH = ZF PF and the bit that is always set, as lahf has them; no OF. */
#define ZERO_RESULT 0x4600u

static bool is_register_zeroing(const struct vxt_insn *insn)
{
    return insn->klass == VXT_PASS && !insn->map && (insn->opcode == 0x31 || insn->opcode == 0x33) && !insn->is_mem &&
           insn->reg == insn->rm;
}

static bool is_add_esp(const struct vxt_insn *insn)
{
    return insn->klass == VXT_PASS && !insn->map && (insn->opcode == 0x81 || insn->opcode == 0x83) && !insn->is_mem &&
           insn->reg == 0 && insn->rm == ESP && !insn->osize16 && insn->imm > 0 && insn->imm <= VX_RETURN_ADD_MAX;
}

/* mov to a register but ESP, or to memory: neither flags nor ESP change. */
static bool is_plain_move(const struct vxt_insn *insn)
{
    if (insn->klass == VXT_MOV_MOFFS || insn->klass == VXT_NOP_E)
        return true;
    if (insn->klass == VXT_LEA)
        return insn->reg != ESP;
    if (insn->klass != VXT_PASS || insn->map)
        return false;
    switch (insn->opcode) {
    case 0x8b: return insn->reg != ESP;
    case 0x89: case 0xc7: return insn->is_mem || insn->rm != ESP;
    default: return insn->opcode >= 0xb8 && insn->opcode <= 0xbf && insn->opcode != 0xb8 + ESP;
    }
}

void vxt_note_flags(struct vxt_lower *l, const struct vxt_insn *insn)
{
    bool goes_on = insn->addr == l->flags_end;
    l->flags_end = insn->addr + insn->length;
    if (insn->klass == VXT_POP_R && insn->rm != ESP && !insn->osize16 && goes_on)
        l->flags_popped += 4;
    else if (is_plain_move(insn) && goes_on)
        ;
    else if (is_register_zeroing(insn))
        l->flags_from = FLAGS_ZERO_RESULT;
    else if (is_add_esp(insn)) {
        l->flags_from = FLAGS_ADD_ESP;
        l->flags_added = (uint32_t)insn->imm;
        l->flags_popped = 0;
    } else
        l->flags_from = FLAGS_UNKNOWN;
}

void vxt_keep_flags(struct vxt_chunk *chunk)
{
    static const uint8_t code[9] = { 0x41, 0x89, 0xc2,       /* movl %eax,%r10d */
                                     0x9f, 0x0f, 0x90, 0xc0, /* lahf; seto %al */
                                     0x41, 0x92 };           /* xchgl %eax,%r10d */
    emit_bytes(chunk, code, sizeof code);
}

void vxt_return_flags(struct vxt_lower *l, const struct vxt_insn *ret, uint32_t popped)
{
    uint32_t value = ZERO_RESULT;
    unsigned from = ret->addr == l->flags_end ? l->flags_from : FLAGS_UNKNOWN;
    popped += l->flags_popped;
    if (from == FLAGS_ADD_ESP) {
        if (popped > VX_RETURN_POPPED_MAX)
            from = FLAGS_UNKNOWN;
        value = VX_RETURN_ADD_ESP(l->flags_added, popped);
    }
    if (from == FLAGS_UNKNOWN) {
        vxt_keep_flags(l->chunk);
        return;
    }
    emit_opreg(l->chunk, OP1(0xb8), R10);
    emit32(l->chunk, value);
}

/*
 * String instructions that translated code does not do inline: 16-bit
 * addresses, or a source segment with a base (SDM vol. 2, MOVS CMPS STOS LODS SCAS, REP).
 *
 * Element by element, so that a fault or an interruption leaves the registers
 * as the processor does: the elements before it done, eip at the instruction.
 */
#include "format/sandbox.h"
#include "vxrt/helper_op.h"

/* Iterations of a rep before the runtime gets a chance to interrupt. */
#define BATCH 65536u

struct string_op {
    uint32_t size;    /* of an element: 1, 2, 4 */
    uint32_t mask;    /* of the address size */
    uint32_t base;    /* of the source segment */
    bool uses_source, uses_destination, is_compare;
    uint8_t kind;     /* opcode with the size bit cleared */
    unsigned rep;
};

static struct string_op decode(const struct op *op)
{
    struct string_op s = {0};
    uint8_t opcode = (uint8_t)op->bits;
    unsigned segment = op->bits >> 12 & 7;
    s.size = !(opcode & 1) ? 1 : op->bits >> 11 & 1 ? 2 : 4;
    s.mask = op->bits >> 10 & 1 ? 0xffff : 0xffffffff;
    s.base = segment == 4 ? op->regs->fs_base : segment == 5 ? op->regs->gs_base : 0;
    s.kind = opcode & 0xfe;
    s.rep = op->bits >> 8 & 3;
    s.uses_source = s.kind == 0xa4 || s.kind == 0xa6 || s.kind == 0xac;
    s.uses_destination = s.kind != 0xac;
    s.is_compare = s.kind == 0xa6 || s.kind == 0xae;
    return s;
}

/* Flags of left - right at the element's size. */
static uint32_t compare_flags(uint32_t left, uint32_t right, uint32_t size)
{
    uint32_t top = 1u << (8 * size - 1);
    uint32_t mask = top | (top - 1);
    uint32_t result = (left - right) & mask;
    uint32_t flags = flags_of_byte((uint8_t)result) & FLAG_PF;
    if (left < right)
        flags |= FLAG_CF;
    if ((left ^ right ^ result) & 0x10)
        flags |= FLAG_AF;
    if (result == 0)
        flags |= FLAG_ZF;
    if (result & top)
        flags |= FLAG_SF;
    if ((left ^ right) & (left ^ result) & top)
        flags |= FLAG_OF;
    return flags;
}

static void advance(uint32_t *reg, uint32_t step, uint32_t mask)
{
    *reg = (*reg & ~mask) | ((*reg + step) & mask);
}

static bool one_element(struct op *op, const struct string_op *s)
{
    struct vx_regs *regs = op->regs;
    uint32_t step = regs->eflags & FLAG_DF ? -s->size : s->size;
    uint32_t value_mask = s->size == 4 ? 0xffffffffu : (1u << 8 * s->size) - 1;
    vx_gaddr source = s->base + (regs->esi & s->mask);
    vx_gaddr destination = regs->edi & s->mask;
    uint32_t value = regs->eax & value_mask;
    uint32_t other = 0;
    if (s->uses_source && !op_load(op, source, &value, s->size))
        return false;
    if (s->is_compare) {
        if (!op_load(op, destination, &other, s->size))
            return false;
        regs->eflags = (regs->eflags & ~(uint32_t)FLAGS_ARITHMETIC) |
                       compare_flags(value, other, s->size);
    } else if (s->uses_destination) {
        if (!op_store(op, destination, &value, s->size))
            return false;
    } else { /* lods */
        regs->eax = (regs->eax & ~value_mask) | value;
    }
    if (s->uses_source)
        advance(&regs->esi, step, s->mask);
    if (s->uses_destination)
        advance(&regs->edi, step, s->mask);
    return true;
}

bool helper_string(struct op *op, bool *is_finished)
{
    struct string_op s = decode(op);
    *is_finished = true;
    if (!s.rep)
        return one_element(op, &s);
    /* Faults keep the elements done. */
    op->partial = true;
    uint32_t batch = op->regs->eflags & FLAG_TF ? 1 : BATCH;
    for (uint32_t i = 0; i < batch; i++) {
        if (!(op->regs->ecx & s.mask))
            return true;
        if (!one_element(op, &s))
            return false;
        advance(&op->regs->ecx, ~0u, s.mask);
        bool is_equal = op->regs->eflags & FLAG_ZF;
        if (s.is_compare && is_equal != (s.rep == 3))
            return true;
    }
    *is_finished = !(op->regs->ecx & s.mask);
    return true;
}

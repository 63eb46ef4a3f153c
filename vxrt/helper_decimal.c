/*
 * The decimal instructions: daa das aaa aas aam aad (SDM vol. 2).
 *
 * Flags that the manual leaves undefined are given the values that
 * processors show: those of the last addition or subtraction done.
 */
#include "format/sandbox.h"
#include "vxrt/helper_op.h"

uint32_t flags_of_byte(uint8_t result)
{
    uint32_t flags = 0;
    if (result == 0)
        flags |= FLAG_ZF;
    if (result & 0x80)
        flags |= FLAG_SF;
    if (!__builtin_parity(result))
        flags |= FLAG_PF;
    return flags;
}

static void set_al(struct op *op, uint8_t al)
{
    op->regs->eax = (op->regs->eax & 0xffffff00u) | al;
}

static void set_flags(struct op *op, uint32_t flags)
{
    op->regs->eflags = (op->regs->eflags & ~(uint32_t)FLAGS_ARITHMETIC) | flags;
}

static void daa_das(struct op *op, bool is_add)
{
    uint8_t old = (uint8_t)op->regs->eax;
    bool old_carry = op->regs->eflags & FLAG_CF;
    uint8_t delta = 0;
    uint32_t flags = 0;
    bool low_borrow = false;
    if ((old & 0xf) > 9 || (op->regs->eflags & FLAG_AF)) {
        delta = 6;
        flags |= FLAG_AF;
        low_borrow = is_add ? old > 0xf9 : old < 6;
    }
    if (old > 0x99 || old_carry) {
        delta = (uint8_t)(delta + 0x60);
        flags |= FLAG_CF;
    } else if (low_borrow) {
        flags |= FLAG_CF;
    }
    uint8_t al = (uint8_t)(is_add ? old + delta : old - delta);
    if (is_add ? (~(old ^ delta) & (old ^ al) & 0x80) : ((old ^ delta) & (old ^ al) & 0x80))
        flags |= FLAG_OF;
    set_al(op, al);
    set_flags(op, flags | flags_of_byte(al));
}

/* The flags come from the 16-bit addition or subtraction, before the high digit is cut off. */
static void aaa_aas(struct op *op, bool is_add)
{
    uint16_t old = (uint16_t)op->regs->eax, delta = 0;
    uint32_t flags = 0;
    if ((old & 0xf) > 9 || (op->regs->eflags & FLAG_AF)) {
        delta = 0x106;
        flags = FLAG_AF | FLAG_CF;
    }
    uint16_t ax = (uint16_t)(is_add ? old + delta : old - delta);
    if (is_add ? (~(old ^ delta) & (old ^ ax) & 0x8000) : ((old ^ delta) & (old ^ ax) & 0x8000))
        flags |= FLAG_OF;
    flags |= (ax & 0x8000 ? FLAG_SF : 0) | (ax == 0 ? FLAG_ZF : 0) | (flags_of_byte((uint8_t)ax) & FLAG_PF);
    op->regs->eax = (op->regs->eax & 0xffff0000u) | (ax & 0xff0f);
    set_flags(op, flags);
}

static void aad(struct op *op, uint8_t al, uint8_t product)
{
    uint8_t result = (uint8_t)(al + product);
    uint32_t flags = flags_of_byte(result);
    if (result < al)
        flags |= FLAG_CF;
    if ((al ^ product ^ result) & 0x10)
        flags |= FLAG_AF;
    if (~(al ^ product) & (al ^ result) & 0x80)
        flags |= FLAG_OF;
    op->regs->eax = (op->regs->eax & 0xffff0000u) | result;
    set_flags(op, flags);
}

bool helper_decimal(struct op *op)
{
    uint8_t imm = (uint8_t)op->bits;
    uint8_t al = (uint8_t)op->regs->eax;
    uint8_t ah = (uint8_t)(op->regs->eax >> 8);
    switch (op->number) {
    case VX_EVENT_DAA:
        daa_das(op, true);
        return true;
    case VX_EVENT_DAS:
        daa_das(op, false);
        return true;
    case VX_EVENT_AAA:
        aaa_aas(op, true);
        return true;
    case VX_EVENT_AAS:
        aaa_aas(op, false);
        return true;
    case VX_EVENT_AAM:
        if (imm == 0)
            return op_trap(op, VX_TRAP_DIVIDE, 0);
        op->regs->eax = (op->regs->eax & 0xffff0000u) | (uint32_t)(al / imm) << 8 | al % imm;
        set_flags(op, flags_of_byte(al % imm));
        return true;
    default:
        aad(op, al, (uint8_t)(ah * imm));
        return true;
    }
}

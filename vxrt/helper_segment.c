/*
 * Segment registers and far transfers on the virtual machine's descriptors:
 * flat user code (0x23), flat user data (0x2b), three TLS entries, and the null
 * selector, numbered and answered for as an x86-64 Linux kernel sets them up.
 * es, ss and ds are always flat: only fs and gs can have a base.
 */
#include "format/sandbox.h"
#include "vxrt/helper_op.h"

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* lar results of the four kinds of descriptor, with G, D/B, P, DPL 3, accessed. */
#define RIGHTS_CODE 0x00cffb00u
#define RIGHTS_DATA 0x00cff300u
#define RIGHTS_TLS 0x00dff300u

static uint16_t *segment_register(struct vx_regs *regs, unsigned segment)
{
    uint16_t *const list[6] = {&regs->es, &regs->cs, &regs->ss, &regs->ds, &regs->fs, &regs->gs};
    return list[segment];
}

/* Index of the TLS entry that a selector names, or -1. */
static int tls_index(uint16_t selector)
{
    unsigned entry = selector >> 3;
    bool is_local = selector & 4;
    if (is_local || entry < VXI_TLS_FIRST || entry >= VXI_TLS_FIRST + VXI_TLS_COUNT)
        return -1;
    return (int)(entry - VXI_TLS_FIRST);
}

bool vxi_load_segment(struct vx_box *box, struct vx_regs *regs, unsigned segment,
                      uint16_t selector)
{
    bool has_base = segment == SEG_FS || segment == SEG_GS;
    uint32_t base = 0;
    int tls = tls_index(selector);
    if (segment > SEG_GS || segment == SEG_CS)
        return false;
    if (segment == SEG_SS) {
        if (selector != VXI_SELECTOR_DATA)
            return false;
    } else if (selector > 3 && (selector & ~3) != (VXI_SELECTOR_DATA & ~3) && (selector & ~3) != (VXI_SELECTOR_CODE & ~3)) {
        if (!has_base || tls < 0)
            return false;
        base = vxi_box_tls(box)[tls];
    }
    *segment_register(regs, segment) = selector;
    if (segment == SEG_FS)
        regs->fs_base = base;
    if (segment == SEG_GS)
        regs->gs_base = base;
    return true;
}

vx_status vxi_set_tls_entry(struct vx_box *box, struct vx_regs *regs, unsigned entry, uint32_t base)
{
    if (entry < VXI_TLS_FIRST || entry >= VXI_TLS_FIRST + VXI_TLS_COUNT)
        return VX_ERR_ARGUMENT;
    vxi_box_tls(box)[entry - VXI_TLS_FIRST] = base;
    if (tls_index(regs->fs) == (int)(entry - VXI_TLS_FIRST))
        regs->fs_base = base;
    if (tls_index(regs->gs) == (int)(entry - VXI_TLS_FIRST))
        regs->gs_base = base;
    return VX_OK;
}

/* The error code of #GP is the selector without its RPL. */
static bool bad_selector(struct op *op, uint16_t selector)
{
    op->trap->detail = selector & 0xfffcu;
    return op_trap(op, VX_TRAP_PROTECTION, 13);
}

static bool load(struct op *op, unsigned segment, uint16_t selector)
{
    if (segment > SEG_GS || segment == SEG_CS)
        return op_trap(op, VX_TRAP_UNDEFINED, 6);
    if (!vxi_load_segment(op->box, op->regs, segment, selector))
        return bad_selector(op, selector);
    return true;
}

/* The 16-bit operand in a GPR (bits 4-6) or in memory (bit 8). */
static bool get_selector(struct op *op, uint16_t *selector)
{
    if (op->bits & 0x100)
        return op_load(op, op->operand, selector, 2);
    *selector = (uint16_t)op_get_gpr(op, op->bits >> 4 & 7);
    return true;
}

/* Access rights as lar shows them; 0: not a segment the guest can see. */
static uint32_t rights_of(struct op *op, uint16_t selector)
{
    int tls = tls_index(selector);
    if (tls >= 0)
        return vxi_box_tls(op->box)[tls] ? RIGHTS_TLS : 0;
    switch (selector & ~3) {
    case VXI_SELECTOR_CODE & ~3:
        return RIGHTS_CODE;
    case VXI_SELECTOR_DATA & ~3:
        return RIGHTS_DATA;
    default:
        return 0;
    }
}

static void set_zf(struct op *op, bool value)
{
    op->regs->eflags = (op->regs->eflags & ~(uint32_t)FLAG_ZF) | (value ? FLAG_ZF : 0u);
}

static bool lar_lsl(struct op *op)
{
    uint16_t selector;
    if (!get_selector(op, &selector))
        return false;
    uint32_t rights = rights_of(op, selector);
    set_zf(op, rights != 0);
    if (rights)
        op_set_gpr(op, op->bits & 7, op->bits & 8 ? 0xffffffffu : rights, op->bits & OPERAND_16);
    return true;
}

static bool verr_verw(struct op *op)
{
    uint16_t selector;
    if (!get_selector(op, &selector))
        return false;
    uint32_t rights = rights_of(op, selector);
    set_zf(op, op->bits & 8 ? rights && rights != RIGHTS_CODE : rights != 0);
    return true;
}

static bool arpl(struct op *op)
{
    bool is_memory = op->bits & 0x100;
    uint16_t source = (uint16_t)op_get_gpr(op, op->bits & 7);
    uint16_t destination;
    if (is_memory) {
        if (!op_load(op, op->operand, &destination, 2))
            return false;
    } else {
        destination = (uint16_t)op_get_gpr(op, op->operand & 7);
    }
    bool is_lower = (destination & 3) < (source & 3);
    if (is_lower) {
        destination = (uint16_t)((destination & ~3) | (source & 3));
        if (!is_memory)
            op_set_gpr(op, op->operand & 7, destination, true);
        else if (!op_store(op, op->operand, &destination, 2))
            return false;
    }
    set_zf(op, is_lower);
    return true;
}

static bool mov_from_segment(struct op *op)
{
    unsigned segment = op->bits & 7;
    if (segment > SEG_GS)
        return op_trap(op, VX_TRAP_UNDEFINED, 6);
    uint16_t selector = *segment_register(op->regs, segment);
    if (op->bits & 0x100)
        return op_store(op, op->operand, &selector, 2);
    op_set_gpr(op, op->bits >> 4 & 7, selector, op->bits & OPERAND_16);
    return true;
}

static bool push_segment(struct op *op)
{
    unsigned segment = op->bits & 7;
    if (segment > SEG_GS)
        return op_trap(op, VX_TRAP_UNDEFINED, 6);
    uint32_t size = op->bits & OPERAND_16 ? 2 : 4;
    uint32_t value = *segment_register(op->regs, segment);
    if (!op_store(op, op->regs->esp - size, &value, size))
        return false;
    op->regs->esp -= size;
    return true;
}

/* All of the slot is read, as processors do. */
static bool pop_segment(struct op *op)
{
    uint32_t slot = 0, size = op->bits & OPERAND_16 ? 2 : 4;
    if (!op_load(op, op->regs->esp, &slot, size) || !load(op, op->bits & 7, (uint16_t)slot))
        return false;
    op->regs->esp += size;
    return true;
}

static bool load_far(struct op *op)
{
    bool is_16 = op->bits & OPERAND_16;
    uint32_t offset = 0;
    uint16_t selector;
    uint32_t size = is_16 ? 2 : 4;
    if (!op_load(op, op->operand, &offset, size) ||
        !op_load(op, op->operand + size, &selector, 2) || !load(op, op->bits & 7, selector))
        return false;
    op_set_gpr(op, op->bits >> 4 & 7, offset, is_16);
    return true;
}

/* A far target must be user code; its RPL may be anything for jmp and call. */
static bool far_to(struct op *op, uint16_t selector, uint32_t offset, bool is_return)
{
    if (is_return ? selector != VXI_SELECTOR_CODE
                  : (selector & ~3) != (VXI_SELECTOR_CODE & ~3))
        return bad_selector(op, selector);
    op->regs->cs = VXI_SELECTOR_CODE;
    op->regs->eip = offset;
    return true;
}

static bool far_call(struct op *op, uint16_t selector, uint32_t offset, bool is_16)
{
    uint32_t frame[2] = {op->regs->eip + op->length, op->regs->cs};
    uint16_t short_frame[2] = {(uint16_t)frame[0], op->regs->cs};
    uint32_t size = is_16 ? sizeof short_frame : sizeof frame;
    /* cs is pushed first: its word is the one that a fault names */
    if (!far_to(op, selector, offset, false) || !op_probe_write(op, op->regs->esp - size / 2, size / 2) ||
        !op_store(op, op->regs->esp - size, is_16 ? (const void *)short_frame : frame, size))
        return false;
    op->regs->esp -= size;
    return true;
}

/* jmp and call through a far pointer in memory. */
static bool far_memory(struct op *op)
{
    bool is_16 = op->bits & OPERAND_16;
    uint32_t offset = 0, size = is_16 ? 2 : 4;
    uint16_t selector;
    if (!op_load(op, op->operand, &offset, size) || !op_load(op, op->operand + size, &selector, 2))
        return false;
    return op->bits & 1 ? far_call(op, selector, offset, is_16) : far_to(op, selector, offset, false);
}

/* retf and iret: eip, cs and for iret the flags from the stack. */
static bool far_return(struct op *op)
{
    bool is_iret = op->operand >> 16 & 1;
    bool is_16 = op->bits & OPERAND_16;
    uint32_t width = is_16 ? 2 : 4;
    uint32_t count = is_iret ? 3 : 2;
    uint32_t frame[3] = {0};
    if (is_iret && (op->regs->eflags & FLAG_NT))
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    /* the last word first: it is the one that a fault names */
    for (uint32_t i = count; i-- > 0;)
        if (!op_load(op, op->regs->esp + i * width, &frame[i], width))
            return false;
    if (!far_to(op, (uint16_t)frame[1], frame[0], true))
        return false;
    op->regs->esp += count * width + (is_iret ? 0 : op->operand & 0xffff);
    if (is_iret) {
        uint32_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
        if (!is_16)
            mask |= FLAG_AC | FLAG_ID;
        op->regs->eflags = (op->regs->eflags & ~mask) | (frame[2] & mask);
    }
    return true;
}

bool helper_segment(struct op *op)
{
    uint16_t selector;
    switch (op->number) {
    case VX_EVENT_MOV_FROM_SEG:
        return mov_from_segment(op);
    case VX_EVENT_MOV_TO_SEG:
        return get_selector(op, &selector) && load(op, op->bits & 7, selector);
    case VX_EVENT_PUSH_SEG:
        return push_segment(op);
    case VX_EVENT_POP_SEG:
        return pop_segment(op);
    case VX_EVENT_LOAD_FAR:
        return load_far(op);
    case VX_EVENT_ARPL:
        return arpl(op);
    case VX_EVENT_LAR_LSL:
        return lar_lsl(op);
    case VX_EVENT_VERR_VERW:
        return verr_verw(op);
    case VX_EVENT_FAR_JUMP:
        return far_to(op, (uint16_t)op->bits, op->operand, false);
    case VX_EVENT_FAR_CALL:
        return far_call(op, (uint16_t)op->bits, op->operand, false);
    case VX_EVENT_FAR_CALL_16:
        return far_call(op, (uint16_t)op->bits, op->operand, true);
    case VX_EVENT_FAR_MEMORY:
        return far_memory(op);
    default:
        return far_return(op);
    }
}

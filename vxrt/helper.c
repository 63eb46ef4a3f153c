/*
 * Instruction helpers: dispatch, memory access, flags, bound and enter.
 *
 * An instruction works on a copy of the registers, which becomes the guest's
 * only when the instruction is done: a trap leaves the state before it.
 */
#include "vxrt/helper.h"

#include <string.h>

#include "format/cpu.h"
#include "format/sandbox.h"
#include "vxrt/helper_op.h"

/* ---- memory ---------------------------------------------------------- */

/* First byte of [addr, addr + size) that lacks `prot`, into the trap. */
static bool page_fault(struct op *op, vx_gaddr addr, uint32_t size, enum vx_access access)
{
    int need = access == VX_ACCESS_WRITE ? VX_PROT_WRITE : VX_PROT_READ;
    vx_gaddr at = addr;
    int prot = vx_box_page_prot(op->box, at);
    while (prot >= 0 && (prot & need)) {
        uint32_t rest = VX_PAGE_BYTES - at % VX_PAGE_BYTES;
        if (rest >= size)
            break;
        size -= rest;
        at += rest; /* wraps to page 0, which is never mapped */
        prot = vx_box_page_prot(op->box, at);
    }
    op->trap->kind = VX_TRAP_PAGE;
    op->trap->vector = 14;
    op->trap->address = at;
    op->trap->access = (uint8_t)access;
    op->trap->is_protection = prot >= 0;
    return false;
}

bool op_load(struct op *op, vx_gaddr addr, void *dst, uint32_t size)
{
    return vx_box_read(op->box, addr, dst, size) == VX_OK ||
           page_fault(op, addr, size, VX_ACCESS_READ);
}

bool op_store(struct op *op, vx_gaddr addr, const void *src, uint32_t size)
{
    return vx_box_write(op->box, addr, src, size) == VX_OK ||
           page_fault(op, addr, size, VX_ACCESS_WRITE);
}

bool op_probe_write(struct op *op, vx_gaddr addr, uint32_t size)
{
    vx_gaddr last = addr + size - 1;
    int first_prot = vx_box_page_prot(op->box, addr), last_prot = vx_box_page_prot(op->box, last);
    if (first_prot >= 0 && (first_prot & VX_PROT_WRITE) && last_prot >= 0 &&
        (last_prot & VX_PROT_WRITE) && last >= addr)
        return true;
    return page_fault(op, addr, size, VX_ACCESS_WRITE);
}

bool op_trap(struct op *op, enum vx_trap_kind kind, unsigned vector)
{
    op->trap->kind = kind;
    op->trap->vector = (uint8_t)vector;
    return false;
}

/* ---- registers ------------------------------------------------------- */

static uint32_t *gpr(struct vx_regs *regs, unsigned number)
{
    uint32_t *const list[8] = {&regs->eax, &regs->ecx, &regs->edx, &regs->ebx,
                               &regs->esp, &regs->ebp, &regs->esi, &regs->edi};
    return list[number & 7];
}

uint32_t op_get_gpr(const struct op *op, unsigned number)
{
    return *gpr(op->regs, number);
}

void op_set_gpr(struct op *op, unsigned number, uint32_t value, bool is_16)
{
    uint32_t *reg = gpr(op->regs, number);
    *reg = is_16 ? (*reg & 0xffff0000u) | (value & 0xffffu) : value;
}

/* ---- instructions ---------------------------------------------------- */

static bool pushf(struct op *op)
{
    uint32_t size = op->bits & OPERAND_16 ? 2 : 4;
    uint32_t value = op->regs->eflags & ~(uint32_t)(FLAG_RF | FLAG_VM);
    if (!op_store(op, op->regs->esp - size, &value, size))
        return false;
    op->regs->esp -= size;
    return true;
}

/* User code with IOPL 0 cannot change IF and IOPL. */
static bool popf(struct op *op)
{
    bool is_16 = op->bits & OPERAND_16;
    uint32_t size = is_16 ? 2 : 4;
    uint32_t value = 0;
    uint32_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
    if (!op_load(op, op->regs->esp, &value, size))
        return false;
    if (!is_16)
        mask |= FLAG_AC | FLAG_ID;
    op->regs->eflags = (op->regs->eflags & ~mask) | (value & mask);
    op->regs->esp += size;
    return true;
}

static bool bound(struct op *op)
{
    bool is_16 = op->bits & OPERAND_16;
    int32_t index = (int32_t)op_get_gpr(op, op->bits & 7);
    int32_t lower, upper;
    if (is_16) {
        int16_t pair[2];
        if (!op_load(op, op->operand, pair, 4))
            return false;
        index = (int16_t)index;
        lower = pair[0];
        upper = pair[1];
    } else {
        int32_t pair[2];
        if (!op_load(op, op->operand, pair, 8))
            return false;
        lower = pair[0];
        upper = pair[1];
    }
    if (index < lower || index > upper)
        return op_trap(op, VX_TRAP_BOUND, 5);
    return true;
}

static bool enter(struct op *op)
{
    struct vx_regs *regs = op->regs;
    bool is_16 = op->bits & OPERAND_16;
    uint32_t width = is_16 ? 2 : 4;
    uint32_t size = op->operand & 0xffff;
    uint32_t level = op->operand >> 16 & 31;
    uint32_t esp = regs->esp - width;
    uint32_t from = regs->ebp;
    if (!op_store(op, esp, &regs->ebp, width))
        return false;
    uint32_t frame = esp;
    for (uint32_t i = 1; i < level; i++) {
        uint32_t value = 0;
        from -= width;
        esp -= width;
        if (!op_load(op, from, &value, width) || !op_store(op, esp, &value, width))
            return false;
    }
    if (level) {
        esp -= width;
        if (!op_store(op, esp, &frame, width))
            return false;
    }
    esp -= size;
    /* the processor tests that the new top of the stack can be written */
    if (!op_probe_write(op, esp, width))
        return false;
    op_set_gpr(op, 5, frame, is_16);
    regs->esp = esp;
    return true;
}

static bool salc(struct op *op)
{
    op->regs->eax = (op->regs->eax & 0xffffff00u) | (op->regs->eflags & FLAG_CF ? 0xffu : 0);
    return true;
}

/* The guest is told of one processor, so its number is 0. */
static bool rdtscp(struct op *op)
{
    if (!(vxi_box_cpu(op->box) & VX_CPU_RDTSCP))
        return op_trap(op, VX_TRAP_UNDEFINED, 6);
    uint64_t ticks = __builtin_ia32_rdtsc();
    op->regs->eax = (uint32_t)ticks;
    op->regs->edx = (uint32_t)(ticks >> 32);
    op->regs->ecx = 0;
    return true;
}

static bool dispatch(struct op *op, bool *is_finished)
{
    switch (op->number) {
    case VX_EVENT_CPUID:
        helper_cpuid(op->regs, vxi_box_cpu(op->box));
        return true;
    case VX_EVENT_RDTSCP:
        return rdtscp(op);
    case VX_EVENT_PUSHF:
        return pushf(op);
    case VX_EVENT_POPF:
        return popf(op);
    case VX_EVENT_DAA:
    case VX_EVENT_DAS:
    case VX_EVENT_AAA:
    case VX_EVENT_AAS:
    case VX_EVENT_AAM:
    case VX_EVENT_AAD:
        return helper_decimal(op);
    case VX_EVENT_SALC:
        return salc(op);
    case VX_EVENT_BOUND:
        return bound(op);
    case VX_EVENT_ENTER:
        return enter(op);
    case VX_EVENT_MOV_FROM_SEG:
    case VX_EVENT_MOV_TO_SEG:
    case VX_EVENT_PUSH_SEG:
    case VX_EVENT_POP_SEG:
    case VX_EVENT_LOAD_FAR:
    case VX_EVENT_ARPL:
    case VX_EVENT_LAR_LSL:
    case VX_EVENT_VERR_VERW:
    case VX_EVENT_FAR_JUMP:
    case VX_EVENT_FAR_CALL:
    case VX_EVENT_FAR_CALL_16:
    case VX_EVENT_FAR_RET:
    case VX_EVENT_FAR_MEMORY:
        return helper_segment(op);
    case VX_EVENT_FNSTENV:
    case VX_EVENT_FLDENV:
    case VX_EVENT_FNSAVE:
    case VX_EVENT_FRSTOR:
    case VX_EVENT_FXSAVE:
    case VX_EVENT_FXRSTOR:
    case VX_EVENT_MASKMOV:
        return helper_fpu(op);
    case VX_EVENT_STRING:
        return helper_string(op, is_finished);
    case VX_EVENT_XGETBV:
    case VX_EVENT_XSAVE:
    case VX_EVENT_XRSTOR:
    case VX_EVENT_GATHER:
        return helper_vector(op);
    default:
        return op_trap(op, VX_TRAP_UNDEFINED, 6);
    }
}

static bool is_branch(uint32_t number)
{
    return number == VX_EVENT_FAR_JUMP || number == VX_EVENT_FAR_CALL ||
           number == VX_EVENT_FAR_CALL_16 || number == VX_EVENT_FAR_RET || number == VX_EVENT_FAR_MEMORY;
}

enum vxi_helper_result vxi_helper(struct vx_box *box, struct vx_regs *regs, uint32_t code,
                                  uint32_t operand, struct vx_trap *trap)
{
    struct vx_regs work = *regs;
    bool is_finished = true;
    struct op op = {
        .box = box, .regs = &work, .trap = trap, .operand = operand,
        .number = VX_EVENT_NUMBER(code), .bits = VX_EVENT_OPERAND(code),
        .length = VX_EVENT_LENGTH(code),
    };
    memset(trap, 0, sizeof *trap);
    trap->eip = regs->eip;
    if (!dispatch(&op, &is_finished)) {
        if (op.partial)
            *regs = work;
        return VXI_HELPER_TRAP;
    }
    if (is_finished && !is_branch(op.number))
        work.eip += op.length;
    *regs = work;
    return VXI_HELPER_DONE;
}

/*
 * Events: the guest instructions that translated code leaves to the runtime.
 * The state is exact; r8 is the instruction's address, r9 the code.
 */
#include "vxrt/helper.h"
#include "vxrt/internal.h"

static enum vxi_next system_call(struct vx_box *box, uint32_t length, struct vx_trap *trap)
{
    box->ctx->regs.eip += length;
    trap->kind = VX_TRAP_SYSCALL;
    trap->vector = 0x80;
    return box->system.is_active && vxi_system_call(box, trap) ? vxi_resolve(box, true, trap) : VXI_NEXT_TRAP;
}

/* Vectors as the processor counts them; traps report the address after the instruction, faults its own. */
static enum vxi_next vector_trap(struct vxi_context *ctx, uint32_t vector, uint32_t length, struct vx_trap *trap)
{
    trap->vector = (uint8_t)vector;
    switch (vector) {
    case 1: trap->kind = VX_TRAP_DEBUG; break;
    case 3: trap->kind = VX_TRAP_BREAKPOINT; break;
    case 4: trap->kind = VX_TRAP_OVERFLOW; break;
    case 5: trap->kind = VX_TRAP_BOUND; break;
    case 6: trap->kind = VX_TRAP_UNDEFINED; break;
    case 13: trap->kind = VX_TRAP_PROTECTION; break;
    default: return vxi_error_trap(trap, VX_ERR_UNSUPPORTED, vector);
    }
    if (vector == 1 || vector == 3 || vector == 4)
        ctx->regs.eip += length;
    return VXI_NEXT_TRAP;
}

/* mov to or pop of ss? */
static bool is_stack_segment(uint32_t code)
{
    uint32_t number = VX_EVENT_NUMBER(code);
    return (number == VX_EVENT_POP_SEG || number == VX_EVENT_MOV_TO_SEG) && (VX_EVENT_OPERAND(code) & 7) == 2;
}

static enum vxi_next help(struct vx_box *box, uint32_t code, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    struct vx_regs regs = ctx->regs;
    box->stats.helpers++;
    enum vxi_helper_result result = vxi_helper(box, &regs, code, ctx->r10, trap);
    vx_box_set_regs(box, &regs);
    if (result == VXI_HELPER_DONE && is_stack_segment(code))
        box->is_stepping = false; /* no debug trap before the next instruction has ended (SDM vol. 3, 6.8.3) */
    return result == VXI_HELPER_DONE ? vxi_resolve(box, true, trap) : VXI_NEXT_TRAP;
}

enum vxi_next vxi_event(struct vx_box *box, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    uint32_t code = ctx->r9, operand = VX_EVENT_OPERAND(code), length = VX_EVENT_LENGTH(code);
    switch (VX_EVENT_NUMBER(code)) {
    case VX_EVENT_SYSCALL:
        return system_call(box, length, trap);
    case VX_EVENT_TRAP:
        return vector_trap(ctx, operand, length, trap);
    case VX_EVENT_INT:
        trap->kind = VX_TRAP_INTERRUPT;
        trap->vector = (uint8_t)operand;
        return VXI_NEXT_TRAP;
    case VX_EVENT_STEP:
        return vxi_resolve(box, true, trap);
    default:
        if (VX_EVENT_NUMBER(code) >= VX_EVENT_CPUID && VX_EVENT_NUMBER(code) <= VX_EVENT_LAST)
            return help(box, code, trap);
        return vxi_error_trap(trap, VX_ERR_UNSUPPORTED, code);
    }
}

/*
 * Stopping at an instruction boundary.
 *
 * An interrupt finds the guest anywhere in its host code. If that is the start
 * of an instruction, or a string instruction between two elements, the guest
 * stops there; else it goes on one host instruction at a time until it is.
 */
#include "vxrt/internal.h"

bool vxi_is_rep(uint64_t rip)
{
    const uint8_t *code = (const uint8_t *)rip;
    if (*code == 0x66)
        code++;
    if (*code != 0xf2 && *code != 0xf3)
        return false;
    code++;
    return (*code >= 0xa4 && *code <= 0xa7) || (*code >= 0xaa && *code <= 0xaf);
}

bool vxi_is_stopped(struct vx_box *box, struct vx_trap *trap)
{
    box->pending |= atomic_exchange(&box->ctx->interrupt, 0);
    if (box->pending & VXI_INTERRUPT_STOP) {
        box->pending &= ~(uint32_t)VXI_INTERRUPT_STOP;
        trap->kind = VX_TRAP_STOPPED;
        return true;
    }
    if (box->pending & VXI_INTERRUPT_TIMER) {
        box->pending &= ~(uint32_t)VXI_INTERRUPT_TIMER;
        enum vx_trap_kind kind;
        if (vxi_timer_expired(box, &kind)) {
            trap->kind = kind;
            return true;
        }
    }
    return false;
}

/* Is there a reason to stop? Keeps it pending. A timer that fired early is none. */
static bool is_wanted(struct vx_box *box)
{
    box->pending |= atomic_exchange(&box->ctx->interrupt, 0);
    enum vx_trap_kind kind;
    if (box->pending == VXI_INTERRUPT_TIMER && !vxi_timer_expired(box, &kind))
        box->pending = 0;
    return box->pending != 0;
}

enum vxi_boundary vxi_boundary_at(struct vx_box *box, uint64_t rip, struct vxi_place *place)
{
    struct vxi_context *ctx = box->ctx;
    if (!vxi_place_of(box, rip, place))
        return VXI_NOWHERE;
    if (place->row.kind != VXF_ROW_INSN || !((place->host == rip && place->is_boundary) || vxi_is_rep(rip)))
        return VXI_BETWEEN;
    ctx->regs.eip = place->row.guest;
    ctx->regs.esp = ctx->r14 + (uint32_t)place->row.esp_delta;
    return VXI_AT_BOUNDARY;
}

enum vxi_next vxi_stop_near(struct vx_box *box, uint64_t rip, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    struct vxi_place place;
    if (box->is_stepping)
        return vxi_step_again(box, rip);
    ctx->entry = rip;
    box->is_exact = true;
    if (!is_wanted(box)) {
        ctx->stepping = VXI_STEP_NONE;
        return VXI_NEXT_ENTER;
    }
    enum vxi_boundary found = box->steps++ >= VXI_MAX_STEPS ? VXI_NOWHERE : vxi_boundary_at(box, rip, &place);
    if (found == VXI_BETWEEN) {
        ctx->stepping = VXI_STEP_ENTER;
        return VXI_NEXT_ENTER;
    }
    ctx->stepping = VXI_STEP_NONE;
    if (found == VXI_NOWHERE)
        return vxi_error_trap(trap, VX_ERR_VXC_FAULTMAP, 0);
    box->is_exact = false;
    box->resume_host = place.is_boundary ? place.host : 0;
    box->resume_eip = place.row.guest;
    box->resume_delta = place.row.esp_delta;
    if (vxi_is_stopped(box, trap))
        return VXI_NEXT_TRAP;
    return vxi_resolve(box, false, trap);
}

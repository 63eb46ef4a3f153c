/*
 * The guest's TF: after each instruction, and each element of a string instruction with rep, a debug trap
 * (SDM vol. 3, 17.3.1.4).
 *
 * The instruction is translated alone and run with the processor's own TF, so that a jump, call or return that
 * leaves its unit is seen at the first host instruction behind it. Needs the translator.
 */
#include "vxrt/internal.h"

#define DR6_SINGLE_STEP 0x4000u
#define VECTOR_DEBUG 1
/* An instruction ends long before. */
#define MAX_STEPS (1u << 16)

enum vxi_next vxi_step_begin(struct vx_box *box, enum vxi_next next)
{
    if (next != VXI_NEXT_ENTER)
        return next;
    box->is_stepping = true;
    box->has_met_rep = false;
    box->steps = 0;
    box->ctx->stepping = VXI_STEP_ENTER;
    return next;
}

enum vxi_next vxi_step_done(struct vx_box *box, struct vx_trap *trap)
{
    box->is_stepping = false;
    box->ctx->stepping = VXI_STEP_NONE;
    trap->kind = VX_TRAP_DEBUG;
    trap->vector = VECTOR_DEBUG;
    trap->detail = DR6_SINGLE_STEP;
    return VXI_NEXT_TRAP;
}

/* Has the instruction ended at rip, or one of its elements? (A jump to itself ends at the start of its own unit.) */
static bool has_ended(struct vx_box *box, const struct vxi_place *place, uint64_t rip)
{
    if (place->row.kind != VXF_ROW_INSN)
        return false;
    if (place->host == rip && place->is_boundary)
        return true;
    if (!vxi_is_rep(rip))
        return false;
    bool is_again = box->has_met_rep;
    box->has_met_rep = true;
    return is_again;
}

/* Go on exactly there. A request to stop is kept until the step has ended. */
enum vxi_next vxi_step_again(struct vx_box *box, uint64_t rip)
{
    struct vxi_context *ctx = box->ctx;
    box->pending |= atomic_exchange(&ctx->interrupt, 0);
    ctx->entry = rip;
    box->is_exact = true;
    ctx->stepping = VXI_STEP_ENTER;
    return VXI_NEXT_ENTER;
}

/* One host instruction was run, and rip is next. */
enum vxi_next vxi_step_on(struct vx_box *box, uint64_t rip, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    struct vxi_place place;
    if (box->steps++ >= MAX_STEPS || !vxi_place_of(box, rip, &place)) {
        box->is_stepping = false;
        ctx->stepping = VXI_STEP_NONE;
        return vxi_error_trap(trap, VX_ERR_VXC_FAULTMAP, 0);
    }
    if (!has_ended(box, &place, rip))
        return vxi_step_again(box, rip);
    box->is_exact = false;
    ctx->regs.eip = place.row.guest;
    ctx->regs.esp = ctx->r14 + (uint32_t)place.row.esp_delta;
    return vxi_step_done(box, trap);
}

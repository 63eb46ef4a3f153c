/*
 * Running a box: enter, see why it came out, go on or return a trap.
 */
#include "vxrt/internal.h"

/* Translated code came out for `reason`; x87 and SSE state is saved. */
static enum vxi_next handle(struct vx_box *box, int reason, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    if (reason == VXI_EXIT_ABORT) {
        /* Asked to stop before anything ran: in the middle of an instruction that needs care. */
        if (box->is_exact)
            return vxi_stop_near(box, ctx->entry, trap);
        return VXI_NEXT_ENTER;
    }
    if (reason == VXI_EXIT_SIGNAL)
        return vxi_signal_exit(box, trap);
    /* All other exits are between instructions. */
    ctx->stepping = VXI_STEP_NONE;
    ctx->r14 = ctx->regs.esp;
    ctx->regs.eip = ctx->r8;
    box->is_exact = false;
    if (vxi_is_stopped(box, trap))
        return VXI_NEXT_TRAP;
    return reason == VXI_EXIT_EVENT ? vxi_event(box, trap) : vxi_resolve(box, true, trap);
}

static void run(struct vx_box *box, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    if (vxi_is_stopped(box, trap))
        return;
    enum vxi_next next = vxi_resolve(box, false, trap);
    while (next == VXI_NEXT_ENTER) {
        /* Between instructions a request is served at once; the rest waits for the check in vxi_enter. */
        if (!box->is_exact && atomic_load_explicit(&ctx->interrupt, memory_order_relaxed) &&
            vxi_is_stopped(box, trap))
            return;
        if (!box->is_exact)
            ctx->is_wide = 0;
        vxi_fp_restore(ctx);
        int reason = vxi_dispatch(ctx);
        vxi_fp_save(ctx);
        ctx->regs.eflags = (ctx->regs.eflags & VXI_EFLAGS_GUEST) | ctx->kept_flags | VXI_EFLAGS_FIXED;
        next = handle(box, reason, trap);
    }
}

vx_status vx_box_run(struct vx_box *box, struct vx_trap *trap)
{
    if (!box || !trap)
        return VX_ERR_ARGUMENT;
    if (atomic_exchange_explicit(&box->is_running, true, memory_order_acquire))
        return VX_ERR_BUSY;
    vx_status status = vxi_thread_prepare();
    if (status != VX_OK) {
        atomic_store(&box->is_running, false);
        return status;
    }
    *trap = (struct vx_trap){ 0 };
    struct vx_box *outer = vxi_current;
    box->outer = outer;
    vxi_current = box;
    atomic_store(&box->runner, vxi_thread_id());
    vxi_load_base(box->ctx->window);
    vxi_timer_begin(box);
    run(box, trap);
    vxi_timer_end(box);
    atomic_store_explicit(&box->runner, 0, memory_order_release);
    vxi_current = outer;
    /* Inside a signal handler that interrupted another box's code: that box goes on with its own base. */
    if (outer)
        vxi_load_base(outer->ctx->window);
    trap->eip = box->ctx->regs.eip;
    box->stats.traps++;
    atomic_store_explicit(&box->is_running, false, memory_order_release);
    return VX_OK;
}

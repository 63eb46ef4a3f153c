/*
 * Running a box: enter, see why it came out, go on or return a trap.
 */
#include "vxrt/threads.h"

/* Translated code came out for `reason`; x87 and SSE state is saved. */
enum vxi_next vxi_handle(struct vx_box *box, int reason, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    if (reason == VXI_EXIT_AGAIN)
        return vxi_is_stopped(box, trap) ? VXI_NEXT_TRAP : vxi_resolve(box, false, trap);
    if (reason == VXI_EXIT_FAULT)
        return vxi_guest_fault(box, trap);
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
    /* A step ends with its own trap; who wants the box to stop comes next. */
    if (!box->is_stepping && vxi_is_stopped(box, trap))
        return VXI_NEXT_TRAP;
    return reason == VXI_EXIT_EVENT ? vxi_event(box, trap) : vxi_resolve(box, true, trap);
}

static void save_state(struct vxi_context *ctx)
{
    vxi_fp_save(ctx);
    ctx->regs.eflags = (ctx->regs.eflags & VXI_EFLAGS_GUEST) | ctx->kept_flags | VXI_EFLAGS_FIXED;
}

int vxi_enter_guest(struct vxi_context *ctx)
{
    vxi_fp_restore(ctx);
    int reason = vxi_dispatch(ctx);
    save_state(ctx);
    return reason;
}

enum vxi_next vxi_came_out(struct vx_box *box, int reason, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    if (reason == VXI_EXIT_DONE) {
        ctx->stepping = VXI_STEP_NONE;
        box->is_exact = false;
        return VXI_NEXT_DONE;
    }
    if (reason == VXI_EXIT_HOST) {
        *trap = box->calls.trap;
        return VXI_NEXT_TRAP;
    }
    save_state(ctx);
    return vxi_handle(box, reason, trap);
}

bool vxi_run(struct vx_box *box, enum vxi_next next, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    while (next == VXI_NEXT_ENTER) {
        /* Between instructions a request is served at once; the rest waits for the check in vxi_enter. */
        if (!box->is_exact && atomic_load_explicit(&ctx->interrupt, memory_order_relaxed) &&
            vxi_is_stopped(box, trap))
            return false;
        if (!box->is_exact)
            ctx->is_wide = 0;
        if (box->threads) {
            next = vxi_turn_run(box, trap);
            continue;
        }
        vxi_fp_restore(ctx);
        next = vxi_came_out(box, vxi_dispatch(ctx), trap);
    }
    return next == VXI_NEXT_DONE;
}

vx_status vxi_begin(struct vx_box *box)
{
    if (atomic_exchange_explicit(&box->is_running, true, memory_order_acquire))
        return VX_ERR_BUSY;
    vx_status status = box->is_spoiled ? VX_ERR_MEMORY : vxi_thread_prepare();
    if (status != VX_OK) {
        atomic_store(&box->is_running, false);
        return status;
    }
    box->seat = (struct vxi_seat){ box, box->ctx, vxi_current };
    vxi_current = &box->seat;
    box->calls.level = 1;
    atomic_store(&box->runner, vxi_thread_id());
    vxi_load_base(box->ctx->window);
    vxi_timer_begin(box);
    return VX_OK;
}

void vxi_end(struct vx_box *box)
{
    struct vxi_seat *outer = box->seat.outer;
    vxi_timer_end(box);
    box->calls.level = 0;
    atomic_store_explicit(&box->runner, 0, memory_order_release);
    vxi_current = outer;
    /* Inside a host function, or a signal handler that interrupted another box's code: that box goes on with its own base. */
    if (outer)
        vxi_load_base(outer->ctx->window);
    atomic_store_explicit(&box->is_running, false, memory_order_release);
}

void vxi_run_on(struct vx_box *box, struct vx_trap *trap)
{
    *trap = (struct vx_trap){ 0 };
    /* A guest that returns to the host without having been called. */
    if (!vxi_is_stopped(box, trap) && vxi_run(box, vxi_resolve(box, false, trap), trap))
        *trap = (struct vx_trap){ .kind = VX_TRAP_PAGE, .address = VX_GATE_RETURN, .access = VX_ACCESS_EXEC };
    trap->eip = box->ctx->regs.eip;
    vxi_stack_trap(box, trap);
    box->stats.traps++;
}

vx_status vx_box_run(struct vx_box *box, struct vx_trap *trap)
{
    if (!box || !trap)
        return VX_ERR_ARGUMENT;
    if (box->threads)
        return vxi_threads_run(box, trap);
    vx_status status = vxi_begin(box);
    if (status != VX_OK)
        return status;
    vxi_run_on(box, trap);
    vxi_end(box);
    return VX_OK;
}

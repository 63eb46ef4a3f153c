/*
 * Calls of guest functions: arguments out, result in, and what is left of a call that
 * traps. call.S does the crossing.
 *
 * Calls nest: a host function that the guest called may call the guest. Each level keeps what it needs on the
 * host's stack (struct vxi_frame); a call that traps moves that to a list, from which it can be taken up again.
 */
#include <stdlib.h>
#include <string.h>

#include "vxrt/internal.h"

#define VECTOR_PAGE 14
#define STACK_ALIGN 16u
/* The call instruction in call.S pushes; a fault there would be the host's. */
#define RETURN_STACK_ROOM 32768u
#define MAX_WORDS (1 + 2 * VX_MAX_ARGUMENTS)

/* Return address and arguments as they lie on the stack. */
static uint32_t marshal(const struct vx_func *func, const union vx_value *args, uint32_t *words)
{
    uint32_t n = 1;
    words[0] = VX_GATE_RETURN;
    for (uint32_t i = 0; i < func->argument_count; i++) {
        words[n++] = args[i].u32;
        if (func->arguments[i] == 'l' || func->arguments[i] == 'd')
            words[n++] = (uint32_t)(args[i].u64 >> 32);
    }
    return n;
}

static uint32_t float_kind(char kind)
{
    return kind == 'd' ? VXI_DOUBLE : kind == 'f' ? VXI_FLOAT : 0;
}

static void unmarshal(const struct vxi_context *ctx, char kind, union vx_value *result)
{
    switch (kind) {
    case 'i': case 'p': result->u64 = ctx->regs.eax; break;
    case 'l': result->u64 = ctx->regs.eax | (uint64_t)ctx->regs.edx << 32; break;
    case 'f': result->u64 = 0; memcpy(&result->f32, ctx->result, 4); break;
    case 'd': memcpy(&result->f64, ctx->result, 8); break;
    default: result->u64 = 0; break;
    }
}

/* The quick copy gives up at a page that is write-protected for the runtime's reasons. */
static bool put_words(struct vx_box *box, vx_gaddr esp, const uint32_t *words, uint32_t count, struct vx_trap *trap)
{
    uint8_t *to = box->window + esp;
    size_t left = vxi_copy_words(to, words, count);
    if (!left || vx_box_write(box, esp, words, 4 * (size_t)count) == VX_OK)
        return true;
    trap->kind = VX_TRAP_PAGE;
    trap->address = esp + 4 * (count - (uint32_t)left);
    trap->access = VX_ACCESS_WRITE;
    trap->vector = VECTOR_PAGE;
    trap->is_protection = box->pages[trap->address / VX_PAGE_BYTES] & VXI_PAGE_MAPPED;
    return false;
}

static bool push_frame(struct vx_box *box, vx_gaddr at, struct vx_trap *trap)
{
    uint32_t ebp = box->ctx->regs.ebp;
    box->ctx->regs.ebp = at;
    return put_words(box, at, &ebp, 1, trap);
}

void vxi_stopped_drop(struct vx_box *box, uint32_t level, bool with_suspended)
{
    struct vxi_calls *calls = &box->calls;
    while (calls->stopped && calls->stopped->frame.level >= level &&
           (with_suspended || calls->stopped->frame.level > level || !calls->stopped->is_suspended)) {
        struct vxi_stopped *stopped = calls->stopped;
        calls->stopped = stopped->next;
        calls->base = stopped->base;
        free(stopped);
    }
}

/* Keep what vx_box_resume needs. Without memory the call cannot be resumed. */
static void keep_stopped(struct vx_box *box, const struct vxi_frame *frame, bool is_suspended)
{
    struct vxi_stopped *stopped = malloc(sizeof *stopped);
    if (!stopped)
        return;
    *stopped = (struct vxi_stopped){ .next = box->calls.stopped, .frame = *frame, .is_suspended = is_suspended,
                                     .base = box->calls.base, .regs = box->ctx->regs, .rsp = box->ctx->rsp };
    box->calls.stopped = stopped;
    if (is_suspended)
        box->calls.base = box->ctx->regs.esp;
}

/*
 * Give up what a call has left on the return stack. Slots that it has popped below `rsp` are gone: signal handlers of the application may have
 * written there since.
 */
static void raise_return_stack(struct vx_box *box, uint64_t rsp)
{
    if (rsp > box->ctx->rsp)
        box->ctx->rsp = rsp;
}

static void release(struct vx_box *box, const struct vxi_frame *frame)
{
    struct vxi_context *ctx = box->ctx;
    if (frame->level == 0) {
        vxi_end(box);
        return;
    }
    box->calls.level = frame->level;
    raise_return_stack(box, frame->rsp);
    ctx->is_float = frame->is_float;
    ctx->host_mxcsr = frame->host_mxcsr;
    ctx->host_control = frame->host_control;
    box->calls.in_host = true;
}

/* Frames larger than this may miss the end of the stack. */
#define STACK_REACH 0x10000u

void vxi_stack_trap(const struct vx_box *box, struct vx_trap *trap)
{
    vx_gaddr low = box->calls.stack_low;
    uint8_t page = box->pages[trap->address / VX_PAGE_BYTES];
    if (trap->kind == VX_TRAP_PAGE && trap->access != VX_ACCESS_EXEC && box->calls.base && trap->address < low &&
        low - trap->address <= STACK_REACH && !(page & (VX_PROT_READ | VX_PROT_WRITE | VX_PROT_EXEC)))
        trap->kind = VX_TRAP_STACK;
}

/* The calling thread may use the box: it is free, or this is a host function that it runs. */
static vx_status claim(struct vx_box *box, struct vxi_frame *frame)
{
    struct vxi_calls *calls = &box->calls;
    struct vxi_context *ctx = box->ctx;
    if (atomic_load_explicit(&box->runner, memory_order_relaxed) != vxi_thread_id() || !calls->in_host) {
        vx_status status = vxi_begin(box);
        if (status != VX_OK)
            return status;
        frame->level = 0;
    } else {
        frame->level = calls->level++;
        frame->regs = calls->has_failed ? calls->host_regs : ctx->regs;
        calls->in_host = calls->has_failed = false;
        frame->rsp = ctx->rsp;
        frame->is_float = ctx->is_float;
        frame->host_mxcsr = ctx->host_mxcsr;
        frame->host_control = ctx->host_control;
    }
    frame->is_waiting = false;
    box->is_exact = false;
    box->force_single = false;
    if (calls->base)
        return VX_OK;
    release(box, frame); /* not started */
    return VX_ERR_ARGUMENT;
}

/* The call came back, or trapped. One that has not begun cannot go on. */
static vx_status finish(struct vx_box *box, const struct vxi_frame *frame, bool is_done, bool has_begun,
                        union vx_value *result, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    /* A callee may pop its arguments (structures returned in memory; stdcall). */
    if (is_done && ctx->regs.esp - (frame->esp + 4) <= frame->argument_bytes) {
        if (result)
            unmarshal(ctx, frame->result, result);
        if (frame->level)
            ctx->regs = frame->regs;
        return VX_OK;
    }
    if (is_done) {
        ctx->regs.eip = VX_GATE_RETURN;
        vxi_error_trap(trap, VX_ERR_UNWOUND, 0);
    }
    trap->eip = ctx->regs.eip;
    vxi_stack_trap(box, trap);
    box->stats.traps++;
    if (has_begun && !box->calls.is_passed_on)
        keep_stopped(box, frame, trap->kind == VX_TRAP_SUSPENDED || frame->is_waiting);
    box->calls.is_passed_on = false;
    if (frame->level) {
        box->calls.has_failed = true;
        box->calls.host_regs = frame->regs;
        box->calls.trap = *trap;
    }
    return VX_ERR_TRAP;
}

/* Enter the guest at ctx->regs, which are those of a function's first instruction. */
static bool run_call(struct vx_box *box, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    enum vxi_next next = VXI_NEXT_ENTER;
    if ((box->pending || atomic_load_explicit(&ctx->interrupt, memory_order_relaxed)) && vxi_is_stopped(box, trap))
        return false;
    uint64_t slot = *VXI_SLOT(ctx, ctx->regs.eip);
    ctx->r14 = ctx->regs.esp;
    ctx->entry = ctx->miss_stub + slot;
    if (!slot)
        next = vxi_resolve(box, false, trap);
    if (next != VXI_NEXT_ENTER)
        return false;
    if (ctx->r14 != ctx->regs.esp) {
        vxi_fp_empty(ctx);
        return vxi_run(box, next, trap);
    }
    if (ctx->rsp - (ctx->rsp_top + 8 - VXI_RETURN_STACK_BYTES) < RETURN_STACK_ROOM)
        ctx->rsp = ctx->rsp_top;
    int reason = vxi_call(ctx);
    if (reason == VXI_EXIT_ABORT) {
        vxi_fp_empty(ctx);
        return vxi_run(box, VXI_NEXT_ENTER, trap);
    }
    return reason == VXI_EXIT_DONE || vxi_run(box, vxi_came_out(box, reason, trap), trap);
}

/* Where the call's own stack begins: below a host function, below the frame that stands for it. */
static vx_gaddr frame_top(const struct vx_box *box, const struct vxi_frame *frame)
{
    return box->calls.base - (frame->level ? 4 : 0);
}

/* Registers and frame of a call that is about to begin. */
static void place_call(struct vx_box *box, const struct vx_func *func, uint32_t argument_bytes, struct vxi_frame *frame)
{
    struct vxi_context *ctx = box->ctx;
    if (box->calls.stopped)
        vxi_stopped_drop(box, frame->level, false);
    frame->argument_bytes = argument_bytes;
    frame->result = func->result;
    frame->esp = ((frame_top(box, frame) - argument_bytes) & ~(STACK_ALIGN - 1)) - 4;
    if (frame->level == 0) {
        /* Frame pointers end here; below a host function they go on, as if it had a frame in the guest. */
        ctx->regs.ebx = ctx->regs.ebp = ctx->regs.esi = ctx->regs.edi = 0;
        if (!box->calls.stopped)
            ctx->rsp = ctx->rsp_top;
    } else {
        ctx->regs = frame->regs; /* not those of a nested call that trapped before */
    }
    ctx->is_float = float_kind(func->result);
    ctx->regs.esp = frame->esp;
    ctx->regs.eip = func->address;
    ctx->regs.eflags = ctx->kept_flags | VXI_EFLAGS_FIXED;
}

vx_status vx_box_call(struct vx_box *box, const struct vx_func *func, const union vx_value *args,
                      union vx_value *result, struct vx_trap *trap)
{
    struct vx_trap unwanted;
    struct vxi_frame frame;
    uint32_t words[MAX_WORDS];
    if (!trap)
        trap = &unwanted;
    if (!box || !func || (func->argument_count && !args) || func->argument_count > VX_MAX_ARGUMENTS)
        return VX_ERR_ARGUMENT;
    vx_status status = claim(box, &frame);
    if (status != VX_OK)
        return status;
    *trap = (struct vx_trap){ 0 };
    uint32_t count = marshal(func, args, words);
    place_call(box, func, 4 * (count - 1), &frame);
    vx_gaddr top = frame_top(box, &frame);
    bool has_begun = false, is_done = false;
    if (frame.level >= box->calls.max_level)
        trap->kind = VX_TRAP_NESTING;
    else
        has_begun = put_words(box, frame.esp, words, count, trap) && (!frame.level || push_frame(box, top, trap));
    if (has_begun)
        is_done = run_call(box, trap);
    status = finish(box, &frame, is_done, has_begun, result, trap);
    release(box, &frame);
    return status;
}

/* Take the newest stopped call of this level off the list. */
static bool take_stopped(struct vx_box *box, struct vxi_frame *frame, bool *is_suspended)
{
    struct vxi_stopped *stopped = box->calls.stopped;
    if (!stopped || stopped->frame.level != frame->level)
        return false;
    *is_suspended = stopped->is_suspended;
    frame->result = stopped->frame.result;
    frame->esp = stopped->frame.esp;
    frame->argument_bytes = stopped->frame.argument_bytes;
    if (frame->level)
        frame->regs = stopped->frame.regs;
    if (stopped->is_suspended)
        box->ctx->regs = stopped->regs;
    raise_return_stack(box, stopped->rsp);
    box->calls.stopped = stopped->next;
    box->calls.base = stopped->base;
    free(stopped);
    return true;
}

vx_status vx_box_resume(struct vx_box *box, const union vx_value *value, union vx_value *result, struct vx_trap *trap)
{
    static const union vx_value zero;
    struct vx_trap unwanted;
    struct vxi_frame frame;
    bool is_suspended, is_done = false;
    if (!trap)
        trap = &unwanted;
    vx_status status = box ? claim(box, &frame) : VX_ERR_ARGUMENT;
    if (status != VX_OK)
        return status;
    *trap = (struct vx_trap){ 0 };
    if (!take_stopped(box, &frame, &is_suspended)) {
        if (frame.level)
            box->ctx->regs = frame.regs;
        release(box, &frame);
        return VX_ERR_ARGUMENT;
    }
    box->ctx->is_float = float_kind(frame.result);
    if (vxi_is_stopped(box, trap))
        frame.is_waiting = is_suspended;
    else if (!is_suspended || vxi_host_return(box, value ? value : &zero, trap))
        is_done = vxi_run(box, vxi_resolve(box, false, trap), trap);
    status = finish(box, &frame, is_done, true, result, trap);
    release(box, &frame);
    return status;
}

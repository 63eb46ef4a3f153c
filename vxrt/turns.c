/*
 * Threads of a box take turns, except in translated code.
 *
 * One thread at a time is the holder: all C code of the runtime and of the embedder runs as it. A thread lets go
 * to run translated code, and waits to be the holder again when it has come out. The
 * holder changes nothing that translated code depends on (code, tables, return stacks, the list of zones)
 * before every other thread is at an instruction boundary and its state in guest terms (vxi_stop_others): none has
 * a host address left that could be stale. They stay there until it lets go.
 */
#include <signal.h>
#include <string.h>

#include "vxrt/threads.h"

/* So many may come before the one that waits longest. */
#define MAX_PASSES 4u
/* Looks at the holder before waiting in line: some microseconds. */
#define MOMENT 100u

static void keep(const struct vx_box *box, struct vx_thread *t)
{
    t->kept = (struct vxi_kept){ .force_single = box->force_single, .is_exact = box->is_exact,
                                 .is_stepping = box->is_stepping, .has_met_rep = box->has_met_rep,
                                 .pending = box->pending, .steps = box->steps, .resume_host = box->resume_host,
                                 .resume_eip = box->resume_eip, .resume_delta = box->resume_delta,
                                 .tls = { box->tls[0], box->tls[1], box->tls[2] } };
    memcpy(t->kept.clocks, box->clocks, sizeof box->clocks);
}

void vxi_turn_load(struct vx_box *box, struct vx_thread *t)
{
    struct vxi_threads *all = box->pool;
    const struct vxi_kept *kept = &t->kept;
    if (all->loaded == t)
        return;
    if (all->loaded)
        keep(box, all->loaded);
    all->loaded = t;
    box->ctx = t->seat.ctx;
    box->force_single = kept->force_single;
    box->is_exact = kept->is_exact;
    box->is_stepping = kept->is_stepping;
    box->has_met_rep = kept->has_met_rep;
    box->pending = kept->pending;
    box->steps = kept->steps;
    box->resume_host = kept->resume_host;
    box->resume_eip = kept->resume_eip;
    box->resume_delta = kept->resume_delta;
    for (size_t i = 0; i < 3; i++)
        box->tls[i] = kept->tls[i];
    memcpy(box->clocks, kept->clocks, sizeof box->clocks);
}

void vxi_forget_places(struct vx_box *box)
{
    struct vx_thread *t;
    box->resume_host = 0;
    for (size_t i = 0; box->threads && i < VX_MAX_THREADS && (t = atomic_load(&box->threads->list[i])); i++)
        t->kept.resume_host = 0;
}

/* ---- to a boundary --------------------------------------------------- */

static bool is_trapped(struct vx_thread *t, int *reason)
{
    *reason = VXI_EXIT_TRAPPED;
    return true;
}

/* In the middle of translated code at rip, or about to enter there. False: one more step. */
static bool step_near(struct vx_box *box, struct vx_thread *t, uint64_t rip, int *reason)
{
    struct vxi_context *ctx = box->ctx;
    struct vxi_place place;
    if (box->is_stepping)
        return vxi_step_on(box, rip, &t->trap) == VXI_NEXT_TRAP && is_trapped(t, reason);
    enum vxi_boundary found = box->steps++ >= VXI_MAX_STEPS ? VXI_NOWHERE : vxi_boundary_at(box, rip, &place);
    box->is_exact = found == VXI_BETWEEN;
    ctx->stepping = found == VXI_BETWEEN ? VXI_STEP_ENTER : VXI_STEP_NONE;
    ctx->entry = rip;
    if (found == VXI_BETWEEN)
        return false;
    *reason = VXI_EXIT_AGAIN;
    if (found == VXI_AT_BOUNDARY)
        return true;
    vxi_error_trap(&t->trap, VX_ERR_VXC_FAULTMAP, 0);
    return is_trapped(t, reason);
}

/* A branch into a chunk that is not there yet. */
static bool leave_chunk(struct vx_box *box, struct vx_thread *t, int *reason)
{
    box->ctx->stepping = VXI_STEP_NONE;
    if (!vxi_chunk_entry(box, box->ctx->signal.rip)) {
        vxi_error_trap(&t->trap, VX_ERR_VXC_ENTRY, 0);
        return is_trapped(t, reason);
    }
    *reason = VXI_EXIT_AGAIN;
    if (!box->is_stepping)
        return true;
    vxi_step_done(box, &t->trap);
    return is_trapped(t, reason);
}

static bool leave_fault(struct vx_box *box, struct vx_thread *t, int *reason)
{
    struct vxi_context *ctx = box->ctx;
    struct vxi_place place;
    ctx->stepping = VXI_STEP_NONE;
    *reason = VXI_EXIT_FAULT;
    if (vxi_place_of(box, ctx->signal.rip, &place) && place.row.kind == VXF_ROW_INSN) {
        ctx->regs.eip = place.row.guest;
        ctx->regs.esp = ctx->r14 + (uint32_t)place.row.esp_delta;
        return true;
    }
    vxi_error_trap(&t->trap, VX_ERR_VXC_FAULTMAP, 0);
    return is_trapped(t, reason);
}

/* Put the state into guest terms; false: the thread has to run one more host instruction. Under the lock. */
static bool to_boundary(struct vx_box *box, struct vx_thread *t, int *reason)
{
    enum { PF_FETCH = 16, VECTOR_PAGE = 14 };
    vxi_turn_load(box, t);
    struct vxi_context *ctx = box->ctx;
    const struct vxi_signal *signal = &ctx->signal;
    /* Requests of others are served when the thread is the holder again. */
    box->pending |= atomic_exchange(&ctx->interrupt, 0) & ~(uint32_t)VXI_INTERRUPT_PAUSE;
    switch (*reason) {
    case VXI_EXIT_ABORT:
        if (box->is_exact)
            return step_near(box, t, ctx->entry, reason);
        *reason = VXI_EXIT_AGAIN;
        return true;
    case VXI_EXIT_SIGNAL:
        if (signal->number == SIGURG || signal->number == SIGTRAP)
            return step_near(box, t, signal->rip, reason);
        if (signal->number == SIGSEGV && signal->trapno == VECTOR_PAGE && signal->error & PF_FETCH)
            return leave_chunk(box, t, reason);
        return leave_fault(box, t, reason);
    default: /* a miss or an event: r8 and the registers say all */
        return true;
    }
}

/* The holder waits in vxi_stop_others for this thread, which has come out. Under the lock, which is given up for each step. */
static void settle(struct vx_box *box, struct vx_thread *t, int *reason)
{
    struct vxi_threads *all = box->threads;
    vxi_turn_load(box, t);
    if (!box->is_stepping)
        box->steps = 0;
    while (!to_boundary(box, t, reason)) {
        pthread_mutex_unlock(&all->lock);
        *reason = vxi_enter_guest(t->seat.ctx);
        pthread_mutex_lock(&all->lock);
    }
    t->is_in_guest = false;
    pthread_cond_signal(&all->safe);
}

void vxi_stop_others(struct vx_box *box)
{
    struct vxi_threads *all = box->threads;
    struct vx_thread *t;
    if (!all || all->is_stopped)
        return;
    pthread_mutex_lock(&all->lock);
    all->is_stopped = true;
    for (size_t i = 0; i < VX_MAX_THREADS && (t = atomic_load(&all->list[i])); i++) {
        if (!t->is_in_guest)
            continue;
        atomic_fetch_or(&t->seat.ctx->interrupt, VXI_INTERRUPT_PAUSE);
        vxi_kick(atomic_load(&t->runner));
        pthread_cond_signal(&t->turn);
    }
    for (size_t i = 0; i < VX_MAX_THREADS && (t = atomic_load(&all->list[i])); i++)
        while (t->is_in_guest)
            pthread_cond_wait(&all->safe, &all->lock);
    vxi_turn_load(box, all->holder);
    pthread_mutex_unlock(&all->lock);
}

/* ---- the holder ------------------------------------------------------ */

static void wait_in_line(struct vx_box *box, struct vx_thread *t, int *reason)
{
    struct vxi_threads *all = box->threads;
    t->next = NULL;
    if (all->first)
        all->last->next = t;
    else
        all->first = t;
    all->last = t;
    while (all->holder || all->first != t)
        if (t->is_in_guest && all->is_stopped)
            settle(box, t, reason);
        else
            pthread_cond_wait(&t->turn, &all->lock);
    all->first = t->next;
    all->passes = 0;
}

/* Most turns are shorter than it takes to fall asleep and to be woken. */
static void wait_a_moment(struct vxi_threads *all)
{
    for (unsigned i = 0; i < MOMENT && atomic_load_explicit(&all->holder, memory_order_relaxed); i++)
        __builtin_ia32_pause();
}

void vxi_turn_take(struct vx_box *box, struct vx_thread *t, int *reason)
{
    struct vxi_threads *all = box->threads;
    wait_a_moment(all);
    pthread_mutex_lock(&all->lock);
    if (all->holder || (all->first && all->passes >= MAX_PASSES))
        wait_in_line(box, t, reason);
    else
        all->passes++;
    all->holder = t;
    t->is_in_guest = false;
    atomic_fetch_and(&t->seat.ctx->interrupt, ~(uint32_t)VXI_INTERRUPT_PAUSE);
    vxi_turn_load(box, t);
    pthread_mutex_unlock(&all->lock);
}

void vxi_turn_give(struct vx_box *box, struct vx_thread *t, bool into_guest)
{
    struct vxi_threads *all = box->threads;
    pthread_mutex_lock(&all->lock);
    t->is_in_guest = into_guest;
    all->holder = NULL;
    all->is_stopped = false;
    if (all->first)
        pthread_cond_signal(&all->first->turn);
    pthread_mutex_unlock(&all->lock);
}

enum vxi_next vxi_turn_run(struct vx_box *box, struct vx_trap *trap)
{
    struct vx_thread *t = box->threads->holder;
    vxi_turn_give(box, t, true);
    int reason = vxi_enter_guest(t->seat.ctx);
    vxi_turn_take(box, t, &reason);
    if (reason == VXI_EXIT_TRAPPED) {
        *trap = t->trap;
        return VXI_NEXT_TRAP;
    }
    return vxi_handle(box, reason, trap);
}

/*
 * Threads of a box: made, entered, run, freed; fork.
 *
 * Contexts stay mapped until the box is freed, so that signal handlers and requests to stop from elsewhere never meet
 * one that is gone; those of threads that have ended are used again.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vxrt/threads.h"

/* [guard][return stack][context][table] */
#define AREA_STACK VXI_GUARD_BYTES
#define AREA_CONTEXT (AREA_STACK + VXI_RETURN_STACK_BYTES)
#define AREA_BYTES (AREA_CONTEXT + VX_CTX_TABLE + VXI_TABLE_BYTES)

static vx_status make_area(struct vx_thread *t)
{
    void *area = mmap(NULL, AREA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return VX_ERR_ADDRESS_SPACE;
    t->area = area;
    if (mprotect(t->area + AREA_STACK, AREA_BYTES - AREA_STACK, PROT_READ | PROT_WRITE) != 0)
        return VX_ERR_MEMORY;
    madvise(t->area + AREA_STACK, AREA_BYTES - AREA_STACK, MADV_NOHUGEPAGE);
    t->seat.ctx = (struct vxi_context *)(t->area + AREA_CONTEXT);
    return VX_OK;
}

static void free_thread(struct vx_thread *t)
{
    if (t->area)
        munmap(t->area, AREA_BYTES);
    pthread_cond_destroy(&t->turn);
    free(t);
}

/* A thread of the pool without an owner, or a new one. ctx NULL: any that has its own. */
static vx_status get_thread(struct vx_box *box, struct vxi_context *ctx, struct vx_thread **out)
{
    struct vxi_threads *all = box->pool;
    struct vx_thread *t;
    size_t i = 0;
    for (; i < VX_MAX_THREADS && (t = atomic_load(&all->list[i])); i++)
        if (ctx ? t->seat.ctx == ctx : !atomic_load(&t->is_used)) {
            *out = t;
            return VX_OK;
        }
    if (i == VX_MAX_THREADS)
        return VX_ERR_TOO_LARGE;
    t = calloc(1, sizeof *t);
    if (!t)
        return VX_ERR_MEMORY;
    t->seat = (struct vxi_seat){ box, ctx, NULL };
    pthread_cond_init(&t->turn, NULL);
    vx_status status = ctx ? VX_OK : make_area(t);
    if (status != VX_OK) {
        free_thread(t);
        return status;
    }
    atomic_store(&all->list[i], t);
    *out = t;
    return VX_OK;
}

static vx_status make_pool(struct vx_box *box)
{
    if (box->pool)
        return VX_OK;
    struct vxi_threads *all = calloc(1, sizeof *all);
    if (!all)
        return VX_ERR_MEMORY;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->safe, NULL);
    box->pool = all;
    return VX_OK;
}

/* The thread that the box was without knowing it. */
static vx_status make_first(struct vx_box *box, struct vx_thread **out)
{
    if (box->calls.base || box->system.is_active)
        return VX_ERR_UNSUPPORTED;
    if (atomic_exchange(&box->is_running, true))
        return VX_ERR_BUSY;
    vx_status status = make_pool(box);
    if (status == VX_OK)
        status = get_thread(box, box->ctx, out);
    if (status != VX_OK) {
        atomic_store(&box->is_running, false);
        return status;
    }
    atomic_store(&(*out)->is_used, true);
    box->pool->loaded = *out;
    box->pool->count = 1;
    box->threads = box->pool;
    return VX_OK;
}

static uint8_t *stack_of(const struct vxi_context *ctx)
{
    return (uint8_t *)(ctx->rsp_top + 8 - VXI_RETURN_STACK_BYTES);
}

/* Its registers are the holder's; its context may be one that was used before. */
static void init_thread(struct vx_box *box, struct vx_thread *t)
{
    struct vxi_context *ctx = t->seat.ctx;
    const struct vxi_context *from = box->ctx;
    uint8_t *stack = ctx->rsp_top ? stack_of(ctx) : (uint8_t *)ctx - VXI_RETURN_STACK_BYTES;
    memset(ctx, 0, sizeof *ctx);
    vxi_context_init(ctx, box, stack);
    ctx->regs = from->regs;
    ctx->kept_flags = from->kept_flags;
    ctx->fs_base = from->fs_base;
    ctx->gs_base = from->gs_base;
    memcpy(ctx->fx, from->fx, sizeof ctx->fx);
    memcpy(ctx->ymm, from->ymm, sizeof ctx->ymm);
    ctx->is_x87_idle = from->is_x87_idle;
    t->kept = (struct vxi_kept){ .force_single = false };
    for (int i = 0; i < VXI_CLOCKS; i++)
        t->kept.clocks[i].left_ns = box->clocks[i].left_ns;
    memcpy(t->kept.tls, box->tls, sizeof box->tls);
    t->retries = 0;
    t->trap = (struct vx_trap){ 0 };
}

vx_status vx_thread_new(struct vx_box *box, struct vx_thread **out)
{
    if (!box || !out)
        return VX_ERR_ARGUMENT;
    if (!box->threads)
        return make_first(box, out);
    struct vx_thread *t;
    vx_status status = get_thread(box, NULL, &t);
    if (status != VX_OK)
        return status;
    init_thread(box, t);
    box->threads->count++;
    atomic_store(&t->is_used, true);
    *out = t;
    return VX_OK;
}

/* Nothing on the return stack or in the table that a later owner could meet; and the memory is not kept. */
static void wipe(struct vxi_context *ctx)
{
    uint8_t *stack = stack_of(ctx);
    uint8_t *table = (uint8_t *)ctx + VX_CTX_TABLE;
    if (madvise(stack, VXI_RETURN_STACK_BYTES, MADV_DONTNEED) != 0)
        memset(stack, 0, VXI_RETURN_STACK_BYTES);
    if (madvise(table, VXI_TABLE_BYTES, MADV_DONTNEED) != 0)
        abort(); /* as in vxi_clear_table */
}

static void end_thread(struct vx_box *box, struct vx_thread *t)
{
    struct vxi_threads *all = box->threads;
    bool is_last = all->count == 1;
    /* Timers belong to the thread whose state is loaded. */
    struct vx_thread *loaded = all->loaded;
    vxi_turn_load(box, t);
    if (!is_last || !box->has_limit)
        vxi_timer_free(box);
    vxi_retry_free(t->seat.ctx);
    if (!is_last && loaded != t)
        vxi_turn_load(box, loaded);
    all->count--;
    t->host = 0;
    if (is_last) {
        box->threads = NULL;
        atomic_store(&t->is_used, false);
        atomic_store(&box->is_running, false);
        return;
    }
    wipe(t->seat.ctx);
    atomic_store(&t->is_used, false);
}

void vx_thread_free(struct vx_thread *t)
{
    if (!t)
        return;
    struct vx_box *box = t->seat.box;
    struct vxi_threads *all = box->threads;
    bool is_holder = all->holder == t, is_last = all->count == 1;
    end_thread(box, t);
    if (is_last) {
        all->holder = NULL;
        all->is_stopped = false;
    } else if (is_holder) {
        vxi_turn_give(box, t, false);
    }
}

void vx_thread_enter(struct vx_thread *t)
{
    vxi_turn_take(t->seat.box, t, NULL);
    t->host = vxi_thread_id();
}

void vx_thread_leave(struct vx_thread *t)
{
    t->host = 0;
    vxi_turn_give(t->seat.box, t, false);
}

vx_status vxi_threads_run(struct vx_box *box, struct vx_trap *trap)
{
    struct vx_thread *t = box->threads->holder;
    if (!t || t->host != vxi_thread_id() || atomic_load(&t->runner))
        return VX_ERR_BUSY;
    vx_status status = vxi_thread_prepare();
    if (status != VX_OK)
        return status;
    t->seat.outer = vxi_current;
    vxi_current = &t->seat;
    atomic_store(&t->runner, t->host);
    vxi_load_base(t->seat.ctx->window);
    vxi_timer_begin(box);
    vxi_run_on(box, trap);
    vxi_timer_end(box);
    atomic_store(&t->runner, 0);
    vxi_current = t->seat.outer;
    if (vxi_current)
        vxi_load_base(vxi_current->ctx->window);
    return VX_OK;
}

/* ---- requests -------------------------------------------------------- */

void vx_thread_interrupt(struct vx_thread *t)
{
    atomic_fetch_or(&t->seat.ctx->interrupt, VXI_INTERRUPT_STOP);
    int runner = atomic_load(&t->runner);
    if (runner)
        vxi_kick(runner);
}

void vxi_threads_interrupt(struct vx_box *box)
{
    struct vx_thread *t;
    for (size_t i = 0; i < VX_MAX_THREADS && (t = atomic_load(&box->pool->list[i])); i++)
        if (atomic_load(&t->is_used))
            vx_thread_interrupt(t);
}

/* ---- fork, and the end ----------------------------------------------- */

void vxi_threads_fork(struct vx_box *box)
{
    if (box->threads)
        pthread_mutex_lock(&box->threads->lock);
}

void vxi_threads_forked(struct vx_box *box, bool is_child)
{
    struct vxi_threads *all = box->threads;
    struct vx_thread *t;
    if (!all)
        return;
    if (!is_child) {
        pthread_mutex_unlock(&all->lock);
        return;
    }
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->safe, NULL);
    all->first = all->last = NULL;
    for (size_t i = 0; i < VX_MAX_THREADS && (t = atomic_load(&all->list[i])); i++) {
        pthread_cond_init(&t->turn, NULL);
        t->is_in_guest = false;
        atomic_store(&t->runner, 0);
        if (atomic_load(&t->is_used) && t != all->holder)
            end_thread(box, t);
    }
    vx_thread_free(all->holder);
}

void vxi_threads_destroy(struct vx_box *box)
{
    struct vxi_threads *all = box->pool;
    struct vx_thread *t;
    if (!all)
        return;
    for (size_t i = 0; i < VX_MAX_THREADS && (t = atomic_load(&all->list[i])); i++) {
        vxi_retry_free(t->seat.ctx);
        if (t->seat.ctx == box->ctx)
            box->ctx = NULL;
        free_thread(t);
    }
    pthread_cond_destroy(&all->safe);
    pthread_mutex_destroy(&all->lock);
    free(all);
    box->pool = NULL;
}

/*
 * Time limits and requests to stop.
 *
 * The timer sends SIGURG to the thread that runs the box. It stays armed
 * between runs; when it fires too early (time passed outside of runs) it is set
 * again, so that a run costs no system call for it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/threads.h"

#define RETRY_NS 1000000

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

uint64_t vxi_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What each of the limits counts, and how a run ends there. */
static const clockid_t clock_ids[VXI_CLOCKS] = { CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID };
static const enum vx_trap_kind trap_kinds[VXI_CLOCKS] = { VX_TRAP_LIMIT, VX_TRAP_CPU_LIMIT };

static uint64_t now_ns(int which)
{
    struct timespec now;
    clock_gettime(clock_ids[which], &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void free_timer(struct vxi_clock *clock)
{
    if (clock->has_timer)
        timer_delete(clock->timer);
    clock->has_timer = false;
    clock->at_ns = 0;
}

void vxi_timer_free(struct vx_box *box)
{
    for (int i = 0; i < VXI_CLOCKS; i++)
        free_timer(&box->clocks[i]);
}

static vx_status make_timer(struct vxi_clock *clock, int which, int thread)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };
    event.sigev_value.sival_ptr = (void *)(uintptr_t)&vxi_signal_mark;
    event.sigev_notify_thread_id = thread;
    free_timer(clock);
    if (timer_create(clock_ids[which], &event, &clock->timer) != 0)
        return VX_ERR_MEMORY;
    clock->has_timer = true;
    clock->thread = thread;
    return VX_OK;
}

static void arm(struct vxi_clock *clock, uint64_t at_ns)
{
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000u),
                                             .tv_nsec = (long)(at_ns % 1000000000u) } };
    clock->at_ns = timer_settime(clock->timer, TIMER_ABSTIME, &when, NULL) == 0 ? at_ns : 0;
}

static vx_status set_limit(struct vx_box *box, int which, uint64_t nanoseconds)
{
    if (!box)
        return VX_ERR_ARGUMENT;
    if (atomic_load(&box->is_running))
        return VX_ERR_BUSY;
    free_timer(&box->clocks[which]);
    atomic_fetch_and(&box->ctx->interrupt, ~(uint32_t)VXI_INTERRUPT_TIMER);
    box->clocks[which].left_ns = box->limits_ns[which] = nanoseconds;
    box->has_limit = box->limits_ns[0] || box->limits_ns[1];
    return VX_OK;
}

vx_status vx_box_set_time_limit(struct vx_box *box, uint64_t nanoseconds)
{
    return set_limit(box, VXI_CLOCK_WALL, nanoseconds);
}

vx_status vx_box_set_cpu_limit(struct vx_box *box, uint64_t nanoseconds)
{
    return set_limit(box, VXI_CLOCK_CPU, nanoseconds);
}

static void begin(struct vx_box *box, int which, int thread)
{
    struct vxi_clock *clock = &box->clocks[which];
    clock->start_ns = now_ns(which);
    if (clock->left_ns == 0) {
        atomic_fetch_or(&box->ctx->interrupt, VXI_INTERRUPT_TIMER);
        return;
    }
    bool is_ours = clock->has_timer && clock->thread == thread;
    if (is_ours && clock->at_ns > clock->start_ns)
        return;
    /* Without a timer the limit holds at the next exit only; better than no run at all. */
    if (is_ours || make_timer(clock, which, thread) == VX_OK)
        arm(clock, clock->start_ns + clock->left_ns);
}

void vxi_timer_begin(struct vx_box *box)
{
    for (int i = 0; box->has_limit && i < VXI_CLOCKS; i++)
        if (box->limits_ns[i])
            begin(box, i, vxi_thread_id());
}

void vxi_timer_end(struct vx_box *box)
{
    for (int i = 0; box->has_limit && i < VXI_CLOCKS; i++) {
        struct vxi_clock *clock = &box->clocks[i];
        if (!box->limits_ns[i])
            continue;
        uint64_t used = now_ns(i) - clock->start_ns;
        clock->left_ns = used < clock->left_ns ? clock->left_ns - used : 0;
    }
}

bool vxi_timer_expired(struct vx_box *box, enum vx_trap_kind *kind)
{
    atomic_fetch_and(&box->ctx->interrupt, ~(uint32_t)VXI_INTERRUPT_TIMER);
    for (int i = 0; box->has_limit && i < VXI_CLOCKS; i++) {
        struct vxi_clock *clock = &box->clocks[i];
        if (!box->limits_ns[i])
            continue;
        *kind = trap_kinds[i];
        if (now_ns(i) - clock->start_ns >= clock->left_ns)
            return true;
        if (clock->has_timer)
            arm(clock, clock->start_ns + clock->left_ns);
    }
    return false;
}

void vxi_retry_free(struct vxi_context *ctx)
{
    if (ctx->retry_thread)
        syscall(SYS_timer_delete, ctx->retry_timer);
    ctx->retry_thread = 0;
}

/* By system calls alone: the library's timer_create may not be called in a handler. */
void vxi_retry_later(struct vxi_context *ctx)
{
    const struct itimerspec soon = { .it_value = { .tv_nsec = RETRY_NS } };
    int thread = (int)syscall(SYS_gettid);
    if (ctx->retry_thread != thread) {
        struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };
        event.sigev_value.sival_ptr = (void *)(uintptr_t)&vxi_signal_mark;
        event.sigev_notify_thread_id = thread;
        vxi_retry_free(ctx);
        if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &ctx->retry_timer) != 0)
            return;
        ctx->retry_thread = thread;
    }
    syscall(SYS_timer_settime, ctx->retry_timer, 0, &soon, NULL);
}

void vxi_kick(int thread)
{
    int saved = errno;
    siginfo_t info = { .si_signo = SIGURG, .si_code = SI_QUEUE };
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)&vxi_signal_mark;
    syscall(SYS_rt_tgsigqueueinfo, info.si_pid, thread, SIGURG, &info);
    errno = saved;
}

void vx_box_interrupt(struct vx_box *box)
{
    if (box->threads) {
        vxi_threads_interrupt(box);
        return;
    }
    atomic_fetch_or(&box->ctx->interrupt, VXI_INTERRUPT_STOP);
    int thread = atomic_load(&box->runner);
    if (thread)
        vxi_kick(thread);
}

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

void vxi_timer_free(struct vx_box *box)
{
    if (box->has_timer)
        timer_delete(box->timer);
    box->has_timer = false;
    box->timer_at_ns = 0;
}

static vx_status make_timer(struct vx_box *box, int thread)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG };
    event.sigev_value.sival_ptr = (void *)(uintptr_t)&vxi_signal_mark;
    event.sigev_notify_thread_id = thread;
    vxi_timer_free(box);
    if (timer_create(CLOCK_MONOTONIC, &event, &box->timer) != 0)
        return VX_ERR_MEMORY;
    box->has_timer = true;
    box->timer_thread = thread;
    return VX_OK;
}

static void arm(struct vx_box *box, uint64_t at_ns)
{
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_ns / 1000000000u),
                                             .tv_nsec = (long)(at_ns % 1000000000u) } };
    box->timer_at_ns = timer_settime(box->timer, TIMER_ABSTIME, &when, NULL) == 0 ? at_ns : 0;
}

vx_status vx_box_set_time_limit(struct vx_box *box, uint64_t nanoseconds)
{
    if (!box)
        return VX_ERR_ARGUMENT;
    if (atomic_load(&box->is_running))
        return VX_ERR_BUSY;
    vxi_timer_free(box);
    atomic_fetch_and(&box->ctx->interrupt, ~(uint32_t)VXI_INTERRUPT_TIMER);
    box->has_limit = nanoseconds != 0;
    box->limit_ns = box->full_limit_ns = nanoseconds;
    return VX_OK;
}

void vxi_timer_begin(struct vx_box *box)
{
    if (!box->has_limit)
        return;
    int thread = vxi_thread_id();
    box->run_start_ns = vxi_now_ns();
    if (box->limit_ns == 0) {
        atomic_fetch_or(&box->ctx->interrupt, VXI_INTERRUPT_TIMER);
        return;
    }
    if (box->has_timer && box->timer_thread == thread && box->timer_at_ns > box->run_start_ns)
        return;
    /* Without a timer the limit holds at the next exit only; better than no run at all. */
    if ((box->has_timer && box->timer_thread == thread) || make_timer(box, thread) == VX_OK)
        arm(box, box->run_start_ns + box->limit_ns);
}

void vxi_timer_end(struct vx_box *box)
{
    if (!box->has_limit)
        return;
    uint64_t used = vxi_now_ns() - box->run_start_ns;
    box->limit_ns = used < box->limit_ns ? box->limit_ns - used : 0;
}

bool vxi_timer_expired(struct vx_box *box)
{
    atomic_fetch_and(&box->ctx->interrupt, ~(uint32_t)VXI_INTERRUPT_TIMER);
    if (!box->has_limit)
        return false;
    uint64_t now = vxi_now_ns();
    if (now - box->run_start_ns >= box->limit_ns)
        return true;
    arm(box, box->run_start_ns + box->limit_ns);
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

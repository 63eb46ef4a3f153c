/*
 * POSIX timers: each is a timer of the host, whose signal tells which one has expired; the guest gets its own signal.
 *
 * Signals that follow each other faster than they are handled would leave no time for anything else, the guest's time limit
 * among it. So the host's timers tick slowly enough for all of them together, and the ticks between are counted.
 */
#include <stdlib.h>
#include <string.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

#define TIMER_LIMIT 32
#define OVERRUN_LIMIT 0x7fffffffu /* DELAYTIMER_MAX of the kernel */

struct vxl_timer {
    bool is_used;
    int signal;        /* 0: none */
    int32_t tid;       /* 0: to the process */
    uint32_t value;    /* sigev_value */
    uint32_t overrun;  /* of the signal that the guest got last */
    struct timespec interval; /* as the guest set it */
    uint32_t scale;    /* of these intervals to one of the host's */
    timer_t host;
    atomic_uint expired; /* since the last look */
};

struct vxl_timers {
    struct vxl_timer list[TIMER_LIMIT];
};

struct sigevent32 {
    uint32_t value;
    int32_t signo, notify, tid;
};

uint32_t vxl_slow_down(struct timespec *interval, unsigned timers)
{
    uint64_t wanted = (uint64_t)interval->tv_sec * 1000000000u + (uint64_t)interval->tv_nsec, least = (uint64_t)VXL_TICK_NS * timers;
    if (wanted == 0 || interval->tv_sec || wanted >= least)
        return 1;
    uint32_t scale = (uint32_t)((least + wanted - 1) / wanted);
    *interval = (struct timespec){.tv_nsec = (long)(wanted * scale)};
    return scale;
}

/* What is left of an interval that the host takes `scale` times as long. */
static void show_faster(struct itimerspec *time, const struct vxl_timer *timer)
{
    if (timer->scale > 1) {
        time->it_interval = timer->interval;
        time->it_value.tv_nsec = time->it_value.tv_nsec ? (time->it_value.tv_nsec - 1) % timer->interval.tv_nsec + 1 : 0;
    }
}

static unsigned count(const struct vxl_timers *timers)
{
    unsigned used = 0;
    for (int id = 0; id < TIMER_LIMIT; id++)
        used += timers->list[id].is_used;
    return used;
}

/* For a signal handler. */
void vxl_timers_note(struct vxl_proc *p, const siginfo_t *info)
{
    struct vxl_timers *timers = p->timers;
    if (timers && (unsigned)info->si_value.sival_int < TIMER_LIMIT)
        atomic_fetch_add(&timers->list[info->si_value.sival_int].expired, 1u + (unsigned)info->si_overrun);
}

void vxl_timers_take(struct vxl_proc *p)
{
    for (int id = 0; p->timers && id < TIMER_LIMIT; id++) {
        struct vxl_timer *timer = &p->timers->list[id];
        uint64_t ticks = (uint64_t)atomic_exchange(&timer->expired, 0) * timer->scale;
        uint32_t count = ticks < OVERRUN_LIMIT ? (uint32_t)ticks : OVERRUN_LIMIT;
        if (!count || !timer->is_used || !timer->signal)
            continue;
        struct abi32_siginfo info = {.signo = timer->signal, .code = SI_TIMER};
        info.u.pad[0] = (uint32_t)id;
        info.u.pad[1] = count - 1;
        info.u.pad[2] = timer->value;
        struct abi32_siginfo *waiting = &p->infos[timer->signal - 1];
        bool is_waiting = p->pending & 1ull << (timer->signal - 1) && waiting->code == SI_TIMER && waiting->u.pad[0] == (uint32_t)id;
        if (is_waiting)
            waiting->u.pad[1] = waiting->u.pad[1] < OVERRUN_LIMIT - count ? waiting->u.pad[1] + count : OVERRUN_LIMIT;
        else if (!timer->tid)
            vxl_raise(p, timer->signal, &info);
        else
            vxl_raise_in_thread(p, timer->tid, timer->signal, &info);
    }
}

void vxl_timers_accept(struct vxl_proc *p, const struct abi32_siginfo *info)
{
    if (info->code == SI_TIMER && p->timers && info->u.pad[0] < TIMER_LIMIT)
        p->timers->list[info->u.pad[0]].overrun = info->u.pad[1];
}

void vxl_timers_forget(struct vxl_proc *p, bool is_child)
{
    if (!p->timers)
        return;
    for (int id = 0; id < TIMER_LIMIT && !is_child; id++) /* a child has none of its parent's */
        if (p->timers->list[id].is_used)
            timer_delete(p->timers->list[id].host);
    memset(p->timers, 0, sizeof *p->timers);
}

static struct vxl_timer *timer_of(struct vxl_proc *p, uint32_t id)
{
    return p->timers && id < TIMER_LIMIT && p->timers->list[id].is_used ? &p->timers->list[id] : NULL;
}

static bool is_clock(uint32_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
           clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

/* clock, struct sigevent (null: SIGALRM), where the id goes */
int32_t vxl_timer_create(struct vxl_proc *p, const uint32_t *a)
{
    struct sigevent32 wanted = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
    struct sigevent event = {.sigev_signo = VXL_TIMER_SIGNAL};
    uint32_t id = 0;
    if (!is_clock(a[0]))
        return -EINVAL;
    if (a[1] && !vxl_get(p, a[1], &wanted, sizeof wanted))
        return -EFAULT;
    bool is_silent = wanted.notify == SIGEV_NONE, has_thread = wanted.notify == SIGEV_THREAD_ID;
    if ((!is_silent && !has_thread && wanted.notify != SIGEV_SIGNAL) ||
        (!is_silent && (wanted.signo < 1 || wanted.signo > VXL_SIGNAL_COUNT)))
        return -EINVAL;
    if (has_thread && !vxl_thread_by_id(p, wanted.tid) && wanted.tid != (p->tid ? p->tid : p->pid))
        return -EINVAL;
    if (!p->timers && !(p->timers = calloc(1, sizeof *p->timers)))
        return -ENOMEM;
    while (id < TIMER_LIMIT && p->timers->list[id].is_used)
        id++;
    if (id == TIMER_LIMIT)
        return -EAGAIN;
    struct vxl_timer *timer = &p->timers->list[id];
    vxl_watch_signal(p, VXL_TIMER_SIGNAL);
    atomic_store(&timer->expired, 0);
    event.sigev_notify = is_silent ? SIGEV_NONE : SIGEV_SIGNAL;
    event.sigev_value.sival_int = (int)id;
    if (timer_create((clockid_t)a[0], &event, &timer->host))
        return -errno;
    timer->is_used = true;
    timer->signal = is_silent ? 0 : wanted.signo;
    timer->tid = has_thread ? wanted.tid : 0;
    timer->value = a[1] ? wanted.value : id;
    timer->scale = 1;
    timer->overrun = 0;
    if (vxl_put(p, a[2], &id, 4))
        return 0;
    timer_delete(timer->host);
    timer->is_used = false;
    return -EFAULT;
}

static bool put_times(struct vxl_proc *p, vx_gaddr addr, bool is_64, const struct itimerspec *in)
{
    return vxl_times_put(p, addr, is_64, &in->it_interval) &&
           vxl_times_put(p, addr + (is_64 ? 16 : 8), is_64, &in->it_value);
}

/* id, flags, new times, where the old ones go */
static int32_t set_time(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct vxl_timer *timer = timer_of(p, a[0]);
    struct itimerspec new, old;
    if (!timer || !a[2])
        return -EINVAL;
    if (!vxl_times_get(p, a[2], is_64, &new.it_interval) ||
        !vxl_times_get(p, a[2] + (is_64 ? 16 : 8), is_64, &new.it_value))
        return -EFAULT;
    struct timespec interval = new.it_interval;
    bool is_time = interval.tv_sec >= 0 && (unsigned long)interval.tv_nsec < 1000000000u;
    uint32_t scale = is_time ? vxl_slow_down(&new.it_interval, count(p->timers)) : 1;
    if (timer_settime(timer->host, (int)a[1], &new, &old))
        return -errno;
    show_faster(&old, timer);
    timer->interval = interval;
    timer->scale = scale;
    return !a[3] || put_times(p, a[3], is_64, &old) ? 0 : -EFAULT;
}

int32_t vxl_timer_settime(struct vxl_proc *p, const uint32_t *a)
{
    return set_time(p, a, false);
}

int32_t vxl_timer_settime64(struct vxl_proc *p, const uint32_t *a)
{
    return set_time(p, a, true);
}

static int32_t get_time(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct vxl_timer *timer = timer_of(p, a[0]);
    struct itimerspec now;
    if (!timer)
        return -EINVAL;
    if (timer_gettime(timer->host, &now))
        return -errno;
    show_faster(&now, timer);
    return put_times(p, a[1], is_64, &now) ? 0 : -EFAULT;
}

int32_t vxl_timer_gettime(struct vxl_proc *p, const uint32_t *a)
{
    return get_time(p, a, false);
}

int32_t vxl_timer_gettime64(struct vxl_proc *p, const uint32_t *a)
{
    return get_time(p, a, true);
}

int32_t vxl_timer_getoverrun(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_timer *timer = timer_of(p, a[0]);
    return timer ? (int32_t)timer->overrun : -EINVAL;
}

int32_t vxl_timer_delete(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_timer *timer = timer_of(p, a[0]);
    if (!timer)
        return -EINVAL;
    timer_delete(timer->host);
    timer->is_used = false;
    return 0;
}

/*
 * Waiting where there are several threads. A call that would block is not waited for in the middle: the thread notes
 * what it waits for, gives up the box, waits, and makes the call again. So no call goes on with
 * what it knew before (descriptors, guest memory), which other threads may have changed since.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

#define INT80_BYTES 2
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
#define WAKE_SIGNAL (SIGRTMAX - 1)

/* ---- waking ---------------------------------------------------------- */

static void nothing(int signal)
{
}

void vxl_hold_wakes(void)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_ONSTACK};
    sigset_t set;
    sigfillset(&action.sa_mask);
    sigaction(WAKE_SIGNAL, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, WAKE_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void vxl_thread_wake(struct vxl_thread *t)
{
    atomic_store(&t->wake, 1);
    syscall(SYS_futex, &t->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    int polling = atomic_load(&t->polling);
    if (polling)
        syscall(SYS_tgkill, getpid(), polling, WAKE_SIGNAL);
}

void vxl_threads_wake(struct vxl_proc *p)
{
    int saved_errno = errno;
    for (unsigned i = 0; i < VXL_THREAD_LIMIT; i++) {
        struct vxl_thread *t = atomic_load(&p->slots[i]);
        if (t && atomic_load(&t->is_used))
            vxl_thread_wake(t);
    }
    errno = saved_errno;
}

void vxl_thread_poke(struct vxl_thread *t)
{
    vx_thread_interrupt(t->vx);
    vxl_thread_wake(t);
}

uint64_t vxl_thread_blocked(const struct vxl_thread *t)
{
    return t->waiting.is_waiting ? t->waiting.blocked : t->blocked;
}

void vxl_threads_offer(struct vxl_proc *p)
{
    uint64_t held = p->pending & ~p->directed, new = held & ~p->offered;
    p->offered = held;
    for (unsigned i = 0; new && i < VXL_THREAD_LIMIT; i++) {
        struct vxl_thread *t = atomic_load(&p->slots[i]);
        if (t && t != p->self && t->is_used && new & (~vxl_thread_blocked(t) | t->waiting.awaited))
            vxl_thread_poke(t);
    }
}

/* ---- waiting on the host --------------------------------------------- */

static bool has_passed(const struct timespec *end)
{
    struct timespec left = vxl_time_left(CLOCK_MONOTONIC, end);
    return !left.tv_sec && !left.tv_nsec;
}

/* Not as the holder. Until woken, a descriptor is ready, or the time has come. */
static void wait_on_host(struct vxl_thread *t, struct pollfd *fds, unsigned count, const struct timespec *end)
{
    if (!count) {
        /* FUTEX_WAIT_BITSET takes the end itself, by the monotonic clock */
        while (!atomic_load(&t->wake) && !(end && has_passed(end)))
            syscall(SYS_futex, &t->wake, FUTEX_WAIT_BITSET_PRIVATE, 0, end, NULL, FUTEX_BITSET_MATCH_ANY);
        return;
    }
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, WAKE_SIGNAL);
    atomic_store(&t->polling, (int)syscall(SYS_gettid));
    while (!atomic_load(&t->wake)) {
        struct timespec left = end ? vxl_time_left(CLOCK_MONOTONIC, end) : (struct timespec){0};
        /* a signal that was sent since is pending, and ends this at once */
        if (ppoll(fds, count, end ? &left : NULL, &mask) >= 0 || errno != EINTR)
            break;
    }
    atomic_store(&t->polling, 0);
}

struct vxl_waiting *vxl_thread_waiting(struct vxl_proc *p)
{
    return &p->self->waiting;
}

bool vxl_thread_is_again(struct vxl_proc *p)
{
    const struct vxl_waiting *w = vxl_thread_waiting(p);
    return w->is_waiting && w->eip == p->regs.eip - INT80_BYTES && w->esp == p->regs.esp;
}

static void end_waiting(struct vxl_waiting *w)
{
    free(w->fds);
    *w = (struct vxl_waiting){0};
}

int vxl_thread_wait(struct vxl_proc *p, struct pollfd *fds, unsigned count, const struct timespec *end)
{
    struct vxl_waiting *w = vxl_thread_waiting(p);
    /* the same call, made again, ends when it was to end at first */
    bool is_again = vxl_thread_is_again(p);
    bool has_end = is_again ? w->has_end : end != NULL;
    struct timespec at = is_again ? w->end : end ? *end : (struct timespec){0};
    end_waiting(w);
    atomic_store(&p->self->wake, 0); /* before looking for what might wake it */
    if (vxl_is_interrupted(p))
        return -EINTR;
    int ready = count ? poll(fds, count, 0) : 0;
    if (ready > 0 || (ready < 0 && errno != EINTR))
        return ready < 0 ? -errno : ready;
    if (has_end && has_passed(&at))
        return 0;
    struct pollfd *copy = count ? malloc(count * sizeof *copy) : NULL;
    if (count && !copy)
        return -ENOMEM;
    if (count)
        memcpy(copy, fds, count * sizeof *copy);
    *w = (struct vxl_waiting){.is_waiting = true, .fds = copy, .count = count, .has_end = has_end, .end = at,
                              .blocked = p->blocked, .awaited = p->awaited, .eip = p->regs.eip - INT80_BYTES, .esp = p->regs.esp};
    p->is_blocked = true;
    return -EINTR;
}

int vxl_thread_pause(struct vxl_proc *p, int host_fd, short events)
{
    struct vxl_thread *t = p->self;
    struct pollfd fd = {.fd = host_fd, .events = events};
    atomic_store(&t->wake, 0);
    if (vxl_is_interrupted(p))
        return -EINTR;
    vxl_thread_leave(p);
    wait_on_host(t, &fd, 1, NULL);
    vxl_thread_enter(p, t);
    return vxl_is_interrupted(p) ? -EINTR : 0;
}

int64_t vxl_call_slowly(struct vxl_proc *p, int64_t (*call)(void *argument), void *argument)
{
    enum { AGAIN_NS = 10000000 };
    struct vxl_thread *t = p->self;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = WAKE_SIGNAL};
    struct itimerspec when = {{0, AGAIN_NS}, {0, AGAIN_NS}};
    sigset_t set;
    timer_t timer;
    int64_t result = -EINTR;
    atomic_store(&t->wake, 0);
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    if (vxl_is_interrupted(p))
        return -EINTR;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer))
        return -EAGAIN;
    vxl_thread_leave(p);
    sigemptyset(&set);
    sigaddset(&set, WAKE_SIGNAL);
    atomic_store(&t->polling, event.sigev_notify_thread_id);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    /* a signal that comes before the call has begun is lost: the timer sends others */
    timer_settime(timer, 0, &when, NULL);
    if (!atomic_load(&t->wake))
        result = call(argument);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    atomic_store(&t->polling, 0);
    timer_delete(timer);
    vxl_thread_enter(p, t);
    return result;
}

int vxl_thread_hold(struct vxl_thread *t, unsigned index, int host)
{
    int own = fcntl(host, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return -errno;
    t->held[index] = own + 1;
    return own;
}

void vxl_thread_let_go(struct vxl_thread *t)
{
    for (unsigned i = 0; i < sizeof t->held / sizeof *t->held; i++) {
        if (t->held[i])
            close(t->held[i] - 1);
        t->held[i] = 0;
    }
}

int vxl_wait_a_little(struct vxl_proc *p)
{
    static const struct timespec little = {.tv_nsec = 2000000};
    struct timespec end;
    vxl_end_of(&little, &end);
    return vxl_wait(p, NULL, 0, &end);
}

void vxl_thread_block(struct vxl_proc *p)
{
    p->in_syscall = false;
    p->regs.eip -= INT80_BYTES;
    if (p->has_saved_mask) /* the call sets its mask again */
        p->blocked = p->saved_mask;
    p->has_saved_mask = false;
}

void vxl_thread_goes_on(struct vxl_proc *p)
{
    end_waiting(vxl_thread_waiting(p));
}

void vxl_thread_sleep(struct vxl_proc *p)
{
    struct vxl_thread *t = p->self;
    struct vxl_waiting *w = &t->waiting;
    p->is_blocked = false;
    /* Others change is_woken and futex of *w; what is used here only the thread itself changes. */
    vxl_thread_leave(p);
    wait_on_host(t, w->fds, w->count, w->has_end ? &w->end : NULL);
    vxl_thread_enter(p, t);
}

/* ---- futexes --------------------------------------------------------- */

/* Who waits longest at addr; NULL: nobody. */
static struct vxl_thread *first_waiting(struct vxl_proc *p, vx_gaddr addr, uint32_t bitset)
{
    struct vxl_thread *first = NULL;
    for (unsigned i = 0; i < VXL_THREAD_LIMIT; i++) {
        struct vxl_thread *t = atomic_load(&p->slots[i]);
        if (!t)
            break;
        const struct vxl_waiting *w = &t->waiting;
        if (t->is_used && w->is_waiting && w->is_futex && !w->is_woken && w->futex == addr && (w->bitset & bitset) &&
            (!first || w->order < first->waiting.order))
            first = t;
    }
    return first;
}

int32_t vxl_futex_wake(struct vxl_proc *p, vx_gaddr addr, uint32_t count, uint32_t bitset, vx_gaddr to, uint32_t moved)
{
    struct vxl_thread *t;
    int32_t done = 0;
    if (!p->threads)
        return 0;
    for (; count && (t = first_waiting(p, addr, bitset)); count--, done++) {
        t->waiting.is_woken = true;
        vxl_thread_wake(t);
    }
    for (; moved && to != addr && (t = first_waiting(p, addr, bitset)); moved--, done++)
        t->waiting.futex = to;
    return done;
}

/*
 * Signals of the host, and waiting.
 *
 * A guest's alarm, its children's ends, or a signal from outside that the
 * guest has a handler for arrive as host signals: the handler only notes
 * them and interrupts the box. While something waits they are blocked except
 * inside ppoll, so that none is missed. A guest's time limit is a timer
 * whose signal ends blocking calls.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "vxrt/linux/threads.h"

/* Period of the limit's timer once it has passed: a call that just began to block is ended too. */
#define LIMIT_REPEAT_NS 20000000
#define LIMIT_SIGNAL SIGRTMAX

/* The one process of this host process; signal handlers have no other argument. */
static struct vxl_proc *_Atomic current;
static struct vx_box *_Atomic current_box;
static atomic_int inside; /* handlers that may use them: on any thread of the host's */

static void interrupt_all(struct vxl_proc *p)
{
    struct vx_box *box = current_box;
    if (box)
        vx_box_interrupt(box);
    if (p->slots)
        vxl_threads_wake(p);
}

static void note(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    atomic_fetch_add(&inside, 1);
    struct vxl_proc *p = current;
    bool is_sent = signal == VXL_TIMER_SIGNAL && info->si_code != SI_TIMER; /* by somebody: no timer of the guest's has expired */
    if (p && !is_sent) {
        p->arrived_info[signal - 1] = *info;
        if (signal == VXL_TIMER_SIGNAL)
            vxl_timers_note(p, info);
        atomic_fetch_or(&p->arrived, 1ull << (signal - 1));
        interrupt_all(p);
    }
    atomic_fetch_sub(&inside, 1);
    errno = saved_errno;
}

/* Ends blocking calls of this host thread; other threads have to be told. */
static void end_waits(int signal)
{
    int saved_errno = errno;
    atomic_fetch_add(&inside, 1);
    struct vxl_proc *p = current;
    if (p && p->slots)
        interrupt_all(p);
    atomic_fetch_sub(&inside, 1);
    errno = saved_errno;
}

/* Those that found what is not there any more. */
static void wait_for_handlers(void)
{
    while (atomic_load(&inside))
        sched_yield();
}

void vxl_hostsig_forked(void)
{
    atomic_store(&inside, 0); /* what ran in other threads of the parent */
}

void vxl_hostsig_use_box(struct vxl_proc *p)
{
    current_box = p->box;
}

void vxl_hostsig_leave_box(struct vxl_proc *p)
{
    current_box = NULL;
    wait_for_handlers();
}

uint64_t vxl_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void vxl_hold_signals(struct vxl_proc *p, sigset_t *old)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, LIMIT_SIGNAL);
    for (int signal = 1; signal <= VXL_SIGNAL_COUNT; signal++)
        if (p->watched >> (signal - 1) & 1)
            sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, old);
}

void vxl_release_signals(const sigset_t *old)
{
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

void vxl_watch_signal(struct vxl_proc *p, int signal)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    uint64_t bit = 1ull << (signal - 1);
    vxl_hostsig_use_box(p);
    current = p;
    if (p->watched & bit)
        return;
    sigfillset(&action.sa_mask);
    if (sigaction(signal, &action, NULL) == 0)
        p->watched |= bit;
    p->host_ignored &= ~bit;
}

void vxl_unwatch_signal(struct vxl_proc *p, int signal, bool ignore)
{
    struct sigaction action = {.sa_handler = ignore ? SIG_IGN : SIG_DFL};
    uint64_t bit = 1ull << (signal - 1);
    if (!ignore && !((p->watched | p->host_ignored) & bit))
        return;
    sigaction(signal, &action, NULL);
    p->watched &= ~bit;
    p->host_ignored = ignore ? p->host_ignored | bit : p->host_ignored & ~bit;
}

void vxl_watch_deadline(struct vxl_proc *p)
{
    struct sigaction action = {.sa_handler = end_waits, .sa_flags = SA_ONSTACK};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = LIMIT_SIGNAL};
    sigfillset(&action.sa_mask); /* the runtime's own signal must find the guest's code */
    vxl_hostsig_use_box(p);
    current = p;
    if (!p->deadline_ns || sigaction(LIMIT_SIGNAL, &action, NULL) ||
        timer_create(CLOCK_MONOTONIC, &event, &p->deadline_timer))
        return;
    p->has_deadline_timer = true;
    struct itimerspec when = {
        .it_value = {(time_t)(p->deadline_ns / 1000000000u), (long)(p->deadline_ns % 1000000000u)},
        .it_interval = {0, LIMIT_REPEAT_NS},
    };
    timer_settime(p->deadline_timer, TIMER_ABSTIME, &when, NULL);
}

static void stop_itimers(const struct vxl_proc *p)
{
    static const struct {
        int signal;
        __itimer_which_t which;
    } all[] = {{SIGALRM, ITIMER_REAL}, {SIGVTALRM, ITIMER_VIRTUAL}, {SIGPROF, ITIMER_PROF}};
    const struct itimerval none = {0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (p->watched >> (all[i].signal - 1) & 1)
            setitimer(all[i].which, &none, NULL);
}

void vxl_hostsig_end(struct vxl_proc *p)
{
    current = NULL;
    wait_for_handlers();
    if (p->has_deadline_timer)
        timer_delete(p->deadline_timer);
    p->has_deadline_timer = false;
    stop_itimers(p); /* their signals would end this process */
    for (int signal = 1; signal <= 31; signal++)
        if (p->watched >> (signal - 1) & 1)
            vxl_unwatch_signal(p, signal, false);
}

void vxl_hostsig_forget(struct vxl_proc *p)
{
    if (current_box == p->box)
        vxl_hostsig_leave_box(p);
    if (current == p)
        vxl_hostsig_end(p);
}

/* ---- waiting --------------------------------------------------------- */

bool vxl_is_interrupted(struct vxl_proc *p)
{
    if (p->deadline_ns && vxl_now_ns() >= p->deadline_ns && !p->has_ended) {
        struct vx_trap trap = {.kind = VX_TRAP_LIMIT, .eip = p->regs.eip};
        vxl_end_with(p, VXL_STOPPED, 0, &trap);
    }
    return p->has_ended || (p->threads && p->self->is_gone) || vxl_has_signal(p);
}

int vxl_wait(struct vxl_proc *p, struct pollfd *fds, unsigned count, const struct timespec *end)
{
    if (p->threads)
        return vxl_thread_wait(p, fds, count, end);
    for (;;) {
        sigset_t old;
        int result = -1, error = EINTR;
        vxl_hold_signals(p, &old);
        bool stop = vxl_is_interrupted(p);
        if (!stop) {
            struct timespec left = end ? vxl_time_left(CLOCK_MONOTONIC, end) : (struct timespec){0};
            result = ppoll(fds, count, end ? &left : NULL, &old);
            error = errno;
        }
        vxl_release_signals(&old);
        if (stop)
            return -EINTR;
        if (result >= 0)
            return result;
        if (error != EINTR)
            return -error;
    }
}

int vxl_wait_fd(struct vxl_proc *p, int host_fd, short events)
{
    struct pollfd fd = {.fd = host_fd, .events = events};
    /* Without signals that could be missed the call itself may block: its EINTR is enough. */
    if (!p->watched && !p->deadline_ns && !p->threads)
        return 0;
    int flags = fcntl(host_fd, F_GETFL), mode = flags & O_ACCMODE;
    /* what cannot be written will never be ready for it: the call itself says EBADF */
    if (flags & O_NONBLOCK || mode == (events & POLLOUT ? O_RDONLY : O_WRONLY))
        return 0;
    int result = vxl_wait(p, &fd, 1, NULL);
    return result == -EINTR ? result : 0;
}

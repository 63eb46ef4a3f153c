/*
 * Guest signals: dispositions, masks, what is pending, delivery, and the
 * calls around them. Signals come from the guest itself (kill, faults), from
 * its timers and children, and from outside where it has a handler.
 */
#include <string.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

#define HANDLER_DEFAULT 0u
#define HANDLER_IGNORE 1u

#define BIT(signal) (1ull << ((signal) - 1))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define DEFAULT_IGNORED \
    (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH) | /* stopping is not supported */ \
     BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))
/* Signals that somebody outside may send to a guest with a handler for them. */
#define FROM_OUTSIDE \
    (BIT(SIGHUP) | BIT(SIGINT) | BIT(SIGQUIT) | BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGTERM) | \
     BIT(SIGWINCH))

enum { SIGSET_BYTES = 8 };

static bool is_ignored(const struct vxl_proc *p, int signal)
{
    uint32_t handler = p->actions[signal - 1].handler;
    return handler == HANDLER_IGNORE ||
           (handler == HANDLER_DEFAULT && (DEFAULT_IGNORED & BIT(signal)));
}

static bool is_signal(uint32_t signal)
{
    return signal >= 1 && signal <= VXL_SIGNAL_COUNT;
}

void vxl_raise_kept(struct vxl_proc *p, int signal, const struct abi32_siginfo *info, uint64_t kept)
{
    if (is_ignored(p, signal) && !(kept & BIT(signal)))
        return;
    if (!(p->pending & BIT(signal)))
        p->infos[signal - 1] = *info;
    p->pending |= BIT(signal);
}

/* As in the kernel: what the process ignores is dropped unless its first thread blocks it. */
static uint64_t kept(const struct vxl_proc *p)
{
    const struct vxl_thread *first = p->threads && p->main != p->self ? p->main : NULL;
    return p->blocked | (first ? vxl_thread_blocked(first) : 0);
}

void vxl_raise(struct vxl_proc *p, int signal, const struct abi32_siginfo *info)
{
    vxl_raise_kept(p, signal, info, kept(p));
}

void vxl_raise_simple(struct vxl_proc *p, int signal, int32_t code)
{
    struct abi32_siginfo info = {.signo = signal, .code = code};
    info.u.child.pid = p->pid;
    info.u.child.uid = 1000;
    vxl_raise(p, signal, &info);
}

/* Take what the host has for the guest. */
static void take_arrived(struct vxl_proc *p)
{
    uint64_t arrived = atomic_exchange(&p->arrived, 0);
    for (int signal = 1; arrived; signal++, arrived >>= 1) {
        if (!(arrived & 1))
            continue;
        if (signal == VXL_TIMER_SIGNAL) {
            vxl_timers_take(p);
            continue;
        }
        const siginfo_t *from = &p->arrived_info[signal - 1];
        struct abi32_siginfo info = {.signo = signal, .code = from->si_code};
        if (signal == SIGCHLD) {
            info.u.child.pid = from->si_pid;
            info.u.child.uid = 1000;
            info.u.child.status = from->si_status;
        }
        vxl_raise(p, signal, &info);
    }
}

/* What is to be handled; what is ignored goes. */
static uint64_t deliverable(struct vxl_proc *p)
{
    if (atomic_load(&p->arrived))
        take_arrived(p);
    uint64_t open = p->pending & ~p->blocked;
    for (uint64_t rest = open; rest; rest &= rest - 1) {
        int signal = __builtin_ctzll(rest) + 1;
        if (!is_ignored(p, signal))
            continue;
        open &= ~BIT(signal);
        if (!(kept(p) & BIT(signal)))
            p->pending &= ~BIT(signal);
    }
    return open;
}

bool vxl_has_signal(struct vxl_proc *p)
{
    return deliverable(p) | (p->pending & p->awaited);
}

/* ---- delivery -------------------------------------------------------- */

static void run_handler(struct vxl_proc *p, int signal, const struct abi32_siginfo *info,
                        const struct vx_trap *trap)
{
    struct vxl_action action = p->actions[signal - 1];
    uint64_t mask = p->has_saved_mask ? p->saved_mask : p->blocked;
    p->has_saved_mask = false;
    if (!vxl_push_frame(p, signal, &action, info, mask)) {
        vxl_end_with(p, VXL_SIGNALED, SIGSEGV, trap);
        return;
    }
    if (action.flags & SA_RESETHAND)
        p->actions[signal - 1].handler = HANDLER_DEFAULT;
    p->blocked |= action.mask;
    if (!(action.flags & SA_NODEFER))
        p->blocked |= BIT(signal);
    p->blocked &= ~UNBLOCKABLE;
}

/* Set the result of a call that a signal interrupted. */
static void settle_call(struct vxl_proc *p, const struct vxl_action *action)
{
    enum { INT80_BYTES = 2 };
    int32_t result = (int32_t)p->regs.eax;
    if (!p->in_syscall)
        return;
    p->in_syscall = false;
    if (result != -VXL_RESTART_SYS && result != -VXL_RESTART_NO_HANDLER)
        return;
    bool restart = !action || (result == -VXL_RESTART_SYS && (action->flags & SA_RESTART));
    if (restart) {
        p->regs.eax = p->call_number;
        p->regs.eip -= INT80_BYTES;
    } else {
        p->regs.eax = (uint32_t)-EINTR;
    }
}

/* The signal is not pending any more: what came with it. */
static const struct abi32_siginfo *accept_signal(struct vxl_proc *p, int signal)
{
    p->pending &= ~BIT(signal);
    vxl_timers_accept(p, &p->infos[signal - 1]);
    return &p->infos[signal - 1];
}

void vxl_deliver(struct vxl_proc *p)
{
    uint64_t open;
    while (!p->has_ended && (open = deliverable(p))) {
        int signal = __builtin_ctzll(open) + 1;
        const struct abi32_siginfo *info = accept_signal(p, signal);
        if (p->actions[signal - 1].handler == HANDLER_DEFAULT) {
            vxl_end_with(p, VXL_SIGNALED, signal, NULL);
            return;
        }
        settle_call(p, &p->actions[signal - 1]);
        run_handler(p, signal, info, NULL);
    }
    settle_call(p, NULL);
    if (p->has_saved_mask) {
        p->blocked = p->saved_mask;
        p->has_saved_mask = false;
    }
}

void vxl_force(struct vxl_proc *p, const struct vx_trap *trap, int signal,
               const struct abi32_siginfo *info)
{
    uint32_t handler = p->actions[signal - 1].handler;
    if ((p->blocked & BIT(signal)) || handler == HANDLER_DEFAULT || handler == HANDLER_IGNORE)
        vxl_end_with(p, VXL_SIGNALED, signal, trap);
    else
        run_handler(p, signal, info, trap);
}

/* Signals that whoever started the guest wants ignored stay so, as over an exec. */
void vxl_signals_start(struct vxl_proc *p)
{
    struct sigaction action;
    p->altstack.flags = SS_DISABLE;
    for (int signal = 1; signal < 32; signal++) {
        if (!(FROM_OUTSIDE & BIT(signal)) || sigaction(signal, NULL, &action) ||
            action.sa_handler != SIG_IGN)
            continue;
        p->actions[signal - 1].handler = HANDLER_IGNORE;
        p->host_ignored |= BIT(signal);
    }
}

void vxl_signals_after_exec(struct vxl_proc *p)
{
    for (int signal = 1; signal <= VXL_SIGNAL_COUNT; signal++) {
        uint32_t handler = p->actions[signal - 1].handler;
        p->actions[signal - 1] = (struct vxl_action){
            .handler = handler == HANDLER_IGNORE ? HANDLER_IGNORE : HANDLER_DEFAULT};
        if (handler > HANDLER_IGNORE && (FROM_OUTSIDE & BIT(signal)))
            vxl_unwatch_signal(p, signal, false);
    }
    p->altstack = (struct abi32_stack){.flags = SS_DISABLE};
}

/* ---- dispositions ---------------------------------------------------- */

static void set_action(struct vxl_proc *p, int signal, const struct vxl_action *action)
{
    p->actions[signal - 1] = *action;
    p->actions[signal - 1].mask &= ~UNBLOCKABLE;
    if (is_ignored(p, signal))
        p->pending &= ~BIT(signal);
    if (!(FROM_OUTSIDE & BIT(signal)))
        return;
    if (action->handler > HANDLER_IGNORE)
        vxl_watch_signal(p, signal);
    else
        vxl_unwatch_signal(p, signal, action->handler == HANDLER_IGNORE);
}

int32_t vxl_rt_sigaction(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_sigaction in, out;
    if (a[3] != SIGSET_BYTES || !is_signal(a[0]) || (a[1] && (UNBLOCKABLE & BIT(a[0]))))
        return -EINVAL;
    struct vxl_action old = p->actions[a[0] - 1];
    if (a[1]) {
        if (!vxl_get(p, a[1], &in, sizeof in))
            return -EFAULT;
        struct vxl_action new = {in.handler, in.flags, in.restorer,
                                 (uint64_t)in.mask[1] << 32 | in.mask[0]};
        set_action(p, (int)a[0], &new);
    }
    out = (struct abi32_sigaction){old.handler, old.flags, old.restorer,
                                   {(uint32_t)old.mask, (uint32_t)(old.mask >> 32)}};
    return !a[2] || vxl_put(p, a[2], &out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_sigaction(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_old_sigaction in, out;
    if (!is_signal(a[0]) || (a[1] && (UNBLOCKABLE & BIT(a[0]))))
        return -EINVAL;
    struct vxl_action old = p->actions[a[0] - 1];
    if (a[1]) {
        if (!vxl_get(p, a[1], &in, sizeof in))
            return -EFAULT;
        struct vxl_action new = {in.handler, in.flags, in.restorer, in.mask};
        set_action(p, (int)a[0], &new);
    }
    out = (struct abi32_old_sigaction){old.handler, (uint32_t)old.mask, old.flags, old.restorer};
    return !a[2] || vxl_put(p, a[2], &out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_signal(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_action new = {.handler = a[1], .flags = SA_RESETHAND | SA_NODEFER};
    if (!is_signal(a[0]) || (UNBLOCKABLE & BIT(a[0])))
        return -EINVAL;
    uint32_t old = p->actions[a[0] - 1].handler;
    set_action(p, (int)a[0], &new);
    return (int32_t)old;
}

/* ---- masks ----------------------------------------------------------- */

static int32_t change_mask(struct vxl_proc *p, uint32_t how, uint64_t mask, uint64_t width)
{
    mask &= ~UNBLOCKABLE;
    switch (how) {
    case SIG_BLOCK:
        p->blocked |= mask;
        return 0;
    case SIG_UNBLOCK:
        p->blocked &= ~mask;
        return 0;
    case SIG_SETMASK:
        p->blocked = (p->blocked & ~width) | mask;
        return 0;
    default:
        return -EINVAL;
    }
}

int32_t vxl_rt_sigprocmask(struct vxl_proc *p, const uint32_t *a)
{
    uint64_t old = p->blocked, new;
    if (a[3] != SIGSET_BYTES)
        return -EINVAL;
    if (a[1]) {
        if (!vxl_get(p, a[1], &new, 8))
            return -EFAULT;
        int32_t status = change_mask(p, a[0], new, UINT64_MAX);
        if (status < 0)
            return status;
    }
    return !a[2] || vxl_put(p, a[2], &old, 8) ? 0 : -EFAULT;
}

int32_t vxl_sigprocmask(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t old = (uint32_t)p->blocked, new;
    if (a[1]) {
        if (!vxl_get(p, a[1], &new, 4))
            return -EFAULT;
        int32_t status = change_mask(p, a[0], new, UINT32_MAX);
        if (status < 0)
            return status;
    }
    return !a[2] || vxl_put(p, a[2], &old, 4) ? 0 : -EFAULT;
}

int32_t vxl_sgetmask(struct vxl_proc *p, const uint32_t *a)
{
    return (int32_t)p->blocked;
}

int32_t vxl_ssetmask(struct vxl_proc *p, const uint32_t *a)
{
    int32_t old = (int32_t)p->blocked;
    change_mask(p, SIG_SETMASK, a[0], UINT32_MAX);
    return old;
}

int32_t vxl_rt_sigpending(struct vxl_proc *p, const uint32_t *a)
{
    vxl_has_signal(p);
    uint64_t set = p->pending & p->blocked;
    if (a[1] > SIGSET_BYTES)
        return -EINVAL;
    return vxl_put(p, a[0], &set, a[1]) ? 0 : -EFAULT;
}

int32_t vxl_sigpending(struct vxl_proc *p, const uint32_t *a)
{
    const uint32_t args[2] = {a[0], 4};
    return vxl_rt_sigpending(p, args);
}

/* ---- waiting for signals --------------------------------------------- */

static int32_t suspend(struct vxl_proc *p, uint64_t mask)
{
    p->saved_mask = p->blocked;
    p->has_saved_mask = true;
    p->blocked = mask & ~UNBLOCKABLE;
    vxl_wait(p, NULL, 0, NULL);
    return -VXL_RESTART_NO_HANDLER;
}

bool vxl_set_temporary_mask(struct vxl_proc *p, vx_gaddr addr, uint32_t size)
{
    uint64_t mask;
    if (size != SIGSET_BYTES || !vxl_get(p, addr, &mask, sizeof mask))
        return false;
    p->saved_mask = p->blocked;
    p->has_saved_mask = true;
    p->blocked = mask & ~UNBLOCKABLE;
    return true;
}

int32_t vxl_rt_sigsuspend(struct vxl_proc *p, const uint32_t *a)
{
    uint64_t mask;
    if (a[1] != SIGSET_BYTES)
        return -EINVAL;
    return vxl_get(p, a[0], &mask, sizeof mask) ? suspend(p, mask) : -EFAULT;
}

/* sigsuspend(72): the mask itself is the third argument */
int32_t vxl_sigsuspend(struct vxl_proc *p, const uint32_t *a)
{
    return suspend(p, a[2]);
}

int32_t vxl_pause(struct vxl_proc *p, const uint32_t *a)
{
    vxl_wait(p, NULL, 0, NULL);
    return -VXL_RESTART_NO_HANDLER;
}

static int32_t timed_wait(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    uint64_t set;
    struct timespec left, end;
    if (a[3] != SIGSET_BYTES)
        return -EINVAL;
    if (!vxl_get(p, a[0], &set, 8) || (a[2] && !vxl_times_get(p, a[2], is_64, &left)))
        return -EFAULT;
    if (a[2] && !vxl_end_of(&left, &end))
        return -EINVAL;
    p->awaited = set & ~UNBLOCKABLE;
    int waited = vxl_wait(p, NULL, 0, a[2] ? &end : NULL);
    p->awaited = 0;
    uint64_t got = p->pending & set;
    if (!got)
        return waited == 0 ? -EAGAIN : -EINTR;
    int signal = __builtin_ctzll(got) + 1;
    const struct abi32_siginfo *info = accept_signal(p, signal);
    if (a[1] && !vxl_put(p, a[1], info, sizeof *info))
        return -EFAULT;
    return signal;
}

int32_t vxl_rt_sigtimedwait(struct vxl_proc *p, const uint32_t *a)
{
    return timed_wait(p, a, false);
}

int32_t vxl_rt_sigtimedwait_time64(struct vxl_proc *p, const uint32_t *a)
{
    return timed_wait(p, a, true);
}

/* ---- alternate stack ------------------------------------------------- */

int32_t vxl_sigaltstack(struct vxl_proc *p, const uint32_t *a)
{
    enum { LEAST_BYTES = 2048 };
    struct abi32_stack old = p->altstack, new;
    bool is_on = p->regs.esp - old.sp - 1 < old.size;
    if (a[0]) {
        if (!vxl_get(p, a[0], &new, sizeof new))
            return -EFAULT;
        if (is_on)
            return -EPERM;
        if (new.flags & ~(SS_ONSTACK | SS_DISABLE))
            return -EINVAL;
        if (new.flags & SS_DISABLE)
            new = (struct abi32_stack){.flags = SS_DISABLE};
        else if (new.size < LEAST_BYTES)
            return -ENOMEM;
        new.flags &= SS_DISABLE;
        p->altstack = new;
    }
    if (!old.size)
        old.flags = SS_DISABLE;
    else
        old.flags = is_on ? SS_ONSTACK : 0;
    return !a[1] || vxl_put(p, a[1], &old, sizeof old) ? 0 : -EFAULT;
}

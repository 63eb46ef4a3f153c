/*
 * Processes: end, fork, wait, kill, and process identity.
 *
 * fork copies the whole host process, box and all; it is there only with
 * config->allow_fork. A guest can signal itself and its own children, and
 * wait for them; no other process exists for it.
 */
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"
#include "vxrt/threads.h"

#define SIGNAL_MASK 0xffu

void vxl_end_with(struct vxl_proc *p, enum vxl_end end, int code, const struct vx_trap *trap)
{
    if (p->has_ended)
        return;
    if (end != VXL_STOPPED)
        vxl_release_all_locks(p);
    p->has_ended = true;
    p->outcome = (struct vxl_outcome){.end = end, .code = code, .has_trap = trap != NULL, .is_child = p->is_child};
    if (trap)
        p->outcome.trap = *trap;
    if (p->threads) {
        vx_box_interrupt(p->box);
        vxl_threads_wake(p);
    }
}

int32_t vxl_exit_group(struct vxl_proc *p, const uint32_t *a)
{
    vxl_end_with(p, VXL_EXITED, (int)(a[0] & 0xff), NULL);
    return 0;
}

/* Of one thread; the last one ends the process. */
int32_t vxl_exit(struct vxl_proc *p, const uint32_t *a)
{
    if (p->thread_count < 2)
        return vxl_exit_group(p, a);
    vxl_thread_exit(p);
    return 0;
}

_Noreturn void vxl_leave_child(const struct vxl_outcome *outcome)
{
    if (outcome->end == VXL_EXITED)
        _exit(outcome->code);
    if (outcome->end == VXL_SIGNALED) {
        struct rlimit no_core = {0, 0};
        sigset_t all;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(outcome->code, SIG_DFL);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        raise(outcome->code);
        _exit(128 + outcome->code);
    }
    _exit(125);
}

/* ---- fork ------------------------------------------------------------ */

static void become_child(struct vxl_proc *p)
{
    vxl_hostsig_forked();
    p->is_child = true;
    p->parent_pid = p->pid;
    p->pid = getpid();
    p->child_count = 0;
    p->pending = 0;
    atomic_store(&p->arrived, 0);
    vxl_timers_forget(p, true);
    memset(p->refused, 0, sizeof p->refused);
    if (p->deadline_ns) {
        uint64_t now = vxl_now_ns();
        vx_box_set_time_limit(p->box, p->deadline_ns > now ? p->deadline_ns - now : 1);
        vxl_watch_deadline(p);
    }
}

/* Flags of clone(2) that a copy of the process can honour. */
#define CLONE_FLAGS \
    (SIGNAL_MASK | CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | \
     CLONE_CHILD_CLEARTID | CLONE_SETTLS)

/* A thread shares everything. */
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define THREAD_OPTIONS \
    (CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED)

/* With SIGCHLD ignored nobody is told of a child's end: it is as if it had never been. */
static void forget_ended(struct vxl_proc *p)
{
    const struct vxl_action *action = &p->actions[SIGCHLD - 1];
    if ((void (*)(int))(uintptr_t)action->handler != SIG_IGN && !(action->flags & SA_NOCLDWAIT))
        return;
    for (size_t i = 0; i < p->child_count;)
        if (waitpid(p->children[i], NULL, WNOHANG) != 0)
            p->children[i] = p->children[--p->child_count];
        else
            i++;
}

int32_t vxl_clone(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t flags = a[0];
    if ((flags & THREAD_FLAGS) == THREAD_FLAGS && !(flags & ~(uint32_t)(THREAD_FLAGS | THREAD_OPTIONS)))
        return vxl_thread_new(p, a);
    bool is_shared = (flags & CLONE_VM) && !(flags & CLONE_VFORK);
    if (!p->config->allow_fork || is_shared || (flags & ~(uint32_t)CLONE_FLAGS)) {
        p->refused[p->call_number]++;
        return -ENOSYS;
    }
    forget_ended(p);
    if (p->child_count == VXL_CHILD_LIMIT)
        return -EAGAIN;
    vxl_watch_signal(p, SIGCHLD);
    vxi_threads_fork(p->box);
    pid_t pid = fork();
    int error = errno;
    vxl_threads_forked(p, pid == 0);
    if (pid < 0)
        return -error;
    if (pid > 0) {
        p->children[p->child_count++] = pid;
        if ((flags & CLONE_PARENT_SETTID) && !vxl_put(p, a[2], &pid, 4))
            return -EFAULT;
        return pid;
    }
    become_child(p);
    if (a[1])
        p->regs.esp = a[1];
    if (flags & CLONE_SETTLS)
        vxl_set_thread_area(p, &a[3]);
    if (flags & CLONE_CHILD_SETTID)
        vxl_put(p, a[4], &p->pid, 4);
    p->clear_child_tid = flags & CLONE_CHILD_CLEARTID ? a[4] : 0;
    return 0;
}

int32_t vxl_fork(struct vxl_proc *p, const uint32_t *a)
{
    const uint32_t args[6] = {SIGCHLD};
    return vxl_clone(p, args);
}

/* A copy instead of shared memory: a child that only calls execve or _exit cannot tell. */
int32_t vxl_vfork(struct vxl_proc *p, const uint32_t *a)
{
    return vxl_fork(p, a);
}

/* ---- wait ------------------------------------------------------------ */

static int find_child(const struct vxl_proc *p, pid_t pid)
{
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i] == pid)
            return (int)i;
    return -1;
}

/* One look at the children that `pid` names. The child's pid, 0 (none yet) or -ECHILD. */
static pid_t look(struct vxl_proc *p, pid_t pid, int options, int *status, struct rusage *usage)
{
    bool is_any = pid == -1 || pid == 0;
    forget_ended(p);
    if (is_any ? p->child_count == 0 : find_child(p, pid) < 0)
        return -ECHILD;
    for (size_t i = 0; i < p->child_count; i++) {
        if (!is_any && p->children[i] != pid)
            continue;
        pid_t got = wait4(p->children[i], status, options | WNOHANG, usage);
        if (got == 0)
            continue;
        if (got < 0)
            got = -errno;
        if (got < 0 || WIFEXITED(*status) || WIFSIGNALED(*status))
            p->children[i] = p->children[--p->child_count];
        return got;
    }
    return 0;
}

/* A child that has ended: its pid; 0: none yet, with WNOHANG; else -errno. */
static int32_t wait_child(struct vxl_proc *p, pid_t pid, uint32_t options, int *status, struct rusage *usage)
{
    pid_t got;
    if (pid < -1)
        pid = -1; /* one process group */
    for (bool stop = false;;) {
        sigset_t old;
        vxl_hold_signals(p, &old);
        got = look(p, pid, (int)(options & (WUNTRACED | WCONTINUED)), status, usage);
        if (got == 0 && !(options & WNOHANG) && !(stop = vxl_is_interrupted(p)) && !p->threads)
            ppoll(NULL, 0, NULL, &old);
        vxl_release_signals(&old);
        if (got || options & WNOHANG)
            return got;
        if (stop)
            return -VXL_RESTART_SYS;
        if (p->threads && vxl_wait_a_little(p) == -EINTR)
            return -VXL_RESTART_SYS;
    }
}

static int32_t wait_for(struct vxl_proc *p, pid_t pid, vx_gaddr status_at, uint32_t options,
                        vx_gaddr usage_at)
{
    int status = 0;
    struct rusage usage;
    if (options & ~(uint32_t)(WNOHANG | WUNTRACED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD))
        return -EINVAL;
    if (options & __WCLONE)
        return -ECHILD;
    int32_t got = wait_child(p, pid, options, &status, &usage);
    if (got <= 0)
        return got;
    if (status_at && !vxl_put(p, status_at, &status, 4))
        return -EFAULT;
    if (usage_at) {
        struct abi32_rusage out = {
            .utime = {(int32_t)usage.ru_utime.tv_sec, (int32_t)usage.ru_utime.tv_usec},
            .stime = {(int32_t)usage.ru_stime.tv_sec, (int32_t)usage.ru_stime.tv_usec},
            .maxrss = (int32_t)usage.ru_maxrss,
        };
        if (!vxl_put(p, usage_at, &out, sizeof out))
            return -EFAULT;
    }
    return got;
}

int32_t vxl_wait4(struct vxl_proc *p, const uint32_t *a)
{
    return wait_for(p, (pid_t)a[0], a[1], a[2], a[3]);
}

int32_t vxl_waitpid(struct vxl_proc *p, const uint32_t *a)
{
    return wait_for(p, (pid_t)a[0], a[1], a[2], 0);
}

/* Kind of id, id, siginfo, options, usage (not filled). Children end; they do not stop. */
int32_t vxl_waitid(struct vxl_proc *p, const uint32_t *a)
{
    int status = 0;
    struct rusage usage;
    struct abi32_siginfo info = {0};
    if (a[0] > P_PGID || !(a[3] & WEXITED) || a[3] & ~(uint32_t)(WNOHANG | WEXITED | WSTOPPED | WCONTINUED | __WALL))
        return -EINVAL;
    int32_t got = wait_child(p, a[0] == P_PID ? (pid_t)a[1] : -1, a[3] & WNOHANG, &status, &usage);
    if (got < 0)
        return got;
    if (got > 0) {
        info = (struct abi32_siginfo){.signo = SIGCHLD, .code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED};
        info.u.child.pid = got;
        info.u.child.uid = 1000;
        info.u.child.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    }
    return !a[2] || vxl_put(p, a[2], &info, sizeof info) ? 0 : -EFAULT;
}

/* ---- kill ------------------------------------------------------------ */

/*
 * To the guest that forked this one, as long as it is there: a descriptor names the process, so that its
 * number cannot come to mean another one meanwhile. Only what a guest may get from outside.
 */
static int32_t send_to_parent(struct vxl_proc *p, int signal)
{
    static const uint64_t allowed = 1ull << (SIGHUP - 1) | 1ull << (SIGINT - 1) | 1ull << (SIGQUIT - 1) |
                                    1ull << (SIGKILL - 1) | 1ull << (SIGUSR1 - 1) | 1ull << (SIGUSR2 - 1) |
                                    1ull << (SIGTERM - 1) | 1ull << (SIGWINCH - 1);
    if (signal && !(allowed >> (signal - 1) & 1))
        return -EPERM;
    int fd = (int)syscall(SYS_pidfd_open, p->parent_pid, 0);
    int32_t result = fd >= 0 && getppid() == p->parent_pid
                         ? (int32_t)vxl_result(syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0)) : -ESRCH;
    if (fd >= 0)
        close(fd);
    return result;
}

static bool is_stop(uint32_t signal)
{
    return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static int32_t send(struct vxl_proc *p, pid_t pid, uint32_t signal, int32_t code)
{
    if (signal > VXL_SIGNAL_COUNT)
        return -EINVAL;
    if (pid == p->pid) {
        if (signal)
            vxl_raise_simple(p, (int)signal, code);
        return 0;
    }
    if (pid > 0 && find_child(p, pid) >= 0) /* none is stopped: it would not notice its time limit */
        return (int32_t)vxl_result(kill(pid, is_stop(signal) ? 0 : (int)signal));
    if (p->is_child && pid == p->parent_pid)
        return send_to_parent(p, (int)signal);
    return -ESRCH;
}

int32_t vxl_kill(struct vxl_proc *p, const uint32_t *a)
{
    pid_t pid = (pid_t)a[0];
    /* its process group: itself and its children */
    if (pid == 0 || pid == -p->pid) {
        for (size_t i = 0; i < p->child_count; i++)
            send(p, p->children[i], a[1], SI_USER);
        pid = p->pid;
    }
    return send(p, pid, a[1], SI_USER);
}

bool vxl_raise_in_thread(struct vxl_proc *p, pid_t tid, int signal, const struct abi32_siginfo *info)
{
    struct vxl_thread *t = vxl_thread_by_id(p, tid);
    if (!t && tid != (p->tid ? p->tid : p->pid))
        return false;
    if (!signal)
        return true;
    uint64_t bit = 1ull << (signal - 1), others = p->pending & bit;
    vxl_raise_kept(p, signal, info, t ? vxl_thread_blocked(t) : p->blocked);
    if (!t) {
        p->directed |= p->pending & bit & ~others;
        return true;
    }
    t->directed |= p->pending & bit;
    p->pending = (p->pending & ~bit) | others;
    vxl_thread_poke(t);
    return true;
}

/* One thread of this process, or a child as a whole. */
static int32_t send_to_thread(struct vxl_proc *p, pid_t tid, uint32_t signal)
{
    struct abi32_siginfo info = {.signo = (int32_t)signal, .code = SI_TKILL};
    info.u.child.pid = p->pid;
    info.u.child.uid = 1000;
    if (signal > VXL_SIGNAL_COUNT)
        return -EINVAL;
    return vxl_raise_in_thread(p, tid, (int)signal, &info) ? 0 : send(p, tid, signal, SI_TKILL);
}

int32_t vxl_tkill(struct vxl_proc *p, const uint32_t *a)
{
    return send_to_thread(p, (pid_t)a[0], a[1]);
}

int32_t vxl_tgkill(struct vxl_proc *p, const uint32_t *a)
{
    return (pid_t)a[0] == p->pid ? send_to_thread(p, (pid_t)a[1], a[2]) : -ESRCH;
}

/* ---- identity -------------------------------------------------------- */

int32_t vxl_getpid(struct vxl_proc *p, const uint32_t *a)
{
    return p->pid;
}

int32_t vxl_gettid(struct vxl_proc *p, const uint32_t *a)
{
    return p->tid ? p->tid : p->pid;
}

int32_t vxl_getppid(struct vxl_proc *p, const uint32_t *a)
{
    return p->is_child ? getppid() : 0;
}

/* One group and one session, led by the first process. */
int32_t vxl_getpgrp(struct vxl_proc *p, const uint32_t *a)
{
    return p->first_pid;
}

static int32_t group_of(struct vxl_proc *p, pid_t pid)
{
    bool is_known = pid == 0 || pid == p->pid || pid == p->first_pid || find_child(p, pid) >= 0;
    return is_known ? p->first_pid : -ESRCH;
}

int32_t vxl_getpgid(struct vxl_proc *p, const uint32_t *a)
{
    return group_of(p, (pid_t)a[0]);
}

int32_t vxl_getsid(struct vxl_proc *p, const uint32_t *a)
{
    return group_of(p, (pid_t)a[0]);
}

int32_t vxl_setpgid(struct vxl_proc *p, const uint32_t *a)
{
    return group_of(p, (pid_t)a[0]) < 0 ? -ESRCH : 0;
}

int32_t vxl_setsid(struct vxl_proc *p, const uint32_t *a)
{
    return p->pid == p->first_pid ? -EPERM : p->pid;
}

/*
 * Guest threads, taking turns. A thread gives way when its call would block, when it asks to, and when its
 * time slice is over. A call that would block is made again when what it waits for has come,
 * so that handlers of system calls know nothing of threads but vxl_wait.
 */
#include "vxrt/linux/threads.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"

#define INT80_BYTES 2
#define TICK_SIGNAL (SIGRTMAX - 1)
#define TICK_NS 5000000
#define TID_STEP (1 << 22) /* above all process ids */
#define ROBUST_LIMIT 2048

/* ---- one at a time --------------------------------------------------- */

static void save(struct vxl_proc *p)
{
    struct vxl_thread *t = p->threads[p->running];
    t->regs = p->regs;
    vx_box_get_fxsave(p->box, t->fxsave);
    memcpy(t->tls_bases, vxi_box_tls(p->box), sizeof t->tls_bases);
    memcpy(t->tls, p->tls, sizeof t->tls);
    t->clear_child_tid = p->clear_child_tid;
    t->robust_list = p->robust_list;
    memcpy(t->name, p->name, sizeof t->name);
    t->blocked = p->blocked;
    t->saved_mask = p->saved_mask;
    t->has_saved_mask = p->has_saved_mask;
    t->directed = p->directed & p->pending;
    p->pending &= ~t->directed;
    t->altstack = p->altstack;
    t->last_trapno = p->last_trapno;
    t->last_err = p->last_err;
    t->last_cr2 = p->last_cr2;
}

static void load(struct vxl_proc *p, unsigned index)
{
    const struct vxl_thread *t = p->threads[index];
    p->running = index;
    p->tid = t->tid;
    p->regs = t->regs;
    vx_box_set_fxsave(p->box, t->fxsave);
    memcpy(vxi_box_tls(p->box), t->tls_bases, sizeof t->tls_bases);
    memcpy(p->tls, t->tls, sizeof t->tls);
    p->clear_child_tid = t->clear_child_tid;
    p->robust_list = t->robust_list;
    memcpy(p->name, t->name, sizeof p->name);
    p->blocked = t->blocked;
    p->saved_mask = t->saved_mask;
    p->has_saved_mask = t->has_saved_mask;
    p->directed = t->directed;
    p->pending |= t->directed;
    p->altstack = t->altstack;
    p->last_trapno = t->last_trapno;
    p->last_err = t->last_err;
    p->last_cr2 = t->last_cr2;
    p->in_syscall = false;
}

/* ---- time slices ----------------------------------------------------- */

static struct vxl_proc *_Atomic ticking;

static void tick(int signal)
{
    int saved_errno = errno;
    struct vxl_proc *p = ticking;
    if (p) {
        atomic_store(&p->has_tick, true);
        vx_box_interrupt(p->box);
    }
    errno = saved_errno;
}

static void start_ticks(struct vxl_proc *p)
{
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = TICK_SIGNAL};
    struct itimerspec when = {.it_value = {0, TICK_NS}, .it_interval = {0, TICK_NS}};
    ticking = p;
    if (p->has_ticks)
        return;
    sigfillset(&action.sa_mask);
    if (sigaction(TICK_SIGNAL, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &p->ticks) == 0) {
        p->has_ticks = true;
        timer_settime(p->ticks, 0, &when, NULL);
    }
}

static void stop_ticks(struct vxl_proc *p)
{
    ticking = NULL;
    if (p->has_ticks)
        timer_delete(p->ticks);
    p->has_ticks = false;
    atomic_store(&p->has_tick, false);
}

/* ---- beginning and end ----------------------------------------------- */

static void free_thread(struct vxl_thread *t)
{
    free(t->waiting.fds);
    free(t);
}

struct vxl_thread *vxl_thread_by_id(struct vxl_proc *p, pid_t tid)
{
    for (unsigned i = 0; i < p->thread_count; i++)
        if (i != p->running && p->threads[i]->tid == tid)
            return p->threads[i];
    return NULL;
}

static pid_t free_tid(struct vxl_proc *p)
{
    /* the number that was free for the longest time: it may still be named */
    for (int i = 1; i < VXL_THREAD_LIMIT; i++) {
        p->last_thread = p->last_thread % (VXL_THREAD_LIMIT - 1) + 1;
        pid_t tid = p->pid % TID_STEP + p->last_thread * TID_STEP;
        if (tid != p->tid && !vxl_thread_by_id(p, tid))
            return tid;
    }
    return 0;
}

/* The list, with the one thread that there was. */
static bool make_list(struct vxl_proc *p)
{
    if (p->threads)
        return true;
    p->threads = calloc(VXL_THREAD_LIMIT, sizeof *p->threads);
    struct vxl_thread *first = p->threads ? calloc(1, sizeof *first) : NULL;
    if (!first) {
        free(p->threads);
        p->threads = NULL;
        return false;
    }
    p->tid = first->tid = p->pid;
    p->threads[0] = first;
    p->thread_count = 1;
    p->running = 0;
    return true;
}

/* a: flags, stack, where the parent wants the id, descriptor, where the child wants it */
int32_t vxl_thread_new(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t flags = a[0];
    pid_t tid;
    if (!make_list(p))
        return -ENOMEM;
    if (p->thread_count == VXL_THREAD_LIMIT || !(tid = free_tid(p)))
        return -EAGAIN;
    if ((flags & CLONE_PARENT_SETTID) && !vxl_put(p, a[2], &tid, 4))
        return -EFAULT;
    struct vxl_thread *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    unsigned parent = p->running;
    save(p);
    *t = *p->threads[parent];
    t->tid = tid;
    t->waiting = (struct vxl_waiting){0};
    t->directed = 0;
    t->robust_list = 0;
    t->altstack = (struct abi32_stack){.flags = SS_DISABLE};
    t->clear_child_tid = flags & CLONE_CHILD_CLEARTID ? a[4] : 0;
    t->regs.eax = 0;
    if (a[1])
        t->regs.esp = a[1];
    p->threads[p->thread_count++] = t;
    load(p, p->thread_count - 1);
    int32_t status = flags & CLONE_SETTLS ? vxl_set_thread_area(p, &a[3]) : 0;
    if (status == 0 && (flags & CLONE_CHILD_SETTID))
        vxl_put(p, a[4], &tid, 4);
    save(p);
    load(p, parent);
    p->in_syscall = true;
    if (status < 0) {
        p->thread_count--;
        free_thread(t);
        return status;
    }
    start_ticks(p);
    return tid;
}

/* A thread died with a lock: say so in it, and wake who waits. */
static void release_lock(struct vxl_proc *p, vx_gaddr lock)
{
    uint32_t value;
    if (lock % 4 || !vxl_get(p, lock, &value, 4) || (value & FUTEX_TID_MASK) != (uint32_t)p->tid)
        return;
    bool has_waiters = value & FUTEX_WAITERS;
    value = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    if (vxl_put(p, lock, &value, 4) && has_waiters)
        vxl_futex_wake(p, lock, 1, FUTEX_BITSET_MATCH_ANY, 0, 0);
}

/* struct robust_list_head: the list, the offset of the lock in an entry, the entry in work. Bit 0 of an entry: PI. */
static void release_locks(struct vxl_proc *p)
{
    uint32_t head[3], entry;
    if (!p->robust_list || !vxl_get(p, p->robust_list, head, sizeof head))
        return;
    entry = head[0];
    for (unsigned i = 0; i < ROBUST_LIMIT && (entry & ~1u) != p->robust_list; i++) {
        uint32_t next;
        bool has_next = vxl_get(p, entry & ~1u, &next, 4);
        if ((entry & ~1u) != head[2])
            release_lock(p, (entry & ~1u) + head[1]);
        if (!has_next)
            return;
        entry = next;
    }
    if (head[2])
        release_lock(p, (head[2] & ~1u) + head[1]);
}

void vxl_thread_exit(struct vxl_proc *p)
{
    uint32_t zero = 0;
    release_locks(p);
    if (p->clear_child_tid && vxl_put(p, p->clear_child_tid, &zero, 4))
        vxl_futex_wake(p, p->clear_child_tid, 1, FUTEX_BITSET_MATCH_ANY, 0, 0);
    save(p); /* what is pending for the process stays */
    free_thread(p->threads[p->running]);
    p->threads[p->running] = p->threads[--p->thread_count];
    load(p, p->running < p->thread_count ? p->running : 0);
    if (p->thread_count == 1)
        stop_ticks(p);
    p->wants_switch = true; /* to one that can run */
    p->has_replaced_regs = true;
}

void vxl_threads_forget(struct vxl_proc *p)
{
    stop_ticks(p);
    for (unsigned i = 0; i < p->thread_count; i++)
        free_thread(p->threads[i]);
    free(p->threads);
    p->threads = NULL;
    p->thread_count = p->running = 0;
    p->tid = 0;
    p->wants_switch = false;
}

/* ---- waiting --------------------------------------------------------- */

static bool has_passed(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

struct vxl_waiting *vxl_thread_waiting(struct vxl_proc *p)
{
    return &p->threads[p->running]->waiting;
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
    bool is_again = w->is_waiting && w->eip == p->regs.eip - INT80_BYTES && w->esp == p->regs.esp;
    bool has_end = is_again ? w->has_end : end != NULL;
    struct timespec at = is_again ? w->end : end ? *end : (struct timespec){0};
    end_waiting(w);
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
                              .blocked = p->blocked, .eip = p->regs.eip - INT80_BYTES, .esp = p->regs.esp};
    p->wants_switch = p->is_blocked = true;
    return -EINTR;
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
    struct vxl_waiting *w = vxl_thread_waiting(p);
    if (!p->has_replaced_regs) /* else: of a thread that runs instead of one that has ended */
        end_waiting(w);
}

static bool can_run(struct vxl_proc *p, const struct vxl_thread *t)
{
    const struct vxl_waiting *w = &t->waiting;
    if (!w->is_waiting || w->is_woken || (w->has_end && has_passed(&w->end)))
        return true;
    if ((p->pending | t->directed) & ~w->blocked)
        return true;
    return w->count && poll(w->fds, w->count, 0) != 0;
}

/* Nobody can run: wait for the first descriptor, time or signal of all. */
static void wait_for_any(struct vxl_proc *p)
{
    unsigned count = 0, used = 0;
    struct timespec left = {0}, now;
    bool has_end = false;
    for (unsigned i = 0; i < p->thread_count; i++)
        count += p->threads[i]->waiting.count;
    struct pollfd *fds = malloc((count + 1) * sizeof *fds);
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (unsigned i = 0; i < p->thread_count; i++) {
        const struct vxl_waiting *w = &p->threads[i]->waiting;
        if (fds && w->count)
            memcpy(fds + used, w->fds, w->count * sizeof *fds);
        used += w->count;
        if (!w->has_end)
            continue;
        int64_t ns = (int64_t)(w->end.tv_sec - now.tv_sec) * 1000000000 + w->end.tv_nsec - now.tv_nsec;
        if (ns < 0)
            ns = 0;
        if (!has_end || ns < (int64_t)left.tv_sec * 1000000000 + left.tv_nsec)
            left = (struct timespec){ns / 1000000000, ns % 1000000000};
        has_end = true;
    }
    if (!fds) { /* no memory: look again soon */
        used = 0;
        has_end = true;
        left = (struct timespec){0, TICK_NS};
    }
    sigset_t old;
    vxl_hold_signals(p, &old);
    if (!vxl_is_interrupted(p))
        ppoll(fds, used, has_end ? &left : NULL, &old);
    vxl_release_signals(&old);
    free(fds);
}

void vxl_threads_switch(struct vxl_proc *p)
{
    p->wants_switch = false;
    atomic_store(&p->has_tick, false);
    if (!p->threads)
        return;
    struct vxl_waiting *own = vxl_thread_waiting(p);
    if (own->is_waiting && (own->eip != p->regs.eip || own->esp != p->regs.esp))
        end_waiting(own); /* a handler runs: the call is made again after it, if at all */
    save(p);
    for (;;) {
        for (unsigned i = 1; i <= p->thread_count; i++) {
            unsigned index = (p->running + i) % p->thread_count;
            if (can_run(p, p->threads[index])) {
                load(p, index);
                return;
            }
        }
        wait_for_any(p);
        if (p->has_ended) {
            load(p, p->running);
            return;
        }
    }
}

/* ---- futexes --------------------------------------------------------- */

/* Who waits longest at addr; NULL: nobody. */
static struct vxl_waiting *first_waiting(struct vxl_proc *p, vx_gaddr addr, uint32_t bitset)
{
    struct vxl_waiting *first = NULL;
    for (unsigned i = 0; i < p->thread_count; i++) {
        struct vxl_waiting *w = &p->threads[i]->waiting;
        if (w->is_waiting && w->is_futex && !w->is_woken && w->futex == addr && (w->bitset & bitset) &&
            (!first || w->order < first->order))
            first = w;
    }
    return first;
}

int32_t vxl_futex_wake(struct vxl_proc *p, vx_gaddr addr, uint32_t count, uint32_t bitset, vx_gaddr to, uint32_t moved)
{
    struct vxl_waiting *w;
    int32_t done = 0;
    for (; count && (w = first_waiting(p, addr, bitset)); count--, done++)
        w->is_woken = true;
    for (; moved && to != addr && (w = first_waiting(p, addr, bitset)); moved--, done++)
        w->futex = to;
    return done;
}

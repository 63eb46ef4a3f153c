/*
 * How guest threads end: one of them, all but one at an execve or in a forked child, and all of them with the process.
 */
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/shared.h"
#include "vxrt/linux/threads.h"
#include "vxrt/threads.h"

#define NUDGE_NS 20000000

/* ---- one thread ------------------------------------------------------ */

static void wake_one(struct vxl_proc *p, vx_gaddr addr)
{
    if (vxl_is_shared(p, addr, 0))
        vxl_shared_wake(p, addr, 1, FUTEX_BITSET_MATCH_ANY);
    vxl_futex_wake(p, addr, 1, FUTEX_BITSET_MATCH_ANY, 0, 0);
}

/* A thread died with a lock: say so in it, and wake who waits. */
static void release_lock(struct vxl_proc *p, pid_t tid, vx_gaddr lock)
{
    uint32_t value = 0, new;
    if (lock % 4 || !vxl_get(p, lock, &value, 4))
        return;
    do {
        if ((value & FUTEX_TID_MASK) != (uint32_t)tid)
            return;
        new = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        uint32_t old = value;
        if (!vxi_box_swap(p->box, lock, &value, new))
            return;
        if (old == value)
            break;
    } while (true);
    if (value & FUTEX_WAITERS)
        wake_one(p, lock);
}

/* struct robust_list_head: the list, the offset of the lock in an entry, the entry in work. Bit 0 of an entry: PI. */
static void release_locks(struct vxl_proc *p, pid_t tid, vx_gaddr list)
{
    enum { ROBUST_LIMIT = 2048 };
    uint32_t head[3], entry;
    if (!list || !vxl_get(p, list, head, sizeof head))
        return;
    entry = head[0];
    for (unsigned i = 0; i < ROBUST_LIMIT && (entry & ~1u) != list; i++) {
        uint32_t next;
        bool has_next = vxl_get(p, entry & ~1u, &next, 4);
        if ((entry & ~1u) != head[2])
            release_lock(p, tid, (entry & ~1u) + head[1]);
        if (!has_next)
            return;
        entry = next;
    }
    if (head[2])
        release_lock(p, tid, (head[2] & ~1u) + head[1]);
}

void vxl_thread_exit(struct vxl_proc *p)
{
    uint32_t zero = 0;
    release_locks(p, p->tid, p->robust_list);
    if (p->clear_child_tid && vxl_put(p, p->clear_child_tid, &zero, 4))
        wake_one(p, p->clear_child_tid);
    p->self->is_gone = true;
    p->has_replaced_regs = true;
}

void vxl_release_all_locks(struct vxl_proc *p)
{
    release_locks(p, p->tid ? p->tid : p->pid, p->robust_list);
    for (unsigned i = 0; p->threads && i < VXL_THREAD_LIMIT; i++) {
        struct vxl_thread *t = atomic_load(&p->slots[i]);
        if (t && t != p->self && atomic_load(&t->is_used))
            release_locks(p, t->tid, t->robust_list);
    }
}

/* ---- execve, fork, the end of the process ---------------------------- */

void vxl_threads_end_others(struct vxl_proc *p)
{
    struct vxl_thread *self = p->self, *t;
    if (!p->threads)
        return;
    p->is_ending_others = true;
    while (p->thread_count > 1) {
        for (unsigned i = 0; i < VXL_THREAD_LIMIT; i++)
            if ((t = atomic_load(&p->slots[i])) && t != self && atomic_load(&t->is_used)) {
                t->is_gone = true;
                vxl_thread_poke(t);
            }
        vxl_thread_leave(p);
        nanosleep(&(struct timespec){0, NUDGE_NS / 100}, NULL);
        vxl_thread_enter(p, self);
    }
    p->is_ending_others = false;
    p->thread_count = 0;
    p->threads = NULL;
    p->tid = 0;
    atomic_store(&self->is_used, false);
    vx_thread_free(self->vx);
    self->vx = NULL;
    p->is_handed_over = self != p->main;
    /* handlers of host signals, on the host thread of vxl_run, use the box no more */
    vxl_hostsig_leave_box(p);
}

void vxl_threads_forked(struct vxl_proc *p, bool is_child)
{
    struct vxl_thread *t;
    vxi_threads_forked(p->box, is_child);
    if (!is_child || !p->slots)
        return;
    for (unsigned i = 0; i < VXL_THREAD_LIMIT; i++)
        if ((t = atomic_load(&p->slots[i]))) {
            free(t->waiting.fds);
            vxl_thread_let_go(t);
            t->waiting = (struct vxl_waiting){0};
            t->has_host = false;
            atomic_store(&t->is_used, false);
        }
    if (p->threads && p->self != p->main)
        p->is_orphan = true;
    p->main = p->self;
    p->threads = NULL;
    p->thread_count = 0;
    p->tid = 0;
    if (p->is_orphan)
        pthread_sigmask(SIG_SETMASK, &p->host_mask, NULL);
}

bool vxl_threads_join(struct vxl_proc *p)
{
    struct vxl_thread *t;
    if (!p->threads)
        return false; /* nobody else */
    vxl_thread_finish(p, p->main); /* the holder, which is on its way out */
    while (!atomic_load(&p->is_over))
        syscall(SYS_futex, &p->is_over, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    for (unsigned i = 0; i < VXL_THREAD_LIMIT; i++)
        while ((t = atomic_load(&p->slots[i])) && t->has_host) {
            struct timespec end;
            clock_gettime(CLOCK_REALTIME, &end);
            end.tv_nsec += NUDGE_NS;
            end.tv_sec += end.tv_nsec / 1000000000;
            end.tv_nsec %= 1000000000;
            t->has_host = pthread_timedjoin_np(t->host, NULL, &end) != 0;
            if (t->has_host && atomic_load(&t->is_used))
                vxl_thread_wake(t);
        }
    atomic_store(&p->is_over, 0);
    p->self = p->main;
    bool goes_on = p->is_handed_over && !p->has_ended;
    p->is_handed_over = false;
    return goes_on;
}

void vxl_threads_free(struct vxl_proc *p)
{
    for (unsigned i = 0; p->slots && i < VXL_THREAD_LIMIT; i++)
        free(atomic_load(&p->slots[i]));
    free(p->slots);
}

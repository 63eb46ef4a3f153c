/*
 * Guest threads: made, run on host threads, ended; what of a thread's state struct vxl_proc has while it is the holder.
 *
 * The host thread that called vxl_run is one of them, and the last to leave: it returns how the process ended. Host
 * signals come to it alone, so that their handlers run on one thread.
 */
#include "vxrt/linux/threads.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"

#define TID_STEP (1 << 22) /* above all process ids */
#define HOST_STACK_BYTES (2u << 20)

/* ---- one holder at a time -------------------------------------------- */

static void save(struct vxl_proc *p)
{
    struct vxl_thread *t = p->self;
    t->regs = p->regs;
    memcpy(t->tls, p->tls, sizeof t->tls);
    t->clear_child_tid = p->clear_child_tid;
    t->robust_list = p->robust_list;
    memcpy(t->name, p->name, sizeof t->name);
    t->blocked = p->blocked;
    t->saved_mask = p->saved_mask;
    t->has_saved_mask = p->has_saved_mask;
    t->in_syscall = p->in_syscall;
    t->has_replaced_regs = p->has_replaced_regs;
    t->is_blocked = p->is_blocked;
    t->call_number = p->call_number;
    t->directed |= p->directed & p->pending;
    p->pending &= ~t->directed;
    t->altstack = p->altstack;
    t->last_trapno = p->last_trapno;
    t->last_err = p->last_err;
    t->last_cr2 = p->last_cr2;
}

static void load(struct vxl_proc *p, struct vxl_thread *t)
{
    p->self = t;
    p->tid = t->tid;
    p->regs = t->regs;
    memcpy(p->tls, t->tls, sizeof p->tls);
    p->clear_child_tid = t->clear_child_tid;
    p->robust_list = t->robust_list;
    memcpy(p->name, t->name, sizeof p->name);
    p->blocked = t->blocked;
    p->saved_mask = t->saved_mask;
    p->has_saved_mask = t->has_saved_mask;
    p->in_syscall = t->in_syscall;
    p->has_replaced_regs = t->has_replaced_regs;
    p->is_blocked = t->is_blocked;
    p->call_number = t->call_number;
    p->directed = t->directed;
    p->pending |= t->directed;
    t->directed = 0;
    p->altstack = t->altstack;
    p->last_trapno = t->last_trapno;
    p->last_err = t->last_err;
    p->last_cr2 = t->last_cr2;
}

void vxl_thread_load(struct vxl_proc *p, struct vxl_thread *t)
{
    if (p->self != t) {
        if (p->self)
            save(p);
        load(p, t);
    }
    /* sent by others meanwhile */
    p->directed |= t->directed;
    p->pending |= t->directed;
    t->directed = 0;
}

void vxl_thread_leave(struct vxl_proc *p)
{
    vx_thread_leave(p->self->vx);
}

void vxl_thread_enter(struct vxl_proc *p, struct vxl_thread *t)
{
    vx_thread_enter(t->vx);
    vxl_thread_load(p, t);
}

/* ---- the list -------------------------------------------------------- */

struct vxl_thread *vxl_thread_by_id(struct vxl_proc *p, pid_t tid)
{
    for (unsigned i = 0; p->threads && i < VXL_THREAD_LIMIT; i++) {
        struct vxl_thread *t = atomic_load(&p->slots[i]);
        if (t && t != p->self && atomic_load(&t->is_used) && t->tid == tid)
            return t;
    }
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

/* One that is not used; its last host thread has left. */
static struct vxl_thread *free_slot(struct vxl_proc *p)
{
    for (unsigned i = 0; i < VXL_THREAD_LIMIT; i++) {
        struct vxl_thread *t = atomic_load(&p->slots[i]);
        if (t && (atomic_load(&t->is_used) || t == p->main))
            continue;
        if (!t) {
            t = calloc(1, sizeof *t);
            if (t)
                t->proc = p;
            atomic_store(&p->slots[i], t);
        } else if (t->has_host) {
            pthread_join(t->host, NULL);
            t->has_host = false;
        }
        return t;
    }
    return NULL;
}

/* The list, with the one thread that there was. */
static bool make_list(struct vxl_proc *p)
{
    if (p->threads)
        return true;
    if (!p->slots)
        p->slots = calloc(VXL_THREAD_LIMIT, sizeof *p->slots);
    if (!p->slots)
        return false;
    if (!p->main)
        p->main = p->self = free_slot(p);
    struct vxl_thread *first = p->main;
    if (!first || vx_thread_new(p->box, &first->vx) != VX_OK)
        return false;
    p->tid = first->tid = p->pid;
    first->is_gone = false;
    first->waiting = (struct vxl_waiting){0};
    atomic_store(&first->is_used, true);
    p->thread_count = 1;
    p->self = first;
    p->offered = 0;
    vxl_hold_wakes();
    vx_thread_enter(first->vx);
    p->threads = p->slots;
    return true;
}

/* ---- host threads ---------------------------------------------------- */

static void wake_joiner(struct vxl_proc *p)
{
    atomic_store(&p->is_over, 1);
    syscall(SYS_futex, &p->is_over, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void vxl_thread_finish(struct vxl_proc *p, struct vxl_thread *t)
{
    free(t->waiting.fds);
    t->waiting = (struct vxl_waiting){0};
    save(p); /* what is pending for the process stays */
    p->self = NULL;
    p->thread_count--;
    struct vx_thread *vx = t->vx;
    bool is_last = p->thread_count == 0;
    t->vx = NULL;
    atomic_store(&t->is_used, false);
    if (is_last)
        p->threads = NULL;
    if (is_last || p->has_ended)
        wake_joiner(p);
    vx_thread_free(vx);
}

static void *run_thread(void *argument)
{
    struct vxl_thread *t = argument;
    struct vxl_proc *p = t->proc;
    vx_thread_enter(t->vx);
    vxl_thread_load(p, t);
    vxl_loop(p);
    if (p->is_orphan && t == p->main) { /* a child that this thread has forked: it does what vxl_run does */
        while (vxl_threads_join(p))
            vxl_loop(p);
        vxl_hostsig_end(p);
        p->outcome.is_child = true;
        if (p->config->on_child_end)
            p->config->on_child_end(p->config->on_child_end_context, p, &p->outcome);
        vxl_leave_child(&p->outcome);
    }
    if (p->is_handed_over) /* an execve: the new program runs where vxl_run was called */
        wake_joiner(p);
    else
        vxl_thread_finish(p, t);
    return NULL;
}

/* Signals from outside stay with the host thread of vxl_run. */
static bool start_host(struct vxl_thread *t)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    if (pthread_attr_init(&attributes))
        return false;
    pthread_attr_setstacksize(&attributes, HOST_STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    t->has_host = pthread_create(&t->host, &attributes, run_thread, t) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return t->has_host;
}

/* Its state, from the calling thread's; and its registers and TLS entries in the box. */
static int32_t fill_thread(struct vxl_proc *p, struct vxl_thread *t, const uint32_t *a)
{
    struct vxl_thread *parent = p->self;
    uint32_t bases[VXI_TLS_COUNT], *own = vxi_box_tls(p->box);
    save(p);
    t->regs = parent->regs;
    t->regs.eax = 0;
    if (a[1])
        t->regs.esp = a[1];
    memcpy(t->tls, parent->tls, sizeof t->tls);
    memcpy(t->name, parent->name, sizeof t->name);
    t->blocked = parent->blocked;
    t->has_saved_mask = t->in_syscall = t->has_replaced_regs = t->is_blocked = t->is_gone = false;
    t->directed = 0;
    t->robust_list = 0;
    t->last_trapno = t->last_err = t->last_cr2 = 0;
    t->altstack = (struct abi32_stack){.flags = SS_DISABLE};
    t->clear_child_tid = a[0] & CLONE_CHILD_CLEARTID ? a[4] : 0;
    t->waiting = (struct vxl_waiting){0};
    load(p, t);
    memcpy(bases, own, sizeof bases);
    int32_t status = a[0] & CLONE_SETTLS ? vxl_set_thread_area(p, &a[3]) : 0;
    if (status == 0 && vx_thread_new(p->box, &t->vx) != VX_OK) /* takes the entries that are set now */
        status = -EAGAIN;
    memcpy(own, bases, sizeof bases);
    save(p);
    load(p, parent);
    return status;
}

/* a: flags, stack, where the parent wants the id, descriptor, where the child wants it */
int32_t vxl_thread_new(struct vxl_proc *p, const uint32_t *a)
{
    pid_t tid;
    if (p->is_ending_others || p->has_ended)
        return -EAGAIN;
    if (!make_list(p))
        return -ENOMEM;
    struct vxl_thread *t = free_slot(p);
    if (!t || !(tid = free_tid(p)))
        return -EAGAIN;
    if ((a[0] & CLONE_PARENT_SETTID) && !vxl_put(p, a[2], &tid, 4))
        return -EFAULT;
    t->tid = tid;
    int32_t status = fill_thread(p, t, a);
    if (status < 0)
        return status;
    if (a[0] & CLONE_CHILD_SETTID)
        vxl_put(p, a[4], &tid, 4);
    atomic_store(&t->is_used, true);
    p->thread_count++;
    if (start_host(t))
        return tid;
    atomic_store(&t->is_used, false);
    p->thread_count--;
    vx_thread_free(t->vx);
    return -EAGAIN;
}

/*
 * The threads of a guest process. They take turns on the one host thread: the guest's one
 * processor. The state of the thread that runs is in struct vxl_proc; that of the
 * others is here.
 */
#ifndef VXRT_LINUX_THREADS_H
#define VXRT_LINUX_THREADS_H

#include "vxrt/linux/proc.h"

#define VXL_THREAD_LIMIT 256

/* What a thread waits for; the call is made again when it has come. */
struct vxl_waiting {
    bool is_waiting;
    bool is_futex, is_woken;
    vx_gaddr futex;
    uint32_t bitset;
    uint64_t order;       /* who waits longest is woken first */
    struct pollfd *fds;   /* owned */
    unsigned count;
    bool has_end;
    struct timespec end;  /* CLOCK_MONOTONIC */
    uint64_t blocked;     /* signals, while it waits */
    vx_gaddr eip, esp;    /* of the call */
};

struct vxl_thread {
    pid_t tid;
    struct vxl_waiting waiting;
    /* copies of what struct vxl_proc has for the running one */
    struct vx_regs regs;
    uint8_t fxsave[512];
    uint32_t tls_bases[VXI_TLS_COUNT];
    struct vxl_tls tls[VXI_TLS_COUNT];
    uint32_t clear_child_tid, robust_list;
    char name[16];
    uint64_t blocked, saved_mask;
    uint64_t directed;    /* pending for this thread alone */
    bool has_saved_mask;
    struct abi32_stack altstack;
    uint32_t last_trapno, last_err, last_cr2;
};

/* clone with CLONE_THREAD: the new thread's id or -errno. */
int32_t vxl_thread_new(struct vxl_proc *p, const uint32_t *a);
/* exit of one thread of several: another one runs from here on. */
void vxl_thread_exit(struct vxl_proc *p);
/* Only the running thread is left: after execve, in a forked child, at the end. */
void vxl_threads_forget(struct vxl_proc *p);
/* A thread by its id, not the running one; NULL: none. */
struct vxl_thread *vxl_thread_by_id(struct vxl_proc *p, pid_t tid);

/* vxl_wait where there are several threads: -EINTR also for "another one runs meanwhile" (p->wants_switch). */
int vxl_thread_wait(struct vxl_proc *p, struct pollfd *fds, unsigned count, const struct timespec *end);
/* What the running thread waits for. There are threads. */
struct vxl_waiting *vxl_thread_waiting(struct vxl_proc *p);
/* The call in progress is to be made again; or it has come to its end. */
void vxl_thread_block(struct vxl_proc *p);
void vxl_thread_goes_on(struct vxl_proc *p);
/* After a call or a tick: let the next one run that can; waits until one can. */
void vxl_threads_switch(struct vxl_proc *p);

/* Wake up to `count` that wait at addr; of those beyond, up to `moved` wait at `to` from now on. Returns how many woke or moved. */
int32_t vxl_futex_wake(struct vxl_proc *p, vx_gaddr addr, uint32_t count, uint32_t bitset, vx_gaddr to, uint32_t moved);

#endif

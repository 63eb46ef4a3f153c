/*
 * The threads of a guest process: each on a host thread, in parallel while guest code runs. System calls and
 * everything else of the personality belong to the holder of the box (vx_thread.h), whose
 * state is in struct vxl_proc; that of the others is here.
 */
#ifndef VXRT_LINUX_THREADS_H
#define VXRT_LINUX_THREADS_H

#include <pthread.h>

#include "vxrt/linux/proc.h"

#define VXL_THREAD_LIMIT VX_MAX_THREADS

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
    uint64_t awaited;     /* signals that it waits for */
    vx_gaddr eip, esp;    /* of the call */
    uint32_t messages;    /* of sendmmsg and recvmmsg: how many are done */
    uint64_t until_ns;    /* and when the last is to begin */
};

/* Never freed before the process ends: handlers of host signals go through all of them. */
struct vxl_thread {
    struct vxl_proc *proc;
    struct vx_thread *vx;
    pid_t tid;
    _Atomic bool is_used;
    bool is_gone;         /* it ends: its host thread leaves */
    pthread_t host;
    bool has_host;        /* a host thread that was made for it, to be joined */
    _Atomic uint32_t wake; /* something has come for it: it does not go on waiting */
    _Atomic int polling;  /* its host thread, while it waits for descriptors: a signal ends that */
    int held[2];          /* descriptors of the host, each + 1, that a call without the box has for itself; 0: none */
    struct vxl_waiting waiting;
    /* copies of what struct vxl_proc has for the holder */
    struct vx_regs regs;
    struct vxl_tls tls[VXI_TLS_COUNT];
    uint32_t clear_child_tid, robust_list;
    char name[16];
    uint64_t blocked, saved_mask;
    uint64_t directed;    /* pending for this thread alone */
    bool has_saved_mask, in_syscall, has_replaced_regs, is_blocked;
    uint32_t call_number;
    struct abi32_stack altstack;
    uint32_t last_trapno, last_err, last_cr2;
};

/* ---- threads.c ------------------------------------------------------- */

/* clone with CLONE_THREAD: the new thread's id or -errno. */
int32_t vxl_thread_new(struct vxl_proc *p, const uint32_t *a);
/* Its part of the process has ended. It is the holder, who leaves. */
void vxl_thread_finish(struct vxl_proc *p, struct vxl_thread *t);
/* A thread by its id, not the calling one; NULL: none. */
struct vxl_thread *vxl_thread_by_id(struct vxl_proc *p, pid_t tid);
/* Let others be the holder, and be it again. */
void vxl_thread_leave(struct vxl_proc *p);
void vxl_thread_enter(struct vxl_proc *p, struct vxl_thread *t);
/* The calling thread is the holder again after a run. */
void vxl_thread_load(struct vxl_proc *p, struct vxl_thread *t);

/* ---- thread_end.c ---------------------------------------------------- */

/* exit of one thread of several. */
void vxl_thread_exit(struct vxl_proc *p);
/* The process ends: other processes may wait for robust locks in shared memory. */
void vxl_release_all_locks(struct vxl_proc *p);
/* execve: end all others, and give up the box; the calling one is then the only thread. */
void vxl_threads_end_others(struct vxl_proc *p);
/* In a forked child only the calling thread is left. */
void vxl_threads_forked(struct vxl_proc *p, bool is_child);
/* The host thread that called vxl_run: wait until all others have left. True: it has to go on with the program. */
bool vxl_threads_join(struct vxl_proc *p);
void vxl_threads_free(struct vxl_proc *p);

/* ---- waits.c --------------------------------------------------------- */

/* Something has come for it, or for all. Async-signal-safe. */
void vxl_thread_wake(struct vxl_thread *t);
void vxl_threads_wake(struct vxl_proc *p);
/* Stop its guest code, and wake it. */
void vxl_thread_poke(struct vxl_thread *t);
/* The host signal that ends waiting for descriptors: kept out of the calling host thread but there. */
void vxl_hold_wakes(void);

/* vxl_wait where there are several threads: -EINTR also for "the call is to be made again" (p->is_blocked). */
int vxl_thread_wait(struct vxl_proc *p, struct pollfd *fds, unsigned count, const struct timespec *end);
/* Wait in the middle of a call; what it knew of descriptors may be wrong then. 0 or -EINTR. */
int vxl_thread_pause(struct vxl_proc *p, int host_fd, short events);
/*
 * A host call that may wait, with others running meanwhile: `call` gives its result or -errno, and uses nothing that others may change (guest
 * memory, descriptors by their number). -EINTR: perhaps for nothing.
 */
int64_t vxl_call_slowly(struct vxl_proc *p, int64_t (*call)(void *argument), void *argument);
/* For what cannot be waited for without keeping others from running: 0, look again; -EINTR. */
int vxl_wait_a_little(struct vxl_proc *p);
/* The signals that a thread that is not the holder blocks. */
uint64_t vxl_thread_blocked(const struct vxl_thread *t);
/* Duplicates of descriptors of the host's for a call without the box: its numbers may come to mean other files meanwhile. -errno. */
int vxl_thread_hold(struct vxl_thread *t, unsigned index, int host);
void vxl_thread_let_go(struct vxl_thread *t);
/* What the calling thread waits for. There are threads. */
struct vxl_waiting *vxl_thread_waiting(struct vxl_proc *p);
/* Is the call in progress the one that waited, made again? */
bool vxl_thread_is_again(struct vxl_proc *p);
/* The call in progress is to be made again; or it has come to its end. */
void vxl_thread_block(struct vxl_proc *p);
void vxl_thread_goes_on(struct vxl_proc *p);
/* Wait for what the blocked call waits for. */
void vxl_thread_sleep(struct vxl_proc *p);
/* Signals for the process that the calling thread, which has taken its own, leaves: others may take them. */
void vxl_threads_offer(struct vxl_proc *p);

/* Wake up to `count` that wait at addr; of those beyond, up to `moved` wait at `to` from now on. Returns how many woke or moved. */
int32_t vxl_futex_wake(struct vxl_proc *p, vx_gaddr addr, uint32_t count, uint32_t bitset, vx_gaddr to, uint32_t moved);

#endif

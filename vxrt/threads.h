/*
 * Threads of a box, as the runtime's files see them. The rules are in docs/security.md, "Threads".
 *
 * What struct vx_box says about one run (ctx, where it stopped, its timer) is that of the thread whose
 * state is loaded; the others' is kept in struct vx_thread.
 */
#ifndef VXRT_THREADS_H
#define VXRT_THREADS_H

#include "vxrt/internal.h"

/* What the signal handlers of a host thread work on. */
struct vxi_seat;

/* A thread's part of struct vx_box, while another's is there. */
struct vxi_kept {
    bool force_single, is_exact, is_stepping, has_met_rep;
    uint32_t pending, steps;
    uint64_t resume_host;
    vx_gaddr resume_eip;
    int32_t resume_delta;
    uint32_t tls[3];
    struct vxi_clock clocks[VXI_CLOCKS];
};

struct vx_thread {
    struct vxi_seat seat;
    uint8_t *area;          /* its own return stack, context and table; NULL: the box's */
    atomic_bool is_used;
    atomic_int runner;      /* host thread that runs it, 0 = none */
    struct vxi_kept kept;
    vx_gaddr retry_eip, retry_address;
    uint32_t retries;       /* of one access that the page map allows */
    struct vx_trap trap;    /* how it came out while it was brought to a boundary (VXI_EXIT_TRAPPED) */
    /* under the lock */
    bool is_in_guest;       /* runs translated code, or has come out and may still be between two boundaries */
    int host;               /* host thread that has entered it */
    struct vx_thread *next; /* who waits behind it */
    pthread_cond_t turn;
};

struct vxi_threads {
    pthread_mutex_t lock;
    pthread_cond_t safe;        /* the last one has reached a boundary */
    struct vx_thread *_Atomic holder; /* set under the lock */
    struct vx_thread *loaded;   /* whose state struct vx_box has */
    bool is_stopped;            /* until the holder lets go, no other thread is in translated code */
    struct vx_thread *first, *last; /* who waits to be the holder */
    uint32_t passes;            /* how often others came before the first */
    uint32_t count;
    _Atomic(struct vx_thread *) list[VX_MAX_THREADS]; /* never shorter; unused ones are used again */
};

/* turns.c. Become the holder; *reason: how the thread came out of translated code, or NULL. */
void vxi_turn_take(struct vx_box *box, struct vx_thread *thread, int *reason);
/* Let go; to run translated code if `into_guest`. */
void vxi_turn_give(struct vx_box *box, struct vx_thread *thread, bool into_guest);
/* Run the holder's translated code, in parallel with others. */
enum vxi_next vxi_turn_run(struct vx_box *box, struct vx_trap *trap);
/* Make a thread's state that of struct vx_box. Under the lock, or with no other thread around. */
void vxi_turn_load(struct vx_box *box, struct vx_thread *thread);

/* threads.c */
vx_status vxi_threads_run(struct vx_box *box, struct vx_trap *trap);
void vxi_threads_interrupt(struct vx_box *box);
void vxi_threads_destroy(struct vx_box *box);
/* Around fork(): the caller is the holder. In the child only its thread is left, and the box is as without threads. */
void vxi_threads_fork(struct vx_box *box);
void vxi_threads_forked(struct vx_box *box, bool is_child);

#endif

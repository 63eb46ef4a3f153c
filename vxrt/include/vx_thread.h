/*
 * Threads of a box: guest code that runs in parallel, on host threads, in one window.
 *
 * A thread has its own registers, x87 and SSE state and TLS entries; memory, mappings and code are the box's.
 * Translated code of several threads runs at the same time. Everything else of a box is for one at a time, its holder:
 * a host thread enters a guest thread, and then all functions of vxrt.h on the box mean that thread. vx_box_run
 * lets others enter while guest code runs, and returns as the holder again.
 *
 *     vx_thread_enter(t);
 *     while (vx_box_run(box, &trap) == VX_OK && answer(box, &trap))
 *         ;
 *     vx_thread_leave(t);
 *
 * A box that never makes a thread pays nothing. One with threads takes no part in calls (vx_call.h), snapshots and
 * resets: VX_ERR_BUSY, as is vx_box_free until the last thread was freed. A time limit counts for each thread apart.
 */
#ifndef VX_THREAD_H
#define VX_THREAD_H

#define VX_MAX_THREADS 256

struct vx_thread;

/*
 * The first thread of a box stands for the registers that it has; nobody has entered it, and the box must not be running.
 * Later ones begin with copies of the holder's registers, and the caller is the holder. VX_ERR_BUSY: it runs;
 * VX_ERR_UNSUPPORTED: it was started for calls; VX_ERR_TOO_LARGE: VX_MAX_THREADS; VX_ERR_MEMORY;
 * VX_ERR_ADDRESS_SPACE: each takes 32 GiB of address space.
 */
vx_status vx_thread_new(struct vx_box *box, struct vx_thread **thread);
/*
 * End it; nobody may use it any more. The caller is the holder: of this thread, and then it leaves, or of another one.
 * The last one may also be freed without having been entered; the box is then as without threads, with its registers.
 */
void vx_thread_free(struct vx_thread *thread);
/* Become the holder; waits for it. A host thread enters one thread of a box at a time. */
void vx_thread_enter(struct vx_thread *thread);
void vx_thread_leave(struct vx_thread *thread);
/* As vx_box_interrupt, which stops all, for one. Async-signal-safe. */
void vx_thread_interrupt(struct vx_thread *thread);

#endif

/*
 * What boxes hold: snapshots of it, and going back to them. Included by vxrt.h.
 *
 * A *snapshot* is the state of a box, made once a plug-in is ready. Any number of boxes are made from it, and share
 * its memory until they write; a box that was used goes back to it, and nothing of its use remains.
 *
 *     vx_box_start(first, NULL, &trap);
 *     vx_box_snapshot(first, &ready);
 *     vx_box_new_from(ready, NULL, &box, &error);    // for each thread, or each task
 *     ... vx_box_call(box, ...);
 *     vx_box_reset(box);                             // for the next one
 *
 * A *buffer* is memory of the host that boxes can use in place.
 */
#ifndef VX_MEMORY_H
#define VX_MEMORY_H

/* ---- snapshots ------------------------------------------------------- */

/* Immutable; may be used from all threads at once. Keeps its image alive, and is kept alive by its boxes. */
struct vx_snapshot;

/*
 * Make a snapshot of a box that does not run: its memory, page map, registers, x87 and SSE state, and what
 * vx_box_start prepared. Not in it: calls that stopped or are suspended, streams, the user pointer, limits, statistics,
 * requests to stop, code translated at run time. On success *snapshot is owned by the caller (vx_snapshot_close), and
 * is also what a reset of this box goes back to. Takes time proportional to the memory that the box has written.
 * VX_ERR_BUSY: it runs. VX_ERR_MEMORY. VX_ERR_IO: a page of a mapped file has no bytes.
 */
vx_status vx_box_snapshot(struct vx_box *box, struct vx_snapshot **snapshot);
void vx_snapshot_retain(struct vx_snapshot *snapshot);
void vx_snapshot_close(struct vx_snapshot *snapshot);

/* Make a box in the state of the snapshot. As vx_box_new; VX_ERR_TOO_LARGE: max_memory is less than it has mapped. */
vx_status vx_box_new_from(struct vx_snapshot *snapshot, const struct vx_box_options *options, struct vx_box **box,
                          struct vx_error *error);

/*
 * Bring a box that does not run back: to the snapshot that was made of it, or from which it was made; else to the
 * state in which vx_box_new gave it. Nothing that the guest could see of its use since remains: memory, protections,
 * registers, heap, streams (all are taken back), calls that stopped. Takes time proportional to the pages written since.
 * Stays: the user pointer, max_memory, statistics; code translated from bytes that cannot have
 * changed. A limit of time set before holds again in full. Requests to stop that were not served are forgotten. Pointers
 * from vx_box_pointer are not valid any more.
 * VX_ERR_BUSY: it runs. VX_ERR_MEMORY: the box cannot be used but for another reset, or vx_box_free.
 */
vx_status vx_box_reset(struct vx_box *box);

/* ---- buffers --------------------------------------------------------- */

/*
 * Memory that the host sees at one address, and that any number of boxes may have in their windows, for reading or for
 * reading and writing, without a copy. Thread-safe. What runs at the same time sees each other's writes as
 * threads see those of other threads; who may write when is for the embedder to arrange, and a guest
 * that may write can do so whenever it runs: read what it wrote once, then check the copy.
 */
struct vx_buffer;

/*
 * Make a buffer of `size` > 0 zero bytes, rounded up to whole pages. On success *buffer is owned by the caller.
 * VX_ERR_ARGUMENT, VX_ERR_MEMORY; VX_ERR_IO: /proc is not mounted.
 */
vx_status vx_buffer_new(uint64_t size, struct vx_buffer **buffer);
/* Ends the host's view of it. Boxes keep what they have of it until it is unmapped there, they are reset, or freed. NULL: nothing. */
void vx_buffer_close(struct vx_buffer *buffer);
/* The host's view, aligned to a page; valid until vx_buffer_close. */
void *vx_buffer_data(const struct vx_buffer *buffer);
uint64_t vx_buffer_size(const struct vx_buffer *buffer);
/*
 * Map [offset, offset + size) of the buffer at addr, all multiples of the page size. prot: VX_PROT_READ, or VX_PROT_READ |
 * VX_PROT_WRITE. Replaces what was there, and counts as memory of the box. The guest may unmap or protect the pages, but never gets
 * more access than prot, and never that to execute: vx_box_protect says VX_ERR_RANGE then.
 * Buffers are no part of snapshots, and a reset takes them back, as it does streams; what was written to them stays.
 * In a child after fork(2) they are still those of the parent.
 * VX_ERR_ARGUMENT; VX_ERR_RANGE: past the end of the buffer or the window, or not aligned; VX_ERR_TOO_LARGE (max_memory);
 * VX_ERR_MEMORY.
 */
vx_status vx_box_share(struct vx_box *box, const struct vx_buffer *buffer, uint64_t offset, vx_gaddr addr, uint32_t size,
                       int prot);

#endif

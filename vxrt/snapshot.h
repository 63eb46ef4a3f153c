/*
 * A snapshot: the state of a box, from which others are made and to which boxes go back.
 *
 * Guest memory is a list of pieces, each of which the host maps in one go: pages of the image's memory file, of
 * a store, or zeros. All is mapped privately, so that boxes share what they do not write. Immutable once made.
 */
#ifndef VXRT_SNAPSHOT_H
#define VXRT_SNAPSHOT_H

#include "vxrt/internal.h"

/* A sealed memory file with pages that boxes had written. Counted: snapshots of snapshots share it. */
struct vxi_store {
    atomic_uint references;
    int fd;
};

struct vxi_piece {
    uint32_t first, count; /* pages */
    int prot;              /* of the host, PROT_* */
    int fd;                /* the image's or the store's, -1: zeros */
    uint64_t offset;       /* of the first page in it, bytes */
    struct vxi_store *store; /* counted; NULL: none */
    const uint8_t *bytes;  /* in the page map, one for each page */
};

struct vxi_page_span {
    uint32_t first, last;
};

struct vx_snapshot {
    atomic_uint references;
    struct vx_image *image;     /* may be NULL; counted, unless is_initial */
    bool is_initial;            /* belongs to the image */
    struct vxi_piece *pieces;   /* in the order of addresses */
    size_t piece_count;
    uint8_t *bytes;
    struct vxi_page_span *writable; /* all pages that a box can write without a change of its page map */
    size_t writable_count;
    struct vxi_zones *zones;    /* each zone counted; NULL: none */
    uint64_t mapped_pages;
    uint64_t exec_blocks[VXI_EXEC_WORDS];
    uint32_t cpu;               /* VX_CPU_* */
    /* Registers. */
    struct vx_regs regs;
    uint32_t kept_flags, fs_base, gs_base;
    uint32_t tls[3];
    bool is_x87_idle;
    uint8_t fx[512], ymm[128];
    /* Calls and system calls. */
    vx_gaddr call_base, stack_low;
    uint32_t max_level;
    bool is_system_active;
    vx_gaddr heap, heap_end;
};

/* The piece with a page, NULL if it is not mapped there. */
const struct vxi_piece *vxi_piece_at(const struct vx_snapshot *snapshot, uint32_t page);

/* capture.c: the state of a box that does not run, in a snapshot with one reference. */
vx_status vxi_capture(struct vx_box *box, struct vx_snapshot **out);

/* reset.c */
/* box->base, made if it is not there. */
vx_status vxi_base(struct vx_box *box);
/* Map pages [first, last] as in the snapshot, and take its page map for them. is_fresh: nothing is mapped there. */
vx_status vxi_restore_pages(struct vx_box *box, const struct vx_snapshot *snapshot, uint32_t first, uint32_t last,
                            bool is_fresh);

#endif

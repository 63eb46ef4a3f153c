/*
 * Making a snapshot: which pages of a box differ from what they were mapped from, and a store
 * with those.
 *
 * The kernel's page map (/proc/self/pagemap) says which pages exist at all; where it cannot be read every mapped
 * page is looked at. What it says is only a hint what to leave out: a page is kept by comparing bytes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vxrt/snapshot.h"

#define PROT_BITS (VX_PROT_READ | VX_PROT_WRITE | VX_PROT_EXEC)
#define MARKS (VXI_PAGE_CODE | VXI_PAGE_HOT) /* of dynamic code, which is no part of a snapshot */
/* Pages between two written ones are stored as well, if there are so few: each mapping costs more. */
#define MERGE_PAGES 16u
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_OF_FILE (1ull << 61)
#define BLOCK 512u /* pages looked at together */

/* Where a page of the snapshot comes from. */
enum { UNMAPPED, SAME, ZERO, STORED };

struct capture {
    struct vx_box *box;
    struct vx_snapshot *snapshot;
    int pagemap;          /* -1: cannot be read */
    uint8_t *from;        /* for each page, as above */
    bool is_used[VXI_PAGE_COUNT / BLOCK]; /* something is mapped in the block of pages */
    struct vxi_store *store;
    uint64_t stored;      /* pages */
};

static bool read_page(struct vx_box *box, uint32_t page, uint8_t bytes[VX_PAGE_BYTES])
{
    uint8_t *at = box->window + (uint64_t)page * VX_PAGE_BYTES;
    bool is_hidden = !(box->pages[page] & PROT_BITS);
    if (is_hidden && mprotect(at, VX_PAGE_BYTES, PROT_READ) != 0)
        return false;
    const uint8_t *before = vxi_copy_window;
    vxi_copy_window = box->window;
    size_t left = vxi_copy(bytes, at, VX_PAGE_BYTES);
    vxi_copy_window = before;
    if (is_hidden && mprotect(at, VX_PAGE_BYTES, PROT_NONE) != 0)
        return false;
    return left == 0;
}

static bool is_zero(const uint8_t *bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, VX_PAGE_BYTES - 1) == 0;
}

static vx_status look(struct capture *c, uint32_t page, const struct vxi_piece *piece)
{
    uint8_t bytes[VX_PAGE_BYTES], before[VX_PAGE_BYTES];
    if (!read_page(c->box, page, bytes))
        return VX_ERR_IO;
    bool has_file = piece && piece->fd >= 0;
    if (has_file) {
        uint64_t offset = piece->offset + (uint64_t)(page - piece->first) * VX_PAGE_BYTES;
        ssize_t n = pread(piece->fd, before, sizeof before, (off_t)offset);
        if (n < 0)
            return VX_ERR_IO;
        memset(before + n, 0, sizeof before - (size_t)n);
    }
    c->from[page] = has_file && memcmp(bytes, before, sizeof bytes) == 0 ? SAME : is_zero(bytes) ? ZERO : STORED;
    return VX_OK;
}

/*
 * A page that the kernel says was never written is what it was mapped from. Where the mapping is another one than
 * the base's, or was, the bytes say whether they are still those of the base.
 */
static vx_status classify(struct capture *c, uint32_t page, uint64_t entry)
{
    const struct vx_box *box = c->box;
    const struct vxi_piece *piece = vxi_piece_at(box->base, page);
    bool has_file = piece && piece->fd >= 0, is_changed = vxi_is_changed(box, page);
    bool is_written = entry & PAGEMAP_SWAPPED || (entry & PAGEMAP_PRESENT && !(entry & PAGEMAP_OF_FILE));
    if (is_written || (is_changed && (has_file || box->has_files)))
        return look(c, page, piece);
    c->from[page] = has_file && !is_changed ? SAME : ZERO;
    return VX_OK;
}

static vx_status classify_all(struct capture *c)
{
    uint64_t entries[BLOCK];
    vx_status status = VX_OK;
    for (uint32_t first = 0; status == VX_OK && first < VXI_PAGE_COUNT; first += BLOCK) {
        uint8_t seen = 0;
        for (uint32_t i = 0; i < BLOCK; i++)
            seen |= c->box->pages[first + i];
        if (!(seen & VXI_PAGE_MAPPED))
            continue;
        c->is_used[first / BLOCK] = true;
        uint64_t at = ((uint64_t)c->box->window / VX_PAGE_BYTES + first) * sizeof entries[0];
        if (c->pagemap < 0 || pread(c->pagemap, entries, sizeof entries, (off_t)at) != (ssize_t)sizeof entries)
            memset(entries, 0xdf, sizeof entries); /* present, not of a file */
        for (uint32_t i = 0; status == VX_OK && i < BLOCK; i++)
            if ((c->box->pages[first + i] & (VXI_PAGE_MAPPED | VXI_PAGE_SHARED)) == VXI_PAGE_MAPPED)
                status = classify(c, first + i, entries[i]);
    }
    return status;
}

static uint8_t plain(const struct vx_box *box, uint32_t page)
{
    return box->pages[page] & (uint8_t)~MARKS;
}

/* This page, or the first of the next block in use. */
static uint32_t first_used(const struct capture *c, uint32_t page)
{
    while (page < VXI_PAGE_COUNT && !c->is_used[page / BLOCK])
        page = (page / BLOCK + 1) * BLOCK;
    return page;
}

/* Stored pages near each other, and equal to the host, get all between them stored. */
static void fill_gaps(struct capture *c)
{
    uint32_t last = 0; /* the stored page before, while what lies between could be one piece */
    for (uint32_t page = first_used(c, 1); page < VXI_PAGE_COUNT; page = first_used(c, page + 1)) {
        if (last && page % BLOCK == 0 && !c->is_used[page / BLOCK - 1])
            last = 0;
        if (c->from[page] == UNMAPPED || (last && vxi_host_prot(plain(c->box, page)) != vxi_host_prot(plain(c->box, last))))
            last = 0;
        if (c->from[page] != STORED)
            continue;
        if (last && page - last <= MERGE_PAGES)
            memset(c->from + last, STORED, page - last);
        last = page;
    }
}

static vx_status make_store(struct capture *c)
{
    c->store = calloc(1, sizeof *c->store);
    if (!c->store)
        return VX_ERR_MEMORY;
    c->store->references = 1;
    c->store->fd = memfd_create("vx-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return c->store->fd < 0 ? VX_ERR_MEMORY : VX_OK;
}

static vx_status store_page(struct capture *c, uint32_t page)
{
    uint8_t bytes[VX_PAGE_BYTES];
    vx_status status = c->store ? VX_OK : make_store(c);
    if (status != VX_OK)
        return status;
    if (!read_page(c->box, page, bytes))
        return VX_ERR_IO;
    if (pwrite(c->store->fd, bytes, sizeof bytes, (off_t)(c->stored * VX_PAGE_BYTES)) != (ssize_t)sizeof bytes)
        return VX_ERR_MEMORY;
    c->stored++;
    return VX_OK;
}

/* Does a page go on what the piece before it began? */
static bool is_next(const struct vxi_piece *piece, uint32_t page, const struct vxi_piece *now)
{
    return piece->first + piece->count == page && piece->prot == now->prot && piece->fd == now->fd &&
           (piece->fd < 0 || piece->offset + (uint64_t)piece->count * VX_PAGE_BYTES == now->offset);
}

static vx_status add_piece(struct vx_snapshot *s, const struct vxi_piece *now)
{
    if (!(s->piece_count & (s->piece_count - 1))) {
        size_t capacity = s->piece_count ? 2 * s->piece_count : 1;
        struct vxi_piece *pieces = realloc(s->pieces, capacity * sizeof *pieces);
        if (!pieces)
            return VX_ERR_MEMORY;
        s->pieces = pieces;
    }
    if (now->store)
        atomic_fetch_add(&now->store->references, 1);
    s->pieces[s->piece_count++] = *now;
    return VX_OK;
}

static vx_status place(struct capture *c, uint32_t page, uint64_t index)
{
    struct vx_snapshot *s = c->snapshot;
    const struct vx_box *box = c->box;
    struct vxi_piece now = { .first = page, .count = 1, .prot = vxi_host_prot(plain(box, page)), .fd = -1 };
    vx_status status = VX_OK;
    s->bytes[index] = plain(box, page);
    now.bytes = s->bytes + index;
    if (c->from[page] == SAME) {
        const struct vxi_piece *piece = vxi_piece_at(box->base, page);
        now.fd = piece->fd;
        now.store = piece->store;
        now.offset = piece->offset + (uint64_t)(page - piece->first) * VX_PAGE_BYTES;
    } else if (c->from[page] == STORED) {
        now.offset = c->stored * VX_PAGE_BYTES;
        status = store_page(c, page);
        now.fd = c->store ? c->store->fd : -1;
        now.store = c->store;
    }
    if (status != VX_OK)
        return status;
    if (s->piece_count && is_next(&s->pieces[s->piece_count - 1], page, &now)) {
        s->pieces[s->piece_count - 1].count++;
        return VX_OK;
    }
    return add_piece(s, &now);
}

static vx_status place_all(struct capture *c)
{
    uint64_t index = 0;
    vx_status status = VX_OK;
    c->snapshot->bytes = malloc(c->box->mapped_pages + 1);
    if (!c->snapshot->bytes)
        return VX_ERR_MEMORY;
    for (uint32_t page = first_used(c, 1); status == VX_OK && page < VXI_PAGE_COUNT; page = first_used(c, page + 1))
        if (c->from[page] != UNMAPPED)
            status = place(c, page, index++);
    c->snapshot->mapped_pages = index;
    if (status == VX_OK && c->store &&
        fcntl(c->store->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        status = VX_ERR_MEMORY;
    return status;
}

/* Spans of writable pieces with nothing mapped between them are one. */
static vx_status find_writable(struct vx_snapshot *s)
{
    bool is_open = false;
    s->writable = calloc(s->piece_count + 1, sizeof *s->writable);
    if (!s->writable)
        return VX_ERR_MEMORY;
    for (size_t i = 0; i < s->piece_count; i++) {
        const struct vxi_piece *piece = &s->pieces[i];
        bool is_writable = piece->prot & PROT_WRITE;
        if (is_writable && !is_open)
            s->writable[s->writable_count++].first = piece->first;
        if (is_writable)
            s->writable[s->writable_count - 1].last = piece->first + piece->count - 1;
        is_open = is_writable;
    }
    return VX_OK;
}

static vx_status keep_zones(struct vx_snapshot *s, const struct vxi_zones *zones)
{
    if (!zones)
        return VX_OK;
    size_t size = sizeof *zones + zones->count * sizeof *zones->ranges;
    s->zones = malloc(size);
    if (!s->zones)
        return VX_ERR_MEMORY;
    memcpy(s->zones, zones, size);
    for (size_t i = 0; i < zones->count; i++)
        vxi_zone_retain(zones->ranges[i].zone);
    return VX_OK;
}

static void keep_state(struct vx_snapshot *s, const struct vx_box *box)
{
    const struct vxi_context *ctx = box->ctx;
    memcpy(s->exec_blocks, box->exec_blocks, sizeof s->exec_blocks);
    s->cpu = box->cpu;
    s->regs = ctx->regs;
    s->kept_flags = ctx->kept_flags;
    s->fs_base = ctx->fs_base;
    s->gs_base = ctx->gs_base;
    memcpy(s->tls, box->tls, sizeof s->tls);
    s->is_x87_idle = ctx->is_x87_idle;
    memcpy(s->fx, ctx->fx, sizeof s->fx);
    memcpy(s->ymm, ctx->ymm, sizeof s->ymm);
    s->call_base = box->calls.base;
    /* Stopped calls are left out: the stack is as before the oldest of them. */
    for (const struct vxi_stopped *stopped = box->calls.stopped; stopped; stopped = stopped->next)
        s->call_base = stopped->base;
    s->stack_low = box->calls.stack_low;
    s->max_level = box->calls.max_level;
    s->is_system_active = box->system.is_active;
    s->heap = box->system.heap;
    s->heap_end = box->system.heap_end;
}

static void release_store(struct vxi_store *store)
{
    if (!store || atomic_fetch_sub(&store->references, 1) != 1)
        return;
    if (store->fd >= 0)
        close(store->fd);
    free(store);
}

static vx_status capture(struct capture *c)
{
    vx_status status = classify_all(c);
    if (status != VX_OK)
        return status;
    fill_gaps(c);
    status = place_all(c);
    if (status == VX_OK)
        status = find_writable(c->snapshot);
    if (status == VX_OK)
        status = keep_zones(c->snapshot, c->box->zones);
    if (status == VX_OK)
        keep_state(c->snapshot, c->box);
    return status;
}

vx_status vxi_capture(struct vx_box *box, struct vx_snapshot **out)
{
    struct capture c = { .box = box, .snapshot = calloc(1, sizeof *c.snapshot), .from = calloc(VXI_PAGE_COUNT, 1) };
    c.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    vx_status status = VX_ERR_MEMORY;
    if (c.snapshot && c.from) {
        c.snapshot->references = 1;
        if (box->image)
            vxi_image_retain(box->image);
        c.snapshot->image = box->image;
        status = capture(&c);
    }
    if (c.pagemap >= 0)
        close(c.pagemap);
    free(c.from);
    release_store(c.store);
    if (status == VX_OK)
        *out = c.snapshot;
    else
        vx_snapshot_close(c.snapshot);
    return status;
}

void vx_snapshot_close(struct vx_snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) != 1)
        return;
    for (size_t i = 0; i < s->piece_count; i++)
        release_store(s->pieces[i].store);
    for (size_t i = 0; s->zones && i < s->zones->count; i++)
        vxi_zone_close(s->zones->ranges[i].zone);
    if (!s->is_initial)
        vx_image_close(s->image);
    free(s->pieces);
    free(s->bytes);
    free(s->writable);
    free(s->zones);
    free(s);
}

/*
 * Boxes from snapshots, and back to them.
 *
 * What a guest wrote through mappings that are still those of the snapshot the kernel takes back (MADV_DONTNEED:
 * private copies go, the page is the file's or zero again). Pages whose mapping, protection or marks were changed are
 * mapped anew. Everything else of a box is copied from the snapshot, or empty as in a new box.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vxrt/snapshot.h"

/* The first piece that ends behind a page. */
static size_t piece_from(const struct vx_snapshot *snapshot, uint32_t page)
{
    size_t low = 0, high = snapshot->piece_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->pieces[middle].first + snapshot->pieces[middle].count <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct vxi_piece *vxi_piece_at(const struct vx_snapshot *snapshot, uint32_t page)
{
    size_t i = piece_from(snapshot, page);
    return i < snapshot->piece_count && snapshot->pieces[i].first <= page ? &snapshot->pieces[i] : NULL;
}

/* Nothing is in the snapshot at [first, end). */
static bool clear_hole(struct vx_box *box, uint32_t first, uint32_t end, bool is_fresh)
{
    if (first >= end || is_fresh)
        return true;
    memset(box->pages + first, 0, end - first);
    return vxi_map_window(box, first, end - first, PROT_NONE, -1, 0, false);
}

vx_status vxi_restore_pages(struct vx_box *box, const struct vx_snapshot *snapshot, uint32_t first, uint32_t last,
                            bool is_fresh)
{
    bool is_good = true;
    uint32_t at = first;
    for (size_t i = piece_from(snapshot, first); i < snapshot->piece_count; i++) {
        const struct vxi_piece *piece = &snapshot->pieces[i];
        if (piece->first > last)
            break;
        uint32_t from = piece->first > first ? piece->first : first, end = piece->first + piece->count;
        if (end > last + 1)
            end = last + 1;
        uint32_t skip = from - piece->first;
        is_good &= clear_hole(box, at, from, is_fresh);
        if (!is_fresh || piece->fd >= 0 || piece->prot != PROT_NONE) /* else it is so already */
            is_good &= vxi_map_window(box, from, end - from, piece->prot, piece->fd,
                                 piece->offset + (uint64_t)skip * VX_PAGE_BYTES, false);
        memcpy(box->pages + from, piece->bytes + skip, end - from);
        at = end;
    }
    is_good &= clear_hole(box, at, last + 1, is_fresh);
    if (box->has_rewrites)
        memset(box->rewrites + first, 0, last - first + 1);
    return is_good ? VX_OK : VX_ERR_MEMORY;
}

static void restore_registers(struct vx_box *box, const struct vx_snapshot *s)
{
    struct vxi_context *ctx = box->ctx;
    ctx->regs = s->regs;
    ctx->kept_flags = s->kept_flags;
    ctx->fs_base = s->fs_base;
    ctx->gs_base = s->gs_base;
    memcpy(box->tls, s->tls, sizeof s->tls);
    memcpy(ctx->fx, s->fx, sizeof s->fx);
    memcpy(ctx->ymm, s->ymm, sizeof s->ymm);
    ctx->is_x87_idle = s->is_x87_idle;
    ctx->r14 = ctx->r8 = ctx->r9 = ctx->r10 = 0;
    ctx->r11 = ctx->rcx = ctx->rsi = ctx->rdi = ctx->entry = ctx->flags = 0;
    ctx->is_wide = ctx->is_float = 0;
    ctx->stepping = VXI_STEP_NONE;
    ctx->signal = (struct vxi_signal){ 0 };
    memset(ctx->result, 0, sizeof ctx->result);
    atomic_store(&ctx->interrupt, 0);
    box->pending = 0;
    box->steps = 0;
    box->is_exact = box->is_stepping = box->has_met_rep = box->force_single = false;
    box->hot_left = 0;
    box->read_faults = 0;
    box->resume_host = 0;
    box->resume_eip = 0;
    box->resume_delta = 0;
}

static void restore_state(struct vx_box *box, const struct vx_snapshot *s)
{
    restore_registers(box, s);
    box->mapped_pages = s->mapped_pages;
    for (unsigned i = 0; i < VXI_EXEC_WORDS; i++) /* also what was executable since: units of it may be left */
        box->exec_blocks[i] |= s->exec_blocks[i];
    box->calls.base = s->call_base;
    box->calls.stack_low = s->stack_low;
    box->calls.max_level = s->max_level;
    box->calls.has_failed = box->calls.is_passed_on = false;
    box->calls.host_regs = (struct vx_regs){ 0 };
    box->calls.trap = (struct vx_trap){ 0 };
    vxi_streams_take_back(box);
    box->system.is_active = s->is_system_active;
    box->system.has_no_memory = false;
    box->system.heap = s->heap;
    box->system.heap_end = s->heap_end;
    box->refused_status = VX_OK;
    box->refused_rule = 0;
}

/* The return stack's slots above its top page are touched by deep recursion only. */
static void wipe_return_stack(struct vx_box *box)
{
    uint8_t *top = box->area + VXI_RETURN_STACK_BYTES - VX_PAGE_BYTES;
    memset(top, 0, VX_PAGE_BYTES);
    if (madvise(box->area, VXI_RETURN_STACK_BYTES - VX_PAGE_BYTES, MADV_DONTNEED) != 0)
        memset(box->area, 0, VXI_RETURN_STACK_BYTES - VX_PAGE_BYTES);
    vxi_reset_return_stack(box);
}

/* A list of zones that is not the snapshot's: its pages, and all that leads to code, are made anew. */
static vx_status restore_zones(struct vx_box *box, const struct vx_snapshot *s)
{
    vxi_units_flush(box);
    for (size_t i = 0; s->zones && i < s->zones->count; i++)
        vxi_changed(box, s->zones->ranges[i].first, s->zones->ranges[i].last);
    vx_status status = vxi_zones_set(box, s->zones);
    vxi_clear_table(box);
    return status;
}

static bool discard(struct vx_box *box, uint32_t first, uint32_t last)
{
    return madvise(box->window + (uint64_t)first * VX_PAGE_BYTES, (uint64_t)(last - first + 1) * VX_PAGE_BYTES,
                   MADV_DONTNEED) == 0;
}

static vx_status restore(struct vx_box *box, const struct vx_snapshot *s)
{
    vx_status status = VX_OK;
    bool was_started = box->calls.base != 0;
    box->is_spoiled = true; /* until all is done */
    vxi_stopped_drop(box, 0, true);
    vxi_units_drop_changed(box);
    restore_state(box, s);
    wipe_return_stack(box);
    if (box->changes.has_zones)
        status = restore_zones(box, s);
    else if (was_started != (s->call_base != 0))
        vxi_clear_table(box); /* the gate comes or goes */
    for (size_t i = 0; status == VX_OK && i < s->writable_count; i++)
        if (!discard(box, s->writable[i].first, s->writable[i].last)) /* memory that the host has locked */
            status = vxi_restore_pages(box, s, s->writable[i].first, s->writable[i].last, false);
    if (box->changes.count)
        vxi_spans_changed(box);
    for (uint32_t i = 0; status == VX_OK && i < box->changes.count; i++)
        status = vxi_restore_pages(box, s, box->changes.ranges[i].first, box->changes.ranges[i].last, false);
    if (status != VX_OK)
        return status;
    box->changes = (struct vxi_changes){ 0 };
    box->has_files = box->has_rewrites = box->is_spoiled = false;
    for (int i = 0; i < VXI_CLOCKS; i++)
        box->clocks[i].left_ns = box->limits_ns[i];
    return VX_OK;
}

/* What a new box of the image (or of none) maps, before anything ran. */
static struct vx_snapshot *first_pieces(const struct vx_image *image)
{
    struct vx_snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->references = 1;
    s->pieces = calloc(image ? image->run_count + 1 : 1, sizeof *s->pieces);
    for (size_t i = 0; image && s->pieces && i < image->run_count; i++) {
        const struct vxi_run *run = &image->runs[i];
        s->pieces[s->piece_count++] = (struct vxi_piece){
            .first = (run->addr + image->bias) / VX_PAGE_BYTES, .count = run->size / VX_PAGE_BYTES,
            .fd = run->backing == VXI_ZERO ? -1 : image->memory_file, .offset = run->offset };
    }
    if (s->pieces)
        return s;
    vx_snapshot_close(s);
    return NULL;
}

static vx_status make_initial(struct vx_image *image, struct vx_snapshot **out)
{
    struct vx_box *box;
    struct vx_error error;
    vx_status status = vx_box_new(image, NULL, &box, &error);
    if (status != VX_OK)
        return status;
    box->base = first_pieces(image);
    status = box->base ? vxi_capture(box, out) : VX_ERR_MEMORY;
    if (status == VX_OK && image) {
        (*out)->is_initial = true; /* the image's own, which may not keep the image alive */
        vx_image_close(image);
    }
    vx_box_free(box);
    return status;
}

vx_status vxi_base(struct vx_box *box)
{
    struct vx_image *image = box->image;
    struct vx_snapshot *initial = image ? atomic_load(&image->initial) : NULL, *none = NULL;
    if (box->base)
        return VX_OK;
    if (!initial) {
        vx_status status = make_initial(image, &initial);
        if (status != VX_OK)
            return status;
        /* Somebody else may have been faster. */
        if (image && !atomic_compare_exchange_strong(&image->initial, &none, initial)) {
            vx_snapshot_close(initial);
            initial = none;
        }
    }
    if (image)
        atomic_fetch_add(&initial->references, 1);
    box->base = initial;
    return VX_OK;
}

vx_status vx_box_reset(struct vx_box *box)
{
    if (!box)
        return VX_ERR_ARGUMENT;
    if (atomic_exchange(&box->is_running, true))
        return VX_ERR_BUSY;
    vx_status status = vxi_base(box);
    if (status == VX_OK)
        status = restore(box, box->base);
    atomic_store_explicit(&box->is_running, false, memory_order_release);
    return status;
}

/* From now on the box maps what its snapshot has, and goes back to it. */
static vx_status rebase(struct vx_box *box, struct vx_snapshot *snapshot)
{
    vx_status status = VX_OK;
    for (size_t i = 0; status == VX_OK && i < snapshot->piece_count; i++) {
        const struct vxi_piece *piece = &snapshot->pieces[i];
        if (!vxi_map_window(box, piece->first, piece->count, piece->prot, piece->fd, piece->offset, false))
            status = VX_ERR_MEMORY;
    }
    if (status != VX_OK) {
        /* The bytes are the same everywhere, but none of the mappings is as it was. */
        vxi_changed(box, 1, VXI_PAGE_COUNT - 1);
        box->has_files = true;
        return status;
    }
    atomic_fetch_add(&snapshot->references, 1);
    vx_snapshot_close(box->base);
    box->base = snapshot;
    box->changes = (struct vxi_changes){ 0 };
    box->has_files = false;
    /* Buffers are no part of the snapshot. */
    for (uint32_t i = 1; i < VXI_PAGE_COUNT && box->mapped_pages != snapshot->mapped_pages; i++)
        if (box->pages[i] & VXI_PAGE_SHARED)
            vxi_changed(box, i, i);
    return VX_OK;
}

vx_status vx_box_snapshot(struct vx_box *box, struct vx_snapshot **out)
{
    struct vx_snapshot *snapshot;
    if (!box || !out)
        return VX_ERR_ARGUMENT;
    if (atomic_exchange(&box->is_running, true))
        return VX_ERR_BUSY;
    vx_status status = box->is_spoiled ? VX_ERR_MEMORY : vxi_base(box);
    if (status == VX_OK) {
        vxi_units_drop_changed(box);
        status = vxi_capture(box, &snapshot);
    }
    if (status == VX_OK) {
        status = rebase(box, snapshot);
        if (status == VX_OK)
            *out = snapshot;
        else
            vx_snapshot_close(snapshot);
    }
    atomic_store_explicit(&box->is_running, false, memory_order_release);
    return status;
}

vx_status vx_box_new_from(struct vx_snapshot *snapshot, const struct vx_box_options *options, struct vx_box **out,
                          struct vx_error *error)
{
    struct vx_box *box;
    if (!snapshot || !out)
        return VX_ERR_ARGUMENT;
    vx_status status = vxi_box_make(options, snapshot->cpu, &box, error);
    if (status != VX_OK)
        return status;
    if (snapshot->image)
        vxi_image_retain(snapshot->image);
    box->image = snapshot->image;
    atomic_fetch_add(&snapshot->references, 1);
    box->base = snapshot;
    if (snapshot->mapped_pages > box->max_pages) {
        vxi_box_destroy(box);
        return vxi_fail(error, VX_ERR_TOO_LARGE, 0, "the snapshot has more memory than the box may have");
    }
    restore_state(box, snapshot);
    status = vxi_restore_pages(box, snapshot, 1, VXI_PAGE_COUNT - 1, true);
    if (status == VX_OK)
        status = vxi_zones_set(box, snapshot->zones);
    if (status != VX_OK) {
        vxi_box_destroy(box);
        return vxi_fail(error, status, 0, "cannot map the snapshot");
    }
    vxi_gate_fill(box);
    box->changes = (struct vxi_changes){ 0 };
    *out = box;
    return VX_OK;
}

void vx_snapshot_retain(struct vx_snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->references, 1);
}

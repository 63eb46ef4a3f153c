/*
 * Boxes: their memory, registers, statistics.
 *
 * A box is one reservation:
 *   [guard][window 4 GiB, aligned][guard][return stack][page map][context page][table]
 * Everything after the second guard is the runtime's alone, and is touched
 * only where it is used. The alignment's slack stays inaccessible, as guard.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vxrt/helper.h"
#include "format/cpu.h"
#include "vxrt/threads.h"

/* Offsets from the end of the guard above the window. */
#define AREA_MAP VXI_RETURN_STACK_BYTES
#define AREA_CONTEXT (AREA_MAP + 2 * VXI_PAGE_COUNT)
#define AREA_BYTES (AREA_CONTEXT + VX_CTX_TABLE + VXI_TABLE_BYTES)
#define BOX_BYTES (2 * VXI_WINDOW_BYTES + 2 * VXI_GUARD_BYTES + AREA_BYTES)
#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static bool reserve(struct vx_box *box)
{
    void *all = mmap(NULL, BOX_BYTES, PROT_NONE, FLAGS, -1, 0);
    if (all == MAP_FAILED)
        return false;
    box->reservation = all;
    uint64_t low = (uint64_t)all + VXI_GUARD_BYTES;
    box->window = (uint8_t *)((low + VXI_WINDOW_BYTES - 1) & ~(VXI_WINDOW_BYTES - 1));
    box->area = box->window + VXI_WINDOW_BYTES + VXI_GUARD_BYTES;
    if (mprotect(box->area, AREA_BYTES, PROT_READ | PROT_WRITE) != 0)
        return false;
    /* A slot of the table must not cost a huge page. Where the kernel has none, nothing to forbid. */
    madvise(box->area, AREA_BYTES, MADV_NOHUGEPAGE);
    box->pages = box->area + AREA_MAP;
    box->rewrites = box->pages + VXI_PAGE_COUNT;
    return true;
}

static bool has_avx(void)
{
    return __builtin_cpu_supports("avx");
}

static void empty_return_stack(struct vxi_context *ctx)
{
    ctx->rsp = ctx->rsp_top;
    *(uint64_t *)ctx->rsp_top = (uint64_t)vxi_stub_underflow;
}

void vxi_context_init(struct vxi_context *ctx, const struct vx_box *box, uint8_t *stack)
{
    ctx->return_stub = (uint64_t)vxi_stub_return;
    ctx->event_stub = (uint64_t)vxi_stub_event;
    ctx->miss_stub = (uint64_t)vxi_stub_miss;
    ctx->window = (uint64_t)box->window;
    ctx->rsp_top = (uint64_t)(stack + VXI_RETURN_STACK_BYTES - 8);
    ctx->has_avx = has_avx();
    ctx->has_ymm = box->cpu & VX_CPU_AVX ? 1 : 0;
    ctx->regs.eflags = VXI_EFLAGS_FIXED;
    ctx->regs.cs = VXI_SELECTOR_CODE;
    ctx->regs.ss = ctx->regs.ds = ctx->regs.es = VXI_SELECTOR_DATA;
    vxi_fp_init(ctx);
    empty_return_stack(ctx);
}

struct vxi_context *vxi_context_at(const struct vx_box *box, size_t index)
{
    if (!box->pool)
        return index == 0 ? box->ctx : NULL;
    struct vx_thread *thread = index < VX_MAX_THREADS ? atomic_load(&box->pool->list[index]) : NULL;
    return thread ? thread->seat.ctx : NULL;
}

/* Nothing reads a slot below rsp, where a signal handler of the application may have left anything; but the memory is not kept. */
void vxi_forget_return_stack(struct vx_box *box)
{
    struct vxi_context *ctx;
    for (size_t i = 0; (ctx = vxi_context_at(box, i)); i++) {
        void *stack = (void *)(ctx->rsp_top + 8 - VXI_RETURN_STACK_BYTES);
        if (madvise(stack, VXI_RETURN_STACK_BYTES, MADV_DONTNEED) != 0)
            memset(stack, 0, VXI_RETURN_STACK_BYTES);
    }
    vxi_reset_return_stack(box);
}

void vxi_reset_return_stack(struct vx_box *box)
{
    struct vxi_context *ctx;
    for (size_t i = 0; (ctx = vxi_context_at(box, i)); i++)
        empty_return_stack(ctx);
}

void vxi_clear_table(struct vx_box *box)
{
    struct vxi_context *ctx;
    for (size_t i = 0; (ctx = vxi_context_at(box, i)); i++) {
        uint8_t *table = (uint8_t *)ctx + VX_CTX_TABLE;
        if (madvise(table, VXI_TABLE_BYTES, MADV_DONTNEED) != 0 &&
            mmap(table, VXI_TABLE_BYTES, PROT_READ | PROT_WRITE, FLAGS | MAP_FIXED, -1, 0) == MAP_FAILED)
            abort(); /* stale entries must not stay, and nothing else removes them */
    }
    vxi_gate_fill(box);
}

/* Marked pages next to each other are one range: the next from *page on, false at the end. */
static bool next_range(const struct vx_box *box, uint32_t *page, uint32_t end, struct vxi_pages *out)
{
    while (*page < end && !(box->pages[*page] & VXI_PAGE_IMAGE))
        ++*page;
    out->first = *page;
    while (*page < end && box->pages[*page] & VXI_PAGE_IMAGE)
        ++*page;
    out->last = *page - 1;
    return *page > out->first;
}

static vx_status add_ranges(struct vx_box *box, struct vxi_zone *zone)
{
    const struct vx_image *image = box->image;
    uint32_t first = (image->elf.low + image->bias) / VX_PAGE_BYTES, count = 0;
    uint32_t end = (uint32_t)(((uint64_t)image->elf.high + image->bias + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES);
    struct vxi_pages range;
    for (uint32_t page = first; next_range(box, &page, end, &range);)
        count++;
    struct vxi_pages *ranges = malloc((count + 1) * sizeof *ranges);
    if (!ranges)
        return VX_ERR_MEMORY;
    count = 0;
    for (uint32_t page = first; next_range(box, &page, end, &range);)
        ranges[count++] = range;
    vx_status status = count ? vxi_zones_add(box, zone, ranges, count) : VX_OK;
    free(ranges);
    return status;
}

/* Pages that the cache was made from; while they hold the image's bytes, its code is good. */
static vx_status mark_image_code(struct vx_box *box)
{
    const struct vx_image *image = box->image;
    size_t count;
    const struct vxf_page *pages = vxf_pages(image->zone->file, &count);
    for (size_t i = 0; i < image->run_count; i++) {
        const struct vxi_run *run = &image->runs[i];
        uint32_t first = (run->addr + image->bias) / VX_PAGE_BYTES;
        if (run->prot & VX_PROT_EXEC && !(run->prot & VX_PROT_WRITE))
            for (uint32_t p = 0; p < run->size / VX_PAGE_BYTES; p++)
                box->pages[first + p] |= VXI_PAGE_IMAGE;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t page = (pages[i].guest + image->bias) / VX_PAGE_BYTES;
        if (!(box->pages[page] & VX_PROT_EXEC) || box->pages[page] & VXI_PAGE_IMAGE)
            continue;
        box->pages[page] |= VXI_PAGE_IMAGE;
        vx_status status = vxi_protect_pages(box, page, page);
        if (status != VX_OK)
            return status;
    }
    return add_ranges(box, image->zone);
}

static vx_status map_image(struct vx_box *box)
{
    struct vx_image *image = box->image;
    vx_status status = vxi_map_runs(box, image->runs, image->run_count, image->memory_file, image->bias);
    if (status != VX_OK)
        return status;
    box->ctx->regs.eip = image->elf.entry + image->bias;
    if (image->zone && !atomic_load(&image->zone->is_bad))
        return mark_image_code(box);
    return VX_OK;
}

void vxi_box_destroy(struct vx_box *box)
{
    vxi_timer_free(box);
    vxi_threads_destroy(box);
    if (box->reservation && box->ctx)
        vxi_retry_free(box->ctx);
    vxi_stopped_drop(box, 0, true);
    vxi_streams_take_back(box);
    vxi_units_free(box);
    vxi_zones_free(box);
    vxi_spans_changed(box);
    free(box->seeds);
    vxi_map_free(&box->seed_places);
    free(box->profile);
    if (box->reservation)
        munmap(box->reservation, BOX_BYTES);
    vx_snapshot_close(box->base);
    vx_image_close(box->image);
    free(box);
}

vx_status vxi_box_make(const struct vx_box_options *options, uint32_t cpu, struct vx_box **out, struct vx_error *error)
{
    if (options && options->size < sizeof *options) /* limits that nobody reads would be none */
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "vx_box_options: size is not set");
    vx_status status = vxi_signals_install();
    if (status != VX_OK)
        return vxi_fail(error, status, 0, "cannot install signal handlers");
    struct vx_box *box = calloc(1, sizeof *box);
    if (!box)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    box->max_pages = VXI_PAGE_COUNT;
    if (options) {
        if (options->max_memory && options->max_memory < VXI_WINDOW_BYTES)
            box->max_pages = options->max_memory / VX_PAGE_BYTES;
        box->no_dynamic = options->no_dynamic;
        box->memory_traps = options->memory_traps;
    }
    box->cpu = cpu;
    box->units.cpu.allowed = cpu;
    if (!reserve(box)) {
        vxi_box_destroy(box);
        return vxi_fail(error, VX_ERR_ADDRESS_SPACE, 0, "no address space for the window");
    }
    box->ctx = (struct vxi_context *)(box->area + AREA_CONTEXT);
    vxi_context_init(box->ctx, box, box->area);
    *out = box;
    return VX_OK;
}

vx_status vx_box_new(struct vx_image *image, const struct vx_box_options *options, struct vx_box **out,
                     struct vx_error *error)
{
    struct vx_box *box;
    uint32_t cpu = image ? image->cpu : 0;
    vx_status status = VX_OK;
    if (!image)
        status = vxi_cpu_choose(options && options->size >= sizeof *options ? options->cpu : NULL, &cpu, error);
    if (status == VX_OK)
        status = vxi_box_make(options, cpu, &box, error);
    if (status != VX_OK)
        return status;
    if (image) {
        vxi_image_retain(image);
        box->image = image;
        status = map_image(box);
    }
    if (status != VX_OK) {
        vxi_box_destroy(box);
        return vxi_fail(error, status, 0, "cannot map the image");
    }
    box->changes = (struct vxi_changes){ 0 };
    *out = box;
    return VX_OK;
}

vx_status vx_box_free(struct vx_box *box)
{
    if (!box)
        return VX_OK;
    if (atomic_exchange(&box->is_running, true))
        return VX_ERR_BUSY;
    vxi_box_destroy(box);
    return VX_OK;
}

void vx_box_get_regs(const struct vx_box *box, struct vx_regs *regs)
{
    *regs = box->ctx->regs;
}

void vx_box_set_regs(struct vx_box *box, const struct vx_regs *regs)
{
    struct vxi_context *ctx = box->ctx;
    ctx->regs = *regs;
    ctx->kept_flags = regs->eflags & VXI_EFLAGS_KEPT;
    ctx->regs.eflags = (regs->eflags & VXI_EFLAGS_GUEST) | ctx->kept_flags | VXI_EFLAGS_FIXED;
    ctx->fs_base = regs->fs_base;
    ctx->gs_base = regs->gs_base;
}

uint32_t vxi_box_cpu(const struct vx_box *box)
{
    return box->cpu;
}

uint32_t *vxi_box_tls(struct vx_box *box)
{
    return box->tls;
}

void vx_box_stats(const struct vx_box *box, struct vx_stats *stats)
{
    *stats = box->stats;
    stats->open_ns = box->image ? box->image->open_ns : 0;
    const struct vxi_context *ctx;
    for (size_t i = 0; (ctx = vxi_context_at(box, i)); i++) {
        stats->dispatches += ctx->dispatches;
        stats->return_misses += ctx->return_misses;
    }
}

const vx_gaddr *vx_box_profile(const struct vx_box *box, size_t *count)
{
    *count = box->profile_count;
    return box->profile;
}

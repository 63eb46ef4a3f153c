/*
 * Units: dynamic code of one box. A unit is one verified chunk on its own;
 * nothing but the table and the return stack leads into it.
 *
 * Units lie one after the other in a zone that is sealed page by page; the
 * memory of a dropped unit is not used again before everything is flushed, the table cleared and
 * the return stack reset, so that no stale slot can point to other code.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "verifier/verifier.h"
#include "vxrt/threads.h"

#define HLT 0xf4
#define UNIT_ALIGN 64u
#define CLUTTER_UNITS 16384u
#define MOST_UNITS (1u << 20) /* what is known of one takes two hundred bytes and more */

static uint32_t round_up(uint32_t value, uint32_t to)
{
    return (value + to - 1) / to * to;
}

static vx_status reserve(struct vxi_units *units)
{
    if (units->zone)
        return VX_OK;
    void *zone = mmap(NULL, VXI_UNIT_ZONE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (zone == MAP_FAILED)
        return VX_ERR_ADDRESS_SPACE;
    units->zone = zone;
    return VX_OK;
}

static void free_unit(struct vxi_unit *unit)
{
    free(unit->entries);
    free(unit->rows);
    free(unit->boundaries);
    free(unit->pages);
}

static void *copy_of(const void *bytes, size_t size)
{
    void *copy = malloc(size ? size : 1);
    if (copy && size)
        memcpy(copy, bytes, size);
    return copy;
}

static bool copy_pages(struct vxi_unit *unit, const struct vxi_unit_code *code)
{
    unit->pages = malloc((code->page_count + 1) * sizeof *unit->pages);
    if (!unit->pages)
        return false;
    for (size_t i = 0; i < code->page_count; i++)
        unit->pages[i] = code->pages[i] / VX_PAGE_BYTES;
    unit->page_count = code->page_count;
    return true;
}

static vx_status check(struct vxi_unit *unit, const uint8_t *code, struct vxi_cpu *cpu, uint32_t *rule)
{
    size_t words = unit->size / 64;
    uint64_t *entries = calloc(words, sizeof *entries);
    uint64_t *targets = calloc(words, sizeof *targets);
    unit->boundaries = calloc(words, sizeof *unit->boundaries);
    vx_status status = VX_ERR_MEMORY;
    if (entries && targets && unit->boundaries) {
        struct vxv_input input = { .code = code, .size = unit->size, .zone_size = unit->size, .entries = entries };
        struct vxv_result result = { 0 };
        for (size_t i = 0; i < unit->entry_count; i++)
            entries[unit->entries[i].host / 64] |= 1ull << (unit->entries[i].host % 64);
        bool is_good = vxv_verify(&input, unit->boundaries, targets, &result);
        *rule = result.rule;
        status = !is_good ? VX_ERR_REJECTED
                 : vxi_has_cpu(cpu, result.cpu_features) ? VX_OK : VX_ERR_CPU;
    }
    free(entries);
    free(targets);
    return status;
}

/* Copy, verify what was copied, seal. The pages are never writable and executable at once. */
static vx_status install(struct vx_box *box, struct vxi_unit *unit, const uint8_t *code, uint32_t size,
                         uint32_t *rule)
{
    struct vxi_units *units = &box->units;
    uint8_t *at = units->zone + unit->host;
    uint32_t from = unit->host / VX_PAGE_BYTES * VX_PAGE_BYTES;
    uint32_t to = round_up(unit->host + unit->size, VX_PAGE_BYTES);
    if (mprotect(units->zone + from, to - from, PROT_READ | PROT_WRITE) == 0) {
        memcpy(at, code, size);
        memset(at + size, HLT, units->zone + to - (at + size));
        vx_status status = check(unit, at, &units->cpu, rule);
        if (status != VX_OK)
            memset(at, HLT, unit->size);
        if (mprotect(units->zone + from, to - from, PROT_READ | PROT_EXEC) == 0)
            return status;
    }
    /* Older units on the first page cannot run any more. */
    vxi_units_flush(box);
    return VX_ERR_MEMORY;
}

static void drop(struct vx_box *box, struct vxi_unit *unit);

static uint64_t *slot_at(const struct vx_box *box, size_t index, vx_gaddr addr)
{
    struct vxi_context *ctx = vxi_context_at(box, index);
    return ctx ? VXI_SLOT(ctx, addr) : NULL;
}

/* The newest unit of a page: an index in page_units. */
static uint32_t newest_of(const struct vxi_units *units, uint32_t page)
{
    uint32_t at;
    return vxi_map_get(&units->by_page, page, &at) ? at : VXI_NO_UNIT;
}

static bool note_page(struct vxi_units *units, uint32_t page, uint32_t unit)
{
    if (units->page_unit_count == units->page_unit_capacity) {
        size_t capacity = units->page_unit_capacity ? units->page_unit_capacity * 2 : 64;
        struct vxi_page_unit *page_units = realloc(units->page_units, capacity * sizeof *page_units);
        if (!page_units)
            return false;
        units->page_units = page_units;
        units->page_unit_capacity = capacity;
    }
    uint32_t next = newest_of(units, page);
    while (next != VXI_NO_UNIT && units->list[units->page_units[next].unit].is_dropped) /* by way of another of its pages */
        next = units->page_units[next].next;
    units->page_units[units->page_unit_count] = (struct vxi_page_unit){ unit, next };
    return vxi_map_set(&units->by_page, page, (uint32_t)units->page_unit_count++);
}

/* Put the unit, and with it its arrays, on the list. */
static vx_status register_unit(struct vx_box *box, struct vxi_unit *unit)
{
    struct vxi_units *units = &box->units;
    if (units->count == units->capacity) {
        size_t capacity = units->capacity ? units->capacity * 2 : 64;
        struct vxi_unit *list = realloc(units->list, capacity * sizeof *list);
        if (!list) {
            free_unit(unit);
            return VX_ERR_MEMORY;
        }
        units->list = list;
        units->capacity = capacity;
    }
    struct vxi_unit *placed = &units->list[units->count++];
    *placed = *unit;
    units->used += unit->size;
    /* Single instructions are replaced without notice. */
    units->dead += unit->is_single;
    if (unit->is_single)
        return VX_OK;
    bool is_good = true;
    for (size_t i = 0; i < unit->entry_count; i++)
        is_good &= vxi_map_set(&units->map, unit->entries[i].guest, unit->host + unit->entries[i].host);
    for (size_t i = 0; i < unit->page_count; i++) {
        uint32_t page = unit->pages[i];
        is_good &= note_page(units, page, (uint32_t)(placed - units->list));
        if (box->pages[page] & VXI_PAGE_CODE)
            continue;
        box->pages[page] |= VXI_PAGE_CODE;
        if (box->pages[page] & VX_PROT_WRITE)
            is_good &= vxi_protect_pages(box, page, page) == VX_OK;
    }
    if (is_good)
        return VX_OK;
    drop(box, placed);
    return VX_ERR_MEMORY;
}

/* Dead units keep their place in the list and in memory: start again before they are most of it, or it is too long. */
static bool is_cluttered(const struct vxi_units *units)
{
    return units->count >= MOST_UNITS || (units->count >= CLUTTER_UNITS && units->dead > units->count / 2);
}

vx_status vxi_unit_add(struct vx_box *box, const struct vxi_unit_code *code, struct vxi_unit **out, uint32_t *rule)
{
    struct vxi_units *units = &box->units;
    struct vxi_unit unit = { .size = round_up(code->size, UNIT_ALIGN), .entry_count = code->entry_count,
                             .row_count = code->row_count, .is_single = code->is_single };
    *rule = 0;
    if (code->size == 0 || code->size > VXF_CHUNK_LIMIT)
        return VX_ERR_TOO_LARGE;
    vx_status status = reserve(units);
    if (status != VX_OK)
        return status;
    /* What another thread may be running cannot be made writable for a moment: each unit has its own pages. */
    if (box->threads)
        units->used = round_up(units->used, VX_PAGE_BYTES);
    if (unit.size > VXI_UNIT_ZONE_BYTES - units->used || is_cluttered(units))
        vxi_units_flush(box);
    unit.host = units->used;
    unit.entries = copy_of(code->entries, code->entry_count * sizeof *code->entries);
    unit.rows = copy_of(code->rows, code->row_count * sizeof *code->rows);
    status = unit.entries && unit.rows && copy_pages(&unit, code) ? VX_OK : VX_ERR_MEMORY;
    for (size_t i = 0; status == VX_OK && i < unit.entry_count; i++)
        if (unit.entries[i].host >= code->size)
            status = VX_ERR_REJECTED;
    if (status == VX_OK)
        status = install(box, &unit, code->code, code->size, rule);
    /* What the verifier calls no boundary is no entry, whoever says so. */
    for (size_t i = 0; status == VX_OK && i < unit.entry_count; i++)
        if (!vxi_bit(unit.boundaries, unit.entries[i].host))
            status = VX_ERR_REJECTED;
    if (status != VX_OK) {
        free_unit(&unit);
        return status;
    }
    status = register_unit(box, &unit);
    if (status == VX_OK)
        *out = &units->list[units->count - 1];
    return status;
}

/* The newest unit at or below the offset. */
struct vxi_unit *vxi_unit_at(struct vx_box *box, uint64_t host)
{
    struct vxi_units *units = &box->units;
    uint64_t offset = host - (uint64_t)units->zone;
    if (!units->zone || offset >= units->used)
        return NULL;
    size_t low = 0, high = units->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (units->list[middle].host <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    struct vxi_unit *unit = low ? &units->list[low - 1] : NULL;
    return unit && !unit->is_dropped && offset - unit->host < unit->size ? unit : NULL;
}

uint64_t vxi_unit_entry(struct vx_box *box, vx_gaddr addr)
{
    uint32_t offset;
    if (!vxi_map_get(&box->units.map, addr, &offset))
        return 0;
    return (uint64_t)box->units.zone + offset;
}

uint64_t vxi_unit_resume(struct vx_box *box, vx_gaddr addr, int32_t *esp_delta)
{
    struct vxi_units *units = &box->units;
    for (uint32_t at = newest_of(units, addr / VX_PAGE_BYTES); at != VXI_NO_UNIT; at = units->page_units[at].next) {
        const struct vxi_unit *unit = &units->list[units->page_units[at].unit];
        for (size_t i = 0; i < unit->row_count; i++) {
            const struct vxf_row *row = &unit->rows[i];
            if (row->guest != addr || row->kind != VXF_ROW_INSN || row->host >= unit->size ||
                !vxi_bit(unit->boundaries, row->host))
                continue;
            *esp_delta = row->esp_delta;
            return (uint64_t)units->zone + unit->host + row->host;
        }
    }
    return 0;
}

static void drop(struct vx_box *box, struct vxi_unit *unit)
{
    uint64_t base = (uint64_t)box->units.zone + unit->host - box->ctx->miss_stub;
    box->units.dead += !unit->is_single;
    unit->is_dropped = true;
    for (size_t i = 0; i < unit->entry_count; i++) {
        const struct vxf_entry *entry = &unit->entries[i];
        uint64_t *slot;
        uint32_t offset;
        for (size_t t = 0; (slot = slot_at(box, t, entry->guest)); t++)
            if (*slot == base + entry->host)
                *slot = 0;
        if (!unit->is_single && vxi_map_get(&box->units.map, entry->guest, &offset) &&
            offset == unit->host + entry->host)
            vxi_map_remove(&box->units.map, entry->guest);
    }
    free_unit(unit);
    unit->entries = NULL;
    unit->rows = NULL;
    unit->boundaries = NULL;
    unit->pages = NULL;
    unit->entry_count = unit->row_count = unit->page_count = 0;
}

/* All units that were made from bytes of the page. */
static bool drop_page(struct vx_box *box, uint32_t page)
{
    struct vxi_units *units = &box->units;
    bool has_dropped = false;
    for (uint32_t at = newest_of(units, page); at != VXI_NO_UNIT; at = units->page_units[at].next) {
        struct vxi_unit *unit = &units->list[units->page_units[at].unit];
        if (unit->is_dropped)
            continue;
        vxi_stop_others(box);
        drop(box, unit);
        has_dropped = true;
    }
    vxi_map_remove(&units->by_page, page);
    return has_dropped;
}

void vxi_units_drop(struct vx_box *box, uint32_t first, uint32_t last)
{
    bool has_dropped = false;
    for (uint32_t page = first; page <= last && box->units.page_unit_count; page++) {
        page = vxi_next_exec(box, page); /* code comes from no other pages */
        if (page <= last)
            has_dropped |= drop_page(box, page);
    }
    if (!has_dropped)
        return;
    box->stats.code_invalidations++;
    vxi_forget_places(box);
    vxi_reset_return_stack(box);
}

/* Nothing could write to pages that are neither writable nor changed. */
static bool is_sure(const struct vx_box *box, uint32_t page)
{
    return !(box->pages[page] & VX_PROT_WRITE) && !vxi_is_changed(box, page);
}

void vxi_units_drop_changed(struct vx_box *box)
{
    struct vxi_units *units = &box->units;
    for (size_t u = 0; u < units->count; u++)
        for (size_t i = 0; i < units->list[u].page_count; i++) {
            uint32_t page = units->list[u].pages[i];
            if (is_sure(box, page))
                continue;
            vxi_units_drop(box, page, page); /* this one too, so the loop ends */
            box->pages[page] &= (uint8_t)~VXI_PAGE_CODE;
            if (box->pages[page] & VX_PROT_WRITE)
                vxi_protect_pages(box, page, page);
        }
    vxi_singles_free(box);
}

void vxi_units_flush(struct vx_box *box)
{
    struct vxi_units *units = &box->units;
    vxi_stop_others(box);
    for (size_t u = 0; u < units->count; u++) {
        struct vxi_unit *unit = &units->list[u];
        for (size_t i = 0; i < unit->page_count; i++)
            if (!unit->is_single && box->pages[unit->pages[i]] & VXI_PAGE_CODE) {
                box->pages[unit->pages[i]] &= (uint8_t)~VXI_PAGE_CODE;
                vxi_protect_pages(box, unit->pages[i], unit->pages[i]);
            }
        if (!unit->is_dropped)
            drop(box, unit);
    }
    units->count = 0;
    units->dead = 0;
    units->used = 0;
    vxi_map_clear(&units->map);
    vxi_map_clear(&units->by_page);
    units->page_unit_count = 0;
    vxi_singles_free(box);
    if (units->zone && (mprotect(units->zone, VXI_UNIT_ZONE_BYTES, PROT_NONE) != 0 ||
                        madvise(units->zone, VXI_UNIT_ZONE_BYTES, MADV_DONTNEED) != 0)) {
        munmap(units->zone, VXI_UNIT_ZONE_BYTES);
        units->zone = NULL;
    }
    vxi_forget_places(box);
    box->stats.code_invalidations++;
    /* Dropping has taken the slots of entries; whatever else should be there names memory that is used again. */
    vxi_clear_table(box);
    vxi_forget_return_stack(box);
}

void vxi_units_free(struct vx_box *box)
{
    struct vxi_units *units = &box->units;
    for (size_t u = 0; u < units->count; u++)
        free_unit(&units->list[u]);
    free(units->list);
    vxi_map_free(&units->map);
    vxi_map_free(&units->by_page);
    free(units->page_units);
    vxi_singles_free(box);
    if (units->zone)
        munmap(units->zone, VXI_UNIT_ZONE_BYTES);
    *units = (struct vxi_units){ 0 };
}

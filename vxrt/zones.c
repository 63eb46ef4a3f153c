/*
 * The zones of a box: which pages of the guest the cached code of which zone stands for.
 * The image's zone covers the pages of its code; each file that the guest maps
 * may bring another (vx_box_attach).
 *
 * The list is replaced, never changed: signal handlers read it, on host threads that run
 * translated code of the box. A zone that the box has left stays mapped until the box is freed,
 * so that no host address that was noted somewhere can mean other code.
 */
#include <stdlib.h>
#include <string.h>

#include "vxrt/internal.h"

/* A guest can make the box hold so many; files that it maps then are translated at run time. */
#define HELD_LIMIT 1024u

struct vxi_zone *vxi_zone_of(const struct vx_box *box, vx_gaddr addr)
{
    const struct vxi_zones *zones = box->zones;
    uint32_t page = addr / VX_PAGE_BYTES;
    if (!zones || !(box->pages[page] & VXI_PAGE_IMAGE))
        return NULL;
    size_t low = 0, high = zones->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zones->ranges[middle].first <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low && page <= zones->ranges[low - 1].last ? zones->ranges[low - 1].zone : NULL;
}

struct vxi_zone *vxi_zone_at(const struct vx_box *box, uint64_t host)
{
    const struct vxi_zones *zones = box->zones;
    for (size_t i = 0; zones && i < zones->count; i++)
        if (host - (uint64_t)zones->ranges[i].zone->base < zones->ranges[i].zone->size)
            return zones->ranges[i].zone;
    return NULL;
}

static void replace(struct vx_box *box, struct vxi_zones *zones)
{
    struct vxi_zones *old = box->zones;
    vxi_stop_others(box);
    box->changes.has_zones = true;
    box->zones = zones;
    atomic_signal_fence(memory_order_seq_cst);
    free(old);
}

static bool hold(struct vx_box *box, struct vxi_zone *zone)
{
    for (size_t i = 0; i < box->held_count; i++)
        if (box->held[i] == zone)
            return true;
    if (box->held_count == HELD_LIMIT)
        return false;
    if (!(box->held_count & (box->held_count - 1))) {
        size_t capacity = box->held_count ? 2 * box->held_count : 1;
        struct vxi_zone **held = realloc(box->held, capacity * sizeof *held);
        if (!held)
            return false;
        box->held = held;
    }
    box->held[box->held_count++] = vxi_zone_retain(zone);
    return true;
}

vx_status vxi_zones_add(struct vx_box *box, struct vxi_zone *zone, const struct vxi_pages *pages, size_t count)
{
    const struct vxi_zones *old = box->zones;
    size_t old_count = old ? old->count : 0, from_old = 0, from_new = 0;
    struct vxi_zones *zones = malloc(sizeof *zones + (old_count + count) * sizeof *zones->ranges);
    if (!zones || !hold(box, zone)) {
        free(zones);
        return VX_ERR_MEMORY;
    }
    for (zones->count = 0; zones->count < old_count + count; zones->count++) {
        bool is_new = from_old == old_count || (from_new < count && pages[from_new].first < old->ranges[from_old].first);
        struct vxi_range *range = &zones->ranges[zones->count];
        *range = is_new ? (struct vxi_range){ pages[from_new].first, pages[from_new].last, zone } : old->ranges[from_old];
        from_new += is_new;
        from_old += !is_new;
        if (zones->count && range[-1].last >= range->first) {
            free(zones);
            return VX_ERR_ARGUMENT;
        }
    }
    replace(box, zones);
    return VX_OK;
}

static void forget_pages(struct vx_box *box, const struct vxi_range *range)
{
    for (uint32_t p = range->first; p <= range->last; p++) {
        if (!(box->pages[p] & VXI_PAGE_IMAGE))
            continue;
        box->pages[p] &= (uint8_t)~VXI_PAGE_IMAGE;
        if (box->pages[p] & VX_PROT_WRITE)
            vxi_protect_pages(box, p, p);
    }
}

void vxi_leave_zone(struct vx_box *box, struct vxi_zone *zone)
{
    struct vxi_zones *zones = box->zones;
    size_t count = 0;
    for (size_t i = 0; zones && i < zones->count; i++)
        if (zones->ranges[i].zone != zone)
            count++;
        else
            forget_pages(box, &zones->ranges[i]);
    if (!zones || count == zones->count)
        return;
    vxi_stop_others(box);
    if (atomic_load(&zone->is_bad)) {
        box->refused_status = zone->bad_status;
        box->refused_rule = zone->bad_rule;
    }
    /* Without memory for a shorter list: leaving all zones is as good. */
    struct vxi_zones *fewer = count ? malloc(sizeof *fewer + count * sizeof *fewer->ranges) : NULL;
    if (count && !fewer)
        for (size_t i = 0; i < zones->count; i++)
            forget_pages(box, &zones->ranges[i]);
    if (fewer) {
        fewer->count = 0;
        for (size_t i = 0; i < zones->count; i++)
            if (zones->ranges[i].zone != zone)
                fewer->ranges[fewer->count++] = zones->ranges[i];
    }
    replace(box, fewer);
    box->stats.code_invalidations++;
    vxi_forget_places(box);
    vxi_clear_table(box);
    vxi_reset_return_stack(box);
}

void vxi_leave_zones(struct vx_box *box, uint32_t first, uint32_t last)
{
    for (size_t i = 0; box->zones && i < box->zones->count;) {
        const struct vxi_range *range = &box->zones->ranges[i];
        if (range->first <= last && first <= range->last) {
            vxi_leave_zone(box, range->zone);
            i = 0;
        } else {
            i++;
        }
    }
}

vx_status vxi_zones_set(struct vx_box *box, const struct vxi_zones *zones)
{
    struct vxi_zones *copy = NULL;
    if (zones && zones->count) {
        size_t size = sizeof *copy + zones->count * sizeof *copy->ranges;
        copy = malloc(size);
        if (!copy)
            return VX_ERR_MEMORY;
        memcpy(copy, zones, size);
    }
    for (size_t i = 0; copy && i < copy->count; i++)
        if (!hold(box, copy->ranges[i].zone)) {
            free(copy);
            return VX_ERR_MEMORY;
        }
    replace(box, copy);
    return VX_OK;
}

void vxi_zones_free(struct vx_box *box)
{
    replace(box, NULL);
    for (size_t i = 0; i < box->held_count; i++)
        vxi_zone_close(box->held[i]);
    free(box->held);
}

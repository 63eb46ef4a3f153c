/*
 * Where in the zone a guest address is: entries, and by way of the fault maps
 * every instruction boundary. Fault maps are decoded when first asked for.
 */
#include <stdlib.h>

#include "vxrt/internal.h"

/* So many chunks are asked in turn; of more, an index is made. */
#define FEW_CHUNKS 1024u
/* An instruction has this many rows, and this many chunks have rows of it, at the most: those of a cache that lies are not all looked at. */
#define ROWS_OF_ONE 64u
#define HOMES_OF_ONE 64u
/* Looking everywhere decodes all fault maps, 24 bytes a row and 60 ns: of a zone with more an address is near the entry before it, or not found. */
#define MOST_ROWS (4u << 20)

/* Index of the last entry at or below the address, entry_count if none. */
static size_t entry_below(const struct vxi_zone *zone, vx_gaddr addr)
{
    size_t low = 0, high = zone->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->entries[middle].guest <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : zone->entry_count;
}

bool vxi_zone_find(const struct vxi_zone *zone, vx_gaddr addr, uint32_t *host)
{
    vx_gaddr unbiased = addr - zone->bias;
    size_t i = entry_below(zone, unbiased);
    if (i == zone->entry_count || zone->entries[i].guest != unbiased)
        return false;
    *host = zone->entries[i].host;
    return true;
}

struct order {
    vx_gaddr guest;
    uint32_t index;
};

static int compare_order(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->guest != y->guest)
        return x->guest < y->guest ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static bool index_by_guest(struct vxi_rows *rows)
{
    struct order *order = malloc((rows->count + 1) * sizeof *order);
    rows->by_guest = malloc((rows->count + 1) * sizeof *rows->by_guest);
    if (order && rows->by_guest) {
        for (size_t i = 0; i < rows->count; i++)
            if (rows->rows[i].kind == VXF_ROW_INSN)
                order[rows->insn_count++] = (struct order){ rows->rows[i].guest, (uint32_t)i };
        qsort(order, rows->insn_count, sizeof *order, compare_order);
        for (size_t i = 0; i < rows->insn_count; i++)
            rows->by_guest[i] = order[i].index;
    }
    bool is_good = order && rows->by_guest;
    free(order);
    return is_good;
}

/* Of a chunk whose fault map cannot be read: it is not read again. */
static struct vxi_rows no_rows;

/* NULL: no memory. */
static struct vxi_rows *decode(struct vxi_zone *zone, size_t chunk)
{
    struct vx_error error = { 0 };
    struct vxi_rows *rows = calloc(1, sizeof *rows);
    if (!rows)
        return NULL;
    vx_status status = vxf_read_rows(zone->file, chunk, &rows->rows, &rows->count, &error);
    if (status == VX_OK) {
        for (size_t i = 0; i < rows->count; i++)
            if (rows->rows[i].kind == VXF_ROW_INSN)
                rows->rows[i].guest += zone->bias;
        if (index_by_guest(rows))
            return rows;
        vxi_rows_free(rows);
        return NULL;
    }
    free(rows);
    return status == VX_ERR_MEMORY ? NULL : &no_rows;
}

void vxi_rows_free(struct vxi_rows *rows)
{
    if (!rows || rows == &no_rows)
        return;
    free(rows->rows);
    free(rows->by_guest);
    free(rows);
}

const struct vxi_rows *vxi_zone_rows(struct vxi_zone *zone, size_t chunk)
{
    struct vxi_rows *rows = atomic_load_explicit(&zone->state[chunk].rows, memory_order_acquire);
    if (rows)
        return rows;
    pthread_mutex_lock(&zone->lock);
    rows = atomic_load(&zone->state[chunk].rows);
    if (!rows) {
        rows = decode(zone, chunk);
        atomic_store_explicit(&zone->state[chunk].rows, rows, memory_order_release);
    }
    pthread_mutex_unlock(&zone->lock);
    return rows;
}

static uint64_t resume_in(struct vxi_zone *zone, size_t chunk, vx_gaddr addr, int32_t *esp_delta,
                          struct vx_stats *stats)
{
    const struct vxi_rows *rows = vxi_zone_rows(zone, chunk);
    if (!rows)
        return 0;
    size_t low = 0, high = rows->insn_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows->rows[rows->by_guest[middle]].guest < addr)
            low = middle + 1;
        else
            high = middle;
    }
    const struct vxf_chunk *where = &zone->chunks[chunk];
    for (size_t end = low + ROWS_OF_ONE; low < rows->insn_count && low < end; low++) {
        const struct vxf_row *row = &rows->rows[rows->by_guest[low]];
        if (row->guest != addr)
            break;
        if (row->host - where->host >= where->size || !vxi_zone_load(zone, row->host, stats))
            return 0;
        if (!vxi_bit(zone->state[chunk].boundaries, row->host - where->host))
            continue;
        *esp_delta = row->esp_delta;
        return (uint64_t)zone->base + row->host;
    }
    return 0;
}

static int compare_homes(const void *a, const void *b)
{
    const struct vxi_home *x = a, *y = b;
    if (x->guest != y->guest)
        return x->guest < y->guest ? -1 : 1;
    return (x->chunk > y->chunk) - (x->chunk < y->chunk);
}

static struct vxi_homes *make_homes(struct vxi_zone *zone)
{
    size_t count = 0;
    for (size_t chunk = 0; chunk < zone->chunk_count; chunk++) {
        const struct vxi_rows *rows = vxi_zone_rows(zone, chunk);
        count += rows ? rows->insn_count : 0;
    }
    struct vxi_homes *homes = malloc(sizeof *homes + count * sizeof *homes->list);
    if (!homes)
        return NULL;
    homes->count = 0;
    for (size_t chunk = 0; chunk < zone->chunk_count; chunk++) {
        const struct vxi_rows *rows = atomic_load_explicit(&zone->state[chunk].rows, memory_order_acquire);
        for (size_t i = 0; rows && i < rows->insn_count; i++) {
            vx_gaddr guest = rows->rows[rows->by_guest[i]].guest;
            if ((!i || guest != rows->rows[rows->by_guest[i - 1]].guest) && homes->count < count)
                homes->list[homes->count++] = (struct vxi_home){ guest, (uint32_t)chunk };
        }
    }
    qsort(homes->list, homes->count, sizeof *homes->list, compare_homes);
    return homes;
}

/* NULL: no memory. */
static const struct vxi_homes *homes_of(struct vxi_zone *zone)
{
    struct vxi_homes *homes = atomic_load_explicit(&zone->homes, memory_order_acquire), *first = NULL;
    if (homes || !(homes = make_homes(zone)))
        return homes;
    if (atomic_compare_exchange_strong(&zone->homes, &first, homes))
        return homes;
    free(homes); /* another thread was faster */
    return first;
}

/* In any chunk but this one. */
static uint64_t resume_elsewhere(struct vxi_zone *zone, size_t but, vx_gaddr addr, int32_t *esp_delta, struct vx_stats *stats)
{
    uint64_t host = 0;
    if (zone->row_count > MOST_ROWS)
        return 0;
    if (zone->chunk_count <= FEW_CHUNKS) {
        for (size_t chunk = 0; !host && chunk < zone->chunk_count; chunk++)
            if (chunk != but)
                host = resume_in(zone, chunk, addr, esp_delta, stats);
        return host;
    }
    const struct vxi_homes *homes = homes_of(zone);
    size_t low = 0, high = homes ? homes->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (homes->list[middle].guest < addr)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t end = low + HOMES_OF_ONE; homes && !host && low < homes->count && low < end && homes->list[low].guest == addr; low++)
        if (homes->list[low].chunk != but)
            host = resume_in(zone, homes->list[low].chunk, addr, esp_delta, stats);
    return host;
}

/* Near the entry before it, most likely; else anywhere. */
uint64_t vxi_zone_resume(struct vxi_zone *zone, vx_gaddr addr, int32_t *esp_delta, struct vx_stats *stats)
{
    size_t entry = entry_below(zone, addr - zone->bias);
    size_t likely = zone->chunk_count;
    if (entry < zone->entry_count)
        likely = vxi_zone_chunk(zone, zone->entries[entry].host);
    uint64_t host = likely < zone->chunk_count ? resume_in(zone, likely, addr, esp_delta, stats) : 0;
    return host ? host : resume_elsewhere(zone, likely, addr, esp_delta, stats);
}

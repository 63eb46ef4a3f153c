/*
 * The zone of an image: its cached code, loaded chunk by chunk when first
 * needed, shared by all boxes of the image.
 *
 * Loading a chunk: inflate and relocate into memory that is ours alone,
 * pad, verify those very bytes, seal read-execute. Until then the pages cannot
 * be executed, and whoever branches there faults and comes here. A chunk that
 * is refused ends the use of the whole zone.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "verifier/verifier.h"
#include "vxrt/internal.h"

#define HLT 0xf4

static uint32_t padded(uint32_t size)
{
    return (size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
}

vx_status vxi_zone_open(struct vxf_file *file, vx_gaddr bias, struct vxi_zone **out)
{
    struct vxi_zone *zone = calloc(1, sizeof *zone);
    if (!zone)
        return VX_ERR_MEMORY;
    zone->references = 1;
    zone->bias = bias;
    zone->size = vxf_zone_size(file);
    zone->chunks = vxf_chunks(file, &zone->chunk_count);
    zone->row_count = vxf_row_count(file);
    zone->entries = vxf_entries(file, &zone->entry_count);
    pthread_mutex_init(&zone->lock, NULL);
    zone->entry_bits = calloc(((size_t)zone->size + 63) / 64 + 1, sizeof *zone->entry_bits);
    zone->state = calloc(zone->chunk_count + 1, sizeof *zone->state);
    if (!zone->entry_bits || !zone->state) {
        vxi_zone_close(zone);
        return VX_ERR_MEMORY;
    }
    for (size_t i = 0; i < zone->entry_count; i++)
        zone->entry_bits[zone->entries[i].host / 64] |= 1ull << (zone->entries[i].host % 64);
    if (zone->size) {
        void *base = mmap(NULL, zone->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED) {
            vxi_zone_close(zone);
            return VX_ERR_ADDRESS_SPACE;
        }
        zone->base = base;
    }
    zone->file = file;
    zone->cpu.allowed = vxf_meta(file)->options;
    *out = zone;
    return VX_OK;
}

struct vxi_zone *vxi_zone_retain(struct vxi_zone *zone)
{
    atomic_fetch_add(&zone->references, 1);
    return zone;
}

void vxi_zone_close(struct vxi_zone *zone)
{
    if (atomic_fetch_sub(&zone->references, 1) != 1)
        return;
    for (size_t i = 0; zone->state && i < zone->chunk_count; i++) {
        vxi_rows_free(atomic_load(&zone->state[i].rows));
        free(zone->state[i].boundaries);
    }
    if (zone->base)
        munmap(zone->base, zone->size);
    pthread_mutex_destroy(&zone->lock);
    free(zone->entry_bits);
    free(zone->state);
    free(atomic_load(&zone->homes));
    if (zone->file)
        vxf_close(zone->file);
    free(zone);
}

/* The chunk that holds zone offset `host`, chunk_count if none. */
size_t vxi_zone_chunk(const struct vxi_zone *zone, uint32_t host)
{
    size_t low = 0, high = zone->chunk_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->chunks[middle].host <= host)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || host - zone->chunks[low - 1].host >= zone->chunks[low - 1].size)
        return zone->chunk_count;
    return low - 1;
}

bool vxi_zone_guest_of(const struct vxi_zone *zone, uint32_t host, vx_gaddr *addr)
{
    for (size_t i = 0; i < zone->entry_count; i++)
        if (zone->entries[i].host == host) {
            *addr = zone->entries[i].guest + zone->bias;
            return true;
        }
    return false;
}

static vx_status verify(struct vxi_zone *zone, size_t chunk, uint32_t size, uint32_t *rule)
{
    uint32_t host = zone->chunks[chunk].host;
    uint64_t *boundaries = calloc(size / 64, sizeof *boundaries);
    uint64_t *targets = calloc(size / 64, sizeof *targets);
    vx_status status = VX_ERR_MEMORY;
    if (boundaries && targets) {
        struct vxv_input input = { .code = zone->base + host, .size = size, .zone_offset = host,
                                   .zone_size = zone->size, .entries = zone->entry_bits };
        struct vxv_result result = { 0 };
        bool is_good = vxv_verify(&input, boundaries, targets, &result);
        *rule = result.rule;
        status = !is_good ? VX_ERR_REJECTED
                 : vxi_has_cpu(&zone->cpu, result.cpu_features) ? VX_OK : VX_ERR_CPU;
    }
    free(targets);
    if (status == VX_OK)
        zone->state[chunk].boundaries = boundaries;
    else
        free(boundaries);
    return status;
}

static vx_status load(struct vxi_zone *zone, size_t chunk, struct vx_stats *stats, uint32_t *rule)
{
    const struct vxf_chunk *where = &zone->chunks[chunk];
    uint8_t *at = zone->base + where->host;
    uint32_t size = padded(where->size);
    struct vx_error error = { 0 };
    uint64_t start_ns = vxi_now_ns(), verify_ns = start_ns;
    if (mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
        return VX_ERR_MEMORY;
    vx_status status = vxf_read_code(zone->file, chunk, zone->bias, at, &error);
    if (status == VX_OK) {
        memset(at + where->size, HLT, size - where->size);
        verify_ns = vxi_now_ns();
        status = verify(zone, chunk, size, rule);
    }
    if (status == VX_OK && mprotect(at, size, PROT_READ | PROT_EXEC) != 0)
        status = VX_ERR_MEMORY;
    if (status != VX_OK) {
        mprotect(at, size, PROT_NONE);
        madvise(at, size, MADV_DONTNEED);
        return status;
    }
    uint64_t end_ns = vxi_now_ns();
    stats->chunks_loaded++;
    stats->load_ns += verify_ns - start_ns;
    stats->verify_ns += end_ns - verify_ns;
    return VX_OK;
}

bool vxi_zone_load(struct vxi_zone *zone, uint32_t host, struct vx_stats *stats)
{
    size_t chunk = vxi_zone_chunk(zone, host);
    if (chunk == zone->chunk_count)
        return false;
    struct vxi_chunk *state = &zone->state[chunk];
    if (atomic_load_explicit(&state->state, memory_order_acquire) == VXI_CHUNK_READY)
        return true;
    pthread_mutex_lock(&zone->lock);
    if (atomic_load(&state->state) == VXI_CHUNK_ABSENT && !atomic_load(&zone->is_bad)) {
        uint32_t rule = 0;
        vx_status status = load(zone, chunk, stats, &rule);
        if (status != VX_OK) {
            zone->bad_status = status;
            zone->bad_rule = rule;
            atomic_store(&zone->is_bad, true);
        }
        atomic_store_explicit(&state->state, status == VX_OK ? VXI_CHUNK_READY : VXI_CHUNK_BAD,
                              memory_order_release);
    }
    bool is_ready = atomic_load(&state->state) == VXI_CHUNK_READY;
    pthread_mutex_unlock(&zone->lock);
    return is_ready;
}

/*
 * From a host address in translated code to the guest instruction there.
 */
#include "vxrt/internal.h"

static bool fill(struct vxi_place *place, const struct vxf_row *rows, size_t count, uint32_t host,
                 uint64_t rows_base, uint32_t chunk, const uint64_t *boundaries, uint32_t chunk_size)
{
    const struct vxf_row *row = vxi_row_at(rows, count, host);
    if (!row)
        return false;
    uint32_t offset = row->host - chunk;
    place->row = *row;
    place->host = rows_base + row->host;
    place->is_boundary = row->kind == VXF_ROW_INSN && offset < chunk_size && vxi_bit(boundaries, offset);
    return true;
}

bool vxi_place_of(struct vx_box *box, uint64_t rip, struct vxi_place *place)
{
    struct vxi_zone *zone = vxi_zone_at(box, rip);
    if (zone) {
        uint32_t host = (uint32_t)(rip - (uint64_t)zone->base);
        size_t chunk = vxi_zone_chunk(zone, host);
        if (chunk == zone->chunk_count || !vxi_zone_load(zone, host, &box->stats))
            return false;
        const struct vxi_rows *rows = vxi_zone_rows(zone, chunk);
        return rows && fill(place, rows->rows, rows->count, host, (uint64_t)zone->base, zone->chunks[chunk].host,
                            zone->state[chunk].boundaries, zone->chunks[chunk].size);
    }
    const struct vxi_unit *unit = vxi_unit_at(box, rip);
    if (!unit)
        return false;
    uint64_t base = (uint64_t)box->units.zone + unit->host;
    return fill(place, unit->rows, unit->row_count, (uint32_t)(rip - base), base, 0, unit->boundaries, unit->size);
}

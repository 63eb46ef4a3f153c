/*
 * Decoders of the varint-coded arrays. Columns lie one after the other, so each
 * decoder makes one pass over its output for each column.
 */
#include "format/codec.h"
#include "format/layout.h"

static const char *const bad_bytes = "bad or missing varint, or bytes left over";

const char *vxi_decode_entries(struct vxi_cursor c, struct vxf_entry *out, size_t count)
{
    vx_gaddr guest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t delta = vxi_varint(&c);
        if (i && (!delta || delta > UINT32_MAX - guest))
            return c.bad ? bad_bytes : "guest addresses do not ascend";
        out[i].guest = guest += delta;
    }
    uint32_t host = 0;
    for (size_t i = 0; i < count; i++)
        out[i].host = host += vxi_unzigzag(vxi_varint(&c));
    return vxi_at_end(&c) ? NULL : bad_bytes;
}

const char *vxi_decode_pages(struct vxi_cursor c, struct vxf_page *out, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t delta = vxi_varint(&c);
        number += delta;
        if ((i && !delta) || number > UINT32_MAX / VX_PAGE_BYTES)
            return c.bad ? bad_bytes : "page addresses do not ascend";
        out[i].guest = (vx_gaddr)number * VX_PAGE_BYTES;
    }
    for (size_t i = 0; i < count; i++)
        out[i].hash = vxi_u64(&c);
    return vxi_at_end(&c) ? NULL : bad_bytes;
}

const char *vxi_decode_rows(struct vxi_cursor c, struct vxf_chunk chunk, struct vxf_row *out,
                            size_t count)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t word = vxi_varint(&c);
        offset += word >> 1;
        if (offset >= chunk.size)
            return "row outside its chunk";
        out[i] = (struct vxf_row){.host = chunk.host + (uint32_t)offset, .kind = word & 1};
    }
    vx_gaddr guest = 0;
    for (size_t i = 0; i < count; i++)
        if (out[i].kind == VXF_ROW_INSN)
            out[i].guest = guest += vxi_unzigzag(vxi_varint(&c));
    uint32_t esp = 0;
    for (size_t i = 0; i < count; i++)
        if (out[i].kind == VXF_ROW_INSN)
            out[i].esp_delta = (int32_t)(esp += vxi_unzigzag(vxi_varint(&c)));
    return vxi_at_end(&c) ? NULL : bad_bytes;
}

const char *vxi_decode_relocs(struct vxi_cursor c, struct vxf_chunk chunk, struct vxf_reloc *out,
                              size_t count)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t word = vxi_varint(&c);
        offset += word >> 1;
        if (i && word >> 1 < VXI_RELOC_FIELD_BYTES)
            return c.bad ? bad_bytes : "relocated fields overlap";
        if (offset + VXI_RELOC_FIELD_BYTES > chunk.size)
            return "relocated field outside its chunk";
        out[i] = (struct vxf_reloc){.host = chunk.host + (uint32_t)offset, .negate = word & 1};
    }
    return vxi_at_end(&c) ? NULL : bad_bytes;
}

/* The last chunk that starts at or before host, or NULL. */
static const struct vxf_chunk *find_chunk(const struct vxf_chunk *chunks, size_t count,
                                          uint32_t host)
{
    size_t low = 0;
    while (count) {
        size_t half = count / 2;
        if (chunks[low + half].host <= host) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low ? &chunks[low - 1] : NULL;
}

const char *vxi_check_entries(const struct vxf_entry *entries, size_t count,
                              const struct vxf_chunk *chunks, size_t chunk_count)
{
    const struct vxf_chunk *chunk = NULL;
    for (size_t i = 0; i < count; i++) {
        uint32_t host = entries[i].host;
        /* neighbours are mostly in one chunk */
        if (!chunk || host < chunk->host || host - chunk->host >= chunk->size) {
            chunk = find_chunk(chunks, chunk_count, host);
            if (!chunk || host - chunk->host >= chunk->size)
                return "host offset outside every chunk";
        }
    }
    return NULL;
}

/*
 * Checks what a caller wants to write against everything the reader will demand,
 * so that no file is written that cannot be read back.
 */
#include "format/check.h"

#include "format/codec.h"
#include "format/error.h"
#include "format/layout.h"

static const char *check_chunks(const struct vxf_content *content)
{
    uint32_t free_from = 0;
    for (size_t i = 0; i < content->chunk_count; i++) {
        struct vxf_chunk chunk = content->chunks[i];
        if (!chunk.size || chunk.size > VXF_CHUNK_LIMIT)
            return "a chunk has an illegal size";
        if (chunk.host % VX_PAGE_BYTES || chunk.host < free_from)
            return "a chunk is misplaced";
        if (chunk.host > content->zone_size || chunk.size > content->zone_size - chunk.host)
            return "a chunk lies outside the zone";
        free_from = chunk.host + vxi_page_round(chunk.size);
    }
    return NULL;
}

/* Rows and relocations: every one belongs to a chunk, in order. */
static const char *check_rows(const struct vxf_content *content)
{
    size_t row = 0;
    for (size_t i = 0; i < content->chunk_count; i++) {
        struct vxf_chunk chunk = content->chunks[i];
        size_t first = row;
        uint32_t from = chunk.host;
        while (row < content->row_count && content->rows[row].host - chunk.host < chunk.size) {
            const struct vxf_row *r = &content->rows[row++];
            if (r->host < from)
                return "fault-map rows are not sorted";
            if (r->kind > VXF_ROW_NONE || (r->kind == VXF_ROW_NONE && (r->guest || r->esp_delta)))
                return "a fault-map row is malformed";
            from = r->host;
        }
        if (row - first > chunk.size)
            return "a chunk has more fault-map rows than bytes";
    }
    return row == content->row_count ? NULL : "fault-map rows are not sorted, or outside chunks";
}

static const char *check_relocs(const struct vxf_content *content)
{
    size_t reloc = 0;
    for (size_t i = 0; i < content->chunk_count; i++) {
        struct vxf_chunk chunk = content->chunks[i];
        uint32_t from = chunk.host;
        while (reloc < content->reloc_count &&
               content->relocs[reloc].host - chunk.host < chunk.size) {
            uint32_t host = content->relocs[reloc++].host;
            if (host < from)
                return "relocations are not sorted, or overlap";
            if (host - chunk.host > chunk.size - VXI_RELOC_FIELD_BYTES ||
                chunk.size < VXI_RELOC_FIELD_BYTES)
                return "a relocated field leaves its chunk";
            from = host + VXI_RELOC_FIELD_BYTES;
        }
    }
    return reloc == content->reloc_count ? NULL : "relocations are not sorted, or outside chunks";
}

static const char *check_entries(const struct vxf_content *content)
{
    for (size_t i = 1; i < content->entry_count; i++)
        if (content->entries[i].guest <= content->entries[i - 1].guest)
            return "entries are not sorted by guest address, or not unique";
    return vxi_check_entries(content->entries, content->entry_count, content->chunks,
                             content->chunk_count)
               ? "an entry lies outside every chunk"
               : NULL;
}

static const char *check_pages(const struct vxf_content *content)
{
    for (size_t i = 0; i < content->page_count; i++) {
        vx_gaddr guest = content->pages[i].guest;
        if (guest % VX_PAGE_BYTES || (i && guest <= content->pages[i - 1].guest))
            return "guest pages are not aligned, sorted and unique";
    }
    return NULL;
}

vx_status vxi_check_content(const struct vxf_content *content, struct vx_error *error)
{
    static const char *(*const checks[])(const struct vxf_content *) = {
        check_chunks, check_rows, check_relocs, check_entries, check_pages,
    };
    if (content->zone_size > VXF_ZONE_LIMIT || content->meta.guest_size > VXF_GUEST_LIMIT ||
        content->entry_count > VXI_ENTRY_COUNT_LIMIT || content->page_count > VXI_PAGE_COUNT_LIMIT)
        return vxi_fail(error, VX_ERR_TOO_LARGE, 0, "larger than the cache format allows");
    if (content->meta.relocatable > 1)
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "relocatable is not 0 or 1");
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const char *wrong = checks[i](content);
        if (wrong)
            return vxi_fail(error, VX_ERR_ARGUMENT, 0, "cannot write a cache: %s", wrong);
    }
    return VX_OK;
}

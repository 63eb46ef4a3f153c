/*
 * Encoders of the varint-coded arrays, and the byte buffer they write to.
 */
#include <stdlib.h>
#include <string.h>

#include "format/codec.h"

static uint8_t *reserve(struct vxi_buffer *b, size_t size)
{
    if (b->failed)
        return NULL;
    if (size > b->capacity - b->size) {
        size_t capacity = b->capacity * 2 + size + 64;
        uint8_t *bytes = realloc(b->bytes, capacity);
        if (!bytes) {
            b->failed = true;
            return NULL;
        }
        b->bytes = bytes;
        b->capacity = capacity;
    }
    uint8_t *at = b->bytes + b->size;
    b->size += size;
    return at;
}

void vxi_put(struct vxi_buffer *b, const void *bytes, size_t size)
{
    uint8_t *at = size ? reserve(b, size) : NULL;
    if (at)
        memcpy(at, bytes, size);
}

void vxi_put32(struct vxi_buffer *b, uint32_t value)
{
    uint8_t *at = reserve(b, 4);
    if (at)
        vxi_store32(at, value);
}

void vxi_put64(struct vxi_buffer *b, uint64_t value)
{
    vxi_put32(b, (uint32_t)value);
    vxi_put32(b, (uint32_t)(value >> 32));
}

void vxi_put_varint(struct vxi_buffer *b, uint32_t value)
{
    uint8_t *at = reserve(b, 5);
    if (!at)
        return;
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    b->size -= 5 - size;
}

void vxi_encode_entries(struct vxi_buffer *b, const struct vxf_entry *entries, size_t count)
{
    vx_gaddr guest = 0;
    for (size_t i = 0; i < count; i++) {
        vxi_put_varint(b, entries[i].guest - guest);
        guest = entries[i].guest;
    }
    uint32_t host = 0;
    for (size_t i = 0; i < count; i++) {
        vxi_put_varint(b, vxi_zigzag(entries[i].host - host));
        host = entries[i].host;
    }
}

void vxi_encode_pages(struct vxi_buffer *b, const struct vxf_page *pages, size_t count)
{
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        vxi_put_varint(b, pages[i].guest / VX_PAGE_BYTES - number);
        number = pages[i].guest / VX_PAGE_BYTES;
    }
    for (size_t i = 0; i < count; i++)
        vxi_put64(b, pages[i].hash);
}

void vxi_encode_rows(struct vxi_buffer *b, struct vxf_chunk chunk, const struct vxf_row *rows,
                     size_t count)
{
    uint32_t host = chunk.host;
    for (size_t i = 0; i < count; i++) {
        vxi_put_varint(b, (rows[i].host - host) << 1 | rows[i].kind);
        host = rows[i].host;
    }
    vx_gaddr guest = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind != VXF_ROW_INSN)
            continue;
        vxi_put_varint(b, vxi_zigzag(rows[i].guest - guest));
        guest = rows[i].guest;
    }
    uint32_t esp = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind != VXF_ROW_INSN)
            continue;
        vxi_put_varint(b, vxi_zigzag((uint32_t)rows[i].esp_delta - esp));
        esp = (uint32_t)rows[i].esp_delta;
    }
}

void vxi_encode_relocs(struct vxi_buffer *b, struct vxf_chunk chunk,
                       const struct vxf_reloc *relocs, size_t count)
{
    uint32_t host = chunk.host;
    for (size_t i = 0; i < count; i++) {
        vxi_put_varint(b, (relocs[i].host - host) << 1 | relocs[i].negate);
        host = relocs[i].host;
    }
}

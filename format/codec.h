/*
 * Private to format/: the varint codings of entries, pages, fault-map rows and
 * relocations (docs/format.md, "Entries" and following). The decoders trust
 * nothing and check order and ranges; the encoders expect checked content.
 */
#ifndef VX_FORMAT_CODEC_H
#define VX_FORMAT_CODEC_H

#include "format/cache.h"
#include "format/cursor.h"

/* A growing byte buffer; `failed` when memory ran out. Start from zero; free(bytes). */
struct vxi_buffer {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
};
void vxi_put(struct vxi_buffer *b, const void *bytes, size_t size);
void vxi_put32(struct vxi_buffer *b, uint32_t value);
void vxi_put64(struct vxi_buffer *b, uint64_t value);
void vxi_put_varint(struct vxi_buffer *b, uint32_t value);

/* Decoders: fill out[0..count) from all the bytes of the cursor. NULL, or what is wrong. */
const char *vxi_decode_entries(struct vxi_cursor c, struct vxf_entry *out, size_t count);
const char *vxi_decode_pages(struct vxi_cursor c, struct vxf_page *out, size_t count);
const char *vxi_decode_rows(struct vxi_cursor c, struct vxf_chunk chunk, struct vxf_row *out,
                            size_t count);
const char *vxi_decode_relocs(struct vxi_cursor c, struct vxf_chunk chunk, struct vxf_reloc *out,
                              size_t count);

void vxi_encode_entries(struct vxi_buffer *b, const struct vxf_entry *entries, size_t count);
void vxi_encode_pages(struct vxi_buffer *b, const struct vxf_page *pages, size_t count);
void vxi_encode_rows(struct vxi_buffer *b, struct vxf_chunk chunk, const struct vxf_row *rows,
                     size_t count);
void vxi_encode_relocs(struct vxi_buffer *b, struct vxf_chunk chunk,
                       const struct vxf_reloc *relocs, size_t count);

/* NULL if every entry lies in a chunk, else what is wrong. Chunks are sorted. */
const char *vxi_check_entries(const struct vxf_entry *entries, size_t count,
                              const struct vxf_chunk *chunks, size_t chunk_count);

#endif

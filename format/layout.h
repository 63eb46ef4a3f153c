/*
 * Private to format/: the byte layout of docs/format.md as constants, and the
 * pieces that reader and writer share.
 */
#ifndef VX_FORMAT_LAYOUT_H
#define VX_FORMAT_LAYOUT_H

#include "format/cache.h"

#define VXI_MAGIC "\x89VXC\r\n\x1a\n" /* 8 bytes; damaged by any text-mode copy */
#define VXI_HEADER_BYTES 48u
#define VXI_HASHED_FROM 40u /* the file hash covers [40, end); what precedes it has one legal value */
#define VXI_TABLE_ENTRY_BYTES 40u
#define VXI_META_BYTES 72u
#define VXI_INDEX_ENTRY_BYTES 64u
#define VXI_BLOCK_BYTES (128u << 10) /* plain bytes of a block */

#define VXI_CHUNK_COUNT_LIMIT (VXF_ZONE_LIMIT / VX_PAGE_BYTES)
#define VXI_ENTRY_COUNT_LIMIT (1u << 24)
#define VXI_PAGE_COUNT_LIMIT (1u << 20)
#define VXI_RELOC_FIELD_BYTES 4u

/* deflate cannot do better than 258 bytes in 2 bits: a size that claims more is a lie. */
#define VXI_DEFLATE_RATIO 1032u

enum vxi_section {
    VXI_META, VXI_INDEX, VXI_ENTRIES, VXI_PAGES, VXI_CODE, VXI_ROWS, VXI_RELOCS, VXI_GUEST,
    VXI_SECTION_COUNT
}; /* in the file: + 1 */

extern const char *const vxi_section_names[VXI_SECTION_COUNT];

uint64_t vxi_hash64(const void *bytes, size_t size);

static inline uint32_t vxi_page_round(uint32_t size)
{
    return (size + VX_PAGE_BYTES - 1) & ~(VX_PAGE_BYTES - 1);
}

static inline size_t vxi_block_count(uint64_t plain)
{
    return (size_t)((plain + VXI_BLOCK_BYTES - 1) / VXI_BLOCK_BYTES);
}

/* Plain bytes of block i of a section. */
static inline uint32_t vxi_block_plain(uint64_t plain, size_t i)
{
    uint64_t left = plain - (uint64_t)i * VXI_BLOCK_BYTES;
    return left < VXI_BLOCK_BYTES ? (uint32_t)left : VXI_BLOCK_BYTES;
}

#endif

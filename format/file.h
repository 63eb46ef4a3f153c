/*
 * Private to format/: an open cache in memory.
 */
#ifndef VX_FORMAT_FILE_H
#define VX_FORMAT_FILE_H

#include "format/cursor.h"
#include "format/layout.h"

/* The three streams of a chunk. */
enum vxi_blob_kind { VXI_BLOB_CODE, VXI_BLOB_ROWS, VXI_BLOB_RELOCS, VXI_BLOB_KINDS };

struct vxi_blob {
    uint64_t offset; /* in the file */
    uint32_t stored, plain;
    uint32_t count; /* rows or relocations; 0 for code */
    uint64_t hash;
};

struct vxf_file {
    const uint8_t *bytes;
    size_t size;
    size_t section_count;
    struct vxf_section_info sections[VXI_SECTION_COUNT];
    struct vxf_meta meta;
    uint32_t zone_size;
    size_t chunk_count, entry_count, page_count;
    struct vxf_chunk *chunks;
    struct vxi_blob (*blobs)[VXI_BLOB_KINDS];
    struct vxf_entry *entries;
    struct vxf_page *pages;
};

/* Check the layout of a blocked section: a table of stored sizes, then the blocks. */
vx_status vxi_check_blocks(const struct vxf_file *file, enum vxi_section section,
                           struct vx_error *error);
/* Inflate block i of a checked section into dst; `start` is the block's offset in the file. */
bool vxi_read_block(const struct vxf_file *file, enum vxi_section section, size_t i,
                    uint64_t start, uint8_t *dst);
/* Stored size of block i of a checked section, and the file offset of block 0. */
uint32_t vxi_block_stored(const struct vxf_file *file, enum vxi_section section, size_t i);
uint64_t vxi_first_block(const struct vxf_file *file, enum vxi_section section);

#endif

/*
 * Private to format/: an open cache. Either all of its bytes are in memory, or
 * its front is (everything up to the bulk) and the bulk is read from the file when asked for.
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
    const uint8_t *bytes; /* the first `present` bytes of the file */
    size_t present;
    uint64_t size;        /* of the file */
    int fd;               /* for the rest; -1: nothing is missing */
    uint8_t *owned;       /* `bytes`, if they are to be freed */
    uint32_t section_count;
    struct vxf_section_info sections[VXI_SECTION_COUNT];
    uint64_t section_hashes[VXI_SECTION_COUNT];
    struct vxf_meta meta;
    uint32_t zone_size;
    size_t chunk_count, entry_count, page_count;
    struct vxf_chunk *chunks;
    struct vxi_blob (*blobs)[VXI_BLOB_KINDS];
    struct vxf_entry *entries;
    struct vxf_page *pages;
};

/*
 * The bytes [offset, offset + size) of the file: borrowed, or read into memory that
 * the caller frees as *owned (else NULL). NULL if they are not there or cannot be read.
 */
const uint8_t *vxi_file_bytes(const struct vxf_file *file, uint64_t offset, size_t size, uint8_t **owned);

/* The stream at `offset` of the file, stored in `stored` bytes, into dst. False if it cannot be read or does not inflate. */
bool vxi_file_stream(const struct vxf_file *file, uint64_t offset, size_t stored, uint8_t *dst, size_t plain);

/* The stored bytes of a section, its hash checked; to free as above. */
vx_status vxi_section_bytes(const struct vxf_file *file, enum vxi_section section, const uint8_t **bytes,
                            uint8_t **owned, struct vx_error *error);

/* A blocked section: a table of stored sizes, then the blocks. */
struct vxi_blocks {
    const uint8_t *bytes; /* the stored bytes; at least the table */
    uint64_t stored, plain;
    size_t count;
};
/* Check the layout of a section that begins with these bytes: the table is looked at, the blocks are not. */
vx_status vxi_blocks_open(const struct vxf_section_info *info, const uint8_t *bytes, struct vxi_blocks *blocks,
                          struct vx_error *error);
/* Where the blocks begin, and the stored size of block i. */
uint64_t vxi_blocks_start(const struct vxi_blocks *blocks);
uint32_t vxi_block_stored(const struct vxi_blocks *blocks, size_t i);
/* Inflate block i, which starts at `start` of the section's bytes, into dst. All stored bytes must be there. */
bool vxi_read_block(const struct vxi_blocks *blocks, size_t i, uint64_t start, uint8_t *dst);

#endif

/*
 * The .vxc fragment cache: what it holds, its reader and its writer.
 * The byte layout is in docs/format.md.
 *
 * Code lives in a *zone*: up to 1 GiB of host code, a sequence of *chunks*.
 * A chunk starts at a page-aligned zone offset, is inflated, relocated,
 * verified and sealed on its own when first needed, and is padded with hlt
 * to the next page. All offsets called `host` are zone offsets.
 */
#ifndef VX_FORMAT_CACHE_H
#define VX_FORMAT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/types.h"

#define VXF_VERSION 1
#define VXF_ZONE_LIMIT (1u << 30)  /* bytes of host code */
#define VXF_CHUNK_LIMIT (1u << 20) /* bytes of host code in one chunk */
#define VXF_GUEST_LIMIT (1u << 30) /* bytes of guest file */

#define VXF_DEFAULT_LEVEL 6        /* smallest for practical purposes; inflates as fast as the others */

/* A chunk: [host, host + size) of the zone. host is a multiple of VX_PAGE_BYTES. */
struct vxf_chunk {
    uint32_t host;
    uint32_t size; /* bytes of code, 1..VXF_CHUNK_LIMIT, unpadded */
};

/* The code for guest address `guest` may be entered at zone offset `host`. */
struct vxf_entry {
    vx_gaddr guest;
    uint32_t host;
};

/*
 * Fault map row. Rows of a chunk are sorted by host; a row holds from its
 * host offset up to the next row's; of several rows at one offset the last holds. `guest` is the instruction that the
 * host code there stands for; guest ESP = r14d + esp_delta (mod 2^32).
 *
 * VXF_ROW_INSN: at exactly `host`, the whole guest state is that before the
 *   instruction (a boundary: execution may stop and resume here). A fault
 *   anywhere in the row's range leaves the guest state as before the
 *   instruction (for rep: partly done, as the processor leaves it).
 * VXF_ROW_NONE: glue (continuation checks, exit stubs): nothing faults here,
 *   and execution cannot stop here. guest and esp_delta are 0.
 */
enum vxf_row_kind { VXF_ROW_INSN = 0, VXF_ROW_NONE = 1 };
struct vxf_row {
    uint32_t host;
    vx_gaddr guest;
    int32_t esp_delta;
    uint8_t kind;
};

/*
 * Relocation: the 32-bit little-endian field at zone offset `host` holds a guest
 * address for load bias 0 (or its negation): add (or subtract) the bias.
 */
struct vxf_reloc {
    uint32_t host;
    bool negate;
};

/* XXH3-64 of one page of guest code (bytes past the segment's end are zero). */
struct vxf_page {
    vx_gaddr guest; /* page-aligned, before load bias */
    uint64_t hash;
};

/* Everything but the bulk arrays. */
struct vxf_meta {
    uint64_t guest_hash[2];      /* XXH3-128 of the guest file: low, high */
    uint64_t guest_size;         /* bytes of the guest file */
    uint64_t translator_hash;    /* of the translator's own sources, by the build */
    uint32_t contract;           /* VX_CONTRACT_VERSION */
    uint32_t options;            /* translation options: the guest's virtual CPU, VX_CPU_* */
    uint32_t cpu_features;       /* VXV_CPU_* bits that the code needs */
    uint32_t relocatable;        /* 1: any page-aligned load bias; 0: bias must be 0 */
    uint32_t guest_code_bytes;   /* bytes of guest instructions translated, for ratios */
    uint32_t guest_insns;        /* guest instructions translated */
};

/*
 * What a cache holds, for the writer. All arrays are borrowed. entries
 * are sorted by guest, unique; rows sorted by host, each in a chunk; relocs
 * sorted by host; pages sorted by guest.
 */
struct vxf_content {
    struct vxf_meta meta;
    const void *guest; /* guest file bytes, NULL for a detached cache */
    const uint8_t *code; /* zone bytes [0, zone_size) */
    uint32_t zone_size;
    const struct vxf_chunk *chunks;
    size_t chunk_count;
    const struct vxf_entry *entries;
    size_t entry_count;
    const struct vxf_row *rows;
    size_t row_count;
    const struct vxf_reloc *relocs;
    size_t reloc_count;
    const struct vxf_page *pages;
    size_t page_count;
};

/*
 * Write a cache to `path`: temporary file in the same directory, fsync,
 * rename. Path "-" is stdout. level 0..9 (0 = stored, zlib otherwise),
 * threads >= 1; the bytes depend on content and level alone. On failure
 * nothing is left behind and *error (may not be NULL) says why.
 */
vx_status vxf_write(const char *path, const struct vxf_content *content, int level,
                    unsigned threads, struct vx_error *error);

/* An open cache. Immutable after open; all functions below are thread-safe on it. */
struct vxf_file;

/*
 * Open a cache from memory. The bytes are borrowed and must stay unchanged
 * until vxf_close (a private copy: what is read is what was checked). Checks
 * header, whole-file hash, section table, sizes and limits, and decodes
 * metadata, chunk table, entry map; bulk sections are inflated on request.
 * error->offset is a file offset.
 */
vx_status vxf_open(const void *bytes, size_t size, struct vxf_file **out, struct vx_error *error);
/*
 * The same from a file, of which only the front is read now. Code, maps and guest are read when they are asked
 * for, and their hashes checked then, over private copies: a file that changes meanwhile gives an error, never
 * unchecked bytes. The whole-file hash is not looked at. fd is duplicated, and its position left alone.
 */
vx_status vxf_open_fd(int fd, struct vxf_file **out, struct vx_error *error);
void vxf_close(struct vxf_file *file);

const struct vxf_meta *vxf_meta(const struct vxf_file *file);
/* Owned by file. Chunks are sorted, page-aligned and do not overlap once padded to pages. */
const struct vxf_chunk *vxf_chunks(const struct vxf_file *file, size_t *count);
/* Fault-map rows of all chunks. */
uint64_t vxf_row_count(const struct vxf_file *file);
/* Owned by file. Sorted by guest, unique; every host offset is inside a chunk. */
const struct vxf_entry *vxf_entries(const struct vxf_file *file, size_t *count);
/* Owned by file. Sorted, unique. */
const struct vxf_page *vxf_pages(const struct vxf_file *file, size_t *count);
/* Size of the zone in bytes: a multiple of VX_PAGE_BYTES. */
uint32_t vxf_zone_size(const struct vxf_file *file);
bool vxf_has_guest(const struct vxf_file *file);

/* Inflate the guest file into dst (meta.guest_size bytes); checks guest_hash. */
vx_status vxf_read_guest(const struct vxf_file *file, void *dst, struct vx_error *error);
/* Inflate the code of one chunk into dst (chunk.size bytes) and apply its relocations. */
vx_status vxf_read_code(const struct vxf_file *file, size_t chunk, vx_gaddr bias, void *dst,
                        struct vx_error *error);
/* Decode the fault map of one chunk; *rows is malloc'd, the caller frees it.
 * guest addresses are before load bias. */
vx_status vxf_read_rows(const struct vxf_file *file, size_t chunk, struct vxf_row **rows,
                        size_t *count, struct vx_error *error);
/* Relocations of one chunk (zone offsets); *relocs is malloc'd, the caller frees it. */
vx_status vxf_read_relocs(const struct vxf_file *file, size_t chunk, struct vxf_reloc **relocs,
                          size_t *count, struct vx_error *error);

/* Section listing for `vxc info`: index from 0; false past the end. */
struct vxf_section_info {
    const char *name;
    uint64_t offset, stored_bytes, plain_bytes;
};
bool vxf_section(const struct vxf_file *file, size_t index, struct vxf_section_info *out);

/* XXH3-128 of bytes, low then high. */
void vxf_hash128(const void *bytes, size_t size, uint64_t out[2]);
/* The same of a file's first bytes, `size` of them. VX_ERR_IO: it has not so many, or cannot be read; VX_ERR_MEMORY. */
vx_status vxf_hash128_file(int fd, uint64_t size, uint64_t out[2]);
/* Hash of one page for struct vxf_page: bytes (size <= 4096), zero-extended to a page. */
uint64_t vxf_hash_page(const void *bytes, size_t size);

#endif

/*
 * What an open cache holds: accessors, and the bulk inflated on request, one chunk
 * or one guest block at a time.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/codec.h"
#include "format/error.h"
#include "format/file.h"
#include "format/parallel.h"
#include "format/stream.h"

#define GUEST_THREADS 4u

const struct vxf_meta *vxf_meta(const struct vxf_file *file)
{
    return &file->meta;
}

const struct vxf_chunk *vxf_chunks(const struct vxf_file *file, size_t *count)
{
    *count = file->chunk_count;
    return file->chunks;
}

uint64_t vxf_row_count(const struct vxf_file *file)
{
    uint64_t count = 0;
    for (size_t i = 0; i < file->chunk_count; i++)
        count += file->blobs[i][VXI_BLOB_ROWS].count;
    return count;
}

const struct vxf_entry *vxf_entries(const struct vxf_file *file, size_t *count)
{
    *count = file->entry_count;
    return file->entries;
}

const struct vxf_page *vxf_pages(const struct vxf_file *file, size_t *count)
{
    *count = file->page_count;
    return file->pages;
}

uint32_t vxf_zone_size(const struct vxf_file *file)
{
    return file->zone_size;
}

bool vxf_has_guest(const struct vxf_file *file)
{
    return file->section_count == VXI_SECTION_COUNT;
}

bool vxf_section(const struct vxf_file *file, size_t index, struct vxf_section_info *out)
{
    if (index >= file->section_count)
        return false;
    *out = file->sections[index];
    return true;
}

struct guest_job {
    const struct vxf_file *file;
    const struct vxi_blocks *blocks;
    const uint64_t *starts; /* file offsets */
    uint8_t *dst;
};

static bool read_guest_block(void *arg, size_t i)
{
    const struct guest_job *job = arg;
    return vxi_file_stream(job->file, job->starts[i], vxi_block_stored(job->blocks, i),
                           job->dst + i * VXI_BLOCK_BYTES, vxi_block_plain(job->blocks->plain, i));
}

static vx_status read_guest_blocks(const struct vxf_file *file, const struct vxi_blocks *blocks, uint8_t *dst,
                                   struct vx_error *error)
{
    uint64_t offset = file->sections[VXI_GUEST].offset, start = offset + vxi_blocks_start(blocks);
    bool is_plain = blocks->stored - vxi_blocks_start(blocks) == blocks->plain;
    uint64_t *starts = malloc((blocks->count + 1) * sizeof *starts);
    if (!starts)
        return vxi_fail(error, VX_ERR_MEMORY, offset, "no memory to inflate the guest");
    for (size_t i = 0; i < blocks->count; i++) {
        starts[i] = start;
        start += vxi_block_stored(blocks, i);
    }
    struct guest_job job = {.file = file, .blocks = blocks, .starts = starts, .dst = dst};
    long cpus = is_plain ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = cpus < 1 ? 1 : cpus > (long)GUEST_THREADS ? GUEST_THREADS : (unsigned)cpus;
    bool good = vxi_parallel(threads, blocks->count, read_guest_block, &job);
    free(starts);
    return good ? VX_OK : vxi_fail(error, VX_ERR_VXC_INFLATE, offset, "section guest does not inflate");
}

vx_status vxf_read_guest(const struct vxf_file *file, void *dst, struct vx_error *error)
{
    if (!vxf_has_guest(file))
        return vxi_fail(error, VX_ERR_VXC_NO_GUEST, 0, "the cache was made without its guest");
    const struct vxf_section_info *info = &file->sections[VXI_GUEST];
    struct vxi_blocks blocks = {0};
    uint8_t *owned;
    const uint8_t *table = vxi_file_bytes(file, info->offset, vxi_block_count(info->plain_bytes) * 4, &owned);
    vx_status status = table ? vxi_blocks_open(info, table, &blocks, error)
                             : vxi_fail(error, VX_ERR_IO, info->offset, "cannot read section guest");
    if (status == VX_OK)
        status = read_guest_blocks(file, &blocks, dst, error);
    free(owned);
    if (status != VX_OK)
        return status;

    /* stronger than the section's hash, and over what is used */
    uint64_t hash[2];
    vxf_hash128(dst, (size_t)file->meta.guest_size, hash);
    if (hash[0] != file->meta.guest_hash[0] || hash[1] != file->meta.guest_hash[1])
        return vxi_fail(error, VX_ERR_VXC_GUEST, info->offset, "guest differs from the guest hash");
    return vxi_succeed(error);
}

/* Check the hash of one stream of a chunk and inflate it into dst. */
static vx_status read_blob(const struct vxf_file *file, size_t chunk, enum vxi_blob_kind kind,
                           uint8_t *dst, struct vx_error *error)
{
    const struct vxi_blob *blob = &file->blobs[chunk][kind];
    const char *name = vxi_section_names[VXI_CODE + kind];
    uint8_t *owned;
    const uint8_t *src = vxi_file_bytes(file, blob->offset, blob->stored, &owned);
    vx_status status = VX_OK;
    if (!src)
        status = vxi_fail(error, VX_ERR_IO, blob->offset, "cannot read the %s of chunk %zu", name, chunk);
    else if (vxi_hash64(src, blob->stored) != blob->hash)
        status = vxi_fail(error, VX_ERR_VXC_SECTION_HASH, blob->offset,
                          "hash of the %s of chunk %zu does not match", name, chunk);
    else if (!vxi_inflate(src, blob->stored, dst, blob->plain))
        status = vxi_fail(error, VX_ERR_VXC_INFLATE, blob->offset,
                          "%s of chunk %zu does not inflate", name, chunk);
    free(owned);
    return status;
}

/* Inflate a stream into malloc'd *bytes, and allocate `count` elements for its decoded form. */
static vx_status read_array(const struct vxf_file *file, size_t chunk, enum vxi_blob_kind kind,
                            size_t element, uint8_t **bytes, void **array, struct vx_error *error)
{
    *array = *bytes = NULL;
    if (chunk >= file->chunk_count)
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "there is no chunk %zu", chunk);
    const struct vxi_blob *blob = &file->blobs[chunk][kind];
    *bytes = malloc(blob->plain + 1u);
    *array = malloc((blob->count + 1u) * element);
    vx_status status = !*bytes || !*array
                           ? vxi_fail(error, VX_ERR_MEMORY, blob->offset, "no memory for a chunk")
                           : read_blob(file, chunk, kind, *bytes, error);
    if (status != VX_OK) {
        free(*bytes);
        free(*array);
        *array = *bytes = NULL;
    }
    return status;
}

vx_status vxf_read_rows(const struct vxf_file *file, size_t chunk, struct vxf_row **rows,
                        size_t *count, struct vx_error *error)
{
    uint8_t *bytes;
    void *array;
    *rows = NULL;
    *count = 0;
    vx_status status = read_array(file, chunk, VXI_BLOB_ROWS, sizeof **rows, &bytes, &array, error);
    if (status != VX_OK)
        return status;
    const struct vxi_blob *blob = &file->blobs[chunk][VXI_BLOB_ROWS];
    const char *wrong = vxi_decode_rows(vxi_cursor(bytes, blob->plain), file->chunks[chunk], array,
                                        blob->count);
    free(bytes);
    if (wrong) {
        free(array);
        return vxi_fail(error, VX_ERR_VXC_FAULTMAP, blob->offset, "fault map of chunk %zu: %s",
                        chunk, wrong);
    }
    *rows = array;
    *count = blob->count;
    return vxi_succeed(error);
}

vx_status vxf_read_relocs(const struct vxf_file *file, size_t chunk, struct vxf_reloc **relocs,
                          size_t *count, struct vx_error *error)
{
    uint8_t *bytes;
    void *array;
    *relocs = NULL;
    *count = 0;
    vx_status status = read_array(file, chunk, VXI_BLOB_RELOCS, sizeof **relocs, &bytes, &array,
                                  error);
    if (status != VX_OK)
        return status;
    const struct vxi_blob *blob = &file->blobs[chunk][VXI_BLOB_RELOCS];
    const char *wrong = vxi_decode_relocs(vxi_cursor(bytes, blob->plain), file->chunks[chunk],
                                          array, blob->count);
    free(bytes);
    if (wrong) {
        free(array);
        return vxi_fail(error, VX_ERR_VXC_RELOC, blob->offset, "relocations of chunk %zu: %s",
                        chunk, wrong);
    }
    *relocs = array;
    *count = blob->count;
    return vxi_succeed(error);
}

/* Fields were checked to lie inside the chunk, apart from each other. */
static void relocate(uint8_t *code, uint32_t host, const struct vxf_reloc *relocs, size_t count,
                     vx_gaddr bias)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *field = code + (relocs[i].host - host);
        uint32_t value = vxi_load32(field);
        vxi_store32(field, relocs[i].negate ? value - bias : value + bias);
    }
}

vx_status vxf_read_code(const struct vxf_file *file, size_t chunk, vx_gaddr bias, void *dst,
                        struct vx_error *error)
{
    if (chunk >= file->chunk_count)
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "there is no chunk %zu", chunk);
    if (bias % VX_PAGE_BYTES || (bias && !file->meta.relocatable))
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "the code cannot be moved by 0x%x", bias);
    vx_status status = read_blob(file, chunk, VXI_BLOB_CODE, dst, error);
    if (status != VX_OK || !bias)
        return status == VX_OK ? vxi_succeed(error) : status;
    struct vxf_reloc *relocs;
    size_t count;
    status = vxf_read_relocs(file, chunk, &relocs, &count, error);
    if (status != VX_OK)
        return status;
    relocate(dst, file->chunks[chunk].host, relocs, count, bias);
    free(relocs);
    return VX_OK;
}

/*
 * Opening a cache: header, file hash, section table, section hashes, then
 * metadata, chunk index, entries and pages. Trusts no byte. The bulk
 * (code, rows, relocations, guest) is only measured here; load.c inflates it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/codec.h"
#include "format/error.h"
#include "format/file.h"
#include "format/stream.h"

const char *const vxi_section_names[VXI_SECTION_COUNT] = {
    "meta", "index", "entries", "pages", "code", "rows", "relocs", "guest",
};

#define TABLE_END (VXI_HEADER_BYTES + VXI_SECTION_COUNT * VXI_TABLE_ENTRY_BYTES)

/* Everything before the hashed bytes has exactly one legal value. */
static vx_status check_header(struct vxf_file *file, struct vx_error *error)
{
    struct vxi_cursor c = vxi_cursor(file->bytes, file->present);
    const uint8_t *magic = vxi_take(&c, sizeof VXI_MAGIC - 1);
    if (!magic || memcmp(magic, VXI_MAGIC, sizeof VXI_MAGIC - 1) != 0)
        return vxi_fail(error, VX_ERR_VXC_MAGIC, 0, file->size ? "no .vxc header at its start" : "the file is empty");
    uint32_t version = vxi_u32(&c), reserved = vxi_u32(&c);
    uint64_t size = vxi_u64(&c), hash[2], expected[2];
    expected[0] = vxi_u64(&c);
    expected[1] = vxi_u64(&c);
    if (c.bad)
        return vxi_fail(error, VX_ERR_VXC_TRUNCATED, file->size, "file ends inside its header");
    if (version != VXF_VERSION)
        return vxi_fail(error, VX_ERR_VXC_VERSION, 8, "format version %" PRIu32 ", known is %d",
                        version, VXF_VERSION);
    if (reserved)
        return vxi_fail(error, VX_ERR_VXC_RESERVED, 12, "reserved field of the header is not 0");
    if (size > file->size)
        return vxi_fail(error, VX_ERR_VXC_TRUNCATED, file->size,
                        "file has %" PRIu64 " bytes, its header says %" PRIu64, file->size, size);
    if (size < file->size || size < VXI_HEADER_BYTES)
        return vxi_fail(error, VX_ERR_VXC_HEADER, 16,
                        "file has %" PRIu64 " bytes, its header says %" PRIu64, file->size, size);
    /* With the file's bytes at hand all are checked; else each section, or chunk, when it is read. */
    if (file->fd < 0) {
        vxf_hash128(file->bytes + VXI_HASHED_FROM, file->present - VXI_HASHED_FROM, hash);
        if (hash[0] != expected[0] || hash[1] != expected[1])
            return vxi_fail(error, VX_ERR_VXC_HASH, 24, "header %016" PRIx64 "%016" PRIx64 ", contents %016" PRIx64 "%016" PRIx64,
                            expected[1], expected[0], hash[1], hash[0]);
    }
    uint32_t count = vxi_u32(&c);
    reserved = vxi_u32(&c);
    if (count != VXI_SECTION_COUNT && count != VXI_SECTION_COUNT - 1)
        return vxi_fail(error, VX_ERR_VXC_SECTION, 40, "%" PRIu32 " sections", count);
    if (reserved)
        return vxi_fail(error, VX_ERR_VXC_RESERVED, 44, "reserved field of the header is not 0");
    file->section_count = count;
    return VX_OK;
}

/* Plain bytes of the sections that opening reads whole: nothing is read, or allocated, before these are known. */
static const uint64_t front_limits[VXI_CODE] = {
    [VXI_META] = VXI_META_BYTES,
    [VXI_INDEX] = (uint64_t)VXI_CHUNK_COUNT_LIMIT * VXI_INDEX_ENTRY_BYTES,
    [VXI_ENTRIES] = (uint64_t)VXI_ENTRY_COUNT_LIMIT * 10,
    [VXI_PAGES] = (uint64_t)VXI_PAGE_COUNT_LIMIT * 13,
};

static vx_status check_front(size_t section, const struct vxf_section_info *info, struct vx_error *error)
{
    if (section >= VXI_CODE)
        return VX_OK;
    if (info->plain_bytes > front_limits[section])
        return vxi_fail(error, VX_ERR_VXC_LIMIT, info->offset, "section %s is too large", info->name);
    /* a block is never larger stored than plain, and has 4 bytes in its section's table */
    if (info->stored_bytes > info->plain_bytes + 4 * vxi_block_count(info->plain_bytes))
        return vxi_fail(error, VX_ERR_VXC_SECTION, info->offset, "section %s is larger than its contents", info->name);
    return VX_OK;
}

/* Sections follow each other without gaps, in the order of their kinds. */
static vx_status read_table(struct vxf_file *file, struct vx_error *error)
{
    uint64_t end = VXI_HEADER_BYTES + file->section_count * VXI_TABLE_ENTRY_BYTES;
    struct vxi_cursor c = vxi_cursor_at(file->bytes, file->present, VXI_HEADER_BYTES,
                                        end - VXI_HEADER_BYTES);
    for (size_t i = 0; i < file->section_count; i++) {
        struct vxf_section_info *info = &file->sections[i];
        uint64_t at = VXI_HEADER_BYTES + i * VXI_TABLE_ENTRY_BYTES;
        uint32_t kind = vxi_u32(&c), reserved = vxi_u32(&c);
        info->name = vxi_section_names[i];
        info->offset = vxi_u64(&c);
        info->stored_bytes = vxi_u64(&c);
        info->plain_bytes = vxi_u64(&c);
        file->section_hashes[i] = vxi_u64(&c);
        if (c.bad || kind != i + 1)
            return vxi_fail(error, VX_ERR_VXC_SECTION, at, "section %zu has the wrong kind", i + 1);
        if (reserved)
            return vxi_fail(error, VX_ERR_VXC_RESERVED, at + 4, "reserved field of section %s",
                            info->name);
        if (info->offset != end || end > file->size || info->stored_bytes > file->size - end)
            return vxi_fail(error, VX_ERR_VXC_SECTION, at + 8,
                            "section %s does not follow the one before it", info->name);
        vx_status status = check_front(i, info, error);
        if (status != VX_OK)
            return status;
        end += info->stored_bytes;
    }
    if (end != file->size)
        return vxi_fail(error, VX_ERR_VXC_SECTION, end, "bytes after the last section");
    return VX_OK;
}

/* Of a file: all that opening looks at, in one piece. */
static vx_status read_front(struct vxf_file *file, struct vx_error *error)
{
    uint64_t front = file->sections[VXI_CODE].offset;
    uint8_t *owned;
    if (front <= file->present)
        return VX_OK;
    const uint8_t *bytes = vxi_file_bytes(file, 0, (size_t)front, &owned);
    if (!bytes)
        return vxi_fail(error, VX_ERR_IO, file->present, "cannot read the file");
    free(file->owned);
    file->bytes = file->owned = owned;
    file->present = (size_t)front;
    return VX_OK;
}

/* Of what is in memory, but for the sections that are read at opening: those are checked then. */
static vx_status check_bulk(struct vxf_file *file, struct vx_error *error)
{
    for (size_t i = VXI_CODE; file->fd < 0 && i < file->section_count; i++) {
        const uint8_t *bytes;
        uint8_t *owned;
        vx_status status = vxi_section_bytes(file, (enum vxi_section)i, &bytes, &owned, error);
        free(owned);
        if (status != VX_OK)
            return status;
    }
    return VX_OK;
}

/* Plain bytes of a section: inflated, or the file's own. */
struct plain {
    const uint8_t *bytes;
    size_t size;
    uint8_t *stored, *inflated; /* to free */
};

static void free_plain(struct plain *plain)
{
    free(plain->stored);
    free(plain->inflated);
}

static vx_status inflate_blocks(const struct vxf_section_info *info, const struct vxi_blocks *blocks,
                                struct plain *out, struct vx_error *error)
{
    uint64_t start = vxi_blocks_start(blocks);
    out->bytes = out->inflated = malloc(out->size);
    if (!out->inflated)
        return vxi_fail(error, VX_ERR_MEMORY, info->offset, "no memory for section %s",
                        info->name);
    for (size_t i = 0; i < blocks->count; i++) {
        if (!vxi_read_block(blocks, i, start, out->inflated + i * VXI_BLOCK_BYTES))
            return vxi_fail(error, VX_ERR_VXC_INFLATE, info->offset + start, "block %zu of section %s", i,
                            info->name);
        start += vxi_block_stored(blocks, i);
    }
    return VX_OK;
}

/* The plain bytes of a whole blocked section. free_plain in any case. */
static vx_status read_blocked(const struct vxf_file *file, enum vxi_section section, struct plain *out,
                              struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[section];
    struct vxi_blocks blocks;
    const uint8_t *bytes;
    *out = (struct plain){0};
    vx_status status = vxi_section_bytes(file, section, &bytes, &out->stored, error);
    if (status == VX_OK)
        status = vxi_blocks_open(info, bytes, &blocks, error);
    if (status != VX_OK)
        return status;
    out->size = (size_t)info->plain_bytes;
    uint64_t start = vxi_blocks_start(&blocks);
    if (blocks.stored - start != out->size)
        return inflate_blocks(info, &blocks, out, error);
    /* every block is stored, so the plain bytes lie in one piece */
    out->bytes = bytes + start;
    return VX_OK;
}

/* Metadata and the three counts, each within its limit. */
static vx_status parse_meta(struct vxf_file *file, const struct plain *plain,
                             struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[VXI_META];
    struct vxf_meta *meta = &file->meta;
    struct vxi_cursor c = vxi_cursor(plain->bytes, plain->size);
    meta->guest_hash[0] = vxi_u64(&c);
    meta->guest_hash[1] = vxi_u64(&c);
    meta->guest_size = vxi_u64(&c);
    meta->translator_hash = vxi_u64(&c);
    meta->contract = vxi_u32(&c);
    meta->options = vxi_u32(&c);
    meta->cpu_features = vxi_u32(&c);
    meta->relocatable = vxi_u32(&c);
    meta->guest_code_bytes = vxi_u32(&c);
    meta->guest_insns = vxi_u32(&c);
    file->chunk_count = vxi_u32(&c);
    file->entry_count = vxi_u32(&c);
    file->page_count = vxi_u32(&c);
    uint32_t reserved = vxi_u32(&c);
    if (!vxi_at_end(&c))
        return vxi_fail(error, VX_ERR_VXC_META, info->offset, "metadata has the wrong size");
    if (meta->relocatable > 1)
        return vxi_fail(error, VX_ERR_VXC_META, info->offset, "field relocatable is not 0 or 1");
    if (reserved)
        return vxi_fail(error, VX_ERR_VXC_RESERVED, info->offset, "reserved field of metadata");
    if (meta->guest_size > VXF_GUEST_LIMIT || file->chunk_count > VXI_CHUNK_COUNT_LIMIT ||
        file->entry_count > VXI_ENTRY_COUNT_LIMIT || file->page_count > VXI_PAGE_COUNT_LIMIT)
        return vxi_fail(error, VX_ERR_VXC_LIMIT, info->offset,
                        "guest size or a count exceeds its limit");
    if (vxf_has_guest(file) && file->sections[VXI_GUEST].plain_bytes != meta->guest_size)
        return vxi_fail(error, VX_ERR_VXC_META, info->offset,
                        "guest size differs from that of section guest");
    return VX_OK;
}

static vx_status read_meta(struct vxf_file *file, struct vx_error *error)
{
    struct plain plain;
    vx_status status = read_blocked(file, VXI_META, &plain, error);
    if (status == VX_OK)
        status = parse_meta(file, &plain, error);
    free_plain(&plain);
    return status;
}

static bool blob_ok(const struct vxi_blob *b, uint32_t count_limit, uint32_t least, uint32_t most)
{
    return b->count <= count_limit && vxi_stream_sizes_ok(b->stored, b->plain) &&
           b->plain >= (uint64_t)b->count * least && b->plain <= (uint64_t)b->count * most;
}

/* One index entry. `free_from` is the first zone offset after the chunks before. */
static vx_status read_index_entry(struct vxf_file *file, struct vxi_cursor *c, size_t i,
                                  uint32_t free_from, struct vx_error *error)
{
    struct vxf_chunk *chunk = &file->chunks[i];
    struct vxi_blob *code = &file->blobs[i][VXI_BLOB_CODE];
    struct vxi_blob *rows = &file->blobs[i][VXI_BLOB_ROWS];
    struct vxi_blob *relocs = &file->blobs[i][VXI_BLOB_RELOCS];
    uint64_t at = file->sections[VXI_INDEX].offset;

    chunk->host = vxi_u32(c);
    chunk->size = code->plain = vxi_u32(c);
    code->stored = vxi_u32(c);
    rows->count = vxi_u32(c);
    rows->plain = vxi_u32(c);
    rows->stored = vxi_u32(c);
    relocs->count = vxi_u32(c);
    relocs->plain = vxi_u32(c);
    relocs->stored = vxi_u32(c);
    uint32_t reserved = vxi_u32(c);
    for (int kind = 0; kind < VXI_BLOB_KINDS; kind++)
        file->blobs[i][kind].hash = vxi_u64(c);

    if (c->bad)
        return vxi_fail(error, VX_ERR_VXC_CHUNK, at, "chunk table ends early");
    if (reserved)
        return vxi_fail(error, VX_ERR_VXC_RESERVED, at, "reserved field of chunk %zu", i);
    if (chunk->size > VXF_CHUNK_LIMIT || chunk->host > VXF_ZONE_LIMIT ||
        chunk->size > VXF_ZONE_LIMIT - chunk->host)
        return vxi_fail(error, VX_ERR_VXC_LIMIT, at, "chunk %zu exceeds a limit", i);
    if (!chunk->size || chunk->host % VX_PAGE_BYTES || chunk->host < free_from)
        return vxi_fail(error, VX_ERR_VXC_CHUNK, at, "chunk %zu is misplaced or empty", i);
    if (!vxi_stream_sizes_ok(code->stored, code->plain) ||
        !blob_ok(rows, chunk->size, 1, 15) ||
        !blob_ok(relocs, chunk->size / VXI_RELOC_FIELD_BYTES, 1, 5))
        return vxi_fail(error, VX_ERR_VXC_CHUNK, at, "impossible sizes of chunk %zu", i);
    return VX_OK;
}

/* Streams of one kind follow each other and fill their section. */
static vx_status place_blobs(struct vxf_file *file, int kind, struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[VXI_CODE + kind];
    uint64_t stored = 0, plain = 0;
    for (size_t i = 0; i < file->chunk_count; i++) {
        struct vxi_blob *blob = &file->blobs[i][kind];
        blob->offset = info->offset + stored;
        stored += blob->stored;
        plain += blob->plain;
    }
    if (stored != info->stored_bytes || plain != info->plain_bytes)
        return vxi_fail(error, VX_ERR_VXC_CHUNK, info->offset,
                        "chunk table and section %s differ in size", info->name);
    return VX_OK;
}

static vx_status parse_index(struct vxf_file *file, const struct plain *plain,
                             struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[VXI_INDEX];
    struct vxi_cursor c = vxi_cursor(plain->bytes, plain->size);
    if (info->plain_bytes != (uint64_t)file->chunk_count * VXI_INDEX_ENTRY_BYTES)
        return vxi_fail(error, VX_ERR_VXC_CHUNK, info->offset, "chunk table has the wrong size");
    file->chunks = calloc(file->chunk_count + 1, sizeof *file->chunks);
    file->blobs = calloc(file->chunk_count + 1, sizeof *file->blobs);
    if (!file->chunks || !file->blobs)
        return vxi_fail(error, VX_ERR_MEMORY, info->offset, "no memory for the chunk table");
    for (size_t i = 0; i < file->chunk_count; i++) {
        vx_status status = read_index_entry(file, &c, i, file->zone_size, error);
        if (status != VX_OK)
            return status;
        file->zone_size = file->chunks[i].host + vxi_page_round(file->chunks[i].size);
    }
    for (int kind = 0; kind < VXI_BLOB_KINDS; kind++) {
        vx_status status = place_blobs(file, kind, error);
        if (status != VX_OK)
            return status;
    }
    return VX_OK;
}

static vx_status read_index(struct vxf_file *file, struct vx_error *error)
{
    struct plain plain;
    vx_status status = read_blocked(file, VXI_INDEX, &plain, error);
    if (status == VX_OK)
        status = parse_index(file, &plain, error);
    free_plain(&plain);
    return status;
}

static vx_status parse_entries(struct vxf_file *file, const struct plain *plain,
                             struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[VXI_ENTRIES];
    if (info->plain_bytes < (uint64_t)file->entry_count * 2)
        return vxi_fail(error, VX_ERR_VXC_ENTRY, info->offset, "entry map ends early");
    file->entries = malloc((file->entry_count + 1) * sizeof *file->entries);
    if (!file->entries)
        return vxi_fail(error, VX_ERR_MEMORY, info->offset, "no memory for the entry map");
    const char *wrong = vxi_decode_entries(vxi_cursor(plain->bytes, plain->size),
                                           file->entries, file->entry_count);
    if (!wrong)
        wrong = vxi_check_entries(file->entries, file->entry_count, file->chunks,
                                  file->chunk_count);
    return wrong ? vxi_fail(error, VX_ERR_VXC_ENTRY, info->offset, "entry map: %s", wrong) : VX_OK;
}

static vx_status read_entries(struct vxf_file *file, struct vx_error *error)
{
    struct plain plain;
    vx_status status = read_blocked(file, VXI_ENTRIES, &plain, error);
    if (status == VX_OK)
        status = parse_entries(file, &plain, error);
    free_plain(&plain);
    return status;
}

static vx_status parse_pages(struct vxf_file *file, const struct plain *plain,
                             struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[VXI_PAGES];
    if (info->plain_bytes < (uint64_t)file->page_count * 9)
        return vxi_fail(error, VX_ERR_VXC_PAGES, info->offset, "page table ends early");
    file->pages = malloc((file->page_count + 1) * sizeof *file->pages);
    if (!file->pages)
        return vxi_fail(error, VX_ERR_MEMORY, info->offset, "no memory for the page table");
    const char *wrong = vxi_decode_pages(vxi_cursor(plain->bytes, plain->size),
                                         file->pages, file->page_count);
    return wrong ? vxi_fail(error, VX_ERR_VXC_PAGES, info->offset, "page table: %s", wrong) : VX_OK;
}

static vx_status read_pages(struct vxf_file *file, struct vx_error *error)
{
    struct plain plain;
    vx_status status = read_blocked(file, VXI_PAGES, &plain, error);
    if (status == VX_OK)
        status = parse_pages(file, &plain, error);
    free_plain(&plain);
    return status;
}

/* The guest's block table, where its bytes are at hand; else it is checked when the guest is read. */
static vx_status check_guest(struct vxf_file *file, struct vx_error *error)
{
    struct vxi_blocks blocks;
    const struct vxf_section_info *info = &file->sections[VXI_GUEST];
    if (file->fd >= 0 || !vxf_has_guest(file))
        return VX_OK;
    return vxi_blocks_open(info, file->bytes + info->offset, &blocks, error);
}

/* Takes over file. */
static vx_status open_file(struct vxf_file *file, struct vxf_file **out, struct vx_error *error)
{
    static vx_status (*const steps[])(struct vxf_file *, struct vx_error *) = {
        check_header, read_table, read_front, check_bulk, read_meta, read_index, read_entries, read_pages, check_guest,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        vx_status status = steps[i](file, error);
        if (status != VX_OK) {
            vxf_close(file);
            return status;
        }
    }
    *out = file;
    return vxi_succeed(error);
}

vx_status vxf_open(const void *bytes, size_t size, struct vxf_file **out, struct vx_error *error)
{
    *out = NULL;
    struct vxf_file *file = calloc(1, sizeof *file);
    if (!file)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "no memory to open a cache");
    file->bytes = bytes;
    file->present = file->size = size;
    file->fd = -1;
    return open_file(file, out, error);
}

vx_status vxf_open_fd(int fd, struct vxf_file **out, struct vx_error *error)
{
    struct stat info;
    *out = NULL;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return vxi_fail(error, VX_ERR_IO, 0, "not a regular file");
    struct vxf_file *file = calloc(1, sizeof *file);
    if (!file)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "no memory to open a cache");
    file->size = (uint64_t)info.st_size;
    file->fd = -1;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    size_t front = file->size < TABLE_END ? (size_t)file->size : TABLE_END;
    if (copy >= 0) {
        file->fd = copy;
        file->bytes = front ? vxi_file_bytes(file, 0, front, &file->owned) : NULL;
    }
    if (copy < 0 || (front && !file->bytes)) {
        vxf_close(file);
        return vxi_fail(error, VX_ERR_IO, 0, "cannot read the file");
    }
    file->present = front;
    return open_file(file, out, error);
}

void vxf_close(struct vxf_file *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    free(file->owned);
    free(file->chunks);
    free(file->blobs);
    free(file->entries);
    free(file->pages);
    free(file);
}

/*
 * The writer: encodes and compresses the parts of a cache in parallel, then puts them
 * together in one order. The bytes depend on content and level alone.
 */
#include <stdlib.h>
#include <string.h>

#include "format/check.h"
#include "format/codec.h"
#include "format/error.h"
#include "format/layout.h"
#include "format/parallel.h"
#include "format/save.h"
#include "format/stream.h"

struct packed {
    uint8_t *bytes; /* malloc'd */
    size_t stored;
    uint32_t plain, count;
};

/* The rows and relocations of a chunk inside the content's arrays, and its streams. */
struct chunk_job {
    size_t first_row, row_count, first_reloc, reloc_count;
    struct packed code, rows, relocs;
};

/* A section in blocks: its plain bytes and the packed blocks. */
struct blocked {
    const uint8_t *plain;
    size_t size, count;
    int level;
    struct packed *blocks;
};

struct writer {
    const struct vxf_content *content;
    int level;
    struct chunk_job *chunks;
    struct blocked meta, index, entries, pages, guest;
    struct vxi_buffer meta_bytes, index_bytes, entry_bytes, page_bytes;
    struct vxi_buffer file;
};

static bool pack(struct packed *out, const uint8_t *plain, size_t size, int level)
{
    out->plain = (uint32_t)size;
    return vxi_deflate(plain, size, level, &out->bytes, &out->stored);
}

static bool pack_buffer(struct packed *out, struct vxi_buffer *b, size_t count, int level)
{
    bool good = !b->failed && pack(out, b->bytes, b->size, level);
    out->count = (uint32_t)count;
    free(b->bytes);
    return good;
}

static bool pack_chunk(void *arg, size_t i)
{
    struct writer *w = arg;
    const struct vxf_content *content = w->content;
    struct chunk_job *job = &w->chunks[i];
    struct vxf_chunk chunk = content->chunks[i];
    struct vxi_buffer rows = {0}, relocs = {0};
    if (job->row_count)
        vxi_encode_rows(&rows, chunk, &content->rows[job->first_row], job->row_count);
    if (job->reloc_count)
        vxi_encode_relocs(&relocs, chunk, &content->relocs[job->first_reloc], job->reloc_count);
    bool good = pack_buffer(&job->rows, &rows, job->row_count, w->level);
    good &= pack_buffer(&job->relocs, &relocs, job->reloc_count, w->level);
    return good && pack(&job->code, content->code + chunk.host, chunk.size, w->level);
}

static bool pack_block(void *arg, size_t i)
{
    struct blocked *section = arg;
    return pack(&section->blocks[i], section->plain + i * VXI_BLOCK_BYTES,
                vxi_block_plain(section->size, i), section->level);
}

static bool pack_blocked(struct blocked *section, const void *plain, size_t size, int level,
                         unsigned threads)
{
    section->plain = plain;
    section->size = size;
    section->level = level;
    section->count = vxi_block_count(size);
    section->blocks = calloc(section->count + 1, sizeof *section->blocks);
    return section->blocks && vxi_parallel(threads, section->count, pack_block, section);
}

static bool pack_encoded(struct blocked *section, const struct vxi_buffer *b, int level,
                         unsigned threads)
{
    return !b->failed && pack_blocked(section, b->bytes, b->size, level, threads);
}

/* Give each chunk its share of the sorted rows and relocations. */
static void share_out(struct writer *w)
{
    const struct vxf_content *content = w->content;
    size_t row = 0, reloc = 0;
    for (size_t i = 0; i < content->chunk_count; i++) {
        struct chunk_job *job = &w->chunks[i];
        uint32_t end = content->chunks[i].host + content->chunks[i].size;
        job->first_row = row;
        while (row < content->row_count && content->rows[row].host < end)
            row++;
        job->row_count = row - job->first_row;
        job->first_reloc = reloc;
        while (reloc < content->reloc_count && content->relocs[reloc].host < end)
            reloc++;
        job->reloc_count = reloc - job->first_reloc;
    }
}

static void encode_meta(struct vxi_buffer *b, const struct vxf_content *content)
{
    const struct vxf_meta *meta = &content->meta;
    vxi_put64(b, meta->guest_hash[0]);
    vxi_put64(b, meta->guest_hash[1]);
    vxi_put64(b, meta->guest_size);
    vxi_put64(b, meta->translator_hash);
    vxi_put32(b, meta->contract);
    vxi_put32(b, meta->options);
    vxi_put32(b, meta->cpu_features);
    vxi_put32(b, meta->relocatable);
    vxi_put32(b, meta->guest_code_bytes);
    vxi_put32(b, meta->guest_insns);
    vxi_put32(b, (uint32_t)content->chunk_count);
    vxi_put32(b, (uint32_t)content->entry_count);
    vxi_put32(b, (uint32_t)content->page_count);
    vxi_put32(b, 0);
}

static void encode_index(struct vxi_buffer *b, const struct writer *w)
{
    for (size_t i = 0; i < w->content->chunk_count; i++) {
        const struct chunk_job *job = &w->chunks[i];
        vxi_put32(b, w->content->chunks[i].host);
        vxi_put32(b, job->code.plain);
        vxi_put32(b, (uint32_t)job->code.stored);
        vxi_put32(b, job->rows.count);
        vxi_put32(b, job->rows.plain);
        vxi_put32(b, (uint32_t)job->rows.stored);
        vxi_put32(b, job->relocs.count);
        vxi_put32(b, job->relocs.plain);
        vxi_put32(b, (uint32_t)job->relocs.stored);
        vxi_put32(b, 0);
        vxi_put64(b, vxi_hash64(job->code.bytes, job->code.stored));
        vxi_put64(b, vxi_hash64(job->rows.bytes, job->rows.stored));
        vxi_put64(b, vxi_hash64(job->relocs.bytes, job->relocs.stored));
    }
}

/*
 * Encode and compress everything. Metadata and index stay stored: small, and mostly hashes.
 * So do entries unless size is all that counts: varints shrink by a third at best, and
 * inflating them would take longer than all the rest of opening a cache.
 */
static bool pack_all(struct writer *w, unsigned threads)
{
    const struct vxf_content *content = w->content;
    w->chunks = calloc(content->chunk_count + 1, sizeof *w->chunks);
    if (!w->chunks)
        return false;
    share_out(w);
    if (!vxi_parallel(threads, content->chunk_count, pack_chunk, w))
        return false;
    encode_meta(&w->meta_bytes, content);
    encode_index(&w->index_bytes, w);
    vxi_encode_entries(&w->entry_bytes, content->entries, content->entry_count);
    vxi_encode_pages(&w->page_bytes, content->pages, content->page_count);
    return pack_encoded(&w->meta, &w->meta_bytes, 0, 1) &&
           pack_encoded(&w->index, &w->index_bytes, 0, 1) &&
           pack_encoded(&w->entries, &w->entry_bytes, w->level < 9 ? 0 : 9, threads) &&
           pack_encoded(&w->pages, &w->page_bytes, w->level, threads) &&
           (!content->guest || pack_blocked(&w->guest, content->guest,
                                            (size_t)content->meta.guest_size, w->level, threads));
}

static void put_blocked(struct vxi_buffer *file, const struct blocked *section)
{
    for (size_t i = 0; i < section->count; i++)
        vxi_put32(file, (uint32_t)section->blocks[i].stored);
    for (size_t i = 0; i < section->count; i++)
        vxi_put(file, section->blocks[i].bytes, section->blocks[i].stored);
}

/* Append a section; returns its plain size. */
static uint64_t put_section(struct writer *w, enum vxi_section section)
{
    const struct blocked *const blocked[VXI_SECTION_COUNT] = {
        [VXI_META] = &w->meta,   [VXI_INDEX] = &w->index, [VXI_ENTRIES] = &w->entries,
        [VXI_PAGES] = &w->pages, [VXI_GUEST] = &w->guest,
    };
    if (blocked[section]) {
        put_blocked(&w->file, blocked[section]);
        return blocked[section]->size;
    }
    uint64_t plain = 0;
    for (size_t i = 0; i < w->content->chunk_count; i++) {
        const struct chunk_job *job = &w->chunks[i];
        const struct packed *p = section == VXI_CODE   ? &job->code
                                 : section == VXI_ROWS ? &job->rows
                                                       : &job->relocs;
        vxi_put(&w->file, p->bytes, p->stored);
        plain += p->plain;
    }
    return plain;
}

/* Header, section table and hashes go before the sections once these are in place. */
static bool assemble(struct writer *w)
{
    struct vxi_buffer table = {0}, header = {0};
    uint32_t count = VXI_SECTION_COUNT - !w->content->guest;
    uint8_t zero[VXI_HEADER_BYTES + VXI_SECTION_COUNT * VXI_TABLE_ENTRY_BYTES] = {0};
    vxi_put(&w->file, zero, VXI_HEADER_BYTES + count * VXI_TABLE_ENTRY_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = w->file.size, plain = put_section(w, (enum vxi_section)i);
        if (w->file.failed)
            break;
        vxi_put32(&table, i + 1);
        vxi_put32(&table, 0);
        vxi_put64(&table, offset);
        vxi_put64(&table, w->file.size - offset);
        vxi_put64(&table, plain);
        vxi_put64(&table, vxi_hash64(w->file.bytes + offset, w->file.size - offset));
    }
    uint64_t hash[2];
    bool good = !w->file.failed && !table.failed;
    if (good) {
        memcpy(w->file.bytes + VXI_HEADER_BYTES, table.bytes, table.size);
        vxi_store32(w->file.bytes + VXI_HASHED_FROM, count);
        vxf_hash128(w->file.bytes + VXI_HASHED_FROM, w->file.size - VXI_HASHED_FROM, hash);
        vxi_put(&header, VXI_MAGIC, sizeof VXI_MAGIC - 1);
        vxi_put32(&header, VXF_VERSION);
        vxi_put32(&header, 0);
        vxi_put64(&header, w->file.size);
        vxi_put64(&header, hash[0]);
        vxi_put64(&header, hash[1]);
        good = !header.failed;
    }
    if (good)
        memcpy(w->file.bytes, header.bytes, header.size);
    free(table.bytes);
    free(header.bytes);
    return good;
}

static void free_blocked(struct blocked *section)
{
    for (size_t i = 0; section->blocks && i < section->count; i++)
        free(section->blocks[i].bytes);
    free(section->blocks);
}

static void free_writer(struct writer *w)
{
    for (size_t i = 0; w->chunks && i < w->content->chunk_count; i++) {
        free(w->chunks[i].code.bytes);
        free(w->chunks[i].rows.bytes);
        free(w->chunks[i].relocs.bytes);
    }
    free(w->chunks);
    free_blocked(&w->meta);
    free_blocked(&w->index);
    free_blocked(&w->entries);
    free_blocked(&w->pages);
    free_blocked(&w->guest);
    free(w->meta_bytes.bytes);
    free(w->index_bytes.bytes);
    free(w->entry_bytes.bytes);
    free(w->page_bytes.bytes);
    free(w->file.bytes);
}

vx_status vxf_write(const char *path, const struct vxf_content *content, int level,
                    unsigned threads, struct vx_error *error)
{
    if (level < 0 || level > 9 || !threads)
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "level is 0..9, threads at least 1");
    vx_status status = vxi_check_content(content, error);
    if (status != VX_OK)
        return status;
    struct writer w = {.content = content, .level = level};
    status = pack_all(&w, threads) && assemble(&w)
                 ? vxi_save(path, w.file.bytes, w.file.size, error)
                 : vxi_fail(error, VX_ERR_MEMORY, 0, "no memory to write a cache");
    free_writer(&w);
    return status;
}

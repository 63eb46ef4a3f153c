/*
 * Shared by the tests of the .vxc format: seeded contents, a deep check of a cache, and the
 * taking apart and putting together of files with correct hashes around wrong contents.
 */
#ifndef VX_TEST_FORMAT_UTIL_H
#define VX_TEST_FORMAT_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/cache.h"
#include "format/cursor.h"
#include "format/layout.h"

/* ---- random numbers: splitmix64 ---- */

static inline uint64_t rnd(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint32_t below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(rnd(state) % limit);
}

/* ---- contents ---- */

struct shape {
    uint32_t chunks, chunk_bytes, guest_bytes;
};

/* Bytes that compress about as code does. */
static inline uint8_t *make_bytes(uint64_t *r, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = i > 16 && below(r, 3) ? bytes[i - 1 - below(r, 16)] : (uint8_t)rnd(r);
    return bytes;
}

static inline void *owned(const void *p)
{
    return (void *)(uintptr_t)p;
}

static inline void make_chunk(uint64_t *r, struct vxf_content *content, struct vxf_chunk chunk)
{
    struct vxf_row *rows = owned(content->rows);
    struct vxf_reloc *relocs = owned(content->relocs);
    vx_gaddr guest = 0x8048000 + below(r, 1 << 20);
    for (uint32_t at = below(r, 3); at < chunk.size; at += below(r, 12)) {
        bool none = !below(r, 5);
        guest += below(r, 7) - (below(r, 20) ? 0 : 400);
        if (below(r, 50) == 0)
            guest = (vx_gaddr)rnd(r);
        int32_t esp = below(r, 30) ? -(int32_t)(4 * below(r, 5)) : (int32_t)rnd(r);
        rows[content->row_count++] = (struct vxf_row){
            chunk.host + at, none ? 0 : guest, none ? 0 : esp, none ? VXF_ROW_NONE : VXF_ROW_INSN};
    }
    for (uint32_t at = below(r, 20); at + 4 <= chunk.size; at += 4 + below(r, 40))
        relocs[content->reloc_count++] = (struct vxf_reloc){chunk.host + at, !below(r, 3)};
}

static inline struct vxf_content make_content(uint64_t seed, struct shape shape)
{
    uint64_t state = seed, *r = &state;
    size_t bytes = (size_t)shape.chunks * shape.chunk_bytes;
    struct vxf_content c = {.meta = {.translator_hash = rnd(r), .contract = 1, .relocatable = 1,
                                     .options = (uint32_t)rnd(r), .cpu_features = (uint32_t)rnd(r),
                                     .guest_code_bytes = (uint32_t)rnd(r),
                                     .guest_insns = (uint32_t)rnd(r)}};
    struct vxf_chunk *chunks = calloc(shape.chunks + 1, sizeof *chunks);
    c.chunks = chunks;
    c.rows = calloc(bytes * 8 + 1, sizeof *c.rows);
    c.relocs = calloc(bytes + 1, sizeof *c.relocs);
    for (uint32_t i = 0; i < shape.chunks; i++) {
        chunks[i].host = vxi_page_round(c.zone_size) + (below(r, 4) ? 0 : 8192);
        chunks[i].size = 1 + below(r, shape.chunk_bytes);
        c.zone_size = chunks[i].host + chunks[i].size;
        make_chunk(r, &c, chunks[i]);
    }
    c.chunk_count = shape.chunks;
    c.code = make_bytes(r, c.zone_size);

    struct vxf_entry *entries = calloc(bytes / 8 + 1, sizeof *entries);
    vx_gaddr guest = 0x8048000;
    for (size_t i = 0; shape.chunks && i < bytes / 8; i++) {
        struct vxf_chunk chunk = chunks[i * shape.chunks / (bytes / 8)];
        entries[c.entry_count++] = (struct vxf_entry){guest += 1 + below(r, 200),
                                                      chunk.host + below(r, chunk.size)};
    }
    c.entries = entries;
    struct vxf_page *pages = calloc(shape.chunks + 1, sizeof *pages);
    for (uint32_t i = 0; i < shape.chunks; i++)
        pages[i] = (struct vxf_page){(0x8048 + 3 * i) * VX_PAGE_BYTES, rnd(r)};
    c.pages = pages;
    c.page_count = shape.chunks;
    c.guest = make_bytes(r, shape.guest_bytes);
    c.meta.guest_size = shape.guest_bytes;
    vxf_hash128(c.guest, shape.guest_bytes, c.meta.guest_hash);
    return c;
}

static inline void free_content(struct vxf_content *c)
{
    free(owned(c->chunks));
    free(owned(c->rows));
    free(owned(c->relocs));
    free(owned(c->code));
    free(owned(c->entries));
    free(owned(c->pages));
    free(owned(c->guest));
}

/* ---- files ---- */

/* A directory for this run, made on first use; the tests remove what they put there. */
static inline const char *work_dir(void)
{
    static char dir[64];
    if (!*dir) {
        strcpy(dir, "/tmp/vx-test-XXXXXX");
        if (!mkdtemp(dir))
            abort();
    }
    return dir;
}

static inline const char *work_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", work_dir(), name);
    return path;
}

static inline uint8_t *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*size + 1);
    *size = fread(bytes, 1, *size, f);
    fclose(f);
    return bytes;
}

static inline void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f))
        abort();
}

/* The bytes that vxf_write makes, or NULL. */
static inline uint8_t *written(const struct vxf_content *content, int level, unsigned threads,
                               size_t *size)
{
    struct vx_error error;
    char path[128];
    *size = 0;
    snprintf(path, sizeof path, "%s/written.vxc", work_dir());
    if (vxf_write(path, content, level, threads, &error) != VX_OK) {
        printf("vxf_write: %s\n", error.text);
        return NULL;
    }
    uint8_t *bytes = read_file(path, size);
    unlink(path);
    return bytes;
}

/* ---- reading everything ---- */

static inline bool rows_valid(struct vxf_chunk chunk, const struct vxf_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].host < chunk.host || rows[i].host - chunk.host >= chunk.size)
            return false;
        if ((i && rows[i].host < rows[i - 1].host) || rows[i].kind > VXF_ROW_NONE)
            return false;
    }
    return true;
}

static inline bool relocs_valid(struct vxf_chunk chunk, const struct vxf_reloc *relocs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (relocs[i].host < chunk.host || relocs[i].host - chunk.host + 4 > chunk.size)
            return false;
        if (i && relocs[i].host - relocs[i - 1].host < 4)
            return false;
    }
    return true;
}

static inline bool tables_valid(const struct vxf_file *file)
{
    size_t chunk_count, entry_count, page_count;
    const struct vxf_chunk *chunks = vxf_chunks(file, &chunk_count);
    const struct vxf_entry *entries = vxf_entries(file, &entry_count);
    const struct vxf_page *pages = vxf_pages(file, &page_count);
    uint64_t end = 0;
    for (size_t i = 0; i < chunk_count; i++) {
        if (chunks[i].host < end || chunks[i].host % VX_PAGE_BYTES || !chunks[i].size)
            return false;
        end = vxi_page_round(chunks[i].host + chunks[i].size);
    }
    if (end != vxf_zone_size(file) || end > VXF_ZONE_LIMIT)
        return false;
    for (size_t i = 0; i < entry_count; i++) {
        bool inside = false;
        for (size_t k = 0; k < chunk_count; k++)
            inside |= entries[i].host >= chunks[k].host &&
                      entries[i].host - chunks[k].host < chunks[k].size;
        if (!inside || (i && entries[i].guest <= entries[i - 1].guest))
            return false;
    }
    for (size_t i = 0; i < page_count; i++)
        if (pages[i].guest % VX_PAGE_BYTES || (i && pages[i].guest <= pages[i - 1].guest))
            return false;
    return true;
}

/* Read all of a chunk. A reader that returns invalid content aborts the test program. */
static inline vx_status read_chunk(const struct vxf_file *file, size_t i, struct vxf_chunk chunk,
                                   struct vx_error *error)
{
    uint8_t *code = malloc(chunk.size);
    struct vxf_row *rows = NULL;
    struct vxf_reloc *relocs = NULL;
    size_t row_count, reloc_count;
    vx_status status = vxf_read_code(file, i, vxf_meta(file)->relocatable ? 0x56555000 : 0, code,
                                     error);
    free(code);
    if (status == VX_OK)
        status = vxf_read_rows(file, i, &rows, &row_count, error);
    if (status == VX_OK && !rows_valid(chunk, rows, row_count))
        abort();
    if (status == VX_OK)
        status = vxf_read_relocs(file, i, &relocs, &reloc_count, error);
    if (status == VX_OK && !relocs_valid(chunk, relocs, reloc_count))
        abort();
    free(rows);
    free(relocs);
    return status;
}

/* Everything that an open file holds. */
static inline vx_status read_all_of(const struct vxf_file *file, struct vx_error *error)
{
    size_t count;
    vx_status status = VX_OK;
    const struct vxf_chunk *chunks = vxf_chunks(file, &count);
    if (!tables_valid(file))
        abort();
    for (size_t i = 0; i < count && status == VX_OK; i++)
        status = read_chunk(file, i, chunks[i], error);
    if (status == VX_OK && vxf_has_guest(file)) {
        uint8_t *guest = malloc(vxf_meta(file)->guest_size + 1);
        status = vxf_read_guest(file, guest, error);
        free(guest);
    }
    return status;
}

/* Open and read everything, from a copy of exactly this size. */
static inline vx_status read_deeply(const void *bytes, size_t size, struct vx_error *error)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct vxf_file *file;
    if (size)
        memcpy(copy, bytes, size);
    vx_status status = vxf_open(copy, size, &file, error);
    if (status == VX_OK) {
        status = read_all_of(file, error);
        vxf_close(file);
    }
    free(copy);
    return status;
}

/* The same from a file, on demand. */
static inline vx_status read_deeply_fd(int fd, struct vx_error *error)
{
    struct vxf_file *file;
    vx_status status = vxf_open_fd(fd, &file, error);
    if (status == VX_OK) {
        status = read_all_of(file, error);
        vxf_close(file);
    }
    return status;
}

/* ---- taking files apart ---- */

/* Stored bytes and plain sizes of the sections. */
struct parts {
    uint32_t count;
    struct {
        uint8_t *bytes;
        size_t size;
        uint64_t plain;
    } section[VXI_SECTION_COUNT];
};

static inline struct parts take_apart(const uint8_t *file, size_t size)
{
    struct parts p = {.count = vxi_load32(file + 40)};
    struct vxi_cursor c = vxi_cursor_at(file, size, VXI_HEADER_BYTES, size - VXI_HEADER_BYTES);
    for (uint32_t i = 0; i < p.count; i++) {
        vxi_u64(&c);
        uint64_t offset = vxi_u64(&c);
        p.section[i].size = vxi_u64(&c);
        p.section[i].plain = vxi_u64(&c);
        vxi_u64(&c);
        p.section[i].bytes = malloc(p.section[i].size + 1);
        memcpy(p.section[i].bytes, file + offset, p.section[i].size);
    }
    return p;
}

static inline void free_parts(struct parts *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        free(p->section[i].bytes);
}

static inline struct parts copy_parts(const struct parts *p)
{
    struct parts copy = *p;
    for (uint32_t i = 0; i < p->count; i++) {
        copy.section[i].bytes = malloc(p->section[i].size + 1);
        memcpy(copy.section[i].bytes, p->section[i].bytes, p->section[i].size);
    }
    return copy;
}

static inline void replace_section(struct parts *p, int i, const void *bytes, size_t size,
                                   uint64_t plain)
{
    free(p->section[i].bytes);
    p->section[i].bytes = malloc(size + 1);
    memcpy(p->section[i].bytes, bytes, size);
    p->section[i].size = size;
    p->section[i].plain = plain;
}

static inline void store64(uint8_t *p, uint64_t v)
{
    vxi_store32(p, (uint32_t)v);
    vxi_store32(p + 4, (uint32_t)(v >> 32));
}

/* The chunk table (stored, in one block), and its number of entries. */
static inline uint8_t *index_of(const struct parts *p, size_t *count)
{
    if (p->section[VXI_INDEX].size < 4)
        return (*count = 0, NULL);
    *count = (p->section[VXI_INDEX].size - 4) / VXI_INDEX_ENTRY_BYTES;
    return p->section[VXI_INDEX].bytes + 4;
}

/* Make the hashes in the chunk table those of the streams, as far as they lie inside their sections. */
static inline void rehash_chunks(struct parts *p)
{
    static const int stored_at[] = {8, 20, 32}, hash_at[] = {40, 48, 56};
    size_t count;
    uint8_t *index = index_of(p, &count);
    for (int kind = 0; kind < 3; kind++) {
        uint64_t at = 0;
        for (size_t i = 0; i < count; i++) {
            uint8_t *entry = index + i * VXI_INDEX_ENTRY_BYTES;
            uint32_t stored = vxi_load32(entry + stored_at[kind]);
            if (at + stored <= p->section[VXI_CODE + kind].size)
                store64(entry + hash_at[kind],
                        vxi_hash64(p->section[VXI_CODE + kind].bytes + at, stored));
            at += stored;
        }
    }
}

/* The file hash over whatever the file holds. */
static inline void rehash_file(uint8_t *file, size_t size)
{
    uint64_t hash[2];
    vxf_hash128(file + VXI_HASHED_FROM, size - VXI_HASHED_FROM, hash);
    store64(file + 24, hash[0]);
    store64(file + 32, hash[1]);
}

/* A file of these sections, all hashes of sections and file correct. malloc'd. */
static inline uint8_t *put_together(const struct parts *p, size_t *size)
{
    size_t at = VXI_HEADER_BYTES + p->count * VXI_TABLE_ENTRY_BYTES, total = at;
    for (uint32_t i = 0; i < p->count; i++)
        total += p->section[i].size;
    uint8_t *file = calloc(total, 1);
    memcpy(file, VXI_MAGIC, 8);
    vxi_store32(file + 8, VXF_VERSION);
    store64(file + 16, total);
    vxi_store32(file + 40, p->count);
    for (uint32_t i = 0; i < p->count; i++) {
        uint8_t *entry = file + VXI_HEADER_BYTES + i * VXI_TABLE_ENTRY_BYTES;
        vxi_store32(entry, i + 1);
        store64(entry + 8, at);
        store64(entry + 16, p->section[i].size);
        store64(entry + 24, p->section[i].plain);
        store64(entry + 32, vxi_hash64(p->section[i].bytes, p->section[i].size));
        memcpy(file + at, p->section[i].bytes, p->section[i].size);
        at += p->section[i].size;
    }
    rehash_file(file, total);
    *size = total;
    return file;
}

#endif

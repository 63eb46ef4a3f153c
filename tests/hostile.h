/*
 * Mutants of valid caches, for tests/test_hostile_cache.c: a small guest of ours is translated, then host code, entries,
 * fault map and relocations are changed at random and written as a file whose hashes are right.
 * What becomes of mutant number i depends on the seed and on i alone.
 */
#ifndef VX_TEST_HOSTILE_H
#define VX_TEST_HOSTILE_H

#include <elf.h>

#include "format/cpu.h"
#include "format/elf32.h"
#include "format/sandbox.h"
#include "tests/test_format_util.h"
#include "verifier/verifier.h"
#include "vxc/translate/translate.h"

#define HOSTILE_CODE 0x08049000u
#define HOSTILE_DATA 0x0804a000u
#define HOSTILE_DATA_BYTES 0x4000u

/* A guest and its honest translation. */
struct hostile_base {
    uint8_t *elf;
    size_t elf_size;
    struct vxt_output output;
    struct vxf_content content;
    uint32_t *starts; /* zone offsets of all instructions */
    size_t start_count;
};

/* An ELF file of one code and one data segment; PIE if is_dyn. */
static inline uint8_t *hostile_elf(const uint8_t *code, size_t code_size, bool is_dyn, size_t *size)
{
    *size = 0x3000;
    uint8_t *file = calloc(*size, 1);
    vx_gaddr base = is_dyn ? 0x08048000u : 0;
    Elf32_Ehdr header = { .e_type = is_dyn ? ET_DYN : ET_EXEC, .e_machine = EM_386, .e_version = 1,
                          .e_entry = HOSTILE_CODE - base, .e_phoff = sizeof header, .e_ehsize = sizeof header,
                          .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2 };
    memcpy(header.e_ident, "\177ELF\1\1\1", 7);
    Elf32_Phdr segments[2] = {
        { PT_LOAD, 0x1000, HOSTILE_CODE - base, HOSTILE_CODE - base, (Elf32_Word)code_size, (Elf32_Word)code_size, PF_R | PF_X, 0x1000 },
        { PT_LOAD, 0x2000, HOSTILE_DATA - base, HOSTILE_DATA - base, 0x1000, HOSTILE_DATA_BYTES, PF_R | PF_W, 0x1000 } };
    memcpy(file, &header, sizeof header);
    memcpy(file + sizeof header, segments, sizeof segments);
    memcpy(file + 0x1000, code, code_size);
    return file;
}

static inline uint32_t hostile_padded(uint32_t size)
{
    return (size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
}

/* Verify a chunk as the runtime will, at load bias 0. starts, if given, gets its instructions. */
static inline bool hostile_accepted(const struct vxf_content *content, size_t i, uint32_t *starts, size_t *count)
{
    const struct vxf_chunk *chunk = &content->chunks[i];
    uint32_t size = hostile_padded(chunk->size);
    uint64_t *scratch = calloc(2 * (size / 64) + content->zone_size / 64 + 1, sizeof *scratch);
    uint64_t *entries = scratch + 2 * (size / 64);
    struct vxv_input input = { content->code + chunk->host, size, chunk->host, content->zone_size, entries };
    struct vxv_result result;
    for (size_t e = 0; e < content->entry_count; e++)
        entries[content->entries[e].host / 64] |= 1ull << content->entries[e].host % 64;
    bool accepted = vxv_verify(&input, scratch, scratch + size / 64, &result);
    for (uint32_t at = 0; accepted && starts && at < chunk->size; at++)
        if (scratch[at / 64] >> at % 64 & 1)
            starts[(*count)++] = chunk->host + at;
    free(scratch);
    return accepted;
}

/* For a guest's CPU of VX_CPU_* bits. Aborts if the honest translation does not verify. */
static inline struct hostile_base hostile_base_of(const uint8_t *code, size_t code_size, bool is_dyn, uint32_t cpu)
{
    struct hostile_base base = { 0 };
    struct vxe_elf elf;
    struct vx_error error;
    struct vxt_span spans[4], data[4];
    vx_gaddr *seeds;
    base.elf = hostile_elf(code, code_size, is_dyn, &base.elf_size);
    if (vxe_open(base.elf, base.elf_size, &elf, &error) != VX_OK)
        abort();
    struct vxt_input input = { .spans = spans, .data = data, .chunk_guest_bytes = 256, .threads = 1,
                               .position_independent = is_dyn, .cpu = cpu };
    for (size_t i = 0; i < elf.segment_count; i++) {
        struct vxt_span span = { elf.segments[i].addr, elf.segments[i].file_size, base.elf + elf.segments[i].file_offset };
        if (elf.segments[i].prot & VXE_X)
            spans[input.span_count++] = span;
        data[input.data_count++] = span;
    }
    if (vxt_elf_seeds(&elf, &seeds, &input.seed_count) != VX_OK)
        abort();
    input.seeds = seeds;
    if (vxt_translate(&input, &base.output) != VX_OK)
        abort();
    free(seeds);
    const struct vxt_output *output = &base.output;
    base.content = (struct vxf_content){
        .meta = { .guest_size = base.elf_size, .contract = VX_CONTRACT_VERSION, .options = cpu, .relocatable = is_dyn },
        .guest = base.elf, .code = output->code, .zone_size = output->code_size, .chunks = output->chunks,
        .chunk_count = output->chunk_count, .entries = output->entries, .entry_count = output->entry_count,
        .rows = output->rows, .row_count = output->row_count, .relocs = output->relocs,
        .reloc_count = is_dyn ? output->reloc_count : 0 };
    vxf_hash128(base.elf, base.elf_size, base.content.meta.guest_hash);
    base.starts = calloc(output->code_size, sizeof *base.starts);
    for (size_t i = 0; i < output->chunk_count; i++)
        if (!hostile_accepted(&base.content, i, base.starts, &base.start_count))
            abort();
    return base;
}

static inline void hostile_base_free(struct hostile_base *base)
{
    vxt_output_free(&base->output);
    free(base->elf);
    free(base->starts);
}

/* ---- one change ---- */

/* A mutant's own copies of what is changed. */
struct hostile_mutant {
    struct vxf_content content;
    uint8_t *code;
    struct vxf_entry *entries;
    struct vxf_row *rows;
    struct vxf_reloc *relocs;
};

static inline uint32_t hostile_odd(uint64_t *r, uint32_t old)
{
    static const uint32_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000, 0x1000, 8, 0xfffffffc };
    switch (below(r, 4)) {
    case 0: return odd[below(r, sizeof odd / sizeof *odd)];
    case 1: return (uint32_t)rnd(r);
    case 2: return old ^ 1u << below(r, 32);
    default: return old + below(r, 33) - 16;
    }
}

/* Where an instruction of the base starts, and its length. */
static inline uint32_t hostile_start(uint64_t *r, const struct hostile_base *base, uint32_t *length)
{
    size_t i = below(r, (uint32_t)base->start_count - 1);
    *length = base->starts[i + 1] - base->starts[i];
    return base->starts[i];
}

static inline void hostile_change_code(uint64_t *r, const struct hostile_base *base, struct hostile_mutant *m)
{
    uint32_t length, other, at = hostile_start(r, base, &length);
    uint32_t from = hostile_start(r, base, &other);
    if (length > 32)
        length = 32;
    switch (below(r, 8)) {
    case 0: case 1: m->code[at + below(r, length)] ^= (uint8_t)(1u << below(r, 8)); break;
    case 2: m->code[at + below(r, length)] = (uint8_t)rnd(r); break;
    case 3: case 4: /* an instruction of the same length from elsewhere */
        for (unsigned i = 0; i < 64 && other != length; i++)
            from = hostile_start(r, base, &other);
        if (other == length)
            memmove(m->code + at, base->output.code + from, length);
        break;
    case 5: /* any bytes from elsewhere, at any place */
        memmove(m->code + at, base->output.code + from, 1 + below(r, 12) % length);
        break;
    case 6: /* an immediate or a displacement */
        if (length >= 5)
            vxi_store32(m->code + at + length - 4, hostile_odd(r, vxi_load32(m->code + at + length - 4)));
        else
            m->code[at + length - 1] = (uint8_t)hostile_odd(r, m->code[at + length - 1]);
        break;
    default: /* the ModRM byte or what stands there */
        m->code[at + length / 2] = (uint8_t)hostile_odd(r, m->code[at + length / 2]);
    }
}

static inline void hostile_change_maps(uint64_t *r, const struct hostile_base *base, struct hostile_mutant *m)
{
    struct vxf_content *content = &m->content;
    uint32_t length;
    struct vxf_entry *entry = &m->entries[below(r, (uint32_t)content->entry_count)];
    struct vxf_row *row = &m->rows[below(r, (uint32_t)content->row_count)];
    switch (below(r, 8)) {
    case 0: entry->host = hostile_start(r, base, &length); break;
    case 1: entry->host = m->entries[below(r, (uint32_t)content->entry_count)].host; break;
    case 2: entry->guest += below(r, 3) - 1; break;
    case 3: row->guest = hostile_odd(r, row->guest); break;
    case 4: row->guest = m->rows[below(r, (uint32_t)content->row_count)].guest; break;
    case 5: row->esp_delta = (int32_t)hostile_odd(r, (uint32_t)row->esp_delta); break;
    case 6: row->kind ^= 1; break;
    default:
        if (content->reloc_count) {
            struct vxf_reloc *reloc = &m->relocs[below(r, (uint32_t)content->reloc_count)];
            if (below(r, 3))
                reloc->host += below(r, 5) - 2;
            else
                reloc->negate = !reloc->negate;
        } else {
            row->host += below(r, 3) - 1;
        }
    }
    if (row->kind == VXF_ROW_NONE) {
        row->guest = 0;
        row->esp_delta = 0;
    }
}

static inline void *hostile_copy(const void *array, size_t size)
{
    void *copy = malloc(size + 1);
    if (size)
        memcpy(copy, array, size);
    return copy;
}

/* In memory, so that the disk does not set the pace. */
static inline uint8_t *hostile_written(const struct vxf_content *content, size_t *size)
{
    struct vx_error error;
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/vx-hostile-%d", (int)getpid());
    uint8_t *file = vxf_write(path, content, 0, 1, &error) == VX_OK ? read_file(path, size) : NULL;
    unlink(path);
    return file;
}

/* The file of mutant `number` if writer and verifier let it through, else NULL. malloc'd. */
static inline uint8_t *hostile_file(const struct hostile_base *base, uint64_t seed, uint64_t number, size_t *size)
{
    uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + number;
    uint64_t r = rnd(&state);
    struct hostile_mutant m = { .content = base->content };
    uint8_t *file = NULL;
    m.content.code = m.code = hostile_copy(base->content.code, base->content.zone_size);
    m.content.entries = m.entries = hostile_copy(base->content.entries, base->content.entry_count * sizeof *m.entries);
    m.content.rows = m.rows = hostile_copy(base->content.rows, base->content.row_count * sizeof *m.rows);
    m.content.relocs = m.relocs = hostile_copy(base->content.relocs, base->content.reloc_count * sizeof *m.relocs);
    for (uint32_t i = below(&r, 5) + 1; i > 0; i--)
        if (below(&r, 4))
            hostile_change_code(&r, base, &m);
        else
            hostile_change_maps(&r, base, &m);
    bool good = true;
    for (size_t i = 0; i < m.content.chunk_count && good; i++)
        good = hostile_accepted(&m.content, i, NULL, NULL);
    if (good)
        file = hostile_written(&m.content, size);
    free(m.code);
    free(m.entries);
    free(m.rows);
    free(m.relocs);
    return file;
}

#endif

/*
 * From a guest ELF to verified code: what compile and verify --against share.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/verifier.h"
#include "vxc/cli/cli.h"

/* Guest code in a chunk: about half of what it becomes. Small, so that a start loads little that it does not run;
 * a page or two of host code, so that padding and stream headers stay small beside it. */
#define CHUNK_GUEST_BYTES 4096

uint64_t *entry_bitmap(const struct vxf_entry *entries, size_t count, uint32_t zone_size)
{
    uint64_t *bits = calloc((size_t)zone_size / 64 + 1, sizeof *bits);
    for (size_t i = 0; bits && i < count; i++)
        bits[entries[i].host / 64] |= 1ull << entries[i].host % 64;
    return bits;
}

bool verify_chunk(const uint8_t *code, uint32_t padded_size, uint32_t zone_offset, uint32_t zone_size,
                  const uint64_t *entries, uint32_t *rule, uint32_t *offset, uint32_t *cpu_features)
{
    size_t words = padded_size / 64 + 1;
    uint64_t *scratch = calloc(2 * words, sizeof *scratch);
    struct vxv_input input = { .code = code, .size = padded_size, .zone_offset = zone_offset,
                               .zone_size = zone_size, .entries = entries };
    struct vxv_result result = { 0 };
    bool accepted = scratch && vxv_verify(&input, scratch, scratch + words, &result);
    free(scratch);
    *rule = result.rule;
    *offset = result.offset;
    *cpu_features |= accepted ? result.cpu_features : 0;
    return accepted;
}

static uint32_t padded(uint32_t size)
{
    return (size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
}

static bool verify_biased(const struct vxf_file *file, const uint64_t *entries, vx_gaddr bias,
                          struct verdict *verdict)
{
    size_t count;
    const struct vxf_chunk *chunks = vxf_chunks(file, &count);
    uint8_t *code = malloc(padded(VXF_CHUNK_LIMIT));
    bool accepted = code != NULL;
    verdict->status = code ? VX_OK : VX_ERR_MEMORY;
    for (size_t i = 0; i < count && accepted; i++) {
        uint32_t size = padded(chunks[i].size), offset;
        verdict->status = vxf_read_code(file, i, bias, code, &verdict->error);
        if (verdict->status != VX_OK) {
            accepted = false;
            break;
        }
        memset(code + chunks[i].size, 0xf4, size - chunks[i].size);
        accepted = verify_chunk(code, size, chunks[i].host, vxf_zone_size(file), entries,
                                &verdict->rule, &offset, &verdict->cpu_features);
        verdict->code_bytes += chunks[i].size;
        if (!accepted) {
            verdict->status = VX_ERR_REJECTED;
            verdict->host = chunks[i].host + offset;
        }
    }
    free(code);
    return accepted;
}

void verify_cache(const struct vxf_file *file, struct verdict *verdict)
{
    size_t count;
    const struct vxf_entry *entries = vxf_entries(file, &count);
    uint64_t *bits = entry_bitmap(entries, count, vxf_zone_size(file));
    *verdict = (struct verdict){ .status = bits ? VX_OK : VX_ERR_MEMORY };
    if (!bits)
        return;
    verdict->accepted = verify_biased(file, bits, 0, verdict);
    if (verdict->accepted && vxf_meta(file)->relocatable) {
        verdict->code_bytes = 0;
        verdict->accepted = verify_biased(file, bits, 0x56555000u, verdict);
    }
    free(bits);
}

/* ---- translating --------------------------------------------------------- */

static bool is_code(const struct vxe_segment *segment)
{
    return (segment->prot & VXE_X) && !(segment->prot & VXE_W) && segment->file_size;
}

static int compare_gaddr(const void *a, const void *b)
{
    vx_gaddr left = *(const vx_gaddr *)a, right = *(const vx_gaddr *)b;
    return (left > right) - (left < right);
}

static bool hash_pages(const struct vxe_elf *elf, struct translation *result)
{
    size_t total = 0;
    for (size_t s = 0; s < elf->segment_count; s++)
        if (is_code(&elf->segments[s]))
            total += elf->segments[s].file_size / VX_PAGE_BYTES + 2;
    result->pages = calloc(total + 1, sizeof *result->pages);
    if (!result->pages)
        return false;
    for (size_t s = 0; s < elf->segment_count; s++) {
        const struct vxe_segment *segment = &elf->segments[s];
        if (!is_code(segment))
            continue;
        uint32_t offset = 0;
        while (offset < segment->file_size) {
            vx_gaddr addr = segment->addr + offset;
            uint32_t size = VX_PAGE_BYTES - addr % VX_PAGE_BYTES;
            if (size > segment->file_size - offset)
                size = segment->file_size - offset;
            vx_gaddr page = addr / VX_PAGE_BYTES * VX_PAGE_BYTES;
            if (result->page_count == 0 || result->pages[result->page_count - 1].guest != page)
                result->pages[result->page_count++] = (struct vxf_page){
                    page, vxf_hash_page(elf->bytes + segment->file_offset + offset, size) };
            offset += size;
        }
    }
    return true;
}

static bool verify_output(const char *path, struct translation *result)
{
    const struct vxt_output *output = &result->output;
    uint64_t *bits = entry_bitmap(output->entries, output->entry_count, output->code_size);
    bool accepted = bits != NULL;
    for (size_t i = 0; i < output->chunk_count && accepted; i++) {
        const struct vxf_chunk *chunk = &output->chunks[i];
        uint32_t rule, offset;
        accepted = verify_chunk(output->code + chunk->host, padded(chunk->size), chunk->host,
                                output->code_size, bits, &rule, &offset, &result->cpu_features);
        if (!accepted) {
            vx_gaddr guest = 0;
            for (size_t r = 0; r < output->row_count && output->rows[r].host <= chunk->host + offset; r++)
                guest = output->rows[r].guest;
            const uint8_t *code = output->code + chunk->host + offset;
            fprintf(stderr, "%s:0x%08x: error: own translation rejected V%02u: %s: zone 0x%x:", path,
                    guest, rule, vxv_rule_text(rule), chunk->host + offset);
            for (unsigned b = 0; b < 15; b++)
                fprintf(stderr, " %02x", code[b]);
            fputc('\n', stderr);
        }
    }
    free(bits);
    return accepted;
}

int translate_guest(const char *path, const struct file *guest, const struct translate_options *options,
                    struct translation *result)
{
    struct vx_error error = { 0 };
    struct vxt_span code[VXE_MAX_SEGMENTS], data[VXE_MAX_SEGMENTS];
    struct vxt_input input = { .spans = code, .data = data, .chunk_guest_bytes = CHUNK_GUEST_BYTES,
                               .threads = options->threads, .cpu = options->cpu };
    vx_gaddr *seeds = NULL;
    int exit_code = EXIT_GOOD;
    *result = (struct translation){ .cpu = options->cpu };
    struct vxe_elf *elf = &result->elf;
    vx_status status = vxe_open(guest->bytes, guest->size, elf, &error);
    if (status != VX_OK)
        return complain_file(path, status, &error);
    input.position_independent = elf->is_dyn;
    for (size_t s = 0; s < elf->segment_count; s++) {
        const struct vxe_segment *segment = &elf->segments[s];
        struct vxt_span span = { segment->addr, segment->file_size, elf->bytes + segment->file_offset };
        if (is_code(segment))
            code[input.span_count++] = span;
        if (segment->file_size)
            data[input.data_count++] = span;
    }
    status = vxt_elf_seeds(elf, &seeds, &input.seed_count);
    if (status == VX_OK && options->extra_count) {
        vx_gaddr *all = realloc(seeds, (input.seed_count + options->extra_count) * sizeof *all);
        if (all) {
            memcpy(all + input.seed_count, options->extra, options->extra_count * sizeof *all);
            input.seed_count += options->extra_count;
            qsort(all, input.seed_count, sizeof *all, compare_gaddr);
            seeds = all;
        } else {
            status = VX_ERR_MEMORY;
        }
    }
    input.seeds = seeds;
    if (status == VX_OK)
        status = vxt_translate(&input, &result->output);
    if (status == VX_OK && !hash_pages(elf, result))
        status = VX_ERR_MEMORY;
    if (status != VX_OK)
        exit_code = complain_file(path, status, &error);
    else if (!verify_output(path, result))
        exit_code = EXIT_REJECTED;
    free(seeds);
    if (exit_code != EXIT_GOOD)
        translation_free(result);
    return exit_code;
}

void translation_free(struct translation *result)
{
    vxt_output_free(&result->output);
    free(result->pages);
    result->pages = NULL;
}

/*
 * The translator: any guest bytes, entered anywhere. It ends, its maps are in order, and all of its
 * code passes the verifier.
 */
#include "tests/fuzz/fuzz.h"
#include "verifier/verifier.h"
#include "vxc/translate/translate.h"

static void check_verdict(const struct vxt_output *output, const struct vxf_chunk *chunk, const uint64_t *entries)
{
    uint32_t size = (chunk->size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
    uint64_t *scratch = calloc(2 * (size / 64), sizeof *scratch);
    struct vxv_input input = { output->code + chunk->host, size, chunk->host, output->code_size, entries };
    struct vxv_result result;
    PROMISE(scratch && vxv_verify(&input, scratch, scratch + size / 64, &result));
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t options = take(&data, &size, 1), seed_count = take(&data, &size, 1) % 8 + 1;
    vx_gaddr base = 0x08048000u + take(&data, &size, 1) * 16, seeds[8];
    if (size < 1 || size > 8192)
        return 0;
    uint8_t *code = exact_copy(data, size);
    struct vxt_span span = { base, (uint32_t)size, code };
    for (uint32_t i = 0; i < seed_count; i++)
        seeds[i] = base + (uint32_t)(i * size / seed_count);
    struct vxt_input input = { .spans = &span, .span_count = 1, .data = &span, .data_count = options & 1,
                               .seeds = seeds, .seed_count = seed_count, .threads = 1,
                               .chunk_guest_bytes = options & 2 ? 256 : 0, .max_insns = options & 4 ? 50 : 0,
                               .single = options & 8, .position_independent = options & 16 };
    struct vxt_output output;
    if (vxt_translate(&input, &output) == VX_OK) {
        uint64_t *entries = calloc(output.code_size / 64 + 1, sizeof *entries);
        PROMISE(entries);
        for (size_t i = 0; i < output.entry_count; i++) {
            PROMISE(i == 0 || output.entries[i].guest > output.entries[i - 1].guest);
            PROMISE(output.entries[i].host < output.code_size);
            entries[output.entries[i].host / 64] |= 1ull << output.entries[i].host % 64;
        }
        for (size_t i = 1; i < output.row_count; i++)
            PROMISE(output.rows[i].host > output.rows[i - 1].host);
        for (size_t i = 0; i < output.chunk_count; i++)
            check_verdict(&output, &output.chunks[i], entries);
        free(entries);
        vxt_output_free(&output);
    }
    free(code);
    return 0;
}

/*
 * The verifier: any code, any declared entries. What it accepts it accepts again, its boundaries lie inside the
 * chunk, every declared entry is one, and no single byte behind the chunk was looked at.
 */
#include "format/cache.h"
#include "tests/fuzz/fuzz.h"
#include "verifier/verifier.h"

#define MAX_CODE 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t entry_count = take(&data, &size, 1) % 8, offset = take(&data, &size, 1) % 3 * VX_PAGE_BYTES;
    uint64_t entries[4 * MAX_CODE / 64] = { 0 };
    for (uint32_t i = 0; i < entry_count; i++) {
        uint32_t entry = take(&data, &size, 2) % (4 * MAX_CODE);
        entries[entry / 64] |= 1ull << entry % 64;
    }
    if (size > MAX_CODE)
        size = MAX_CODE;
    uint8_t *code = exact_copy(data, size);
    size_t words = (size + 63) / 64;
    uint64_t *boundaries = malloc((words + 1) * sizeof *boundaries), *targets = malloc((words + 1) * sizeof *targets);
    if (!boundaries || !targets)
        abort();
    struct vxv_input input = { code, (uint32_t)size, offset, 4 * MAX_CODE, entries };
    struct vxv_result result, again;
    bool accepted = vxv_verify(&input, boundaries, targets, &result);
    PROMISE(accepted == (result.rule == 0));
    PROMISE(vxv_verify(&input, boundaries, targets, &again) == accepted);
    PROMISE(again.rule == result.rule && again.offset == result.offset && again.cpu_features == result.cpu_features);
    if (accepted) {
        PROMISE(boundaries[0] & 1);
        for (uint32_t at = 0; at < words * 64; at++)
            if (boundaries[at / 64] >> at % 64 & 1)
                PROMISE(at < size);
        for (uint32_t at = 0; at < size; at++)
            if (entries[(offset + at) / 64] >> (offset + at) % 64 & 1)
                PROMISE(boundaries[at / 64] >> at % 64 & 1);
    } else if (size) {
        PROMISE(result.offset < words * 64); /* an entry behind the code, in the bitmap's last word */
    }
    free(boundaries);
    free(targets);
    free(code);
    return 0;
}

/*
 * The cache reader: as the bytes are, and with file size and all hashes put right, so that what is behind them is
 * reached. test_format_util.h aborts where an open file breaks a promise of format/cache.h.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/test_format_util.h"

/* Sizes and hashes as if the sections that the table describes were good. */
static void put_right(uint8_t *bytes, size_t size)
{
    if (size < VXI_HEADER_BYTES)
        return;
    store64(bytes + 16, size);
    uint32_t count = vxi_load32(bytes + 40);
    for (uint32_t i = 0; i < count && i < VXI_SECTION_COUNT; i++) {
        uint8_t *entry = bytes + VXI_HEADER_BYTES + i * VXI_TABLE_ENTRY_BYTES;
        if (size < VXI_HEADER_BYTES + (i + 1) * VXI_TABLE_ENTRY_BYTES)
            break;
        uint64_t offset = vxi_load32(entry + 8) | (uint64_t)vxi_load32(entry + 12) << 32;
        uint64_t stored = vxi_load32(entry + 16) | (uint64_t)vxi_load32(entry + 20) << 32;
        if (offset <= size && stored <= size - offset)
            store64(entry + 32, vxi_hash64(bytes + offset, (size_t)stored));
    }
    rehash_file(bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vx_error error = { 0 };
    uint8_t *copy = exact_copy(data, size);
    for (int round = 0; round < 2; round++) {
        vx_status status = read_deeply(copy, size, &error);
        PROMISE(status == VX_OK || (error.status == status && error.text[0]));
        put_right(copy, size);
    }
    free(copy);
    return 0;
}

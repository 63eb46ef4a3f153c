/*
 * The hashes of the format: XXH3 with seed 0 and the default secret.
 */
#include <string.h>
#include <xxhash.h>

#include "format/cache.h"
#include "format/layout.h"

uint64_t vxi_hash64(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

void vxf_hash128(const void *bytes, size_t size, uint64_t out[2])
{
    XXH128_hash_t hash = XXH3_128bits(bytes, size);
    out[0] = hash.low64;
    out[1] = hash.high64;
}

uint64_t vxf_hash_page(const void *bytes, size_t size)
{
    uint8_t page[VX_PAGE_BYTES] = {0};
    if (size >= VX_PAGE_BYTES)
        return vxi_hash64(bytes, VX_PAGE_BYTES);
    if (size)
        memcpy(page, bytes, size);
    return vxi_hash64(page, sizeof page);
}

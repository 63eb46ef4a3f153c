/*
 * Streams: exact-size inflating, and compressing.
 *
 * Raw deflate rather than zlib's wrapper: every stream lies under a hash
 * already, and a second checksum costs a tenth of the inflating time.
 */
#include "format/stream.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "format/layout.h"

#define WINDOW_BITS (-15) /* negative: raw */

bool vxi_stream_sizes_ok(uint64_t stored, uint64_t plain)
{
    return stored <= plain && plain <= stored * VXI_DEFLATE_RATIO;
}

bool vxi_inflate(const uint8_t *src, size_t stored, uint8_t *dst, size_t plain)
{
    if (stored > plain || stored > UINT32_MAX || plain > UINT32_MAX)
        return false;
    if (stored == plain) {
        if (plain)
            memcpy(dst, src, plain);
        return true;
    }
    z_stream z = {.next_in = (Bytef *)(uintptr_t)src, .avail_in = (uInt)stored};
    if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
        return false;
    z.next_out = dst;
    z.avail_out = (uInt)plain;
    int result = inflate(&z, Z_FINISH);
    bool exact = result == Z_STREAM_END && !z.avail_in && !z.avail_out;
    inflateEnd(&z);
    return exact;
}

/* zlib's result, or 0 bytes if it would not be shorter than the plain bytes. */
static bool deflate_shorter(const uint8_t *src, size_t plain, int level, uint8_t *dst,
                            size_t *stored)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)src, .avail_in = (uInt)plain};
    if (deflateInit2(&z, level, Z_DEFLATED, WINDOW_BITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    z.next_out = dst;
    z.avail_out = (uInt)(plain - 1);
    *stored = deflate(&z, Z_FINISH) == Z_STREAM_END ? z.total_out : 0;
    deflateEnd(&z);
    return true;
}

bool vxi_deflate(const uint8_t *src, size_t plain, int level, uint8_t **out, size_t *stored)
{
    uint8_t *dst = malloc(plain ? plain : 1);
    if (!dst)
        return false;
    *stored = 0;
    if (level > 0 && plain > 1 && !deflate_shorter(src, plain, level, dst, stored)) {
        free(dst);
        return false;
    }
    if (!*stored && plain) {
        memcpy(dst, src, plain);
        *stored = plain;
    }
    *out = dst;
    return true;
}

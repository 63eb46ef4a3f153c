/*
 * Private to format/: streams, the unit of compression.
 *
 * A stream of `plain` bytes is stored either as these bytes (stored size =
 * plain size) or as one raw deflate stream (RFC 1951) that is shorter. There is
 * no flag: the sizes say which.
 */
#ifndef VX_FORMAT_STREAM_H
#define VX_FORMAT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Inflate exactly stored bytes to exactly plain bytes. False if they do not fit each other. */
bool vxi_inflate(const uint8_t *src, size_t stored, uint8_t *dst, size_t plain);

/* True if a stream may have these sizes. Bounds what may be allocated for it. */
bool vxi_stream_sizes_ok(uint64_t stored, uint64_t plain);

/*
 * Compress src at level 0..9 (0: stored). *out is malloc'd and holds *stored bytes.
 * False if out of memory. The result depends on the bytes and the level alone.
 */
bool vxi_deflate(const uint8_t *src, size_t plain, int level, uint8_t **out, size_t *stored);

#endif

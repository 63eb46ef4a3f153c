/*
 * What the drivers of the cache reader share: any cursor, errors without text; hashes, the file's bytes and inflation (which writes what it is asked for)
 * are any.
 */
#include "tests/frama/any_cursor.h"

#include "format/codec.h"
#include "format/error.h"
#include "format/file.h"
#include "format/stream.h"

vx_status vxi_fail(struct vx_error *error, vx_status status, uint64_t offset, const char *text, ...)
{
    (void)error, (void)offset, (void)text;
    return status;
}

vx_status vxi_succeed(struct vx_error *error)
{
    (void)error;
    return VX_OK;
}

void vxf_hash128(const void *bytes, size_t size, uint64_t hash[2])
{
    (void)bytes, (void)size;
    Frama_C_make_unknown((char *)hash, 2 * sizeof *hash);
}

bool vxi_stream_sizes_ok(uint64_t stored, uint64_t plain)
{
    (void)stored, (void)plain;
    return Frama_C_interval(0, 1);
}

bool vxi_inflate(const uint8_t *src, size_t stored, uint8_t *dst, size_t plain)
{
    (void)src, (void)stored;
    /*@ assert plain == 0 || \valid(dst + (0 .. plain - 1)); */
    if (plain)
        Frama_C_make_unknown((char *)dst, plain);
    return Frama_C_interval(0, 1);
}

vx_status vxi_section_bytes(const struct vxf_file *file, enum vxi_section section, const uint8_t **bytes, uint8_t **owned, struct vx_error *error)
{
    (void)file, (void)section, (void)error;
    *owned = NULL;
    *bytes = taken;
    return Frama_C_interval(0, 1) ? VX_OK : VX_ERR_IO;
}

const uint8_t *vxi_file_bytes(const struct vxf_file *file, uint64_t offset, size_t size, uint8_t **owned)
{
    (void)file, (void)offset, (void)size;
    *owned = NULL;
    return Frama_C_interval(0, 1) ? taken : NULL;
}

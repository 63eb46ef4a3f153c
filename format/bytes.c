/*
 * The bytes of an open cache: those in memory, and those still in the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/error.h"
#include "format/file.h"
#include "format/stream.h"

static bool read_at(int fd, uint8_t *dst, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pread(fd, dst, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        dst += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

const uint8_t *vxi_file_bytes(const struct vxf_file *file, uint64_t offset, size_t size, uint8_t **owned)
{
    *owned = NULL;
    if (offset > file->size || size > file->size - offset)
        return NULL;
    if (offset <= file->present && size <= file->present - offset)
        return file->bytes + offset;
    if (file->fd < 0 || !(*owned = malloc(size)))
        return NULL;
    if (read_at(file->fd, *owned, size, offset))
        return *owned;
    free(*owned);
    *owned = NULL;
    return NULL;
}

bool vxi_file_stream(const struct vxf_file *file, uint64_t offset, size_t stored, uint8_t *dst, size_t plain)
{
    uint8_t *owned;
    if (stored == plain && offset >= file->present && file->fd >= 0 && offset <= file->size &&
        stored <= file->size - offset)
        return read_at(file->fd, dst, plain, offset);
    const uint8_t *src = vxi_file_bytes(file, offset, stored, &owned);
    bool good = src && vxi_inflate(src, stored, dst, plain);
    free(owned);
    return good;
}

vx_status vxi_section_bytes(const struct vxf_file *file, enum vxi_section section, const uint8_t **bytes,
                            uint8_t **owned, struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[section];
    *bytes = vxi_file_bytes(file, info->offset, (size_t)info->stored_bytes, owned);
    if (!*bytes)
        return vxi_fail(error, VX_ERR_IO, info->offset, "cannot read section %s", info->name);
    if (vxi_hash64(*bytes, (size_t)info->stored_bytes) == file->section_hashes[section])
        return VX_OK;
    free(*owned);
    *owned = NULL;
    return vxi_fail(error, VX_ERR_VXC_SECTION_HASH, info->offset, "hash of section %s does not match", info->name);
}

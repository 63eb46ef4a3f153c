/*
 * Blocked sections: a table of stored sizes, then one stream for each block of
 * plain bytes, so that blocks can be inflated in parallel.
 */
#include "format/error.h"
#include "format/file.h"
#include "format/stream.h"

vx_status vxi_check_blocks(const struct vxf_file *file, enum vxi_section section,
                           struct vx_error *error)
{
    const struct vxf_section_info *info = &file->sections[section];
    size_t count = vxi_block_count(info->plain_bytes);
    uint64_t sum = (uint64_t)count * 4;
    struct vxi_cursor table = vxi_cursor_at(file->bytes, file->size, info->offset,
                                            info->stored_bytes);
    for (size_t i = 0; i < count; i++) {
        uint32_t stored = vxi_u32(&table);
        if (table.bad || !vxi_stream_sizes_ok(stored, vxi_block_plain(info->plain_bytes, i)))
            return vxi_fail(error, VX_ERR_VXC_SECTION, info->offset + i * 4,
                            "impossible size of block %zu in section %s", i, info->name);
        sum += stored;
    }
    if (sum != info->stored_bytes)
        return vxi_fail(error, VX_ERR_VXC_SECTION, info->offset,
                        "blocks do not fill section %s", info->name);
    return VX_OK;
}

uint32_t vxi_block_stored(const struct vxf_file *file, enum vxi_section section, size_t i)
{
    struct vxi_cursor c = vxi_cursor_at(file->bytes, file->size,
                                        file->sections[section].offset + (uint64_t)i * 4, 4);
    return vxi_u32(&c);
}

uint64_t vxi_first_block(const struct vxf_file *file, enum vxi_section section)
{
    const struct vxf_section_info *info = &file->sections[section];
    return info->offset + (uint64_t)vxi_block_count(info->plain_bytes) * 4;
}

bool vxi_read_block(const struct vxf_file *file, enum vxi_section section, size_t i,
                    uint64_t start, uint8_t *dst)
{
    uint32_t stored = vxi_block_stored(file, section, i);
    struct vxi_cursor c = vxi_cursor_at(file->bytes, file->size, start, stored);
    const uint8_t *src = vxi_take(&c, stored);
    return src && vxi_inflate(src, stored, dst,
                              vxi_block_plain(file->sections[section].plain_bytes, i));
}

/*
 * Blocked sections: a table of stored sizes, then one stream for each block of
 * plain bytes, so that blocks can be inflated in parallel.
 */
#include "format/error.h"
#include "format/file.h"
#include "format/stream.h"

vx_status vxi_blocks_open(const struct vxf_section_info *info, const uint8_t *bytes, struct vxi_blocks *blocks,
                          struct vx_error *error)
{
    size_t count = vxi_block_count(info->plain_bytes);
    uint64_t sum = (uint64_t)count * 4;
    if (sum > info->stored_bytes)
        return vxi_fail(error, VX_ERR_VXC_SECTION, info->offset, "section %s has no room for its block table",
                        info->name);
    struct vxi_cursor table = vxi_cursor(bytes, count * 4);
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
    *blocks = (struct vxi_blocks){
        .bytes = bytes, .stored = info->stored_bytes, .plain = info->plain_bytes, .count = count };
    return VX_OK;
}

uint64_t vxi_blocks_start(const struct vxi_blocks *blocks)
{
    return (uint64_t)blocks->count * 4;
}

uint32_t vxi_block_stored(const struct vxi_blocks *blocks, size_t i)
{
    struct vxi_cursor c = vxi_cursor_at(blocks->bytes, (size_t)blocks->stored, (uint64_t)i * 4, 4);
    return vxi_u32(&c);
}

bool vxi_read_block(const struct vxi_blocks *blocks, size_t i, uint64_t start, uint8_t *dst)
{
    uint32_t stored = vxi_block_stored(blocks, i);
    struct vxi_cursor c = vxi_cursor_at(blocks->bytes, (size_t)blocks->stored, start, stored);
    const uint8_t *src = vxi_take(&c, stored);
    return src && vxi_inflate(src, stored, dst, vxi_block_plain(blocks->plain, i));
}

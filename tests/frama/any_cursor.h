/*
 * format/cursor.h replaced by what its own driver (cursor.c) shows of it: a read gives any value or fails, and moves to some place inside. For the decoders
 * above it, whose loops Eva can then follow without knowing how far a read went. A pointer that is given leads to `taken`, of 4 GiB, the most that is asked for;
 * that no more is read there than was asked for is not shown by this.
 */
#ifndef VX_FORMAT_CURSOR_H
#define VX_FORMAT_CURSOR_H

#include <__fc_builtin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vxi_cursor {
    const uint8_t *bytes;
    size_t size, at;
    bool bad;
};

static uint8_t taken[1ul << 32];

static void vxi_any(struct vxi_cursor *c)
{
    c->bad |= Frama_C_interval(0, 1);
}

static struct vxi_cursor vxi_cursor(const void *bytes, size_t size)
{
    return (struct vxi_cursor){.bytes = bytes, .size = size};
}

static struct vxi_cursor vxi_cursor_at(const void *bytes, size_t size, uint64_t offset, uint64_t length)
{
    return (struct vxi_cursor){.bytes = bytes, .bad = Frama_C_interval(0, 1)};
}

static const uint8_t *vxi_take(struct vxi_cursor *c, uint64_t size)
{
    vxi_any(c);
    return c->bad ? NULL : taken;
}

static bool vxi_at_end(const struct vxi_cursor *c)
{
    return !c->bad && Frama_C_interval(0, 1);
}

static uint32_t vxi_load32(const uint8_t p[4])
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void vxi_store32(uint8_t p[4], uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static uint8_t vxi_u8(struct vxi_cursor *c)
{
    vxi_any(c);
    return (uint8_t)Frama_C_interval(0, UINT8_MAX);
}

static uint16_t vxi_u16(struct vxi_cursor *c)
{
    vxi_any(c);
    return (uint16_t)Frama_C_interval(0, UINT16_MAX);
}

static uint32_t vxi_u32(struct vxi_cursor *c)
{
    vxi_any(c);
    return Frama_C_unsigned_int_interval(0, UINT32_MAX);
}

static uint64_t vxi_u64(struct vxi_cursor *c)
{
    vxi_any(c);
    return Frama_C_unsigned_long_interval(0, UINT64_MAX);
}

static uint32_t vxi_varint(struct vxi_cursor *c)
{
    return vxi_u32(c);
}

static uint32_t vxi_zigzag(uint32_t v)
{
    return v << 1 ^ (uint32_t)-(v >> 31);
}

static uint32_t vxi_unzigzag(uint32_t v)
{
    return v >> 1 ^ (uint32_t)-(v & 1);
}

#endif

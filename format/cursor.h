/*
 * The bounds-checked cursor: the only code that does pointer arithmetic on
 * untrusted bytes.
 *
 * A cursor covers [bytes, bytes + size) and stands at `at` <= size. A read that
 * does not fit, or a malformed varint, sets `bad`, moves nothing and gives
 * zero; `bad` stays set, so that a caller may read a whole structure and ask once.
 * All integers are little-endian, whatever the host.
 */
#ifndef VX_FORMAT_CURSOR_H
#define VX_FORMAT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vxi_cursor {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    bool bad;
};

static inline struct vxi_cursor vxi_cursor(const void *bytes, size_t size)
{
    return (struct vxi_cursor){.bytes = bytes, .size = size};
}

/* A cursor over [offset, offset + length) of bytes; bad and empty if that is not inside. */
static inline struct vxi_cursor vxi_cursor_at(const void *bytes, size_t size, uint64_t offset,
                                              uint64_t length)
{
    if (offset > size || length > size - offset)
        return (struct vxi_cursor){.bytes = bytes, .bad = true};
    return vxi_cursor((const uint8_t *)bytes + offset, (size_t)length);
}

static inline size_t vxi_left(const struct vxi_cursor *c)
{
    return c->size - c->at;
}

/* The next `size` bytes, or NULL. */
static inline const uint8_t *vxi_take(struct vxi_cursor *c, uint64_t size)
{
    if (c->bad || size > vxi_left(c)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->bytes + c->at;
    c->at += (size_t)size;
    return p;
}

/* True if everything was read, and read well. */
static inline bool vxi_at_end(const struct vxi_cursor *c)
{
    return !c->bad && c->at == c->size;
}

static inline uint32_t vxi_load32(const uint8_t p[4])
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void vxi_store32(uint8_t p[4], uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static inline uint8_t vxi_u8(struct vxi_cursor *c)
{
    const uint8_t *p = vxi_take(c, 1);
    return p ? *p : 0;
}

static inline uint16_t vxi_u16(struct vxi_cursor *c)
{
    const uint8_t *p = vxi_take(c, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static inline uint32_t vxi_u32(struct vxi_cursor *c)
{
    const uint8_t *p = vxi_take(c, 4);
    return p ? vxi_load32(p) : 0;
}

static inline uint64_t vxi_u64(struct vxi_cursor *c)
{
    const uint8_t *p = vxi_take(c, 8);
    return p ? vxi_load32(p) | (uint64_t)vxi_load32(p + 4) << 32 : 0;
}

/* A varint that does not end in its first byte. */
static inline uint32_t vxi_long_varint(struct vxi_cursor *c)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = vxi_u8(c);
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if ((shift && !byte) || (shift == 28 && byte > 0x0f))
                break;
            return value;
        }
    }
    c->bad = true;
    return 0;
}

/*
 * LEB128, at most 32 bits, in its shortest form only (docs/format.md, "varint"). One and two
 * bytes, nearly all there are, take the short way: opening a cache decodes 100,000 of them.
 */
static inline uint32_t vxi_varint(struct vxi_cursor *c)
{
    if (!c->bad && vxi_left(c) >= 2) {
        uint32_t first = c->bytes[c->at], second = c->bytes[c->at + 1];
        if (first < 0x80) {
            c->at += 1;
            return first;
        }
        if (second - 1 < 0x7f) {
            c->at += 2;
            return (first & 0x7f) | second << 7;
        }
    }
    return vxi_long_varint(c);
}

/* Signed values as 0, -1, 1, -2, ...: small magnitudes give small varints. */
static inline uint32_t vxi_zigzag(uint32_t v)
{
    return v << 1 ^ (uint32_t)-(v >> 31);
}

static inline uint32_t vxi_unzigzag(uint32_t v)
{
    return v >> 1 ^ (uint32_t)-(v & 1);
}

#endif

/*
 * Driver for Frama-C's Eva (scripts/frama.sh): each read of format/cursor.h over any bytes, from every place in buffers of up to BYTES bytes. What a
 * read leaves is again such a place, so sequences of reads are covered by induction.
 */
#include <__fc_builtin.h>

#include "format/cursor.h"

#define BYTES 9

#define READ(call) \
    do { \
        struct vxi_cursor c = { bytes, size, at, bad }; \
        (void)call; \
        /*@ assert c.bytes == bytes && c.size == size && c.at <= size; */ \
    } while (0)

static void reads(const uint8_t *bytes, size_t size, size_t at, bool bad)
{
    READ(vxi_u8(&c));
    READ(vxi_u16(&c));
    READ(vxi_u32(&c));
    READ(vxi_u64(&c));
    READ(vxi_varint(&c));
    READ(vxi_at_end(&c));
    /*@ loop unroll 12; */
    for (uint64_t count = 0; count < BYTES + 2; count++)
        READ(vxi_take(&c, count));
    READ(vxi_take(&c, Frama_C_unsigned_long_interval(BYTES + 1, UINT64_MAX)));
}

int main(void)
{
    uint8_t bytes[BYTES];

    Frama_C_make_unknown((char *)bytes, sizeof bytes);
    /*@ loop unroll 12; */
    for (size_t size = 0; size <= BYTES; size++)
        /*@ loop unroll 12; */
        for (size_t at = 0; at <= size; at++) {
            reads(bytes, size, at, false);
            reads(bytes, size, at, true);
        }
    return 0;
}

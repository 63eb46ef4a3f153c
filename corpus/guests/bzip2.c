/* bzip2: compress and decompress. */
#include "guest.h"
#include <bzlib.h>

enum { BYTES = 100000 };

int main(int argc, char **argv)
{
    static char text[BYTES], packed[BYTES + 2000], back[BYTES];
    unsigned count = guest_count(argc, argv, 2);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        unsigned packed_length = sizeof packed, back_length = sizeof back;
        guest_text((unsigned char *)text, sizeof text, round + 1);
        guest_need(BZ2_bzBuffToBuffCompress(packed, &packed_length, text, sizeof text,
                                            1 + (int)(round % 9), 0, 0) == BZ_OK, "compress");
        guest_need(BZ2_bzBuffToBuffDecompress(back, &back_length, packed, packed_length,
                                              (int)(round & 1), 0) == BZ_OK, "decompress");
        guest_need(back_length == sizeof text && !memcmp(back, text, sizeof text), "same bytes");
        sum = guest_sum(sum, packed, packed_length);
    }
    return guest_report("bzip2", sum);
}

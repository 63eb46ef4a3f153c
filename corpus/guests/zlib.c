/* zlib: deflate at three levels and inflate again. */
#include "guest.h"
#include <zlib.h>

enum { BYTES = 65536 };

int main(int argc, char **argv)
{
    static unsigned char text[BYTES], packed[BYTES + 1024], back[BYTES];
    unsigned count = guest_count(argc, argv, 6);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        uLongf packed_length = sizeof packed, back_length = sizeof back;
        guest_text(text, sizeof text, round + 1);
        guest_need(compress2(packed, &packed_length, text, sizeof text, 1 + (int)(round % 3) * 4) ==
                       Z_OK, "compress2");
        guest_need(uncompress(back, &back_length, packed, packed_length) == Z_OK, "uncompress");
        guest_need(back_length == sizeof text && !memcmp(back, text, sizeof text), "same bytes");
        sum = guest_sum(sum, packed, packed_length);
        sum = guest_sum32(sum, (uint32_t)crc32(adler32(1, text, sizeof text), text, sizeof text));
    }
    return guest_report("zlib", sum);
}

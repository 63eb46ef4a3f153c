/* brotli: encode at several qualities and decode. */
#include "guest.h"
#include <brotli/decode.h>
#include <brotli/encode.h>

enum { BYTES = 65536 };

int main(int argc, char **argv)
{
    static unsigned char text[BYTES], packed[BYTES + 2000], back[BYTES];
    static const int qualities[] = {2, 5, 9, 4};
    unsigned count = guest_count(argc, argv, 4);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        size_t packed_length = sizeof packed, back_length = sizeof back;
        guest_text(text, sizeof text, round + 1);
        guest_need(BrotliEncoderCompress(qualities[round % 4], 18, BROTLI_MODE_TEXT, sizeof text,
                                         text, &packed_length, packed), "encode");
        guest_need(BrotliDecoderDecompress(packed_length, packed, &back_length, back) ==
                       BROTLI_DECODER_RESULT_SUCCESS, "decode");
        guest_need(back_length == sizeof text && !memcmp(back, text, sizeof text), "same bytes");
        sum = guest_sum(sum, packed, packed_length);
    }
    return guest_report("brotli", sum);
}

/* zstd: compress at several levels, decompress, also as a stream. */
#include "guest.h"
#include <zstd.h>

enum { BYTES = 131072 };

int main(int argc, char **argv)
{
    static unsigned char text[BYTES], packed[BYTES + 2000], back[BYTES];
    static const int levels[] = {1, 3, 7, 12};
    unsigned count = guest_count(argc, argv, 4);
    uint32_t sum = GUEST_SUM;
    ZSTD_DStream *stream = ZSTD_createDStream();
    guest_need(stream != NULL, "stream");
    for (unsigned round = 0; round < count; round++) {
        guest_text(text, sizeof text, round + 1);
        size_t length = ZSTD_compress(packed, sizeof packed, text, sizeof text, levels[round % 4]);
        guest_need(!ZSTD_isError(length), "compress");
        sum = guest_sum(sum, packed, length);
        guest_need(ZSTD_decompress(back, sizeof back, packed, length) == sizeof back, "decompress");
        guest_need(!memcmp(back, text, sizeof text), "same bytes");

        memset(back, 0, sizeof back);
        ZSTD_initDStream(stream);
        ZSTD_outBuffer out = {back, sizeof back, 0};
        for (size_t at = 0; at < length; at += 1000) {
            ZSTD_inBuffer in = {packed + at, length - at < 1000 ? length - at : 1000, 0};
            while (in.pos < in.size)
                guest_need(!ZSTD_isError(ZSTD_decompressStream(stream, &out, &in)), "stream");
        }
        guest_need(!memcmp(back, text, sizeof text), "same bytes from the stream");
    }
    ZSTD_freeDStream(stream);
    return guest_report("zstd", sum);
}

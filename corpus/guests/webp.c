/* libwebp: lossy and lossless, encode and decode. */
#include "guest.h"
#include <webp/decode.h>
#include <webp/encode.h>

enum { WIDTH = 128, HEIGHT = 96 };

int main(int argc, char **argv)
{
    static unsigned char picture[WIDTH * HEIGHT * 3];
    unsigned count = guest_count(argc, argv, 2);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        unsigned char *file, *back;
        size_t length;
        int width, height;
        guest_picture(picture, WIDTH, HEIGHT, round + 1);
        length = round & 1 ? WebPEncodeLosslessRGB(picture, WIDTH, HEIGHT, WIDTH * 3, &file)
                           : WebPEncodeRGB(picture, WIDTH, HEIGHT, WIDTH * 3, 50 + round % 40, &file);
        guest_need(length > 0, "encode");
        sum = guest_sum(sum, file, length);
        back = WebPDecodeRGB(file, length, &width, &height);
        guest_need(back && width == WIDTH && height == HEIGHT, "decode");
        sum = guest_sum(sum, back, sizeof picture);
        guest_need(!(round & 1) || !memcmp(back, picture, sizeof picture), "same pixels");
        WebPFree(back);
        WebPFree(file);
    }
    return guest_report("webp", sum);
}

/* libpng: write a picture into memory and read it back, through the simple API. */
#include "guest.h"
#include <png.h>

enum { WIDTH = 256, HEIGHT = 160 };

int main(int argc, char **argv)
{
    static unsigned char picture[WIDTH * HEIGHT * 3], back[WIDTH * HEIGHT * 4];
    static unsigned char file[WIDTH * HEIGHT * 4];
    unsigned count = guest_count(argc, argv, 3);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        png_image image = {.version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT,
                           .format = PNG_FORMAT_RGB};
        png_alloc_size_t length = sizeof file;
        guest_picture(picture, WIDTH, HEIGHT, round + 1);
        guest_need(png_image_write_to_memory(&image, file, &length, 0, picture, 0, NULL), "write");
        sum = guest_sum(sum, file, length);

        png_image reader = {.version = PNG_IMAGE_VERSION};
        guest_need(png_image_begin_read_from_memory(&reader, file, length), "begin");
        reader.format = round & 1 ? PNG_FORMAT_BGRA : PNG_FORMAT_RGB;
        guest_need(png_image_finish_read(&reader, NULL, back, 0, NULL), "read");
        sum = guest_sum(sum, back, PNG_IMAGE_SIZE(reader));
        guest_need(round & 1 || !memcmp(back, picture, sizeof picture), "same pixels");
    }
    return guest_report("png", sum);
}

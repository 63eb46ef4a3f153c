/* libjpeg-turbo: encode and decode a picture, each DCT method in turn. */
#include "guest.h"
#include <jpeglib.h>

enum { WIDTH = 320, HEIGHT = 240 };

static unsigned char picture[WIDTH * HEIGHT * 3];

static unsigned long encode(unsigned char **out, unsigned round)
{
    struct jpeg_compress_struct job;
    struct jpeg_error_mgr errors;
    unsigned long length = 0;
    job.err = jpeg_std_error(&errors);
    jpeg_create_compress(&job);
    jpeg_mem_dest(&job, out, &length);
    job.image_width = WIDTH;
    job.image_height = HEIGHT;
    job.input_components = 3;
    job.in_color_space = JCS_RGB;
    jpeg_set_defaults(&job);
    jpeg_set_quality(&job, 60 + (int)(round % 4) * 10, TRUE);
    job.dct_method = round % 3 ? JDCT_ISLOW : JDCT_IFAST;
    job.optimize_coding = round & 1;
    if (round % 4 == 3)
        jpeg_simple_progression(&job);
    jpeg_start_compress(&job, TRUE);
    while (job.next_scanline < job.image_height) {
        JSAMPROW row = picture + job.next_scanline * WIDTH * 3;
        jpeg_write_scanlines(&job, &row, 1);
    }
    jpeg_finish_compress(&job);
    jpeg_destroy_compress(&job);
    return length;
}

static uint32_t decode(const unsigned char *data, unsigned long length, unsigned round)
{
    struct jpeg_decompress_struct job;
    struct jpeg_error_mgr errors;
    static unsigned char row[WIDTH * 3];
    uint32_t sum = GUEST_SUM;
    job.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&job);
    jpeg_mem_src(&job, data, length);
    guest_need(jpeg_read_header(&job, TRUE) == JPEG_HEADER_OK, "header");
    job.dct_method = round & 1 ? JDCT_ISLOW : JDCT_IFAST;
    job.scale_num = 1;
    job.scale_denom = round % 5 == 4 ? 2 : 1;
    jpeg_start_decompress(&job);
    while (job.output_scanline < job.output_height) {
        JSAMPROW rows = row;
        jpeg_read_scanlines(&job, &rows, 1);
        sum = guest_sum(sum, row, job.output_width * 3);
    }
    jpeg_finish_decompress(&job);
    jpeg_destroy_decompress(&job);
    return sum;
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 16);
    uint32_t sum = GUEST_SUM;
    guest_picture(picture, WIDTH, HEIGHT, 42);
    for (unsigned round = 0; round < count; round++) {
        unsigned char *out = NULL;
        unsigned long length = encode(&out, round);
        sum = guest_sum(sum, out, length);
        sum = guest_sum32(sum, decode(out, length, round));
        free(out);
    }
    return guest_report("jpeg", sum);
}

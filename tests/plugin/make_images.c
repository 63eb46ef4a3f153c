/*
 * Pictures for the converter's test: the same gradient as JPEG and WebP, into the files named. Runs natively.
 */
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <webp/encode.h>

#define WIDTH 200
#define HEIGHT 120

static unsigned char pixels[HEIGHT][WIDTH][3];

static void write_jpeg(const char *path)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *out = fopen(path, "wb");
    if (!out)
        exit(1);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, out);
    jpeg.image_width = WIDTH;
    jpeg.image_height = HEIGHT;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < HEIGHT) {
        JSAMPROW row = pixels[jpeg.next_scanline][0];
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(out);
}

int main(int argc, char **argv)
{
    uint8_t *webp;
    if (argc != 3)
        return 2;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            pixels[y][x][0] = (unsigned char)x;
            pixels[y][x][1] = (unsigned char)(2 * y);
            pixels[y][x][2] = (unsigned char)(x / 2 + y);
        }
    write_jpeg(argv[1]);
    size_t size = WebPEncodeLosslessRGB(pixels[0][0], WIDTH, HEIGHT, 3 * WIDTH, &webp);
    FILE *out = fopen(argv[2], "wb");
    return !(size && out && fwrite(webp, 1, size, out) == size && fclose(out) == 0);
}

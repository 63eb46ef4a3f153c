/* JPEG decoder: a plug-in around libjpeg, with its usual way out of errors: longjmp. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "../decoder.h"
#include <vx/vx_guest.h>

VX_EXPORT struct picture picture;
static jmp_buf out_of_here;

static void on_error(j_common_ptr info) { (*info->err->output_message)(info), longjmp(out_of_here, 1); }

VX_EXPORT void *reserve(unsigned size) { return malloc(size); }

VX_EXPORT int decode(const unsigned char *file, unsigned size, struct picture *out)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    errors.error_exit = on_error;
    jpeg_create_decompress(&jpeg);
    if (setjmp(out_of_here)) {
        jpeg_destroy_decompress(&jpeg);
        return 1;
    }
    jpeg_mem_src(&jpeg, (unsigned char *)file, size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    out->width = jpeg.output_width;
    out->height = jpeg.output_height;
    out->pixels = malloc(3u * out->width * out->height);
    if (!out->pixels)
        longjmp(out_of_here, 1);
    while (jpeg.output_scanline < jpeg.output_height) {
        unsigned char *row = out->pixels + 3u * out->width * jpeg.output_scanline;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return 0;
}

int main(void) { vx_park(); }

/* PNG decoder: a plug-in around libpng. */
#include <png.h>
#include <stdlib.h>

#include "../decoder.h"
#include <vx/vx_guest.h>

VX_EXPORT struct picture picture;

VX_EXPORT void *reserve(unsigned size) { return malloc(size); }

VX_EXPORT int decode(const unsigned char *file, unsigned size, struct picture *out)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    if (!png_image_begin_read_from_memory(&image, file, size))
        return 1;
    image.format = PNG_FORMAT_RGB;
    out->width = image.width;
    out->height = image.height;
    out->pixels = malloc(PNG_IMAGE_SIZE(image));
    return out->pixels && png_image_finish_read(&image, NULL, out->pixels, 0, NULL) ? 0 : 2;
}

int main(void) { vx_park(); }

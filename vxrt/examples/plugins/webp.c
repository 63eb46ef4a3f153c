/* WebP decoder: a plug-in around libwebp. */
#include <stdlib.h>
#include <webp/decode.h>

#include "../decoder.h"
#include <vx/vx_guest.h>

VX_EXPORT struct picture picture;

VX_EXPORT void *reserve(unsigned size) { return malloc(size); }

VX_EXPORT int decode(const unsigned char *file, unsigned size, struct picture *out)
{
    int width, height;
    out->pixels = WebPDecodeRGB(file, size, &width, &height);
    if (!out->pixels)
        return 1;
    out->width = (unsigned)width;
    out->height = (unsigned)height;
    return 0;
}

int main(void) { vx_park(); }

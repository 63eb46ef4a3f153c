/*
 * What convert.c and its decoders agree on. A decoder exports
 *     void *reserve(unsigned size);                                memory for the file, NULL: none
 *     int decode(const unsigned char *file, unsigned size, struct picture *picture);   0, or why not
 *     struct picture picture;
 */
#ifndef DECODER_H
#define DECODER_H

#ifdef GUEST
typedef unsigned char *pixel_address;
#else
#include <stdint.h>
typedef uint32_t pixel_address;
#endif

struct picture {
    unsigned width, height;
    pixel_address pixels; /* 3 bytes each, red first, rows from the top */
};

#endif

/*
 * What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: it takes any bytes, and
 * aborts where the code under test breaks a promise. Linked with libFuzzer by scripts/fuzz.sh, and with
 * replay.c otherwise.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise; also where assert is compiled out. */
#define PROMISE(condition)                                                                    \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                          \
        }                                                                                     \
    } while (0)

/* Takes a number from the front of the input: the target's own choices. 0 when there is none. */
static inline uint32_t take(const uint8_t **data, size_t *size, size_t bytes)
{
    uint32_t value = 0;
    if (*size < bytes)
        return 0;
    memcpy(&value, *data, bytes);
    *data += bytes;
    *size -= bytes;
    return value;
}

/* A copy of exactly this size, so that a sanitizer sees a read past the end. Never NULL. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    return copy;
}

#endif

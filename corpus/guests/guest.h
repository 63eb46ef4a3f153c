/*
 * What every corpus program shares: its iteration count from the command line,
 * a seeded generator for inputs, and a checksum to print. Everything is
 * deterministic: the same program prints the same bytes on every run.
 */
#ifndef CORPUS_GUEST_H
#define CORPUS_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUEST_UNUSED __attribute__((unused))
#define GUEST_NOINLINE __attribute__((noinline))

/* Number of iterations: argv[1], or usual. */
static inline unsigned guest_count(int argc, char **argv, unsigned usual)
{
    return argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : usual;
}

/* Marsaglia's xorshift, 32 bits; the state must not be 0. */
static inline uint32_t guest_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* FNV-1a over bytes; start with GUEST_SUM. */
#define GUEST_SUM 2166136261u
static GUEST_UNUSED uint32_t guest_sum(uint32_t sum, const void *data, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)data;
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * 16777619u;
    return sum;
}

static GUEST_UNUSED uint32_t guest_sum32(uint32_t sum, uint32_t value)
{
    return guest_sum(sum, &value, sizeof value);
}

/* Text of words drawn from a small vocabulary: compresses like prose does. */
static GUEST_UNUSED void guest_text(unsigned char *out, size_t length, uint32_t seed)
{
    static const char *const words[] = {
        "the ", "of ", "window ", "guest ", "and ", "register ", "to ", "cache ", "is ", "a ",
        "fragment ", "in ", "return ", "stack ", "for ", "page ", "with ", "verified\n", "on ",
        "code ", "that ", "branch. ", "it ", "memory, ",
    };
    size_t used = 0;
    while (used < length) {
        uint32_t pick = guest_random(&seed) >> 8;
        char number[16];
        const char *word = words[(pick % 24) * (pick / 24 % 24) / 24];
        if (pick % 61 == 0) {
            snprintf(number, sizeof number, "%u ", (unsigned)(pick % 99991));
            word = number;
        }
        size_t part = strlen(word);
        if (part > length - used)
            part = length - used;
        memcpy(out + used, word, part);
        used += part;
    }
}

/* A width x height RGB picture: gradients, disks and a little noise. */
static GUEST_UNUSED void guest_picture(unsigned char *rgb, int width, int height, uint32_t seed)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3) {
            int dx = x % 64 - 32, dy = y % 64 - 32;
            int inside = dx * dx + dy * dy < 500;
            uint32_t noise = guest_random(&seed) >> 29;
            rgb[0] = (unsigned char)((x * 255 / width + (int)noise) & 255);
            rgb[1] = (unsigned char)(inside ? 200 : y * 255 / height);
            rgb[2] = (unsigned char)((x * y >> 6) + (inside ? 30 : 0));
        }
}

/* Two detuned triangle waves with an envelope and noise, 16-bit mono. */
static GUEST_UNUSED void guest_sound(int16_t *out, size_t count, uint32_t seed)
{
    uint32_t a = 0, b = 0;
    for (size_t i = 0; i < count; i++) {
        int wave_a, wave_b, noise = (int)(guest_random(&seed) >> 24) - 128;
        a += 0x02a3d70a + (uint32_t)(i / 4096 % 8) * 0x00300000;
        b += 0x03f1b2c5;
        wave_a = abs((int32_t)a >> 17) - 8192;
        wave_b = abs((int32_t)b >> 18) - 4096;
        out[i] = (int16_t)((wave_a + wave_b) * (int)(4096 - i % 4096) / 4096 + noise);
    }
}

/* Stop with a message: a library said no. */
static GUEST_UNUSED void guest_need(int is_good, const char *what)
{
    if (!is_good) {
        printf("failed: %s\n", what);
        fflush(stdout);
        exit(1);
    }
}

static GUEST_UNUSED int guest_report(const char *name, uint32_t sum)
{
    printf("%s %08x\n", name, (unsigned)sum);
    return 0;
}

#endif

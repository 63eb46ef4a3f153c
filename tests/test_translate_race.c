/*
 * The translator reads bytes that change meanwhile, as those of a mapped file may when another process writes it: what
 * comes out may be nonsense, which the verifier judges, but the translator stays within its own memory (the sanitizers look on).
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/sandbox.h"
#include "vxc/translate/translate.h"

#define BASE 0x10000u
#define BYTES 0x2000u
#define SEEDS 64

static _Atomic uint8_t code[BYTES + 64];
static atomic_bool is_over;

/* Instructions of all sizes and flows, at random places. */
static void *change(void *argument)
{
    static const uint8_t texts[][8] = {
        {0xc3, 0xc3, 0xe8, 0x10, 0, 0, 0, 0xc3}, {0xe8, 0, 0, 0, 0, 0x58, 0x05, 0}, {0x0f, 0x84, 0x20, 0, 0, 0, 0x90, 0x90},
        {0xff, 0x25, 0, 0, 1, 0, 0xcd, 0x80}, {0x65, 0xa1, 0x14, 0, 0, 0, 0xf3, 0xa4}, {0x66, 0x0f, 0x3a, 0x63, 0xc1, 0x12, 0xeb, 0xf0},
        {0xc8, 4, 0, 3, 0xc9, 0x60, 0x61, 0xce}, {0xf0, 0x0f, 0xb1, 0x0c, 0x24, 0x9c, 0x9d, 0x40}, {0xe9, 0xf0, 0xff, 0xff, 0xff, 0x75, 0x02, 0xf4},
        {0x8d, 0x64, 0x24, 0xfc, 0x83, 0xc4, 0x08, 0x50}, {0xd9, 0xe8, 0xdd, 0x1c, 0x24, 0xd8, 0x04, 0x24}, {0xe3, 0x03, 0xe2, 0xfe, 0x67, 0xe3, 0x01, 0x90}};
    uint32_t random = 12345;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        random = random * 1664525 + 1013904223;
        uint32_t at = random >> 8 & (BYTES - 1);
        for (unsigned i = 0; i < 8; i++)
            atomic_store_explicit(&code[at + i], texts[(random >> 3) % 12][i], memory_order_relaxed);
    }
    return argument;
}

static void test_changing(void)
{
    pthread_t writer;
    vx_gaddr seeds[SEEDS];
    struct vxt_span span = {.addr = BASE, .size = BYTES, .bytes = (const uint8_t *)code};
    struct timespec begin, now;
    unsigned runs = 0, made = 0;
    for (unsigned i = 0; i < SEEDS; i++)
        seeds[i] = BASE + i * (BYTES / SEEDS);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, change, NULL), 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        struct vxt_input input = {.spans = &span, .span_count = 1, .seeds = seeds, .seed_count = runs % SEEDS + 1,
                                  .max_insns = runs % 3 ? 500 : 0, .threads = 1,
                                  .chunk_guest_bytes = runs % 5 ? 0 : 512};
        struct vxt_output output;
        if (vxt_translate(&input, &output) == VX_OK) {
            made += output.entry_count > 0;
            vxt_output_free(&output);
        }
        runs++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 3);
    atomic_store(&is_over, true);
    pthread_join(writer, NULL);
    CU_ASSERT(made > 10);
    printf("%u runs ", runs);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("translate_race", NULL, NULL);
    CU_add_test(suite, "bytes that change", test_changing);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

/*
 * Worst cases for the verifier and the translator: code whose every byte begins another instruction, branches and nothing else, jump
 * tables that point everywhere, sequences, and verdicts that come last. The cost must be linear: four times (verifier: sixteen times) the
 * input may take so many times the processor time and half as much again, twice over for a noisy machine. What a guest byte may become
 * (bytes of code, rows, entries, memory) is bounded, too. The bounds are those of docs/security.md, "Denial of service". The format's
 * own bombs are in test_damage.
 */
#include <CUnit/Basic.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "verifier/verifier.h"
#include "vxc/translate/translate.h"

#define BASE 0x08048000u
#define TABLE 0x09000000u
#define SMALL (8u << 10)
#define LARGE (4 * SMALL)
#define CHUNK (1u << 20)
#define CODE_PER_BYTE 64u /* host bytes for a guest byte, each byte being an entry of its own */
#define HEAP_PER_BYTE 256u

static uint64_t state = 1;

static uint32_t random32(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* Processor time of this thread, in seconds. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the verifier */

enum shape { STOPS, JUMPS, BRANCHES, CALLS, STRINGS, LONGEST, LAST_IS_BAD, SHAPES };
static const char *const shape_names[] = {"hlt", "jmp to the next", "jcc to the end", "calls to the start", "string sequences",
                                          "longest instructions", "the last branch is bad"};

static void fill(uint8_t *code, uint32_t size, enum shape shape)
{
    static const uint8_t string[] = {0x89, 0xf6, 0x49, 0x8d, 0x74, 0x35, 0x00, 0x89, 0xff, 0x49, 0x8d, 0x7c, 0x3d, 0x00, 0x89, 0xc9, 0xf3, 0xa5};
    static const uint8_t longest[] = {0x65, 0x67, 0xf0, 0x66, 0x41, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6};
    uint32_t at = 0, distance;

    memset(code, 0xf4, size);
    while (at + 32 < size) {
        switch (shape) {
        case JUMPS: case LAST_IS_BAD: memcpy(code + at, "\xeb\0", 2); at += 2; break;
        case BRANCHES: case CALLS:
            distance = shape == BRANCHES ? size - 1 - (at + 6) : 0u - (at + 5);
            memcpy(code + at, shape == BRANCHES ? "\x0f\x84" : "\xe8", 2);
            memcpy(code + at + (shape == BRANCHES ? 2 : 1), &distance, 4);
            at += shape == BRANCHES ? 6 : 5;
            break;
        case STRINGS: memcpy(code + at, string, sizeof string); at += sizeof string; break;
        case LONGEST: memcpy(code + at, longest, sizeof longest); at += sizeof longest; break;
        default: at++;
        }
    }
    if (shape == LAST_IS_BAD) {
        memcpy(code + at, "\xb8\0\0\0\0\xeb\xfa", 7); /* into mov's immediate */
    }
}

/* Seconds for the chunk, the least of several runs. */
static double verify_seconds(const uint8_t *code, uint32_t size, const uint64_t *entries, uint64_t *scratch, bool expected)
{
    struct vxv_input input = {code, size, 0, CHUNK, entries};
    struct vxv_result result;
    double least = 1e9;

    for (int i = 0; i < 5; i++) {
        double from = now(), took;
        CU_ASSERT(vxv_verify(&input, scratch, scratch + CHUNK / 64, &result) == expected);
        took = now() - from;
        least = took < least ? took : least;
    }
    return least;
}

static void test_verifier(void)
{
    uint8_t *code = malloc(CHUNK);
    uint64_t *entries = calloc(CHUNK / 64, sizeof *entries), *scratch = calloc(2 * CHUNK / 64, sizeof *scratch);

    CU_ASSERT_FATAL(code && entries && scratch);
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        double seconds[2];
        for (int large = 0; large < 2; large++) {
            uint32_t size = large ? CHUNK : CHUNK / 16;
            fill(code, size, shape);
            if (shape == STOPS) /* every byte an entry */
                memset(entries, 0xff, size / 8);
            else
                memset(entries, 0, CHUNK / 8);
            seconds[large] = verify_seconds(code, size, entries, scratch, shape != LAST_IS_BAD);
        }
        printf("\n    %-24s %6.1f ns a KiB, %6.1f at a sixteenth ", shape_names[shape], seconds[1] * 1e9 / 1024, seconds[0] * 1e9 / 64);
        CU_ASSERT(seconds[1] < 16 * 3 * seconds[0] + 1e-3);
        CU_ASSERT(seconds[1] < 2.0);
    }
    free(code);
    free(entries);
    free(scratch);
}

/* ---- the translator */

enum guest { OVERLAP, SHORT_BRANCHES, NEAR_BRANCHES, TABLES, TABLES_EVERYWHERE, GUEST_CALLS, RETURNS, STACK, POINTERS, ANYTHING, GUESTS };
static const char *const guest_names[] = {"an instruction at every byte", "short branches", "near branches", "jump tables",
                                          "jump tables, each its own", "calls", "returns", "pushes and pops", "pointers to tables", "random bytes"};

static void add_near(uint8_t *code, uint32_t at, uint32_t size, uint32_t opcode_bytes)
{
    uint32_t distance = random32() % size - at - opcode_bytes - 4;

    memcpy(code + at + opcode_bytes, &distance, 4);
}

static void make_guest(uint8_t *code, uint32_t size, enum guest guest)
{
    uint32_t at, table;

    for (at = 0; at < size; at++)
        code[at] = guest == OVERLAP ? 0xb8 : guest == RETURNS ? 0xc3 : guest == STACK ? (uint8_t)(0x50 + random32() % 16) : (uint8_t)random32();
    for (at = 0; at + 8 <= size;) {
        switch (guest) {
        case SHORT_BRANCHES: code[at] = (uint8_t)(0x70 + random32() % 16); at += 2; break;
        case NEAR_BRANCHES: memcpy(code + at, "\x0f\x84", 2); add_near(code, at, size, 2); at += 6; break;
        case GUEST_CALLS: code[at] = 0xe8; add_near(code, at, size, 1); at += 5; break;
        case TABLES: case TABLES_EVERYWHERE: /* jmp *table(, %eax, 4) */
            table = TABLE + (guest == TABLES ? 0 : 4 * (random32() % (size / 4)));
            memcpy(code + at, "\xff\x24\x85", 3);
            memcpy(code + at + 3, &table, 4);
            at += 7;
            break;
        case POINTERS: /* mov $table, %eax: the words of each are relative to itself, and all lead into the code */
            table = TABLE + at / 5 % (size / 4);
            code[at] = 0xb8;
            memcpy(code + at + 1, &table, 4);
            at += 5;
            break;
        default: return;
        }
    }
}

/* Translates `size` bytes with every byte a seed; seconds, and the bounds that do not depend on the machine. */
static double translate_seconds(enum guest guest, uint32_t size)
{
    uint8_t *code = malloc(size);
    uint32_t *words = malloc(size);
    vx_gaddr *seeds = malloc(size * sizeof *seeds);
    struct vxt_span span = {BASE, size, code}, data[2] = {{BASE, size, code}, {TABLE, size, (const uint8_t *)words}};
    struct vxt_input input = {.spans = &span, .span_count = 1, .data = data, .data_count = 2, .seeds = seeds, .seed_count = size,
                              .threads = 1, .chunk_guest_bytes = 4096};
    struct vxt_output output;
    size_t before, after;
    double from, took;

    CU_ASSERT_FATAL(code && words && seeds);
    make_guest(code, size, guest);
    for (uint32_t i = 0; i < size; i++)
        seeds[i] = BASE + i;
    for (uint32_t i = 0; i < size / 4; i++)
        words[i] = guest == POINTERS ? BASE - TABLE + random32() % (size / 2) : BASE + random32() % size;
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    from = now();
    vx_status status = vxt_translate(&input, &output);
    took = now() - from;
    after = mallinfo2().uordblks + mallinfo2().hblkhd;
    CU_ASSERT_EQUAL(status, VX_OK);
    if (status == VX_OK) {
        CU_ASSERT(output.code_size <= size * CODE_PER_BYTE + 65536);
        CU_ASSERT(output.guest_insns <= size);
        CU_ASSERT(output.entry_count <= size);
        CU_ASSERT(output.page_count <= size / 4096 + 2);
        CU_ASSERT(output.chunk_count <= size);
        CU_ASSERT(after - before < (size_t)size * HEAP_PER_BYTE);
        if (size == LARGE)
            printf("\n    %-29s a guest byte: %5.1f of code, %4.1f rows, %6.1f of heap,", guest_names[guest], (double)output.code_size / size,
                   (double)output.row_count / size, (double)(after - before) / size);
        vxt_output_free(&output);
    }
    free(code);
    free(words);
    free(seeds);
    return took;
}

static void test_translator(void)
{
    struct rusage usage;

    for (enum guest guest = 0; guest < GUESTS; guest++) {
        double small = translate_seconds(guest, SMALL), large = translate_seconds(guest, LARGE);
        printf(" %5.2f us, %5.2f at a quarter ", large * 1e6 / LARGE, small * 1e6 / SMALL);
        CU_ASSERT(large < 4 * 3 * small + 5e-3);
    }
    getrusage(RUSAGE_SELF, &usage);
    CU_ASSERT(usage.ru_maxrss < 1024 * 1024); /* KiB; most of it is the sanitizers' if they are there */
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    CU_initialize_registry();
    suite = CU_add_suite("bombs", NULL, NULL);
    CU_add_test(suite, "verifier", test_verifier);
    CU_add_test(suite, "translator", test_translator);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

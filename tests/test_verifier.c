/*
 * The verifier without other tools: input limits, zones of several chunks, CPU
 * features, every one-byte change of the listed sequences and context operands,
 * random bytes. Cases by rule are in tests/golden/verifier.
 */
#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/cache.h"
#include "format/sandbox.h"
#include "verifier/verifier.h"

#define WORDS 64

static struct vxv_result result;
static uint64_t boundaries[WORDS], targets[WORDS], no_entries[WORDS];

/* Verify bytes as the only chunk, from a heap block of exactly that size (for ASan). */
static bool verify_bytes(const uint8_t *bytes, uint32_t size, const uint64_t *entries)
{
    uint8_t *code = malloc(size);
    struct vxv_input input = {.code = code, .size = size, .zone_size = WORDS * 64, .entries = entries};
    bool accepted;

    memcpy(code, bytes, size);
    memset(boundaries, 0xa5, sizeof boundaries);
    memset(targets, 0x5a, sizeof targets);
    accepted = vxv_verify(&input, boundaries, targets, &result);
    CU_ASSERT(accepted == (result.rule == 0));
    free(code);
    return accepted;
}

static uint32_t from_hex(const char *hex, uint8_t *bytes)
{
    uint32_t size = 0;
    int used;
    unsigned byte;

    while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
        bytes[size++] = (uint8_t)byte;
        hex += used;
    }
    return size;
}

static bool verify_hex(const char *hex)
{
    uint8_t bytes[256];
    uint32_t size = from_hex(hex, bytes);

    return verify_bytes(bytes, size, no_entries);
}

#define ACCEPT(hex) CU_ASSERT(verify_hex(hex))
#define REJECT(number, at, hex) \
    CU_ASSERT(!verify_hex(hex) && result.rule == (number) && result.offset == (at))

static bool verify_placed(uint32_t size, uint32_t zone_offset, uint32_t zone_size)
{
    static uint8_t hlt[64];
    struct vxv_input input = {hlt, size, zone_offset, zone_size, no_entries};

    memset(hlt, 0xf4, sizeof hlt);
    return vxv_verify(&input, boundaries, targets, &result);
}

static void test_input_limits(void)
{
    CU_ASSERT(verify_placed(64, 0, 64));
    CU_ASSERT(verify_placed(1, 64, 65));
    CU_ASSERT(!verify_placed(0, 0, 64) && result.rule == 1);
    CU_ASSERT(!verify_placed(64, 0, 63) && result.rule == 1);
    CU_ASSERT(!verify_placed(64, 64, 127) && result.rule == 1);
    CU_ASSERT(!verify_placed(64, 32, 128) && result.rule == 1);
    CU_ASSERT(!verify_placed(64, 128, 64) && result.rule == 1);
    CU_ASSERT(!verify_placed(64, 0xffffffc0u, 64) && result.rule == 1);
    CU_ASSERT(!verify_placed(64, 0, VXF_ZONE_LIMIT + 64) && result.rule == 1);
    CU_ASSERT(!verify_placed(VXF_CHUNK_LIMIT + 1, 0, VXF_ZONE_LIMIT) && result.rule == 1);
    CU_ASSERT(!verify_placed(0xffffffffu, 64, 128) && result.rule == 1);
}

/* The limits themselves are within. */
static void test_largest(void)
{
    static uint8_t code[VXF_CHUNK_LIMIT];
    static uint64_t bits[3][VXF_CHUNK_LIMIT / 64];
    struct vxv_input input = {code, sizeof code, 0, sizeof code, bits[0]};

    memset(code, 0xf4, sizeof code);
    CU_ASSERT(vxv_verify(&input, bits[1], bits[2], &result));
    CU_ASSERT_EQUAL(bits[1][VXF_CHUNK_LIMIT / 64 - 1], ~0ull);
    CU_ASSERT(verify_placed(64, 0, VXF_ZONE_LIMIT));
}

static void test_boundaries(void)
{
    /* nop; movl $0,%eax; S2 with stosb; hlt: 0, 1, 6 and 14 may be entered */
    ACCEPT("90 b800000000 89ff 498d7c3d00 aa f4");
    CU_ASSERT_EQUAL(boundaries[0], 1u | 1u << 1 | 1u << 6 | 1u << 14);
    /* S1 with callq: 0 and 18 */
    ACCEPT("448bc0 4f8b9cc700100000 4f8d1c1c 41ffd3 f4");
    CU_ASSERT_EQUAL(boundaries[0], 1u | 1u << 18);
    /* S3: 0 and 23 */
    ACCEPT("4189c9 418d8844332211 488d49ff 480fc9 67e303 4489c9 f4");
    CU_ASSERT_EQUAL(boundaries[0], 1u | 1u << 23);
}

/* The verdict on a chunk of its own at zone offset 64, with one jmp rel32 to a zone offset. */
static bool jump_from_64(uint32_t zone_target, const uint64_t *entries)
{
    uint8_t code[6] = {0xe9, 0, 0, 0, 0, 0xf4};
    int32_t relative = (int32_t)(zone_target - (64 + 5));
    struct vxv_input input = {code, sizeof code, 64, 256, entries};

    memcpy(code + 1, &relative, 4);
    return vxv_verify(&input, boundaries, targets, &result);
}

static void test_zone(void)
{
    uint64_t entries[4] = {1u << 7, 0, 0, 1ull << 63};

    CU_ASSERT(jump_from_64(7, entries));
    CU_ASSERT(jump_from_64(255, entries));
    CU_ASSERT(jump_from_64(64, entries));
    CU_ASSERT(jump_from_64(69, entries));
    CU_ASSERT(!jump_from_64(8, entries) && result.rule == 14 && result.offset == 0);
    CU_ASSERT(!jump_from_64(65, entries) && result.rule == 14);
    CU_ASSERT(!jump_from_64(70, entries) && result.rule == 14);
    CU_ASSERT(!jump_from_64(256, entries) && result.rule == 14);
    CU_ASSERT(!jump_from_64((uint32_t)-1, entries) && result.rule == 14);
    CU_ASSERT(!jump_from_64(0x7fffffff, entries) && result.rule == 14);
    CU_ASSERT(!jump_from_64(0x80000000u, entries) && result.rule == 14);
    entries[1] = 1u << 1; /* inside the jmp */
    CU_ASSERT(!jump_from_64(7, entries) && result.rule == 15 && result.offset == 1);
    entries[1] = 1u << 6; /* in the padding behind the chunk */
    CU_ASSERT(!jump_from_64(7, entries) && result.rule == 15 && result.offset == 6);
    entries[1] = 1u | 1u << 5;
    CU_ASSERT(jump_from_64(7, entries));
}

static void test_cpu_features(void)
{
    ACCEPT("89c8 0f58c1 f4");
    CU_ASSERT_EQUAL(result.cpu_features, 0);
    ACCEPT("f20f12c1 f4");
    CU_ASSERT_EQUAL(result.cpu_features, VXV_CPU_SSE3);
    ACCEPT("6567db08 f4"); /* fisttp */
    CU_ASSERT_EQUAL(result.cpu_features, VXV_CPU_SSE3);
    ACCEPT("660f3800c1 9f f4");
    CU_ASSERT_EQUAL(result.cpu_features, VXV_CPU_SSSE3 | VXV_CPU_LAHF);
    ACCEPT("660f3817c1 f30fb8c1 f4");
    CU_ASSERT_EQUAL(result.cpu_features, VXV_CPU_SSE41 | VXV_CPU_POPCNT);
    ACCEPT("f20f38f1c1 65670fc70e f4");
    CU_ASSERT_EQUAL(result.cpu_features, VXV_CPU_SSE42 | VXV_CPU_CX8);
    REJECT(3, 5, "660f3817c1 2e90 f4");
    CU_ASSERT_EQUAL(result.cpu_features, 0);
    CU_ASSERT(vxv_cpu_of_this_machine() & VXV_CPU_CX8);
}

/* The reported branch is the one with the bad target, not another. */
static void test_bad_branch_is_named(void)
{
    REJECT(14, 4, "eb00 74fe 7501 b800000000 f4");
    REJECT(14, 7, "b800000000 eb00 75f9 f4");
    /* the bad branch is a jecxz in S3 */
    REJECT(14, 17, "4189c9 418d8844332211 488d49ff 480fc9 67e304 4489c9 b800000000 f4");
}

static void test_longest_instruction(void)
{
    ACCEPT("6567f0418184867856341278563412 f4"); /* 15 bytes */
    REJECT(2, 0, "6567f04181848678563412785634");
}

/* Among all one-byte changes of `hex` (a sequence, then hlt) exactly `expected` are accepted. */
static void count_changes(const char *hex, uint32_t expected)
{
    uint8_t bytes[64], changed[64];
    uint32_t size = from_hex(hex, bytes), at, value, accepted = 0;

    CU_ASSERT(verify_bytes(bytes, size, no_entries));
    for (at = 0; at < size - 1; at++)
        for (value = 0; value < 256; value++) {
            memcpy(changed, bytes, size);
            changed[at] = (uint8_t)value;
            accepted += value != bytes[at] && verify_bytes(changed, size, no_entries);
        }
    if (accepted != expected)
        printf(" %s: %u ", hex, accepted);
    CU_ASSERT_EQUAL(accepted, expected);
}

static void test_one_byte_changes(void)
{
    /* S1: another source register (44 8b c0..c7 but esp: 6; 45 8b: r8), jmp or call */
    count_changes("448bc0 4f8b9cc700100000 4f8d1c1c 41ffe3 f4", 6 + 1 + 1);
    /* S1 behind movl $imm32,%r8d: any immediate */
    count_changes("41b844332211 4f8b9cc700100000 4f8d1c1c 41ffe3 f4", 4 * 255 + 1);
    /* S2: stosb to stosl, scasb, scasl; or the leaq's REX becomes a leal that swallows the rest */
    count_changes("89ff 498d7c3d00 aa f4", 3 + 1);
    count_changes("89f6 498d743500 ac f4", 1 + 1);
    /* movs to cmps; f3 to f2 */
    count_changes("89f6 498d743500 89ff 498d7c3d00 89c9 f3a4 f4", 3 + 1);
    /* S3: any constant; jecxz back to 0; or the first REX.W becomes one of 16 opcodes with imm32
       (add ... cmp eax, test eax, mov) that swallows the leaq and leaves plain 32-bit code */
    count_changes("4189c9 418d8844332211 488d49ff 480fc9 67e303 4489c9 f4", 4 * 255 + 1 + 16);
}

/* A branch to right behind the chunk: the next chunk's entry, or behind the zone, where the bitmap says nothing. */
static void test_branch_behind(void)
{
    uint8_t code[64];
    uint64_t entries[2] = {0, 1};
    struct vxv_input input = {.code = code, .size = 64, .zone_size = 128, .entries = entries};

    memset(code, 0xf4, sizeof code);
    memcpy(code, "\xeb\x3e", 2);
    CU_ASSERT(vxv_verify(&input, boundaries, targets, &result));
    input.zone_size = 64;
    CU_ASSERT(!vxv_verify(&input, boundaries, targets, &result) && result.rule == 14 && result.offset == 0);

    entries[0] = 1; /* back to the zone's first byte */
    memcpy(code, "\xeb\xbe", 2);
    input.zone_size = 128;
    input.zone_offset = 64;
    CU_ASSERT(vxv_verify(&input, boundaries, targets, &result));
}

/* Sequences that end early, with the bytes that would complete them behind the end: those must not count. */
static void test_cut_sequences(void)
{
    static const char *const whole[] = {
        "41 b8 01 00 00 00 4f 8b 9c c7 00 10 00 00 4f 8d 1c 1c 41 ff e3",
        "89 f6 49 8d 74 35 00 89 ff 49 8d 7c 3d 00 89 c9 66 f3 a5",
        "41 89 c9 41 8d 88 00 00 00 00 48 8d 49 ff 48 0f c9 67 e3 00 44 89 c9",
    };
    uint8_t bytes[64];
    uint32_t i, size;

    for (i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        uint32_t full = from_hex(whole[i], bytes);
        for (size = 1; size < full; size++) {
            struct vxv_input input = {.code = bytes, .size = size, .zone_size = WORDS * 64, .entries = no_entries};
            CU_ASSERT(!vxv_verify(&input, boundaries, targets, &result));
            CU_ASSERT(result.rule != 16 || (boundaries[0] >> result.offset & 1)); /* or a plain instruction is last */
            CU_ASSERT(result.rule != 14);
        }
    }
}

static void test_context_operands(void)
{
    uint8_t bytes[5] = {0, 0, 0, 0, 0xf4};
    uint32_t rex, modrm, disp, accepted = 0;

    for (rex = 0x41; rex <= 0x4f; rex += 2) /* REX.B set */
        for (modrm = 0x40; modrm < 0x80; modrm++)
            for (disp = 0; disp < 256; disp++) {
                bytes[0] = (uint8_t)rex;
                bytes[2] = (uint8_t)modrm;
                bytes[3] = (uint8_t)disp;
                bytes[1] = 0x8b;
                accepted += verify_bytes(bytes, 5, no_entries);
                bytes[1] = 0xff;
                accepted += verify_bytes(bytes, 5, no_entries);
                bytes[1] = 0x89;
                accepted += verify_bytes(bytes, 5, no_entries);
            }
    CU_ASSERT_EQUAL(accepted, 3 * 2 + 2);
    ACCEPT("458b4710 458b4f14 458b5710 41ff6708");
    ACCEPT("41ff6700");
    REJECT(10, 0, "458b5f10 f4");
    REJECT(10, 0, "458b4708 f4");
    REJECT(10, 0, "41ff6710 f4");
}

static uint32_t random_state = 12345;
static uint32_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Random bytes, and accepted code with random changes: no crash, same verdict twice, honest bitmaps. */
static void test_random(void)
{
    static const char *const seeds[] = {
        "6567 8b4304 4189c9 418d8844332211 488d49ff 480fc9 67e303 4489c9 6567 89460c e8f6ffffff c3",
        "89f6 498d743500 89ff 498d7c3d00 89c9 f366a5 eb02 f20f58c1 f4",
        "6567 448b4308 4f8b9cc700100000 4f8d1c1c 41ffd3 4181f844332211 75f6 c3 660f6fc1 f4",
    };
    uint32_t round, i, accepted = 0;

    for (round = 0; round < 300000; round++) {
        uint8_t bytes[64];
        uint64_t first;
        uint32_t size = 1 + random_bits() % 40, rule;

        if (round % 4) {
            size = from_hex(seeds[round % 3], bytes);
            for (i = random_bits() % 4; i > 0; i--)
                bytes[random_bits() % size] = (uint8_t)random_bits();
        } else {
            for (i = 0; i < size; i++)
                bytes[i] = (uint8_t)random_bits();
        }
        accepted += verify_bytes(bytes, size, no_entries);
        rule = result.rule;
        first = boundaries[0];
        CU_ASSERT(result.offset <= size);
        verify_bytes(bytes, size, no_entries);
        CU_ASSERT(rule == result.rule && (rule != 0 || first == boundaries[0]));
        if (rule == 0)
            CU_ASSERT((first & 1) && (size == 64 || first >> size == 0) && (targets[0] & ~first) == 0);
    }
    CU_ASSERT(accepted > 1000);
}

static void test_rule_texts(void)
{
    uint32_t rule;

    for (rule = 0; rule <= 16; rule++)
        CU_ASSERT(strlen(vxv_rule_text(rule)) > 5 && strcmp(vxv_rule_text(rule), "unknown rule") != 0);
    CU_ASSERT_STRING_EQUAL(vxv_rule_text(17), "unknown rule");
    CU_ASSERT_STRING_EQUAL(vxv_rule_text(0xffffffffu), "unknown rule");
}

int main(void)
{
    CU_pSuite suite;
    unsigned failed;

    CU_initialize_registry();
    suite = CU_add_suite("verifier", NULL, NULL);
    CU_add_test(suite, "input limits (V01)", test_input_limits);
    CU_add_test(suite, "largest chunk and zone", test_largest);
    CU_add_test(suite, "boundaries", test_boundaries);
    CU_add_test(suite, "zone of several chunks", test_zone);
    CU_add_test(suite, "CPU features", test_cpu_features);
    CU_add_test(suite, "the bad branch is named", test_bad_branch_is_named);
    CU_add_test(suite, "longest instruction", test_longest_instruction);
    CU_add_test(suite, "one-byte changes of sequences", test_one_byte_changes);
    CU_add_test(suite, "branch behind the chunk", test_branch_behind);
    CU_add_test(suite, "cut sequences", test_cut_sequences);
    CU_add_test(suite, "context operands", test_context_operands);
    CU_add_test(suite, "random bytes", test_random);
    CU_add_test(suite, "rule texts", test_rule_texts);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

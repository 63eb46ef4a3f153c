/*
 * The translator: whatever the guest bytes are, its output passes the verifier, its maps are in order, and
 * threads do not change it. And the forms that design.md names are really emitted.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/sandbox.h"
#include "verifier/verifier.h"
#include "vxc/translate/translate.h"

#define BASE 0x08048000u

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static uint32_t padded(uint32_t size)
{
    return (size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
}

/* Verify all chunks; prints what was refused. */
static bool verifies(const struct vxt_output *output)
{
    bool accepted = true;
    uint64_t *bits = calloc(output->code_size / 64 + 1, sizeof *bits);
    for (size_t i = 0; i < output->entry_count; i++)
        bits[output->entries[i].host / 64] |= 1ull << output->entries[i].host % 64;
    for (size_t i = 0; i < output->chunk_count && accepted; i++) {
        const struct vxf_chunk *chunk = &output->chunks[i];
        uint32_t size = padded(chunk->size);
        uint64_t *scratch = calloc(2 * (size / 64 + 1), sizeof *scratch);
        struct vxv_input input = { output->code + chunk->host, size, chunk->host, output->code_size, bits };
        struct vxv_result result;
        accepted = vxv_verify(&input, scratch, scratch + size / 64 + 1, &result);
        if (!accepted) {
            printf("V%02u at %x:", result.rule, chunk->host + result.offset);
            for (unsigned b = 0; b < 16; b++)
                printf(" %02x", output->code[chunk->host + result.offset + b]);
            putchar('\n');
        }
        free(scratch);
    }
    free(bits);
    return accepted;
}

static bool is_in_chunk(const struct vxt_output *output, uint32_t host)
{
    for (size_t i = 0; i < output->chunk_count; i++)
        if (host - output->chunks[i].host < output->chunks[i].size)
            return true;
    return false;
}

static bool maps_are_in_order(const struct vxt_output *output)
{
    for (size_t i = 0; i < output->entry_count; i++)
        if ((i && output->entries[i].guest <= output->entries[i - 1].guest) ||
            !is_in_chunk(output, output->entries[i].host))
            return false;
    for (size_t i = 0; i < output->row_count; i++)
        if ((i && output->rows[i].host <= output->rows[i - 1].host) ||
            !is_in_chunk(output, output->rows[i].host))
            return false;
    for (size_t i = 0; i < output->reloc_count; i++)
        if ((i && output->relocs[i].host < output->relocs[i - 1].host + 4) ||
            !is_in_chunk(output, output->relocs[i].host + 3))
            return false;
    return true;
}

static struct vxt_output translate(const uint8_t *bytes, uint32_t size, const vx_gaddr *seeds, size_t count,
                                   uint32_t chunk_bytes, unsigned threads, bool sweep)
{
    struct vxt_span span = { BASE, size, bytes };
    struct vxt_input input = { .spans = &span, .span_count = 1, .data = sweep ? &span : NULL, .data_count = sweep,
                               .seeds = seeds, .seed_count = count, .chunk_guest_bytes = chunk_bytes,
                               .threads = threads };
    struct vxt_output output;
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    return output;
}

static void random_bytes_verify(void)
{
    enum { SIZE = 6000 };
    static uint8_t bytes[SIZE];
    for (unsigned round = 0; round < 400; round++) {
        vx_gaddr seeds[8];
        for (unsigned i = 0; i < SIZE; i++)
            bytes[i] = (uint8_t)next_random();
        /* more of what has prefixes and two-byte opcodes */
        for (unsigned i = 0; i < 1500; i++) {
            static const uint8_t common[] = { 0x0f, 0x66, 0xf2, 0xf3, 0x67, 0x65, 0x64, 0xf0, 0x38, 0x3a, 0xe8, 0xc3, 0x8d, 0x24, 0x83, 0xec };
            bytes[next_random() % SIZE] = common[next_random() % sizeof common];
        }
        for (unsigned i = 0; i < 8; i++)
            seeds[i] = BASE + next_random() % SIZE;
        struct vxt_output output = translate(bytes, SIZE, seeds, 8, round % 2 ? 512 : 0, 1, round % 3 != 0);
        bool good = verifies(&output) && maps_are_in_order(&output);
        vxt_output_free(&output);
        CU_ASSERT_TRUE(good);
        if (!good)
            break;
    }
}

static void single_instructions_verify(void)
{
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[16];
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random();
        struct vxt_span span = { BASE, sizeof bytes, bytes };
        vx_gaddr seed = BASE;
        struct vxt_input input = { .spans = &span, .span_count = 1, .seeds = &seed, .seed_count = 1, .threads = 1,
                                   .single = true };
        struct vxt_output output;
        CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
        CU_ASSERT_TRUE(output.guest_insns <= 1);
        bool good = verifies(&output) && maps_are_in_order(&output);
        vxt_output_free(&output);
        CU_ASSERT_TRUE(good);
        if (!good)
            break;
    }
}

static void threads_do_not_matter(void)
{
    enum { SIZE = 40000 };
    static uint8_t bytes[SIZE];
    for (unsigned i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)next_random();
    vx_gaddr seed = BASE;
    struct vxt_output one = translate(bytes, SIZE, &seed, 1, 1024, 1, true);
    struct vxt_output four = translate(bytes, SIZE, &seed, 1, 1024, 4, true);
    CU_ASSERT_TRUE(one.chunk_count > 4);
    CU_ASSERT_EQUAL_FATAL(one.code_size, four.code_size);
    CU_ASSERT_EQUAL_FATAL(one.row_count, four.row_count);
    CU_ASSERT_EQUAL_FATAL(one.entry_count, four.entry_count);
    CU_ASSERT_EQUAL(memcmp(one.code, four.code, one.code_size), 0);
    CU_ASSERT_EQUAL(memcmp(one.entries, four.entries, one.entry_count * sizeof *one.entries), 0);
    vxt_output_free(&one);
    vxt_output_free(&four);
}

static bool contains(const struct vxt_output *output, const void *bytes, size_t size)
{
    for (size_t i = 0; i + size <= output->code_size; i++)
        if (memcmp(output->code + i, bytes, size) == 0)
            return true;
    return false;
}

/* push %ebx; push %esi; sub $8,%esp; xor %eax,%eax; add $8,%esp; pop %esi; pop %ebx; cmp %ecx,%eax; ret */
static void esp_updates_merge(void)
{
    static const uint8_t code[] = { 0x53, 0x56, 0x83, 0xec, 0x08, 0x31, 0xc0, 0x83, 0xc4, 0x08, 0x5e, 0x5b, 0x39, 0xc8, 0xc3 };
    static const uint8_t lea[] = { 0x45, 0x8d, 0x76 }; /* lea disp8(%r14),%r14d */
    vx_gaddr seed = BASE;
    struct vxt_output output = translate(code, sizeof code, &seed, 1, 0, 1, false);
    unsigned leas = 0;
    for (uint32_t i = 0; i + 3 < output.chunks[0].size; i++)
        leas += memcmp(output.code + i, lea, 3) == 0;
    CU_ASSERT_EQUAL(leas, 1);
    /* the row of xor knows that ESP is 16 below r14d */
    bool found = false;
    for (size_t i = 0; i < output.row_count; i++)
        if (output.rows[i].guest == BASE + 5)
            found = output.rows[i].esp_delta == -16;
    CU_ASSERT_TRUE(found);
    vxt_output_free(&output);
}

/* call f; then what follows reads flags, or not; f: ret */
static void continuation_keeps_live_flags(void)
{
    static const uint8_t reads[] = { 0xe8, 0x03, 0, 0, 0, 0x72, 0x01, 0xc3, 0xc3 };             /* call; jb; ret; ret */
    static const uint8_t writes[] = { 0xe8, 0x03, 0, 0, 0, 0x31, 0xc0, 0xc3, 0xc3 };            /* call; xor; ret; ret */
    static const uint8_t slow[] = { 0x48, 0x8d, 0x49, 0xff, 0x48, 0x0f, 0xc9, 0x67, 0xe3 };
    static const uint8_t fast[] = { 0x41, 0x81, 0xf8 };
    vx_gaddr seed = BASE;
    struct vxt_output output = translate(reads, sizeof reads, &seed, 1, 0, 1, false);
    CU_ASSERT_TRUE(contains(&output, slow, sizeof slow));
    CU_ASSERT_FALSE(contains(&output, fast, sizeof fast));
    vxt_output_free(&output);
    output = translate(writes, sizeof writes, &seed, 1, 0, 1, false);
    CU_ASSERT_FALSE(contains(&output, slow, sizeof slow));
    CU_ASSERT_TRUE(contains(&output, fast, sizeof fast));
    vxt_output_free(&output);
}

/* jmp into the middle of an instruction: both streams are translated */
static void overlapping_code(void)
{
    /* 0: jmp 3; 2: b8 [31 c0 c3 90]; 3: xor %eax,%eax; ret */
    static const uint8_t code[] = { 0xeb, 0x01, 0xb8, 0x31, 0xc0, 0xc3, 0x90, 0xc3 };
    vx_gaddr seeds[2] = { BASE, BASE + 2 };
    struct vxt_output output = translate(code, sizeof code, seeds, 2, 0, 1, false);
    bool has_outer = false, has_inner = false;
    for (size_t i = 0; i < output.row_count; i++) {
        has_outer |= output.rows[i].guest == BASE + 2;
        has_inner |= output.rows[i].guest == BASE + 3;
    }
    CU_ASSERT_TRUE(has_outer && has_inner);
    CU_ASSERT_TRUE(verifies(&output));
    vxt_output_free(&output);
}

static bool is_known(void *context, vx_gaddr addr)
{
    return true;
}

/* A call into the middle of a run, whose target need not be discovered: it is here all the same, and gets a label. */
static void call_into_a_run(void)
{
    /* 0: nop; 1: inc %eax; 2: call 1; 7: ret */
    static const uint8_t code[] = { 0x90, 0x40, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0xc3 };
    struct vxt_span span = { BASE, sizeof code, code };
    vx_gaddr seed = BASE;
    struct vxt_input input = { .spans = &span, .span_count = 1, .seeds = &seed, .seed_count = 1, .threads = 1, .is_known = is_known };
    struct vxt_output output;
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    uint32_t inner = 0;
    for (size_t i = 0; i < output.entry_count; i++)
        inner = output.entries[i].guest == BASE + 1 ? output.entries[i].host : inner;
    CU_ASSERT_NOT_EQUAL(inner, 0);
    bool is_called = false;
    for (uint32_t at = inner; at + 5 <= output.code_size && !is_called; at++) {
        int32_t d;
        memcpy(&d, output.code + at + 1, sizeof d);
        is_called = output.code[at] == 0xe8 && at + 5 + (uint32_t)d == inner;
    }
    CU_ASSERT_TRUE(is_called);
    CU_ASSERT_TRUE(verifies(&output));
    vxt_output_free(&output);
}

/* jmp *table(,%eax,4)-like tables: GOT-relative and table-relative entries lead to code */
static void jump_tables_are_followed(void)
{
    /* 0: lea 0x1000+tbl(%ebx),... is modelled by an immediate: mov $TABLE,%edx; jmp *%edx */
    static uint8_t code[64] = { 0xba, 0, 0, 0, 0, 0xff, 0xe2 };
    static uint8_t table[8];
    vx_gaddr table_addr = BASE + 0x1000;
    memset(code + 7, 0xcc, sizeof code - 7);
    memcpy(code + 1, &table_addr, 4);
    code[40] = 0x90;
    code[41] = 0xc3;
    uint32_t offsets[2] = { BASE + 41 - table_addr, 0 };
    memcpy(table, offsets, sizeof table);
    struct vxt_span span = { BASE, sizeof code, code };
    struct vxt_span data[2] = { span, { table_addr, sizeof table, table } };
    vx_gaddr seed = BASE;
    struct vxt_input input = { .spans = &span, .span_count = 1, .data = data, .data_count = 2, .seeds = &seed,
                               .seed_count = 1, .threads = 1 };
    struct vxt_output output;
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    bool found = false;
    for (size_t i = 0; i < output.entry_count; i++)
        found |= output.entries[i].guest == BASE + 41;
    CU_ASSERT_TRUE(found);
    vxt_output_free(&output);
}

static void pages_are_reported(void)
{
    static uint8_t code[2 * VX_PAGE_BYTES];
    memset(code, 0x90, sizeof code);
    code[VX_PAGE_BYTES - 2] = 0xb8; /* mov $imm32,%eax over the page's end */
    code[VX_PAGE_BYTES + 3] = 0xc3;
    vx_gaddr seed = BASE + VX_PAGE_BYTES - 2;
    struct vxt_output output = translate(code, sizeof code, &seed, 1, 0, 1, false);
    CU_ASSERT_EQUAL_FATAL(output.page_count, 2);
    CU_ASSERT_EQUAL(output.pages[0], BASE);
    CU_ASSERT_EQUAL(output.pages[1], BASE + VX_PAGE_BYTES);
    vxt_output_free(&output);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("translate", NULL, NULL);
    CU_add_test(suite, "random bytes give verifiable code", random_bytes_verify);
    CU_add_test(suite, "single instructions give verifiable code", single_instructions_verify);
    CU_add_test(suite, "threads do not matter", threads_do_not_matter);
    CU_add_test(suite, "ESP updates merge", esp_updates_merge);
    CU_add_test(suite, "a continuation keeps live flags", continuation_keeps_live_flags);
    CU_add_test(suite, "overlapping code", overlapping_code);
    CU_add_test(suite, "call into a run", call_into_a_run);
    CU_add_test(suite, "jump tables are followed", jump_tables_are_followed);
    CU_add_test(suite, "pages are reported", pages_are_reported);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

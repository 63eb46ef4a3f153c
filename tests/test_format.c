/*
 * The .vxc format: what is written is read back, the same bytes for any number of threads,
 * and the second reader (tests/tools/vxc_reader.py) sees the same content.
 */
#include <CUnit/Basic.h>

#include "tests/test_format_util.h"

static const struct shape shapes[] = {
    {0, 1, 0}, {1, 1, 1}, {1, 4096, 100}, {3, 300, 3000}, {7, 10000, 400000}, {2, 60000, 131072},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static void test_strerror(void)
{
#define CHECK_STATUS(name, number, text) CU_ASSERT_STRING_EQUAL(vx_strerror(name), text);
    VX_STATUS_LIST(CHECK_STATUS)
#undef CHECK_STATUS
    CU_ASSERT_STRING_EQUAL(vx_strerror((vx_status)9999), "unknown status");
}

static void test_cursor(void)
{
    static const struct {
        uint8_t bytes[8];
        size_t size;
        bool good;
        uint32_t value;
    } cases[] = {
        {{0x00}, 1, true, 0},
        {{0x7f}, 1, true, 127},
        {{0x80, 0x01}, 2, true, 128},
        {{0xff, 0xff, 0xff, 0xff, 0x0f}, 5, true, UINT32_MAX},
        {{0xff, 0xff, 0xff, 0xff, 0x10}, 5, false, 0}, /* 2^32 and more */
        {{0xff, 0xff, 0xff, 0xff, 0x8f, 0x00}, 6, false, 0},
        {{0x80, 0x00}, 2, false, 0}, /* not the shortest form */
        {{0xff, 0x80, 0x00}, 3, false, 0},
        {{0x80}, 1, false, 0},
        {{0}, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vxi_cursor c = vxi_cursor(cases[i].bytes, cases[i].size);
        CU_ASSERT_EQUAL(vxi_varint(&c), cases[i].value);
        CU_ASSERT_EQUAL(vxi_at_end(&c), cases[i].good);
    }
    static const uint32_t numbers[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0x80000001, UINT32_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        CU_ASSERT_EQUAL(vxi_unzigzag(vxi_zigzag(numbers[i])), numbers[i]);
    CU_ASSERT_EQUAL(vxi_zigzag(UINT32_MAX), 1);
    CU_ASSERT_EQUAL(vxi_zigzag(1), 2);

    struct vxi_cursor c = vxi_cursor("\1\2\3\4\5\6\7\10\11", 9);
    CU_ASSERT_EQUAL(vxi_u64(&c), UINT64_C(0x0807060504030201));
    CU_ASSERT_EQUAL(vxi_u16(&c), 0);
    CU_ASSERT_TRUE(c.bad);
    CU_ASSERT_PTR_NULL(vxi_take(&c, 1)); /* stays bad, though a byte is left */
    CU_ASSERT_TRUE(vxi_cursor_at("abc", 3, 2, 2).bad);
    CU_ASSERT_TRUE(vxi_cursor_at("abc", 3, UINT64_MAX, 2).bad);
    CU_ASSERT_TRUE(vxi_cursor_at("abc", 3, 2, UINT64_MAX).bad);
    CU_ASSERT_FALSE(vxi_cursor_at("abc", 3, 3, 0).bad);
}

static bool same_rows(const struct vxf_file *file, size_t chunk, const struct vxf_row *expected,
                      size_t left, size_t *count)
{
    struct vx_error error;
    struct vxf_row *rows;
    if (vxf_read_rows(file, chunk, &rows, count, &error) != VX_OK || *count > left)
        return false;
    bool same = true;
    for (size_t i = 0; i < *count; i++)
        same &= rows[i].host == expected[i].host && rows[i].guest == expected[i].guest &&
                rows[i].esp_delta == expected[i].esp_delta && rows[i].kind == expected[i].kind;
    free(rows);
    return same;
}

static bool same_relocs(const struct vxf_file *file, size_t chunk,
                        const struct vxf_reloc *expected, size_t left, size_t *count)
{
    struct vx_error error;
    struct vxf_reloc *relocs;
    if (vxf_read_relocs(file, chunk, &relocs, count, &error) != VX_OK || *count > left)
        return false;
    bool same = true;
    for (size_t i = 0; i < *count; i++)
        same &= relocs[i].host == expected[i].host && relocs[i].negate == expected[i].negate;
    free(relocs);
    return same;
}

static void check_bulk(const struct vxf_file *file, const struct vxf_content *c)
{
    struct vx_error error;
    size_t row = 0, reloc = 0, count = 0;
    for (size_t i = 0; i < c->chunk_count; i++) {
        uint8_t *code = malloc(c->chunks[i].size);
        CU_ASSERT_EQUAL(vxf_read_code(file, i, 0, code, &error), VX_OK);
        CU_ASSERT_EQUAL(memcmp(code, c->code + c->chunks[i].host, c->chunks[i].size), 0);
        free(code);
        CU_ASSERT_TRUE(same_rows(file, i, c->rows + row, c->row_count - row, &count));
        row += count;
        CU_ASSERT_TRUE(same_relocs(file, i, c->relocs + reloc, c->reloc_count - reloc, &count));
        reloc += count;
    }
    CU_ASSERT_EQUAL(row, c->row_count);
    CU_ASSERT_EQUAL(reloc, c->reloc_count);
    CU_ASSERT_EQUAL(vxf_has_guest(file), c->guest != NULL);
    uint8_t *guest = malloc(c->meta.guest_size + 1);
    if (c->guest) {
        CU_ASSERT_EQUAL(vxf_read_guest(file, guest, &error), VX_OK);
        CU_ASSERT_EQUAL(memcmp(guest, c->guest, c->meta.guest_size), 0);
    } else {
        CU_ASSERT_EQUAL(vxf_read_guest(file, guest, &error), VX_ERR_VXC_NO_GUEST);
    }
    free(guest);
}

static void check_tables(const struct vxf_file *file, const struct vxf_content *c)
{
    size_t count;
    CU_ASSERT_EQUAL(memcmp(vxf_meta(file), &c->meta, sizeof c->meta), 0);
    CU_ASSERT_EQUAL(vxf_zone_size(file), vxi_page_round(c->zone_size));
    const struct vxf_chunk *chunks = vxf_chunks(file, &count);
    CU_ASSERT_EQUAL_FATAL(count, c->chunk_count);
    CU_ASSERT_EQUAL(memcmp(chunks, c->chunks, count * sizeof *chunks), 0);
    const struct vxf_entry *entries = vxf_entries(file, &count);
    CU_ASSERT_EQUAL_FATAL(count, c->entry_count);
    CU_ASSERT_EQUAL(memcmp(entries, c->entries, count * sizeof *entries), 0);
    const struct vxf_page *pages = vxf_pages(file, &count);
    CU_ASSERT_EQUAL_FATAL(count, c->page_count);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_TRUE(pages[i].guest == c->pages[i].guest && pages[i].hash == c->pages[i].hash);
    struct vxf_section_info info;
    uint64_t end = 0;
    for (count = 0; vxf_section(file, count, &info); count++) {
        CU_ASSERT_TRUE(!count || info.offset == end);
        CU_ASSERT_STRING_EQUAL(info.name, vxi_section_names[count]);
        end = info.offset + info.stored_bytes;
    }
    CU_ASSERT_EQUAL(count, c->guest ? 8 : 7);
}

static void check_round_trip(const struct vxf_content *content, int level)
{
    struct vx_error error;
    struct vxf_file *file = NULL;
    size_t size;
    uint8_t *bytes = written(content, level, 2, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    CU_ASSERT_EQUAL_FATAL(vxf_open(bytes, size, &file, &error), VX_OK);
    check_tables(file, content);
    check_bulk(file, content);
    vxf_close(file);
    free(bytes);
}

static void test_round_trip(void)
{
    static const int levels[] = {0, 1, 6, 9};
    for (size_t i = 0; i < SHAPES; i++)
        for (int l = 0; l < 4; l++) {
            struct vxf_content content = make_content(100 * i + (size_t)l, shapes[i]);
            check_round_trip(&content, levels[l]);
            free_content(&content);
        }
}

static void test_detached(void)
{
    struct vxf_content content = make_content(5, shapes[3]);
    free(owned(content.guest));
    content.guest = NULL;
    check_round_trip(&content, 6);
    free_content(&content);
}

static void test_deterministic(void)
{
    static const unsigned threads[] = {1, 2, 3, 8, 1000};
    for (int level = 0; level <= 9; level += 3) {
        struct vxf_content content = make_content(7, shapes[4]);
        size_t size[2];
        uint8_t *first = written(&content, level, threads[0], &size[0]);
        for (int i = 1; i < 5; i++) {
            uint8_t *other = written(&content, level, threads[i], &size[1]);
            CU_ASSERT_TRUE_FATAL(first && other);
            CU_ASSERT_TRUE(size[0] == size[1] && memcmp(first, other, size[0]) == 0);
            free(other);
        }
        free(first);
        free_content(&content);
    }
}

static void check_moved(const struct vxf_content *c, const struct vxf_file *file, vx_gaddr bias)
{
    struct vx_error error;
    size_t reloc = 0;
    for (size_t i = 0; i < c->chunk_count; i++) {
        struct vxf_chunk chunk = c->chunks[i];
        uint8_t *expected = malloc(chunk.size), *code = malloc(chunk.size);
        memcpy(expected, c->code + chunk.host, chunk.size);
        for (; reloc < c->reloc_count && c->relocs[reloc].host < chunk.host + chunk.size; reloc++) {
            uint8_t *field = expected + (c->relocs[reloc].host - chunk.host);
            uint32_t add = c->relocs[reloc].negate ? 0 - bias : bias;
            vxi_store32(field, vxi_load32(field) + add);
        }
        CU_ASSERT_EQUAL(vxf_read_code(file, i, bias, code, &error), VX_OK);
        CU_ASSERT_EQUAL(memcmp(code, expected, chunk.size), 0);
        free(expected);
        free(code);
    }
}

static void test_relocation(void)
{
    struct vx_error error;
    struct vxf_file *file;
    struct vxf_content content = make_content(9, shapes[4]);
    size_t size;
    uint8_t *bytes = written(&content, 6, 2, &size), *code = malloc(VXF_CHUNK_LIMIT);
    CU_ASSERT_EQUAL_FATAL(vxf_open(bytes, size, &file, &error), VX_OK);
    check_moved(&content, file, 0x56555000);
    check_moved(&content, file, 0xfffff000);
    CU_ASSERT_EQUAL(vxf_read_code(file, 0, 0x56555004, code, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vxf_read_code(file, 7, 0, code, &error), VX_ERR_ARGUMENT);
    vxf_close(file);
    free(bytes);

    content.meta.relocatable = 0;
    bytes = written(&content, 6, 2, &size);
    CU_ASSERT_EQUAL_FATAL(vxf_open(bytes, size, &file, &error), VX_OK);
    CU_ASSERT_EQUAL(vxf_read_code(file, 0, 0x56555000, code, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vxf_read_code(file, 0, 0, code, &error), VX_OK);
    vxf_close(file);
    free(bytes);
    free(code);
    free_content(&content);
}

static void test_page_hash(void)
{
    uint8_t page[2 * VX_PAGE_BYTES] = {1, 2, 3};
    CU_ASSERT_EQUAL(vxf_hash_page(page, 3), vxf_hash_page(page, VX_PAGE_BYTES));
    CU_ASSERT_EQUAL(vxf_hash_page(page, sizeof page), vxf_hash_page(page, VX_PAGE_BYTES));
    CU_ASSERT_NOT_EQUAL(vxf_hash_page(page, 2), vxf_hash_page(page, 3));
    CU_ASSERT_EQUAL(vxf_hash_page(NULL, 0), vxf_hash_page(page + 16, 100));
    uint64_t hash[2];
    vxf_hash128("", 0, hash); /* the value that the xxHash documentation gives */
    CU_ASSERT_TRUE(hash[0] == UINT64_C(0x6001c324468d497f) &&
                   hash[1] == UINT64_C(0x99aa06d3014798d8));
}

/* ---- the second reader ---- */

static void print_chunks(FILE *f, const struct vxf_file *file, vx_gaddr bias)
{
    struct vx_error error;
    size_t count, n;
    const struct vxf_chunk *chunks = vxf_chunks(file, &count);
    for (size_t i = 0; i < count; i++) {
        struct vxf_row *rows;
        vxf_read_rows(file, i, &rows, &n, &error);
        for (size_t k = 0; k < n; k++)
            fprintf(f, "row %u %u %d %u\n", rows[k].host, rows[k].guest, rows[k].esp_delta,
                    rows[k].kind);
        free(rows);
    }
    for (size_t i = 0; i < count; i++) {
        struct vxf_reloc *relocs;
        vxf_read_relocs(file, i, &relocs, &n, &error);
        for (size_t k = 0; k < n; k++)
            fprintf(f, "reloc %u %u\n", relocs[k].host, relocs[k].negate);
        free(relocs);
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *code = malloc(chunks[i].size);
        vxf_read_code(file, i, bias, code, &error);
        fprintf(f, "code %zu ", i);
        for (uint32_t k = 0; k < chunks[i].size; k++)
            fprintf(f, "%02x", code[k]);
        fputc('\n', f);
        free(code);
    }
}

/* The format of vxc_reader.py --dump. */
static void print_all(FILE *f, const struct vxf_file *file, vx_gaddr bias)
{
    const struct vxf_meta *m = vxf_meta(file);
    struct vx_error error;
    size_t chunk_count, entry_count, page_count;
    const struct vxf_chunk *chunks = vxf_chunks(file, &chunk_count);
    const struct vxf_entry *entries = vxf_entries(file, &entry_count);
    const struct vxf_page *pages = vxf_pages(file, &page_count);
    fprintf(f, "meta %llu %llu %llu %llu %u %u %u %u %u %u %zu %zu %zu %u\n",
            (unsigned long long)m->guest_hash[0], (unsigned long long)m->guest_hash[1],
            (unsigned long long)m->guest_size, (unsigned long long)m->translator_hash, m->contract,
            m->options, m->cpu_features, m->relocatable, m->guest_code_bytes, m->guest_insns,
            chunk_count, entry_count, page_count, vxf_zone_size(file));
    for (size_t i = 0; i < chunk_count; i++)
        fprintf(f, "chunk %u %u\n", chunks[i].host, chunks[i].size);
    for (size_t i = 0; i < entry_count; i++)
        fprintf(f, "entry %u %u\n", entries[i].guest, entries[i].host);
    for (size_t i = 0; i < page_count; i++)
        fprintf(f, "page %u %llu\n", pages[i].guest, (unsigned long long)pages[i].hash);
    print_chunks(f, file, bias);
    if (vxf_has_guest(file)) {
        uint8_t *guest = malloc(m->guest_size + 1);
        vxf_read_guest(file, guest, &error);
        fputs("guest ", f);
        for (uint64_t k = 0; k < m->guest_size; k++)
            fprintf(f, "%02x", guest[k]);
        fputc('\n', f);
        free(guest);
    }
}

static bool have_python(void)
{
    if (system("python3 -c 'import zlib' >/dev/null 2>&1") == 0)
        return true;
    printf("\n    SKIPPED: no python3, the second reader was not tried ");
    return false;
}

static char *run(const char *command, size_t *size)
{
    FILE *f = popen(command, "r");
    size_t capacity = 1 << 24;
    char *text = malloc(capacity);
    *size = fread(text, 1, capacity, f);
    pclose(f);
    return text;
}

static void check_python(const struct vxf_content *content, int level, vx_gaddr bias)
{
    struct vx_error error;
    struct vxf_file *file;
    char command[512], *mine, *theirs;
    size_t size, mine_size, theirs_size;
    uint8_t *bytes = written(content, level, 2, &size);
    CU_ASSERT_EQUAL_FATAL(vxf_open(bytes, size, &file, &error), VX_OK);
    FILE *f = open_memstream(&mine, &mine_size);
    print_all(f, file, bias);
    fclose(f);
    vxf_close(file);
    write_file(work_path("python.vxc"), bytes, size);
    snprintf(command, sizeof command, "python3 %s/tests/tools/vxc_reader.py --dump --bias %u %s",
             SOURCE_DIR, bias, work_path("python.vxc"));
    theirs = run(command, &theirs_size);
    CU_ASSERT_TRUE(mine_size == theirs_size && memcmp(mine, theirs, mine_size) == 0);
    unlink(work_path("python.vxc"));
    free(mine);
    free(theirs);
    free(bytes);
}

static void test_python_agrees(void)
{
    if (!have_python())
        return;
    for (size_t i = 0; i < SHAPES; i++) {
        struct vxf_content content = make_content(1000 + i, shapes[i]);
        check_python(&content, i % 2 ? 6 : 0, i % 3 ? 0x56555000 : 0);
        free_content(&content);
    }
    struct vxf_content content = make_content(1100, shapes[3]);
    free(owned(content.guest));
    content.guest = NULL;
    check_python(&content, 9, 0xfffff000);
    free_content(&content);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("format", NULL, NULL);
    CU_add_test(suite, "status texts", test_strerror);
    CU_add_test(suite, "cursor", test_cursor);
    CU_add_test(suite, "hashes", test_page_hash);
    CU_add_test(suite, "round trip", test_round_trip);
    CU_add_test(suite, "detached", test_detached);
    CU_add_test(suite, "same bytes for any number of threads", test_deterministic);
    CU_add_test(suite, "relocation", test_relocation);
    CU_add_test(suite, "the second reader agrees", test_python_agrees);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    rmdir(work_dir());
    return failures != 0;
}

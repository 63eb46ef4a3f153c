/*
 * Damaged and hostile .vxc files: always a clean error, or content that keeps every promise of
 * format/cache.h (test_format_util.h aborts on any other). Hashes find accidents;
 * most of this file recomputes them, to reach the checks behind.
 */
#include <CUnit/Basic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/test_format_util.h"

#define MUTANTS 100000u
#define PYTHON_MUTANTS 400u

static bool is_vxc_error(vx_status status)
{
    return status >= VX_ERR_VXC_MAGIC && status <= VX_ERR_VXC_PAGES;
}

/* A small file, in malloc'd memory. */
static uint8_t *small_file(uint64_t seed, int level, size_t *size)
{
    struct vxf_content content = make_content(seed, (struct shape){3, 300, 500});
    uint8_t *bytes = written(&content, level, 1, size);
    free_content(&content);
    return bytes;
}

static void test_every_byte(void)
{
    static const uint8_t patterns[] = {0x01, 0x80, 0xff, 0x20};
    for (int level = 0; level <= 6; level += 6) {
        size_t size, accepted = 0;
        uint8_t *bytes = small_file(11, level, &size);
        struct vx_error error;
        CU_ASSERT_EQUAL(read_deeply(bytes, size, &error), VX_OK);
        for (size_t i = 0; i < size; i++)
            for (size_t p = 0; p < sizeof patterns; p++) {
                bytes[i] ^= patterns[p];
                vx_status status = read_deeply(bytes, size, &error);
                accepted += !is_vxc_error(status) || error.status != status || !*error.text;
                bytes[i] ^= patterns[p];
            }
        CU_ASSERT_EQUAL(accepted, 0);
        free(bytes);
    }
}

/* Bytes that nothing reads on demand: the file hash, and the hashes of sections that are read in pieces. */
static bool is_unread(size_t at)
{
    size_t section = (at - VXI_HEADER_BYTES) / VXI_TABLE_ENTRY_BYTES, field = (at - VXI_HEADER_BYTES) % VXI_TABLE_ENTRY_BYTES;
    return (at >= 24 && at < 40) ||
           (at >= VXI_HEADER_BYTES && section >= VXI_CODE && section <= VXI_GUEST && field >= 32);
}

/* A file read on demand, each byte changed: a clean error, or the byte is one that is not read. */
static void test_every_byte_on_demand(void)
{
    for (int level = 0; level <= 6; level += 6) {
        size_t size, wrong = 0;
        uint8_t *bytes = small_file(11, level, &size);
        struct vx_error error;
        int fd = memfd_create("cache", MFD_CLOEXEC);
        CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
        CU_ASSERT_EQUAL(read_deeply_fd(fd, &error), VX_OK);
        for (size_t i = 0; i < size; i++) {
            uint8_t changed = bytes[i] ^ 0x20;
            CU_ASSERT_EQUAL_FATAL(pwrite(fd, &changed, 1, (off_t)i), 1);
            vx_status status = read_deeply_fd(fd, &error);
            wrong += is_unread(i) ? status != VX_OK : !is_vxc_error(status) || error.status != status || !*error.text;
            CU_ASSERT_EQUAL_FATAL(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        for (size_t i = size; i-- > 0;) {
            CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)i), 0);
            vx_status status = read_deeply_fd(fd, &error);
            CU_ASSERT_EQUAL(status, i < 8 ? VX_ERR_VXC_MAGIC : VX_ERR_VXC_TRUNCATED);
        }
        close(fd);
        free(bytes);
    }
}

/* The file changes, or shrinks, after it was opened. */
static void test_change_after_opening(void)
{
    size_t size;
    uint8_t *bytes = small_file(13, 6, &size);
    struct vx_error error;
    struct vxf_file *file;
    int fd = memfd_create("cache", MFD_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
    CU_ASSERT_EQUAL_FATAL(vxf_open_fd(fd, &file, &error), VX_OK);
    CU_ASSERT_EQUAL(read_all_of(file, &error), VX_OK);
    for (size_t i = 0; i < size; i++)
        bytes[i] ^= 0x10;
    CU_ASSERT_EQUAL_FATAL(pwrite(fd, bytes, size, 0), (ssize_t)size);
    CU_ASSERT_EQUAL(read_all_of(file, &error), VX_ERR_VXC_SECTION_HASH);
    CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 10), 0);
    CU_ASSERT_EQUAL(read_all_of(file, &error), VX_ERR_IO);
    vxf_close(file);
    close(fd);
    free(bytes);
}

static void test_every_length(void)
{
    size_t size;
    struct vx_error error;
    uint8_t *bytes = small_file(12, 6, &size);
    for (size_t i = 0; i < size; i++)
        CU_ASSERT_EQUAL(read_deeply(bytes, i, &error),
                        i < 8 ? VX_ERR_VXC_MAGIC : VX_ERR_VXC_TRUNCATED);
    bytes = realloc(bytes, size + 100);
    memset(bytes + size, 0, 100);
    for (size_t i = 1; i <= 100; i++)
        CU_ASSERT_EQUAL(read_deeply(bytes, size + i, &error), VX_ERR_VXC_HEADER);
    free(bytes);
}

/* ---- one edit, one status ---- */

/* In the file itself; the file hash is recomputed, section hashes are not. */
static void test_header_and_table(void)
{
    static const struct {
        size_t at;
        uint32_t value;
        vx_status status;
    } cases[] = {
        {0, 0x00435856, VX_ERR_VXC_MAGIC},
        {8, 0, VX_ERR_VXC_VERSION},
        {8, 2, VX_ERR_VXC_VERSION},
        {12, 1, VX_ERR_VXC_RESERVED},
        {16, UINT32_MAX, VX_ERR_VXC_TRUNCATED},
        {20, 1, VX_ERR_VXC_TRUNCATED},
        {16, 47, VX_ERR_VXC_HEADER},
        {16, 0, VX_ERR_VXC_HEADER},
        {40, 0, VX_ERR_VXC_SECTION},
        {40, 6, VX_ERR_VXC_SECTION},
        {40, 7, VX_ERR_VXC_SECTION}, /* the sections no longer begin after the table */
        {40, 9, VX_ERR_VXC_SECTION},
        {40, UINT32_MAX, VX_ERR_VXC_SECTION},
        {44, 0x80000000, VX_ERR_VXC_RESERVED},
        {48 + 0, 2, VX_ERR_VXC_SECTION},
        {48 + 40, 1, VX_ERR_VXC_SECTION},
        {48 + 7 * 40, 9, VX_ERR_VXC_SECTION},
        {48 + 4, 1, VX_ERR_VXC_RESERVED},
        {48 + 8, 48, VX_ERR_VXC_SECTION},
        {48 + 12, 1, VX_ERR_VXC_SECTION},
        {48 + 40 + 8, 0, VX_ERR_VXC_SECTION},
        {48 + 16, UINT32_MAX, VX_ERR_VXC_SECTION},
        {48 + 20, UINT32_MAX, VX_ERR_VXC_SECTION},
        {48 + 32, 0, VX_ERR_VXC_SECTION_HASH},
        {48 + 4 * 40 + 36, 0, VX_ERR_VXC_SECTION_HASH},
        {48 + 24, 73, VX_ERR_VXC_LIMIT},
        {48 + 28, UINT32_MAX, VX_ERR_VXC_LIMIT},
        {48 + 24, 71, VX_ERR_VXC_SECTION}, /* stored is larger */
        {48 + 40 + 24, 64, VX_ERR_VXC_SECTION},
        {48 + 40 + 28, 1, VX_ERR_VXC_LIMIT},
        {48 + 2 * 40 + 28, 1, VX_ERR_VXC_LIMIT},
        {48 + 3 * 40 + 28, 1, VX_ERR_VXC_LIMIT},
        {48 + 4 * 40 + 24, 5, VX_ERR_VXC_CHUNK},
        {48 + 5 * 40 + 28, 5, VX_ERR_VXC_CHUNK},
        {48 + 7 * 40 + 24, 5, VX_ERR_VXC_META},
        {48 + 7 * 40 + 28, UINT32_MAX, VX_ERR_VXC_META},
    };
    size_t size;
    uint8_t *bytes = small_file(13, 0, &size), *copy = malloc(size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vx_error error;
        memcpy(copy, bytes, size);
        vxi_store32(copy + cases[i].at, cases[i].value);
        rehash_file(copy, size);
        vx_status status = read_deeply(copy, size, &error);
        if (status != cases[i].status)
            printf("\n    offset %zu: %d (%s), expected %d", cases[i].at, status, error.text,
                   cases[i].status);
        CU_ASSERT_EQUAL(status, cases[i].status);
    }
    free(copy);
    free(bytes);
}

/* A file that says it is long before its code, and is: no byte of that is read. */
static void test_long_front(void)
{
    char path[] = "/tmp/vx-front-XXXXXX";
    const uint64_t size = 6ull << 30, table = VXI_HEADER_BYTES + 7 * VXI_TABLE_ENTRY_BYTES;
    for (unsigned large = VXI_META; large < VXI_CODE; large++)
        for (int is_stored = 0; is_stored < 2; is_stored++) {
            uint8_t front[VXI_HEADER_BYTES + 7 * VXI_TABLE_ENTRY_BYTES] = {0};
            struct vxf_file *file;
            struct vx_error error;
            uint64_t at = table;
            memcpy(front, VXI_MAGIC, sizeof VXI_MAGIC - 1);
            vxi_store32(front + 8, VXF_VERSION);
            store64(front + 16, size);
            vxi_store32(front + 40, 7);
            for (unsigned i = 0; i < 7; i++) {
                uint8_t *entry = front + VXI_HEADER_BYTES + i * VXI_TABLE_ENTRY_BYTES;
                uint64_t stored = i == large ? size - table : 0;
                vxi_store32(entry, i + 1);
                store64(entry + 8, at);
                store64(entry + 16, stored);
                store64(entry + 24, is_stored ? 0 : stored);
                at += stored;
            }
            int fd = mkstemp(strcpy(path, "/tmp/vx-front-XXXXXX"));
            CU_ASSERT_FATAL(fd >= 0);
            CU_ASSERT(write(fd, front, sizeof front) == sizeof front && ftruncate(fd, (off_t)size) == 0);
            clock_t from = clock();
            CU_ASSERT_EQUAL(vxf_open_fd(fd, &file, &error), is_stored ? VX_ERR_VXC_SECTION : VX_ERR_VXC_LIMIT);
            CU_ASSERT(clock() - from < CLOCKS_PER_SEC / 2);
            close(fd);
            unlink(path);
        }
}

/* Put parts together, read deeply, compare the status; frees the parts. */
static void expect(struct parts *p, vx_status expected, const char *what)
{
    struct vx_error error;
    size_t size;
    uint8_t *file = put_together(p, &size);
    vx_status status = read_deeply(file, size, &error);
    if (status != expected)
        printf("\n    %s: %d (%s), expected %d", what, status, error.text, expected);
    CU_ASSERT_EQUAL(status, expected);
    free(file);
    free_parts(p);
}

/* Fields of meta and index, with every hash recomputed. */
static void test_fields(void)
{
    enum { META = VXI_META, INDEX = VXI_INDEX };
    static const struct {
        int section;
        size_t at; /* in the plain content */
        uint32_t value;
        vx_status status;
    } cases[] = {
        {META, 0, 1, VX_ERR_VXC_GUEST},
        {META, 12, 1, VX_ERR_VXC_GUEST},
        {META, 16, 499, VX_ERR_VXC_META},
        {META, 20, 1, VX_ERR_VXC_LIMIT},
        {META, 32, 77, VX_OK}, /* another contract: the loader's business */
        {META, 44, 2, VX_ERR_VXC_META},
        {META, 56, 2, VX_ERR_VXC_CHUNK},
        {META, 56, 4, VX_ERR_VXC_CHUNK},
        {META, 56, VXI_CHUNK_COUNT_LIMIT, VX_ERR_VXC_CHUNK},
        {META, 56, VXI_CHUNK_COUNT_LIMIT + 1, VX_ERR_VXC_LIMIT},
        {META, 60, 0, VX_ERR_VXC_ENTRY},
        {META, 60, 111, VX_ERR_VXC_ENTRY},
        {META, 60, VXI_ENTRY_COUNT_LIMIT, VX_ERR_VXC_ENTRY},
        {META, 60, VXI_ENTRY_COUNT_LIMIT + 1, VX_ERR_VXC_LIMIT},
        {META, 64, 0, VX_ERR_VXC_PAGES},
        {META, 64, 2, VX_ERR_VXC_PAGES},
        {META, 64, 4, VX_ERR_VXC_PAGES},
        {META, 64, VXI_PAGE_COUNT_LIMIT + 1, VX_ERR_VXC_LIMIT},
        {META, 68, 1, VX_ERR_VXC_RESERVED},
        {INDEX, 0, 2048, VX_ERR_VXC_CHUNK},
        {INDEX, 0, 0x20000000, VX_ERR_VXC_CHUNK}, /* after the next one */
        {INDEX, 64, 0, VX_ERR_VXC_CHUNK},         /* on the first one */
        {INDEX, 128, VXF_ZONE_LIMIT, VX_ERR_VXC_LIMIT},
        {INDEX, 128, UINT32_MAX - 4095, VX_ERR_VXC_LIMIT},
        {INDEX, 128, VXF_ZONE_LIMIT - 4096, VX_ERR_VXC_ENTRY},
        {INDEX, 4, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 4, VXF_CHUNK_LIMIT + 1, VX_ERR_VXC_LIMIT},
        {INDEX, 4, UINT32_MAX, VX_ERR_VXC_LIMIT},
        {INDEX, 4, 1, VX_ERR_VXC_CHUNK}, /* stored is larger */
        {INDEX, 8, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 8, UINT32_MAX, VX_ERR_VXC_CHUNK},
        {INDEX, 12, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 12, VXF_CHUNK_LIMIT + 1, VX_ERR_VXC_CHUNK},
        {INDEX, 16, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 16, UINT32_MAX, VX_ERR_VXC_CHUNK},
        {INDEX, 20, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 24, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 24, UINT32_MAX, VX_ERR_VXC_CHUNK},
        {INDEX, 28, 0, VX_ERR_VXC_CHUNK},
        {INDEX, 32, UINT32_MAX, VX_ERR_VXC_CHUNK},
        {INDEX, 36, 1, VX_ERR_VXC_RESERVED},
    };
    size_t size;
    uint8_t *bytes = small_file(14, 0, &size);
    struct parts base = take_apart(bytes, size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parts p = copy_parts(&base);
        char what[64];
        snprintf(what, sizeof what, "%s+%zu", vxi_section_names[cases[i].section], cases[i].at);
        vxi_store32(p.section[cases[i].section].bytes + 4 + cases[i].at, cases[i].value);
        rehash_chunks(&p);
        expect(&p, cases[i].status, what);
    }
    for (int hash = 40; hash < 64; hash += 8) {
        struct parts p = copy_parts(&base);
        p.section[INDEX].bytes[4 + 64 + hash] ^= 1;
        expect(&p, VX_ERR_VXC_SECTION_HASH, "hash of a stream");
    }
    free_parts(&base);
    free(bytes);
}

/* ---- hand-made sections ---- */

/* A cache of one chunk of 100 bytes at 0, everything stored. */
static struct parts one_chunk(void)
{
    static const struct vxf_chunk chunk = {0, 100};
    uint8_t code[100] = {0};
    struct vxf_content content = {.code = code, .zone_size = 100, .chunks = &chunk,
                                  .chunk_count = 1, .meta.relocatable = 1};
    size_t size;
    uint8_t *bytes = written(&content, 0, 1, &size);
    struct parts p = take_apart(bytes, size);
    free(bytes);
    return p;
}

/* Make a blocked section of one stream. */
static void set_blocked(struct parts *p, int section, const void *bytes, size_t stored, size_t plain)
{
    uint8_t *whole = malloc(stored + 4);
    vxi_store32(whole, (uint32_t)stored);
    memcpy(whole + 4, bytes, stored);
    replace_section(p, section, whole, plain ? stored + 4 : 0, plain);
    free(whole);
}

/* Make a stream of the one chunk. kind: 0 code, 1 rows, 2 relocs. */
static void set_stream(struct parts *p, int kind, const void *bytes, size_t stored, size_t plain,
                       uint32_t count)
{
    static const int count_at[] = {4, 12, 24}, plain_at[] = {4, 16, 28}, stored_at[] = {8, 20, 32};
    size_t chunks;
    uint8_t *index = index_of(p, &chunks);
    vxi_store32(index + count_at[kind], count);
    vxi_store32(index + plain_at[kind], (uint32_t)plain);
    vxi_store32(index + stored_at[kind], (uint32_t)stored);
    replace_section(p, VXI_CODE + kind, bytes, stored, plain);
    rehash_chunks(p);
}

static void set_meta(struct parts *p, size_t at, uint32_t value)
{
    vxi_store32(p->section[VXI_META].bytes + 4 + at, value);
}

struct column_case {
    const char *bytes;
    size_t size;
    uint32_t count;
    bool good;
};

static void check_columns(int section, const struct column_case *cases, size_t count,
                          vx_status status)
{
    for (size_t i = 0; i < count; i++) {
        struct parts p = one_chunk();
        char what[64];
        snprintf(what, sizeof what, "%s %zu", vxi_section_names[section], i);
        if (section == VXI_ENTRIES || section == VXI_PAGES) {
            set_blocked(&p, section, cases[i].bytes, cases[i].size, cases[i].size);
            set_meta(&p, section == VXI_ENTRIES ? 60 : 64, cases[i].count);
        } else {
            set_stream(&p, section - VXI_CODE, cases[i].bytes, cases[i].size, cases[i].size,
                       cases[i].count);
        }
        expect(&p, cases[i].good ? VX_OK : status, what);
    }
}

#define TOP "\xff\xff\xff\xff\x0f" /* the varint 2^32 - 1 */

static void test_entries(void)
{
    static const struct column_case cases[] = {
        {"\5\0", 2, 1, true},
        {TOP "\0", 6, 1, true},
        {"\0\1\0\2", 4, 2, true},
        {"\0" TOP "\0\2", 8, 2, true},
        {"\1" TOP "\0\2", 8, 2, false},        /* past 4 GiB */
        {"\5\0\0\2", 4, 2, false},             /* the same address twice */
        {"\5\310\1", 3, 1, false},             /* host 100: just outside */
        {"\5\306\1", 3, 1, true},              /* host 99 */
        {"\5\1", 2, 1, false},                 /* host -1 */
        {"\5\0\0", 3, 1, false},               /* a byte left over */
        {"\5\200", 2, 1, false},               /* cut short */
        {"\205\0\0", 3, 1, false},             /* not the shortest form */
        {"\xff\xff\xff\xff\x1f\0", 6, 1, false}, /* more than 32 bits */
        {"\5\1\0\0", 4, 3, false},             /* count too large for the bytes */
        {"", 0, 0, true},
    };
    check_columns(VXI_ENTRIES, cases, sizeof cases / sizeof *cases, VX_ERR_VXC_ENTRY);
}

static void test_pages(void)
{
    static const struct column_case cases[] = {
        {"\5hashhash", 9, 1, true},
        {"\xff\xff\x3fhashhash", 11, 1, true},
        {"\x80\x80\x40hashhash", 11, 1, false}, /* page 2^20 */
        {"\xff\xff\x3f\1hashhashhashhash", 20, 2, false},
        {"\5\0hashhashhashhash", 18, 2, false},
        {"\5\1hashhashhashhash", 18, 2, true},
        {"\5hashhash.", 10, 1, false},
        {"\5\1hashhashhashhas", 17, 2, false},
        {"\5hash", 5, 1, false},
    };
    check_columns(VXI_PAGES, cases, sizeof cases / sizeof *cases, VX_ERR_VXC_PAGES);
}

static void test_rows(void)
{
    static const struct column_case cases[] = {
        {"\1", 1, 1, true},
        {"\0\0\0", 3, 1, true},
        {"\306\1" TOP TOP, 12, 1, true},  /* offset 99 */
        {"\310\1\0\0", 4, 1, false},      /* offset 100 */
        {"\1\1", 2, 2, true},             /* two at one offset */
        {"\306\1\0" "\1\1" "\1\1", 7, 2, true},
        {"\306\1\2" "\1\1" "\1\1", 7, 2, false},
        {TOP, 5, 1, false},               /* far outside */
        {"\1\0", 2, 1, false},            /* kind none has no further columns */
        {"\0\0", 2, 1, false},            /* ESP column missing */
        {"\0\0\0\0", 4, 1, false},
        {"\0\0\200", 3, 1, false},
    };
    check_columns(VXI_ROWS, cases, sizeof cases / sizeof *cases, VX_ERR_VXC_FAULTMAP);
}

static void test_relocs(void)
{
    static const struct column_case cases[] = {
        {"\0", 1, 1, true},
        {"\1\10", 2, 2, true},
        {"\0\6", 2, 2, false},    /* 3 bytes on: overlaps */
        {"\0\0", 2, 2, false},
        {"\300\1", 2, 1, true},   /* field at 96 */
        {"\302\1", 2, 1, false},  /* field at 97 */
        {"\270\1\10", 3, 2, true},
        {"\270\1\12", 3, 2, false},
        {TOP, 5, 1, false},
        {"\0" TOP, 6, 2, false},
        {"\200\0", 2, 1, false},
        {"\0\10", 2, 1, false},
    };
    check_columns(VXI_RELOCS, cases, sizeof cases / sizeof *cases, VX_ERR_VXC_RELOC);
}

/* Nothing may hide between or behind what is read. */
static void test_slack(void)
{
    struct vx_error error;
    struct parts p = one_chunk();
    size_t size;
    set_stream(&p, 0, "", 0, 0, 0);
    expect(&p, VX_ERR_VXC_CHUNK, "empty chunk");
    for (int kind = 0; kind < 3; kind++) {
        p = one_chunk();
        uint8_t longer[101] = {0};
        size = p.section[VXI_CODE + kind].size;
        replace_section(&p, VXI_CODE + kind, longer, size + 1, p.section[VXI_CODE + kind].plain);
        expect(&p, VX_ERR_VXC_CHUNK, "byte behind the streams");
    }
    uint8_t index[65] = {0};
    p = one_chunk();
    memcpy(index, p.section[VXI_INDEX].bytes + 4, 64);
    set_blocked(&p, VXI_INDEX, index, 65, 65);
    expect(&p, VX_ERR_VXC_CHUNK, "byte behind the chunk table");
    p = one_chunk();
    uint8_t *file = put_together(&p, &size);
    file = realloc(file, size + 1);
    file[size++] = 0;
    store64(file + 16, size);
    rehash_file(file, size);
    CU_ASSERT_EQUAL(read_deeply(file, size, &error), VX_ERR_VXC_SECTION);
    free(file);
    free_parts(&p);
}

/* ---- compressed data ---- */

/* Raw deflate of size bytes. */
static uint8_t *deflated(const void *src, size_t size, size_t *stored)
{
    z_stream z = {.next_in = owned(src), .avail_in = (uInt)size};
    size_t bound = size + size / 8 + 64;
    uint8_t *out = malloc(bound);
    deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
    z.next_out = out;
    z.avail_out = (uInt)bound;
    deflate(&z, Z_FINISH);
    *stored = z.total_out;
    deflateEnd(&z);
    return out;
}

static void test_inflating(void)
{
    size_t stored, plain = 50000;
    uint8_t *zeros = calloc(plain + 1, 1), *stream = deflated(zeros, plain, &stored);
    static const struct {
        int plain, stored; /* added to the true sizes */
        vx_status status;
    } cases[] = {
        {0, 0, VX_OK},
        {1, 0, VX_ERR_VXC_INFLATE},  /* inflates to less */
        {-1, 0, VX_ERR_VXC_INFLATE}, /* inflates to more */
        {0, 1, VX_ERR_VXC_INFLATE},  /* a byte after its end */
        {0, -1, VX_ERR_VXC_INFLATE}, /* cut short */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parts p = one_chunk();
        size_t size = plain + (size_t)(ptrdiff_t)cases[i].plain;
        set_stream(&p, 0, stream, stored + (size_t)(ptrdiff_t)cases[i].stored, size, (uint32_t)size);
        expect(&p, cases[i].status, "deflate stream of another size");
    }
    struct parts p = one_chunk();
    stream[0] = 0x07; /* final block of the reserved type */
    set_stream(&p, 0, stream, stored, plain, (uint32_t)plain);
    expect(&p, VX_ERR_VXC_INFLATE, "not a deflate stream");
    free(stream);
    free(zeros);
}

/* Sizes that promise more than deflate can do are refused before memory is taken for them. */
static void test_bombs(void)
{
    struct rusage usage;
    size_t stored;
    struct parts p = one_chunk();
    set_stream(&p, 0, "\3\0", 2, 2 * 1032 + 1, 2 * 1032 + 1);
    expect(&p, VX_ERR_VXC_CHUNK, "chunk that claims more than deflate can do");

    p = one_chunk();
    set_blocked(&p, VXI_ENTRIES, "\3\0", 2, VXI_BLOCK_BYTES);
    set_meta(&p, 60, 1000);
    expect(&p, VX_ERR_VXC_SECTION, "entries that claim more than deflate can do");

    p = one_chunk();
    set_meta(&p, 60, VXI_ENTRY_COUNT_LIMIT);
    expect(&p, VX_ERR_VXC_ENTRY, "entry count without entries");

    /* the largest honest ratio: every block inflates, and then has to hold valid entries */
    uint8_t *zeros = calloc(VXI_BLOCK_BYTES, 1), *stream = deflated(zeros, VXI_BLOCK_BYTES, &stored);
    size_t blocks = 200;
    uint8_t *section = malloc(blocks * (4 + stored));
    for (size_t i = 0; i < blocks; i++) {
        vxi_store32(section + 4 * i, (uint32_t)stored);
        memcpy(section + 4 * blocks + i * stored, stream, stored);
    }
    p = one_chunk();
    replace_section(&p, VXI_ENTRIES, section, blocks * (4 + stored), blocks * VXI_BLOCK_BYTES);
    set_meta(&p, 60, (uint32_t)(blocks * VXI_BLOCK_BYTES / 2));
    expect(&p, VX_ERR_VXC_ENTRY, "entries that are all zero");
    p = one_chunk();
    replace_section(&p, VXI_PAGES, section, blocks * (4 + stored), blocks * VXI_BLOCK_BYTES);
    expect(&p, VX_ERR_VXC_LIMIT, "more pages than there are");
    free(section);
    free(stream);
    free(zeros);
    getrusage(RUSAGE_SELF, &usage);
    CU_ASSERT_TRUE(usage.ru_maxrss < 1024 * 1024); /* KiB */
}

static void test_guest(void)
{
    size_t size;
    uint8_t *bytes = small_file(15, 0, &size);
    struct parts base = take_apart(bytes, size), p = copy_parts(&base);
    p.section[VXI_GUEST].bytes[10] ^= 1;
    expect(&p, VX_ERR_VXC_GUEST, "another guest");
    p = copy_parts(&base);
    vxi_store32(p.section[VXI_GUEST].bytes, 499);
    expect(&p, VX_ERR_VXC_SECTION, "block table of the guest");
    p = copy_parts(&base);
    p.section[VXI_GUEST].bytes[0] ^= 0x80;
    expect(&p, VX_ERR_VXC_SECTION, "block table of the guest");
    p = copy_parts(&base);
    free(p.section[VXI_GUEST].bytes);
    p.count--;
    expect(&p, VX_OK, "detached by hand");
    free_parts(&base);
    free(bytes);
}

/* ---- random mutants ---- */

static uint32_t odd_value(uint64_t *r, uint32_t old)
{
    static const uint32_t values[] = {0, 1, 2, 3, 4095, 4096, 4097, 1u << 20, 1u << 30, 1u << 31,
                                      UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - 4095};
    switch (below(r, 4)) {
    case 0: return old + 1 - 2 * below(r, 2);
    case 1: return old ^ 1u << below(r, 32);
    case 2: return (uint32_t)rnd(r);
    default: return values[below(r, sizeof values / sizeof *values)];
    }
}

/* Change a few bytes, fields or lengths of one section. */
static void mutate_section(uint64_t *r, struct parts *p, uint32_t i)
{
    size_t size = p->section[i].size;
    if (!size)
        return;
    uint8_t *at = p->section[i].bytes + below(r, (uint32_t)size);
    switch (below(r, 6)) {
    case 0:
        *at = (uint8_t)rnd(r);
        break;
    case 1:
        *at ^= (uint8_t)(1u << below(r, 8));
        break;
    case 2: /* a whole field of meta or index */
        if (size >= 8) {
            at = p->section[i].bytes + (below(r, (uint32_t)size - 3) & ~3u);
            vxi_store32(at, odd_value(r, vxi_load32(at)));
        }
        break;
    case 3: /* a longer varint */
        *at |= 0x80;
        break;
    case 4:
        p->section[i].plain += below(r, 3) - UINT64_C(1);
        break;
    default: /* shorter */
        if (below(r, 4) == 0)
            p->section[i].size -= 1 + below(r, (uint32_t)size);
        break;
    }
}

static uint8_t *mutant(uint64_t *r, const struct parts *base, size_t *size)
{
    struct parts p = copy_parts(base);
    for (uint32_t i = 1 + below(r, 3); i; i--)
        mutate_section(r, &p, below(r, p.count));
    if (below(r, 16))
        rehash_chunks(&p);
    uint8_t *file = put_together(&p, size);
    if (below(r, 8) == 0) { /* header and section table too */
        uint32_t table = VXI_HEADER_BYTES + p.count * VXI_TABLE_ENTRY_BYTES;
        uint8_t *field = file + 8 + (below(r, table - 8) & ~3u);
        vxi_store32(field, odd_value(r, vxi_load32(field)));
        rehash_file(file, *size);
    }
    free_parts(&p);
    return file;
}

struct bases {
    struct parts parts[4];
};

static struct bases make_bases(void)
{
    struct bases b;
    for (int i = 0; i < 4; i++) {
        size_t size;
        uint8_t *bytes = small_file(20 + (uint64_t)i, i % 2 ? 6 : 0, &size);
        b.parts[i] = take_apart(bytes, size);
        free(bytes);
    }
    return b;
}

static void test_mutants(void)
{
    struct bases bases = make_bases();
    uint64_t state = 2024;
    size_t accepted = 0, strange = 0;
    for (uint32_t i = 0; i < MUTANTS; i++) {
        struct vx_error error;
        size_t size;
        uint8_t *file = mutant(&state, &bases.parts[i % 4], &size);
        vx_status status = read_deeply(file, size, &error);
        accepted += status == VX_OK;
        strange += status != VX_OK && !is_vxc_error(status);
        free(file);
    }
    printf("%zu of %u accepted, as valid ", accepted, MUTANTS);
    CU_ASSERT_EQUAL(strange, 0);
    CU_ASSERT_TRUE(accepted > 0 && accepted < MUTANTS / 2);
    for (int i = 0; i < 4; i++)
        free_parts(&bases.parts[i]);
}

/* The second reader takes and refuses the same mutants. */
static void test_python_agrees(void)
{
    if (system("python3 -c 'import zlib' >/dev/null 2>&1") != 0) {
        printf("\n    SKIPPED: no python3, the second reader was not tried ");
        return;
    }
    struct bases bases = make_bases();
    uint64_t state = 77;
    bool accepted[PYTHON_MUTANTS];
    char path[160], command[512], line[256];
    for (uint32_t i = 0; i < PYTHON_MUTANTS; i++) {
        struct vx_error error;
        size_t size;
        uint8_t *file = mutant(&state, &bases.parts[i % 4], &size);
        accepted[i] = read_deeply(file, size, &error) == VX_OK;
        snprintf(path, sizeof path, "%s/m%04u.vxc", work_dir(), i);
        write_file(path, file, size);
        free(file);
    }
    snprintf(command, sizeof command, "python3 %s/tests/tools/vxc_reader.py --check %s/m*.vxc",
             SOURCE_DIR, work_dir());
    FILE *f = popen(command, "r");
    for (uint32_t i = 0; i < PYTHON_MUTANTS; i++) {
        snprintf(path, sizeof path, "%s/m%04u.vxc", work_dir(), i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof line, f));
        bool ok = strcmp(line, "ok\n") == 0;
        if (ok != accepted[i])
            printf("\n    mutant %u: %s here; second reader: %s", i,
                   accepted[i] ? "accepted" : "refused", line);
        CU_ASSERT_EQUAL(ok, accepted[i]);
        unlink(path);
    }
    pclose(f);
    for (int i = 0; i < 4; i++)
        free_parts(&bases.parts[i]);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("damage", NULL, NULL);
    CU_add_test(suite, "every byte changed", test_every_byte);
    CU_add_test(suite, "every byte and length, read on demand", test_every_byte_on_demand);
    CU_add_test(suite, "changed after opening", test_change_after_opening);
    CU_add_test(suite, "every length", test_every_length);
    CU_add_test(suite, "header and section table", test_header_and_table);
    CU_add_test(suite, "a long front", test_long_front);
    CU_add_test(suite, "fields, hashes recomputed", test_fields);
    CU_add_test(suite, "entries", test_entries);
    CU_add_test(suite, "pages", test_pages);
    CU_add_test(suite, "fault map", test_rows);
    CU_add_test(suite, "relocations", test_relocs);
    CU_add_test(suite, "bytes left over", test_slack);
    CU_add_test(suite, "inflating", test_inflating);
    CU_add_test(suite, "decompression bombs", test_bombs);
    CU_add_test(suite, "guest", test_guest);
    CU_add_test(suite, "mutants, hashes recomputed", test_mutants);
    CU_add_test(suite, "the second reader agrees", test_python_agrees);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    rmdir(work_dir());
    return failures != 0;
}

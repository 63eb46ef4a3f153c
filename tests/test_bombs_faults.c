/*
 * Fault maps of the largest number: caches of thousands of chunks, an instruction and a row in each, all of which fault; with an entry at each
 * instruction, and with none but the first, where the runtime has to find the way back by the fault maps alone; a fault map that is wrong at its
 * end, which shows only when all of it has been read; and maps with a row for each byte of code. docs/security.md, "Denial of service".
 */
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/cache.h"
#include "format/sandbox.h"
#include "tests/test_box.h"
#include "tests/test_format_util.h"
#include "vxc/translate/translate.h"

#define AREA 0x20000000u
#define NOTHING 0x30000000u
#define TRIES 200u
/* mov (%edx), %eax; hlt: two faults, and nothing leads on to the next chunk */
static const uint8_t piece[] = {0x8b, 0x02, 0xf4};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The fault map does not end, and every hash is as it should be then. */
static void spoil_rows(const char *path)
{
    size_t size;
    uint8_t *bytes = read_file(path, &size);
    struct parts parts = take_apart(bytes, size);
    free(bytes);
    parts.section[VXI_ROWS].bytes[parts.section[VXI_ROWS].size - 1] |= 0x80; /* a varint that goes on */
    rehash_chunks(&parts);
    bytes = put_together(&parts, &size);
    write_file(path, bytes, size);
    free(bytes);
    free_parts(&parts);
}

/* A box with a cache of this content, of which rows may be spoilt, for the pages at AREA. */
static struct vx_box *attached(const struct vxf_content *content, uint32_t mapped, bool is_spoilt)
{
    struct vx_error error;
    struct vx_code *code;
    struct vx_box *box;
    const struct vx_box_options options = {.size = sizeof options, .no_dynamic = true};
    char path[] = "/tmp/vx-faults-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(vxf_write(path, content, 0, 1, &error), VX_OK);
    if (is_spoilt)
        spoil_rows(path);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, &options, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, AREA, mapped, RX), VX_OK);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(vx_code_open(fd, 0, &code, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, AREA, mapped), VX_OK);
    vx_code_close(code);
    close(fd);
    unlink(path);
    return box;
}

enum kind { ENTRIES, NO_ENTRIES, WRONG_ROWS };

/* Such a cache, and the box that it is attached to. */
static struct vx_box *make(uint32_t pieces, enum kind kind, size_t *chunks)
{
    uint32_t size = pieces * (uint32_t)sizeof piece, mapped = (size + 0xfff) & ~0xfffu;
    uint8_t *guest = malloc(size);
    vx_gaddr *seeds = malloc(pieces * sizeof *seeds);
    struct vxt_span span = {AREA, size, guest};
    struct vxt_input input = {.spans = &span, .span_count = 1, .data = &span, .data_count = 1, .seeds = seeds, .seed_count = pieces,
                              .threads = 1, .chunk_guest_bytes = kind == WRONG_ROWS ? 0 : 1, .cpu = VX_CPU_DEFAULT};
    struct vxt_output output;
    CU_ASSERT_FATAL(guest && seeds);
    for (uint32_t i = 0; i < pieces; i++) {
        memcpy(guest + i * sizeof piece, piece, sizeof piece);
        seeds[i] = AREA + i * (uint32_t)sizeof piece;
    }
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    struct vxf_content content = {.meta = {.guest_size = size, .contract = VX_CONTRACT_VERSION, .options = VX_CPU_DEFAULT}, .guest = guest, .code = output.code,
                                  .zone_size = output.code_size, .chunks = output.chunks, .chunk_count = output.chunk_count, .entries = output.entries,
                                  .entry_count = kind == ENTRIES ? output.entry_count : 1, .rows = output.rows, .row_count = output.row_count};
    vxf_hash128(guest, size, content.meta.guest_hash);
    *chunks = output.chunk_count;
    struct vx_box *box = attached(&content, mapped, kind == WRONG_ROWS);
    vxt_output_free(&output);
    free(guest);
    free(seeds);
    return box;
}

/* Each instruction faults, the host goes on behind it. Seconds for a fault: of the first round, which loads the chunks and finds the way back. */
static double fault_seconds(struct vx_box *box, uint32_t pieces, size_t chunks)
{
    struct vx_regs regs;
    struct vx_trap trap;
    struct vx_stats stats;
    double first = 0;
    unsigned wrong = 0;
    vx_box_get_regs(box, &regs);
    for (int round = 0; round < 2; round++) {
        double from = seconds();
        for (uint32_t i = 0; i < pieces; i++) {
            regs.eip = AREA + i * (uint32_t)sizeof piece;
            regs.edx = NOTHING;
            vx_box_set_regs(box, &regs);
            wrong += vx_box_run(box, &trap) != VX_OK || trap.kind != VX_TRAP_PAGE || trap.eip != regs.eip || trap.address != NOTHING;
            regs.eip += 2;
            vx_box_set_regs(box, &regs);
            wrong += vx_box_run(box, &trap) != VX_OK || trap.kind != VX_TRAP_PROTECTION || trap.eip != regs.eip;
        }
        if (!round)
            first = (seconds() - from) / (2.0 * pieces);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    vx_box_stats(box, &stats);
    CU_ASSERT_EQUAL(stats.chunks_loaded, chunks);
    return first;
}

/* The same for each, however many there are. */
static void faults(enum kind kind)
{
    double took[2];
    for (int large = 0; large < 2; large++) {
        uint32_t pieces = large ? 16000 : 2000;
        size_t chunks;
        struct vx_box *box = make(pieces, kind, &chunks);
        CU_ASSERT(chunks > pieces / 2);
        took[large] = fault_seconds(box, pieces, chunks);
        printf("%.1f us a fault in %zu chunks ", took[large] * 1e6, chunks);
        vx_box_free(box);
    }
    CU_ASSERT(took[1] < 4 * took[0]);
}

static void entries_everywhere(void)
{
    faults(ENTRIES);
}

static void no_entries(void)
{
    faults(NO_ENTRIES);
}

/* Seconds to find that there is no way on at an address, of the second round. */
static double nothing_seconds(uint32_t pieces)
{
    struct vx_regs regs;
    struct vx_trap trap;
    size_t chunks;
    double from = 0;
    unsigned wrong = 0;
    struct vx_box *box = make(pieces, WRONG_ROWS, &chunks);
    CU_ASSERT_EQUAL(chunks, 1);
    vx_box_get_regs(box, &regs);
    for (int round = 0; round < 2; round++) {
        from = seconds();
        for (uint32_t i = 0; i < TRIES; i++) {
            regs.eip = AREA + i * (uint32_t)sizeof piece + 2;
            vx_box_set_regs(box, &regs);
            wrong += vx_box_run(box, &trap) != VX_OK || trap.kind != VX_TRAP_NOT_CACHED || trap.eip != regs.eip;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    vx_box_free(box);
    return (seconds() - from) / TRIES;
}

static void wrong_at_the_end(void)
{
    double few = nothing_seconds(1000), many = nothing_seconds(16000);
    printf("%.1f us of 2000 rows, %.1f of 32000 ", few * 1e6, many * 1e6);
    CU_ASSERT(many < 4 * few);
}

/* Seconds to find that there is no way on at an address, in a zone with a row for each byte. */
static double rows_seconds(uint32_t chunk_count)
{
    uint32_t size = chunk_count * VXF_CHUNK_LIMIT;
    uint8_t *code = malloc(size);
    struct vxf_chunk *chunks = malloc(chunk_count * sizeof *chunks);
    struct vxf_row *rows = malloc(size * sizeof *rows);
    struct vx_regs regs;
    struct vx_trap trap;
    CU_ASSERT_FATAL(code && chunks && rows);
    memset(code, 0xf4, size);
    for (uint32_t i = 0; i < chunk_count; i++)
        chunks[i] = (struct vxf_chunk){i * VXF_CHUNK_LIMIT, VXF_CHUNK_LIMIT};
    for (uint32_t i = 0; i < size; i++)
        rows[i] = (struct vxf_row){.host = i, .kind = VXF_ROW_INSN};
    struct vxf_content content = {.meta = {.contract = VX_CONTRACT_VERSION, .options = VX_CPU_DEFAULT}, .code = code, .zone_size = size,
                                  .chunks = chunks, .chunk_count = chunk_count, .rows = rows, .row_count = size};
    struct vx_box *box = attached(&content, 4096, false);
    free(code);
    free(chunks);
    free(rows);
    vx_box_get_regs(box, &regs);
    regs.eip = AREA;
    vx_box_set_regs(box, &regs);
    double from = seconds();
    CU_ASSERT(vx_box_run(box, &trap) == VX_OK && trap.kind == VX_TRAP_NOT_CACHED && trap.eip == AREA);
    double took = seconds() - from;
    vx_box_free(box);
    return took;
}

/* Of three million all are looked at; of more, which would fit into a small file as well, none. */
static void rows_everywhere(void)
{
    double some = rows_seconds(3), many = rows_seconds(5);
    printf("%.0f ms of 3 million rows, %.1f of 5 million ", some * 1e3, many * 1e3);
    CU_ASSERT(many < some);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("bombs_faults", NULL, NULL);
    CU_add_test(suite, "entries everywhere", entries_everywhere);
    CU_add_test(suite, "no entries", no_entries);
    CU_add_test(suite, "wrong at the end", wrong_at_the_end);
    CU_add_test(suite, "rows everywhere", rows_everywhere);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

/*
 * Worst cases for what reads files: ELF files with as many headers, symbols and relocations as fit, caches of as many chunks and rows as can be.
 * Four times the file may cost four times the processor time and half as much again, twice over for a noisy machine. docs/security.md,
 * "Denial of service". Small damage of every kind is in test_elf and test_damage.
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/cache.h"
#include "format/elf32.h"
#include "format/sandbox.h"
#include "vxc/translate/translate.h"
#include "vxrt.h"

#define BASE 0x08048000u
#define HEADERS 0xfff0u

enum bomb { SEGMENTS, SECTIONS, SYMBOLS, GNU_HASH, TAGS, RELOCATIONS, RELR, BOMBS };
static const char *const names[] = { "program headers", "section headers", "symbols of one long name", "GNU hash chains",
                                     "dynamic tags", "relocations", "compact relocations" };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct file {
    uint8_t *bytes;
    uint32_t size, used;
};

/* Room for so many bytes at a multiple of four; its offset. */
static uint32_t add(struct file *f, const void *bytes, uint32_t size)
{
    uint32_t at = f->used;
    CU_ASSERT_FATAL(at + size <= f->size);
    if (bytes)
        memcpy(f->bytes + at, bytes, size);
    f->used = (at + size + 3) & ~3u;
    return at;
}

/* Tables that fill what is left of the file; tags name them. Offsets are addresses. */
static void fill(struct file *f, enum bomb bomb, Elf32_Dyn *tags, unsigned *count)
{
    uint32_t rest = (f->size - f->used) & ~0xfu;
    uint32_t at = f->used, *words = (uint32_t *)(void *)(f->bytes + at);
    switch (bomb) {
    case SYMBOLS: { /* half symbols, half the string that all of them begin */
        Elf32_Sym *symbols = (Elf32_Sym *)(void *)(f->bytes + at);
        uint32_t n = rest / 2 / sizeof *symbols, strings = at + n * (uint32_t)sizeof *symbols;
        for (uint32_t i = 1; i < n; i++)
            symbols[i] = (Elf32_Sym){ 1, 0x34, 4, ELF32_ST_INFO(STB_GLOBAL, STT_FUNC), 0, i & 1 };
        memset(f->bytes + strings + 1, 'a', f->size - strings - 2);
        const uint32_t hash[2] = { 0, n };
        memcpy(f->bytes + f->size - 16, hash, sizeof hash);
        f->bytes[f->size - 17] = 0;
        tags[(*count)++] = (Elf32_Dyn){ DT_SYMTAB, { at } };
        tags[(*count)++] = (Elf32_Dyn){ DT_STRTAB, { strings } };
        tags[(*count)++] = (Elf32_Dyn){ DT_STRSZ, { f->size - 16 - strings } };
        tags[(*count)++] = (Elf32_Dyn){ DT_HASH, { f->size - 16 } };
        break;
    }
    case GNU_HASH: /* buckets for half of it, and a chain, whose end says how many symbols there are */
        words[0] = rest / 4 / 2;
        words[4] = 1;
        for (uint32_t i = 0; i < 1000; i++)
            words[4 + words[0] + i] = 0;
        words[1] = 1;
        words[4 + words[0] + 1000] = 1;
        tags[(*count)++] = (Elf32_Dyn){ DT_SYMTAB, { 0 } };
        tags[(*count)++] = (Elf32_Dyn){ DT_STRTAB, { 8 } };
        tags[(*count)++] = (Elf32_Dyn){ DT_STRSZ, { 1 } };
        tags[(*count)++] = (Elf32_Dyn){ DT_GNU_HASH, { at } };
        break;
    case RELOCATIONS:
        for (uint32_t i = 0; i < rest / 8; i++) {
            words[2 * i] = 0x34 + i % 8;
            words[2 * i + 1] = R_386_RELATIVE;
        }
        tags[(*count)++] = (Elf32_Dyn){ DT_REL, { at } };
        tags[(*count)++] = (Elf32_Dyn){ DT_RELSZ, { rest } };
        break;
    case RELR: /* the same 31 words over and over */
        for (uint32_t i = 0; i + 1 < rest / 4; i += 2) {
            words[i] = 0x40;
            words[i + 1] = 0xffffffff;
        }
        tags[(*count)++] = (Elf32_Dyn){ DT_RELR, { at } };
        tags[(*count)++] = (Elf32_Dyn){ DT_RELRSZ, { rest } };
        break;
    default:
        break;
    }
}

/* A shared object of one segment that is all of it. */
static struct file make(enum bomb bomb, uint32_t size)
{
    struct file f = { calloc(size, 1), size, 0 };
    Elf32_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 }, .e_type = ET_DYN, .e_machine = EM_386, .e_version = 1, .e_phoff = sizeof header,
                          .e_ehsize = sizeof header, .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2, .e_shentsize = sizeof(Elf32_Shdr) };
    CU_ASSERT_FATAL(f.bytes != NULL);
    add(&f, &header, sizeof header);
    uint32_t phdrs = add(&f, NULL, 3 * sizeof(Elf32_Phdr)), tags_at = add(&f, NULL, 16 * sizeof(Elf32_Dyn));
    Elf32_Phdr all = { PT_LOAD, 0, 0, 0, size, size, PF_R | PF_W | PF_X, 0x1000 };
    Elf32_Phdr dynamic = { PT_DYNAMIC, tags_at, tags_at, tags_at, 16 * sizeof(Elf32_Dyn), 16 * sizeof(Elf32_Dyn), PF_R, 4 };
    Elf32_Dyn tags[16] = { { 0, { 0 } } };
    unsigned count = 0;
    if (bomb == SEGMENTS) {
        header.e_phoff = f.used;
        header.e_phnum = (Elf32_Half)((size - f.used) / sizeof all < HEADERS ? (size - f.used) / sizeof all : HEADERS);
        for (unsigned i = 0; i < header.e_phnum; i++) {
            Elf32_Phdr one = { i < VXE_MAX_SEGMENTS ? PT_LOAD : PT_GNU_STACK, 0, 0x100000 - i * 0x1000, 0, 0x100, 0x100, PF_R | PF_X, 0x1000 };
            memcpy(f.bytes + f.used + i * sizeof one, &one, sizeof one);
        }
    } else if (bomb == SECTIONS) { /* each says that it has the symbols, none has */
        header.e_shoff = f.used;
        header.e_shnum = (Elf32_Half)((size - f.used) / sizeof(Elf32_Shdr) < HEADERS ? (size - f.used) / sizeof(Elf32_Shdr) : HEADERS);
        for (unsigned i = 0; i < header.e_shnum; i++) {
            Elf32_Shdr one = { 0, i ? SHT_SYMTAB : SHT_STRTAB, 0, 0, 0, i ? size : 1u << 30, 0, 0, 0, sizeof(Elf32_Sym) };
            memcpy(f.bytes + f.used + i * sizeof one, &one, sizeof one);
        }
    } else if (bomb == TAGS) { /* without those that are looked for */
        dynamic.p_offset = dynamic.p_vaddr = f.used;
        dynamic.p_memsz = dynamic.p_filesz = size - f.used;
        for (uint32_t at = f.used; at + 16 <= size; at += 8)
            memcpy(f.bytes + at, &(Elf32_Dyn){ DT_DEBUG, { 0 } }, 8);
    } else {
        fill(&f, bomb, tags, &count);
    }
    memcpy(f.bytes, &header, sizeof header);
    memcpy(f.bytes + phdrs, &all, sizeof all);
    if (bomb != SEGMENTS)
        memcpy(f.bytes + phdrs + sizeof all, &dynamic, sizeof dynamic);
    if (bomb != TAGS)
        memcpy(f.bytes + tags_at, tags, sizeof tags);
    return f;
}

/* All that a file's tables are asked for: by the reader, by the translator, by the runtime. */
static double seconds_for(enum bomb bomb, uint32_t size)
{
    struct file f = make(bomb, size);
    double least = 1e9;
    for (int i = 0; i < 3; i++) {
        struct vxe_elf elf;
        struct vx_error error;
        vx_gaddr *seeds = NULL;
        struct vx_image_options options = { .size = sizeof options };
        struct vx_image *image = NULL;
        struct vx_symbol symbol;
        vx_gaddr address;
        double from = now();
        vx_status status = vxe_open(f.bytes, f.size, &elf, &error);
        CU_ASSERT_EQUAL(status, VX_OK);
        if (status != VX_OK && i == 0)
            fprintf(stderr, "%s: %s\n", names[bomb], error.text);
        if (status == VX_OK) {
            CU_ASSERT_EQUAL(vxt_elf_seeds(&elf, &seeds, &(size_t){ 0 }), VX_OK);
            status = vx_image_open_memory(f.bytes, f.size, &options, &image, &error);
            if (status == VX_OK)
                CU_ASSERT_EQUAL(vx_image_export(image, "b", &address), VX_ERR_NO_SYMBOL);
            size_t exports = 0, imports = 0;
            while (status == VX_OK && vx_image_export_at(image, exports, &symbol))
                exports++;
            while (status == VX_OK && vx_image_import_at(image, imports, &symbol))
                imports++;
            CU_ASSERT(bomb != SYMBOLS || (exports > size / 80 && imports > size / 80));
            vx_image_close(image);
            free(seeds);
        }
        double took = now() - from;
        least = took < least ? took : least;
    }
    free(f.bytes);
    return least;
}

static void test_elf(void)
{
    for (enum bomb bomb = 0; bomb < BOMBS; bomb++) {
        uint32_t large = bomb == SECTIONS ? 40u * HEADERS : 32u * HEADERS;
        double small_s = seconds_for(bomb, large / 4), large_s = seconds_for(bomb, large);
        printf("\n    %-26s %6.2f ns a byte, %6.2f at a quarter ", names[bomb], large_s * 1e9 / large, small_s * 1e9 / (large / 4.0));
        CU_ASSERT(large_s < 4 * 3 * small_s + 5e-3);
    }
}

/* Opened and checked, and every chunk read. */
static void read_cache(int fd)
{
    struct vx_error error;
    struct vxf_file *file;
    uint8_t *code = malloc(1u << 20);
    CU_ASSERT_EQUAL_FATAL(vxf_open_fd(fd, &file, &error), VX_OK);
    size_t count, n;
    vxf_chunks(file, &count);
    for (size_t i = 0; i < count; i++) {
        struct vxf_row *rows;
        struct vxf_reloc *relocs;
        CU_ASSERT_EQUAL(vxf_read_code(file, i, 0, code, &error), VX_OK);
        CU_ASSERT_EQUAL(vxf_read_rows(file, i, &rows, &n, &error), VX_OK);
        CU_ASSERT_EQUAL(vxf_read_relocs(file, i, &relocs, &n, &error), VX_OK);
        free(rows);
        free(relocs);
    }
    vxf_close(file);
    free(code);
}

/* A cache of chunks of a few instructions each, with a row for every one; opened, checked and read. */
static double cache_seconds(uint32_t size, size_t *chunks)
{
    uint8_t *code = malloc(size);
    vx_gaddr *seeds = malloc(size * sizeof *seeds);
    struct vxt_span span = { BASE, size, code };
    struct vxt_input input = { .spans = &span, .span_count = 1, .data = &span, .data_count = 1, .seeds = seeds, .seed_count = size,
                               .threads = 1, .chunk_guest_bytes = 4 };
    struct vxt_output output;
    struct vx_error error;
    char path[] = "/tmp/vx-bomb-XXXXXX";
    CU_ASSERT_FATAL(code && seeds);
    memset(code, 0x90, size);
    for (uint32_t i = 0; i < size; i++)
        seeds[i] = BASE + i;
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    struct vxf_content content = { .meta = { .guest_size = size, .contract = VX_CONTRACT_VERSION }, .guest = code, .code = output.code,
                                   .zone_size = output.code_size, .chunks = output.chunks, .chunk_count = output.chunk_count, .entries = output.entries,
                                   .entry_count = output.entry_count, .rows = output.rows, .row_count = output.row_count };
    vxf_hash128(code, size, content.meta.guest_hash);
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(vxf_write(path, &content, 0, 1, &error), VX_OK);
    *chunks = output.chunk_count;
    vxt_output_free(&output);
    close(fd);
    double least = 1e9;
    for (int i = 0; i < 3; i++) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        double from = now();
        read_cache(fd);
        double took = now() - from;
        least = took < least ? took : least;
        close(fd);
    }
    unlink(path);
    free(code);
    free(seeds);
    return least;
}

static void test_chunks(void)
{
    size_t few, many;
    double small_s = cache_seconds(8 << 10, &few), large_s = cache_seconds(32 << 10, &many);
    printf("%zu chunks: %.2f us each, %.2f of %zu ", many, large_s * 1e6 / (double)many, small_s * 1e6 / (double)few, few);
    CU_ASSERT(many > 3 * few && many > 1000);
    CU_ASSERT(large_s < 4 * 3 * small_s + 5e-3);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("bombs_elf", NULL, NULL);
    CU_add_test(suite, "hostile ELF files", test_elf);
    CU_add_test(suite, "caches of tiny chunks", test_chunks);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

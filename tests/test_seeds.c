/*
 * Seeds of ELF files that are made here, word by word: each source of code addresses gives
 * its own, nothing outside executable segments is taken, and the list is sorted and unique.
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/elf32.h"
#include "vxc/translate/translate.h"

#define EXEC_BASE 0x08048000u
#define FILE_BYTES 0x900u

/* File offsets. Text is loaded 0x1000 above its offset, data 0x2000; the rest is not loaded. */
enum {
    TEXT = 0x200, TEXT_END = 0x400, DATA = 0x402, DYN = 0x404, WORDS = 0x4c0, REL = 0x500, JMPREL = 0x540, RELR = 0x558,
    DYNSYM = 0x560, DYNSTR = 0x5b0, HASH = 0x5c0, INIT_ARRAY = 0x600, FINI_ARRAY = 0x610, PLACES = 0x620,
    LAST_WORD = 0x6fc, DATA_END = 0x6ff, SYMTAB = 0x700, STRTAB = 0x780, SHDRS = 0x800
};

struct image {
    uint8_t bytes[FILE_BYTES];
    uint32_t base;
};

static vx_gaddr code(const struct image *image, uint32_t offset)
{
    return image->base + 0x1000 + TEXT + offset;
}

static vx_gaddr data(const struct image *image, uint32_t file_offset)
{
    return image->base + 0x2000 + file_offset;
}

static void put(struct image *image, uint32_t at, const void *value, size_t size)
{
    memcpy(image->bytes + at, value, size);
}

static void put_word(struct image *image, uint32_t at, uint32_t value)
{
    put(image, at, &value, 4);
}

static void put_load(struct image *image, unsigned index, uint32_t from, uint32_t to, uint32_t addr, uint32_t flags)
{
    Elf32_Phdr phdr = { .p_type = PT_LOAD, .p_offset = from, .p_vaddr = addr, .p_filesz = to - from,
                        .p_memsz = to - from, .p_flags = flags, .p_align = 0x1000 };
    put(image, (uint32_t)(sizeof(Elf32_Ehdr) + index * sizeof phdr), &phdr, sizeof phdr);
}

static void put_symbol(struct image *image, uint32_t table, unsigned index, uint32_t value, unsigned type, uint16_t section)
{
    Elf32_Sym symbol = { .st_name = 1, .st_value = value, .st_info = (uint8_t)ELF32_ST_INFO(STB_GLOBAL, type), .st_shndx = section };
    put(image, (uint32_t)(table + index * sizeof symbol), &symbol, sizeof symbol);
}

static void put_reloc(struct image *image, uint32_t at, vx_gaddr where, unsigned symbol, unsigned type)
{
    Elf32_Rel rel = { where, ELF32_R_INFO(symbol, type) };
    put(image, at, &rel, sizeof rel);
}

/* Headers, text of nops, a symbol table, and words in data and text that look like code addresses or nearly. */
static void make_image(struct image *image, uint16_t type, uint16_t phdr_count)
{
    memset(image, 0, sizeof *image);
    image->base = type == ET_EXEC ? EXEC_BASE : 0;
    Elf32_Ehdr ehdr = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
                        .e_type = type, .e_machine = EM_386, .e_version = EV_CURRENT, .e_entry = code(image, 0),
                        .e_phoff = sizeof ehdr, .e_shoff = SHDRS, .e_ehsize = sizeof ehdr,
                        .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = phdr_count,
                        .e_shentsize = sizeof(Elf32_Shdr), .e_shnum = 3 };
    put(image, 0, &ehdr, sizeof ehdr);
    put_load(image, 0, 0, TEXT, image->base, PF_R);
    put_load(image, 1, TEXT, TEXT_END, code(image, 0), PF_R | PF_X);
    put_load(image, 2, DATA, DATA_END, data(image, DATA), PF_R | PF_W);
    memset(image->bytes + TEXT, 0x90, TEXT_END - TEXT);

    Elf32_Shdr symtab = { .sh_type = SHT_SYMTAB, .sh_offset = SYMTAB, .sh_size = 7 * sizeof(Elf32_Sym), .sh_link = 2,
                          .sh_entsize = sizeof(Elf32_Sym) };
    Elf32_Shdr strtab = { .sh_type = SHT_STRTAB, .sh_offset = STRTAB, .sh_size = 4 };
    put(image, SHDRS + sizeof symtab, &symtab, sizeof symtab);
    put(image, SHDRS + 2 * sizeof symtab, &strtab, sizeof strtab);
    put(image, STRTAB, "\0ab", 4);
    put_symbol(image, SYMTAB, 1, code(image, 0x04), STT_FUNC, 1);
    put_symbol(image, SYMTAB, 2, code(image, 0x08), STT_NOTYPE, 1);
    put_symbol(image, SYMTAB, 3, code(image, 0x0c), STT_OBJECT, 1);
    put_symbol(image, SYMTAB, 4, code(image, 0x0d), STT_FUNC, SHN_UNDEF);
    put_symbol(image, SYMTAB, 5, data(image, WORDS), STT_FUNC, 1);
    put_symbol(image, SYMTAB, 6, code(image, 0x04), STT_FUNC, 1); /* again */

    put_word(image, WORDS, code(image, 0x10));
    put_word(image, WORDS + 4, code(image, TEXT_END - TEXT));     /* one past the code */
    put_word(image, WORDS + 8, code(image, 0) - 1);
    put_word(image, WORDS + 12, data(image, WORDS));
    put_word(image, WORDS + 16, code(image, TEXT_END - TEXT - 1));
    put_word(image, WORDS + 21, code(image, 0x20));               /* not aligned */
    put_word(image, WORDS + 28, code(image, 0x10));               /* again */
    put_word(image, LAST_WORD, code(image, 0x21));                /* cut by the segment's end */
    put_word(image, TEXT + 0x100, code(image, 0x40));
}

/* The dynamic section and what it names. */
static void make_dynamic(struct image *image)
{
    Elf32_Phdr phdr = { .p_type = PT_DYNAMIC, .p_offset = DYN, .p_vaddr = data(image, DYN), .p_filesz = 18 * sizeof(Elf32_Dyn),
                        .p_memsz = 18 * sizeof(Elf32_Dyn), .p_flags = PF_R, .p_align = 4 };
    put(image, sizeof(Elf32_Ehdr) + 3 * sizeof phdr, &phdr, sizeof phdr);
    const uint32_t tags[][2] = {
        { DT_SYMTAB, data(image, DYNSYM) }, { DT_STRTAB, data(image, DYNSTR) }, { DT_STRSZ, 4 },
        { DT_HASH, data(image, HASH) }, { DT_REL, data(image, REL) }, { DT_RELSZ, 6 * sizeof(Elf32_Rel) },
        { DT_JMPREL, data(image, JMPREL) }, { DT_PLTRELSZ, 2 * sizeof(Elf32_Rel) }, { DT_PLTREL, DT_REL },
        { DT_RELR, data(image, RELR) }, { DT_RELRSZ, 8 }, { DT_INIT_ARRAY, data(image, INIT_ARRAY) },
        { DT_INIT_ARRAYSZ, 8 }, { DT_FINI_ARRAY, data(image, FINI_ARRAY) }, { DT_FINI_ARRAYSZ, 0xffffffff },
        { DT_INIT, code(image, 0x3c) }, { DT_FINI, code(image, 0x44) }, { DT_NULL, 0 },
    };
    put(image, DYN, tags, sizeof tags);
    const uint32_t hash[] = { 1, 4, 0, 0, 0, 0, 0 };
    put(image, HASH, hash, sizeof hash);
    put(image, DYNSTR, "\0ab", 4);
    put_symbol(image, DYNSYM, 1, code(image, 0x14), STT_FUNC, 1);
    put_symbol(image, DYNSYM, 2, code(image, 0x18), STT_GNU_IFUNC, 1);
    put_symbol(image, DYNSYM, 3, code(image, 0x1c), STT_OBJECT, 1);

    put_reloc(image, REL, data(image, PLACES), 0, R_386_RELATIVE);
    put_word(image, PLACES, code(image, 0x24));
    put_reloc(image, REL + 8, data(image, PLACES + 4), 1, R_386_32);
    put_word(image, PLACES + 4, 2); /* addend */
    put_reloc(image, REL + 16, data(image, PLACES + 8), 3, R_386_32);
    put_word(image, PLACES + 8, 3);
    put_reloc(image, REL + 24, data(image, PLACES + 12), 1, R_386_GLOB_DAT);
    put_reloc(image, REL + 32, data(image, LAST_WORD), 0, R_386_RELATIVE); /* not wholly in the file */
    put_reloc(image, REL + 40, 0xfffffffe, 99, R_386_32);
    put_reloc(image, JMPREL, data(image, PLACES + 16), 1, R_386_JMP_SLOT);
    put_word(image, PLACES + 16, code(image, 0x2c));
    put_reloc(image, JMPREL + 8, data(image, PLACES + 20), 0, R_386_IRELATIVE);
    put_word(image, PLACES + 20, code(image, 0x28));
    put_word(image, RELR, data(image, PLACES + 24));
    put_word(image, RELR + 4, 3); /* and the word after it */
    put_word(image, PLACES + 24, code(image, 0x30));
    put_word(image, PLACES + 28, code(image, 0x31));
    put_word(image, INIT_ARRAY, code(image, 0x34));
    put_word(image, INIT_ARRAY + 4, code(image, 0x35));
    put_word(image, INIT_ARRAY + 8, code(image, 0x36)); /* past the array */
    put_word(image, FINI_ARRAY, code(image, 0x38)); /* with a size that goes on past the file */
}

static void check_seeds(const struct image *image, const uint32_t *offsets, size_t expected)
{
    struct vxe_elf elf;
    struct vx_error error;
    vx_gaddr *seeds = NULL;
    size_t count = 0;
    uint8_t *exact = malloc(FILE_BYTES); /* so that a sanitizer sees each byte read past the end */
    CU_ASSERT_FATAL(exact != NULL);
    memcpy(exact, image->bytes, FILE_BYTES);
    vx_status status = vxe_open(exact, FILE_BYTES, &elf, &error);
    if (status != VX_OK)
        printf("%s: %s ", vx_strerror(status), error.text);
    CU_ASSERT_EQUAL_FATAL(status, VX_OK);
    CU_ASSERT_EQUAL_FATAL(vxt_elf_seeds(&elf, &seeds, &count), VX_OK);
    CU_ASSERT_EQUAL(count, expected);
    for (size_t i = 0; i < count && i < expected; i++)
        if (seeds[i] != code(image, offsets[i])) {
            printf("seed %zu: text+0x%x, expected text+0x%x ", i, seeds[i] - code(image, 0), offsets[i]);
            CU_FAIL("another seed");
            break;
        }
    free(seeds);
    free(exact);
}

#define CHECK(image, ...) \
    check_seeds(image, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* Entry, symbols, and aligned words in data and in text. */
static void static_program(void)
{
    struct image image;
    make_image(&image, ET_EXEC, 3);
    CHECK(&image, 0x00, 0x04, 0x08, 0x10, 0x40, 0x1ff);
}

/* All that the dynamic section names; a word without relocation is not an address there. */
static void shared_object(void)
{
    struct image image;
    make_image(&image, ET_DYN, 4);
    make_dynamic(&image);
    CHECK(&image, 0x00, 0x04, 0x08, 0x14, 0x16, 0x18, 0x1f, 0x24, 0x28, 0x2c, 0x30, 0x31, 0x34, 0x35, 0x38, 0x3c, 0x44);
}

/* A library without entry, whose code segment starts at 0: 0 is no address. */
static void no_entry(void)
{
    struct image image;
    make_image(&image, ET_DYN, 3);
    memset(image.bytes + offsetof(Elf32_Ehdr, e_entry), 0, 4);
    put_load(&image, 0, 0, TEXT, image.base, PF_R | PF_X);
    put_symbol(&image, SYMTAB, 1, 0, STT_NOTYPE, SHN_ABS);
    CHECK(&image, 0x04, 0x08);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("seeds", NULL, NULL);
    CU_add_test(suite, "static program", static_program);
    CU_add_test(suite, "shared object", shared_object);
    CU_add_test(suite, "library without entry", no_entry);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

/*
 * The checked ELF reader: what it finds in good files, and the status that each kind of damage
 * gives. The files are made here, byte by byte, so that no compiler is needed.
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "format/cache.h"
#include "format/cursor.h"
#include "format/elf32.h"

#define FILE_BYTES 0x700u
#define MUTANTS 100000u
#define EXEC_BASE 0x08048000u

/* Program headers, in this order. */
enum { LOAD_TEXT, LOAD_DATA, TLS, STACK, DYNAMIC, NOTE, PHDRS };
#define PHDR(i) (0x34u + (i) * 32u)
#define OFFSET 4u
#define VADDR 8u
#define FILESZ 16u
#define MEMSZ 20u
#define FLAGS 24u
#define ALIGN 28u

/* Where things are in the file; the text segment is all of [0, 0x400), data [0x400, 0x600). */
enum {
    DYNSYM = 0x100, DYNSTR = 0x140, HASH = 0x160, GNU_HASH = 0x180, REL = 0x1c0, JMPREL = 0x1d0,
    RELR = 0x1e0, INTERP = 0x200, ENTRY = 0x300, DYN = 0x400, TLS_DATA = 0x5f0, SYMTAB = 0x600,
    STRTAB = 0x640, SHDRS = 0x680
};

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put_words(uint8_t *p, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        vxi_store32(p + 4 * i, words[i]);
}

#define PUT(at, ...) \
    put_words(f + (at), (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static void put_headers(uint8_t *f, bool dyn, uint32_t base)
{
    memcpy(f, "\177ELF\1\1\1", 7);
    put16(f + 16, dyn ? ET_DYN : ET_EXEC);
    put16(f + 18, EM_386);
    PUT(20, 1, base + ENTRY, 0x34, SHDRS);
    put16(f + 40, 0x34);
    put16(f + 42, 32);
    put16(f + 44, PHDRS);
    put16(f + 46, 40);
    put16(f + 48, 3);
    PUT(PHDR(LOAD_TEXT), PT_LOAD, 0, base, base, 0x400, 0x400, PF_R | PF_X, 0x1000);
    PUT(PHDR(LOAD_DATA), PT_LOAD, 0x400, base + 0x1400, 0, 0x200, 0x1000, PF_R | PF_W, 0x1000);
    PUT(PHDR(TLS), PT_TLS, TLS_DATA, base + 0x15f0, 0, 0x10, 0x20, PF_R, 4);
    PUT(PHDR(STACK), PT_GNU_STACK, 0, 0, 0, 0, 0, PF_R | PF_W, 16);
    PUT(PHDR(DYNAMIC), dyn ? PT_DYNAMIC : PT_NULL, DYN, base + 0x1400, 0, 0x98, 0x98, PF_R, 4);
    PUT(PHDR(NOTE), PT_NOTE, INTERP, base + INTERP, 0, 0x14, 0x14, PF_R, 4);
    PUT(SHDRS + 40, 0, SHT_SYMTAB, 0, 0, SYMTAB, 32, 2, 1, 4, 16);
    PUT(SHDRS + 80, 0, SHT_STRTAB, 0, 0, STRTAB, 6, 0, 0, 1, 0);
}

static uint8_t *make_elf(bool dyn)
{
    uint8_t *f = calloc(FILE_BYTES, 1);
    put_headers(f, dyn, dyn ? 0 : EXEC_BASE);
    PUT(DYNSYM + 16, 1, 0x300, 8, STT_FUNC | STB_GLOBAL << 4 | 1 << 16); /* alpha, in section 1 */
    PUT(DYNSYM + 32, 7, 0, 0, STT_NOTYPE | STB_WEAK << 4);             /* beta, undefined */
    memcpy(f + DYNSTR, "\0alpha\0beta", 12);
    PUT(HASH, 1, 3, 1, 0, 2, 0);
    PUT(GNU_HASH, 1, 1, 1, 0, 0xffffffff, 1, 0x10, 0x11); /* bloom word, bucket, chain of two */
    PUT(REL, 0x1500, R_386_RELATIVE, 0x1504, 2 << 8 | R_386_32);
    PUT(JMPREL, 0x1508, 1 << 8 | R_386_JMP_SLOT);
    PUT(RELR, 0x1510, 0x80000003, 0x1600, 5);
    memcpy(f + INTERP, "/lib/ld-linux.so.2", 19);
    memset(f + ENTRY, 0x90, 0x10);
    PUT(DYN, DT_HASH, HASH, DT_SYMTAB, DYNSYM, DT_STRTAB, DYNSTR, DT_STRSZ, 12, DT_SYMENT, 16,
        DT_REL, REL, DT_RELSZ, 16, DT_RELENT, 8, DT_JMPREL, JMPREL, DT_PLTRELSZ, 8, DT_PLTREL,
        DT_REL, DT_RELR, RELR, DT_RELRSZ, 16, DT_RELRENT, 4, DT_INIT, 0x300, DT_DEBUG, 0,
        DT_DEBUG, 0, DT_DEBUG, 0, DT_NULL, 0);
    PUT(SYMTAB + 16, 1, 0x300, 16, STT_FUNC | STB_GLOBAL << 4 | 1 << 16);
    memcpy(f + STRTAB, "\0main", 6);
    return f;
}

/* ---- good files ---- */

static void test_exec(void)
{
    struct vxe_elf elf;
    struct vx_error error;
    struct vxe_symbol symbol;
    uint32_t available;
    uint8_t *f = make_elf(false);
    CU_ASSERT_EQUAL_FATAL(vxe_open(f, FILE_BYTES, &elf, &error), VX_OK);
    CU_ASSERT_FALSE(elf.is_dyn);
    CU_ASSERT_EQUAL(elf.entry, EXEC_BASE + ENTRY);
    CU_ASSERT_EQUAL(elf.segment_count, 2);
    CU_ASSERT_EQUAL(elf.segments[1].addr, EXEC_BASE + 0x1400);
    CU_ASSERT_EQUAL(elf.segments[1].mem_size, 0x1000);
    CU_ASSERT_EQUAL(elf.segments[0].prot, VXE_R | VXE_X);
    CU_ASSERT_TRUE(elf.low == EXEC_BASE && elf.high == EXEC_BASE + 0x3000);
    CU_ASSERT_TRUE(elf.phdr_addr == EXEC_BASE + 0x34 && elf.phdr_count == PHDRS);
    CU_ASSERT_TRUE(elf.tls_file_size == 0x10 && elf.tls_mem_size == 0x20 && elf.tls_align == 4);
    CU_ASSERT_FALSE(elf.exec_stack);
    CU_ASSERT_PTR_NULL(elf.interp);
    CU_ASSERT_TRUE(vxe_symbol(&elf, false, 1, &symbol));
    CU_ASSERT_STRING_EQUAL(symbol.name, "main");
    CU_ASSERT_TRUE(symbol.defined && symbol.value == 0x300 && symbol.type == STT_FUNC);
    CU_ASSERT_FALSE(vxe_symbol(&elf, false, 2, &symbol));
    CU_ASSERT_FALSE(vxe_symbol(&elf, true, 0, &symbol));
    CU_ASSERT_PTR_EQUAL(vxe_at(&elf, EXEC_BASE + ENTRY, &available), f + ENTRY);
    CU_ASSERT_EQUAL(available, 0x400 - ENTRY);
    CU_ASSERT_PTR_EQUAL(vxe_at(&elf, EXEC_BASE + 0x15ff, &available), f + 0x5ff);
    CU_ASSERT_EQUAL(available, 1);
    CU_ASSERT_PTR_NULL(vxe_at(&elf, EXEC_BASE + 0x1600, &available)); /* .bss */
    CU_ASSERT_PTR_NULL(vxe_at(&elf, EXEC_BASE + 0x400, &available));  /* between segments */
    CU_ASSERT_PTR_NULL(vxe_at(&elf, EXEC_BASE - 1, &available));
    CU_ASSERT_PTR_NULL(vxe_at(&elf, UINT32_MAX, &available));
    free(f);
}

static void check_relocs(const struct vxe_elf *elf)
{
    static const vx_gaddr relative[] = {0x1510, 0x1514, 0x1514 + 30 * 4, 0x1600, 0x1608};
    struct vxe_reloc reloc;
    struct vxe_relr_walk walk = {0};
    vx_gaddr where;
    CU_ASSERT_TRUE(vxe_reloc(elf, 1, &reloc));
    CU_ASSERT_TRUE(reloc.where == 0x1504 && reloc.type == R_386_32 && reloc.symbol == 2);
    CU_ASSERT_TRUE(vxe_reloc(elf, 2, &reloc));
    CU_ASSERT_TRUE(reloc.where == 0x1508 && reloc.type == R_386_JMP_SLOT && reloc.symbol == 1);
    CU_ASSERT_FALSE(vxe_reloc(elf, 3, &reloc));
    CU_ASSERT_FALSE(vxe_reloc(elf, UINT32_MAX, &reloc));
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_TRUE(vxe_relr(elf, &walk, &where));
        CU_ASSERT_EQUAL(where, relative[i]);
    }
    CU_ASSERT_FALSE(vxe_relr(elf, &walk, &where));
}

static void test_dyn(void)
{
    struct vxe_elf elf;
    struct vx_error error;
    struct vxe_symbol symbol;
    uint32_t value;
    uint8_t *f = make_elf(true);
    for (int gnu = 0; gnu < 2; gnu++) {
        if (gnu)
            PUT(DYN, DT_GNU_HASH, GNU_HASH);
        CU_ASSERT_EQUAL_FATAL(vxe_open(f, FILE_BYTES, &elf, &error), VX_OK);
        CU_ASSERT_TRUE(elf.is_dyn && elf.entry == ENTRY && elf.low == 0 && elf.high == 0x3000);
        CU_ASSERT_TRUE(vxe_symbol(&elf, true, 1, &symbol));
        CU_ASSERT_STRING_EQUAL(symbol.name, "alpha");
        CU_ASSERT_TRUE(symbol.defined && symbol.binding == STB_GLOBAL && symbol.size == 8);
        CU_ASSERT_TRUE(vxe_symbol(&elf, true, 2, &symbol));
        CU_ASSERT_STRING_EQUAL(symbol.name, "beta");
        CU_ASSERT_TRUE(!symbol.defined && symbol.binding == STB_WEAK);
        CU_ASSERT_FALSE(vxe_symbol(&elf, true, 3, &symbol));
        check_relocs(&elf);
        CU_ASSERT_TRUE(vxe_dynamic(&elf, DT_INIT, &value) && value == 0x300);
        CU_ASSERT_FALSE(vxe_dynamic(&elf, DT_FINI, &value));
    }
    free(f);
}

/* Section headers are hints: without them, or with damaged ones, there are just no symbols. */
static void test_section_headers(void)
{
    static const uint32_t damage[][2] = {
        {32, 0}, {32, FILE_BYTES - 1}, {32, UINT32_MAX}, {SHDRS + 40 + 16, UINT32_MAX},
        {SHDRS + 40 + 20, UINT32_MAX}, {SHDRS + 40 + 24, 3}, {SHDRS + 40 + 24, 1},
        {SHDRS + 40 + 36, 15}, {SHDRS + 80 + 20, UINT32_MAX}, {SHDRS + 80 + 20, 0},
        {SHDRS + 80 + 20, 5} /* string table that does not end in NUL */,
    };
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        struct vxe_elf elf;
        struct vx_error error;
        struct vxe_symbol symbol;
        uint8_t *f = make_elf(false);
        vxi_store32(f + damage[i][0], damage[i][1]);
        CU_ASSERT_EQUAL(vxe_open(f, FILE_BYTES, &elf, &error), VX_OK);
        CU_ASSERT_FALSE(vxe_symbol(&elf, false, 0, &symbol));
        free(f);
    }
    struct vxe_elf elf;
    struct vx_error error;
    struct vxe_symbol symbol;
    uint8_t *f = make_elf(false);
    vxi_store32(f + SYMTAB + 16, 6); /* name past the strings */
    CU_ASSERT_EQUAL(vxe_open(f, FILE_BYTES, &elf, &error), VX_OK);
    CU_ASSERT_TRUE(vxe_symbol(&elf, false, 1, &symbol));
    CU_ASSERT_TRUE(!symbol.defined && !*symbol.name);
    free(f);
}

/* ---- damage ---- */

struct edit {
    bool dyn;
    uint32_t at, bytes, value;
    vx_status status;
};

static void check_edit(const struct edit *e)
{
    struct vxe_elf elf;
    struct vx_error error;
    uint8_t *f = make_elf(e->dyn);
    for (uint32_t i = 0; i < e->bytes; i++)
        f[e->at + i] = (uint8_t)(e->value >> 8 * i);
    vx_status status = vxe_open(f, FILE_BYTES, &elf, &error);
    if (status != e->status)
        printf("\n    0x%x = 0x%x: %d (%s), expected %d", e->at, e->value, status, error.text,
               e->status);
    CU_ASSERT_EQUAL(status, e->status);
    CU_ASSERT_TRUE(status == VX_OK || (error.status == status && *error.text));
    free(f);
}

#define DYN_TAG(i) (DYN + 8u * (i))
#define DYN_VALUE(i) (DYN + 8u * (i) + 4)

static void test_damage_kinds(void)
{
    static const struct edit edits[] = {
        {0, 0, 1, 0, VX_ERR_ELF_MAGIC},
        {0, 3, 1, 'f', VX_ERR_ELF_MAGIC},
        {0, 4, 1, 2, VX_ERR_ELF_CLASS},
        {0, 5, 1, 2, VX_ERR_ELF_CLASS},
        {0, 18, 2, EM_X86_64, VX_ERR_ELF_CLASS},
        {0, 16, 2, ET_REL, VX_ERR_ELF_TYPE},
        {0, 16, 2, ET_CORE, VX_ERR_ELF_TYPE},
        {0, 6, 1, 0, VX_ERR_ELF_HEADER},
        {0, 20, 4, 2, VX_ERR_ELF_HEADER},
        {0, 42, 2, 31, VX_ERR_ELF_HEADER},
        {0, 44, 2, 0, VX_ERR_ELF_SEGMENT},
        {0, 44, 2, 0xffff, VX_ERR_ELF_SEGMENT},
        {0, 28, 4, UINT32_MAX, VX_ERR_ELF_SEGMENT},
        {0, 28, 4, FILE_BYTES - 32 * PHDRS + 1, VX_ERR_ELF_SEGMENT},
        /* PT_LOAD */
        {0, PHDR(0) + FILESZ, 4, 0x401, VX_ERR_ELF_SEGMENT},
        {0, PHDR(1) + FILESZ, 4, 0x301, VX_ERR_ELF_SEGMENT}, /* one byte past the end */
        {0, PHDR(1) + FILESZ, 4, 0x300, VX_OK},
        {0, PHDR(1) + OFFSET, 4, UINT32_MAX, VX_ERR_ELF_SEGMENT},
        {0, PHDR(1) + MEMSZ, 4, UINT32_MAX, VX_ERR_ELF_SEGMENT}, /* wraps */
        {0, PHDR(1) + VADDR, 4, 0xfffff000, VX_OK},              /* ends at 4 GiB exactly */
        {0, PHDR(1) + VADDR, 4, 0xfffff001, VX_ERR_ELF_SEGMENT},
        {0, PHDR(1) + VADDR, 4, UINT32_MAX, VX_ERR_ELF_SEGMENT},
        {0, PHDR(1) + VADDR, 4, 0xfff, VX_ERR_ELF_SEGMENT}, /* page 0 */
        {0, PHDR(1) + VADDR, 4, 0x1000, VX_OK},             /* out of order is legal */
        {0, PHDR(1) + VADDR, 4, 0, VX_ERR_ELF_SEGMENT},
        {0, PHDR(1) + VADDR, 4, EXEC_BASE + 0x3ff, VX_ERR_ELF_OVERLAP},
        {0, PHDR(1) + VADDR, 4, EXEC_BASE + 0x400, VX_OK}, /* touch */
        {0, PHDR(1) + VADDR, 4, EXEC_BASE - 0xfff, VX_ERR_ELF_OVERLAP},
        {0, PHDR(1) + VADDR, 4, EXEC_BASE, VX_ERR_ELF_OVERLAP},
        {0, PHDR(0), 4, PT_NULL, VX_ERR_ELF_ENTRY},
        /* entry */
        {0, 24, 4, 0, VX_ERR_ELF_ENTRY},
        {0, 24, 4, EXEC_BASE - 1, VX_ERR_ELF_ENTRY},
        {0, 24, 4, EXEC_BASE + 0x400, VX_ERR_ELF_ENTRY},
        {0, 24, 4, EXEC_BASE + 0x1400, VX_ERR_ELF_ENTRY}, /* not executable */
        {0, PHDR(0) + FLAGS, 4, PF_R, VX_ERR_ELF_ENTRY},
        {1, 24, 4, 0, VX_OK},
        {1, 24, 4, 0x400, VX_ERR_ELF_ENTRY},
        /* the others */
        {0, PHDR(TLS) + ALIGN, 4, 3, VX_ERR_ELF_SEGMENT},
        {0, PHDR(TLS) + MEMSZ, 4, 0xf, VX_ERR_ELF_SEGMENT},
        {0, PHDR(TLS) + OFFSET, 4, FILE_BYTES - 15, VX_ERR_ELF_SEGMENT},
        {0, PHDR(NOTE), 4, PT_TLS, VX_ERR_ELF_SEGMENT},
        {0, PHDR(NOTE), 4, PT_INTERP, VX_OK},
        {0, INTERP + 0x13, 1, 'x', VX_OK}, /* a note is not looked at */
        /* dynamic section */
        {1, PHDR(DYNAMIC) + VADDR, 4, 0x1600, VX_ERR_ELF_DYNAMIC},
        {1, PHDR(DYNAMIC) + VADDR, 4, UINT32_MAX, VX_ERR_ELF_DYNAMIC},
        {1, PHDR(DYNAMIC) + MEMSZ, 4, 0x201, VX_ERR_ELF_DYNAMIC},
        {1, PHDR(DYNAMIC) + MEMSZ, 4, 0x90, VX_ERR_ELF_DYNAMIC}, /* no DT_NULL */
        {1, PHDR(DYNAMIC) + MEMSZ, 4, 0, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(0), 4, 0x400, VX_ERR_ELF_DYNAMIC},
        {1, HASH + 4, 4, UINT32_MAX, VX_ERR_ELF_DYNAMIC},
        {1, HASH + 4, 4, 0x31, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(1), 4, 0x3f0, VX_ERR_ELF_DYNAMIC},
        {1, DYN_TAG(2), 4, DT_DEBUG, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(2), 4, 0x3fa, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(3), 4, 11, VX_ERR_ELF_DYNAMIC}, /* strings without an end */
        {1, DYN_VALUE(3), 4, 0, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(3), 4, UINT32_MAX, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(4), 4, 24, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(5), 4, 0x3f1, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(6), 4, 15, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(6), 4, 0xfffffff8, VX_ERR_ELF_DYNAMIC},
        {1, DYN_TAG(6), 4, DT_DEBUG, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(6), 4, 0, VX_OK},
        {1, DYN_VALUE(7), 4, 12, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(8), 4, 0x1600, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(10), 4, DT_RELA, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(11), 4, 0x3f8, VX_ERR_ELF_DYNAMIC},
        {1, DYN_VALUE(13), 4, 8, VX_ERR_ELF_DYNAMIC},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        check_edit(&edits[i]);
}

/* Two edits: a GNU hash table or an interpreter, and then its damage. */
static void test_damage_more(void)
{
    static const struct {
        uint32_t first_at, first, at, value;
        vx_status status;
    } cases[] = {
        {DYN_TAG(0), DT_GNU_HASH, DYN_VALUE(0), 0x3f8, VX_ERR_ELF_DYNAMIC},
        {DYN_VALUE(0), GNU_HASH, GNU_HASH, UINT32_MAX, VX_ERR_ELF_DYNAMIC},
        {DYN_VALUE(0), GNU_HASH, GNU_HASH + 8, UINT32_MAX, VX_ERR_ELF_DYNAMIC},
        {DYN_VALUE(0), GNU_HASH, GNU_HASH + 4, 2, VX_ERR_ELF_DYNAMIC}, /* bucket below first */
        {DYN_VALUE(0), GNU_HASH, GNU_HASH + 20, UINT32_MAX, VX_ERR_ELF_DYNAMIC},
        {DYN_VALUE(0), GNU_HASH, GNU_HASH + 20, 0, VX_OK}, /* nothing exported */
        {PHDR(NOTE), PT_INTERP, INTERP + 16, 0x78787878, VX_ERR_ELF_SEGMENT},
        {PHDR(NOTE), PT_INTERP, PHDR(NOTE) + FILESZ, 1, VX_ERR_ELF_SEGMENT},
        {PHDR(NOTE), PT_INTERP, PHDR(NOTE) + FILESZ, UINT32_MAX, VX_ERR_ELF_SEGMENT},
        {PHDR(NOTE), PT_INTERP, PHDR(STACK), PT_INTERP, VX_ERR_ELF_SEGMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vxe_elf elf;
        struct vx_error error;
        uint8_t *f = make_elf(true);
        if (cases[i].first_at == DYN_VALUE(0))
            vxi_store32(f + DYN_TAG(0), DT_GNU_HASH);
        vxi_store32(f + cases[i].first_at, cases[i].first);
        vxi_store32(f + cases[i].at, cases[i].value);
        vx_status status = vxe_open(f, FILE_BYTES, &elf, &error);
        if (status != cases[i].status)
            printf("\n    case %zu: %d (%s)", i, status, error.text);
        CU_ASSERT_EQUAL(status, cases[i].status);
        free(f);
    }
}

/* As many program headers as there can be: one pass, no more segments than the limit. */
static void test_many_headers(void)
{
    struct vxe_elf elf;
    struct vx_error error;
    size_t size = 0x1000 + 65534 * 32;
    uint8_t *f = calloc(size, 1), *small = make_elf(false);
    memcpy(f, small, 0x400);
    put16(f + 44, 65534);
    vxi_store32(f + 28, 0x1000);
    for (uint32_t i = 0; i < 65534; i++)
        PUT(0x1000 + 32 * i, PT_LOAD, 0, 0xf0000000 - i * 0x1000, 0, 0x100, 0x100, PF_R, 0x1000);
    CU_ASSERT_EQUAL(vxe_open(f, size, &elf, &error), VX_ERR_ELF_SEGMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "too many segments"));
    for (uint32_t i = 0; i < 65534; i++)
        vxi_store32(f + 0x1000 + 32 * i, i < VXE_MAX_SEGMENTS ? PT_LOAD : PT_NOTE);
    vxi_store32(f + 0x1000 + VADDR, EXEC_BASE);
    vxi_store32(f + 0x1000 + FLAGS, PF_R | PF_X);
    vxi_store32(f + 24, EXEC_BASE);
    CU_ASSERT_EQUAL(vxe_open(f, size, &elf, &error), VX_OK);
    CU_ASSERT_EQUAL(elf.segment_count, VXE_MAX_SEGMENTS);
    CU_ASSERT_TRUE(elf.segments[1].addr < elf.segments[2].addr);
    CU_ASSERT_EQUAL(elf.phdr_addr, 0);
    free(small);
    free(f);
}

/* ---- random damage ---- */

static void check_promises(const struct vxe_elf *elf)
{
    uint64_t end = 0;
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct vxe_segment *s = &elf->segments[i];
        if (s->addr < end || s->file_size > s->mem_size || !s->mem_size || s->prot > 7 ||
            (uint64_t)s->file_offset + s->file_size > elf->size ||
            (uint64_t)s->addr + s->mem_size > UINT64_C(1) << 32 ||
            (!elf->is_dyn && s->addr < VX_PAGE_BYTES))
            abort();
        end = (uint64_t)s->addr + s->mem_size;
    }
    if (!elf->segment_count || elf->segment_count > VXE_MAX_SEGMENTS)
        abort();
}

/* Open an exact copy and use everything; ASan watches. Returns the status. */
static vx_status use(const uint8_t *bytes, size_t size)
{
    struct vxe_elf elf;
    struct vx_error error;
    struct vxe_symbol symbol;
    struct vxe_reloc reloc;
    struct vxe_relr_walk walk = {0};
    uint32_t available, sum = 0;
    vx_gaddr where;
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    vx_status status = vxe_open(copy, size, &elf, &error);
    if (status == VX_OK) {
        check_promises(&elf);
        for (int dynamic = 0; dynamic < 2; dynamic++)
            for (uint32_t i = 0; vxe_symbol(&elf, dynamic, i, &symbol); i++)
                sum += (uint32_t)strlen(symbol.name);
        for (uint32_t i = 0; vxe_reloc(&elf, i, &reloc); i++)
            sum += reloc.where;
        while (vxe_relr(&elf, &walk, &where))
            sum += where;
        for (uint32_t addr = 0; addr < 0x4000; addr += 0x3f) {
            const uint8_t *p = vxe_at(&elf, (elf.is_dyn ? 0 : EXEC_BASE) + addr, &available);
            sum += p ? (uint32_t)p[0] + p[available - 1] : 0;
        }
        sum += elf.interp ? (uint32_t)strlen(elf.interp) : 0;
    }
    volatile uint32_t sink = sum;
    (void)sink;
    free(copy);
    return status;
}

static bool is_elf_status(vx_status status)
{
    return status == VX_OK || (status >= VX_ERR_ELF_MAGIC && status <= VX_ERR_ELF_INTERP);
}

static void test_every_byte_and_length(void)
{
    static const uint8_t patterns[] = {0x01, 0x10, 0x80, 0xff};
    for (int dyn = 0; dyn < 2; dyn++) {
        uint8_t *f = make_elf(dyn);
        size_t strange = 0;
        for (size_t i = 0; i < FILE_BYTES; i++)
            for (int p = 0; p < 4; p++) {
                f[i] ^= patterns[p];
                strange += !is_elf_status(use(f, FILE_BYTES));
                f[i] ^= patterns[p];
            }
        for (size_t size = 0; size < FILE_BYTES; size++) {
            vx_status status = use(f, size);
            strange += !is_elf_status(status) || (size < 0x600 && status == VX_OK);
        }
        CU_ASSERT_EQUAL(strange, 0);
        free(f);
    }
}

static uint64_t rnd(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void test_mutants(void)
{
    static const uint32_t odd[] = {0, 1, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xfffff000,
                                   0xffffffff, FILE_BYTES, FILE_BYTES - 1, 0x1400, 0x15ff};
    uint64_t state = 42;
    size_t strange = 0, accepted = 0;
    for (uint32_t i = 0; i < MUTANTS; i++) {
        uint8_t *f = make_elf(i & 1);
        if (i & 2)
            vxi_store32(f + DYN, DT_GNU_HASH), vxi_store32(f + DYN + 4, GNU_HASH);
        if (i & 4)
            vxi_store32(f + PHDR(NOTE), PT_INTERP);
        for (uint64_t n = rnd(&state) % 3 + 1; n; n--) {
            uint64_t where = rnd(&state) % 4;
            uint32_t at = where == 0   ? 0x10 + (uint32_t)(rnd(&state) % 0x24)
                          : where == 1 ? PHDR(0) + (uint32_t)(rnd(&state) % (32 * PHDRS))
                          : where == 2 ? DYN + (uint32_t)(rnd(&state) % 0x98)
                                       : (uint32_t)(rnd(&state) % (FILE_BYTES - 4));
            if (rnd(&state) & 1)
                vxi_store32(f + (at & ~3u), odd[rnd(&state) % (sizeof odd / sizeof *odd)]);
            else
                f[at] = (uint8_t)rnd(&state);
        }
        vx_status status = use(f, FILE_BYTES);
        accepted += status == VX_OK;
        strange += !is_elf_status(status);
        free(f);
    }
    printf("%zu of %u accepted ", accepted, MUTANTS);
    CU_ASSERT_EQUAL(strange, 0);
    CU_ASSERT_TRUE(accepted > 0);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("elf", NULL, NULL);
    CU_add_test(suite, "executable", test_exec);
    CU_add_test(suite, "shared object", test_dyn);
    CU_add_test(suite, "section headers are hints", test_section_headers);
    CU_add_test(suite, "each kind of damage", test_damage_kinds);
    CU_add_test(suite, "hash tables and interpreter", test_damage_more);
    CU_add_test(suite, "many program headers", test_many_headers);
    CU_add_test(suite, "every byte and length", test_every_byte_and_length);
    CU_add_test(suite, "mutants", test_mutants);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

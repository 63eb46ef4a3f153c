/*
 * The tables of an ELF file: dynamic section, symbols, relocations.
 *
 * Everything the dynamic section names is found through the segments, as the guest
 * itself would find it; the section headers are only a hint. After vxe_open all
 * table positions below are known to lie inside the file, and string
 * tables to end in a NUL, so that each lookup takes constant time.
 */
#include <elf.h>
#include <string.h>

#include "format/cursor.h"
#include "format/elf32_private.h"
#include "format/error.h"

struct table {
    uint32_t offset, size;
};

static bool ends_in_nul(const struct vxe_elf *elf, struct table t)
{
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, t.offset, t.size);
    const uint8_t *text = vxi_take(&c, t.size);
    return text && t.size && !text[t.size - 1];
}

/* ---- section headers ---- */

static bool read_shdr(const struct vxe_elf *elf, uint64_t offset, Elf32_Shdr *s)
{
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, offset, sizeof *s);
    s->sh_name = vxi_u32(&c);
    s->sh_type = vxi_u32(&c);
    s->sh_flags = vxi_u32(&c);
    s->sh_addr = vxi_u32(&c);
    s->sh_offset = vxi_u32(&c);
    s->sh_size = vxi_u32(&c);
    s->sh_link = vxi_u32(&c);
    s->sh_info = vxi_u32(&c);
    s->sh_addralign = vxi_u32(&c);
    s->sh_entsize = vxi_u32(&c);
    return !c.bad;
}

/* The symbol table of section s and its strings, if both are whole. */
static bool symbol_section(const struct vxe_elf *elf, uint32_t shoff, uint16_t shnum,
                           const Elf32_Shdr *s, struct table *strings)
{
    Elf32_Shdr str;
    if (s->sh_entsize != sizeof(Elf32_Sym) || s->sh_link >= shnum ||
        vxi_cursor_at(elf->bytes, elf->size, s->sh_offset, s->sh_size).bad ||
        !read_shdr(elf, shoff + (uint64_t)s->sh_link * sizeof str, &str) ||
        str.sh_type != SHT_STRTAB)
        return false;
    *strings = (struct table){str.sh_offset, str.sh_size};
    return ends_in_nul(elf, *strings);
}

void vxe_find_section_tables(struct vxe_elf *elf, uint32_t shoff, uint16_t shnum)
{
    for (uint16_t i = 0; i < shnum; i++) {
        Elf32_Shdr s;
        struct table strings;
        if (!read_shdr(elf, shoff + (uint64_t)i * sizeof s, &s))
            return;
        bool is_static = s.sh_type == SHT_SYMTAB && !elf->symtab_count;
        bool is_dynamic = s.sh_type == SHT_DYNSYM && !elf->dynsym_count;
        if ((!is_static && !is_dynamic) || !symbol_section(elf, shoff, shnum, &s, &strings))
            continue;
        uint32_t count = s.sh_size / (uint32_t)sizeof(Elf32_Sym);
        if (is_static) {
            elf->symtab_off = s.sh_offset;
            elf->symtab_count = count;
            elf->strtab_off = strings.offset;
            elf->strtab_size = strings.size;
        } else {
            elf->dynsym_off = s.sh_offset;
            elf->dynsym_count = count;
            elf->dynstr_off = strings.offset;
            elf->dynstr_size = strings.size;
        }
    }
}

/* ---- the dynamic section ---- */

/* File bytes of [addr, addr + size); false if not wholly file-backed in one segment. */
static bool locate(const struct vxe_elf *elf, vx_gaddr addr, uint32_t size, struct table *out)
{
    uint32_t available;
    const uint8_t *p = vxe_at(elf, addr, &available);
    if (!p || size > available)
        return false;
    *out = (struct table){(uint32_t)(p - elf->bytes), size};
    return true;
}

/* The rest of the file-backed segment from addr on. */
static bool locate_rest(const struct vxe_elf *elf, vx_gaddr addr, struct table *out)
{
    uint32_t available;
    return vxe_at(elf, addr, &available) && locate(elf, addr, available, out);
}

static bool read_dyn(const struct vxe_elf *elf, uint32_t index, int32_t *tag, uint32_t *value)
{
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size,
                                        elf->dyn_off + (uint64_t)index * sizeof(Elf32_Dyn),
                                        sizeof(Elf32_Dyn));
    *tag = (int32_t)vxi_u32(&c);
    *value = vxi_u32(&c);
    return !c.bad;
}

bool vxe_dynamic(const struct vxe_elf *elf, int32_t tag, uint32_t *value)
{
    for (uint32_t i = 0; i < elf->dyn_count; i++) {
        int32_t t;
        uint32_t v;
        if (read_dyn(elf, i, &t, &v) && t == tag) {
            *value = v;
            return true;
        }
    }
    return false;
}

/* A table of relocations given by two tags. Absent is fine; half is not. */
static const char *find_relocs(const struct vxe_elf *elf, int32_t tag, int32_t size_tag,
                               uint32_t element, uint32_t *offset, uint32_t *count)
{
    uint32_t addr, size;
    struct table t;
    bool has_size = vxe_dynamic(elf, size_tag, &size);
    if (!vxe_dynamic(elf, tag, &addr) || (has_size && !size))
        return NULL;
    if (!has_size || size % element)
        return "relocation table has no size, or not that of whole entries";
    if (!locate(elf, addr, size, &t))
        return "relocation table lies outside the file";
    *offset = t.offset;
    *count = size / element;
    return NULL;
}

/* Number of symbols by DT_HASH: its chain count. */
static bool count_by_hash(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *count)
{
    struct table t;
    if (!locate(elf, addr, 8, &t))
        return false;
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, t.offset, t.size);
    vxi_u32(&c);
    *count = vxi_u32(&c);
    return true;
}

/* Number of symbols by DT_GNU_HASH: the end of the last chain (a chain ends in an odd word). */
static bool count_by_gnu_hash(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *count)
{
    struct table t;
    if (!locate_rest(elf, addr, &t))
        return false;
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, t.offset, t.size);
    uint32_t buckets = vxi_u32(&c), first = vxi_u32(&c), bloom = vxi_u32(&c), last = 0;
    vxi_u32(&c);
    vxi_take(&c, (uint64_t)bloom * 4);
    for (uint32_t i = 0; i < buckets && !c.bad; i++) {
        uint32_t symbol = vxi_u32(&c);
        if (symbol > last)
            last = symbol;
    }
    if (c.bad || (last && last < first))
        return false;
    if (!last) { /* no symbol is exported */
        *count = first;
        return true;
    }
    vxi_take(&c, (uint64_t)(last - first) * 4);
    for (; !(vxi_u32(&c) & 1); last++)
        if (c.bad)
            return false;
    *count = last + 1;
    return !c.bad;
}

static const char *find_symbols(struct vxe_elf *elf)
{
    uint32_t symtab, strtab, strsz, hash, count = 0;
    struct table symbols, strings;
    if (!vxe_dynamic(elf, DT_SYMTAB, &symtab))
        return NULL;
    if (!vxe_dynamic(elf, DT_STRTAB, &strtab) || !vxe_dynamic(elf, DT_STRSZ, &strsz))
        return "symbol table without string table";
    if (!locate(elf, strtab, strsz, &strings) || !ends_in_nul(elf, strings))
        return "string table lies outside the file, or has no end";
    if (vxe_dynamic(elf, DT_HASH, &hash)) {
        if (!count_by_hash(elf, hash, &count))
            return "hash table lies outside the file";
    } else if (vxe_dynamic(elf, DT_GNU_HASH, &hash)) {
        if (!count_by_gnu_hash(elf, hash, &count))
            return "GNU hash table is damaged";
    } else {
        return NULL; /* the section headers may have said how many there are */
    }
    if (count > UINT32_MAX / sizeof(Elf32_Sym) ||
        (count && !locate(elf, symtab, count * (uint32_t)sizeof(Elf32_Sym), &symbols)))
        return "symbol table lies outside the file";
    elf->dynsym_off = count ? symbols.offset : 0;
    elf->dynsym_count = count;
    elf->dynstr_off = strings.offset;
    elf->dynstr_size = strings.size;
    return NULL;
}

/* Element sizes, where given, are the only ones there are. */
static const char *check_sizes(const struct vxe_elf *elf)
{
    uint32_t value;
    if (vxe_dynamic(elf, DT_SYMENT, &value) && value != sizeof(Elf32_Sym))
        return "symbols of an unknown size";
    if (vxe_dynamic(elf, DT_RELENT, &value) && value != sizeof(Elf32_Rel))
        return "relocations of an unknown size";
    if (vxe_dynamic(elf, DT_RELRENT, &value) && value != sizeof(Elf32_Relr))
        return "compact relocations of an unknown size";
    if (vxe_dynamic(elf, DT_PLTREL, &value) && value != DT_REL)
        return "PLT relocations of an unknown kind";
    return NULL;
}

static bool find_end(struct vxe_elf *elf, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        int32_t tag;
        uint32_t value;
        if (!read_dyn(elf, i, &tag, &value))
            return false;
        if (tag == DT_NULL) {
            elf->dyn_count = i;
            return true;
        }
    }
    return false;
}

vx_status vxe_read_dynamic(struct vxe_elf *elf, vx_gaddr addr, uint32_t size,
                           struct vx_error *error)
{
    struct table t;
    if (!locate(elf, addr, size, &t))
        return vxi_fail(error, VX_ERR_ELF_DYNAMIC, 0, "dynamic section at 0x%08x is not in the file",
                        addr);
    elf->dyn_off = t.offset;
    const char *wrong = NULL;
    if (!find_end(elf, size / (uint32_t)sizeof(Elf32_Dyn)))
        wrong = "has no end";
    if (!wrong)
        wrong = check_sizes(elf);
    if (!wrong)
        wrong = find_relocs(elf, DT_REL, DT_RELSZ, sizeof(Elf32_Rel), &elf->rel_off,
                            &elf->rel_count);
    if (!wrong)
        wrong = find_relocs(elf, DT_JMPREL, DT_PLTRELSZ, sizeof(Elf32_Rel), &elf->jmprel_off,
                            &elf->jmprel_count);
    if (!wrong)
        wrong = find_relocs(elf, DT_RELR, DT_RELRSZ, sizeof(Elf32_Relr), &elf->relr_off,
                            &elf->relr_count);
    if (!wrong)
        wrong = find_symbols(elf);
    return wrong ? vxi_fail(error, VX_ERR_ELF_DYNAMIC, t.offset, "dynamic section: %s", wrong)
                 : VX_OK;
}

/* ---- lookups ---- */

bool vxe_symbol(const struct vxe_elf *elf, bool dynamic, uint32_t index, struct vxe_symbol *out)
{
    uint32_t offset = dynamic ? elf->dynsym_off : elf->symtab_off;
    uint32_t count = dynamic ? elf->dynsym_count : elf->symtab_count;
    struct table strings = dynamic ? (struct table){elf->dynstr_off, elf->dynstr_size}
                                   : (struct table){elf->strtab_off, elf->strtab_size};
    if (index >= count)
        return false;
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size,
                                        offset + (uint64_t)index * sizeof(Elf32_Sym),
                                        sizeof(Elf32_Sym));
    uint32_t name = vxi_u32(&c);
    out->value = vxi_u32(&c);
    out->size = vxi_u32(&c);
    uint8_t info = vxi_u8(&c);
    vxi_u8(&c);
    out->defined = vxi_u16(&c) != SHN_UNDEF && !c.bad;
    out->type = ELF32_ST_TYPE(info);
    out->binding = ELF32_ST_BIND(info);
    struct vxi_cursor text = vxi_cursor_at(elf->bytes, elf->size, strings.offset, strings.size);
    vxi_take(&text, name);
    out->name = (const char *)vxi_take(&text, 1);
    if (!out->name) {
        out->name = "";
        out->defined = false;
    }
    return true;
}

bool vxe_reloc(const struct vxe_elf *elf, uint32_t index, struct vxe_reloc *out)
{
    uint32_t offset = elf->rel_off;
    if (index >= elf->rel_count) {
        index -= elf->rel_count;
        offset = elf->jmprel_off;
        if (index >= elf->jmprel_count)
            return false;
    }
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size,
                                        offset + (uint64_t)index * sizeof(Elf32_Rel),
                                        sizeof(Elf32_Rel));
    out->where = vxi_u32(&c);
    uint32_t info = vxi_u32(&c);
    out->type = ELF32_R_TYPE(info);
    out->symbol = ELF32_R_SYM(info);
    return true;
}

/*
 * An even word is an address that is relocated; an odd one is a bitmap for the 31
 * words that follow the last one covered (generic ABI, "Relative relocations").
 */
bool vxe_relr(const struct vxe_elf *elf, struct vxe_relr_walk *walk, vx_gaddr *where)
{
    while (!walk->bits) {
        if (walk->index >= elf->relr_count)
            return false;
        struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size,
                                            elf->relr_off + (uint64_t)walk->index++ * 4, 4);
        uint32_t word = vxi_u32(&c);
        if (!(word & 1)) {
            *where = word;
            walk->base = word + 4;
            return true;
        }
        walk->bits = word >> 1;
        walk->base += 31 * 4;
    }
    uint32_t bit = (uint32_t)__builtin_ctz(walk->bits);
    walk->bits &= walk->bits - 1;
    *where = walk->base - (31 - bit) * 4;
    return true;
}

/*
 * Opening an i386 ELF file: the ELF header and the program headers (System V
 * ABI, chapters 4 and 5, and its i386 supplement). Trusts no byte.
 *
 * Only what the program headers say decides how a guest runs. Section headers are hints
 * (elf32_tables.c): damaged or missing ones just mean fewer symbols.
 */
#include "format/elf32.h"

#include <elf.h>
#include <string.h>

#include "format/cache.h"
#include "format/cursor.h"
#include "format/elf32_private.h"
#include "format/error.h"

#define ADDRESS_SPACE (UINT64_C(1) << 32)
#define INTERP_LIMIT 4096u

struct header {
    uint16_t type, machine, phentsize, phnum, shentsize, shnum;
    uint32_t version, entry, phoff, shoff;
};

static vx_status read_header(const struct vxe_elf *elf, struct header *h, struct vx_error *error)
{
    struct vxi_cursor c = vxi_cursor(elf->bytes, elf->size);
    const uint8_t *magic = vxi_take(&c, SELFMAG);
    if (!magic || memcmp(magic, ELFMAG, SELFMAG) != 0)
        return vxi_fail(error, VX_ERR_ELF_MAGIC, 0, elf->size ? "no ELF header at its start" : "the file is empty");
    const uint8_t *ident = vxi_take(&c, EI_NIDENT - SELFMAG);
    h->type = vxi_u16(&c);
    h->machine = vxi_u16(&c);
    h->version = vxi_u32(&c);
    h->entry = vxi_u32(&c);
    h->phoff = vxi_u32(&c);
    h->shoff = vxi_u32(&c);
    vxi_take(&c, 4 + 2); /* e_flags: none are defined for i386; e_ehsize */
    h->phentsize = vxi_u16(&c);
    h->phnum = vxi_u16(&c);
    h->shentsize = vxi_u16(&c);
    h->shnum = vxi_u16(&c);
    vxi_u16(&c);
    if (c.bad || !ident)
        return vxi_fail(error, VX_ERR_ELF_HEADER, elf->size, "file ends inside its ELF header");
    if (ident[EI_CLASS - SELFMAG] != ELFCLASS32 || ident[EI_DATA - SELFMAG] != ELFDATA2LSB ||
        h->machine != EM_386)
        return vxi_fail(error, VX_ERR_ELF_CLASS, EI_CLASS,
                        "%s, %s, machine %u; wanted are 32-bit, little-endian, machine %u",
                        ident[EI_CLASS - SELFMAG] == ELFCLASS32 ? "32-bit" : ident[EI_CLASS - SELFMAG] == ELFCLASS64 ? "64-bit" : "no known size",
                        ident[EI_DATA - SELFMAG] == ELFDATA2LSB ? "little-endian" : ident[EI_DATA - SELFMAG] == ELFDATA2MSB ? "big-endian" : "no known byte order",
                        h->machine, EM_386);
    if (h->type != ET_EXEC && h->type != ET_DYN)
        return vxi_fail(error, VX_ERR_ELF_TYPE, 16, "ELF type %u is not executable or shared",
                        h->type);
    if (ident[EI_VERSION - SELFMAG] != EV_CURRENT || h->version != EV_CURRENT)
        return vxi_fail(error, VX_ERR_ELF_HEADER, 20, "unknown ELF version %u", h->version);
    if (!h->phnum)
        return vxi_fail(error, VX_ERR_ELF_SEGMENT, 44, "no program headers");
    if (h->phentsize != sizeof(Elf32_Phdr))
        return vxi_fail(error, VX_ERR_ELF_HEADER, 42, "program headers of %u bytes", h->phentsize);
    return VX_OK;
}

static void read_phdr(struct vxi_cursor *c, Elf32_Phdr *p)
{
    p->p_type = vxi_u32(c);
    p->p_offset = vxi_u32(c);
    p->p_vaddr = vxi_u32(c);
    p->p_paddr = vxi_u32(c);
    p->p_filesz = vxi_u32(c);
    p->p_memsz = vxi_u32(c);
    p->p_flags = vxi_u32(c);
    p->p_align = vxi_u32(c);
}

/* File range inside the file, no more of it than memory, no wrap at 4 GiB. */
static const char *check_range(const struct vxe_elf *elf, const Elf32_Phdr *p)
{
    if (p->p_filesz > p->p_memsz)
        return "file size exceeds memory size";
    if (vxi_cursor_at(elf->bytes, elf->size, p->p_offset, p->p_filesz).bad)
        return "runs past the end of the file";
    if (p->p_memsz > ADDRESS_SPACE - p->p_vaddr)
        return "wraps at 4 GiB";
    return NULL;
}

static const char *add_load(struct vxe_elf *elf, const Elf32_Phdr *p)
{
    const char *wrong = check_range(elf, p);
    if (wrong || !p->p_memsz)
        return wrong;
    if (!elf->is_dyn && p->p_vaddr < VX_PAGE_BYTES)
        return "maps page 0";
    if (elf->segment_count == VXE_MAX_SEGMENTS)
        return "too many segments";
    /* insertion sort: nearly always sorted already, and few */
    size_t i = elf->segment_count++;
    for (; i && elf->segments[i - 1].addr > p->p_vaddr; i--)
        elf->segments[i] = elf->segments[i - 1];
    elf->segments[i] = (struct vxe_segment){
        .addr = p->p_vaddr,
        .mem_size = p->p_memsz,
        .file_size = p->p_filesz,
        .file_offset = p->p_offset,
        .prot = p->p_flags & (PF_R | PF_W | PF_X),
    };
    return NULL;
}

static const char *set_interp(struct vxe_elf *elf, const Elf32_Phdr *p)
{
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, p->p_offset, p->p_filesz);
    const uint8_t *path = vxi_take(&c, p->p_filesz);
    if (elf->interp)
        return "second interpreter";
    if (!path || p->p_filesz < 2 || p->p_filesz > INTERP_LIMIT || path[p->p_filesz - 1])
        return "interpreter path is not a string inside the file";
    elf->interp = (const char *)path;
    return NULL;
}

static const char *set_tls(struct vxe_elf *elf, const Elf32_Phdr *p)
{
    const char *wrong = check_range(elf, p);
    if (wrong)
        return wrong;
    if (p->p_align & (p->p_align - 1))
        return "alignment is not a power of two";
    if (elf->tls_align)
        return "second TLS segment";
    elf->tls_addr = p->p_vaddr;
    elf->tls_file_size = p->p_filesz;
    elf->tls_mem_size = p->p_memsz;
    elf->tls_align = p->p_align ? p->p_align : 1;
    return NULL;
}

/* Walk the program headers once; *dynamic is the first PT_DYNAMIC, if any. */
static vx_status read_phdrs(struct vxe_elf *elf, const struct header *h, Elf32_Phdr *dynamic,
                            struct vx_error *error)
{
    uint32_t bytes = h->phnum * (uint32_t)sizeof(Elf32_Phdr);
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, h->phoff, bytes);
    if (c.bad)
        return vxi_fail(error, VX_ERR_ELF_SEGMENT, h->phoff,
                        "program header table runs past the end of the file");
    elf->exec_stack = true;
    for (unsigned i = 0; i < h->phnum; i++) {
        Elf32_Phdr p;
        const char *wrong = NULL;
        read_phdr(&c, &p);
        if (p.p_type == PT_LOAD)
            wrong = add_load(elf, &p);
        else if (p.p_type == PT_INTERP)
            wrong = set_interp(elf, &p);
        else if (p.p_type == PT_TLS)
            wrong = set_tls(elf, &p);
        else if (p.p_type == PT_GNU_EH_FRAME)
            elf->eh_frame_hdr = p.p_vaddr;
        else if (p.p_type == PT_GNU_STACK)
            elf->exec_stack = p.p_flags & PF_X;
        else if (p.p_type == PT_DYNAMIC && !dynamic->p_type)
            *dynamic = p;
        if (wrong)
            return vxi_fail(error, VX_ERR_ELF_SEGMENT, h->phoff + i * sizeof p,
                            "program header %u: %s", i, wrong);
    }
    if (!elf->segment_count)
        return vxi_fail(error, VX_ERR_ELF_SEGMENT, h->phoff, "nothing to load");
    return VX_OK;
}

static vx_status check_overlap(struct vxe_elf *elf, struct vx_error *error)
{
    uint64_t end = 0;
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct vxe_segment *s = &elf->segments[i];
        if (s->addr < end)
            return vxi_fail(error, VX_ERR_ELF_OVERLAP, s->file_offset,
                            "segment at 0x%08x overlaps the one before it", s->addr);
        end = (uint64_t)s->addr + s->mem_size;
    }
    elf->low = elf->segments[0].addr & ~(VX_PAGE_BYTES - 1);
    elf->high = (vx_gaddr)((end + VX_PAGE_BYTES - 1) & ~(uint64_t)(VX_PAGE_BYTES - 1));
    return VX_OK;
}

/* The segment that holds addr, or NULL. */
static const struct vxe_segment *find_segment(const struct vxe_elf *elf, vx_gaddr addr)
{
    size_t low = 0, high = elf->segment_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct vxe_segment *s = &elf->segments[middle];
        if (addr < s->addr)
            high = middle;
        else if (addr - s->addr >= s->mem_size)
            low = middle + 1;
        else
            return s;
    }
    return NULL;
}

static vx_status check_entry(const struct vxe_elf *elf, struct vx_error *error)
{
    if (elf->is_dyn && !elf->entry)
        return VX_OK;
    const struct vxe_segment *s = find_segment(elf, elf->entry);
    if (!s || !(s->prot & VXE_X))
        return vxi_fail(error, VX_ERR_ELF_ENTRY, 24, "entry 0x%08x is not in an executable segment",
                        elf->entry);
    return VX_OK;
}

/* Where the guest finds its program headers, as the kernel's AT_PHDR: 0 if they are not loaded. */
static void locate_phdrs(struct vxe_elf *elf, const struct header *h)
{
    uint32_t bytes = h->phnum * (uint32_t)sizeof(Elf32_Phdr);
    elf->phdr_count = h->phnum;
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct vxe_segment *s = &elf->segments[i];
        if (h->phoff >= s->file_offset && h->phoff - s->file_offset < s->file_size &&
            bytes <= s->file_size - (h->phoff - s->file_offset)) {
            elf->phdr_addr = s->addr + (h->phoff - s->file_offset);
            return;
        }
    }
}

const uint8_t *vxe_at(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *available)
{
    const struct vxe_segment *s = find_segment(elf, addr);
    if (!s || addr - s->addr >= s->file_size)
        return NULL;
    uint32_t into = addr - s->addr;
    struct vxi_cursor c = vxi_cursor_at(elf->bytes, elf->size, s->file_offset, s->file_size);
    vxi_take(&c, into);
    *available = s->file_size - into;
    return vxi_take(&c, *available);
}

vx_status vxe_open(const void *bytes, size_t size, struct vxe_elf *elf, struct vx_error *error)
{
    struct header h = {0};
    Elf32_Phdr dynamic = {0};
    memset(elf, 0, sizeof *elf);
    elf->bytes = bytes;
    elf->size = size;
    if (size > VXF_GUEST_LIMIT)
        return vxi_fail(error, VX_ERR_TOO_LARGE, 0, "file of more than 1 GiB");
    vx_status status = read_header(elf, &h, error);
    if (status != VX_OK)
        return status;
    elf->is_dyn = h.type == ET_DYN;
    elf->entry = h.entry;
    status = read_phdrs(elf, &h, &dynamic, error);
    if (status == VX_OK)
        status = check_overlap(elf, error);
    if (status == VX_OK)
        status = check_entry(elf, error);
    if (status != VX_OK)
        return status;
    locate_phdrs(elf, &h);
    if (h.shentsize == sizeof(Elf32_Shdr))
        vxe_find_section_tables(elf, h.shoff, h.shnum);
    if (dynamic.p_type) {
        status = vxe_read_dynamic(elf, dynamic.p_vaddr, dynamic.p_memsz, error);
        if (status != VX_OK)
            return status;
    }
    return vxi_succeed(error);
}

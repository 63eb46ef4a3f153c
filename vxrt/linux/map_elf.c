/*
 * Mapping an ELF file into a box as the kernel's load_elf_binary does: only
 * its headers are read here, the segments are mapped from the file. The file is
 * untrusted, and may change while it is read: every value is read once.
 */
#include "vxrt/linux/map_elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/error.h"
#include "vxrt/linux/codes.h"

#define PAGE_MASK (VX_PAGE_BYTES - 1u)
#define PROGRAM_BIAS 0x56555000u
#define PHDR_LIMIT 256u

struct file {
    struct vx_box *box;
    struct vxl_codes *codes;
    int fd;
    Elf32_Ehdr head;
    Elf32_Phdr phdr[PHDR_LIMIT];
    uint64_t low, high; /* pages of all segments, before bias */
    uint32_t align;     /* largest of the segments, at least a page */
    struct vxl_mapped *out;
};

static bool read_at(int fd, void *bytes, size_t size, uint32_t offset)
{
    return pread(fd, bytes, size, offset) == (ssize_t)size;
}

static vx_status bad(struct vx_error *error, vx_status status, const char *what)
{
    return vxi_fail(error, status, 0, "%s", what);
}

static vx_status read_head(struct file *f, struct vx_error *error)
{
    const Elf32_Ehdr *head = &f->head;
    if (!read_at(f->fd, &f->head, sizeof f->head, 0) || memcmp(head->e_ident, ELFMAG, SELFMAG))
        return bad(error, VX_ERR_ELF_MAGIC, "no ELF header at its start");
    if (head->e_ident[EI_CLASS] != ELFCLASS32 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
        head->e_machine != EM_386 || (head->e_type != ET_EXEC && head->e_type != ET_DYN))
        return bad(error, VX_ERR_ELF_CLASS, "not an i386 program");
    if (head->e_phentsize != sizeof(Elf32_Phdr) || !head->e_phnum || head->e_phnum > PHDR_LIMIT ||
        !read_at(f->fd, f->phdr, head->e_phnum * sizeof *f->phdr, head->e_phoff))
        return bad(error, VX_ERR_ELF_SEGMENT, "bad program headers");
    return VX_OK;
}

static vx_status read_interp(struct file *f, const Elf32_Phdr *phdr, struct vx_error *error)
{
    char *path = f->out->interp;
    if (*path)
        return VX_OK; /* the first counts */
    if (phdr->p_filesz < 2 || phdr->p_filesz > sizeof f->out->interp ||
        !read_at(f->fd, path, phdr->p_filesz, phdr->p_offset) || path[phdr->p_filesz - 1] || !*path)
        return bad(error, VX_ERR_ELF_INTERP, "bad interpreter path");
    return VX_OK;
}

static vx_status check_load(struct file *f, const Elf32_Phdr *phdr, struct vx_error *error)
{
    uint64_t start = phdr->p_vaddr & ~PAGE_MASK;
    uint64_t end = ((uint64_t)phdr->p_vaddr + phdr->p_memsz + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
    if (phdr->p_filesz > phdr->p_memsz || (phdr->p_vaddr ^ phdr->p_offset) & PAGE_MASK || end > UINT32_MAX)
        return bad(error, VX_ERR_ELF_SEGMENT, "bad segment");
    if (start < f->low)
        f->low = start;
    if (end > f->high)
        f->high = end;
    if (phdr->p_align > f->align && !(phdr->p_align & (phdr->p_align - 1)))
        f->align = phdr->p_align;
    return VX_OK;
}

static vx_status check(struct file *f, struct vx_error *error)
{
    vx_status status = VX_OK;
    f->low = UINT64_MAX;
    f->align = VX_PAGE_BYTES;
    f->out->exec_stack = true;
    for (unsigned i = 0; i < f->head.e_phnum && status == VX_OK; i++) {
        const Elf32_Phdr *phdr = &f->phdr[i];
        if (phdr->p_type == PT_LOAD && phdr->p_memsz)
            status = check_load(f, phdr, error);
        else if (phdr->p_type == PT_INTERP)
            status = read_interp(f, phdr, error);
        else if (phdr->p_type == PT_GNU_STACK) {
            f->out->has_stack_header = true;
            f->out->exec_stack = phdr->p_flags & PF_X;
        }
    }
    if (status == VX_OK && !f->high)
        return bad(error, VX_ERR_ELF_SEGMENT, "no loadable segment");
    return status;
}

/* Where an ET_DYN file goes: programs at their place, interpreters below `below`. */
static vx_status place(struct file *f, vx_gaddr below, struct vx_error *error)
{
    uint64_t size = f->high - f->low;
    uint64_t room = size + f->align - VX_PAGE_BYTES;
    vx_gaddr at = PROGRAM_BIAS & ~(f->align - 1);
    if (f->head.e_type == ET_DYN) {
        if (below && room <= UINT32_MAX)
            at = vx_box_find_free(f->box, (uint32_t)room, below);
        if (!at || room > UINT32_MAX)
            return bad(error, VX_ERR_RANGE, "no room for the segments");
        at = (at + f->align - 1) & ~(f->align - 1);
        f->out->bias = at - (uint32_t)f->low;
    }
    if ((uint64_t)(uint32_t)(f->low + f->out->bias) + size > 0xfffff000u)
        return bad(error, VX_ERR_RANGE, "the segments do not fit");
    return VX_OK;
}

/* Zeros from the end of the file's bytes on: the rest of the page, and whole pages. */
static vx_status map_zeros(struct file *f, const Elf32_Phdr *phdr, int prot)
{
    static const uint8_t zeros[VX_PAGE_BYTES];
    uint32_t start = phdr->p_vaddr + f->out->bias + phdr->p_filesz;
    uint32_t end = phdr->p_vaddr + f->out->bias + phdr->p_memsz;
    uint32_t page = (start + PAGE_MASK) & ~PAGE_MASK;
    vx_status status = VX_OK;
    if (phdr->p_filesz && page > start && prot & VX_PROT_WRITE)
        status = vx_box_poke(f->box, start, zeros, page - start);
    if (!phdr->p_filesz)
        page = start & ~PAGE_MASK;
    if (status == VX_OK && end > page)
        status = vx_box_map(f->box, page, ((end + PAGE_MASK) & ~PAGE_MASK) - page, prot);
    return status;
}

static vx_status map_segment(struct file *f, const Elf32_Phdr *phdr, bool read_is_exec)
{
    uint32_t addr = (phdr->p_vaddr + f->out->bias) & ~PAGE_MASK;
    uint32_t skip = phdr->p_vaddr & PAGE_MASK;
    uint32_t size = (skip + phdr->p_filesz + PAGE_MASK) & ~PAGE_MASK;
    int prot = (phdr->p_flags & (PF_R | PF_W | PF_X) ? VX_PROT_READ : 0) |
               (phdr->p_flags & PF_W ? VX_PROT_WRITE : 0) |
               (phdr->p_flags & PF_X || (phdr->p_flags & PF_R && read_is_exec) ? VX_PROT_EXEC : 0);
    vx_status status = VX_OK;
    if (phdr->p_filesz)
        status = vx_box_map_file(f->box, addr, size, prot, f->fd, phdr->p_offset - skip);
    if (status == VX_OK && phdr->p_filesz && (prot & (VX_PROT_EXEC | VX_PROT_WRITE)) == VX_PROT_EXEC)
        vxl_codes_attach(f->codes, f->box, f->fd, addr, size, phdr->p_offset - skip);
    if (status == VX_OK && phdr->p_memsz > phdr->p_filesz)
        status = map_zeros(f, phdr, prot);
    /* the headers, as the program finds them in its memory */
    if (f->head.e_phoff >= phdr->p_offset &&
        (uint64_t)f->head.e_phoff + f->head.e_phnum * sizeof *phdr <= (uint64_t)phdr->p_offset + phdr->p_filesz)
        f->out->phdr = f->head.e_phoff - phdr->p_offset + phdr->p_vaddr + f->out->bias;
    return status;
}

bool vxl_layout_read(int fd, struct vxl_layout *out)
{
    struct vx_error error;
    struct vxl_mapped *mapped = calloc(1, sizeof *mapped);
    struct file *f = calloc(1, sizeof *f);
    *out = (struct vxl_layout){0};
    if (f && mapped) {
        f->fd = fd;
        f->out = mapped;
        if (read_head(f, &error) == VX_OK && check(f, &error) == VX_OK) {
            out->low = (vx_gaddr)f->low;
            out->is_fixed = f->head.e_type == ET_EXEC;
            for (unsigned i = 0; i < f->head.e_phnum && out->count < VXL_LAYOUT_SEGMENTS; i++) {
                const Elf32_Phdr *phdr = &f->phdr[i];
                if (phdr->p_type != PT_LOAD || !phdr->p_filesz || (phdr->p_flags & (PF_X | PF_W)) != PF_X)
                    continue;
                out->segments[out->count].addr = phdr->p_vaddr & ~PAGE_MASK;
                out->segments[out->count].offset = phdr->p_offset & ~PAGE_MASK;
                out->segments[out->count++].size = ((phdr->p_vaddr & PAGE_MASK) + phdr->p_filesz + PAGE_MASK) & ~PAGE_MASK;
            }
        }
    }
    free(f);
    free(mapped);
    return out->count;
}

bool vxl_layout_bias(const struct vxl_layout *layout, vx_gaddr addr, uint64_t offset, vx_gaddr *bias)
{
    for (unsigned i = 0; i < layout->count; i++) {
        uint64_t skip = offset - layout->segments[i].offset;
        if (offset < layout->segments[i].offset || skip >= layout->segments[i].size)
            continue;
        *bias = addr - (layout->segments[i].addr + (uint32_t)skip);
        return !layout->is_fixed || *bias == 0;
    }
    return false;
}

vx_status vxl_map_elf(struct vx_box *box, int fd, vx_gaddr below, bool read_is_exec, struct vxl_codes *codes,
                      struct vxl_mapped *out, struct vx_error *error)
{
    struct file *f = calloc(1, sizeof *f);
    memset(out, 0, sizeof *out);
    if (!f)
        return bad(error, VX_ERR_MEMORY, "out of memory");
    f->box = box;
    f->fd = fd;
    f->codes = codes;
    f->out = out;
    vx_status status = read_head(f, error);
    if (status == VX_OK)
        status = check(f, error);
    if (status == VX_OK)
        status = place(f, below, error);
    for (unsigned i = 0; status == VX_OK && i < f->head.e_phnum; i++) {
        const Elf32_Phdr *phdr = &f->phdr[i];
        if (phdr->p_type != PT_LOAD || !phdr->p_memsz)
            continue;
        status = map_segment(f, phdr, read_is_exec || (!below && !out->has_stack_header));
        if (status != VX_OK)
            bad(error, status, "cannot map a segment");
    }
    out->entry = f->head.e_entry + out->bias;
    out->low = (vx_gaddr)f->low + out->bias;
    out->high = (vx_gaddr)f->high + out->bias;
    out->phdr_count = f->head.e_phnum;
    free(f);
    return status;
}

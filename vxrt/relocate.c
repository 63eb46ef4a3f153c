/*
 * Relocations of a plug-in (System V ABI, i386 supplement: "Relocation Types"; Drepper, "ELF Handling For
 * Thread-Local Storage"), applied once to a copy of the pages that boxes map.
 *
 * The values are for the guest's eyes only. What has to be right for the host is where they are written: inside
 * the copy.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fcntl.h>

#include "vxrt/internal.h"

#ifndef R_386_IRELATIVE
#define R_386_IRELATIVE 42
#endif

struct pages {
    struct vx_image *image;
    uint8_t *bytes;      /* the runs with contents, one after the other */
    size_t size;
    bool in_code;
    size_t at_start_capacity;
    struct vx_error *error;
};


uint32_t vxi_tls_offset(const struct vxe_elf *elf)
{
    uint32_t align = elf->tls_align ? elf->tls_align : 1;
    return ((elf->tls_mem_size + elf->tls_addr + align - 1) & ~(align - 1)) - elf->tls_addr;
}

/* The word at an address before load bias; NULL if the image has no bytes there. */
static uint8_t *word_at(struct pages *pages, vx_gaddr where)
{
    size_t offset = 0;
    for (size_t i = 0; i < pages->image->run_count; i++) {
        const struct vxi_run *run = &pages->image->runs[i];
        if (run->backing == VXI_ZERO)
            continue;
        if (where >= run->addr && where - run->addr < run->size) {
            if (run->prot & VX_PROT_EXEC)
                pages->in_code = true;
            /* A word may go on in the next run, which follows in the copy if it does in memory. */
            bool is_split = run->size - (where - run->addr) < 4;
            bool goes_on = i + 1 < pages->image->run_count && run[1].backing != VXI_ZERO && run[1].addr == run->addr + run->size;
            return is_split && !goes_on ? NULL : pages->bytes + offset + (where - run->addr);
        }
        offset += run->size;
    }
    return NULL;
}

static vx_status refuse(struct pages *pages, const struct vxe_reloc *reloc, const char *why)
{
    return vxi_fail(pages->error, VX_ERR_ELF_RELOC, reloc->where, "relocation of type %u at 0x%08x: %s", reloc->type,
                    reloc->where, why);
}

/* Left until a box starts: the value is what a function of the guest returns. */
static vx_status defer(struct pages *pages, const struct vxe_reloc *reloc)
{
    struct vxi_link *link = &pages->image->link;
    if (link->at_start_count == pages->at_start_capacity) {
        size_t capacity = pages->at_start_capacity ? 2 * pages->at_start_capacity : 16;
        struct vxe_reloc *list = realloc(link->at_start, capacity * sizeof *list);
        if (!list)
            return vxi_fail(pages->error, VX_ERR_MEMORY, 0, "out of memory");
        link->at_start = list;
        pages->at_start_capacity = capacity;
    }
    link->at_start[link->at_start_count++] = *reloc;
    return VX_OK;
}

/* Where the guest finds an undefined symbol. */
static uint32_t import_address(const struct vxi_link *link, uint32_t symbol)
{
    size_t low = 0, high = link->import_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (link->imports[middle].symbol < symbol)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == link->import_count || link->imports[low].symbol != symbol)
        return vxi_gate(link->import_count); /* the runtime's own: ___tls_get_addr */
    return link->hosts[low].fn || !link->imports[low].is_weak ? vxi_gate(low) : 0;
}

static vx_status apply(struct pages *pages, const struct vxe_reloc *reloc)
{
    const struct vxe_elf *elf = &pages->image->elf;
    uint32_t bias = pages->image->bias, value = 0, word;
    struct vxe_symbol symbol = { 0 };
    if (reloc->type == R_386_NONE)
        return VX_OK;
    uint8_t *at = word_at(pages, reloc->where);
    if (!at)
        return refuse(pages, reloc, "outside of the file's pages");
    memcpy(&word, at, sizeof word);
    if (reloc->symbol && !vxe_symbol(elf, true, reloc->symbol, &symbol))
        return refuse(pages, reloc, "no such symbol");
    bool is_tls = symbol.type == STT_TLS || !reloc->symbol;
    if (reloc->symbol && !is_tls)
        value = symbol.defined ? symbol.value + bias : import_address(&pages->image->link, reloc->symbol);
    switch (reloc->type) {
    case R_386_32:
    case R_386_PC32:
    case R_386_GLOB_DAT:
    case R_386_JMP_SLOT:
        if (symbol.type == STT_GNU_IFUNC && symbol.defined)
            return defer(pages, reloc);
        if (reloc->type == R_386_32 || reloc->type == R_386_PC32)
            value += word;
        if (reloc->type == R_386_PC32)
            value -= reloc->where + bias;
        break;
    case R_386_RELATIVE:
        value = word + bias;
        break;
    case R_386_IRELATIVE:
        return defer(pages, reloc);
    case R_386_TLS_DTPMOD32:
        value = 1;
        break;
    case R_386_TLS_DTPOFF32:
    case R_386_TLS_TPOFF:
    case R_386_TLS_TPOFF32:
        if (!is_tls || (reloc->symbol && !symbol.defined))
            return refuse(pages, reloc, "thread-local variable of another file");
        value = word + symbol.value;
        if (reloc->type == R_386_TLS_TPOFF)
            value = word + symbol.value - vxi_tls_offset(elf);
        else if (reloc->type == R_386_TLS_TPOFF32)
            value = word + vxi_tls_offset(elf) - symbol.value;
        break;
    default:
        return refuse(pages, reloc, "unknown type");
    }
    memcpy(at, &value, sizeof value);
    return VX_OK;
}

static vx_status apply_all(struct pages *pages)
{
    const struct vxe_elf *elf = &pages->image->elf;
    struct vxe_relr_walk walk = { 0 };
    struct vxe_reloc reloc;
    vx_status status = VX_OK;
    for (uint32_t i = 0; status == VX_OK && vxe_reloc(elf, i, &reloc); i++)
        status = apply(pages, &reloc);
    for (vx_gaddr where; status == VX_OK && vxe_relr(elf, &walk, &where);)
        status = apply(pages, &(struct vxe_reloc){ .where = where, .type = R_386_RELATIVE });
    return status;
}

/* An executable relocates itself; it only wants to know where its imports are. */
static vx_status fill_slots(struct pages *pages)
{
    const struct vxi_link *link = &pages->image->link;
    for (size_t i = 0; i < link->import_count; i++) {
        if (link->imports[i].symbol != UINT32_MAX)
            continue;
        uint32_t gate = vxi_gate(i);
        uint8_t *at = word_at(pages, link->imports[i].slot);
        if (!at)
            return vxi_fail(pages->error, VX_ERR_ELF_RELOC, link->imports[i].slot, "import slot %.60s has no bytes",
                            link->imports[i].name);
        memcpy(at, &gate, sizeof gate);
    }
    return VX_OK;
}

static vx_status copy_pages(struct pages *pages)
{
    struct vx_image *image = pages->image;
    for (size_t i = 0; i < image->run_count; i++)
        pages->size += image->runs[i].backing == VXI_ZERO ? 0 : image->runs[i].size;
    pages->bytes = calloc(1, pages->size + 1);
    if (!pages->bytes || pages->size > UINT32_MAX)
        return vxi_fail(pages->error, VX_ERR_MEMORY, 0, "out of memory");
    size_t offset = 0;
    for (size_t i = 0; i < image->run_count; i++) {
        const struct vxi_run *run = &image->runs[i];
        if (run->backing == VXI_ZERO)
            continue;
        ssize_t done = 0, n;
        while ((n = pread(image->memory_file, pages->bytes + offset + done, run->size - (size_t)done, run->offset + done)) > 0)
            done += n;
        if (n < 0)
            return vxi_fail(pages->error, VX_ERR_MEMORY, 0, "cannot read the memory file");
        offset += run->size;
    }
    return VX_OK;
}

/* The copy becomes the file that boxes map. */
static vx_status replace_file(struct pages *pages)
{
    struct vx_image *image = pages->image;
    int fd = memfd_create("vx-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ssize_t n = 1;
    for (size_t done = 0; fd >= 0 && done < pages->size && n > 0; done += (size_t)n)
        n = pwrite(fd, pages->bytes + done, pages->size - done, (off_t)done);
    if (fd < 0 || n <= 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        if (fd >= 0)
            close(fd);
        return vxi_fail(pages->error, VX_ERR_MEMORY, 0, "cannot fill the memory file");
    }
    close(image->memory_file);
    image->memory_file = fd;
    uint32_t offset = 0;
    for (size_t i = 0; i < image->run_count; i++) {
        struct vxi_run *run = &image->runs[i];
        if (run->backing == VXI_ZERO)
            continue;
        run->backing = VXI_COPIED;
        run->offset = offset;
        offset += run->size;
    }
    return VX_OK;
}

vx_status vxi_relocate(struct vx_image *image, bool *in_code, struct vx_error *error)
{
    struct pages pages = { .image = image, .error = error };
    vx_status status = copy_pages(&pages);
    if (status == VX_OK)
        status = vxi_is_executable(&image->elf) ? fill_slots(&pages) : apply_all(&pages);
    if (status == VX_OK)
        status = replace_file(&pages);
    free(pages.bytes);
    *in_code = pages.in_code;
    return status;
}

/*
 * The guest's segments as runs of pages of the image's memory file. Pages whose bytes
 * stand in the guest file as they are to be are mapped from there, also what follows
 * a segment on its last page, as the kernel does. Copies are made of the others: where data end and
 * zeros begin, and where two segments share a page, which then has the permissions of both.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vxrt/internal.h"

static uint64_t page_down(uint64_t value)
{
    return value & ~(uint64_t)(VX_PAGE_BYTES - 1);
}

static uint64_t page_up(uint64_t value)
{
    return page_down(value + VX_PAGE_BYTES - 1);
}

static int prot_of(uint32_t elf_prot)
{
    return (elf_prot & VXE_R ? VX_PROT_READ : 0) | (elf_prot & VXE_W ? VX_PROT_WRITE : 0) |
           (elf_prot & VXE_X ? VX_PROT_EXEC : 0);
}

static void add_run(struct vx_image *image, uint64_t from, uint64_t to, int prot, enum vxi_backing backing,
                    uint64_t offset)
{
    if (from < to)
        image->runs[image->run_count++] = (struct vxi_run){ .addr = (vx_gaddr)from, .size = (uint32_t)(to - from),
                                                            .prot = prot, .backing = backing, .offset = (uint32_t)offset };
}

/* The last page of the runs so far belongs to the next segment too. Returns its permissions. */
static int split_last_page(struct vx_image *image)
{
    struct vxi_run *last = &image->runs[image->run_count - 1];
    int prot = last->prot;
    last->size -= VX_PAGE_BYTES;
    if (last->size == 0)
        image->run_count--;
    return prot;
}

/* The end of the pages from `first` on that the file holds as they are to be. */
static uint64_t whole_pages(const struct vxe_segment *segment, uint64_t first)
{
    uint64_t end = (uint64_t)segment->addr + segment->file_size;
    if (segment->file_size == 0 || (segment->addr - segment->file_offset) % VX_PAGE_BYTES)
        return first;
    end = segment->mem_size > segment->file_size ? page_down(end) : page_up(end);
    return end > first ? end : first;
}

/* Returns the end of the segment's pages. */
static uint64_t add_segment(struct vx_image *image, const struct vxe_segment *segment, uint64_t end)
{
    uint64_t first = page_down(segment->addr), last = page_up((uint64_t)segment->addr + segment->mem_size);
    uint64_t file_last = segment->file_size ? page_up((uint64_t)segment->addr + segment->file_size) : first;
    int prot = prot_of(segment->prot);
    if (segment->mem_size == 0)
        return end;
    if (first < end) {
        add_run(image, first, end, split_last_page(image) | prot, VXI_COPIED, 0);
        first = end;
    }
    if (file_last < first)
        file_last = first;
    uint64_t whole = whole_pages(segment, first);
    add_run(image, first, whole, prot, VXI_IN_FILE, segment->file_offset + first - segment->addr);
    add_run(image, whole, file_last, prot, VXI_COPIED, 0);
    add_run(image, file_last, last, prot, VXI_ZERO, 0);
    return last > end ? last : end;
}

static bool write_all(int fd, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

/* The bytes of a segment that lie in a run. */
static bool fill_run(const struct vx_image *image, const struct vxi_run *run)
{
    for (size_t i = 0; i < image->elf.segment_count; i++) {
        const struct vxe_segment *segment = &image->elf.segments[i];
        uint64_t from = segment->addr, to = from + segment->file_size;
        uint64_t run_end = (uint64_t)run->addr + run->size;
        if (from < run->addr)
            from = run->addr;
        if (to > run_end)
            to = run_end;
        if (from < to &&
            !write_all(image->memory_file, image->guest + segment->file_offset + (from - segment->addr),
                       (size_t)(to - from), run->offset + (from - run->addr)))
            return false;
    }
    return true;
}

static vx_status check_range(const struct vx_image *image, struct vx_error *error)
{
    const struct vxe_elf *elf = &image->elf;
    uint64_t high = elf->high ? elf->high : VXI_WINDOW_BYTES;
    if (elf->segment_count == 0)
        return vxi_fail(error, VX_ERR_ELF_SEGMENT, 0, "no loadable segment");
    if ((uint64_t)elf->low + image->bias < VX_PAGE_BYTES || high + image->bias > VXI_WINDOW_BYTES)
        return vxi_fail(error, VX_ERR_RANGE, 0, "the segments do not fit at this address");
    return VX_OK;
}

vx_status vxi_segments_make(struct vx_image *image, struct vx_error *error)
{
    vx_status status = check_range(image, error);
    if (status != VX_OK)
        return status;
    image->runs = calloc(4 * image->elf.segment_count, sizeof *image->runs);
    if (!image->runs)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    uint64_t end = 0, bytes = page_up(image->guest_size);
    for (size_t i = 0; i < image->elf.segment_count; i++)
        end = add_segment(image, &image->elf.segments[i], end);
    for (size_t i = 0; i < image->run_count; i++) {
        struct vxi_run *run = &image->runs[i];
        if (run->backing != VXI_COPIED)
            continue;
        run->offset = (uint32_t)bytes;
        bytes += run->size;
        if (bytes > UINT32_MAX || ftruncate(image->memory_file, (off_t)bytes) != 0 || !fill_run(image, run))
            return vxi_fail(error, VX_ERR_MEMORY, 0, "cannot fill the memory file");
    }
    return VX_OK;
}

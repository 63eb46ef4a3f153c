/*
 * The guest's segments as runs of pages, backed by a sealed memory file, so
 * that a new box maps them instead of copying. Two segments may share a
 * page; it then has the bytes and the permissions of both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
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

static void add_run(struct vx_image *image, uint64_t from, uint64_t to, int prot, bool is_anonymous)
{
    if (from < to)
        image->runs[image->run_count++] = (struct vxi_run){
            .addr = (vx_gaddr)from, .size = (uint32_t)(to - from), .prot = prot, .is_anonymous = is_anonymous };
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

static void make_runs(struct vx_image *image)
{
    uint64_t end = 0;
    for (size_t i = 0; i < image->elf.segment_count; i++) {
        const struct vxe_segment *segment = &image->elf.segments[i];
        uint64_t first = page_down(segment->addr), last = page_up((uint64_t)segment->addr + segment->mem_size);
        uint64_t file_last = page_up((uint64_t)segment->addr + segment->file_size);
        int prot = prot_of(segment->prot);
        if (segment->mem_size == 0)
            continue;
        if (first < end) {
            add_run(image, first, end, split_last_page(image) | prot, false);
            first = end;
        }
        if (segment->file_size == 0 || file_last < first)
            file_last = first;
        add_run(image, first, file_last, prot, false);
        add_run(image, file_last, last, prot, true);
        if (last > end)
            end = last;
    }
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
    image->runs = calloc(3 * image->elf.segment_count, sizeof *image->runs);
    if (!image->runs)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    make_runs(image);
    uint64_t bytes = 0;
    for (size_t i = 0; i < image->run_count; i++) {
        image->runs[i].offset = (uint32_t)bytes;
        bytes += image->runs[i].is_anonymous ? 0 : image->runs[i].size;
    }
    image->memory_file = memfd_create("vx-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (image->memory_file < 0 || bytes > UINT32_MAX || ftruncate(image->memory_file, (off_t)bytes) != 0)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "cannot make a memory file");
    for (size_t i = 0; i < image->run_count; i++)
        if (!image->runs[i].is_anonymous && !fill_run(image, &image->runs[i]))
            return vxi_fail(error, VX_ERR_MEMORY, 0, "cannot fill the memory file");
    if (fcntl(image->memory_file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "cannot seal the memory file");
    return VX_OK;
}

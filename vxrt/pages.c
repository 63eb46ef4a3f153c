/*
 * The page map and the guest's mappings.
 *
 * The map is the truth about guest protection; the host's is derived from it.
 * Guest pages are never executable for the host, and pages whose bytes
 * stand for translated code are not writable, so that a write is noticed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vxrt/internal.h"

#define PROT_BITS (VX_PROT_READ | VX_PROT_WRITE | VX_PROT_EXEC)
#define CODE_BITS (VXI_PAGE_CODE | VXI_PAGE_IMAGE)

/* As on x86: whatever can be written or executed can be read. */
int vxi_host_prot(uint8_t page)
{
    if (!(page & PROT_BITS))
        return PROT_NONE;
    if (page & VX_PROT_WRITE && !(page & CODE_BITS))
        return PROT_READ | PROT_WRITE;
    return PROT_READ;
}

#define KEEP (-1)

static int host_prot_with(uint8_t page, int prot)
{
    return vxi_host_prot(prot == KEEP ? page : (uint8_t)((page & ~PROT_BITS) | prot));
}

/* The host's protection of pages [first, last] as if the map said `prot`. Returns how many could be done. */
static uint32_t protect_as(struct vx_box *box, uint32_t first, uint32_t last, int prot)
{
    for (uint32_t i = first; i <= last;) {
        int host = host_prot_with(box->pages[i], prot);
        uint32_t end = i + 1;
        while (end <= last && host_prot_with(box->pages[end], prot) == host)
            end++;
        if (mprotect(box->window + (uint64_t)i * VX_PAGE_BYTES, (uint64_t)(end - i) * VX_PAGE_BYTES, host) != 0)
            return i - first;
        i = end;
    }
    return last - first + 1;
}

vx_status vxi_protect_pages(struct vx_box *box, uint32_t first, uint32_t last)
{
    return protect_as(box, first, last, KEEP) == last - first + 1 ? VX_OK : VX_ERR_MEMORY;
}

/*
 * A mapping that failed may have taken away what was there before (kernels before 6.12; file systems that refuse), and a hole in
 * the window could become the host's next mapping. Nothing is known to help if it cannot be filled.
 */
bool vxi_map_window(struct vx_box *box, uint32_t first, uint64_t count, int prot, int fd, uint64_t offset,
                    bool is_shared)
{
    int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, kind = is_shared ? MAP_SHARED | MAP_FIXED : flags;
    uint8_t *at = box->window + (uint64_t)first * VX_PAGE_BYTES;
    uint64_t size = count * VX_PAGE_BYTES;
    if (mmap(at, size, prot, kind | (fd < 0 ? MAP_ANONYMOUS : 0), fd, (off_t)offset) != MAP_FAILED)
        return true;
    if (madvise(at, size, MADV_NORMAL) == 0) /* it fails where nothing is mapped */
        return false;
    if (mmap(at, size, PROT_NONE, flags | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        abort();
    for (uint64_t i = first; i < first + count; i++) {
        box->mapped_pages -= (box->pages[i] & VXI_PAGE_MAPPED) != 0;
        box->pages[i] = 0;
    }
    vxi_spans_changed(box);
    return false;
}

void vxi_code_changes(struct vx_box *box, uint32_t first, uint32_t last)
{
    uint8_t seen = 0;
    for (uint32_t i = first; i <= last; i++)
        seen |= box->pages[i];
    if (seen & VXI_PAGE_IMAGE)
        vxi_leave_zones(box, first, last);
    if (!(seen & CODE_BITS))
        return;
    vxi_units_drop(box, first, last);
    for (uint32_t i = first; i <= last; i++) {
        if (!(box->pages[i] & CODE_BITS))
            continue;
        box->pages[i] &= (uint8_t)~CODE_BITS;
        if (box->pages[i] & VX_PROT_WRITE)
            vxi_protect_pages(box, i, i);
    }
}

/* Pages [first, last] of a valid range; false if it is not one. */
static bool page_range(vx_gaddr addr, uint32_t size, uint32_t *first, uint32_t *last)
{
    uint64_t end = (uint64_t)addr + size;
    if (size == 0 || addr % VX_PAGE_BYTES || addr == 0 || end > VXI_WINDOW_BYTES)
        return false;
    *first = addr / VX_PAGE_BYTES;
    *last = (uint32_t)((end - 1) / VX_PAGE_BYTES);
    return true;
}

static uint64_t count_mapped(const struct vx_box *box, uint32_t first, uint32_t last)
{
    uint64_t count = 0;
    for (uint32_t i = first; i <= last; i++)
        count += (box->pages[i] & VXI_PAGE_MAPPED) != 0;
    return count;
}

static void note_exec(struct vx_box *box, uint32_t first, uint32_t last)
{
    for (uint32_t block = first / VXI_EXEC_BLOCK; block <= last / VXI_EXEC_BLOCK; block++)
        box->exec_blocks[block / 64] |= 1ull << block % 64;
}

uint32_t vxi_next_exec(const struct vx_box *box, uint32_t page)
{
    while (page < VXI_PAGE_COUNT) {
        uint32_t block = page / VXI_EXEC_BLOCK;
        uint64_t blocks = box->exec_blocks[block / 64] >> block % 64;
        if (blocks & 1)
            return page;
        block = blocks ? block + (uint32_t)__builtin_ctzll(blocks) : (block / 64 + 1) * 64;
        page = block * VXI_EXEC_BLOCK;
    }
    return VXI_PAGE_COUNT;
}

static void set_pages(struct vx_box *box, uint32_t first, uint32_t last, uint8_t value)
{
    bool had_exec = false;
    for (uint32_t i = first; i <= last && !had_exec; i++)
        had_exec = box->pages[i] & VX_PROT_EXEC;
    memset(box->pages + first, value, last - first + 1);
    if (value & VX_PROT_EXEC) {
        note_exec(box, first, last);
        /* An instruction that was cut off at the end of the page before may be whole now. */
        vxi_units_drop(box, first - 1, first - 1);
    }
    if (had_exec || value & VX_PROT_EXEC)
        vxi_spans_changed(box);
}

vx_status vxi_map_pages(struct vx_box *box, vx_gaddr addr, uint32_t size, uint8_t page, int fd, uint64_t offset)
{
    uint32_t first, last;
    bool is_shared = page & VXI_PAGE_SHARED;
    if (!page_range(addr, size, &first, &last))
        return VX_ERR_RANGE;
    uint64_t count = (uint64_t)last - first + 1, replaced = count_mapped(box, first, last);
    if (box->mapped_pages - replaced + count > box->max_pages)
        return VX_ERR_TOO_LARGE;
    vxi_code_changes(box, first, last);
    vxi_changed(box, first, last);
    box->has_files |= fd >= 0 && !is_shared;
    uint8_t value = page | VXI_PAGE_MAPPED;
    if (!vxi_map_window(box, first, count, vxi_host_prot(value), fd, offset, is_shared))
        return VX_ERR_MEMORY;
    set_pages(box, first, last, value);
    box->mapped_pages += count - replaced;
    return VX_OK;
}

static vx_status map(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot, int fd, uint64_t offset)
{
    return prot & ~PROT_BITS ? VX_ERR_ARGUMENT : vxi_map_pages(box, addr, size, (uint8_t)prot, fd, offset);
}

vx_status vx_box_map(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot)
{
    return box ? map(box, addr, size, prot, -1, 0) : VX_ERR_ARGUMENT;
}

vx_status vx_box_map_file(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot, int fd, uint64_t offset)
{
    if (!box || fd < 0 || offset % VX_PAGE_BYTES || offset > INT64_MAX)
        return VX_ERR_ARGUMENT;
    return map(box, addr, size, prot, fd, offset);
}

vx_status vx_box_map_shared(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot, int fd, uint64_t offset)
{
    if (!box || prot & ~(VX_PROT_READ | VX_PROT_WRITE) || offset % VX_PAGE_BYTES || offset > INT64_MAX)
        return VX_ERR_ARGUMENT;
    return vxi_map_pages(box, addr, size, (uint8_t)(prot | VXI_PAGE_SHARED), fd, offset);
}

/* Runs that follow each other in the window and in the file, and look the same to the host, are one mapping. */
static size_t count_alike(const struct vxi_run *runs, size_t count)
{
    size_t n = 1;
    while (n < count && runs[0].backing != VXI_ZERO && runs[n].backing != VXI_ZERO &&
           runs[n].addr == runs[n - 1].addr + runs[n - 1].size &&
           runs[n].offset == runs[n - 1].offset + runs[n - 1].size &&
           vxi_host_prot((uint8_t)runs[n].prot) == vxi_host_prot((uint8_t)runs[0].prot))
        n++;
    return n;
}

vx_status vxi_map_runs(struct vx_box *box, const struct vxi_run *runs, size_t count, int fd, vx_gaddr bias)
{
    for (size_t i = 0, n; i < count; i += n) {
        const struct vxi_run *run = &runs[i], *last;
        n = count_alike(run, count - i);
        last = run + n - 1;
        /* A page of the map that is first written costs one fault, first read two. */
        *(volatile uint8_t *)&box->pages[(run->addr + bias) / VX_PAGE_BYTES] = 0;
        vx_status status = map(box, run->addr + bias, last->addr + last->size - run->addr, run->prot,
                               run->backing == VXI_ZERO ? -1 : fd, run->offset);
        if (status != VX_OK)
            return status;
        for (; run <= last; run++)
            set_pages(box, (run->addr + bias) / VX_PAGE_BYTES, (run->addr + bias + run->size - 1) / VX_PAGE_BYTES,
                      (uint8_t)(run->prot | VXI_PAGE_MAPPED));
    }
    return VX_OK;
}

/* Like unmapping, but never takes another mapping of the host's, of which there may be no more. */
static bool close_pages(struct vx_box *box, uint32_t first, uint32_t last)
{
    uint8_t *at = box->window + (uint64_t)first * VX_PAGE_BYTES;
    size_t size = (size_t)(last - first + 1) * VX_PAGE_BYTES;
    if (mprotect(at, size, PROT_NONE) == 0) {
        madvise(at, size, MADV_DONTNEED);
        return true;
    }
    vxi_protect_pages(box, first, last);
    return false;
}

vx_status vx_box_unmap(struct vx_box *box, vx_gaddr addr, uint32_t size)
{
    uint32_t first, last;
    if (!box)
        return VX_ERR_ARGUMENT;
    if (!page_range(addr, size, &first, &last))
        return VX_ERR_RANGE;
    vxi_code_changes(box, first, last);
    vxi_changed(box, first, last);
    if (!vxi_map_window(box, first, (uint64_t)last - first + 1, PROT_NONE, -1, 0, false) && !close_pages(box, first, last))
        return VX_ERR_MEMORY;
    box->mapped_pages -= count_mapped(box, first, last);
    set_pages(box, first, last, 0);
    return VX_OK;
}

/*
 * May the pages of buffers in [first, last] get this protection? Never that to execute; and what was shared for reading
 * is mapped from a descriptor for reading, so that the kernel refuses more.
 */
static bool is_granted(struct vx_box *box, uint32_t first, uint32_t last, int prot)
{
    for (uint32_t i = first; i <= last; i++) {
        if (!(box->pages[i] & VXI_PAGE_SHARED))
            continue;
        if (prot & VX_PROT_EXEC)
            return false;
        if (prot & VX_PROT_WRITE && !(box->pages[i] & VX_PROT_WRITE) &&
            mprotect(box->window + (uint64_t)i * VX_PAGE_BYTES, VX_PAGE_BYTES, PROT_READ | PROT_WRITE) != 0) {
            vxi_protect_pages(box, first, last);
            return false;
        }
    }
    return true;
}

vx_status vx_box_protect(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot)
{
    uint32_t first, last;
    if (!box || prot & ~PROT_BITS)
        return VX_ERR_ARGUMENT;
    if (!page_range(addr, size, &first, &last))
        return VX_ERR_RANGE;
    bool has_change = false, gains_exec = false, has_shared = false;
    for (uint32_t i = first; i <= last; i++) {
        if (!(box->pages[i] & VXI_PAGE_MAPPED))
            return VX_ERR_RANGE;
        has_change |= ((box->pages[i] ^ prot) & VX_PROT_EXEC) || (prot & VX_PROT_EXEC && prot & VX_PROT_WRITE);
        gains_exec |= prot & ~box->pages[i] & VX_PROT_EXEC;
        has_shared |= box->pages[i] & VXI_PAGE_SHARED;
    }
    if (has_shared && !is_granted(box, first, last, prot))
        return VX_ERR_RANGE;
    vxi_changed(box, first, last);
    /* Code stays good while its bytes do and it may be executed. */
    if (!(prot & VX_PROT_EXEC))
        vxi_code_changes(box, first, last);
    uint32_t done = protect_as(box, first, last, prot);
    if (done != last - first + 1) { /* all or nothing; taking back needs no more mappings than there were */
        protect_as(box, first, last, KEEP);
        return VX_ERR_MEMORY;
    }
    for (uint32_t i = first; i <= last; i++)
        box->pages[i] = (uint8_t)((box->pages[i] & ~PROT_BITS) | prot);
    if (gains_exec) {
        note_exec(box, first, last);
        vxi_units_drop(box, first - 1, first - 1);
    }
    if (has_change)
        vxi_spans_changed(box);
    return VX_OK;
}

vx_gaddr vx_box_find_free(const struct vx_box *box, uint32_t size, vx_gaddr below)
{
    const uint64_t all = VXI_PAGE_MAPPED * UINT64_C(0x0101010101010101);
    uint64_t need = ((uint64_t)size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES, run = 0, eight;
    if (!box || size == 0)
        return 0;
    for (uint32_t i = (below ? below : 0xfffff000u) / VX_PAGE_BYTES; i > 1;) {
        if (i % sizeof eight == 0 && i > sizeof eight) { /* eight at a time: a guest may map a million */
            memcpy(&eight, box->pages + i - sizeof eight, sizeof eight);
            eight &= all;
            if (eight == all || (!eight && run + sizeof eight < need)) {
                run = eight ? 0 : run + sizeof eight;
                i -= (uint32_t)sizeof eight;
                continue;
            }
        }
        run = box->pages[--i] & VXI_PAGE_MAPPED ? 0 : run + 1;
        if (run == need)
            return i * VX_PAGE_BYTES;
    }
    return 0;
}

int vx_box_page_prot(const struct vx_box *box, vx_gaddr addr)
{
    uint8_t page = box->pages[addr / VX_PAGE_BYTES];
    return page & VXI_PAGE_MAPPED ? page & PROT_BITS : -1;
}

/*
 * Memory calls: brk, mmap, munmap, mprotect, mremap, madvise. All memory is
 * private to the box: shared mappings of files can be read, not written.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/codes.h"
#include "vxrt/linux/proc.h"

#define PAGE_MASK (VX_PAGE_BYTES - 1)
#define LOWEST_MAP 0x10000u /* vm.mmap_min_addr */

static uint32_t round_up(uint32_t size)
{
    return (size + PAGE_MASK) & ~PAGE_MASK;
}

/* ---- what pages are --------------------------------------------------- */

static void mark(struct vxl_proc *p, vx_gaddr addr, uint32_t size, uint8_t kind)
{
    if (p->page_kinds)
        memset(p->page_kinds + (addr >> 12), kind, size >> 12);
}

bool vxl_has_kind(const struct vxl_proc *p, vx_gaddr addr, uint32_t size, uint8_t kind)
{
    if (!p->page_kinds)
        return false;
    for (uint32_t page = addr >> 12; page < (addr >> 12) + (size >> 12); page++)
        if (p->page_kinds[page] & kind)
            return true;
    return false;
}

void vxl_mem_start(struct vxl_proc *p)
{
    p->brk_start = p->brk = round_up(p->info.high);
    p->trampoline = 0;
    free(p->page_kinds);
    p->page_kinds = NULL;
}

/* ---- helpers --------------------------------------------------------- */

/* x86 pages that can be written or executed can be read. */
static int box_prot(const struct vxl_proc *p, uint32_t prot)
{
    int result = 0;
    if (prot & (PROT_READ | PROT_WRITE | PROT_EXEC))
        result |= VX_PROT_READ;
    if (prot & PROT_WRITE)
        result |= VX_PROT_WRITE;
    if ((prot & PROT_EXEC) || ((prot & PROT_READ) && p->read_implies_exec))
        result |= VX_PROT_EXEC;
    return result;
}

static int32_t error_of(vx_status status)
{
    switch (status) {
    case VX_OK:
        return 0;
    case VX_ERR_RANGE:
    case VX_ERR_ARGUMENT:
        return -EINVAL;
    case VX_ERR_IO:
        return -ENODEV;
    default:
        return -ENOMEM;
    }
}

/* Page-aligned, not empty, above the lowest address, not past 4 GiB. */
static bool is_range(vx_gaddr addr, uint32_t size)
{
    return size && !(addr & PAGE_MASK) && addr >= LOWEST_MAP && size <= 0xfffff000u - addr;
}

static bool is_free(struct vxl_proc *p, vx_gaddr addr, uint32_t size)
{
    if (!is_range(addr, size))
        return false;
    for (uint32_t at = 0; at < size; at += VX_PAGE_BYTES)
        if (vx_box_page_prot(p->box, addr + at) >= 0)
            return false;
    return true;
}

/* ---- brk ------------------------------------------------------------- */

int32_t vxl_brk(struct vxl_proc *p, const uint32_t *a)
{
    vx_gaddr wanted = a[0];
    if (wanted < p->brk_start || wanted > 0xfffff000u)
        return (int32_t)p->brk;
    uint32_t old_end = round_up(p->brk), new_end = round_up(wanted);
    if (new_end > old_end) {
        if (!is_free(p, old_end, new_end - old_end) ||
            vx_box_map(p->box, old_end, new_end - old_end, box_prot(p, PROT_READ | PROT_WRITE)))
            return (int32_t)p->brk;
    } else if (new_end < old_end) {
        vx_box_unmap(p->box, new_end, old_end - new_end);
    }
    p->brk = wanted;
    return (int32_t)wanted;
}

/* ---- mmap ------------------------------------------------------------ */

static vx_gaddr choose_address(struct vxl_proc *p, vx_gaddr hint, uint32_t size, uint32_t flags, int fd,
                               uint64_t offset)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        return hint;
    hint &= ~PAGE_MASK;
    if (!hint && fd >= 0)
        hint = vxl_codes_hint(p->config->codes, fd, offset);
    if (hint && is_free(p, hint, size))
        return hint;
    return vx_box_find_free(p->box, size, p->mmap_top);
}

/* fd -1: anonymous. */
static int32_t map_shared(struct vxl_proc *p, vx_gaddr addr, uint32_t size, uint32_t prot, int host, uint64_t offset)
{
    if (prot & PROT_EXEC)
        return -EPERM;
    vx_status status = vx_box_map_shared(p->box, addr, size, box_prot(p, prot) & ~VX_PROT_EXEC, host, offset);
    if (status)
        return host >= 0 && (prot & PROT_WRITE) && (fcntl(host, F_GETFL) & O_ACCMODE) != O_RDWR ? -EACCES : error_of(status);
    mark(p, addr, size, VXL_PAGE_SHARED | (host >= 0 ? VXL_PAGE_FILE : 0));
    return (int32_t)addr;
}

static int32_t map_file(struct vxl_proc *p, vx_gaddr addr, uint32_t size, uint32_t prot,
                        uint32_t flags, uint32_t fd, uint64_t offset)
{
    int host = vxl_host_fd(p, fd);
    if (host < 0)
        return host;
    /* shared code can only be read: then it is as good as private */
    if ((flags & MAP_TYPE) != MAP_PRIVATE && (prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC)
        return map_shared(p, addr, size, prot, host, offset);
    vx_status status = vx_box_map_file(p->box, addr, size, box_prot(p, prot), host, offset);
    if (status)
        return error_of(status);
    mark(p, addr, size, VXL_PAGE_FILE);
    if ((box_prot(p, prot) & (VX_PROT_EXEC | VX_PROT_WRITE)) == VX_PROT_EXEC)
        vxl_codes_attach(p->config->codes, p->box, host, addr, size, offset);
    return (int32_t)addr;
}

static int32_t map(struct vxl_proc *p, const uint32_t *a, uint64_t offset)
{
    uint32_t size = round_up(a[1]), prot = a[2], flags = a[3];
    uint32_t type = flags & MAP_TYPE;
    if (!a[1] || (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE))
        return -EINVAL;
    if (!size)
        return -ENOMEM;
    int file = flags & MAP_ANONYMOUS ? -1 : vxl_host_fd(p, a[4]);
    vx_gaddr addr = choose_address(p, a[0], size, flags, file, offset);
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && (addr & PAGE_MASK))
        return -EINVAL;
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && addr < LOWEST_MAP)
        return -EPERM;
    if (!is_range(addr, size))
        return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) && !is_free(p, addr, size))
        return -EEXIST;
    if (!p->page_kinds && !((flags & MAP_ANONYMOUS) && type == MAP_PRIVATE))
        p->page_kinds = calloc(1, 1u << 20);
    if (!p->page_kinds && !((flags & MAP_ANONYMOUS) && type == MAP_PRIVATE))
        return -ENOMEM;
    if (!(flags & MAP_ANONYMOUS))
        return map_file(p, addr, size, prot, flags, a[4], offset);
    if (type != MAP_PRIVATE)
        return map_shared(p, addr, size, prot, -1, 0);
    vx_status status = vx_box_map(p->box, addr, size, box_prot(p, prot));
    if (status)
        return error_of(status);
    mark(p, addr, size, 0);
    return (int32_t)addr;
}

int32_t vxl_mmap2(struct vxl_proc *p, const uint32_t *a)
{
    return map(p, a, (uint64_t)a[5] << 12);
}

/* mmap(90): one pointer to six words */
int32_t vxl_old_mmap(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t args[6];
    if (!vxl_get(p, a[0], args, sizeof args))
        return -EFAULT;
    if (args[5] & PAGE_MASK)
        return -EINVAL;
    return map(p, args, args[5]);
}

int32_t vxl_munmap(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t size = round_up(a[1]);
    if (!is_range(a[0], size))
        return -EINVAL;
    vx_status status = vx_box_unmap(p->box, a[0], size);
    if (status == VX_OK)
        mark(p, a[0], size, 0);
    return error_of(status);
}

int32_t vxl_mprotect(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t size = round_up(a[1]);
    uint32_t prot = a[2] & ~(uint32_t)(PROT_GROWSDOWN | PROT_GROWSUP);
    if ((a[0] & PAGE_MASK) || (prot & ~7u))
        return -EINVAL;
    if (!a[1])
        return 0;
    if (!is_range(a[0], size))
        return -ENOMEM;
    vx_status status = vx_box_protect(p->box, a[0], size, box_prot(p, prot));
    if (status == VX_ERR_RANGE && vxl_has_kind(p, a[0], size, VXL_PAGE_SHARED))
        return -EACCES;
    return status == VX_ERR_RANGE ? -ENOMEM : error_of(status);
}

/* ---- mremap ---------------------------------------------------------- */

static bool is_mapped(struct vxl_proc *p, vx_gaddr addr, uint32_t size)
{
    for (uint32_t at = 0; at < size; at += VX_PAGE_BYTES)
        if (vx_box_page_prot(p->box, addr + at) < 0)
            return false;
    return true;
}

/* Move anonymous memory, or file memory of the same size; page by page, for each keeps its protection. */
static int32_t move(struct vxl_proc *p, vx_gaddr from, uint32_t old_size, vx_gaddr to,
                    uint32_t new_size)
{
    uint32_t copy = old_size < new_size ? old_size : new_size;
    bool is_file = vxl_has_kind(p, from, old_size, VXL_PAGE_FILE);
    int last_prot = vx_box_page_prot(p->box, from + copy - VX_PAGE_BYTES);
    vx_status status = vx_box_map(p->box, to, new_size, last_prot);
    for (uint32_t at = 0; status == VX_OK && at < copy; at += VX_PAGE_BYTES) {
        int prot = vx_box_page_prot(p->box, from + at);
        void *page = NULL;
        if (!(prot & VX_PROT_READ)) {
            status = vx_box_protect(p->box, from + at, VX_PAGE_BYTES, VX_PROT_READ);
        }
        if (status == VX_OK)
            page = vx_box_pointer(p->box, from + at, VX_PAGE_BYTES, VX_PROT_READ);
        if (status == VX_OK)
            status = page ? vx_box_poke(p->box, to + at, page, VX_PAGE_BYTES) : VX_ERR_RANGE;
        if (status == VX_OK && prot != last_prot)
            status = vx_box_protect(p->box, to + at, VX_PAGE_BYTES, prot);
    }
    if (status)
        return error_of(status) == -EINVAL ? -EFAULT : error_of(status);
    vx_box_unmap(p->box, from, old_size);
    mark(p, from, old_size, 0);
    mark(p, to, new_size, is_file ? VXL_PAGE_FILE : 0);
    return (int32_t)to;
}

int32_t vxl_mremap(struct vxl_proc *p, const uint32_t *a)
{
    vx_gaddr from = a[0], to = a[4];
    uint32_t old_size = round_up(a[1]), new_size = round_up(a[2]), flags = a[3];
    if ((from & PAGE_MASK) || !new_size || !old_size || (flags & ~3u))
        return -EINVAL;
    if (!is_range(from, old_size) || !is_mapped(p, from, old_size))
        return -EFAULT;
    if (new_size > old_size && vxl_has_kind(p, from, old_size, VXL_PAGE_FILE | VXL_PAGE_SHARED))
        return -ENOMEM; /* what follows in the file is not known here */
    if (flags & MREMAP_FIXED && vxl_has_kind(p, from, old_size, VXL_PAGE_SHARED))
        return -ENOMEM; /* nor which file it is */
    if (flags & MREMAP_FIXED) {
        if (!(flags & MREMAP_MAYMOVE) || !is_range(to, new_size) ||
            (to < from + old_size && from < to + new_size))
            return -EINVAL;
        return move(p, from, old_size, to, new_size);
    }
    if (new_size <= old_size) {
        if (new_size < old_size) {
            vx_box_unmap(p->box, from + new_size, old_size - new_size);
            mark(p, from + new_size, old_size - new_size, 0);
        }
        return (int32_t)from;
    }
    int prot = vx_box_page_prot(p->box, from + old_size - VX_PAGE_BYTES);
    if (is_free(p, from + old_size, new_size - old_size) &&
        vx_box_map(p->box, from + old_size, new_size - old_size, prot) == VX_OK)
        return (int32_t)from;
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    to = vx_box_find_free(p->box, new_size, p->mmap_top);
    return to ? move(p, from, old_size, to, new_size) : -ENOMEM;
}

/* ---- advice ---------------------------------------------------------- */

/* MADV_DONTNEED on anonymous memory reads as zeroes afterwards. */
static int32_t drop(struct vxl_proc *p, vx_gaddr addr, uint32_t size)
{
    if (!is_mapped(p, addr, size))
        return -ENOMEM;
    if (vxl_has_kind(p, addr, size, VXL_PAGE_SHARED))
        return 0; /* the bytes are still there */
    if (vxl_has_kind(p, addr, size, VXL_PAGE_FILE) || addr < p->info.high)
        return -EINVAL;
    for (uint32_t at = 0; at < size;) {
        int prot = vx_box_page_prot(p->box, addr + at);
        uint32_t run = VX_PAGE_BYTES;
        while (at + run < size && vx_box_page_prot(p->box, addr + at + run) == prot)
            run += VX_PAGE_BYTES;
        vx_status status = vx_box_map(p->box, addr + at, run, prot);
        if (status)
            return error_of(status);
        at += run;
    }
    return 0;
}

int32_t vxl_madvise(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t size = round_up(a[1]);
    if ((a[0] & PAGE_MASK) || (a[1] && !size))
        return -EINVAL;
    if (!size)
        return 0;
    if (!is_range(a[0], size))
        return -ENOMEM;
    switch (a[2]) {
    case MADV_DONTNEED:
        return drop(p, a[0], size);
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_FREE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
        return 0;
    default:
        return -EINVAL;
    }
}

int32_t vxl_msync(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t size = round_up(a[1]);
    if ((a[0] & PAGE_MASK) || (a[2] & ~7u))
        return -EINVAL;
    if (size && (!is_range(a[0], size) || !is_mapped(p, a[0], size)))
        return -ENOMEM;
    void *at = size && vxl_has_kind(p, a[0], size, VXL_PAGE_SHARED) ? vx_box_pointer(p->box, a[0], size, VX_PROT_READ) : NULL;
    return at ? (int32_t)vxl_result(msync(at, size, (int)a[2])) : 0;
}

/* All that is mapped counts as present. */
int32_t vxl_mincore(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t size = round_up(a[1]);
    uint8_t present[VX_PAGE_BYTES];
    if (a[0] & PAGE_MASK)
        return -EINVAL;
    if (a[1] && (!is_range(a[0], size) || !is_mapped(p, a[0], size)))
        return -ENOMEM;
    memset(present, 1, sizeof present);
    for (uint32_t done = 0, count = size / VX_PAGE_BYTES; done < count; done += sizeof present)
        if (!vxl_put(p, a[2] + done, present, count - done < sizeof present ? count - done : sizeof present))
            return -EFAULT;
    return 0;
}

/* mlock and its relatives promise nothing that a guest could check. */
int32_t vxl_mlock(struct vxl_proc *p, const uint32_t *a)
{
    return 0;
}

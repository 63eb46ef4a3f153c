/*
 * Copies between host and guest memory.
 *
 * The page map says what is accessible; the copy itself stands a mapped
 * file that shrinks meanwhile. A box is used by one thread at a time, so the
 * map does not change under a copy.
 */
#include <string.h>
#include <sys/mman.h>

#include "vxrt/internal.h"

#define ANY_ACCESS (VX_PROT_READ | VX_PROT_WRITE | VX_PROT_EXEC)

/* Every page of [addr, addr + size) is mapped with one of the bits in `any`. size > 0. */
static bool is_accessible(const struct vx_box *box, vx_gaddr addr, uint64_t size, uint8_t any)
{
    uint64_t end = addr + size;
    if (end > VXI_WINDOW_BYTES || end < size)
        return false;
    for (uint64_t i = addr / VX_PAGE_BYTES; i <= (end - 1) / VX_PAGE_BYTES; i++)
        if (!(box->pages[i] & VXI_PAGE_MAPPED) || !(box->pages[i] & any))
            return false;
    return true;
}

static vx_status copy(struct vx_box *box, void *dst, const void *src, size_t size)
{
    const uint8_t *before = vxi_copy_window;
    vxi_copy_window = box->window;
    size_t left = vxi_copy(dst, src, size);
    vxi_copy_window = before;
    return left ? VX_ERR_RANGE : VX_OK;
}

vx_status vx_box_read(struct vx_box *box, vx_gaddr addr, void *dst, size_t size)
{
    if (size == 0)
        return VX_OK;
    /* On x86 what may be written or executed may be read. */
    if (!is_accessible(box, addr, size, ANY_ACCESS))
        return VX_ERR_RANGE;
    return copy(box, dst, box->window + addr, size);
}

static void prepare_write(struct vx_box *box, vx_gaddr addr, size_t size)
{
    vxi_code_changes(box, addr / VX_PAGE_BYTES, (uint32_t)((addr + (uint64_t)size - 1) / VX_PAGE_BYTES));
}

vx_status vx_box_write(struct vx_box *box, vx_gaddr addr, const void *src, size_t size)
{
    if (size == 0)
        return VX_OK;
    if (!is_accessible(box, addr, size, VX_PROT_WRITE))
        return VX_ERR_RANGE;
    prepare_write(box, addr, size);
    return copy(box, box->window + addr, src, size);
}

bool vxi_box_swap(struct vx_box *box, vx_gaddr addr, uint32_t *value, uint32_t new)
{
    if (addr % sizeof new || !is_accessible(box, addr, sizeof new, VX_PROT_WRITE))
        return false;
    prepare_write(box, addr, sizeof new);
    const uint8_t *before = vxi_copy_window;
    vxi_copy_window = box->window;
    bool is_done = vxi_swap(box->window + addr, value, new);
    vxi_copy_window = before;
    return is_done;
}

vx_status vx_box_poke(struct vx_box *box, vx_gaddr addr, const void *src, size_t size)
{
    if (size == 0)
        return VX_OK;
    if (!is_accessible(box, addr, size, VXI_PAGE_MAPPED))
        return VX_ERR_RANGE;
    prepare_write(box, addr, size);
    if (is_accessible(box, addr, size, VX_PROT_WRITE))
        return copy(box, box->window + addr, src, size);
    uint32_t first = addr / VX_PAGE_BYTES, last = (uint32_t)((addr + (uint64_t)size - 1) / VX_PAGE_BYTES);
    for (uint32_t i = first; i <= last; i++)
        if (box->pages[i] & VXI_PAGE_SHARED && !(box->pages[i] & VX_PROT_WRITE))
            return VX_ERR_RANGE;
    vxi_changed(box, first, last);
    if (mprotect(box->window + (uint64_t)first * VX_PAGE_BYTES, (uint64_t)(last - first + 1) * VX_PAGE_BYTES,
                 PROT_READ | PROT_WRITE) != 0) {
        vxi_protect_pages(box, first, last); /* some may have been done */
        return VX_ERR_MEMORY;
    }
    vx_status status = copy(box, box->window + addr, src, size);
    vx_status restored = vxi_protect_pages(box, first, last);
    return status != VX_OK ? status : restored;
}

vx_status vx_box_read_string(struct vx_box *box, vx_gaddr addr, char *dst, size_t size)
{
    for (size_t done = 0; done < size;) {
        uint64_t at = (uint64_t)addr + done;
        if (at >= VXI_WINDOW_BYTES)
            return VX_ERR_RANGE;
        size_t part = VX_PAGE_BYTES - at % VX_PAGE_BYTES;
        if (part > size - done)
            part = size - done;
        vx_status status = vx_box_read(box, (vx_gaddr)at, dst + done, part);
        if (status != VX_OK)
            return status;
        if (memchr(dst + done, 0, part))
            return VX_OK;
        done += part;
    }
    return VX_ERR_TOO_LARGE;
}

void *vx_box_pointer(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot)
{
    uint64_t length = size ? size : 1;
    if (prot & VX_PROT_WRITE ? !is_accessible(box, addr, length, VX_PROT_WRITE)
                             : !is_accessible(box, addr, length, prot ? ANY_ACCESS : VXI_PAGE_MAPPED))
        return NULL;
    if (prot & VX_PROT_EXEC && !is_accessible(box, addr, length, VX_PROT_EXEC))
        return NULL;
    if (prot & VX_PROT_WRITE)
        prepare_write(box, addr, length);
    return box->window + addr;
}

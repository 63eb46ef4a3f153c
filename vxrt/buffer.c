/*
 * Buffers: memory of the host that boxes have in their windows.
 *
 * A memory file that keeps its size, so that no access past its end can fault. Boxes that may only read it
 * map it from a descriptor that cannot be written: the kernel then refuses every other protection, whatever is asked for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vxrt/internal.h"

struct vx_buffer {
    int fd, read_fd;
    uint8_t *data;
    uint64_t size;
};

static vx_status make(struct vx_buffer *buffer)
{
    char path[64];
    buffer->fd = memfd_create("vx-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t)buffer->size) != 0 ||
        fcntl(buffer->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return VX_ERR_MEMORY;
    snprintf(path, sizeof path, "/proc/self/fd/%d", buffer->fd);
    buffer->read_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (buffer->read_fd < 0)
        return VX_ERR_IO;
    void *data = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
    if (data == MAP_FAILED)
        return VX_ERR_MEMORY;
    buffer->data = data;
    return VX_OK;
}

vx_status vx_buffer_new(uint64_t size, struct vx_buffer **out)
{
    if (!out || size == 0 || size > INT64_MAX - VX_PAGE_BYTES)
        return VX_ERR_ARGUMENT;
    struct vx_buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer)
        return VX_ERR_MEMORY;
    buffer->size = (size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
    buffer->fd = buffer->read_fd = -1;
    vx_status status = make(buffer);
    if (status == VX_OK)
        *out = buffer;
    else
        vx_buffer_close(buffer);
    return status;
}

void vx_buffer_close(struct vx_buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->data)
        munmap(buffer->data, buffer->size);
    if (buffer->fd >= 0)
        close(buffer->fd);
    if (buffer->read_fd >= 0)
        close(buffer->read_fd);
    free(buffer);
}

void *vx_buffer_data(const struct vx_buffer *buffer)
{
    return buffer->data;
}

uint64_t vx_buffer_size(const struct vx_buffer *buffer)
{
    return buffer->size;
}

vx_status vx_box_share(struct vx_box *box, const struct vx_buffer *buffer, uint64_t offset, vx_gaddr addr, uint32_t size,
                       int prot)
{
    if (!box || !buffer || (prot != VX_PROT_READ && prot != (VX_PROT_READ | VX_PROT_WRITE)))
        return VX_ERR_ARGUMENT;
    if (offset % VX_PAGE_BYTES || size % VX_PAGE_BYTES || offset > buffer->size || size > buffer->size - offset)
        return VX_ERR_RANGE;
    return vxi_map_pages(box, addr, size, (uint8_t)(prot | VXI_PAGE_SHARED),
                         prot & VX_PROT_WRITE ? buffer->fd : buffer->read_fd, offset);
}

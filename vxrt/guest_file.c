/*
 * The memory file of an image: first the guest file's bytes, then the pages
 * that exist in no file (the end of data, where zeros follow). New boxes map it privately
 * instead of copying. Filled through one writable mapping, then sealed: from there on nothing can change it.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vxrt/internal.h"

static size_t mapping_size(const struct vx_image *image)
{
    return (image->guest_size + VX_PAGE_BYTES) / VX_PAGE_BYTES * VX_PAGE_BYTES; /* also for an empty file */
}

vx_status vxi_guest_new(struct vx_image *image, size_t size, struct vx_error *error)
{
    image->guest_size = size;
    image->memory_file = memfd_create("vx-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (image->memory_file < 0 || ftruncate(image->memory_file, (off_t)mapping_size(image)) != 0)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "cannot make a memory file");
    /* populated at once: hundreds of page faults cost more than the reading */
    void *memory = mmap(NULL, mapping_size(image), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        image->memory_file, 0);
    if (memory == MAP_FAILED)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "no memory for the guest");
    image->guest = memory;
    return VX_OK;
}

vx_status vxi_guest_seal(struct vx_image *image, struct vx_error *error)
{
    /* at the same address, for what points into it; a seal needs that no shared mapping is left */
    if (mmap(image->guest, mapping_size(image), PROT_READ, MAP_PRIVATE | MAP_FIXED, image->memory_file, 0) == MAP_FAILED ||
        fcntl(image->memory_file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "cannot seal the memory file");
    return VX_OK;
}

void vxi_guest_free(struct vx_image *image)
{
    if (image->guest)
        munmap(image->guest, mapping_size(image));
    if (image->memory_file >= 0)
        close(image->memory_file);
}

/*
 * Files into private memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vxrt/internal.h"

static vx_status read_all(int fd, uint8_t *bytes, size_t size, struct vx_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return vxi_fail(error, VX_ERR_IO, done, n < 0 ? "cannot read the file" : "the file shrank while it was read");
        done += (size_t)n;
    }
    return VX_OK;
}

/* Room for what is read or inflated whole: backed at once, because thousands of page faults cost more than the reading.
 * The length stands in front. */
#define BUFFER_HEADER 64

uint8_t *vxi_buffer_new(size_t size)
{
    size_t total = size + BUFFER_HEADER;
    void *memory = total < size ? MAP_FAILED
                                : mmap(NULL, total, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    *(size_t *)memory = total;
    return (uint8_t *)memory + BUFFER_HEADER;
}

void vxi_buffer_free(uint8_t *buffer)
{
    if (buffer)
        munmap(buffer - BUFFER_HEADER, *(size_t *)(buffer - BUFFER_HEADER));
}

vx_status vxi_open_file(const char *path, int *fd, struct vx_error *error)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to wait for a FIFO */
    if (*fd >= 0)
        return VX_OK;
    return vxi_fail(error, errno == ENOENT || errno == ENOTDIR ? VX_ERR_NOT_FOUND : VX_ERR_IO, 0,
                    "cannot open the file");
}

/* What was read is what is used: changes to the file later do not matter. */
vx_status vxi_read_file(int fd, uint64_t limit, uint8_t **bytes, size_t *size, struct vx_error *error)
{
    struct stat info;
    *bytes = NULL;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return vxi_fail(error, VX_ERR_IO, 0, "not a regular file");
    if ((uint64_t)info.st_size > limit)
        return vxi_fail(error, VX_ERR_TOO_LARGE, 0, "the file is too large");
    if (!(*bytes = vxi_buffer_new((size_t)info.st_size)))
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    vx_status status = read_all(fd, *bytes, (size_t)info.st_size, error);
    if (status == VX_OK) {
        *size = (size_t)info.st_size;
    } else {
        vxi_buffer_free(*bytes);
        *bytes = NULL;
    }
    return status;
}

/*
 * Files into private memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

/* What was read is what is used: changes to the file later do not matter. */
vx_status vxi_read_file(const char *path, uint64_t limit, uint8_t **bytes, size_t *size, struct vx_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vxi_fail(error, errno == ENOENT || errno == ENOTDIR ? VX_ERR_NOT_FOUND : VX_ERR_IO, 0,
                        "cannot open the file");
    struct stat info;
    vx_status status = VX_OK;
    *bytes = NULL;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        status = vxi_fail(error, VX_ERR_IO, 0, "not a regular file");
    else if ((uint64_t)info.st_size > limit)
        status = vxi_fail(error, VX_ERR_TOO_LARGE, 0, "the file is too large");
    else if (!(*bytes = malloc((size_t)info.st_size + 1)))
        status = vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    else
        status = read_all(fd, *bytes, (size_t)info.st_size, error);
    close(fd);
    if (status == VX_OK) {
        *size = (size_t)info.st_size;
    } else {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

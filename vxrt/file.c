/*
 * Files into private memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vxrt/internal.h"

vx_status vxi_open_file(const char *path, int *fd, struct vx_error *error)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to wait for a FIFO */
    if (*fd >= 0)
        return VX_OK;
    int code = errno;
    char text[64];
    return vxi_fail(error, code == ENOENT || code == ENOTDIR ? VX_ERR_NOT_FOUND : VX_ERR_IO, 0, "cannot open the file: %s",
                    strerror_r(code, text, sizeof text));
}

vx_status vxi_file_size(int fd, uint64_t limit, size_t *size, struct vx_error *error)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return vxi_fail(error, VX_ERR_IO, 0, "not a regular file");
    if ((uint64_t)info.st_size > limit)
        return vxi_fail(error, VX_ERR_TOO_LARGE, 0, "the file is too large");
    *size = (size_t)info.st_size;
    return VX_OK;
}

/* What was read is what is used: changes to the file later do not matter. */
vx_status vxi_read_file(int fd, uint8_t *bytes, size_t size, struct vx_error *error)
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

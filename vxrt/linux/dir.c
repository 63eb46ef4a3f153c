/*
 * The current directory, and reading directories. Positions in a
 * directory are shown as entry numbers: the host's are 64-bit hashes, which
 * 32-bit C libraries refuse.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/file.h"

#define BUFFER_BYTES 32768u

/* struct linux_dirent64, the same on both sides; behind the name it has bytes that the kernel does not write. */
struct entry64 {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

/* ---- current directory ----------------------------------------------- */

int32_t vxl_getcwd(struct vxl_proc *p, const uint32_t *a)
{
    size_t size = strlen(p->cwd) + 1;
    if (a[1] < size)
        return -ERANGE;
    return vxl_put(p, a[0], p->cwd, size) ? (int32_t)size : -EFAULT;
}

int32_t vxl_chdir(struct vxl_proc *p, const uint32_t *a)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    struct stat st;
    int status = vxl_get_path(p, a[0], path);
    if (status < 0)
        return status;
    int host = vxl_open_path(p, (uint32_t)AT_FDCWD, path, true, &place);
    if (host < 0)
        return host;
    status = (int)vxl_result(fstat(host, &st));
    if (status == 0 && !S_ISDIR(st.st_mode))
        status = -ENOTDIR;
    if (status == 0)
        status = (int)vxl_result(syscall(SYS_faccessat2, host, "", X_OK, AT_EMPTY_PATH));
    close(host);
    if (status == 0)
        strcpy(p->cwd, place.guest);
    return status;
}

int32_t vxl_fchdir(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    if (!fd)
        return -EBADF;
    if (!fd->is_dir)
        return -ENOTDIR;
    strcpy(p->cwd, fd->path);
    return 0;
}

/* ---- entries --------------------------------------------------------- */

static int64_t read_entries(const struct vxl_fd *fd, uint8_t *buffer, uint32_t size)
{
    if (!fd->is_dir)
        return -ENOTDIR;
    return vxl_result(syscall(SYS_getdents64, fd->host, buffer, size));
}

int64_t vxl_dir_skip(struct vxl_fd *fd, uint64_t count)
{
    uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(8)));
    while (fd->dir_position < count) {
        int64_t size = read_entries(fd, buffer, sizeof buffer);
        if (size <= 0)
            return size < 0 ? size : (int64_t)fd->dir_position;
        for (int64_t at = 0; at < size;) {
            const struct entry64 *entry = (const void *)(buffer + at);
            at += entry->reclen;
            if (++fd->dir_position == count)
                return lseek(fd->host, entry->off, SEEK_SET) < 0 ? -errno : (int64_t)count;
        }
    }
    return (int64_t)fd->dir_position;
}

int32_t vxl_getdents64(struct vxl_proc *p, const uint32_t *a)
{
    uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(8)));
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    uint32_t size = a[2] < sizeof buffer ? a[2] : (uint32_t)sizeof buffer;
    if (!fd)
        return -EBADF;
    if (vxl_accessible(p, a[1], size, VX_PROT_WRITE) < size)
        return -EFAULT;
    int64_t done = read_entries(fd, buffer, size);
    for (int64_t at = 0; at < done;) {
        struct entry64 *entry = (void *)(buffer + at);
        size_t used = offsetof(struct entry64, name) + strlen(entry->name) + 1;
        entry->off = (int64_t)++fd->dir_position;
        memset((uint8_t *)entry + used, 0, entry->reclen - used);
        at += entry->reclen;
    }
    if (done > 0 && !vxl_put(p, a[1], buffer, (size_t)done))
        return -EFAULT;
    return (int32_t)done;
}

/* The old form: ino, off, reclen, name, and the type in the last byte. */
int32_t vxl_getdents(struct vxl_proc *p, const uint32_t *a)
{
    uint8_t in[BUFFER_BYTES] __attribute__((aligned(8)));
    uint8_t out[BUFFER_BYTES];
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    uint32_t size = a[2] < sizeof in ? a[2] : (uint32_t)sizeof in;
    uint32_t used = 0;
    if (!fd)
        return -EBADF;
    if (vxl_accessible(p, a[1], size, VX_PROT_WRITE) < size)
        return -EFAULT;
    /* an old entry is never longer than a new one */
    int64_t done = read_entries(fd, in, size);
    if (done < 0)
        return (int32_t)done;
    for (int64_t at = 0; at < done;) {
        const struct entry64 *entry = (const void *)(in + at);
        uint32_t name_size = (uint32_t)strlen(entry->name) + 1;
        uint16_t reclen = (uint16_t)((10 + name_size + 1 + 3) & ~3u);
        uint32_t head[2] = {(uint32_t)entry->ino, (uint32_t)++fd->dir_position};
        memset(out + used, 0, reclen);
        memcpy(out + used, head, 8);
        memcpy(out + used + 8, &reclen, 2);
        memcpy(out + used + 10, entry->name, name_size);
        out[used + reclen - 1] = entry->type;
        used += reclen;
        at += entry->reclen;
    }
    return vxl_put(p, a[1], out, used) ? (int32_t)used : -EFAULT;
}

/*
 * Calls on files by path that open them or ask about names: open, access, readlink. (stat.c: what they are.)
 */
#include "vxrt/linux/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

/* ---- open ------------------------------------------------------------ */

#define OPEN_FLAGS \
    (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | \
     O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_PATH | O_TMPFILE)
#define GUEST_O_LARGEFILE 0100000

/* A pipe with a name: it is open when somebody else has opened the other end. */
static bool is_pipe(struct vxl_place *place)
{
    struct stat st;
    int fd = place->is_device ? -1 : vxl_open_beneath(place, O_PATH, 0);
    bool is_it = fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    if (fd >= 0)
        close(fd);
    return is_it;
}

struct opening {
    struct vxl_place *place;
    uint64_t flags;
    uint32_t mode;
};

static int64_t open_beneath(void *argument)
{
    const struct opening *o = argument;
    return vxl_open_beneath(o->place, o->flags, o->mode);
}

static int open_place(struct vxl_proc *p, struct vxl_place *place, uint32_t flags, uint32_t mode)
{
    if (place->wants_dir) {
        if (flags & O_CREAT)
            return -EISDIR;
        flags |= O_DIRECTORY;
    }
    bool is_slow = p->threads && !(flags & (O_NONBLOCK | O_PATH)) && is_pipe(place);
    /* nothing but these is looked at with O_PATH */
    flags &= flags & O_PATH ? (uint32_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW) : (uint32_t)OPEN_FLAGS;
    struct opening opening = {place, flags, mode};
    for (;;) {
        int host = (int)(is_slow ? vxl_call_slowly(p, open_beneath, &opening) : open_beneath(&opening));
        if (host != -EINTR)
            return host;
        if (vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
}

static int32_t open_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at, uint32_t flags,
                       uint32_t mode)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    struct stat st;
    int status = vxl_get_path(p, path_at, path);
    if (status == 0)
        status = vxl_find(p, dirfd, path, &place);
    if (status < 0)
        return status;
    int host = open_place(p, &place, flags, mode);
    if (host < 0)
        return host;
    if (fstat(host, &st)) {
        close(host);
        return -EIO;
    }
    if (S_ISREG(st.st_mode) && !(flags & (GUEST_O_LARGEFILE | O_PATH)) && st.st_size > INT32_MAX) {
        close(host);
        return -EOVERFLOW;
    }
    int fd = vxl_fd_install(p, host, 0, flags & O_CLOEXEC);
    if (fd < 0)
        return fd;
    struct vxl_fd *entry = &p->fds[fd];
    entry->is_fixed = place.is_device;
    entry->is_read_only = place.is_read_only;
    entry->is_dir = S_ISDIR(st.st_mode);
    if (entry->is_dir && !(entry->path = strdup(place.guest))) {
        vxl_fd_close(p, (unsigned)fd);
        return -ENOMEM;
    }
    return fd;
}

int32_t vxl_open(struct vxl_proc *p, const uint32_t *a)
{
    return open_at(p, (uint32_t)AT_FDCWD, a[0], a[1], a[2]);
}

int32_t vxl_creat(struct vxl_proc *p, const uint32_t *a)
{
    return open_at(p, (uint32_t)AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1]);
}

int32_t vxl_openat(struct vxl_proc *p, const uint32_t *a)
{
    return open_at(p, a[0], a[1], a[2], a[3]);
}

/* ---- one file, by path ----------------------------------------------- */

int vxl_open_path(struct vxl_proc *p, uint32_t dirfd, const char *path, bool follow,
                  struct vxl_place *place)
{
    int status = vxl_find(p, dirfd, path, place);
    if (status < 0)
        return status;
    return vxl_open_beneath(place, O_PATH | (follow ? 0u : (unsigned)O_NOFOLLOW) |
                            (place->wants_dir ? (unsigned)O_DIRECTORY : 0u), 0);
}

/* ---- access, readlink ------------------------------------------------- */

static int32_t access_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at, uint32_t mode,
                         uint32_t flags)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    int status = vxl_get_path(p, path_at, path);
    if (status < 0)
        return status;
    if (mode & ~7u)
        return -EINVAL;
    int host = vxl_open_path(p, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &place);
    if (host < 0)
        return host;
    if ((mode & W_OK) && place.is_read_only && !place.is_device)
        status = -EROFS;
    else
        status = (int)vxl_result(syscall(SYS_faccessat2, host, "", mode, AT_EMPTY_PATH));
    close(host);
    return status;
}

int32_t vxl_access(struct vxl_proc *p, const uint32_t *a)
{
    return access_at(p, (uint32_t)AT_FDCWD, a[0], a[1], 0);
}

int32_t vxl_faccessat(struct vxl_proc *p, const uint32_t *a)
{
    return access_at(p, a[0], a[1], a[2], 0);
}

int32_t vxl_faccessat2(struct vxl_proc *p, const uint32_t *a)
{
    return access_at(p, a[0], a[1], a[2], a[3]);
}

static int32_t readlink_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at, vx_gaddr out,
                           uint32_t size)
{
    char path[VXL_PATH_BYTES], target[VXL_PATH_BYTES];
    struct vxl_place place;
    int status = vxl_get_path(p, path_at, path);
    int64_t length;
    if (status < 0)
        return status;
    if ((int32_t)size <= 0)
        return -EINVAL;
    if (!strcmp(path, VXL_SELF_EXE)) {
        length = (int64_t)strlen(p->exe_path);
        memcpy(target, p->exe_path, (size_t)length);
    } else {
        int host = vxl_open_path(p, dirfd, path, false, &place);
        if (host < 0)
            return host;
        length = vxl_result(readlinkat(host, "", target, sizeof target));
        close(host);
        if (length < 0) /* an empty path makes it ENOENT where it is no link */
            return length == -ENOENT ? -EINVAL : (int32_t)length;
    }
    if (length > size)
        length = size;
    return vxl_put(p, out, target, (size_t)length) ? (int32_t)length : -EFAULT;
}

int32_t vxl_readlink(struct vxl_proc *p, const uint32_t *a)
{
    return readlink_at(p, (uint32_t)AT_FDCWD, a[0], a[1], a[2]);
}

int32_t vxl_readlinkat(struct vxl_proc *p, const uint32_t *a)
{
    return readlink_at(p, a[0], a[1], a[2], a[3]);
}

/*
 * Calls on files by path that open or ask: open, stat, access, readlink,
 * statfs. Owners are shown as the guest's user, root or nobody.
 */
#include "vxrt/linux/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
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

static int open_place(struct vxl_proc *p, struct vxl_place *place, uint32_t flags, uint32_t mode)
{
    if (place->wants_dir) {
        if (flags & O_CREAT)
            return -EISDIR;
        flags |= O_DIRECTORY;
    }
    bool is_slow = p->threads && !(flags & (O_NONBLOCK | O_PATH)) && is_pipe(place);
    for (;;) {
        int host = is_slow ? vxl_open_slowly(p, place, flags & OPEN_FLAGS, mode)
                           : vxl_open_beneath(place, flags & OPEN_FLAGS, mode);
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

/* ---- one file, by path or descriptor --------------------------------- */

int vxl_open_path(struct vxl_proc *p, uint32_t dirfd, const char *path, bool follow,
                  struct vxl_place *place)
{
    int status = vxl_find(p, dirfd, path, place);
    if (status < 0)
        return status;
    return vxl_open_beneath(place, O_PATH | (follow ? 0u : (unsigned)O_NOFOLLOW) |
                            (place->wants_dir ? (unsigned)O_DIRECTORY : 0u), 0);
}

static int stat_fd(struct vxl_proc *p, uint32_t fd, struct stat *st)
{
    int host = vxl_host_fd(p, fd);
    return host < 0 ? host : (int)vxl_result(fstat(host, st));
}

int vxl_stat_path(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at, uint32_t flags,
                  struct stat *st)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    int status = vxl_get_path(p, path_at, path);
    if (status < 0)
        return status;
    if (!*path && (flags & AT_EMPTY_PATH) && (int32_t)dirfd != AT_FDCWD)
        return stat_fd(p, dirfd, st);
    int host = vxl_open_path(p, dirfd, *path || !(flags & AT_EMPTY_PATH) ? path : ".",
                             !(flags & AT_SYMLINK_NOFOLLOW), &place);
    if (host < 0)
        return host;
    status = (int)vxl_result(fstat(host, st));
    close(host);
    return status;
}

/* ---- stat ------------------------------------------------------------ */

static uint32_t shown_id(uint32_t id, uint32_t own)
{
    return id == own ? VXL_USER_ID : id == 0 ? 0 : VXL_NOBODY_ID;
}

static int32_t put_stat(struct vxl_proc *p, vx_gaddr addr, const struct stat *st)
{
    struct abi32_stat out = {
        .dev = (uint32_t)st->st_dev, .ino = (uint32_t)st->st_ino,
        .mode = (uint16_t)st->st_mode, .nlink = (uint16_t)st->st_nlink,
        .uid = (uint16_t)shown_id(st->st_uid, geteuid()),
        .gid = (uint16_t)shown_id(st->st_gid, getegid()),
        .rdev = (uint32_t)st->st_rdev, .size = (uint32_t)st->st_size,
        .blksize = (uint32_t)st->st_blksize, .blocks = (uint32_t)st->st_blocks,
        .atime = (uint32_t)st->st_atim.tv_sec, .atime_nsec = (uint32_t)st->st_atim.tv_nsec,
        .mtime = (uint32_t)st->st_mtim.tv_sec, .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
        .ctime = (uint32_t)st->st_ctim.tv_sec, .ctime_nsec = (uint32_t)st->st_ctim.tv_nsec,
    };
    if (st->st_size > INT32_MAX || st->st_ino > UINT32_MAX)
        return -EOVERFLOW;
    return vxl_put(p, addr, &out, sizeof out) ? 0 : -EFAULT;
}

static int32_t put_stat64(struct vxl_proc *p, vx_gaddr addr, const struct stat *st)
{
    struct abi32_stat64 out = {
        .dev = st->st_dev, .ino_low = (uint32_t)st->st_ino, .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink, .uid = shown_id(st->st_uid, geteuid()),
        .gid = shown_id(st->st_gid, getegid()), .rdev = st->st_rdev, .size = st->st_size,
        .blksize = (uint32_t)st->st_blksize, .blocks = (uint64_t)st->st_blocks,
        .atime = (uint32_t)st->st_atim.tv_sec, .atime_nsec = (uint32_t)st->st_atim.tv_nsec,
        .mtime = (uint32_t)st->st_mtim.tv_sec, .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
        .ctime = (uint32_t)st->st_ctim.tv_sec, .ctime_nsec = (uint32_t)st->st_ctim.tv_nsec,
        .ino = st->st_ino,
    };
    return vxl_put(p, addr, &out, sizeof out) ? 0 : -EFAULT;
}

typedef int32_t put_function(struct vxl_proc *p, vx_gaddr addr, const struct stat *st);

static int32_t stat_to(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path, uint32_t flags,
                       vx_gaddr out, put_function *put)
{
    struct stat st;
    int status = vxl_stat_path(p, dirfd, path, flags, &st);
    return status < 0 ? status : put(p, out, &st);
}

int32_t vxl_stat(struct vxl_proc *p, const uint32_t *a)
{
    return stat_to(p, (uint32_t)AT_FDCWD, a[0], 0, a[1], put_stat);
}

int32_t vxl_lstat(struct vxl_proc *p, const uint32_t *a)
{
    return stat_to(p, (uint32_t)AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, a[1], put_stat);
}

int32_t vxl_fstat(struct vxl_proc *p, const uint32_t *a)
{
    struct stat st;
    int status = stat_fd(p, a[0], &st);
    return status < 0 ? status : put_stat(p, a[1], &st);
}

int32_t vxl_stat64(struct vxl_proc *p, const uint32_t *a)
{
    return stat_to(p, (uint32_t)AT_FDCWD, a[0], 0, a[1], put_stat64);
}

int32_t vxl_lstat64(struct vxl_proc *p, const uint32_t *a)
{
    return stat_to(p, (uint32_t)AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, a[1], put_stat64);
}

int32_t vxl_fstat64(struct vxl_proc *p, const uint32_t *a)
{
    struct stat st;
    int status = stat_fd(p, a[0], &st);
    return status < 0 ? status : put_stat64(p, a[1], &st);
}

int32_t vxl_fstatat64(struct vxl_proc *p, const uint32_t *a)
{
    if (a[3] & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
        return -EINVAL;
    return stat_to(p, a[0], a[1], a[3], a[2], put_stat64);
}

/* struct statx has one layout everywhere. */
int32_t vxl_statx(struct vxl_proc *p, const uint32_t *a)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    struct statx out;
    int status = vxl_get_path(p, a[1], path);
    if (status < 0)
        return status;
    bool is_fd = !*path && (a[2] & AT_EMPTY_PATH) && (int32_t)a[0] != AT_FDCWD;
    int host;
    if (is_fd)
        host = vxl_host_fd(p, a[0]);
    else
        host = vxl_open_path(p, a[0], *path || !(a[2] & AT_EMPTY_PATH) ? path : ".",
                             !(a[2] & AT_SYMLINK_NOFOLLOW), &place);
    if (host < 0)
        return host;
    status = (int)vxl_result(statx(host, "", AT_EMPTY_PATH | (int)(a[2] & AT_STATX_SYNC_TYPE),
                                   a[3] & STATX_ALL, &out));
    if (!is_fd)
        close(host);
    if (status < 0)
        return status;
    out.stx_uid = shown_id(out.stx_uid, geteuid());
    out.stx_gid = shown_id(out.stx_gid, getegid());
    return vxl_put(p, a[4], &out, sizeof out) ? 0 : -EFAULT;
}

/* ---- access, readlink, statfs ---------------------------------------- */

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

static uint32_t clamp(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int32_t put_statfs(struct vxl_proc *p, vx_gaddr addr, const struct statfs *fs, bool is_64)
{
    if (is_64) {
        struct abi32_statfs64 out = {
            .type = (uint32_t)fs->f_type, .bsize = (uint32_t)fs->f_bsize, .blocks = fs->f_blocks,
            .bfree = fs->f_bfree, .bavail = fs->f_bavail, .files = fs->f_files,
            .ffree = fs->f_ffree, .namelen = (uint32_t)fs->f_namelen,
            .frsize = (uint32_t)fs->f_frsize,
        };
        return vxl_put(p, addr, &out, sizeof out) ? 0 : -EFAULT;
    }
    struct abi32_statfs out = {
        .type = (uint32_t)fs->f_type, .bsize = (uint32_t)fs->f_bsize,
        .blocks = clamp(fs->f_blocks), .bfree = clamp(fs->f_bfree), .bavail = clamp(fs->f_bavail),
        .files = clamp(fs->f_files), .ffree = clamp(fs->f_ffree),
        .namelen = (uint32_t)fs->f_namelen, .frsize = (uint32_t)fs->f_frsize,
    };
    return vxl_put(p, addr, &out, sizeof out) ? 0 : -EFAULT;
}

static int32_t statfs_path(struct vxl_proc *p, vx_gaddr path_at, vx_gaddr out, bool is_64)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    struct statfs fs;
    int status = vxl_get_path(p, path_at, path);
    if (status < 0)
        return status;
    int host = vxl_open_path(p, (uint32_t)AT_FDCWD, path, true, &place);
    if (host < 0)
        return host;
    status = (int)vxl_result(fstatfs(host, &fs));
    close(host);
    return status < 0 ? status : put_statfs(p, out, &fs, is_64);
}

static int32_t statfs_fd(struct vxl_proc *p, uint32_t fd, vx_gaddr out, bool is_64)
{
    struct statfs fs;
    int host = vxl_host_fd(p, fd);
    if (host < 0)
        return host;
    return fstatfs(host, &fs) ? -errno : put_statfs(p, out, &fs, is_64);
}

int32_t vxl_statfs(struct vxl_proc *p, const uint32_t *a)
{
    return statfs_path(p, a[0], a[1], false);
}

int32_t vxl_fstatfs(struct vxl_proc *p, const uint32_t *a)
{
    return statfs_fd(p, a[0], a[1], false);
}

int32_t vxl_statfs64(struct vxl_proc *p, const uint32_t *a)
{
    return a[1] < sizeof(struct abi32_statfs64) ? -EINVAL : statfs_path(p, a[0], a[2], true);
}

int32_t vxl_fstatfs64(struct vxl_proc *p, const uint32_t *a)
{
    return a[1] < sizeof(struct abi32_statfs64) ? -EINVAL : statfs_fd(p, a[0], a[2], true);
}

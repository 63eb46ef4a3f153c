/*
 * What files and file systems are: stat, statx and statfs in their many layouts. Owners are shown
 * as the guest's user, root or nobody.
 */
#include "vxrt/linux/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"

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

/* ---- statfs ---------------------------------------------------------- */

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

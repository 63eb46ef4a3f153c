/*
 * Calls that change files by path: make, remove, rename, link, truncate, mode,
 * times. All need a grant that is not read-only. Set-user-ID bits are
 * never set: a guest makes no programs with the user's privileges.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/file.h"

#define CWD ((uint32_t)AT_FDCWD)

/* The writable directory that holds a path's last component. */
static int find_for_change(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at,
                           struct vxl_place *place)
{
    char path[VXL_PATH_BYTES];
    int status = vxl_get_path(p, path_at, path);
    place->is_owned = false;
    if (status == 0)
        status = vxl_find_parent(p, dirfd, path, place);
    if (status == 0 && place->is_read_only) {
        vxl_place_done(place);
        return -EROFS;
    }
    return status;
}

/* O_PATH descriptor of a file that may be changed. */
static int open_for_change(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at, bool follow)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    int status = vxl_get_path(p, path_at, path);
    if (status < 0)
        return status;
    int host = vxl_open_path(p, dirfd, path, follow, &place);
    if (host >= 0 && place.is_read_only) {
        close(host);
        return -EROFS;
    }
    return host;
}

static int32_t mkdir_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path, uint32_t mode)
{
    struct vxl_place place;
    int status = find_for_change(p, dirfd, path, &place);
    if (status == 0)
        status = (int)vxl_result(mkdirat(place.dir_fd, place.name, mode & 01777));
    vxl_place_done(&place);
    return status;
}

int32_t vxl_mkdir(struct vxl_proc *p, const uint32_t *a)
{
    return mkdir_at(p, CWD, a[0], a[1]);
}

int32_t vxl_mkdirat(struct vxl_proc *p, const uint32_t *a)
{
    return mkdir_at(p, a[0], a[1], a[2]);
}

static int32_t unlink_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path, int flags)
{
    struct vxl_place place;
    int status = find_for_change(p, dirfd, path, &place);
    if (status == 0)
        status = (int)vxl_result(unlinkat(place.dir_fd, place.name, flags));
    vxl_place_done(&place);
    return status;
}

int32_t vxl_unlink(struct vxl_proc *p, const uint32_t *a)
{
    return unlink_at(p, CWD, a[0], 0);
}

int32_t vxl_rmdir(struct vxl_proc *p, const uint32_t *a)
{
    return unlink_at(p, CWD, a[0], AT_REMOVEDIR);
}

int32_t vxl_unlinkat(struct vxl_proc *p, const uint32_t *a)
{
    return a[2] & ~(uint32_t)AT_REMOVEDIR ? -EINVAL : unlink_at(p, a[0], a[1], (int)a[2]);
}

/* ---- two paths ------------------------------------------------------- */

struct pair {
    struct vxl_place from, to;
};

static int find_pair(struct vxl_proc *p, uint32_t from_dir, vx_gaddr from, uint32_t to_dir,
                     vx_gaddr to, struct pair *pair)
{
    pair->to.is_owned = false;
    int status = find_for_change(p, from_dir, from, &pair->from);
    return status ? status : find_for_change(p, to_dir, to, &pair->to);
}

static void pair_done(struct pair *pair)
{
    vxl_place_done(&pair->from);
    vxl_place_done(&pair->to);
}

/* Mounts are found by their names: what lies above one does not get another. */
static int32_t rename_at(struct vxl_proc *p, uint32_t from_dir, vx_gaddr from, uint32_t to_dir,
                         vx_gaddr to, uint32_t flags)
{
    struct pair pair;
    if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int status = find_pair(p, from_dir, from, to_dir, to, &pair);
    if (status == 0 && (vxl_is_above_mount(&pair.from) || vxl_is_above_mount(&pair.to)))
        status = -EBUSY;
    if (status == 0)
        status = (int)vxl_result(renameat2(pair.from.dir_fd, pair.from.name, pair.to.dir_fd,
                                           pair.to.name, flags));
    pair_done(&pair);
    return status;
}

int32_t vxl_rename(struct vxl_proc *p, const uint32_t *a)
{
    return rename_at(p, CWD, a[0], CWD, a[1], 0);
}

int32_t vxl_renameat(struct vxl_proc *p, const uint32_t *a)
{
    return rename_at(p, a[0], a[1], a[2], a[3], 0);
}

int32_t vxl_renameat2(struct vxl_proc *p, const uint32_t *a)
{
    return rename_at(p, a[0], a[1], a[2], a[3], a[4]);
}

/* Both names must be writable: a hard link into a writable grant would make the file so. */
static int32_t link_at(struct vxl_proc *p, uint32_t from_dir, vx_gaddr from, uint32_t to_dir,
                       vx_gaddr to)
{
    struct pair pair;
    int status = find_pair(p, from_dir, from, to_dir, to, &pair);
    if (status == 0)
        status = (int)vxl_result(linkat(pair.from.dir_fd, pair.from.name, pair.to.dir_fd,
                                        pair.to.name, 0));
    pair_done(&pair);
    return status;
}

/* To what a symbolic link leads to, which must be writable as well. */
static int32_t link_target(struct vxl_proc *p, uint32_t from_dir, vx_gaddr from, uint32_t to_dir, vx_gaddr to)
{
    char name[40];
    struct vxl_place place;
    int host = open_for_change(p, from_dir, from, true);
    if (host < 0)
        return host;
    int status = find_for_change(p, to_dir, to, &place);
    snprintf(name, sizeof name, "/proc/self/fd/%d", host);
    if (status == 0)
        status = (int)vxl_result(linkat(AT_FDCWD, name, place.dir_fd, place.name, AT_SYMLINK_FOLLOW));
    vxl_place_done(&place);
    close(host);
    return status;
}

int32_t vxl_link(struct vxl_proc *p, const uint32_t *a)
{
    return link_at(p, CWD, a[0], CWD, a[1]);
}

int32_t vxl_linkat(struct vxl_proc *p, const uint32_t *a)
{
    if (a[4] & ~(uint32_t)AT_SYMLINK_FOLLOW)
        return -EINVAL;
    return a[4] ? link_target(p, a[0], a[1], a[2], a[3]) : link_at(p, a[0], a[1], a[2], a[3]);
}

/* Pipes and plain files; devices are none of a guest's business. */
static int32_t mknod_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path, uint32_t mode)
{
    struct vxl_place place;
    uint32_t type = mode & S_IFMT;
    if (type != 0 && type != S_IFREG && type != S_IFIFO)
        return -EPERM;
    int status = find_for_change(p, dirfd, path, &place);
    if (status == 0)
        status = (int)vxl_result(mknodat(place.dir_fd, place.name, type | (mode & 01777), 0));
    vxl_place_done(&place);
    return status;
}

int32_t vxl_mknod(struct vxl_proc *p, const uint32_t *a)
{
    return mknod_at(p, CWD, a[0], a[1]);
}

int32_t vxl_mknodat(struct vxl_proc *p, const uint32_t *a)
{
    return mknod_at(p, a[0], a[1], a[2]);
}

/* The text of a link may be anything: it is followed in the guest's terms only. */
static int32_t symlink_at(struct vxl_proc *p, vx_gaddr target_at, uint32_t dirfd, vx_gaddr path)
{
    char target[VXL_PATH_BYTES];
    struct vxl_place place;
    int status = vxl_get_path(p, target_at, target);
    if (status < 0)
        return status;
    status = find_for_change(p, dirfd, path, &place);
    if (status == 0)
        status = (int)vxl_result(symlinkat(target, place.dir_fd, place.name));
    vxl_place_done(&place);
    return status;
}

int32_t vxl_symlink(struct vxl_proc *p, const uint32_t *a)
{
    return symlink_at(p, a[0], CWD, a[1]);
}

int32_t vxl_symlinkat(struct vxl_proc *p, const uint32_t *a)
{
    return symlink_at(p, a[0], a[1], a[2]);
}

/* ---- size, mode, owner, times ---------------------------------------- */

static int32_t truncate_path(struct vxl_proc *p, vx_gaddr path_at, int64_t size)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    int status = vxl_get_path(p, path_at, path);
    if (status == 0)
        status = vxl_find(p, CWD, path, &place);
    if (status < 0)
        return status;
    int host = vxl_open_beneath(&place, O_WRONLY | O_NONBLOCK, 0);
    if (host < 0)
        return host;
    status = (int)vxl_result(ftruncate(host, size));
    close(host);
    return status;
}

int32_t vxl_truncate(struct vxl_proc *p, const uint32_t *a)
{
    return truncate_path(p, a[0], (int32_t)a[1]);
}

int32_t vxl_truncate64(struct vxl_proc *p, const uint32_t *a)
{
    return truncate_path(p, a[0], (int64_t)((uint64_t)a[2] << 32 | a[1]));
}

/* There is no fchmod on O_PATH descriptors before Linux 6.6; their /proc name works everywhere. */
static int32_t chmod_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path, uint32_t mode)
{
    char name[32];
    int host = open_for_change(p, dirfd, path, true);
    if (host < 0)
        return host;
    snprintf(name, sizeof name, "/proc/self/fd/%d", host);
    int status = (int)vxl_result(chmod(name, mode & 01777));
    close(host);
    return status;
}

int32_t vxl_chmod(struct vxl_proc *p, const uint32_t *a)
{
    return chmod_at(p, CWD, a[0], a[1]);
}

int32_t vxl_fchmodat(struct vxl_proc *p, const uint32_t *a)
{
    return chmod_at(p, a[0], a[1], a[2]);
}

int32_t vxl_fchmod(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    if (!fd)
        return -EBADF;
    if (fd->is_fixed || fd->is_read_only)
        return fd->is_fixed ? -EPERM : -EROFS;
    return (int32_t)vxl_result(fchmod(fd->host, a[1] & 01777));
}

/* Files belong to the guest's user and stay so. */
static int32_t own(uint32_t uid, uint32_t gid)
{
    bool is_same = (uid == VXL_USER_ID || uid == UINT32_MAX || uid == UINT16_MAX) &&
                   (gid == VXL_USER_ID || gid == UINT32_MAX || gid == UINT16_MAX);
    return is_same ? 0 : -EPERM;
}

int32_t vxl_chown(struct vxl_proc *p, const uint32_t *a)
{
    struct stat st;
    int status = vxl_stat_path(p, CWD, a[0], AT_SYMLINK_NOFOLLOW, &st);
    return status < 0 ? status : own(a[1], a[2]);
}

int32_t vxl_fchown(struct vxl_proc *p, const uint32_t *a)
{
    return vxl_fd(p, a[0]) ? own(a[1], a[2]) : -EBADF;
}

int32_t vxl_fchownat(struct vxl_proc *p, const uint32_t *a)
{
    struct stat st;
    int status = vxl_stat_path(p, a[0], a[1], a[4] | AT_SYMLINK_NOFOLLOW, &st);
    return status < 0 ? status : own(a[2], a[3]);
}

static int32_t set_times(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path,
                         const struct timespec *times, bool follow)
{
    if (!path) { /* futimens */
        struct vxl_fd *fd = vxl_fd(p, dirfd);
        if (!fd)
            return -EBADF;
        if (fd->is_fixed || fd->is_read_only)
            return fd->is_fixed ? -EPERM : -EROFS;
        return (int32_t)vxl_result(futimens(fd->host, times));
    }
    int host = open_for_change(p, dirfd, path, follow);
    if (host < 0)
        return host;
    int status = (int)vxl_result(syscall(SYS_utimensat, host, "", times, AT_EMPTY_PATH));
    close(host);
    return status;
}

/* Two times in a row at `addr`, each a timespec or (is_micro) a timeval. */
static int32_t times_at(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path, vx_gaddr addr,
                        bool is_64, bool is_micro, uint32_t flags)
{
    struct timespec times[2];
    uint32_t size = is_64 ? sizeof(struct abi32_timespec64) : sizeof(struct abi32_timespec);
    if (flags & ~(uint32_t)AT_SYMLINK_NOFOLLOW)
        return -EINVAL;
    for (unsigned i = 0; addr && i < 2; i++) {
        if (!vxl_times_get(p, addr + i * size, is_64, &times[i]))
            return -EFAULT;
        if (is_micro)
            times[i].tv_nsec *= 1000;
    }
    return set_times(p, dirfd, path, addr ? times : NULL, !(flags & AT_SYMLINK_NOFOLLOW));
}

int32_t vxl_utimensat(struct vxl_proc *p, const uint32_t *a)
{
    return times_at(p, a[0], a[1], a[2], false, false, a[3]);
}

int32_t vxl_utimensat_time64(struct vxl_proc *p, const uint32_t *a)
{
    return times_at(p, a[0], a[1], a[2], true, false, a[3]);
}

int32_t vxl_futimesat(struct vxl_proc *p, const uint32_t *a)
{
    return times_at(p, a[0], a[1], a[2], false, true, 0);
}

int32_t vxl_utimes(struct vxl_proc *p, const uint32_t *a)
{
    return a[0] ? times_at(p, CWD, a[0], a[1], false, true, 0) : -EFAULT;
}

int32_t vxl_utime(struct vxl_proc *p, const uint32_t *a)
{
    int32_t seconds[2];
    if (!a[0] || (a[1] && !vxl_get(p, a[1], seconds, sizeof seconds)))
        return -EFAULT;
    if (!a[1])
        return set_times(p, CWD, a[0], NULL, true);
    struct timespec times[2] = {{seconds[0], 0}, {seconds[1], 0}};
    return set_times(p, CWD, a[0], times, true);
}

int32_t vxl_umask(struct vxl_proc *p, const uint32_t *a)
{
    return (int32_t)umask(a[0] & 0777);
}

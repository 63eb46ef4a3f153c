/*
 * Guest paths. A path is made absolute and normalised as text ("." and ".."
 * removed), the longest granted prefix is taken off, and the rest is opened
 * with openat2 from the granted directory. RESOLVE_BENEATH: the kernel
 * refuses whatever leads out of it, symbolic links and races included. For the
 * root of a tree (--root) RESOLVE_IN_ROOT: the kernel resolves "..", absolute and relative
 * links as if the process had that root, and never leaves it.
 * procfs is refused on top: it shows, and lets write, the host process.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vxrt/linux/proc.h"

/* What every guest has, with or without a granted /dev. */
static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                      "/dev/urandom"};
#define DEVICE_MAJOR 1 /* all of these are mem devices */

/* Append the components of `path` to out (absolute, normalised). False: too long. */
static bool append(char out[VXL_PATH_BYTES], const char *path)
{
    size_t used = strcmp(out, "/") ? strlen(out) : 0;
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.') {
            while (used > 0 && out[--used] != '/')
                ;
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (used + length + 2 > VXL_PATH_BYTES)
                return false;
            out[used++] = '/';
            memcpy(out + used, path, length);
            used += length;
        }
        path += length;
        path += *path == '/';
    }
    if (!used)
        out[used++] = '/';
    out[used] = 0;
    return true;
}

bool vxl_join(const char *cwd, const char *path, char out[VXL_PATH_BYTES])
{
    strcpy(out, "/");
    return (path[0] == '/' || append(out, cwd)) && append(out, path);
}

static bool wants_directory(const char *path)
{
    size_t length = strlen(path);
    return path[length - 1] == '/' || !strcmp(path, ".") || !strcmp(path, "..") ||
           (length > 1 && !strcmp(path + length - 2, "/.")) ||
           (length > 2 && !strcmp(path + length - 3, "/.."));
}

/* Length of the grant's path if `path` is it or below it, else -1. */
static int prefix_length(const char *grant, const char *path)
{
    size_t length = strcmp(grant, "/") ? strlen(grant) : 0;
    if (strncmp(grant, path, length) || (path[length] != '/' && path[length] != 0))
        return -1;
    return (int)length;
}

/* ".." after a symbolic link means what the link leads to: the kernel knows, text does not. */
static bool has_dots(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")); at += 2)
        if ((at == path || at[-1] == '/') && (at[2] == '/' || !at[2]))
            return true;
    return false;
}

/* In the root: the path as it was given, unless it leads through what is mounted on top. */
static void keep_dots(struct vxl_proc *p, const char *base, const char *path, struct vxl_place *place)
{
    char whole[2 * VXL_PATH_BYTES];
    if (!has_dots(path))
        return;
    snprintf(whole, sizeof whole, "%s%s%s", path[0] == '/' ? "" : base, path[0] == '/' ? "" : "/", path);
    for (size_t i = 0; i < p->config->grant_count; i++)
        if (!p->config->grants[i].is_root && prefix_length(p->config->grants[i].guest_path, whole) >= 0)
            return;
    for (size_t size = strlen(whole); size > 1 && whole[size - 1] == '/'; size--)
        whole[size - 1] = 0;
    if (strlen(whole) < sizeof place->name)
        strcpy(place->name, whole);
}

static int find_grant(struct vxl_proc *p, const char *base, const char *path, struct vxl_place *place)
{
    const struct vxl_grant *best = NULL;
    int best_length = -1;
    for (size_t i = 0; i < p->config->grant_count; i++) {
        const struct vxl_grant *grant = &p->config->grants[i];
        int length = prefix_length(grant->guest_path, place->guest);
        if (length > best_length) {
            best = grant;
            best_length = length;
        }
    }
    if (!best)
        return -ENOENT;
    const char *rest = place->guest + best_length;
    rest += *rest == '/';
    strcpy(place->name, *rest ? rest : ".");
    place->dir_fd = best->host_fd;
    place->is_read_only = best->is_read_only;
    place->is_in_root = best->is_root;
    place->root_fd = best->host_fd;
    if (best->is_root)
        keep_dots(p, base, path, place);
    return 0;
}

int vxl_find(struct vxl_proc *p, uint32_t dirfd, const char *path, struct vxl_place *place)
{
    const char *base = p->cwd;
    memset(place, 0, offsetof(struct vxl_place, name));
    place->dir_fd = -1;
    if (!*path)
        return -ENOENT;
    if (path[0] != '/' && (int32_t)dirfd != AT_FDCWD) {
        struct vxl_fd *fd = vxl_fd(p, dirfd);
        if (!fd)
            return -EBADF;
        if (!fd->is_dir)
            return -ENOTDIR;
        base = fd->path;
    }
    if (!vxl_join(base, path, place->guest))
        return -ENAMETOOLONG;
    place->wants_dir = wants_directory(path);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (strcmp(place->guest, devices[i]))
            continue;
        place->is_device = place->is_read_only = true;
        place->device = devices[i];
        return 0;
    }
    return find_grant(p, base, path, place);
}

int vxl_find_parent(struct vxl_proc *p, uint32_t dirfd, const char *path, struct vxl_place *place)
{
    int status = vxl_find(p, dirfd, path, place);
    if (status < 0 || place->is_device)
        return status < 0 ? status : -EEXIST;
    char *slash = strrchr(place->name, '/');
    if (slash && !strcmp(slash, "/..")) { /* never a name to work on */
        strcpy(place->name, place->guest[1] ? place->guest + 1 : ".");
        slash = strrchr(place->name, '/');
    }
    if (!slash)
        return 0;
    char last[VXL_PATH_BYTES];
    strcpy(last, slash + 1);
    *slash = 0;
    int fd = vxl_open_beneath(place, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    place->dir_fd = fd;
    place->is_owned = true;
    strcpy(place->name, last);
    return 0;
}

void vxl_place_done(struct vxl_place *place)
{
    if (place->is_owned)
        close(place->dir_fd);
    place->is_owned = false;
}

/* procfs, and device nodes beyond the harmless ones, are out of bounds wherever they lie. */
static int check_opened(int fd, bool is_path_only)
{
    struct statfs fs;
    struct stat st;
    if (fstatfs(fd, &fs) || fs.f_type == PROC_SUPER_MAGIC || fstat(fd, &st))
        return -EACCES;
    bool is_device = S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode);
    if (is_device && !is_path_only) {
        unsigned number = minor(st.st_rdev);
        bool is_harmless = S_ISCHR(st.st_mode) && major(st.st_rdev) == DEVICE_MAJOR &&
                           (number == 3 || number == 5 || (number >= 7 && number <= 9));
        if (!is_harmless)
            return -EACCES;
    }
    return 0;
}

static ssize_t host_path(int fd, char path[VXL_PATH_BYTES])
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, VXL_PATH_BYTES - 1);
    if (size >= 0)
        path[size] = 0;
    return size;
}

void vxl_place_settle(struct vxl_place *place, int fd)
{
    char root[VXL_PATH_BYTES], path[VXL_PATH_BYTES];
    if (!place->is_in_root || host_path(place->root_fd, root) < 0 || host_path(fd, path) < 0)
        return;
    int size = prefix_length(root, path);
    if (size >= 0)
        strcpy(place->guest, path[size] ? path + size : "/");
}

int vxl_open_beneath(const struct vxl_place *place, uint64_t flags, uint32_t mode)
{
    int fd;
    if (place->is_device) {
        if (place->wants_dir || (flags & O_DIRECTORY))
            return -ENOTDIR;
        if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return -EEXIST;
        flags &= O_ACCMODE | O_NONBLOCK | O_APPEND | O_PATH;
        fd = open(place->device, (int)flags | O_NOCTTY | O_CLOEXEC);
    } else {
        struct open_how how = {
            .flags = flags | O_CLOEXEC | (flags & O_PATH ? 0u : (unsigned)O_NOCTTY),
            .mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? mode & 01777 : 0,
            .resolve = (place->is_in_root ? RESOLVE_IN_ROOT : RESOLVE_BENEATH) | RESOLVE_NO_MAGICLINKS,
        };
        unsigned tries = 0;
        do {
            fd = (int)syscall(SYS_openat2, place->dir_fd, place->name, &how, sizeof how);
        } while (fd < 0 && errno == EAGAIN && ++tries < 64);
    }
    if (fd < 0)
        return errno == EXDEV ? -EACCES : -errno;
    int status = check_opened(fd, flags & O_PATH);
    if (status < 0)
        close(fd);
    return status < 0 ? status : fd;
}

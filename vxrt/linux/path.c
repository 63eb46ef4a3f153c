/*
 * Guest paths. A path is made absolute and normalised as text ("." and ".."
 * removed), the longest granted prefix is taken off, and the rest is opened
 * with openat2 and RESOLVE_BENEATH from the granted directory: the kernel
 * refuses whatever leads out of it, symbolic links and races included.
 * procfs is refused on top: it shows, and lets write, the host process.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
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

static int find_grant(struct vxl_proc *p, struct vxl_place *place)
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
    return find_grant(p, place);
}

int vxl_find_parent(struct vxl_proc *p, uint32_t dirfd, const char *path, struct vxl_place *place)
{
    int status = vxl_find(p, dirfd, path, place);
    if (status < 0 || place->is_device)
        return status < 0 ? status : -EEXIST;
    char *slash = strrchr(place->name, '/');
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
            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
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

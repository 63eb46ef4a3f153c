/*
 * Guest paths. A path is made absolute and normalised as text, the longest
 * granted prefix is taken off, and the rest is opened with openat2 from the
 * granted directory: beneath it, and through no symbolic link. What has a link
 * or ".." in it is first walked in the guest's terms (walk.c), and what
 * it leads to is opened in the same way. So whatever changes meanwhile, the kernel never leaves the directory.
 * procfs is refused on top: it shows, and lets write, the host process.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
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
#define RACE_LIMIT 64  /* how often a path is looked at again that changed meanwhile */

bool vxl_append(char out[VXL_PATH_BYTES], const char *path)
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
    return (path[0] == '/' || vxl_append(out, cwd)) && vxl_append(out, path);
}

static bool wants_directory(const char *path)
{
    size_t length = strlen(path);
    return path[length - 1] == '/' || !strcmp(path, ".") || !strcmp(path, "..") ||
           (length > 1 && !strcmp(path + length - 2, "/.")) ||
           (length > 2 && !strcmp(path + length - 3, "/.."));
}

int vxl_prefix_length(const char *prefix, const char *path)
{
    size_t length = strcmp(prefix, "/") ? strlen(prefix) : 0;
    if (strncmp(prefix, path, length) || (path[length] != '/' && path[length] != 0))
        return -1;
    return (int)length;
}

/* ".." after a symbolic link means what the link leads to: text does not know. */
static bool has_dots(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")); at += 2)
        if ((at == path || at[-1] == '/') && (at[2] == '/' || !at[2]))
            return true;
    return false;
}

int vxl_locate(struct vxl_place *place)
{
    const struct vxl_config *config = place->config;
    const struct vxl_grant *best = NULL;
    int best_length = -1;
    place->dir_fd = -1;
    place->is_device = false;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (strcmp(place->guest, devices[i]))
            continue;
        place->is_device = place->is_read_only = true;
        place->device = devices[i];
        return 0;
    }
    for (size_t i = 0; i < config->grant_count; i++) {
        int length = vxl_prefix_length(config->grants[i].guest_path, place->guest);
        if (length > best_length) {
            best = &config->grants[i];
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
    place->config = p->config;
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
    if (path[0] == '/')
        base = "";
    if (strlen(base) + strlen(path) + 2 > sizeof place->asked || !vxl_join(base, path, place->guest))
        return -ENAMETOOLONG;
    strcpy(place->asked, base);
    strcat(place->asked, "/");
    strcat(place->asked, path);
    place->wants_dir = wants_directory(path);
    place->is_to_walk = has_dots(path);
    return place->is_to_walk ? 0 : vxl_locate(place);
}

/* Open the directory that the last component is in; a component of dots is none to work on. */
static int open_parent(struct vxl_place *place, bool is_dots)
{
    char last[VXL_PATH_BYTES], *slash = strrchr(place->name, '/');
    if (place->is_device)
        return -EEXIST;
    if (!is_dots && !slash)
        return 0;
    strcpy(last, is_dots ? "." : slash + 1);
    if (!is_dots)
        *slash = 0;
    int fd = vxl_open_here(place, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    place->dir_fd = fd;
    place->is_owned = true;
    strcpy(place->name, last);
    return 0;
}

static bool ends_in_dots(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return end > start && strspn(path + start, ".") >= end - start && end - start <= 2;
}

int vxl_find_parent(struct vxl_proc *p, uint32_t dirfd, const char *path, struct vxl_place *place)
{
    bool is_dots = ends_in_dots(path);
    int status = vxl_find(p, dirfd, path, place);
    if (status < 0)
        return status;
    status = place->is_to_walk ? -ELOOP : open_parent(place, is_dots);
    for (unsigned tries = 0; status == -ELOOP && tries < RACE_LIMIT; tries++) {
        int walked = vxl_walk(place, false);
        if (walked == 0)
            status = open_parent(place, is_dots);
        else if (walked != -EAGAIN)
            return walked;
    }
    return status;
}

void vxl_place_done(struct vxl_place *place)
{
    if (place->is_owned)
        close(place->dir_fd);
    place->is_owned = false;
}

/* procfs, and device nodes beyond the harmless ones, are out of bounds wherever they lie. */
static int check(int fd, bool is_path_only, struct stat *st)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) || fs.f_type == PROC_SUPER_MAGIC || fstat(fd, st))
        return -EACCES;
    if (is_path_only || (!S_ISBLK(st->st_mode) && !S_ISCHR(st->st_mode)))
        return 0;
    unsigned number = minor(st->st_rdev);
    bool is_harmless = S_ISCHR(st->st_mode) && major(st->st_rdev) == DEVICE_MAJOR &&
                       (number == 3 || number == 5 || (number >= 7 && number <= 9));
    return is_harmless ? 0 : -EACCES;
}

static int open_beneath(const struct vxl_place *place, uint64_t flags, uint32_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | (flags & O_PATH ? 0u : (unsigned)O_NOCTTY),
        .mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? mode & 01777 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    unsigned tries = 0;
    int fd;
    do {
        fd = (int)syscall(SYS_openat2, place->dir_fd, place->name, &how, sizeof how);
    } while (fd < 0 && errno == EAGAIN && ++tries < RACE_LIMIT);
    return fd >= 0 ? fd : errno == EXDEV ? -EACCES : -errno;
}

/* For use, what a descriptor names that is none for use. Without procfs: by its name again. */
static int open_for_use(const struct vxl_place *place, int path_fd, uint64_t flags)
{
    char name[32];
    flags &= ~(uint64_t)(O_CREAT | O_NOFOLLOW);
    snprintf(name, sizeof name, "/proc/self/fd/%d", path_fd);
    int fd = open(name, (int)flags | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 ? fd : errno == ENOENT ? open_beneath(place, flags, 0) : -errno;
}

/* Opening a device may do something: what is there already is looked at before. */
static int open_checked(const struct vxl_place *place, uint64_t flags)
{
    struct stat st;
    int path_fd = open_beneath(place, O_PATH | (flags & O_DIRECTORY), 0);
    if (path_fd < 0)
        return path_fd;
    int fd = check(path_fd, false, &st);
    if (fd == 0 && (flags & O_CREAT) && S_ISDIR(st.st_mode))
        fd = -EISDIR;
    if (fd == 0)
        fd = open_for_use(place, path_fd, flags);
    close(path_fd);
    return fd;
}

static int open_device(const struct vxl_place *place, uint64_t flags)
{
    if (place->wants_dir || (flags & O_DIRECTORY))
        return -ENOTDIR;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    int fd = open(place->device, (int)(flags & (O_ACCMODE | O_NONBLOCK | O_APPEND | O_PATH)) | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_named(const struct vxl_place *place, uint64_t flags, uint32_t mode)
{
    bool is_new = (flags & O_TMPFILE) == O_TMPFILE || ((flags & O_CREAT) && (flags & O_EXCL));
    struct stat st;
    int fd = -EEXIST;
    if (!place->is_device && !is_new && !(flags & O_PATH)) {
        for (unsigned tries = 0; fd == -EEXIST && tries < RACE_LIMIT; tries++) {
            fd = open_checked(place, flags);
            if (fd == -ENOENT && (flags & O_CREAT))
                fd = open_beneath(place, flags | O_EXCL, mode);
        }
    } else {
        fd = place->is_device ? open_device(place, flags) : open_beneath(place, flags, mode);
    }
    int status = fd < 0 ? fd : check(fd, flags & O_PATH, &st);
    if (fd >= 0 && status < 0)
        close(fd);
    return status < 0 ? status : fd;
}

/* In a grant that is read-only an existing file may be opened with O_CREAT; a missing one is not made. */
static int open_read_only(const struct vxl_place *place, uint64_t flags)
{
    bool is_write = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC), is_new = (flags & O_CREAT) && (flags & O_EXCL);
    uint64_t look = O_PATH | (flags & (O_DIRECTORY | O_NOFOLLOW)) | (is_new ? (unsigned)O_NOFOLLOW : 0u);
    int fd = open_named(place, is_write || is_new ? look : flags & ~(uint64_t)O_CREAT, 0);
    if (fd < 0)
        return fd == -ENOENT && (flags & O_CREAT) ? -EROFS : fd;
    if (!is_write && !is_new)
        return fd;
    close(fd);
    return is_new ? -EEXIST : -EROFS;
}

int vxl_open_here(const struct vxl_place *place, uint64_t flags, uint32_t mode)
{
    bool changes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT));
    return place->is_read_only && !place->is_device && changes && !(flags & O_PATH) ? open_read_only(place, flags)
                                                                                    : open_named(place, flags, mode);
}

int vxl_open_beneath(struct vxl_place *place, uint64_t flags, uint32_t mode)
{
    bool is_new = (flags & O_CREAT) && (flags & O_EXCL);
    if (place->wants_dir)
        flags &= ~(uint64_t)O_NOFOLLOW;
    int fd = place->is_to_walk ? -ELOOP : vxl_open_here(place, flags, mode);
    for (unsigned tries = 0; fd == -ELOOP && tries < RACE_LIMIT; tries++) {
        int status = vxl_walk(place, place->wants_dir || !((flags & O_NOFOLLOW) || is_new));
        if (status == 0)
            fd = vxl_open_here(place, flags, mode);
        else if (status != -EAGAIN)
            return status;
        if (status == 0 && place->is_link) /* which was not to be followed */
            break;
    }
    return fd;
}

/*
 * Saving a file, all or nothing.
 */
#include "format/save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"

#define NAME_TRIES 100

/* errno becomes a status; the text says what was being done and strerror(errno). */
static vx_status fail_errno(struct vx_error *error, const char *doing)
{
    int code = errno;
    vx_status status = VX_ERR_IO;
    if (code == ENOSPC || code == EDQUOT)
        status = VX_ERR_FULL;
    else if (code == ENOENT || code == ENOTDIR)
        status = VX_ERR_NOT_FOUND;
    else if (code == ENOMEM)
        status = VX_ERR_MEMORY;
    char text[64];
    return vxi_fail(error, status, 0, "%s: %s", doing, strerror_r(code, text, sizeof text));
}

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t done = write(fd, bytes, size < SSIZE_MAX ? size : SSIZE_MAX);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            if (!done)
                errno = EIO;
            return false;
        }
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

/* Length of the directory part of path with its slash; 0: the current directory. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/*
 * Make a file of a random hidden name next to path. Not mkstemp, which makes private files: the
 * kernel applies the umask here, and no other way to ask for it is safe with threads.
 */
static int open_temporary(const char *path, char name[PATH_MAX])
{
    for (int i = 0; i < NAME_TRIES; i++) {
        uint64_t number;
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            return -1;
        int length = snprintf(name, PATH_MAX, "%.*s.vxc-%016llx", (int)directory_length(path), path,
                              (unsigned long long)number);
        if (length < 0 || length >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Make the rename durable. Best effort: the file is whole either way, and a
 * directory may be writable but not readable. */
static void sync_directory(const char *path)
{
    char name[PATH_MAX];
    size_t length = directory_length(path);
    snprintf(name, sizeof name, "%.*s", length ? (int)length : 1, length ? path : ".");
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

/*
 * Give a nameless file the hidden name that belongs to path, then that of path. A process that is
 * killed leaves nothing, or between the two steps a whole file that the next writer removes. Another one
 * at the same time may take away the hidden name, also by making its whole file the one of this name.
 */
static bool name_file(int fd, const char *path)
{
    char self[40], name[PATH_MAX];
    size_t length = directory_length(path);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (snprintf(name, sizeof name, "%.*s.%s.new", (int)length, path, path + length) >= (int)sizeof name)
        return false;
    for (int i = 0; i < NAME_TRIES; i++) {
        if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0) {
            if (errno != EEXIST || (unlink(name) != 0 && errno != ENOENT))
                return false;
        } else if (rename(name, path) == 0) {
            return true;
        } else if (errno != ENOENT) {
            unlink(name);
            return false;
        }
    }
    return false;
}

/* Through a file without a name. False: not possible here, nothing has happened. */
static bool replace_nameless(const char *path, const void *bytes, size_t size)
{
    char directory[PATH_MAX];
    size_t length = directory_length(path);
    snprintf(directory, sizeof directory, "%.*s", length ? (int)length : 1, length ? path : ".");
    int fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool is_good = write_all(fd, bytes, size) && fsync(fd) == 0 && name_file(fd, path);
    close(fd);
    if (is_good)
        sync_directory(path);
    return is_good;
}

static vx_status replace_file(const char *path, const void *bytes, size_t size,
                              struct vx_error *error)
{
    char name[PATH_MAX];
    if (replace_nameless(path, bytes, size))
        return vxi_succeed(error);
    int fd = open_temporary(path, name);
    if (fd < 0)
        return fail_errno(error, "cannot create a temporary file");
    vx_status status = VX_OK;
    if (!write_all(fd, bytes, size))
        status = fail_errno(error, "cannot write");
    else if (fsync(fd) != 0)
        status = fail_errno(error, "cannot sync");
    if (close(fd) != 0 && status == VX_OK)
        status = fail_errno(error, "cannot close");
    if (status == VX_OK && rename(name, path) != 0)
        status = fail_errno(error, "cannot rename");
    if (status != VX_OK) {
        unlink(name);
        return status;
    }
    sync_directory(path);
    return vxi_succeed(error);
}

static vx_status write_to(int fd, const void *bytes, size_t size, struct vx_error *error)
{
    if (isatty(fd))
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "a cache is not written to a terminal");
    return write_all(fd, bytes, size) ? vxi_succeed(error) : fail_errno(error, "cannot write");
}

vx_status vxi_save(const char *path, const void *bytes, size_t size, struct vx_error *error)
{
    if (strcmp(path, "-") == 0)
        return write_to(STDOUT_FILENO, bytes, size, error);
    if (strlen(path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return fail_errno(error, "cannot create");
    }
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return replace_file(path, bytes, size, error);
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail_errno(error, "cannot open");
    vx_status status = write_to(fd, bytes, size, error);
    if (close(fd) != 0 && status == VX_OK)
        status = fail_errno(error, "cannot close");
    return status;
}

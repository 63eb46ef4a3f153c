/*
 * Cache directories: names, and from a guest file to its cache.
 */
#include "format/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/cache.h"

#define LINKS "by-file"
/* A change so soon after the last may leave the same time stamp: far more than the clock's grain. */
#define SETTLED_SECONDS 2
/* A third of a second. Whoever maps a file need not be who paid for its cache. */
#define MOST_READ (128 << 20)

int vxf_directory_open(const char *path, bool create)
{
    char parent[PATH_MAX];
    if (create && mkdir(path, 0755) && errno == ENOENT && strlen(path) < sizeof parent) {
        strcpy(parent, path);
        char *slash = strrchr(parent, '/');
        if (slash && slash != parent) {
            *slash = 0;
            (void)mkdir(parent, 0755);
            (void)mkdir(path, 0755);
        }
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && create)
        (void)mkdirat(fd, LINKS, 0755);
    return fd;
}

void vxf_directory_name(const uint64_t hash[2], const char *suffix, char name[VXF_DIRECTORY_NAME_BYTES])
{
    snprintf(name, VXF_DIRECTORY_NAME_BYTES, "%016" PRIx64 "%016" PRIx64 "%s", hash[1], hash[0], suffix);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

vx_status vxf_directory_hash(int fd, uint64_t hash[2], struct stat *st)
{
    struct stat after;
    if (fstat(fd, st) || !S_ISREG(st->st_mode) || st->st_size < 0 || (uint64_t)st->st_size > VXF_GUEST_LIMIT)
        return VX_ERR_IO;
    vx_status status = vxf_hash128_file(fd, (uint64_t)st->st_size, hash);
    return status == VX_OK && (fstat(fd, &after) || !is_same(st, &after)) ? VX_ERR_IO : status;
}

static void link_name(const struct stat *st, char name[VXF_DIRECTORY_NAME_BYTES * 2])
{
    snprintf(name, VXF_DIRECTORY_NAME_BYTES * 2, LINKS "/%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%lx-%" PRIx64 ".%lx",
             (uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
             (unsigned long)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec, (unsigned long)st->st_ctim.tv_nsec);
}

void vxf_directory_note(int directory, const struct stat *st, const uint64_t hash[2])
{
    char name[VXF_DIRECTORY_NAME_BYTES * 2], target[VXF_DIRECTORY_NAME_BYTES + 3] = "../";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec - st->st_ctim.tv_sec <= SETTLED_SECONDS || now.tv_sec - st->st_mtim.tv_sec <= SETTLED_SECONDS)
        return;
    link_name(st, name);
    vxf_directory_name(hash, ".vxc", target + 3);
    (void)!symlinkat(target, directory, name);
}

int vxf_directory_find(int directory, int fd)
{
    char name[VXF_DIRECTORY_NAME_BYTES * 2];
    uint64_t hash[2];
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return -1;
    link_name(&st, name);
    int found = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (found >= 0 || st.st_size > MOST_READ || vxf_directory_hash(fd, hash, &st) != VX_OK)
        return found;
    vxf_directory_name(hash, ".vxc", name);
    found = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (found >= 0)
        vxf_directory_note(directory, &st, hash);
    return found;
}

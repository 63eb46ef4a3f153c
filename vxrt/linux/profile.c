/*
 * Profiles: which guest addresses had to be translated at run time. Merging
 * is a union of sets, so its order and repetition do not matter.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/cache.h"
#include "format/error.h"
#include "format/save.h"
#include "vxrt/linux/tool.h"

#define HEADER "vx-profile 1 %016" PRIx64 "%016" PRIx64 "\n"
#define HEADER_WORDS 13 /* characters before the hash */
#define ADDRESS_LIMIT (16u << 20) /* lines read from an existing file */

static int compare(const void *left, const void *right)
{
    vx_gaddr a = *(const vx_gaddr *)left, b = *(const vx_gaddr *)right;
    return a < b ? -1 : a > b;
}

static size_t sort_unique(vx_gaddr *list, size_t count)
{
    size_t used = 0;
    if (count)
        qsort(list, count, sizeof *list, compare);
    for (size_t i = 0; i < count; i++)
        if (!used || list[used - 1] != list[i])
            list[used++] = list[i];
    return used;
}

static vx_status fail_errno(struct vx_error *error, const char *doing)
{
    int code = errno;
    char text[64];
    return vxi_fail(error, VX_ERR_IO, 0, "%s: %s", doing, strerror_r(code, text, sizeof text));
}

/* Append addresses, one a line. */
static vx_status read_addresses(FILE *file, vx_gaddr **list, size_t *count, struct vx_error *error)
{
    char line[80];
    size_t capacity = *count;
    while (*count < ADDRESS_LIMIT && fgets(line, sizeof line, file)) {
        if (*count == capacity) {
            capacity = 2 * capacity + 64;
            vx_gaddr *grown = realloc(*list, capacity * sizeof *grown);
            if (!grown)
                return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
            *list = grown;
        }
        (*list)[(*count)++] = (vx_gaddr)strtoul(line, NULL, 16);
    }
    return VX_OK;
}

/*
 * Append what the file of the same guest holds. A missing or empty file, or a profile of another guest, holds
 * nothing; anything else was not meant to be replaced.
 */
static vx_status read_old(const char *path, const uint64_t hash[2], vx_gaddr **list, size_t *count,
                          struct vx_error *error)
{
    char line[80], expected[80];
    struct stat st;
    vx_status status = VX_OK;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? VX_OK : fail_errno(error, "cannot find the old one");
    if (!S_ISREG(st.st_mode))
        return vxi_fail(error, VX_ERR_IO, 0, "not a regular file");
    FILE *file = fopen(path, "re");
    if (!file)
        return fail_errno(error, "cannot read the old one");
    snprintf(expected, sizeof expected, HEADER, hash[1], hash[0]);
    if (fgets(line, sizeof line, file)) {
        if (!strcmp(line, expected))
            status = read_addresses(file, list, count, error);
        else if (strncmp(line, HEADER, HEADER_WORDS) != 0)
            status = vxi_fail(error, VX_ERR_IO, 0, "there is another file, not a profile");
    }
    fclose(file);
    return status;
}

static vx_status write_new(const char *path, const uint64_t hash[2], const vx_gaddr *list, size_t count,
                           struct vx_error *error)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    fprintf(memory, HEADER, hash[1], hash[0]);
    for (size_t i = 0; i < count; i++)
        fprintf(memory, "%08" PRIx32 "\n", list[i]);
    vx_status status = fclose(memory) == 0 ? vxi_save(path, text, size, error)
                                           : vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    free(text);
    return status;
}

/* A lock on the directory: processes of one guest may end at the same time. */
static int lock_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(name);
    if (fd >= 0)
        flock(fd, LOCK_EX);
    return fd;
}

vx_status vxl_merge_profile(const char *path, const uint64_t guest_hash[2],
                            const vx_gaddr *addresses, size_t count, struct vx_error *error)
{
    vx_gaddr *list = malloc((count + 1) * sizeof *list);
    if (!list)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    if (count)
        memcpy(list, addresses, count * sizeof *list);
    int lock = lock_directory(path);
    vx_status status = read_old(path, guest_hash, &list, &count, error);
    if (status == VX_OK)
        status = write_new(path, guest_hash, list, sort_unique(list, count), error);
    if (lock >= 0)
        close(lock);
    free(list);
    return status;
}

vx_status vxl_guest_hash(const char *path, uint64_t hash[2], struct vx_error *error)
{
    struct vxf_file *file;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) || st.st_size <= 0) {
        if (fd >= 0)
            close(fd);
        return fail_errno(error, "cannot read the program again");
    }
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return fail_errno(error, "cannot map the program again");
    if (vxf_open(bytes, (size_t)st.st_size, &file, error) == VX_OK) {
        memcpy(hash, vxf_meta(file)->guest_hash, 16);
        vxf_close(file);
    } else {
        vxf_hash128(bytes, (size_t)st.st_size, hash);
    }
    munmap(bytes, (size_t)st.st_size);
    return VX_OK;
}

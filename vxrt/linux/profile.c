/*
 * Profiles: which guest addresses had to be translated at run time. Merging
 * is a union of sets, so its order and repetition do not matter.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/cache.h"
#include "vxrt/linux/tool.h"

#define HEADER "vx-profile 1 %016" PRIx64 "%016" PRIx64 "\n"
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

/* Append what the file of the same guest holds; a missing or foreign file holds nothing. */
static vx_status read_old(const char *path, const uint64_t hash[2], vx_gaddr **list, size_t *count)
{
    char line[80], expected[80];
    vx_status status = VX_OK;
    size_t capacity = *count;
    FILE *file = fopen(path, "re");
    if (!file)
        return VX_OK;
    snprintf(expected, sizeof expected, HEADER, hash[1], hash[0]);
    if (fgets(line, sizeof line, file) && !strcmp(line, expected)) {
        while (*count < ADDRESS_LIMIT && fgets(line, sizeof line, file)) {
            if (*count == capacity) {
                capacity = 2 * capacity + 64;
                vx_gaddr *grown = realloc(*list, capacity * sizeof *grown);
                if (!grown) {
                    status = VX_ERR_MEMORY;
                    break;
                }
                *list = grown;
            }
            (*list)[(*count)++] = (vx_gaddr)strtoul(line, NULL, 16);
        }
    }
    fclose(file);
    return status;
}

static vx_status write_new(const char *path, const uint64_t hash[2], const vx_gaddr *list,
                           size_t count)
{
    char *temporary;
    vx_status status = VX_ERR_IO;
    if (asprintf(&temporary, "%s.%d.tmp", path, (int)getpid()) < 0)
        return VX_ERR_MEMORY;
    FILE *file = fopen(temporary, "wxe");
    if (!file)
        goto done;
    fprintf(file, HEADER, hash[1], hash[0]);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%08" PRIx32 "\n", list[i]);
    bool is_good = fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (fclose(file) == 0 && is_good && rename(temporary, path) == 0)
        status = VX_OK;
    else
        unlink(temporary);
done:
    free(temporary);
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
                            const vx_gaddr *addresses, size_t count)
{
    vx_gaddr *list = malloc((count + 1) * sizeof *list);
    if (!list)
        return VX_ERR_MEMORY;
    if (count)
        memcpy(list, addresses, count * sizeof *list);
    int lock = lock_directory(path);
    vx_status status = read_old(path, guest_hash, &list, &count);
    if (status == VX_OK)
        status = write_new(path, guest_hash, list, sort_unique(list, count));
    if (lock >= 0)
        close(lock);
    free(list);
    return status;
}

vx_status vxl_guest_hash(const char *path, uint64_t hash[2])
{
    struct vxf_file *file;
    struct vx_error error;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) || st.st_size <= 0) {
        if (fd >= 0)
            close(fd);
        return VX_ERR_IO;
    }
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return VX_ERR_IO;
    if (vxf_open(bytes, (size_t)st.st_size, &file, &error) == VX_OK) {
        memcpy(hash, vxf_meta(file)->guest_hash, 16);
        vxf_close(file);
    } else {
        vxf_hash128(bytes, (size_t)st.st_size, hash);
    }
    munmap(bytes, (size_t)st.st_size);
    return VX_OK;
}

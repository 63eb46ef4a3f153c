/*
 * vxrun --cache-write: after a run, what had to be translated of each mapped
 * file goes to the file's profile in the cache directory, and `vxc compile`, beside vxrun,
 * makes the cache anew with it. It has the translator and the writer, and does
 * its work in a process of its own; caches and profiles are replaced whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/cpu.h"
#include "format/directory.h"
#include "format/error.h"
#include "vxrt/helper.h"
#include "vxrt/linux/codes.h"
#include "vxrt/linux/tool.h"

struct target {
    const struct vxl_code_file *file;
    char profile[VXL_TOOL_PATH_BYTES], cache[VXL_TOOL_PATH_BYTES];
};

/* The program vxc beside this one. */
static bool find_compiler(char path[VXL_TOOL_PATH_BYTES])
{
    ssize_t size = readlink("/proc/self/exe", path, VXL_TOOL_PATH_BYTES - 5);
    if (size <= 0)
        return false;
    path[size] = 0;
    strcpy(strrchr(path, '/') + 1, "vxc");
    return access(path, X_OK) == 0;
}

static void run_compiler(const char *compiler, const char *cpu, const struct target *target)
{
    char guest[40];
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = dup(target->file->fd); /* open in the new program */
        snprintf(guest, sizeof guest, "/proc/self/fd/%d", fd);
        execl(compiler, "vxc", "compile", "-j1", "--detached", "--cpu", cpu, "--profile", target->profile, "-o", target->cache, guest,
              (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        ;
}

/* Another process may have done it meanwhile: then the cache is younger than the profile. */
static bool is_done(const struct target *target)
{
    struct stat cache, profile;
    if (stat(target->cache, &cache) || stat(target->profile, &profile))
        return false;
    return cache.st_mtim.tv_sec != profile.st_mtim.tv_sec ? cache.st_mtim.tv_sec > profile.st_mtim.tv_sec
                                                          : cache.st_mtim.tv_nsec > profile.st_mtim.tv_nsec;
}

static size_t addresses_of(struct vx_box *box, const struct vxl_code_file *file, vx_gaddr *out)
{
    size_t count, used = 0;
    const vx_gaddr *all = vx_box_profile(box, &count);
    for (size_t i = 0; i < count; i++)
        if (all[i] >= file->low && all[i] < file->high)
            out[used++] = all[i] - file->bias;
    return used;
}

static vx_status write_one(const char *directory, int directory_fd, const char *compiler, struct vx_box *box,
                           const struct vxl_code_file *file, vx_gaddr *addresses, struct vx_error *error)
{
    struct target target = {.file = file};
    char name[VXF_DIRECTORY_NAME_BYTES];
    char cpu[VXF_CPU_TEXT_BYTES];
    uint64_t hash[2];
    struct stat st;
    vxf_cpu_text(vxi_box_cpu(box), cpu);
    size_t count = addresses_of(box, file, addresses);
    if (count == 0)
        return VX_OK;
    if (vxf_directory_hash(file->fd, hash, &st) != VX_OK)
        return VX_OK; /* it has changed: not what was run */
    vxf_directory_name(hash, ".profile", name);
    snprintf(target.profile, sizeof target.profile, "%s/%s", directory, name);
    vxf_directory_name(hash, ".vxc", name);
    snprintf(target.cache, sizeof target.cache, "%s/%s", directory, name);
    vx_status status = vxl_merge_profile(target.profile, hash, addresses, count, error);
    if (status != VX_OK)
        return status;
    int lock = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_EX);
    if (!is_done(&target))
        run_compiler(compiler, cpu, &target);
    if (lock >= 0)
        close(lock);
    vxf_directory_note(directory_fd, &st, hash);
    return VX_OK;
}

vx_status vxl_write_caches(const char *directory, int directory_fd, const struct vxl_codes *codes, struct vx_box *box,
                           struct vx_error *error)
{
    char compiler[VXL_TOOL_PATH_BYTES];
    struct vxl_code_file file;
    size_t count;
    vx_status status = VX_OK;
    vx_box_profile(box, &count);
    vx_gaddr *addresses = malloc((count + 1) * sizeof *addresses);
    if (!addresses)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    if (!find_compiler(compiler))
        status = vxi_fail(error, VX_ERR_NOT_FOUND, 0, "there is no vxc beside vxrun");
    for (size_t i = 0; status == VX_OK && vxl_codes_file(codes, i, &file); i++)
        status = write_one(directory, directory_fd, compiler, box, &file, addresses, error);
    free(addresses);
    return status;
}

/*
 * vxrun --cache-write: after a run, what had to be translated of each mapped
 * file goes to the file's profile in the cache directory, and the writer (writer.h)
 * makes the cache anew with it. Caches and profiles are replaced whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "format/directory.h"
#include "format/error.h"
#include "vxrt/helper.h"
#include "vxrt/linux/codes.h"
#include "vxrt/linux/tool.h"
#include "vxrt/linux/writer.h"

static size_t addresses_of(struct vx_box *box, const struct vxl_code_file *file, vx_gaddr *out)
{
    size_t count, used = 0;
    const vx_gaddr *all = vx_box_profile(box, &count);
    for (size_t i = 0; i < count; i++)
        if (all[i] >= file->low && all[i] < file->high)
            out[used++] = all[i] - file->bias;
    return used;
}

static vx_status write_one(const char *directory, int directory_fd, int writer, struct vx_box *box,
                           const struct vxl_code_file *file, vx_gaddr *addresses, struct vx_error *error)
{
    char name[VXF_DIRECTORY_NAME_BYTES], profile[VXL_TOOL_PATH_BYTES];
    uint64_t hash[2];
    struct stat st;
    size_t count = addresses_of(box, file, addresses);
    if (count == 0)
        return VX_OK;
    if (vxf_directory_hash(file->fd, hash, &st) != VX_OK)
        return VX_OK; /* it has changed: not what was run */
    vxf_directory_name(hash, ".profile", name);
    snprintf(profile, sizeof profile, "%s/%s", directory, name);
    vx_status status = vxl_merge_profile(profile, hash, addresses, count, error);
    if (status != VX_OK)
        return status;
    if (!vxl_writer_compile(writer, file->fd, hash, vxi_box_cpu(box)))
        return vxi_fail(error, VX_ERR_IO, 0, "the process that makes caches is gone");
    vxf_directory_note(directory_fd, &st, hash);
    return VX_OK;
}

vx_status vxl_write_caches(const char *directory, int directory_fd, int writer, const struct vxl_codes *codes,
                           struct vx_box *box, struct vx_error *error)
{
    struct vxl_code_file file;
    size_t count;
    vx_status status = VX_OK;
    vx_box_profile(box, &count);
    vx_gaddr *addresses = malloc((count + 1) * sizeof *addresses);
    if (!addresses)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    for (size_t i = 0; status == VX_OK && vxl_codes_file(codes, i, &file); i++)
        status = write_one(directory, directory_fd, writer, box, &file, addresses, error);
    free(addresses);
    return status;
}

/*
 * Parts of vxrun: the statistics it prints and the profile it writes.
 */
#ifndef VXRT_LINUX_TOOL_H
#define VXRT_LINUX_TOOL_H

#include <stdio.h>

#include "vxrt/linux/linux.h"

struct vxl_report {
    const char *program;
    const char *cache_path; /* NULL: none was looked for or found */
    struct vx_image *image;
    struct vxl_proc *proc;
    const struct vxl_outcome *outcome;
    const struct vxl_codes *codes; /* NULL: no files are mapped */
};

/* Human-readable, or one JSON object with the schema name "vxrun-stats-1". */
void vxl_print_stats(FILE *out, const struct vxl_report *report, bool is_json);

/* A JSON string with its quotes. */
void vxl_print_json_string(FILE *out, const char *text);

/*
 * Merge addresses (before load bias) into the profile at path: header
 * `vx-profile 1 HASH`, then one address a line, sorted, unique. A profile of
 * another guest is replaced; what is no profile, or no regular file, is not. Written to a
 * temporary file and renamed; writers at the same time wait for each other. VX_ERR_IO, VX_ERR_FULL,
 * VX_ERR_NOT_FOUND, VX_ERR_MEMORY; error says what failed.
 */
vx_status vxl_merge_profile(const char *path, const uint64_t guest_hash[2],
                            const vx_gaddr *addresses, size_t count, struct vx_error *error);

/*
 * Add what the box translated of mapped files to their profiles and caches in a cache directory, of which
 * directory_fd is open, by a writer of writer.h. Files that nothing was translated of are left alone. VX_ERR_MEMORY, and
 * as vxl_merge_profile.
 */
#define VXL_TOOL_PATH_BYTES 4096
vx_status vxl_write_caches(const char *directory, int directory_fd, int writer, const struct vxl_codes *codes,
                           struct vx_box *box, struct vx_error *error);

/* Hash of the guest that a file (ELF, or .vxc) holds. */
vx_status vxl_guest_hash(const char *path, uint64_t hash[2], struct vx_error *error);

#endif

/*
 * What the files on paths share: opening a name for asking, and identities.
 */
#ifndef VXRT_LINUX_FILE_H
#define VXRT_LINUX_FILE_H

#include <sys/stat.h>

#include "vxrt/linux/proc.h"

#define VXL_USER_ID 1000
#define VXL_NOBODY_ID 65534
#define VXL_SELF_EXE "/proc/self/exe"

/* O_PATH descriptor of the host for a guest path, or -errno; the caller closes it. */
int vxl_open_path(struct vxl_proc *p, uint32_t dirfd, const char *path, bool follow,
                  struct vxl_place *place);
/* fstatat; AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW are obeyed. */
int vxl_stat_path(struct vxl_proc *p, uint32_t dirfd, vx_gaddr path_at, uint32_t flags,
                  struct stat *st);

#endif

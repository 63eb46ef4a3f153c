/*
 * Private to format/: put bytes into a file, all or nothing.
 */
#ifndef VX_FORMAT_SAVE_H
#define VX_FORMAT_SAVE_H

#include <stddef.h>

#include "format/types.h"

/*
 * Replace the regular file `path` (or make it) by way of a temporary file in the same directory,
 * fsync and rename; on failure nothing is left behind and what was there stays. Other
 * existing files (pipes, devices) are written to; "-" is stdout.
 */
vx_status vxi_save(const char *path, const void *bytes, size_t size, struct vx_error *error);

#endif

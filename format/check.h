/*
 * Private to format/: is this content what a cache may hold?
 */
#ifndef VX_FORMAT_CHECK_H
#define VX_FORMAT_CHECK_H

#include "format/cache.h"

/* VX_OK, VX_ERR_ARGUMENT or VX_ERR_TOO_LARGE. */
vx_status vxi_check_content(const struct vxf_content *content, struct vx_error *error);

#endif

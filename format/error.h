/*
 * Fills a struct vx_error in one statement: return vxi_fail(error, status, offset, "...").
 */
#ifndef VX_FORMAT_ERROR_H
#define VX_FORMAT_ERROR_H

#include "format/types.h"

/* Returns status. error may be NULL. The text is cut to what fits. */
__attribute__((format(printf, 4, 5))) vx_status vxi_fail(struct vx_error *error, vx_status status,
                                                         uint64_t offset, const char *text, ...);

/* No error: status VX_OK, empty text. Returns VX_OK. */
vx_status vxi_succeed(struct vx_error *error);

#endif

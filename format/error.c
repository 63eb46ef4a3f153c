/*
 * Fills struct vx_error.
 */
#include "format/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

vx_status vxi_fail(struct vx_error *error, vx_status status, uint64_t offset, const char *text, ...)
{
    if (!error)
        return status;
    va_list args;
    va_start(args, text);
    error->status = status;
    error->offset = offset;
    vsnprintf(error->text, sizeof error->text, text, args);
    va_end(args);
    return status;
}

vx_status vxi_succeed(struct vx_error *error)
{
    if (error)
        memset(error, 0, sizeof *error);
    return VX_OK;
}

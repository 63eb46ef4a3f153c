/* What the drivers of the ELF reader share: any cursor, errors without text, an opened file of any content. */
#include "tests/frama/any_cursor.h"

#include "format/elf32_private.h"
#include "format/error.h"

vx_status vxi_fail(struct vx_error *error, vx_status status, uint64_t offset, const char *text, ...)
{
    (void)error, (void)offset, (void)text;
    return status;
}

vx_status vxi_succeed(struct vx_error *error)
{
    (void)error;
    return VX_OK;
}

static struct vxe_elf any_elf(size_t segments)
{
    struct vxe_elf elf;

    Frama_C_make_unknown((char *)&elf, sizeof elf);
    elf.bytes = taken;
    elf.interp = NULL;
    elf.is_dyn = Frama_C_interval(0, 1);
    elf.segment_count = segments;
    return elf;
}

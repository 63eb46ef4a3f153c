/*
 * Walking up the guest's stack.
 */
#ifndef VXRT_UNWIND_H
#define VXRT_UNWIND_H

#include "vxrt/internal.h"

/*
 * From a function's registers (eax ecx edx ebx esp ebp esi edi eip) to its caller's, by the image's .eh_frame. is_return: eip is a
 * return address. False: nothing is known of this function, and registers may be partly changed.
 */
bool vxi_unwind(struct vx_box *box, uint32_t registers[9], bool is_return);

#endif

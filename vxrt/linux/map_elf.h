/*
 * ELF files mapped into a box, from their headers alone: programs and their
 * interpreters under --root.
 */
#ifndef VXRT_LINUX_MAP_ELF_H
#define VXRT_LINUX_MAP_ELF_H

#include "vxrt.h"

struct vxl_mapped {
    vx_gaddr bias, entry;
    vx_gaddr low, high;    /* whole pages */
    vx_gaddr phdr;         /* 0: not in memory */
    uint16_t phdr_count;
    bool has_stack_header; /* PT_GNU_STACK */
    bool exec_stack;
    char interp[4096];     /* "": none */
};

/*
 * Map the segments of an i386 ELF file (ET_EXEC, ET_DYN) privately. below: 0 for
 * a program, which goes to its own place; else the highest address for an interpreter. read_is_exec:
 * what may be read may be executed (for interpreters, as the program has it). VX_ERR_ELF_*,
 * VX_ERR_RANGE, VX_ERR_MEMORY, VX_ERR_TOO_LARGE; the box is then left half mapped, to be freed.
 */
vx_status vxl_map_elf(struct vx_box *box, int fd, vx_gaddr below, bool read_is_exec, struct vxl_mapped *out,
                      struct vx_error *error);

#endif

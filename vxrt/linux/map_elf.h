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

/* Where the code of an ELF file lies: its executable, not writable segments. */
#define VXL_LAYOUT_SEGMENTS 4
struct vxl_layout {
    vx_gaddr low;        /* first page of the first segment, before bias */
    bool is_fixed;       /* ET_EXEC: bias 0 alone */
    unsigned count;
    struct { vx_gaddr addr; uint32_t offset, size; } segments[VXL_LAYOUT_SEGMENTS]; /* whole pages */
};
/* From the headers of a file; false: not an i386 ELF file with such a segment. */
bool vxl_layout_read(int fd, struct vxl_layout *out);
/* The load bias of a file of which `offset` was mapped at addr; false: that is not code of it. */
bool vxl_layout_bias(const struct vxl_layout *layout, vx_gaddr addr, uint64_t offset, vx_gaddr *bias);

struct vxl_codes;

/*
 * Map the segments of an i386 ELF file (ET_EXEC, ET_DYN) privately. below: 0 for
 * a program, which goes to its own place; else the highest address for an interpreter. read_is_exec:
 * what may be read may be executed (for interpreters, as the program has it). codes: attach what is known for
 * them; may be NULL. VX_ERR_ELF_*, VX_ERR_RANGE, VX_ERR_MEMORY, VX_ERR_TOO_LARGE; the box is then left half mapped, to be freed.
 */
vx_status vxl_map_elf(struct vx_box *box, int fd, vx_gaddr below, bool read_is_exec, struct vxl_codes *codes,
                      struct vxl_mapped *out, struct vx_error *error);

#endif

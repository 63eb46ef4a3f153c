/*
 * Caches of the files that a guest maps: from an executable mapping to the
 * verified code that belongs there.
 */
#ifndef VXRT_LINUX_CODES_H
#define VXRT_LINUX_CODES_H

#include "vxrt.h"

struct vxl_codes;

/* From a cache directory: borrowed descriptor, for reading (and for noting what files hold). NULL: no memory. */
struct vxl_codes *vxl_codes_new(int directory);
void vxl_codes_free(struct vxl_codes *codes);

/*
 * [addr, addr + size) of the box was just mapped privately and executable from `offset` of fd: attach its code, if there
 * is a cache for the file. codes may be NULL.
 */
void vxl_codes_attach(struct vxl_codes *codes, struct vx_box *box, int fd, vx_gaddr addr, uint32_t size, uint64_t offset);

/* Where a mapping of fd from `offset` would lie as it did before, so that the code can be used again; 0: anywhere. */
vx_gaddr vxl_codes_hint(struct vxl_codes *codes, int fd, uint64_t offset);

/*
 * Files that were mapped executable, in order, from index 0; false past the end. fd: for reading, borrowed. [low,
 * high): where the box has the file's code, of what was mapped last. status: VX_OK: its cache is in use; VX_ERR_NOT_FOUND: none.
 */
struct vxl_code_file {
    int fd;
    vx_gaddr bias, low, high;
    vx_status status;
};
bool vxl_codes_file(const struct vxl_codes *codes, size_t index, struct vxl_code_file *out);

#endif

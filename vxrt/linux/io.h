/*
 * What reading and writing (io.c) share with the form of both for guests with threads (io_threads.c).
 */
#ifndef VXRT_LINUX_IO_H
#define VXRT_LINUX_IO_H

#include "vxrt/linux/proc.h"

#define VXL_IOV_LIMIT 1024
#define VXL_COUNT_LIMIT 0x7ffff000u /* MAX_RW_COUNT of the kernel */
#define VXL_NO_OFFSET (-1)

struct vxl_transfer {
    uint32_t fd;
    int host;
    bool is_write;
    int64_t offset; /* VXL_NO_OFFSET: at the file position */
    int flags;      /* of preadv2 and pwritev2 */
};

/* -errno. SIGPIPE goes to the guest: vxrun itself ignores it. */
int32_t vxl_transfer_failed(struct vxl_proc *p, const struct vxl_transfer *t);

/* ---- io_threads.c: the holder never waits in a host call ------------- */

/* Neither a file nor a descriptor that never waits. */
bool vxl_may_block(int host);
int32_t vxl_write_patiently(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov, unsigned count);
int32_t vxl_read_patiently(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov, unsigned count);
/* As sendfile(2). */
ssize_t vxl_sendfile_patiently(struct vxl_proc *p, int out, int in, off_t *offset, size_t size);

#endif

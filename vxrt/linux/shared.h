/*
 * Futexes in memory that is shared with other processes.
 */
#ifndef VXRT_LINUX_SHARED_H
#define VXRT_LINUX_SHARED_H

#include "vxrt/linux/proc.h"

#define VXL_HOST_FUTEX_WAITV 449 /* since Linux 5.16; older headers do not name it */

/* Is a futex operation on addr one for shared memory? */
bool vxl_is_shared(const struct vxl_proc *p, vx_gaddr addr, uint32_t operation);
/*
 * FUTEX_WAIT while the word at addr is `value`, at most until *end (CLOCK_MONOTONIC; NULL: for ever). 0, -EAGAIN, -ETIMEDOUT, -EFAULT, -EINVAL,
 * -ENOSYS (the host's kernel is too old), or -VXL_RESTART_SYS. A bit set is not looked at: who waits with one may be woken for nothing.
 */
int32_t vxl_shared_wait(struct vxl_proc *p, vx_gaddr addr, uint32_t value, const struct timespec *end);
/* FUTEX_WAKE_BITSET: how many were woken, -EFAULT or -EINVAL. */
int32_t vxl_shared_wake(struct vxl_proc *p, vx_gaddr addr, uint32_t count, uint32_t bitset);

#endif

/*
 * Reading, writing and seeking on open descriptors. Data moves directly
 * between the host file and guest memory; where the kernel cannot write a
 * page (it holds translated code), through a buffer.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/io.h"

#define BOUNCE_BYTES 65536u

static ssize_t host_call(const struct vxl_transfer *t, const struct iovec *iov, int count)
{
    if (t->flags)
        return t->is_write ? pwritev2(t->host, iov, count, t->offset, t->flags) : preadv2(t->host, iov, count, t->offset, t->flags);
    if (t->offset == VXL_NO_OFFSET)
        return t->is_write ? writev(t->host, iov, count) : readv(t->host, iov, count);
    return t->is_write ? pwritev(t->host, iov, count, t->offset)
                       : preadv(t->host, iov, count, t->offset);
}

/* A read of which the first buffer lies in memory that only vx_box_write can write. */
static ssize_t bounce(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov)
{
    uint8_t buffer[BOUNCE_BYTES];
    struct iovec host = {buffer, iov->len < sizeof buffer ? iov->len : sizeof buffer};
    ssize_t done = host_call(t, &host, 1);
    if (done > 0 && !vxl_put(p, iov->base, buffer, (size_t)done)) {
        errno = EFAULT;
        return -1;
    }
    return done;
}

int32_t vxl_transfer_failed(struct vxl_proc *p, const struct vxl_transfer *t)
{
    if (errno == EPIPE && t->is_write)
        vxl_raise_simple(p, SIGPIPE, SI_USER);
    return -errno;
}

static uint64_t sum(const struct abi32_iovec *iov, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += iov[i].len;
    return total;
}

/* first: of the guest's buffers, the first that host has; NULL: none. */
static int32_t until_done(struct vxl_proc *p, const struct vxl_transfer *t, const struct iovec *host, int used, const struct abi32_iovec *first)
{
    for (;;) {
        int waited = vxl_wait_fd(p, t->host, t->is_write ? POLLOUT : POLLIN);
        if (waited < 0)
            return -VXL_RESTART_SYS;
        ssize_t done = host_call(t, host, used);
        if (done < 0 && errno == EFAULT && !t->is_write && first)
            done = bounce(p, t, first);
        if (done >= 0)
            return (int32_t)done;
        if (errno != EINTR)
            return vxl_transfer_failed(p, t);
        if (vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
}

/*
 * A transfer of which nothing can be accessed. The kernel looks at an address only when it has something to copy: whether that is
 * so it must say, of an address where no mapping of the host's can be.
 */
static int32_t transfer_nothing(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov, unsigned count)
{
    size_t size = sum(iov, count) < VXL_COUNT_LIMIT ? sum(iov, count) : VXL_COUNT_LIMIT;
    struct iovec host = {mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), size};
    if (host.iov_base == MAP_FAILED)
        return -EFAULT;
    int32_t result = until_done(p, t, &host, 1, NULL);
    munmap(host.iov_base, size);
    return result;
}

/* Nothing at all. It may be an empty message, or find that there is no reader. */
static int32_t transfer_empty(struct vxl_proc *p, const struct vxl_transfer *t)
{
    char none[1];
    ssize_t done = t->offset == VXL_NO_OFFSET ? (t->is_write ? write(t->host, none, 0) : read(t->host, none, 0))
                                              : (t->is_write ? pwrite(t->host, none, 0, t->offset) : pread(t->host, none, 0, t->offset));
    return done < 0 ? vxl_transfer_failed(p, t) : (int32_t)done;
}

static int32_t transfer(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov,
                        unsigned count)
{
    if (p->threads && vxl_may_block(t->host) && !(t->flags & RWF_NOWAIT))
        return t->is_write ? vxl_write_patiently(p, t, iov, count) : vxl_read_patiently(p, t, iov, count);
    struct iovec host[VXL_IOV_LIMIT];
    const struct abi32_iovec *first = NULL;
    int used = 0;
    uint32_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t size = iov[i].len < VXL_COUNT_LIMIT - total ? iov[i].len : VXL_COUNT_LIMIT - total;
        int prot = t->is_write ? VX_PROT_READ : VX_PROT_WRITE;
        uint32_t usable = vxl_accessible(p, iov[i].base, size, prot);
        if (usable) {
            host[used].iov_base = vx_box_pointer(p->box, iov[i].base, usable, prot);
            host[used++].iov_len = usable;
            first = first ? first : &iov[i];
            total += usable;
        }
        if (usable < size && !total)
            return transfer_nothing(p, t, iov, count);
        if (usable < size)
            break;
    }
    return until_done(p, t, host, used, first);
}

static int32_t one(struct vxl_proc *p, const uint32_t *a, bool is_write, int64_t offset)
{
    struct abi32_iovec iov = {a[1], a[2]};
    struct vxl_transfer t = {a[0], vxl_host_fd(p, a[0]), is_write, offset, 0};
    if (t.host < 0)
        return t.host;
    if ((int32_t)a[2] < 0)
        return -EINVAL;
    bool may_wait = a[2] || (is_write && p->threads && vxl_may_block(t.host)); /* an empty message, where there is no room */
    return may_wait ? transfer(p, &t, &iov, 1) : transfer_empty(p, &t);
}

static int32_t many(struct vxl_proc *p, const uint32_t *a, bool is_write, int64_t offset, uint32_t flags)
{
    struct abi32_iovec iov[VXL_IOV_LIMIT];
    struct vxl_transfer t = {a[0], vxl_host_fd(p, a[0]), is_write, offset, (int)flags};
    uint64_t total = 0;
    if (t.host < 0)
        return t.host;
    if (a[2] > VXL_IOV_LIMIT)
        return -EINVAL;
    if (!vxl_get(p, a[1], iov, a[2] * sizeof *iov))
        return -EFAULT;
    for (uint32_t i = 0; i < a[2]; i++)
        total += iov[i].len;
    if (total > INT32_MAX)
        return -EINVAL;
    if (!total) { /* the kernel does not ask the file */
        ssize_t done = host_call(&t, NULL, 0);
        return done < 0 ? -errno : (int32_t)done;
    }
    return transfer(p, &t, iov, a[2]);
}

int32_t vxl_read(struct vxl_proc *p, const uint32_t *a)
{
    return one(p, a, false, VXL_NO_OFFSET);
}

int32_t vxl_write(struct vxl_proc *p, const uint32_t *a)
{
    return one(p, a, true, VXL_NO_OFFSET);
}

int32_t vxl_readv(struct vxl_proc *p, const uint32_t *a)
{
    return many(p, a, false, VXL_NO_OFFSET, 0);
}

int32_t vxl_writev(struct vxl_proc *p, const uint32_t *a)
{
    return many(p, a, true, VXL_NO_OFFSET, 0);
}

static int64_t offset_of(const uint32_t *a, unsigned low)
{
    return (int64_t)((uint64_t)a[low] | (uint64_t)a[low + 1] << 32);
}

int32_t vxl_pread64(struct vxl_proc *p, const uint32_t *a)
{
    int64_t offset = offset_of(a, 3);
    return offset < 0 ? -EINVAL : one(p, a, false, offset);
}

int32_t vxl_pwrite64(struct vxl_proc *p, const uint32_t *a)
{
    int64_t offset = offset_of(a, 3);
    return offset < 0 ? -EINVAL : one(p, a, true, offset);
}

int32_t vxl_preadv(struct vxl_proc *p, const uint32_t *a)
{
    int64_t offset = offset_of(a, 3);
    return offset < 0 ? -EINVAL : many(p, a, false, offset, 0);
}

int32_t vxl_pwritev(struct vxl_proc *p, const uint32_t *a)
{
    int64_t offset = offset_of(a, 3);
    return offset < 0 ? -EINVAL : many(p, a, true, offset, 0);
}

/* How it is done; an offset of -1 is the file position. */
static int32_t many_so(struct vxl_proc *p, const uint32_t *a, bool is_write)
{
    const uint32_t known = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND;
    int64_t offset = offset_of(a, 3);
    if (a[5] & ~known)
        return -EOPNOTSUPP;
    return offset < VXL_NO_OFFSET ? -EINVAL : many(p, a, is_write, offset, a[5]);
}

int32_t vxl_preadv2(struct vxl_proc *p, const uint32_t *a)
{
    return many_so(p, a, false);
}

int32_t vxl_pwritev2(struct vxl_proc *p, const uint32_t *a)
{
    return many_so(p, a, true);
}

/* ---- seeking --------------------------------------------------------- */

/* Positions in a directory are entry numbers (dir.c). */
static int64_t seek_dir(struct vxl_fd *fd, int64_t offset, uint32_t whence)
{
    if (whence == SEEK_CUR && offset == 0)
        return (int64_t)fd->dir_position;
    if (whence != SEEK_SET || offset < 0)
        return -EINVAL;
    if (lseek(fd->host, 0, SEEK_SET) < 0)
        return -errno;
    fd->dir_position = 0;
    return vxl_dir_skip(fd, (uint64_t)offset);
}

static int64_t seek(struct vxl_proc *p, uint32_t number, int64_t offset, uint32_t whence)
{
    struct vxl_fd *fd = vxl_fd(p, number);
    if (!fd)
        return -EBADF;
    if (fd->is_dir)
        return seek_dir(fd, offset, whence);
    return vxl_result(lseek(fd->host, offset, (int)whence));
}

int32_t vxl_lseek(struct vxl_proc *p, const uint32_t *a)
{
    int64_t result = seek(p, a[0], (int32_t)a[1], a[2]);
    return result > INT32_MAX ? -EOVERFLOW : (int32_t)result;
}

int32_t vxl_llseek(struct vxl_proc *p, const uint32_t *a)
{
    int64_t result = seek(p, a[0], (int64_t)((uint64_t)a[1] << 32 | a[2]), a[4]);
    if (result < 0)
        return (int32_t)result;
    return vxl_put(p, a[3], &result, sizeof result) ? 0 : -EFAULT;
}

/* ---- on open files --------------------------------------------------- */

int32_t vxl_fsync(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    return host < 0 ? host : (int32_t)vxl_result(fsync(host));
}

int32_t vxl_fdatasync(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    return host < 0 ? host : (int32_t)vxl_result(fdatasync(host));
}

/* A guest has no business with other files of the machine. */
int32_t vxl_sync(struct vxl_proc *p, const uint32_t *a)
{
    return 0;
}

int32_t vxl_ftruncate(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    return host < 0 ? host : (int32_t)vxl_result(ftruncate(host, (int32_t)a[1]));
}

int32_t vxl_ftruncate64(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    return host < 0 ? host : (int32_t)vxl_result(ftruncate(host, offset_of(a, 1)));
}

int32_t vxl_fallocate(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    if (host < 0)
        return host;
    return (int32_t)vxl_result(fallocate(host, (int)a[1], offset_of(a, 2), offset_of(a, 4)));
}

int32_t vxl_fadvise(struct vxl_proc *p, const uint32_t *a)
{
    return vxl_fd(p, a[0]) ? 0 : -EBADF;
}

/* ---- sendfile --------------------------------------------------------- */

static int32_t send_file(struct vxl_proc *p, const uint32_t *a, unsigned offset_bytes)
{
    int out = vxl_host_fd(p, a[0]), in = vxl_host_fd(p, a[1]);
    uint64_t offset = 0;
    struct vxl_transfer t = {.host = out, .is_write = true};
    if (out < 0 || in < 0)
        return -EBADF;
    if (a[2] && !vxl_get(p, a[2], &offset, offset_bytes))
        return -EFAULT;
    if (offset > INT64_MAX)
        return -EINVAL;
    off_t at = (off_t)offset;
    bool is_patient = p->threads && (vxl_may_block(out) || vxl_may_block(in));
    size_t most = a[3] < VXL_COUNT_LIMIT ? a[3] : VXL_COUNT_LIMIT;
    for (;;) {
        if (vxl_wait_fd(p, out, POLLOUT) < 0)
            return -VXL_RESTART_SYS;
        ssize_t done = is_patient ? vxl_sendfile_patiently(p, out, in, a[2] ? &at : NULL, most)
                                  : sendfile(out, in, a[2] ? &at : NULL, most);
        if (done < 0 && errno == EINTR && !vxl_is_interrupted(p))
            continue;
        if (done < 0)
            return errno == EINTR ? -VXL_RESTART_SYS : vxl_transfer_failed(p, &t);
        offset = (uint64_t)at;
        return a[2] && !vxl_put(p, a[2], &offset, offset_bytes) ? -EFAULT : (int32_t)done;
    }
}

int32_t vxl_sendfile(struct vxl_proc *p, const uint32_t *a)
{
    return send_file(p, a, 4);
}

int32_t vxl_sendfile64(struct vxl_proc *p, const uint32_t *a)
{
    return send_file(p, a, 8);
}

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
#include "vxrt/linux/threads.h"

#define IOV_LIMIT 1024
#define COUNT_LIMIT 0x7ffff000u /* MAX_RW_COUNT of the kernel */
#define BOUNCE_BYTES 65536u
#define NO_OFFSET (-1)

struct transfer {
    uint32_t fd;
    int host;
    bool is_write;
    int64_t offset; /* NO_OFFSET: at the file position */
    int flags;      /* of preadv2 and pwritev2 */
};

static ssize_t host_call(const struct transfer *t, const struct iovec *iov, int count)
{
    if (t->flags)
        return t->is_write ? pwritev2(t->host, iov, count, t->offset, t->flags) : preadv2(t->host, iov, count, t->offset, t->flags);
    if (t->offset == NO_OFFSET)
        return t->is_write ? writev(t->host, iov, count) : readv(t->host, iov, count);
    return t->is_write ? pwritev(t->host, iov, count, t->offset)
                       : preadv(t->host, iov, count, t->offset);
}

/* A read of which the first buffer lies in memory that only vx_box_write can write. */
static ssize_t bounce(struct vxl_proc *p, const struct transfer *t, const struct abi32_iovec *iov)
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

/* SIGPIPE goes to the guest: vxrun itself ignores it. */
static int32_t failed(struct vxl_proc *p, const struct transfer *t)
{
    if (errno == EPIPE && t->is_write)
        vxl_raise_simple(p, SIGPIPE, SI_USER);
    return -errno;
}

/* A pipe or socket, from which another thread may have to read first. */
static bool may_fill_up(int host)
{
    struct stat st;
    return fstat(host, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) &&
           !(fcntl(host, F_GETFL) & O_NONBLOCK);
}

static uint64_t sum(const struct abi32_iovec *iov, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += iov[i].len;
    return total;
}

/*
 * A large write, as much at a time as goes without waiting when the kernel says that something can be written: the
 * box is not held while it is full. The descriptor must still be the same each time.
 */
static int32_t write_in_parts(struct vxl_proc *p, const struct transfer *t, const struct abi32_iovec *iov, unsigned count)
{
    uint8_t part[PIPE_BUF];
    uint32_t serial = p->fds[t->fd].serial;
    int32_t done = 0;
    for (unsigned i = 0; i < count; i++)
        for (uint32_t at = 0; at < iov[i].len && done < (int32_t)COUNT_LIMIT;) {
            struct pollfd fd = {.fd = t->host, .events = POLLOUT};
            uint32_t size = iov[i].len - at < sizeof part ? iov[i].len - at : (uint32_t)sizeof part;
            if (poll(&fd, 1, 0) == 0) {
                if (vxl_thread_pause(p, t->host, POLLOUT) < 0)
                    return done ? done : -VXL_RESTART_SYS;
                if (!p->fds[t->fd].in_use || p->fds[t->fd].serial != serial)
                    return done ? done : -EBADF;
                continue;
            }
            size = vxl_accessible(p, iov[i].base + at, size, VX_PROT_READ);
            if (!size || !vxl_get(p, iov[i].base + at, part, size))
                return done ? done : -EFAULT;
            ssize_t written = write(t->host, part, size);
            if (written < 0 && errno != EINTR)
                return done ? done : failed(p, t);
            if (written > 0) {
                done += (int32_t)written;
                at += (uint32_t)written;
            }
        }
    return done;
}

/* first: of the guest's buffers, the first that host has; NULL: none. */
static int32_t until_done(struct vxl_proc *p, const struct transfer *t, const struct iovec *host, int used, const struct abi32_iovec *first)
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
            return failed(p, t);
        if (vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
}

/*
 * A transfer of which nothing can be accessed. The kernel looks at an address only when it has something to copy: whether that is
 * so it must say, of an address where no mapping of the host's can be.
 */
static int32_t transfer_nothing(struct vxl_proc *p, const struct transfer *t, const struct abi32_iovec *iov, unsigned count)
{
    size_t size = sum(iov, count) < COUNT_LIMIT ? sum(iov, count) : COUNT_LIMIT;
    struct iovec host = {mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), size};
    if (host.iov_base == MAP_FAILED)
        return -EFAULT;
    int32_t result = until_done(p, t, &host, 1, NULL);
    munmap(host.iov_base, size);
    return result;
}

static int32_t transfer(struct vxl_proc *p, const struct transfer *t, const struct abi32_iovec *iov,
                        unsigned count)
{
    if (p->threads && t->is_write && sum(iov, count) > PIPE_BUF && may_fill_up(t->host))
        return write_in_parts(p, t, iov, count);
    struct iovec host[IOV_LIMIT];
    const struct abi32_iovec *first = NULL;
    int used = 0;
    uint32_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t size = iov[i].len < COUNT_LIMIT - total ? iov[i].len : COUNT_LIMIT - total;
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
    struct transfer t = {a[0], vxl_host_fd(p, a[0]), is_write, offset, 0};
    if (t.host < 0)
        return t.host;
    if ((int32_t)a[2] < 0)
        return -EINVAL;
    return transfer(p, &t, &iov, 1);
}

static int32_t many(struct vxl_proc *p, const uint32_t *a, bool is_write, int64_t offset, uint32_t flags)
{
    struct abi32_iovec iov[IOV_LIMIT];
    struct transfer t = {a[0], vxl_host_fd(p, a[0]), is_write, offset, (int)flags};
    uint64_t total = 0;
    if (t.host < 0)
        return t.host;
    if (a[2] > IOV_LIMIT)
        return -EINVAL;
    if (!vxl_get(p, a[1], iov, a[2] * sizeof *iov))
        return -EFAULT;
    for (uint32_t i = 0; i < a[2]; i++)
        total += iov[i].len;
    if (total > INT32_MAX)
        return -EINVAL;
    return transfer(p, &t, iov, a[2]);
}

int32_t vxl_read(struct vxl_proc *p, const uint32_t *a)
{
    return one(p, a, false, NO_OFFSET);
}

int32_t vxl_write(struct vxl_proc *p, const uint32_t *a)
{
    return one(p, a, true, NO_OFFSET);
}

int32_t vxl_readv(struct vxl_proc *p, const uint32_t *a)
{
    return many(p, a, false, NO_OFFSET, 0);
}

int32_t vxl_writev(struct vxl_proc *p, const uint32_t *a)
{
    return many(p, a, true, NO_OFFSET, 0);
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
    return offset < NO_OFFSET ? -EINVAL : many(p, a, is_write, offset, a[5]);
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
    struct transfer t = {.host = out, .is_write = true};
    if (out < 0 || in < 0)
        return -EBADF;
    if (a[2] && !vxl_get(p, a[2], &offset, offset_bytes))
        return -EFAULT;
    if (offset > INT64_MAX)
        return -EINVAL;
    off_t at = (off_t)offset;
    for (;;) {
        if (vxl_wait_fd(p, out, POLLOUT) < 0)
            return -VXL_RESTART_SYS;
        /* with threads: what fits without waiting, as others may have to read first */
        uint32_t most = p->threads && may_fill_up(out) ? PIPE_BUF : COUNT_LIMIT;
        ssize_t done = sendfile(out, in, a[2] ? &at : NULL, a[3] < most ? a[3] : most);
        if (done < 0 && errno == EINTR && !vxl_is_interrupted(p))
            continue;
        if (done < 0)
            return errno == EINTR ? -VXL_RESTART_SYS : failed(p, &t);
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

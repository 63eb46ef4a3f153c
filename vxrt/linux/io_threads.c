/*
 * Reading and writing where there are threads. A host call that waits would keep all others from running, and the time limit from
 * being noticed: so each is made in a way that does not wait. What the kernel cannot do in such a way
 * is done without the box, on copies, by a descriptor of its own.
 */
#include "vxrt/linux/io.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vxrt/linux/net.h"
#include "vxrt/linux/threads.h"

#define COPY_BYTES 65536u

bool vxl_may_block(int host)
{
    struct stat st;
    return fstat(host, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISBLK(st.st_mode) &&
           !(fcntl(host, F_GETFL) & O_NONBLOCK);
}

static bool is_socket(int host, int *type)
{
    socklen_t size = sizeof *type;
    return getsockopt(host, SOL_SOCKET, SO_TYPE, type, &size) == 0;
}

/* ---- without the box ------------------------------------------------- */

struct copied {
    int host;
    int flags;
    int64_t offset;
    struct iovec iov;
};

static int64_t write_copied(void *argument)
{
    const struct copied *c = argument;
    return vxl_result(pwritev2(c->host, &c->iov, 1, c->offset, c->flags));
}

static int64_t read_copied(void *argument)
{
    const struct copied *c = argument;
    return vxl_result(preadv2(c->host, &c->iov, 1, c->offset, c->flags));
}

static int64_t transfer_copied(struct vxl_proc *p, const struct vxl_transfer *t, uint8_t *bytes, uint32_t size)
{
    struct vxl_thread *self = p->self;
    struct copied c = {vxl_thread_hold(self, 0, t->host), t->flags, t->offset, {bytes, size}};
    int64_t done = c.host < 0 ? c.host : vxl_call_slowly(p, t->is_write ? write_copied : read_copied, &c);
    vxl_thread_let_go(self);
    return done;
}

/* ---- writing --------------------------------------------------------- */

/* What is left of the guest's buffers when `done` bytes are written; how many buffers. */
static unsigned rest_of(const struct abi32_iovec *iov, unsigned count, uint32_t done, struct abi32_iovec rest[VXL_IOV_LIMIT])
{
    unsigned used = 0;
    uint32_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t skip = done < iov[i].len ? done : iov[i].len, size = iov[i].len - skip;
        done -= skip;
        if (size > VXL_COUNT_LIMIT - total)
            size = VXL_COUNT_LIMIT - total;
        if (size)
            rest[used++] = (struct abi32_iovec){iov[i].base + skip, size};
        total += size;
    }
    return used;
}

/* As much as goes at once. -EAGAIN: nothing now. */
static int64_t write_now(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *rest, unsigned count)
{
    struct iovec host[VXL_IOV_LIMIT];
    uint8_t copy[COPY_BYTES];
    unsigned used = 0;
    for (bool is_whole = true; used < count && is_whole; used++) {
        uint32_t usable = vxl_accessible(p, rest[used].base, rest[used].len, VX_PROT_READ);
        if (!usable)
            break;
        host[used] = (struct iovec){vx_box_pointer(p->box, rest[used].base, usable, VX_PROT_READ), usable};
        is_whole = usable == rest[used].len;
    }
    if (count && !used)
        return -EFAULT;
    int64_t done = vxl_result(pwritev2(t->host, host, (int)used, t->offset, t->flags | RWF_NOWAIT));
    if (done != -EOPNOTSUPP)
        return done;
    uint32_t size = !used ? 0 : host[0].iov_len < sizeof copy ? (uint32_t)host[0].iov_len : (uint32_t)sizeof copy;
    if (size && !vxl_get(p, rest[0].base, copy, size))
        return -EFAULT;
    return transfer_copied(p, t, copy, size);
}

/* All of it, unless something comes between: then how much there was. The descriptor must still be the same after each pause. */
int32_t vxl_write_patiently(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov, unsigned count)
{
    struct abi32_iovec rest[VXL_IOV_LIMIT];
    uint32_t serial = p->fds[t->fd].serial, done = 0;
    int type = 0;
    bool is_message = is_socket(t->host, &type);
    for (;;) {
        unsigned left = rest_of(iov, count, done, rest);
        if (done && !left)
            return (int32_t)done;
        int64_t now = is_message ? vxl_socket_write(p, t->fd, rest, left, done) : write_now(p, t, rest, left);
        if (now > 0)
            done += (uint32_t)now;
        if (now == 0 || (now > 0 && is_message && type != SOCK_STREAM))
            return (int32_t)done;
        if (now < 0 && is_message && !done) /* it has waited as long as it should */
            return (int32_t)now;
        if (now == -EAGAIN && vxl_thread_pause(p, t->host, POLLOUT) < 0)
            now = -VXL_RESTART_SYS;
        if (now == -EINTR && vxl_is_interrupted(p))
            now = -VXL_RESTART_SYS;
        if (now < 0 && now != -EAGAIN && now != -EINTR) {
            errno = (int)-now;
            int32_t failed = is_message ? (int32_t)now : vxl_transfer_failed(p, t);
            return done ? (int32_t)done : failed;
        }
        if (!p->fds[t->fd].in_use || p->fds[t->fd].serial != serial)
            return done ? (int32_t)done : -EBADF;
    }
}

/* ---- reading --------------------------------------------------------- */

static int32_t put_copied(struct vxl_proc *p, const struct abi32_iovec *iov, unsigned count, const uint8_t *bytes, uint32_t size)
{
    uint32_t used = 0;
    for (unsigned i = 0; i < count && used < size; i++) {
        uint32_t part = iov[i].len < size - used ? iov[i].len : size - used;
        if (!vxl_put(p, iov[i].base, bytes + used, part))
            return -EFAULT;
        used += part;
    }
    return (int32_t)size;
}

/* How much of the guest's buffers can be written, at most that. */
static uint32_t writable(struct vxl_proc *p, const struct abi32_iovec *iov, unsigned count, uint32_t most)
{
    uint32_t size = 0;
    for (unsigned i = 0; i < count && size < most; i++) {
        uint32_t part = iov[i].len < most - size ? iov[i].len : most - size;
        uint32_t usable = vxl_accessible(p, iov[i].base, part, VX_PROT_WRITE);
        size += usable;
        if (usable < part)
            break;
    }
    return size;
}

int32_t vxl_read_patiently(struct vxl_proc *p, const struct vxl_transfer *t, const struct abi32_iovec *iov, unsigned count)
{
    uint8_t copy[COPY_BYTES];
    uint32_t size = writable(p, iov, count, sizeof copy);
    int type;
    if (is_socket(t->host, &type))
        return vxl_socket_read(p, t->fd, iov, count);
    while (size) {
        if (vxl_wait_fd(p, t->host, POLLIN) < 0)
            return -VXL_RESTART_SYS;
        struct iovec host = {copy, size};
        int64_t done = vxl_result(preadv2(t->host, &host, 1, t->offset, t->flags | RWF_NOWAIT));
        if (done == -EOPNOTSUPP)
            done = transfer_copied(p, t, copy, size);
        if (done >= 0)
            return put_copied(p, iov, count, copy, (uint32_t)done);
        if (done == -EINTR && vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
        if (done != -EAGAIN && done != -EINTR)
            return (int32_t)done;
    }
    return -EFAULT;
}

/* ---- sendfile -------------------------------------------------------- */

struct sent {
    int out, in;
    off_t *offset;
    size_t size;
};

static int64_t send_copied(void *argument)
{
    const struct sent *s = argument;
    return vxl_result(sendfile(s->out, s->in, s->offset, s->size));
}

ssize_t vxl_sendfile_patiently(struct vxl_proc *p, int out, int in, off_t *offset, size_t size)
{
    struct vxl_thread *self = p->self;
    struct sent sent = {vxl_thread_hold(self, 0, out), vxl_thread_hold(self, 1, in), offset, size};
    int64_t done = sent.out < 0 || sent.in < 0 ? -EMFILE : vxl_call_slowly(p, send_copied, &sent);
    vxl_thread_let_go(self);
    if (done >= 0)
        return done;
    errno = (int)-done;
    return -1;
}

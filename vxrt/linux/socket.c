/*
 * Sockets: connected pairs inside the guest, nothing else. No address is ever bound or named, and no descriptor
 * is passed: what a pair carries is bytes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define BUFFER_BYTES 65536u
#define VECTOR_LIMIT 64u
/* What send and recv may be told; the rest means addresses or control messages. */
#define FLAGS (MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_EOR)

static int32_t refuse(struct vxl_proc *p)
{
    p->refused[p->call_number]++;
    return -EAFNOSUPPORT;
}

int32_t vxl_socket(struct vxl_proc *p, const uint32_t *a)
{
    return refuse(p);
}

int32_t vxl_socketpair(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t type = a[1] & ~(uint32_t)TYPE_FLAGS;
    int host[2], guest[2];
    if (a[0] != AF_UNIX)
        return refuse(p);
    if ((type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET) || a[2])
        return -EINVAL;
    if (vxl_accessible(p, a[3], 8, VX_PROT_WRITE) < 8)
        return -EFAULT;
    if (socketpair(AF_UNIX, (int)a[1] | SOCK_CLOEXEC, 0, host))
        return -errno;
    for (int i = 0; i < 2; i++)
        guest[i] = vxl_fd_install(p, host[i], 0, a[1] & SOCK_CLOEXEC);
    for (int i = 0; i < 2; i++)
        if (guest[i] >= 0)
            p->fds[guest[i]].is_fixed = true;
    if (guest[0] >= 0 && guest[1] >= 0)
        return vxl_put(p, a[3], guest, sizeof guest) ? 0 : -EFAULT;
    for (int i = 0; i < 2; i++)
        if (guest[i] >= 0)
            vxl_fd_close(p, (unsigned)guest[i]);
    return -EMFILE;
}

/* A message of at most BUFFER_BYTES of the guest's buffers: a stream takes the rest the next time. */
/* A datagram may not fit although the kernel says that something does: look again after a while. */
static int wait_for_room(struct vxl_proc *p, uint32_t fd, int host)
{
    uint32_t serial = p->fds[fd].serial;
    struct timespec soon = {0, 1000000};
    if (vxl_thread_pause(p, host, POLLOUT) < 0)
        return -EINTR;
    struct vxl_thread *self = p->self;
    vxl_thread_leave(p);
    nanosleep(&soon, NULL);
    vxl_thread_enter(p, self);
    if (!p->fds[fd].in_use || p->fds[fd].serial != serial)
        return -EINTR; /* made again it says EBADF */
    return 0;
}

static int32_t send_bytes(struct vxl_proc *p, uint32_t fd, const struct abi32_iovec *iov, uint32_t count, uint32_t flags)
{
    uint8_t buffer[BUFFER_BYTES];
    uint32_t size = 0;
    int host = vxl_host_fd(p, fd), type = 0;
    socklen_t length = sizeof type;
    if (host < 0)
        return host;
    if (getsockopt(host, SOL_SOCKET, SO_TYPE, &type, &length))
        return -errno;
    if (flags & ~(uint32_t)FLAGS)
        return -EINVAL;
    for (uint32_t i = 0; i < count && size < sizeof buffer; i++) {
        uint32_t part = iov[i].len < sizeof buffer - size ? iov[i].len : (uint32_t)sizeof buffer - size;
        if (part < iov[i].len && type != SOCK_STREAM)
            return -EMSGSIZE;
        if (!vxl_get(p, iov[i].base, buffer + size, part))
            return -EFAULT;
        size += part;
    }
    for (;;) {
        int waited = flags & MSG_DONTWAIT ? 0 : vxl_wait_fd(p, host, POLLOUT);
        if (waited < 0)
            return -VXL_RESTART_SYS;
        /* with threads a part goes, and nobody waits: the one that reads may be another of them */
        int extra = p->threads ? MSG_DONTWAIT : 0;
        ssize_t done = send(host, buffer, size, (int)flags | MSG_NOSIGNAL | extra);
        if (done >= 0)
            return (int32_t)done;
        if (errno == EAGAIN && p->threads && !(flags & MSG_DONTWAIT) && !(fcntl(host, F_GETFL) & O_NONBLOCK)) {
            if (wait_for_room(p, fd, host) < 0)
                return -VXL_RESTART_SYS;
            continue;
        }
        if (errno == EINTR && !vxl_is_interrupted(p))
            continue;
        if (errno == EPIPE && !(flags & MSG_NOSIGNAL))
            vxl_raise_simple(p, SIGPIPE, SI_USER);
        return errno == EINTR ? -VXL_RESTART_SYS : -errno;
    }
}

static int32_t receive_bytes(struct vxl_proc *p, uint32_t fd, const struct abi32_iovec *iov, uint32_t count,
                             uint32_t flags)
{
    uint8_t buffer[BUFFER_BYTES];
    uint32_t size = 0, used = 0;
    ssize_t done;
    int host = vxl_host_fd(p, fd);
    if (host < 0)
        return host;
    if (flags & ~(uint32_t)FLAGS)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = iov[i].len < sizeof buffer - size ? iov[i].len : (uint32_t)sizeof buffer - size;
        if (vxl_accessible(p, iov[i].base, part, VX_PROT_WRITE) < part)
            return -EFAULT;
        size += part;
    }
    for (;;) {
        int waited = flags & MSG_DONTWAIT ? 0 : vxl_wait_fd(p, host, POLLIN);
        if (waited < 0)
            return -VXL_RESTART_SYS;
        done = recv(host, buffer, size, (int)flags);
        if (done >= 0)
            break;
        if (errno != EINTR)
            return -errno;
        if (vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
    uint32_t got = done < (ssize_t)size ? (uint32_t)done : size;
    for (uint32_t i = 0; i < count && used < got; i++) {
        uint32_t part = iov[i].len < got - used ? iov[i].len : got - used;
        if (!vxl_put(p, iov[i].base, buffer + used, part))
            return -EFAULT;
        used += part;
    }
    return (int32_t)done;
}

/* sendto and recvfrom: fd, buffer, size, flags, address, its size. A pair's ends have no names. */
int32_t vxl_sendto(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_iovec iov = {a[1], a[2]};
    return a[4] ? -EISCONN : send_bytes(p, a[0], &iov, 1, a[3]);
}

int32_t vxl_recvfrom(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_iovec iov = {a[1], a[2]};
    uint32_t none = 0;
    int32_t done = receive_bytes(p, a[0], &iov, 1, a[3]);
    return done >= 0 && a[4] && a[5] && !vxl_put(p, a[5], &none, 4) ? -EFAULT : done;
}

/* struct msghdr: name and its size, buffers and their count, control and its size, flags. */
static int get_message(struct vxl_proc *p, vx_gaddr addr, uint32_t header[7], struct abi32_iovec iov[VECTOR_LIMIT])
{
    if (!vxl_get(p, addr, header, 28))
        return -EFAULT;
    if (header[3] > VECTOR_LIMIT)
        return -EMSGSIZE;
    return vxl_get(p, header[2], iov, header[3] * sizeof *iov) ? 0 : -EFAULT;
}

int32_t vxl_sendmsg(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_iovec iov[VECTOR_LIMIT];
    uint32_t header[7];
    int status = get_message(p, a[1], header, iov);
    if (status < 0)
        return status;
    if (header[0] || header[5]) /* no names, no control messages */
        return -EOPNOTSUPP;
    return send_bytes(p, a[0], iov, header[3], a[2]);
}

int32_t vxl_recvmsg(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_iovec iov[VECTOR_LIMIT];
    uint32_t header[7];
    int status = get_message(p, a[1], header, iov);
    if (status < 0)
        return status;
    int32_t done = receive_bytes(p, a[0], iov, header[3], a[2]);
    header[1] = header[5] = header[6] = 0;
    return done >= 0 && !vxl_put(p, a[1], header, sizeof header) ? -EFAULT : done;
}

int32_t vxl_shutdown(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    return host < 0 ? host : (int32_t)vxl_result(shutdown(host, (int)a[1]));
}

/* Type, and the pending error. */
int32_t vxl_getsockopt(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]), value;
    uint32_t size;
    socklen_t length = sizeof value;
    if (host < 0)
        return host;
    if (!vxl_get(p, a[4], &size, 4))
        return -EFAULT;
    if (a[1] != SOL_SOCKET || size < sizeof value ||
        (a[2] != SO_TYPE && a[2] != SO_ERROR && a[2] != SO_DOMAIN && a[2] != SO_SNDBUF && a[2] != SO_RCVBUF))
        return -ENOPROTOOPT;
    if (getsockopt(host, SOL_SOCKET, (int)a[2], &value, &length))
        return -errno;
    size = sizeof value;
    return vxl_put(p, a[3], &value, sizeof value) && vxl_put(p, a[4], &size, 4) ? 0 : -EFAULT;
}

/* Nothing is set; buffer sizes are a wish. */
int32_t vxl_setsockopt(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    if (host < 0)
        return host;
    return a[1] == SOL_SOCKET && (a[2] == SO_SNDBUF || a[2] == SO_RCVBUF) ? 0 : -ENOPROTOOPT;
}

/* socketcall: a number, and a pointer to the arguments (net.h of the kernel). */
int32_t vxl_socketcall(struct vxl_proc *p, const uint32_t *a)
{
    static const struct { vxl_handler *handler; unsigned count; } rows[] = {
        [1] = {vxl_socket, 3}, [8] = {vxl_socketpair, 4}, [9] = {vxl_sendto, 4}, [10] = {vxl_recvfrom, 4},
        [11] = {vxl_sendto, 6}, [12] = {vxl_recvfrom, 6}, [13] = {vxl_shutdown, 2}, [14] = {vxl_setsockopt, 5},
        [15] = {vxl_getsockopt, 5}, [16] = {vxl_sendmsg, 3}, [17] = {vxl_recvmsg, 3}};
    uint32_t args[6] = {0};
    if (a[0] >= sizeof rows / sizeof *rows || !rows[a[0]].handler) {
        p->refused[p->call_number]++;
        return a[0] >= 1 && a[0] <= 20 ? -EOPNOTSUPP : -EINVAL;
    }
    if (!vxl_get(p, a[1], args, rows[a[0]].count * 4))
        return -EFAULT;
    return rows[a[0]].handler(p, args);
}

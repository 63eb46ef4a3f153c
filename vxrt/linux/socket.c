/*
 * Connected pairs of sockets, and messages over any socket. What a message carries is bytes, and in a socket with addresses (net.c) an
 * address: no descriptor is ever passed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vxrt/linux/net.h"
#include "vxrt/linux/threads.h"

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define BUFFER_BYTES 65536u
#define VECTOR_LIMIT 64u
#define MESSAGE_LIMIT 1024u
/* What send and recv may be told; the rest means control messages. */
#define FLAGS (MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_EOR | MSG_MORE)
#define WAIT_FOR_ONE 0x10000u /* recvmmsg: block for the first message only */
#define SECOND_NS 1000000000
#define LONGEST_WAIT 1000000000 /* seconds; more is for ever */

int32_t vxl_socketpair(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t type = a[1] & ~(uint32_t)TYPE_FLAGS;
    int host[2], guest[2];
    if (a[0] != AF_UNIX) {
        p->refused[p->call_number]++;
        return -EAFNOSUPPORT;
    }
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

/* ---- one message ------------------------------------------------------ */

struct message {
    const struct abi32_iovec *iov;
    uint32_t count, flags;
    struct vxl_address address; /* size 0: none */
};

/* At most BUFFER_BYTES of the guest's buffers: a stream takes the rest the next time. */
static int gather(struct vxl_proc *p, const struct message *m, bool is_stream, uint8_t buffer[BUFFER_BYTES])
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < m->count && size < BUFFER_BYTES; i++) {
        uint32_t part = m->iov[i].len < BUFFER_BYTES - size ? m->iov[i].len : BUFFER_BYTES - size;
        if (part < m->iov[i].len && !is_stream)
            return -EMSGSIZE;
        if (!vxl_get(p, m->iov[i].base, buffer + size, part))
            return -EFAULT;
        size += part;
    }
    return (int)size;
}

/* A datagram may not fit although the kernel says that something does: look again after a while. */
static int wait_for_room(struct vxl_proc *p, uint32_t number, int host)
{
    uint32_t serial = p->fds[number].serial;
    struct timespec soon = {0, 1000000};
    if (vxl_thread_pause(p, host, POLLOUT) < 0)
        return -EINTR;
    struct vxl_thread *self = p->self;
    vxl_thread_leave(p);
    nanosleep(&soon, NULL);
    vxl_thread_enter(p, self);
    return p->fds[number].in_use && p->fds[number].serial == serial ? 0 : -EINTR; /* made again it says EBADF */
}

static bool blocks(const struct vxl_fd *fd, uint32_t flags)
{
    return !(flags & MSG_DONTWAIT) && !(fcntl(fd->host, F_GETFL) & O_NONBLOCK);
}

static int32_t send_resolved(struct vxl_proc *p, uint32_t number, const struct message *m)
{
    uint8_t buffer[BUFFER_BYTES];
    struct vxl_fd *fd = vxl_fd(p, number);
    int type = 0;
    socklen_t length = sizeof type;
    if (!fd)
        return -EBADF;
    if (getsockopt(fd->host, SOL_SOCKET, SO_TYPE, &type, &length))
        return -errno;
    if (m->flags & ~(uint32_t)FLAGS)
        return -EINVAL;
    if (m->address.size && !fd->is_net)
        return -EISCONN;
    int size = gather(p, m, type == SOCK_STREAM, buffer);
    if (size < 0)
        return size;
    for (;;) {
        int waited = m->flags & MSG_DONTWAIT ? 0 : vxl_wait_socket(p, fd, POLLOUT, SO_SNDTIMEO);
        if (waited < 0)
            return waited;
        /* with threads a part goes, and nobody waits: the one that reads may be another of them */
        int extra = p->threads ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_NOSIGNAL;
        ssize_t done = sendto(fd->host, buffer, (size_t)size, (int)m->flags | extra,
                              m->address.size ? &m->address.u.any : NULL, m->address.size);
        if (done >= 0)
            return (int32_t)done;
        if (errno == EAGAIN && p->threads && blocks(fd, m->flags)) {
            if (wait_for_room(p, number, fd->host) < 0)
                return -VXL_RESTART_SYS;
            continue;
        }
        if (errno == EINTR && !vxl_is_interrupted(p))
            continue;
        if (errno == EPIPE && !(m->flags & MSG_NOSIGNAL))
            vxl_raise_simple(p, SIGPIPE, SI_USER);
        return errno == EINTR ? -VXL_RESTART_SYS : -errno;
    }
}

static int32_t send_message(struct vxl_proc *p, uint32_t number, struct message *m)
{
    const struct vxl_fd *fd = vxl_fd(p, number);
    int32_t status = !fd ? -EBADF : m->address.size && fd->is_net ? vxl_unix_resolve(p, fd, &m->address) : 0;
    if (status == 0)
        status = send_resolved(p, number, m);
    if (m->address.size)
        vxl_unix_done(&m->address);
    return status;
}

/* MSG_WAITALL of a stream, with threads: in parts, so that others run meanwhile. */
static bool is_to_fill(struct vxl_proc *p, const struct vxl_fd *fd, const struct message *m, ssize_t have,
                       uint32_t size)
{
    int type = 0;
    socklen_t length = sizeof type;
    return p->threads && m->flags & MSG_WAITALL && !(m->flags & MSG_PEEK) && have < (ssize_t)size && blocks(fd, m->flags) &&
           getsockopt(fd->host, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

/* As long as the descriptor is the same one. Returns how many bytes there are in all. */
static ssize_t receive_rest(struct vxl_proc *p, uint32_t number, uint8_t *buffer, ssize_t have, uint32_t size)
{
    const struct vxl_fd *fd = &p->fds[number];
    uint32_t serial = fd->serial;
    while (have < (ssize_t)size) {
        if (vxl_thread_pause(p, fd->host, POLLIN) < 0 || !fd->in_use || fd->serial != serial)
            break;
        ssize_t done = recv(fd->host, buffer + have, size - (uint32_t)have, MSG_DONTWAIT);
        if (done == 0 || (done < 0 && errno != EAGAIN && errno != EINTR))
            break;
        have += done > 0 ? done : 0;
    }
    return have;
}

/* TCP's MSG_TRUNC: bytes are thrown away, and nothing is written. */
static bool throws_away(const struct vxl_fd *fd, uint32_t flags)
{
    int domain = AF_UNIX, type = 0;
    socklen_t length = sizeof domain;
    if (!(flags & MSG_TRUNC) || getsockopt(fd->host, SOL_SOCKET, SO_DOMAIN, &domain, &length))
        return false;
    length = sizeof type;
    return domain != AF_UNIX && getsockopt(fd->host, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

/* m->address: whom it is from. */
static int32_t receive_message(struct vxl_proc *p, uint32_t number, struct message *m)
{
    uint8_t buffer[BUFFER_BYTES];
    uint32_t size = 0, used = 0;
    ssize_t done;
    struct vxl_fd *fd = vxl_fd(p, number);
    if (!fd)
        return -EBADF;
    if (m->flags & ~(uint32_t)FLAGS)
        return -EINVAL;
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t part = m->iov[i].len < BUFFER_BYTES - size ? m->iov[i].len : BUFFER_BYTES - size;
        if (vxl_accessible(p, m->iov[i].base, part, VX_PROT_WRITE) < part)
            return -EFAULT;
        size += part;
    }
    if (m->flags & MSG_TRUNC) /* what comes back may be more than what was written */
        memset(buffer, 0, size);
    for (;;) {
        int waited = m->flags & MSG_DONTWAIT ? 0 : vxl_wait_socket(p, fd, POLLIN, SO_RCVTIMEO);
        if (waited < 0)
            return waited;
        m->address.size = sizeof m->address.u;
        int extra = p->threads ? MSG_DONTWAIT : 0;
        done = recvfrom(fd->host, buffer, size, (int)m->flags | extra, &m->address.u.any, &m->address.size);
        if (done > 0 && is_to_fill(p, fd, m, done, size))
            done = receive_rest(p, number, buffer, done, size);
        if (done >= 0)
            break;
        if (errno == EAGAIN && extra && blocks(fd, m->flags)) /* somebody else was first */
            continue;
        if (errno != EINTR)
            return -errno;
        if (vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
    if (!fd->is_net) /* the ends of a pair have no names, and those of the host's are not for the guest */
        m->address.size = 0;
    vxl_unix_show(p, &m->address);
    uint32_t got = throws_away(fd, m->flags) ? 0 : done < (ssize_t)size ? (uint32_t)done : size;
    for (uint32_t i = 0; i < m->count && used < got; i++) {
        uint32_t part = m->iov[i].len < got - used ? m->iov[i].len : got - used;
        if (!vxl_put(p, m->iov[i].base, buffer + used, part))
            return -EFAULT;
        used += part;
    }
    return (int32_t)done;
}

int32_t vxl_socket_write(struct vxl_proc *p, uint32_t fd, const struct abi32_iovec *iov, uint32_t count, bool goes_on)
{
    struct message m = {.iov = iov, .count = count, .flags = goes_on ? MSG_DONTWAIT | MSG_NOSIGNAL : 0};
    return send_message(p, fd, &m);
}

int32_t vxl_socket_read(struct vxl_proc *p, uint32_t fd, const struct abi32_iovec *iov, uint32_t count)
{
    struct message m = {.iov = iov, .count = count};
    return receive_message(p, fd, &m);
}

/* ---- calls ------------------------------------------------------------ */

/* sendto and recvfrom: fd, buffer, size, flags, address, its size. */
int32_t vxl_sendto(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_iovec iov = {a[1], a[2]};
    struct message m = {.iov = &iov, .count = 1, .flags = a[3]};
    int status = a[4] ? vxl_address_get(p, a[4], a[5], &m.address) : 0;
    return status ? status : send_message(p, a[0], &m);
}

int32_t vxl_recvfrom(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_iovec iov = {a[1], a[2]};
    struct message m = {.iov = &iov, .count = 1, .flags = a[3]};
    int32_t done = receive_message(p, a[0], &m);
    return done >= 0 && a[4] && a[5] && !vxl_address_answer(p, a[4], a[5], &m.address) ? -EFAULT : done;
}

/* send and recv have no address: socketcall's numbers 9 and 10. */
static int32_t send_plain(struct vxl_proc *p, const uint32_t *a)
{
    return vxl_sendto(p, (uint32_t[6]){a[0], a[1], a[2], a[3]});
}

static int32_t receive_plain(struct vxl_proc *p, const uint32_t *a)
{
    return vxl_recvfrom(p, (uint32_t[6]){a[0], a[1], a[2], a[3]});
}

/* struct msghdr */
enum { NAME, NAME_SIZE, BUFFERS, COUNT, CONTROL, CONTROL_SIZE, MESSAGE_FLAGS, HEADER_WORDS };

static int get_message(struct vxl_proc *p, vx_gaddr addr, uint32_t header[HEADER_WORDS], struct abi32_iovec iov[VECTOR_LIMIT])
{
    if (!vxl_get(p, addr, header, HEADER_WORDS * 4))
        return -EFAULT;
    if (header[COUNT] > VECTOR_LIMIT)
        return -EMSGSIZE;
    return vxl_get(p, header[BUFFERS], iov, header[COUNT] * sizeof *iov) ? 0 : -EFAULT;
}

static int32_t send_header(struct vxl_proc *p, uint32_t fd, vx_gaddr addr, uint32_t flags)
{
    struct abi32_iovec iov[VECTOR_LIMIT];
    uint32_t header[HEADER_WORDS];
    struct message m = {.iov = iov, .flags = flags};
    int status = get_message(p, addr, header, iov);
    if (status == 0 && header[CONTROL_SIZE])
        status = -EOPNOTSUPP;
    if (status == 0 && header[NAME])
        status = vxl_address_get(p, header[NAME], header[NAME_SIZE], &m.address);
    m.count = header[COUNT];
    return status ? status : send_message(p, fd, &m);
}

static int32_t receive_header(struct vxl_proc *p, uint32_t fd, vx_gaddr addr, uint32_t flags)
{
    struct abi32_iovec iov[VECTOR_LIMIT];
    uint32_t header[HEADER_WORDS];
    struct message m = {.iov = iov, .flags = flags};
    int status = get_message(p, addr, header, iov);
    if (status < 0)
        return status;
    m.count = header[COUNT];
    int32_t done = receive_message(p, fd, &m);
    if (done < 0)
        return done;
    if (header[NAME] && !vxl_address_put(p, header[NAME], header[NAME_SIZE], &m.address))
        return -EFAULT;
    header[NAME_SIZE] = header[NAME] ? m.address.size : 0;
    header[CONTROL_SIZE] = header[MESSAGE_FLAGS] = 0;
    return vxl_put(p, addr, header, sizeof header) ? done : -EFAULT;
}

int32_t vxl_sendmsg(struct vxl_proc *p, const uint32_t *a)
{
    return send_header(p, a[0], a[1], a[2]);
}

int32_t vxl_recvmsg(struct vxl_proc *p, const uint32_t *a)
{
    return receive_header(p, a[0], a[1], a[2]);
}

/*
 * sendmmsg and recvmmsg: fd, array of headers with a length behind each, count, flags. After the first, an error ends it, and
 * so does *end_ns, which is looked at only when a message has come, as in Linux. With threads a call that waits is made again,
 * and goes on where it was.
 */
static int32_t many(struct vxl_proc *p, const uint32_t *a, bool is_send, uint64_t *end_ns)
{
    const uint32_t size = (HEADER_WORDS + 1) * 4;
    uint32_t count = a[2] < MESSAGE_LIMIT ? a[2] : MESSAGE_LIMIT, flags = a[3] & ~WAIT_FOR_ONE, i = 0;
    if (p->threads && vxl_thread_is_again(p)) {
        i = vxl_thread_waiting(p)->messages;
        if (i)
            *end_ns = vxl_thread_waiting(p)->until_ns;
    }
    for (; i < count; i++) {
        vx_gaddr header = a[1] + i * size;
        int32_t done = is_send ? send_header(p, a[0], header, flags) : receive_header(p, a[0], header, flags);
        if (p->threads && p->is_blocked) {
            vxl_thread_waiting(p)->messages = i;
            vxl_thread_waiting(p)->until_ns = *end_ns;
            return done;
        }
        if (done < 0)
            return i ? (int32_t)i : done;
        if (!vxl_put(p, header + HEADER_WORDS * 4, &done, 4))
            return i ? (int32_t)i : -EFAULT;
        if (vxl_now_ns() >= *end_ns)
            return (int32_t)i + 1;
        if (a[3] & WAIT_FOR_ONE)
            flags |= MSG_DONTWAIT;
    }
    return (int32_t)i;
}

int32_t vxl_sendmmsg(struct vxl_proc *p, const uint32_t *a)
{
    uint64_t end = UINT64_MAX;
    return many(p, a, true, &end);
}

static int32_t receive_many(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct timespec limit;
    uint64_t start = vxl_now_ns(), end = UINT64_MAX;
    if (a[4]) {
        if (!vxl_times_get(p, a[4], is_64, &limit))
            return -EFAULT;
        if (limit.tv_sec < 0 || limit.tv_nsec < 0 || limit.tv_nsec >= SECOND_NS)
            return -EINVAL;
        end = limit.tv_sec < LONGEST_WAIT ? start + (uint64_t)limit.tv_sec * SECOND_NS + (uint64_t)limit.tv_nsec : UINT64_MAX;
    }
    int32_t count = many(p, a, false, &end);
    if (end != UINT64_MAX && count > 0) {
        uint64_t now = vxl_now_ns(), left = now < end ? end - now : 0;
        limit = (struct timespec){(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};
        if (!vxl_times_put(p, a[4], is_64, &limit))
            return -EFAULT;
    }
    return count;
}

int32_t vxl_recvmmsg(struct vxl_proc *p, const uint32_t *a)
{
    return receive_many(p, a, false);
}

int32_t vxl_recvmmsg_time64(struct vxl_proc *p, const uint32_t *a)
{
    return receive_many(p, a, true);
}

/* socketcall: a number, and a pointer to the arguments (net.h of the kernel). */
int32_t vxl_socketcall(struct vxl_proc *p, const uint32_t *a)
{
    static const struct { vxl_handler *handler; unsigned count; } rows[] = {
        [1] = {vxl_socket, 3}, [2] = {vxl_bind, 3}, [3] = {vxl_connect, 3}, [4] = {vxl_listen, 2}, [5] = {vxl_accept, 3},
        [6] = {vxl_getsockname, 3}, [7] = {vxl_getpeername, 3}, [8] = {vxl_socketpair, 4}, [9] = {send_plain, 4},
        [10] = {receive_plain, 4}, [11] = {vxl_sendto, 6}, [12] = {vxl_recvfrom, 6}, [13] = {vxl_shutdown, 2},
        [14] = {vxl_setsockopt, 5}, [15] = {vxl_getsockopt, 5}, [16] = {vxl_sendmsg, 3}, [17] = {vxl_recvmsg, 3},
        [18] = {vxl_accept4, 4}, [19] = {vxl_recvmmsg, 5}, [20] = {vxl_sendmmsg, 4}};
    uint32_t args[6] = {0};
    if (a[0] >= sizeof rows / sizeof *rows || !rows[a[0]].handler)
        return -EINVAL;
    if (!vxl_get(p, a[1], args, rows[a[0]].count * 4))
        return -EFAULT;
    return rows[a[0]].handler(p, args);
}

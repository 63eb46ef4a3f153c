/* Sockets with addresses: made, bound, connected, listened to, their names and options. Messages are in socket.c. */
#include "vxrt/linux/net.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vxrt/linux/threads.h"

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

static int32_t refuse(struct vxl_proc *p)
{
    p->refused[p->call_number]++;
    return -EAFNOSUPPORT;
}

/* ---- addresses ------------------------------------------------------- */

int vxl_address_get(struct vxl_proc *p, vx_gaddr addr, uint32_t size, struct vxl_address *out)
{
    memset(out, 0, sizeof *out);
    out->held = -1;
    if (size < sizeof(sa_family_t) || size > sizeof(struct sockaddr_storage))
        return -EINVAL;
    out->size = size < sizeof out->u ? size : (socklen_t)sizeof out->u;
    if (!vxl_get(p, addr, &out->u, out->size))
        return -EFAULT;
    if (out->u.any.sa_family == AF_UNSPEC) /* ends what connect began */
        return 0;
    if (out->u.any.sa_family == AF_UNIX)
        return size > sizeof out->u.un ? -EINVAL : 0;
    if (size < sizeof out->u.in)
        return -EINVAL;
    switch (out->u.any.sa_family) {
    case AF_INET:
        out->size = sizeof out->u.in;
        return 0;
    case AF_INET6:
        out->size = sizeof out->u.in6;
        return size < sizeof out->u.in6 ? -EINVAL : 0;
    default:
        return -EAFNOSUPPORT;
    }
}

bool vxl_address_put(struct vxl_proc *p, vx_gaddr addr, uint32_t capacity, const struct vxl_address *in)
{
    return vxl_put(p, addr, &in->u, in->size < capacity ? in->size : capacity);
}

bool vxl_address_answer(struct vxl_proc *p, vx_gaddr addr, vx_gaddr size_addr, const struct vxl_address *in)
{
    uint32_t capacity, size = in->size;
    if (!addr)
        return true;
    return vxl_get(p, size_addr, &capacity, 4) && vxl_address_put(p, addr, capacity, in) && vxl_put(p, size_addr, &size, 4);
}

/* ---- waiting --------------------------------------------------------- */

int vxl_wait_socket(struct vxl_proc *p, const struct vxl_fd *fd, short events, int option)
{
    struct timeval limit;
    struct timespec end;
    socklen_t size = sizeof limit;
    if (!fd->is_net || getsockopt(fd->host, SOL_SOCKET, option, &limit, &size) || (!limit.tv_sec && !limit.tv_usec))
        return vxl_wait_fd(p, fd->host, events) < 0 ? -VXL_RESTART_SYS : 0;
    if (fcntl(fd->host, F_GETFL) & O_NONBLOCK)
        return 0;
    vxl_end_of(&(struct timespec){limit.tv_sec, limit.tv_usec * 1000}, &end);
    int ready = vxl_wait(p, &(struct pollfd){.fd = fd->host, .events = events}, 1, &end);
    return ready > 0 ? 0 : ready == 0 ? -EAGAIN : ready;
}

/* ---- making and connecting ------------------------------------------- */

int32_t vxl_socket(struct vxl_proc *p, const uint32_t *a)
{
    static const char loopback[] = "lo";
    uint32_t type = a[1] & ~(uint32_t)TYPE_FLAGS;
    bool is_stream = type == SOCK_STREAM, is_unix = a[0] == AF_UNIX;
    if (p->config->net == VXL_NET_NONE || (a[0] != AF_INET && a[0] != AF_INET6 && !is_unix))
        return refuse(p);
    if (!is_stream && type != SOCK_DGRAM && !(is_unix && type == SOCK_SEQPACKET))
        return type == SOCK_RAW || type == SOCK_SEQPACKET ? -EPERM : -EINVAL;
    if (a[2] && a[2] != (is_unix ? PF_UNIX : is_stream ? IPPROTO_TCP : IPPROTO_UDP))
        return -EPROTONOSUPPORT;
    int host = socket((int)a[0], (int)a[1] | SOCK_CLOEXEC, (int)a[2]);
    if (host < 0)
        return -errno;
    if (!is_unix && p->config->net == VXL_NET_LOOPBACK && setsockopt(host, SOL_SOCKET, SO_BINDTODEVICE, loopback, sizeof loopback)) {
        close(host);
        return -EACCES;
    }
    int guest = vxl_fd_install(p, host, 0, a[1] & SOCK_CLOEXEC);
    if (guest >= 0)
        p->fds[guest].is_fixed = p->fds[guest].is_net = true;
    return guest;
}

/* A socket that vxl_socket or accept made; others, which may be the host's, keep the names they have. */
static struct vxl_fd *net_fd(struct vxl_proc *p, uint32_t number, int *error)
{
    struct vxl_fd *fd = vxl_fd(p, number);
    *error = !fd ? -EBADF : !fd->is_net ? -EOPNOTSUPP : 0;
    return *error ? NULL : fd;
}

int32_t vxl_bind(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_address address;
    int error;
    struct vxl_fd *fd = net_fd(p, a[0], &error);
    if (fd)
        error = vxl_address_get(p, a[1], a[2], &address);
    if (error == 0 && vxl_is_unix(fd, &address))
        return vxl_unix_bind(p, fd, &address);
    return error ? error : (int32_t)vxl_result(bind(fd->host, &address.u.any, address.size));
}

/* Host calls do not block: what waits must notice signals, and let other threads run. True: it was to block. */
static bool set_nonblocking(int host)
{
    int flags = fcntl(host, F_GETFL);
    bool blocks = !(flags & O_NONBLOCK);
    if (blocks)
        fcntl(host, F_SETFL, flags | O_NONBLOCK);
    return blocks;
}

static void set_blocking(int host)
{
    fcntl(host, F_SETFL, fcntl(host, F_GETFL) & ~O_NONBLOCK);
}

/* A second connect tells how the first one ended. */
int32_t vxl_connect(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_address address;
    int error;
    struct vxl_fd *fd = net_fd(p, a[0], &error);
    if (fd)
        error = vxl_address_get(p, a[1], a[2], &address);
    if (error == 0 && (error = vxl_unix_resolve(p, fd, &address)) < 0)
        vxl_unix_done(&address);
    if (error)
        return error;
    bool blocks = set_nonblocking(fd->host), is_unix = address.held >= 0;
    for (;;) {
        error = connect(fd->host, &address.u.any, address.size) ? -errno : 0;
        bool is_full = is_unix && error == -EAGAIN; /* too many wait to be accepted: nothing tells when not */
        if (!blocks || (error != -EINPROGRESS && error != -EALREADY && !is_full))
            break;
        struct pollfd ready = {.fd = fd->host, .events = POLLOUT};
        if ((is_full ? vxl_wait_a_little(p) : vxl_wait(p, &ready, 1, NULL)) < 0) {
            error = -VXL_RESTART_SYS;
            break;
        }
    }
    if (blocks)
        set_blocking(fd->host);
    vxl_unix_done(&address);
    return error;
}

int32_t vxl_listen(struct vxl_proc *p, const uint32_t *a)
{
    int error;
    struct vxl_fd *fd = net_fd(p, a[0], &error);
    return fd ? (int32_t)vxl_result(listen(fd->host, (int)a[1])) : error;
}

/* As vxl_wait_socket, but always: the call that follows does not block. */
static int wait_for_client(struct vxl_proc *p, const struct vxl_fd *fd)
{
    struct pollfd ready = {.fd = fd->host, .events = POLLIN};
    if (fcntl(fd->host, F_GETFL) & O_NONBLOCK)
        return 0;
    int error = vxl_wait_socket(p, fd, POLLIN, SO_RCVTIMEO);
    return error ? error : vxl_wait(p, &ready, 1, NULL) < 0 ? -VXL_RESTART_SYS : 0;
}

static int32_t accept_one(struct vxl_proc *p, const uint32_t *a, uint32_t flags)
{
    struct vxl_address address = {.size = sizeof address.u};
    int error, host;
    struct vxl_fd *fd = net_fd(p, a[0], &error);
    if (!fd)
        return error;
    if (flags & ~(uint32_t)TYPE_FLAGS)
        return -EINVAL;
    for (;;) {
        error = wait_for_client(p, fd);
        if (error)
            return error;
        bool blocks = set_nonblocking(fd->host);
        host = accept4(fd->host, &address.u.any, &address.size, (int)flags | SOCK_CLOEXEC);
        error = errno;
        if (blocks)
            set_blocking(fd->host);
        if (host >= 0)
            break;
        if (error == EAGAIN && blocks) /* somebody else was first */
            continue;
        return -error;
    }
    int guest = vxl_fd_install(p, host, 0, flags & SOCK_CLOEXEC);
    if (guest < 0)
        return guest;
    p->fds[guest].is_fixed = p->fds[guest].is_net = true;
    vxl_unix_show(p, &address);
    if (vxl_address_answer(p, a[1], a[2], &address))
        return guest;
    vxl_fd_close(p, (unsigned)guest);
    return -EFAULT;
}

int32_t vxl_accept(struct vxl_proc *p, const uint32_t *a)
{
    return accept_one(p, a, 0);
}

int32_t vxl_accept4(struct vxl_proc *p, const uint32_t *a)
{
    return accept_one(p, a, a[3]);
}

typedef int name_of(int fd, struct sockaddr *address, socklen_t *size);

static int32_t answer_name(struct vxl_proc *p, const uint32_t *a, name_of *name)
{
    struct vxl_address address = {.size = sizeof address.u};
    int error;
    struct vxl_fd *fd = net_fd(p, a[0], &error);
    if (!fd)
        return error;
    if (name(fd->host, &address.u.any, &address.size))
        return -errno;
    vxl_unix_show(p, &address);
    return a[1] && vxl_address_answer(p, a[1], a[2], &address) ? 0 : -EFAULT;
}

int32_t vxl_getsockname(struct vxl_proc *p, const uint32_t *a)
{
    return answer_name(p, a, getsockname);
}

int32_t vxl_getpeername(struct vxl_proc *p, const uint32_t *a)
{
    return answer_name(p, a, getpeername);
}

int32_t vxl_shutdown(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    return host < 0 ? host : (int32_t)vxl_result(shutdown(host, (int)a[1]));
}

/* ---- options --------------------------------------------------------- */

enum { TIMEOUT_OLD = 1, TIMEOUT_NEW = 2, LINGER = 4, SETTABLE = 8, ON_ANY = 16 };
enum { RCVTIMEO_NEW = 66, SNDTIMEO_NEW = 67 };
#define LONGEST_LINGER 1 /* seconds: close holds the box so long */

/* Options; an int but where another form is named. Most are for sockets with addresses only. */
static const struct option {
    int level, name;
    unsigned bits;
} options[] = {
    {SOL_SOCKET, SO_TYPE, ON_ANY}, {SOL_SOCKET, SO_ERROR, ON_ANY}, {SOL_SOCKET, SO_DOMAIN, ON_ANY},
    {SOL_SOCKET, SO_PROTOCOL, ON_ANY}, {SOL_SOCKET, SO_ACCEPTCONN, ON_ANY},
    {SOL_SOCKET, SO_SNDBUF, ON_ANY | SETTABLE}, {SOL_SOCKET, SO_RCVBUF, ON_ANY | SETTABLE},
    {SOL_SOCKET, SO_REUSEADDR, SETTABLE}, {SOL_SOCKET, SO_REUSEPORT, SETTABLE}, {SOL_SOCKET, SO_KEEPALIVE, SETTABLE},
    {SOL_SOCKET, SO_BROADCAST, SETTABLE}, {SOL_SOCKET, SO_OOBINLINE, SETTABLE}, {SOL_SOCKET, SO_RCVLOWAT, SETTABLE},
    {SOL_SOCKET, SO_LINGER, SETTABLE | LINGER},
    {SOL_SOCKET, SO_RCVTIMEO, SETTABLE | TIMEOUT_OLD}, {SOL_SOCKET, SO_SNDTIMEO, SETTABLE | TIMEOUT_OLD},
    {SOL_SOCKET, RCVTIMEO_NEW, SETTABLE | TIMEOUT_NEW}, {SOL_SOCKET, SNDTIMEO_NEW, SETTABLE | TIMEOUT_NEW},
    {IPPROTO_TCP, TCP_NODELAY, SETTABLE}, {IPPROTO_TCP, TCP_CORK, SETTABLE}, {IPPROTO_TCP, TCP_MAXSEG, SETTABLE},
    {IPPROTO_TCP, TCP_KEEPIDLE, SETTABLE}, {IPPROTO_TCP, TCP_KEEPINTVL, SETTABLE}, {IPPROTO_TCP, TCP_KEEPCNT, SETTABLE},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, SETTABLE}, {IPPROTO_TCP, TCP_QUICKACK, SETTABLE},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, SETTABLE},
    {IPPROTO_IP, IP_TOS, SETTABLE}, {IPPROTO_IP, IP_TTL, SETTABLE}, {IPPROTO_IP, IP_RECVERR, SETTABLE},
    {IPPROTO_IP, IP_MTU_DISCOVER, SETTABLE},
    {IPPROTO_IPV6, IPV6_V6ONLY, SETTABLE}, {IPPROTO_IPV6, IPV6_UNICAST_HOPS, SETTABLE}, {IPPROTO_IPV6, IPV6_RECVERR, SETTABLE},
    {IPPROTO_IPV6, IPV6_TCLASS, SETTABLE},
};

static const struct option *find_option(const struct vxl_fd *fd, const uint32_t *a)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].level == (int)a[1] && options[i].name == (int)a[2])
            return fd->is_net || (options[i].bits & ON_ANY) ? &options[i] : NULL;
    return NULL;
}

/* The host's number: its struct timeval is 64 bits wide under the old one. */
static int host_name(const struct option *option)
{
    return option->name == RCVTIMEO_NEW ? SO_RCVTIMEO : option->name == SNDTIMEO_NEW ? SO_SNDTIMEO : option->name;
}

union value {
    int number;
    struct linger linger;
    struct timeval time; /* also the guest's TIMEOUT_NEW */
    struct abi32_timeval old_time;
};

static uint32_t size_of(const struct option *option)
{
    union value *value;
    return option->bits & TIMEOUT_OLD ? sizeof value->old_time : option->bits & TIMEOUT_NEW ? sizeof value->time
           : option->bits & LINGER ? sizeof value->linger : sizeof value->number;
}

int32_t vxl_getsockopt(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    union value value;
    uint32_t capacity;
    socklen_t length = sizeof value;
    if (!fd)
        return -EBADF;
    if (!vxl_get(p, a[4], &capacity, 4))
        return -EFAULT;
    const struct option *option = find_option(fd, a);
    if (!option)
        return -ENOPROTOOPT;
    if (getsockopt(fd->host, option->level, host_name(option), &value, &length))
        return -errno;
    if (option->bits & TIMEOUT_OLD)
        value.old_time = (struct abi32_timeval){(int32_t)value.time.tv_sec, (int32_t)value.time.tv_usec};
    uint32_t size = size_of(option);
    if (size > capacity)
        size = capacity;
    return vxl_put(p, a[3], &value, size) && vxl_put(p, a[4], &size, 4) ? 0 : -EFAULT;
}

int32_t vxl_setsockopt(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    union value value;
    if (!fd)
        return -EBADF;
    const struct option *option = find_option(fd, a);
    if (!option || !(option->bits & SETTABLE))
        return -ENOPROTOOPT;
    if (a[4] < size_of(option))
        return -EINVAL;
    if (!vxl_get(p, a[3], &value, size_of(option)))
        return -EFAULT;
    if (!fd->is_net) /* of a pair, or of the host's: buffer sizes are a wish */
        return 0;
    if (option->bits & LINGER && value.linger.l_linger > LONGEST_LINGER)
        value.linger.l_linger = LONGEST_LINGER;
    if (option->bits & TIMEOUT_OLD)
        value.time = (struct timeval){value.old_time.sec, value.old_time.usec};
    socklen_t size = option->bits & (TIMEOUT_OLD | TIMEOUT_NEW) ? (socklen_t)sizeof value.time : size_of(option);
    return (int32_t)vxl_result(setsockopt(fd->host, option->level, host_name(option), &value, size));
}

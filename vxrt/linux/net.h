/*
 * Sockets with addresses (--net): IPv4 and IPv6, streams and datagrams, and AF_UNIX by paths of the guest. With --net=loopback each is bound to the loopback device when it is
 * made, so that the kernel keeps it on this machine.
 */
#ifndef VXRT_LINUX_NET_H
#define VXRT_LINUX_NET_H

#include <netinet/in.h>
#include <sys/un.h>

#include "vxrt/linux/calls.h"

/* An address that a guest may name; the layouts of i386 and x86-64 are the same. */
struct vxl_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
    socklen_t size;
    int held; /* -1, or the descriptor that the host's path names (net_unix.c) */
};

/* Copy an address from the guest, once. 0 or -errno: another family, or not its size. */
int vxl_address_get(struct vxl_proc *p, vx_gaddr addr, uint32_t size, struct vxl_address *out);
/* Copy as much as `capacity` allows to the guest. False: not accessible. */
bool vxl_address_put(struct vxl_proc *p, vx_gaddr addr, uint32_t capacity, const struct vxl_address *in);
/* The same where the capacity is a word of the guest's, which gets the size. A null address asks for nothing. */
bool vxl_address_answer(struct vxl_proc *p, vx_gaddr addr, vx_gaddr size_addr, const struct vxl_address *in);

/* net_unix.c. The path in an address; -ECONNREFUSED: it has none, or an abstract name. */
#define VXL_UNIX_PATH_BYTES (sizeof(struct sockaddr_un) + 1)
int vxl_unix_path(const struct vxl_address *address, char path[VXL_UNIX_PATH_BYTES]);
/* Is it a path for an AF_UNIX socket? Of other sockets the kernel refuses such an address, and does not look at the path. */
bool vxl_is_unix(const struct vxl_fd *fd, const struct vxl_address *address);
/* Make the address of a socket file one for the host; others stay. 0 or -errno. Then, in any case, vxl_unix_done. */
int vxl_unix_resolve(struct vxl_proc *p, const struct vxl_fd *fd, struct vxl_address *address);
void vxl_unix_done(struct vxl_address *address);
/* bind of an AF_UNIX socket. 0 or -errno. */
int vxl_unix_bind(struct vxl_proc *p, struct vxl_fd *fd, struct vxl_address *address);
/* Make an address from the host one for the guest: the name that the guest bound in this process, or before it forked; else none. */
void vxl_unix_show(struct vxl_proc *p, struct vxl_address *address);

/*
 * Wait until a socket that blocks is ready. 0; -EAGAIN: the time that the guest set for it is over (option: SO_RCVTIMEO or
 * SO_SNDTIMEO); interrupted, -EINTR where there is such a time, and -VXL_RESTART_SYS.
 */
int vxl_wait_socket(struct vxl_proc *p, const struct vxl_fd *fd, short events, int option);

/* socket.c: write and read, where there are threads. What of a write goes on behind a first part does not wait: -EAGAIN. */
int32_t vxl_socket_write(struct vxl_proc *p, uint32_t fd, const struct abi32_iovec *iov, uint32_t count, bool goes_on);
int32_t vxl_socket_read(struct vxl_proc *p, uint32_t fd, const struct abi32_iovec *iov, uint32_t count);

/* socketcall alone has it. */
vxl_handler vxl_accept;

#endif

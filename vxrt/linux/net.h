/*
 * Sockets with addresses (--net): IPv4 and IPv6, streams and datagrams. With --net=loopback each is bound to the loopback device when it is
 * made, so that the kernel keeps it on this machine.
 */
#ifndef VXRT_LINUX_NET_H
#define VXRT_LINUX_NET_H

#include <netinet/in.h>

#include "vxrt/linux/calls.h"

/* An address that a guest may name; the layouts of i386 and x86-64 are the same. */
struct vxl_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } u;
    socklen_t size;
};

/* Copy an address from the guest, once. 0 or -errno: another family, or not its size. */
int vxl_address_get(struct vxl_proc *p, vx_gaddr addr, uint32_t size, struct vxl_address *out);
/* Copy as much as `capacity` allows to the guest. False: not accessible. */
bool vxl_address_put(struct vxl_proc *p, vx_gaddr addr, uint32_t capacity, const struct vxl_address *in);
/* The same where the capacity is a word of the guest's, which gets the size. A null address asks for nothing. */
bool vxl_address_answer(struct vxl_proc *p, vx_gaddr addr, vx_gaddr size_addr, const struct vxl_address *in);

/*
 * Wait until a socket that blocks is ready. 0; -EINTR; -EAGAIN: the time that the guest set for it is over (option: SO_RCVTIMEO or
 * SO_SNDTIMEO).
 */
int vxl_wait_socket(struct vxl_proc *p, const struct vxl_fd *fd, short events, int option);

/* socketcall alone has it. */
vxl_handler vxl_accept;

#endif

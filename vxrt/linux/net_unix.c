/*
 * Names of AF_UNIX sockets: paths of the guest, resolved as any other. The host's kernel is told the file itself, or its directory and last
 * name, by way of /proc/self/fd; what it knows a socket by means nothing to a guest, which is shown
 * what it said itself. There are no abstract names: they would be those of the host.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vxrt/linux/net.h"

#define HEAD offsetof(struct sockaddr_un, sun_path)

static bool is_unix(const struct vxl_address *address)
{
    return address->size >= sizeof(sa_family_t) && address->u.any.sa_family == AF_UNIX;
}

bool vxl_is_unix(const struct vxl_fd *fd, const struct vxl_address *address)
{
    int family = AF_UNIX;
    socklen_t size = sizeof family;
    return is_unix(address) && (getsockopt(fd->host, SOL_SOCKET, SO_DOMAIN, &family, &size) || family == AF_UNIX);
}

int vxl_unix_path(const struct vxl_address *address, char path[VXL_UNIX_PATH_BYTES])
{
    size_t size = address->size > HEAD ? address->size - HEAD : 0;
    memcpy(path, address->u.un.sun_path, size);
    path[size] = 0;
    return *path ? 0 : -ECONNREFUSED;
}

static int set_path(struct vxl_address *address, int length)
{
    if (length < 0 || length >= (int)sizeof address->u.un.sun_path)
        return -ENAMETOOLONG;
    address->size = (socklen_t)(HEAD + (size_t)length + 1);
    return 0;
}

int vxl_unix_resolve(struct vxl_proc *p, const struct vxl_fd *fd, struct vxl_address *address)
{
    char path[VXL_UNIX_PATH_BYTES];
    struct vxl_place place;
    if (!vxl_is_unix(fd, address))
        return 0;
    int status = vxl_unix_path(address, path);
    if (status == 0)
        status = vxl_find(p, (uint32_t)AT_FDCWD, path, &place);
    if (status < 0)
        return status;
    int file = vxl_open_beneath(&place, O_PATH, 0);
    if (file < 0)
        return file;
    address->held = file;
    if (place.is_read_only) /* who answers may change what the guest must not */
        return -EACCES;
    return set_path(address, snprintf(address->u.un.sun_path, sizeof address->u.un.sun_path, "/proc/self/fd/%d", file));
}

void vxl_unix_done(struct vxl_address *address)
{
    if (address->held >= 0)
        close(address->held);
    address->held = -1;
}

int vxl_unix_bind(struct vxl_proc *p, struct vxl_fd *fd, struct vxl_address *address)
{
    char path[VXL_UNIX_PATH_BYTES];
    struct vxl_place place;
    if (vxl_unix_path(address, path) < 0)
        return -EACCES;
    int status = vxl_find_parent(p, (uint32_t)AT_FDCWD, path, &place);
    if (status == 0)
        status = place.is_read_only ? -EROFS
                 : set_path(address, snprintf(address->u.un.sun_path, sizeof address->u.un.sun_path, "/proc/self/fd/%d/%s",
                                              place.dir_fd, place.name));
    if (status == 0)
        status = bind(fd->host, &address->u.any, address->size) ? -errno : 0;
    if (status == 0)
        fd->path = strdup(path);
    vxl_place_done(&place);
    return status == -EEXIST ? -EADDRINUSE : status;
}

void vxl_unix_show(struct vxl_proc *p, struct vxl_address *address)
{
    struct sockaddr_un own;
    if (!is_unix(address) || address->size <= HEAD)
        return;
    for (unsigned i = 0; i < VXL_FD_LIMIT; i++) {
        const struct vxl_fd *fd = &p->fds[i];
        socklen_t size = sizeof own;
        if (!fd->in_use || !fd->is_net || !fd->path || getsockname(fd->host, (struct sockaddr *)&own, &size) ||
            size != address->size || memcmp(own.sun_path, address->u.un.sun_path, size - HEAD))
            continue;
        size_t length = strlen(fd->path);
        memcpy(address->u.un.sun_path, fd->path, length + 1);
        address->size = (socklen_t)(HEAD + length + 1);
        return;
    }
    address->size = (socklen_t)HEAD; /* somebody else's */
}

/*
 * The guest's descriptor table: small integers to host descriptors. Guests
 * never see or name a host descriptor; the standard streams are duplicates,
 * so that a guest that closes them does not close the host's.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

/* Host descriptors of guests lie above these, out of the way of 0, 1 and 2. */
#define HOST_FD_LEAST 10
#define MOST_PIPE_BYTES 65536u

struct vxl_fd *vxl_fd(struct vxl_proc *p, uint32_t fd)
{
    return fd < VXL_FD_LIMIT && p->fds[fd].in_use ? &p->fds[fd] : NULL;
}

int vxl_host_fd(struct vxl_proc *p, uint32_t fd)
{
    struct vxl_fd *entry = vxl_fd(p, fd);
    return entry ? entry->host : -EBADF;
}

int vxl_fd_install(struct vxl_proc *p, int host, unsigned least, bool is_cloexec)
{
    for (unsigned fd = least; fd < VXL_FD_LIMIT; fd++) {
        if (p->fds[fd].in_use)
            continue;
        p->fds[fd] = (struct vxl_fd){
            .in_use = true, .host = host, .is_cloexec = is_cloexec, .serial = ++p->last_serial};
        return (int)fd;
    }
    close(host);
    return -EMFILE;
}

void vxl_fd_close(struct vxl_proc *p, unsigned fd)
{
    if (!p->fds[fd].in_use)
        return;
    close(p->fds[fd].host);
    free(p->fds[fd].path);
    p->fds[fd] = (struct vxl_fd){0};
}

void vxl_fd_close_on_exec(struct vxl_proc *p)
{
    for (unsigned fd = 0; fd < VXL_FD_LIMIT; fd++)
        if (p->fds[fd].is_cloexec)
            vxl_fd_close(p, fd);
}

void vxl_fd_start(struct vxl_proc *p)
{
    for (unsigned fd = 0; fd < 3; fd++) {
        int host = fcntl((int)fd, F_DUPFD_CLOEXEC, HOST_FD_LEAST);
        if (host >= 0)
            p->fds[fd] = (struct vxl_fd){.in_use = true, .host = host, .is_fixed = true};
    }
}

int32_t vxl_close(struct vxl_proc *p, const uint32_t *a)
{
    if (!vxl_fd(p, a[0]))
        return -EBADF;
    vxl_fd_close(p, a[0]);
    return 0;
}

int32_t vxl_close_range(struct vxl_proc *p, const uint32_t *a)
{
    enum { ONLY_CLOEXEC = 4 };
    if (a[0] > a[1] || (a[2] & ~(uint32_t)ONLY_CLOEXEC))
        return -EINVAL;
    for (uint32_t fd = a[0]; fd <= a[1] && fd < VXL_FD_LIMIT; fd++) {
        if (a[2] & ONLY_CLOEXEC)
            p->fds[fd].is_cloexec = p->fds[fd].in_use;
        else
            vxl_fd_close(p, fd);
    }
    return 0;
}

/* ---- duplicates ------------------------------------------------------ */

static int32_t duplicate_to(struct vxl_proc *p, uint32_t from, uint32_t to, bool is_cloexec)
{
    struct vxl_fd copy = p->fds[from];
    int host = fcntl(copy.host, F_DUPFD_CLOEXEC, HOST_FD_LEAST);
    if (host < 0)
        return -errno;
    if (copy.path)
        copy.path = strdup(copy.path);
    vxl_fd_close(p, to);
    copy.host = host;
    copy.is_cloexec = is_cloexec;
    copy.serial = ++p->last_serial;
    p->fds[to] = copy;
    return (int32_t)to;
}

static int32_t duplicate(struct vxl_proc *p, uint32_t from, uint32_t least, bool is_cloexec)
{
    if (!vxl_fd(p, from))
        return -EBADF;
    if (least >= VXL_FD_LIMIT)
        return -EINVAL;
    for (uint32_t to = least; to < VXL_FD_LIMIT; to++)
        if (!p->fds[to].in_use)
            return duplicate_to(p, from, to, is_cloexec);
    return -EMFILE;
}

int32_t vxl_dup(struct vxl_proc *p, const uint32_t *a)
{
    return duplicate(p, a[0], 0, false);
}

int32_t vxl_dup2(struct vxl_proc *p, const uint32_t *a)
{
    if (!vxl_fd(p, a[0]) || a[1] >= VXL_FD_LIMIT)
        return -EBADF;
    return a[0] == a[1] ? (int32_t)a[1] : duplicate_to(p, a[0], a[1], false);
}

int32_t vxl_dup3(struct vxl_proc *p, const uint32_t *a)
{
    if (a[0] == a[1] || (a[2] & ~(uint32_t)O_CLOEXEC))
        return -EINVAL;
    if (!vxl_fd(p, a[0]) || a[1] >= VXL_FD_LIMIT)
        return -EBADF;
    return duplicate_to(p, a[0], a[1], a[2] & O_CLOEXEC);
}

static int32_t make_pipe(struct vxl_proc *p, vx_gaddr where, uint32_t flags)
{
    int host[2], guest[2];
    if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    if (vxl_accessible(p, where, 8, VX_PROT_WRITE) < 8)
        return -EFAULT;
    if (pipe2(host, (int)flags | O_CLOEXEC))
        return -errno;
    for (int i = 0; i < 2; i++)
        guest[i] = vxl_fd_install(p, host[i], 0, flags & O_CLOEXEC);
    if (guest[0] < 0 || guest[1] < 0) {
        for (int i = 0; i < 2; i++)
            if (guest[i] >= 0)
                vxl_fd_close(p, (unsigned)guest[i]);
        return -EMFILE;
    }
    for (int i = 0; i < 2; i++)
        p->fds[guest[i]].is_fixed = true;
    return vxl_put(p, where, guest, sizeof guest) ? 0 : -EFAULT;
}

int32_t vxl_pipe(struct vxl_proc *p, const uint32_t *a)
{
    return make_pipe(p, a[0], 0);
}

int32_t vxl_pipe2(struct vxl_proc *p, const uint32_t *a)
{
    return make_pipe(p, a[0], a[1]);
}

/* ---- fcntl ----------------------------------------------------------- */

enum { GETLK32 = 5, SETLK32 = 6, SETLKW32 = 7, GETLK64 = 12, SETLK64 = 13, SETLKW64 = 14 };

static bool get_lock(struct vxl_proc *p, vx_gaddr addr, bool is_64, struct flock *lock)
{
    struct abi32_flock old;
    struct abi32_flock64 new;
    *lock = (struct flock){0};
    if (is_64 ? !vxl_get(p, addr, &new, sizeof new) : !vxl_get(p, addr, &old, sizeof old))
        return false;
    lock->l_type = is_64 ? new.type : old.type;
    lock->l_whence = is_64 ? new.whence : old.whence;
    lock->l_start = is_64 ? new.start : old.start;
    lock->l_len = is_64 ? new.len : old.len;
    return true;
}

static bool put_lock(struct vxl_proc *p, vx_gaddr addr, bool is_64, const struct flock *lock)
{
    if (is_64) {
        struct abi32_flock64 out = {lock->l_type, lock->l_whence, lock->l_start, lock->l_len, 0};
        return vxl_put(p, addr, &out, sizeof out);
    }
    struct abi32_flock out = {lock->l_type, lock->l_whence, (int32_t)lock->l_start,
                              (int32_t)lock->l_len, 0};
    return vxl_put(p, addr, &out, sizeof out);
}

static int32_t record_lock(struct vxl_proc *p, int host, uint32_t command, vx_gaddr addr)
{
    bool is_64 = command >= GETLK64;
    struct flock lock;
    int host_command = F_SETLK;
    if (command == GETLK32 || command == GETLK64)
        host_command = F_GETLK;
    bool waits = command == SETLKW32 || command == SETLKW64;
    if (waits && !p->threads)
        host_command = F_SETLKW;
    if (!get_lock(p, addr, is_64, &lock))
        return -EFAULT;
    while (fcntl(host, host_command, &lock)) {
        bool is_taken = (errno == EAGAIN || errno == EACCES) && waits && p->threads;
        if (errno != EINTR && !is_taken)
            return -errno;
        if (is_taken ? vxl_wait_a_little(p) == -EINTR : vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
    if (host_command == F_GETLK && !put_lock(p, addr, is_64, &lock))
        return -EFAULT;
    return 0;
}

int32_t vxl_fcntl64(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    int flags;
    if (!fd)
        return -EBADF;
    switch (a[1]) {
    case F_DUPFD:
        return duplicate(p, a[0], a[2], false);
    case F_DUPFD_CLOEXEC:
        return duplicate(p, a[0], a[2], true);
    case F_GETFD:
        return fd->is_cloexec;
    case F_SETFD:
        fd->is_cloexec = a[2] & FD_CLOEXEC;
        return 0;
    case F_GETFL:
        /* the host's O_LARGEFILE bit is what the guest's headers call it too */
        flags = fcntl(fd->host, F_GETFL);
        return flags < 0 ? -errno : flags & ~O_CLOEXEC;
    case F_SETFL:
        flags = (int)a[2] & (O_APPEND | O_NONBLOCK);
        return (int32_t)vxl_result(fcntl(fd->host, F_SETFL, flags));
    case GETLK32:
    case SETLK32:
    case SETLKW32:
    case GETLK64:
    case SETLK64:
    case SETLKW64:
        return record_lock(p, fd->host, a[1], a[2]);
    case F_GETPIPE_SZ:
        return (int32_t)vxl_result(fcntl(fd->host, F_GETPIPE_SZ));
    case F_SETPIPE_SZ: /* never more than a pipe has by itself */
        flags = (int)(a[2] < MOST_PIPE_BYTES ? a[2] : MOST_PIPE_BYTES);
        return (int32_t)vxl_result(fcntl(fd->host, F_SETPIPE_SZ, flags));
    default:
        return -EINVAL;
    }
}

int32_t vxl_flock(struct vxl_proc *p, const uint32_t *a)
{
    int host = vxl_host_fd(p, a[0]);
    if (host < 0)
        return host;
    bool waits = !(a[1] & LOCK_NB);
    while (flock(host, (int)a[1] | (p->threads ? LOCK_NB : 0))) {
        bool is_taken = errno == EWOULDBLOCK && waits && p->threads;
        if (errno != EINTR && !is_taken)
            return -errno;
        if (is_taken ? vxl_wait_a_little(p) == -EINTR : vxl_is_interrupted(p))
            return -VXL_RESTART_SYS;
    }
    return 0;
}

/* ---- ioctl ----------------------------------------------------------- */

/* Size of the kernel's struct termios; the same on i386 and x86-64. */
#define TERMIOS_BYTES 36

int32_t vxl_ioctl(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_fd *fd = vxl_fd(p, a[0]);
    uint8_t termios[64];
    struct winsize size;
    int number;
    if (!fd)
        return -EBADF;
    switch (a[1]) {
    case TCGETS:
        if (ioctl(fd->host, TCGETS, termios))
            return -ENOTTY;
        return vxl_put(p, a[2], termios, TERMIOS_BYTES) ? 0 : -EFAULT;
    case TIOCGWINSZ:
        if (ioctl(fd->host, TIOCGWINSZ, &size))
            return -ENOTTY;
        return vxl_put(p, a[2], &size, sizeof size) ? 0 : -EFAULT;
    case FIONREAD:
        if (ioctl(fd->host, FIONREAD, &number))
            return -ENOTTY;
        return vxl_put(p, a[2], &number, 4) ? 0 : -EFAULT;
    case FIONBIO:
        if (!vxl_get(p, a[2], &number, 4))
            return -EFAULT;
        return (int32_t)vxl_result(ioctl(fd->host, FIONBIO, &number));
    case FIOCLEX:
    case FIONCLEX:
        fd->is_cloexec = a[1] == FIOCLEX;
        return 0;
    default:
        return -ENOTTY;
    }
}

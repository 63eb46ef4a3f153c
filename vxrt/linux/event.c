/*
 * Descriptors that tell of events: epoll, eventfd, timerfd. Each is one of the host, and names host
 * descriptors only by way of the guest's table.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"

#define EVENT_LIMIT 1024

static int32_t install(struct vxl_proc *p, int host, bool is_cloexec)
{
    if (host < 0)
        return -errno;
    int fd = vxl_fd_install(p, host, 0, is_cloexec);
    if (fd >= 0)
        p->fds[fd].is_fixed = true;
    return fd;
}

/* ---- epoll: struct epoll_event is the same, 12 bytes without padding, on both sides ---- */

int32_t vxl_epoll_create1(struct vxl_proc *p, const uint32_t *a)
{
    if (a[0] & ~(uint32_t)EPOLL_CLOEXEC)
        return -EINVAL;
    return install(p, epoll_create1(EPOLL_CLOEXEC), a[0] & EPOLL_CLOEXEC);
}

int32_t vxl_epoll_create(struct vxl_proc *p, const uint32_t *a)
{
    const uint32_t flags = 0;
    return (int32_t)a[0] <= 0 ? -EINVAL : vxl_epoll_create1(p, &flags);
}

int32_t vxl_epoll_ctl(struct vxl_proc *p, const uint32_t *a)
{
    struct epoll_event event = {0};
    int epoll = vxl_host_fd(p, a[0]), fd = vxl_host_fd(p, a[2]);
    if (epoll < 0 || fd < 0)
        return -EBADF;
    if (a[1] != EPOLL_CTL_DEL && !vxl_get(p, a[3], &event, sizeof event))
        return -EFAULT;
    event.events &= ~(uint32_t)EPOLLWAKEUP;
    return (int32_t)vxl_result(epoll_ctl(epoll, (int)a[1], fd, &event));
}

static int32_t epoll_until(struct vxl_proc *p, uint32_t fd, vx_gaddr out, uint32_t count, const struct timespec *end)
{
    struct epoll_event events[EVENT_LIMIT];
    int epoll = vxl_host_fd(p, fd);
    if (epoll < 0)
        return epoll;
    if ((int32_t)count <= 0)
        return -EINVAL;
    if (count > EVENT_LIMIT)
        count = EVENT_LIMIT;
    if (vxl_accessible(p, out, count * (uint32_t)sizeof *events, VX_PROT_WRITE) < count * sizeof *events)
        return -EFAULT;
    for (;;) {
        int ready = epoll_wait(epoll, events, (int)count, 0);
        if (ready < 0)
            return -errno;
        if (ready > 0)
            return vxl_put(p, out, events, (size_t)ready * sizeof *events) ? ready : -EFAULT;
        struct pollfd wait = {.fd = epoll, .events = POLLIN};
        int result = vxl_wait(p, &wait, 1, end);
        if (result <= 0) /* nothing until the end */
            return result == -EINTR ? -EINTR : result;
    }
}

int32_t vxl_epoll_wait(struct vxl_proc *p, const uint32_t *a)
{
    int32_t ms = (int32_t)a[3];
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L}, end;
    return epoll_until(p, a[0], a[1], a[2], ms >= 0 && vxl_end_of(&left, &end) ? &end : NULL);
}

int32_t vxl_epoll_pwait(struct vxl_proc *p, const uint32_t *a)
{
    if (a[4] && !vxl_set_temporary_mask(p, a[4], a[5]))
        return a[5] == 8 ? -EFAULT : -EINVAL;
    return vxl_epoll_wait(p, a);
}

int32_t vxl_epoll_pwait2(struct vxl_proc *p, const uint32_t *a)
{
    struct timespec left, end;
    if (a[3] && !vxl_times_get(p, a[3], true, &left))
        return -EFAULT;
    if (a[3] && !vxl_end_of(&left, &end))
        return -EINVAL;
    if (a[4] && !vxl_set_temporary_mask(p, a[4], a[5]))
        return a[5] == 8 ? -EFAULT : -EINVAL;
    return epoll_until(p, a[0], a[1], a[2], a[3] ? &end : NULL);
}

/* ---- eventfd and timerfd ---------------------------------------------- */

int32_t vxl_eventfd2(struct vxl_proc *p, const uint32_t *a)
{
    if (a[1] & ~(uint32_t)(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    return install(p, eventfd(a[0], (int)a[1] | EFD_CLOEXEC), a[1] & EFD_CLOEXEC);
}

int32_t vxl_eventfd(struct vxl_proc *p, const uint32_t *a)
{
    const uint32_t args[2] = {a[0], 0};
    return vxl_eventfd2(p, args);
}

int32_t vxl_timerfd_create(struct vxl_proc *p, const uint32_t *a)
{
    if ((a[0] != CLOCK_REALTIME && a[0] != CLOCK_MONOTONIC && a[0] != CLOCK_BOOTTIME) ||
        (a[1] & ~(uint32_t)(TFD_CLOEXEC | TFD_NONBLOCK)))
        return -EINVAL;
    return install(p, timerfd_create((int)a[0], (int)a[1] | TFD_CLOEXEC), a[1] & TFD_CLOEXEC);
}

/* struct itimerspec: interval, then value */
static uint32_t value_offset(bool is_64)
{
    return is_64 ? sizeof(struct abi32_timespec64) : sizeof(struct abi32_timespec);
}

static int32_t put_timer(struct vxl_proc *p, vx_gaddr addr, bool is_64, const struct itimerspec *timer)
{
    return vxl_times_put(p, addr, is_64, &timer->it_interval) &&
           vxl_times_put(p, addr + value_offset(is_64), is_64, &timer->it_value) ? 0 : -EFAULT;
}

static int32_t set_timer(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct itimerspec timer, old;
    int host = vxl_host_fd(p, a[0]);
    if (host < 0)
        return host;
    if (!vxl_times_get(p, a[2], is_64, &timer.it_interval) ||
        !vxl_times_get(p, a[2] + value_offset(is_64), is_64, &timer.it_value))
        return -EFAULT;
    if (timerfd_settime(host, (int)a[1], &timer, &old))
        return -errno;
    return a[3] ? put_timer(p, a[3], is_64, &old) : 0;
}

static int32_t get_timer(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct itimerspec timer;
    int host = vxl_host_fd(p, a[0]);
    if (host < 0)
        return host;
    return timerfd_gettime(host, &timer) ? -errno : put_timer(p, a[1], is_64, &timer);
}

int32_t vxl_timerfd_settime(struct vxl_proc *p, const uint32_t *a)
{
    return set_timer(p, a, false);
}

int32_t vxl_timerfd_settime64(struct vxl_proc *p, const uint32_t *a)
{
    return set_timer(p, a, true);
}

int32_t vxl_timerfd_gettime(struct vxl_proc *p, const uint32_t *a)
{
    return get_timer(p, a, false);
}

int32_t vxl_timerfd_gettime64(struct vxl_proc *p, const uint32_t *a)
{
    return get_timer(p, a, true);
}

/*
 * poll and select, on the guest's descriptors.
 */
#include <string.h>
#include <sys/select.h>

#include "vxrt/linux/calls.h"

#define SET_WORDS (VXL_FD_LIMIT / 32)

/* ---- poll ------------------------------------------------------------ */

static int32_t poll_fds(struct vxl_proc *p, vx_gaddr addr, uint32_t count,
                        const struct timespec *end)
{
    struct pollfd guest[VXL_FD_LIMIT], host[VXL_FD_LIMIT];
    static const struct timespec now = {0};
    int bad = 0;
    if (count > VXL_FD_LIMIT)
        return -EINVAL;
    if (count && !vxl_get(p, addr, guest, count * sizeof *guest))
        return -EFAULT;
    for (uint32_t i = 0; i < count; i++) {
        int fd = guest[i].fd < 0 ? -1 : vxl_host_fd(p, (uint32_t)guest[i].fd);
        host[i] = (struct pollfd){fd < 0 ? -1 : fd, guest[i].events, 0};
        bad += guest[i].fd >= 0 && fd < 0;
    }
    int result = vxl_wait(p, host, count, bad ? &now : end);
    if (result < 0)
        return result == -EINTR ? -VXL_RESTART_NO_HANDLER : result;
    for (uint32_t i = 0; i < count; i++) {
        bool is_bad = guest[i].fd >= 0 && host[i].fd < 0;
        guest[i].revents = is_bad ? POLLNVAL : host[i].revents;
    }
    if (count && !vxl_put(p, addr, guest, count * sizeof *guest))
        return -EFAULT;
    return result + bad;
}

int32_t vxl_poll(struct vxl_proc *p, const uint32_t *a)
{
    int32_t ms = (int32_t)a[2];
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L}, end;
    return poll_fds(p, a[0], a[1], ms >= 0 && vxl_end_of(&left, &end) ? &end : NULL);
}

static int32_t poll_masked(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct timespec left, end;
    if (a[2] && !vxl_times_get(p, a[2], is_64, &left))
        return -EFAULT;
    if (a[2] && !vxl_end_of(&left, &end))
        return -EINVAL;
    if (a[3] && !vxl_set_temporary_mask(p, a[3], a[4]))
        return a[4] == 8 ? -EFAULT : -EINVAL;
    return poll_fds(p, a[0], a[1], a[2] ? &end : NULL);
}

int32_t vxl_ppoll(struct vxl_proc *p, const uint32_t *a)
{
    return poll_masked(p, a, false);
}

int32_t vxl_ppoll_time64(struct vxl_proc *p, const uint32_t *a)
{
    return poll_masked(p, a, true);
}

/* ---- select ---------------------------------------------------------- */

/* What each of the three sets asks for, and what answers it (as in the kernel). */
static const short asks[3] = {POLLIN, POLLOUT, POLLPRI};
static const short answers[3] = {POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI};

static bool has_bit(const uint32_t *set, uint32_t bit)
{
    return set[bit / 32] >> bit % 32 & 1;
}

static int32_t select_fds(struct vxl_proc *p, uint32_t count, const uint32_t *addr,
                          const struct timespec *end)
{
    uint32_t sets[3][SET_WORDS] = {{0}}, out[3][SET_WORDS] = {{0}};
    struct pollfd host[VXL_FD_LIMIT];
    int32_t ready = 0;
    if ((int32_t)count < 0)
        return -EINVAL;
    if (count > VXL_FD_LIMIT)
        count = VXL_FD_LIMIT;
    uint32_t bytes = (count + 31) / 32 * 4;
    for (unsigned s = 0; s < 3; s++)
        if (addr[s] && bytes && !vxl_get(p, addr[s], sets[s], bytes))
            return -EFAULT;
    for (uint32_t fd = 0; fd < count; fd++) {
        host[fd] = (struct pollfd){-1, 0, 0};
        for (unsigned s = 0; s < 3; s++)
            if (has_bit(sets[s], fd))
                host[fd].events |= asks[s];
        if (host[fd].events && (host[fd].fd = vxl_host_fd(p, fd)) < 0)
            return -EBADF;
    }
    int result = vxl_wait(p, host, count, end);
    if (result < 0)
        return result == -EINTR ? -VXL_RESTART_NO_HANDLER : result;
    for (uint32_t fd = 0; fd < count; fd++)
        for (unsigned s = 0; s < 3; s++)
            if (has_bit(sets[s], fd) && (host[fd].revents & answers[s])) {
                out[s][fd / 32] |= 1u << fd % 32;
                ready++;
            }
    for (unsigned s = 0; s < 3; s++)
        if (addr[s] && bytes && !vxl_put(p, addr[s], out[s], bytes))
            return -EFAULT;
    return ready;
}

/* Linux's select stores the time that is left. */
static bool put_left(struct vxl_proc *p, vx_gaddr addr, const struct timespec *end)
{
    struct timespec left = vxl_time_left(CLOCK_MONOTONIC, end);
    struct abi32_timeval out = {(int32_t)left.tv_sec, (int32_t)(left.tv_nsec / 1000)};
    return vxl_put(p, addr, &out, sizeof out);
}

int32_t vxl_newselect(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_timeval in;
    struct timespec end;
    if (a[4]) {
        if (!vxl_get(p, a[4], &in, sizeof in))
            return -EFAULT;
        struct timespec left = {(time_t)in.sec + in.usec / 1000000, in.usec % 1000000 * 1000L};
        if (in.sec < 0 || in.usec < 0 || !vxl_end_of(&left, &end))
            return -EINVAL;
    }
    int32_t result = select_fds(p, a[0], a + 1, a[4] ? &end : NULL);
    if (a[4])
        put_left(p, a[4], &end);
    return result;
}

/* select(82): one pointer to five words */
int32_t vxl_select(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t args[5];
    return vxl_get(p, a[0], args, sizeof args) ? vxl_newselect(p, args) : -EFAULT;
}

static int32_t select_masked(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    struct timespec left, end;
    uint32_t mask[2] = {0, 0}; /* address and size */
    if (a[4] && !vxl_times_get(p, a[4], is_64, &left))
        return -EFAULT;
    if (a[4] && !vxl_end_of(&left, &end))
        return -EINVAL;
    if (a[5] && !vxl_get(p, a[5], mask, sizeof mask))
        return -EFAULT;
    if (mask[0] && !vxl_set_temporary_mask(p, mask[0], mask[1]))
        return mask[1] == 8 ? -EFAULT : -EINVAL;
    return select_fds(p, a[0], a + 1, a[4] ? &end : NULL);
}

int32_t vxl_pselect6(struct vxl_proc *p, const uint32_t *a)
{
    return select_masked(p, a, false);
}

int32_t vxl_pselect6_time64(struct vxl_proc *p, const uint32_t *a)
{
    return select_masked(p, a, true);
}

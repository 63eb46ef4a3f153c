/*
 * Identity, limits and other answers that are the same for every guest, so
 * that nothing of the host shows through them.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/file.h"

/* ---- the system ------------------------------------------------------ */

int32_t vxl_uname(struct vxl_proc *p, const uint32_t *a)
{
    char out[6][65] = {"Linux", "vx", "5.10.0-vx", "#1 Vx", "i686", "(none)"};
    return vxl_put(p, a[0], out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_sysinfo(struct vxl_proc *p, const uint32_t *a)
{
    uint64_t memory = p->config->box.max_memory ? p->config->box.max_memory : 1ull << 32;
    struct abi32_sysinfo out = {
        .uptime = (int32_t)(vxl_now_ns() / 1000000000u),
        .totalram = (uint32_t)(memory >> 12), .freeram = (uint32_t)(memory >> 13),
        .procs = 1, .mem_unit = 4096,
    };
    return vxl_put(p, a[0], &out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_getrandom(struct vxl_proc *p, const uint32_t *a)
{
    uint8_t bytes[256];
    uint32_t size = a[1] < (32u << 20) - 1 ? a[1] : (32u << 20) - 1;
    uint32_t done = 0;
    if (a[2] & ~7u)
        return -EINVAL;
    while (done < size) {
        size_t part = size - done < sizeof bytes ? size - done : sizeof bytes;
        if (getrandom(bytes, part, 0) != (ssize_t)part)
            return done ? (int32_t)done : -EAGAIN;
        if (!vxl_put(p, a[0] + done, bytes, part))
            return done ? (int32_t)done : -EFAULT;
        done += (uint32_t)part;
    }
    return (int32_t)done;
}

/* personality(2): the query, and the plain one. */
int32_t vxl_personality(struct vxl_proc *p, const uint32_t *a)
{
    return a[0] == UINT32_MAX || a[0] == 0 ? 0 : -EINVAL;
}

int32_t vxl_prctl(struct vxl_proc *p, const uint32_t *a)
{
    char name[16] = {0};
    switch (a[0]) {
    case PR_SET_NAME:
        if (vx_box_read_string(p->box, a[1], name, sizeof name) == VX_ERR_RANGE)
            return -EFAULT;
        memcpy(p->name, name, sizeof name);
        p->name[15] = 0;
        return 0;
    case PR_GET_NAME:
        return vxl_put(p, a[1], p->name, sizeof p->name) ? 0 : -EFAULT;
    case PR_GET_DUMPABLE:
    case PR_SET_DUMPABLE:
        return 0;
    default:
        return -EINVAL;
    }
}

/* No file has extended attributes, and none can get them. */
int32_t vxl_xattr(struct vxl_proc *p, const uint32_t *a)
{
    return -EOPNOTSUPP;
}

/* ---- users ----------------------------------------------------------- */

int32_t vxl_getid(struct vxl_proc *p, const uint32_t *a)
{
    return VXL_USER_ID;
}

int32_t vxl_getresuid32(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t id = VXL_USER_ID;
    for (unsigned i = 0; i < 3; i++)
        if (!vxl_put(p, a[i], &id, 4))
            return -EFAULT;
    return 0;
}

int32_t vxl_getresuid(struct vxl_proc *p, const uint32_t *a)
{
    uint16_t id = VXL_USER_ID;
    for (unsigned i = 0; i < 3; i++)
        if (!vxl_put(p, a[i], &id, 2))
            return -EFAULT;
    return 0;
}

static bool is_own(uint32_t id)
{
    return id == VXL_USER_ID || id == UINT32_MAX || id == UINT16_MAX;
}

int32_t vxl_setid(struct vxl_proc *p, const uint32_t *a)
{
    return a[0] == VXL_USER_ID ? 0 : -EPERM;
}

int32_t vxl_setids(struct vxl_proc *p, const uint32_t *a)
{
    return is_own(a[0]) && is_own(a[1]) ? 0 : -EPERM;
}

int32_t vxl_setids3(struct vxl_proc *p, const uint32_t *a)
{
    return is_own(a[0]) && is_own(a[1]) && is_own(a[2]) ? 0 : -EPERM;
}

/* No supplementary groups. */
int32_t vxl_getgroups(struct vxl_proc *p, const uint32_t *a)
{
    return (int32_t)a[0] < 0 ? -EINVAL : 0;
}

/* ---- limits ---------------------------------------------------------- */

static bool limit_of(uint32_t resource, struct rlimit *out)
{
    *out = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    switch (resource) {
    case RLIMIT_STACK:
        out->rlim_cur = 8u << 20;
        break;
    case RLIMIT_NOFILE:
        out->rlim_cur = out->rlim_max = VXL_FD_LIMIT;
        break;
    case RLIMIT_CORE:
        out->rlim_cur = out->rlim_max = 0;
        break;
    default:
        break;
    }
    return resource < RLIM_NLIMITS;
}

static uint32_t limit32(rlim_t limit, uint32_t infinity)
{
    return limit > infinity ? infinity : (uint32_t)limit;
}

static int32_t put_limit(struct vxl_proc *p, const uint32_t *a, uint32_t infinity)
{
    struct rlimit limit;
    if (!limit_of(a[0], &limit))
        return -EINVAL;
    struct abi32_rlimit out = {limit32(limit.rlim_cur, infinity), limit32(limit.rlim_max, infinity)};
    return vxl_put(p, a[1], &out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_getrlimit(struct vxl_proc *p, const uint32_t *a)
{
    return put_limit(p, a, UINT32_MAX);
}

int32_t vxl_old_getrlimit(struct vxl_proc *p, const uint32_t *a)
{
    return put_limit(p, a, INT32_MAX);
}

/* Limits cannot be changed; only core files, which there are none of, may be turned off. */
static int32_t set_limit(uint32_t resource)
{
    return resource >= RLIM_NLIMITS ? -EINVAL : resource == RLIMIT_CORE ? 0 : -EPERM;
}

int32_t vxl_setrlimit(struct vxl_proc *p, const uint32_t *a)
{
    return set_limit(a[0]);
}

int32_t vxl_prlimit64(struct vxl_proc *p, const uint32_t *a)
{
    struct rlimit limit;
    if (a[0] && (pid_t)a[0] != p->pid)
        return -ESRCH;
    if (!limit_of(a[1], &limit))
        return -EINVAL;
    if (a[2] && set_limit(a[1]) < 0)
        return set_limit(a[1]);
    uint64_t out[2] = {limit.rlim_cur, limit.rlim_max};
    return !a[3] || vxl_put(p, a[3], out, sizeof out) ? 0 : -EFAULT;
}

/*
 * Copying between the personality and guest memory: every argument that is a
 * pointer goes through here once, so that what was checked is what is used.
 */
#include "vxrt/linux/proc.h"

bool vxl_get(struct vxl_proc *p, vx_gaddr addr, void *dst, size_t size)
{
    return vx_box_read(p->box, addr, dst, size) == VX_OK;
}

bool vxl_put(struct vxl_proc *p, vx_gaddr addr, const void *src, size_t size)
{
    return vx_box_write(p->box, addr, src, size) == VX_OK;
}

int vxl_get_path(struct vxl_proc *p, vx_gaddr addr, char path[VXL_PATH_BYTES])
{
    switch (vx_box_read_string(p->box, addr, path, VXL_PATH_BYTES)) {
    case VX_OK:
        return 0;
    case VX_ERR_TOO_LARGE:
        return -ENAMETOOLONG;
    default:
        return -EFAULT;
    }
}

uint32_t vxl_accessible(struct vxl_proc *p, vx_gaddr addr, uint32_t size, int prot)
{
    uint32_t done = 0;
    while (done < size) {
        uint32_t at = addr + done;
        int page = vx_box_page_prot(p->box, at);
        if (page < 0 || (page & prot) != prot || at < addr)
            break;
        done += VX_PAGE_BYTES - at % VX_PAGE_BYTES;
    }
    return done < size ? done : size;
}

int64_t vxl_result(int64_t result)
{
    return result == -1 ? -errno : result;
}

bool vxl_times_get(struct vxl_proc *p, vx_gaddr addr, bool is_64, struct timespec *out)
{
    if (is_64) {
        struct abi32_timespec64 t;
        if (!vxl_get(p, addr, &t, sizeof t))
            return false;
        *out = (struct timespec){t.sec, t.nsec};
        return true;
    }
    struct abi32_timespec t;
    if (!vxl_get(p, addr, &t, sizeof t))
        return false;
    *out = (struct timespec){t.sec, t.nsec};
    return true;
}

bool vxl_times_put(struct vxl_proc *p, vx_gaddr addr, bool is_64, const struct timespec *in)
{
    if (is_64) {
        struct abi32_timespec64 t = {in->tv_sec, (int32_t)in->tv_nsec, 0};
        return vxl_put(p, addr, &t, sizeof t);
    }
    struct abi32_timespec t = {(int32_t)in->tv_sec, (int32_t)in->tv_nsec};
    return vxl_put(p, addr, &t, sizeof t);
}

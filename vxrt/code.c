/*
 * Code from a cache for a file that a guest maps: a zone relocated to where the file lies.
 *
 * Whose code it is, is for the caller to know: a mistake harms the guest, never
 * the host, as each chunk is verified after relocation, before it runs.
 */
#include <stdlib.h>

#include "format/sandbox.h"
#include "vxrt/internal.h"

struct vx_code {
    struct vxi_zone *zone;
};

static vx_status check(const struct vxf_meta *meta, vx_gaddr bias, struct vx_error *error)
{
    if (bias % VX_PAGE_BYTES)
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "the load address is not page-aligned");
    if (meta->contract != VX_CONTRACT_VERSION)
        return vxi_fail(error, VX_ERR_VXC_CONTRACT, 0, "the cache is for another sandbox contract");
    if (bias && !meta->relocatable)
        return vxi_fail(error, VX_ERR_VXC_GUEST, 0, "the cache cannot be moved to the load address");
    return vxi_cpu_of_cache(meta, error);
}

vx_status vx_code_open(int fd, vx_gaddr bias, struct vx_code **out, struct vx_error *error)
{
    struct vxf_file *file;
    if (!out || !error)
        return VX_ERR_ARGUMENT;
    struct vx_code *code = calloc(1, sizeof *code);
    if (!code)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    vx_status status = vxf_open_fd(fd, &file, error);
    if (status == VX_OK) {
        status = check(vxf_meta(file), bias, error);
        if (status == VX_OK && (status = vxi_zone_open(file, bias, &code->zone)) != VX_OK)
            vxi_fail(error, status, 0, "cannot reserve the code zone");
        if (status != VX_OK)
            vxf_close(file);
    }
    if (status != VX_OK) {
        free(code);
        return status;
    }
    *out = code;
    return VX_OK;
}

void vx_code_close(struct vx_code *code)
{
    if (!code)
        return;
    vxi_zone_close(code->zone);
    free(code);
}

void vx_code_guest(const struct vx_code *code, uint64_t hash[2], uint64_t *size)
{
    const struct vxf_meta *meta = vxf_meta(code->zone->file);
    hash[0] = meta->guest_hash[0];
    hash[1] = meta->guest_hash[1];
    *size = meta->guest_size;
}

vx_status vx_code_status(const struct vx_code *code, uint32_t *rule)
{
    bool is_bad = atomic_load(&code->zone->is_bad);
    *rule = is_bad ? code->zone->bad_rule : 0;
    return is_bad ? code->zone->bad_status : VX_OK;
}

vx_status vx_box_attach(struct vx_box *box, struct vx_code *code, vx_gaddr addr, uint32_t size)
{
    uint64_t end = (uint64_t)addr + size;
    if (!box || !code || !size || addr % VX_PAGE_BYTES || end > VXI_WINDOW_BYTES)
        return VX_ERR_ARGUMENT;
    if (code->zone->cpu.allowed != box->cpu)
        return VX_ERR_VXC_CPU;
    uint32_t first = addr / VX_PAGE_BYTES, last = (uint32_t)((end - 1) / VX_PAGE_BYTES);
    for (uint32_t p = first; p <= last; p++)
        if ((box->pages[p] & (VX_PROT_EXEC | VX_PROT_WRITE | VXI_PAGE_IMAGE)) != VX_PROT_EXEC)
            return VX_ERR_RANGE;
    if (atomic_load(&code->zone->is_bad))
        return code->zone->bad_status;
    vx_status status = vxi_zones_add(box, code->zone, &(struct vxi_pages){ first, last }, 1);
    vxi_changed(box, first, last);
    for (uint32_t p = first; status == VX_OK && p <= last; p++)
        box->pages[p] |= VXI_PAGE_IMAGE;
    return status;
}

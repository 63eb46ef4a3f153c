/*
 * Virtual CPUs inside the runtime (see cpu.c).
 */
#ifndef VXRT_CPU_H
#define VXRT_CPU_H

#include "format/cache.h"

/* What code may use: what its guest's CPU has, and the machine, once it has been asked. */
struct vxi_cpu {
    uint32_t allowed; /* VX_CPU_* of the guest */
    bool is_known;
    uint32_t features; /* VXV_CPU_* of this machine */
};
bool vxi_has_cpu(struct vxi_cpu *cpu, uint32_t features);

/* The CPU of this name (NULL: the default). VX_ERR_ARGUMENT: there is none; VX_ERR_CPU: not on this machine. */
vx_status vxi_cpu_choose(const char *name, uint32_t *cpu, struct vx_error *error);
/* The CPU that a cache is for, meta->options, is known, this machine can run it and what the code needs. */
vx_status vxi_cpu_of_cache(const struct vxf_meta *meta, struct vx_error *error);
/* VX_ERR_VXC_CPU. */
vx_status vxi_cpu_mismatch(uint32_t cache, uint32_t chosen, struct vx_error *error);

#endif

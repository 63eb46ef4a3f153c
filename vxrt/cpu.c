/*
 * Virtual CPUs of images and boxes (format/cpu.h): which one, may this machine
 * run it, and may code use what it needs.
 */
#include "vxrt/cpu.h"

#include "format/cpu.h"
#include "format/error.h"
#include "verifier/verifier.h"

#define SAME(name) ((uint32_t)VX_CPU_##name == (uint32_t)VXV_CPU_##name)
_Static_assert(SAME(SSE3) && SAME(SSSE3) && SAME(SSE41) && SAME(SSE42) && SAME(POPCNT) && SAME(LZCNT) && SAME(BMI1) &&
               SAME(BMI2) && SAME(MOVBE) && SAME(AES) && SAME(PCLMULQDQ) && SAME(SHA) && SAME(ADX) && SAME(RDRAND) &&
               SAME(RDSEED) && SAME(TSC) && SAME(AVX) && SAME(AVX2) && SAME(FMA) && SAME(F16C) && (uint32_t)VX_CPU_I686 == (VXV_CPU_LAHF | VXV_CPU_CX8),
               "guest and host features have the same bits");

/* Asked of every machine only when code uses it; rdtscp is done by the runtime. */
#define NOT_ASKED (VX_CPU_DEFAULT | VX_CPU_RDTSCP)

bool vxi_has_cpu(struct vxi_cpu *cpu, uint32_t features)
{
    if (!features)
        return true;
    if (!cpu->is_known) {
        cpu->features = vxv_cpu_of_this_machine();
        cpu->is_known = true;
    }
    return !(features & ~(cpu->features & cpu->allowed));
}

static vx_status check_machine(uint32_t cpu, const char *whose, struct vx_error *error)
{
    char text[VXF_CPU_TEXT_BYTES];
    uint32_t missing = cpu & ~(uint32_t)NOT_ASKED;
    if (missing)
        missing &= ~vxv_cpu_of_this_machine();
    if (!missing)
        return VX_OK;
    vxf_cpu_text(cpu, text);
    return vxi_fail(error, VX_ERR_CPU, 0, "%s CPU %s: this machine has no %s", whose, text,
                    vxf_cpu_feature((unsigned)__builtin_ctz(missing)));
}

vx_status vxi_cpu_choose(const char *name, uint32_t *cpu, struct vx_error *error)
{
    *cpu = VX_CPU_DEFAULT;
    if (!name)
        return VX_OK;
    if (!vxf_cpu_parse(name, vxv_cpu_of_this_machine(), cpu))
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "no such CPU: %.60s", name);
    return check_machine(*cpu, "the chosen", error);
}

vx_status vxi_cpu_of_cache(const struct vxf_meta *meta, struct vx_error *error)
{
    struct vxi_cpu cpu = { .allowed = meta->options };
    if (!vxf_cpu_is_valid(meta->options))
        return vxi_fail(error, VX_ERR_VXC_CPU, 0, "the cache is for no CPU that is known here");
    vx_status status = check_machine(meta->options, "the cache's", error);
    if (status != VX_OK || vxi_has_cpu(&cpu, meta->cpu_features))
        return status;
    const char *name = vxf_cpu_feature((unsigned)__builtin_ctz(meta->cpu_features & ~(cpu.features & cpu.allowed)));
    return vxi_fail(error, VX_ERR_CPU, 0, "the cache needs a CPU feature that is missing here: %s", name ? name : "unknown");
}

vx_status vxi_cpu_mismatch(uint32_t cache, uint32_t chosen, struct vx_error *error)
{
    char one[VXF_CPU_TEXT_BYTES], other[VXF_CPU_TEXT_BYTES];
    vxf_cpu_text(cache, one);
    vxf_cpu_text(chosen, other);
    return vxi_fail(error, VX_ERR_VXC_CPU, 0, "the cache is for CPU %.44s, not %.44s", one, other);
}

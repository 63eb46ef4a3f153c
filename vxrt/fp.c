/*
 * x87 and SSE state at the crossing (fxsave64 layout in the context).
 *
 * Translated code runs on the guest's registers, the host on its own: a save
 * leaves the host's control words, an empty x87 stack and no pending exception
 * behind, a restore shows the guest nothing of the host. Registers xmm8-15
 * cannot be named by translated code; they are zero in the image.
 */
#include <string.h>

#include "vxrt/internal.h"

#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define FX_XMM8 288
#define CLEAN_CONTROL 0x37f
#define MXCSR_VALID 0xffffu

void vxi_fp_init(struct vxi_context *ctx)
{
    const uint32_t mxcsr = 0x1f80;
    const uint16_t control = CLEAN_CONTROL;
    memset(ctx->fx, 0, sizeof ctx->fx);
    memcpy(ctx->fx, &control, sizeof control);
    memcpy(ctx->fx + FX_MXCSR, &mxcsr, sizeof mxcsr);
}

/*
 * Everything, always: MMX instructions can bring to light what empty x87 registers hold, exponents included, and
 * only fxsave64 and fxrstor64 carry that over.
 */
void vxi_fp_save(struct vxi_context *ctx)
{
    __asm__ volatile("fxsave64 %0\n\tfninit\n\tfldcw %1\n\tldmxcsr %2"
                     : "=m"(ctx->fx)
                     : "m"(ctx->host_control), "m"(ctx->host_mxcsr)
                     : "memory");
}

void vxi_fp_restore(struct vxi_context *ctx)
{
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(ctx->host_control), "=m"(ctx->host_mxcsr));
    if (ctx->has_avx)
        __asm__ volatile("vzeroupper");
    __asm__ volatile("fxrstor64 %0" : : "m"(ctx->fx) : "memory");
}

void vx_box_get_fxsave(struct vx_box *box, uint8_t fx[512])
{
    const uint32_t mask = MXCSR_VALID;
    memset(fx, 0, 512);
    memcpy(fx, box->ctx->fx, FX_XMM8);
    /* FOP, FIP and FDP name host addresses. */
    memset(fx + 6, 0, FX_MXCSR - 6);
    memcpy(fx + FX_MXCSR_MASK, &mask, sizeof mask);
}

void vx_box_set_fxsave(struct vx_box *box, const uint8_t fx[512])
{
    uint8_t *image = box->ctx->fx;
    uint32_t mxcsr;
    memcpy(&mxcsr, fx + FX_MXCSR, sizeof mxcsr);
    mxcsr &= MXCSR_VALID;
    memset(image, 0, sizeof box->ctx->fx);
    memcpy(image, fx, 6);
    memcpy(image + FX_MXCSR, &mxcsr, sizeof mxcsr);
    memcpy(image + 32, fx + 32, FX_XMM8 - 32);
    image[5] = 0;
}

/*
 * x87 and SSE state at the crossing (fxsave64 layout in the context).
 *
 * Translated code runs on the guest's registers, the host on its own: a save
 * leaves the host's control words, an empty x87 stack and no pending exception
 * behind, a restore shows the guest nothing of the host. Registers xmm8-15
 * cannot be named by translated code; they are zero in the image. The upper halves of the ymm registers
 * are beside it, and zero while the host runs, so that its SSE code is not slowed down. A guest whose CPU has no AVX has no
 * instruction that reads or writes them.
 */
#include <string.h>

#include "vxrt/internal.h"

#define FX_TAGS 4
#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define FX_ST 32
#define FX_XMM 160
#define FX_XMM8 288
#define CLEAN_CONTROL 0x37f
#define MXCSR_VALID 0xffffu

void vxi_fp_init(struct vxi_context *ctx)
{
    const uint32_t mxcsr = 0x1f80;
    const uint16_t control = CLEAN_CONTROL;
    memset(ctx->fx, 0, sizeof ctx->fx);
    memset(ctx->ymm, 0, sizeof ctx->ymm);
    memcpy(ctx->fx, &control, sizeof control);
    memcpy(ctx->fx + FX_MXCSR, &mxcsr, sizeof mxcsr);
    ctx->is_x87_idle = true;
}

/* Initial control and status word, empty stack; the registers may hold anything. */
static bool is_x87_idle(const uint8_t *fx)
{
    uint16_t control, status;
    memcpy(&control, fx, sizeof control);
    memcpy(&status, fx + 2, sizeof status);
    return control == CLEAN_CONTROL && status == 0 && fx[FX_TAGS] == 0;
}

static void save_ymm(uint8_t *ymm)
{
    __asm__ volatile("vextractf128 $1, %%ymm0, (%0)\n\tvextractf128 $1, %%ymm1, 16(%0)\n\t"
                     "vextractf128 $1, %%ymm2, 32(%0)\n\tvextractf128 $1, %%ymm3, 48(%0)\n\t"
                     "vextractf128 $1, %%ymm4, 64(%0)\n\tvextractf128 $1, %%ymm5, 80(%0)\n\t"
                     "vextractf128 $1, %%ymm6, 96(%0)\n\tvextractf128 $1, %%ymm7, 112(%0)\n\t"
                     "vzeroupper" : : "r"(ymm) : "memory");
}

static void restore_ymm(const uint8_t *ymm)
{
    __asm__ volatile("vinsertf128 $1, (%0), %%ymm0, %%ymm0\n\tvinsertf128 $1, 16(%0), %%ymm1, %%ymm1\n\t"
                     "vinsertf128 $1, 32(%0), %%ymm2, %%ymm2\n\tvinsertf128 $1, 48(%0), %%ymm3, %%ymm3\n\t"
                     "vinsertf128 $1, 64(%0), %%ymm4, %%ymm4\n\tvinsertf128 $1, 80(%0), %%ymm5, %%ymm5\n\t"
                     "vinsertf128 $1, 96(%0), %%ymm6, %%ymm6\n\tvinsertf128 $1, 112(%0), %%ymm7, %%ymm7"
                     : : "r"(ymm) : "memory");
}

/*
 * Always whole: MMX instructions bring to light what empty x87 registers hold, and
 * no cheaper instruction shows all tags.
 */
void vxi_fp_save(struct vxi_context *ctx)
{
    __asm__ volatile("fxsave64 %0\n\tldmxcsr %1" : "=m"(ctx->fx) : "m"(ctx->host_mxcsr) : "memory");
    if (ctx->has_ymm)
        save_ymm(ctx->ymm);
    ctx->is_x87_idle = is_x87_idle(ctx->fx);
    if (!ctx->is_x87_idle)
        __asm__ volatile("fninit");
    if (!ctx->is_x87_idle || ctx->host_control != CLEAN_CONTROL)
        __asm__ volatile("fldcw %0" : : "m"(ctx->host_control));
}

/* The contents of all registers, exponents included, then the tags: empty. Raises nothing. */
static void restore_idle_x87(const uint8_t *st)
{
    __asm__ volatile("emms\n\tfldt 112(%0)\n\tfldt 96(%0)\n\tfldt 80(%0)\n\tfldt 64(%0)\n\t"
                     "fldt 48(%0)\n\tfldt 32(%0)\n\tfldt 16(%0)\n\tfldt (%0)\n\temms"
                     : : "r"(st) : "memory");
}

/* xmm0-7 are all that translated code can name. */
static void restore_xmm(const uint8_t *xmm)
{
    __asm__ volatile("movaps (%0), %%xmm0\n\tmovaps 16(%0), %%xmm1\n\t"
                     "movaps 32(%0), %%xmm2\n\tmovaps 48(%0), %%xmm3\n\t"
                     "movaps 64(%0), %%xmm4\n\tmovaps 80(%0), %%xmm5\n\t"
                     "movaps 96(%0), %%xmm6\n\tmovaps 112(%0), %%xmm7"
                     : : "r"(xmm) : "memory");
}

/* fxrstor64 costs several times the rest of an entry. Where neither side has the x87 in use, moves do the same. */
void vxi_fp_restore(struct vxi_context *ctx)
{
    uint16_t status;
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1\n\tfnstsw %2"
                     : "=m"(ctx->host_control), "=m"(ctx->host_mxcsr), "=a"(status));
    if (ctx->has_avx)
        __asm__ volatile("vzeroupper");
    if (!ctx->is_x87_idle || status != 0) {
        __asm__ volatile("fxrstor64 %0" : : "m"(ctx->fx) : "memory");
        if (ctx->has_ymm)
            restore_ymm(ctx->ymm);
        return;
    }
    if (ctx->host_control != CLEAN_CONTROL)
        __asm__ volatile("fldcw %0" : : "m"(ctx->fx));
    restore_idle_x87(ctx->fx + FX_ST);
    restore_xmm(ctx->fx + FX_XMM);
    if (ctx->has_ymm)
        restore_ymm(ctx->ymm);
    __asm__ volatile("ldmxcsr %0" : : "m"(ctx->fx[FX_MXCSR]));
}

void vxi_fp_empty(struct vxi_context *ctx)
{
    memset(ctx->fx + 2, 0, 4);
    ctx->is_x87_idle = is_x87_idle(ctx->fx);
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
    box->ctx->is_x87_idle = is_x87_idle(image);
}

void vx_box_get_ymm(const struct vx_box *box, uint8_t ymm[128])
{
    memcpy(ymm, box->ctx->ymm, sizeof box->ctx->ymm);
}

void vx_box_set_ymm(struct vx_box *box, const uint8_t ymm[128])
{
    if (box->ctx->has_ymm)
        memcpy(box->ctx->ymm, ymm, sizeof box->ctx->ymm);
}

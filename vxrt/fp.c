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
#define FX_TAGS 4
#define FX_ST 32
#define FX_XMM 160
#define FX_XMM8 288
#define CLEAN_CONTROL 0x37f
#define FSW_EXCEPTIONS 0xff
#define FXAM_CLASS 0x4500 /* C3 C2 C0 */
#define FXAM_EMPTY 0x4100
#define MXCSR_VALID 0xffffu

/* xmm0-7 are all that translated code can name. */
static void save_xmm(uint8_t *xmm)
{
    __asm__ volatile("movaps %%xmm0, (%0)\n\tmovaps %%xmm1, 16(%0)\n\t"
                     "movaps %%xmm2, 32(%0)\n\tmovaps %%xmm3, 48(%0)\n\t"
                     "movaps %%xmm4, 64(%0)\n\tmovaps %%xmm5, 80(%0)\n\t"
                     "movaps %%xmm6, 96(%0)\n\tmovaps %%xmm7, 112(%0)"
                     : : "r"(xmm) : "memory");
}

static void restore_xmm(const uint8_t *xmm)
{
    __asm__ volatile("movaps (%0), %%xmm0\n\tmovaps 16(%0), %%xmm1\n\t"
                     "movaps 32(%0), %%xmm2\n\tmovaps 48(%0), %%xmm3\n\t"
                     "movaps 64(%0), %%xmm4\n\tmovaps 80(%0), %%xmm5\n\t"
                     "movaps 96(%0), %%xmm6\n\tmovaps 112(%0), %%xmm7"
                     : : "r"(xmm) : "memory");
}

/*
 * The registers' mantissas alone, and an empty stack afterwards: all there is when
 * the stack is empty. MMX instructions reach the contents of empty registers.
 */
static void save_empty_x87(uint8_t *st)
{
    __asm__ volatile("movq %%mm0, (%0)\n\tmovq %%mm1, 16(%0)\n\tmovq %%mm2, 32(%0)\n\tmovq %%mm3, 48(%0)\n\t"
                     "movq %%mm4, 64(%0)\n\tmovq %%mm5, 80(%0)\n\tmovq %%mm6, 96(%0)\n\tmovq %%mm7, 112(%0)\n\t"
                     "emms"
                     : : "r"(st) : "memory");
}

static void restore_empty_x87(const uint8_t *st)
{
    __asm__ volatile("movq (%0), %%mm0\n\tmovq 16(%0), %%mm1\n\tmovq 32(%0), %%mm2\n\tmovq 48(%0), %%mm3\n\t"
                     "movq 64(%0), %%mm4\n\tmovq 80(%0), %%mm5\n\tmovq 96(%0), %%mm6\n\tmovq 112(%0), %%mm7\n\t"
                     "emms"
                     : : "r"(st) : "memory");
}

/* The top of the stack is empty. Changes the condition bits of the status word. */
static bool is_top_empty(void)
{
    uint16_t status;
    __asm__ volatile("fxam\n\tfnstsw %0" : "=a"(status));
    return (status & FXAM_CLASS) == FXAM_EMPTY;
}

/* Control and status word of the image. */
static void set_head(uint8_t *fx, uint16_t control, uint16_t status)
{
    memcpy(fx, &control, sizeof control);
    memcpy(fx + 2, &status, sizeof status);
}

/* Status word 0, whatever the host left there. Its stack is empty (ABI). */
static void clear_status(void)
{
    uint16_t status;
    __asm__ volatile("fldcw %1\n\tfldz\n\tfld1\n\tfcompp\n\tfnstsw %0"
                     : "=a"(status) : "m"((const uint16_t){ CLEAN_CONTROL }));
    if (status & FSW_EXCEPTIONS)
        __asm__ volatile("fnclex");
}

void vxi_fp_init(struct vxi_context *ctx)
{
    const uint32_t mxcsr = 0x1f80;
    memset(ctx->fx, 0, sizeof ctx->fx);
    set_head(ctx->fx, CLEAN_CONTROL, 0);
    memcpy(ctx->fx + FX_MXCSR, &mxcsr, sizeof mxcsr);
}

/*
 * fxsave64 and fxrstor64 cost several times the rest of a crossing. Most guests do
 * not use the x87 at all; theirs is saved and restored by ordinary moves.
 */
void vxi_fp_save(struct vxi_context *ctx)
{
    uint16_t control, status;
    __asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(control), "=a"(status));
    bool is_initial = control == CLEAN_CONTROL && status == 0;
    if (is_initial && is_top_empty()) {
        save_xmm(ctx->fx + FX_XMM);
        save_empty_x87(ctx->fx + FX_ST);
        set_head(ctx->fx, CLEAN_CONTROL, 0);
        ctx->fx[FX_TAGS] = 0;
        __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(ctx->fx[FX_MXCSR]) : "m"(ctx->host_mxcsr));
        if (ctx->host_control != CLEAN_CONTROL)
            __asm__ volatile("fldcw %0" : : "m"(ctx->host_control));
        return;
    }
    ctx->is_x87_used = 1;
    __asm__ volatile("fxsave64 %0\n\tfninit\n\tfldcw %1\n\tldmxcsr %2"
                     : "=m"(ctx->fx)
                     : "m"(ctx->host_control), "m"(ctx->host_mxcsr)
                     : "memory");
    if (is_initial)
        set_head(ctx->fx, CLEAN_CONTROL, 0);
}

void vxi_fp_restore(struct vxi_context *ctx)
{
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(ctx->host_control), "=m"(ctx->host_mxcsr));
    if (ctx->has_avx)
        __asm__ volatile("vzeroupper");
    if (ctx->is_x87_used) {
        ctx->is_x87_used = 0;
        __asm__ volatile("fxrstor64 %0" : : "m"(ctx->fx) : "memory");
        return;
    }
    clear_status();
    restore_empty_x87(ctx->fx + FX_ST);
    restore_xmm(ctx->fx + FX_XMM);
    __asm__ volatile("ldmxcsr %0" : : "m"(ctx->fx[FX_MXCSR]));
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
    box->ctx->is_x87_used = 1;
}

/*
 * The fast part of running: enter translated code, and answer return misses
 * from the return stack or the table without touching x87 and SSE
 * registers, which still hold the guest's values here. No library calls.
 */
#include "vxrt/internal.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("no-sse,no-mmx"))), apply_to = function)
#else
#pragma GCC target("general-regs-only")
#endif

#define SEARCH_SLOTS 64
/* cmpl $G,%r8d and the first 6 bytes of S3, little-endian. */
#define COMPARE 0xf88141u
#define COMPARE_MASK 0xffffffu
#define COPY_ECX_LEA 0x888d41c98941ull
#define COPY_ECX_LEA_MASK 0xffffffffffffull

typedef uint32_t __attribute__((aligned(1), may_alias)) unaligned32;
typedef uint64_t __attribute__((aligned(1), may_alias)) unaligned64;

/* Does the continuation at `host` stand for guest address `target`? */
static bool stands_for(uint64_t host, uint32_t target)
{
    /* The page after may not be readable. */
    if (host % VX_PAGE_BYTES > VX_PAGE_BYTES - 16)
        return false;
    uint64_t head = *(const unaligned64 *)host;
    if ((head & COMPARE_MASK) == COMPARE)
        return *(const unaligned32 *)(host + 3) == target;
    if ((head & COPY_ECX_LEA_MASK) == COPY_ECX_LEA)
        return *(const unaligned32 *)(host + 6) == 0u - target;
    return false;
}

/* A frame further up may be the one that is returned to (longjmp, unwinding, stack switching). */
static bool resynchronise(struct vxi_context *ctx, uint32_t target)
{
    uint64_t end = ctx->rsp + 8 * SEARCH_SLOTS;
    if (end > ctx->rsp_top)
        end = ctx->rsp_top;
    for (uint64_t slot = ctx->rsp; slot < end; slot += 8) {
        uint64_t host = *(const uint64_t *)slot;
        if (!stands_for(host, target))
            continue;
        ctx->rsp = slot + 8;
        ctx->entry = host;
        return true;
    }
    return false;
}

int vxi_dispatch(struct vxi_context *ctx)
{
    for (;;) {
        ctx->flags = (ctx->regs.eflags & VXI_EFLAGS_GUEST) | VXI_EFLAGS_FIXED;
        if (ctx->stepping)
            ctx->flags |= VXI_EFLAGS_TF;
        int reason = vxi_enter(ctx);
        ctx->dispatches++;
        if (reason != VXI_EXIT_RETURN && reason != VXI_EXIT_UNDERFLOW)
            return reason;
        ctx->return_misses++;
        ctx->r14 = ctx->regs.esp;
        ctx->regs.eip = ctx->r8;
        if (ctx->stepping)
            return VXI_EXIT_MISS;
        if (reason == VXI_EXIT_RETURN && resynchronise(ctx, ctx->r8))
            continue;
        uint64_t offset = *VXI_SLOT(ctx, ctx->r8);
        if (!offset)
            return VXI_EXIT_MISS;
        ctx->entry = ctx->miss_stub + offset;
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#endif

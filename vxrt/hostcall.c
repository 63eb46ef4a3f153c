/*
 * Host functions: the guest's arguments to the host, the result back.
 *
 * call.S comes here on the host's stack, with the guest's registers in the context. Nothing of the
 * guest's is trusted: its stack is copied, and the copy may fail.
 */
#include <stdlib.h>
#include <string.h>

#include "vxrt/internal.h"

#define VECTOR_PAGE 14
#define FX_STATUS 2
#define FX_TAGS 4
#define FX_ST 32
#define MAX_WORDS (1 + 2 * VX_MAX_ARGUMENTS)

/* The words at esp, each in a value of its own: return address, arguments. */
static bool get_words(struct vx_box *box, union vx_value *values, uint32_t count, struct vx_trap *trap)
{
    vx_gaddr esp = box->ctx->regs.esp;
    size_t left = vxi_spread_words(values, box->window + esp, count);
    if (!left)
        return true;
    *trap = (struct vx_trap){ .kind = VX_TRAP_PAGE, .vector = VECTOR_PAGE, .access = VX_ACCESS_READ,
                              .address = esp + 4 * (count - (uint32_t)left) };
    trap->is_protection = box->pages[trap->address / VX_PAGE_BYTES] & VXI_PAGE_MAPPED;
    return false;
}

/* Join the words of 64-bit arguments, in place. */
static void join(const struct vx_func *func, union vx_value *args)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < func->argument_count; i++) {
        uint64_t value = args[n++].u64;
        if (func->arguments[i] == 'l' || func->arguments[i] == 'd')
            value |= args[n++].u64 << 32;
        args[i].u64 = value;
    }
}

/* The table leads here from gates of imports only; the runtime's own comes after them. */
static const struct vxi_host *host_at(const struct vx_box *box, vx_gaddr gate)
{
    uint32_t index = (gate - VX_GATE_IMPORTS) / VX_GATE_STRIDE;
    if (index > box->image->link.import_count)
        abort();
    return &box->image->link.hosts[index];
}

/* The result to where call.S, or the register image, takes it from. Returns VXI_HOST_INT or VXI_HOST_FLOAT. */
static int set_result(struct vxi_context *ctx, char kind, const union vx_value *value)
{
    double number;
    ctx->regs.eax = ctx->regs.edx = 0;
    switch (kind) {
    case 'v':
        return VXI_HOST_INT;
    case 'l':
        ctx->regs.edx = (uint32_t)(value->u64 >> 32);
        /* fall through */
    default:
        ctx->regs.eax = value->u32;
        return VXI_HOST_INT;
    case 'f':
    case 'd':
        number = kind == 'f' ? (double)value->f32 : value->f64;
        memcpy(ctx->result, &number, sizeof number);
        return VXI_HOST_FLOAT;
    }
}

/* The host function ended in the other ways. */
static void fail(struct vx_box *box, enum vx_host_result how, uint32_t code, bool has_failed)
{
    struct vx_trap *trap = &box->calls.trap;
    /* A suspended call would return to this host function, which is gone. */
    if (how == VX_HOST_PASS_ON && has_failed && trap->kind != VX_TRAP_SUSPENDED) {
        box->calls.is_passed_on = true;
        return;
    }
    if (has_failed)
        box->ctx->regs = box->calls.host_regs;
    *trap = (struct vx_trap){ .kind = how == VX_HOST_SUSPEND ? VX_TRAP_SUSPENDED : VX_TRAP_HOST, .detail = code };
}

int vxi_host_call(struct vxi_context *ctx)
{
    struct vx_box *box = vxi_current->box;
    struct vxi_calls *calls = &box->calls;
    const struct vxi_host *host = host_at(box, ctx->regs.eip);
    vx_gaddr esp = ctx->regs.esp, base = calls->base;
    union vx_value words[MAX_WORDS + 1], *args = words + 1, result = { 0 };
    uint32_t count = host->func.word_count;
    ctx->regs.eflags = ctx->kept_flags | VXI_EFLAGS_FIXED;
    if (!get_words(box, words, 1 + count, &calls->trap))
        return VXI_HOST_TRAP;
    if (!host->fn) {
        calls->trap = (struct vx_trap){ .kind = VX_TRAP_IMPORT };
        return VXI_HOST_TRAP;
    }
    if (count != host->func.argument_count)
        join(&host->func, args);
    if (host->is_variadic)
        args[host->func.argument_count].u64 = esp + 4 + 4 * count;
    calls->base = esp;
    calls->in_host = true;
    enum vx_host_result how = host->fn(box, host->context ? host->context : calls->user, args, &result);
    bool has_failed = calls->has_failed;
    calls->in_host = false;
    calls->has_failed = false;
    if (calls->stopped)
        vxi_stopped_drop(box, calls->level, true);
    calls->base = base;
    if (how != VX_HOST_DONE) {
        fail(box, how, result.u32, has_failed);
        return VXI_HOST_TRAP;
    }
    if (has_failed)
        ctx->regs = calls->host_regs;
    ctx->regs.eip = words[0].u32;
    return set_result(ctx, host->func.result, &result);
}

bool vxi_host_return(struct vx_box *box, const union vx_value *value, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    const struct vxi_host *host = host_at(box, ctx->regs.eip);
    union vx_value return_address;
    if (!get_words(box, &return_address, 1, trap))
        return false;
    ctx->regs.esp += 4;
    ctx->regs.eip = return_address.u32;
    vxi_fp_empty(ctx);
    if (set_result(ctx, host->func.result, value) == VXI_HOST_FLOAT) {
        double number;
        memcpy(&number, ctx->result, sizeof number);
        long double wide = number;
        memcpy(ctx->fx + FX_ST, &wide, 10);
        ctx->fx[FX_STATUS + 1] = 7 << 3; /* TOP = 7 */
        ctx->fx[FX_TAGS] = 0x80;
        ctx->is_x87_idle = false;
    }
    return true;
}

void vx_box_set_user(struct vx_box *box, void *user)
{
    box->calls.user = user;
}

void *vx_box_user(const struct vx_box *box)
{
    return box->calls.user;
}

/*
 * What a signal in translated code means: a chunk to load, a write to
 * translated code, a step towards a boundary, or a guest fault.
 */
#include <signal.h>

#include "vxrt/threads.h"

#define PF_WRITE 2u
#define PF_FETCH 16u
#define HOT_REWRITES 16u
#define HOT_INSNS 4096u

enum { VECTOR_DE = 0, VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_MF = 16, VECTOR_AC = 17, VECTOR_XM = 19 };

/* A branch into a chunk that was not loaded: load it and take the branch again. */
static enum vxi_next enter_chunk(struct vx_box *box, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    struct vxi_zone *zone = vxi_zone_at(box, ctx->signal.rip);
    if (!zone)
        return vxi_error_trap(trap, VX_ERR_VXC_ENTRY, 0);
    uint32_t host = (uint32_t)(ctx->signal.rip - (uint64_t)zone->base);
    ctx->stepping = VXI_STEP_NONE;
    if (vxi_zone_load(zone, host, &box->stats)) {
        if (box->is_stepping)
            return vxi_step_on(box, ctx->signal.rip, trap);
        ctx->entry = ctx->signal.rip;
        box->is_exact = true;
        return VXI_NEXT_ENTER;
    }
    /* Refused: the branch led to an entry, so the guest's state is whole. */
    if (!vxi_chunk_entry(box, ctx->signal.rip))
        return vxi_error_trap(trap, VX_ERR_VXC_ENTRY, 0);
    return vxi_resolve(box, true, trap);
}

bool vxi_chunk_entry(struct vx_box *box, uint64_t rip)
{
    struct vxi_context *ctx = box->ctx;
    struct vxi_zone *zone = vxi_zone_at(box, rip);
    if (!zone || !vxi_zone_guest_of(zone, (uint32_t)(rip - (uint64_t)zone->base), &ctx->regs.eip))
        return false;
    ctx->regs.esp = ctx->r14;
    return true;
}

/* The guest wrote to code that was translated. */
static enum vxi_next rewrite(struct vx_box *box, uint32_t page, struct vx_trap *trap)
{
    if (box->rewrites[page] < UINT8_MAX)
        box->rewrites[page]++;
    vxi_code_changes(box, page, page);
    vxi_changed(box, page, page);
    box->has_rewrites = true;
    if (box->rewrites[page] >= HOT_REWRITES && box->pages[page] & VX_PROT_EXEC) {
        box->pages[page] |= VXI_PAGE_HOT;
        box->rewrites[page] = HOT_REWRITES / 2;
        box->hot_left = HOT_INSNS;
        vxi_spans_changed(box);
    }
    /* Where the code that stores went with it, a new translation would protect the page again. */
    box->force_single = box->resume_host == 0;
    return vxi_resolve(box, false, trap);
}

/*
 * The page map allows the access by now: another thread was rewriting, protecting or mapping the page, and has let go
 * of the box since. Taken again a few times, in case the host's protection could not be set.
 */
static bool is_over(struct vx_box *box, uint32_t address, bool is_write)
{
    enum { RETRY_LIMIT = 100 };
    struct vx_thread *thread = box->threads ? box->threads->holder : NULL;
    uint8_t flags = box->pages[address / VX_PAGE_BYTES];
    int any = is_write ? VX_PROT_WRITE : VX_PROT_READ | VX_PROT_WRITE | VX_PROT_EXEC;
    if (!thread || !(flags & VXI_PAGE_MAPPED) || !(flags & any) ||
        box->ctx->signal.address - (uint64_t)box->window >= VXI_WINDOW_BYTES)
        return false;
    if (thread->retry_eip != box->ctx->regs.eip || thread->retry_address != address)
        thread->retries = 0;
    thread->retry_eip = box->ctx->regs.eip;
    thread->retry_address = address;
    return thread->retries++ < RETRY_LIMIT;
}

static enum vxi_next page_fault(struct vx_box *box, struct vx_trap *trap)
{
    const struct vxi_signal *signal = &box->ctx->signal;
    uint32_t address = (uint32_t)(signal->address - (uint64_t)box->window);
    uint32_t page = address / VX_PAGE_BYTES;
    uint8_t flags = box->pages[page];
    bool is_write = signal->error & PF_WRITE;
    if (signal->number == SIGSEGV && is_write && flags & VX_PROT_WRITE && flags & (VXI_PAGE_CODE | VXI_PAGE_IMAGE))
        return rewrite(box, page, trap);
    if (signal->number == SIGSEGV && is_over(box, address, is_write))
        return vxi_resolve(box, false, trap);
    trap->kind = VX_TRAP_PAGE;
    trap->address = address;
    trap->access = is_write ? VX_ACCESS_WRITE : VX_ACCESS_READ;
    trap->vector = VECTOR_PF;
    /* A mapped page without a page of the file behind it counts as missing. */
    trap->is_protection = flags & VXI_PAGE_MAPPED && signal->number != SIGBUS;
    return VXI_NEXT_TRAP;
}

enum vxi_next vxi_guest_fault(struct vx_box *box, struct vx_trap *trap)
{
    uint32_t vector = box->ctx->signal.trapno;
    trap->vector = (uint8_t)vector;
    switch (vector) {
    case VECTOR_DE: trap->kind = VX_TRAP_DIVIDE; return VXI_NEXT_TRAP;
    case VECTOR_UD: trap->kind = VX_TRAP_UNDEFINED; return VXI_NEXT_TRAP;
    case VECTOR_GP: trap->kind = VX_TRAP_PROTECTION; return VXI_NEXT_TRAP;
    case VECTOR_MF: trap->kind = VX_TRAP_X87; return VXI_NEXT_TRAP;
    case VECTOR_AC: trap->kind = VX_TRAP_ALIGNMENT; return VXI_NEXT_TRAP;
    case VECTOR_XM: trap->kind = VX_TRAP_SIMD; return VXI_NEXT_TRAP;
    case VECTOR_PF: return page_fault(box, trap);
    default: return vxi_error_trap(trap, VX_ERR_UNSUPPORTED, vector);
    }
}

enum vxi_next vxi_signal_exit(struct vx_box *box, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    const struct vxi_signal *signal = &ctx->signal;
    struct vxi_place place;
    if (signal->number == SIGURG || signal->number == SIGTRAP) {
        if (signal->number == SIGURG)
            box->steps = 0;
        else if (box->is_stepping)
            return vxi_step_on(box, signal->rip, trap);
        return vxi_stop_near(box, signal->rip, trap);
    }
    if (signal->number == SIGSEGV && signal->trapno == VECTOR_PF && signal->error & PF_FETCH)
        return enter_chunk(box, trap);
    ctx->stepping = VXI_STEP_NONE;
    if (!vxi_place_of(box, signal->rip, &place) || place.row.kind != VXF_ROW_INSN)
        return vxi_error_trap(trap, VX_ERR_VXC_FAULTMAP, 0);
    ctx->regs.eip = place.row.guest;
    ctx->regs.esp = ctx->r14 + (uint32_t)place.row.esp_delta;
    box->resume_host = place.is_boundary ? place.host : 0;
    box->resume_eip = place.row.guest;
    box->resume_delta = place.row.esp_delta;
    return vxi_guest_fault(box, trap);
}

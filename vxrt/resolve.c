/*
 * Where the guest goes on: from ctx->regs.eip to a host address.
 *
 * In order: code that is entered often (the table), the place where it stopped,
 * the cache, code translated before, any boundary in the middle of those, a
 * new translation. Only real entries, or boundaries as good as entries, go to
 * the table; a page without permission to execute never has a slot there.
 */
#include "vxrt/internal.h"

#define VECTOR_PAGE 14
#define MAX_INSN_BYTES 15u

enum vxi_next vxi_error_trap(struct vx_trap *trap, vx_status status, uint32_t detail)
{
    trap->kind = VX_TRAP_ERROR;
    trap->status = status;
    trap->detail = detail;
    return VXI_NEXT_TRAP;
}

static enum vxi_next fetch_fault(const struct vx_box *box, vx_gaddr address, struct vx_trap *trap)
{
    trap->kind = VX_TRAP_PAGE;
    trap->address = address;
    trap->access = VX_ACCESS_EXEC;
    trap->vector = VECTOR_PAGE;
    trap->is_protection = box->pages[address / VX_PAGE_BYTES] & VXI_PAGE_MAPPED;
    return VXI_NEXT_TRAP;
}

static enum vxi_next enter_at(struct vx_box *box, uint64_t host, int32_t esp_delta)
{
    struct vxi_context *ctx = box->ctx;
    ctx->entry = host;
    ctx->r14 = ctx->regs.esp - (uint32_t)esp_delta;
    ctx->r8 = ctx->r9 = ctx->r10 = 0;
    ctx->r11 = 0;
    return VXI_NEXT_ENTER;
}

/* The stub behind an address of the gate takes it from r8d. */
static enum vxi_next enter_gate(struct vx_box *box, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    uint64_t slot = *VXI_SLOT(ctx, ctx->regs.eip);
    if (!slot)
        return fetch_fault(box, ctx->regs.eip, trap);
    enter_at(box, ctx->miss_stub + slot, 0);
    ctx->r8 = ctx->regs.eip;
    return VXI_NEXT_ENTER;
}

/* Enter, and from now on without coming here. */
static enum vxi_next enter_and_keep(struct vx_box *box, uint64_t host)
{
    *VXI_SLOT(box->ctx, box->ctx->regs.eip) = host - box->ctx->miss_stub;
    return enter_at(box, host, 0);
}

/* An address in the cache: 0 if it has none, or none any more. */
static uint64_t cached(struct vx_box *box, vx_gaddr eip)
{
    uint32_t host;
    struct vxi_zone *zone = vxi_zone_of(box, eip);
    if (!zone)
        return 0;
    if (atomic_load(&zone->is_bad)) {
        vxi_leave_zone(box, zone);
        return 0;
    }
    if (!vxi_zone_find(zone, eip, &host))
        return 0;
    if (!vxi_zone_load(zone, host, &box->stats)) {
        vxi_leave_zone(box, zone);
        return 0;
    }
    size_t chunk = vxi_zone_chunk(zone, host);
    if (!vxi_bit(zone->state[chunk].boundaries, host - zone->chunks[chunk].host))
        return 0;
    box->stats.cache_lookups++;
    return (uint64_t)zone->base + host;
}

/*
 * Boundaries in the middle of code that is there already. *is_lasting: of the cache's, and as good as an entry. One of a unit gets no slot: dropping
 * a unit takes those of its entries away, and its memory is used again.
 */
static uint64_t boundary(struct vx_box *box, vx_gaddr eip, bool is_miss, int32_t *esp_delta, bool *is_lasting)
{
    uint64_t host = 0;
    struct vxi_zone *zone = vxi_zone_of(box, eip);
    *is_lasting = false;
    if (zone) {
        host = vxi_zone_resume(zone, eip, esp_delta, &box->stats);
        if (atomic_load(&zone->is_bad)) {
            vxi_leave_zone(box, zone);
            host = 0;
        }
        /* Branched to again and again it deserves an entry of its own. */
        if (host && is_miss && *esp_delta != 0 && !box->no_dynamic)
            host = 0;
        if (host)
            box->stats.cache_lookups++;
        *is_lasting = host && *esp_delta == 0;
    }
    if (!host && !is_miss)
        host = vxi_unit_resume(box, eip, esp_delta);
    return host;
}

static enum vxi_next not_cached(struct vx_box *box, struct vx_trap *trap)
{
    const struct vxi_zone *zone = box->image ? box->image->zone : NULL;
    if (zone && atomic_load(&zone->is_bad))
        return vxi_error_trap(trap, zone->bad_status, zone->bad_rule);
    if (box->refused_status != VX_OK)
        return vxi_error_trap(trap, box->refused_status, box->refused_rule);
    trap->kind = VX_TRAP_NOT_CACHED;
    return VXI_NEXT_TRAP;
}

/* A page of a file without bytes behind it: as for data, it counts as missing. */
static enum vxi_next no_bytes(const struct vx_box *box, struct vx_trap *trap)
{
    fetch_fault(box, box->ctx->regs.eip, trap);
    trap->is_protection = false;
    return VXI_NEXT_TRAP;
}

/* The bytes at eip make no instruction: they end in a page that may not be executed, or something is wrong. */
static enum vxi_next no_code(const struct vx_box *box, struct vx_trap *trap)
{
    vx_gaddr eip = box->ctx->regs.eip, next = (eip | (VX_PAGE_BYTES - 1)) + 1;
    if (next - eip < MAX_INSN_BYTES && !vxi_is_exec(box, next))
        return fetch_fault(box, next, trap);
    return vxi_error_trap(trap, VX_ERR_TRANSLATE, 0);
}

/* One instruction, made from the bytes that are there now. */
static enum vxi_next run_single(struct vx_box *box, struct vx_trap *trap)
{
    uint32_t rule = 0;
    uint64_t host = 0;
    box->force_single = false;
    if (box->no_dynamic)
        return not_cached(box, trap);
    vx_status status = vxi_translate_single(box, box->ctx->regs.eip, &host, &rule);
    if (status == VX_ERR_IO)
        return no_bytes(box, trap);
    if (status == VX_ERR_UNSUPPORTED)
        return not_cached(box, trap);
    if (status != VX_OK)
        return vxi_error_trap(trap, status, rule);
    return host ? enter_at(box, host, 0) : no_code(box, trap);
}

static enum vxi_next translate(struct vx_box *box, struct vx_trap *trap)
{
    uint32_t rule = 0;
    vx_gaddr eip = box->ctx->regs.eip;
    if (box->no_dynamic)
        return not_cached(box, trap);
    vx_status status = vxi_translate(box, eip, &rule);
    if (status == VX_ERR_UNSUPPORTED)
        return not_cached(box, trap);
    if (status != VX_OK)
        return vxi_error_trap(trap, status, rule);
    uint64_t host = vxi_unit_entry(box, eip);
    if (!host && box->pages[eip / VX_PAGE_BYTES] & VXI_PAGE_HOT) /* since then: the page could not be read */
        return run_single(box, trap);
    return host ? enter_and_keep(box, host) : no_code(box, trap);
}

/* Pages that are rewritten all the time get another chance now and then. */
static bool is_hot(struct vx_box *box, vx_gaddr eip)
{
    /* An instruction may reach into the page behind. */
    vx_gaddr end = eip + (MAX_INSN_BYTES - 1);
    if (!((box->pages[eip / VX_PAGE_BYTES] | box->pages[end / VX_PAGE_BYTES]) & VXI_PAGE_HOT))
        return false;
    if (box->hot_left > 0) {
        box->hot_left--;
        return true;
    }
    for (uint32_t i = vxi_next_exec(box, 0); i < VXI_PAGE_COUNT; i = vxi_next_exec(box, i + 1))
        box->pages[i] &= (uint8_t)~VXI_PAGE_HOT;
    vxi_spans_changed(box);
    return false;
}

enum vxi_next vxi_resolve(struct vx_box *box, bool is_miss, struct vx_trap *trap)
{
    struct vxi_context *ctx = box->ctx;
    vx_gaddr eip = ctx->regs.eip;
    box->is_exact = false;
    if (box->is_stepping && is_miss)
        return vxi_step_done(box, trap);
    box->is_stepping = false;
    if (!vxi_is_exec(box, eip))
        return vxi_is_gate(eip) ? enter_gate(box, trap) : fetch_fault(box, eip, trap);
    if (ctx->regs.eflags & VXI_EFLAGS_TF)
        return vxi_step_begin(box, run_single(box, trap));
    if (box->force_single || is_hot(box, eip))
        return run_single(box, trap);
    uint64_t slot = *VXI_SLOT(ctx, eip);
    if (slot)
        return enter_at(box, ctx->miss_stub + slot, 0);
    if (box->resume_host && box->resume_eip == eip)
        return enter_at(box, box->resume_host, box->resume_delta);
    uint64_t host = cached(box, eip);
    if (host)
        return enter_and_keep(box, host);
    host = vxi_unit_entry(box, eip);
    if (host) {
        box->stats.dynamic_lookups++;
        return enter_and_keep(box, host);
    }
    int32_t esp_delta = 0;
    bool is_lasting;
    host = boundary(box, eip, is_miss, &esp_delta, &is_lasting);
    if (is_lasting)
        return enter_and_keep(box, host);
    return host ? enter_at(box, host, esp_delta) : translate(box, trap);
}

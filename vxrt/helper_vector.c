/*
 * AVX state in memory (xgetbv, xsave, xsaveopt, xsavec, xrstor: SDM vol. 1, chapter 13), and gathers, whose
 * addresses are sums with vector elements: each element is read here, at 32-bit addresses, with all checks of a guest access.
 *
 * The virtual CPU's XCR0 is x87, SSE and AVX; the area has their standard places in both formats.
 */
#include <string.h>

#include "format/cpu.h"
#include "format/sandbox.h"
#include "vxrt/helper_op.h"

enum { X87 = 1, SSE = 2, AVX = 4, XCR0 = X87 | SSE | AVX };
/* Offsets in the area. */
enum { FX_MXCSR = 24, FX_MXCSR_MASK = 28, FX_ST = 32, FX_XMM = 160, FX_END = 288, HEADER = 512, XCOMP = 520, YMM = 576, AREA = 704 };
/* In 32-bit mode the upper eight registers' half of the AVX part is left alone. */
#define AREA_BYTES 832u
#define MXCSR_BITS 0xffffu
#define MXCSR_INITIAL 0x1f80u
#define COMPACT (1ull << 63)

static uint32_t get32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    while (size && !bytes[size - 1])
        size--;
    return size == 0;
}

/* Components that are not in their initial state. */
static uint32_t in_use(const uint8_t *fx, const uint8_t *ymm)
{
    static const uint8_t initial[FX_MXCSR] = { 0x7f, 0x03 };
    bool has_x87 = memcmp(fx, initial, FX_MXCSR) || !is_zero(fx + FX_ST, FX_XMM - FX_ST);
    return (has_x87 ? X87 : 0u) | (is_zero(fx + FX_XMM, FX_END - FX_XMM) ? 0u : SSE) | (is_zero(ymm, 128) ? 0u : AVX);
}

/* Of the x87 part the pointers and the padding of the registers are shown as zero. */
static void clean(uint8_t *fx)
{
    uint32_t mask = MXCSR_BITS;
    memset(fx + 6, 0, FX_MXCSR - 6);
    memcpy(fx + FX_MXCSR_MASK, &mask, 4);
    for (unsigned i = 0; i < 8; i++)
        memset(fx + FX_ST + 16 * i + 10, 0, 6);
}

static bool xgetbv(struct op *op)
{
    uint8_t fx[512], ymm[128];
    uint32_t value = XCR0;
    if (op->regs->ecx > 1)
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    if (op->regs->ecx == 1) {
        vx_box_get_fxsave(op->box, fx);
        clean(fx);
        vx_box_get_ymm(op->box, ymm);
        value = in_use(fx, ymm);
    }
    op->regs->eax = value;
    op->regs->edx = 0;
    return true;
}

static bool is_aligned(struct op *op)
{
    return !(op->operand & 63) || op_trap(op, VX_TRAP_PROTECTION, 13);
}

static bool xsave(struct op *op)
{
    uint8_t fx[512], ymm[128];
    uint32_t wanted = op->regs->eax & XCR0, used;
    bool is_compact = op->bits & 2;
    uint32_t at = op->operand, size = wanted & AVX || !is_compact ? AREA_BYTES : YMM;
    uint64_t header[2] = { 0, COMPACT | wanted };
    if (!is_aligned(op) || !op_probe_write(op, at, size) || !op_load(op, at + HEADER, header, 8))
        return false;
    vx_box_get_fxsave(op->box, fx);
    clean(fx);
    vx_box_get_ymm(op->box, ymm);
    used = in_use(fx, ymm);
    uint32_t written = is_compact || op->bits & 1 ? wanted & used : wanted;
    if (is_compact && get32(fx + FX_MXCSR) != MXCSR_INITIAL && wanted & SSE) {
        used |= SSE;
        written |= SSE;
    }
    header[0] = is_compact ? wanted & used : (header[0] & ~(uint64_t)wanted) | (wanted & used);
    bool has_mxcsr = is_compact ? written & SSE : wanted & (SSE | AVX);
    return (!(written & X87) || (op_store(op, at, fx, FX_MXCSR) && op_store(op, at + FX_ST, fx + FX_ST, FX_XMM - FX_ST))) &&
           (!has_mxcsr || op_store(op, at + FX_MXCSR, fx + FX_MXCSR, 8)) &&
           (!(written & SSE) || op_store(op, at + FX_XMM, fx + FX_XMM, FX_END - FX_XMM)) &&
           (!(written & AVX) || op_store(op, at + YMM, ymm, sizeof ymm)) &&
           op_store(op, at + HEADER, header, is_compact ? 16 : 8);
}

/* From the area, or initial. */
static void take_x87(uint8_t *fx, const uint8_t *area, bool is_there)
{
    memset(fx, 0, FX_MXCSR);
    memset(fx + FX_ST, 0, FX_XMM - FX_ST);
    if (is_there) {
        memcpy(fx, area, 6);
        memcpy(fx + FX_ST, area + FX_ST, FX_XMM - FX_ST);
        return;
    }
    fx[0] = 0x7f;
    fx[1] = 0x03;
}

/* Both formats ask for zeros where they have no meaning, and for components that there are. */
static bool is_header(const uint8_t *area)
{
    uint64_t there = get64(area + HEADER), compact = get64(area + XCOMP);
    if (!(compact & COMPACT))
        return !(there & ~(uint64_t)XCR0) && is_zero(area + XCOMP, 16);
    return !(compact & ~(COMPACT | XCR0)) && !(there & ~compact) && is_zero(area + XCOMP + 8, 48);
}

static bool xrstor(struct op *op)
{
    uint8_t area[AREA], fx[512], ymm[128];
    uint32_t wanted = op->regs->eax & XCR0, mxcsr = MXCSR_INITIAL;
    if (!is_aligned(op) || !op_load(op, op->operand, area, YMM))
        return false;
    uint64_t there = get64(area + HEADER), compact = get64(area + XCOMP);
    if (!is_header(area))
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    bool has_ymm = wanted & AVX && there & AVX;
    if (has_ymm && !op_load(op, op->operand + YMM, area + YMM, 128))
        return false;
    bool has_mxcsr = compact & COMPACT ? wanted & SSE : wanted & (SSE | AVX);
    if (has_mxcsr && (!(compact & COMPACT) || there & SSE))
        mxcsr = get32(area + FX_MXCSR);
    if (has_mxcsr && mxcsr & ~MXCSR_BITS)
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    vx_box_get_fxsave(op->box, fx);
    vx_box_get_ymm(op->box, ymm);
    if (wanted & X87)
        take_x87(fx, area, there & X87);
    if (has_mxcsr)
        memcpy(fx + FX_MXCSR, &mxcsr, 4);
    if (wanted & SSE && there & SSE)
        memcpy(fx + FX_XMM, area + FX_XMM, FX_END - FX_XMM);
    else if (wanted & SSE)
        memset(fx + FX_XMM, 0, FX_END - FX_XMM);
    if (has_ymm)
        memcpy(ymm, area + YMM, sizeof ymm);
    else if (wanted & AVX)
        memset(ymm, 0, sizeof ymm);
    vx_box_set_fxsave(op->box, fx);
    vx_box_set_ymm(op->box, ymm);
    return true;
}

/* ---- gathers ---- */

/* A register of 32 bytes, in its two places. */
static void get_register(const uint8_t *fx, const uint8_t *ymm, unsigned number, uint8_t value[32])
{
    memcpy(value, fx + FX_XMM + 16 * number, 16);
    memcpy(value + 16, ymm + 16 * number, 16);
}

static void set_register(uint8_t *fx, uint8_t *ymm, unsigned number, const uint8_t value[32])
{
    memcpy(fx + FX_XMM + 16 * number, value, 16);
    memcpy(ymm + 16 * number, value + 16, 16);
}

/*
 * From the lowest element on. At a fault what is done stays done, in the destination and the mask, so that the instruction
 * goes on from there when it starts again.
 */
static bool gather(struct op *op)
{
    uint8_t fx[512], ymm[128], to[32], mask[32], index[32];
    unsigned to_number = op->bits & 7, mask_number = op->bits >> 3 & 7, scale = op->bits >> 9 & 3;
    uint32_t index_bytes = op->bits & 1u << 11 ? 8 : 4, element = op->bits & 1u << 12 ? 8 : 4, width = op->bits & 1u << 13 ? 32 : 16;
    uint32_t count = width / (index_bytes > element ? index_bytes : element);
    bool is_done = true;
    vx_box_get_fxsave(op->box, fx);
    vx_box_get_ymm(op->box, ymm);
    get_register(fx, ymm, to_number, to);
    get_register(fx, ymm, mask_number, mask);
    get_register(fx, ymm, op->bits >> 6 & 7, index);
    for (uint32_t i = 0; i < count; i++) /* each element's mask is its highest bit */
        memset(mask + i * element, mask[i * element + element - 1] & 0x80 ? 0xff : 0, element);
    for (uint32_t i = 0; i < count && is_done; i++) {
        if (!mask[i * element])
            continue;
        vx_gaddr at = op->operand + (get32(index + i * index_bytes) << scale);
        is_done = op_load(op, at, to + i * element, element);
        if (is_done)
            memset(mask + i * element, 0, element);
    }
    if (is_done) {
        memset(mask, 0, sizeof mask);
        memset(to + count * element, 0, sizeof to - count * element);
    }
    set_register(fx, ymm, to_number, to);
    set_register(fx, ymm, mask_number, mask);
    vx_box_set_fxsave(op->box, fx);
    vx_box_set_ymm(op->box, ymm);
    return is_done;
}

bool helper_vector(struct op *op)
{
    if (!(vxi_box_cpu(op->box) & VX_CPU_AVX))
        return op_trap(op, VX_TRAP_UNDEFINED, 6);
    switch (op->number) {
    case VX_EVENT_XGETBV:
        return xgetbv(op);
    case VX_EVENT_XSAVE:
        return xsave(op);
    case VX_EVENT_XRSTOR:
        return xrstor(op);
    default:
        return gather(op);
    }
}

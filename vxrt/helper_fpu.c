/*
 * x87 environment and state in memory: fnstenv fldenv fnsave frstor fxsave
 * fxrstor, and maskmovq/maskmovdqu (SDM vol. 1, 8.1.10; vol. 2).
 *
 * The instruction and data pointers would be host addresses; the virtual
 * CPU always shows them, and the last opcode, as zero.
 */
#include <string.h>

#include "format/sandbox.h"
#include "vxrt/helper_op.h"

/* Offsets in the FXSAVE area. */
enum { FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_POINTERS = 6, FX_MXCSR = 24, FX_MXCSR_MASK = 28,
       FX_ST = 32, FX_XMM = 160, FX_END = 288 };

#define MXCSR_BITS 0xffffu
#define FSW_ES 0x80u
#define FSW_SUMMARY 0x8080u /* ES and B */

static uint16_t get16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, 2);
    return value;
}

static void put16(uint8_t *p, uint32_t value)
{
    uint16_t v = (uint16_t)value;
    memcpy(p, &v, 2);
}

static unsigned top_of(const uint8_t *fx)
{
    return get16(fx + FX_FSW) >> 11 & 7;
}

/* Registers are stored from ST(0) on: keep the physical ones when TOP changes. */
static void set_status(uint8_t *fx, uint16_t status)
{
    uint8_t old[128];
    unsigned turn = ((status >> 11) - top_of(fx)) & 7;
    memcpy(old, fx + FX_ST, sizeof old);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + FX_ST + 16 * i, old + 16 * ((i + turn) & 7), 16);
    put16(fx + FX_FSW, status);
}

/* Two tag bits of a register that is in use: 0 valid, 1 zero, 2 special. */
static unsigned tag_of(const uint8_t *st)
{
    uint64_t mantissa;
    memcpy(&mantissa, st, 8);
    unsigned exponent = get16(st + 8) & 0x7fff;
    if (exponent == 0)
        return mantissa == 0 ? 1 : 2;
    if (exponent == 0x7fff || !(mantissa >> 63))
        return 2;
    return 0;
}

static uint16_t full_tags(const uint8_t *fx)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned st = (i - top_of(fx)) & 7;
        unsigned tag = fx[FX_FTW] >> i & 1 ? tag_of(fx + FX_ST + 16 * st) : 3;
        tags |= tag << 2 * i;
    }
    return (uint16_t)tags;
}

static uint8_t short_tags(uint16_t tags)
{
    unsigned used = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> 2 * i & 3) != 3)
            used |= 1u << i;
    return (uint8_t)used;
}

/* Environment of 28 or 14 bytes; returns its size. Upper halves of 32-bit fields read as ones. */
static uint32_t make_environment(const uint8_t *fx, bool is_16, uint8_t *env)
{
    uint16_t words[3] = {get16(fx + FX_FCW), get16(fx + FX_FSW), full_tags(fx)};
    uint32_t size = is_16 ? 14 : 28;
    memset(env, 0, size);
    for (unsigned i = 0; i < 3; i++) {
        if (is_16) {
            put16(env + 2 * i, words[i]);
        } else {
            put16(env + 4 * i, words[i]);
            put16(env + 4 * i + 2, 0xffff);
        }
    }
    if (!is_16)
        put16(env + 26, 0xffff);
    return size;
}

/* ES and B are not state: they say whether an unmasked exception is pending. */
static uint16_t summarised(uint16_t control, uint16_t status)
{
    bool is_pending = status & ~control & 0x3f;
    return (uint16_t)((status & ~FSW_SUMMARY) | (is_pending ? FSW_SUMMARY : 0));
}

/* Bit 6 of the control word always reads as one, 7 and 13-15 as zero. */
static uint16_t legal_control(uint16_t control)
{
    return (control & 0x1f7fu) | 0x40u;
}

static void take_environment(uint8_t *fx, bool is_16, const uint8_t *env)
{
    unsigned step = is_16 ? 2 : 4;
    put16(fx + FX_FCW, legal_control(get16(env)));
    set_status(fx, summarised(get16(env), get16(env + step)));
    fx[FX_FTW] = short_tags(get16(env + 2 * step));
    memset(fx + FX_POINTERS, 0, FX_MXCSR - FX_POINTERS);
}

/* Registers from ST(0) on, ten bytes each. */
static void take_registers(uint8_t *fx, const uint8_t *registers)
{
    memset(fx + FX_ST, 0, 128);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + FX_ST + 16 * i, registers + 10 * i, 10);
}

void vxi_fsave_from_fx(const uint8_t fx[512], uint8_t fsave[108])
{
    uint32_t size = make_environment(fx, false, fsave);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fsave + size + 10 * i, fx + FX_ST + 16 * i, 10);
}

void vxi_fx_from_fsave(const uint8_t fsave[108], uint8_t fx[512])
{
    take_environment(fx, false, fsave);
    take_registers(fx, fsave + 28);
}

static void reset_x87(uint8_t *fx)
{
    put16(fx + FX_FCW, 0x37f);
    set_status(fx, 0);
    fx[FX_FTW] = 0;
    memset(fx + FX_POINTERS, 0, FX_MXCSR - FX_POINTERS);
}

static bool store_environment(struct op *op, uint8_t *fx)
{
    uint8_t image[108];
    bool is_16 = op->bits & OPERAND_16;
    bool is_save = op->number == VX_EVENT_FNSAVE;
    uint32_t size = make_environment(fx, is_16, image);
    if (is_save)
        for (unsigned i = 0; i < 8; i++, size += 10)
            memcpy(image + size, fx + FX_ST + 16 * i, 10);
    if (!op_store(op, op->operand, image, size))
        return false;
    if (is_save) {
        reset_x87(fx);
    } else { /* all exceptions are masked then, so that none is pending either */
        put16(fx + FX_FCW, get16(fx + FX_FCW) | 0x3fu);
        put16(fx + FX_FSW, get16(fx + FX_FSW) & ~FSW_SUMMARY);
    }
    vx_box_set_fxsave(op->box, fx);
    return true;
}

static bool load_environment(struct op *op, uint8_t *fx)
{
    uint8_t image[108];
    bool is_16 = op->bits & OPERAND_16;
    uint32_t size = is_16 ? 14 : 28;
    bool is_restore = op->number == VX_EVENT_FRSTOR;
    if (get16(fx + FX_FSW) & FSW_ES) /* unlike the stores, the loads wait */
        return op_trap(op, VX_TRAP_X87, 16);
    if (!op_load(op, op->operand, image, is_restore ? size + 80 : size))
        return false;
    take_environment(fx, is_16, image);
    if (is_restore)
        take_registers(fx, image + size);
    vx_box_set_fxsave(op->box, fx);
    return true;
}

static bool fxsave(struct op *op, uint8_t *fx)
{
    uint32_t mask = MXCSR_BITS;
    if (op->operand & 15)
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    memset(fx + FX_POINTERS, 0, FX_MXCSR - FX_POINTERS);
    memcpy(fx + FX_MXCSR_MASK, &mask, 4);
    for (unsigned i = 0; i < 8; i++)
        memset(fx + FX_ST + 16 * i + 10, 0, 6);
    /* The whole area must be writable; what 32-bit mode has no use for is left alone. */
    return op_probe_write(op, op->operand, 512) && op_store(op, op->operand, fx, FX_END);
}

static bool fxrstor(struct op *op)
{
    uint8_t fx[512];
    uint32_t mxcsr;
    if (op->operand & 15)
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    if (!op_load(op, op->operand, fx, sizeof fx))
        return false;
    memcpy(&mxcsr, fx + FX_MXCSR, 4);
    if (mxcsr & ~MXCSR_BITS)
        return op_trap(op, VX_TRAP_PROTECTION, 13);
    put16(fx + FX_FCW, legal_control(get16(fx + FX_FCW)));
    put16(fx + FX_FSW, summarised(get16(fx + FX_FCW), get16(fx + FX_FSW)));
    memset(fx + FX_POINTERS, 0, FX_MXCSR - FX_POINTERS);
    memset(fx + FX_END, 0, sizeof fx - FX_END);
    vx_box_set_fxsave(op->box, fx);
    return true;
}

/* Byte writes under a mask. The MMX form also does what every MMX instruction does to the x87 state. */
static bool maskmov(struct op *op, uint8_t *fx)
{
    bool is_xmm = op->bits & 0x100;
    unsigned data = op->bits >> 3 & 7, mask = op->bits & 7;
    unsigned size = is_xmm ? 16 : 8;
    if (!is_xmm && (get16(fx + FX_FSW) & FSW_ES))
        return op_trap(op, VX_TRAP_X87, 16);
    if (!is_xmm)
        set_status(fx, get16(fx + FX_FSW) & ~0x3800u); /* TOP = 0: ST(i) is MMi */
    const uint8_t *area = fx + (is_xmm ? FX_XMM : FX_ST);
    for (unsigned i = 0; i < size; i++)
        if ((area[16 * mask + i] & 0x80) && !op_probe_write(op, op->operand + i, 1))
            return false;
    for (unsigned i = 0; i < size; i++)
        if ((area[16 * mask + i] & 0x80) && !op_store(op, op->operand + i, &area[16 * data + i], 1))
            return false;
    if (!is_xmm) {
        fx[FX_FTW] = 0xff;
        vx_box_set_fxsave(op->box, fx);
    }
    return true;
}

bool helper_fpu(struct op *op)
{
    uint8_t fx[512];
    if (op->number == VX_EVENT_FXRSTOR)
        return fxrstor(op);
    vx_box_get_fxsave(op->box, fx);
    switch (op->number) {
    case VX_EVENT_FNSTENV:
    case VX_EVENT_FNSAVE:
        return store_environment(op, fx);
    case VX_EVENT_FLDENV:
    case VX_EVENT_FRSTOR:
        return load_environment(op, fx);
    case VX_EVENT_FXSAVE:
        return fxsave(op, fx);
    default:
        return maskmov(op, fx);
    }
}

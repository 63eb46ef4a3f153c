/*
 * Decodes one host instruction and judges it by the allow-list. Accepts
 * canonical encodings only: prefixes in the one listed order, each at most
 * once, REX 41..47 with every set bit in use. Looks at no byte but those of
 * the instruction, and keeps nothing between calls. Sequences are in sequence.c.
 * A header, so that the loop in verify.c has it inline.
 */
#ifndef VX_VERIFIER_DECODE_H
#define VX_VERIFIER_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "format/sandbox.h"
#include "verifier/rules.h"
#include "verifier/table.h"
#include "verifier/verifier.h"

/* Bytes that decode() may look at, whatever the instruction. */
#define LOOK_AHEAD 16u

struct insn {
    enum vxv_rule rule; /* VXV_OK or the broken rule */
    uint32_t form;      /* the allow-list row; 0 when refused */
    uint32_t length;    /* bytes; when refused: bytes that were looked at */
};

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };
/* Prefixes in front: none, 65 67, 67. */
enum { SEG_NONE = 0, SEG_GS_67 = 1, SEG_67 = 2 };

static inline struct insn refuse(enum vxv_rule rule, uint32_t length)
{
    return (struct insn){rule, 0, length};
}

/*
 * movl disp8(%r15),%r8d|%r9d|%r10d (45 8b 47|4f|57 d8) and
 * jmpq *disp8(%r15) (41 ff 67 d8): the only operands with base r15.
 */
static inline bool looks_like_context(const uint8_t *p)
{
    return (p[0] == 0x45 && p[1] == 0x8b && (p[2] & 0xc7) == 0x47) ||
           (p[0] == 0x41 && p[1] == 0xff && p[2] == 0x67);
}

static inline struct insn context_operand(const uint8_t *p)
{
    bool load = p[1] == 0x8b, listed;

    if (load)
        listed = (p[2] == 0x47 || p[2] == 0x4f || p[2] == 0x57) &&
                 (p[3] == VX_CTX_FS_BASE || p[3] == VX_CTX_GS_BASE);
    else
        listed = p[3] == VX_CTX_RETURN || p[3] == VX_CTX_EVENT;
    if (!listed)
        return refuse(VXV_CONTEXT, 4);
    return (struct insn){VXV_OK, load ? VXV_REGISTER_FORM : VXV_REGISTER_FORM | VXV_STOP, 4};
}

/* Legacy prefixes as far as they are in the listed order. */
struct prefixes {
    uint32_t length, segment, lock, os, slot;
};

static inline bool is_legacy_prefix(uint32_t byte)
{
    return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || byte == 0xf0 || byte == 0x67 || byte == 0x65;
}

/* 67 alone, then [f0] [66] [f2|f3]. What stands in another order stays where the opcode is expected. */
static inline void more_prefixes(const uint8_t *p, struct prefixes *x)
{
    if (x->segment == SEG_NONE && p[x->length] == 0x67) {
        x->segment = SEG_67;
        x->length++;
    }
    if (p[x->length] == 0xf0) {
        x->lock = 1;
        x->length++;
    }
    if (p[x->length] == 0x66) {
        x->os = 1;
        x->slot = VXV_66;
        x->length++;
    }
    if ((p[x->length] & 0xfe) == 0xf2) {
        x->slot = p[x->length] == 0xf2 ? VXV_F2 : VXV_F3;
        x->length++;
    }
}

/* The row of a group opcode for this ModRM byte; 0 = none. */
static inline uint32_t group_row(uint32_t group, uint32_t modrm)
{
    if (modrm >= 0xc0 && group < VXV_ESCAPE_COUNT)
        return vxv_escapes[group] >> (modrm & 63) & 1 ? vxv_escape_row : 0;
    return vxv_groups[group][modrm >> 3 & 7];
}

/* What a SIB byte asks for; *length grows by it, and by its disp32. */
static inline uint32_t read_sib(uint32_t sib, uint32_t mod, uint32_t rex, uint32_t *length)
{
    uint32_t index = (sib >> 3 & 7) | (rex & REX_X) << 2, base = (sib & 7) | (rex & REX_B) << 3;
    uint32_t ask = 0;

    *length += 1;
    if (index != 4 && (VXV_RESERVED_REGISTERS >> index & 1))
        ask |= VXV_BASE_RESERVED;
    if (mod == 0 && (sib & 7) == 5) { /* no base */
        *length += 4;
        return rex & REX_B ? ask | VXV_REX_UNUSED : ask;
    }
    return VXV_RESERVED_REGISTERS >> base & 1 ? ask | VXV_BASE_RESERVED : ask;
}

/* Something was asked for that the row does not grant: which rule is that? */
static inline enum vxv_rule why_refused(uint32_t refused)
{
    if (refused & (VXV_MEMORY_FORM | VXV_REGISTER_FORM))
        return VXV_UNLISTED;
    if (refused & VXV_RIP_RELATIVE)
        return VXV_RIP;
    if (refused & (VXV_BASE_RESERVED | VXV_REG_RESERVED | VXV_REG8_RESERVED | VXV_RM_RESERVED | VXV_RM8_RESERVED))
        return VXV_RESERVED;
    return VXV_REX;
}

/* No row for this opcode byte: which rule is that? */
static inline enum vxv_rule why_unlisted(uint32_t map, uint32_t op)
{
    if (map != 0)
        return VXV_UNLISTED;
    if ((op & 0xf0) == 0x40 || is_legacy_prefix(op) || (op & 0xe7) == 0x26 || op == 0x64)
        return VXV_PREFIX;
    return op >= 0xa4 && op <= 0xaf && op != 0xa8 && op != 0xa9 ? VXV_STRING : VXV_UNLISTED;
}

/*
 * [REX] opcode and operands after the prefixes x. bytes: at least six, the lowest
 * is the first. Inlined for each set of prefixes: none, 65 67, any.
 */
static inline __attribute__((always_inline)) struct insn judge(uint64_t bytes, struct prefixes x)
{
    uint32_t rex = 0, map = 0, op, form, ask, segment, n = x.length + 1;

    if ((bytes & 0xf0) == 0x40) {
        rex = bytes & 0xf;
        if (rex == 0 || (rex & REX_W))
            return refuse(rex == 0 ? VXV_REX : VXV_PREFIX, n);
        bytes >>= 8;
        n++;
    }
    if ((bytes & 0xff) == 0x0f) {
        map = 1;
        bytes >>= 8;
        n++;
        if ((bytes & 0xff) == 0x38 || (bytes & 0xff) == 0x3a) {
            map = (bytes & 0xff) == 0x38 ? 2 : 3;
            bytes >>= 8;
            n++;
        }
    }
    op = bytes & 0xff;
    form = vxv_forms[map][x.slot][op];

    /* Operands. */
    if (form & VXV_MODRM) {
        uint32_t modrm = bytes >> 8 & 0xff;
        if (form & VXV_GROUP)
            form = group_row(VXV_FORM_GROUP(form), modrm);
        ask = vxv_modrm[rex << 8 | modrm];
        n += ask >> 16;
        if (ask & VXV_HAS_SIB)
            ask |= read_sib(bytes >> 16 & 0xff, modrm >> 6, rex, &n);
    } else {
        ask = vxv_modrm[rex << 8 | 0xc0 | (form & VXV_EMBEDDED ? op & 7 : 0)];
    }
    n += (form / VXV_IMM1 & 1) + (form / VXV_IMMZ & 1) * (x.os ? 2 : 4);
    segment = (ask & ~(form / VXV_ADDRESS) & VXV_MEMORY_FORM) | (form / VXV_ADDR32 & 1) * SEG_67;

    /* The rules. */
    if (form == 0)
        return refuse(why_unlisted(map, op), n);
    if (x.os && x.slot != VXV_66 && !(form & VXV_OS))
        return refuse(VXV_UNLISTED, n);
    if (x.lock && !((ask & VXV_MEMORY_FORM) && (form & VXV_LOCK)))
        return refuse(VXV_LOCKED, n);
    if (x.segment != segment)
        return refuse(VXV_MEMORY, n);
    if (ask & VXV_ASK_MASK & ~form)
        return refuse(why_refused(ask & ~form), n);
    return (struct insn){VXV_OK, form, n};
}

/* Something with VEX was asked for that the row does not grant: which rule is that? */
static inline enum vxv_rule why_vex_refused(uint32_t refused, uint32_t form)
{
    if (refused & (VXV_VEX_W0 | VXV_VEX_W1))
        return VXV_UNLISTED;
    return form & VXV_VEX_G ? VXV_RESERVED : VXV_REX;
}

/*
 * C4 or C5 behind the prefixes x, which are none or 65 67. Both forms are accepted where both can say it; every field of
 * them must be as the row has it.
 */
static __attribute__((noinline)) struct insn vex(const uint8_t *p, struct prefixes x)
{
    uint32_t n = x.length, last = p[n + 1], map = 1, rxb = (last ^ 0x80) >> 5 & 4, asked = VXV_VEX_W0;
    uint32_t form, ask, modrm, vvvv, l, tail;

    if (p[n++] == 0xc4) {
        map = last & 31;
        rxb = ~last >> 5 & 7;
        last = p[++n];
        asked = last & 0x80 ? VXV_VEX_W1 : VXV_VEX_W0;
    }
    l = last >> 2 & 1;
    vvvv = ~last >> 3 & 15;
    if (map == 0 || map > 3)
        return refuse(VXV_UNLISTED, n + 1);
    form = vxv_vex_forms[map - 1][last & 3][l][p[n + 1]];
    modrm = p[n + 2];
    n += 2;
    ask = VXV_REGISTER_FORM | (rxb ? VXV_REX_UNUSED : 0);
    if (form & VXV_MODRM) {
        if (form & VXV_GROUP)
            form = vxv_vex_groups[VXV_FORM_GROUP(form)][l][modrm >> 3 & 7];
        ask = vxv_modrm[rxb << 8 | modrm];
        tail = n + 1;
        n += ask >> 16;
        if (ask & VXV_HAS_SIB)
            ask |= read_sib(p[tail], modrm >> 6, rxb, &n);
    }
    n += form / VXV_IMM1 & 1;
    if (form & VXV_VEX_NONE)
        asked |= vvvv == 0 ? VXV_VEX_NONE : VXV_VEX_X;
    else if (form & VXV_VEX_X)
        asked |= vvvv < (form & VXV_VEX_M_NONE && ask & VXV_MEMORY_FORM ? 1 : 8) ? VXV_VEX_X : VXV_VEX_G;
    else
        asked |= VXV_RESERVED_REGISTERS >> vvvv & 1 ? VXV_VEX_X : VXV_VEX_G;

    /* The rules. */
    if (form == 0)
        return refuse(VXV_UNLISTED, n);
    if (x.segment != (ask & VXV_MEMORY_FORM))
        return refuse(VXV_MEMORY, n);
    if (asked & ~form)
        return refuse(why_vex_refused(asked & ~form, form), n);
    if (ask & VXV_ASK_MASK & ~form)
        return refuse(why_refused(ask & ~form), n);
    if ((form & VXV_VEX_IMM_X) && (p[n - 1] & 0x80))
        return refuse(VXV_REX, n);
    if ((form & VXV_VEX_R_AVX2) && (ask & VXV_REGISTER_FORM))
        form = (form & ~(31u << 24)) | (uint32_t)__builtin_ffs(VXV_CPU_AVX2) << 24;
    return (struct insn){VXV_OK, VXV_REGISTER_FORM | (form & ~0x00ffffffu), n};
}

/* Prefixes other than 65 67, VEX, the context operands, which name r15, and why anything else is refused. */
static __attribute__((noinline)) struct insn less_frequent(const uint8_t *p, struct prefixes x)
{
    uint64_t bytes;

    if (looks_like_context(p))
        return context_operand(p);
    if (p[0] == 0x65 && p[1] != 0x67)
        return refuse(VXV_MEMORY, 2);
    if ((p[x.length] & 0xfe) == 0xc4)
        return vex(p, x);
    more_prefixes(p, &x);
    memcpy(&bytes, p + x.length, sizeof bytes);
    return judge(bytes, x);
}

/* Decode and judge one instruction outside sequences; LOOK_AHEAD bytes at p are readable. */
static inline __attribute__((always_inline)) struct insn decode(const uint8_t *p)
{
    struct prefixes x = {0, SEG_NONE, 0, 0, VXV_NP};
    struct insn insn;
    uint64_t bytes;

    /* Prefixes: [65 67] [f0] [66] [f2|f3] [REX]. Judged in two places, because a branch costs less than a shift by 0 or 16. */
    memcpy(&bytes, p, sizeof bytes);
    if ((bytes & 0xffff) == 0x6765) {
        x.segment = SEG_GS_67;
        x.length = 2;
        insn = judge(bytes >> 16, x);
    } else {
        insn = judge(bytes, x);
    }
    return insn.rule == VXV_OK ? insn : less_frequent(p, x);
}

#endif

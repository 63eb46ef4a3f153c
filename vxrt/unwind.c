/*
 * One step up the guest's stack by .eh_frame (Linux Standard Base, "Exception Frames"; DWARF 4, section 6.4).
 *
 * The tables are read from the image's file, where they are position-independent; the stack from the box. Neither is
 * trusted: what does not look as compilers write it ends the walk. Of the many encodings those are known that gcc and
 * clang use on i386.
 */
#include <elf.h>
#include <string.h>

#include "format/cursor.h"
#include "vxrt/internal.h"
#include "vxrt/unwind.h"

enum { ENC_PCREL_S32 = 0x1b, ENC_U32 = 0x03, ENC_TABLE = 0x3b };
enum { REG_ESP = 4, REG_EBP = 5, REG_EIP = 8, REG_COUNT = 9 };
#define STATES 8
#define MAX_BYTES 0x10000u /* of one entry */
#define MAX_ENTRIES 0x40000u

enum rule_kind { RULE_SAME, RULE_OFFSET, RULE_UNKNOWN };
struct rules {
    uint32_t cfa_register, cfa_offset;
    bool has_cfa;
    uint8_t kind[REG_COUNT];
    uint32_t offset[REG_COUNT];
};

struct program {
    struct rules now, initial, saved[STATES];
    unsigned depth;
    uint32_t data_align, at, wanted; /* guest addresses before load bias */
};

/* The image's bytes from an address on, at most `limit`. */
static struct vxi_cursor bytes_at(const struct vxe_elf *elf, vx_gaddr addr, uint32_t limit)
{
    uint32_t available = 0;
    const uint8_t *bytes = vxe_at(elf, addr, &available);
    struct vxi_cursor none = { .bad = true };
    return bytes ? vxi_cursor(bytes, available < limit ? available : limit) : none;
}

static uint32_t uleb(struct vxi_cursor *c)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = vxi_u8(c);
        if (shift < 32)
            value |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    c->bad = true;
    return 0;
}

static uint32_t sleb(struct vxi_cursor *c)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = vxi_u8(c);
        if (shift < 32)
            value |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (byte & 0x40 && shift + 7 < 32)
                value |= UINT32_MAX << (shift + 7);
            return value;
        }
    }
    c->bad = true;
    return 0;
}

static void set_offset(struct program *p, uint32_t reg, uint32_t offset)
{
    if (reg >= REG_COUNT)
        return;
    p->now.kind[reg] = RULE_OFFSET;
    p->now.offset[reg] = offset;
}

static void set_kind(struct program *p, uint32_t reg, uint8_t kind)
{
    if (reg < REG_COUNT)
        p->now.kind[reg] = kind;
}

static void restore(struct program *p, uint32_t reg)
{
    if (reg >= REG_COUNT)
        return;
    p->now.kind[reg] = p->initial.kind[reg];
    p->now.offset[reg] = p->initial.offset[reg];
}

static void set_cfa(struct program *p, uint32_t reg, uint32_t offset)
{
    p->now.cfa_register = reg;
    p->now.cfa_offset = offset;
    p->now.has_cfa = reg < REG_EIP;
}

/* An instruction other than the three with operands in the opcode. False: it is past the address, or unknown. */
static bool extended(struct program *p, struct vxi_cursor *c, uint8_t opcode)
{
    uint32_t reg;
    switch (opcode) {
    case 0x00: return true;                                                     /* nop */
    case 0x02: p->at += vxi_u8(c); return true;                                 /* advance_loc1, 2, 4 */
    case 0x03: p->at += vxi_u16(c); return true;
    case 0x04: p->at += vxi_u32(c); return true;
    case 0x05: reg = uleb(c); set_offset(p, reg, uleb(c) * p->data_align); return true;
    case 0x06: restore(p, uleb(c)); return true;
    case 0x07: set_kind(p, uleb(c), RULE_UNKNOWN); return true;                 /* undefined */
    case 0x08: set_kind(p, uleb(c), RULE_SAME); return true;
    case 0x0a:                                                                  /* remember_state */
        if (p->depth == STATES)
            return false;
        p->saved[p->depth++] = p->now;
        return true;
    case 0x0b:                                                                  /* restore_state */
        if (p->depth == 0)
            return false;
        p->now = p->saved[--p->depth];
        return true;
    case 0x0c: reg = uleb(c); set_cfa(p, reg, uleb(c)); return true;
    case 0x0d: set_cfa(p, uleb(c), p->now.cfa_offset); return true;
    case 0x0e: set_cfa(p, p->now.cfa_register, uleb(c)); return true;
    case 0x0f: vxi_take(c, uleb(c)); p->now.has_cfa = false; return true;       /* def_cfa_expression */
    case 0x10: case 0x16: reg = uleb(c); vxi_take(c, uleb(c)); set_kind(p, reg, RULE_UNKNOWN); return true;
    case 0x11: reg = uleb(c); set_offset(p, reg, sleb(c) * p->data_align); return true;
    case 0x12: reg = uleb(c); set_cfa(p, reg, sleb(c) * p->data_align); return true;
    case 0x13: set_cfa(p, p->now.cfa_register, sleb(c) * p->data_align); return true;
    case 0x2e: uleb(c); return true;                                            /* GNU_args_size */
    default: return false;
    }
}

/* Run instructions up to the wanted address. */
static bool execute(struct program *p, struct vxi_cursor *c)
{
    while (vxi_left(c) > 0 && !c->bad && p->at <= p->wanted) {
        uint8_t opcode = vxi_u8(c), low = opcode & 0x3f;
        switch (opcode & 0xc0) {
        case 0x40: p->at += low; break;
        case 0x80: set_offset(p, low, uleb(c) * p->data_align); break;
        case 0xc0: restore(p, low); break;
        default:
            if (!extended(p, c, opcode))
                return false;
        }
    }
    return !c->bad;
}

/* The entry at `addr`: what follows its length and its id; *id_addr is where the id stands. */
static struct vxi_cursor entry_at(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *id, vx_gaddr *id_addr)
{
    struct vxi_cursor head = bytes_at(elf, addr, 4);
    uint32_t length = vxi_u32(&head);
    struct vxi_cursor c = bytes_at(elf, addr + 4, length);
    if (head.bad || length < 4 || length > MAX_BYTES || vxi_left(&c) < length)
        c.bad = true;
    *id_addr = addr + 4;
    *id = vxi_u32(&c);
    return c;
}

/* The common part: alignment factors, and the initial rules. */
static bool read_cie(const struct vxe_elf *elf, vx_gaddr addr, struct program *p, bool *has_augmentation)
{
    uint32_t id;
    vx_gaddr id_addr;
    struct vxi_cursor c = entry_at(elf, addr, &id, &id_addr);
    uint8_t version = vxi_u8(&c), encoding = 0;
    char names[8] = "";
    for (unsigned i = 0; i < sizeof names && (names[i] = (char)vxi_u8(&c)) != '\0'; i++)
        if (i + 1 == sizeof names)
            return false;
    uint32_t code_align = uleb(&c);
    p->data_align = sleb(&c);
    uint32_t return_register = version == 1 ? vxi_u8(&c) : uleb(&c);
    if (c.bad || id != 0 || (version != 1 && version != 3) || code_align != 1 || return_register != REG_EIP)
        return false;
    *has_augmentation = names[0] == 'z';
    if (*has_augmentation) {
        uint32_t size = uleb(&c);
        const uint8_t *bytes = vxi_take(&c, size);
        struct vxi_cursor data = vxi_cursor(bytes, bytes ? size : 0);
        /* Of what the letters stand for only R matters, and P is in front of it: an encoding and 4 bytes. */
        for (const char *name = names + 1; *name && !data.bad; name++) {
            if (!strchr("PLRS", *name))
                return false;
            uint8_t byte = *name == 'S' ? 0 : vxi_u8(&data);
            if (*name == 'R')
                encoding = byte;
            if (*name == 'P')
                vxi_take(&data, 4);
        }
        if (!bytes || data.bad)
            return false;
    }
    p->at = 0;
    uint32_t wanted = p->wanted;
    p->wanted = UINT32_MAX;
    bool is_good = encoding == ENC_PCREL_S32 && execute(p, &c);
    p->wanted = wanted;
    p->initial = p->now;
    return is_good;
}

/* Static programs that are not position-independent have no table, but a symbol where most of .eh_frame begins (crtbeginT.o). */
static vx_gaddr find_begin(const struct vxe_elf *elf)
{
    struct vxe_symbol symbol;
    for (uint32_t i = 0; vxe_symbol(elf, false, i, &symbol); i++)
        if (symbol.type == STT_OBJECT && strcmp(symbol.name, "__EH_FRAME_BEGIN__") == 0)
            return symbol.value;
    return 0;
}

/* The same as find_fde without a table: one entry after the other. */
static vx_gaddr scan_fde(const struct vxe_elf *elf, vx_gaddr addr)
{
    vx_gaddr at = find_begin(elf);
    for (uint32_t i = 0; at != 0 && i < MAX_ENTRIES; i++) {
        struct vxi_cursor c = bytes_at(elf, at, 16);
        uint32_t length = vxi_u32(&c), id = vxi_u32(&c), begin = vxi_u32(&c) + at + 8, size = vxi_u32(&c);
        if (c.bad || length == 0 || length > MAX_BYTES)
            return 0;
        if (id != 0 && addr - begin < size)
            return at;
        at += 4 + length;
    }
    return 0;
}

/* Where the description of the function with `addr` is, 0 if there is none. */
static vx_gaddr find_fde(const struct vxe_elf *elf, vx_gaddr addr)
{
    if (!elf->eh_frame_hdr)
        return scan_fde(elf, addr);
    struct vxi_cursor head = bytes_at(elf, elf->eh_frame_hdr, 12);
    const uint8_t *form = vxi_take(&head, 4);
    vxi_u32(&head);
    uint32_t count = vxi_u32(&head), low = 0, high = count;
    if (head.bad || form[0] != 1 || form[1] != ENC_PCREL_S32 || form[2] != ENC_U32 || form[3] != ENC_TABLE)
        return 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct vxi_cursor row = bytes_at(elf, elf->eh_frame_hdr + 12 + 8 * middle, 4);
        uint32_t begin = vxi_u32(&row) + elf->eh_frame_hdr;
        if (row.bad)
            return 0;
        if (begin <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    struct vxi_cursor row = bytes_at(elf, elf->eh_frame_hdr + 12 + 8 * (low - 1), 8);
    vxi_u32(&row);
    uint32_t fde = vxi_u32(&row) + elf->eh_frame_hdr;
    return low == 0 || row.bad ? 0 : fde;
}

static bool find_rules(const struct vxe_elf *elf, vx_gaddr addr, struct rules *rules)
{
    struct program p = { .wanted = addr };
    uint32_t id;
    vx_gaddr id_addr, fde = find_fde(elf, addr);
    bool has_augmentation;
    if (!fde)
        return false;
    struct vxi_cursor c = entry_at(elf, fde, &id, &id_addr);
    if (c.bad || id == 0 || !read_cie(elf, id_addr - id, &p, &has_augmentation))
        return false;
    uint32_t begin = vxi_u32(&c) + id_addr + 4, size = vxi_u32(&c);
    if (has_augmentation)
        vxi_take(&c, uleb(&c));
    if (c.bad || addr - begin >= size)
        return false;
    p.at = begin;
    if (!execute(&p, &c) || !p.now.has_cfa || p.now.kind[REG_EIP] != RULE_OFFSET)
        return false;
    *rules = p.now;
    return true;
}

bool vxi_unwind(struct vx_box *box, uint32_t registers[9], bool is_return)
{
    struct rules rules;
    uint32_t before[REG_COUNT];
    memcpy(before, registers, sizeof before);
    if (!box->image || !find_rules(&box->image->elf, before[REG_EIP] - box->image->bias - (is_return ? 1 : 0), &rules))
        return false;
    uint32_t cfa = before[rules.cfa_register] + rules.cfa_offset;
    if (cfa <= before[REG_ESP])
        return false;
    for (uint32_t i = 0; i < REG_COUNT; i++)
        if (rules.kind[i] == RULE_OFFSET && vx_box_read(box, cfa + rules.offset[i], &registers[i], 4) != VX_OK)
            return false;
    registers[REG_ESP] = cfa;
    return true;
}

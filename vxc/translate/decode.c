/*
 * Guest instruction decoder (see decode.h), driven by the rows of optable.h.
 *
 * The rows are compiled once into operand kinds, and indexed by map,
 * mandatory prefix and opcode; rows that share these are told apart by their form.
 */
#include <string.h>

#include "vxc/translate/decode.h"

enum { NP, P66, PF3, PF2, NPO };
#define PREFIX_INDEX(prefix) ((prefix) & 3) /* NPO rows stand with NP */

/* Forms: bits 0-3 digit + 1 (0: any), 4 memory only, 5 register only, 8 exact ModRM in bits 16-23. */
#define ANY 0
#define D(n) ((n) + 1)
#define DM(n) (D(n) | 0x10)
#define DR(n) (D(n) | 0x20)
#define MEM 0x10
#define REG 0x20
#define X(b) (0x100 | (b) << 16)
/* VEX rows: bits 9, 10 L may be 0, 1; 11, 12 W may be; 13 L is ignored. */
#define VL0 0x200
#define VL1 0x400
#define VL (VL0 | VL1)
#define VLIG (VL | 0x2000)
#define VW0 0x800
#define VW1 0x1000
#define VWIG (VW0 | VW1)
#define VEX_FEATURES (VX_CPU_AVX | VX_CPU_BMI1 | VX_CPU_BMI2)
#define VEX_MAPS 3 /* maps 4-6 of the rows are 1-3 with VEX */

struct row {
    uint8_t map, prefix, opcode;
    uint32_t form;
    const char *name, *operands, *access;
    uint8_t klass, flags_read, flags_written;
    uint32_t cpu;
};

static const struct row rows[] = {
#define R(map, prefix, opcode, form, name, operands, access, klass, fr, fw, cpu) \
    { map, prefix, opcode, form, name, operands, access, VXT_##klass, fr, fw, cpu },
#include "vxc/translate/optable.h"
#undef R
};
#define ROW_COUNT (sizeof rows / sizeof *rows)

enum { IMM_NONE, IMM_B, IMM_BS, IMM_W, IMM_Z, IMM_ENTER, IMM_FAR, IMM_JB, IMM_JZ, IMM_MOFFS };

/* A row with its operands parsed. */
struct compiled {
    uint32_t form;      /* the row's, and what its operands imply */
    uint32_t cpu;
    uint16_t next;      /* next row with the same map, prefix and opcode, + 1; 0: none */
    uint8_t klass, flags_read, flags_written;
    uint8_t reg_kind, rm_kind, imm;
    uint8_t vvvv_kind;
    bool has_modrm, has_register_imm, byte_op, is_sized, is_exact, reg_only;
    bool reg_read, reg_write, rm_read, rm_write;
};

static struct compiled compiled[ROW_COUNT];
static uint16_t first_row[4 + VEX_MAPS][4][256]; /* row + 1 */
static bool opcode_has_modrm[4 + VEX_MAPS][256]; /* of any row of the opcode */

static uint8_t gpr_kind(char size)
{
    return size == 'b' ? VXT_R_8 : size == 'w' ? VXT_R_16 : size == 'd' ? VXT_R_32 : VXT_R_V;
}

static void compile_operand(struct compiled *c, const char *operand, char access)
{
    bool reads = access == 'r' || access == 'x', writes = access == 'w' || access == 'x';
    char kind = operand[0], size = operand[1];
    if (strchr("GVPS", kind) && kind != 0 && strncmp(operand, "ST", 2)) {
        c->has_modrm = true;
        c->reg_kind = kind == 'G' ? gpr_kind(size) : kind == 'V' ? VXT_R_XMM : kind == 'P' ? VXT_R_MMX : VXT_R_SEG;
        c->reg_read = reads;
        c->reg_write = writes;
    } else if (strchr("EWQMUNRZ", kind)) {
        c->has_modrm |= kind != 'Z';
        c->rm_kind = kind == 'E' || kind == 'R' || kind == 'Z' ? gpr_kind(size)
                     : kind == 'W' || kind == 'U' ? VXT_R_XMM : kind == 'Q' || kind == 'N' ? VXT_R_MMX : VXT_R_NONE;
        c->form |= kind == 'M' ? MEM : strchr("UNR", kind) ? REG : 0;
        c->rm_read = reads;
        c->rm_write = writes;
        c->byte_op = c->rm_kind == VXT_R_8;
    } else if (kind == 'H' || (kind == 'B' && size == 'd')) {
        c->vvvv_kind = kind == 'H' ? VXT_R_XMM : VXT_R_32;
    } else if (kind == 'I' || !strncmp(operand, "Lx", 2)) {
        uint8_t imm = operand[1] == 'z' ? IMM_Z : operand[1] == 'w' ? IMM_W : operand[2] == 's' ? IMM_BS : IMM_B;
        c->imm = c->imm == IMM_W ? IMM_ENTER : imm;
        c->has_register_imm = kind == 'L';
    } else if (kind == 'J') {
        c->imm = size == 'b' ? IMM_JB : IMM_JZ;
    } else if (kind == 'O') {
        c->imm = IMM_MOFFS;
    } else if (!strncmp(operand, "Ap", 2)) {
        c->imm = IMM_FAR;
    }
    c->is_sized |= (size == 'v' || size == 'z') || !strncmp(operand, "eAX", 3);
    c->reg_only |= kind == 'U' || kind == 'N' || kind == 'R';
    c->is_exact |= strchr("VWPQUN", kind) != NULL;
}

__attribute__((constructor)) static void compile_rows(void)
{
    for (size_t i = ROW_COUNT; i-- > 0;) {
        const struct row *row = &rows[i];
        struct compiled *c = &compiled[i];
        const char *operand = row->operands;
        c->form = row->form;
        c->cpu = row->cpu;
        c->klass = row->klass;
        c->flags_read = row->flags_read;
        c->flags_written = row->flags_written;
        c->has_modrm = (row->form & ~(uint32_t)(VLIG | VWIG)) != ANY;
        for (unsigned n = 0; *operand; n++) {
            compile_operand(c, operand, row->access[n] ? row->access[n] : '-');
            operand = strchr(operand, ',');
            if (!operand)
                break;
            operand++;
        }
        c->is_exact |= row->map >= 4;
        uint16_t *head = &first_row[row->map][PREFIX_INDEX(row->prefix)][row->opcode];
        c->is_exact |= row->prefix == NPO;
        c->next = *head;
        *head = (uint16_t)(i + 1);
        opcode_has_modrm[row->map][row->opcode] |= c->has_modrm;
    }
}

#define MAX_LENGTH 15

/* Input bytes with a limit. */
struct input {
    const uint8_t *bytes;
    uint32_t size, at;
    bool is_short;
};

static uint8_t next8(struct input *in)
{
    if (in->at >= in->size) {
        in->is_short = true;
        return 0;
    }
    return in->bytes[in->at++];
}

/* count: 2 or 4 */
static uint32_t next_bytes(struct input *in, unsigned count)
{
    uint32_t value = 0;
    if (in->size - in->at < count) {
        in->is_short = true;
        in->at = in->size;
        return 0;
    }
    if (count == 4)
        memcpy(&value, in->bytes + in->at, 4);
    else
        memcpy(&value, in->bytes + in->at, 2);
    in->at += count;
    return value;
}

struct prefixes {
    bool has_66, has_lock;
    uint8_t rep;
};

static uint8_t read_prefixes(struct input *in, struct vxt_insn *insn, struct prefixes *p)
{
    for (;;) {
        uint8_t byte = next8(in);
        if (in->is_short || in->at > MAX_LENGTH)
            return byte;
        switch (byte) {
        case 0x26: insn->seg = 0; break;
        case 0x2e: insn->seg = 1; break;
        case 0x36: insn->seg = 2; break;
        case 0x3e: insn->seg = 3; break;
        case 0x64: insn->seg = 4; break;
        case 0x65: insn->seg = 5; break;
        case 0x66: p->has_66 = true; break;
        case 0x67: insn->addr16 = true; break;
        case 0xf0: p->has_lock = true; break;
        case 0xf2: case 0xf3: p->rep = byte; break;
        default: return byte;
        }
    }
}

static uint8_t read_opcode(struct input *in, struct vxt_insn *insn, uint8_t byte)
{
    if (byte != 0x0f)
        return byte;
    insn->map = 1;
    byte = next8(in);
    if (byte == 0x38 || byte == 0x3a) {
        insn->map = byte == 0x38 ? 2 : 3;
        byte = next8(in);
    }
    return byte;
}

/* The x87 twins of d8-df: register forms that all processors take for another, documented one. */
static void normalise_x87(struct vxt_insn *insn)
{
    static const struct { uint8_t opcode, digit, twin, twin_digit; } twins[] = {
        { 0xdc, 2, 0xd8, 2 }, /* fcom2 */
        { 0xdc, 3, 0xd8, 3 }, /* fcomp3 */
        { 0xdd, 1, 0xd9, 1 }, /* fxch4 */
        { 0xde, 2, 0xd8, 3 }, /* fcomp5 */
        { 0xdf, 1, 0xd9, 1 }, /* fxch7 */
        { 0xdf, 2, 0xdd, 3 }, /* fstp8 */
        { 0xdf, 3, 0xdd, 3 }, /* fstp9 */
    };
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        if (insn->opcode != twins[i].opcode || (insn->modrm >> 3) != (0x18 | twins[i].digit))
            continue;
        insn->opcode = twins[i].twin;
        insn->modrm = (uint8_t)(0xc0 | twins[i].twin_digit << 3 | (insn->modrm & 7));
        return;
    }
}

/* Twins, documented or not, become the encoding that the manual lists. */
static void normalise(struct vxt_insn *insn)
{
    uint8_t digit = insn->modrm >> 3 & 7;
    if (insn->map == 1 && insn->opcode == 0xae && insn->modrm >= 0xe8)
        insn->modrm &= (uint8_t)~7; /* the fences ignore ModRM.rm */
    if (insn->map)
        return;
    switch (insn->opcode) {
    case 0x82:
        insn->opcode = 0x80;
        break;
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        if (digit == 6)
            insn->modrm = (uint8_t)((insn->modrm & ~0x38) | 4 << 3);
        break;
    case 0xdc: case 0xdd: case 0xde: case 0xdf:
        normalise_x87(insn);
        break;
    case 0xf6: case 0xf7:
        if (digit == 1)
            insn->modrm &= (uint8_t)~0x38;
        break;
    default:
        break;
    }
}

/* want: L and W of a VEX prefix, else 0. */
static bool fits(uint32_t form, uint8_t modrm, uint32_t want)
{
    bool is_mem = modrm < 0xc0;
    if ((form & want) != want)
        return false;
    if (form & 0x100)
        return modrm == form >> 16;
    if ((form & 0xf) && (form & 0xf) - 1 != (modrm >> 3 & 7u))
        return false;
    return !(form & (is_mem ? REG : MEM));
}

/* The row of these bytes that the CPU has, or -1. */
static int search(uint32_t cpu, uint8_t map, uint8_t prefix, uint8_t opcode, uint8_t modrm, uint32_t want)
{
    for (unsigned i = first_row[map][prefix][opcode]; i; i = compiled[i - 1].next)
        if (fits(compiled[i - 1].form, modrm, want) && !(compiled[i - 1].cpu & ~cpu))
            return (int)i - 1;
    return -1;
}

static void read_address16(struct input *in, struct vxt_insn *insn)
{
    static const int8_t base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 }; /* bx bx bp bp si di bp bx */
    static const int8_t index[8] = { 6, 7, 6, 7, -1, -1, -1, -1 };
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
    insn->base = base[rm];
    insn->index = index[rm];
    if (mod == 0 && rm == 6) {
        insn->base = -1;
        insn->disp = (int16_t)next_bytes(in, 2);
    } else if (mod == 1) {
        insn->disp = (int8_t)next8(in);
    } else if (mod == 2) {
        insn->disp = (int16_t)next_bytes(in, 2);
    }
}

static void read_address32(struct input *in, struct vxt_insn *insn)
{
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
    insn->base = (int8_t)rm;
    if (rm == 4) {
        uint8_t sib = next8(in);
        insn->base = sib & 7;
        insn->scale = sib >> 6;
        insn->index = (sib >> 3 & 7) == 4 ? -1 : (int8_t)(sib >> 3 & 7);
        if (insn->index < 0)
            insn->scale = 0;
        if (mod == 0 && insn->base == 5) {
            insn->base = -1;
            insn->disp = (int32_t)next_bytes(in, 4);
        }
    } else if (mod == 0 && rm == 5) {
        insn->base = -1;
        insn->disp = (int32_t)next_bytes(in, 4);
    }
    if (mod == 1)
        insn->disp = (int8_t)next8(in);
    else if (mod == 2)
        insn->disp = (int32_t)next_bytes(in, 4);
}

static void read_immediate(struct input *in, struct vxt_insn *insn, uint8_t kind)
{
    unsigned z = insn->osize16 ? 2 : 4;
    int32_t relative = 0;
    switch (kind) {
    case IMM_B: insn->imm_size = 1; insn->imm = next8(in); break;
    case IMM_BS: insn->imm_size = 1; insn->imm = (uint32_t)(int8_t)next8(in); break;
    case IMM_W: insn->imm_size = 2; insn->imm = next_bytes(in, 2); break;
    case IMM_Z: insn->imm_size = (uint8_t)z; insn->imm = next_bytes(in, z); break;
    case IMM_ENTER: insn->imm = next_bytes(in, 2); insn->imm2 = next8(in); break;
    case IMM_FAR: insn->imm = next_bytes(in, z); insn->imm2 = next_bytes(in, 2); break;
    case IMM_MOFFS: insn->disp = (int32_t)next_bytes(in, insn->addr16 ? 2 : 4); break;
    case IMM_JB: relative = (int8_t)next8(in); break;
    case IMM_JZ:
        relative = z == 2 ? (int16_t)next_bytes(in, 2) : (int32_t)next_bytes(in, 4);
        break;
    default:
        return;
    }
    if (kind == IMM_JB || kind == IMM_JZ) {
        insn->target = insn->addr + in->at + (uint32_t)relative;
        if (insn->osize16)
            insn->target &= 0xffff;
    }
}

static bool is_lockable(const struct vxt_insn *insn)
{
    uint8_t op = insn->opcode;
    if (!insn->is_mem)
        return false;
    if (insn->map == 0)
        return (op < 0x38 && (op & 7) < 2) || ((op == 0x80 || op == 0x81 || op == 0x83) && insn->reg != 7) ||
               op == 0x86 || op == 0x87 || ((op == 0xf6 || op == 0xf7) && (insn->reg == 2 || insn->reg == 3)) ||
               ((op == 0xfe || op == 0xff) && insn->reg < 2);
    if (insn->map != 1)
        return false;
    return op == 0xab || op == 0xb3 || op == 0xbb || (op == 0xba && insn->reg > 4) || op == 0xb0 ||
           op == 0xb1 || op == 0xc0 || op == 0xc1 || op == 0xc7;
}

/* mov to or from cr: some processors take lock for another control register. */
static bool is_mov_control(const struct vxt_insn *insn)
{
    return insn->map == 1 && (insn->opcode & 0xfd) == 0x20;
}

/* What the row alone does not say. */
static void finish(struct vxt_insn *insn, const struct prefixes *p)
{
    uint8_t op = insn->opcode;
    bool shifts_by_imm = (insn->map == 0 && (op == 0xc0 || op == 0xc1)) ||
                         (insn->map == 1 && (op == 0xa4 || op == 0xac));
    if (shifts_by_imm && ((insn->imm & 31) == 0 || (insn->map == 1 && insn->osize16 && (insn->imm & 31) > 16)))
        insn->flags_written = 0; /* no shift, or more than a word shifted out: undefined */
    switch (insn->klass) {
    case VXT_JCC:
        insn->cc = op & 15;
        break;
    case VXT_STRING:
        insn->rep = p->rep;
        if (insn->rep && insn->flags_written) /* a count of zero compares nothing */
            insn->flags_written = 0;
        if (!(op & 1))
            insn->osize16 = false;
        break;
    case VXT_PUSH_SEG: case VXT_POP_SEG:
        insn->seg_reg = insn->map ? (op < 0xa8 ? 4 : 5) : op >> 3 & 3;
        break;
    case VXT_LOAD_FAR:
        insn->seg_reg = insn->map == 0 ? (op == 0xc4 ? 0 : 3) : op == 0xb2 ? 2 : op == 0xb4 ? 4 : 5;
        break;
    case VXT_MOV_FROM_SEG: case VXT_MOV_TO_SEG:
        insn->seg_reg = insn->reg;
        if (insn->reg > 5 || (insn->klass == VXT_MOV_TO_SEG && insn->reg == 1))
            insn->klass = VXT_UD;
        break;
    case VXT_FAR_RET:
        insn->imm2 = op == 0xcf;
        break;
    case VXT_MOV_MOFFS:
        if (!(op & 1))
            insn->osize16 = false;
        break;
    default:
        break;
    }
    if (is_mov_control(insn) && (insn->reg == 1 || insn->reg > 4))
        insn->klass = VXT_UD; /* cr1, cr5-7 */
    if (p->has_lock) {
        if (insn->klass == VXT_PASS && is_lockable(insn))
            insn->lock = true;
        else if (insn->klass != VXT_GP || !is_mov_control(insn))
            insn->klass = VXT_UD;
    }
}

/* Over the limit of 15 bytes, or past the bytes there are? The limit comes first: it needs no further fetch. */
static bool is_over(const struct input *in, struct vxt_insn *insn)
{
    if (in->at > MAX_LENGTH || (in->is_short && in->at == MAX_LENGTH)) {
        insn->klass = VXT_GP;
        insn->length = MAX_LENGTH;
        return true;
    }
    if (in->is_short) {
        insn->klass = VXT_TRUNC;
        insn->length = 1;
    }
    return in->is_short;
}

/* What a row says of its instruction, and the bytes behind ModRM. */
static void take_row(struct input *in, struct vxt_insn *insn, int row, uint8_t prefix)
{
    static const uint8_t mandatory_byte[4] = { 0, 0x66, 0xf3, 0xf2 };
    const struct compiled *c = &compiled[row];
    insn->klass = c->klass;
    insn->mandatory = mandatory_byte[prefix];
    insn->reg_kind = c->reg_kind;
    insn->rm_kind = c->rm_kind;
    insn->byte_op = c->byte_op;
    insn->reg_read = c->reg_read;
    insn->reg_write = c->reg_write;
    insn->rm_read = c->rm_read;
    insn->rm_write = c->rm_write;
    insn->flags_read = c->flags_read;
    insn->flags_written = c->flags_written;
    insn->cpu = c->cpu;
    if (c->has_modrm) {
        insn->has_modrm = true;
        insn->reg = insn->modrm >> 3 & 7;
        insn->rm = insn->modrm & 7;
        insn->is_mem = insn->modrm < 0xc0;
        if (insn->is_mem && insn->addr16)
            read_address16(in, insn);
        else if (insn->is_mem)
            read_address32(in, insn);
    } else if (c->rm_kind != VXT_R_NONE) {
        insn->rm = insn->opcode & 7;
    }
    read_immediate(in, insn, c->imm);
}

/* C4 or C5 with what would be a register as the operand of les or lds. */
static bool is_vex(const struct input *in, uint8_t byte)
{
    return (byte == 0xc4 || byte == 0xc5) && !in->is_short && in->at < in->size && in->bytes[in->at] >= 0xc0;
}

/* The index is a vector register; the three registers must differ. */
static void take_vsib(struct vxt_insn *insn, uint8_t sib)
{
    insn->vsib = sib >> 3 & 7;
    insn->vsib_scale = sib >> 6;
    insn->index = -1;
    insn->scale = 0;
    if (insn->addr16 || insn->rm != 4 || insn->reg == insn->vvvv || insn->vsib == insn->reg || insn->vsib == insn->vvvv)
        insn->klass = VXT_UD;
}

/* The bits that outside 64-bit mode mean nothing (X, B; the high one of a register) are dropped. */
static void decode_vex(uint32_t cpu, struct input *in, struct vxt_insn *insn, const struct prefixes *p, uint8_t byte)
{
    static const uint8_t prefixes[4] = { NP, P66, PF3, PF2 };
    uint8_t first = next8(in), last = byte == 0xc4 ? next8(in) : first & 0x7f;
    uint8_t map = byte == 0xc4 ? first & 31 : 1;
    uint8_t vvvv = ~(last >> 3) & 15, prefix = prefixes[last & 3];
    uint32_t want = (last & 4 ? VL1 : VL0) | (last & 0x80 ? VW1 : VW0);
    int row = -1;
    insn->is_vex = true;
    insn->opcode = next8(in);
    insn->map = map;
    if (map >= 1 && map <= VEX_MAPS) {
        if (map != 1 || insn->opcode != 0x77)
            insn->modrm = next8(in);
        row = search(cpu, (uint8_t)(map + 3), prefix, insn->opcode, insn->modrm, want);
    }
    if (is_over(in, insn))
        return;
    bool is_unfit = row < 0 || p->has_66 || p->rep || p->has_lock || (compiled[row].vvvv_kind == VXT_R_NONE && vvvv);
    insn->length = (uint8_t)in->at;
    if (is_unfit) {
        insn->klass = VXT_UD;
        return;
    }
    insn->vvvv_kind = compiled[row].vvvv_kind;
    insn->vvvv = vvvv & 7;
    insn->vex_l = (last & 4) && (compiled[row].form & VLIG) != VLIG;
    insn->vex_w = (last & 0x80) && (compiled[row].form & VWIG) != VWIG;
    uint8_t sib = in->at < in->size ? in->bytes[in->at] : 0;
    take_row(in, insn, row, prefix);
    if (is_over(in, insn))
        return;
    insn->length = (uint8_t)in->at;
    if (compiled[row].has_register_imm)
        insn->imm &= 0x7f;
    if (insn->klass == VXT_GATHER)
        take_vsib(insn, sib);
}

void vxt_decode_cpu(uint32_t cpu, const uint8_t *bytes, uint32_t available, vx_gaddr addr, struct vxt_insn *insn)
{
    struct input in = { bytes, available, 0, false };
    struct prefixes p = { 0 };
    *insn = (struct vxt_insn){ .addr = addr, .seg = -1, .base = -1, .index = -1 };
    uint8_t byte = read_prefixes(&in, insn, &p);
    if (cpu & VEX_FEATURES && is_vex(&in, byte)) {
        decode_vex(cpu, &in, insn, &p, byte);
        return;
    }
    insn->opcode = read_opcode(&in, insn, byte);
    uint8_t lookup = insn->map == 0 && insn->opcode == 0x82 ? 0x80 : insn->opcode;
    if (opcode_has_modrm[insn->map][lookup]) {
        insn->modrm = next8(&in);
        normalise(insn);
    }
    uint8_t prefix = p.rep == 0xf3 ? PF3 : p.rep == 0xf2 ? PF2 : p.has_66 ? P66 : NP;
    int row = search(cpu, insn->map, prefix, insn->opcode, insn->modrm, 0);
    if (row < 0 && prefix != NP) {
        row = search(cpu, insn->map, NP, insn->opcode, insn->modrm, 0);
        if (row >= 0 && compiled[row].is_exact)
            row = -1;
        prefix = NP;
    }
    if (is_over(&in, insn))
        return;
    if (row < 0) {
        insn->klass = VXT_UD;
        insn->length = (uint8_t)in.at;
        return;
    }
    insn->osize16 = p.has_66 && prefix != P66 && (compiled[row].is_sized || compiled[row].klass != VXT_PASS ||
                                                  (insn->map == 0 && (insn->opcode & 0xfe) == 0x98));
    take_row(&in, insn, row, prefix);
    if (is_over(&in, insn))
        return;
    insn->length = (uint8_t)in.at;
    finish(insn, &p);
}

void vxt_decode(const uint8_t *bytes, uint32_t available, vx_gaddr addr, struct vxt_insn *insn)
{
    vxt_decode_cpu(VX_CPU_DEFAULT, bytes, available, addr, insn);
}

const char *vxt_mnemonic(const struct vxt_insn *insn)
{
    uint8_t prefix = insn->mandatory == 0x66 ? P66 : insn->mandatory == 0xf3 ? PF3 : insn->mandatory == 0xf2 ? PF2 : NP;
    uint8_t map = (uint8_t)(insn->map + (insn->is_vex ? 3 : 0));
    uint32_t want = insn->is_vex ? (insn->vex_l ? VL1 : VL0) | (insn->vex_w ? VW1 : VW0) : 0;
    if (insn->klass == VXT_UD)
        return "(bad)";
    int row = search(insn->cpu | VX_CPU_I686, map, prefix, insn->opcode, insn->modrm, want);
    return row < 0 ? "(bad)" : rows[row].name;
}

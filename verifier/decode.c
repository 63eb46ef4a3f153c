/*
 * Decodes one host instruction and judges it by the allow-list. Handles
 * canonical encodings only: prefixes in the one listed order, each at most
 * once, REX 41..47 with every set bit in use. Looks at no byte but those of
 * the instruction, and keeps nothing between calls. Sequences are in sequence.c.
 */
#include "verifier/decode.h"

#include "format/sandbox.h"
#include "verifier/table.h"

/* rsp, r11, r12, r13, r15: a bit for each register number. */
#define RESERVED (1u << 4 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 15)
/* bpl sil dil: 8-bit registers 5 to 7 under REX, which are ch dh bh without. (spl is rsp.) */
#define NEW_LOW_BYTES (1u << 5 | 1u << 6 | 1u << 7)

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };
enum { SEG_NONE, SEG_GS_67, SEG_67 }; /* prefixes in front: none, 65 67, 67 */

static enum vxv_rule refuse(struct vxv_insn *insn, enum vxv_rule rule, uint32_t length)
{
    insn->length = length;
    insn->form = 0;
    return rule;
}

/* A byte where an opcode was expected, without a row: why. */
static enum vxv_rule why_unlisted(uint32_t map, uint8_t op)
{
    if (map != 0)
        return VXV_UNLISTED;
    switch (op) {
    case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67:
    case 0xf0: case 0xf2: case 0xf3:
    case 0x40: case 0x41: case 0x42: case 0x43: case 0x44: case 0x45: case 0x46: case 0x47:
    case 0x48: case 0x49: case 0x4a: case 0x4b: case 0x4c: case 0x4d: case 0x4e: case 0x4f:
        return VXV_PREFIX;
    case 0xa4: case 0xa5: case 0xa6: case 0xa7: case 0xaa: case 0xab:
    case 0xac: case 0xad: case 0xae: case 0xaf:
        return VXV_STRING;
    default:
        return VXV_UNLISTED;
    }
}

/*
 * movl disp8(%r15),%r8d|%r9d|%r10d (45 8b 47|4f|57 d8) and
 * jmpq *disp8(%r15) (41 ff 67 d8): the only operands with base r15.
 */
static bool looks_like_context(const uint8_t *p)
{
    return (p[0] == 0x45 && p[1] == 0x8b && (p[2] & 0xc7) == 0x47) ||
           (p[0] == 0x41 && p[1] == 0xff && p[2] == 0x67);
}

static enum vxv_rule context_operand(const uint8_t *p, struct vxv_insn *insn)
{
    bool load = p[1] == 0x8b, listed;

    if (load)
        listed = (p[2] == 0x47 || p[2] == 0x4f || p[2] == 0x57) &&
                 (p[3] == VX_CTX_FS_BASE || p[3] == VX_CTX_GS_BASE);
    else
        listed = p[3] == VX_CTX_RETURN || p[3] == VX_CTX_EVENT;
    if (!listed)
        return refuse(insn, VXV_CONTEXT, 4);
    insn->length = 4;
    insn->form = load ? VXV_LISTED : VXV_LISTED | VXV_STOP;
    return VXV_OK;
}

/* Registers that an instruction names, and the REX bits that it can use. */
struct use {
    uint32_t named, named8, rex_bits;
};

static void name_register(struct use *use, uint32_t number, uint32_t gpr, uint32_t gpr8, uint32_t rex_bit)
{
    use->named |= gpr ? 1u << number : 0;
    use->named8 |= gpr8 ? 1u << number : 0;
    use->rex_bits |= gpr | gpr8 ? rex_bit : 0;
}

/*
 * The memory operand whose ModRM is at p[*at]; *at moves past the displacement.
 * False: RIP-relative.
 */
static bool memory_operand(const uint8_t *p, uint32_t *at, uint32_t rex, struct use *use)
{
    uint32_t mod = p[*at] >> 6, base = p[*at] & 7, n = *at + 1;
    bool has_base = true;

    if (base == 4) {
        uint32_t sib = p[n++], index = (sib >> 3 & 7) | (rex & REX_X) << 2;
        base = sib & 7;
        has_base = !(base == 5 && mod == 0);
        name_register(use, index, index != 4, 0, REX_X);
    } else if (base == 5 && mod == 0) {
        *at = n;
        return false;
    }
    name_register(use, base | (rex & REX_B) << 3, has_base, 0, REX_B);
    if (mod == 2 || !has_base)
        n += 4;
    else
        n += mod;
    *at = n;
    return true;
}

/* The row of a group opcode for this ModRM byte; 0 = none. */
static uint32_t group_row(uint32_t group, uint8_t modrm)
{
    if (modrm >= 0xc0 && group < VXV_ESCAPE_COUNT)
        return vxv_escapes[group] >> (modrm & 63) & 1 ? VXV_LISTED | VXV_MODRM | VXV_REG_FORM : 0;
    return vxv_groups[group][modrm >> 3 & 7];
}

enum vxv_rule vxv_decode(const uint8_t *p, struct vxv_insn *insn)
{
    uint32_t n = 0, segment = SEG_NONE, lock = 0, os = 0, slot = VXV_NP, rex = 0, map = 0, form;
    struct use use = {0, 0, 0};
    bool memory = false;
    uint8_t op;

    if (looks_like_context(p))
        return context_operand(p, insn);

    /* Prefixes: [65 67 | 67] [f0] [66] [f2|f3] [REX]. Any other order leaves one where the opcode is expected. */
    if (p[0] == 0x65) {
        if (p[1] != 0x67)
            return refuse(insn, VXV_MEMORY, 2);
        segment = SEG_GS_67;
        n = 2;
    } else if (p[0] == 0x67) {
        segment = SEG_67;
        n = 1;
    }
    if (p[n] == 0xf0) {
        lock = 1;
        n++;
    }
    if (p[n] == 0x66) {
        os = 1;
        slot = VXV_66;
        n++;
    }
    if ((p[n] & 0xfe) == 0xf2) {
        slot = p[n] == 0xf2 ? VXV_F2 : VXV_F3;
        n++;
    }
    if ((p[n] & 0xf0) == 0x40) {
        rex = p[n++];
        if (rex == 0x40 || (rex & REX_W))
            return refuse(insn, rex == 0x40 ? VXV_REX : VXV_PREFIX, n);
    }

    /* Opcode and row. */
    op = p[n++];
    if (op == 0x0f) {
        map = 1;
        op = p[n++];
        if (op == 0x38 || op == 0x3a) {
            map = op == 0x38 ? 2 : 3;
            op = p[n++];
        }
    }
    form = vxv_forms[map][slot][op];
    if (form == 0)
        return refuse(insn, why_unlisted(map, op), n);
    if (os && slot != VXV_66 && !(form & VXV_OS))
        return refuse(insn, VXV_UNLISTED, n);

    /* Operands. */
    if (form & VXV_MODRM) {
        uint8_t modrm = p[n];
        if (form & VXV_GROUP) {
            form = group_row(VXV_FORM_GROUP(form), modrm);
            if (form == 0)
                return refuse(insn, VXV_UNLISTED, n + 1);
        }
        memory = modrm < 0xc0;
        if (!(form & (memory ? VXV_MEM_FORM : VXV_REG_FORM)))
            return refuse(insn, VXV_UNLISTED, n + 1);
        name_register(&use, (modrm >> 3 & 7) | (rex & REX_R) << 1, form & VXV_REG_GPR,
                      form & VXV_REG_GPR8, REX_R);
        if (!memory) {
            name_register(&use, (modrm & 7) | (rex & REX_B) << 3, form & VXV_RM_GPR,
                          form & VXV_RM_GPR8, REX_B);
            n++;
        } else if (!memory_operand(p, &n, rex, &use)) {
            return refuse(insn, VXV_RIP, n);
        }
    } else if (form & VXV_EMBEDDED) {
        name_register(&use, (op & 7) | (rex & REX_B) << 3, form & VXV_RM_GPR, form & VXV_RM_GPR8, REX_B);
    }
    n += form & VXV_IMM1 ? 1 : 0;
    n += form & VXV_IMMZ ? 4 - 2 * os : 0;

    /* What the operands must obey. */
    if (segment != (memory && !(form & VXV_ADDRESS) ? SEG_GS_67 : form & VXV_ADDR32 ? SEG_67 : SEG_NONE))
        return refuse(insn, VXV_MEMORY, n);
    if (lock && !(memory && (form & VXV_LOCK)))
        return refuse(insn, VXV_LOCKED, n);
    if ((use.named | (rex ? use.named8 : 0)) & RESERVED)
        return refuse(insn, VXV_RESERVED, n);
    if ((rex & 7 & ~use.rex_bits) || (rex && (use.named8 & NEW_LOW_BYTES)))
        return refuse(insn, VXV_REX, n);
    insn->form = form;
    insn->length = n;
    return VXV_OK;
}

/*
 * The opcode table itself: every row is well-formed, no two rows claim the same bytes, and the
 * decoder finds each row by the bytes that it describes.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

#include "vxc/translate/decode.h"

/* The table's own notation, for its rows alone. */
enum { NP, P66, PF3, PF2, NPO };
#define ANY 0
#define D(n) ((n) + 1)
#define DM(n) (D(n) | 0x10)
#define DR(n) (D(n) | 0x20)
#define MEM 0x10
#define REG 0x20
#define X(b) (0x100 | (b) << 16)
#define VL0 0x200
#define VL1 0x400
#define VL (VL0 | VL1)
#define VLIG (VL | 0x2000)
#define VW0 0x800
#define VW1 0x1000
#define VWIG (VW0 | VW1)
#define IS_VEX(row) ((row)->map >= 4)
/* Do the rows' L and W exclude each other? */
#define IS_APART(a, b) (IS_VEX(a) && (!((a)->form & (b)->form & VL) || !((a)->form & (b)->form & VWIG)))

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

static bool is_known_operand(const char *operand, size_t length)
{
    static const char *const known[] = {
        "Eb", "Ew", "Ed", "Ev", "Gb", "Gw", "Gd", "Gv", "M",  "Vx", "Wx",  "Ux",  "Pq", "Qq", "Nq", "Sw",
        "Hx", "Bd", "Lx", "Rv", "Zb", "Zv", "Ib", "Iw", "Iz", "Ibs", "Jb", "Jz", "Ob", "Ov", "Ap", "AL", "CL", "eAX",
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i]) == length && !memcmp(known[i], operand, length))
            return true;
    return false;
}

static void well_formed(void)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        size_t count = 0;
        for (const char *operand = row->operands; *operand; count++) {
            size_t length = strcspn(operand, ",");
            if (!is_known_operand(operand, length))
                CU_FAIL("unknown operand");
            operand += length + (operand[length] == ',');
        }
        if (count != strlen(row->access) || strspn(row->access, "rwx-") != count)
            CU_FAIL("access letters do not match the operands");
        if (row->klass >= VXT_CLASS_COUNT || row->flags_read > VXT_FLAGS || row->flags_written > VXT_FLAGS)
            CU_FAIL("class or flags");
    }
}

static void no_twins(void)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        for (size_t j = i + 1; j < ROW_COUNT; j++) {
            const struct row *a = &rows[i], *b = &rows[j];
            bool same_prefix = a->prefix % 4 == b->prefix % 4; /* NPO stands with NP */
            uint32_t form = (a->form ^ b->form) & ~(VLIG | VWIG);
            if (a->map == b->map && same_prefix && a->opcode == b->opcode && !form && !IS_APART(a, b)) {
                printf("%s and %s ", a->name, b->name);
                CU_FAIL("the same encoding twice");
            }
        }
}

/* Does some other row of the opcode, more special, take this ModRM byte? */
static bool is_taken(const struct row *row, uint8_t modrm)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *other = &rows[i];
        if (other == row || other->map != row->map || other->opcode != row->opcode || other->prefix % 4 != row->prefix % 4 ||
            IS_APART(other, row))
            continue;
        bool takes = other->form & 0x100 ? other->form >> 16 == modrm
                                         : (other->form & 0xf) == D(modrm >> 3 & 7u) &&
                                               !(other->form & (modrm < 0xc0 ? REG : MEM));
        if (takes)
            return true;
    }
    return false;
}

/* A ModRM byte for the row, or -1. */
static int modrm_for(const struct row *row)
{
    if (row->form & 0x100)
        return (int)(row->form >> 16);
    bool needs_memory = row->form & MEM || strchr(row->operands, 'M');
    for (unsigned modrm = needs_memory ? 0x01 : 0xc1; modrm < 0x100; modrm++) {
        if (needs_memory && modrm >= 0xc0)
            break;
        if ((row->form & 0xf) && (row->form & 0xf) != D(modrm >> 3 & 7u))
            continue;
        if (!(row->form & 0xf) && is_taken(row, (uint8_t)modrm))
            continue;
        return (int)modrm;
    }
    return -1;
}

static void reachable(void)
{
    static const uint8_t prefix_byte[] = { 0, 0x66, 0xf3, 0xf2, 0 };
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        uint8_t code[16], *at = code;
        memset(code, 1, sizeof code);
        int modrm = modrm_for(row);
        if (IS_VEX(row)) {
            bool has_vvvv = strchr(row->operands, 'H') || strchr(row->operands, 'B');
            *at++ = 0xc4;
            *at++ = (uint8_t)(0xe0 | (row->map - 3));
            *at++ = (uint8_t)((row->form & VW0 ? 0 : 0x80) | (has_vvvv ? 0x50 : 0x78) | (row->form & VL0 ? 0 : 4) |
                              "\0\1\2\3"[row->prefix % 4]);
        } else if (prefix_byte[row->prefix])
            *at++ = prefix_byte[row->prefix];
        if (row->map && !IS_VEX(row))
            *at++ = 0x0f;
        if (row->map > 1 && !IS_VEX(row))
            *at++ = row->map == 2 ? 0x38 : 0x3a;
        *at++ = row->opcode;
        *at = (uint8_t)(modrm < 0 ? 1 : modrm);
        if (row->klass == VXT_MOV_FROM_SEG || row->klass == VXT_MOV_TO_SEG)
            *at = 0xd8; /* ds */
        if (row->klass == VXT_GATHER) { /* xmm1, xmm5, xmm0 */
            at[0] = 0x0c;
            at[1] = 0x03;
        }
        struct vxt_insn insn;
        vxt_decode_cpu(VX_CPU_ALL, code, 15, 0x1000, &insn);
        bool is_found = insn.klass == row->klass && insn.flags_read == row->flags_read &&
                        insn.flags_written == row->flags_written && insn.cpu == row->cpu &&
                        insn.mandatory == prefix_byte[row->prefix] &&
                        (insn.klass == VXT_UD || !strcmp(vxt_mnemonic(&insn), row->name));
        if (!is_found) {
            printf("%s (%02x %02x): decoded as %s, class %u ", row->name, row->opcode, *at, vxt_mnemonic(&insn), insn.klass);
            CU_FAIL("row not found by its bytes");
        }
    }
    printf("%zu rows ", ROW_COUNT);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("decode_table", NULL, NULL);
    CU_add_test(suite, "operands, access and flags are well-formed", well_formed);
    CU_add_test(suite, "no encoding stands twice", no_twins);
    CU_add_test(suite, "each row is found by its bytes", reachable);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

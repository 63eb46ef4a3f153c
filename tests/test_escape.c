/*
 * No operand reaches outside the window: every access size, in every form of
 * address, at addresses on both sides of every edge.
 *
 * An instruction of the table below gets its operand at a guest address A. If all
 * of A .. A+size-1 is mapped, it completes; else it traps at its own address, with the
 * registers and memory before it, and the first byte that is missing.
 */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "escape.h"

enum { READS = 1, WRITES = 2, CHANGES = 3, ALIGNED = 4 };

/* opcode bytes, ModRM.reg, immediate bytes, size of the operand */
struct form {
    const char *text;
    uint8_t opcode[5], opcode_size, reg, immediate_size;
    uint16_t size;
    uint8_t access;
};
#define F(text, reg, immediate, size, access, ...) \
    { text, { __VA_ARGS__ }, sizeof (uint8_t[]){ __VA_ARGS__ }, reg, immediate, size, access }

static const struct form forms[] = {
    F("mov r8,m", 0, 0, 1, READS, 0x8a),
    F("mov r16,m", 0, 0, 2, READS, 0x66, 0x8b),
    F("mov r32,m", 0, 0, 4, READS, 0x8b),
    F("mov m,r8", 1, 0, 1, WRITES, 0x88),
    F("mov m,ah", 4, 0, 1, WRITES, 0x88),
    F("mov m,r16", 1, 0, 2, WRITES, 0x66, 0x89),
    F("mov m,r32", 1, 0, 4, WRITES, 0x89),
    F("mov m,i8", 0, 1, 1, WRITES, 0xc6),
    F("mov m,i32", 0, 4, 4, WRITES, 0xc7),
    F("mov m,i16", 0, 2, 2, WRITES, 0x66, 0xc7),
    F("add m,r32", 0, 0, 4, CHANGES, 0x01),
    F("lock add m,r32", 0, 0, 4, CHANGES, 0xf0, 0x01),
    F("adc m,i8", 2, 1, 4, CHANGES, 0x83),
    F("cmp m,r32", 1, 0, 4, READS, 0x39),
    F("test m,i32", 0, 4, 4, READS, 0xf7),
    F("not m8", 2, 0, 1, CHANGES, 0xf6),
    F("mul m32", 4, 0, 4, READS, 0xf7),
    F("inc m32", 0, 0, 4, CHANGES, 0xff),
    F("shl m32,cl", 4, 0, 4, CHANGES, 0xd3),
    F("rcr m16,1", 3, 0, 2, CHANGES, 0x66, 0xd1),
    F("shld m32,cl", 1, 0, 4, CHANGES, 0x0f, 0xa5),
    F("xchg m,r32", 1, 0, 4, CHANGES, 0x87),
    F("xadd m,r32", 1, 0, 4, CHANGES, 0x0f, 0xc1),
    F("cmpxchg m,r32", 1, 0, 4, CHANGES, 0x0f, 0xb1),
    F("cmpxchg m,r8", 1, 0, 1, CHANGES, 0x0f, 0xb0),
    F("cmpxchg8b", 1, 0, 8, CHANGES, 0x0f, 0xc7),
    F("lock cmpxchg8b", 1, 0, 8, CHANGES, 0xf0, 0x0f, 0xc7),
    F("bt m,i8", 4, 1, 4, READS, 0x0f, 0xba),
    F("bts m,i8", 5, 1, 4, CHANGES, 0x0f, 0xba),
    F("movzx m8", 1, 0, 1, READS, 0x0f, 0xb6),
    F("movsx m16", 1, 0, 2, READS, 0x0f, 0xbf),
    F("cmovne", 1, 0, 4, READS, 0x0f, 0x45),
    F("sete m8", 0, 0, 1, WRITES, 0x0f, 0x94),
    F("imul r,m,i", 1, 4, 4, READS, 0x69),
    F("bsf r,m", 1, 0, 4, READS, 0x0f, 0xbc),
    F("popcnt r,m", 1, 0, 4, READS, 0xf3, 0x0f, 0xb8),
    F("crc32 r,m", 1, 0, 4, READS, 0xf2, 0x0f, 0x38, 0xf1),
    F("movnti", 1, 0, 4, WRITES, 0x0f, 0xc3),
    F("push m32", 6, 0, 4, READS, 0xff),
    F("pop m32", 0, 0, 4, WRITES, 0x8f),
    F("call m32", 2, 0, 4, READS, 0xff),
    F("jmp m32", 4, 0, 4, READS, 0xff),
    F("call far m", 3, 0, 6, READS, 0xff),
    F("jmp far m", 5, 0, 6, READS, 0xff),
    F("jmp far m o16", 5, 0, 4, READS, 0x66, 0xff),
    F("les", 1, 0, 6, READS, 0xc4),
    F("lds", 1, 0, 6, READS, 0xc5),
    F("lss", 1, 0, 6, READS, 0x0f, 0xb2),
    F("lfs", 1, 0, 6, READS, 0x0f, 0xb4),
    F("lgs o16", 1, 0, 4, READS, 0x66, 0x0f, 0xb5),
    F("bound", 1, 0, 8, READS, 0x62),
    F("bound o16", 1, 0, 4, READS, 0x66, 0x62),
    F("arpl", 1, 0, 2, READS, 0x63),
    F("mov m,ds", 3, 0, 2, WRITES, 0x8c),
    F("mov fs,m", 4, 0, 2, READS, 0x8e),
    F("lar", 1, 0, 2, READS, 0x0f, 0x02),
    F("verr", 4, 0, 2, READS, 0x0f, 0x00),
    F("fld m32", 0, 0, 4, READS, 0xd9),
    F("fld m64", 0, 0, 8, READS, 0xdd),
    F("fld m80", 5, 0, 10, READS, 0xdb),
    F("fild m16", 0, 0, 2, READS, 0xdf),
    F("fild m64", 5, 0, 8, READS, 0xdf),
    F("fbld", 4, 0, 10, READS, 0xdf),
    F("fadd m64", 0, 0, 8, READS, 0xdc),
    F("fst m32", 2, 0, 4, WRITES, 0xd9),
    F("fstp m64", 3, 0, 8, WRITES, 0xdd),
    F("fstp m80", 7, 0, 10, WRITES, 0xdb),
    F("fistp m16", 3, 0, 2, WRITES, 0xdf),
    F("fistp m64", 7, 0, 8, WRITES, 0xdf),
    F("fisttp m32", 1, 0, 4, WRITES, 0xdb),
    F("fbstp", 6, 0, 10, WRITES, 0xdf),
    F("fnstcw", 7, 0, 2, WRITES, 0xd9),
    F("fldcw", 5, 0, 2, READS, 0xd9),
    F("fnstsw", 7, 0, 2, WRITES, 0xdd),
    F("fnstenv", 6, 0, 28, WRITES, 0xd9),
    F("fnstenv o16", 6, 0, 14, WRITES, 0x66, 0xd9),
    F("fldenv", 4, 0, 28, READS, 0xd9),
    F("fnsave", 6, 0, 108, WRITES, 0xdd),
    F("fnsave o16", 6, 0, 94, WRITES, 0x66, 0xdd),
    F("frstor", 4, 0, 108, READS, 0xdd),
    F("fxsave", 0, 0, 512, WRITES | ALIGNED, 0x0f, 0xae),
    F("fxrstor", 1, 0, 512, READS | ALIGNED, 0x0f, 0xae),
    F("ldmxcsr", 2, 0, 4, READS, 0x0f, 0xae),
    F("stmxcsr", 3, 0, 4, WRITES, 0x0f, 0xae),
    F("movq mm,m", 1, 0, 8, READS, 0x0f, 0x6f),
    F("movq m,mm", 1, 0, 8, WRITES, 0x0f, 0x7f),
    F("movntq", 1, 0, 8, WRITES, 0x0f, 0xe7),
    F("movd m,xmm", 1, 0, 4, WRITES, 0x66, 0x0f, 0x7e),
    F("movups load", 1, 0, 16, READS, 0x0f, 0x10),
    F("movups store", 1, 0, 16, WRITES, 0x0f, 0x11),
    F("movaps load", 1, 0, 16, READS | ALIGNED, 0x0f, 0x28),
    F("movaps store", 1, 0, 16, WRITES | ALIGNED, 0x0f, 0x29),
    F("movdqu load", 1, 0, 16, READS, 0xf3, 0x0f, 0x6f),
    F("movdqu store", 1, 0, 16, WRITES, 0xf3, 0x0f, 0x7f),
    F("movntdq", 1, 0, 16, WRITES | ALIGNED, 0x66, 0x0f, 0xe7),
    F("lddqu", 1, 0, 16, READS, 0xf2, 0x0f, 0xf0),
    F("movss store", 1, 0, 4, WRITES, 0xf3, 0x0f, 0x11),
    F("movsd store", 1, 0, 8, WRITES, 0xf2, 0x0f, 0x11),
    F("movhps store", 1, 0, 8, WRITES, 0x0f, 0x17),
    F("paddb", 1, 0, 16, READS | ALIGNED, 0x66, 0x0f, 0xfc),
    F("pextrd", 1, 1, 4, WRITES, 0x66, 0x0f, 0x3a, 0x16),
    F("pextrb", 1, 1, 1, WRITES, 0x66, 0x0f, 0x3a, 0x14),
    F("pinsrw", 1, 1, 2, READS, 0x66, 0x0f, 0xc4),
    F("pmovzxbq", 1, 0, 2, READS, 0x66, 0x0f, 0x38, 0x32),
    F("nop m", 0, 0, 0, 0, 0x0f, 0x1f),
    F("lea", 1, 0, 0, 0, 0x8d),
};

/* ---- addresses ------------------------------------------------------- */

/* How a guest address is written. Each leaves eax, ecx and edx alone. */
enum mode { DISP32, BASE, BASE_DISP8, BASE_INDEX, ESP_INDEX, FS_BASE, GS_BASE, ADDR16, MODES };
static const char *const mode_names[MODES] = { "disp32", "base", "base+disp8", "base+index*8+disp32",
                                               "esp+index*4", "fs:base", "gs:ebp+disp32", "addr16" };
#define INDEX 0x87654321u
#define SEGMENT 0xfffff123u

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, 4);
}

/* Encode, with the registers that make the address A; returns the size. 0: this mode cannot name A. */
static uint8_t encode(const struct form *form, enum mode mode, uint32_t a, uint8_t *code, struct vx_regs *regs)
{
    uint8_t n = 0, reg = (uint8_t)(form->reg << 3), *p;
    if (mode == FS_BASE || mode == GS_BASE)
        code[n++] = mode == FS_BASE ? 0x64 : 0x65;
    if (mode == ADDR16)
        code[n++] = 0x67;
    memcpy(code + n, form->opcode, form->opcode_size);
    p = code + n + form->opcode_size;
    regs->fs_base = regs->gs_base = SEGMENT;
    switch (mode) {
    case DISP32:
        *p++ = reg | 5;
        put32(p, a);
        p += 4;
        break;
    case BASE:
        *p++ = reg | 3;
        regs->ebx = a;
        break;
    case BASE_DISP8:
        *p++ = 0x46 | reg;
        *p++ = 0x80;
        regs->esi = a + 0x80;
        break;
    case BASE_INDEX: /* [ebx+esi*8+disp32] */
        *p++ = 0x84 | reg;
        *p++ = 0xf3;
        put32(p, 0xdeadbeef);
        p += 4;
        regs->esi = INDEX;
        regs->ebx = a - 0xdeadbeef - 8 * INDEX;
        break;
    case ESP_INDEX: /* [esp+edi*4]; STACK stays the stack */
        *p++ = 0x04 | reg;
        *p++ = 0xbc;
        if (form->opcode[0] == 0x8f) /* pop: the address is made with ESP after it */
            a -= 4;
        if ((a - regs->esp) % 4)
            return 0;
        regs->edi = (a - regs->esp) / 4 + 0xc0000000u;
        break;
    case FS_BASE:
        *p++ = reg | 3;
        regs->ebx = a - SEGMENT;
        break;
    case GS_BASE:
        *p++ = 0x85 | reg;
        put32(p, 0x7fffffff);
        p += 4;
        regs->ebp = a - SEGMENT - 0x7fffffff;
        break;
    default: /* [bx+si+disp16], cut to 16 bits; the upper halves must not matter */
        if (a > 0xffff)
            return 0;
        *p++ = 0x80 | reg;
        *p++ = 0x34;
        *p++ = 0xf2;
        regs->ebx = 0xffff0000u | (uint16_t)(a - 0xf234 - 0x8765);
        regs->esi = 0xabcd8765u;
        break;
    }
    memset(p, 0, form->immediate_size);
    p += form->immediate_size;
    return (uint8_t)(p - code);
}

/* ---- one run --------------------------------------------------------- */

static bool is_there(struct vx_box *box, uint32_t a)
{
    return vx_box_page_prot(box, a) >= 0;
}

/* First byte of [a, a + size), cut to 32 bits, that is not mapped; true if there is one. */
static bool is_missing(struct vx_box *box, uint32_t a, uint32_t size, uint32_t *first)
{
    for (uint32_t i = 0; i < size; i++) {
        *first = a + i;
        if (!is_there(box, *first))
            return true;
    }
    return false;
}

/* How a form that could access its memory may end: done, or at a target, selector or index made from pattern bytes. */
static bool is_good_end(const struct vx_trap *trap)
{
    return trap->kind == VX_TRAP_SYSCALL || trap->kind == VX_TRAP_PROTECTION || trap->kind == VX_TRAP_BOUND ||
           trap->kind == VX_TRAP_X87 || (trap->kind == VX_TRAP_PAGE && trap->access == VX_ACCESS_EXEC);
}

static struct vx_regs start_regs(struct vx_box *box)
{
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    regs = (struct vx_regs){ .eax = 0x11112222, .ecx = 0x33334444, .edx = 0x55556666, .ebx = 0x77778888,
                             .esp = STACK + 0x8000, .ebp = 0x9999aaaa, .esi = 0xbbbbcccc, .edi = 0xddddeeee,
                             .eip = CODE, .eflags = 0x202 | 0x8d5, .es = 0x2b, .cs = 0x23, .ss = 0x2b, .ds = 0x2b };
    return regs;
}

/* All exceptions masked, four x87 registers in use, and all bits on: a masked move then stores every byte. */
static void start_fp(struct vx_box *box)
{
    static const uint8_t head[28] = { 0x7f, 0x03, 0x00, 0x20, 0xf0, [24] = 0x80, 0x1f };
    uint8_t fx[512] = { 0 };
    memcpy(fx, head, sizeof head);
    for (int i = 0; i < 8; i++)
        memset(fx + 32 + 16 * i, 0xff, 10);
    memset(fx + 160, 0xff, 128);
    vx_box_set_fxsave(box, fx);
}

static unsigned runs;

static void try_at(struct watched *w, const struct form *form, enum mode mode, uint32_t a)
{
    uint8_t code[32];
    struct vx_regs before = start_regs(w->box), after;
    struct vx_trap trap;
    uint32_t missing = 0;
    uint8_t size = encode(form, mode, a, code, &before);
    if (!size)
        return;
    memcpy(code + size, "\xcd\x80", 2);
    if (memcmp(w->window + CODE, code, (size_t)size + 2) != 0)
        CU_ASSERT_EQUAL_FATAL(vx_box_poke(w->box, CODE, code, (size_t)size + 2), VX_OK);
    fill(w, LOW, PAGE);
    fill(w, TOP, PAGE);
    vx_box_set_regs(w->box, &before);
    start_fp(w->box);
    CU_ASSERT_EQUAL_FATAL(vx_box_run(w->box, &trap), VX_OK);
    vx_box_get_regs(w->box, &after);
    runs++;
    bool is_fault = is_missing(w->box, a, form->size, &missing);
    bool is_good;
    if (form->access & ALIGNED && a % 16)
        is_good = trap.kind == VX_TRAP_PROTECTION && same_registers(&before, &after);
    else if (is_fault)
        is_good = trap.kind == VX_TRAP_PAGE && trap.address == missing && same_registers(&before, &after) &&
                  !trap.is_protection &&
                  ((form->access & CHANGES) == CHANGES ||
                   trap.access == (form->access & WRITES ? VX_ACCESS_WRITE : VX_ACCESS_READ));
    else
        is_good = is_good_end(&trap);
    if (is_fault || !(form->access & WRITES))
        is_good &= is_filled(w, LOW, PAGE) && is_filled(w, TOP, PAGE);
    else if (a == LOW)
        is_good &= is_filled(w, TOP, PAGE) && is_filled(w, LOW + form->size, PAGE - form->size);
    is_good &= !shows_secret(&after);
    CU_ASSERT_TRUE(is_good);
    if (!is_good)
        fprintf(stderr, "\n  %s, %s, at 0x%08x (%s): %s, eip 0x%08x, address 0x%08x, access %d, expected %d at 0x%08x", form->text,
                mode_names[mode], a, hex(code, size), vx_trap_name(trap.kind), trap.eip, trap.address, trap.access,
                is_fault, missing);
}

/* Around each edge: so far before it that the operand ends there, and each way of lying across it. */
static void try_edge(struct watched *w, const struct form *form, enum mode mode, uint32_t edge)
{
    uint32_t step = form->size > 16 ? form->size / 4 : 1;
    if (form->access & ALIGNED)
        step = 16;
    for (uint32_t before = 0; before <= form->size; before += step)
        try_at(w, form, mode, edge - before);
    if (form->size > 1)
        try_at(w, form, mode, edge - 1);
    try_at(w, form, mode, edge + 1);
}

static void test_operands(void)
{
    static const uint32_t edges[] = { 0, LOW, LOW_END, TOP };
    static const uint32_t elsewhere[] = { 0x7ffffffe, 0x80000000, 0x7fffffff, 0xfffe0000, 0xffffff80 };
    struct watched w = watch();
    runs = 0;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        for (enum mode mode = 0; mode < MODES; mode++) {
            if (forms[f].size == 0 && mode == DISP32)
                continue;
            for (size_t e = 0; e < sizeof edges / sizeof *edges; e++)
                try_edge(&w, &forms[f], mode, edges[e]);
            for (size_t e = 0; e < sizeof elsewhere / sizeof *elsewhere; e++)
                try_at(&w, &forms[f], mode, elsewhere[e]);
        }
    }
    printf("%u runs ", runs);
    unwatch(&w);
}

/* ---- implicit addresses ---------------------------------------------- */

/*
 * The operand of a stack instruction is [reg + offset, + size); of xlat, bit strings and masked moves,
 * wherever its registers say. `reg`: whose value places the operand.
 */
enum place { ESP, EBP, EDI, XLAT, BIT32, BIT16 };
struct implicit {
    const char *text;
    enum place place;
    int offset;
    uint32_t size;
    uint8_t code_size, code[8];
};
#define I(text, place, offset, size, ...) \
    { text, place, offset, size, sizeof (uint8_t[]){ __VA_ARGS__ }, { __VA_ARGS__ } }

static const struct implicit implicits[] = {
    I("push eax", ESP, -4, 4, 0x50),
    I("push esp", ESP, -4, 4, 0x54),
    I("push i8", ESP, -4, 4, 0x6a, 0x7f),
    I("push i32", ESP, -4, 4, 0x68, 1, 2, 3, 4),
    I("push ax", ESP, -2, 2, 0x66, 0x50),
    I("push es", ESP, -4, 4, 0x06),
    I("push fs", ESP, -4, 4, 0x0f, 0xa0),
    I("pushf", ESP, -4, 4, 0x9c),
    I("pushf o16", ESP, -2, 2, 0x66, 0x9c),
    I("pusha", ESP, -32, 32, 0x60),
    I("pusha o16", ESP, -16, 16, 0x66, 0x60),
    I("call", ESP, -4, 4, 0xe8, 0, 0, 0, 0),
    I("call eax", ESP, -4, 4, 0xff, 0xd0),
    I("pop eax", ESP, 0, 4, 0x58),
    I("pop esp", ESP, 0, 4, 0x5c),
    I("pop ax", ESP, 0, 2, 0x66, 0x58),
    I("pop ds", ESP, 0, 4, 0x1f),
    I("popf", ESP, 0, 4, 0x9d),
    I("popa", ESP, 0, 32, 0x61),
    I("popa o16", ESP, 0, 16, 0x66, 0x61),
    I("ret", ESP, 0, 4, 0xc3),
    I("ret n", ESP, 0, 4, 0xc2, 0xff, 0xff),
    I("retf", ESP, 0, 8, 0xcb),
    I("retf n", ESP, 0, 8, 0xca, 0xff, 0xff),
    I("iret", ESP, 0, 12, 0xcf),
    I("iret o16", ESP, 0, 6, 0x66, 0xcf),
    I("enter 8,0", ESP, -12, 12, 0xc8, 8, 0, 0),
    I("enter 0,0", ESP, -4, 4, 0xc8, 0, 0, 0),
    I("leave", EBP, 0, 4, 0xc9),
    I("enter 0,4", EBP, -12, 12, 0xc8, 0, 0, 4),
    I("enter 0,31", EBP, -120, 120, 0xc8, 0, 0, 31),
    I("xlat", XLAT, 0, 1, 0xd7),
    I("bt m,r32", BIT32, 0, 4, 0x0f, 0xa3, 0x0b),
    I("bts m,r32", BIT32, 0, 4, 0x0f, 0xab, 0x0b),
    I("lock btr m,r32", BIT32, 0, 4, 0xf0, 0x0f, 0xb3, 0x0b),
    I("btc m,r16", BIT16, 0, 2, 0x66, 0x0f, 0xbb, 0x0b),
    I("maskmovdqu", EDI, 0, 16, 0x66, 0x0f, 0xf7, 0xc1),
    I("maskmovq", EDI, 0, 8, 0x0f, 0xf7, 0xc1),
};

static void place_operand(const struct implicit *in, uint32_t a, struct vx_regs *regs)
{
    switch (in->place) {
    case ESP: regs->esp = a; break;
    case EBP: regs->ebp = a; break;
    case EDI: regs->edi = a; break;
    case XLAT: regs->eax = 0xabcdef80; regs->ebx = a - 0x80; break;
    case BIT32: regs->ecx = 0x80000005; regs->ebx = a + 0x10000000; break; /* 2^31 bits below: 256 MiB */
    case BIT16: regs->ecx = 0x12347ff5; regs->ebx = a - 0xffe; break;      /* 32757 bits above: word 2047 */
    }
}

static void try_implicit(struct watched *w, const struct implicit *in, uint32_t a)
{
    struct vx_regs before = start_regs(w->box), after;
    struct vx_trap trap;
    uint32_t operand = a + (uint32_t)in->offset, missing = 0;
    fill(w, LOW, PAGE);
    fill(w, TOP, PAGE);
    place_operand(in, a, &before);
    vx_box_set_regs(w->box, &before);
    start_fp(w->box);
    CU_ASSERT_EQUAL_FATAL(vx_box_run(w->box, &trap), VX_OK);
    vx_box_get_regs(w->box, &after);
    runs++;
    bool is_fault = is_missing(w->box, operand, in->size, &missing), is_good;
    if (is_fault)
        is_good = trap.kind == VX_TRAP_PAGE && trap.address - operand < in->size && !is_there(w->box, trap.address) &&
                  same_registers(&before, &after);
    else
        is_good = is_good_end(&trap) && (trap.kind != VX_TRAP_SYSCALL || trap.eip == CODE + in->code_size + 2);
    is_good &= !shows_secret(&after);
    CU_ASSERT_TRUE(is_good);
    if (!is_good)
        fprintf(stderr, "\n  %s, at 0x%08x: %s, eip 0x%08x, address 0x%08x, access %d, expected %d at 0x%08x", in->text, a,
                vx_trap_name(trap.kind), trap.eip, trap.address, trap.access, is_fault, missing);
}

static void test_implicit(void)
{
    static const uint32_t edges[] = { 0, LOW, LOW_END, TOP };
    struct watched w = watch();
    runs = 0;
    for (size_t i = 0; i < sizeof implicits / sizeof *implicits; i++) {
        const struct implicit *in = &implicits[i];
        uint8_t code[10];
        memcpy(code, in->code, in->code_size);
        memcpy(code + in->code_size, "\xcd\x80", 2);
        CU_ASSERT_EQUAL_FATAL(vx_box_poke(w.box, CODE, code, (size_t)in->code_size + 2), VX_OK);
        for (size_t e = 0; e < sizeof edges / sizeof *edges; e++)
            for (uint32_t distance = 0; distance <= 2 * in->size; distance++)
                try_implicit(&w, in, edges[e] + in->size - distance);
        try_implicit(&w, in, 0x80000000);
        try_implicit(&w, in, 0x7fffffff);
    }
    printf("%u runs ", runs);
    unwatch(&w);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("escape", NULL, NULL);
    CU_add_test(suite, "operands at every edge", test_operands);
    CU_add_test(suite, "implicit operands at every edge", test_implicit);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}

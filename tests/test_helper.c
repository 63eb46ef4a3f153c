/*
 * The instruction helpers against the processor: tests/native/insn_oracle.c
 * is compiled with gcc -m32 and runs the same instructions natively. Skipped
 * where -m32 does not work.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/sandbox.h"
#include "tests/native/insn_oracle.h"
#include "vxrt/helper.h"

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, DF = 1024, OF = 2048, AC = 0x40000 };
#define ARITHMETIC (CF | PF | AF | ZF | SF | OF)
#define SETTABLE (uint32_t)(ARITHMETIC | DF | 0x4000 | AC | 0x200000)

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };

/* Areas of the arena in the floating-point cases. */
#define FX_IN 0u
#define FX_OUT 512u
#define OPERAND_AREA 1024u

struct helper_case {
    struct oracle_case native;
    uint8_t arena[ARENA_MOST];
    uint32_t code, operand; /* the event */
    uint32_t insn_at;       /* offset of the instruction in the code */
    uint32_t flags;         /* that are compared */
    uint32_t fs_base;       /* in the helper only; esi is moved by it */
    bool has_fx;            /* fxrstor FX_IN before, fxsave FX_OUT after */
};

static struct helper_case *cases;
static size_t case_count, case_capacity;
static char oracle_path[] = "/tmp/vx-oracle-XXXXXX";
static bool has_oracle;
static uint32_t seed = 12345;

static uint32_t random32(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* Values near the edges now and then. */
static uint32_t random_value(void)
{
    static const uint32_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
                                     0x80000000, 0xffffffff};
    return random32() % 4 ? random32() : edges[random32() % (sizeof edges / 4)];
}

static struct helper_case *add(const char *hex, uint32_t event, uint32_t bits, uint32_t operand)
{
    if (case_count == case_capacity) {
        case_capacity = case_capacity ? 2 * case_capacity : 1024;
        cases = realloc(cases, case_capacity * sizeof *cases);
    }
    struct helper_case *c = &cases[case_count++];
    memset(c, 0, sizeof *c);
    for (unsigned byte; *hex && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        c->native.code[c->native.code_size++] = (uint8_t)byte;
    for (unsigned i = 0; i < 8; i++)
        c->native.regs[i] = random_value();
    c->native.regs[ESP] = ARENA + 0x1800;
    /* with AC, unaligned accesses trap natively: the virtual CPU does not check them */
    c->native.eflags = 0x202 | (random32() & SETTABLE & ~AC);
    c->code = VX_EVENT(event, bits, c->native.code_size);
    c->operand = operand;
    c->flags = ~0u;
    return c;
}

static void use_arena(struct helper_case *c, uint32_t size)
{
    c->native.arena_size = size;
    for (uint32_t i = 0; i < size; i++)
        c->arena[i] = (uint8_t)random32();
}

static void put32(struct helper_case *c, uint32_t at, uint32_t value)
{
    memcpy(c->arena + at, &value, 4);
}

/* ---- the two sides --------------------------------------------------- */

static bool run_native(struct oracle_result *results, uint8_t (*arenas)[ARENA_MOST])
{
    char in[] = "/tmp/vx-cases-XXXXXX", out[] = "/tmp/vx-results-XXXXXX", command[256];
    int in_fd = mkstemp(in), out_fd = mkstemp(out);
    FILE *file = fdopen(in_fd, "wb");
    for (size_t i = 0; i < case_count; i++) {
        fwrite(&cases[i].native, sizeof cases[i].native, 1, file);
        fwrite(cases[i].arena, 1, cases[i].native.arena_size, file);
    }
    fclose(file);
    snprintf(command, sizeof command, "%s <%s >%s", oracle_path, in, out);
    bool is_good = system(command) == 0;
    file = fdopen(out_fd, "rb");
    for (size_t i = 0; is_good && i < case_count; i++) {
        uint32_t size = cases[i].native.arena_size;
        is_good = fread(&results[i], sizeof results[i], 1, file) == 1 &&
                  (!size || fread(arenas[i], size, 1, file) == 1);
    }
    fclose(file);
    unlink(in);
    unlink(out);
    return is_good;
}

static uint32_t vector_of(enum vxi_helper_result result, const struct vx_trap *trap)
{
    return result == VXI_HELPER_DONE ? 0xff : trap->vector;
}

static void fx_before(struct vx_box *box, const struct helper_case *c)
{
    if (c->has_fx)
        vx_box_set_fxsave(box, c->arena + FX_IN);
}

static void fx_after(struct vx_box *box, const struct helper_case *c)
{
    uint8_t fx[512];
    if (!c->has_fx)
        return;
    vx_box_get_fxsave(box, fx);
    vx_box_poke(box, ARENA + FX_OUT, fx, 288);
}

/* What is not compared: pointers of the x87, and what fxsave leaves alone. */
static void mask_fx(uint8_t *fx)
{
    uint8_t zero[512] = {0};
    memcpy(fx + 5, zero, 19);
    memcpy(fx + 28, zero, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + 32 + 16 * i + 10, zero, 6);
    memcpy(fx + 288, zero, 224);
}

/* The environment of the case at `env`, without the pointers. */
static void mask_arena(const struct helper_case *c, uint8_t *arena)
{
    unsigned number = VX_EVENT_NUMBER(c->code);
    bool is_16 = VX_EVENT_OPERAND(c->code) & 0x8000;
    if (!c->has_fx)
        return;
    mask_fx(arena + FX_OUT);
    if (number == VX_EVENT_FXSAVE)
        mask_fx(arena + OPERAND_AREA);
    if (number == VX_EVENT_FNSTENV || number == VX_EVENT_FNSAVE)
        memset(arena + OPERAND_AREA + (is_16 ? 6 : 12), 0, is_16 ? 8 : 16);
}

static void print_case(const struct helper_case *c, const struct vx_regs *regs, uint32_t vector,
                       uint32_t address, const struct oracle_result *native)
{
    printf("\n  code");
    for (uint32_t i = 0; i < c->native.code_size; i++)
        printf(" %02x", c->native.code[i]);
    printf(" in eax %08x ecx %08x edx %08x flags %08x\n", c->native.regs[0], c->native.regs[1],
           c->native.regs[2], c->native.eflags);
    const uint32_t *ours = &regs->eax;
    for (unsigned i = 0; i < 8; i++)
        if (ours[i] != native->regs[i])
            printf("  reg %u: %08x native %08x\n", i, ours[i], native->regs[i]);
    printf("  flags %08x native %08x; vector %x native %x; address %08x native %08x\n",
           regs->eflags, native->eflags, vector, native->trapno, address, native->cr2);
}

/* One case on the helper; true if it did what the processor did. */
static bool compare(struct vx_box *box, const struct helper_case *c,
                    const struct oracle_result *native, uint8_t *native_arena)
{
    struct vx_regs regs = {.eip = CODE + c->insn_at, .eflags = c->native.eflags, .cs = 0x23,
                           .ds = 0x2b, .es = 0x2b, .ss = 0x2b};
    struct vx_trap trap = {0};
    uint8_t arena[ARENA_MOST], zero[ARENA_MOST] = {0};
    vx_box_poke(box, ARENA, zero, sizeof zero);
    vx_box_poke(box, ARENA + 0x1000, zero, sizeof zero);
    vx_box_poke(box, ARENA + c->native.arena_at, c->arena, c->native.arena_size);
    memcpy(&regs.eax, c->native.regs, sizeof c->native.regs);
    regs.esi -= c->fs_base;
    regs.fs_base = c->fs_base;
    fx_before(box, c);
    uint32_t steps = 0;
    enum vxi_helper_result result;
    do {
        result = vxi_helper(box, &regs, c->code, c->operand, &trap);
    } while (result == VXI_HELPER_DONE && regs.eip == CODE + c->insn_at && ++steps < 64);
    if (result == VXI_HELPER_DONE)
        fx_after(box, c);
    regs.esi += c->fs_base;
    vx_box_read(box, ARENA + c->native.arena_at, arena, c->native.arena_size);
    mask_arena(c, arena);
    mask_arena(c, native_arena);
    uint32_t vector = vector_of(result, &trap);
    uint32_t address = vector == 14 ? trap.address : 0;
    bool is_same = !memcmp(&regs.eax, native->regs, sizeof native->regs) &&
                   (regs.eflags & c->flags) == (native->eflags & c->flags) &&
                   vector == native->trapno && address == native->cr2 &&
                   !memcmp(arena, native_arena, c->native.arena_size);
    uint32_t next = vector == 0xff ? CODE + c->insn_at + VX_EVENT_LENGTH(c->code)
                                   : CODE + c->insn_at;
    is_same = is_same && regs.eip == next;
    if (!is_same) {
        print_case(c, &regs, vector, address, native);
        for (uint32_t i = 0, shown = 0; i < c->native.arena_size && shown < 8; i++)
            if (arena[i] != native_arena[i] && ++shown)
                printf("  arena+%u: %02x native %02x\n", i, arena[i], native_arena[i]);
    }
    return is_same;
}

/* Run all cases that were added, on both sides. */
static void check_cases(void)
{
    struct oracle_result *results = calloc(case_count, sizeof *results);
    uint8_t (*arenas)[ARENA_MOST] = calloc(case_count, sizeof *arenas);
    struct vx_box *box = NULL;
    struct vx_error error;
    unsigned bad = 0;
    if (!has_oracle) {
        printf("skipped: no gcc -m32 ");
    } else if (!run_native(results, arenas)) {
        CU_FAIL("the oracle failed");
    } else {
        CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
        CU_ASSERT_EQUAL(vx_box_map(box, ARENA, ARENA_PAGES * 4096, VX_PROT_READ | VX_PROT_WRITE),
                        VX_OK);
        vxi_box_tls(box)[0] = 0x1000;
        for (size_t i = 0; i < case_count && bad < 5; i++)
            bad += !compare(box, &cases[i], &results[i], arenas[i]);
        CU_ASSERT_EQUAL(bad, 0);
        vx_box_free(box);
    }
    free(results);
    free(arenas);
    case_count = 0;
}

/* ---- groups ---------------------------------------------------------- */

static void test_decimal(void)
{
    static const struct { const char *hex; unsigned event; uint32_t flags; } rows[] = {
        {"27", VX_EVENT_DAA, (uint32_t)~OF}, {"2f", VX_EVENT_DAS, (uint32_t)~OF},
        {"37", VX_EVENT_AAA, (uint32_t)~(OF | SF | ZF | PF)},
        {"3f", VX_EVENT_AAS, (uint32_t)~(OF | SF | ZF | PF)}};
    static const uint8_t high[] = {0, 1, 0x7f, 0xff};
    for (unsigned row = 0; row < 4; row++)
        for (unsigned n = 0; n < 256 * 4 * 4; n++) {
            struct helper_case *c = add(rows[row].hex, rows[row].event, 0, 0);
            c->native.regs[EAX] = (random32() & 0xffff0000) | (uint32_t)high[n >> 10] << 8 | (n & 255);
            c->native.eflags = (c->native.eflags & ~(uint32_t)(AF | CF)) | (n & 256 ? AF : 0) |
                               (n & 512 ? CF : 0);
            c->flags = rows[row].flags;
        }
    check_cases();
    for (unsigned n = 0; n < 0x10000; n += 3) {
        char hex[8];
        bool is_aam = n % 2;
        snprintf(hex, sizeof hex, "%s%02x", is_aam ? "d4" : "d5", n >> 8);
        struct helper_case *c = add(hex, is_aam ? VX_EVENT_AAM : VX_EVENT_AAD, n >> 8, 0);
        c->native.regs[EAX] = (random32() & 0xffffff00) | (n & 255);
        c->flags = (uint32_t)~(OF | AF | CF);
    }
    for (unsigned n = 0; n < 16; n++)
        add("d6", VX_EVENT_SALC, 0, 0);
    check_cases();
}

static void test_flags(void)
{
    for (unsigned n = 0; n < 2000; n++) {
        bool is_16 = n & 1, is_pop = n & 2;
        struct helper_case *c =
            add(is_pop ? is_16 ? "669d" : "9d" : is_16 ? "669c" : "9c",
                is_pop ? VX_EVENT_POPF : VX_EVENT_PUSHF, is_16 ? 0x8000 : 0, 0);
        use_arena(c, 64);
        c->native.eflags |= random32() & AC;
        c->native.regs[ESP] = ARENA + 16 + random32() % 16 / 4 * 4;
        put32(c, c->native.regs[ESP] - ARENA, random32() & ~0x100u); /* not TF */
    }
    /* a stack that ends */
    struct helper_case *c = add("9c", VX_EVENT_PUSHF, 0, 0);
    c->native.regs[ESP] = ARENA + 2;
    c = add("9d", VX_EVENT_POPF, 0, 0);
    c->native.regs[ESP] = ARENA + 2 * 4096 - 2;
    check_cases();
}

static void test_bound_enter(void)
{
    for (unsigned n = 0; n < 2000; n++) {
        bool is_16 = n & 1;
        /* bound ecx, [ARENA + 8] */
        struct helper_case *c = add(is_16 ? "66620d08000020" : "620d08000020", VX_EVENT_BOUND,
                                    1u | (is_16 ? 0x8000 : 0), ARENA + 8);
        use_arena(c, 32);
        put32(c, 8, random_value());
        put32(c, 12, random_value());
    }
    for (unsigned n = 0; n < 3000; n++) {
        char hex[16];
        bool is_16 = n & 1;
        uint32_t size = random32() % 200, level = n % 7 ? random32() % 8 : random32() % 256;
        snprintf(hex, sizeof hex, "%sc8%02x%02x%02x", is_16 ? "66" : "", size & 255, size >> 8,
                 level);
        struct helper_case *c = add(hex, VX_EVENT_ENTER, is_16 ? 0x8000 : 0, size | level << 16);
        use_arena(c, 1024);
        c->native.regs[ESP] = ARENA + 800 + random32() % 32;
        c->native.regs[EBP] = ARENA + 400 + random32() % 64;
    }
    check_cases();
}

/* Selectors whose answer is the same on any x86-64 Linux, and in the box. */
static uint16_t random_selector(bool is_load)
{
    static const uint16_t list[] = {0, 1, 2, 3, 0x28, 0x29, 0x2a, 0x2b, 8, 0xb, 0x10, 0x13, 0x18,
                                    0x40, 0x43, 0x53, 7, 0xf, 0x27, 0x2f, 0x83, 0x8b, 0xffff,
                                    /* only asked about */
                                    0x20, 0x21, 0x22, 0x23, 0x60, 0x61, 0x62, 0x63, 0x6b, 0x73};
    return list[random32() % (is_load ? 23 : sizeof list / sizeof *list)];
}

static void test_selectors(void)
{
    for (unsigned n = 0; n < 3000; n++) {
        bool is_16 = n & 1, is_memory = n & 2, is_lsl = n & 4;
        char hex[24];
        /* lar/lsl edx, cx or [ARENA + 4] */
        snprintf(hex, sizeof hex, "%s0f%s%s", is_16 ? "66" : "", is_lsl ? "03" : "02",
                 is_memory ? "1504000020" : "d1");
        uint32_t bits = 2 | (is_lsl ? 8 : 0) | 1 << 4 | (is_memory ? 0x100 : 0) | (is_16 ? 0x8000 : 0);
        struct helper_case *c = add(hex, VX_EVENT_LAR_LSL, bits, ARENA + 4);
        use_arena(c, 16);
        c->native.regs[ECX] = (random32() & 0xffff0000) | random_selector(false);
        put32(c, 4, random_selector(false));
        /* verr/verw */
        snprintf(hex, sizeof hex, "0f00%s", is_lsl ? "e9" : "e1");
        c = add(hex, VX_EVENT_VERR_VERW, (is_lsl ? 8u : 0) | 1 << 4, 0);
        c->native.regs[ECX] = random_selector(false);
        /* arpl cx, dx; arpl [ARENA + 4], dx */
        c = is_memory ? add("631504000020", VX_EVENT_ARPL, 2 | 0x100, ARENA + 4)
                      : add("63d1", VX_EVENT_ARPL, 2, 1);
        use_arena(c, 16);
    }
    check_cases();
}

static void test_segment_moves(void)
{
    for (unsigned n = 0; n < 2000; n++) {
        bool is_16 = n & 1;
        uint32_t o16 = is_16 ? 0x8000 : 0;
        uint16_t selector = random_selector(true);
        struct helper_case *c = add(is_16 ? "668ec1" : "8ec1", VX_EVENT_MOV_TO_SEG, 1 << 4, 0);
        c->native.regs[ECX] = (random32() & 0xffff0000) | selector;
        c = add(is_16 ? "6607" : "07", VX_EVENT_POP_SEG, o16, 0);
        use_arena(c, 32);
        c->native.regs[ESP] = ARENA + 8;
        put32(c, 8, (random32() & 0xffff0000) | selector);
        c = add(is_16 ? "660fa1" : "0fa1", VX_EVENT_POP_SEG, 4 | o16, 0); /* fs */
        use_arena(c, 32);
        c->native.regs[ESP] = ARENA + 8;
        put32(c, 8, selector);
        /* push ds, mov ecx/[mem], ds */
        c = add(is_16 ? "661e" : "1e", VX_EVENT_PUSH_SEG, 3 | o16, 0);
        use_arena(c, 32);
        c->native.regs[ESP] = ARENA + 8;
        add(is_16 ? "668cd9" : "8cd9", VX_EVENT_MOV_FROM_SEG, 3 | 1 << 4 | o16, 0);
        c = add("8c1d04000020", VX_EVENT_MOV_FROM_SEG, 3 | 0x100, ARENA + 4);
        use_arena(c, 16);
        /* les ecx, [ARENA + 4]; lfs edx, [..] */
        c = add(is_16 ? "66c40d04000020" : "c40d04000020", VX_EVENT_LOAD_FAR, 1 << 4 | o16,
                ARENA + 4);
        use_arena(c, 16);
        memcpy(c->arena + (is_16 ? 6 : 8), &selector, 2);
        c = add(is_16 ? "660fb41504000020" : "0fb41504000020", VX_EVENT_LOAD_FAR,
                4 | 2 << 4 | o16, ARENA + 4);
        use_arena(c, 16);
        memcpy(c->arena + (is_16 ? 6 : 8), &selector, 2);
    }
    check_cases();
}

/* fs: is loaded with ds first ("push ds; pop fs"), so that natively its base is 0. */
static void test_strings(void)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xac, 0xad};
    for (unsigned n = 0; n < 6000; n++) {
        uint8_t opcode = opcodes[random32() % 6];
        uint32_t rep = (uint32_t[]){0, 2, 3}[random32() % 3];
        bool is_16 = random32() & 1;
        if (rep && opcode >= 0xac && random32() % 4)
            rep = 0;
        char hex[32];
        snprintf(hex, sizeof hex, "1e0fa1%s%s64%02x", is_16 ? "66" : "",
                 rep == 2 ? "f2" : rep == 3 ? "f3" : "", opcode);
        struct helper_case *c = add(hex, VX_EVENT_STRING,
                                    opcode | rep << 8 | (uint32_t)is_16 << 11 | 4 << 12, 0);
        c->insn_at = 3;
        c->code = VX_EVENT(VX_EVENT_STRING, VX_EVENT_OPERAND(c->code), c->native.code_size - 3);
        use_arena(c, 256);
        for (unsigned i = 0; i < 256; i++) /* so that comparisons find equals */
            c->arena[i] &= 1;
        c->native.regs[ESI] = ARENA + 64 + random32() % 128;
        c->native.regs[EDI] = ARENA + 64 + random32() % 128;
        c->native.regs[ECX] = random32() % 16;
        if (n % 16 == 0) { /* runs into the end of memory, partly done */
            c->native.regs[ESI] = ARENA + (random32() & 1 ? 0 : 0x2000) + random32() % 16 - 8;
            c->native.eflags = (c->native.eflags & ~(uint32_t)DF) | (random32() & DF);
        }
        c->fs_base = random32() & 0xfff;
    }
    check_cases();
}

/* 16-bit addresses: natively the low 64 KiB are not mapped, so these fault, or do nothing. */
static void test_strings_16(void)
{
    static const struct { const char *hex; uint32_t opcode, rep; } rows[] = {
        {"67a4", 0xa4, 0}, {"67f3a5", 0xa5, 3}, {"67ae", 0xae, 0}, {"67f3aa", 0xaa, 3},
        {"67f2ae", 0xae, 2}, {"67ad", 0xad, 0}};
    for (unsigned n = 0; n < 600; n++) {
        unsigned row = n % 6;
        struct helper_case *c = add(rows[row].hex, VX_EVENT_STRING,
                                    rows[row].opcode | rows[row].rep << 8 | 1 << 10 | 3 << 12, 0);
        if (n & 8)
            c->native.regs[ECX] &= 0xffff0000;
        /* not at the segment's end, where natively only part of an element is in the page */
        c->native.regs[ESI] &= ~0x40000007u;
        c->native.regs[EDI] &= ~0x40000007u;
    }
    check_cases();
}

/* An FXSAVE image that fxrstor accepts. */
static void random_fx(uint8_t *fx)
{
    uint32_t mxcsr = random32() & 0xffff, zero = 0;
    uint16_t control = (random32() & 0xf3f) | 0x40, status = random32() & 0x3f7f;
    if (random32() % 4) /* mostly nothing pending */
        control |= 0x3f;
    for (unsigned i = 0; i < 288; i++)
        fx[i] = (uint8_t)random32();
    memset(fx + 5, 0, 19);
    memset(fx + 288, 0, 224);
    if (status & ~control & 0x3f)
        status |= 0x8080;
    memcpy(fx, &control, 2);
    memcpy(fx + 2, &status, 2);
    memcpy(fx + 24, &mxcsr, 4);
    memcpy(fx + 28, &zero, 4);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *st = fx + 32 + 16 * i;
        memset(st + 10, 0, 6);
        switch (random32() % 4) {
        case 0: /* zero, denormal, or infinity and NaN */
            memset(st, 0, 9);
            st[0] = random32() & 1;
            break;
        case 1:
            st[8] = 0xff;
            st[9] = 0x7f;
            break;
        case 2: /* normal */
            st[7] |= 0x80;
            break;
        default:
            break;
        }
    }
}

static struct helper_case *add_fx(const char *insn, uint32_t event, uint32_t bits, uint32_t operand)
{
    char hex[64];
    /* fxrstor [ARENA + FX_IN]; insn; fxsave [ARENA + FX_OUT] */
    snprintf(hex, sizeof hex, "0fae0d00000020%s0fae0500020020", insn);
    struct helper_case *c = add(hex, event, bits, operand);
    c->insn_at = 7;
    c->code = VX_EVENT(event, bits, (uint32_t)strlen(insn) / 2);
    c->has_fx = true;
    use_arena(c, 1600);
    memset(c->arena + FX_OUT, 0, 512);
    random_fx(c->arena + FX_IN);
    return c;
}

static void test_x87_state(void)
{
    const uint32_t ea = ARENA + OPERAND_AREA;
    for (unsigned n = 0; n < 1500; n++) {
        bool is_16 = n & 1;
        uint32_t o16 = is_16 ? 0x8000 : 0;
        add_fx(is_16 ? "66d93500040020" : "d93500040020", VX_EVENT_FNSTENV, o16, ea);
        add_fx(is_16 ? "66dd3500040020" : "dd3500040020", VX_EVENT_FNSAVE, o16, ea);
        add_fx(is_16 ? "66d92500040020" : "d92500040020", VX_EVENT_FLDENV, o16, ea);
        add_fx(is_16 ? "66dd2500040020" : "dd2500040020", VX_EVENT_FRSTOR, o16, ea);
        add_fx("0fae0500040020", VX_EVENT_FXSAVE, 0, ea);
        struct helper_case *c = add_fx("0fae0d00040020", VX_EVENT_FXRSTOR, 0, ea);
        random_fx(c->arena + OPERAND_AREA);
        if (n % 8 == 0) /* reserved bits of MXCSR; bit 17 is one only on AMD's */
            c->arena[OPERAND_AREA + 24 + 2] = (uint8_t)(4 << n % 5);
    }
    add_fx("0fae0501040020", VX_EVENT_FXSAVE, 0, ea + 1);
    add_fx("0fae0d04040020", VX_EVENT_FXRSTOR, 0, ea + 4);
    check_cases();
}

static void test_maskmov(void)
{
    for (unsigned n = 0; n < 1000; n++) {
        bool is_xmm = n & 1;
        uint32_t edi = ARENA + OPERAND_AREA + random32() % 32;
        uint32_t modrm = 0xc0 | (random32() & 63);
        char hex[16];
        snprintf(hex, sizeof hex, "%s0ff7%02x", is_xmm ? "66" : "", modrm);
        struct helper_case *c = add_fx(hex, VX_EVENT_MASKMOV, modrm | (is_xmm ? 0x100 : 0), edi);
        c->native.regs[EDI] = edi;
    }
    check_cases();
}

static void test_refused(void)
{
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    struct vx_regs regs = {.eip = CODE, .eflags = 0x202, .cs = 0x23};
    const struct vx_regs before = regs;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    static const uint32_t numbers[] = {VX_EVENT_XGETBV, VX_EVENT_RDTSCP};
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(vxi_helper(box, &regs, VX_EVENT(numbers[i], 0, 3), 0, &trap),
                        VXI_HELPER_TRAP);
        CU_ASSERT_EQUAL(trap.kind, VX_TRAP_UNDEFINED);
        CU_ASSERT_EQUAL(trap.vector, 6);
    }
    /* far transfers: user code only */
    CU_ASSERT_EQUAL(vxi_helper(box, &regs, VX_EVENT(VX_EVENT_FAR_JUMP, 0x33, 7), 0x5000, &trap),
                    VXI_HELPER_TRAP);
    CU_ASSERT_EQUAL(trap.kind, VX_TRAP_PROTECTION);
    CU_ASSERT_EQUAL(memcmp(&regs, &before, sizeof regs), 0);
    CU_ASSERT_EQUAL(vxi_helper(box, &regs, VX_EVENT(VX_EVENT_FAR_JUMP, 0x23, 7), 0x5000, &trap),
                    VXI_HELPER_DONE);
    CU_ASSERT_EQUAL(regs.eip, 0x5000);
    vx_box_free(box);
}

static void test_tls(void)
{
    struct vx_box *box;
    struct vx_error error;
    struct vx_regs regs = {.eip = CODE};
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vxi_set_tls_entry(box, &regs, 12, 0x1234000), VX_OK);
    CU_ASSERT_TRUE(vxi_load_segment(box, &regs, 5, 0x63));
    CU_ASSERT_EQUAL(regs.gs, 0x63);
    CU_ASSERT_EQUAL(regs.gs_base, 0x1234000);
    CU_ASSERT_EQUAL(vxi_set_tls_entry(box, &regs, 12, 0x5678000), VX_OK);
    CU_ASSERT_EQUAL(regs.gs_base, 0x5678000);
    CU_ASSERT_FALSE(vxi_load_segment(box, &regs, 0, 0x63)); /* es stays flat */
    CU_ASSERT_FALSE(vxi_load_segment(box, &regs, 2, 0));    /* ss is never null */
    CU_ASSERT_FALSE(vxi_load_segment(box, &regs, 1, 0x23)); /* cs is not loaded */
    CU_ASSERT_EQUAL(vxi_set_tls_entry(box, &regs, 11, 0), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vxi_set_tls_entry(box, &regs, 15, 0), VX_ERR_ARGUMENT);
    vx_box_free(box);
}

/* A rep that takes long comes back now and then, with eip at the instruction. */
static void test_batches(void)
{
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    struct vx_regs regs = {.eip = CODE, .eflags = 0x202, .ecx = 100000, .edi = ARENA};
    uint32_t code = VX_EVENT(VX_EVENT_STRING, 0xaa | 3 << 8 | 3 << 12, 3);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    vx_box_map(box, ARENA, 0x20000, VX_PROT_READ | VX_PROT_WRITE);
    CU_ASSERT_EQUAL(vxi_helper(box, &regs, code, 0, &trap), VXI_HELPER_DONE);
    CU_ASSERT_EQUAL(regs.eip, CODE);
    CU_ASSERT_EQUAL(regs.ecx, 100000 - 65536);
    CU_ASSERT_EQUAL(regs.edi, ARENA + 65536);
    CU_ASSERT_EQUAL(vxi_helper(box, &regs, code, 0, &trap), VXI_HELPER_DONE);
    CU_ASSERT_EQUAL(regs.eip, CODE + 3);
    CU_ASSERT_EQUAL(regs.ecx, 0);
    vx_box_free(box);
}

static void test_cpuid(void)
{
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    char vendor[13] = {0};
    struct vx_regs regs = {0};
    uint32_t code = VX_EVENT(VX_EVENT_CPUID, 0, 2);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vxi_helper(box, &regs, code, 0, &trap), VXI_HELPER_DONE);
    CU_ASSERT_EQUAL(regs.eip, 2);
    memcpy(vendor, &regs.ebx, 4);
    memcpy(vendor + 4, &regs.edx, 4);
    memcpy(vendor + 8, &regs.ecx, 4);
    CU_ASSERT_STRING_EQUAL(vendor, "VxVirtualCPU");
    regs.eax = 1;
    vxi_helper(box, &regs, code, 0, &trap);
    /* fpu tsc cx8 cmov mmx fxsr sse sse2; sse3 ssse3 sse4.1 sse4.2 popcnt */
    CU_ASSERT_EQUAL(regs.edx, 0x07808111);
    CU_ASSERT_EQUAL(regs.ecx, 0x00980201);
    regs.eax = 7;
    regs.ecx = 0;
    vxi_helper(box, &regs, code, 0, &trap);
    CU_ASSERT_EQUAL(regs.eax | regs.ebx | regs.ecx | regs.edx, 0);
    vx_box_free(box);
}

static void make_oracle(void)
{
    char command[512];
    int fd = mkstemp(oracle_path);
    if (fd < 0)
        return;
    close(fd);
    snprintf(command, sizeof command,
             "gcc -m32 -O1 -static -fno-pie -no-pie -w -o %s %s/tests/native/insn_oracle.c 2>/dev/null",
             oracle_path, SOURCE_DIR);
    has_oracle = system(command) == 0;
}

int main(void)
{
    CU_initialize_registry();
    make_oracle();
    CU_pSuite suite = CU_add_suite("helper", NULL, NULL);
    CU_add_test(suite, "daa das aaa aas aam aad salc", test_decimal);
    CU_add_test(suite, "pushf popf", test_flags);
    CU_add_test(suite, "bound enter", test_bound_enter);
    CU_add_test(suite, "lar lsl verr verw arpl", test_selectors);
    CU_add_test(suite, "segment register moves", test_segment_moves);
    CU_add_test(suite, "strings with a source segment", test_strings);
    CU_add_test(suite, "strings with 16-bit addresses", test_strings_16);
    CU_add_test(suite, "x87 state in memory", test_x87_state);
    CU_add_test(suite, "maskmov", test_maskmov);
    CU_add_test(suite, "what is refused", test_refused);
    CU_add_test(suite, "TLS descriptors", test_tls);
    CU_add_test(suite, "batches of a long rep", test_batches);
    CU_add_test(suite, "cpuid", test_cpuid);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    unlink(oracle_path);
    free(cases);
    return failures ? 1 : 0;
}

/*
 * No string instruction reaches outside the window: every form, in both
 * directions, started around every edge and running across it, compared with a model
 * that does one element after the other (SDM vol. 2, REP).
 *
 * Three pages are mapped: LOW, MID and TOP; what lies between them, and page 0, is not.
 */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "escape.h"

#define MID 0x5000u
#define AREAS 3
static const uint32_t areas[AREAS] = { LOW, MID, TOP };

struct text {
    uint8_t opcode; /* of the byte form */
    uint8_t size;   /* 1 2 4 */
    uint8_t rep;    /* 0 f2 f3 */
    uint8_t segment;/* 0 2e 64 65 */
    bool is_addr16;
};

struct memory {
    uint8_t bytes[AREAS][PAGE];
};

/* ---- model ----------------------------------------------------------- */

struct state {
    struct vx_regs regs;
    struct memory memory;
    bool is_trap;
    uint32_t address, other_address; /* of the fault; where two operands are missing, either may be named */
    enum vx_access access;
};

static uint8_t *byte_at(struct memory *memory, uint32_t a)
{
    for (int i = 0; i < AREAS; i++)
        if (a - areas[i] < PAGE)
            return &memory->bytes[i][a - areas[i]];
    return NULL;
}

/* False: the byte at *missing is not mapped. */
static bool get(struct memory *memory, uint32_t a, uint32_t size, uint32_t *value, uint32_t *missing)
{
    *value = 0;
    for (uint32_t i = 0; i < size; i++) {
        const uint8_t *p = byte_at(memory, a + i);
        *missing = a + i;
        if (!p)
            return false;
        *value |= (uint32_t)*p << 8 * i;
    }
    return true;
}

static bool put(struct memory *memory, uint32_t a, uint32_t size, uint32_t value, uint32_t *missing)
{
    uint32_t ignored;
    if (!get(memory, a, size, &ignored, missing))
        return false;
    for (uint32_t i = 0; i < size; i++)
        *byte_at(memory, a + i) = (uint8_t)(value >> 8 * i);
    return true;
}

/* The processor's own flags of left - right. */
static uint32_t compare(uint32_t left, uint32_t right, uint32_t size)
{
    uint64_t flags;
    if (size == 1)
        __asm__("cmpb %b2, %b1\n\tpushfq\n\tpopq %0" : "=r"(flags) : "r"(left), "r"(right) : "cc");
    else if (size == 2)
        __asm__("cmpw %w2, %w1\n\tpushfq\n\tpopq %0" : "=r"(flags) : "r"(left), "r"(right) : "cc");
    else
        __asm__("cmpl %2, %1\n\tpushfq\n\tpopq %0" : "=r"(flags) : "r"(left), "r"(right) : "cc");
    return (uint32_t)flags & 0x8d5;
}

static bool fault(struct state *s, uint32_t address, uint32_t other, enum vx_access access)
{
    s->is_trap = true;
    s->address = address;
    s->other_address = other;
    s->access = access;
    return false;
}

static void advance(uint32_t *reg, uint32_t by, uint32_t mask)
{
    *reg = (*reg & ~mask) | ((*reg + by) & mask);
}

/* False: it faults. */
static bool element(struct state *s, const struct text *t)
{
    struct vx_regs *r = &s->regs;
    uint32_t mask = t->is_addr16 ? 0xffff : 0xffffffff, base = t->segment >= 0x64 ? r->fs_base : 0;
    uint32_t source = base + (r->esi & mask), destination = r->edi & mask;
    uint32_t step = r->eflags & 0x400 ? 0u - t->size : t->size;
    uint32_t keep = t->size == 4 ? 0 : t->size == 2 ? 0xffff0000 : 0xffffff00;
    uint32_t value = r->eax & ~keep, other = 0, missing = 0, missing_too = 0;
    bool has_source = t->opcode == 0xa4 || t->opcode == 0xa6 || t->opcode == 0xac;
    bool has_destination = t->opcode != 0xac;
    bool is_store = t->opcode == 0xa4 || t->opcode == 0xaa;
    bool can_read = !has_source || get(&s->memory, source, t->size, &value, &missing);
    bool can_reach = !has_destination || get(&s->memory, destination, t->size, &other, &missing_too);
    if (!can_read)
        return fault(s, missing, can_reach ? missing : missing_too, VX_ACCESS_READ);
    if (!can_reach)
        return fault(s, missing_too, missing_too, is_store ? VX_ACCESS_WRITE : VX_ACCESS_READ);
    if (is_store)
        put(&s->memory, destination, t->size, value, &missing);
    else if (has_destination)
        r->eflags = (r->eflags & ~0x8d5u) | compare(value, other, t->size);
    else
        r->eax = (r->eax & keep) | value;
    if (has_source)
        advance(&r->esi, step, mask);
    if (has_destination)
        advance(&r->edi, step, mask);
    return true;
}

static void model(struct state *s, const struct text *t, uint32_t length)
{
    uint32_t mask = t->is_addr16 ? 0xffff : 0xffffffff;
    bool is_compare = t->opcode == 0xa6 || t->opcode == 0xae;
    if (!t->rep) {
        if (element(s, t))
            s->regs.eip += length;
        return;
    }
    while (s->regs.ecx & mask) {
        if (!element(s, t))
            return;
        advance(&s->regs.ecx, ~0u, mask);
        if (is_compare && !!(s->regs.eflags & 0x40) != (t->rep == 0xf3))
            break;
    }
    s->regs.eip += length;
}

/* ---- one run --------------------------------------------------------- */

static unsigned runs, traps;

static void load(struct watched *w, const struct memory *memory)
{
    for (int i = 0; i < AREAS; i++)
        memcpy(w->window + areas[i], memory->bytes[i], PAGE);
}

static bool is_loaded(struct watched *w, const struct memory *memory)
{
    for (int i = 0; i < AREAS; i++)
        if (memcmp(w->window + areas[i], memory->bytes[i], PAGE) != 0)
            return false;
    return true;
}

static void try_one(struct watched *w, const struct text *t, uint32_t length, const struct vx_regs *start,
                    const struct memory *memory)
{
    static struct state want;
    struct vx_trap trap;
    struct vx_regs after;
    want = (struct state){ .regs = *start };
    want.memory = *memory;
    model(&want, t, length);
    load(w, memory);
    vx_box_set_regs(w->box, start);
    CU_ASSERT_EQUAL_FATAL(vx_box_run(w->box, &trap), VX_OK);
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    vx_box_get_regs(w->box, &after);
    runs++;
    traps += want.is_trap;
    bool is_good = (flags & 0x40500) == 0 && is_loaded(w, &want.memory) && !shows_secret(&after);
    bool is_compare = t->opcode == 0xa6 || t->opcode == 0xae;
    if (want.is_trap) {
        is_good &= trap.kind == VX_TRAP_PAGE && !trap.is_protection;
        is_good &= (trap.address == want.address && trap.access == want.access) || trap.address == want.other_address;
        if (is_compare) /* flags in the middle of a repetition are the processor's affair */
            after.eflags = want.regs.eflags = 0;
    } else {
        is_good &= trap.kind == VX_TRAP_SYSCALL;
        want.regs.eip += 2;
    }
    is_good &= same_registers(&want.regs, &after);
    CU_ASSERT_TRUE(is_good);
    if (!is_good)
        fprintf(stderr, "\n  %02x size %d rep %02x segment %02x addr16 %d, esi %08x edi %08x ecx %08x eflags %x: %s, address %08x "
                "(%08x), esi %08x (%08x), edi %08x (%08x), ecx %08x (%08x), eax %08x (%08x), eflags %x (%x)", t->opcode, t->size, t->rep,
                t->segment, t->is_addr16, start->esi, start->edi, start->ecx, start->eflags, vx_trap_name(trap.kind),
                trap.address, want.address, after.esi, want.regs.esi, after.edi, want.regs.edi, after.ecx, want.regs.ecx,
                after.eax, want.regs.eax, after.eflags, want.regs.eflags);
}

static uint32_t encode(const struct text *t, uint8_t *code)
{
    uint32_t n = 0;
    if (t->segment)
        code[n++] = t->segment;
    if (t->is_addr16)
        code[n++] = 0x67;
    if (t->size == 2)
        code[n++] = 0x66;
    if (t->rep)
        code[n++] = t->rep;
    code[n++] = t->opcode | (t->size > 1);
    memcpy(code + n, "\xcd\x80", 2);
    return n;
}

/* One pointer around each edge, the other in the middle of MID; both directions; then both around edges. */
static void try_text(struct watched *w, const struct text *t, const struct memory *memory)
{
    static const uint32_t edges[] = { 0, LOW, LOW + PAGE, MID, MID + PAGE, TOP };
    static const int32_t offsets[] = { -4, -3, -2, -1, 0, 1 };
    static const uint32_t counts[] = { 0, 2, 0xffffffff };
    const uint32_t base = t->segment == 0x64 ? 0xfffff123u : t->segment == 0x65 ? 0x80000000u : 0;
    uint8_t code[8];
    uint32_t length = encode(t, code);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(w->box, CODE, code, length + 2), VX_OK);
    struct vx_regs regs = { .eax = 0x5a5a5a5a, .ecx = 0x77777777, .edx = 2, .ebx = 3, .esp = 4, .ebp = 5, .eip = CODE,
                            .fs_base = base, .gs_base = base, .es = 0x2b, .cs = 0x23, .ss = 0x2b, .ds = 0x2b };
    for (unsigned i = 0; i < 4 * 36 * 3; i++) {
        uint32_t edge = edges[i / 4 % 6] + (uint32_t)offsets[i / 24 % 6];
        bool is_source = i & 1;
        regs.eflags = 0x202 | 0x8d5 | (i & 2 ? 0x400 : 0);
        if (t->rep)
            regs.ecx = counts[i / 144];
        else if (i >= 144)
            break;
        regs.esi = (is_source ? edge : MID + 0x800) - base;
        regs.edi = is_source ? MID + 0x400 : edge;
        if (i % 7 == 0)
            regs.esi = regs.edi - base;
        try_one(w, t, length, &regs, memory);
    }
}

static void test_strings(void)
{
    static const uint8_t opcodes[] = { 0xa4, 0xa6, 0xaa, 0xac, 0xae }, reps[] = { 0, 0xf2, 0xf3 };
    static const uint8_t segments[] = { 0, 0x2e, 0x64, 0x65 };
    static struct memory memories[2];
    struct watched w = watch();
    CU_ASSERT_EQUAL_FATAL(vx_box_map(w.box, MID, PAGE, RW), VX_OK);
    for (int i = 0; i < AREAS; i++) {
        memset(memories[0].bytes[i], 0x5a, PAGE); /* equal to eax: repe goes on */
        for (uint32_t at = 0; at < PAGE; at++)
            memories[1].bytes[i][at] = pattern(areas[i] + at) | 1; /* never: repne scas goes on */
    }
    runs = traps = 0;
    for (unsigned i = 0; i < 5 * 3 * 3 * 4 * 2; i++) {
        struct text text = { .opcode = opcodes[i % 5], .size = (uint8_t)(1 << i / 5 % 3), .rep = reps[i / 15 % 3],
                             .segment = segments[i / 45 % 4], .is_addr16 = i / 180 };
        try_text(&w, &text, &memories[text.rep == 0xf2]);
    }
    printf("%u runs, %u traps ", runs, traps);
    unwatch(&w);
}

/* A repetition that the guards end goes no further, however often it is begun again. */
GUEST(again, "1: rep stosb\n jmp 1b\n");

static void test_again(void)
{
    struct watched w = watch();
    struct vx_regs regs;
    struct vx_trap trap;
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(w.box, CODE, guest_again, (size_t)(guest_again_end - guest_again)), VX_OK);
    for (int is_down = 0; is_down < 2; is_down++) {
        vx_box_get_regs(w.box, &regs);
        regs.eip = CODE;
        regs.eax = 0x11;
        regs.ecx = 0xffffffff;
        regs.edi = is_down ? LOW_END - 1 : TOP;
        regs.eflags = is_down ? 0x602 : 0x202;
        vx_box_set_regs(w.box, &regs);
        for (int i = 0; i < 100; i++) {
            regs = run_to(w.box, VX_TRAP_PAGE, &trap);
            CU_ASSERT_TRUE(regs.eip == CODE && regs.ecx == 0xffffffff - PAGE);
            CU_ASSERT_TRUE(trap.address == (is_down ? LOW - 1 : 0) && trap.address == regs.edi);
        }
    }
    unwatch(&w);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("escape_strings", NULL, NULL);
    CU_add_test(suite, "string instructions across every edge", test_strings);
    CU_add_test(suite, "begun again", test_again);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}

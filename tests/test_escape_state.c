/*
 * What crosses with the registers: nothing but the guest's own state, in either direction.
 *
 * However a run ends (trap, fault, string instruction with DF set, interrupt, time limit), host code finds its own
 * flags, x87 and SSE control, and an empty x87 stack. The guest finds nothing that the host left in
 * vector, x87 or general registers.
 */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "escape.h"

/* TF DF IOPL NT RF VM AC VIF VIP */
#define SYSTEM_FLAGS 0x1f7500u
/* Long enough to reach the loop on a busy machine. */
#define LIMIT_NS 100000000u

/* ---- flags and floating-point control -------------------------------- */

/* Sets all that popf can set, and leaves x87 and SSE as unlike the host's as it can. Then the end that is tested. */
#define DIRTY "pushl $0x00247ed7 \n popfl\n" DIRTY_FP
#define DIRTY_FP                                                                                            \
    "ldmxcsr 0x40000\n fldcw 0x40004\n fld1\n fldz\n fdivrp\n fldpi\n fldpi\n fldpi\n"                       \
    "pushfl\n popl %eax\n"

GUEST(end_syscall, DIRTY "int $0x80\n");
GUEST(end_page, DIRTY "movl 0xdead0000, %ecx\n");
GUEST(end_undefined, DIRTY "ud2\n");
GUEST(end_protection, DIRTY "hlt\n");
GUEST(end_helper, DIRTY "movl $1, %ecx\n fxsave (%ecx)\n");
GUEST(end_unmapped, DIRTY "movl $0xdead0000, %ecx\n jmp *%ecx\n");
GUEST(end_divide, DIRTY "xorl %ecx, %ecx\n divl %ecx\n");
GUEST(end_stosb, DIRTY "movl $0x40000, %edi\n movl $-1, %ecx\n std\n rep stosb\n");
GUEST(end_movsl, DIRTY "movl $0x40000, %edi\n movl $0x40000, %esi\n movl $-1, %ecx\n std\n rep movsl\n");
GUEST(end_cmpsb, DIRTY "xorl %edi, %edi\n movl $0x40000, %esi\n std\n cmpsb\n");
GUEST(end_loop, DIRTY "1: jmp 1b\n");
GUEST(end_long_rep, DIRTY "1: movl $0x4ffff, %esi\n movl $0x10000, %ecx\n std\n rep lodsb\n jmp 1b\n");
GUEST(end_long_helper, DIRTY "1: movl $0x4ffff, %esi\n movl $0x10000, %ecx\n std\n rep lodsb %fs:(%esi)\n jmp 1b\n");
GUEST(end_calls, DIRTY "1: call 2f\n jmp 1b\n 2: ret\n");
GUEST(end_iret, "pushl $0x00247ed7\n pushl $0x23\n pushl $1f-guest_end_iret+0x10000\n iret\n 1:" DIRTY_FP "int $0x80\n");
GUEST(end_x87, DIRTY "fwait\n");

struct ending {
    const char *text;
    const uint8_t *begin, *end;
    enum vx_trap_kind kind;
    bool is_timed;
};
#define E(name, kind, is_timed) { #name, guest_##name, guest_##name##_end, kind, is_timed }

static const struct ending endings[] = {
    E(end_syscall, VX_TRAP_SYSCALL, false),
    E(end_page, VX_TRAP_PAGE, false),
    E(end_undefined, VX_TRAP_UNDEFINED, false),
    E(end_protection, VX_TRAP_PROTECTION, false),
    E(end_helper, VX_TRAP_PROTECTION, false),
    E(end_unmapped, VX_TRAP_PAGE, false),
    E(end_divide, VX_TRAP_DIVIDE, false),
    E(end_stosb, VX_TRAP_PAGE, false),
    E(end_movsl, VX_TRAP_PAGE, false),
    E(end_cmpsb, VX_TRAP_PAGE, false),
    E(end_loop, VX_TRAP_LIMIT, true),
    E(end_long_rep, VX_TRAP_LIMIT, true),
    E(end_long_helper, VX_TRAP_LIMIT, true),
    E(end_calls, VX_TRAP_LIMIT, true),
    E(end_iret, VX_TRAP_SYSCALL, false),
    E(end_x87, VX_TRAP_X87, false),
};

struct host_state {
    uint64_t flags;
    uint32_t mxcsr;
    uint16_t control, status;
    uint8_t environment[28];
};

/* In one statement: nothing of the compiler's comes between. */
static inline struct host_state host_state(void)
{
    struct host_state s;
    __asm__ volatile("pushfq\n\tpopq %0\n\tstmxcsr %1\n\tfnstcw %2\n\tfnstsw %3\n\tfnstenv %4\n\tfldenv %4"
                     : "=r"(s.flags), "=m"(s.mxcsr), "=m"(s.control), "=m"(s.status), "=m"(s.environment));
    return s;
}

static void check_ending(const struct ending *e, uint32_t mxcsr, uint16_t control, uint16_t guest_control)
{
    const uint32_t guest_mxcsr = 0xff80;
    struct vx_box *box = box_with(e->begin, e->end, RX);
    struct vx_trap trap = { 0 };
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    regs.fs_base = 0;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(vx_box_write(box, DATA, &guest_mxcsr, 4), VX_OK);
    CU_ASSERT_EQUAL(vx_box_write(box, DATA + 4, &guest_control, 2), VX_OK);
    if (e->is_timed)
        vx_box_set_time_limit(box, LIMIT_NS);
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(control));
    vx_status status = vx_box_run(box, &trap);
    struct host_state s = host_state();
    const uint32_t normal_mxcsr = 0x1f80;
    const uint16_t normal_control = 0x37f;
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(normal_mxcsr), "m"(normal_control));
    vx_box_get_regs(box, &regs);
    bool is_good = status == VX_OK && trap.kind == e->kind && (s.flags & SYSTEM_FLAGS) == 0 && s.flags & 0x200 &&
                   s.mxcsr == mxcsr && s.control == control && (s.status & 0x38bf) == 0;
    /* all eight tags: empty */
    is_good &= s.environment[8] == 0xff && s.environment[9] == 0xff;
    /* The guest's own view: AC, ID and DF are as it set them. */
    is_good &= (regs.eflags & 0x240400) == 0x240400;
    CU_ASSERT_TRUE(is_good);
    if (!is_good)
        fprintf(stderr, "\n  %s: %s at %08x, flags %lx, mxcsr %x (%x), control %x (%x), status %x, tags %02x%02x, guest flags %x", e->text,
                vx_trap_name(trap.kind), trap.eip, (unsigned long)s.flags, s.mxcsr, mxcsr, s.control, control, s.status,
                s.environment[9], s.environment[8], regs.eflags);
    vx_box_free(box);
}

static void test_endings(void)
{
    static const uint32_t mxcsrs[] = { 0x1f80, 0xdfc0, 0x7f80 };
    static const uint16_t controls[] = { 0x37f, 0x27f, 0xf7f, 0x07f };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        for (unsigned k = 0; k < 12; k++) {
            /* an unmasked division by zero is pending at the end, or not */
            bool is_x87 = endings[i].kind == VX_TRAP_X87;
            if (endings[i].is_timed && k >= 2)
                break;
            check_ending(&endings[i], mxcsrs[k % 3], controls[k / 3], is_x87 ? 0xf7b : 0xf7f);
        }
}

/* TF, IF, IOPL, NT, RF, VM, VIF, VIP: a guest that asks for each in turn. */
GUEST(one_flag, "popfl\n pushfl\n popl %eax\n int $0x80\n");

static void test_each_flag(void)
{
    for (int bit = 0; bit < 32; bit++) {
        if (bit == 8) /* single-step is its own test */
            continue;
        struct vx_box *box = BOX(one_flag);
        struct vx_regs regs;
        struct vx_trap trap;
        uint32_t value = 1u << bit | 2;
        uint64_t flags;
        vx_box_get_regs(box, &regs);
        regs.esp = DATA;
        vx_box_set_regs(box, &regs);
        CU_ASSERT_EQUAL(vx_box_write(box, DATA, &value, 4), VX_OK);
        CU_ASSERT_EQUAL(vx_box_map(box, DATA - PAGE, PAGE, RW), VX_OK);
        CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_OK);
        __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
        vx_box_get_regs(box, &regs);
        CU_ASSERT_EQUAL(trap.kind, VX_TRAP_SYSCALL);
        CU_ASSERT_EQUAL(flags & SYSTEM_FLAGS, 0);
        /* as a processor shows user code: arithmetic flags, DF, AC, ID; IF always, the rest never */
        CU_ASSERT_EQUAL(regs.eax & ~0x4000u, (value & 0x240cd7) | 0x202);
        vx_box_free(box);
    }
}

/* TF is the guest's: it gets a trap for each instruction, and the host none. */
GUEST(steps, "pushfl\n orl $0x100, (%esp)\n popfl\n incl %eax\n std\n movl $3, %ecx\n movl $0x40100, %edi\n rep stosb\n"
             "call 1f\n 1: fldpi\n cpuid\n movl 0xdead0000, %eax\n");

static void test_single_step(void)
{
    static const uint8_t eips[] = { 10, 11, 16, 21, 21, 21, 23, 28, 30, 32 };
    struct vx_box *box = BOX(steps);
    struct vx_trap trap;
    struct vx_regs regs;
    uint64_t flags;
    for (size_t i = 0; i <= sizeof eips; i++) {
        CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_OK);
        __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
        vx_box_get_regs(box, &regs);
        CU_ASSERT_EQUAL(flags & SYSTEM_FLAGS, 0);
        CU_ASSERT_TRUE(regs.eflags & 0x100);
        CU_ASSERT_EQUAL(trap.kind, i < sizeof eips ? VX_TRAP_DEBUG : VX_TRAP_PAGE);
        if (trap.kind == VX_TRAP_DEBUG) {
            CU_ASSERT_TRUE(trap.vector == 1 && trap.detail == 0x4000);
            CU_ASSERT_EQUAL(trap.eip, CODE + eips[i]);
        }
    }
    /* The embedder steps: one instruction, then freely to the next trap. */
    regs.eip = CODE + 10;
    vx_box_set_regs(box, &regs);
    regs = run_to(box, VX_TRAP_DEBUG, &trap);
    CU_ASSERT_EQUAL(regs.eip, CODE + 11);
    regs.eflags &= ~0x100u;
    vx_box_set_regs(box, &regs);
    regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(regs.eip, CODE + 32);
    /* A request to stop comes after the step, and is not lost. */
    regs.eip = CODE + 10;
    regs.eflags |= 0x100;
    vx_box_set_regs(box, &regs);
    vx_box_interrupt(box);
    run_to(box, VX_TRAP_STOPPED, &trap);
    run_to(box, VX_TRAP_DEBUG, &trap);
    vx_box_free(box);
}

/* ---- nothing of the host shows --------------------------------------- */

GUEST(look_everywhere,
      "movups %xmm0, 0x40000\n movups %xmm1, 0x40010\n movups %xmm2, 0x40020\n movups %xmm3, 0x40030\n"
      "movups %xmm4, 0x40040\n movups %xmm5, 0x40050\n movups %xmm6, 0x40060\n movups %xmm7, 0x40070\n"
      "fxsave 0x40200\n fnstenv 0x40080\n fnsave 0x40100\n"
      "movq %mm0, 0x40400\n movq %mm1, 0x40408\n movq %mm2, 0x40410\n movq %mm3, 0x40418\n"
      "movq %mm4, 0x40420\n movq %mm5, 0x40428\n movq %mm6, 0x40430\n movq %mm7, 0x40438\n emms\n"
      "pushal\n pushfl\n movw %es, 0x40440\n movw %cs, 0x40442\n movw %ss, 0x40444\n movw %fs, 0x40446\n"
      "pxor %xmm0, %xmm1\n haddps %xmm2, %xmm3\n pmovmskb %xmm4, %eax\n movups %xmm3, 0x40450\n"
      "enter $16, $3\n leave\n call 1f\n 1: popl %ecx\n xlat\n cmpxchg8b 0x40460\n"
      /* what 64-bit mode takes for REX prefixes, before all kinds of register operands */
      "incl %eax\n decl %eax\n .byte 0x45\n movl %eax, %edx\n .byte 0x4d, 0x4c\n movl %esp, %esi\n"
      ".byte 0x44\n pushl %ecx\n .byte 0x41\n popl %ebx\n .byte 0x4f, 0x47\n leal (%edi,%esi), %eax\n pushal\n"
      "int $0x80\n jmp guest_look_everywhere\n");

static void put_secrets(void)
{
    static const uint8_t secret[32] __attribute__((aligned(32))) = {
        SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET,
        SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET,
        SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET, SECRET };
    for (int i = 0; i < 8; i++)
        __asm__ volatile("fldt %0" : : "m"(secret));
    for (int i = 0; i < 8; i++)
        __asm__ volatile("fstp %st(0)");
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vmovaps %0, %%ymm0\n\tvmovaps %%ymm0, %%ymm1\n\tvmovaps %%ymm0, %%ymm2\n\t"
                         "vmovaps %%ymm0, %%ymm3\n\tvmovaps %%ymm0, %%ymm4\n\tvmovaps %%ymm0, %%ymm5\n\t"
                         "vmovaps %%ymm0, %%ymm6\n\tvmovaps %%ymm0, %%ymm7\n\tvmovaps %%ymm0, %%ymm8\n\t"
                         "vmovaps %%ymm0, %%ymm15" : : "m"(secret)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm15");
    __asm__ volatile("movaps %0, %%xmm0\n\tmovaps %%xmm0, %%xmm1\n\tmovaps %%xmm0, %%xmm2\n\t"
                     "movaps %%xmm0, %%xmm3\n\tmovaps %%xmm0, %%xmm4\n\tmovaps %%xmm0, %%xmm5\n\t"
                     "movaps %%xmm0, %%xmm6\n\tmovaps %%xmm0, %%xmm7\n\tmovaps %%xmm0, %%xmm8\n\t"
                     "movaps %%xmm0, %%xmm9\n\tmovaps %%xmm0, %%xmm15\n\t"
                     "movq %0, %%r8\n\tmovq %%r8, %%r9\n\tmovq %%r8, %%r10\n\tmovq %%r8, %%r11\n\tmovq %%r8, %%r12\n\t"
                     "movq %%r8, %%r13\n\tmovq %%r8, %%r14" : : "m"(secret)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm15", "r8", "r9",
                       "r10", "r11", "r12", "r13", "r14");
}

/* Does any page of the guest hold four bytes of the secret, or the high half of a host address? */
static bool holds(struct watched *w, uint32_t first, uint32_t size, uint32_t word)
{
    for (uint32_t at = 0; at + 4 <= size; at++)
        if (memcmp(w->window + first + at, &word, 4) == 0)
            return true;
    return false;
}

static void test_nothing_shows(void)
{
    struct watched w = watch();
    struct vx_trap trap;
    struct vx_regs regs;
    const uint32_t window_high = (uint32_t)((uint64_t)w.window >> 32), code_high = (uint32_t)((uint64_t)vxi_stub_miss >> 32);
    const uint64_t stack = (uint64_t)&trap;
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(w.box, CODE, guest_look_everywhere, (size_t)(guest_look_everywhere_end - guest_look_everywhere)), VX_OK);
    for (int round = 0; round < 4; round++) {
        vx_box_get_regs(w.box, &regs);
        regs.ebx = DATA + 0x470;
        regs.esp = STACK_TOP;
        regs.ebp = STACK + 0x8000;
        regs.eip = CODE;
        vx_box_set_regs(w.box, &regs);
        put_secrets();
        CU_ASSERT_EQUAL(vx_box_run(w.box, &trap), VX_OK);
        vx_box_get_regs(w.box, &regs);
        CU_ASSERT_EQUAL(trap.kind, VX_TRAP_SYSCALL);
        CU_ASSERT_FALSE(shows_secret(&regs));
        CU_ASSERT_FALSE(holds(&w, DATA, DATA_BYTES, SECRET_WORD));
        CU_ASSERT_FALSE(holds(&w, STACK, STACK_BYTES, SECRET_WORD));
        CU_ASSERT_FALSE(holds(&w, DATA, DATA_BYTES, window_high));
        CU_ASSERT_FALSE(holds(&w, STACK, STACK_BYTES, window_high));
        CU_ASSERT_FALSE(holds(&w, DATA, DATA_BYTES, code_high));
        CU_ASSERT_FALSE(holds(&w, STACK, STACK_BYTES, code_high));
        CU_ASSERT_FALSE(holds(&w, DATA, DATA_BYTES, (uint32_t)(stack >> 32)));
        uint8_t fx[512];
        vx_box_get_fxsave(w.box, fx);
        for (size_t i = 0; i + 4 <= sizeof fx; i++)
            CU_ASSERT_FALSE(is_secret(fx + i, 4));
    }
    unwatch(&w);
}

/* The guest finds its own vector and x87 registers again, whatever the host did in between. */
GUEST(keep, "movups 0x40000, %xmm0\n movups 0x40010, %xmm7\n fldt 0x40020\n fldt 0x40030\n int $0x80\n"
            "movups %xmm0, 0x40100\n movups %xmm7, 0x40110\n fstpt 0x40130\n fstpt 0x40120\n int $0x80\n");

static void test_kept(void)
{
    struct vx_box *box = BOX(keep);
    struct vx_trap trap;
    uint8_t in[58], out[58];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(3 * i + 1);
    in[0x27] |= 0x80; /* normal numbers */
    in[0x37] |= 0x80;
    CU_ASSERT_EQUAL(vx_box_write(box, DATA, in, sizeof in), VX_OK);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    put_secrets();
    run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(vx_box_read(box, DATA + 0x100, out, sizeof out), VX_OK);
    CU_ASSERT_EQUAL(memcmp(in, out, 42), 0);
    CU_ASSERT_EQUAL(memcmp(in + 48, out + 48, 10), 0);
    vx_box_free(box);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("escape_state", NULL, NULL);
    CU_add_test(suite, "every ending leaves the host its state", test_endings);
    CU_add_test(suite, "each flag", test_each_flag);
    CU_add_test(suite, "single-step", test_single_step);
    CU_add_test(suite, "nothing of the host shows", test_nothing_shows);
    CU_add_test(suite, "the guest's registers are kept", test_kept);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}

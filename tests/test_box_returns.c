/*
 * Flags at a ret that goes elsewhere than the host predicts: the continuation that the host comes to first compares, and so
 * has flags of its own. The code that is returned to must see the guest's.
 */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "tests/test_box.h"

#define ARITHMETIC 0x8d5u
#define ROUNDS 2000

/* Calls a function that returns to 9: instead of behind the call, where nobody reads flags. The operands are in ecx, edx. */
#define RETURNING(name, body)                                                                      \
    GUEST(name, "call 1f\n\tcmpl $1, %eax\n\tint3\n"                                                 \
                "1: movl $0x10000 + 9f - guest_" #name ", (%esp)\n\t" body "\n9: int3")

RETURNING(compare, "cmpl %ecx, %edx; ret");
RETURNING(add, "addl %ecx, %edx; movl %edx, %eax; ret");
RETURNING(zero, "cmpl %ecx, %edx; xorl %ebx, %ebx; movl %edx, %eax; ret");
RETURNING(shift, "shll %cl, %edx; lea 3(%edx), %eax; ret");
/* the return address is above two words that are popped, and what the addition skips */
RETURNING(adjust, "movl (%esp), %eax; movl %edx, %esp; movl %eax, 20(%esp); addl $12, %esp; popl %ebx; popl %esi; ret");
RETURNING(adjust_ret_n, "movl (%esp), %eax; movl %edx, %esp; movl %eax, 0x80(%esp); addl $0x80, %esp; ret $0x40");
/* more popped since than the return can say */
RETURNING(adjust_ret_far, "movl (%esp), %eax; movl %edx, %esp; movl %eax, 0x80(%esp); addl $0x80, %esp; ret $0x1fc");
RETURNING(adjust_ret_farther, "movl (%esp), %eax; movl %edx, %esp; movl %eax, 0x80(%esp); addl $0x80, %esp; ret $0x200");
RETURNING(adjust_sub, "movl (%esp), %eax; movl %edx, %esp; movl %eax, -0x40(%esp); subl $0x40, %esp; ret");
/* flags that come from before the pops, on one of two ways */
RETURNING(join, "movl (%esp), %eax; cmpl %ecx, %edx; jb 2f; movl %eax, -4(%esp); lea -12(%esp), %esp; addl $4, %esp; jmp 3f\n"
                "2: movl %eax, (%esp); subl $4, %esp\n3: popl %ebx; ret");

static uint32_t flags_of(char operation, uint32_t left, uint32_t right)
{
    uint64_t flags;
    switch (operation) {
    case '+': __asm__ volatile("addl %k2, %k1; pushfq; popq %0" : "=r"(flags), "+r"(left) : "r"(right) : "cc"); break;
    case '-': __asm__ volatile("subl %k2, %k1; pushfq; popq %0" : "=r"(flags), "+r"(left) : "r"(right) : "cc"); break;
    case '<': __asm__ volatile("shll %%cl, %k1; pushfq; popq %0" : "=r"(flags), "+r"(left) : "c"(right) : "cc"); break;
    default: __asm__ volatile("xorl %k1, %k1; pushfq; popq %0" : "=r"(flags), "+r"(left) : : "cc"); break;
    }
    return (uint32_t)flags & ARITHMETIC;
}

static uint32_t run_once(struct vx_box *box, uint32_t ecx, uint32_t edx)
{
    struct vx_regs regs;
    struct vx_trap trap;
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.esp = STACK_TOP - 0x100;
    regs.ecx = ecx;
    regs.edx = edx;
    regs.eflags ^= ARITHMETIC;
    vx_box_set_regs(box, &regs);
    return run_to(box, VX_TRAP_BREAKPOINT, &trap).eflags & ARITHMETIC;
}

static uint32_t operand(unsigned round)
{
    static const uint32_t edges[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xf, 0x10};
    return round % 3 ? edges[(size_t)rand() % (sizeof edges / sizeof *edges)] : (uint32_t)rand() << 1 ^ (uint32_t)rand();
}

static void operands_in_registers(void)
{
    struct vx_box *compare = BOX(compare), *add = BOX(add), *zero = BOX(zero), *shift = BOX(shift);
    srand(1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t ecx = operand(i), edx = operand(i), count = 1 + (uint32_t)i % 31;
        CU_ASSERT_EQUAL(run_once(compare, ecx, edx), flags_of('-', edx, ecx));
        CU_ASSERT_EQUAL(run_once(add, ecx, edx), flags_of('+', edx, ecx));
        CU_ASSERT_EQUAL(run_once(zero, ecx, edx), flags_of('0', edx, ecx));
        /* OF and AF are not defined for every count */
        CU_ASSERT_EQUAL((run_once(shift, count, edx) ^ flags_of('<', edx, count)) & ARITHMETIC & ~0x810u, 0);
    }
    vx_box_free(compare);
    vx_box_free(add);
    vx_box_free(zero);
    vx_box_free(shift);
}

static void additions_to_esp(void)
{
    struct vx_box *adjust = BOX(adjust), *adjust_ret_n = BOX(adjust_ret_n), *adjust_sub = BOX(adjust_sub), *join = BOX(join);
    struct vx_box *far = BOX(adjust_ret_far), *farther = BOX(adjust_ret_farther);
    const uint32_t join_esp = STACK_TOP - 0x104;
    for (uint32_t esp = STACK + 0x100; esp < STACK_TOP - 0x200; esp += 0x35) {
        CU_ASSERT_EQUAL(run_once(adjust, 0, esp), flags_of('+', esp, 12));
        CU_ASSERT_EQUAL(run_once(adjust_ret_n, 0, esp), flags_of('+', esp, 0x80));
        CU_ASSERT_EQUAL(run_once(far, 0, esp), flags_of('+', esp, 0x80));
        CU_ASSERT_EQUAL(run_once(farther, 0, esp), flags_of('+', esp, 0x80));
        CU_ASSERT_EQUAL(run_once(adjust_sub, 0, esp), flags_of('-', esp, 0x40));
    }
    CU_ASSERT_EQUAL(run_once(join, 1, 2), flags_of('+', join_esp - 12, 4));
    CU_ASSERT_EQUAL(run_once(join, 2, 1), flags_of('-', join_esp, 4));
    vx_box_free(adjust);
    vx_box_free(adjust_ret_n);
    vx_box_free(far);
    vx_box_free(farther);
    vx_box_free(adjust_sub);
    vx_box_free(join);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("box_returns", NULL, NULL);
    CU_add_test(suite, "operands in registers", operands_in_registers);
    CU_add_test(suite, "additions to esp", additions_to_esp);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

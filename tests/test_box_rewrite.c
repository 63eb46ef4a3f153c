/*
 * Guests that change their own code: it works, whoever writes and wherever the
 * code lies.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <time.h>

#include "test_box.h"

/* Changes the immediate of the instruction that follows, 200 times. */
GUEST(patch, "movl $200, %ecx\n"
             "1: movl %ecx, 2f-guest_patch+0x10001\n"
             "2: movl $0, %edx\n"
             "addl %edx, %eax\n decl %ecx\n jnz 1b\n int $0x80\n");

static void test_patch_next(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX_RWX(patch);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 200 * 201 / 2);
    vx_box_free(box);
}

/* Makes little functions on the stack and calls them, as compilers do for nested functions. */
GUEST(trampoline, "movl $20000, %ecx\n"
                  "1: subl $16, %esp\n"
                  "movb $0xb8, (%esp)\n movl %ecx, 1(%esp)\n movb $0xc3, 5(%esp)\n" /* movl %ecx, %eax; ret */
                  "call *%esp\n"
                  "addl %eax, %ebx\n addl $16, %esp\n decl %ecx\n jnz 1b\n int $0x80\n");

static void test_trampolines(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(trampoline);
    CU_ASSERT_EQUAL(vx_box_protect(box, STACK, STACK_BYTES, RWX), VX_OK);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.ebx, 20000u * 20001 / 2);
    CU_ASSERT_EQUAL(regs.esp, STACK_TOP);
    vx_box_free(box);
}

/* rep stosb over code and over itself: the rest of the run is the new code. */
GUEST(overwrite, "movl $1f-guest_overwrite+0x10000, %edi\n movb $0x40, %al\n movl $64, %ecx\n cld\n"
                 "rep stosb\n"
                 "xorl %eax, %eax\n"
                 "1: .fill 64, 1, 0x90\n int $0x80\n");

static void test_string_store(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX_RWX(overwrite);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 64);
    vx_box_free(box);
}

/* Code calls a function in another page, which it rewrites between calls; and writes over a page boundary. */
GUEST(generate, "movl $0x14ffe, %edi\n xorl %esi, %esi\n movl $300, %ecx\n"
                "1: movl $0x90900540, %eax\n testb $1, %cl\n jz 2f\n movl $0x90904040, %eax\n"
                "2: movl $0x40404040, (%edi)\n movl %eax, (%edi)\n movb $0x40, (%edi)\n movb $0x40, 1(%edi)\n"
                "movb $0xc3, 4(%edi)\n"
                "xorl %eax, %eax\n call *%edi\n addl %eax, %esi\n decl %ecx\n jnz 1b\n int $0x80\n");

static void test_generate(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX_RWX(generate);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.esi, 600);
    vx_box_free(box);
}

/* Data and code on one page: correct, and not hopelessly slow. */
GUEST(mixed, "movl $300000, %ecx\n 1: incl 3f-guest_mixed+0x10000\n call 2f\n decl %ecx\n jnz 1b\n int $0x80\n"
             "2: incl %eax\n ret\n .balign 4\n 3: .long 0\n");

static void test_mixed(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX_RWX(mixed);
    struct timespec from, to;
    uint32_t counter;
    clock_gettime(CLOCK_MONOTONIC, &from);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    clock_gettime(CLOCK_MONOTONIC, &to);
    CU_ASSERT_EQUAL(regs.eax, 300000);
    CU_ASSERT_EQUAL(vx_box_read(box, CODE + (uint32_t)(guest_mixed_end - guest_mixed) - 4, &counter, 4), VX_OK);
    CU_ASSERT_EQUAL(counter, 300000);
    printf("(%.2f s) ", (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
    vx_box_free(box);
}

/* The host writes: by copy, by poke, by pointer, by mapping something else. */
GUEST(answer, "movl $1, %eax\n int $0x80\n");

static void test_host_writes(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX_RWX(answer);
    uint32_t value = 2;
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 1);
    CU_ASSERT_EQUAL(vx_box_write(box, CODE + 1, &value, 4), VX_OK);
    set_eip(box, CODE);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 2);
    value = 3;
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE + 1, &value, 4), VX_OK);
    set_eip(box, CODE);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 3);
    uint8_t *bytes = vx_box_pointer(box, CODE, 16, RW);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    bytes[1] = 4;
    set_eip(box, CODE);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 4);
    CU_ASSERT_EQUAL(vx_box_map(box, CODE, 0x1000, RX), VX_OK);
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE, "\xcd\x81", 2), VX_OK);
    set_eip(box, CODE);
    run_to(box, VX_TRAP_INTERRUPT, &trap);
    CU_ASSERT_EQUAL(trap.vector, 0x81);
    vx_box_free(box);
}

/* Much code: more than the runtime keeps. Every function is made, called and replaced. */
GUEST(churn, "1: call *%edi\n int $0x80\n jmp 1b\n");

static void test_much_code(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(churn);
    struct vx_regs regs;
    uint8_t code[6] = { 0xb8, 0, 0, 0, 0, 0xc3 };
    CU_ASSERT_EQUAL(vx_box_map(box, 0x2000000, 0x100000, RX), VX_OK);
    for (uint32_t i = 0; i < 40000; i++) {
        vx_gaddr at = 0x2000000 + i % 1024 * 1024;
        memcpy(code + 1, &i, 4);
        CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, at, code, sizeof code), VX_OK);
        vx_box_get_regs(box, &regs);
        regs.edi = at;
        vx_box_set_regs(box, &regs);
        if (run_to(box, VX_TRAP_SYSCALL, &trap).eax != i)
            CU_FAIL_FATAL("stale code");
    }
    vx_box_free(box);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("self-modifying code", NULL, NULL);
    CU_add_test(suite, "patch the next instruction", test_patch_next);
    CU_add_test(suite, "trampolines on the stack", test_trampolines);
    CU_add_test(suite, "string store over code", test_string_store);
    CU_add_test(suite, "generate code", test_generate);
    CU_add_test(suite, "data and code on one page", test_mixed);
    CU_add_test(suite, "writes of the host", test_host_writes);
    CU_add_test(suite, "much code", test_much_code);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}

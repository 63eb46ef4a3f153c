/*
 * Boxes through the public interface: traps and their exact state, memory,
 * calls and returns. Needs the translator in the runtime.
 */
#include <CUnit/Basic.h>
#include <stdio.h>

#include "test_box.h"

GUEST(syscall, "movl $7, %eax\n int $0x80\n addl $1, %eax\n int $0x80\n");

static void test_syscall(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(syscall);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 7);
    CU_ASSERT_EQUAL(regs.eip, CODE + 7);
    regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 8);
    CU_ASSERT_EQUAL(regs.esp, STACK_TOP);
    vx_box_free(box);
}

GUEST(pushes, "movl $1, %eax\n movl $2, %ebx\n cmpl %eax, %ebx\n pushl %eax\n pushl %ebx\n pushl %eax\n int $0x80\n");

/* The second of three pushes faults: ESP, EIP and flags as before it, although ESP updates are merged. */
static void test_push_fault(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(pushes);
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    regs.esp = STACK + 4;
    vx_box_set_regs(box, &regs);
    regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(regs.eip, CODE + 13);
    CU_ASSERT_EQUAL(regs.esp, STACK);
    CU_ASSERT_EQUAL(trap.address, STACK - 4);
    CU_ASSERT_EQUAL(trap.access, VX_ACCESS_WRITE);
    CU_ASSERT_FALSE(trap.is_protection);
    CU_ASSERT_EQUAL(trap.vector, 14);
    CU_ASSERT_EQUAL(regs.eflags & 0x8d5, 0); /* 2 - 1 = 1 */
    /* The page comes, the guest goes on. */
    CU_ASSERT_EQUAL(vx_box_map(box, STACK - 0x1000, 0x1000, RW), VX_OK);
    regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.esp, STACK - 8);
    uint32_t words[3];
    CU_ASSERT_EQUAL(vx_box_read(box, STACK - 8, words, sizeof words), VX_OK);
    CU_ASSERT_TRUE(words[0] == 1 && words[1] == 2 && words[2] == 1);
    vx_box_free(box);
}

GUEST(accesses, "movl 0x12345678, %eax\n"          /* 5 bytes */
                "movl %eax, 0x10000\n"             /* code page: 5 bytes */
                "movl $0x77770000, %eax\n jmp *%eax\n");

static void test_page_faults(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(accesses);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.eip == CODE && trap.address == 0x12345678 && trap.access == VX_ACCESS_READ);
    CU_ASSERT_FALSE(trap.is_protection);
    set_eip(box, CODE + 5);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.eip == CODE + 5 && trap.address == CODE && trap.access == VX_ACCESS_WRITE);
    CU_ASSERT_TRUE(trap.is_protection);
    set_eip(box, CODE + 10);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.eip == 0x77770000 && trap.address == 0x77770000 && trap.access == VX_ACCESS_EXEC);
    set_eip(box, DATA);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.address == DATA && trap.access == VX_ACCESS_EXEC && trap.is_protection);
    set_eip(box, 0);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.address == 0 && trap.access == VX_ACCESS_EXEC);
    vx_box_free(box);
}

GUEST(divide, "xorl %ecx, %ecx\n stc\n divl %ecx\n");
GUEST(undefined, "incl %eax\n ud2\n");
GUEST(breakpoint, "int3\n nop\n");
GUEST(icebp, ".byte 0xf1\n nop\n");
GUEST(into, "movl $0x7fffffff, %eax\n addl $1, %eax\n into\n nop\n");
GUEST(bound, "movl $5, %eax\n bound %eax, 0x40000\n");
GUEST(hlt, "hlt\n");
GUEST(intn, "int $0x33\n");
GUEST(misaligned, "movl $0x40001, %eax\n movaps (%eax), %xmm0\n");

static void expect(struct vx_box *box, enum vx_trap_kind kind, vx_gaddr eip, uint8_t vector)
{
    struct vx_trap trap;
    run_to(box, kind, &trap);
    CU_ASSERT_EQUAL(trap.eip, eip);
    CU_ASSERT_EQUAL(trap.vector, vector);
    vx_box_free(box);
}

static void test_exceptions(void)
{
    expect(BOX(divide), VX_TRAP_DIVIDE, CODE + 3, 0);
    expect(BOX(undefined), VX_TRAP_UNDEFINED, CODE + 1, 6);
    expect(BOX(breakpoint), VX_TRAP_BREAKPOINT, CODE + 1, 3);
    expect(BOX(icebp), VX_TRAP_DEBUG, CODE + 1, 1);
    expect(BOX(into), VX_TRAP_OVERFLOW, CODE + 9, 4);
    expect(BOX(bound), VX_TRAP_BOUND, CODE + 5, 5);
    expect(BOX(hlt), VX_TRAP_PROTECTION, CODE, 13);
    expect(BOX(intn), VX_TRAP_INTERRUPT, CODE, 0x33);
    expect(BOX(misaligned), VX_TRAP_PROTECTION, CODE + 5, 13);
}

GUEST(recurse, "movl $400000, %ecx\n call 1f\n int $0x80\n"
               "1: incl %eax\n decl %ecx\n jz 2f\n call 1b\n 2: incl %ebx\n ret\n");

/* Deeper than the return stack, and back. */
static void test_deep_recursion(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(recurse);
    struct vx_regs regs;
    CU_ASSERT_EQUAL(vx_box_map(box, 0x1000000, 0x400000, RW), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.esp = 0x1400000;
    vx_box_set_regs(box, &regs);
    regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 400000);
    CU_ASSERT_EQUAL(regs.ebx, 400000);
    CU_ASSERT_EQUAL(regs.esp, 0x1400000);
    vx_box_free(box);
}

/* 1000 times: five calls deep, then back to the first frame at once (longjmp). */
GUEST(unwind, "movl $1000, %ebp\n"
              "0: movl %esp, %esi\n call 1f\n 9: decl %ebp\n jnz 0b\n int $0x80\n"
              "1: call 2f\n ret\n 2: call 3f\n ret\n 3: call 4f\n ret\n 4: call 5f\n ret\n"
              "5: incl %eax\n leal -4(%esi), %esp\n ret\n");

static void test_unwind(void)
{
    struct vx_trap trap;
    struct vx_stats stats;
    struct vx_box *box = BOX(unwind);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 1000);
    CU_ASSERT_EQUAL(regs.esp, STACK_TOP);
    vx_box_stats(box, &stats);
    /* One miss each, then in step again. */
    CU_ASSERT_TRUE(stats.return_misses >= 1000 && stats.return_misses <= 1010);
    vx_box_free(box);
}

/* Two stacks that hand over to each other, and a ret that is a jump. */
GUEST(coroutine, "movl $0x48000, %edi\n movl $2f-guest_coroutine+0x10000, -4(%edi)\n subl $4, %edi\n"
                 "movl $1000, %ecx\n"
                 "1: call 8f\n incl %eax\n decl %ecx\n jnz 1b\n"
                 "pushl $3f-guest_coroutine+0x10000\n ret\n ud2\n"
                 "2: incl %ebx\n call 8f\n jmp 2b\n"
                 "3: int $0x80\n"
                 "8: xchgl %esp, %edi\n ret\n");

static void test_stack_switching(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(coroutine);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 1000);
    CU_ASSERT_EQUAL(regs.ebx, 1000);
    CU_ASSERT_EQUAL(regs.esp, STACK_TOP);
    vx_box_free(box);
}

/* More returns than calls. */
GUEST(underflow, "1: incl %eax\n cmpl $5000, %eax\n je 2f\n pushl $1b-guest_underflow+0x10000\n ret\n 2: int $0x80\n");

static void test_underflow(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(underflow);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 5000);
    CU_ASSERT_EQUAL(regs.esp, STACK_TOP);
    vx_box_free(box);
}

GUEST(edges, "movl 0xffffffff, %eax\n movl 0xfffffffd, %eax\n"
             "movl $0xfffffffe, %edi\n movl $8, %ecx\n cld\n rep stosb\n"
             "movl $3, %esi\n movl $8, %ecx\n std\n rep lodsb\n");

/* Accesses over both ends of the window fault; the address is cut to 32 bits. */
static void test_edges(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(edges);
    CU_ASSERT_EQUAL(vx_box_map(box, 0xfffff000, 0x1000, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0, 0x1000, RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_map(box, 0xfffff000, 0x2000, RW), VX_ERR_RANGE);
    struct vx_regs regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(regs.eip == CODE && trap.address == 0);
    set_eip(box, CODE + 5);
    regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(regs.eip == CODE + 5 && trap.address == 0);
    set_eip(box, CODE + 10);
    regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(regs.eip == CODE + 21 && regs.edi == 0 && regs.ecx == 6 && trap.address == 0);
    set_eip(box, CODE + 23);
    regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(regs.eip == CODE + 34 && regs.esi == 3 && regs.ecx == 8 && trap.address == 3);
    CU_ASSERT_TRUE(regs.eflags & 0x400);
    vx_box_free(box);
}

static void test_memory(void)
{
    struct vx_box_options options = { .size = sizeof options, .max_memory = 0x20000 };
    struct vx_box *box;
    struct vx_error error;
    char text[8];
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, &options, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x10000, 0x10000, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x30000, 0x11000, RW), VX_ERR_TOO_LARGE);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x30000, 0x10000, VX_PROT_READ), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x10000, 0x10000, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x10001, 0x1000, RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x10000, 0, RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x10000, 0x1000, 8), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_write(box, 0x1fffe, "abc", 3), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_write(box, 0x30000, "abc", 4), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_poke(box, 0x30000, "abc", 4), VX_OK);
    CU_ASSERT_EQUAL(vx_box_read_string(box, 0x30000, text, sizeof text), VX_OK);
    CU_ASSERT_STRING_EQUAL(text, "abc");
    CU_ASSERT_EQUAL(vx_box_read_string(box, 0x30000, text, 3), VX_ERR_TOO_LARGE);
    CU_ASSERT_EQUAL(vx_box_poke(box, 0x3fffe, "ab", 2), VX_OK);
    CU_ASSERT_EQUAL(vx_box_read_string(box, 0x3fffe, text, sizeof text), VX_ERR_RANGE);
    CU_ASSERT_PTR_NULL(vx_box_pointer(box, 0x30000, 4, RW));
    CU_ASSERT_PTR_NOT_NULL(vx_box_pointer(box, 0x30000, 0x10000, VX_PROT_READ));
    CU_ASSERT_PTR_NULL(vx_box_pointer(box, 0x30000, 0x10001, VX_PROT_READ));
    CU_ASSERT_EQUAL(vx_box_page_prot(box, 0x30fff), VX_PROT_READ);
    CU_ASSERT_EQUAL(vx_box_page_prot(box, 0x50000), -1);
    CU_ASSERT_EQUAL(vx_box_protect(box, 0x3f000, 0x2000, RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_protect(box, 0x3f000, 0x1000, VX_PROT_NONE), VX_OK);
    CU_ASSERT_EQUAL(vx_box_read(box, 0x3f000, text, 1), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_find_free(box, 0x10000, 0x40000), 0x20000);
    CU_ASSERT_EQUAL(vx_box_find_free(box, 0x10001, 0x40000), 0);
    CU_ASSERT_EQUAL(vx_box_unmap(box, 0x10000, 0x10000), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x50000, 0x10000, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_read(box, 0xffffffff, text, 2), VX_ERR_RANGE);
    vx_box_free(box);
}

GUEST(plain, "1: incl %eax\n int $0x80\n jmp 1b\n");

static void test_code_goes_away(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(plain);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(vx_box_protect(box, CODE, 0x1000, VX_PROT_READ), VX_OK);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.access == VX_ACCESS_EXEC && trap.is_protection);
    CU_ASSERT_EQUAL(vx_box_protect(box, CODE, 0x1000, RX), VX_OK);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    /* decl %eax instead */
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE, "\x48", 1), VX_OK);
    set_eip(box, CODE);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 1);
    CU_ASSERT_EQUAL(vx_box_unmap(box, CODE, 0x1000), VX_OK);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.access == VX_ACCESS_EXEC && !trap.is_protection);
    vx_box_free(box);
}

/* The first instruction of a page that is not there, or not executable. */
static void test_cut_off_instruction(void)
{
    struct vx_trap trap;
    struct vx_box *box = BOX(plain);
    vx_gaddr last = CODE + CODE_BYTES - 2;
    CU_ASSERT_EQUAL(vx_box_poke(box, last, "\xb8\x05", 2), VX_OK);
    set_eip(box, last);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.eip == last && trap.address == CODE + CODE_BYTES && trap.access == VX_ACCESS_EXEC);
    CU_ASSERT_EQUAL(vx_box_map(box, CODE + CODE_BYTES, 0x1000, RX), VX_OK);
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE + CODE_BYTES, "\0\0\0\xcd\x80", 5), VX_OK);
    struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(regs.eax, 5);
    vx_box_free(box);
}

static void test_arguments(void)
{
    struct vx_trap trap;
    struct vx_error error;
    struct vx_image *image;
    struct vx_box *box;
    CU_ASSERT_EQUAL(vx_box_run(NULL, &trap), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_free(NULL), VX_OK);
    CU_ASSERT_EQUAL(vx_image_open("/nonexistent", NULL, &image, &error), VX_ERR_NOT_FOUND);
    CU_ASSERT_EQUAL(vx_image_open("/", NULL, &image, &error), VX_ERR_IO);
    CU_ASSERT_EQUAL(vx_image_open_memory("nonsense", 8, NULL, &image, &error), VX_ERR_ELF_MAGIC);
    /* Options without their size would be ignored, limits with them. */
    CU_ASSERT_EQUAL(vx_image_open_memory("nonsense", 8, &(struct vx_image_options){ .ignore_cache = true }, &image, &error),
                    VX_ERR_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(error.text, "vx_image_options: size is not set");
    CU_ASSERT_EQUAL(vx_box_new(NULL, &(struct vx_box_options){ .max_memory = 4096 }, &box, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(error.text, "vx_box_options: size is not set");
    CU_ASSERT_STRING_EQUAL(vx_trap_name(VX_TRAP_SYSCALL), "system call");
    CU_ASSERT_STRING_EQUAL(vx_trap_name(99), "unknown trap");
    char text[VX_TRAP_TEXT_BYTES];
    trap = (struct vx_trap){ .kind = VX_TRAP_PAGE, .address = 16, .access = VX_ACCESS_WRITE };
    CU_ASSERT_STRING_EQUAL(vx_trap_describe(&trap, text, sizeof text), "page fault writing 0x00000010");
    CU_ASSERT_STRING_EQUAL(vx_trap_describe(&trap, text, 5), "page");
    trap = (struct vx_trap){ .kind = VX_TRAP_ERROR, .status = VX_ERR_REJECTED, .detail = 5 };
    CU_ASSERT_STRING_EQUAL(vx_trap_describe(&trap, text, sizeof text), "runtime error: rejected by the verifier: V05");
    trap = (struct vx_trap){ .kind = VX_TRAP_EXIT, .detail = 134 };
    CU_ASSERT_STRING_EQUAL(vx_trap_describe(&trap, text, sizeof text), "exit 134");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("box", NULL, NULL);
    CU_add_test(suite, "system call", test_syscall);
    CU_add_test(suite, "fault in merged pushes", test_push_fault);
    CU_add_test(suite, "page faults", test_page_faults);
    CU_add_test(suite, "exceptions", test_exceptions);
    CU_add_test(suite, "deep recursion", test_deep_recursion);
    CU_add_test(suite, "unwinding", test_unwind);
    CU_add_test(suite, "stack switching", test_stack_switching);
    CU_add_test(suite, "more returns than calls", test_underflow);
    CU_add_test(suite, "window edges", test_edges);
    CU_add_test(suite, "guest memory", test_memory);
    CU_add_test(suite, "code goes away", test_code_goes_away);
    CU_add_test(suite, "instruction cut off", test_cut_off_instruction);
    CU_add_test(suite, "arguments", test_arguments);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}

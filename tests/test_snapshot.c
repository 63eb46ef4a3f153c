/*
 * Snapshots and resets of boxes with hand-made guests: nothing of a use remains, whatever the guest or
 * the host did to memory, protections, registers and code.
 */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test_box.h"
#include "test_snapshot.h"

/* Leaves something in every register, in data, stack, thread segment, x87, MMX and SSE registers, control words. */
GUEST(litter, "   movl $0x40000, %edi\n"
              "   movl $0x1000, %ecx\n"
              "   movl $0x5ec5ec5e, %eax\n"
              "   rep stosl\n"
              "   movl $0x40000, %edx\n"
              "   movups (%edx), %xmm0\n   movups (%edx), %xmm7\n"
              "   fldl (%edx)\n   fldpi\n"
              "   movd %eax, %mm3\n"
              "   movl $0x5f80, (%edx)\n   ldmxcsr (%edx)\n"
              "   movl $0xb7f, (%edx)\n   fldcw (%edx)\n"
              "   pushl $0x5ec5\n   pushl $0xcd5\n   popfl\n   popl %ebx\n   pushl %ebx\n"
              "   movl $0x5ec00001, %ecx\n   movl %ecx, %edx\n   movl %ecx, %ebp\n   movl %ecx, %esi\n   movl %ecx, %edi\n"
              "   std\n"
              "   int $0x80\n");

/* Adds one to the word at DATA and calls itself ten times on the way. */
GUEST(count, "   movl $10, %ecx\n"
             "1: call 2f\n"
             "   decl %ecx\n"
             "   jnz 1b\n"
             "   movl 0x40000, %eax\n"
             "   int $0x80\n"
             "2: incl 0x40000\n"
             "   ret\n");

/* Runs `movl $1, %eax`, which it has changed to `movl $7, %eax` if bl is 7. */
GUEST(rewrite, "   call 1f\n"
               "   cmpb $7, %bl\n"
               "   jne 2f\n"
               "   movb %bl, 1f + 1 - guest_rewrite + 0x10000\n"
               "   call 1f\n"
               "2: int $0x80\n"
               "   .balign 64\n"
               "1: movl $1, %eax\n"
               "   ret\n");

static void test_first_state(void)
{
    struct vx_box *box = NULL, *fresh = NULL;
    struct vx_error error;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &fresh, &error), VX_OK);
    box = BOX(litter);
    struct vx_trap trap;
    run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    SAME_STATE(box, fresh);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    SAME_STATE(box, fresh);
    CU_ASSERT_EQUAL(vx_box_reset(NULL), VX_ERR_ARGUMENT);
    vx_box_free(box);
    vx_box_free(fresh);
}

static void test_litter(void)
{
    struct vx_box *box = BOX(litter);
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *twin = box_from(snapshot);
    struct vx_trap trap;
    SAME_STATE(box, twin);
    for (int i = 0; i < 3; i++) {
        run_to(box, VX_TRAP_SYSCALL, &trap);
        CU_ASSERT_NOT_EQUAL(vx_box_page_prot(box, DATA), -1);
        CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        SAME_STATE(box, twin);
    }
    /* A snapshot of the litter, with all of it; the older one is not disturbed. */
    run_to(box, VX_TRAP_SYSCALL, &trap);
    struct vx_snapshot *later = snapshot_of(box);
    struct vx_box *other = box_from(later);
    SAME_STATE(box, other);
    struct vx_regs regs;
    vx_box_get_regs(other, &regs);
    CU_ASSERT_EQUAL(regs.ebp, 0x5ec00001);
    CU_ASSERT_EQUAL(vx_box_reset(twin), VX_OK);
    vx_snapshot_close(snapshot);
    struct vx_box *again = box_from(later);
    vx_snapshot_close(later);
    SAME_STATE(again, other);
    struct vx_box *first = BOX(litter);
    SAME_STATE(twin, first);
    vx_box_free(first);
    vx_box_free(box);
    vx_box_free(twin);
    vx_box_free(other);
    vx_box_free(again);
}

static void test_separate(void)
{
    struct vx_box *box = BOX(count);
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *boxes[4];
    struct vx_trap trap;
    for (int i = 0; i < 4; i++)
        boxes[i] = box_from(snapshot);
    for (int i = 0; i < 4; i++)
        for (int n = 0; n <= i; n++) {
            set_eip(boxes[i], CODE);
            CU_ASSERT_EQUAL(run_to(boxes[i], VX_TRAP_SYSCALL, &trap).eax, 10 * (uint32_t)(n + 1));
        }
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 10);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(vx_box_reset(boxes[i]), VX_OK);
        CU_ASSERT_EQUAL(run_to(boxes[i], VX_TRAP_SYSCALL, &trap).eax, 10);
        vx_box_free(boxes[i]);
    }
    vx_snapshot_close(snapshot);
    vx_box_free(box);
}

/* Code that is translated: kept where it cannot have changed, dropped where it could. */
static void test_code_kept(void)
{
    struct vx_box *box = BOX(count);
    struct vx_trap trap;
    struct vx_stats before, after;
    struct vx_snapshot *snapshot = snapshot_of(box);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    vx_box_stats(box, &before);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 10);
    vx_box_stats(box, &after);
    CU_ASSERT_EQUAL(after.units_translated, before.units_translated);
    /* The host changes the code; `incl` becomes `decl`. */
    uint8_t *code = malloc((size_t)(guest_count_end - guest_count));
    memcpy(code, guest_count, (size_t)(guest_count_end - guest_count));
    for (size_t i = 0; i + 2 < (size_t)(guest_count_end - guest_count); i++)
        if (code[i] == 0xff && code[i + 1] == 0x05)
            code[i + 1] = 0x0d;
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE, code, (size_t)(guest_count_end - guest_count)), VX_OK);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, (uint32_t)-10);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 10);
    /* Other code is mapped there. */
    CU_ASSERT_EQUAL(vx_box_map(box, CODE, CODE_BYTES, RX), VX_OK);
    CU_ASSERT_EQUAL(vx_box_poke(box, CODE, guest_litter, (size_t)(guest_litter_end - guest_litter)), VX_OK);
    set_eip(box, CODE);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).ebp, 0x5ec00001);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 10);
    free(code);
    vx_snapshot_close(snapshot);
    vx_box_free(box);
}

static void test_code_rewritten(void)
{
    struct vx_box *box = BOX_RWX(rewrite);
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *twin = box_from(snapshot);
    struct vx_regs regs;
    struct vx_trap trap;
    for (int i = 0; i < 40; i++) {
        vx_box_get_regs(box, &regs);
        regs.ebx = i % 3 == 2 ? 0 : 7;
        vx_box_set_regs(box, &regs);
        CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, i % 3 == 2 ? 1 : 7);
        if (i == 21) { /* translated from bytes that a reset takes away */
            struct vx_snapshot *later = snapshot_of(box);
            struct vx_box *other = box_from(later);
            set_eip(other, CODE);
            CU_ASSERT_EQUAL(run_to(other, VX_TRAP_SYSCALL, &trap).eax, 7);
            vx_snapshot_close(later);
            vx_box_free(box);
            vx_box_free(other);
            box = box_from(snapshot);
        }
        CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        SAME_STATE(box, twin);
    }
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    vx_box_free(twin);
}

/* What a guest and its system may do to memory, at random; then a reset. */
static void disturb(struct vx_box *box, unsigned *seed, int file)
{
    static const int prots[] = { VX_PROT_NONE, VX_PROT_READ, RW, RX, RWX };
    uint32_t base = rand_r(seed) % 4 ? 0x10000 : 0x70000000;
    vx_gaddr addr = base + (vx_gaddr)(rand_r(seed) % 160) * VX_PAGE_BYTES;
    uint32_t size = (uint32_t)(1 + rand_r(seed) % 24) * VX_PAGE_BYTES;
    int prot = prots[rand_r(seed) % 5];
    uint32_t word = (uint32_t)rand_r(seed);
    switch (rand_r(seed) % 7) {
    case 0: CU_ASSERT_EQUAL(vx_box_map(box, addr, size, prot), VX_OK); break;
    case 1: CU_ASSERT_EQUAL(vx_box_unmap(box, addr, size), VX_OK); break;
    case 2: vx_box_protect(box, addr, size, prot); break;
    case 3: vx_box_poke(box, addr + word % VX_PAGE_BYTES / 4 * 4, &word, sizeof word); break;
    case 4: CU_ASSERT_EQUAL(vx_box_map_file(box, addr, VX_PAGE_BYTES, prot, file, 0), VX_OK); break;
    case 5: {
        struct vx_trap trap;
        struct vx_regs regs;
        vx_box_get_regs(box, &regs);
        regs.eip = CODE;
        regs.esp = STACK_TOP;
        vx_box_set_regs(box, &regs);
        vx_box_set_time_limit(box, 50000000);
        CU_ASSERT_EQUAL(vx_box_run(box, &trap), VX_OK);
        break;
    }
    default: vx_box_write(box, addr, &word, sizeof word); break;
    }
}

static void test_random(void)
{
    unsigned seed = 20;
    int file = memfd_create("test", MFD_CLOEXEC);
    CU_ASSERT_EQUAL(write(file, guest_litter, 64), 64);
    struct vx_box *box = BOX_RWX(litter);
    struct vx_snapshot *snapshot = snapshot_of(box);
    for (int round = 0; round < 60; round++) {
        struct vx_box *twin = box_from(snapshot);
        for (int i = 0; i < 5; i++) {
            for (int n = rand_r(&seed) % 40; n >= 0; n--)
                disturb(box, &seed, file);
            CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
            if (i == 0 || round % 10 == 0)
                SAME_STATE(box, twin);
        }
        for (int n = 0; n < 12; n++)
            disturb(box, &seed, file);
        vx_box_free(twin);
        vx_snapshot_close(snapshot);
        snapshot = snapshot_of(box);
        twin = box_from(snapshot);
        SAME_STATE(box, twin);
        vx_box_free(twin);
        if (round % 10 == 9) { /* not ever more pages */
            vx_box_free(box);
            vx_snapshot_close(snapshot);
            box = BOX_RWX(litter);
            snapshot = snapshot_of(box);
        }
    }
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    close(file);
}

static void test_limits(void)
{
    struct vx_box *box = BOX(count), *other = NULL;
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box_options options = { .size = sizeof options, .max_memory = VX_PAGE_BYTES };
    struct vx_error error;
    struct vx_trap trap;
    CU_ASSERT_EQUAL(vx_box_new_from(snapshot, &options, &other, &error), VX_ERR_TOO_LARGE);
    options.max_memory = CODE_BYTES + DATA_BYTES + STACK_BYTES;
    CU_ASSERT_EQUAL_FATAL(vx_box_new_from(snapshot, &options, &other, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(other, 0x700000, VX_PAGE_BYTES, RW), VX_ERR_TOO_LARGE);
    CU_ASSERT_EQUAL(vx_box_unmap(other, DATA, DATA_BYTES), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(other, 0x700000, VX_PAGE_BYTES, RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_reset(other), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(other, 0x700000, VX_PAGE_BYTES, RW), VX_ERR_TOO_LARGE);
    /* A request that nobody served is forgotten; one after the reset is not. */
    vx_box_interrupt(other);
    CU_ASSERT_EQUAL(vx_box_reset(other), VX_OK);
    run_to(other, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(vx_box_reset(other), VX_OK);
    vx_box_interrupt(other);
    run_to(other, VX_TRAP_STOPPED, &trap);
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    vx_box_free(other);
}

/* Pages of a file that were never touched, with another protection than in the snapshot: they keep their bytes. */
static void test_protection_changed(void)
{
    struct vx_box *box = BOX(count);
    uint8_t bytes[4 * VX_PAGE_BYTES], seen[sizeof bytes];
    memset(bytes, 0x5a, sizeof bytes);
    CU_ASSERT_EQUAL(vx_box_write(box, DATA, bytes, sizeof bytes), VX_OK);
    struct vx_snapshot *first = snapshot_of(box);
    struct vx_box *other = box_from(first);
    for (int i = 0; i < 2; i++) {
        struct vx_box *one = i ? other : box;
        CU_ASSERT_EQUAL(vx_box_protect(one, DATA, VX_PAGE_BYTES, VX_PROT_READ), VX_OK);
        CU_ASSERT_EQUAL(vx_box_protect(one, DATA + VX_PAGE_BYTES, VX_PAGE_BYTES, VX_PROT_NONE), VX_OK);
        struct vx_snapshot *second = snapshot_of(one);
        struct vx_box *last = box_from(second);
        SAME_STATE(one, last);
        CU_ASSERT_EQUAL(vx_box_protect(last, DATA, sizeof bytes, VX_PROT_READ), VX_OK);
        CU_ASSERT_EQUAL(vx_box_read(last, DATA, seen, sizeof seen), VX_OK);
        CU_ASSERT_EQUAL(memcmp(seen, bytes, sizeof bytes), 0);
        CU_ASSERT_EQUAL(vx_box_reset(one), VX_OK);
        CU_ASSERT_EQUAL(vx_box_reset(last), VX_OK);
        SAME_STATE(one, last);
        vx_snapshot_close(second);
        vx_box_free(last);
    }
    vx_snapshot_close(first);
    vx_box_free(box);
    vx_box_free(other);
}

/* Pages that the host has locked cannot be given back to the kernel. */
static void test_locked(void)
{
    struct vx_box *box = BOX(count);
    struct vx_trap trap;
    struct vx_snapshot *snapshot = snapshot_of(box);
    struct vx_box *twin = box_from(snapshot);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    if (mlock(vx_box_pointer(box, DATA, DATA_BYTES, RW), DATA_BYTES) != 0)
        fprintf(stderr, "  not tested: this user may not lock memory\n");
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 10);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    SAME_STATE(box, twin);
    vx_snapshot_close(snapshot);
    vx_box_free(box);
    vx_box_free(twin);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("snapshot", NULL, NULL);
    CU_add_test(suite, "first state", test_first_state);
    CU_add_test(suite, "litter", test_litter);
    CU_add_test(suite, "boxes are separate", test_separate);
    CU_add_test(suite, "code is kept or dropped", test_code_kept);
    CU_add_test(suite, "code that was rewritten", test_code_rewritten);
    CU_add_test(suite, "random changes", test_random);
    CU_add_test(suite, "limits and requests", test_limits);
    CU_add_test(suite, "protection changed", test_protection_changed);
    CU_add_test(suite, "locked memory", test_locked);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

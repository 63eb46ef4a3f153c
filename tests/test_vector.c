/*
 * AVX state of a box: what a guest finds and leaves in the ymm registers, at every way in and out, in snapshots, beside other boxes and
 * the host; gathers, xsave and the masked moves at pages that are not there.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/cpu.h"
#include "tests/test_box.h"
#include "verifier/verifier.h"

static bool has_avx2(void)
{
    uint32_t cpu;
    vxf_cpu_parse("avx2", 0, &cpu);
    return !(cpu & ~(vxv_cpu_of_this_machine() | VX_CPU_RDTSCP));
}

static struct vx_box *vector_box(const uint8_t *code, const uint8_t *end)
{
    struct vx_box_options options = { .size = sizeof options, .cpu = "avx2" };
    struct vx_error error;
    struct vx_box *box;
    struct vx_regs regs;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, &options, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, CODE, CODE_BYTES, RX), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, DATA, DATA_BYTES, RW), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, STACK, STACK_BYTES, RW), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, CODE, code, (size_t)(end - code)), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.esp = STACK_TOP;
    regs.ebx = DATA;
    vx_box_set_regs(box, &regs);
    return box;
}
#define VECTOR_BOX(name) vector_box(guest_##name, guest_##name##_end)

static bool is_all(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

#define STORE_ALL                                                                                            \
    "vmovdqu %ymm0, (%ebx)\n vmovdqu %ymm1, 32(%ebx)\n vmovdqu %ymm2, 64(%ebx)\n vmovdqu %ymm3, 96(%ebx)\n"    \
    "vmovdqu %ymm4, 128(%ebx)\n vmovdqu %ymm5, 160(%ebx)\n vmovdqu %ymm6, 192(%ebx)\n vmovdqu %ymm7, 224(%ebx)\n"
#define SET_ALL                                                                                              \
    "vpcmpeqd %ymm0, %ymm0, %ymm0\n vmovdqa %ymm0, %ymm1\n vmovdqa %ymm0, %ymm2\n vmovdqa %ymm0, %ymm3\n"      \
    "vmovdqa %ymm0, %ymm4\n vmovdqa %ymm0, %ymm5\n vmovdqa %ymm0, %ymm6\n vmovdqa %ymm0, %ymm7\n"

/* int3 and cpuid leave translated code between the registers' setting and their storing. */
GUEST(keep_ymm, SET_ALL "int3\n xor %eax, %eax\n push %ebx\n cpuid\n pop %ebx\n" STORE_ALL "int3");
GUEST(look_ymm, STORE_ALL "int3");

/* The host's and another box's registers are full when a box is entered that has set none. */
static void nothing_left(void)
{
    struct vx_box *full = VECTOR_BOX(keep_ymm), *empty = VECTOR_BOX(look_ymm);
    struct vx_trap trap;
    uint8_t found[256], ymm[128];
    run_to(full, VX_TRAP_BREAKPOINT, &trap);
    vx_box_get_ymm(full, ymm);
    CU_ASSERT_TRUE(is_all(ymm, sizeof ymm, 0xff));
    __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n vmovdqa %%ymm0, %%ymm3\n vmovdqa %%ymm0, %%ymm7\n vmovdqa %%ymm0, %%ymm9" : : :
                     "xmm0", "xmm3", "xmm7", "xmm9");
    run_to(empty, VX_TRAP_BREAKPOINT, &trap);
    CU_ASSERT_EQUAL(vx_box_read(empty, DATA, found, sizeof found), VX_OK);
    CU_ASSERT_TRUE(is_all(found, sizeof found, 0));
    run_to(full, VX_TRAP_BREAKPOINT, &trap);
    CU_ASSERT_EQUAL(vx_box_read(full, DATA, found, sizeof found), VX_OK);
    CU_ASSERT_TRUE(is_all(found, sizeof found, 0xff));
    /* The host's upper halves are clear, so that its SSE code is as fast as before. */
    uint8_t upper[16];
    __asm__ volatile("vextractf128 $1, %%ymm7, %0" : "=m"(upper));
    CU_ASSERT_TRUE(is_all(upper, sizeof upper, 0));
    vx_box_free(full);
    vx_box_free(empty);
}

static void set_and_get(void)
{
    struct vx_box *box = VECTOR_BOX(look_ymm), *plain = BOX(look_ymm);
    struct vx_trap trap;
    uint8_t ymm[128], found[256], again[128];
    for (unsigned i = 0; i < sizeof ymm; i++)
        ymm[i] = (uint8_t)(i + 1);
    vx_box_set_ymm(box, ymm);
    run_to(box, VX_TRAP_BREAKPOINT, &trap);
    CU_ASSERT_EQUAL(vx_box_read(box, DATA, found, sizeof found), VX_OK);
    for (unsigned i = 0; i < 8; i++) {
        CU_ASSERT_TRUE(is_all(found + 32 * i, 16, 0));
        CU_ASSERT_EQUAL(memcmp(found + 32 * i + 16, ymm + 16 * i, 16), 0);
    }
    vx_box_get_ymm(box, again);
    CU_ASSERT_EQUAL(memcmp(again, ymm, sizeof ymm), 0);
    /* A CPU without AVX has none, and #UD where the registers are named. */
    vx_box_set_ymm(plain, ymm);
    vx_box_get_ymm(plain, again);
    CU_ASSERT_TRUE(is_all(again, sizeof again, 0));
    run_to(plain, VX_TRAP_UNDEFINED, &trap);
    vx_box_free(box);
    vx_box_free(plain);
}

static void in_snapshots(void)
{
    struct vx_box *box = VECTOR_BOX(keep_ymm), *copy;
    struct vx_snapshot *snapshot;
    struct vx_trap trap;
    struct vx_error error;
    uint8_t ymm[128] = { 0 }, found[256];
    run_to(box, VX_TRAP_BREAKPOINT, &trap);
    CU_ASSERT_EQUAL_FATAL(vx_box_snapshot(box, &snapshot), VX_OK);
    vx_box_set_ymm(box, ymm);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    vx_box_get_ymm(box, ymm);
    CU_ASSERT_TRUE(is_all(ymm, sizeof ymm, 0xff));
    CU_ASSERT_EQUAL_FATAL(vx_box_new_from(snapshot, NULL, &copy, &error), VX_OK);
    run_to(copy, VX_TRAP_BREAKPOINT, &trap);
    CU_ASSERT_EQUAL(vx_box_read(copy, DATA, found, sizeof found), VX_OK);
    CU_ASSERT_TRUE(is_all(found, sizeof found, 0xff));
    vx_snapshot_close(snapshot);
    vx_box_free(copy);
    vx_box_free(box);
}

/* Indices 0, 1, 2 and 0x1000 from the end of the last page: the fourth element is not there. */
GUEST(gather_over, "vmovdqu (%ebx), %xmm1\n vpcmpeqd %ymm2, %ymm2, %ymm2\n vpxor %ymm0, %ymm0, %ymm0\n lea 0xff00(%ebx), %ecx\n"
                   "1: vpgatherdd %xmm2, (%ecx,%xmm1), %xmm0\n vmovdqu %ymm0, 64(%ebx)\n vmovdqu %ymm2, 96(%ebx)\n int3");
static void gather_faults(void)
{
    static const uint32_t index[4] = { 0, 4, 8, 0x1000 }, value[4] = { 11, 22, 33, 44 };
    struct vx_box *box = VECTOR_BOX(gather_over);
    struct vx_trap trap;
    uint32_t found[16];
    uint8_t fx[512];
    vx_box_poke(box, DATA, index, sizeof index);
    vx_box_poke(box, DATA + 0xff00, value, 12);
    struct vx_regs regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(trap.address, DATA + 0x10f00);
    CU_ASSERT_EQUAL(trap.access, VX_ACCESS_READ);
    vx_box_get_fxsave(box, fx);
    memcpy(found, fx + 160, 16); /* three elements are done, and out of the mask */
    CU_ASSERT_EQUAL(memcmp(found, value, 12), 0);
    memcpy(found, fx + 192, 16);
    CU_ASSERT_TRUE(!found[0] && !found[1] && !found[2] && found[3]);
    CU_ASSERT_EQUAL(vx_box_map(box, DATA + 0x10000, 4096, RW), VX_OK);
    vx_box_poke(box, DATA + 0x10f00, value + 3, 4);
    uint32_t other = 99; /* what is done is not read again */
    vx_box_poke(box, DATA + 0xff00, &other, 4);
    CU_ASSERT_EQUAL(regs.eip, trap.eip);
    run_to(box, VX_TRAP_BREAKPOINT, &trap);
    vx_box_read(box, DATA + 64, found, 64);
    CU_ASSERT_EQUAL(memcmp(found, value, 16), 0);
    CU_ASSERT_TRUE(is_all((uint8_t *)(found + 4), 48, 0));
    vx_box_free(box);
}

/* Elements that the mask leaves out may be on a page that is not there; others fault, before anything is stored. */
GUEST(masked, "vmovdqu (%ebx), %ymm1\n lea 0xfff0(%ebx), %ecx\n vpmaskmovd (%ecx), %ymm1, %ymm0\n vmovdqu %ymm0, 32(%ebx)\n"
              "vpmaskmovd %ymm1, %ymm1, (%ecx)\n vpcmpeqd %ymm1, %ymm1, %ymm1\n vpmaskmovd %ymm1, %ymm1, (%ecx)\n int3");
static void masked_moves(void)
{
    static const uint32_t mask[8] = { 0x80000000, 0, 0, 0x80000001 }, value[4] = { 1, 2, 3, 4 };
    struct vx_box *box = VECTOR_BOX(masked);
    struct vx_trap trap;
    uint32_t found[8];
    vx_box_poke(box, DATA, mask, sizeof mask);
    vx_box_poke(box, DATA + 0xfff0, value, sizeof value);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(trap.access, VX_ACCESS_WRITE);
    CU_ASSERT_EQUAL(trap.address & ~0xfffu, DATA + 0x10000);
    vx_box_read(box, DATA + 32, found, 32);
    CU_ASSERT_TRUE(found[0] == 1 && !found[1] && !found[2] && found[3] == 4 && is_all((uint8_t *)(found + 4), 16, 0));
    vx_box_read(box, DATA + 0xfff0, found, 16);
    CU_ASSERT_TRUE(found[0] == 0x80000000 && found[1] == 2 && found[2] == 3 && found[3] == 0x80000001);
    vx_box_free(box);
}

/* 32 bytes at the window's end, and around it. */
GUEST(edge_load, "mov $0xfffffff0, %ecx\n vmovdqu (%ecx), %ymm0\n");
GUEST(edge_store, "mov $0xffffffff, %ecx\n vmovdqu %ymm0, (%ecx)\n");
GUEST(edge_sum, "mov $0xfffffff0, %ecx\n vmovdqu 0x20(%ecx), %ymm0\n int3\n");
static void window_edge(void)
{
    struct vx_trap trap;
    struct vx_box *box = VECTOR_BOX(edge_load);
    vx_box_map(box, 0xffffd000, 0x1000, RW); /* below the last pages, which are the gate's */
    run_to(box, VX_TRAP_PAGE, &trap);
    vx_box_free(box);
    box = VECTOR_BOX(edge_store);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(trap.access, VX_ACCESS_WRITE);
    vx_box_free(box);
    box = VECTOR_BOX(edge_sum); /* 0x10: addresses wrap before the base is added */
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(trap.address, 0x10);
    vx_box_free(box);
}

/* All of xsave's forms: the registers come back from each; what was not asked for does not change. */
GUEST(xsaves, SET_ALL "mov $7, %eax\n xor %edx, %edx\n"
              "xsave 0x100(%ebx)\n vzeroall\n xrstor 0x100(%ebx)\n vmovdqu %ymm5, (%ebx)\n"
              "xsavec 0x500(%ebx)\n vzeroall\n xrstor 0x500(%ebx)\n vmovdqu %ymm5, 32(%ebx)\n"
              "xsaveopt 0x900(%ebx)\n vzeroall\n mov $2, %eax\n xrstor 0x900(%ebx)\n vmovdqu %ymm5, 64(%ebx)\n"
              "mov $4, %eax\n xrstor 0x900(%ebx)\n vmovdqu %ymm5, 96(%ebx)\n"
              "mov $7, %eax\n vzeroall\n xsavec 0xd00(%ebx)\n" SET_ALL "xrstor 0xd00(%ebx)\n vmovdqu %ymm5, 128(%ebx)\n"
              "xor %ecx, %ecx\n xgetbv\n mov %eax, 160(%ebx)\n mov $1, %ecx\n xgetbv\n mov %eax, 164(%ebx)\n"
              "movl $0xffffffff, 0x118(%ebx)\n mov $7, %eax\n xor %edx, %edx\n xrstor 0x100(%ebx)\n");
static void xsave_forms(void)
{
    struct vx_box *box = VECTOR_BOX(xsaves);
    struct vx_trap trap;
    uint8_t found[256];
    uint32_t word[2];
    struct vx_regs regs = run_to(box, VX_TRAP_PROTECTION, &trap); /* reserved bits of MXCSR */
    CU_ASSERT_EQUAL(regs.eax, 7);
    vx_box_read(box, DATA, found, sizeof found);
    CU_ASSERT_TRUE(is_all(found, 64, 0xff));
    CU_ASSERT_TRUE(is_all(found + 64, 16, 0xff) && is_all(found + 80, 16, 0));
    CU_ASSERT_TRUE(is_all(found + 96, 32, 0xff));
    CU_ASSERT_TRUE(is_all(found + 128, 32, 0));
    memcpy(word, found + 160, 8);
    CU_ASSERT_EQUAL(word[0], 7);
    CU_ASSERT_EQUAL(word[1], 0);
    vx_box_read(box, DATA + 0x500 + 512, found, 16);
    CU_ASSERT_EQUAL(found[0], 6);    /* x87 is as it was at the start */
    CU_ASSERT_EQUAL(found[8], 7);
    CU_ASSERT_EQUAL(found[15], 0x80); /* the compacted format */
    vx_box_free(box);
}

GUEST(xsave_faults, "mov $7, %eax\n xor %edx, %edx\n xsave 8(%ebx)\n");
GUEST(xsave_missing, "mov $7, %eax\n xor %edx, %edx\n xsave 0xfe00(%ebx)\n");
GUEST(xrstor_header, "mov $7, %eax\n xor %edx, %edx\n movl $8, 0x200(%ebx)\n xrstor (%ebx)\n");
GUEST(xsetbv_user, "mov $7, %eax\n xor %edx, %edx\n xor %ecx, %ecx\n xsetbv\n");
GUEST(xgetbv_two, "mov $2, %ecx\n xgetbv\n");
static void state_faults(void)
{
    struct vx_trap trap;
    struct vx_box *boxes[] = { VECTOR_BOX(xsave_faults), VECTOR_BOX(xrstor_header), VECTOR_BOX(xsetbv_user), VECTOR_BOX(xgetbv_two) };
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        run_to(boxes[i], VX_TRAP_PROTECTION, &trap);
        vx_box_free(boxes[i]);
    }
    struct vx_box *box = VECTOR_BOX(xsave_missing);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(trap.address, DATA + 0x10000);
    vx_box_free(box);
}

int main(void)
{
    if (!has_avx2()) {
        puts("skipped: this machine lacks something of the CPU avx2");
        return 0;
    }
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("vector", NULL, NULL);
    CU_add_test(suite, "nothing of the host's or of another box's", nothing_left);
    CU_add_test(suite, "set and get", set_and_get);
    CU_add_test(suite, "snapshots", in_snapshots);
    CU_add_test(suite, "gather over a page", gather_faults);
    CU_add_test(suite, "masked moves", masked_moves);
    CU_add_test(suite, "window's end", window_edge);
    CU_add_test(suite, "xsave", xsave_forms);
    CU_add_test(suite, "xsave: faults", state_faults);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

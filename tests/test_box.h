/*
 * For tests of boxes: guest code is assembled by the compiler's assembler, in
 * 32-bit mode, between two labels; a box gets code, data and stack at
 * fixed addresses.
 */
#ifndef TEST_BOX_H
#define TEST_BOX_H

#include <CUnit/CUnit.h>
#include <string.h>

#include "vxrt.h"

#define CODE 0x10000u
#define CODE_BYTES 0x10000u
#define DATA 0x40000u
#define DATA_BYTES 0x10000u
#define STACK 0x80000u
#define STACK_BYTES 0x10000u
#define STACK_TOP (STACK + STACK_BYTES)

/* Declares `name`, guest code. */
#define GUEST(name, text)                                                                         \
    __asm__(".pushsection .rodata\n\t.balign 16\n\t.code32\n\t.globl guest_" #name ", guest_" #name "_end\n"     \
            "guest_" #name ":\n" text "\nguest_" #name "_end:\n\t.code64\n\t.popsection\n");        \
    extern const uint8_t guest_##name[], guest_##name##_end[]

#define RX (VX_PROT_READ | VX_PROT_EXEC)
#define RW (VX_PROT_READ | VX_PROT_WRITE)
#define RWX (RX | RW)

static inline struct vx_box *box_with(const uint8_t *code, const uint8_t *end, int code_prot)
{
    struct vx_box *box = NULL;
    struct vx_error error;
    struct vx_regs regs;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, CODE, CODE_BYTES, code_prot), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, DATA, DATA_BYTES, RW), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, STACK, STACK_BYTES, RW), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, CODE, code, (size_t)(end - code)), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    regs.esp = STACK_TOP;
    vx_box_set_regs(box, &regs);
    return box;
}

#define BOX(name) box_with(guest_##name, guest_##name##_end, RX)
#define BOX_RWX(name) box_with(guest_##name, guest_##name##_end, RWX)

/* Run on; the trap must be of this kind. */
static inline struct vx_regs run_to(struct vx_box *box, enum vx_trap_kind kind, struct vx_trap *trap)
{
    struct vx_regs regs;
    CU_ASSERT_EQUAL(vx_box_run(box, trap), VX_OK);
    CU_ASSERT_EQUAL(trap->kind, kind);
    if (trap->kind != kind)
        fprintf(stderr, "  trap %s at 0x%08x, address 0x%08x, status %d, detail %u\n", vx_trap_name(trap->kind),
                trap->eip, trap->address, trap->status, trap->detail);
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(regs.eip, trap->eip);
    return regs;
}

static inline void set_eip(struct vx_box *box, vx_gaddr eip)
{
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    regs.eip = eip;
    vx_box_set_regs(box, &regs);
}

#endif

/*
 * Instruction helpers: the guest instructions that translated code does not do
 * itself (events >= VX_EVENT_CPUID of format/sandbox.h), done in C on the
 * exact guest state, as an i386 processor does them (SDM vol. 2).
 *
 * Guest memory is reached only through the checked functions of vxrt.h.
 */
#ifndef VXRT_HELPER_H
#define VXRT_HELPER_H

#include "vxrt.h"

/* Selectors, as on an x86-64 Linux kernel. */
enum {
    VXI_SELECTOR_CODE = 0x23,
    VXI_SELECTOR_DATA = 0x2b,
    VXI_SELECTOR_TLS = 0x63, /* GDT entries 12, 13, 14 with RPL 3: 0x63 0x6b 0x73 */
    VXI_TLS_FIRST = 12,      /* number of the first TLS entry */
    VXI_TLS_COUNT = 3,
};

enum vxi_helper_result {
    VXI_HELPER_DONE, /* done: regs->eip is where to go on */
    VXI_HELPER_TRAP, /* a guest fault: *trap is filled; a string instruction is partly done in regs */
};

/*
 * Do one helper instruction. regs: the exact guest state, eip at the
 * instruction; code, operand: r9d and r10d of the event. On DONE regs is the
 * state after it; a long rep may end early with eip still at the instruction,
 * so that the box can be interrupted. x87 and SSE state is read and
 * written through vx_box_get_fxsave and vx_box_set_fxsave.
 */
enum vxi_helper_result vxi_helper(struct vx_box *box, struct vx_regs *regs, uint32_t code,
                                  uint32_t operand, struct vx_trap *trap);

/* What the guest's processor can do, VX_CPU_*. */
uint32_t vxi_box_cpu(const struct vx_box *box);

/* Bases of the three TLS descriptors of a box; 0 = empty. Storage of the box (runtime). */
uint32_t *vxi_box_tls(struct vx_box *box);

/*
 * Set descriptor `entry` (VXI_TLS_FIRST .. +2) and refresh fs_base and gs_base
 * in *regs where they hold its selector. VX_ERR_ARGUMENT for another entry.
 */
vx_status vxi_set_tls_entry(struct vx_box *box, struct vx_regs *regs, unsigned entry,
                            uint32_t base);

/*
 * Load a selector into segment register `segment` (0 es, 1 cs, 2 ss, 3 ds,
 * 4 fs, 5 gs) with its base. False: #GP, nothing changed. cs is not loadable here.
 */
bool vxi_load_segment(struct vx_box *box, struct vx_regs *regs, unsigned segment,
                      uint16_t selector);

/*
 * The x87 part of an FXSAVE image as the 108-byte FSAVE image of 32-bit mode
 * (environment, then ST(0) on), and back; the rest of fx is left alone.
 */
void vxi_fsave_from_fx(const uint8_t fx[512], uint8_t fsave[108]);
void vxi_fx_from_fsave(const uint8_t fsave[108], uint8_t fx[512]);

#endif

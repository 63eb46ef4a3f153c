/*
 * For tests of snapshots and resets: everything that a guest could see of two boxes must be equal.
 */
#ifndef TEST_SNAPSHOT_H
#define TEST_SNAPSHOT_H

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "vxrt.h"

/* The page's bytes, also of one that the guest may not read; what was there for it is put back. */
static inline bool page_bytes(struct vx_box *box, vx_gaddr addr, int prot, uint8_t *bytes)
{
    if (prot != VX_PROT_NONE)
        return vx_box_read(box, addr, bytes, VX_PAGE_BYTES) == VX_OK;
    return vx_box_protect(box, addr, VX_PAGE_BYTES, VX_PROT_READ) == VX_OK &&
           vx_box_read(box, addr, bytes, VX_PAGE_BYTES) == VX_OK &&
           vx_box_protect(box, addr, VX_PAGE_BYTES, VX_PROT_NONE) == VX_OK;
}

/* Returns the number of differences, and names the first few. */
static inline unsigned compare_boxes(struct vx_box *a, struct vx_box *b)
{
    static uint8_t x[VX_PAGE_BYTES], y[VX_PAGE_BYTES];
    uint8_t fx[2][512];
    struct vx_regs regs[2];
    unsigned differences = 0;
    for (uint64_t addr = 0; addr < 1ull << 32; addr += VX_PAGE_BYTES) {
        int prot = vx_box_page_prot(a, (vx_gaddr)addr);
        bool is_equal = prot == vx_box_page_prot(b, (vx_gaddr)addr);
        if (is_equal && prot >= 0)
            is_equal = page_bytes(a, (vx_gaddr)addr, prot, x) && page_bytes(b, (vx_gaddr)addr, prot, y) &&
                       memcmp(x, y, sizeof x) == 0;
        if (!is_equal && differences++ < 8)
            fprintf(stderr, "  page 0x%08x: %d, %d\n", (vx_gaddr)addr, prot, vx_box_page_prot(b, (vx_gaddr)addr));
    }
    vx_box_get_regs(a, &regs[0]);
    vx_box_get_regs(b, &regs[1]);
    vx_box_get_fxsave(a, fx[0]);
    vx_box_get_fxsave(b, fx[1]);
    if (memcmp(&regs[0], &regs[1], sizeof regs[0]) != 0 && ++differences)
        fprintf(stderr, "  registers differ: eip %x, %x\n", regs[0].eip, regs[1].eip);
    if (memcmp(fx[0], fx[1], sizeof fx[0]) != 0 && ++differences)
        fprintf(stderr, "  x87 or SSE state differs\n");
    return differences;
}
#define SAME_STATE(a, b) CU_ASSERT_EQUAL(compare_boxes(a, b), 0)

static inline struct vx_snapshot *snapshot_of(struct vx_box *box)
{
    struct vx_snapshot *snapshot = NULL;
    CU_ASSERT_EQUAL_FATAL(vx_box_snapshot(box, &snapshot), VX_OK);
    return snapshot;
}

static inline struct vx_box *box_from(struct vx_snapshot *snapshot)
{
    struct vx_box *box = NULL;
    struct vx_error error;
    CU_ASSERT_EQUAL_FATAL(vx_box_new_from(snapshot, NULL, &box, &error), VX_OK);
    return box;
}

#endif

/*
 * Which pages are no longer as in the state that a reset goes back to: mapped, unmapped,
 * protected or marked since. What is written through the mappings themselves is the kernel's
 * to know. A few ranges are enough; where there are more, the nearest are joined.
 */
#include <string.h>

#include "vxrt/internal.h"

static void take_out(struct vxi_changes *changes, uint32_t i)
{
    changes->count--;
    memmove(&changes->ranges[i], &changes->ranges[i + 1], (changes->count - i) * sizeof changes->ranges[0]);
}

/* The two ranges with the least between them become one. */
static void join_nearest(struct vxi_changes *changes)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i + 1 < changes->count; i++)
        if (changes->ranges[i + 1].first - changes->ranges[i].last <
            changes->ranges[best + 1].first - changes->ranges[best].last)
            best = i;
    changes->ranges[best].last = changes->ranges[best + 1].last;
    take_out(changes, best + 1);
}

void vxi_changed(struct vx_box *box, uint32_t first, uint32_t last)
{
    struct vxi_changes *changes = &box->changes;
    uint32_t i = 0;
    while (i < changes->count && changes->ranges[i].last + 1 < first)
        i++;
    /* Ranges that touch the new one become part of it. */
    while (i < changes->count && changes->ranges[i].first <= last + 1) {
        if (changes->ranges[i].first <= first && last <= changes->ranges[i].last)
            return;
        if (changes->ranges[i].first < first)
            first = changes->ranges[i].first;
        if (changes->ranges[i].last > last)
            last = changes->ranges[i].last;
        take_out(changes, i);
    }
    if (changes->count == VXI_MAX_CHANGES) {
        join_nearest(changes);
        vxi_changed(box, first, last);
        return;
    }
    memmove(&changes->ranges[i + 1], &changes->ranges[i], (changes->count - i) * sizeof changes->ranges[0]);
    changes->ranges[i].first = first;
    changes->ranges[i].last = last;
    changes->count++;
}

bool vxi_is_changed(const struct vx_box *box, uint32_t page)
{
    const struct vxi_changes *changes = &box->changes;
    for (uint32_t i = 0; i < changes->count && changes->ranges[i].first <= page; i++)
        if (page <= changes->ranges[i].last)
            return true;
    return false;
}

/*
 * Fault-map rows: from a host address to the row that holds it.
 */
#include "vxrt/internal.h"

/* The last row at or before `host`, NULL if none. */
const struct vxf_row *vxi_row_at(const struct vxf_row *rows, size_t count, uint32_t host)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].host <= host)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &rows[low - 1] : NULL;
}

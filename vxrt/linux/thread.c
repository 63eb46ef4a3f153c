/*
 * What C libraries ask for when they set up a thread: TLS descriptors, thread identity, robust
 * list, futexes.
 */
#include <linux/futex.h>
#include <string.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/shared.h"
#include "vxrt/linux/threads.h"
#include "vxrt/internal.h"

#define DESC_EMPTY (ABI32_DESC_READ_EXEC_ONLY | ABI32_DESC_NOT_PRESENT)

static bool is_empty(const struct abi32_user_desc *desc)
{
    return desc->base_addr == 0 && desc->limit == 0 &&
           (desc->flags & DESC_EMPTY) == DESC_EMPTY && !(desc->flags & ABI32_DESC_SEG_32BIT);
}

/* Also for clone(CLONE_SETTLS). The entry number is stored back if it was -1. */
static int32_t set_area(struct vxl_proc *p, vx_gaddr addr)
{
    struct abi32_user_desc desc;
    if (!vxl_get(p, addr, &desc, sizeof desc))
        return -EFAULT;
    bool is_any = desc.entry_number == UINT32_MAX;
    if (is_any) {
        unsigned free = 0;
        while (free < VXI_TLS_COUNT && p->tls[free].is_set)
            free++;
        if (free == VXI_TLS_COUNT)
            return -ESRCH;
        desc.entry_number = VXI_TLS_FIRST + free;
    }
    uint32_t base = is_empty(&desc) ? 0 : desc.base_addr;
    if (vxi_set_tls_entry(p->box, &p->regs, desc.entry_number, base))
        return -EINVAL;
    p->tls[desc.entry_number - VXI_TLS_FIRST] = (struct vxl_tls){!is_empty(&desc), desc};
    if (is_any && !vxl_put(p, addr, &desc.entry_number, 4))
        return -EFAULT;
    return 0;
}

int32_t vxl_set_thread_area(struct vxl_proc *p, const uint32_t *a)
{
    return set_area(p, a[0]);
}

int32_t vxl_get_thread_area(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t entry;
    if (!vxl_get(p, a[0], &entry, 4))
        return -EFAULT;
    if (entry < VXI_TLS_FIRST || entry >= VXI_TLS_FIRST + VXI_TLS_COUNT)
        return -EINVAL;
    struct vxl_tls tls = p->tls[entry - VXI_TLS_FIRST];
    if (!tls.is_set)
        tls.desc = (struct abi32_user_desc){.flags = DESC_EMPTY};
    tls.desc.entry_number = entry;
    return vxl_put(p, a[0], &tls.desc, sizeof tls.desc) ? 0 : -EFAULT;
}

int32_t vxl_set_tid_address(struct vxl_proc *p, const uint32_t *a)
{
    p->clear_child_tid = a[0];
    return p->tid ? p->tid : p->pid;
}

int32_t vxl_set_robust_list(struct vxl_proc *p, const uint32_t *a)
{
    if (a[1] != 12)
        return -EINVAL;
    p->robust_list = a[0];
    return 0;
}

/* ---- futex ----------------------------------------------------------- */

/* The call is made again because another thread woke it. */
static bool is_woken(struct vxl_proc *p, vx_gaddr addr)
{
    struct vxl_waiting *w = vxl_thread_waiting(p);
    bool is_it = vxl_thread_is_again(p) && w->is_futex && w->is_woken;
    if (is_it)
        *w = (struct vxl_waiting){0};
    return is_it;
}

static void wait_at(struct vxl_proc *p, vx_gaddr addr, uint32_t bitset)
{
    struct vxl_waiting *w = vxl_thread_waiting(p);
    w->is_futex = true;
    w->futex = addr;
    w->bitset = bitset;
    w->order = ++p->futex_order;
}

static int32_t futex_wait(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    uint32_t command = a[1] & FUTEX_CMD_MASK, value;
    uint32_t bitset = command == FUTEX_WAIT_BITSET ? a[5] : FUTEX_BITSET_MATCH_ANY;
    struct timespec time, end;
    if (p->threads && is_woken(p, a[0]))
        return 0;
    if (!bitset)
        return -EINVAL;
    if (!vxl_get(p, a[0], &value, 4))
        return -EFAULT;
    if (value != a[2])
        return -EAGAIN;
    if (a[3]) {
        if (!vxl_times_get(p, a[3], is_64, &time))
            return -EFAULT;
        if (!vxl_end_of(&time, &end))
            return -EINVAL;
        if (command == FUTEX_WAIT_BITSET) { /* an absolute time: what is left of it */
            time = vxl_time_left(a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &time);
            vxl_end_of(&time, &end);
        }
    }
    if (vxl_is_shared(p, a[0], a[1]))
        return vxl_shared_wait(p, a[0], a[2], a[3] ? &end : NULL);
    int waited = vxl_wait(p, NULL, 0, a[3] ? &end : NULL);
    if (p->is_blocked)
        wait_at(p, a[0], bitset);
    if (waited != -EINTR)
        return -ETIMEDOUT;
    return a[3] ? -VXL_RESTART_NO_HANDLER : -VXL_RESTART_SYS; /* with a time it is not made again after a handler */
}

static int32_t wake_at(struct vxl_proc *p, vx_gaddr addr, uint32_t operation, uint32_t count, uint32_t bitset)
{
    return vxl_is_shared(p, addr, operation) ? vxl_shared_wake(p, addr, count, bitset)
                                             : vxl_futex_wake(p, addr, count, bitset, 0, 0);
}

static int32_t futex_wake(struct vxl_proc *p, const uint32_t *a, uint32_t value)
{
    uint32_t any = FUTEX_BITSET_MATCH_ANY, count = (int32_t)a[2] < 0 ? 1 : a[2];
    switch (a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAKE:
        return wake_at(p, a[0], a[1], count ? count : 1, any); /* as Linux: 0 wakes one */
    case FUTEX_WAKE_BITSET:
        return a[5] ? wake_at(p, a[0], a[1], count ? count : 1, a[5]) : -EINVAL;
    case FUTEX_CMP_REQUEUE:
        if (value != a[5])
            return -EAGAIN;
        break;
    default:
        break;
    }
    if ((int32_t)a[2] < 0 || (int32_t)a[3] < 0)
        return -EINVAL;
    /* in shared memory those who were to wait elsewhere are woken, too: they look again */
    if (vxl_is_shared(p, a[0], a[1]) || vxl_is_shared(p, a[4], a[1]))
        return wake_at(p, a[0], a[1], a[2] + a[3], any);
    return vxl_futex_wake(p, a[0], a[2], any, a[4], a[3]);
}

/* Operation in bits 28-31 (31: a shift), comparison in 24-27, its operands of 12 bits below (futex(2)). */
static bool wake_op_value(uint32_t code, uint32_t old, uint32_t *new)
{
    uint32_t operand = (uint32_t)((int32_t)(code << 8) >> 20);
    if (code >> 31)
        operand = 1u << (operand & 31);
    switch (code >> 28 & 7) {
    case FUTEX_OP_SET: *new = operand; return true;
    case FUTEX_OP_ADD: *new = old + operand; return true;
    case FUTEX_OP_OR: *new = old | operand; return true;
    case FUTEX_OP_ANDN: *new = old & ~operand; return true;
    case FUTEX_OP_XOR: *new = old ^ operand; return true;
    default: return false;
    }
}

static bool wake_op_holds(uint32_t code, uint32_t old)
{
    int32_t left = (int32_t)old, right = (int32_t)(code << 20) >> 20;
    switch (code >> 24 & 15) {
    case FUTEX_OP_CMP_EQ: return left == right;
    case FUTEX_OP_CMP_NE: return left != right;
    case FUTEX_OP_CMP_LT: return left < right;
    case FUTEX_OP_CMP_LE: return left <= right;
    case FUTEX_OP_CMP_GT: return left > right;
    default: return left >= right;
    }
}

/* Change the word at a[4], wake at a[0], and at a[4] if what was there compares so. */
static int32_t futex_wake_op(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t code = a[5], old, expected, new;
    if (a[4] % 4)
        return -EINVAL;
    if (!vxl_get(p, a[4], &old, 4))
        return -EFAULT;
    do {
        expected = old;
        if (!wake_op_value(code, expected, &new))
            return -ENOSYS;
        if (!vxi_box_swap(p->box, a[4], &old, new))
            return -EFAULT;
    } while (old != expected);
    if ((code >> 24 & 15) > FUTEX_OP_CMP_GE)
        return -ENOSYS; /* only now: the kernel, too, has written the word */
    int32_t woken = wake_at(p, a[0], a[1], a[2], FUTEX_BITSET_MATCH_ANY), more = 0;
    if (woken >= 0 && wake_op_holds(code, old))
        more = wake_at(p, a[4], a[1], a[3], FUTEX_BITSET_MATCH_ANY);
    return more < 0 ? more : woken + more;
}

static int32_t do_futex(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    uint32_t value;
    switch (a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        return futex_wait(p, a, is_64);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        if (!vxl_get(p, a[0], &value, 4))
            return -EFAULT;
        return futex_wake(p, a, value);
    case FUTEX_WAKE_OP:
        return vxl_get(p, a[0], &value, 4) ? futex_wake_op(p, a) : -EFAULT;
    default:
        return -ENOSYS;
    }
}

int32_t vxl_futex(struct vxl_proc *p, const uint32_t *a)
{
    return do_futex(p, a, false);
}

int32_t vxl_futex_time64(struct vxl_proc *p, const uint32_t *a)
{
    return do_futex(p, a, true);
}

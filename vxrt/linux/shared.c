/*
 * Futexes in shared memory, which other processes may use as well: the host's kernel keeps them. It knows the page behind a mapping, so
 * that it does not matter where, or by whom, it is mapped. All it does with the guest's word is to
 * compare it.
 */
#include "vxrt/linux/shared.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/linux/threads.h"

#define WORD_32 2u /* FUTEX_32: the size of the word that is compared */

/* struct futex_waitv of <linux/futex.h>, which older ones do not have. */
struct word {
    uint64_t value, at;
    uint32_t flags, reserved;
};

bool vxl_is_shared(const struct vxl_proc *p, vx_gaddr addr, uint32_t operation)
{
    return !(operation & FUTEX_PRIVATE_FLAG) && vxl_has_kind(p, addr & ~4095u, 4096, VXL_PAGE_SHARED);
}

static struct word private_word(const void *at)
{
    return (struct word){.at = (uintptr_t)at, .flags = WORD_32 | FUTEX_PRIVATE_FLAG};
}

/*
 * Until the word is woken, its value is another, or something has come for the calling thread (or process, if it is the only one): that is a
 * word that is 0 as well, so nothing is missed that comes before the wait begins. Result as the system call's.
 */
static int64_t wait_once(struct vxl_proc *p, const void *at, uint32_t value, const struct timespec *end)
{
    struct word words[3] = {{value, (uintptr_t)at, WORD_32, 0}};
    struct vxl_thread *t = p->threads ? p->self : NULL;
    unsigned count = t ? 2 : 3;
    words[1] = private_word(t ? (const void *)&t->wake : (const void *)&p->arrived);
    words[2] = private_word((const char *)&p->arrived + 4);
    if (t)
        vxl_thread_leave(p);
    int64_t result = vxl_result(syscall(VXL_HOST_FUTEX_WAITV, words, count, 0, end, CLOCK_MONOTONIC));
    if (t)
        vxl_thread_enter(p, t);
    return result;
}

int32_t vxl_shared_wait(struct vxl_proc *p, vx_gaddr addr, uint32_t value, const struct timespec *end)
{
    uint32_t now;
    for (;;) {
        if (p->threads)
            atomic_store(&p->self->wake, 0);
        if (vxl_is_interrupted(p))
            return end ? -VXL_RESTART_NO_HANDLER : -VXL_RESTART_SYS;
        const void *at = vx_box_pointer(p->box, addr, sizeof value, VX_PROT_READ);
        if (addr % sizeof value)
            return -EINVAL;
        if (!at || !vxl_get(p, addr, &now, sizeof now))
            return -EFAULT;
        if (now != value)
            return -EAGAIN;
        int64_t result = wait_once(p, at, value, end);
        if (result == 0)
            return 0;
        if (result < 0 && result != -EAGAIN && result != -EINTR)
            return (int32_t)result;
    }
}

int32_t vxl_shared_wake(struct vxl_proc *p, vx_gaddr addr, uint32_t count, uint32_t bitset)
{
    const void *at = vx_box_pointer(p->box, addr, 4, VX_PROT_READ);
    if (addr % 4 || !at)
        return addr % 4 ? -EINVAL : -EFAULT;
    int32_t most = count > INT32_MAX ? INT32_MAX : (int32_t)count;
    return most ? (int32_t)vxl_result(syscall(SYS_futex, at, FUTEX_WAKE_BITSET, most, NULL, NULL, bitset)) : 0;
}

/*
 * Scheduling: one policy, no priorities. Which processors a process wants is remembered and shown, not obeyed.
 */
#include <sched.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

#define INTERVAL_NS 4000000 /* what the kernel's ordinary policy says on a busy machine */
#define MOST_PRIORITY 99

int32_t vxl_sched_yield(struct vxl_proc *p, const uint32_t *a)
{
    struct vxl_thread *self = p->self;
    if (p->threads)
        vxl_thread_leave(p);
    sched_yield();
    if (p->threads)
        vxl_thread_enter(p, self);
    return 0;
}

/* A process that a guest may ask about: itself, its threads, its children, its parent. 0 or -errno. */
static int check_process(struct vxl_proc *p, uint32_t number)
{
    pid_t pid = (pid_t)number;
    if (pid < 0)
        return -EINVAL;
    bool is_known = !pid || pid == p->pid || pid == p->tid || (p->is_child && pid == p->parent_pid) || vxl_thread_by_id(p, pid);
    for (size_t i = 0; i < p->child_count; i++)
        is_known |= p->children[i] == pid;
    return is_known ? 0 : -ESRCH;
}

/* ---- processors ------------------------------------------------------ */

/* As many as there are for this process, counted from 0. */
static uint32_t processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count >= 32 ? UINT32_MAX : (1u << (count > 1 ? count : 1)) - 1;
}

int32_t vxl_sched_getaffinity(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t all = processors(), mask = p->processors & all ? p->processors & all : all;
    int status = (int32_t)a[0] < 0 ? -ESRCH : check_process(p, a[0]);
    if (a[1] < sizeof mask || a[1] % sizeof mask)
        return -EINVAL;
    if (status < 0)
        return status;
    return vxl_put(p, a[2], &mask, sizeof mask) ? (int32_t)sizeof mask : -EFAULT;
}

int32_t vxl_sched_setaffinity(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t mask = 0;
    int status = (int32_t)a[0] < 0 ? -ESRCH : check_process(p, a[0]);
    if (!vxl_get(p, a[2], &mask, a[1] < sizeof mask ? a[1] : sizeof mask))
        return -EFAULT;
    if (status < 0)
        return status;
    if (!(mask & processors()))
        return -EINVAL;
    if (!a[0] || (pid_t)a[0] == p->pid || (pid_t)a[0] == p->tid)
        p->processors = mask;
    return 0;
}

int32_t vxl_getcpu(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t zero = 0;
    if ((a[0] && !vxl_put(p, a[0], &zero, 4)) || (a[1] && !vxl_put(p, a[1], &zero, 4)))
        return -EFAULT;
    return 0;
}

/* ---- policies and priorities ----------------------------------------- */

static bool is_policy(uint32_t policy)
{
    return policy <= SCHED_BATCH || policy == SCHED_IDLE || policy == 6; /* SCHED_DEADLINE */
}

static bool is_real_time(uint32_t policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

int32_t vxl_sched_get_priority_max(struct vxl_proc *p, const uint32_t *a)
{
    return !is_policy(a[0]) ? -EINVAL : is_real_time(a[0]) ? MOST_PRIORITY : 0;
}

int32_t vxl_sched_get_priority_min(struct vxl_proc *p, const uint32_t *a)
{
    return !is_policy(a[0]) ? -EINVAL : is_real_time(a[0]);
}

int32_t vxl_sched_getscheduler(struct vxl_proc *p, const uint32_t *a)
{
    return check_process(p, a[0]);
}

int32_t vxl_sched_getparam(struct vxl_proc *p, const uint32_t *a)
{
    uint32_t priority = 0;
    int status = check_process(p, a[0]);
    return status < 0 ? status : vxl_put(p, a[1], &priority, 4) ? 0 : -EFAULT;
}

/* To what it is: 0. Real time, and others', are EPERM. */
static int32_t set_policy(struct vxl_proc *p, uint32_t pid, uint32_t policy, vx_gaddr param)
{
    uint32_t priority;
    if ((int32_t)pid < 0 || (int32_t)policy < 0)
        return -EINVAL;
    if (!vxl_get(p, param, &priority, 4))
        return -EFAULT;
    int status = check_process(p, pid);
    if (status < 0)
        return status;
    uint32_t least = is_real_time(policy), most = is_real_time(policy) ? MOST_PRIORITY : 0;
    if (!is_policy(policy) || priority < least || priority > most)
        return -EINVAL;
    return policy == SCHED_OTHER ? 0 : -EPERM;
}

int32_t vxl_sched_setscheduler(struct vxl_proc *p, const uint32_t *a)
{
    return set_policy(p, a[0], a[1], a[2]);
}

int32_t vxl_sched_setparam(struct vxl_proc *p, const uint32_t *a)
{
    return set_policy(p, a[0], SCHED_OTHER, a[1]);
}

static int32_t put_interval(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    const struct timespec interval = {0, INTERVAL_NS};
    int status = check_process(p, a[0]);
    return status < 0 ? status : vxl_times_put(p, a[1], is_64, &interval) ? 0 : -EFAULT;
}

int32_t vxl_sched_rr_get_interval(struct vxl_proc *p, const uint32_t *a)
{
    return put_interval(p, a, false);
}

int32_t vxl_sched_rr_get_interval_time64(struct vxl_proc *p, const uint32_t *a)
{
    return put_interval(p, a, true);
}

int32_t vxl_getpriority(struct vxl_proc *p, const uint32_t *a)
{
    return 20; /* the kernel's form of nice 0 */
}

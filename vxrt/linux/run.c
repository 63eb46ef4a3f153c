/*
 * The life of a guest process: made, run from trap to trap, freed. Faults
 * become the signals that the kernel would send.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"
#include "vxrt/linux/threads.h"

/* Signal codes of <asm-generic/siginfo.h>, and page fault error bits (SDM vol. 3, 4.7). */
enum { ERR_PRESENT = 1, ERR_WRITE = 2, ERR_USER = 4, ERR_FETCH = 16 };
#define KERNEL_CODE 0x80
#define FLAG_RF 0x10000u

struct fault {
    int signal;
    int32_t code;
    uint32_t trapno, err, addr;
};

static struct fault page_fault(struct vxl_proc *p, const struct vx_trap *trap)
{
    struct fault fault = {SIGSEGV, SEGV_MAPERR, 14, ERR_USER, trap->address};
    int prot = vx_box_page_prot(p->box, trap->address);
    int need = trap->access == VX_ACCESS_WRITE ? VX_PROT_WRITE
               : trap->access == VX_ACCESS_EXEC ? VX_PROT_EXEC : VX_PROT_READ;
    if (trap->access == VX_ACCESS_WRITE)
        fault.err |= ERR_WRITE;
    if (trap->access == VX_ACCESS_EXEC)
        fault.err |= ERR_FETCH;
    if (trap->is_protection) {
        fault.code = SEGV_ACCERR;
        if (prot > 0) /* the kernel keeps pages without any access not present */
            fault.err |= ERR_PRESENT;
    }
    /* allowed, and yet refused: past the end of a mapped file */
    if (prot >= 0 && (prot & need)) {
        fault.signal = SIGBUS;
        fault.code = BUS_ADRERR;
    }
    p->last_cr2 = trap->address;
    return fault;
}

/* The reason of an x87 (is_sse false) or SSE exception, from the first unmasked flag. */
static int32_t float_code(struct vxl_proc *p, bool is_sse)
{
    uint8_t fx[512];
    uint16_t control, status;
    vx_box_get_fxsave(p->box, fx);
    if (is_sse) {
        memcpy(&status, fx + 24, 2);
        control = (uint16_t)(status >> 7);
    } else {
        memcpy(&control, fx, 2);
        memcpy(&status, fx + 2, 2);
    }
    uint16_t error = status & ~control;
    if (error & 1)
        return FPE_FLTINV;
    if (error & 4)
        return FPE_FLTDIV;
    if (error & 8)
        return FPE_FLTOVF;
    if (error & 0x12)
        return FPE_FLTUND;
    return error & 0x20 ? FPE_FLTRES : 0;
}

static struct fault fault_of(struct vxl_proc *p, const struct vx_trap *trap)
{
    uint32_t eip = p->regs.eip;
    switch (trap->kind) {
    case VX_TRAP_PAGE:
        return page_fault(p, trap);
    case VX_TRAP_DIVIDE:
        return (struct fault){SIGFPE, FPE_INTDIV, 0, 0, eip};
    case VX_TRAP_DEBUG:
        return (struct fault){SIGTRAP, trap->detail ? TRAP_TRACE : TRAP_BRKPT, 1, 0, eip};
    case VX_TRAP_BREAKPOINT:
        return (struct fault){SIGTRAP, KERNEL_CODE, 3, 0, 0};
    case VX_TRAP_OVERFLOW:
        return (struct fault){SIGSEGV, KERNEL_CODE, 4, 0, 0};
    case VX_TRAP_BOUND:
        return (struct fault){SIGSEGV, KERNEL_CODE, 5, 0, 0};
    case VX_TRAP_UNDEFINED:
        return (struct fault){SIGILL, ILL_ILLOPN, 6, 0, eip};
    case VX_TRAP_X87:
        return (struct fault){SIGFPE, float_code(p, false), 16, 0, eip};
    case VX_TRAP_SIMD:
        return (struct fault){SIGFPE, float_code(p, true), 19, 0, eip};
    case VX_TRAP_ALIGNMENT:
        return (struct fault){SIGBUS, BUS_ADRALN, 17, 0, 0};
    case VX_TRAP_INTERRUPT: /* a gate that user code may not use: error code is its index */
        return (struct fault){SIGSEGV, KERNEL_CODE, 13, trap->vector * 8u + 2, 0};
    default: /* detail: the selector, where one is to blame */
        return (struct fault){SIGSEGV, KERNEL_CODE, 13, trap->detail, 0};
    }
}

static void signal_fault(struct vxl_proc *p, const struct vx_trap *trap)
{
    struct fault fault = fault_of(p, trap);
    struct abi32_siginfo info = {.signo = fault.signal, .code = fault.code, .u.addr = fault.addr};
    /* The processor sets RF in what it saves at a fault, not at a trap. */
    if (fault.trapno != 1 && fault.trapno != 3 && fault.trapno != 4)
        p->regs.eflags |= FLAG_RF;
    p->last_trapno = fault.trapno;
    p->last_err = fault.err;
    vxl_force(p, trap, fault.signal, &info);
}

static void one_trap(struct vxl_proc *p)
{
    struct vx_trap trap;
    struct vxl_thread *self = p->threads ? p->self : NULL;
    vx_box_set_regs(p->box, &p->regs);
    vx_status status = vx_box_run(p->box, &trap);
    if (self)
        vxl_thread_load(p, self);
    if (status != VX_OK)
        trap = (struct vx_trap){.kind = VX_TRAP_ERROR, .status = status};
    vx_box_get_regs(p->box, &p->regs);
    p->in_syscall = false;
    switch (trap.kind) {
    case VX_TRAP_SYSCALL:
        vxl_syscall(p);
        break;
    case VX_TRAP_STOPPED:
        if (p->threads)
            vxl_is_interrupted(p); /* the time limit is everybody's */
        break;
    case VX_TRAP_LIMIT:
    case VX_TRAP_NOT_CACHED:
    case VX_TRAP_ERROR:
        vxl_end_with(p, VXL_STOPPED, 0, &trap);
        break;
    default:
        signal_fault(p, &trap);
        break;
    }
}

void vxl_loop(struct vxl_proc *p)
{
    while (!p->has_ended && !p->is_handed_over && !(p->threads && p->self->is_gone)) {
        one_trap(p);
        if (p->threads && p->is_blocked && !p->has_ended)
            vxl_thread_sleep(p);
        /* a thread whose call is to be made again gets its signals there */
        if (p->threads && vxl_thread_waiting(p)->is_waiting)
            continue;
        /* also restores a temporary mask and settles what a call returns */
        if (p->pending || atomic_load(&p->arrived) || p->has_saved_mask || p->in_syscall)
            vxl_deliver(p);
        if (p->threads && (p->pending | p->offered))
            vxl_threads_offer(p);
    }
}

void vxl_run(struct vxl_proc *p, struct vxl_outcome *outcome)
{
    pthread_sigmask(SIG_SETMASK, NULL, &p->host_mask);
    do
        vxl_loop(p);
    while (vxl_threads_join(p));
    vxl_hostsig_end(p);
    *outcome = p->outcome;
    outcome->is_child = p->is_child;
}

/* ---- making one ------------------------------------------------------ */

static void set_program(struct vxl_proc *p)
{
    const char *name = strrchr(p->config->program, '/');
    struct stat st;
    name = name ? name + 1 : p->config->program;
    if (!vxl_join("/", name, p->exe_path))
        strcpy(p->exe_path, "/program");
    memcpy(p->name, name, strnlen(name, sizeof p->name - 1));
    if (p->config->program_fd >= 0 && fstat(p->config->program_fd, &st) == 0) {
        p->exe_dev = p->first_dev = st.st_dev;
        p->exe_ino = p->first_ino = st.st_ino;
    }
}

/* The root if it is granted, else the first grant. */
static void set_cwd(struct vxl_proc *p)
{
    strcpy(p->cwd, "/");
    for (size_t i = 0; i < p->config->grant_count; i++)
        if (!strcmp(p->config->grants[i].guest_path, "/"))
            return;
    if (p->config->grant_count)
        vxl_join("/", p->config->grants[0].guest_path, p->cwd);
}

static vx_status load_first(struct vxl_proc *p, struct vx_error *error)
{
    const struct vxl_config *config = p->config;
    struct vxl_source source = {.image = config->image, .fd = -1, .execfn = config->program};
    if (config->image)
        return vxl_load(p, &source, config->argv, config->envp, error);
    int status = vxl_exec_first(p, error);
    if (status == 0)
        return VX_OK;
    if (error->status == VX_OK)
        vxi_fail(error, status == -ENOENT ? VX_ERR_NOT_FOUND : VX_ERR_IO, 0, "%s", strerror(-status));
    return error->status;
}

vx_status vxl_new(const struct vxl_config *config, struct vxl_proc **out, struct vx_error *error)
{
    struct vxl_proc *p = calloc(1, sizeof *p);
    memset(error, 0, sizeof *error);
    if (!p) {
        error->status = VX_ERR_MEMORY;
        return VX_ERR_MEMORY;
    }
    p->config = config;
    p->is_first_program = true;
    vxl_signals_start(p);
    p->pid = p->first_pid = config->allow_fork ? getpid() : 1000;
    set_program(p);
    set_cwd(p);
    vxl_fd_start(p);
    vx_status status = load_first(p, error);
    if (status) {
        vxl_free(p);
        return status;
    }
    p->has_replaced_regs = false;
    if (config->time_limit_ns) {
        p->deadline_ns = vxl_now_ns() + config->time_limit_ns;
        vx_box_set_time_limit(p->box, config->time_limit_ns);
        vxl_watch_deadline(p);
    }
    *out = p;
    return VX_OK;
}

void vxl_free(struct vxl_proc *p)
{
    if (!p)
        return;
    vxl_hostsig_forget(p);
    vxl_threads_free(p);
    vxl_timers_forget(p, false);
    for (unsigned fd = 0; fd < VXL_FD_LIMIT; fd++)
        vxl_fd_close(p, fd);
    vx_box_free(p->box);
    if (p->owns_image)
        vx_image_close(p->image);
    free(p->page_kinds);
    free(p->timers);
    free(p);
}

struct vx_box *vxl_box(struct vxl_proc *p)
{
    return p->box;
}

bool vxl_is_first_program(const struct vxl_proc *p)
{
    return p->is_first_program;
}

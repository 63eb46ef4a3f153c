/*
 * The Linux personality: runs a statically linked i386 Linux program in a box.
 *
 * Deny by default: a system call that is not in the table of syscall.c is
 * answered with ENOSYS and counted; files exist only below the granted
 * directories; nothing is ever done for a guest but the listed calls. Uses
 * the public API of the runtime and the TLS entries of vxrt/helper.h.
 */
#ifndef VXRT_LINUX_H
#define VXRT_LINUX_H

#include "vxrt.h"

struct vxl_proc;
struct vxl_codes;
struct vxl_outcome;

/* A granted directory: the guest sees host_fd (O_PATH) at guest_path. */
struct vxl_grant {
    const char *guest_path; /* absolute, normalised: "/" or "/a/b" */
    int host_fd;
    bool is_read_only;
};

/* Sockets with addresses: none, on this machine's loopback device, any. */
enum vxl_net { VXL_NET_NONE, VXL_NET_LOOPBACK, VXL_NET_ALL };

struct vxl_config {
    struct vx_image *image;     /* borrowed; NULL: `program` is a guest path, mapped with its interpreter */
    const char *program;        /* for messages and AT_EXECFN */
    int program_fd;             /* the ELF file, to recognise it in execve; -1: unknown */
    const char *const *argv;    /* NULL-terminated, argv[0] is the program */
    const char *const *envp;    /* NULL-terminated */
    const struct vxl_grant *grants;
    size_t grant_count;
    struct vx_box_options box;
    uint64_t time_limit_ns;     /* 0: none */
    enum vxl_net net;
    bool allow_fork;            /* fork, vfork, execve, wait4 */
    bool no_cache;              /* execve ignores .vxc files */
    struct vxl_codes *codes;    /* code for files that the guest maps; borrowed, may be NULL */
    /*
     * The end of a forked child in which vxl_run does not return: one that another guest thread forked than the one
     * that vxl_run runs itself. Called instead, and does not return either. NULL: vxl_leave_child.
     */
    void (*on_child_end)(void *context, struct vxl_proc *proc, const struct vxl_outcome *outcome);
    void *on_child_end_context;
};

enum vxl_end {
    VXL_EXITED,   /* code: the guest's exit status */
    VXL_SIGNALED, /* code: signal number */
    VXL_STOPPED,  /* trap says why: LIMIT, NOT_CACHED, ERROR */
};
struct vxl_outcome {
    enum vxl_end end;
    int code;
    bool has_trap;        /* SIGNALED by a fault, or STOPPED: trap is set */
    struct vx_trap trap;
    bool is_child;        /* this is a process that the guest forked */
};

/* Load the program into a new box. config and what it points to must outlive *proc. */
vx_status vxl_new(const struct vxl_config *config, struct vxl_proc **proc, struct vx_error *error);
/* Run to the end. Returns in each forked child too (see outcome->is_child), or calls config->on_child_end there. */
void vxl_run(struct vxl_proc *proc, struct vxl_outcome *outcome);
void vxl_free(struct vxl_proc *proc);
/* End a forked child as the guest ended: by the same signal. Does not return. */
_Noreturn void vxl_leave_child(const struct vxl_outcome *outcome);

struct vx_box *vxl_box(struct vxl_proc *proc);
/* False once an execve has replaced the program that vxl_new loaded. */
bool vxl_is_first_program(const struct vxl_proc *proc);

/* Refused system calls, in order of number: false past the end. name is static. */
struct vxl_refused {
    uint32_t number;
    const char *name;
    uint64_t count;
};
bool vxl_refused(const struct vxl_proc *proc, size_t index, struct vxl_refused *out);

#endif

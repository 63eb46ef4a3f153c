/*
 * The state of one guest process, and what the files of the personality
 * offer each other. Handlers of system calls return a result or -errno; the
 * VXL_RESTART values never reach the guest.
 */
#ifndef VXRT_LINUX_PROC_H
#define VXRT_LINUX_PROC_H

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "vxrt/helper.h"
#include "vxrt/linux/abi32.h"
#include "vxrt/linux/linux.h"

#define VXL_FD_LIMIT 1024
#define VXL_CHILD_LIMIT 1024
#define VXL_CALL_LIMIT 512 /* numbers 0..511 are counted by number */
#define VXL_SIGNAL_COUNT 64
#define VXL_PATH_BYTES 4096

/* As in the kernel: how a call that a signal interrupted goes on. */
enum { VXL_RESTART_SYS = 512, VXL_RESTART_NO_HANDLER = 514 };

struct vxl_fd {
    bool in_use, is_cloexec, is_dir;
    bool is_fixed;       /* inherited stream or device: no chmod and the like */
    bool is_read_only;   /* from a read-only grant */
    bool is_net;         /* a socket that may have addresses (net.c) */
    int host;
    uint32_t serial;     /* another one each time the number is used again: while it is the same, so is host */
    char *path;          /* guest path of a directory, name that an AF_UNIX socket was bound to; owned */
    uint64_t dir_position; /* entries read */
};

struct vxl_action {
    uint32_t handler, flags, restorer;
    uint64_t mask;
};

/* A descriptor set by set_thread_area. */
struct vxl_tls {
    bool is_set;
    struct abi32_user_desc desc;
};

struct vxl_thread;

struct vxl_proc {
    const struct vxl_config *config;
    struct vx_image *image;
    bool owns_image;      /* opened by execve */
    bool is_first_program;
    struct vx_box *box;
    struct vx_regs regs;  /* the guest's, while it does not run */
    struct vx_image_info info;

    /* how it ends */
    bool has_ended;
    struct vxl_outcome outcome;

    /* the call in progress */
    bool in_syscall;      /* a result is in eax: a signal may restart it */
    bool has_replaced_regs; /* sigreturn, execve: do not store a result */
    uint32_t call_number;

    /* memory (mem.c) */
    vx_gaddr brk_start, brk;
    vx_gaddr mmap_top;
    vx_gaddr trampoline;  /* page with the sigreturn code, 0: not made yet */
    bool read_implies_exec;
    uint8_t *page_kinds;  /* of 2^20 pages: VXL_PAGE_*; NULL: all 0 */

    /* files */
    struct vxl_fd fds[VXL_FD_LIMIT];
    uint32_t last_serial;
    char cwd[VXL_PATH_BYTES];
    char exe_path[VXL_PATH_BYTES]; /* what /proc/self/exe shows */
    uint64_t exe_dev, exe_ino;     /* host file of the program, 0 unknown */
    uint64_t first_dev, first_ino; /* of the program that vxl_new loaded */

    /* threads */
    struct vxl_tls tls[VXI_TLS_COUNT];
    uint32_t clear_child_tid, robust_list;
    char name[16];
    struct vxl_thread *_Atomic *slots;   /* all that there are and were; NULL: there was never more than one */
    struct vxl_thread *_Atomic *threads; /* slots, or NULL: there is one (threads.c) */
    struct vxl_thread *self;  /* whose state is here */
    struct vxl_thread *main;  /* runs on the host thread of vxl_run */
    unsigned thread_count;
    pid_t tid;            /* of self, 0: pid */
    bool is_blocked;      /* the call in progress waits (vxl_thread_wait) */
    bool is_ending_others; /* an execve is on its way */
    bool is_handed_over;  /* a new program is to run on the host thread of vxl_run */
    bool is_orphan;       /* a child, on another host thread than that of vxl_run */
    _Atomic uint32_t is_over; /* who waits in vxl_threads_join may look */
    sigset_t host_mask;   /* of the host thread of vxl_run */
    uint64_t futex_order;
    int last_thread;      /* of the ids of threads */

    /* signals: bit n - 1 = signal n */
    struct vxl_action actions[VXL_SIGNAL_COUNT];
    uint64_t blocked, pending;
    uint64_t directed;    /* of pending: for self alone */
    uint64_t offered;     /* of pending: other threads have been told */
    uint64_t awaited;     /* by sigtimedwait of self */
    uint64_t saved_mask;  /* of sigsuspend, ppoll: goes into the signal frame */
    bool has_saved_mask;
    struct abi32_siginfo infos[VXL_SIGNAL_COUNT];
    struct abi32_stack altstack;
    uint32_t last_trapno, last_err, last_cr2; /* shown in signal frames */

    /* host signals (hostsig.c) */
    uint64_t watched;     /* host signals whose handler is ours */
    uint64_t host_ignored; /* host signals that are ignored for the guest */
    _Atomic uint64_t arrived;
    siginfo_t arrived_info[VXL_SIGNAL_COUNT];
    uint64_t deadline_ns; /* CLOCK_MONOTONIC, 0: none */
    timer_t deadline_timer;
    bool has_deadline_timer;

    struct vxl_timers *timers; /* timers.c; NULL: none was made */
    struct timeval alarm_interval; /* of ITIMER_REAL, where the host's is longer; else 0 */

    /* processes */
    pid_t pid;            /* the host's when forking is allowed, else 1000 */
    pid_t parent_pid;     /* of a forked child: the guest that forked it */
    pid_t first_pid;      /* of the first process: group and session of all */
    pid_t children[VXL_CHILD_LIMIT];
    size_t child_count;
    bool is_child;

    uint32_t processors;  /* that it said it wants (sched.c); 0: all */

    uint64_t refused[VXL_CALL_LIMIT];
};

typedef int32_t vxl_handler(struct vxl_proc *p, const uint32_t *a);

/* guest.c: guest memory. False / -EFAULT when it is not accessible. */
bool vxl_get(struct vxl_proc *p, vx_gaddr addr, void *dst, size_t size);
bool vxl_put(struct vxl_proc *p, vx_gaddr addr, const void *src, size_t size);
int vxl_get_path(struct vxl_proc *p, vx_gaddr addr, char path[VXL_PATH_BYTES]);
/* Bytes from addr on, at most size, that have `prot`. */
uint32_t vxl_accessible(struct vxl_proc *p, vx_gaddr addr, uint32_t size, int prot);
/* result of a host call: itself or -errno */
int64_t vxl_result(int64_t result);

/* load.c: a program in a new box, which replaces p->box if all is well */
struct vxl_source {
    struct vx_image *image; /* NULL: the file, and its interpreter, are mapped as the kernel does it */
    int fd;
    const char *execfn;
};
vx_status vxl_load(struct vxl_proc *p, const struct vxl_source *source, const char *const *argv,
                   const char *const *envp, struct vx_error *error);

/* exec.c */
struct vxl_executable {
    int fd; /* owned; -1 after an error */
    struct stat st;
    char guest_path[VXL_PATH_BYTES];
};
/* Open a regular file with permission to execute. 0 or -errno. */
int vxl_open_executable(struct vxl_proc *p, const char *path, struct vxl_executable *out);
/* The first program of a process without an image. 0 or -errno, and then *error may say more. */
int vxl_exec_first(struct vxl_proc *p, struct vx_error *error);

/* syscall.c */
void vxl_syscall(struct vxl_proc *p);
const char *vxl_syscall_name(uint32_t number);

/* fd.c */
struct vxl_fd *vxl_fd(struct vxl_proc *p, uint32_t fd); /* NULL: EBADF */
int vxl_host_fd(struct vxl_proc *p, uint32_t fd);       /* -EBADF */
/* Take over host fd as the lowest free guest fd >= least. -EMFILE closes it. */
int vxl_fd_install(struct vxl_proc *p, int host, unsigned least, bool is_cloexec);
void vxl_fd_close(struct vxl_proc *p, unsigned fd);
void vxl_fd_close_on_exec(struct vxl_proc *p);
void vxl_fd_start(struct vxl_proc *p);

/* path.c: guest paths to host directories */
struct vxl_place {
    const struct vxl_config *config;
    int dir_fd;          /* a directory inside a grant, or the grant itself; owned if is_owned */
    bool is_owned, is_read_only;
    bool is_device;      /* `device` is the host path of an allowed device */
    const char *device;
    bool wants_dir;      /* the path ended in a slash */
    bool is_to_walk;     /* guest and name are not known before vxl_walk */
    bool is_link;        /* vxl_walk: the last component is a symbolic link, not followed */
    char name[VXL_PATH_BYTES]; /* rest of the path below dir_fd, "." for itself */
    char guest[VXL_PATH_BYTES]; /* normalised guest path; once opened, without links */
    char asked[VXL_PATH_BYTES]; /* absolute, with links and ".." */
};
/* Where a path is, links aside. 0 or -errno. */
int vxl_find(struct vxl_proc *p, uint32_t dirfd, const char *path, struct vxl_place *place);
/* The directory that holds the last component, opened; name: that component, which is no "..". */
int vxl_find_parent(struct vxl_proc *p, uint32_t dirfd, const char *path, struct vxl_place *place);
void vxl_place_done(struct vxl_place *place);
/* Open the place, following links; only then is_read_only and guest are final. Host fd or -errno. */
int vxl_open_beneath(struct vxl_place *place, uint64_t flags, uint32_t mode);
/* The same as it stands: a link anywhere is -ELOOP. */
int vxl_open_here(const struct vxl_place *place, uint64_t flags, uint32_t mode);
/* The grant or device of place->guest. 0 or -ENOENT. */
int vxl_locate(struct vxl_place *place);
/* walk.c: where `asked` leads to, one component at a time. 0 (it may be missing), -EAGAIN (it changes meanwhile) or -errno. */
int vxl_walk(struct vxl_place *place, bool follow_last);
/* Is place->guest where something is mounted, or a directory above? */
bool vxl_is_above_mount(const struct vxl_place *place);
/* Length of `prefix` if `path` is it or below it, else -1. Both normalised; "/" has length 0. */
int vxl_prefix_length(const char *prefix, const char *path);
/* Append the components of `path` to out (absolute, normalised). False: too long. */
bool vxl_append(char out[VXL_PATH_BYTES], const char *path);
bool vxl_join(const char *cwd, const char *path, char out[VXL_PATH_BYTES]);

/* hostsig.c: waiting, and signals of the host */
void vxl_watch_signal(struct vxl_proc *p, int signal);
void vxl_unwatch_signal(struct vxl_proc *p, int signal, bool ignore);
void vxl_watch_deadline(struct vxl_proc *p);
void vxl_hostsig_end(struct vxl_proc *p);
/* Whose box a host signal interrupts; or none any more: no handler uses one when it returns. */
void vxl_hostsig_use_box(struct vxl_proc *p);
void vxl_hostsig_leave_box(struct vxl_proc *p);
/* Before p is freed, also if it never ran: no handler leads to it any more. */
void vxl_hostsig_forget(struct vxl_proc *p);
void vxl_hostsig_forked(void); /* in the child */
/* Like ppoll, also for nothing but the time: interrupted only by what matters to the guest. -EINTR. */
int vxl_wait(struct vxl_proc *p, struct pollfd *fds, unsigned count, const struct timespec *end);
/* Keep host signals out while something is looked at, and wait for one without missing it. */
void vxl_hold_signals(struct vxl_proc *p, sigset_t *old);
void vxl_release_signals(const sigset_t *old);
/* Before a host call on fd that may block: 0, or -EINTR. */
int vxl_wait_fd(struct vxl_proc *p, int host_fd, short events);
/* After EINTR: does the guest have to notice? */
bool vxl_is_interrupted(struct vxl_proc *p);
uint64_t vxl_now_ns(void);

/* signal.c */
void vxl_raise(struct vxl_proc *p, int signal, const struct abi32_siginfo *info);
/* kept: the signals that its receiver blocks; others are dropped where they are ignored. */
void vxl_raise_kept(struct vxl_proc *p, int signal, const struct abi32_siginfo *info, uint64_t kept);
void vxl_raise_simple(struct vxl_proc *p, int signal, int32_t code);
/* A fault: cannot be blocked or ignored. */
void vxl_force(struct vxl_proc *p, const struct vx_trap *trap, int signal, const struct abi32_siginfo *info);
bool vxl_has_signal(struct vxl_proc *p);
void vxl_deliver(struct vxl_proc *p);
void vxl_signals_start(struct vxl_proc *p);
void vxl_signals_after_exec(struct vxl_proc *p);
bool vxl_set_temporary_mask(struct vxl_proc *p, vx_gaddr mask, uint32_t size);

/* sigframe.c: false: the stack cannot hold it */
bool vxl_push_frame(struct vxl_proc *p, int signal, const struct vxl_action *action,
                    const struct abi32_siginfo *info, uint64_t mask);
int32_t vxl_sigreturn(struct vxl_proc *p, const uint32_t *a);
int32_t vxl_rt_sigreturn(struct vxl_proc *p, const uint32_t *a);

/* mem.c */
enum { VXL_PAGE_FILE = 1, VXL_PAGE_SHARED = 2 };
/* Is any page of the range of this kind? */
bool vxl_has_kind(const struct vxl_proc *p, vx_gaddr addr, uint32_t size, uint8_t kind);
void vxl_mem_start(struct vxl_proc *p);

/* run.c: until the process ends, or the calling thread of it does */
void vxl_loop(struct vxl_proc *p);

/* timers.c */
#define VXL_TIMER_SIGNAL (SIGRTMAX - 2) /* of the host */
#define VXL_TICK_NS 250000 /* intervals of the host's timers are at least so long, times their number */
/* Make an interval that long; how many of the guest's it is then. 0 stays 0. */
uint32_t vxl_slow_down(struct timespec *interval, unsigned timers);
void vxl_timers_note(struct vxl_proc *p, const siginfo_t *info);
void vxl_timers_take(struct vxl_proc *p);
/* The guest gets this signal: perhaps one of a timer's. */
void vxl_timers_accept(struct vxl_proc *p, const struct abi32_siginfo *info);
/* None is left: after execve, or in a forked child. */
void vxl_timers_forget(struct vxl_proc *p, bool is_child);

/* process.c */
/* A signal for one thread of this process: false, there is none of this id. */
bool vxl_raise_in_thread(struct vxl_proc *p, pid_t tid, int signal, const struct abi32_siginfo *info);
/* The first end is the one that counts. trap: what it was about, or NULL. */
void vxl_end_with(struct vxl_proc *p, enum vxl_end end, int code, const struct vx_trap *trap);

/* dir.c: read past `count` entries; the position reached or -errno */
int64_t vxl_dir_skip(struct vxl_fd *fd, uint64_t count);

/* time.c */
/*
 * When a wait of `left` is over, by CLOCK_MONOTONIC; one longer than the kernel's longest, 292 years, lasts as long as
 * that. False: left is not a time.
 */
bool vxl_end_of(const struct timespec *left, struct timespec *end);
/* Until *end by a clock; zero when it has passed. */
struct timespec vxl_time_left(clockid_t clock, const struct timespec *end);

/* guest.c: struct timespec in its 32- and 64-bit forms */
bool vxl_times_get(struct vxl_proc *p, vx_gaddr addr, bool is_64, struct timespec *out);
bool vxl_times_put(struct vxl_proc *p, vx_gaddr addr, bool is_64, const struct timespec *in);

#endif

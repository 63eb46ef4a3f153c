/*
 * A seccomp filter around vxrun, made with libseccomp. The sandbox does not rest on it: the verifier keeps guest code from
 * making host calls at all. It bounds what a mistake in the runtime, the personality or a library could be used for.
 *
 * What a filter cannot see, it cannot bound: the paths that calls name (openat2 below a granted directory is the
 * personality's word), and the flags inside struct open_how.
 */
#include "vxrt/linux/filter.h"

#include "vxrt/linux/shared.h"

#if VX_HAVE_SECCOMP
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_REFUSED 125
#define NEW_NAMESPACES 0x7e020080u /* CLONE_NEWTIME ... CLONE_NEWNS */
#define CLONE_VM_FLAG 0x100u
#define CLONE_THREAD_FLAG 0x10000u

/* The C library's own, the runtime's memory, clocks and signals, and files by descriptor or below one. */
static const int calls[] = {
    /* memory; W^X is the runtime's own rule, kept by page tables */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
    SCMP_SYS(msync), SCMP_SYS(mincore), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64),
    /* threads, signals, time */
    SCMP_SYS(futex), VXL_HOST_FUTEX_WAITV, SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(gettid),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigsuspend), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall), SCMP_SYS(timer_create), SCMP_SYS(timer_settime), SCMP_SYS(timer_gettime), SCMP_SYS(timer_delete),
    SCMP_SYS(getitimer), SCMP_SYS(setitimer), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrusage),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* who and what this is */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrandom), SCMP_SYS(getcwd), SCMP_SYS(umask),
    /* descriptors */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(sendfile),
    SCMP_SYS(copy_file_range), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe2),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime), SCMP_SYS(flock), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range),
    /* files */
    SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fstatfs),
    SCMP_SYS(getdents64), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(access), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(mkdirat), SCMP_SYS(mknodat), SCMP_SYS(unlinkat), SCMP_SYS(linkat), SCMP_SYS(symlinkat), SCMP_SYS(renameat),
    SCMP_SYS(renameat2), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chmod), SCMP_SYS(utimensat), SCMP_SYS(stat),
    SCMP_SYS(unlink), SCMP_SYS(rename), SCMP_SYS(mkdir),
    /* sockets without addresses: the guest's pairs */
    SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(shutdown), SCMP_SYS(getsockopt),
};
static const int fork_calls[] = {SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(kill), SCMP_SYS(tgkill),
                                 SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal)};
static const int net_calls[] = {SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept4),
                                SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt),
                                SCMP_SYS(sendmsg), SCMP_SYS(recvmsg)};
static const unsigned ioctls[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO};
static const int fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_GETLK, F_SETLK, F_SETLKW,
                             F_GETPIPE_SZ, F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS};

static int allow_all(scmp_filter_ctx filter, const int *list, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++)
        failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, list[i], 0);
    return failed;
}
#define ALLOW_ALL(filter, list) allow_all(filter, list, sizeof(list) / sizeof *(list))

/* A call with its argument number `at` equal to value under mask. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned at, uint64_t mask, uint64_t value)
{
    const struct scmp_arg_cmp is_equal = {at, SCMP_CMP_MASKED_EQ, mask, value};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &is_equal);
}

/* Calls that are harmless with some arguments only. */
static int allow_some(scmp_filter_ctx filter, const struct vxl_filter_options *options)
{
    const uint64_t whole = UINT32_MAX, self = (uint64_t)getpid();
    int failed = allow_if(filter, SCMP_SYS(arch_prctl), 0, whole, ARCH_SET_GS);
    failed |= allow_if(filter, SCMP_SYS(prlimit64), 0, whole, 0);
    failed |= allow_if(filter, SCMP_SYS(socketpair), 0, whole, AF_UNIX);
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
        failed |= allow_if(filter, SCMP_SYS(ioctl), 1, whole, ioctls[i]);
    for (size_t i = 0; i < sizeof fcntls / sizeof *fcntls; i++)
        failed |= allow_if(filter, SCMP_SYS(fcntl), 1, whole, (uint64_t)fcntls[i]);
    failed |= allow_if(filter, SCMP_SYS(clone), 0, CLONE_THREAD_FLAG | NEW_NAMESPACES, CLONE_THREAD_FLAG);
    /* its flags cannot be seen: the C library then uses clone */
    failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (options->can_fork) {
        failed |= ALLOW_ALL(filter, fork_calls);
        failed |= allow_if(filter, SCMP_SYS(clone), 0, CLONE_VM_FLAG | NEW_NAMESPACES, 0);
    } else {
        failed |= allow_if(filter, SCMP_SYS(kill), 0, whole, self);
        failed |= allow_if(filter, SCMP_SYS(tgkill), 0, whole, self);
        failed |= allow_if(filter, SCMP_SYS(rt_tgsigqueueinfo), 0, whole, self);
    }
    if (options->has_net) {
        failed |= ALLOW_ALL(filter, net_calls);
        failed |= allow_if(filter, SCMP_SYS(socket), 0, whole, AF_INET);
        failed |= allow_if(filter, SCMP_SYS(socket), 0, whole, AF_INET6);
        failed |= allow_if(filter, SCMP_SYS(socket), 0, whole, AF_UNIX);
    } else if (options->can_write_caches) {
        failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 0);
    }
    return failed;
}

/* A listed number is no use to a reader who looks for a mistake here: the number is all that a handler can print. */
static void refused(int signal, siginfo_t *info, void *context)
{
    char text[] = "vxrun: host system call 0000 refused by the seccomp filter\n";
    for (unsigned i = 0, number = (unsigned)info->si_syscall; i < 4; i++, number /= 10)
        text[sizeof "vxrun: host system call 0000" - 2 - i] = (char)('0' + number % 10);
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(EXIT_REFUSED);
    _exit(EXIT_REFUSED);
}

bool vxl_filter(const struct vxl_filter_options *options, const char **why)
{
    struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    bool done = false;
    *why = "out of memory";
    if (filter && !ALLOW_ALL(filter, calls) && !allow_some(filter, options)) {
        *why = "the kernel refuses seccomp filters";
        done = sigaction(SIGSYS, &action, NULL) == 0 && seccomp_load(filter) == 0;
    }
    seccomp_release(filter);
    return done;
}

#else

bool vxl_filter(const struct vxl_filter_options *options, const char **why)
{
    *why = "";
    return true;
}

#endif

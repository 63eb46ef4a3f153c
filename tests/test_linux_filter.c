/*
 * The seccomp filter around vxrun: every system call number, and the arguments that make the difference, each in a process
 * of its own.
 */
#include <CUnit/Basic.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "vxrt/linux/filter.c"

#if VX_HAVE_SECCOMP
#define CALL_COUNT 480
#define KILLED (-SIGSYS)

static const struct vxl_filter_options bare, forks = {.can_fork = true}, net = {.has_net = true},
                                       writes = {.can_write_caches = true};

/* How a process ends that raises the filter and makes the call: 0 it was allowed, 125 refused, or KILLED. 2: no filters here, 3: ENOSYS. */
static int try(const struct vxl_filter_options *options, long number, long a, long b, long c)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        const char *why;
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDERR_FILENO);
        if (!vxl_filter(options, &why))
            _exit(2);
        errno = 0;
        long result = number == -1 ? 0 : syscall(number, a, b, c, 0, 0, 0);
        _exit(result == -1 && errno == ENOSYS ? 3 : 0);
    }
    if (waitpid(child, &status, 0) != child)
        return KILLED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define REFUSED(options, ...) CU_ASSERT_EQUAL(try(&(options), __VA_ARGS__), EXIT_REFUSED)
#define ALLOWED(options, ...) CU_ASSERT_EQUAL(try(&(options), __VA_ARGS__), 0)

static bool is_listed(const int *list, size_t count, int number)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == number)
            return true;
    return false;
}
#define IS_LISTED(list, number) is_listed(list, sizeof(list) / sizeof *(list), number)

/* Numbers that are neither listed nor allowed with some arguments. */
static void every_number(void)
{
    static const int some[] = {SCMP_SYS(arch_prctl), SCMP_SYS(prlimit64), SCMP_SYS(socketpair), SCMP_SYS(ioctl), SCMP_SYS(fcntl),
                               SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(kill), SCMP_SYS(tgkill),
                               SCMP_SYS(rt_tgsigqueueinfo)};
    unsigned refused = 0;
    for (int number = 0; number < CALL_COUNT; number++) {
        /* uretprobe, uprobe: the kernel lets them past filters, and refuses them itself where there is no probe */
        if (IS_LISTED(calls, number) || IS_LISTED(some, number) || number == 335 || number == 336)
            continue;
        REFUSED(bare, number, 0, 0, 0);
        refused++;
    }
    printf("%u of %d refused ", refused, CALL_COUNT);
    CU_ASSERT_EQUAL(try(&bare, SCMP_SYS(clone3), 0, 0, 0), 3);
    CU_ASSERT_EQUAL(try(&bare, 0x40000000 | SYS_getpid, 0, 0, 0), KILLED); /* x32 */
}

static void no_program_is_executed(void)
{
    const struct vxl_filter_options all = {true, true, true};
    REFUSED(all, SYS_execve, 0, 0, 0);
    REFUSED(all, SYS_execveat, 0, 0, 0);
    REFUSED(all, SYS_ptrace, 0, 0, 0);
    REFUSED(all, SYS_process_vm_writev, getpid(), 0, 0);
    REFUSED(all, SYS_prctl, 0, 0, 0);
    REFUSED(all, SYS_seccomp, 0, 0, 0);
}

static void arguments(void)
{
    ALLOWED(bare, SYS_ioctl, 0, FIONREAD, 0);
    REFUSED(bare, SYS_ioctl, 0, TIOCSTI, 0);
    ALLOWED(bare, SYS_fcntl, 0, F_GETFL, 0);
    REFUSED(bare, SYS_fcntl, 0, F_SETOWN, 0);
    REFUSED(bare, SYS_fcntl, 0, F_SETSIG, 0);
    ALLOWED(bare, SYS_arch_prctl, ARCH_SET_GS, 0, 0);
    REFUSED(bare, SYS_arch_prctl, ARCH_SET_FS, 0, 0);
    ALLOWED(bare, SYS_prlimit64, 0, RLIMIT_CORE, 0);
    REFUSED(bare, SYS_prlimit64, getpid(), RLIMIT_CORE, 0);
    ALLOWED(bare, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0);
    REFUSED(bare, SYS_socketpair, AF_INET, SOCK_STREAM, 0);
}

static void processes(void)
{
    const long fork_flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
    REFUSED(bare, SYS_clone, fork_flags, 0, 0);
    ALLOWED(forks, SYS_clone, fork_flags, 0, 0);
    REFUSED(forks, SYS_clone, fork_flags | CLONE_NEWUSER, 0, 0);
    REFUSED(forks, SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0);
    REFUSED(bare, SYS_kill, getpid(), 0, 0);
    ALLOWED(forks, SYS_kill, getpid(), 0, 0);
    REFUSED(bare, SYS_tgkill, getpid(), getpid(), 0);
    REFUSED(bare, SYS_wait4, -1, 0, 0);
}

static void sockets(void)
{
    REFUSED(bare, SYS_socket, AF_INET, SOCK_STREAM, 0);
    REFUSED(writes, SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    ALLOWED(net, SYS_socket, AF_INET, SOCK_STREAM, 0);
    ALLOWED(net, SYS_socket, AF_INET6, SOCK_DGRAM, 0);
    ALLOWED(net, SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    REFUSED(net, SYS_socket, AF_NETLINK, SOCK_RAW, 0);
    REFUSED(net, SYS_socket, AF_PACKET, SOCK_RAW, 0);
    REFUSED(bare, SYS_sendmsg, 0, 0, 0);
    ALLOWED(writes, SYS_sendmsg, 0, 0, 0);
}

/* The other way into the kernel from the same process. */
static void i386_calls(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        const char *why;
        long result = 20; /* getpid */
        if (!vxl_filter(&bare, &why))
            _exit(2);
        __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
        _exit(0);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void *refused_in_a_thread(void *nothing)
{
    syscall(SYS_execve, 0, 0, 0);
    return NULL;
}

/* Threads can still be made, have the filter too, and the message names the call. */
static void threads_and_message(void)
{
    int status, pipes[2];
    char text[200] = {0};
    CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        const char *why;
        pthread_t thread;
        dup2(pipes[1], STDERR_FILENO);
        if (!vxl_filter(&bare, &why) || pthread_create(&thread, NULL, refused_in_a_thread, NULL))
            _exit(2);
        pthread_join(thread, NULL);
        _exit(0);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(WEXITSTATUS(status), EXIT_REFUSED);
    CU_ASSERT(read(pipes[0], text, sizeof text - 1) > 0);
    CU_ASSERT_STRING_EQUAL(text, "vxrun: host system call 0059 refused by the seccomp filter\n");
}
#endif

int main(void)
{
#if !VX_HAVE_SECCOMP
    puts("skipped: built without libseccomp");
    return 77;
#else
    CU_initialize_registry();
    if (try(&bare, -1, 0, 0, 0) == 2) {
        puts("skipped: no seccomp filters here");
        return 77;
    }
    CU_pSuite suite = CU_add_suite("linux_filter", NULL, NULL);
    CU_add_test(suite, "every number", every_number);
    CU_add_test(suite, "no program is executed", no_program_is_executed);
    CU_add_test(suite, "arguments", arguments);
    CU_add_test(suite, "processes", processes);
    CU_add_test(suite, "sockets", sockets);
    CU_add_test(suite, "i386 calls", i386_calls);
    CU_add_test(suite, "threads and message", threads_and_message);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
#endif
}

/*
 * A hostile guest of tests/tree_test.py: every attempt to get out of its root, or at a system
 * call that it has no business with, must be refused. Prints what was not; exit code 0 if all was.
 *
 * Expects: /lib/secret-*, /work/secret-* and /other/secret-* (links), / and /other read-only, /work writable, links between
 * them, and no file anywhere inside whose text begins with "SECRET".
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

static int cases, failures;

static void check(const char *what, int is_refused)
{
    cases++;
    if (is_refused)
        return;
    failures++;
    printf("NOT REFUSED: %s (errno %d)\n", what, errno);
}

#define REFUSED(call) check(#call, (errno = 0, (long)(call) == -1))
#define REFUSED_WITH(code, call) check(#call, (errno = 0, (long)(call) == -1 && errno == (code)))

/* A file that cannot be opened, or whose text is no secret: paths may lead to something inside. */
static int has_no_secret(int fd)
{
    char text[64] = "";
    if (fd < 0)
        return 1;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    return size < 6 || memcmp(text, "SECRET", 6) != 0;
}

static void paths(const char *outside)
{
    static const char *const names[] = {
        "/lib/secret-absolute", "/lib/secret-relative", "/lib/secret-chain", "/lib/secret-up/secret", "/lib/secret-root",
        "/work/secret-absolute", "/work/secret-relative", "/work/secret-up/secret", "/work/secret-proc",
        "/work/over/secret-absolute", "/work/over/secret-up/secret", "/other/secret-chain", "/other/back/secret-relative",
        "/other/back/over/back/secret-up/../secret", "/other/secret-top/secret", "/other/back/../../secret", "/other/../secret",
        "/work/over/../other/secret-relative", "/lib/secret-mount/secret-relative", "/lib/secret-mount/../../secret",
        "/proc/self/root/secret", "/proc/self/cwd/../secret", "/proc/1/root/etc/passwd", "/proc/self/mem", "/proc/self/maps",
        "/proc/self/fd/10", "/proc/thread-self/root", "/../secret", "/../../../../../../../secret", "/lib/../../secret",
        "/lib/./.././../secret", "//..//secret", "/work/../../secret", "/lib/secret-loop", "/sys/kernel/notes", "/dev/mem",
        "/dev/tty", "/dev/kmsg", "/dev/fd/10", "/dev/shm"};
    char path[4096], name[256];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "open %s", names[i]);
        check(name, has_no_secret(open(names[i], O_RDONLY)));
    }
    snprintf(path, sizeof path, "%s/secret", outside);
    check("the host's own path", has_no_secret(open(path, O_RDONLY)));
    snprintf(path, sizeof path, "/../../../..%s/secret", outside);
    check("the host's own path, from above", has_no_secret(open(path, O_RDONLY)));
    memset(path, 'a', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 2)
        path[i] = '/';
    path[sizeof path - 1] = 0;
    REFUSED(open(path, O_RDONLY));
}

static void directories(void)
{
    char path[4096];
    int lib = open("/lib", O_RDONLY | O_DIRECTORY), to_link = open("/lib/secret-up", O_PATH | O_NOFOLLOW);
    check("openat above a descriptor", has_no_secret(openat(lib, "../secret", O_RDONLY)));
    check("openat far above a descriptor", has_no_secret(openat(lib, "../../../secret", O_RDONLY)));
    check("openat below a link's descriptor", has_no_secret(openat(to_link, "secret", O_RDONLY)));
    for (int i = 0; i < 50; i++)
        (void)!chdir("..");
    check("above the root by chdir", getcwd(path, sizeof path) && !strcmp(path, "/") && has_no_secret(open("secret", O_RDONLY)));
    check("a link to the outside by chdir", chdir("/lib/secret-up") != 0 || has_no_secret(open("secret", O_RDONLY)));
    check("the working directory stays inside", getcwd(path, sizeof path) && path[0] == '/');
    (void)!chdir("/work");
    (void)!fchdir(lib);
    check("above the root by fchdir", has_no_secret(open("../secret", O_RDONLY)));
    (void)!chdir("/work");
    /* a directory that was opened, and then moved deeper or removed */
    mkdir("d", 0700);
    mkdir("d/e", 0700);
    int moved = open("d/e", O_RDONLY | O_DIRECTORY);
    rename("d/e", "e");
    rmdir("d");
    check("above a moved directory", has_no_secret(openat(moved, "../../secret", O_RDONLY)));
    rmdir("e");
    check("links made by the guest", symlink("../../../../secret", "own") == 0 && has_no_secret(open("own", O_RDONLY)));
    unlink("own");
    check("links made by the guest, absolute", symlink("/proc/self/root", "own") == 0 && has_no_secret(open("own/secret", O_RDONLY)));
    unlink("own");
    REFUSED(syscall(437, -100, "/../secret", path, 24)); /* openat2 */
    REFUSED(syscall(341, -100, "/", path, path, 0));     /* name_to_handle_at */
    REFUSED(syscall(342, -100, path, 0));                /* open_by_handle_at */
    REFUSED(mkfifo("../../fifo", 0600));
    REFUSED(mkdir("../..", 0700));
    REFUSED(rmdir("/"));
    REFUSED(rename("/work", "/lib/work"));
    REFUSED(rename("..", "x"));
    REFUSED(link("/lib/secret-absolute", "stolen/x"));
    REFUSED(link("/lib/prog", "/work/x"));
    REFUSED_WITH(EROFS, open("/work/over/new", O_CREAT | O_WRONLY, 0600));
    REFUSED_WITH(EROFS, mkdir("/work/over/new", 0700));
    REFUSED_WITH(EROFS, unlink("/work/over/plain"));
    REFUSED_WITH(EROFS, rename("/work/over/plain", "/work/plain"));
    REFUSED(link("/work/over/plain", "/work/plain"));
    REFUSED_WITH(EROFS, chmod("/work/to-plain", 0777));
    REFUSED_WITH(EROFS, truncate("/work/to-plain", 0));
    REFUSED_WITH(EROFS, open("/work/to-plain", O_RDWR));
    close(lib);
    close(to_link);
    close(moved);
}

static void writing(void)
{
    const struct timeval times[2] = {{1, 0}, {1, 0}};
    REFUSED_WITH(EROFS, open("/new", O_CREAT | O_WRONLY, 0600));
    REFUSED_WITH(EROFS, open("/lib/libc.so.6", O_WRONLY));
    REFUSED_WITH(EROFS, open("/lib/libc.so.6", O_RDONLY | O_TRUNC));
    REFUSED_WITH(EROFS, open("/work/../lib/libc.so.6", O_RDWR));
    REFUSED_WITH(EROFS, truncate("/lib/libc.so.6", 0));
    REFUSED_WITH(EROFS, unlink("/lib/libc.so.6"));
    REFUSED_WITH(EROFS, rename("/lib/libc.so.6", "/lib/x"));
    REFUSED(rename("/lib/libc.so.6", "/work/x"));
    REFUSED_WITH(EROFS, mkdir("/d", 0700));
    REFUSED_WITH(EROFS, symlink("a", "/b"));
    REFUSED_WITH(EROFS, chmod("/lib/libc.so.6", 0777));
    REFUSED_WITH(EROFS, utimes("/lib/libc.so.6", times));
    REFUSED(chown("/lib/libc.so.6", 0, 0));
    int fd = open("/lib/libc.so.6", O_RDONLY);
    REFUSED(write(fd, "x", 1));
    REFUSED(ftruncate(fd, 0));
    REFUSED(fchmod(fd, 0777));
    REFUSED(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    char *text = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char first;
    memset(text, 'x', 4);
    check("a private mapping writes the file", pread(fd, &first, 1, 0) == 1 && first == 0x7f);
    close(fd);
    int bits = open("/work/set", O_CREAT | O_WRONLY, 06777);
    struct stat st = {0};
    check("set-user-ID by open", fstat(bits, &st) == 0 && !(st.st_mode & 06000));
    (void)!fchmod(bits, 06777);
    check("set-user-ID by fchmod", fstat(bits, &st) == 0 && !(st.st_mode & 06000));
    close(bits);
    unlink("/work/set");
    REFUSED(mknod("/work/null", S_IFCHR | 0666, 0x103));
}

static void calls(void)
{
    static const struct { int number; const char *name; } never[] = {
        {26, "ptrace"}, {21, "mount"}, {22, "umount"}, {61, "chroot"}, {217, "pivot_root"}, {310, "unshare"}, {346, "setns"},
        {347, "process_vm_readv"}, {348, "process_vm_writev"}, {128, "init_module"}, {350, "finit_module"}, {129, "delete_module"},
        {283, "kexec_load"}, {88, "reboot"}, {357, "bpf"}, {336, "perf_event_open"}, {374, "userfaultfd"}, {288, "keyctl"},
        {286, "add_key"}, {425, "io_uring_setup"}, {101, "ioperm"}, {110, "iopl"}, {123, "modify_ldt"}, {356, "memfd_create"},
        {117, "ipc"}, {103, "syslog"}, {79, "settimeofday"}, {264, "clock_settime"}, {87, "swapon"}, {51, "acct"},
        {74, "sethostname"}, {131, "quotactl"}, {434, "pidfd_open"}, {438, "pidfd_getfd"}, {424, "pidfd_send_signal"},
        {429, "move_mount"}, {430, "fsopen"}, {428, "open_tree"}, {444, "landlock_create_ruleset"}, {354, "seccomp"},
        {387, "io_setup"}, {245, "io_setup"}, {316, "vmsplice"}, {338, "fanotify_init"}, {332, "inotify_init1"}, {511, "no such call"}};
    char memory[256] = "", name[64];
    for (unsigned i = 0; i < sizeof never / sizeof *never; i++) {
        snprintf(name, sizeof name, "%s", never[i].name);
        check(name, syscall(never[i].number, memory, memory, 0, memory, 0, 0) == -1);
    }
    REFUSED(kill(1, 0));
    REFUSED(kill(getppid() ? getppid() : 1, SIGTERM));
    REFUSED(kill(-12345, SIGTERM));
    REFUSED(syscall(SYS_tgkill, 1, 1, SIGTERM));
    REFUSED(setuid(0));
    REFUSED(setgid(0));
    REFUSED(syscall(SYS_setresuid32, 0, 0, 0));
    REFUSED(prctl(PR_SET_SECCOMP, 2, memory));
    REFUSED(prctl(PR_SET_MM, 1, 0x1000, 0, 0));
    REFUSED(prctl(PR_SET_PDEATHSIG, SIGKILL));
    REFUSED(syscall(SYS_clone, 0x10000000 | SIGCHLD, 0)); /* CLONE_NEWUSER */
    REFUSED(syscall(SYS_clone, 0x00020000 | SIGCHLD, 0)); /* CLONE_NEWNS */
    REFUSED(setpriority(PRIO_PROCESS, 1, -20));
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    REFUSED(setrlimit(RLIMIT_NPROC, &unlimited));
    REFUSED(fcntl(0, F_SETOWN, 1));
    REFUSED(fcntl(0, 1026, 1)); /* F_NOTIFY */
    REFUSED(ioctl(0, TIOCSTI, "x"));
    REFUSED(ioctl(0, TIOCSCTTY, 1));
    REFUSED(fcntl(200, F_GETFD));
    REFUSED(dup(1000000));
    long socket_arguments[3] = {2, 1, 0};
    REFUSED(syscall(SYS_socketcall, 1, socket_arguments));
    REFUSED(syscall(359, 2, 1, 0));  /* socket(AF_INET) */
    REFUSED(syscall(359, 16, 3, 0)); /* socket(AF_NETLINK) */
    REFUSED(syscall(359, 1, 1, 0));  /* socket(AF_UNIX) */
}

static void memory(void)
{
    const struct iovec huge[2] = {{(void *)0x10000, 0x7fffffff}, {(void *)0x10000, 0x7fffffff}};
    char byte;
    int fd = open("/lib/libc.so.6", O_RDONLY);
    REFUSED_WITH(EFAULT, read(fd, (void *)0xffffff00, 0x80));
    REFUSED_WITH(EFAULT, read(fd, (void *)0xfffffff0, 0x7ffff000));
    REFUSED_WITH(EFAULT, read(fd, NULL, 16));
    REFUSED_WITH(EFAULT, open((const char *)0xffffffff, O_RDONLY));
    REFUSED_WITH(EFAULT, syscall(SYS_stat64, "/", 0xfffffffc));
    REFUSED(readv(fd, huge, 2));
    REFUSED(readv(fd, huge, -1));
    REFUSED(readv(fd, huge, 1 << 20));
    REFUSED(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
    REFUSED(mmap((void *)0xfffff000, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
    REFUSED(mmap(NULL, 0xfffff000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    REFUSED(munmap((void *)0xfffff000, 0x7fffffff));
    REFUSED(mprotect((void *)0xffffe000, 0x10000, PROT_READ));
    REFUSED(mremap((void *)0xfffff000, 4096, 0xf0000000, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    REFUSED(pread(fd, &byte, 1, -1));
    REFUSED(syscall(SYS_getdents64, fd, &byte, 1));
    close(fd);
}

static sigjmp_buf back;
static void on_signal(int number)
{
    siglongjmp(back, number);
}

#define DIES(text, code) \
    do { \
        int got = sigsetjmp(back, 1); \
        if (!got) \
            __asm__ volatile(code ::: "eax", "ecx", "edx", "memory"); \
        check(text, got == SIGSEGV || got == SIGILL || got == SIGBUS); \
    } while (0)

static void instructions(void)
{
    static const int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_signal);
    DIES("far jump to 64-bit code", "ljmp $0x33, $0x1000");
    DIES("far call to 64-bit code", "lcall $0x33, $0x1000");
    DIES("load of a kernel selector", "mov $0x10, %%eax; mov %%ax, %%ds");
    DIES("hlt", "hlt");
    DIES("in", "in $0x60, %%al");
    DIES("cli", "cli");
    DIES("lgdt", "lgdt (%%esp)");
    DIES("wrmsr", "wrmsr");
    DIES("mov to cr3", "mov %%eax, %%cr3");
    DIES("int 0x2e", "int $0x2e");
    DIES("read outside", "mov 0xffffffff, %%eax");
    DIES("write to the zero page", "movl $1, 0");
    DIES("jump outside", "mov $0xfffffff0, %%eax; jmp *%%eax");
}

/* Code in a mapped file that is shorter than the mapping, or gets shorter. */
static void short_file(void)
{
    int fd = open("/work/short", O_CREAT | O_RDWR, 0600), got;
    check("short file", write(fd, "\xc3\x90\xc3", 3) == 3);
    char *code = mmap(NULL, 4 * 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    ((void (*)(void))code)();
    if (!(got = sigsetjmp(back, 1)))
        ((void (*)(void))(code + 8192))();
    check("code past the end of its file", got == SIGBUS);
    check("truncate", ftruncate(fd, 0) == 0);
    if (!(got = sigsetjmp(back, 1)))
        ((void (*)(void))(code + 1))();
    check("code of a file that was cut", got == SIGBUS);
    close(fd);
    unlink("/work/short");
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "race")) { /* somebody swaps a directory for a link to the outside meanwhile */
        int seen = 0;
        for (int i = 0; i < atoi(argv[2]); i++)
            check("race", has_no_secret(open(argv[3], O_RDONLY))), seen++;
        printf("%d tries, %d escapes\n", seen, failures);
        return failures != 0;
    }
    paths(argc > 1 ? argv[1] : "");
    directories();
    writing();
    calls();
    memory();
    instructions();
    short_file();
    printf("%d cases, %d not refused\n", cases, failures);
    return failures != 0;
}

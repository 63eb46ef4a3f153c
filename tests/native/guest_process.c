/*
 * Guest of tests/test_vxrun.py: processes, with vxrun --allow-fork. What it
 * prints must be the same natively and in a box. With an argument it is
 * the program that it executes itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "show.h"

static volatile sig_atomic_t children;
static int shared = 1;

static void on_child(int signal)
{
    children++;
}

static int wait_status(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void forks(void)
{
    int ends[2];
    char text[16] = "";
    pipe(ends);
    pid_t pid = fork();
    if (pid == 0) {
        shared = 2;
        write(ends[1], "child", 5);
        _exit(getppid() > 0 ? 42 : 1);
    }
    int status = wait_status(pid);
    printf("read %zd %s, status %x, memory %d\n", read(ends[0], text, 15), text, status, shared);
    SHOW("again", waitpid(pid, &status, 0));
    if ((pid = fork()) == 0)
        abort();
    printf("aborted %x\n", wait_status(pid) & 0x7f);
    if ((pid = fork()) == 0) {
        *(volatile int *)8 = 0;
        _exit(0);
    }
    printf("crashed %x\n", wait_status(pid) & 0x7f);
    if ((pid = fork()) == 0) {
        pause();
        _exit(0);
    }
    printf("not yet %d\n", waitpid(pid, &status, WNOHANG));
    kill(pid, SIGTERM);
    printf("killed %x\n", wait_status(pid));
    if ((pid = vfork()) == 0)
        _exit(7);
    printf("vfork %x\n", wait_status(pid));
    SHOW("kill others", kill(1 << 21, SIGTERM));
}

static void child_signals(void)
{
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    int ends[2];
    char byte = 0;
    pipe(ends);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t inner = fork();
        if (inner == 0) {
            close(ends[0]); /* the reader below must be the last one */
            usleep(100000);
            write(ends[1], "x", 1);
            _exit(0);
        }
        _exit(3);
    }
    /* SIGCHLD comes while this waits; it goes on */
    ssize_t size = read(ends[0], &byte, 1);
    int status = wait_status(pid);
    printf("read %zd %c status %x children %d\n", size, byte, status, children);
    signal(SIGCHLD, SIG_DFL);
    /* writing into a closed pipe */
    close(ends[0]);
    if ((pid = fork()) == 0) {
        write(ends[1], "x", 1);
        _exit(0);
    }
    printf("pipe %x\n", wait_status(pid));
    signal(SIGPIPE, SIG_IGN);
    SHOW("write", write(ends[1], "x", 1));
    signal(SIGPIPE, SIG_DFL);
}

static void executes(const char *self)
{
    int ends[2];
    char text[256] = "";
    posix_spawn_file_actions_t actions;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {"name", "executed", "a b", NULL}, *envp[] = {"K=V", NULL};
        execve(self, argv, envp);
        _exit(1);
    }
    printf("exec status %x\n", wait_status(pid));
    pipe(ends);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    char *argv[] = {"name", "executed", NULL};
    printf("spawn %d\n", posix_spawn(&pid, self, &actions, NULL, argv, argv + 2));
    close(ends[1]);
    printf("status %x\n", wait_status(pid));
    ssize_t size = read(ends[0], text, sizeof text - 1);
    printf("output %zd: %s", size, text);
    char *none[] = {NULL};
    SHOW("missing", execve("missing", argv, none));
    int fd = open("data", O_CREAT | O_WRONLY, 0644);
    close(fd);
    SHOW("not executable", execve("data", argv, none));
    chmod("data", 0755);
    SHOW("not a program", execve("data", argv, none));
    unlink("data");
}

static void scheduling(void)
{
    struct sched_param param = {0};
    struct timespec interval;
    cpu_set_t set, got;
    SHOW("policy", sched_getscheduler(0));
    SHOW("policy of nobody", sched_getscheduler(-1));
    SHOW("the same policy", sched_setscheduler(0, SCHED_OTHER, &param));
    SHOW("no policy", sched_setscheduler(getpid(), 99, &param));
    param.sched_priority = 5;
    SHOW("a priority", sched_setparam(0, &param));
    SHOW("priority of nobody", sched_setparam(-1, &param));
    param.sched_priority = 100;
    SHOW("too much of it", sched_setscheduler(0, SCHED_FIFO, &param));
    for (int policy = -1; policy < 7; policy++)
        printf("policy %d: %d to %d\n", policy, sched_get_priority_min(policy), sched_get_priority_max(policy));
    SHOW("interval", sched_rr_get_interval(0, &interval));
    CPU_ZERO(&set);
    SHOW("no processor", sched_setaffinity(0, sizeof set, &set));
    SHOW("processors", sched_getaffinity(0, sizeof set, &set) < 0);
    SHOW("processors of nobody", sched_getaffinity(-1, sizeof got, &got));
    for (int i = CPU_SETSIZE - 1, left = CPU_COUNT(&set); i >= 0 && left > 1; i--)
        if (CPU_ISSET(i, &set))
            CPU_CLR(i, &set), left--;
    SHOW("one processor", sched_setaffinity(0, sizeof set, &set));
    sched_getaffinity(getpid(), sizeof got, &got);
    printf("%d, the same: %d\n", CPU_COUNT(&got), CPU_EQUAL(&got, &set));
}

/* Ends of children that nobody is told of, and who waits for one. */
static void ignored_children(void)
{
    struct timespec some = {5, 0};
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (int i = 0; i < 3; i++) {
        struct sigaction action = {.sa_handler = i == 0 ? SIG_IGN : SIG_DFL, .sa_flags = i == 1 ? SA_NOCLDWAIT : 0};
        sigaction(SIGCHLD, &action, NULL);
        pid_t first = fork();
        if (first == 0)
            _exit(1);
        pid_t second = fork();
        if (second == 0) {
            usleep(100000);
            _exit(2);
        }
        SHOW("the first", waitpid(first, NULL, 0) == first);
        SHOW("any", wait(NULL) == second);
        SHOW("none", wait(NULL));
    }
    sigprocmask(SIG_BLOCK, &set, &old);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            usleep(i * 50000);
            _exit(3);
        }
        SHOW("told", sigtimedwait(&set, NULL, &some));
        printf("status %x\n", wait_status(pid));
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "executed")) {
        char *value = getenv("K");
        printf("executed %d '%s' '%s' K=%s\n", argc, argv[0], argv[argc - 1], value ? value : "");
        return 5;
    }
    setvbuf(stdout, NULL, _IONBF, 0);
    forks();
    child_signals();
    ignored_children();
    executes(argc > 1 ? argv[1] : argv[0]);
    struct rusage usage;
    printf("usage %d\n", getrusage(RUSAGE_CHILDREN, &usage));
    SHOW("no children", wait(NULL));
    scheduling();
    return 0;
}

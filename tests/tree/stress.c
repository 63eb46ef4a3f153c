/*
 * Threads of a guest of tests/tree_test.py that work against each other: what one does must not stop or harm the others.
 * Large writes to a pipe that a thread reads, record locks and flock between threads' descriptors, named pipes, signals to
 * the process that only some threads take, cancelling in every blocking call, descriptors closed under a reader, timed
 * waits, thread-specific data, mutexes of all kinds, code that one thread writes and others run, fork and execve out of
 * threads. The output does not depend on their order. Arguments: a directory to write in, and this program's path.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BYTES (3 << 20)

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    if (pthread_create(thread, NULL, run, arg)) {
        printf("cannot create a thread\n");
        exit(1);
    }
}

static long join(pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    return (long)result;
}

/* ---- pipes and sockets ----------------------------------------------- */

static void *sum_of(void *arg)
{
    int fd = *(int *)arg;
    unsigned char buffer[5000];
    unsigned sum = 0;
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 31 + buffer[i];
    return (void *)(long)(sum & 0x7fffffff);
}

static void *fill_buffer(void *arg)
{
    char buffer[1000];
    return (void *)(long)recv(*(int *)arg, buffer, sizeof buffer, MSG_WAITALL);
}

static void streams(void)
{
    static unsigned char bytes[BYTES];
    pthread_t reader;
    int ends[2], pair[2];
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 7 + (i >> 8));
    if (pipe(ends) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        return;
    start(&reader, sum_of, &ends[0]);
    ssize_t done = write(ends[1], bytes, BYTES);
    close(ends[1]);
    printf("pipe %d %ld\n", (int)done, join(reader));
    start(&reader, sum_of, &pair[0]);
    size_t sent = 0;
    while (sent < BYTES && (done = send(pair[1], bytes + sent, BYTES - sent, 0)) > 0)
        sent += (size_t)done;
    shutdown(pair[1], SHUT_WR);
    printf("socket %d %ld\n", (int)sent, join(reader));
    start(&reader, fill_buffer, &pair[1]);
    for (int i = 0; i < 10; i++) {
        usleep(1000);
        if (write(pair[0], bytes + 100 * i, 100) != 100)
            printf("short write\n");
    }
    printf("whole %ld\n", join(reader));
}

/* ---- locks of files -------------------------------------------------- */

static char path[256];
static _Atomic int in_order;

static void *take_flock(void *arg)
{
    int fd = open(path, O_RDWR);
    int result = flock(fd, LOCK_EX);
    result |= atomic_fetch_add(&in_order, 1) != 1;
    close(fd);
    return (void *)(long)result;
}

static void file_locks(void)
{
    pthread_t thread;
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    flock(fd, LOCK_EX);
    start(&thread, take_flock, NULL);
    usleep(30000);
    atomic_fetch_add(&in_order, 1);
    flock(fd, LOCK_UN);
    printf("flock %ld\n", join(thread));
    /* a child holds a record lock; a thread waits for it while another works */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int ready[2], status;
    if (pipe(ready))
        return;
    pid_t child = fork();
    if (child == 0) {
        fcntl(fd, F_SETLK, &lock);
        if (write(ready[1], "", 1) != 1)
            _exit(2);
        usleep(60000);
        _exit(7);
    }
    char c;
    if (read(ready[0], &c, 1) != 1)
        return;
    int result = fcntl(fd, F_SETLKW, &lock);
    waitpid(child, &status, 0);
    printf("record lock %d, child %d\n", result, WEXITSTATUS(status));
    close(fd);
}

static void *open_pipe(void *arg)
{
    int fd = open(arg, O_RDONLY);
    char text[16] = "";
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return (void *)(long)(n == 5 && !strcmp(text, "hello"));
}

static void named_pipe(void)
{
    pthread_t thread;
    unlink(path);
    if (mkfifo(path, 0600))
        printf("no fifo\n");
    start(&thread, open_pipe, path);
    usleep(20000);
    int fd = open(path, O_WRONLY);
    if (write(fd, "hello", 5) != 5)
        printf("no write\n");
    close(fd);
    printf("named pipe %ld\n", join(thread));
    /* cancelled while it waits for a writer */
    start(&thread, open_pipe, path);
    usleep(20000);
    pthread_cancel(thread);
    printf("cancelled in open %d\n", join(thread) == (long)PTHREAD_CANCELED);
    unlink(path);
}

/* ---- signals --------------------------------------------------------- */

static _Atomic int taken;
static pthread_t taker;
static void take(int number)
{
    taken += pthread_equal(pthread_self(), taker) ? 1 : 100;
}

static void *take_signals(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (volatile unsigned spin = 0; taken < 10; spin++)
        ;
    struct timespec second = {5, 0};
    while (taken < 20)
        nanosleep(&second, NULL);
    return NULL;
}

static void *wait_for_set(void *arg)
{
    sigset_t set;
    int number = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigwait(&set, &number);
    return (void *)(long)(number - SIGRTMIN);
}

static void signals(void)
{
    sigset_t set;
    pthread_t waiter;
    signal(SIGUSR2, take);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 3);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    start(&taker, take_signals, NULL);
    for (int i = 1; i <= 20; i++) {
        kill(getpid(), SIGUSR2);
        while (taken < i)
            sched_yield();
    }
    join(taker);
    printf("signals %d\n", taken);
    start(&waiter, wait_for_set, NULL);
    kill(getpid(), SIGRTMIN + 3);
    printf("sigwait %ld\n", join(waiter));
}

/* ---- cancelling ------------------------------------------------------ */

static int quiet[2];
static sem_t never;
static void *in_read(void *arg) { char c; return (void *)(long)read(quiet[0], &c, 1); }
static void *in_sem(void *arg) { return (void *)(long)sem_wait(&never); }
static void *in_sleep(void *arg) { return (void *)(long)sleep(100); }
static void *in_join(void *arg) { return (void *)(long)pthread_join(*(pthread_t *)arg, NULL); }
static void *in_wait(void *arg) { int status; return (void *)(long)waitpid(-1, &status, 0); }

static void cancelling(void)
{
    pthread_t threads[5], forever;
    if (pipe(quiet) || sem_init(&never, 0, 0))
        return;
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    start(&forever, in_read, NULL);
    start(&threads[0], in_read, NULL);
    start(&threads[1], in_sem, NULL);
    start(&threads[2], in_sleep, NULL);
    start(&threads[3], in_join, &forever);
    start(&threads[4], in_wait, NULL);
    usleep(30000);
    int count = 0;
    for (int i = 0; i < 5; i++) {
        pthread_cancel(threads[i]);
        count += join(threads[i]) == (long)PTHREAD_CANCELED;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    if (write(quiet[1], "x", 1) != 1)
        printf("no write\n");
    printf("cancelled %d, read %ld\n", count, join(forever));
}

/* ---- memory, locks, thread-specific data ----------------------------- */

static pthread_key_t key;
static _Atomic int destroyed;
static pthread_mutex_t recursive;
static pthread_spinlock_t spin;
static int plain, spun;

static void destroy(void *value)
{
    destroyed += *(int *)value;
    free(value);
}

static void *mixed(void *arg)
{
    int *own = malloc(sizeof *own);
    *own = (int)(long)arg;
    pthread_setspecific(key, own);
    for (int i = 0; i < 2000; i++) {
        size_t size = 4096u * (unsigned)(1 + i % 5);
        char *block = malloc((size_t)(i % 300) + 1);
        block[0] = 1;
        pthread_mutex_lock(&recursive);
        pthread_mutex_lock(&recursive);
        plain++;
        pthread_mutex_unlock(&recursive);
        pthread_mutex_unlock(&recursive);
        pthread_spin_lock(&spin);
        spun++;
        pthread_spin_unlock(&spin);
        free(block);
        if (i % 50)
            continue;
        char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(pages, 1, size);
        mprotect(pages, 4096, PROT_READ);
        munmap(pages, size);
    }
    return NULL;
}

static void memory(void)
{
    pthread_t threads[8];
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attributes);
    pthread_spin_init(&spin, 0);
    pthread_key_create(&key, destroy);
    for (long i = 0; i < 8; i++)
        start(&threads[i], mixed, (void *)(i + 1));
    for (int i = 0; i < 8; i++)
        join(threads[i]);
    printf("memory %d %d %d\n", plain, spun, destroyed);
}

/* ---- futexes --------------------------------------------------------- */

static int words[2];

static void *wait_on_word(void *arg)
{
    long number = (long)arg;
    while (*(volatile int *)&words[number] == 5)
        syscall(SYS_futex, &words[number], 0 /* WAIT */, 5, NULL, NULL, 0);
    return (void *)(long)words[number];
}

static void wake_op(void)
{
    pthread_t threads[2];
    words[0] = words[1] = 5;
    for (long i = 0; i < 2; i++)
        start(&threads[i], wait_on_word, (void *)i);
    usleep(20000);
    /* *second += 2; wake the first, and the second as it was greater than 4 */
    words[0] = 9;
    int woken = (int)syscall(SYS_futex, &words[0], 5, 1, 1, &words[1], 1u << 28 | 4u << 24 | 2u << 12 | 4u);
    /* one that had not begun to wait sees the new value, and is not counted */
    long first = join(threads[0]), second = join(threads[1]);
    printf("wake op %d %ld %ld, ", woken >= 0 && woken <= 2, first, second);
    /* a comparison that does not exist is found when the operation is done */
    woken = (int)syscall(SYS_futex, &words[0], 5, 1, 1, &words[1], 9u << 24);
    printf("refused %d %d, word %d\n", woken, errno == ENOSYS, words[1]);
}

/* ---- code ------------------------------------------------------------ */

static unsigned char *code;
static _Atomic int version, seen[3];

static void *run_code(void *arg)
{
    int (*function)(void) = (int (*)(void))(void *)code;
    _Atomic int *last = arg;
    int now = 0;
    while (now != 40) {
        now = function();
        if (now < *last || now > version)
            return (void *)1L;
        *last = now;
    }
    return NULL;
}

static void writing_code(void)
{
    static const unsigned char text[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* movl $0, %eax; ret */
    pthread_t threads[3];
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, text, sizeof text);
    for (int i = 0; i < 3; i++)
        start(&threads[i], run_code, (void *)&seen[i]);
    for (int i = 1; i <= 40; i++) {
        version = i;
        *(volatile unsigned char *)(code + 1) = (unsigned char)i;
        while (seen[0] < i || seen[1] < i || seen[2] < i)
            sched_yield();
    }
    long bad = 0;
    for (int i = 0; i < 3; i++)
        bad += join(threads[i]);
    printf("code %ld\n", bad);
}

/* ---- processes ------------------------------------------------------- */

static _Atomic int is_over;
static void *busy(void *arg)
{
    while (!is_over)
        ;
    return NULL;
}

static void *fork_and_wait(void *arg)
{
    int status = 0, sum = 0;
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t thread;
            start(&thread, in_sleep, NULL);
            pthread_cancel(thread);
            _exit(join(thread) == (long)PTHREAD_CANCELED ? (int)(long)arg : 99);
        }
        waitpid(child, &status, 0);
        sum += WEXITSTATUS(status);
    }
    return (void *)(long)sum;
}

static void *exec_now(void *arg)
{
    char *const argv[] = {arg, NULL};
    usleep(20000);
    fflush(stdout);
    execv(arg, argv);
    printf("no execve: %s\n", strerror(errno));
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[3], spinner;
    setvbuf(stdout, NULL, _IOFBF, 4096);
    if (argc < 3) {
        memory();
        printf("after execve\n");
        return 6;
    }
    snprintf(path, sizeof path, "%s/stress", argv[1]);
    streams();
    file_locks();
    named_pipe();
    signals();
    cancelling();
    memory();
    wake_op();
    writing_code();
    start(&spinner, busy, NULL);
    fflush(stdout);
    for (long i = 0; i < 3; i++)
        start(&threads[i], fork_and_wait, (void *)(i + 1));
    for (int i = 0; i < 3; i++)
        printf("forked %ld\n", join(threads[i]));
    fflush(stdout);
    start(&threads[0], exec_now, argv[2]);
    join(threads[0]); /* never ends */
    return 1;
}

/*
 * Locks between processes: mutexes (plain, recursive, robust), condition variables, read-write locks, barriers and semaphores with and without a
 * name, in memory shared with forked children, some of which have threads; raw futexes with time limits and signals.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 4
#define ROUNDS 300

static struct shared {
    pthread_mutex_t mutex, robust, recursive;
    pthread_cond_t changed;
    pthread_rwlock_t rw;
    pthread_barrier_t barrier;
    sem_t items, room;
    int counter, turn, sum, readers, word, other, ready;
} *s;

static int futex(int *at, int operation, int value, const struct timespec *limit, int *second, int third)
{
    return (int)syscall(SYS_futex, at, operation, value, limit, second, third);
}

static void say(const char *what, int result)
{
    printf("%s: %d %d\n", what, result, result < 0 ? errno : 0);
}

static void make(void)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;
    pthread_rwlockattr_t rw;
    pthread_barrierattr_t barrier;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->mutex, &mutex);
    pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->recursive, &mutex);
    pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_NORMAL);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->robust, &mutex);
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&s->changed, &cond);
    pthread_rwlockattr_init(&rw);
    pthread_rwlockattr_setpshared(&rw, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&s->rw, &rw);
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&s->barrier, &barrier, CHILDREN);
    sem_init(&s->items, 1, 0);
    sem_init(&s->room, 1, 3);
}

static void *count(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&s->mutex);
        int old = s->counter;
        if (i % 16 == 0)
            sched_yield();
        s->counter = old + 1;
        pthread_mutex_unlock(&s->mutex);
        pthread_mutex_lock(&s->recursive);
        pthread_mutex_lock(&s->recursive);
        s->sum++;
        pthread_mutex_unlock(&s->recursive);
        pthread_mutex_unlock(&s->recursive);
    }
    return argument;
}

/* In turns: each child is woken for its own. */
static void take_turns(int self)
{
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&s->mutex);
        while (s->turn % CHILDREN != self)
            pthread_cond_wait(&s->changed, &s->mutex);
        s->turn++;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->mutex);
    }
}

static int child(int self)
{
    pthread_t thread;
    int has_thread = self % 2;
    if (has_thread && pthread_create(&thread, NULL, count, NULL))
        return 1;
    count(NULL);
    if (has_thread)
        pthread_join(thread, NULL);
    pthread_barrier_wait(&s->barrier);
    take_turns(self);
    for (int i = 0; i < 50; i++) {
        pthread_rwlock_rdlock(&s->rw);
        int seen = s->readers;
        pthread_rwlock_unlock(&s->rw);
        pthread_rwlock_wrlock(&s->rw);
        s->readers += seen >= 0;
        pthread_rwlock_unlock(&s->rw);
    }
    for (int i = 0; i < 40; i++) {
        sem_wait(self % 2 ? &s->room : &s->items);
        sem_post(self % 2 ? &s->items : &s->room);
    }
    return 10 + self;
}

static void children(void)
{
    int status, codes = 0;
    fflush(stdout);
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0)
            _exit(child(i));
    for (int i = 0; i < CHILDREN; i++) {
        wait(&status);
        codes += WEXITSTATUS(status);
    }
    sem_getvalue(&s->items, &status);
    printf("codes %d, counter %d, sum %d, turns %d, readers %d, items %d\n", codes, s->counter, s->sum, s->turn, s->readers, status);
}

static void owners_that_die(void)
{
    for (int way = 0; way < 3; way++) {
        int status;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            pthread_mutex_lock(&s->robust);
            __atomic_store_n(&s->ready, way + 1, __ATOMIC_SEQ_CST);
            while (way == 2) /* in the lock while the parent waits for it */
                if (__atomic_load_n((int *)&s->robust, __ATOMIC_SEQ_CST) < 0)
                    abort();
                else
                    usleep(1000);
            way == 0 ? _exit(3) : abort();
        }
        while (__atomic_load_n(&s->ready, __ATOMIC_SEQ_CST) != way + 1)
            usleep(1000);
        int got = pthread_mutex_lock(&s->robust);
        printf("owner died: %d", got == EOWNERDEAD);
        printf(", consistent: %d", pthread_mutex_consistent(&s->robust));
        printf(", unlock: %d", pthread_mutex_unlock(&s->robust));
        waitpid(pid, &status, 0);
        printf(", status %x\n", status & 0xff7f);
    }
}

static void named(void)
{
    char name[32];
    sprintf(name, "/vx-pshared-%d", (int)getpid());
    sem_t *one = sem_open(name, O_CREAT | O_EXCL, 0600, 0), *two;
    if (one == SEM_FAILED) {
        printf("sem_open: %s\n", strerror(errno));
        return;
    }
    fflush(stdout);
    if (fork() == 0) {
        two = sem_open(name, 0);
        for (int i = 0; i < 5; i++)
            sem_post(two);
        _exit(0);
    }
    for (int i = 0; i < 5; i++)
        sem_wait(one);
    wait(NULL);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_nsec += 20000000;
    now.tv_sec += now.tv_nsec / 1000000000;
    now.tv_nsec %= 1000000000;
    int result = sem_timedwait(one, &now);
    say("named", result);
    say("unlink", sem_unlink(name));
}

static volatile int signals;
static void on_signal(int number)
{
    signals++;
}

static void raw(void)
{
    const struct timespec soon = {0, 20000000}, bad = {0, 1000000000};
    struct sigaction action = {.sa_handler = on_signal};
    int *alias, fd = open("pshared.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    sigaction(SIGALRM, &action, NULL);
    say("other value", futex(&s->word, FUTEX_WAIT, 1, NULL, NULL, 0));
    say("time", futex(&s->word, FUTEX_WAIT, 0, &soon, NULL, 0));
    say("bad time", futex(&s->word, FUTEX_WAIT, 0, &bad, NULL, 0));
    say("odd address", futex((int *)((char *)&s->word + 1), FUTEX_WAIT, 0, &soon, NULL, 0));
    say("nobody", futex(&s->word, FUTEX_WAKE, 1, NULL, NULL, 0));
    say("no bits", futex(&s->word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    const struct itimerval timer = {{0, 20000}, {0, 20000}}, none = {0}; /* the first may come before the wait */
    setitimer(ITIMER_REAL, &timer, NULL);
    int result = futex(&s->word, FUTEX_WAIT, 0, NULL, NULL, 0);
    say("signal", result);
    setitimer(ITIMER_REAL, &none, NULL);
    printf("%d\n", signals > 0);
    /* one page at two addresses, and in a child */
    (void)!ftruncate(fd, 4096);
    int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    alias = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(futex(word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ? 4 : 5);
    int woken = 0, status;
    while (!woken) {
        woken = futex(alias, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        usleep(1000);
    }
    waitpid(pid, &status, 0);
    printf("by another address: %d, status %x\n", woken, status);
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(futex(&s->word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ? 6 : 7);
    while (futex(&s->other, FUTEX_WAKE_OP, 1, (void *)1, &s->word, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) == 0)
        usleep(1000);
    waitpid(pid, &status, 0);
    printf("by an operation: status %x\n", status);
    close(fd);
    unlink("pshared.file");
}

int main(void)
{
    make();
    children();
    owners_that_die();
    named();
    raw();
    return 0;
}

/*
 * Threads of a guest of tests/tree_test.py: locks, conditions, TLS, signals to threads, cancelling, timed waits,
 * pipes between them, fork beside them. The output does not depend on their order.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 12
#define ROUNDS 20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static int turn, counter;
static _Atomic int spun, handled;
static __thread int local;
static __thread double real = 0.5;

static void *count(void *arg)
{
    int own = (int)(long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        local += own;
        real += own * 0.25;
        atomic_fetch_add(&spun, 1);
    }
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&lock);
    while (turn != own)
        pthread_cond_wait(&condition, &lock);
    printf("thread %d: %d %.2f\n", own, local, real);
    turn++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&lock);
    return (void *)(long)(own * own);
}

static void counting(void)
{
    pthread_t threads[THREADS];
    long sum = 0;
    void *result;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, count, (void *)i))
            printf("cannot create\n");
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("%d %d %ld\n", counter, spun, sum);
}

/* A thread that computes, without a call, does not keep the others from running. */
static _Atomic int is_over;
static void *spin(void *arg)
{
    volatile double x = 1;
    while (!is_over)
        x = x * 1.0000001 + 0.5;
    return NULL;
}

static void *bytes(void *arg)
{
    int *ends = arg;
    char c;
    int n = 0;
    while (read(ends[0], &c, 1) == 1)
        n += c;
    return (void *)(long)n;
}

static void on_signal(int number)
{
    handled += number == SIGUSR1;
}

static void *wait_for_signal(void *arg)
{
    struct timespec long_time = {20, 0};
    sem_post(&semaphore);
    int result = nanosleep(&long_time, NULL);
    return (void *)(long)(result == -1 && errno == EINTR && handled == 1);
}

static void *forever(void *arg)
{
    sem_post(&semaphore);
    for (;;)
        pause();
    return NULL;
}

static void waits(void)
{
    pthread_t spinner, reader, sleeper, cancelled;
    void *result;
    int ends[2], status;
    struct timespec until;
    sem_init(&semaphore, 0, 0);
    signal(SIGUSR1, on_signal);
    pthread_create(&spinner, NULL, spin, NULL);
    if (pipe(ends))
        return;
    pthread_create(&reader, NULL, bytes, ends);
    for (int i = 0; i < 100; i++)
        if (write(ends[1], "\1\2", 2) != 2)
            printf("short write\n");
    close(ends[1]);
    pthread_join(reader, &result);
    printf("read %ld\n", (long)result);
    pthread_create(&sleeper, NULL, wait_for_signal, NULL);
    sem_wait(&semaphore);
    usleep(20000);
    pthread_kill(sleeper, SIGUSR1);
    pthread_join(sleeper, &result);
    printf("interrupted %ld\n", (long)result);
    pthread_create(&cancelled, NULL, forever, NULL);
    sem_wait(&semaphore);
    pthread_cancel(cancelled);
    pthread_join(cancelled, &result);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 30000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    printf("timed out %d\n", sem_timedwait(&semaphore, &until) == -1 && errno == ETIMEDOUT);
    int event = eventfd(0, 0);
    eventfd_write(event, 7);
    eventfd_t value = 0;
    eventfd_read(event, &value);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(pthread_mutex_lock(&lock) == 0 ? 42 : 1);
    waitpid(child, &status, 0);
    printf("event %d, child %d\n", (int)value, WEXITSTATUS(status));
    is_over = 1;
    pthread_join(spinner, NULL);
}

static void *read_locked(void *arg)
{
    pthread_rwlock_rdlock(&rwlock);
    usleep(1000);
    pthread_rwlock_unlock(&rwlock);
    return NULL;
}

static void robust(void)
{
    pthread_t readers[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&readers[i], NULL, read_locked, NULL);
    pthread_rwlock_wrlock(&rwlock);
    pthread_rwlock_unlock(&rwlock);
    for (int i = 0; i < 4; i++)
        pthread_join(readers[i], NULL);
    for (int i = 0; i < 300; i++) { /* one after the other: ids are used again */
        pthread_t thread;
        if (pthread_create(&thread, NULL, read_locked, NULL))
            printf("cannot create %d\n", i);
        pthread_join(thread, NULL);
    }
    printf("read-write locks\n");
}

static pthread_mutex_t left;
static void *leave_locked(void *arg)
{
    pthread_mutex_lock(&left);
    return NULL;
}

static void owner_died(void)
{
    pthread_mutexattr_t attributes;
    pthread_t thread;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&left, &attributes);
    pthread_create(&thread, NULL, leave_locked, NULL);
    pthread_join(thread, NULL);
    printf("owner died %d\n", pthread_mutex_lock(&left) == EOWNERDEAD);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 4096);
    counting();
    waits();
    robust();
    owner_died();
    fflush(stdout);
    pthread_t spinner;
    is_over = 0;
    pthread_create(&spinner, NULL, spin, NULL);
    return 5; /* ends the other thread too */
}

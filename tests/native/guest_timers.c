/* POSIX timers: by signal, by thread, silent; periods, overruns, deletion, processes. Only what does not depend on speed is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "show.h"

#define MS 1000000L

static volatile sig_atomic_t count, code, value;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    count++;
    code = info->si_code;
    value = info->si_value.sival_int;
}

static void set(timer_t timer, long first, long period)
{
    struct itimerspec when = {{0, period}, {0, first}};
    if (timer_settime(timer, 0, &when, NULL))
        perror("timer_settime");
}

static void wait_until(int wanted)
{
    while (count < wanted)
        usleep(1000);
}

static void by_signal(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 4711};
    struct itimerspec left, old;
    timer_t one, two;
    printf("%d %d\n", timer_create(CLOCK_MONOTONIC, &event, &one), timer_create(CLOCK_REALTIME, NULL, &two));
    count = 0;
    set(one, 5 * MS, 0);
    wait_until(1);
    printf("once: code %d, value %d\n", code == SI_TIMER, value);
    usleep(20000);
    printf("still %d; left %d\n", count, timer_gettime(one, &left) == 0 && left.it_value.tv_nsec == 0);
    set(one, 2 * MS, 3 * MS);
    wait_until(5);
    timer_gettime(one, &left);
    printf("period %ld, left %d\n", left.it_interval.tv_nsec / MS, left.it_value.tv_nsec <= 3 * MS && left.it_value.tv_nsec > 0);
    struct itimerspec none = {{0, 0}, {0, 0}};
    timer_settime(one, 0, &none, &old);
    printf("was %ld\n", old.it_interval.tv_nsec / MS);
    usleep(5000);
    int before = count;
    usleep(20000);
    printf("stopped %d\n", before == count);
    /* SIGALRM by default, with the timer's number as value */
    count = 0;
    set(two, 3 * MS, 0);
    wait_until(1);
    printf("default: code %d\n", code == SI_TIMER);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct itimerspec absolute = {{0, 0}, {now.tv_sec - 5, 0}};
    timer_settime(two, TIMER_ABSTIME, &absolute, NULL);
    wait_until(2);
    printf("in the past: at once\n");
    printf("%d %d\n", timer_delete(one), timer_delete(two));
    SHOW("timer_delete", timer_delete(one));
}

static void overruns(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    sigset_t set_, old;
    timer_t timer;
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    sigemptyset(&set_);
    sigaddset(&set_, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set_, &old);
    count = 0;
    set(timer, 2 * MS, 2 * MS);
    usleep(40000);
    sigprocmask(SIG_SETMASK, &old, NULL);
    wait_until(1);
    printf("overrun %d\n", timer_getoverrun(timer) >= 5 || count > 1);
    timer_delete(timer);
}

/* Ticks that nobody could handle one by one are counted; what is set is what is shown. */
static void fast(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerval alarm = {{0, 3}, {0, 100000}}, left_alarm;
    struct itimerspec left;
    sigset_t blocked, old;
    siginfo_t info;
    timer_t timer;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    set(timer, 10000, 10000);
    usleep(50000);
    timer_gettime(timer, &left);
    printf("fast: period %ld, left %d\n", left.it_interval.tv_nsec, left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 10000);
    while (sigwaitinfo(&blocked, &info) != SIGRTMIN)
        ;
    printf("of 5,000: %d\n", info.si_overrun > 4000 && timer_getoverrun(timer) > 4000);
    timer_delete(timer);
    setitimer(ITIMER_REAL, &alarm, NULL);
    getitimer(ITIMER_REAL, &left_alarm);
    printf("alarm: period %ld\n", left_alarm.it_interval.tv_usec);
    alarm.it_value.tv_usec = alarm.it_interval.tv_usec = 0;
    setitimer(ITIMER_REAL, &alarm, &left_alarm);
    printf("was %ld\n", left_alarm.it_interval.tv_usec);
    struct timespec at_once = {0, 0};
    while (sigtimedwait(&blocked, &info, &at_once) >= 0)
        ;
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static sem_t done;

static void in_a_thread(union sigval value)
{
    static int calls;
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) <= 2)
        printf("thread: %d\n", value.sival_int);
    sem_post(&done);
}

static void by_thread(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_a_thread, .sigev_value.sival_int = 12};
    timer_t timer;
    sem_init(&done, 0, 0);
    printf("%d\n", timer_create(CLOCK_MONOTONIC, &event, &timer));
    set(timer, 5 * MS, 5 * MS);
    sem_wait(&done);
    sem_wait(&done);
    timer_delete(timer);
    usleep(20000);
}

static void others(void)
{
    struct sigevent silent = {.sigev_notify = SIGEV_NONE}, wrong = {.sigev_notify = 99, .sigev_signo = 1},
                    too_high = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
    struct itimerspec left, bad = {{0, 0}, {0, 2000000000}};
    timer_t timer, many[40];
    printf("%d\n", timer_create(CLOCK_MONOTONIC, &silent, &timer));
    set(timer, 900 * MS, 0);
    timer_gettime(timer, &left);
    printf("runs %d\n", left.it_value.tv_nsec > 100 * MS);
    SHOW("timer_settime", timer_settime(timer, 0, &bad, NULL));
    SHOW("timer_create", timer_create(77, &silent, many));
    SHOW("a wrong kind", syscall(SYS_timer_create, CLOCK_MONOTONIC, &wrong, many));
    SHOW("a signal too high", syscall(SYS_timer_create, CLOCK_MONOTONIC, &too_high, many));
    SHOW("a timer that is not there", syscall(SYS_timer_gettime, 1234567, &left));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) /* timers stay with the parent */
        _exit(timer_gettime(timer, &left) < 0 && errno == EINVAL ? 7 : 8);
    int status;
    if (child < 0) {
        puts("child 7");
    } else {
        waitpid(child, &status, 0);
        printf("child %d\n", WEXITSTATUS(status));
    }
    int pipes[2];
    if (pipe(pipes) == 0)
        printf("pipe %d %d\n", fcntl(pipes[0], F_SETPIPE_SZ, 4096), fcntl(pipes[1], F_GETPIPE_SZ));
}

/* Waits with times of 64 bits: not before the end of time, until a signal comes; and what is no time. */
static void for_ever(void)
{
    enum { PSELECT6 = 413, PPOLL, SIGTIMEDWAIT = 421, FUTEX, CLOCK_NANOSLEEP = 407, EPOLL_PWAIT2 = 441, WAIT = 128, WAIT_BITSET = 137 };
    static const struct { const char *name; int number; long args[6]; int time; } waits[] = {
        {"pselect6", PSELECT6, {0}, 4}, {"ppoll", PPOLL, {0}, 2}, {"rt_sigtimedwait", SIGTIMEDWAIT, {0, 0, 0, 8}, 2},
        {"futex", FUTEX, {0, WAIT}, 3}, {"futex of a bitset", FUTEX, {0, WAIT_BITSET, 0, 0, 0, -1}, 3},
        {"clock_nanosleep", CLOCK_NANOSLEEP, {CLOCK_MONOTONIC}, 2}, {"until", CLOCK_NANOSLEEP, {CLOCK_MONOTONIC, TIMER_ABSTIME}, 2},
        {"epoll_pwait2", EPOLL_PWAIT2, {0, 0, 1}, 3}};
    struct { long long seconds; int ns, unused; } times[] = {{0x7fffffffffffffff, 999999999, 0}, {0x100000000, 0, 0}, {-1, 0, 0},
        {0x7fffffffffffffff, 1000000000, 0}, {0, -1, 0}};
    const struct itimerval soon = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    unsigned long long none = 0, events[2];
    int word = 0;
    for (unsigned i = 0; i < sizeof waits / sizeof *waits; i++)
        for (unsigned t = 0; t < sizeof times / sizeof *times; t++) {
            long a[6];
            memcpy(a, waits[i].args, sizeof a);
            a[waits[i].time] = (long)&times[t];
            if (waits[i].number == SIGTIMEDWAIT)
                a[0] = (long)&none;
            else if (waits[i].number == FUTEX)
                a[0] = (long)&word;
            else if (waits[i].number == EPOLL_PWAIT2)
                a[0] = epoll_create1(0), a[1] = (long)events;
            setitimer(ITIMER_REAL, &soon, NULL);
            SHOW(waits[i].name, syscall(waits[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));
            setitimer(ITIMER_REAL, &never, NULL);
            if (waits[i].number == EPOLL_PWAIT2)
                close((int)a[0]);
        }
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    setvbuf(stdout, NULL, _IONBF, 0);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    by_signal();
    overruns();
    fast();
    others();
    for_ever();
    by_thread();
    return 0;
}

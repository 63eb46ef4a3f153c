/*
 * Clocks, sleeping, and interval timers. The guest's real-time timer is the
 * host process's own; its SIGALRM is forwarded (hostsig.c).
 */
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

#include "vxrt/linux/calls.h"

#define BILLION 1000000000
#define LONGEST_SECONDS 9223372035 /* KTIME_MAX of the kernel, and less than what makes a difference of nanoseconds overflow */

/* ---- reading clocks -------------------------------------------------- */

/* Clocks that say nothing but the time. */
static bool is_clock(uint32_t clock)
{
    return clock <= CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

static int32_t read_clock(struct vxl_proc *p, const uint32_t *a, bool is_64,
                          int (*read)(clockid_t, struct timespec *))
{
    struct timespec t;
    if (!is_clock(a[0]))
        return -EINVAL;
    if (read((clockid_t)a[0], &t))
        return -errno;
    return vxl_times_put(p, a[1], is_64, &t) ? 0 : -EFAULT;
}

int32_t vxl_clock_gettime(struct vxl_proc *p, const uint32_t *a)
{
    return read_clock(p, a, false, clock_gettime);
}

int32_t vxl_clock_gettime64(struct vxl_proc *p, const uint32_t *a)
{
    return read_clock(p, a, true, clock_gettime);
}

static int32_t resolution(struct vxl_proc *p, const uint32_t *a, bool is_64)
{
    if (!a[1])
        return is_clock(a[0]) ? 0 : -EINVAL;
    return read_clock(p, a, is_64, clock_getres);
}

int32_t vxl_clock_getres(struct vxl_proc *p, const uint32_t *a)
{
    return resolution(p, a, false);
}

int32_t vxl_clock_getres_time64(struct vxl_proc *p, const uint32_t *a)
{
    return resolution(p, a, true);
}

int32_t vxl_time(struct vxl_proc *p, const uint32_t *a)
{
    int32_t now = (int32_t)time(NULL);
    return !a[0] || vxl_put(p, a[0], &now, 4) ? now : -EFAULT;
}

int32_t vxl_gettimeofday(struct vxl_proc *p, const uint32_t *a)
{
    struct timeval now;
    struct abi32_timezone zone = {0, 0};
    gettimeofday(&now, NULL);
    struct abi32_timeval out = {(int32_t)now.tv_sec, (int32_t)now.tv_usec};
    if ((a[0] && !vxl_put(p, a[0], &out, sizeof out)) ||
        (a[1] && !vxl_put(p, a[1], &zone, sizeof zone)))
        return -EFAULT;
    return 0;
}

int32_t vxl_times(struct vxl_proc *p, const uint32_t *a)
{
    struct tms now;
    clock_t ticks = times(&now);
    struct abi32_tms out = {(int32_t)now.tms_utime, (int32_t)now.tms_stime,
                            (int32_t)now.tms_cutime, (int32_t)now.tms_cstime};
    return !a[0] || vxl_put(p, a[0], &out, sizeof out) ? (int32_t)(ticks & INT32_MAX) : -EFAULT;
}

/* ---- sleeping -------------------------------------------------------- */

static bool is_time(const struct timespec *t)
{
    return t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < BILLION;
}

bool vxl_end_of(const struct timespec *left, struct timespec *end)
{
    if (!is_time(left))
        return false;
    clock_gettime(CLOCK_MONOTONIC, end);
    end->tv_sec += left->tv_sec < LONGEST_SECONDS ? left->tv_sec : LONGEST_SECONDS;
    end->tv_nsec += left->tv_nsec;
    end->tv_sec += end->tv_nsec / BILLION;
    end->tv_nsec %= BILLION;
    return true;
}

struct timespec vxl_time_left(clockid_t clock, const struct timespec *end)
{
    struct timespec now;
    clock_gettime(clock, &now);
    struct timespec left = {end->tv_sec - now.tv_sec, end->tv_nsec - now.tv_nsec};
    if (left.tv_nsec < 0) {
        left.tv_nsec += BILLION;
        left.tv_sec--;
    }
    return left.tv_sec < 0 ? (struct timespec){0} : left;
}

static int32_t sleep_until(struct vxl_proc *p, uint32_t clock, bool is_absolute, vx_gaddr request,
                           vx_gaddr remain, bool is_64)
{
    struct timespec time, end;
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
        clock != CLOCK_TAI)
        return -EINVAL;
    if (!vxl_times_get(p, request, is_64, &time))
        return -EFAULT;
    if (!is_time(&time))
        return -EINVAL;
    if (is_absolute)
        time = vxl_time_left((clockid_t)clock, &time);
    vxl_end_of(&time, &end);
    if (vxl_wait(p, NULL, 0, &end) != -EINTR)
        return 0;
    time = vxl_time_left(CLOCK_MONOTONIC, &end);
    if (!is_absolute && remain && !vxl_times_put(p, remain, is_64, &time))
        return -EFAULT;
    return -VXL_RESTART_NO_HANDLER;
}

int32_t vxl_nanosleep(struct vxl_proc *p, const uint32_t *a)
{
    return sleep_until(p, CLOCK_REALTIME, false, a[0], a[1], false);
}

int32_t vxl_clock_nanosleep(struct vxl_proc *p, const uint32_t *a)
{
    return sleep_until(p, a[0], a[1] & TIMER_ABSTIME, a[2], a[3], false);
}

int32_t vxl_clock_nanosleep_time64(struct vxl_proc *p, const uint32_t *a)
{
    return sleep_until(p, a[0], a[1] & TIMER_ABSTIME, a[2], a[3], true);
}

/* ---- timers ---------------------------------------------------------- */

static int timer_signal(uint32_t which)
{
    static const int signals[3] = {SIGALRM, SIGVTALRM, SIGPROF};
    return signals[which];
}

static struct abi32_itimerval show_itimer(const struct vxl_proc *p, uint32_t which, const struct itimerval *host)
{
    struct timeval value = host->it_value, interval = host->it_interval;
    if (which == ITIMER_REAL && p->alarm_interval.tv_usec) {
        interval = p->alarm_interval;
        value.tv_usec = value.tv_usec ? (value.tv_usec - 1) % interval.tv_usec + 1 : 0;
    }
    return (struct abi32_itimerval){
        {(int32_t)interval.tv_sec, (int32_t)interval.tv_usec}, {(int32_t)value.tv_sec, (int32_t)value.tv_usec}};
}

/* The others tick no faster than the kernel's clock. */
static struct timeval slow_alarm(struct timeval *interval)
{
    struct timeval wanted = *interval;
    struct timespec slow = {wanted.tv_sec, wanted.tv_usec * 1000};
    if (wanted.tv_sec || wanted.tv_usec < 0 || vxl_slow_down(&slow, 1) == 1)
        return (struct timeval){0};
    interval->tv_usec = slow.tv_nsec / 1000;
    return wanted;
}

int32_t vxl_setitimer(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_itimerval in = {0}, out;
    struct itimerval old;
    struct timeval alarm_interval = {0};
    if (a[0] > ITIMER_PROF)
        return -EINVAL;
    if (a[1] && !vxl_get(p, a[1], &in, sizeof in))
        return -EFAULT;
    struct itimerval new = {{in.interval.sec, in.interval.usec}, {in.value.sec, in.value.usec}};
    vxl_watch_signal(p, timer_signal(a[0]));
    if (a[0] == ITIMER_REAL)
        alarm_interval = slow_alarm(&new.it_interval);
    if (setitimer((__itimer_which_t)a[0], &new, &old))
        return -errno;
    out = show_itimer(p, a[0], &old);
    if (a[0] == ITIMER_REAL)
        p->alarm_interval = alarm_interval;
    return !a[2] || vxl_put(p, a[2], &out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_getitimer(struct vxl_proc *p, const uint32_t *a)
{
    struct itimerval now;
    if (a[0] > ITIMER_PROF)
        return -EINVAL;
    if (getitimer((__itimer_which_t)a[0], &now))
        return -errno;
    struct abi32_itimerval out = show_itimer(p, a[0], &now);
    return vxl_put(p, a[1], &out, sizeof out) ? 0 : -EFAULT;
}

int32_t vxl_alarm(struct vxl_proc *p, const uint32_t *a)
{
    struct itimerval new = {.it_value = {.tv_sec = a[0]}}, old;
    vxl_watch_signal(p, SIGALRM);
    if (setitimer(ITIMER_REAL, &new, &old))
        return -errno;
    p->alarm_interval = (struct timeval){0};
    /* the rest is rounded, but never to nothing */
    int32_t left = (int32_t)old.it_value.tv_sec;
    if (old.it_value.tv_usec >= 500000 || (left == 0 && old.it_value.tv_usec))
        left++;
    return left;
}

/* The clocks are the host's. */
int32_t vxl_set_clock(struct vxl_proc *p, const uint32_t *a)
{
    return -EPERM;
}

/* ---- usage ----------------------------------------------------------- */

int32_t vxl_getrusage(struct vxl_proc *p, const uint32_t *a)
{
    struct rusage now;
    int who = (int32_t)a[0];
    if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
        return -EINVAL;
    if (getrusage((__rusage_who_t)who, &now))
        return -errno;
    struct abi32_rusage out = {
        .utime = {(int32_t)now.ru_utime.tv_sec, (int32_t)now.ru_utime.tv_usec},
        .stime = {(int32_t)now.ru_stime.tv_sec, (int32_t)now.ru_stime.tv_usec},
        .maxrss = (int32_t)now.ru_maxrss, .minflt = (int32_t)now.ru_minflt,
        .majflt = (int32_t)now.ru_majflt, .nvcsw = (int32_t)now.ru_nvcsw,
        .nivcsw = (int32_t)now.ru_nivcsw,
    };
    return vxl_put(p, a[1], &out, sizeof out) ? 0 : -EFAULT;
}

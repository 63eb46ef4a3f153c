/* Only its own timers tell a guest that one has expired. Prints "ready", and waits for a line. */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "held.h"

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
    ticks++;
}

int main(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec far = {{0, 0}, {1000, 0}};
    timer_t timer;
    char line;
    signal(SIGUSR1, tick);
    NEED(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &far, NULL) == 0);
    NEED(write(1, "ready\n", 6) == 6);
    while (read(0, &line, 1) < 0)
        ;
    HELD(ticks == 0);
    return failures;
}

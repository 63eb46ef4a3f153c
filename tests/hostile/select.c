/* The time that select says is left is one, whatever time it was given. */
#define _GNU_SOURCE
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "held.h"

int main(void)
{
    static const int times[][2] = {{INT_MAX, INT_MAX}, {INT_MAX, 999999}, {INT_MAX, 1000000}, {INT_MAX - 2147, INT_MAX}, {5, 3000000}};
    int ends[2];
    NEED(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    for (int i = 0; i < 5; i++) {
        unsigned set[32] = {1u << ends[0]};
        int time[2] = {times[i][0], times[i][1]}, args[5] = {ends[0] + 1, (int)set, 0, 0, (int)time};
        long long given = (long long)times[i][0] + times[i][1] / 1000000;
        HELD(syscall(SYS_select, args) == 1);
        HELD(time[1] >= 0 && time[1] < 1000000);
        HELD((int)(given - time[0]) >= 0 && (int)(given - time[0]) <= 2);
    }
    return failures;
}

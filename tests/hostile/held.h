/*
 * For the guests here: what was promised and did not hold. A guest ends with 0 if all held, with 1 after saying what did not, and with
 * 2 if it could not try.
 */
#ifndef TESTS_HOSTILE_HELD_H
#define TESTS_HOSTILE_HELD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

#define HELD(condition)                                                          \
    do {                                                                         \
        if (!(condition)) {                                                      \
            printf("%d: %s does not hold, errno %d\n", __LINE__, #condition, errno); \
            failures = 1;                                                        \
        }                                                                        \
    } while (0)

#define NEED(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            printf("%d: no %s, errno %d\n", __LINE__, #condition, errno);      \
            exit(2);                                                           \
        }                                                                      \
    } while (0)

#endif

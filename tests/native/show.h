/*
 * For the guests here: a call's result and what it left in errno, in that order.
 */
#ifndef TESTS_NATIVE_SHOW_H
#define TESTS_NATIVE_SHOW_H

#include <errno.h>
#include <stdio.h>

#define SHOW(what, call)                                  \
    do {                                                  \
        errno = 0;                                        \
        int result_ = (int)(call);                        \
        printf("%s %d errno %d\n", what, result_, errno); \
    } while (0)

#endif

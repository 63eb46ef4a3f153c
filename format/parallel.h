/*
 * Private to format/: run independent tasks on a few threads.
 */
#ifndef VX_FORMAT_PARALLEL_H
#define VX_FORMAT_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Call task(arg, i) once for each i in [0, count), from the calling thread and up to
 * threads - 1 others (fewer if they cannot be made), which take no signals.
 * False if any task returned false; the rest may then be left undone.
 */
bool vxi_parallel(unsigned threads, size_t count, bool (*task)(void *arg, size_t i), void *arg);

#endif

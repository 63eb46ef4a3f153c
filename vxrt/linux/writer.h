/*
 * The process that makes caches for vxrun --cache-write. It is apart from vxrun so that vxrun itself need not be able to
 * execute programs (filter.h), and does nothing but run `vxc compile` on a file it is given, into one directory.
 */
#ifndef VXRT_LINUX_WRITER_H
#define VXRT_LINUX_WRITER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Start it for the cache directory `directory`. The result is a socket for vxl_writer_compile, in this process and those it
 * forks; the writer ends when the last is closed. -1: *why (static) says why there is none.
 */
int vxl_writer_start(const char *directory, const char **why);

/*
 * Make the cache of the guest that fd is open on and that has this hash, with its profile, for this virtual CPU (format/cpu.h).
 * Returns when it is made, or has failed. False: the writer is gone.
 */
bool vxl_writer_compile(int writer, int fd, const uint64_t hash[2], uint32_t cpu);

#endif

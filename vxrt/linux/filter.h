/*
 * The second wall: a seccomp filter that leaves this process the host calls that the runtime and the personality make.
 */
#ifndef VXRT_LINUX_FILTER_H
#define VXRT_LINUX_FILTER_H

#include <stdbool.h>

/* What the process may do besides. */
struct vxl_filter_options {
    bool can_fork;   /* make processes, send them signals, wait for them */
    bool has_net;    /* sockets with addresses */
    bool can_write_caches; /* send files to the cache writer */
};

/*
 * From here on, for this thread and those it makes, and for the processes they fork: a call that is not listed ends the
 * process, exit code 125 and its number on standard error; no call executes a program. Cannot be undone.
 * False: *why (static) says what failed; nothing has changed. Built with VX_SECCOMP=OFF it does nothing.
 */
bool vxl_filter(const struct vxl_filter_options *options, const char **why);

#endif

/*
 * The command line of vxrun.
 */
#ifndef VXRT_LINUX_OPTIONS_H
#define VXRT_LINUX_OPTIONS_H

#include "vxrt/linux/linux.h"

#define VXL_GRANT_LIMIT 64

enum vxl_exit { VXL_EXIT_FAILED = 125, VXL_EXIT_CANNOT_LOAD = 126, VXL_EXIT_MISSING = 127, VXL_EXIT_SIGNAL = 128 };

/* What was asked for. Text belongs to the command line where nothing else is said. */
struct vxl_options {
    const char *cache, *profile_out, *cpu; /* NULL: not given */
    char *cache_dir;                       /* owned */
    bool cache_write, no_cache, no_dynamic, allow_fork, no_seccomp, stats, stats_json, has_root;
    enum vxl_net net;
    uint64_t max_memory, time_limit_ns; /* 0: none */
    struct vxl_grant grants[VXL_GRANT_LIMIT]; /* open */
    size_t grant_count;
    const char **env; /* NULL-terminated; owned */
    size_t env_count;
};

/*
 * Read the command line; `options` is all zeros before. The program and its arguments are at argv + optind. Returns 0 to go on, -1 if what
 * was asked for is printed (help, version), or the exit code after a message on standard error. Not for two threads at once (getopt).
 */
int vxl_options_read(struct vxl_options *options, int argc, char **argv);

/* Frees and closes what they own, after vxl_options_read with any result. */
void vxl_options_free(struct vxl_options *options);

#endif

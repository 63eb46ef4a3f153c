/*
 * The command line of vxrun: what is asked for, checked, directories opened.
 */
#include "vxrt/linux/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/cache.h"
#include "format/sandbox.h"
#include "vxrt/cpu.h"
#include "vxrt/linux/proc.h"

#define LONGEST_LIMIT_SECONDS 1e9

static const char help_text[] =
    "Usage: vxrun [OPTION]... PROGRAM|FILE.vxc [ARGUMENT]...\n"
    "       vxrun [OPTION]... --root DIR[:rw] PROGRAM [ARGUMENT]...\n"
    "Run an i386 Linux program in a sandbox, from its verified cache.\n"
    "\n"
    "  --cache FILE.vxc        use this cache (default: PROGRAM.vxc, if it is there)\n"
    "  --no-cache              use no cache: translate everything at run time\n"
    "  --no-dynamic            translate nothing at run time: what is not cached ends the run\n"
    "  --dir GUEST=HOST[:ro]   show the host directory HOST to the program as GUEST\n"
    "  --root DIR[:rw]         DIR is the program's /, read-only unless rw; PROGRAM and its dynamic\n"
    "                          linker and libraries are looked for there. --dir mounts more on top\n"
    "  --cache-dir DIR         with --root: caches of programs and libraries, from vxc compile --tree\n"
    "                          (default: $XDG_CACHE_HOME/vx, or ~/.cache/vx)\n"
    "  --cache-write           add to them, at the end, what had to be translated at run time\n"
    "  --cpu NAME              what the program's processor can do, as for vxc compile; a cache for another\n"
    "                          one is not used (default: what the cache is for; without one, sse4.2)\n"
    "  --env NAME=VALUE        put a variable in the program's environment (empty otherwise)\n"
    "  --mem SIZE              most memory the program may map, in bytes or with K, M, G\n"
    "  --time-limit SECONDS    stop the program after so much time (fractions allowed)\n"
    "  --allow-fork            let the program fork, and execute programs under --dir\n"
    "  --net[=loopback]        let the program use sockets: IPv4, IPv6 (loopback: of this machine alone), and\n"
    "                          AF_UNIX by names under --dir\n"
    "  --no-seccomp            do not bound vxrun's own system calls (to debug vxrun)\n"
    "  --stats[=json]          print what happened to standard error at the end\n"
    "  --profile-out FILE      add the paths translated at run time to a profile\n"
    "  --help, --version\n"
    "\n"
    "Exit status: the program's own; 125 vxrun failed or stopped it, 126 it cannot be\n"
    "loaded, 127 it is not there, 128+N it was ended by signal N.\n"
    "\n"
    "Examples:\n"
    "  vxc compile ./prog && vxrun ./prog\n"
    "  vxrun --dir /data=$HOME/pictures:ro --time-limit 10 ./decode /data/a.jpg\n"
    "  vxrun --allow-fork --dir /=rootfs --env PATH=/bin rootfs/bin/busybox sh /script\n"
    "  vxrun --root debian-i386 --dir /tmp=work /usr/bin/python3 -c 'print(2**100)'\n";

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "vxrun: %s%s%s\nTry 'vxrun --help'.\n", what, value ? ": " : "",
            value ? value : "");
    return VXL_EXIT_FAILED;
}

static bool parse_size(const char *text, uint64_t *size)
{
    char *end;
    unsigned shift = 0;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long number = strtoull(text, &end, 10);
    switch (*end) {
    case 'K': case 'k': shift = 10; break;
    case 'M': case 'm': shift = 20; break;
    case 'G': case 'g': shift = 30; break;
    default: break;
    }
    if (shift)
        end++;
    if (*end || errno || !number || number > UINT64_MAX >> shift)
        return false;
    *size = number << shift;
    return true;
}

static bool parse_seconds(const char *text, uint64_t *nanoseconds)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !isfinite(seconds) || seconds <= 0 ||
        seconds > LONGEST_LIMIT_SECONDS)
        return false;
    *nanoseconds = (uint64_t)(seconds * 1e9);
    if (!*nanoseconds)
        *nanoseconds = 1;
    return true;
}

static bool has_dots(const char *path)
{
    while (*path) {
        size_t length = strcspn(path, "/");
        if ((length == 1 && path[0] == '.') || (length == 2 && !strncmp(path, "..", 2)))
            return true;
        path += length;
        path += *path == '/';
    }
    return false;
}

/* An absolute path without ".", ".." and repeated slashes; allocated. */
static char *normal_path(const char *path)
{
    char out[VXL_PATH_BYTES];
    if (path[0] != '/' || strlen(path) >= sizeof out || has_dots(path) || !vxl_join("/", path, out))
        return NULL;
    return strdup(out);
}

static int add_grant(struct vxl_options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return usage_error("--dir needs GUEST=HOST[:ro]", text);
    if (options->grant_count == VXL_GRANT_LIMIT)
        return usage_error("too many --dir options", NULL);
    struct vxl_grant *grant = &options->grants[options->grant_count];
    char *guest = strndup(text, (size_t)(equals - text));
    char *host = strdup(equals + 1);
    size_t length = strlen(host);
    if (length > 3 && !strcmp(host + length - 3, ":ro")) {
        grant->is_read_only = true;
        host[length - 3] = 0;
    }
    grant->guest_path = normal_path(guest);
    free(guest);
    if (!grant->guest_path) {
        free(host);
        return usage_error("--dir: the guest's path must be absolute, without . and ..", text);
    }
    grant->host_fd = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (grant->host_fd < 0) {
        fprintf(stderr, "vxrun: --dir: %s: %s\n", host, strerror(errno));
        free(host);
        return VXL_EXIT_FAILED;
    }
    free(host);
    options->grant_count++;
    return 0;
}

static int add_root(struct vxl_options *options, const char *text)
{
    struct vxl_grant *grant = &options->grants[options->grant_count];
    size_t length = strlen(text);
    bool is_writable = length > 3 && !strcmp(text + length - 3, ":rw");
    bool has_suffix = is_writable || (length > 3 && !strcmp(text + length - 3, ":ro"));
    if (options->has_root || options->grant_count == VXL_GRANT_LIMIT)
        return usage_error("--root is given twice", text);
    char *host = strndup(text, has_suffix ? length - 3 : length);
    *grant = (struct vxl_grant){.guest_path = strdup("/"), .is_read_only = !is_writable,
                                .host_fd = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (grant->host_fd < 0) {
        fprintf(stderr, "vxrun: --root: %s: %s\n", host, strerror(errno));
        free((char *)grant->guest_path);
        free(host);
        return VXL_EXIT_FAILED;
    }
    free(host);
    options->has_root = true;
    options->grant_count++;
    return 0;
}

static int add_env(struct vxl_options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return usage_error("--env needs NAME=VALUE", text);
    options->env[options->env_count++] = text;
    return 0;
}

enum { OPT_CACHE = 1, OPT_NO_CACHE, OPT_NO_DYNAMIC, OPT_DIR, OPT_ROOT, OPT_CACHE_DIR, OPT_CACHE_WRITE, OPT_ENV, OPT_MEM, OPT_TIME_LIMIT,
       OPT_ALLOW_FORK, OPT_CPU, OPT_NET, OPT_NO_SECCOMP, OPT_STATS, OPT_PROFILE_OUT, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
    {"cache", required_argument, NULL, OPT_CACHE},
    {"no-cache", no_argument, NULL, OPT_NO_CACHE},
    {"no-dynamic", no_argument, NULL, OPT_NO_DYNAMIC},
    {"dir", required_argument, NULL, OPT_DIR},
    {"root", required_argument, NULL, OPT_ROOT},
    {"cache-dir", required_argument, NULL, OPT_CACHE_DIR},
    {"cache-write", no_argument, NULL, OPT_CACHE_WRITE},
    {"env", required_argument, NULL, OPT_ENV},
    {"mem", required_argument, NULL, OPT_MEM},
    {"time-limit", required_argument, NULL, OPT_TIME_LIMIT},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"allow-fork", no_argument, NULL, OPT_ALLOW_FORK},
    {"net", optional_argument, NULL, OPT_NET},
    {"no-seccomp", no_argument, NULL, OPT_NO_SECCOMP},
    {"stats", optional_argument, NULL, OPT_STATS},
    {"profile-out", required_argument, NULL, OPT_PROFILE_OUT},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static int stats_option(struct vxl_options *options, const char *form)
{
    options->stats = true;
    options->stats_json = form != NULL;
    return form && strcmp(form, "json") ? usage_error("--stats: unknown form", form) : 0;
}

/* 0: go on; else the exit code, or -1 for a good end (help, version). */
static int one_option(struct vxl_options *options, int option, const char *value)
{
    struct vx_error error;
    uint32_t cpu;
    switch (option) {
    case OPT_CACHE:
        options->cache = value;
        return 0;
    case OPT_NO_CACHE:
        options->no_cache = true;
        return 0;
    case OPT_NO_DYNAMIC:
        options->no_dynamic = true;
        return 0;
    case OPT_DIR:
        return add_grant(options, value);
    case OPT_ROOT:
        return add_root(options, value);
    case OPT_CACHE_DIR:
        free(options->cache_dir);
        options->cache_dir = strdup(value);
        return options->cache_dir ? 0 : usage_error("out of memory", NULL);
    case OPT_CACHE_WRITE:
        options->cache_write = true;
        return 0;
    case OPT_CPU:
        options->cpu = value;
        return vxi_cpu_choose(value, &cpu, &error) == VX_OK ? 0 : usage_error("--cpu", error.text);
    case OPT_ENV:
        return add_env(options, value);
    case OPT_MEM:
        return parse_size(value, &options->max_memory) ? 0 : usage_error("--mem: not a size", value);
    case OPT_TIME_LIMIT:
        return parse_seconds(value, &options->time_limit_ns)
                   ? 0 : usage_error("--time-limit: not a number of seconds", value);
    case OPT_ALLOW_FORK:
        options->allow_fork = true;
        return 0;
    case OPT_NET:
        if (value && strcmp(value, "loopback"))
            return usage_error("--net: loopback, or nothing", value);
        options->net = value ? VXL_NET_LOOPBACK : VXL_NET_ALL;
        return 0;
    case OPT_NO_SECCOMP:
        options->no_seccomp = true;
        return 0;
    case OPT_STATS:
        return stats_option(options, value);
    case OPT_PROFILE_OUT:
        options->profile_out = value;
        return 0;
    case OPT_HELP:
        fputs(help_text, stdout);
        return -1;
    case OPT_VERSION:
        printf("vxrun %s, format %d, contract %d%s\n", vx_version(), VXF_VERSION, VX_CONTRACT_VERSION,
               VX_HAVE_SECCOMP ? "" : ", without seccomp filter");
        return -1;
    default: /* getopt has said what is wrong */
        fputs("Try 'vxrun --help'.\n", stderr);
        return VXL_EXIT_FAILED;
    }
}

int vxl_options_read(struct vxl_options *options, int argc, char **argv)
{
    options->env = calloc((size_t)argc + 1, sizeof *options->env);
    if (!options->env)
        return usage_error("out of memory", NULL);
    for (int option; (option = getopt_long(argc, argv, "+", long_options, NULL)) != -1;) {
        int result = one_option(options, option, optarg);
        if (result)
            return result;
    }
    if (options->cache && options->no_cache)
        return usage_error("--cache and --no-cache exclude each other", NULL);
    if (options->has_root && options->cache)
        return usage_error("--cache names the cache of one program; --root has many", NULL);
    if (!options->has_root && (options->cache_dir || options->cache_write))
        return usage_error("--cache-dir and --cache-write need --root", NULL);
    if (options->cache_write && options->no_cache)
        return usage_error("--cache-write and --no-cache exclude each other", NULL);
    if (optind == argc)
        return usage_error("no program given", NULL);
    return 0;
}

void vxl_options_free(struct vxl_options *options)
{
    for (size_t i = 0; i < options->grant_count; i++) {
        free((char *)options->grants[i].guest_path);
        close(options->grants[i].host_fd);
    }
    free(options->cache_dir);
    free(options->env);
}

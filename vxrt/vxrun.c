/*
 * vxrun: run an i386 Linux program in a box, from its verified cache.
 *
 * Nothing of the host is open to the program but what the options grant.
 * Exit codes: the program's own; 125 vxrun failed or stopped it; 126 the
 * program cannot be loaded; 127 it is not there; 128 + N ended by signal N.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/cache.h"
#include "format/directory.h"
#include "format/sandbox.h"
#include "vxrt/cpu.h"
#include "vxrt/linux/codes.h"
#include "vxrt/linux/filter.h"
#include "vxrt/linux/linux.h"
#include "vxrt/linux/tool.h"
#include "vxrt/linux/writer.h"

enum { EXIT_VXRUN = 125, EXIT_CANNOT_LOAD = 126, EXIT_MISSING = 127, EXIT_SIGNAL = 128 };
#define GRANT_LIMIT 64
#define GUEST_PATH_LIMIT 4096
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
    "  --net[=loopback]        let the program use IPv4 and IPv6 sockets, or those of this machine's loopback\n"
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

struct options {
    const char *cache, *profile_out, *cpu;
    char *cache_dir; /* owned */
    bool cache_write;
    int cache_fd; /* of cache_dir, -1: none */
    int writer;   /* with cache_write: of writer.h */
    struct vxl_codes *codes;
    bool no_cache, no_dynamic, allow_fork, no_seccomp, stats, stats_json, has_root;
    enum vxl_net net;
    uint64_t max_memory, time_limit_ns;
    struct vxl_grant grants[GRANT_LIMIT];
    size_t grant_count;
    const char **env; /* NULL-terminated */
    size_t env_count;
};

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "vxrun: %s%s%s\nTry 'vxrun --help'.\n", what, value ? ": " : "",
            value ? value : "");
    return EXIT_VXRUN;
}

/* ---- options --------------------------------------------------------- */

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

/* An absolute path without ".", ".." and repeated slashes; allocated. */
static char *normal_path(const char *path)
{
    char *out = malloc(strlen(path) + 2);
    size_t used = 0;
    if (!out || path[0] != '/' || strlen(path) >= GUEST_PATH_LIMIT)
        goto bad;
    while (*path) {
        size_t length = strcspn(path, "/");
        if ((length == 1 && path[0] == '.') || (length == 2 && !strncmp(path, "..", 2)))
            goto bad;
        if (length) {
            out[used++] = '/';
            memcpy(out + used, path, length);
            used += length;
        }
        path += length;
        path += *path == '/';
    }
    if (!used)
        out[used++] = '/';
    out[used] = 0;
    return out;
bad:
    free(out);
    return NULL;
}

static int add_grant(struct options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return usage_error("--dir needs GUEST=HOST[:ro]", text);
    if (options->grant_count == GRANT_LIMIT)
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
        return EXIT_VXRUN;
    }
    free(host);
    options->grant_count++;
    return 0;
}

static int add_root(struct options *options, const char *text)
{
    struct vxl_grant *grant = &options->grants[options->grant_count];
    size_t length = strlen(text);
    bool is_writable = length > 3 && !strcmp(text + length - 3, ":rw");
    bool has_suffix = is_writable || (length > 3 && !strcmp(text + length - 3, ":ro"));
    if (options->has_root || options->grant_count == GRANT_LIMIT)
        return usage_error("--root is given twice", text);
    char *host = strndup(text, has_suffix ? length - 3 : length);
    *grant = (struct vxl_grant){.guest_path = strdup("/"), .is_read_only = !is_writable, .is_root = true,
                                .host_fd = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (grant->host_fd < 0) {
        fprintf(stderr, "vxrun: --root: %s: %s\n", host, strerror(errno));
        free((char *)grant->guest_path);
        free(host);
        return EXIT_VXRUN;
    }
    free(host);
    options->has_root = true;
    options->grant_count++;
    return 0;
}

static int add_env(struct options *options, const char *text)
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

static int stats_option(struct options *options, const char *form)
{
    options->stats = true;
    options->stats_json = form != NULL;
    return form && strcmp(form, "json") ? usage_error("--stats: unknown form", form) : 0;
}

/* 0: go on; else the exit code, or -1 for a good end (help, version). */
static int one_option(struct options *options, int option, const char *value)
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
        return EXIT_VXRUN;
    }
}

static int parse_options(struct options *options, int argc, char **argv)
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

/* ---- opening --------------------------------------------------------- */

static void print_error(const char *program, vx_status status, const struct vx_error *error)
{
    fprintf(stderr, "vxrun: %s", program);
    if (error->offset)
        fprintf(stderr, "+0x%" PRIx64, error->offset);
    fprintf(stderr, ": %s%s%s\n", vx_strerror(status), error->text[0] ? ": " : "", error->text);
}

/* What kept a program from starting: the machine, or the program. */
static int exit_code_of(vx_status status)
{
    switch (status) {
    case VX_ERR_NOT_FOUND:
        return EXIT_MISSING;
    case VX_ERR_MEMORY:
    case VX_ERR_ADDRESS_SPACE:
    case VX_ERR_ARGUMENT:
        return EXIT_VXRUN;
    default:
        return EXIT_CANNOT_LOAD;
    }
}

/* PROGRAM.vxc, if such a file is there; allocated. */
static char *cache_beside(const char *program)
{
    char *path;
    if (asprintf(&path, "%s.vxc", program) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* Where none was named, silence is for those that are old; one for another CPU was meant to be used. */
static void warn_of_cache(const struct options *options, const char *path, const struct vx_image *image)
{
    struct vx_error error = {0};
    vx_status status = vx_image_cache_status(image, &error);
    if (status == VX_OK || (!options->cache && status != VX_ERR_CPU && status != VX_ERR_VXC_CPU))
        return;
    fprintf(stderr, "vxrun: warning: %s is not used: %s%s%s\n", path,
            vx_strerror(status), error.text[0] ? ": " : "", error.text);
}

/* ---- the end --------------------------------------------------------- */

static void print_trap(const char *program, const struct vx_trap *trap)
{
    static const char *const access_names[] = {"reading", "writing", "executing"};
    if (trap->kind == VX_TRAP_LIMIT) {
        fprintf(stderr, "vxrun: %s: time limit reached\n", program);
        return;
    }
    fprintf(stderr, "%s:0x%08" PRIx32 ": error: ", program, trap->eip);
    switch (trap->kind) {
    case VX_TRAP_PAGE:
        fprintf(stderr, "page fault %s 0x%08" PRIx32 " (trap)\n",
                access_names[trap->access % 3], trap->address);
        break;
    case VX_TRAP_INTERRUPT:
        fprintf(stderr, "software interrupt 0x%02x (trap)\n", trap->vector);
        break;
    case VX_TRAP_NOT_CACHED:
        fputs("this path is not in the cache (--no-dynamic)\n", stderr);
        break;
    case VX_TRAP_ERROR:
        fputs(vx_strerror(trap->status), stderr);
        if (trap->status == VX_ERR_REJECTED)
            fprintf(stderr, ": V%02" PRIu32, trap->detail);
        fputc('\n', stderr);
        break;
    default:
        fprintf(stderr, "%s (trap)\n", vx_trap_name(trap->kind));
        break;
    }
}

static void save_profile(const struct options *options, const char *program,
                         struct vxl_proc *proc)
{
    struct vx_error error = {0};
    uint64_t hash[2];
    size_t count;
    if (!options->profile_out || !vxl_is_first_program(proc))
        return;
    const vx_gaddr *addresses = vx_box_profile(vxl_box(proc), &count);
    vx_status status = vxl_guest_hash(program, hash, &error);
    if (status == VX_OK)
        status = vxl_merge_profile(options->profile_out, hash, addresses, count, &error);
    if (status != VX_OK)
        fprintf(stderr, "vxrun: %s: cannot write the profile: %s\n", options->profile_out, error.text);
}

/* Where caches of mapped files are: as asked for, else the user's own, if it is there. */
static int open_caches(struct options *options)
{
    const char *home = getenv("HOME"), *cache_home = getenv("XDG_CACHE_HOME");
    bool is_asked = options->cache_dir || options->cache_write;
    options->cache_fd = -1;
    if (options->no_cache)
        return 0;
    if (!options->cache_dir && cache_home && *cache_home == '/') {
        if (asprintf(&options->cache_dir, "%s/vx", cache_home) < 0)
            options->cache_dir = NULL;
    } else if (!options->cache_dir && home && *home == '/') {
        if (asprintf(&options->cache_dir, "%s/.cache/vx", home) < 0)
            options->cache_dir = NULL;
    }
    if (options->cache_dir)
        options->cache_fd = vxf_directory_open(options->cache_dir, options->cache_write);
    if (options->cache_fd < 0 && is_asked) {
        fprintf(stderr, "vxrun: --cache-dir: %s: %s\n", options->cache_dir ? options->cache_dir : "no directory",
                strerror(errno));
        return EXIT_VXRUN;
    }
    if (options->cache_fd >= 0)
        options->codes = vxl_codes_new(options->cache_fd);
    if (options->cache_write) {
        const char *why;
        options->writer = vxl_writer_start(options->cache_dir, &why);
        if (options->writer < 0) {
            fprintf(stderr, "vxrun: --cache-write: %s\n", why);
            return EXIT_VXRUN;
        }
    }
    return 0;
}

/* What is open stays open; what is not, and what no option asks for, this process cannot get any more. */
static int raise_filter(const struct options *options)
{
    const struct vxl_filter_options wanted = {.can_fork = options->allow_fork, .has_net = options->net != VXL_NET_NONE,
                                              .can_write_caches = options->cache_write};
    const char *why;
    if (options->no_seccomp || vxl_filter(&wanted, &why))
        return 0;
    fprintf(stderr, "vxrun: no seccomp filter: %s (--no-seccomp runs without one)\n", why);
    return EXIT_VXRUN;
}

static void save_caches(const struct options *options, struct vxl_proc *proc)
{
    struct vx_error error = {0};
    if (!options->cache_write || !options->codes)
        return;
    if (vxl_write_caches(options->cache_dir, options->cache_fd, options->writer, options->codes, vxl_box(proc), &error) != VX_OK)
        fprintf(stderr, "vxrun: %s: cannot write caches: %s\n", options->cache_dir, error.text);
}

static int end(const struct options *options, const struct vxl_report *report)
{
    const struct vxl_outcome *outcome = report->outcome;
    if (outcome->has_trap)
        print_trap(report->program, &outcome->trap);
    else if (outcome->end == VXL_SIGNALED && !outcome->is_child && outcome->code != SIGPIPE)
        fprintf(stderr, "vxrun: %s: ended by signal %d (%s)\n", report->program, outcome->code,
                strsignal(outcome->code));
    save_profile(options, report->program, report->proc);
    save_caches(options, report->proc);
    if (outcome->is_child)
        vxl_leave_child(outcome);
    if (options->stats)
        vxl_print_stats(stderr, report, options->stats_json);
    switch (outcome->end) {
    case VXL_EXITED:
        return outcome->code;
    case VXL_SIGNALED:
        return EXIT_SIGNAL + outcome->code;
    default:
        return EXIT_VXRUN;
    }
}

/* What end() has to know besides. */
struct started {
    const struct options *options;
    const char *program, *cache;
    struct vx_image *image;
};

static void end_child(void *context, struct vxl_proc *proc, const struct vxl_outcome *outcome)
{
    const struct started *started = context;
    struct vxl_report report = {started->program, started->cache, started->image, proc, outcome,
                                started->options->codes};
    end(started->options, &report);
}

static int run(const struct options *options, struct vx_image *image, const char *cache,
               char **argv)
{
    struct started started = {options, argv[0], cache, image};
    struct vxl_config config = {
        .on_child_end = end_child, .on_child_end_context = &started, .image = image, .program = argv[0], .argv = (const char *const *)argv,
        .program_fd = image ? open(argv[0], O_RDONLY | O_CLOEXEC) : -1,
        .envp = options->env, .grants = options->grants, .grant_count = options->grant_count,
        .box = {.size = sizeof config.box, .max_memory = options->max_memory,
                .no_dynamic = options->no_dynamic, .cpu = options->cpu},
        .time_limit_ns = options->time_limit_ns, .allow_fork = options->allow_fork, .net = options->net,
        .no_cache = options->no_cache, .codes = options->codes,
    };
    struct vxl_proc *proc;
    struct vxl_outcome outcome;
    struct vx_error error;
    vx_status status = vxl_new(&config, &proc, &error);
    if (status != VX_OK) {
        print_error(argv[0], status, &error);
        return exit_code_of(status);
    }
    fflush(NULL);
    int code = raise_filter(options);
    if (code) {
        vxl_free(proc);
        return code;
    }
    vxl_run(proc, &outcome);
    struct vxl_report report = {argv[0], cache, image, proc, &outcome, options->codes};
    code = end(options, &report);
    vxl_free(proc);
    if (config.program_fd >= 0)
        close(config.program_fd);
    return code;
}

/* Open the program and run it. */
static int start(struct options *options, char **argv)
{
    struct vx_image *image;
    struct vx_error error = {0};
    char *beside = NULL;
    const char *cache = options->cache;
    if (options->has_root) {
        int failed = open_caches(options);
        return failed ? failed : run(options, NULL, NULL, argv);
    }
    if (!cache && !options->no_cache)
        cache = beside = cache_beside(argv[0]);
    struct vx_image_options image_options = {
        .size = sizeof image_options, .cache_path = cache, .ignore_cache = options->no_cache,
        .cpu = options->cpu};
    int code;
    vx_status status = vx_image_open(argv[0], &image_options, &image, &error);
    if (status == VX_OK) {
        warn_of_cache(options, cache ? cache : argv[0], image);
        code = run(options, image, cache, argv);
        vx_image_close(image);
    } else {
        print_error(argv[0], status, &error);
        code = exit_code_of(status);
    }
    free(beside);
    return code;
}

/* What was asked for was printed, or not. */
static int end_of_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "vxrun: standard output: %s\n", strerror(errno));
    return EXIT_VXRUN;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int code = parse_options(&options, argc, argv);
    if (code == 0) {
        /* the guest gets its own SIGPIPE */
        signal(SIGPIPE, SIG_IGN);
        code = start(&options, argv + optind);
    }
    for (size_t i = 0; i < options.grant_count; i++) {
        free((char *)options.grants[i].guest_path);
        close(options.grants[i].host_fd);
    }
    vxl_codes_free(options.codes);
    free(options.cache_dir);
    free(options.env);
    return code < 0 ? end_of_output() : code;
}

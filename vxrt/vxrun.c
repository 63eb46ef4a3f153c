/*
 * vxrun: run an i386 Linux program in a box, from its verified cache.
 *
 * Nothing of the host is open to the program but what the options grant.
 * Exit codes: the program's own; 125 vxrun failed or stopped it; 126 the
 * program cannot be loaded; 127 it is not there; 128 + N ended by signal N.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/directory.h"
#include "vxrt/linux/codes.h"
#include "vxrt/linux/filter.h"
#include "vxrt/linux/options.h"
#include "vxrt/linux/tool.h"
#include "vxrt/linux/writer.h"

#define KEPT_BYTES (16 << 20)

/* What was asked for, and the caches of the files that the program maps. */
struct vxrun {
    struct vxl_options options;
    int cache_fd; /* of options.cache_dir, -1: none */
    int writer;   /* with --cache-write: of writer.h */
    struct vxl_codes *codes;
    mode_t mask;  /* for files of its own: the guest sets another */
};

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
        return VXL_EXIT_MISSING;
    case VX_ERR_MEMORY:
    case VX_ERR_ADDRESS_SPACE:
    case VX_ERR_ARGUMENT:
        return VXL_EXIT_FAILED;
    default:
        return VXL_EXIT_CANNOT_LOAD;
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
static void warn_of_cache(const struct vxl_options *options, const char *path, const struct vx_image *image)
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
    char text[VX_TRAP_TEXT_BYTES];
    if (trap->kind == VX_TRAP_LIMIT) {
        fprintf(stderr, "vxrun: %s: time limit reached\n", program);
        return;
    }
    fprintf(stderr, "%s:0x%08" PRIx32 ": error: ", program, trap->eip);
    switch (trap->kind) {
    case VX_TRAP_SYSCALL:
        fputs("it is a plug-in, and waits to be called by a host (vx_park); vxrun runs programs\n", stderr);
        break;
    case VX_TRAP_NOT_CACHED:
        fputs("this path is not in the cache (--no-dynamic)\n", stderr);
        break;
    case VX_TRAP_ERROR:
        fprintf(stderr, "%s\n", vx_trap_describe(trap, text, sizeof text));
        break;
    default:
        fprintf(stderr, "%s (trap)\n", vx_trap_describe(trap, text, sizeof text));
        break;
    }
}

static void save_profile(const struct vxl_options *options, const char *program,
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
static int open_caches(struct vxrun *vxrun)
{
    struct vxl_options *options = &vxrun->options;
    const char *home = getenv("HOME"), *cache_home = getenv("XDG_CACHE_HOME");
    bool is_asked = options->cache_dir || options->cache_write;
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
        vxrun->cache_fd = vxf_directory_open(options->cache_dir, options->cache_write);
    if (vxrun->cache_fd < 0 && is_asked) {
        fprintf(stderr, "vxrun: --cache-dir: %s: %s\n", options->cache_dir ? options->cache_dir : "no directory",
                strerror(errno));
        return VXL_EXIT_FAILED;
    }
    if (vxrun->cache_fd >= 0)
        vxrun->codes = vxl_codes_new(vxrun->cache_fd);
    if (options->cache_write) {
        const char *why;
        vxrun->writer = vxl_writer_start(options->cache_dir, &why);
        if (vxrun->writer < 0) {
            fprintf(stderr, "vxrun: --cache-write: %s\n", why);
            return VXL_EXIT_FAILED;
        }
    }
    return 0;
}

/* What is open stays open; what is not, and what no option asks for, this process cannot get any more. */
static int raise_filter(const struct vxl_options *options)
{
    const struct vxl_filter_options wanted = {.can_fork = options->allow_fork, .has_net = options->net != VXL_NET_NONE,
                                              .can_write_caches = options->cache_write};
    const char *why;
    if (options->no_seccomp || vxl_filter(&wanted, &why))
        return 0;
    fprintf(stderr, "vxrun: no seccomp filter: %s (--no-seccomp runs without one)\n", why);
    return VXL_EXIT_FAILED;
}

static void save_caches(const struct vxrun *vxrun, struct vxl_proc *proc)
{
    struct vx_error error = {0};
    const char *directory = vxrun->options.cache_dir;
    if (!vxrun->options.cache_write || !vxrun->codes)
        return;
    if (vxl_write_caches(directory, vxrun->cache_fd, vxrun->writer, vxrun->codes, vxl_box(proc), &error) != VX_OK)
        fprintf(stderr, "vxrun: %s: cannot write caches: %s\n", directory, error.text);
}

static int end(const struct vxrun *vxrun, const struct vxl_report *report)
{
    const struct vxl_options *options = &vxrun->options;
    const struct vxl_outcome *outcome = report->outcome;
    if (outcome->has_trap)
        print_trap(report->program, &outcome->trap);
    else if (outcome->end == VXL_SIGNALED && !outcome->is_child && outcome->code != SIGPIPE)
        fprintf(stderr, "vxrun: %s: ended by signal %d (%s)\n", report->program, outcome->code,
                strsignal(outcome->code));
    umask(vxrun->mask);
    save_profile(options, report->program, report->proc);
    save_caches(vxrun, report->proc);
    if (outcome->is_child)
        vxl_leave_child(outcome);
    if (options->stats)
        vxl_print_stats(stderr, report, options->stats_json);
    switch (outcome->end) {
    case VXL_EXITED:
        return outcome->code;
    case VXL_SIGNALED:
        return VXL_EXIT_SIGNAL + outcome->code;
    default:
        return VXL_EXIT_FAILED;
    }
}

/* What end() has to know besides. */
struct started {
    const struct vxrun *vxrun;
    const char *program, *cache;
    struct vx_image *image;
};

static void end_child(void *context, struct vxl_proc *proc, const struct vxl_outcome *outcome)
{
    const struct started *started = context;
    struct vxl_report report = {started->program, started->cache, started->image, proc, outcome,
                                started->vxrun->codes};
    end(started->vxrun, &report);
}

static int run(const struct vxrun *vxrun, struct vx_image *image, const char *cache, char **argv)
{
    const struct vxl_options *options = &vxrun->options;
    struct started started = {vxrun, argv[0], cache, image};
    struct vxl_config config = {
        .on_child_end = end_child, .on_child_end_context = &started, .image = image, .program = argv[0], .argv = (const char *const *)argv,
        .program_fd = image ? open(argv[0], O_RDONLY | O_CLOEXEC) : -1,
        .envp = options->env, .grants = options->grants, .grant_count = options->grant_count,
        .box = {.size = sizeof config.box, .max_memory = options->max_memory,
                .no_dynamic = options->no_dynamic, .cpu = options->cpu},
        .time_limit_ns = options->time_limit_ns, .allow_fork = options->allow_fork, .net = options->net,
        .no_cache = options->no_cache, .codes = vxrun->codes,
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
    struct vxl_report report = {argv[0], cache, image, proc, &outcome, vxrun->codes};
    code = end(vxrun, &report);
    vxl_free(proc);
    if (config.program_fd >= 0)
        close(config.program_fd);
    return code;
}

/* Open the program and run it. */
static int start(struct vxrun *vxrun, char **argv)
{
    const struct vxl_options *options = &vxrun->options;
    struct vx_image *image;
    struct vx_error error = {0};
    char *beside = NULL;
    const char *cache = options->cache;
    if (options->has_root) {
        int failed = open_caches(vxrun);
        return failed ? failed : run(vxrun, NULL, NULL, argv);
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
        code = run(vxrun, image, cache, argv);
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
    return VXL_EXIT_FAILED;
}

/* A standard stream that is closed would be the first file opened here, and be given to the guest. */
static void fill_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct vxrun vxrun = {.cache_fd = -1};
    fill_streams();
    vxrun.mask = umask(0);
    umask(vxrun.mask);
    /* What the translator frees it soon wants again: giving it back and faulting it in is a tenth of its time. */
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    int code = vxl_options_read(&vxrun.options, argc, argv);
    if (code == 0) {
        /* the guest gets its own SIGPIPE */
        signal(SIGPIPE, SIG_IGN);
        code = start(&vxrun, argv + optind);
    }
    vxl_codes_free(vxrun.codes);
    vxl_options_free(&vxrun.options);
    return code < 0 ? end_of_output() : code;
}

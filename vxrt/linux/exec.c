/*
 * execve: another granted program in a fresh box of the same process. Without
 * leave to fork it is refused: a guest is one program then.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vxrt/linux/calls.h"
#include "vxrt/linux/file.h"
#include "vxrt/linux/threads.h"

#define STRINGS_LIMIT (2u << 20) /* bytes of arguments and environment in all */
#define STRING_LIMIT (128u << 10)
#define COUNT_LIMIT 65536u
#define SCRIPT_DEPTH 4
#define SCRIPT_LINE 256
#define FD_PREFIX "/dev/fd/" /* what execveat makes of a descriptor, as the kernel does */

/* A growing list of strings, NULL-terminated; owns them. */
struct strings {
    char **list;
    size_t count, capacity, bytes;
};

static void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i]);
    free(s->list);
    *s = (struct strings){0};
}

/* Insert a copy of text at `index`. */
static int insert(struct strings *s, size_t index, const char *text)
{
    if (s->count + 1 >= s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 64;
        char **list = realloc(s->list, capacity * sizeof *list);
        if (!list)
            return -ENOMEM;
        s->list = list;
        s->capacity = capacity;
    }
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    memmove(s->list + index + 1, s->list + index, (s->count - index) * sizeof *s->list);
    s->list[index] = copy;
    s->list[++s->count] = NULL;
    s->bytes += strlen(text) + 1;
    return s->bytes > STRINGS_LIMIT || s->count > COUNT_LIMIT ? -E2BIG : 0;
}

/* A guest's NULL-terminated vector of strings; 0 is an empty one. */
static int get_strings(struct vxl_proc *p, vx_gaddr vector, struct strings *out)
{
    int status = 0;
    char *text = malloc(STRING_LIMIT);
    out->list = calloc(1, sizeof *out->list);
    out->capacity = 1;
    if (!text || !out->list)
        status = -ENOMEM;
    for (uint32_t at; vector && status == 0; vector += 4) {
        if (!vxl_get(p, vector, &at, 4)) {
            status = -EFAULT;
            break;
        }
        if (!at)
            break;
        vx_status read = vx_box_read_string(p->box, at, text, STRING_LIMIT);
        status = read == VX_OK ? insert(out, out->count, text)
                               : read == VX_ERR_TOO_LARGE ? -E2BIG : -EFAULT;
    }
    free(text);
    return status;
}

/* ---- opening --------------------------------------------------------- */

struct program {
    int fd;
    struct stat st;
    char guest_path[VXL_PATH_BYTES];
    int cache_fd; /* -1: none */
};

static void program_done(struct program *program)
{
    if (program->fd >= 0)
        close(program->fd);
    if (program->cache_fd >= 0)
        close(program->cache_fd);
}

/* FILE.vxc beside a program, named without symbolic links (/bin/ls -> busybox: /bin/busybox.vxc). */
static int open_cache(struct vxl_proc *p, const char *program)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    if (snprintf(path, sizeof path, "%s.vxc", program) >= (int)sizeof path ||
        vxl_find(p, (uint32_t)AT_FDCWD, path, &place) < 0)
        return -1;
    return vxl_open_beneath(&place, O_RDONLY | O_NONBLOCK, 0);
}

int vxl_open_executable(struct vxl_proc *p, const char *path, struct vxl_executable *out)
{
    struct vxl_place place;
    out->fd = -1;
    int status = vxl_find(p, (uint32_t)AT_FDCWD, path, &place);
    if (status < 0)
        return status;
    int fd = vxl_open_beneath(&place, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    if (fstat(fd, &out->st) || !S_ISREG(out->st.st_mode) || !(out->st.st_mode & 0111)) {
        close(fd);
        return -EACCES;
    }
    strcpy(out->guest_path, place.guest);
    out->fd = fd;
    return 0;
}

/* A program by the guest's descriptor, opened once more for reading: it may be one for nothing but the path. */
static int open_descriptor(struct vxl_proc *p, uint32_t fd, struct vxl_executable *out)
{
    char name[40];
    int host = vxl_host_fd(p, fd);
    if (host < 0)
        return host;
    if (fstat(host, &out->st) || !S_ISREG(out->st.st_mode) || !(out->st.st_mode & 0111))
        return -EACCES;
    snprintf(name, sizeof name, "/proc/self/fd/%d", host);
    out->fd = open(name, O_RDONLY | O_CLOEXEC);
    snprintf(out->guest_path, sizeof out->guest_path, FD_PREFIX "%u", fd);
    return out->fd < 0 ? -errno : 0;
}

static int open_program(struct vxl_proc *p, const char *path, struct program *program)
{
    struct vxl_executable file;
    program->fd = program->cache_fd = -1;
    if (!strcmp(path, VXL_SELF_EXE)) { /* the program that runs now */
        if (!p->config->image) {
            path = p->exe_path;
        } else {
            strcpy(program->guest_path, p->exe_path);
            program->st = (struct stat){.st_dev = p->exe_dev, .st_ino = p->exe_ino};
            return p->exe_ino ? 0 : -ENOENT;
        }
    }
    char *end;
    bool is_descriptor = !strncmp(path, FD_PREFIX, strlen(FD_PREFIX)) && path[strlen(FD_PREFIX)];
    unsigned long number = is_descriptor ? strtoul(path + strlen(FD_PREFIX), &end, 10) : 0;
    int status = is_descriptor && !*end && number < VXL_FD_LIMIT ? open_descriptor(p, (uint32_t)number, &file)
                                                                   : vxl_open_executable(p, path, &file);
    if (status < 0)
        return status;
    program->fd = file.fd;
    program->st = file.st;
    strcpy(program->guest_path, file.guest_path);
    if (!p->config->no_cache && p->config->image && !is_descriptor)
        program->cache_fd = open_cache(p, program->guest_path);
    return 0;
}

/* "#!": the interpreter's path and its one argument, "" if none. False: not a script. */
static bool is_script(int fd, char line[SCRIPT_LINE], char **interpreter, char **argument)
{
    ssize_t size = fd < 0 ? 0 : pread(fd, line, SCRIPT_LINE - 1, 0);
    if (size < 3 || line[0] != '#' || line[1] != '!')
        return false;
    line[size] = 0;
    line[strcspn(line, "\n")] = 0;
    *interpreter = line + 2 + strspn(line + 2, " \t");
    char *end = *interpreter + strcspn(*interpreter, " \t");
    *argument = end + strspn(end, " \t");
    *end = 0;
    for (size_t i = strlen(*argument); i-- > 0 && strchr(" \t", (*argument)[i]);)
        (*argument)[i] = 0;
    return **interpreter;
}

/* Follow "#!" lines to an ELF program, with argv changed as the kernel does. */
static int resolve(struct vxl_proc *p, char path[VXL_PATH_BYTES], struct strings *argv,
                   struct program *program)
{
    for (int depth = 0; depth <= SCRIPT_DEPTH; depth++) {
        char line[SCRIPT_LINE], *interpreter, *argument;
        int status = open_program(p, path, program);
        if (status < 0 || !is_script(program->fd, line, &interpreter, &argument))
            return status;
        program_done(program);
        program->fd = program->cache_fd = -1;
        if (argv->count) {
            free(argv->list[0]);
            memmove(argv->list, argv->list + 1, argv->count * sizeof *argv->list);
            argv->count--;
        }
        if ((status = insert(argv, 0, path)) == 0 && *argument)
            status = insert(argv, 0, argument);
        if (status == 0)
            status = insert(argv, 0, interpreter);
        if (status < 0)
            return status;
        strcpy(path, interpreter);
    }
    return -ELOOP;
}

/* The image of a program: one that is open already, or a new one. */
static int open_image(struct vxl_proc *p, const struct program *program, struct vx_image **image,
                      bool *is_new)
{
    char path[40], cache[40];
    struct vx_error error;
    struct vx_image_options options = {.size = sizeof options, .cpu = p->config->box.cpu};
    *is_new = false;
    *image = NULL;
    if (!p->config->image)
        return 0; /* mapped from its file */
    if (program->st.st_ino == p->first_ino && program->st.st_dev == p->first_dev) {
        *image = p->config->image;
        return 0;
    }
    if (program->st.st_ino == p->exe_ino && program->st.st_dev == p->exe_dev) {
        *image = p->image;
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", program->fd);
    snprintf(cache, sizeof cache, "/proc/self/fd/%d", program->cache_fd);
    if (program->cache_fd >= 0)
        options.cache_path = cache;
    vx_status status = vx_image_open(path, &options, image, &error);
    *is_new = status == VX_OK;
    if (status == VX_ERR_MEMORY)
        return -ENOMEM;
    return status == VX_OK ? 0 : -ENOEXEC;
}

/* ---- execve ---------------------------------------------------------- */

static void start(struct vxl_proc *p, const struct program *program, struct vx_image *old_image,
                  bool old_is_owned, bool is_new)
{
    if (old_is_owned && old_image != p->image)
        vx_image_close(old_image);
    p->owns_image = is_new || (old_is_owned && old_image == p->image);
    p->is_first_program = p->image && p->image == p->config->image;
    strcpy(p->exe_path, program->guest_path);
    p->exe_dev = program->st.st_dev;
    p->exe_ino = program->st.st_ino;
    const char *name = strrchr(p->exe_path, '/');
    snprintf(p->name, sizeof p->name, "%.15s", name ? name + 1 : p->exe_path);
    memset(p->tls, 0, sizeof p->tls);
    p->clear_child_tid = p->robust_list = 0;
    vxl_fd_close_on_exec(p);
    vxl_signals_after_exec(p);
    vxl_timers_forget(p, false);
    if (p->deadline_ns) {
        uint64_t now = vxl_now_ns();
        vx_box_set_time_limit(p->box, p->deadline_ns > now ? p->deadline_ns - now : 1);
    }
    p->has_replaced_regs = true;
}

static int error_of(vx_status status)
{
    switch (status) {
    case VX_ERR_TOO_LARGE:
        return -E2BIG;
    case VX_ERR_MEMORY:
        return -ENOMEM;
    case VX_ERR_NOT_FOUND: /* the interpreter */
        return -ENOENT;
    default:
        return -ENOEXEC;
    }
}

static int load_program(struct vxl_proc *p, const struct program *program, const char *path,
                        const struct strings *argv, const struct strings *envp, struct vx_error *error)
{
    struct vx_image *old_image = p->image, *image;
    bool old_is_owned = p->owns_image, is_new;
    sigset_t all, old_mask;
    int status = open_image(p, program, &image, &is_new);
    if (status < 0)
        return status;
    /* a signal handler must not see the box half replaced */
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* a file that is shorter than its headers say */
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &all, &old_mask);
    struct vxl_source source = {.image = image, .fd = program->fd, .execfn = path};
    vx_status loaded = vxl_load(p, &source, (const char *const *)argv->list,
                                (const char *const *)envp->list, error);
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    if (loaded) {
        if (is_new)
            vx_image_close(image);
        return error_of(loaded);
    }
    start(p, program, old_image, old_is_owned, is_new);
    return 0;
}

/* Takes over both lists. */
static int execute(struct vxl_proc *p, char path[VXL_PATH_BYTES], struct strings *argv, struct strings *envp,
                   struct vx_error *error)
{
    struct program program = {.fd = -1, .cache_fd = -1};
    int status = resolve(p, path, argv, &program);
    if (status == 0)
        status = load_program(p, &program, path, argv, envp, error);
    program_done(&program);
    strings_free(argv);
    strings_free(envp);
    return status;
}

static int32_t execute_from(struct vxl_proc *p, char path[VXL_PATH_BYTES], vx_gaddr argv_at, vx_gaddr envp_at)
{
    struct strings argv = {0}, envp = {0};
    struct vx_error error;
    int status = get_strings(p, argv_at, &argv);
    if (status == 0)
        status = get_strings(p, envp_at, &envp);
    if (status == 0)
        return execute(p, path, &argv, &envp, &error);
    strings_free(&argv);
    strings_free(&envp);
    return status;
}

int32_t vxl_execve(struct vxl_proc *p, const uint32_t *a)
{
    char path[VXL_PATH_BYTES];
    if (!p->config->allow_fork) {
        p->refused[p->call_number]++;
        return -ENOSYS;
    }
    int status = vxl_get_path(p, a[0], path);
    return status < 0 ? status : execute_from(p, path, a[1], a[2]);
}

/* Directory, path, arguments, environment, flags. */
int32_t vxl_execveat(struct vxl_proc *p, const uint32_t *a)
{
    char path[VXL_PATH_BYTES];
    struct vxl_place place;
    if (!p->config->allow_fork) {
        p->refused[p->call_number]++;
        return -ENOSYS;
    }
    int status = vxl_get_path(p, a[1], path);
    if (status == 0 && a[4] & ~(uint32_t)AT_EMPTY_PATH)
        return -EINVAL;
    if (status == 0 && !*path && a[4] & AT_EMPTY_PATH)
        snprintf(path, sizeof path, FD_PREFIX "%u", a[0]);
    else if (status == 0 && (status = vxl_find(p, a[0], path, &place)) == 0)
        strcpy(path, place.asked);
    return status < 0 ? status : execute_from(p, path, a[2], a[3]);
}

static int copy_strings(const char *const *list, struct strings *out)
{
    int status = 0;
    for (size_t i = 0; list[i] && status == 0; i++)
        status = insert(out, i, list[i]);
    if (!out->list && status == 0) {
        out->list = calloc(1, sizeof *out->list);
        out->capacity = 1;
        status = out->list ? 0 : -ENOMEM;
    }
    return status;
}

/* A name without a slash is looked for along PATH, as a shell does. */
static int find_program(struct vxl_proc *p, char path[VXL_PATH_BYTES])
{
    const char *name = p->config->program, *dirs = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    struct vxl_executable file;
    int status = -ENOENT;
    for (const char *const *env = p->config->envp; *env; env++)
        if (!strncmp(*env, "PATH=", 5))
            dirs = *env + 5;
    bool is_path = strchr(name, '/');
    if (is_path)
        dirs = "";
    do {
        size_t length = strcspn(dirs, ":");
        int size = snprintf(path, VXL_PATH_BYTES, "%.*s%s%s", (int)length, dirs, length ? "/" : "", name);
        int opened = size < VXL_PATH_BYTES ? vxl_open_executable(p, path, &file) : -ENAMETOOLONG;
        if (opened == 0) {
            close(file.fd);
            return 0;
        }
        if (opened != -ENOENT && opened != -ENOTDIR)
            status = opened;
        dirs += length + (dirs[length] == ':');
    } while (*dirs);
    return status;
}

int vxl_exec_first(struct vxl_proc *p, struct vx_error *error)
{
    char path[VXL_PATH_BYTES];
    struct strings argv = {0}, envp = {0};
    int status = find_program(p, path);
    if (status == 0)
        status = copy_strings(p->config->argv, &argv);
    if (status == 0)
        status = copy_strings(p->config->envp, &envp);
    if (status == 0)
        return execute(p, path, &argv, &envp, error);
    strings_free(&argv);
    strings_free(&envp);
    return status;
}

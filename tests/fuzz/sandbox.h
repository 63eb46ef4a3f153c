/*
 * The host of fuzz_calls and fuzz_personality: a directory tree in memory with two granted directories and something outside of them,
 * made anew for each input, and the looks at it that tell whether a guest got where it must not.
 *     inside/  granted for reading and writing       fixed/  granted for reading
 *     outside/secret  reached by links from inside, and by nothing that is allowed
 */
#ifndef FUZZ_SANDBOX_H
#define FUZZ_SANDBOX_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define SECRET_BYTES 32

static struct {
    char root[64];
    int top, inside, fixed, descriptors; /* directories; descriptors: /proc/self/fd */
    uint8_t secret_inverted[SECRET_BYTES]; /* libFuzzer puts into its inputs what it sees compared */
    struct stat top_is, secret_is, fixed_is, fixed_file_is, outside_is;
} sandbox;

static void sandbox_write(const char *name, const void *bytes, size_t size, mode_t mode)
{
    int fd = openat(sandbox.top, name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, mode);
    PROMISE(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    fchmod(fd, mode);
    close(fd);
}

/* Everything below a directory, whatever its modes. */
static void sandbox_empty(int parent, const char *name)
{
    fchmodat(parent, name, 0700, 0);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    PROMISE(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        sandbox_empty(fd, entry->d_name);
        PROMISE(unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0);
    }
    closedir(dir);
}

static void sandbox_end(void)
{
    sandbox_empty(AT_FDCWD, sandbox.root);
    unlinkat(AT_FDCWD, sandbox.root, AT_REMOVEDIR);
}

static void sandbox_start(void)
{
    int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    uint8_t secret[SECRET_BYTES];
    PROMISE(random >= 0 && read(random, secret, SECRET_BYTES) == SECRET_BYTES);
    close(random);
    for (unsigned i = 0; i < SECRET_BYTES; i++)
        sandbox.secret_inverted[i] = (uint8_t)~secret[i];
    strcpy(sandbox.root, "/dev/shm/vx-fuzz-XXXXXX");
    if (!mkdtemp(sandbox.root)) {
        strcpy(sandbox.root, "/tmp/vx-fuzz-XXXXXX");
        PROMISE(mkdtemp(sandbox.root));
    }
    atexit(sandbox_end);
    sandbox.top = open(sandbox.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    PROMISE(!mkdirat(sandbox.top, "inside", 0755) && !mkdirat(sandbox.top, "fixed", 0755) && !mkdirat(sandbox.top, "outside", 0755));
    sandbox.inside = openat(sandbox.top, "inside", O_PATH | O_DIRECTORY | O_CLOEXEC);
    sandbox.fixed = openat(sandbox.top, "fixed", O_PATH | O_DIRECTORY | O_CLOEXEC);
    sandbox.descriptors = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    PROMISE(sandbox.top >= 0 && sandbox.inside >= 0 && sandbox.fixed >= 0 && sandbox.descriptors >= 0);
    sandbox_write("outside/secret", secret, SECRET_BYTES, 0644);
    sandbox_write("fixed/file", "fixed", 5, 0644);
    PROMISE(!fstatat(sandbox.top, ".", &sandbox.top_is, 0) && !fstatat(sandbox.top, "outside/secret", &sandbox.secret_is, 0) && !fstatat(sandbox.top, "outside", &sandbox.outside_is, 0) &&
            !fstatat(sandbox.top, "fixed", &sandbox.fixed_is, 0) && !fstatat(sandbox.top, "fixed/file", &sandbox.fixed_file_is, 0));
}

/* What the guest finds. prog: its own program. */
static inline void sandbox_fill(const void *prog, size_t prog_bytes)
{
    static const char *const links[][2] = {
        { "file", "inside/link" }, { "../outside/secret", "inside/out" }, { "/etc/passwd", "inside/absolute" },
        { "../outside", "inside/dir/outside" }, { "loop", "inside/loop" }, { "/proc/self/root", "inside/magic" } };
    sandbox_empty(sandbox.top, "inside");
    PROMISE(!fchmodat(sandbox.top, "inside", 0755, 0) && !mkdirat(sandbox.top, "inside/dir", 0755));
    sandbox_write("inside/file", "0123456789abcdef", 16, 0644);
    sandbox_write("inside/dir/deep", "deep", 4, 0600);
    sandbox_write("inside/prog", prog, prog_bytes, 0755);
    sandbox_write("inside/script", "#!/work/prog x\n", 15, 0755);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        PROMISE(!symlinkat(links[i][0], sandbox.top, links[i][1]));
}

/* ctime: neither contents nor owner, mode, times or number of links were touched. */
static int is_same(const char *name, const struct stat *was)
{
    struct stat is;
    return !fstatat(sandbox.top, name, &is, AT_SYMLINK_NOFOLLOW) && is.st_ino == was->st_ino && is.st_size == was->st_size &&
           is.st_ctim.tv_sec == was->st_ctim.tv_sec && is.st_ctim.tv_nsec == was->st_ctim.tv_nsec;
}

static void sandbox_check(void)
{
    PROMISE(is_same(".", &sandbox.top_is));
    PROMISE(is_same("outside/secret", &sandbox.secret_is));
    PROMISE(is_same("outside", &sandbox.outside_is));
    PROMISE(is_same("fixed", &sandbox.fixed_is));
    PROMISE(is_same("fixed/file", &sandbox.fixed_file_is));
}

/* May a guest have this host descriptor? By the name that the kernel gives it. */
static inline int sandbox_may_have(int fd)
{
    static const char *const others[] = { "pipe:[", "socket:[", "anon_inode:[", "/dev/null", "/dev/zero", "/dev/full",
                                          "/dev/random", "/dev/urandom" };
    char link[40], name[4200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, name, sizeof name - 1);
    if (size < 0)
        return 0;
    name[size] = 0;
    size_t root = strlen(sandbox.root);
    if (!strncmp(name, sandbox.root, root))
        return !strncmp(name + root, "/inside", 7) || !strncmp(name + root, "/fixed", 6);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strncmp(name, others[i], strlen(others[i])))
            return 1;
    fprintf(stderr, "descriptor %d: %s\n", fd, name);
    return 0;
}

/* Descriptors of this process. */
static unsigned sandbox_open_count(void)
{
    char entries[4096];
    unsigned count = 0;
    lseek(sandbox.descriptors, 0, SEEK_SET);
    for (long size; (size = syscall(SYS_getdents64, sandbox.descriptors, entries, sizeof entries)) > 0;)
        for (long at = 0; at < size; count++) {
            uint16_t length;
            memcpy(&length, entries + at + 16, 2);
            at += length;
        }
    return count;
}

#endif

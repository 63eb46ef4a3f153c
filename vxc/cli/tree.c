/*
 * vxc compile --tree: the caches of all i386 programs and libraries below a directory.
 *
 * Files are found first, then translated by several threads, the largest first. A
 * cache is written whole or not at all, so the command may be ended at any time and
 * run again: what is current is left alone.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/directory.h"
#include "format/sandbox.h"
#include "vxc/cli/cli.h"

#define PROGRESS_NS 500000000ull

struct guest {
    char *path;
    uint64_t size, dev, ino;
};

struct tree {
    const char *directory;
    int fd; /* of the directory */
    struct write_options options;
    struct guest *guests;
    size_t count, capacity;
    int exit_code; /* of what could not be read */

    pthread_mutex_t lock; /* all below */
    size_t next, done;
    size_t compiled, current, failed;
    bool is_terminal, is_shown;
    uint64_t start_ns;
};

/* ---- finding files ------------------------------------------------------- */

static bool is_guest(int fd)
{
    Elf32_Ehdr head;
    return pread(fd, &head, sizeof head, 0) == sizeof head && !memcmp(head.e_ident, ELFMAG, SELFMAG) &&
           head.e_ident[EI_CLASS] == ELFCLASS32 && head.e_ident[EI_DATA] == ELFDATA2LSB && head.e_machine == EM_386 &&
           (head.e_type == ET_EXEC || head.e_type == ET_DYN);
}

static bool add(struct tree *tree, const char *path, const struct stat *st)
{
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity ? tree->capacity * 2 : 256;
        struct guest *guests = realloc(tree->guests, capacity * sizeof *guests);
        if (!guests)
            return false;
        tree->guests = guests;
        tree->capacity = capacity;
    }
    char *copy = strdup(path);
    if (!copy)
        return false;
    tree->guests[tree->count++] = (struct guest){ copy, (uint64_t)st->st_size, st->st_dev, st->st_ino };
    return true;
}

static void unreadable(struct tree *tree, const char *path)
{
    complain("%s: %s", path, strerror(errno));
    tree->exit_code = EXIT_SYSTEM;
}

/* A file; symbolic links are not followed, what they lead to is found itself if it is in the tree. */
static bool look_at(struct tree *tree, int parent, const char *name, const char *path)
{
    struct stat st;
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool is_good = true;
    if (fd < 0) {
        unreadable(tree, path);
        return true;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_guest(fd))
        is_good = add(tree, path, &st);
    close(fd);
    return is_good;
}

/* All files below. Takes over fd. False: out of memory. */
static bool walk(struct tree *tree, int fd, const char *path)
{
    DIR *dir = fdopendir(fd);
    bool is_good = true;
    if (!dir) {
        unreadable(tree, path);
        close(fd);
        return true;
    }
    for (struct dirent *entry; is_good && (entry = readdir(dir));) {
        char *name;
        struct stat st;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
            is_good = false;
        else if (S_ISDIR(st.st_mode)) {
            int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below < 0)
                unreadable(tree, name);
            else
                is_good = walk(tree, below, name);
            free(name);
        } else {
            if (S_ISREG(st.st_mode))
                is_good = look_at(tree, fd, entry->d_name, name);
            free(name);
        }
    }
    closedir(dir);
    return is_good;
}

static int compare_inode(const void *a, const void *b)
{
    const struct guest *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static int compare_size(const void *a, const void *b)
{
    const struct guest *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* Each file once, the largest first. */
static void put_in_order(struct tree *tree)
{
    size_t used = 0;
    if (tree->count)
        qsort(tree->guests, tree->count, sizeof *tree->guests, compare_inode);
    for (size_t i = 0; i < tree->count; i++) {
        if (used && compare_inode(&tree->guests[used - 1], &tree->guests[i]) == 0)
            free(tree->guests[i].path);
        else
            tree->guests[used++] = tree->guests[i];
    }
    tree->count = used;
    if (used)
        qsort(tree->guests, used, sizeof *tree->guests, compare_size);
}

/* ---- translating --------------------------------------------------------- */

static bool is_newer(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec > b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

/* A cache of this guest, by this translator, that knows the profile. */
static bool is_current(const struct tree *tree, const uint64_t hash[2])
{
    char name[VXF_DIRECTORY_NAME_BYTES], profile[VXF_DIRECTORY_NAME_BYTES];
    struct vxf_file *file;
    struct vx_error error;
    struct stat cache_st, profile_st;
    vxf_directory_name(hash, ".vxc", name);
    vxf_directory_name(hash, ".profile", profile);
    int fd = openat(tree->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_good = vxf_open_fd(fd, &file, &error) == VX_OK;
    if (is_good) {
        const struct vxf_meta *meta = vxf_meta(file);
        is_good = meta->guest_hash[0] == hash[0] && meta->guest_hash[1] == hash[1] &&
                  meta->translator_hash == VX_TRANSLATOR_HASH && meta->contract == VX_CONTRACT_VERSION && meta->options == tree->options.cpu;
        vxf_close(file);
    }
    if (is_good && fstatat(tree->fd, profile, &profile_st, 0) == 0)
        is_good = fstat(fd, &cache_st) == 0 && is_newer(&cache_st, &profile_st);
    close(fd);
    return is_good;
}

static char *file_in(const struct tree *tree, const uint64_t hash[2], const char *suffix)
{
    char name[VXF_DIRECTORY_NAME_BYTES], *path;
    vxf_directory_name(hash, suffix, name);
    return asprintf(&path, "%s/%s", tree->directory, name) < 0 ? NULL : path;
}

static int compile(const struct tree *tree, const char *path, const uint64_t hash[2])
{
    struct file guest = { 0 };
    struct translation translation;
    struct write_options write = tree->options;
    struct translate_options how = { .threads = 1, .cpu = write.cpu };
    char *output = file_in(tree, hash, ".vxc"), *profile = file_in(tree, hash, ".profile");
    vx_gaddr *extra = NULL;
    int code = EXIT_SYSTEM;
    write.threads = 1;
    if (output && profile && read_file(path, &guest)) {
        if (access(profile, F_OK) == 0)
            read_profile(profile, hash, &extra, &how.extra_count); /* one that cannot be read is no reason to stop */
        how.extra = extra;
        code = translate_guest(path, &guest, &how, &translation);
        if (code == EXIT_GOOD) {
            code = write_cache(output, &guest, &translation, &write);
            translation_free(&translation);
        }
    }
    free(guest.bytes);
    free(extra);
    free(output);
    free(profile);
    return code;
}

enum outcome { COMPILED, CURRENT, FAILED };

static enum outcome one_guest(const struct tree *tree, const char *path)
{
    uint64_t hash[2];
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || vxf_directory_hash(fd, hash, &st) != VX_OK) {
        complain("%s: cannot be read, or changes", path);
        if (fd >= 0)
            close(fd);
        return FAILED;
    }
    close(fd);
    enum outcome outcome = is_current(tree, hash) ? CURRENT : compile(tree, path, hash) == EXIT_GOOD ? COMPILED : FAILED;
    if (outcome != FAILED)
        vxf_directory_note(tree->fd, &st, hash);
    return outcome;
}

/* ---- progress and threads ------------------------------------------------ */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void show_progress(struct tree *tree, const char *path)
{
    if (!tree->is_terminal || now_ns() - tree->start_ns < PROGRESS_NS)
        return;
    fprintf(stderr, "\r\033[K[%zu/%zu] %.60s", tree->done, tree->count, path);
    tree->is_shown = true;
}

static void *work(void *arg)
{
    struct tree *tree = arg;
    pthread_mutex_lock(&tree->lock);
    while (tree->next < tree->count) {
        const char *path = tree->guests[tree->next++].path;
        show_progress(tree, path);
        pthread_mutex_unlock(&tree->lock);
        enum outcome outcome = one_guest(tree, path);
        pthread_mutex_lock(&tree->lock);
        tree->done++;
        tree->compiled += outcome == COMPILED;
        tree->current += outcome == CURRENT;
        tree->failed += outcome == FAILED;
    }
    pthread_mutex_unlock(&tree->lock);
    return NULL;
}

static void run_threads(struct tree *tree)
{
    pthread_t threads[64];
    size_t count = 0;
    while (count + 1 < tree->options.threads && count < 64 && pthread_create(&threads[count], NULL, work, tree) == 0)
        count++;
    work(tree);
    while (count > 0)
        pthread_join(threads[--count], NULL);
    if (tree->is_shown)
        fputs("\r\033[K", stderr);
}

static DIR *open_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dir)
        close(fd);
    return dir;
}

/* Notes of files whose cache is gone, and what killed writers have left: a writer that is at it now tries again. */
static void clean(int directory)
{
    DIR *dir = open_directory(directory, "by-file");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && faccessat(dirfd(dir), entry->d_name, F_OK, 0) && errno == ENOENT)
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    dir = open_directory(directory, ".");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.' && length > 4 && !strcmp(entry->d_name + length - 4, ".new"))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

int compile_tree(const char *root, const char *directory, const struct write_options *options)
{
    struct tree tree = { .directory = directory, .options = *options, .is_terminal = isatty(STDERR_FILENO),
                         .start_ns = now_ns(), .lock = PTHREAD_MUTEX_INITIALIZER };
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        complain("%s: %s", root, strerror(errno));
        return EXIT_SYSTEM;
    }
    tree.fd = vxf_directory_open(directory, true);
    if (tree.fd < 0) {
        complain("%s: %s", directory, strerror(errno));
        close(fd);
        return EXIT_SYSTEM;
    }
    if (walk(&tree, fd, root)) {
        put_in_order(&tree);
        run_threads(&tree);
        clean(tree.fd);
        printf("%zu files: %zu translated, %zu current, %zu not translated\n", tree.count, tree.compiled, tree.current,
               tree.failed);
    } else {
        complain("out of memory");
        tree.exit_code = EXIT_SYSTEM;
    }
    for (size_t i = 0; i < tree.count; i++)
        free(tree.guests[i].path);
    free(tree.guests);
    close(tree.fd);
    return tree.exit_code != EXIT_GOOD ? tree.exit_code : tree.failed ? EXIT_REJECTED : EXIT_GOOD;
}

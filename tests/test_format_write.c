/*
 * The writer of .vxc files: what it refuses, and that failures leave nothing behind and
 * destroy nothing.
 */
#include <CUnit/Basic.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/test_format_util.h"

static struct vxf_content good;

/* Number of files in a directory, hidden ones too. */
static int files_in(const char *dir)
{
    int count = 0;
    DIR *d = opendir(dir);
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return count;
}

/* Run a check in a child process, which may change its limits, user and mounts. 77: skipped. */
static int in_child(int (*check)(void))
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (!child)
        _exit(check());
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static vx_status write_good(const char *path, struct vx_error *error)
{
    memset(error, 0, sizeof *error);
    return vxf_write(path, &good, 6, 2, error);
}

static void test_bad_content(void)
{
    static const struct vxf_chunk misaligned[] = {{16, 10}}, empty[] = {{0, 0}},
                                  overlapping[] = {{0, 5000}, {4096, 10}},
                                  outside[] = {{0, 8193}}, large[] = {{0, VXF_CHUNK_LIMIT + 1}},
                                  fine[] = {{0, 100}, {4096, 100}};
    static const struct vxf_row unsorted_rows[] = {{8, 1, 0, 0}, {4, 1, 0, 0}},
                                row_outside[] = {{100, 1, 0, 0}}, bad_kind[] = {{0, 1, 0, 2}},
                                bad_none[] = {{0, 1, 0, VXF_ROW_NONE}};
    static const struct vxf_reloc overlap[] = {{0, 0}, {3, 0}}, leaves[] = {{97, 0}},
                                  reloc_outside[] = {{4096 + 100, 0}}, unsorted[] = {{8, 0}, {0, 0}};
    static const struct vxf_entry twice[] = {{5, 0}, {5, 1}}, backwards[] = {{5, 0}, {4, 1}},
                                  nowhere[] = {{5, 100}}, beyond[] = {{5, 8192}};
    static const struct vxf_page crooked[] = {{1, 0}}, same[] = {{4096, 0}, {4096, 1}};
    static const uint8_t code[8192];
    const struct vxf_content base = {.code = code, .zone_size = sizeof code, .chunks = fine,
                                     .chunk_count = 2};
    const struct {
        struct vxf_content change;
        vx_status status;
    } cases[] = {
        {{.chunks = misaligned, .chunk_count = 1}, VX_ERR_ARGUMENT},
        {{.chunks = empty, .chunk_count = 1}, VX_ERR_ARGUMENT},
        {{.chunks = overlapping, .chunk_count = 2}, VX_ERR_ARGUMENT},
        {{.chunks = outside, .chunk_count = 1}, VX_ERR_ARGUMENT},
        {{.chunks = large, .chunk_count = 1}, VX_ERR_ARGUMENT},
        {{.rows = unsorted_rows, .row_count = 2}, VX_ERR_ARGUMENT},
        {{.rows = row_outside, .row_count = 1}, VX_ERR_ARGUMENT},
        {{.rows = bad_kind, .row_count = 1}, VX_ERR_ARGUMENT},
        {{.rows = bad_none, .row_count = 1}, VX_ERR_ARGUMENT},
        {{.relocs = overlap, .reloc_count = 2}, VX_ERR_ARGUMENT},
        {{.relocs = leaves, .reloc_count = 1}, VX_ERR_ARGUMENT},
        {{.relocs = reloc_outside, .reloc_count = 1}, VX_ERR_ARGUMENT},
        {{.relocs = unsorted, .reloc_count = 2}, VX_ERR_ARGUMENT},
        {{.entries = twice, .entry_count = 2}, VX_ERR_ARGUMENT},
        {{.entries = backwards, .entry_count = 2}, VX_ERR_ARGUMENT},
        {{.entries = nowhere, .entry_count = 1}, VX_ERR_ARGUMENT},
        {{.entries = beyond, .entry_count = 1}, VX_ERR_ARGUMENT},
        {{.pages = crooked, .page_count = 1}, VX_ERR_ARGUMENT},
        {{.pages = same, .page_count = 2}, VX_ERR_ARGUMENT},
        {{.meta.relocatable = 2}, VX_ERR_ARGUMENT},
        {{.meta.guest_size = VXF_GUEST_LIMIT + 1}, VX_ERR_TOO_LARGE},
        {{.zone_size = VXF_ZONE_LIMIT + 1}, VX_ERR_TOO_LARGE},
        {{.meta.relocatable = 1}, VX_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vxf_content c = cases[i].change;
        struct vx_error error;
        c.code = base.code;
        c.zone_size = c.zone_size ? c.zone_size : base.zone_size;
        if (!c.chunks) {
            c.chunks = base.chunks;
            c.chunk_count = base.chunk_count;
        }
        vx_status status = vxf_write(work_path("bad.vxc"), &c, 6, 1, &error);
        CU_ASSERT_EQUAL(status, cases[i].status);
        CU_ASSERT_TRUE(status == VX_OK || (error.status == status && *error.text));
        unlink(work_path("bad.vxc"));
    }
    struct vx_error error;
    CU_ASSERT_EQUAL(vxf_write(work_path("bad.vxc"), &base, 10, 1, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vxf_write(work_path("bad.vxc"), &base, -1, 1, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vxf_write(work_path("bad.vxc"), &base, 6, 0, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(files_in(work_dir()), 0);
}

static void test_mode_and_replacing(void)
{
    struct vx_error error;
    struct stat st;
    char path[128];
    snprintf(path, sizeof path, "%s/mode.vxc", work_dir());
    mode_t old = umask(027);
    CU_ASSERT_EQUAL(write_good(path, &error), VX_OK);
    umask(old);
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
    ino_t before = st.st_ino;
    CU_ASSERT_EQUAL(write_good(path, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_NOT_EQUAL(st.st_ino, before); /* a reader of the old file keeps it whole */
    CU_ASSERT_EQUAL(files_in(work_dir()), 1);
    unlink(path);
}

static void test_no_directory(void)
{
    struct vx_error error;
    char path[5000];
    CU_ASSERT_EQUAL(write_good(work_path("none/x.vxc"), &error), VX_ERR_NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "No such file or directory"));
    CU_ASSERT_EQUAL(write_good(work_path(""), &error), VX_ERR_IO); /* a directory */
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    CU_ASSERT_EQUAL(write_good(path, &error), VX_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "File name too long"));
    CU_ASSERT_EQUAL(files_in(work_dir()), 0);
}

static void test_full_device(void)
{
    struct vx_error error;
    struct stat st;
    CU_ASSERT_EQUAL(write_good("/dev/full", &error), VX_ERR_FULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "No space left on device"));
    CU_ASSERT_TRUE(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode)); /* not replaced */
    CU_ASSERT_EQUAL(write_good("/dev/null", &error), VX_OK);
    CU_ASSERT_TRUE(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
}

static int write_past_limit(void)
{
    struct vx_error error;
    struct rlimit limit = {1000, 1000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return write_good(work_path("old.vxc"), &error) == VX_ERR_IO &&
                   strstr(error.text, "File too large")
               ? 0
               : 1;
}

static void test_failure_keeps_old_file(void)
{
    size_t size;
    write_file(work_path("old.vxc"), "old", 3);
    CU_ASSERT_EQUAL(in_child(write_past_limit), 0);
    uint8_t *bytes = read_file(work_path("old.vxc"), &size);
    CU_ASSERT_TRUE(bytes && size == 3 && memcmp(bytes, "old", 3) == 0);
    CU_ASSERT_EQUAL(files_in(work_dir()), 1);
    unlink(work_path("old.vxc"));
    free(bytes);
}

static int write_to_full_disk(void)
{
    struct vx_error error;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", work_dir(), "tmpfs", 0, "size=16k"))
        return 77;
    int result = write_good(work_path("x.vxc"), &error) != VX_ERR_FULL;
    return result || files_in(work_dir()) != 0 || !strstr(error.text, "No space left on device");
}

static void test_full_disk(void)
{
    int result = in_child(write_to_full_disk);
    if (result == 77)
        printf("\n    SKIPPED: cannot mount a tmpfs ");
    else
        CU_ASSERT_EQUAL(result, 0);
}

static int write_without_permission(void)
{
    struct vx_error error;
    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 77;
    return write_good(work_path("x.vxc"), &error) == VX_ERR_IO &&
                   strstr(error.text, "Permission denied")
               ? 0
               : 1;
}

static void test_read_only_directory(void)
{
    chmod(work_dir(), 0555);
    int result = in_child(write_without_permission);
    chmod(work_dir(), 0755);
    if (result == 77)
        printf("\n    SKIPPED: cannot become another user ");
    else
        CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(files_in(work_dir()), 0);
}

static int write_to_stdout(void)
{
    struct vx_error error;
    int fd = open(work_path("stdout"), O_WRONLY | O_CREAT, 0600);
    dup2(fd, STDOUT_FILENO);
    return write_good("-", &error) == VX_OK ? 0 : 1;
}

static void test_stdout(void)
{
    size_t size, expected_size;
    CU_ASSERT_EQUAL(in_child(write_to_stdout), 0);
    uint8_t *expected = written(&good, 6, 1, &expected_size);
    uint8_t *bytes = read_file(work_path("stdout"), &size);
    CU_ASSERT_TRUE(bytes && size == expected_size && memcmp(bytes, expected, size) == 0);
    unlink(work_path("stdout"));
    free(bytes);
    free(expected);
}

/* A pipe is written to, not replaced. */
static void *read_pipe(void *arg)
{
    size_t *size = arg;
    char buffer[4096];
    int fd = open(work_path("pipe"), O_RDONLY);
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        *size += (size_t)n;
    close(fd);
    return NULL;
}

static void test_pipe(void)
{
    struct vx_error error;
    size_t size = 0, expected_size;
    pthread_t reader;
    char path[128];
    free(written(&good, 6, 1, &expected_size));
    snprintf(path, sizeof path, "%s/pipe", work_dir());
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    work_path("pipe");
    pthread_create(&reader, NULL, read_pipe, &size);
    CU_ASSERT_EQUAL(write_good(path, &error), VX_OK);
    pthread_join(reader, NULL);
    CU_ASSERT_EQUAL(size, expected_size);
    unlink(path);
}

int main(void)
{
    good = make_content(3, (struct shape){3, 20000, 50000});
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("format_write", NULL, NULL);
    CU_add_test(suite, "content that no reader would take", test_bad_content);
    CU_add_test(suite, "mode, replacing", test_mode_and_replacing);
    CU_add_test(suite, "bad paths", test_no_directory);
    CU_add_test(suite, "full device", test_full_device);
    CU_add_test(suite, "a failure keeps the old file", test_failure_keeps_old_file);
    CU_add_test(suite, "full disk", test_full_disk);
    CU_add_test(suite, "read-only directory", test_read_only_directory);
    CU_add_test(suite, "standard output", test_stdout);
    CU_add_test(suite, "named pipe", test_pipe);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    free_content(&good);
    rmdir(work_dir());
    return failures != 0;
}

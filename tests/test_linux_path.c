/*
 * Guest paths: what leads out of a granted directory, and what does not. Works
 * on a directory tree of its own with traps on the outside.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The code under test, with the one function that it needs from elsewhere. */
#include "vxrt/linux/path.c"
#include "vxrt/linux/walk.c"

static struct vxl_proc *p;
static struct vxl_grant grants[3], tree_grants[2];
static struct vxl_config config = {.grants = grants, .grant_count = 3};
static struct vxl_config tree_config = {.grants = tree_grants, .grant_count = 2};
static char root[] = "/tmp/vx-path-XXXXXX";

struct vxl_fd *vxl_fd(struct vxl_proc *proc, uint32_t fd)
{
    return fd < VXL_FD_LIMIT && proc->fds[fd].in_use ? &proc->fds[fd] : NULL;
}

static int make_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    return !file || fputs(text, file) < 0 || fclose(file);
}

static int add_grant(unsigned index, const char *guest, const char *host, bool is_read_only)
{
    grants[index] = (struct vxl_grant){guest, open(host, O_PATH | O_DIRECTORY), is_read_only};
    return grants[index].host_fd < 0;
}

static int make_tree(void)
{
    p = calloc(1, sizeof *p);
    if (!mkdtemp(root) || chdir(root))
        return 1;
    mkdir("data", 0755);
    mkdir("data/sub", 0755);
    mkdir("ro", 0755);
    mkdir("outside", 0755);
    int bad = make_file("data/inside", "inside") | make_file("data/sub/deep", "deep") |
              make_file("ro/fixed", "fixed") | make_file("outside/secret", "secret");
    bad |= symlink("inside", "data/good") | symlink("../inside", "data/sub/up") |
           symlink("../outside/secret", "data/relative") |
           symlink("/etc/passwd", "data/absolute") | symlink("../outside", "data/directory") |
           symlink("loop", "data/loop") | symlink("/proc/self/root", "data/magic") |
           symlink("/", "data/top") | symlink("many", "data/many");
    bad |= add_grant(0, "/data", "data", false) | add_grant(1, "/data/ro", "ro", true) |
           add_grant(2, "/proc", "/proc", false);
    mkdir("tree", 0755);
    mkdir("tree/usr", 0755);
    mkdir("tree/usr/lib", 0755);
    mkdir("tree/mnt", 0755);
    bad |= make_file("tree/top", "top") | make_file("tree/usr/lib/so", "so") | make_file("tree/usr/side", "side") |
           make_file("tree/mnt/hidden", "hidden") | symlink("usr/lib", "tree/lib") | symlink("/usr/lib", "tree/abs") |
           symlink("/abs/so", "tree/twice") | symlink("../../../../top", "tree/usr/lib/far") |
           symlink("/proc/self/root/etc/passwd", "tree/magic") | symlink("/made", "tree/dangling") |
           symlink("/", "tree/usr/slash") | symlink("/etc/passwd", "tree/passwd");
    bad |= symlink("/mnt/inside", "tree/usr/over") | symlink("/mnt/sub", "tree/usr/lib/over") |
           symlink("/usr/lib/so", "data/back") | symlink("../usr/side", "data/aside") | symlink("/usr/over", "data/there-and-back") |
           symlink("/data/ro", "data/sub/fixed") | symlink("/data/sub", "ro/writable") | symlink("/data/made", "ro/made") |
           symlink("/data/ro/none", "data/missing-fixed") | symlink("/dev/null", "data/null") | symlink("/", "data/slash");
    tree_grants[0] = (struct vxl_grant){"/", open("tree", O_PATH | O_DIRECTORY), false};
    tree_grants[1] = (struct vxl_grant){"/mnt", open("data", O_PATH | O_DIRECTORY), false};
    p->config = &config;
    strcpy(p->cwd, "/data");
    return bad;
}

static int remove_tree(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", root);
    free(p);
    return chdir("/") | system(command);
}

/* First bytes of the file, or -errno as text. */
static const char *open_text(const char *path)
{
    static char text[32];
    struct vxl_place place;
    int fd = vxl_find(p, (uint32_t)AT_FDCWD, path, &place);
    if (fd == 0)
        fd = vxl_open_beneath(&place, O_RDONLY, 0);
    if (fd < 0) {
        snprintf(text, sizeof text, "%d", fd);
        return text;
    }
    ssize_t size = read(fd, text, sizeof text - 1);
    text[size > 0 ? size : 0] = 0;
    close(fd);
    return text;
}

static const char *number(int value)
{
    static char text[16];
    snprintf(text, sizeof text, "%d", value);
    return text;
}

static void test_join(void)
{
    static const struct { const char *cwd, *path, *joined; } rows[] = {
        {"/", "a", "/a"}, {"/a/b", "c", "/a/b/c"}, {"/a/b", "../c", "/a/c"},
        {"/a/b", "../../../..", "/"}, {"/a", "/x//y/./z/", "/x/y/z"}, {"/a", ".", "/a"},
        {"/a", "b/..", "/a"}, {"/", "..", "/"}, {"/a", "...", "/a/..."}, {"/a", "..b", "/a/..b"},
        {"/", "/", "/"}, {"/a", "//", "/"}};
    char out[VXL_PATH_BYTES], name[VXL_PATH_BYTES + 8];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_TRUE(vxl_join(rows[i].cwd, rows[i].path, out));
        CU_ASSERT_STRING_EQUAL(out, rows[i].joined);
    }
    memset(name, 'a', sizeof name);
    for (size_t at = 100; at < sizeof name; at += 100)
        name[at] = '/';
    name[VXL_PATH_BYTES - 2] = 0;
    CU_ASSERT_TRUE(vxl_join("/", name, out));
    name[VXL_PATH_BYTES - 2] = 'a';
    name[VXL_PATH_BYTES + 4] = 0;
    CU_ASSERT_FALSE(vxl_join("/", name, out));
}

static void test_inside(void)
{
    CU_ASSERT_STRING_EQUAL(open_text("/data/inside"), "inside");
    CU_ASSERT_STRING_EQUAL(open_text("inside"), "inside");
    CU_ASSERT_STRING_EQUAL(open_text("good"), "inside");
    CU_ASSERT_STRING_EQUAL(open_text("sub/up"), "inside");
    CU_ASSERT_STRING_EQUAL(open_text("sub/../inside"), "inside");
    CU_ASSERT_STRING_EQUAL(open_text("/data/../data/./sub//deep"), "deep");
    CU_ASSERT_STRING_EQUAL(open_text("ro/fixed"), "fixed");
    CU_ASSERT_STRING_EQUAL(open_text("/dev/null"), "");
}

static void test_outside(void)
{
    static const char *const missing[] = {"/etc/passwd", "../outside/secret", "/data/../etc/passwd",
                                          "/", "..", "/datax", "/dat", "/dev/tty", "/dev/mem",
                                          "../../../../../../etc/passwd", "/dev", ""};
    static const char *const led_out[] = {"relative", "absolute", "directory/secret", "top", "top/etc/passwd",
                                          "sub/../relative", "sub/../top/etc/passwd"};
    for (unsigned i = 0; i < sizeof missing / sizeof *missing; i++)
        CU_ASSERT_STRING_EQUAL(open_text(missing[i]), number(-ENOENT));
    for (unsigned i = 0; i < sizeof led_out / sizeof *led_out; i++)
        CU_ASSERT_STRING_EQUAL(open_text(led_out[i]), number(-ENOENT));
    CU_ASSERT_STRING_EQUAL(open_text("sub/up/../../outside/secret"), number(-ENOTDIR));
    CU_ASSERT_STRING_EQUAL(open_text("magic"), number(-EACCES));
    CU_ASSERT_STRING_EQUAL(open_text("magic/etc/passwd"), number(-EACCES));
    CU_ASSERT_STRING_EQUAL(open_text("loop"), number(-ELOOP));
    CU_ASSERT_STRING_EQUAL(open_text("many/x"), number(-ELOOP));
    CU_ASSERT_STRING_EQUAL(open_text("inside/.."), number(-ENOTDIR));
    CU_ASSERT_STRING_EQUAL(open_text("nothing/../inside"), number(-ENOENT));
    CU_ASSERT_STRING_EQUAL(open_text("inside/x"), number(-ENOTDIR));
}

/* Even where a grant has it, procfs shows the host process. */
static void test_procfs(void)
{
    CU_ASSERT_STRING_EQUAL(open_text("/proc/self/mem"), number(-EACCES));
    CU_ASSERT_STRING_EQUAL(open_text("/proc/self/maps"), number(-EACCES));
    CU_ASSERT_STRING_EQUAL(open_text("/proc/version"), number(-EACCES));
    CU_ASSERT_STRING_EQUAL(open_text("/proc/self/root/etc/passwd"), number(-EACCES));
    CU_ASSERT_STRING_EQUAL(open_text("/proc"), number(-EACCES));
}

static void test_parent(void)
{
    struct vxl_place place;
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "sub/new", &place), 0);
    CU_ASSERT_STRING_EQUAL(place.name, "new");
    CU_ASSERT_FALSE(place.is_read_only);
    vxl_place_done(&place);
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "ro/new", &place), 0);
    CU_ASSERT_TRUE(place.is_read_only);
    vxl_place_done(&place);
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "directory/new", &place), -ENOENT);
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "inside/new", &place), -ENOTDIR);
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "/new", &place), -ENOENT);
    /* the grant itself: an operation on "." which the kernel refuses */
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "/data", &place), 0);
    CU_ASSERT_STRING_EQUAL(place.name, ".");
    vxl_place_done(&place);
}

static void test_dirfd(void)
{
    struct vxl_place place;
    char path[] = "/data/sub";
    p->fds[5] = (struct vxl_fd){.in_use = true, .is_dir = true, .path = path};
    p->fds[6] = (struct vxl_fd){.in_use = true};
    CU_ASSERT_EQUAL(vxl_find(p, 5, "deep", &place), 0);
    CU_ASSERT_STRING_EQUAL(place.guest, "/data/sub/deep");
    CU_ASSERT_EQUAL(vxl_find(p, 5, "/data/inside", &place), 0);
    CU_ASSERT_EQUAL(vxl_find(p, 5, "../../../etc", &place), 0);
    CU_ASSERT_EQUAL(vxl_open_beneath(&place, O_RDONLY, 0), -ENOENT);
    CU_ASSERT_EQUAL(vxl_find(p, 6, "deep", &place), -ENOTDIR);
    CU_ASSERT_EQUAL(vxl_find(p, 7, "deep", &place), -EBADF);
    CU_ASSERT_EQUAL(vxl_find(p, 0xffffff00, "deep", &place), -EBADF);
}

static const char *settled(const char *path)
{
    static struct vxl_place place;
    int fd = vxl_find(p, (uint32_t)AT_FDCWD, path, &place);
    if (fd == 0)
        fd = vxl_open_beneath(&place, O_PATH, 0);
    if (fd < 0)
        return number(fd);
    close(fd);
    return place.guest;
}

/* --root: links and ".." mean what they would mean if the tree were the root. */
static void test_root(void)
{
    static const struct { const char *path, *text; } inside[] = {
        {"/top", "top"}, {"/lib/so", "so"}, {"/abs/so", "so"}, {"/twice", "so"}, {"/usr/lib/far", "top"},
        {"/../../top", "top"}, {"/lib/../side", "side"}, {"/usr/slash/../../top", "top"}, {"../lib/../side", "side"},
        {"/mnt/inside", "inside"}, {"/mnt/../top", "top"}, {"/usr/../mnt/inside", "inside"}};
    static const char *const missing[] = {"/etc/passwd", "/passwd", "/lib/../../../etc/passwd", "/mnt/hidden",
                                          "/lib/../top", "/magic", "/usr/slash/etc/passwd", "/nothing/../top",
                                          "/mnt/relative", "/mnt/absolute", "/mnt/../outside/secret"};
    struct vxl_place place;
    p->config = &tree_config;
    strcpy(p->cwd, "/");
    for (unsigned i = 0; i < sizeof inside / sizeof *inside; i++)
        CU_ASSERT_STRING_EQUAL(open_text(inside[i].path), inside[i].text);
    for (unsigned i = 0; i < sizeof missing / sizeof *missing; i++)
        CU_ASSERT_STRING_EQUAL(open_text(missing[i]), number(-ENOENT));
    CU_ASSERT_STRING_EQUAL(settled("/lib"), "/usr/lib");
    CU_ASSERT_STRING_EQUAL(settled("/usr/slash"), "/");
    CU_ASSERT_STRING_EQUAL(settled("/abs/../side"), "/usr/side");
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "/lib/../new/", &place), 0);
    CU_ASSERT_STRING_EQUAL(place.name, "new");
    vxl_place_done(&place);
    for (unsigned i = 0; i < 2; i++) { /* names that are no names never reach a call */
        CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, i ? "/lib/.." : "/..", &place), 0);
        CU_ASSERT_STRING_NOT_EQUAL(place.name, "..");
        vxl_place_done(&place);
    }
    p->config = &config;
    strcpy(p->cwd, "/data");
}

/* The time of one call is bounded, however long its links are. */
static void test_long_links(void)
{
    enum { LINKS = 8, ROUNDS = 500 };
    char text[8 * ROUNDS + 16], name[32];
    for (int i = 0; i < LINKS; i++) {
        size_t used = 0;
        for (int round = 0; round < ROUNDS; round++)
            used += (size_t)sprintf(text + used, "sub/../");
        if (i == LINKS - 1)
            strcpy(text + used, "inside");
        else
            sprintf(text + used, "long%d", i + 1);
        sprintf(name, "data/long%d", i);
        CU_ASSERT_EQUAL(symlink(text, name), 0);
    }
    CU_ASSERT_STRING_EQUAL(open_text("long0"), number(-ELOOP));
    CU_ASSERT_STRING_EQUAL(open_text("long6"), "inside");
}

/* Absolute links, and "..", lead from one mount into another: what counts is where they end. */
static void test_across(void)
{
    static const struct { const char *path, *text; } inside[] = {
        {"/usr/over", "inside"}, {"/lib/over/deep", "deep"}, {"/mnt/back", "so"}, {"/mnt/aside", "side"},
        {"/mnt/there-and-back", "inside"}, {"/mnt/slash/mnt/slash/top", "top"}, {"/mnt/null", ""},
        {"/lib/over/../inside", "inside"}, {"/mnt/slash/../top", "top"}, {"/mnt/sub/../../top", "top"}};
    struct vxl_place place;
    p->config = &tree_config;
    for (unsigned i = 0; i < sizeof inside / sizeof *inside; i++)
        CU_ASSERT_STRING_EQUAL(open_text(inside[i].path), inside[i].text);
    CU_ASSERT_STRING_EQUAL(settled("/lib/over/../sub/"), "/mnt/sub");
    p->config = &config;
    CU_ASSERT_STRING_EQUAL(open_text("sub/fixed/fixed"), "fixed");
    CU_ASSERT_STRING_EQUAL(open_text("ro/writable/deep"), "deep");
    CU_ASSERT_STRING_EQUAL(settled("top/data/ro/writable"), "/data/sub");
    /* writable is what the mount is in which it ends */
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "sub/fixed/new", &place), 0);
    CU_ASSERT_TRUE(place.is_read_only);
    vxl_place_done(&place);
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "ro/writable/new", &place), 0);
    CU_ASSERT_FALSE(place.is_read_only);
    vxl_place_done(&place);
    CU_ASSERT_EQUAL(vxl_find(p, (uint32_t)AT_FDCWD, "sub/fixed/fixed", &place), 0);
    CU_ASSERT_EQUAL(vxl_open_beneath(&place, O_RDWR, 0), -EROFS);
    CU_ASSERT_EQUAL(vxl_find(p, (uint32_t)AT_FDCWD, "missing-fixed", &place), 0);
    CU_ASSERT_EQUAL(vxl_open_beneath(&place, O_RDWR | O_CREAT, 0600), -EROFS);
    CU_ASSERT_EQUAL(vxl_find(p, (uint32_t)AT_FDCWD, "ro/fixed", &place), 0);
    CU_ASSERT_EQUAL(vxl_open_beneath(&place, O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    CU_ASSERT_EQUAL(vxl_find(p, (uint32_t)AT_FDCWD, "ro/made", &place), 0);
    CU_ASSERT_EQUAL(vxl_open_beneath(&place, O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    int fd = vxl_open_beneath(&place, O_RDWR | O_CREAT, 0600);
    CU_ASSERT_TRUE(fd >= 0);
    close(fd);
    CU_ASSERT_EQUAL(unlink("data/made"), 0);
    /* links that are not followed */
    CU_ASSERT_EQUAL(vxl_find(p, (uint32_t)AT_FDCWD, "good", &place), 0);
    CU_ASSERT_EQUAL(vxl_open_beneath(&place, O_RDONLY | O_NOFOLLOW, 0), -ELOOP);
    fd = vxl_open_beneath(&place, O_PATH | O_NOFOLLOW, 0);
    CU_ASSERT_TRUE(fd >= 0);
    close(fd);
    CU_ASSERT_EQUAL(vxl_find_parent(p, (uint32_t)AT_FDCWD, "sub/.", &place), 0);
    CU_ASSERT_STRING_EQUAL(place.name, ".");
    vxl_place_done(&place);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("linux_path", make_tree, remove_tree);
    CU_add_test(suite, "joining", test_join);
    CU_add_test(suite, "inside", test_inside);
    CU_add_test(suite, "outside", test_outside);
    CU_add_test(suite, "procfs", test_procfs);
    CU_add_test(suite, "parent", test_parent);
    CU_add_test(suite, "relative to a descriptor", test_dirfd);
    CU_add_test(suite, "root of a tree", test_root);
    CU_add_test(suite, "across mounts", test_across);
    CU_add_test(suite, "long links", test_long_links);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}

/*
 * Guest of tests/test_vxrun.py: calls on files, in the current directory. What
 * it prints must be the same natively and in a box.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

/* Print an expression's value, and errno where it is -1. */
#define SHOW(expression)                                                    \
    do {                                                                    \
        errno = 0;                                                          \
        long long value_ = (long long)(expression);                         \
        printf("%s = %lld", #expression, value_);                           \
        if (value_ == -1)                                                   \
            printf(" (%s)", strerror(errno));                               \
        printf("\n");                                                       \
    } while (0)

static char buffer[70000];

static void contents(const char *name)
{
    int fd = open(name, O_RDONLY);
    ssize_t size = read(fd, buffer, sizeof buffer);
    printf("%s: %zd bytes '%.*s'\n", name, size, size > 60 ? 60 : (int)size, buffer);
    close(fd);
}

static void basic(void)
{
    int fd = open("a.txt", O_RDWR | O_CREAT | O_TRUNC, 0640);
    SHOW(write(fd, "hello world\n", 12));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwrite(fd, "J", 1, 0));
    SHOW(pread(fd, buffer, 5, 6));
    SHOW(lseek64(fd, 5000000000ll, SEEK_SET));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(lseek(fd, -100, SEEK_SET));
    SHOW(ftruncate(fd, 8));
    struct iovec iov[3] = {{"xy", 2}, {"", 0}, {"z", 1}};
    SHOW(writev(fd, iov, 3));
    SHOW(writev(fd, iov, 1025));
    SHOW(read(fd, (void *)16, 10));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(read(fd, (void *)16, 10));
    SHOW(write(fd, (void *)16, 10));
    /* nothing that can be accessed, up to 2 GiB of it: whoever copies nothing does not mind */
    struct iovec nothing[3] = {{(void *)16, 0}, {(void *)16, 5}, {(void *)0xfffff000, 0x7fff0000}};
    int null = open("/dev/null", O_RDWR), ends[2];
    SHOW(write(null, (void *)16, 0x7fffffff));
    SHOW(writev(null, nothing, 3));
    SHOW(readv(null, nothing, 3));
    SHOW(writev(fd, nothing, 3));
    SHOW(pipe2(ends, O_NONBLOCK));
    SHOW(read(ends[0], (void *)16, 0x7fffffff));
    SHOW(write(ends[1], (void *)16, 0x7fffffff));
    close(null);
    close(ends[0]);
    close(ends[1]);
    SHOW(read(fd, buffer, 0));
    struct stat st;
    SHOW(fstat(fd, &st));
    SHOW(st.st_size);
    SHOW(st.st_mode);
    SHOW(st.st_nlink);
    SHOW(stat("a.txt", &st));
    SHOW(st.st_size);
    struct stat64 st64;
    SHOW(stat64("a.txt", &st64));
    SHOW(st64.st_size);
    SHOW(close(fd));
    SHOW(close(fd));
    SHOW(read(fd, buffer, 1));
    SHOW(read(-1, buffer, 1));
    contents("a.txt");
    SHOW(open("a.txt", O_CREAT | O_EXCL | O_RDWR, 0600));
    SHOW(open("missing", O_RDONLY));
    SHOW(open("", O_RDONLY));
    SHOW(open((char *)16, O_RDONLY));
    SHOW(open("a.txt/b", O_RDONLY));
    SHOW(open("a.txt", O_RDONLY | O_DIRECTORY));
    SHOW(access("a.txt", R_OK | W_OK));
    SHOW(access("missing", F_OK));
    SHOW(chmod("a.txt", 0444));
    stat("a.txt", &st);
    SHOW(st.st_mode);
    SHOW(chmod("a.txt", 0600));
    SHOW(truncate("a.txt", 3));
    contents("a.txt");
    struct timespec times[2] = {{1000, 500}, {2000, 600}};
    SHOW(utimensat(AT_FDCWD, "a.txt", times, 0));
    stat("a.txt", &st);
    SHOW(st.st_atim.tv_sec);
    SHOW(st.st_mtim.tv_nsec);
}

static void names(void)
{
    struct stat st;
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d/e/f", 0755));
    SHOW(mkdir("d/e/", 0755));
    SHOW(rename("a.txt", "d/b.txt"));
    SHOW(link("d/b.txt", "d/c.txt"));
    stat("d/b.txt", &st);
    SHOW(st.st_nlink);
    SHOW(symlink("b.txt", "d/s"));
    SHOW(symlink("../../../../etc", "d/out"));
    SHOW(readlink("d/s", buffer, sizeof buffer));
    SHOW(readlink("d/s", buffer, 2));
    SHOW(readlink("d/b.txt", buffer, 100));
    SHOW(lstat("d/s", &st));
    SHOW(S_ISLNK(st.st_mode));
    SHOW(stat("d/s", &st));
    SHOW(S_ISREG(st.st_mode));
    contents("d/s");
    SHOW(open("d/s", O_RDONLY | O_NOFOLLOW));
    SHOW(rmdir("d"));
    SHOW(unlink("d/e"));
    SHOW(rmdir("d/e"));
    SHOW(unlink("d/c.txt"));
    SHOW(unlink("d/c.txt"));
    SHOW(rmdir("d/b.txt"));
    SHOW(chdir("d"));
    contents("b.txt");
    contents("../d/b.txt");
    SHOW(chdir("b.txt"));
    SHOW(chdir(".."));
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    SHOW(openat(dir, "nothing", O_RDONLY) < 0);
    int fd = openat(dir, "b.txt", O_RDONLY);
    SHOW(fd >= 0);
    SHOW(fstatat(dir, "s", &st, AT_SYMLINK_NOFOLLOW));
    SHOW(S_ISLNK(st.st_mode));
    SHOW(fstatat(dir, "", &st, AT_EMPTY_PATH));
    SHOW(S_ISDIR(st.st_mode));
    SHOW(openat(fd, "x", O_RDONLY));
    SHOW(read(dir, buffer, 10));
    SHOW(fchdir(dir));
    contents("b.txt");
    SHOW(chdir(".."));
    SHOW(close(dir));
    SHOW(unlinkat(AT_FDCWD, "d/out", 0));
    SHOW(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    SHOW(close(fd));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void directories(void)
{
    mkdir("many", 0700);
    for (int i = 0; i < 500; i++) {
        snprintf(buffer, sizeof buffer, "many/file-with-a-long-name-%03d", i);
        close(open(buffer, O_CREAT | O_WRONLY, 0600));
    }
    struct dirent **list;
    int count = scandir("many", &list, NULL, by_name);
    printf("entries %d first %s last %s\n", count, list[0]->d_name, list[count - 1]->d_name);
    DIR *dir = opendir("many");
    int seen = 0;
    long middle = 0;
    char expected[300] = "";
    for (struct dirent *entry; (entry = readdir(dir)); seen++) {
        if (seen == 250)
            middle = telldir(dir);
        if (seen == 251)
            strcpy(expected, entry->d_name);
    }
    /* telldir was taken after entry 250 was read: the next one is 251 */
    seekdir(dir, middle);
    struct dirent *entry = readdir(dir);
    printf("seen %d, again %s\n", seen, entry && !strcmp(entry->d_name, expected) ? "the same" : "another");
    rewinddir(dir);
    for (seen = 0; readdir(dir); seen++)
        ;
    printf("after rewind %d\n", seen);
    closedir(dir);
    for (int i = 0; i < 500; i++) {
        snprintf(buffer, sizeof buffer, "many/file-with-a-long-name-%03d", i);
        unlink(buffer);
    }
    SHOW(rmdir("many"));
}

static void descriptors(void)
{
    int ends[2];
    SHOW(pipe(ends));
    SHOW(write(ends[1], "abc", 3));
    int waiting = 0;
    SHOW(ioctl(ends[0], FIONREAD, &waiting));
    SHOW(waiting);
    struct pollfd polls[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {999, POLLIN, 0}};
    SHOW(poll(polls, 3, 0));
    printf("%x %x %x\n", polls[0].revents, polls[1].revents, polls[2].revents);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    struct timeval time = {1, 0};
    SHOW(select(ends[1] + 1, &in, &out, NULL, &time));
    SHOW(FD_ISSET(ends[0], &in) && FD_ISSET(ends[1], &out));
    SHOW(read(ends[0], buffer, 100));
    time = (struct timeval){0, 10000};
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    SHOW(select(ends[1] + 1, &in, NULL, NULL, &time));
    SHOW(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    SHOW(read(ends[0], buffer, 100));
    SHOW(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    SHOW(fcntl(ends[0], F_GETFD));
    SHOW(fcntl(ends[0], F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(ends[0], F_GETFD));
    int copy = fcntl(ends[0], F_DUPFD, 100);
    SHOW(copy);
    SHOW(dup2(ends[1], 50));
    SHOW(dup2(50, 50));
    SHOW(dup2(77, 50));
    SHOW(dup3(50, 50, 0));
    SHOW(write(50, "x", 1));
    SHOW(read(copy, buffer, 100));
    SHOW(isatty(ends[0]));
    SHOW(lseek(ends[0], 0, SEEK_SET));
    close(50);
    close(ends[1]);
    SHOW(read(ends[0], buffer, 100));
    close(ends[0]);
    close(copy);
    int fd = open("lock", O_CREAT | O_RDWR, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    SHOW(fcntl(fd, F_SETLK, &lock));
    SHOW(fcntl(fd, F_GETLK, &lock));
    SHOW(lock.l_type == F_UNLCK);
    SHOW(flock(fd, LOCK_EX | LOCK_NB));
    SHOW(fsync(fd));
    SHOW(posix_fallocate(fd, 0, 100));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(unlink("lock"));
    close(fd);
    struct rlimit64;
    SHOW(open("/dev/null", O_RDWR) >= 0);
    SHOW(syscall(SYS_close_range, 3, ~0u, 0));
}

static void mapped_file(void)
{
    int fd = open("map", O_CREAT | O_RDWR, 0600);
    for (int i = 0; i < 3000; i++)
        write(fd, "0123456789abcdef", 16);
    char *at = mmap(NULL, 48000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("%.16s %.4s\n", at + 16 * 2999, at + 4096 * 3);
    at[0] = 'X';
    SHOW(pread(fd, buffer, 1, 0));
    printf("%c %c\n", at[0], buffer[0]);
    char *part = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 8192);
    printf("%.16s\n", part);
    SHOW((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100) == -1);
    SHOW((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 500, 0) == -1);
    /* reading code that ran from a file, and reading into memory that was code */
    SHOW(munmap(at, 48000));
    SHOW(unlink("map"));
    close(fd);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    umask(022);
    basic();
    names();
    directories();
    descriptors();
    mapped_file();
    unlink("d/b.txt");
    unlink("d/s");
    rmdir("d");
    return 0;
}

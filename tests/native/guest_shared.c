/* Shared mappings: of a file, of nothing, with another process, and what is refused. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static void say(const char *what, int result)
{
    printf("%s: %d%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerrorname_np(errno) : "");
}

static int mapped(void *at)
{
    return at == MAP_FAILED ? -1 : 0;
}

int main(void)
{
    char text[16] = {0};
    int fd = open("shared.file", O_RDWR | O_CREAT | O_TRUNC, 0600), reader = open("shared.file", O_RDONLY);
    say("truncate", ftruncate(fd, 3 * PAGE));
    char *one = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
    char *two = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, reader, 0);
    char *private = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("%d %d %d\n", mapped(one), mapped(two), mapped(private));
    strcpy(one, "written");
    pread(fd, text, sizeof text, PAGE);
    printf("file %s, other mapping %s, private %s\n", text, two + PAGE, private + PAGE);
    strcpy(private + PAGE, "mine");
    pwrite(fd, "by call", 8, PAGE + 100);
    printf("%s %s %s\n", one, one + 100, private + PAGE);
    say("sync", msync(one, 2 * PAGE, MS_SYNC));
    say("protect", mprotect(two, PAGE, PROT_READ | PROT_WRITE));
    say("write without leave", mapped(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0)));
    say("less", mprotect(one, PAGE, PROT_READ));
    say("more", mprotect(one, PAGE, PROT_READ | PROT_WRITE));
    strcpy(one, "again");
    printf("%s\n", two + PAGE);
    say("not needed", madvise(one, PAGE, MADV_DONTNEED));
    printf("%s\n", one);
    int *numbers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pipes[2];
    numbers[0] = 1;
    if (pipe(pipes))
        return 1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char go;
        if (read(pipes[0], &go, 1) == 1 && numbers[0] == 5)
            numbers[1] = 7;
        strcpy(one + 200, "from the child");
        private[PAGE] = 'X';
        _exit(0);
    }
    numbers[0] = 5;
    write(pipes[1], "x", 1);
    waitpid(child, NULL, 0);
    printf("%d %d %s %s\n", numbers[0], numbers[1], one + 200, private + PAGE);
    say("unmap", munmap(one, 2 * PAGE));
    pread(fd, text, sizeof text, PAGE + 200);
    printf("%.14s\n", text);
    return 0;
}

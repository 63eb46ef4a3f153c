/* Directory entries: nothing of the host's memory between their names. DIRECTORY is writable. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "held.h"

static unsigned char buffer[32768];

/* Leave something on the host's stack. */
static void dirty(int fd)
{
    memset(buffer, 0xa5, sizeof buffer);
    NEED(pwrite(fd, buffer, sizeof buffer, 0) == sizeof buffer);
    NEED(syscall(SYS_getdents, open(".", O_RDONLY), buffer, sizeof buffer) > 0);
}

int main(int argc, char **argv)
{
    char name[64];
    NEED(chdir(argv[1]) == 0);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "%.*s%d", i % 23, "abcdefghijklmnopqrstuvwx", i);
        int fd = open(name, O_CREAT | O_RDWR, 0600);
        NEED(fd >= 0);
        if (i == 299)
            dirty(fd);
        close(fd);
    }
    memset(buffer, 0, sizeof buffer);
    int entries = 0, left = 0, size, fd = open(".", O_RDONLY);
    while ((size = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (int at = 0; at < size; entries++) {
            const struct dirent64 *entry = (const void *)(buffer + at);
            const unsigned char *end = buffer + at + entry->d_reclen;
            for (const unsigned char *rest = (const void *)(entry->d_name + strlen(entry->d_name) + 1); rest < end; rest++)
                left += *rest != 0;
            at += entry->d_reclen;
        }
    HELD(entries == 302);
    HELD(left == 0);
    return failures;
}

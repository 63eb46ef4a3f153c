/*
 * A plug-in that is a static executable with a whole C library: malloc, stdio, constructors, thread-local storage.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vx_guest.h"

VX_IMPORT(int, host_add, (int a, int b))
VX_IMPORT(double, host_double, (double x))
VX_IMPORT(int, host_missing, (void))

static int constructed, prepared;
static __thread int local = 5;
__attribute__((constructor)) static void construct(void) { constructed = 11; }

VX_EXPORT int state(void) { return constructed + prepared; }
VX_EXPORT int next_local(void) { return local++; }

/* Hold `count` blocks of `size` bytes at once; a sum over what is in them. */
VX_EXPORT unsigned allocate(int count, unsigned size)
{
    unsigned sum = 0;
    char **blocks = calloc((size_t)count, sizeof *blocks);
    if (!blocks)
        return 0;
    for (int i = 0; i < count && (blocks[i] = malloc(size)); i++)
        memset(blocks[i], i, size);
    for (int i = 0; i < count && blocks[i]; i++) {
        blocks[i] = realloc(blocks[i], 2 * size);
        sum += (unsigned char)blocks[i][size - 1];
        free(blocks[i]);
    }
    free(blocks);
    return sum;
}

VX_EXPORT int format(char *to, int size, double value, const char *text)
{
    return snprintf(to, (size_t)size, "%.3f %s %lld", value, text, 1LL << 40);
}

VX_EXPORT int print(const char *text)
{
    int n = printf("guest says %s\n", text);
    return fflush(stdout) == 0 ? n : -errno;
}

VX_EXPORT int read_line(char *to, int size) { return fgets(to, size, stdin) ? (int)strlen(to) : -1; }
VX_EXPORT int open_file(const char *name) { return fopen(name, "r") ? 0 : errno; }

/* Write a file, read it from its end on, go on through a second descriptor: what was read, or -errno. */
VX_EXPORT int use_file(const char *name, const char *text, char *to, int size)
{
    FILE *file = fopen(name, "w+");
    if (!file)
        return -errno;
    int n = fputs(text, file) < 0 || fseek(file, 0, SEEK_END) ? -1 : (int)ftell(file);
    FILE *second = n < 0 || fseek(file, 0, SEEK_SET) ? NULL : fdopen(dup(fileno(file)), "r");
    n = !second ? -errno : n + 1000 * (int)fread(to, 1, (size_t)size, second);
    if (second)
        fclose(second);
    return fclose(file) == 0 ? n : -errno;
}

/* How many times it can be opened, by several ways. */
VX_EXPORT int open_often(const char *name)
{
    int n = 0, fd;
    while ((fd = n % 3 == 2 ? dup(1) : n % 3 == 1 ? fcntl(1, F_DUPFD, 0) : open(name, O_RDONLY)) >= 0)
        n++;
    return errno == EMFILE ? n : -errno;
}

VX_EXPORT int close_all(void)
{
    int n = 0;
    for (int fd = 3; fd < 100; fd++)
        n += close(fd) == 0;
    return n;
}
VX_EXPORT double root(double x) { return sqrt(x) + pow(x, 1.5); }
VX_EXPORT int ask(int a, int b) { return host_add(a, b) * 10; }
VX_EXPORT double ask_double(double x) { return host_double(x) + 1; }
VX_EXPORT int ask_missing(void) { return host_missing(); }
VX_EXPORT void *allocate_bytes(unsigned size) { return malloc(size); }
VX_EXPORT void give_up(void) { abort(); }
VX_EXPORT void leave(int code) { exit(code); }
VX_EXPORT int has_time(void) { return time(NULL) > 1000000000; }

int main(int argc, char **argv)
{
    prepared = argc == 1 && argv[0] && !argv[1] ? 100 : 0;
    if (host_add && host_add(1, 2) == 3)
        prepared += 1000;
    vx_park();
}

/* A write that waits goes on into nothing else, when its descriptor comes to mean another file meanwhile. FILE is writable. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "held.h"

static char large[1 << 20];
static int ends[2], done;

static void *write_large(void *argument)
{
    done = write(ends[1], large, sizeof large);
    return NULL;
}

int main(int argc, char **argv)
{
    static char sink[65536];
    struct stat st;
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        NEED(pipe(ends) == 0);
        int keep = dup(ends[1]), file = -1;
        NEED(keep >= 0 && pthread_create(&thread, NULL, write_large, NULL) == 0);
        usleep(100000);
        if (round < 2)
            close(ends[1]);
        NEED((file = open(argv[1], O_CREAT | O_RDWR | O_TRUNC, 0600)) >= 0);
        if (round == 0)
            NEED(dup2(keep, ends[1]) == ends[1]); /* the same pipe by the same number, and yet another descriptor */
        else
            NEED(dup2(file, ends[1]) == ends[1]);
        for (int i = 0; i < 20; i++) {
            fcntl(ends[0], F_SETFL, O_NONBLOCK);
            while (read(ends[0], sink, sizeof sink) > 0)
                ;
            usleep(5000);
        }
        close(ends[0]);
        pthread_join(thread, NULL);
        HELD(done > 0 && done <= (int)sizeof large);
        HELD(fstat(file, &st) == 0 && st.st_size == 0);
        close(keep);
        close(file);
        close(ends[1]);
    }
    return failures;
}

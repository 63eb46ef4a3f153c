/*
 * A thread in a call that has to wait, although the descriptor seemed to be ready: the others run on meanwhile, and end its wait. With
 * "forever" behind the way's name nobody does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "held.h"

#define LARGE (1 << 20)

static char large[LARGE];
static int way[2], in, done;

static void *write_event(void *argument)
{
    uint64_t most = UINT64_MAX - 1;
    done = write(way[1], &most, sizeof most);
    return NULL;
}

static void *write_large(void *argument)
{
    struct iovec iov = {large, LARGE};
    for (int i = 0; i < 8; i++)
        done += argument ? writev(way[1], &iov, 1) : write(way[1], large, 4096);
    return NULL;
}

static void *send_file(void *argument)
{
    done = sendfile(way[1], in, NULL, 4096);
    return NULL;
}

static void *write_empty(void *argument)
{
    for (int i = 0; i < 2000; i++)
        done += write(way[1], "", 0) == 0;
    return NULL;
}

static void tcp(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), small = 2048;
    pair[1] = socket(AF_INET, SOCK_STREAM, 0);
    NEED(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    NEED(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    NEED(bind(listener, (void *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    NEED(getsockname(listener, (void *)&address, &length) == 0);
    NEED(connect(pair[1], (void *)&address, length) == 0);
    pair[0] = accept(listener, NULL, NULL);
}

static int read_all(int size)
{
    static char buffer[65536];
    int total = 0;
    while (total < size) {
        int got = read(way[0], buffer, sizeof buffer);
        if (got <= 0)
            break;
        total += got;
    }
    return total;
}

int main(int argc, char **argv)
{
    const char *what = argv[1];
    int is_forever = argc > 2, pair[2];
    uint64_t value = 5;
    pthread_t thread;
    if (!strcmp(what, "event")) {
        way[0] = way[1] = eventfd(7, 0);
        NEED(pthread_create(&thread, NULL, write_event, NULL) == 0);
    } else if (!strcmp(what, "empty")) {
        NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, way) == 0 && pthread_create(&thread, NULL, write_empty, NULL) == 0);
    } else if (!strcmp(what, "sendfile")) {
        NEED(pipe(way) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        in = pair[0];
        NEED(pthread_create(&thread, NULL, send_file, NULL) == 0);
    } else {
        if (!strcmp(what, "pipe"))
            NEED(pipe(way) == 0);
        else if (!strcmp(what, "pair"))
            NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, way) == 0);
        else
            tcp(way);
        NEED(pthread_create(&thread, NULL, write_large, !strcmp(what, "tcp-small") ? NULL : "large") == 0);
    }
    usleep(200000);
    if (is_forever)
        pthread_join(thread, NULL);
    HELD(done < 8 * 4096);
    if (!strcmp(what, "empty")) {
        HELD(done < 2000);
        for (int i = 0; i < 2000; i++)
            HELD(read(way[0], large, 10) == 0);
        pthread_join(thread, NULL);
        HELD(done == 2000);
        return failures;
    }
    if (!strcmp(what, "event")) {
        HELD(read(way[0], &value, sizeof value) == sizeof value && value == 7);
        pthread_join(thread, NULL);
        HELD(done == sizeof value);
        HELD(read(way[0], &value, sizeof value) == sizeof value && value == UINT64_MAX - 1);
        return failures;
    }
    int size = !strcmp(what, "sendfile") ? 3 : !strcmp(what, "tcp-small") ? 8 * 4096 : 8 * LARGE;
    if (!strcmp(what, "sendfile"))
        NEED(write(pair[1], "abc", 3) == 3);
    HELD(read_all(size) == size);
    pthread_join(thread, NULL);
    HELD(done == size);
    return failures;
}

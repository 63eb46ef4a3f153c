/*
 * Sockets on the loopback device: everything a guest may do with them, and what comes of it. Numbers that differ from run to
 * run are not printed. With an argument, only what a guest without --net is told.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("%-34s %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}
#define SAY(call) do { errno = 0; say(#call, call); } while (0)

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void name(const char *what, const struct sockaddr_in *address, socklen_t size)
{
    printf("%s: %u bytes, family %d, %s, port %s\n", what, size, address->sin_family, inet_ntoa(address->sin_addr),
           address->sin_port ? "set" : "0");
}

#define ADDRESS(a) (struct sockaddr *)&a, sizeof a

static int listener(struct sockaddr_in *address)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof *address;
    *address = loopback(0);
    SAY(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    SAY(bind(fd, (struct sockaddr *)address, sizeof *address));
    SAY(listen(fd, 5));
    SAY(getsockname(fd, (struct sockaddr *)address, &size));
    name("listener", address, size);
    return fd;
}

static void streams(void)
{
    struct sockaddr_in address, peer = {0};
    socklen_t size = sizeof peer;
    char text[64] = {0};
    int one = 1, value = 0, server = listener(&address), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    socklen_t value_size = sizeof value;
    SAY(getpeername(client, (struct sockaddr *)&peer, &size));
    SAY(connect(client, ADDRESS(address)));
    SAY(connect(client, ADDRESS(address)));
    size = 5;
    int accepted = accept(server, (struct sockaddr *)&peer, &size);
    printf("accepted %d, name of %u bytes\n", accepted > 0, size);
    size = sizeof peer;
    SAY(getpeername(accepted, (struct sockaddr *)&peer, &size));
    name("peer", &peer, size);
    SAY(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    SAY(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &value, &value_size));
    printf("nodelay %d, %u bytes\n", value != 0, value_size);
    SAY(send(client, "hello", 5, 0));
    SAY(recv(accepted, text, 3, MSG_PEEK));
    SAY(recv(accepted, text, sizeof text, 0));
    printf("got %s\n", text);
    SAY(recv(accepted, text, sizeof text, MSG_DONTWAIT));
    SAY(write(accepted, "back", 4));
    SAY(shutdown(accepted, SHUT_WR));
    SAY(read(client, text, sizeof text));
    SAY(read(client, text, sizeof text));
    close(accepted);
    SAY(send(client, "x", 1, MSG_NOSIGNAL));
    usleep(20000);
    SAY(send(client, "x", 1, MSG_NOSIGNAL));
    close(client);
    /* nobody listens any more */
    close(server);
    client = socket(AF_INET, SOCK_STREAM, 0);
    SAY(connect(client, ADDRESS(address)));
    close(client);
}

/* connect that does not block, and its end; accept4 with flags; readiness. */
static void without_blocking(void)
{
    struct sockaddr_in address;
    int server = listener(&address), client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 1;
    socklen_t size = sizeof error;
    fcntl(server, F_SETFL, O_NONBLOCK);
    SAY(accept(server, NULL, NULL));
    int result = connect(client, ADDRESS(address));
    printf("connect %d\n", result == 0 || errno == EINPROGRESS);
    struct pollfd ready = {.fd = client, .events = POLLOUT};
    SAY(poll(&ready, 1, 1000));
    SAY(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size));
    printf("error %d\n", error);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server}, got;
    int epoll = epoll_create1(0);
    SAY(epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event));
    SAY(epoll_wait(epoll, &got, 1, 1000));
    int accepted = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    printf("flags %d %d\n", (fcntl(accepted, F_GETFL) & O_NONBLOCK) != 0, fcntl(accepted, F_GETFD));
    SAY(read(accepted, &error, 1));
    close(epoll);
    close(accepted);
    close(client);
    close(server);
}

static void on_alarm(int signal)
{
}

/* What blocks ends by a signal, or by its time. */
static void waiting(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct sockaddr_in address, peer;
    struct itimerval soon = {.it_value = {0, 30000}};
    struct timeval limit = {0, 40000}, back = {9, 9};
    socklen_t size = sizeof back;
    int server = listener(&address), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    SAY(accept(server, (struct sockaddr *)&peer, &size));
    SAY(setsockopt(datagrams, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    size = sizeof back;
    SAY(getsockopt(datagrams, SOL_SOCKET, SO_RCVTIMEO, &back, &size));
    printf("%ld.%06ld, %u bytes\n", (long)back.tv_sec, (long)back.tv_usec / 10000, size);
    SAY(recv(datagrams, &size, 4, 0));
    /* with a time they are not made again after a handler */
    struct timeval longer = {1000, 0};
    struct itimerval often = {{0, 30000}, {0, 30000}}, never = {{0, 0}, {0, 0}};
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    setsockopt(datagrams, SOL_SOCKET, SO_RCVTIMEO, &longer, sizeof longer);
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &longer, sizeof longer);
    SAY(recv(datagrams, &size, 4, 0));
    SAY(accept(server, (struct sockaddr *)&peer, &size));
    setitimer(ITIMER_REAL, &never, NULL);
    close(server);
    close(datagrams);
}

static void datagrams(void)
{
    struct sockaddr_in address = loopback(0), from = {0};
    socklen_t size = sizeof address;
    char first[16] = {0}, second[16] = {0};
    struct iovec parts[2] = {{first, 4}, {second, sizeof second}};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = parts, .msg_iovlen = 2};
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    SAY(bind(one, ADDRESS(address)));
    SAY(getsockname(one, (struct sockaddr *)&address, &size));
    SAY(sendto(two, "a datagram", 10, 0, ADDRESS(address)));
    SAY(recvmsg(one, &message, 0));
    printf("%s|%s\n", first, second);
    name("from", &from, message.msg_namelen);
    SAY(sendto(two, "another", 7, 0, ADDRESS(address)));
    size = sizeof from;
    SAY(recvfrom(one, first, 3, MSG_TRUNC, (struct sockaddr *)&from, &size));
    SAY(connect(two, ADDRESS(address)));
    struct mmsghdr many[3] = {{.msg_hdr = {.msg_iov = &(struct iovec){"1", 1}, .msg_iovlen = 1}},
                              {.msg_hdr = {.msg_iov = &(struct iovec){"22", 2}, .msg_iovlen = 1}},
                              {.msg_hdr = {.msg_iov = &(struct iovec){"333", 3}, .msg_iovlen = 1}}};
    SAY(sendmmsg(two, many, 3, 0));
    struct mmsghdr received[4] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}}, {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}},
                                  {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}}, {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}}};
    SAY(recvmmsg(one, received, 4, MSG_WAITFORONE, NULL));
    printf("%u %u %u\n", received[0].msg_len, received[1].msg_len, received[2].msg_len);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SAY(connect(two, ADDRESS(none)));
    SAY(send(two, "x", 1, 0));
    SAY(sendto(two, "x", 1, 0, ADDRESS(none)));
    address.sin_family = AF_UNIX;
    SAY(bind(one, ADDRESS(address)) < 0);
    SAY(sendto(two, "x", 1, 0, (struct sockaddr *)&address, 3));
    close(one);
    close(two);
}

static void version_6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, from;
    socklen_t size = sizeof address;
    char text[16] = {0};
    int one = socket(AF_INET6, SOCK_DGRAM, 0), two = socket(AF_INET6, SOCK_DGRAM, 0);
    if (bind(one, ADDRESS(address)) < 0) {
        puts("no IPv6 here");
        return;
    }
    SAY(getsockname(one, (struct sockaddr *)&address, &size));
    printf("%u bytes\n", size);
    SAY(sendto(two, "six", 3, 0, ADDRESS(address)));
    size = sizeof from;
    SAY(recvfrom(one, text, sizeof text, 0, (struct sockaddr *)&from, &size));
    printf("%s from %u bytes, family %d\n", text, size, from.sin6_family);
}

static int receiver;
static struct sockaddr_in receiver_address;
static volatile int is_received;

static void on_signal(int number)
{
}

/* Three messages, each when the last one has been received; then four and signals. */
static void *sender(void *argument)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), left;
    for (int i = 0; i < 7; i++) {
        sendto(fd, "message", 7, 0, ADDRESS(receiver_address));
        while (ioctl(receiver, FIONREAD, &left) == 0 && left)
            usleep(1000);
        usleep(2000);
    }
    while (!is_received) {
        pthread_kill(*(pthread_t *)argument, SIGUSR1);
        usleep(10000);
    }
    close(fd);
    return NULL;
}

static void many_with_threads(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct timespec limit = {20, 0};
    char text[8][8] = {0};
    struct iovec buffers[8];
    struct mmsghdr messages[8] = {0};
    socklen_t size = sizeof receiver_address;
    pthread_t self = pthread_self(), thread;
    receiver = socket(AF_INET, SOCK_DGRAM, 0);
    receiver_address = loopback(0);
    bind(receiver, ADDRESS(receiver_address));
    getsockname(receiver, (struct sockaddr *)&receiver_address, &size);
    for (int i = 0; i < 8; i++) {
        buffers[i] = (struct iovec){text[i], sizeof text[i]};
        messages[i].msg_hdr.msg_iov = &buffers[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&thread, NULL, sender, &self);
    SAY(recvmmsg(receiver, messages, 3, 0, &limit));
    printf("%s %s %s, time is left: %d\n", text[0], text[1], text[2], limit.tv_sec < 20 && limit.tv_sec > 0);
    SAY(recvmmsg(receiver, messages, 8, 0, NULL));
    printf("%u %u %s\n", messages[3].msg_len, messages[4].msg_len, text[4]);
    is_received = 1;
    pthread_join(thread, NULL);
    close(receiver);
}

static void *sleep_until_received(void *argument)
{
    while (!is_received)
        usleep(1000);
    return NULL;
}

static volatile int pipe_signals;

static void on_pipe(int number)
{
    pipe_signals++;
}

static void *close_later(void *argument)
{
    usleep(100000);
    close(*(int *)argument);
    return NULL;
}

/* read and write of sockets and pipes, where there is another thread. */
static void plain_with_threads(void)
{
    static char large[1 << 20];
    struct sockaddr_in address = loopback(0);
    struct timeval limit = {0, 100000};
    socklen_t size = sizeof address;
    pthread_t thread, closer;
    int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), ends[2], pair[2], done;
    is_received = 0;
    pthread_create(&thread, NULL, sleep_until_received, NULL);
    bind(listener, ADDRESS(address));
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&address, &size);
    SAY(connect(out, ADDRESS(address)));
    int in = accept(listener, NULL, NULL);
    SAY(setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
    SAY(setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    SAY(read(in, large, 10)); /* nothing came in time */
    SAY(read(in, large, 0));
    SAY(write(out, large, 0));
    SAY(write(out, large, 10));
    SAY(read(in, large, sizeof large));
    do
        done = write(out, large, 4096);
    while (done > 0);
    say("full", done);
    SAY(write(out, (void *)16, 10) > 0);
    close(out);
    while ((done = read(in, large, sizeof large)) > 0)
        ;
    say("the end", done);
    SAY(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SAY(write(pair[0], "", 0));
    SAY(write(pair[0], large, 5000));
    SAY(read(pair[1], large, sizeof large));
    SAY(read(pair[1], large, 100));
    struct iovec parts[3] = {{large, 3}, {large + 50, 0}, {large + 100, 4}};
    SAY(writev(pair[0], parts, 3));
    SAY(readv(pair[1], parts, 3));
    SAY(pipe(ends));
    SAY(writev(ends[1], parts, 3));
    SAY(readv(ends[0], parts, 3));
    SAY(write(ends[1], large, 0));
    SAY(read(ends[0], large, 0));
    SAY(write(ends[0], large, 1));
    SAY(read(ends[1], large, 1));
    signal(SIGPIPE, on_pipe);
    pthread_create(&closer, NULL, close_later, &ends[0]);
    done = write(ends[1], large, sizeof large);
    printf("until it was closed %d, signals %d\n", done, pipe_signals);
    pthread_join(closer, NULL);
    SAY(write(ends[1], large, 1));
    printf("signals %d\n", pipe_signals);
    signal(SIGPIPE, SIG_IGN);
    is_received = 1;
    pthread_join(thread, NULL);
    close(ends[1]);
    close(in);
    close(listener);
}

static void what_is_not_granted(void)
{
    struct sockaddr_un path = {AF_UNIX, "/tmp/vx-no-such-socket"};
    int pair[2];
    SAY(socket(AF_UNIX, SOCK_STREAM, 0));
    SAY(socket(AF_NETLINK, SOCK_RAW, 0));
    SAY(socket(AF_PACKET, SOCK_RAW, 0));
    SAY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    say("a stream", stream);
    if (stream >= 0)
        SAY(setsockopt(stream, SOL_SOCKET, SO_BINDTODEVICE, "", 1));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    SAY(connect(pair[0], ADDRESS(path)));
    SAY(bind(pair[0], ADDRESS(path)));
    SAY(listen(pair[0], 1));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1) {
        what_is_not_granted();
        return 0;
    }
    streams();
    without_blocking();
    waiting();
    datagrams();
    version_6();
    many_with_threads();
    plain_with_threads();
    return 0;
}

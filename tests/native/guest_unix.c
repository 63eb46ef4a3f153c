/*
 * AF_UNIX sockets with names: made, connected, listened to, by several processes and through links; errors. With an argument: names that
 * are not granted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("%-44s %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}
#define SAY(call) do { errno = 0; say(#call, call); } while (0)

static struct sockaddr_un address;

/* The address of a path; "@": an abstract one. */
static struct sockaddr *at(const char *path)
{
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    if (*path == '@')
        address.sun_path[0] = 0;
    return (struct sockaddr *)&address;
}

static int bound(int fd, const char *path)
{
    return bind(fd, at(path), sizeof address);
}

static int to(int fd, const char *path)
{
    return connect(fd, at(path), sizeof address);
}

static void name(const char *what, int result, const struct sockaddr_un *got, const socklen_t *size)
{
    printf("%s: %d, %u bytes, family %d, \"%s\"\n", what, result, *size, got->sun_family,
           *size > offsetof(struct sockaddr_un, sun_path) ? got->sun_path : "");
}

static void streams(int type)
{
    struct sockaddr_un got = {0};
    socklen_t size = sizeof got;
    char text[32] = {0};
    int server = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), pid, status;
    SAY(bound(server, "server"));
    SAY(bound(server, "again"));
    SAY(listen(server, 3));
    name("own name", getsockname(server, (struct sockaddr *)&got, &size), &got, &size);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        int client = socket(AF_UNIX, type, 0);
        int failed = to(client, "directory/../link-to-server") != 0;
        failed |= send(client, "hello", 5, 0) != 5 || read(client, text, sizeof text) != 7;
        _exit(failed ? errno : 0);
    }
    size = sizeof got;
    int peer = accept(server, (struct sockaddr *)&got, &size);
    name("client", peer < 0, &got, &size);
    SAY(read(peer, text, sizeof text));
    SAY(write(peer, "goodbye", 7));
    waitpid(pid, &status, 0);
    printf("%s, status %x\n", text, status);
    size = sizeof got;
    name("name of the peer", getsockname(peer, (struct sockaddr *)&got, &size), &got, &size);
    close(peer);
    int other = socket(AF_UNIX, type | SOCK_NONBLOCK, 0), more[8];
    SAY(bound(other, "server"));
    SAY(to(other, "server"));
    size = sizeof got;
    name("name of the server", getpeername(other, (struct sockaddr *)&got, &size), &got, &size);
    for (int i = 0; i < 8; i++) {
        more[i] = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
        if (to(more[i], "server") && errno != EAGAIN)
            say("connect", -1);
    }
    fflush(stdout);
    if ((pid = fork()) == 0) { /* waits until there is room */
        int client = socket(AF_UNIX, type, 0);
        _exit(to(client, "server") ? errno : 0);
    }
    for (int i = 0; i < 6 && (peer = accept(server, NULL, NULL)) >= 0; i++) {
        close(peer);
        if (i == 3)
            fcntl(server, F_SETFL, O_NONBLOCK), usleep(100000);
    }
    waitpid(pid, &status, 0);
    printf("waited for room: status %x\n", status);
    for (int i = 0; i < 8; i++)
        close(more[i]);
    close(other);
    close(server);
    SAY(to(socket(AF_UNIX, type, 0), "server"));
    SAY(unlink("server"));
    SAY(to(socket(AF_UNIX, type, 0), "server"));
}

static void datagrams(void)
{
    struct sockaddr_un got = {0};
    socklen_t size = sizeof got;
    char text[32] = {0};
    int one = socket(AF_UNIX, SOCK_DGRAM, 0), two = socket(AF_UNIX, SOCK_DGRAM, 0);
    SAY(bound(one, "./one"));
    SAY(bound(two, "directory/two"));
    SAY(sendto(one, "first", 5, 0, at("link-to-directory/two"), sizeof address));
    SAY(recvfrom(two, text, sizeof text, 0, (struct sockaddr *)&got, &size));
    name(text, 0, &got, &size);
    SAY(sendto(two, "answer", 6, 0, (struct sockaddr *)&got, size));
    struct iovec buffer = {text, sizeof text};
    struct msghdr message = {.msg_name = &got, .msg_namelen = sizeof got, .msg_iov = &buffer, .msg_iovlen = 1};
    SAY(recvmsg(one, &message, 0));
    name(text, 0, &got, &message.msg_namelen);
    SAY(to(one, "directory/two"));
    SAY(send(one, "more", 4, 0));
    SAY(recv(two, text, sizeof text, 0));
    SAY(sendto(one, "x", 1, 0, at("nothing"), sizeof address));
    SAY(to(one, "plain"));
    SAY(unlink("one"));
    SAY(unlink("directory/two"));
}

static void errors(void)
{
    struct stat st;
    char longest[120] = {0};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    SAY(socket(AF_UNIX, SOCK_STREAM, 7) >= 0);
    SAY(bound(fd, "nowhere/socket"));
    SAY(bound(fd, "plain"));
    SAY(bound(fd, "plain/socket"));
    SAY(bound(fd, "directory"));
    SAY(bind(fd, at("x"), 1));
    SAY(bind(fd, (struct sockaddr *)longest, sizeof longest));
    SAY(to(fd, "plain"));
    SAY(to(fd, "directory"));
    SAY(to(fd, "loop"));
    SAY(to(fd, "nowhere"));
    SAY(bind(fd, at("short"), offsetof(struct sockaddr_un, sun_path) + 5));
    SAY(stat("short", &st));
    printf("is a socket: %d\n", S_ISSOCK(st.st_mode));
    SAY(open("short", O_RDWR));
    SAY(unlink("short"));
    SAY(listen(socket(AF_UNIX, SOCK_DGRAM, 0), 1));
    SAY(to(socket(AF_INET, SOCK_STREAM, 0), "plain"));
}

/* Nothing of this is allowed, but natively it may be. */
static void refused(void)
{
    static const char *const names[] = {"@vx-abstract", "/outside/socket", "../outside/socket", "link-out", "link-absolute", "fixed/socket",
                                        "/proc/self/fd/10", "/proc/self/fd/10/x", "/dev/null"};
    char label[64];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
        sprintf(label, "connect %s", names[i]);
        say(label, to(fd, names[i]));
        sprintf(label, "bind %s", names[i]);
        say(label, bound(fd, names[i]));
        sprintf(label, "send %s", names[i]);
        say(label, sendto(datagram, "x", 1, 0, at(names[i]), sizeof address));
        close(fd);
        close(datagram);
    }
    SAY(bind(socket(AF_UNIX, SOCK_DGRAM, 0), at("x"), sizeof(sa_family_t)));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        refused();
        return 0;
    }
    mkdir("directory", 0700);
    close(open("plain", O_CREAT | O_WRONLY, 0600));
    symlink("server", "link-to-server");
    symlink("directory", "link-to-directory");
    symlink("loop", "loop");
    streams(SOCK_STREAM);
    streams(SOCK_SEQPACKET);
    datagrams();
    errors();
    return 0;
}

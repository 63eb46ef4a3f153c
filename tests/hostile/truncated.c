/* Bytes that are received to be thrown away: the buffer stays as it is. Needs the loopback device. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "held.h"

#define SIZE 16384

static unsigned char buffer[SIZE], message[SIZE];

static int changed(void)
{
    int count = 0;
    for (int i = 0; i < SIZE; i++)
        count += buffer[i] != 0x5a;
    memset(buffer, 0x5a, SIZE);
    return count;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    NEED(bind(listener, (void *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    NEED(getsockname(listener, (void *)&address, &length) == 0);
    NEED(connect(out, (void *)&address, length) == 0);
    int in = accept(listener, NULL, NULL);
    struct iovec iov = {buffer, SIZE};
    struct mmsghdr many = {{.msg_iov = &iov, .msg_iovlen = 1}};
    memset(message, 'm', SIZE);
    changed();
    for (int round = 0; round < 4; round++) {
        NEED(send(out, message, SIZE, 0) == SIZE);
        int flags = MSG_TRUNC | MSG_WAITALL;
        if (round == 3)
            HELD(recv(in, buffer, SIZE, flags | MSG_PEEK) > 0);
        int got = round == 0 ? recv(in, buffer, SIZE, flags) : round == 1 ? recvmsg(in, &many.msg_hdr, flags)
                  : round == 2 ? recvmmsg(in, &many, 1, flags, NULL) == 1 ? many.msg_len : -1
                               : recv(in, buffer, SIZE, flags);
        HELD(got == SIZE);
        HELD(changed() == 0);
    }
    /* of a datagram the length is told, and what there is room for is copied */
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && send(pair[0], message, 100, 0) == 100);
    HELD(recv(pair[1], buffer, 10, MSG_TRUNC) == 100);
    HELD(changed() == 10);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && send(pair[0], message, 100, 0) == 100);
    HELD(recv(pair[1], buffer, 100, MSG_TRUNC) == 100);
    HELD(changed() == 100);
    return failures;
}

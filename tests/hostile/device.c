/* A device that a guest has no business with is not even opened. DEVICE is one. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "held.h"

int main(int argc, char **argv)
{
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK, O_RDWR | O_CREAT, O_WRONLY | O_TRUNC};
    for (int i = 0; i < 5; i++)
        HELD(open(argv[1], flags[i] | O_NOCTTY, 0600) < 0 && errno == EACCES);
    HELD(truncate(argv[1], 0) < 0);
    HELD(open(argv[1], O_PATH) >= 0);
    return failures;
}

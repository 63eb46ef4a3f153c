/* Started without standard streams: what the guest has in their place is none of the host's. FILE is writable, and takes the report. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct stat st, null;
    int failures = stat("/dev/null", &null);
    for (int fd = 0; fd < 3; fd++)
        failures |= fstat(fd, &st) == 0 && (st.st_ino != null.st_ino || st.st_rdev != null.st_rdev);
    for (int fd = 3; fd < 1024; fd++)
        failures |= fcntl(fd, F_GETFD) >= 0;
    return failures;
}

/* With / writable and /proj/secret read-only: no name leads around the second. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "held.h"

static int moves(const char *from, const char *to, unsigned flags)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) == 0 || errno != EBUSY;
}

int main(void)
{
    int root = open("/", O_RDONLY);
    mkdir("/other", 0700);
    symlink("/", "/again");
    HELD(!moves("/proj", "/moved", 0));
    HELD(!moves("/proj", "/other", 0));
    HELD(!moves("/other", "/proj", 0));
    HELD(!moves("/other", "/proj", RENAME_EXCHANGE));
    HELD(!moves("/proj", "/other", RENAME_EXCHANGE));
    HELD(!moves("/again/proj", "/moved", 0));
    HELD(!moves("/proj/../proj", "/moved", 0));
    HELD(renameat(root, "proj", root, "moved") != 0 && errno == EBUSY);
    HELD(rename("/proj/secret", "/moved") != 0);
    HELD(rename("/other", "/proj/secret") != 0);
    HELD(open("/proj/secret/file", O_WRONLY) < 0 && errno == EROFS);
    HELD(open("/moved/secret/file", O_WRONLY) < 0 && errno == ENOENT);
    HELD(open("/other/secret/file", O_WRONLY) < 0 && errno == ENOENT);
    /* what is beside it may move */
    HELD(rename("/other", "/beside") == 0 && rename("/proj/plain", "/proj/renamed") == 0);
    return failures;
}

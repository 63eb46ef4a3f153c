/*
 * Reading input files and profiles, whole, with a limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vxc/cli/cli.h"

static bool grow(struct file *file, size_t *capacity)
{
    if (file->size < *capacity)
        return true;
    size_t larger = *capacity ? *capacity * 2 : 1 << 16;
    uint8_t *bytes = realloc(file->bytes, larger);
    if (!bytes)
        return false;
    file->bytes = bytes;
    *capacity = larger;
    return true;
}

bool read_file(const char *path, struct file *file)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    const char *cause = NULL;
    size_t capacity = 0;
    *file = (struct file){ 0 };
    if (fd < 0) {
        complain("%s: %s", path, strerror(errno));
        return false;
    }
    for (;;) {
        if (!grow(file, &capacity)) {
            cause = "out of memory";
            break;
        }
        ssize_t got = read(fd, file->bytes + file->size, capacity - file->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            cause = strerror(errno);
        if (got <= 0)
            break;
        file->size += (size_t)got;
        if (file->size > VXF_GUEST_LIMIT) {
            cause = "larger than 1 GiB";
            break;
        }
    }
    if (fd != STDIN_FILENO)
        close(fd);
    if (!cause)
        return true;
    complain("%s: %s", path, cause);
    free(file->bytes);
    *file = (struct file){ 0 };
    return false;
}

int read_profile(const char *path, const uint64_t guest_hash[2], vx_gaddr **addresses, size_t *count)
{
    FILE *stream = fopen(path, "re");
    uint64_t high, low;
    int code = EXIT_GOOD;
    unsigned line = 1;
    char text[128];
    if (!stream) {
        complain("%s: %s", path, strerror(errno));
        return EXIT_SYSTEM;
    }
    if (!fgets(text, sizeof text, stream) ||
        sscanf(text, "vx-profile 1 %16" SCNx64 "%16" SCNx64, &high, &low) != 2) {
        complain("%s: not a vx-profile file", path);
        code = EXIT_REJECTED;
    } else if (low != guest_hash[0] || high != guest_hash[1]) {
        complain("%s: the profile is of another guest", path);
        code = EXIT_REJECTED;
    }
    while (code == EXIT_GOOD && fgets(text, sizeof text, stream)) {
        char *end;
        line++;
        unsigned long value = strtoul(text, &end, 16);
        if (end == text || (*end != '\n' && *end) || value > UINT32_MAX) {
            complain("%s:%u: not a guest address", path, line);
            code = EXIT_REJECTED;
            break;
        }
        vx_gaddr *grown = realloc(*addresses, (*count + 1) * sizeof **addresses);
        if (!grown) {
            complain("out of memory");
            code = EXIT_SYSTEM;
            break;
        }
        *addresses = grown;
        (*addresses)[(*count)++] = (vx_gaddr)value;
    }
    fclose(stream);
    return code;
}

/*
 * Where a path with symbolic links or ".." leads to, in the guest's terms: an absolute link begins at the guest's "/",
 * and links and ".." lead into mounts and out of them. It is walked as text, one component at a time; each is opened
 * (O_PATH) from its granted directory as a path without links, so that the kernel never follows one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vxrt/linux/proc.h"

#define LINK_LIMIT 40   /* as the kernel's */
#define STEP_LIMIT 4096 /* components in all, those of links included: bounds the time that one call takes */

/* What follows in `path` after the components of `prefix`; NULL: it does not begin with them. */
static const char *after(const char *path, const char *prefix)
{
    for (;;) {
        path += strspn(path, "/");
        prefix += strspn(prefix, "/");
        if (!*prefix)
            return path;
        size_t size = strcspn(prefix, "/");
        if (strcspn(path, "/") != size || memcmp(path, prefix, size))
            return NULL;
        path += size;
        prefix += size;
    }
}

/* What is mounted is where its name says, whatever links or missing directories are on the way to it. */
static bool enter_mount(struct vxl_place *place, const char **rest)
{
    const struct vxl_grant *found = NULL;
    for (size_t i = 0; i < place->config->grant_count; i++) {
        const struct vxl_grant *grant = &place->config->grants[i];
        int above = vxl_prefix_length(place->guest, grant->guest_path);
        if (above < 0 || !grant->guest_path[above] || !grant->guest_path[above + 1] ||
            (found && strlen(found->guest_path) > strlen(grant->guest_path)))
            continue;
        if (after(*rest, grant->guest_path + above))
            found = grant;
    }
    if (!found)
        return false;
    *rest = after(*rest, found->guest_path + vxl_prefix_length(place->guest, found->guest_path));
    strcpy(place->guest, found->guest_path);
    return true;
}

bool vxl_is_above_mount(const struct vxl_place *place)
{
    if (!strcmp(place->guest, "/dev")) /* the devices that are always there */
        return true;
    for (size_t i = 0; i < place->config->grant_count; i++)
        if (vxl_prefix_length(place->guest, place->config->grants[i].guest_path) >= 0)
            return true;
    return false;
}

enum kind { PLAIN, DIRECTORY, LINK, MISSING };

/* What place->guest is, and the text of a link. -errno; -EAGAIN: there is a link on the way to it that was none before. */
static int look(struct vxl_place *place, char target[VXL_PATH_BYTES])
{
    struct stat st;
    int status = vxl_locate(place);
    if (status == 0 && place->is_device)
        return PLAIN;
    int fd = status < 0 ? status : vxl_open_here(place, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT ? (vxl_is_above_mount(place) ? DIRECTORY : MISSING) : fd == -ELOOP ? -EAGAIN : fd;
    status = fstat(fd, &st) ? -errno : S_ISLNK(st.st_mode) ? LINK : S_ISDIR(st.st_mode) ? DIRECTORY : PLAIN;
    if (status == LINK) {
        ssize_t size = readlinkat(fd, "", target, VXL_PATH_BYTES - 1);
        target[size > 0 ? size : 0] = 0;
        if (size <= 0)
            status = -ENOENT;
    }
    close(fd);
    return status;
}

/* The link that place->guest is, in front of the rest of the path. */
static int put_before(struct vxl_place *place, const char *target, char path[VXL_PATH_BYTES], const char *rest)
{
    char whole[VXL_PATH_BYTES];
    if (snprintf(whole, sizeof whole, "%s%s%s", target, *rest ? "/" : "", rest) >= (int)sizeof whole)
        return -ENAMETOOLONG;
    strcpy(path, whole);
    if (target[0] == '/')
        strcpy(place->guest, "/");
    else
        vxl_append(place->guest, "..");
    return 0;
}

int vxl_walk(struct vxl_place *place, bool follow_last)
{
    char path[VXL_PATH_BYTES], name[VXL_PATH_BYTES], target[VXL_PATH_BYTES];
    const char *rest = path;
    unsigned links = 0, steps = 0;
    strcpy(path, place->asked);
    strcpy(place->guest, "/");
    place->is_link = false;
    while (*(rest += strspn(rest, "/"))) {
        if (++steps > STEP_LIMIT)
            return -ELOOP;
        if (enter_mount(place, &rest))
            continue;
        size_t size = strcspn(rest, "/");
        memcpy(name, rest, size);
        name[size] = 0;
        rest += size;
        rest += strspn(rest, "/");
        if (!vxl_append(place->guest, name))
            return -ENAMETOOLONG;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        int kind = look(place, target);
        if (kind < 0)
            return kind;
        if (kind == LINK && !*rest && !follow_last) {
            place->is_link = true;
        } else if (kind == LINK) {
            if (++links > LINK_LIMIT)
                return -ELOOP;
            int status = put_before(place, target, path, rest);
            if (status < 0)
                return status;
            rest = path;
        } else if (*rest && kind != DIRECTORY) {
            return kind == MISSING ? -ENOENT : -ENOTDIR;
        }
    }
    return vxl_locate(place);
}

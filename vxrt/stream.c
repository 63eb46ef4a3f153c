/*
 * Streams of a plug-in that is an executable: descriptors that the host granted, and files that the host's function opened
 * for it by name. The guest's numbers are places in a table; no descriptor of the host can be named that is not in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "vxrt/internal.h"

#define MAX_BUFFERS 1024u
#define MAX_TRANSFER (1u << 30)
#define MAX_NAME 4096u
#define MAX_ERRNO 4095
/* i386's and x86-64's are the same. */
#define OPEN_FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND)

static uint32_t result_of(ssize_t n)
{
    return n < 0 ? (uint32_t)-errno : (uint32_t)n;
}

int vxi_stream(const struct vx_box *box, uint32_t number)
{
    return number < VX_MAX_STREAMS ? box->system.streams.list[number].host - 1 : -1;
}

uint32_t vxi_stream_transfer(struct vx_box *box, uint32_t number, vx_gaddr addr, uint32_t size, bool is_write)
{
    int fd = vxi_stream(box, number);
    if (fd < 0)
        return (uint32_t)-EBADF;
    if (size > MAX_TRANSFER)
        size = MAX_TRANSFER;
    void *bytes = vx_box_pointer(box, addr, size, is_write ? VX_PROT_READ : VX_PROT_WRITE);
    if (!bytes)
        return (uint32_t)-EFAULT;
    return result_of(is_write ? write(fd, bytes, size) : read(fd, bytes, size));
}

uint32_t vxi_stream_transfer_all(struct vx_box *box, uint32_t number, vx_gaddr list, uint32_t count, bool is_write)
{
    uint32_t done = 0;
    if (count > MAX_BUFFERS)
        return (uint32_t)-EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t buffer[2];
        if (vx_box_read(box, list + 8 * i, buffer, sizeof buffer) != VX_OK)
            return done ? done : (uint32_t)-EFAULT;
        if (buffer[1] == 0)
            continue;
        if (done > MAX_TRANSFER)
            break;
        uint32_t n = vxi_stream_transfer(box, number, buffer[0], buffer[1], is_write);
        if (n > (uint32_t)-4096)
            return done ? done : n;
        done += n;
        if (n < buffer[1])
            break;
    }
    return done;
}

static void put(struct vx_box *box, uint32_t number, int fd, bool is_owned)
{
    struct vxi_stream *stream = &box->system.streams.list[number];
    if (stream->is_owned)
        close(stream->host - 1);
    *stream = (struct vxi_stream){ fd + 1, is_owned };
}

/* A free number from `lowest` on, or -EMFILE. */
static uint32_t free_number(struct vx_box *box, uint32_t lowest)
{
    struct vxi_streams *streams = &box->system.streams;
    unsigned used = 0;
    for (uint32_t i = 0; i < VX_MAX_STREAMS; i++)
        used += streams->list[i].host != 0;
    streams->is_over = streams->limit && used >= streams->limit;
    for (uint32_t i = lowest; i < VX_MAX_STREAMS && !streams->is_over; i++)
        if (!streams->list[i].host)
            return i;
    return (uint32_t)-EMFILE;
}

uint32_t vxi_stream_open(struct vx_box *box, vx_gaddr name, uint32_t flags)
{
    struct vxi_streams *streams = &box->system.streams;
    char text[MAX_NAME];
    vx_status status = vx_box_read_string(box, name, text, sizeof text);
    if (status != VX_OK)
        return status == VX_ERR_RANGE ? (uint32_t)-EFAULT : (uint32_t)-ENAMETOOLONG;
    if (!streams->open)
        return (uint32_t)-ENOENT;
    uint32_t number = free_number(box, 0);
    if (number >= VX_MAX_STREAMS)
        return number;
    int fd = streams->open(box, streams->open_context, text, (int)(flags & OPEN_FLAGS));
    if (fd < 0)
        return fd < -MAX_ERRNO ? (uint32_t)-EIO : (uint32_t)fd;
    put(box, number, fd, true);
    return number;
}

/* What the host granted stays. */
uint32_t vxi_stream_close(struct vx_box *box, uint32_t number)
{
    if (vxi_stream(box, number) < 0)
        return (uint32_t)-EBADF;
    if (box->system.streams.list[number].is_owned)
        put(box, number, -1, false);
    return 0;
}

uint32_t vxi_stream_dup(struct vx_box *box, uint32_t from, uint32_t lowest)
{
    if (vxi_stream(box, from) < 0)
        return (uint32_t)-EBADF;
    uint32_t number = free_number(box, lowest);
    if (number >= VX_MAX_STREAMS)
        return number;
    int fd = fcntl(vxi_stream(box, from), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return (uint32_t)-errno;
    put(box, number, fd, true);
    return number;
}

uint32_t vxi_stream_control(struct vx_box *box, uint32_t number, uint32_t command, uint32_t argument)
{
    int fd = vxi_stream(box, number);
    if (fd < 0)
        return (uint32_t)-EBADF;
    switch (command) {
    case F_DUPFD: case F_DUPFD_CLOEXEC:
        return argument < VX_MAX_STREAMS ? vxi_stream_dup(box, number, argument) : (uint32_t)-EINVAL;
    case F_GETFD: case F_SETFD:
        return 0;
    case F_GETFL:
        return result_of(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND));
    default:
        return (uint32_t)-EINVAL;
    }
}

uint32_t vxi_stream_seek(struct vx_box *box, uint32_t number, uint64_t offset, vx_gaddr result, uint32_t whence)
{
    int fd = vxi_stream(box, number);
    if (fd < 0)
        return (uint32_t)-EBADF;
    if (whence > SEEK_END)
        return (uint32_t)-EINVAL;
    int64_t at = lseek(fd, (off_t)offset, (int)whence);
    if (at < 0)
        return (uint32_t)-errno;
    return vx_box_write(box, result, &at, sizeof at) == VX_OK ? 0 : (uint32_t)-EFAULT;
}

void vxi_streams_take_back(struct vx_box *box)
{
    for (uint32_t i = 0; i < VX_MAX_STREAMS; i++)
        put(box, i, -1, false);
    box->system.streams.open = NULL;
}

vx_status vx_box_set_stream(struct vx_box *box, unsigned number, int fd)
{
    if (!box || number >= VX_MAX_STREAMS || fd < -1)
        return VX_ERR_ARGUMENT;
    put(box, number, fd, false);
    return VX_OK;
}

vx_status vx_box_set_open(struct vx_box *box, vx_open_function open, void *context)
{
    if (!box)
        return VX_ERR_ARGUMENT;
    box->system.streams.open = open;
    box->system.streams.open_context = context;
    return VX_OK;
}

vx_status vx_box_set_stream_limit(struct vx_box *box, unsigned count)
{
    if (!box || count > VX_MAX_STREAMS)
        return VX_ERR_ARGUMENT;
    box->system.streams.limit = count;
    return VX_OK;
}

/* The process that makes caches. A request: one message, with two descriptors: the guest, and a pipe to close when done. */
#include "vxrt/linux/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/cpu.h"
#include "format/directory.h"

#define PATH_BYTES 4096
#define EXIT_NOT_EXECUTED 127

enum { GUEST, DONE, FD_COUNT };

struct guest {
    uint64_t hash[2], cpu;
};

/* A message: what is known of the guest, and room for the descriptors. */
struct request {
    struct guest guest;
    struct iovec part;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FD_COUNT * sizeof(int))];
    } control;
};

static struct msghdr message_of(struct request *request)
{
    request->part = (struct iovec){&request->guest, sizeof request->guest};
    return (struct msghdr){.msg_iov = &request->part, .msg_iovlen = 1, .msg_control = &request->control,
                           .msg_controllen = sizeof request->control};
}

/* The program vxc beside this one. */
static bool find_compiler(char path[PATH_BYTES])
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_BYTES - 5);
    if (size <= 0)
        return false;
    path[size] = 0;
    strcpy(strrchr(path, '/') + 1, "vxc");
    return access(path, X_OK) == 0;
}

static void run_compiler(const char *compiler, uint32_t cpu, const char *cache, const char *profile, int fd)
{
    char guest[40], cpu_text[VXF_CPU_TEXT_BYTES];
    int status;
    vxf_cpu_text(cpu, cpu_text);
    pid_t pid = fork();
    if (pid == 0) {
        snprintf(guest, sizeof guest, "/proc/self/fd/%d", dup(fd)); /* a copy stays open in the new program */
        execl(compiler, "vxc", "compile", "-j1", "--detached", "--cpu", cpu_text, "--profile", profile, "-o", cache, guest,
              (char *)NULL);
        _exit(EXIT_NOT_EXECUTED);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        ;
}

/* Another process may have done it meanwhile: then the cache is younger than the profile. */
static bool is_done(const char *cache_path, const char *profile_path)
{
    struct stat cache, profile;
    if (stat(cache_path, &cache) || stat(profile_path, &profile))
        return false;
    return cache.st_mtim.tv_sec != profile.st_mtim.tv_sec ? cache.st_mtim.tv_sec > profile.st_mtim.tv_sec
                                                          : cache.st_mtim.tv_nsec > profile.st_mtim.tv_nsec;
}

static void make_cache(const char *compiler, const char *directory, const struct guest *guest, int fd)
{
    char name[VXF_DIRECTORY_NAME_BYTES], cache[PATH_BYTES], profile[PATH_BYTES];
    vxf_directory_name(guest->hash, ".vxc", name);
    snprintf(cache, sizeof cache, "%s/%s", directory, name);
    vxf_directory_name(guest->hash, ".profile", name);
    snprintf(profile, sizeof profile, "%s/%s", directory, name);
    int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_EX);
    if (!is_done(cache, profile))
        run_compiler(compiler, (uint32_t)guest->cpu, cache, profile, fd);
    if (lock >= 0)
        close(lock);
}

/* False at the end of requests. */
static bool serve(int socket, const char *compiler, const char *directory)
{
    struct request request;
    struct msghdr message = message_of(&request);
    int fds[FD_COUNT];
    ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (size <= 0)
        return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fds))
        return true;
    memcpy(fds, CMSG_DATA(header), sizeof fds);
    if (size == sizeof request.guest)
        make_cache(compiler, directory, &request.guest, fds[GUEST]);
    close(fds[GUEST]);
    close(fds[DONE]);
    return true;
}

int vxl_writer_start(const char *directory, const char **why)
{
    char compiler[PATH_BYTES];
    int sockets[2], status;
    *why = "there is no vxc beside vxrun";
    if (!find_compiler(compiler))
        return -1;
    *why = "no process for it";
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) { /* twice: nobody has to wait for it */
        close(sockets[0]);
        pid_t second = fork();
        if (second)
            _exit(second < 0);
        setsid(); /* not ended with vxrun from a terminal: what it began is finished */
        while (serve(sockets[1], compiler, directory))
            ;
        _exit(0);
    }
    close(sockets[1]);
    bool is_there = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    if (!is_there)
        close(sockets[0]);
    return is_there ? sockets[0] : -1;
}

bool vxl_writer_compile(int writer, int fd, const uint64_t hash[2], uint32_t cpu)
{
    struct request request = {.guest = {{hash[0], hash[1]}, cpu}};
    struct msghdr message = message_of(&request);
    int done[2];
    char end;
    if (pipe2(done, O_CLOEXEC))
        return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(FD_COUNT * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), (int[]){fd, done[1]}, FD_COUNT * sizeof(int));
    bool is_sent = sendmsg(writer, &message, MSG_NOSIGNAL) == sizeof request.guest;
    close(done[1]);
    while (is_sent && read(done[0], &end, 1) < 0)
        ;
    close(done[0]);
    return is_sent;
}

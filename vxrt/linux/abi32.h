/*
 * Structures of the i386 Linux ABI as guests lay them out in memory, where
 * they differ from the host's. Sizes are checked here, offsets by
 * tests/test_linux_abi.c against a native -m32 program.
 */
#ifndef VXRT_LINUX_ABI32_H
#define VXRT_LINUX_ABI32_H

#include <assert.h>
#include <stdint.h>

#define ABI32 __attribute__((packed, aligned(4)))

struct abi32_timespec { int32_t sec, nsec; };
struct abi32_timeval { int32_t sec, usec; };
struct abi32_itimerval { struct abi32_timeval interval, value; };
struct ABI32 abi32_timespec64 { int64_t sec; int32_t nsec, pad; };
struct abi32_timezone { int32_t minutes_west, dst_time; };
struct abi32_tms { int32_t utime, stime, cutime, cstime; };
struct abi32_iovec { uint32_t base, len; };
struct abi32_rlimit { uint32_t cur, max; };

struct abi32_rusage {
    struct abi32_timeval utime, stime;
    int32_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock;
    int32_t msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};

/* struct stat of newer i386 calls (106..108) */
struct ABI32 abi32_stat {
    uint32_t dev, ino;
    uint16_t mode, nlink, uid, gid;
    uint32_t rdev, size, blksize, blocks;
    uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    uint32_t pad[2];
};

struct ABI32 abi32_stat64 {
    uint64_t dev;
    uint8_t pad0[4];
    uint32_t ino_low, mode, nlink, uid, gid;
    uint64_t rdev;
    uint8_t pad3[4];
    int64_t size;
    uint32_t blksize;
    uint64_t blocks;
    uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    uint64_t ino;
};

struct ABI32 abi32_statfs {
    uint32_t type, bsize, blocks, bfree, bavail, files, ffree, fsid[2], namelen, frsize, flags;
    uint32_t spare[4];
};
struct ABI32 abi32_statfs64 {
    uint32_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    uint32_t fsid[2], namelen, frsize, flags, spare[4];
};

struct abi32_flock { int16_t type, whence; int32_t start, len, pid; };
struct ABI32 abi32_flock64 { int16_t type, whence; int64_t start, len; int32_t pid; };

struct abi32_sysinfo {
    int32_t uptime;
    uint32_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    uint16_t procs, pad;
    uint32_t totalhigh, freehigh, mem_unit;
    uint8_t tail[8];
};

struct abi32_user_desc { uint32_t entry_number, base_addr, limit, flags; };
enum { ABI32_DESC_SEG_32BIT = 1, ABI32_DESC_READ_EXEC_ONLY = 8, ABI32_DESC_LIMIT_IN_PAGES = 16,
       ABI32_DESC_NOT_PRESENT = 32, ABI32_DESC_USEABLE = 64 };

/* ---- signals --------------------------------------------------------- */

/* sigaction(67) */
struct abi32_old_sigaction { uint32_t handler, mask, flags, restorer; };
/* rt_sigaction(174) */
struct abi32_sigaction { uint32_t handler, flags, restorer, mask[2]; };
struct abi32_stack { uint32_t sp; int32_t flags; uint32_t size; };

struct abi32_siginfo {
    int32_t signo, error, code;
    union {
        uint32_t pad[29];
        uint32_t addr;
        struct { int32_t pid; uint32_t uid; int32_t status, utime, stime; } child;
    } u;
};

struct abi32_sigcontext {
    uint16_t gs, gsh, fs, fsh, es, esh, ds, dsh;
    uint32_t di, si, bp, sp, bx, dx, cx, ax;
    uint32_t trapno, err, ip;
    uint16_t cs, csh;
    uint32_t flags, sp_at_signal;
    uint16_t ss, ssh;
    uint32_t fpstate, oldmask, cr2;
};

/* fnsave image, status and magic, then an fxsave image (magic 0 = it is there). */
struct abi32_fpstate {
    uint32_t cw, sw, tag, ipoff, cssel, dataoff, datasel;
    uint8_t st[8][10];
    uint16_t status, magic;
    uint8_t fx[512];
};

struct abi32_ucontext {
    uint32_t flags, link;
    struct abi32_stack stack;
    struct abi32_sigcontext mcontext;
    uint32_t sigmask[2];
};

struct abi32_sigframe {
    uint32_t pretcode;
    int32_t sig;
    struct abi32_sigcontext sc;
    struct abi32_fpstate fpstate_unused;
    uint32_t extramask[1];
    uint8_t retcode[8];
};

struct abi32_rt_sigframe {
    uint32_t pretcode;
    int32_t sig;
    uint32_t pinfo, puc;
    struct abi32_siginfo info;
    struct abi32_ucontext uc;
    uint8_t retcode[8];
};

static_assert(sizeof(struct abi32_rusage) == 72, "rusage");
static_assert(sizeof(struct abi32_stat) == 64, "stat");
static_assert(sizeof(struct abi32_stat64) == 96, "stat64");
static_assert(sizeof(struct abi32_statfs) == 64, "statfs");
static_assert(sizeof(struct abi32_statfs64) == 84, "statfs64");
static_assert(sizeof(struct abi32_flock) == 16, "flock");
static_assert(sizeof(struct abi32_flock64) == 24, "flock64");
static_assert(sizeof(struct abi32_sysinfo) == 64, "sysinfo");
static_assert(sizeof(struct abi32_siginfo) == 128, "siginfo");
static_assert(sizeof(struct abi32_sigcontext) == 88, "sigcontext");
static_assert(sizeof(struct abi32_fpstate) == 624, "fpstate");
static_assert(sizeof(struct abi32_ucontext) == 116, "ucontext");
static_assert(sizeof(struct abi32_sigframe) == 732, "sigframe");
static_assert(sizeof(struct abi32_rt_sigframe) == 268, "rt_sigframe");

#endif

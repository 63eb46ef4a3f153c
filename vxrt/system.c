/*
 * System calls of a plug-in that is a static executable: the few that its C library needs to start, to
 * allocate and to use the streams that the host granted. Everything else is ENOSYS.
 *
 * No path, process or signal of the host is within reach here. Arguments are the guest's: memory is used through
 * the checked accessors only, and host calls are made on granted descriptors alone.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "vxrt/helper.h"
#include "vxrt/internal.h"

#define MAP_BELOW (VX_GATE_BASE - VX_PAGE_BYTES)
#define SIGNAL_STATUS 128u

/* i386 numbers. */
enum { NR_EXIT = 1, NR_READ = 3, NR_WRITE = 4, NR_OPEN = 5, NR_CLOSE = 6, NR_GETPID = 20, NR_KILL = 37, NR_DUP = 41, NR_BRK = 45,
       NR_IOCTL = 54, NR_GETTIMEOFDAY = 78, NR_MUNMAP = 91, NR_MPROTECT = 125, NR_LLSEEK = 140, NR_READV = 145,
       NR_WRITEV = 146, NR_SCHED_YIELD = 158, NR_SIGACTION = 174, NR_SIGPROCMASK = 175, NR_MMAP2 = 192, NR_GETUID32 = 199,
       NR_GETEGID32 = 202, NR_MADVISE = 219, NR_FCNTL64 = 221, NR_GETTID = 224, NR_TKILL = 238, NR_FUTEX = 240, NR_SET_THREAD_AREA = 243,
       NR_EXIT_GROUP = 252, NR_SET_TID_ADDRESS = 258, NR_CLOCK_GETTIME = 265, NR_TGKILL = 270, NR_OPENAT = 295,
       NR_GETRANDOM = 355, NR_CLOCK_GETTIME64 = 403 };

#define GUEST_AT_FDCWD ((uint32_t)-100)
enum { GUEST_MAP_FIXED = 0x10, GUEST_MAP_ANONYMOUS = 0x20, GUEST_PROT_READ = 1, GUEST_PROT_WRITE = 2, GUEST_PROT_EXEC = 4 };

static uint32_t page_up(uint32_t value)
{
    return (value + VX_PAGE_BYTES - 1) & ~(VX_PAGE_BYTES - 1);
}

static int prot_of(uint32_t prot)
{
    return (prot & GUEST_PROT_READ ? VX_PROT_READ : 0) | (prot & GUEST_PROT_WRITE ? VX_PROT_WRITE : 0) |
           (prot & GUEST_PROT_EXEC ? VX_PROT_EXEC : 0);
}

static uint32_t error_of(vx_status status)
{
    return status == VX_OK ? 0 : status == VX_ERR_RANGE || status == VX_ERR_ARGUMENT ? (uint32_t)-EINVAL : (uint32_t)-ENOMEM;
}

/* The heap grows from the end of the image; it ends where other pages begin. */
static uint32_t set_break(struct vx_box *box, uint32_t wanted)
{
    struct vxi_system *system = &box->system;
    uint32_t from = page_up(system->heap_end), to = page_up(wanted);
    if (wanted < system->heap || wanted >= VX_GATE_BASE)
        return system->heap_end;
    for (uint32_t at = from; at < to; at += VX_PAGE_BYTES)
        if (vx_box_page_prot(box, at) >= 0)
            return system->heap_end;
    if ((to > from && vx_box_map(box, from, to - from, VX_PROT_READ | VX_PROT_WRITE) != VX_OK) ||
        (to < from && vx_box_unmap(box, to, from - to) != VX_OK)) {
        system->has_no_memory = true;
        return system->heap_end;
    }
    system->heap_end = wanted;
    return wanted;
}

static bool is_gate(vx_gaddr addr, uint32_t size)
{
    return (uint64_t)addr + size > VX_GATE_BASE;
}

static uint32_t map(struct vx_box *box, vx_gaddr addr, uint32_t size, uint32_t prot, uint32_t flags)
{
    if (!(flags & GUEST_MAP_ANONYMOUS))
        return (uint32_t)-ENODEV;
    if (size == 0 || size > VX_GATE_BASE || (flags & GUEST_MAP_FIXED && is_gate(addr, size)))
        return (uint32_t)-EINVAL;
    size = page_up(size);
    if (!(flags & GUEST_MAP_FIXED))
        addr = vx_box_find_free(box, size, MAP_BELOW);
    uint32_t error = addr ? error_of(vx_box_map(box, addr, size, prot_of(prot))) : (uint32_t)-ENOMEM;
    box->system.has_no_memory = error == (uint32_t)-ENOMEM;
    return error ? error : addr;
}

static uint32_t set_thread_area(struct vx_box *box, vx_gaddr descriptor)
{
    uint32_t words[4];
    if (vx_box_read(box, descriptor, words, sizeof words) != VX_OK)
        return (uint32_t)-EFAULT;
    if (words[0] == UINT32_MAX)
        words[0] = VXI_TLS_FIRST;
    struct vx_regs regs = box->ctx->regs;
    if (vxi_set_tls_entry(box, &regs, words[0], words[1]) != VX_OK)
        return (uint32_t)-EINVAL;
    vx_box_set_regs(box, &regs);
    return vx_box_write(box, descriptor, words, sizeof words[0]) == VX_OK ? 0 : (uint32_t)-EFAULT;
}

/* As struct timespec (timeval: divisor 1000) with fields of `width` bytes. */
static uint32_t get_time(struct vx_box *box, uint32_t clock, vx_gaddr to, uint32_t width, long divisor)
{
    struct timespec now;
    if (clock > CLOCK_BOOTTIME || clock_gettime((clockid_t)clock, &now) != 0)
        return (uint32_t)-EINVAL;
    int64_t wide[2] = { now.tv_sec, now.tv_nsec / divisor };
    int32_t narrow[2] = { (int32_t)wide[0], (int32_t)wide[1] };
    vx_status status = vx_box_write(box, to, width == 8 ? (void *)wide : (void *)narrow, 2 * (size_t)width);
    return status == VX_OK ? 0 : (uint32_t)-EFAULT;
}

static uint32_t get_random(struct vx_box *box, vx_gaddr to, uint32_t size)
{
    uint8_t bytes[256];
    if (size > sizeof bytes)
        size = sizeof bytes;
    ssize_t n = getrandom(bytes, size, 0);
    if (n < 0)
        return (uint32_t)-errno;
    return vx_box_write(box, to, bytes, (size_t)n) == VX_OK ? (uint32_t)n : (uint32_t)-EFAULT;
}

/* eax is the number, ebx ecx edx esi edi ebp the arguments. */
static uint32_t answer(struct vx_box *box, const struct vx_regs *r)
{
    switch (r->eax) {
    case NR_READ: return vxi_stream_transfer(box, r->ebx, r->ecx, r->edx, false);
    case NR_WRITE: return vxi_stream_transfer(box, r->ebx, r->ecx, r->edx, true);
    case NR_READV: return vxi_stream_transfer_all(box, r->ebx, r->ecx, r->edx, false);
    case NR_WRITEV: return vxi_stream_transfer_all(box, r->ebx, r->ecx, r->edx, true);
    case NR_OPEN: return vxi_stream_open(box, r->ebx, r->ecx);
    case NR_OPENAT: return r->ebx == GUEST_AT_FDCWD ? vxi_stream_open(box, r->ecx, r->edx) : (uint32_t)-EBADF;
    case NR_CLOSE: return vxi_stream_close(box, r->ebx);
    case NR_DUP: return vxi_stream_dup(box, r->ebx, 0);
    case NR_FCNTL64: return vxi_stream_control(box, r->ebx, r->ecx, r->edx);
    case NR_LLSEEK: return vxi_stream_seek(box, r->ebx, (uint64_t)r->ecx << 32 | r->edx, r->esi, r->edi);
    case NR_IOCTL: return vxi_stream(box, r->ebx) < 0 ? (uint32_t)-EBADF : (uint32_t)-ENOTTY;
    case NR_BRK: return set_break(box, r->ebx);
    case NR_MMAP2: return map(box, r->ebx, r->ecx, r->edx, r->esi);
    case NR_MUNMAP: return is_gate(r->ebx, r->ecx) ? (uint32_t)-EINVAL : error_of(vx_box_unmap(box, r->ebx, page_up(r->ecx)));
    case NR_MPROTECT:
        return is_gate(r->ebx, r->ecx) ? (uint32_t)-EINVAL
                                       : error_of(vx_box_protect(box, r->ebx, page_up(r->ecx), prot_of(r->edx)));
    case NR_SET_THREAD_AREA: return set_thread_area(box, r->ebx);
    case NR_GETTIMEOFDAY: return get_time(box, CLOCK_REALTIME, r->ebx, 4, 1000);
    case NR_CLOCK_GETTIME: return get_time(box, r->ebx, r->ecx, 4, 1);
    case NR_CLOCK_GETTIME64: return get_time(box, r->ebx, r->ecx, 8, 1);
    case NR_GETRANDOM: return get_random(box, r->ebx, r->ecx);
    case NR_GETPID: case NR_GETTID: case NR_SET_TID_ADDRESS: return 1;
    case NR_MADVISE: case NR_SCHED_YIELD: case NR_SIGACTION: case NR_SIGPROCMASK: return 0;
    case NR_FUTEX: return r->ecx & 1 ? 0 : (uint32_t)-EAGAIN; /* wakes nobody; nobody else could end a wait */
    default: return r->eax >= NR_GETUID32 && r->eax <= NR_GETEGID32 ? 1000 : (uint32_t)-ENOSYS;
    }
}

bool vxi_system_call(struct vx_box *box, struct vx_trap *trap)
{
    struct vx_regs *regs = &box->ctx->regs;
    uint32_t signal = regs->eax == NR_TGKILL ? regs->edx : regs->ecx;
    switch (regs->eax) {
    case NR_EXIT:
    case NR_EXIT_GROUP:
        *trap = (struct vx_trap){ .kind = VX_TRAP_EXIT, .detail = regs->ebx & 0xff };
        return false;
    case NR_KILL: case NR_TKILL: case NR_TGKILL:
        *trap = (struct vx_trap){ .kind = VX_TRAP_EXIT, .detail = SIGNAL_STATUS + (signal & 0x7f) };
        return false;
    case VXI_SYSTEM_PARK:
        return false;
    default:
        break;
    }
    uint32_t result = answer(box, &(const struct vx_regs){ .eax = regs->eax, .ebx = regs->ebx, .ecx = regs->ecx, .edx = regs->edx,
                                                          .esi = regs->esi, .edi = regs->edi, .ebp = regs->ebp });
    regs->eax = result;
    bool has_no_memory = box->memory_traps && box->system.has_no_memory;
    bool is_over = has_no_memory || box->system.streams.is_over;
    box->system.has_no_memory = box->system.streams.is_over = false;
    if (is_over)
        *trap = (struct vx_trap){ .kind = has_no_memory ? VX_TRAP_MEMORY : VX_TRAP_STREAMS };
    return !is_over;
}

/* ---- the stack that a program starts with ---- */

struct builder {
    struct vx_box *box;
    vx_gaddr at;
    vx_status status;
};

static void push_word(struct builder *b, uint32_t word)
{
    b->at -= 4;
    if (b->status == VX_OK)
        b->status = vx_box_write(b->box, b->at, &word, sizeof word);
}

static void push_pair(struct builder *b, uint32_t key, uint32_t value)
{
    push_word(b, value);
    push_word(b, key);
}

vx_status vxi_system_start(struct vx_box *box, vx_gaddr top, vx_gaddr *esp)
{
    static const char name[16] = "plugin";
    struct vx_image_info info;
    struct builder b = { .box = box, .at = top - 32 };
    vx_image_info(box->image, &info);
    box->system.is_active = true;
    box->system.heap = box->system.heap_end = info.high;
    uint8_t random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return VX_ERR_IO;
    b.status = vx_box_write(box, top - 16, name, sizeof name);
    if (b.status == VX_OK)
        b.status = vx_box_write(box, top - 32, random, sizeof random);
    /* auxiliary vector, environment (none), arguments: the name */
    push_pair(&b, 0, 0);
    push_pair(&b, 25, top - 32);        /* AT_RANDOM */
    push_pair(&b, 6, VX_PAGE_BYTES);    /* AT_PAGESZ */
    push_pair(&b, 3, info.phdr);        /* AT_PHDR, AT_PHENT, AT_PHNUM */
    push_pair(&b, 4, 32);
    push_pair(&b, 5, info.phdr_count);
    push_pair(&b, 9, info.entry);       /* AT_ENTRY */
    push_pair(&b, 23, 0);               /* AT_SECURE, AT_UID, AT_EUID, AT_GID, AT_EGID */
    for (uint32_t key = 11; key <= 14; key++)
        push_pair(&b, key, 1000);
    push_pair(&b, 17, 100);             /* AT_CLKTCK; and so esp is a multiple of 16 */
    push_word(&b, 0);
    push_word(&b, 0);
    push_word(&b, top - 16);
    push_word(&b, 1);
    *esp = b.at;
    return b.status;
}

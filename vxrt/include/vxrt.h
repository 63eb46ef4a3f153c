/*
 * vxrt: run unmodified i386 code inside this process, sandboxed.
 *
 * Three nouns. An *image* is a guest program plus its verified code: immutable,
 * shared by any number of boxes and threads. A *box* is one sandbox: a 4 GiB window
 * of guest memory and one set of guest registers; one thread at a time may use it (vx_thread.h: several).
 * A *trap* says why a run stopped.
 *
 * Threads: functions on different boxes may run concurrently; functions on
 * one box must not, except vx_box_interrupt. Images are thread-safe.
 *
 * Conventions. A vx_status says how it went, VX_OK or why not; where a function also fills a struct vx_error, that is set on every
 * failure but for VX_ERR_ARGUMENT about a null pointer, and its text names the cause (not the file: the caller knows that). What
 * is written to *result, *image, *box and so on counts on VX_OK only. Option structures begin with their own size, so that later
 * versions can add to them; one whose size is not set is VX_ERR_ARGUMENT, never ignored. Functions that close or free take NULL.
 * A page has VX_PAGE_BYTES (4096) bytes. Where a function reports VX_ERR_MEMORY, the host's memory is exhausted.
 *
 *     cc host.c $(pkg-config --cflags --libs vxrt)       with #include <vx/vxrt.h>
 */
#ifndef VXRT_H
#define VXRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vx_image;
struct vx_box;

/* ---- images ---------------------------------------------------------- */

struct vx_image_options {
    size_t size;            /* sizeof(struct vx_image_options) */
    const char *cache_path; /* .vxc for an ELF guest; NULL: none */
    vx_gaddr load_bias;     /* for ET_DYN guests; page-aligned. 0: the default, 0x56555000 */
    bool ignore_cache;      /* open a .vxc for its guest only */
    const char *cpu;        /* what the guest's processor can do: a name as for vxc compile --cpu; a cache for another one is not
                               used (VX_ERR_VXC_CPU). NULL: what the cache is for; without one, sse4.2 */
};

/*
 * Open a guest: an i386 ELF file, or a .vxc file with the guest inside. A cache that
 * does not match is not an error: the image runs without it and
 * vx_image_cache_status says why. options may be NULL. On success *image is owned by the
 * caller (vx_image_close). error may not be NULL; error->offset is a file offset.
 * VX_ERR_NOT_FOUND, VX_ERR_IO (also: a directory or device): the file; VX_ERR_ELF_*, VX_ERR_VXC_*: what is in it;
 * VX_ERR_ARGUMENT: no such cpu, or load_bias is not page-aligned; VX_ERR_CPU: this machine lacks something that it has.
 */
vx_status vx_image_open(const char *path, const struct vx_image_options *options,
                        struct vx_image **image, struct vx_error *error);
/* The same from memory; the bytes are copied. */
vx_status vx_image_open_memory(const void *bytes, size_t size, const struct vx_image_options *options,
                               struct vx_image **image, struct vx_error *error);
/* Boxes keep their image alive: it is freed with the last of them. */
void vx_image_close(struct vx_image *image);

/* VX_OK: a cache is in use; VX_ERR_NOT_FOUND: none given; else why it was refused. */
vx_status vx_image_cache_status(const struct vx_image *image, struct vx_error *error);

struct vx_image_info {
    vx_gaddr entry;      /* with load bias; equal to it where the file has none (a shared object) */
    vx_gaddr load_bias;
    vx_gaddr low, high;  /* [low, high) covers all segments */
    vx_gaddr phdr;       /* guest address of the program headers, 0 if unmapped */
    uint16_t phdr_count;
    bool exec_stack;
    const char *interp;  /* PT_INTERP or NULL; owned by the image */
};
void vx_image_info(const struct vx_image *image, struct vx_image_info *info);

/* ---- boxes ----------------------------------------------------------- */

struct vx_box_options {
    size_t size;         /* sizeof(struct vx_box_options) */
    uint64_t max_memory; /* bytes of guest memory mapped at once; 0 = 4 GiB */
    const char *cpu;     /* without an image: name of the guest's CPU, as in vx_image_options; else it is the image's */
    bool no_dynamic;     /* a path that is not in the cache: VX_TRAP_NOT_CACHED */
    bool memory_traps;   /* a program (vx_box_start) that asks for more than there is: VX_TRAP_MEMORY; else it sees ENOMEM */
};

/*
 * Make a box with the image's segments mapped. image may be NULL: an empty window. options may be NULL. The box is owned by the
 * caller. It takes some 40 GiB of address space (not of memory), which RLIMIT_AS counts. VX_ERR_ADDRESS_SPACE; VX_ERR_TOO_LARGE:
 * the image needs more than max_memory; VX_ERR_ARGUMENT: no such cpu; VX_ERR_MEMORY.
 */
vx_status vx_box_new(struct vx_image *image, const struct vx_box_options *options,
                     struct vx_box **box, struct vx_error *error);
/* VX_ERR_BUSY while it runs, also for a host function of it; the box is as before then. */
vx_status vx_box_free(struct vx_box *box);

struct vx_regs {
    /* in the order of instruction encoding: eax ecx edx ebx esp ebp esi edi */
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t eip;
    uint32_t eflags;
    uint32_t fs_base, gs_base;
    uint16_t es, cs, ss, ds, fs, gs; /* selectors as the guest sees them */
};
/* The registers where the box stopped, and goes on. While it runs: those of no moment in particular. */
void vx_box_get_regs(const struct vx_box *box, struct vx_regs *regs);
void vx_box_set_regs(struct vx_box *box, const struct vx_regs *regs);
/* x87 and SSE state in the 512-byte FXSAVE layout of 32-bit mode. Set masks reserved MXCSR bits. */
void vx_box_get_fxsave(struct vx_box *box, uint8_t fx[512]);
void vx_box_set_fxsave(struct vx_box *box, const uint8_t fx[512]);
/* The upper halves of ymm0 to ymm7, 16 bytes each. Zero, and not to be set, where the guest's CPU has no AVX. */
void vx_box_get_ymm(const struct vx_box *box, uint8_t ymm[128]);
void vx_box_set_ymm(struct vx_box *box, const uint8_t ymm[128]);

/* ---- guest memory ---------------------------------------------------- */

enum { VX_PROT_NONE = 0, VX_PROT_EXEC = 1, VX_PROT_WRITE = 2, VX_PROT_READ = 4 };

/* Map zeroed pages at [addr, addr + size): addr page-aligned, size > 0 in bytes, rounded up to pages, not page 0, not past
 * 4 GiB. prot: VX_PROT_* bits. Replaces what was there. VX_ERR_RANGE, VX_ERR_ARGUMENT (prot), VX_ERR_MEMORY, VX_ERR_TOO_LARGE
 * (max_memory). */
vx_status vx_box_map(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot);
/* What is not mapped stays so. VX_ERR_RANGE, as above. */
vx_status vx_box_unmap(struct vx_box *box, vx_gaddr addr, uint32_t size);
/* VX_ERR_RANGE, as above, or not all pages are mapped; VX_ERR_ARGUMENT: no such prot. */
vx_status vx_box_protect(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot);
/* Map part of a file privately (copy-on-write), from a page-aligned offset; the file's bytes past its end read as in mmap(2).
 * fd may be closed. As vx_box_map; VX_ERR_ARGUMENT: fd or offset; VX_ERR_IO. */
vx_status vx_box_map_file(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot, int fd, uint64_t offset);
/*
 * The same, but shared: writes go to the file, and those of others show. fd -1: zeroed pages, shared with children after fork(2). Never
 * executable: VX_ERR_ARGUMENT. No part of snapshots; a reset unmaps it. fd may be closed.
 */
vx_status vx_box_map_shared(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot, int fd, uint64_t offset);
/* Find a free page-aligned range of `size` bytes, rounded up to pages, searching down from `below` (0: 0xfffff000). 0 if none,
 * or if size is 0. Nothing is reserved: map it (vx_box_map, vx_box_share) before the box runs again. */
vx_gaddr vx_box_find_free(const struct vx_box *box, uint32_t size, vx_gaddr below);
/* Protection of the page at addr: VX_PROT_* bits, or -1 if not mapped. */
int vx_box_page_prot(const struct vx_box *box, vx_gaddr addr);
/* Copy between host and guest memory. Obeys guest protection (read needs READ, write needs WRITE);
 * VX_ERR_RANGE if any byte is not accessible, and then nothing is promised about a partial copy. Writes to pages with translated code drop that code. */
vx_status vx_box_read(struct vx_box *box, vx_gaddr addr, void *dst, size_t size);
vx_status vx_box_write(struct vx_box *box, vx_gaddr addr, const void *src, size_t size);
/* As vx_box_write, but ignores guest write protection (loaders, debuggers); not that of a buffer shared for reading: VX_ERR_RANGE. */
vx_status vx_box_poke(struct vx_box *box, vx_gaddr addr, const void *src, size_t size);
/* Copy a NUL-terminated string, at most size bytes with its NUL. VX_ERR_RANGE, VX_ERR_TOO_LARGE. */
vx_status vx_box_read_string(struct vx_box *box, vx_gaddr addr, char *dst, size_t size);
/* Host pointer to [addr, addr+size) if all of it is mapped with at least `prot`, else NULL. Valid until the
 * mapping changes. The guest can change the bytes at any time it runs. */
void *vx_box_pointer(struct vx_box *box, vx_gaddr addr, uint32_t size, int prot);

/* ---- code for files that the guest maps ------------------------------ */

/*
 * The code of a .vxc file, to be used where its guest file lies `bias` (page-aligned) above the addresses in the
 * file. Immutable, thread-safe, for any number of boxes. fd: the cache, open for reading; it stays the caller's. On
 * success *code is owned by the caller. VX_ERR_VXC_*, VX_ERR_CPU, VX_ERR_MEMORY, VX_ERR_ADDRESS_SPACE; VX_ERR_IO: fd is not of a
 * regular file; VX_ERR_ARGUMENT: bias.
 */
struct vx_code;
vx_status vx_code_open(int fd, vx_gaddr bias, struct vx_code **code, struct vx_error *error);
/* Boxes that it was attached to keep what they need of it. */
void vx_code_close(struct vx_code *code);
/* XXH3-128 (low, high) and size of the guest file that the cache was made from. */
void vx_code_guest(const struct vx_code *code, uint64_t hash[2], uint64_t *size);
/* VX_OK, or why its use has ended: a chunk did not load, or was rejected by verifier rule *rule. */
vx_status vx_code_status(const struct vx_code *code, uint32_t *rule);
/*
 * The pages [addr, addr + size), mapped executable and not writable, hold what the cache was made from: run its code
 * there. That they do is the caller's word: a wrong one makes the guest compute nonsense inside its sandbox. The box leaves
 * the code by itself when a page that it stands for is unmapped, replaced, written, or loses permission to execute.
 * VX_ERR_VXC_CPU: the code is for another CPU than the box's; VX_ERR_RANGE: not such pages; VX_ERR_ARGUMENT; VX_ERR_MEMORY (also: too many in this box).
 */
vx_status vx_box_attach(struct vx_box *box, struct vx_code *code, vx_gaddr addr, uint32_t size);

/* ---- running --------------------------------------------------------- */

enum vx_trap_kind {
    VX_TRAP_SYSCALL = 1,  /* int 0x80; eip is after it */
    VX_TRAP_PAGE,         /* page fault: address, access; eip at the instruction */
    VX_TRAP_DIVIDE,       /* #DE */
    VX_TRAP_UNDEFINED,    /* #UD */
    VX_TRAP_BREAKPOINT,   /* int3: eip is after it */
    VX_TRAP_DEBUG,        /* icebp: eip is after it; or TF was set in eflags: one instruction (or one element of a rep) was run */
    VX_TRAP_OVERFLOW,     /* into: eip is after it */
    VX_TRAP_BOUND,        /* #BR */
    VX_TRAP_X87,          /* #MF */
    VX_TRAP_SIMD,         /* #XM */
    VX_TRAP_ALIGNMENT,    /* #AC */
    VX_TRAP_PROTECTION,   /* #GP: privileged instruction, bad selector, misaligned SSE operand */
    VX_TRAP_INTERRUPT,    /* int n: vector = n; eip at the instruction */
    VX_TRAP_LIMIT,        /* limit of wall-clock time reached */
    VX_TRAP_STOPPED,      /* vx_box_interrupt */
    VX_TRAP_NOT_CACHED,   /* no_dynamic, and eip is not in the cache */
    VX_TRAP_ERROR,        /* the runtime failed: status says why (memory, a rejected fragment) */
    VX_TRAP_HOST,         /* a host function failed: detail is its code; eip at the import */
    VX_TRAP_SUSPENDED,    /* a host function suspended the call; eip at the import */
    VX_TRAP_IMPORT,       /* call of an import without a host function; eip at the import */
    VX_TRAP_NESTING,      /* host and guest called each other too deeply */
    VX_TRAP_EXIT,         /* the guest program ended: detail is its exit code */
    VX_TRAP_CPU_LIMIT,    /* limit of processor time reached */
    VX_TRAP_STACK,        /* as PAGE, where a box that was started has the end of its stack */
    VX_TRAP_MEMORY,       /* memory_traps: a system call for memory failed; eip is after it, eax its result */
    VX_TRAP_STREAMS       /* vx_box_set_stream_limit: a system call for one more failed; eip is after it, eax its result */
};
enum vx_access { VX_ACCESS_READ = 0, VX_ACCESS_WRITE = 1, VX_ACCESS_EXEC = 2 };

struct vx_trap {
    enum vx_trap_kind kind;
    vx_gaddr eip;      /* as in the registers */
    vx_gaddr address;  /* PAGE: what was accessed (first byte reported by the processor) */
    uint8_t access;    /* PAGE: enum vx_access */
    bool is_protection;/* PAGE: the page is mapped, but not for this access */
    uint8_t vector;    /* INTERRUPT: n; else the processor's vector */
    vx_status status;  /* ERROR */
    uint32_t detail;   /* ERROR with VX_ERR_REJECTED: verifier rule; DEBUG: DR6, 0x4000 = single step; HOST: the function's code;
                          EXIT: exit code, 128 + N: ended itself by signal N (134: abort) */
};

/*
 * Run from the box's registers until a trap. The registers then hold the exact
 * guest state. Never returns VX_OK-less silently: the trap always says why.
 * VX_ERR_BUSY if it runs already. May be called again to go on.
 */
vx_status vx_box_run(struct vx_box *box, struct vx_trap *trap);

/* Stop the box at the next instruction boundary, from any thread or signal handler: the current run (or, if none, the
 * next) ends with VX_TRAP_STOPPED. Async-signal-safe. Requests do not add up. */
void vx_box_interrupt(struct vx_box *box);
/* Wall-clock time that runs may take in all from now on, in nanoseconds; then VX_TRAP_LIMIT, at once in every later run until it
 * is set anew (or vx_box_reset). 0: no limit. VX_ERR_BUSY: it runs. */
vx_status vx_box_set_time_limit(struct vx_box *box, uint64_t nanoseconds);
/*
 * The same for processor time of the threads that run the box, host functions included; then VX_TRAP_CPU_LIMIT. The kernel
 * looks at it with each of its clock ticks: the end comes up to some milliseconds late.
 */
vx_status vx_box_set_cpu_limit(struct vx_box *box, uint64_t nanoseconds);

/* "page fault", "time limit reached" and so on. Never NULL; the string is static. Thread-safe. */
const char *vx_trap_name(enum vx_trap_kind kind);
/*
 * What happened, for people: "page fault writing 0x00000010". Writes at most `size` bytes to text with the NUL, of which
 * VX_TRAP_TEXT_BYTES are enough, and returns text. Nothing in it is of the host. Thread-safe.
 */
#define VX_TRAP_TEXT_BYTES 128
const char *vx_trap_describe(const struct vx_trap *trap, char *text, size_t size);

/* ---- what happened --------------------------------------------------- */

/* Of a box since it was made, of all its threads; a reset does not begin anew. Times are of a wall clock, in nanoseconds. */
struct vx_stats {
    uint64_t open_ns;            /* opening the image: read, check, map */
    uint64_t load_ns, verify_ns; /* inflating and verifying cache chunks */
    uint64_t chunks_loaded;
    uint64_t cache_lookups;      /* table misses answered from the cache */
    uint64_t dynamic_lookups;    /* table misses answered from code translated before */
    uint64_t units_translated;   /* at run time */
    uint64_t guest_bytes_translated;
    uint64_t translate_ns;
    uint64_t dispatches;         /* exits to the dispatcher of all kinds */
    uint64_t return_misses;      /* returns to elsewhere than their calls came from */
    uint64_t helpers;            /* instructions that the runtime did */
    uint64_t traps;
    uint64_t code_invalidations; /* times that code was dropped because the guest's bytes changed */
};
void vx_box_stats(const struct vx_box *box, struct vx_stats *stats);

/* Guest addresses (before load bias) where run-time translation began since the box was made, each once: for profiles. Owned by the box. */
const vx_gaddr *vx_box_profile(const struct vx_box *box, size_t *count);

/* "MAJOR.MINOR.PATCH" of the library. Static. */
const char *vx_version(void);

#include "vx_call.h"
#include "vx_memory.h"
#include "vx_thread.h"

#ifdef __cplusplus
}
#endif
#endif

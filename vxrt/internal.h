/*
 * What the files of the runtime share: the box, its code, and the calls
 * between the parts. Nothing here is public.
 *
 * One box is used by one host thread at a time, its holder where it has several
 * (threads.h); only ctx->interrupt and runner are touched from elsewhere. An image is
 * immutable but for its zone, which has its own lock.
 */
#ifndef VXRT_INTERNAL_H
#define VXRT_INTERNAL_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "format/cache.h"
#include "format/elf32.h"
#include "format/error.h"
#include "vxrt.h"
#include "vxrt/context.h"
#include "vxrt/cpu.h"

#define VXI_WINDOW_BYTES (1ull << 32)
#define VXI_GUARD_BYTES (1u << 16)       /* on each side of the window */
#define VXI_PAGE_COUNT (1u << 20)
#define VXI_EXEC_BLOCK 512u /* pages */
#define VXI_EXEC_WORDS (VXI_PAGE_COUNT / VXI_EXEC_BLOCK / 64)
#define VXI_TABLE_BYTES (8ull << 32)
#define VXI_UNIT_ZONE_BYTES (256u << 20) /* dynamic code of one box */

/* ---- page map: one byte for a guest page ---- */

enum {
    /* bits 0-2: VX_PROT_* */
    VXI_PAGE_MAPPED = 8,
    VXI_PAGE_CODE = 16,  /* a dynamic unit was made from its bytes: the host keeps it read-only */
    VXI_PAGE_IMAGE = 32, /* holds the image's code, which the cache stands for: read-only as well */
    VXI_PAGE_HOT = 64,   /* code that was rewritten often: runs one checked instruction at a time */
    VXI_PAGE_SHARED = 128, /* of a buffer (buffer.c): never code; the kernel knows whether it may be written */
};

/* ---- dynamic code: units (unit.c) ---- */

struct vxi_unit {
    uint32_t host;      /* offset in the unit zone; a multiple of 64 */
    uint32_t size;      /* bytes, padded */
    bool is_dropped;
    bool is_single;     /* one instruction, checked against memory before each use; not in the map */
    struct vxf_entry *entries; /* guest addresses as the box sees them; host from the unit's start */
    size_t entry_count;
    struct vxf_row *rows;      /* sorted by host, from the unit's start */
    size_t row_count;
    uint64_t *boundaries;
    uint32_t *pages;           /* guest pages of its instructions, sorted */
    size_t page_count;
};

struct vxi_unit_code {
    const uint8_t *code;
    uint32_t size;
    const struct vxf_entry *entries;
    size_t entry_count;
    const struct vxf_row *rows;
    size_t row_count;
    const vx_gaddr *pages; /* addresses of the guest pages that it was made from, sorted */
    size_t page_count;
    bool is_single;
};

/* Open-addressed map (map.c). */
struct vxi_map {
    vx_gaddr *keys;
    uint32_t *values; /* + 2; 0: free, 1: deleted */
    size_t capacity, used;
    uint64_t multiplier;
};

/* A unit that was made from bytes of a page, and the one before it. */
struct vxi_page_unit {
    uint32_t unit, next; /* indices; next: VXI_NO_UNIT at the end */
};
#define VXI_NO_UNIT UINT32_MAX

struct vxi_units {
    uint8_t *zone;      /* VXI_UNIT_ZONE_BYTES, NULL until the first unit */
    _Atomic uint32_t used; /* bytes; read by handlers of other threads */
    uint32_t sealed;    /* bytes that are executable: whole pages */
    struct vxi_unit *list; /* sorted by host */
    size_t count, capacity;
    size_t dead;        /* units dropped, or of single instructions */
    struct vxi_map map;     /* guest addresses -> zone offsets of entries */
    struct vxi_map by_page; /* page numbers -> the newest in page_units */
    struct vxi_page_unit *page_units; /* of all units but single instructions, also dropped ones */
    size_t page_unit_count, page_unit_capacity;
    struct vxi_cpu cpu;
};

/* One checked instruction of a hot page (single.c). */
struct vxi_single;

/* ---- code from the cache (zone.c) ---- */

enum vxi_chunk_state { VXI_CHUNK_ABSENT, VXI_CHUNK_READY, VXI_CHUNK_BAD };

struct vxi_chunk {
    _Atomic uint32_t state;
    uint64_t *boundaries;
    _Atomic(struct vxi_rows *) rows;
};

/* Decoded fault map of a chunk; guest addresses include the load bias. */
struct vxi_rows {
    struct vxf_row *rows;
    size_t count;
    uint32_t *by_guest; /* indices of INSN rows, sorted by guest address */
    size_t insn_count;
};

/* Which chunks have rows of which guest instructions; sorted by both. */
struct vxi_homes {
    size_t count;
    struct vxi_home {
        vx_gaddr guest;
        uint32_t chunk;
    } list[];
};

struct vxi_zone {
    struct vxf_file *file;
    uint8_t *base;
    uint32_t size;
    vx_gaddr bias;
    const struct vxf_chunk *chunks;
    size_t chunk_count;
    uint64_t row_count;
    const struct vxf_entry *entries;
    size_t entry_count;
    uint64_t *entry_bits;
    struct vxi_chunk *state;
    _Atomic(struct vxi_homes *) homes; /* of a zone of many chunks, when it is first asked for */
    pthread_mutex_t lock;
    _Atomic bool is_bad; /* a chunk was refused: boxes leave the zone */
    vx_status bad_status;
    uint32_t bad_rule;
    struct vxi_cpu cpu; /* under lock */
    atomic_uint references;
};

/* Pages of a guest that a zone stands for. */
struct vxi_range {
    uint32_t first, last;
    struct vxi_zone *zone;
};
struct vxi_zones {
    size_t count;
    struct vxi_range ranges[]; /* sorted, disjoint; a zone may have several */
};

/* ---- calls (call.c, hostcall.c, link.c, start.c) ---- */

/* A host function, by number of the import. */
struct vxi_host {
    vx_host_fn fn;          /* NULL: none */
    void *context;
    struct vx_func func;    /* signature */
    bool is_variadic;       /* one more argument: the address after the others */
};

/* An import: what the guest leaves to the host. */
struct vxi_import {
    const char *name;       /* in the guest's bytes */
    uint32_t symbol;        /* index in the dynamic symbols; UINT32_MAX: a slot of an executable */
    vx_gaddr slot;          /* where an executable wants the address, before load bias; else 0 */
    uint32_t size;
    uint8_t kind;           /* enum vx_symbol_kind */
    bool is_weak;
};

/* Start with a zeroed walk. */
struct vxi_import_walk {
    uint32_t index;
    bool in_slots;
};

struct vxi_link {
    bool is_linked;
    struct vxi_import *imports;
    size_t import_count;
    struct vxi_host *hosts; /* one for each import, once linked, and the runtime's own after them */
    struct vxe_reloc *at_start; /* relocations that need guest code to run (R_386_IRELATIVE and the like) */
    size_t at_start_count;
};

/* One call of a guest function, from its begin to its end. */
struct vxi_frame {
    char result;
    vx_gaddr esp;           /* before the return address is popped */
    uint32_t argument_bytes;
    uint32_t level;         /* calls around it */
    bool is_waiting;        /* suspended, and stopped before it had its value */
    /* A nested call: what it has to put back for the host function around it. */
    struct vx_regs regs;
    uint64_t rsp;
    uint32_t is_float;
    uint32_t host_mxcsr;
    uint16_t host_control;
};

/* A call that ended with a trap, and may go on. */
struct vxi_stopped {
    struct vxi_stopped *next;
    struct vxi_frame frame;
    bool is_suspended;
    vx_gaddr base;          /* calls.base before */
    struct vx_regs regs;
    uint64_t rsp;
};

struct vxi_calls {
    vx_gaddr base;          /* the next call's stack begins here; 0: not started */
    vx_gaddr stack_low;
    uint32_t level, max_level; /* calls that have begun and not ended */
    bool in_host;           /* a host function runs, and may call */
    bool has_failed;        /* a nested call of it trapped: host_regs are the guest's at the import, trap says how */
    bool is_passed_on;      /* the trap is a nested call's: the call around it cannot go on */
    struct vx_regs host_regs;
    struct vx_trap trap;    /* of the last call that failed, or why the host function did */
    struct vxi_stopped *stopped; /* the newest first */
    void *user;
};

/* What a plug-in that is an executable may read and write (stream.c). */
struct vxi_stream {
    int host;      /* descriptor + 1; 0: free */
    bool is_owned; /* closed with it; else the embedder's */
};
struct vxi_streams {
    struct vxi_stream list[VX_MAX_STREAMS];
    unsigned limit; /* 0: none */
    bool is_over;   /* the system call that is being answered would go over it */
    vx_open_function open;
    void *open_context;
};

/* System calls of a plug-in that is an executable (system.c). */
#define VXI_SYSTEM_PARK 0x56580001u /* as in vx_guest.h */
struct vxi_system {
    bool is_active;
    bool has_no_memory;     /* the system call that is being answered asked for too much */
    struct vxi_streams streams;
    vx_gaddr heap, heap_end;
};

/* ---- image (image.c, segments.c) ---- */

enum vxi_backing {
    VXI_IN_FILE, /* pages of the guest file */
    VXI_COPIED,  /* pages made for the image, after them */
    VXI_ZERO
};
struct vxi_run {
    vx_gaddr addr;
    uint32_t size;
    int prot;           /* VX_PROT_* */
    enum vxi_backing backing;
    uint32_t offset;    /* in the memory file, unless VXI_ZERO */
};

struct vx_image {
    atomic_uint references;
    uint8_t *guest;     /* the ELF file's bytes: the front of memory_file, mapped */
    size_t guest_size;
    uint8_t *cache;     /* the .vxc file's bytes if it was opened from memory, or NULL */
    struct vxe_elf elf;
    bool has_dynamic_exports; /* else exports and slots are in the table for debuggers */
    /* number and symbol of the export that was asked for last, and of the import: who asks for all in turn takes linear time */
    _Atomic uint64_t last_export, last_import;
    vx_gaddr bias;
    uint32_t cpu;       /* the guest's, VX_CPU_* */
    bool is_cpu_chosen; /* not taken from the cache */
    int memory_file;    /* contents of all file-backed pages */
    struct vxi_run *runs;
    size_t run_count;
    struct vxi_zone *zone; /* NULL: no cache in use */
    vx_status cache_status;
    struct vx_error cache_error;
    uint64_t open_ns;
    struct vxi_link link;
    _Atomic(struct vx_snapshot *) initial; /* the first state of its boxes; NULL: nobody asked */
};

/* ---- what differs from the state that a reset goes back to (changes.c, snapshot.h) ---- */

#define VXI_MAX_CHANGES 16
/* Pages whose mapping, protection or marks were changed since; sorted, apart from each other. */
struct vxi_changes {
    uint32_t count;
    struct {
        uint32_t first, last;
    } ranges[VXI_MAX_CHANGES];
    bool has_zones;   /* the list of zones was changed */
};

/* ---- box ---- */

/* What is left of a limit of time, and the timer that watches over it. */
enum { VXI_CLOCK_WALL, VXI_CLOCK_CPU, VXI_CLOCKS };
struct vxi_clock {
    bool has_timer;
    timer_t timer;
    int thread;         /* that it signals */
    uint64_t left_ns, start_ns; /* when the run began: what is left */
    uint64_t at_ns;     /* when the timer will fire; 0 = idle */
};

/* What the signal handlers of a host thread work on while it runs a box. */
struct vxi_seat {
    struct vx_box *box;
    struct vxi_context *ctx;
    struct vxi_seat *outer; /* whose run a signal handler or a host function interrupted, to run this one */
};

struct vx_box {
    struct vxi_context *ctx;
    uint8_t *window;
    uint8_t *reservation; /* all of the box's address space */
    uint8_t *area;      /* return stack, page map, context and table */
    uint8_t *pages;     /* page map */
    uint64_t mapped_pages, max_pages;
    uint64_t exec_blocks[VXI_EXEC_WORDS]; /* a bit for each VXI_EXEC_BLOCK pages: all with VX_PROT_EXEC are in these */
    struct vx_image *image;
    struct vxi_zones *zones; /* NULL: none (zones.c) */
    struct vxi_zone **held;  /* all that it ever used */
    size_t held_count;
    vx_status refused_status; /* of the last zone that was refused */
    uint32_t refused_rule;
    bool no_dynamic, memory_traps;
    uint32_t cpu;       /* VX_CPU_* */
    atomic_bool is_running;
    atomic_int runner;  /* thread that runs it, 0 = none */
    struct vxi_seat seat;
    struct vxi_threads *threads; /* NULL: it is for one host thread at a time (threads.h) */
    struct vxi_threads *pool;    /* contexts of threads that there are or were; NULL: none */
    struct vxi_units units;
    struct vxi_single *singles;
    struct vxt_span *spans; /* executable ranges; NULL: to be made */
    size_t span_count;
    bool has_open_code; /* some of them may be written */
    uint32_t read_faults; /* how often the translator met a page without bytes */
    bool force_single;  /* the next instruction runs alone: it stores into its own unit */
    bool is_exact;      /* ctx->entry is in the middle of an instruction's host code */
    uint32_t pending;   /* VXI_INTERRUPT_* taken from ctx->interrupt, not yet served */
    uint32_t steps;     /* single steps towards a boundary */
    bool is_stepping;   /* the guest's TF: a debug trap follows the instruction (step.c) */
    bool has_met_rep;   /* the step has reached its string instruction */
    uint32_t hot_left;  /* single instructions until hot pages are tried as usual again */
    /* Where the guest stopped: a host address that stands for ctx->regs.eip, 0 = none. */
    uint64_t resume_host;
    vx_gaddr resume_eip;
    int32_t resume_delta;
    uint8_t *rewrites;  /* per page: how often its code was dropped, saturating */
    uint32_t tls[3];
    /* limits of time */
    bool has_limit;
    uint64_t limits_ns[VXI_CLOCKS]; /* as they were set; 0: none */
    struct vxi_clock clocks[VXI_CLOCKS];
    struct vxi_calls calls;
    struct vxi_system system;
    struct vx_snapshot *base; /* what a reset goes back to; NULL: not yet made, the image's first state */
    struct vxi_changes changes;
    bool has_rewrites;  /* some of rewrites[] is not 0 */
    bool has_files;     /* vx_box_map_file was used since then */
    bool is_spoiled;    /* a reset failed half-way */
    struct vx_stats stats;
    vx_gaddr *seeds;    /* where run-time translation began, each once, the newest first */
    struct vxi_map seed_places; /* where in seeds an address is */
    size_t seed_count, seed_capacity;
    size_t units_begun, merge_at;
    vx_gaddr *profile;
    size_t profile_count, profile_capacity;
};

static inline bool vxi_is_exec(const struct vx_box *box, vx_gaddr addr)
{
    return box->pages[addr / VX_PAGE_BYTES] & VX_PROT_EXEC;
}

/* memory.c, pages.c */
/* Map pages as vx_box_map does. page: as in the page map; with VXI_PAGE_SHARED, fd is a buffer's. fd -1: zeros. */
vx_status vxi_map_pages(struct vx_box *box, vx_gaddr addr, uint32_t size, uint8_t page, int fd, uint64_t offset);
int vxi_host_prot(uint8_t page);
/*
 * mmap over pages of the window with the host protection prot, from fd or (-1) of zeros. False: the window has no hole all the same; what was
 * there is there still, or the pages are not mapped any more, and the map says so.
 */
bool vxi_map_window(struct vx_box *box, uint32_t first, uint64_t count, int prot, int fd, uint64_t offset,
                    bool is_shared);
/* Make the host protection of [first, last] pages that of the page map. */
vx_status vxi_protect_pages(struct vx_box *box, uint32_t first, uint32_t last);
/* The first page from `page` on that may have VX_PROT_EXEC, VXI_PAGE_COUNT at the end: others are passed over in blocks. */
uint32_t vxi_next_exec(const struct vx_box *box, uint32_t page);
/* The bytes of pages [first, last] are about to change: drop the code made from them, and let writes in. */
void vxi_code_changes(struct vx_box *box, uint32_t first, uint32_t last);
/* Map an image's segments into a new box. */
vx_status vxi_map_runs(struct vx_box *box, const struct vxi_run *runs, size_t count, int fd, vx_gaddr bias);

/*
 * If the aligned word at addr is *value, make it `new`, as one step for all threads; *value: what it was. False: it cannot
 * be written.
 */
bool vxi_box_swap(struct vx_box *box, vx_gaddr addr, uint32_t *value, uint32_t new);

/* changes.c */
void vxi_changed(struct vx_box *box, uint32_t first, uint32_t last);
bool vxi_is_changed(const struct vx_box *box, uint32_t page);

/* box.c */
/* An empty box. */
vx_status vxi_box_make(const struct vx_box_options *options, uint32_t cpu, struct vx_box **out, struct vx_error *error);
void vxi_box_destroy(struct vx_box *box);
/* Empty them; and also overwrite what was on them, because code that they name is about to go. */
void vxi_reset_return_stack(struct vx_box *box);
void vxi_forget_return_stack(struct vx_box *box);
void vxi_clear_table(struct vx_box *box);
/* A context with its return stack, which begins at `stack`. */
void vxi_context_init(struct vxi_context *ctx, const struct vx_box *box, uint8_t *stack);
/* Contexts of the box, of each thread: NULL past the last. */
struct vxi_context *vxi_context_at(const struct vx_box *box, size_t index);

/* turns.c: nothing of the box's code may change before no other thread of it is in translated code. */
void vxi_stop_others(struct vx_box *box);
/* No thread may go on at a host address that it has noted. */
void vxi_forget_places(struct vx_box *box);

/* unit.c */
vx_status vxi_unit_add(struct vx_box *box, const struct vxi_unit_code *code, struct vxi_unit **out,
                       uint32_t *rule);
void vxi_units_free(struct vx_box *box);
void vxi_units_flush(struct vx_box *box);
/* Drop every unit made from bytes of pages [first, last]. */
void vxi_units_drop(struct vx_box *box, uint32_t first, uint32_t last);
/* Drop every unit made from bytes that may have been written since box->base. */
void vxi_units_drop_changed(struct vx_box *box);
struct vxi_unit *vxi_unit_at(struct vx_box *box, uint64_t host);
/* Host address of an entry, 0 = none. */
uint64_t vxi_unit_entry(struct vx_box *box, vx_gaddr addr);
/* Host address of the boundary that stands for addr in the middle of a unit, 0 = none. */
uint64_t vxi_unit_resume(struct vx_box *box, vx_gaddr addr, int32_t *esp_delta);

/* map.c */
/* False: no memory; a key that is there needs none. */
bool vxi_map_set(struct vxi_map *map, vx_gaddr key, uint32_t value);
bool vxi_map_get(const struct vxi_map *map, vx_gaddr key, uint32_t *value);
void vxi_map_remove(struct vxi_map *map, vx_gaddr key);
void vxi_map_clear(struct vxi_map *map);
void vxi_map_free(struct vxi_map *map);

/* rows.c */
const struct vxf_row *vxi_row_at(const struct vxf_row *rows, size_t count, uint32_t host);
static inline bool vxi_bit(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

/* dynamic.c */
vx_status vxi_translate(struct vx_box *box, vx_gaddr addr, uint32_t *rule);
vx_status vxi_translate_single(struct vx_box *box, vx_gaddr addr, uint64_t *host, uint32_t *rule);
void vxi_spans_changed(struct vx_box *box);
void vxi_singles_free(struct vx_box *box);

/* zone.c: a zone is counted; it owns the file once vxi_zone_open has succeeded. */
vx_status vxi_zone_open(struct vxf_file *file, vx_gaddr bias, struct vxi_zone **out);
struct vxi_zone *vxi_zone_retain(struct vxi_zone *zone);
void vxi_zone_close(struct vxi_zone *zone);
bool vxi_zone_find(const struct vxi_zone *zone, vx_gaddr addr, uint32_t *host);
bool vxi_zone_guest_of(const struct vxi_zone *zone, uint32_t host, vx_gaddr *addr);
/* Make sure that the chunk with `host` is loaded. False: it was refused, and so is the zone. */
bool vxi_zone_load(struct vxi_zone *zone, uint32_t host, struct vx_stats *stats);
size_t vxi_zone_chunk(const struct vxi_zone *zone, uint32_t host);
/* Those of a fault map that is damaged: none. NULL: no memory. */
const struct vxi_rows *vxi_zone_rows(struct vxi_zone *zone, size_t chunk);
void vxi_rows_free(struct vxi_rows *rows);
uint64_t vxi_zone_resume(struct vxi_zone *zone, vx_gaddr addr, int32_t *esp_delta,
                         struct vx_stats *stats);

/* zones.c */
/* The zone that stands for the page at addr, or NULL. */
struct vxi_zone *vxi_zone_of(const struct vx_box *box, vx_gaddr addr);
/* The zone with a host address, or NULL. Async-signal-safe on the box's thread. */
struct vxi_zone *vxi_zone_at(const struct vx_box *box, uint64_t host);
/* These pages, in ascending order, where VXI_PAGE_IMAGE is set, have their code in the zone. VX_ERR_ARGUMENT: taken. */
struct vxi_pages {
    uint32_t first, last;
};
vx_status vxi_zones_add(struct vx_box *box, struct vxi_zone *zone, const struct vxi_pages *pages, size_t count);
/* The box stops using a zone, or those of some pages; its state must be in guest terms. */
void vxi_leave_zone(struct vx_box *box, struct vxi_zone *zone);
void vxi_leave_zones(struct vx_box *box, uint32_t first, uint32_t last);
void vxi_zones_free(struct vx_box *box);
/* Use this list (NULL: none), which is copied. The page map is the caller's business. */
vx_status vxi_zones_set(struct vx_box *box, const struct vxi_zones *zones);

/* guest_file.c: fills image->guest_size, memory_file and guest, with room for size bytes, writable until sealed */
vx_status vxi_guest_new(struct vx_image *image, size_t size, struct vx_error *error);
vx_status vxi_guest_seal(struct vx_image *image, struct vx_error *error);
void vxi_guest_free(struct vx_image *image);

/* segments.c, file.c */
vx_status vxi_segments_make(struct vx_image *image, struct vx_error *error);
/* Open for reading; *fd is owned by the caller. */
vx_status vxi_open_file(const char *path, int *fd, struct vx_error *error);
/* Size of a regular file of at most `limit` bytes. */
vx_status vxi_file_size(int fd, uint64_t limit, size_t *size, struct vx_error *error);
/* Its first `size` bytes, from the file position on. */
vx_status vxi_read_file(int fd, uint8_t *bytes, size_t size, struct vx_error *error);
void vxi_image_retain(struct vx_image *image);

/* dispatch.c: the fast part of running; leaves x87 and SSE registers alone. */
int vxi_dispatch(struct vxi_context *ctx);

/* fp.c */
void vxi_fp_init(struct vxi_context *ctx);
void vxi_fp_save(struct vxi_context *ctx);
void vxi_fp_restore(struct vxi_context *ctx);
/* The saved x87 stack as at the begin of a function: empty. Control words stay. */
void vxi_fp_empty(struct vxi_context *ctx);

/* resolve.c: where the guest goes on. */
enum vxi_next { VXI_NEXT_ENTER, VXI_NEXT_TRAP, VXI_NEXT_DONE };
enum vxi_next vxi_resolve(struct vx_box *box, bool is_miss, struct vx_trap *trap);
enum vxi_next vxi_error_trap(struct vx_trap *trap, vx_status status, uint32_t detail);

/* run.c */
/* Make this thread the box's, and undo that. VX_ERR_BUSY, VX_ERR_MEMORY. */
vx_status vxi_begin(struct vx_box *box);
void vxi_end(struct vx_box *box);
/* Translated code came out for `reason`: what next? */
enum vxi_next vxi_came_out(struct vx_box *box, int reason, struct vx_trap *trap);
/* The same once x87, SSE state and flags are saved. */
enum vxi_next vxi_handle(struct vx_box *box, int reason, struct vx_trap *trap);
/* Enter at ctx->entry and come back; x87, SSE state and flags are saved. */
int vxi_enter_guest(struct vxi_context *ctx);
/* Nothing runs yet: go on from the registers until a trap. */
void vxi_run_on(struct vx_box *box, struct vx_trap *trap);
/* Run until a trap (false), or until a called function returns to the host (true). */
bool vxi_run(struct vx_box *box, enum vxi_next next, struct vx_trap *trap);

/* call.c */
/* Forget stopped calls of the levels above `level`, and those at it that are not suspended. */
void vxi_stopped_drop(struct vx_box *box, uint32_t level, bool with_suspended);
/* hostcall.c: give the guest, which is at an import, its result. False: *trap. */
bool vxi_host_return(struct vx_box *box, const union vx_value *value, struct vx_trap *trap);
/* signature.c */
vx_status vxi_signature(struct vx_func *func, const char *signature, bool *is_variadic);
/* symbols.c */
bool vxi_is_executable(const struct vxe_elf *elf);
/* Are the exports among the dynamic symbols? */
bool vxi_uses_dynamic(const struct vxe_elf *elf);
bool vxi_import(const struct vx_image *image, struct vxi_import_walk *walk, struct vxi_import *import);
/* link.c, relocate.c */
void vxi_link_free(struct vxi_link *link);
/* Where the guest calls import number `index`. */
static inline vx_gaddr vxi_gate(size_t index)
{
    return VX_GATE_IMPORTS + VX_GATE_STRIDE * (vx_gaddr)index;
}
/* Make a new memory file with relocations applied. *in_code: some are in code. */
vx_status vxi_relocate(struct vx_image *image, bool *in_code, struct vx_error *error);
/* From the start of the thread's TLS block up to the thread pointer. */
uint32_t vxi_tls_offset(const struct vxe_elf *elf);
static inline bool vxi_is_gate(vx_gaddr addr)
{
    return addr - VX_GATE_BASE < VX_GATE_BYTES;
}
/* call.c: a page fault at the end of the stack is VX_TRAP_STACK. */
void vxi_stack_trap(const struct vx_box *box, struct vx_trap *trap);
/* system.c: answer the system call in the registers. False: *trap, or left to the embedder. */
bool vxi_system_call(struct vx_box *box, struct vx_trap *trap);
/* Prepare the stack of a program below `top`. */
vx_status vxi_system_start(struct vx_box *box, vx_gaddr top, vx_gaddr *esp);

/* Streams of such a plug-in (stream.c). */

/* The host's descriptor for a number, -1 if there is none. */
int vxi_stream(const struct vx_box *box, uint32_t number);
/* System calls: the guest's result, or -errno. */
uint32_t vxi_stream_transfer(struct vx_box *box, uint32_t number, vx_gaddr addr, uint32_t size, bool is_write);
uint32_t vxi_stream_transfer_all(struct vx_box *box, uint32_t number, vx_gaddr list, uint32_t count, bool is_write);
uint32_t vxi_stream_open(struct vx_box *box, vx_gaddr name, uint32_t flags);
uint32_t vxi_stream_close(struct vx_box *box, uint32_t number);
uint32_t vxi_stream_dup(struct vx_box *box, uint32_t from, uint32_t lowest);
uint32_t vxi_stream_control(struct vx_box *box, uint32_t number, uint32_t command, uint32_t argument);
uint32_t vxi_stream_seek(struct vx_box *box, uint32_t number, uint64_t offset, vx_gaddr result, uint32_t whence);
/* Close what the box opened, forget what was granted. */
void vxi_streams_take_back(struct vx_box *box);
/* start.c: the table's slots for the gate, in a box that is started. */
void vxi_gate_fill(struct vx_box *box);

/* events.c */
enum vxi_next vxi_event(struct vx_box *box, struct vx_trap *trap);

/* step.c: the guest's own single-step. */
enum vxi_next vxi_step_begin(struct vx_box *box, enum vxi_next next);
enum vxi_next vxi_step_on(struct vx_box *box, uint64_t rip, struct vx_trap *trap);
enum vxi_next vxi_step_again(struct vx_box *box, uint64_t rip);
enum vxi_next vxi_step_done(struct vx_box *box, struct vx_trap *trap);

/* fault.c, place.c, stop.c */
struct vxi_place {
    struct vxf_row row; /* host relative to the chunk or unit */
    uint64_t host;      /* host address of the row */
    bool is_boundary;   /* the row's host address may be entered */
};
enum vxi_next vxi_signal_exit(struct vx_box *box, struct vx_trap *trap);
/* A fault of the guest whose eip and esp are known already. */
enum vxi_next vxi_guest_fault(struct vx_box *box, struct vx_trap *trap);
/* A branch led to an entry in a chunk that was not loaded: the guest's eip and esp there. False: no entry. */
bool vxi_chunk_entry(struct vx_box *box, uint64_t rip);
/* Stop at host address rip, or step on to where that is possible. */
enum vxi_next vxi_stop_near(struct vx_box *box, uint64_t rip, struct vx_trap *trap);
/* If the guest is at a boundary at host address rip, eip and esp are set. */
enum vxi_boundary { VXI_AT_BOUNDARY, VXI_BETWEEN, VXI_NOWHERE };
/* An instruction of the guest ends long before; a fault map that says otherwise must not hold the host up. */
#define VXI_MAX_STEPS (1u << 12)
enum vxi_boundary vxi_boundary_at(struct vx_box *box, uint64_t rip, struct vxi_place *place);
/* rip points to a string instruction with rep: whole elements are done, and esi, edi, ecx say how many. */
bool vxi_is_rep(uint64_t rip);
/* True if somebody wants the box to stop now; *trap says who. */
bool vxi_is_stopped(struct vx_box *box, struct vx_trap *trap);
bool vxi_place_of(struct vx_box *box, uint64_t rip, struct vxi_place *place);

/* signal.c, thread.c, timer.c */
vx_status vxi_signals_install(void);
bool vxi_in_code(const struct vx_box *box, uint64_t rip);
vx_status vxi_thread_prepare(void);
int vxi_thread_id(void);
void vxi_load_base(uint64_t window);
extern __thread struct vxi_seat *vxi_current __attribute__((tls_model("initial-exec")));
extern __thread const uint8_t *vxi_copy_window __attribute__((tls_model("initial-exec")));
/*
 * While the translator reads guest memory: where to go on if a page of a mapped file has no
 * bytes (any more), and that page. NULL: nobody reads.
 */
struct vxi_reader {
    sigjmp_buf out;
    const uint8_t *window;
    uint32_t page;
};
extern __thread struct vxi_reader *vxi_reader __attribute__((tls_model("initial-exec")));
extern const char vxi_signal_mark; /* its address in a SIGURG says that it is ours */
void vxi_timer_begin(struct vx_box *box);
void vxi_timer_end(struct vx_box *box);
/* True if a limit is reached, and *kind says which; else the timers run again. */
bool vxi_timer_expired(struct vx_box *box, enum vx_trap_kind *kind);
void vxi_timer_free(struct vx_box *box);
/* Send this thread another request soon. Async-signal-safe. */
void vxi_retry_later(struct vxi_context *ctx);
void vxi_retry_free(struct vxi_context *ctx);
/* Tell a host thread that ctx->interrupt of what it runs is set. Async-signal-safe. */
void vxi_kick(int thread);
uint64_t vxi_now_ns(void);

#endif

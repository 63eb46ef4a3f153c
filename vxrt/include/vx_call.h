/*
 * Calls: a guest as a library. Included by vxrt.h.
 *
 * A *plug-in* is an image that was linked: its relocations are applied, and its imports bound to
 * *host functions*. A box of it is started once, then its exports are called, with arguments as in C.
 *
 *     vx_image_open("plugin.vxc", NULL, &image, &error);
 *     vx_image_link(image, &(struct vx_link){ .size = sizeof(struct vx_link),
 *                                             .functions = mine, .function_count = 2 }, &error);
 *     vx_box_new(image, NULL, &box, &error);
 *     vx_box_start(box, NULL, &trap);
 *     vx_image_export(image, "add", &address);
 *     vx_func_make(&add, address, "i(ii)");
 *     vx_box_call(box, &add, (union vx_value[]){ { .i32 = 2 }, { .i32 = 3 } }, &sum, &trap);
 *
 * vxrt/examples/tour.c is a complete host; docs/abi.md says what a plug-in may rely on.
 *
 * Threads: as in vxrt.h; vx_func is plain data. A host function runs on the thread that runs the box, and may use that box by
 * vx_box_call, vx_box_resume, vx_box_backtrace and the functions for memory, registers, streams and the user pointer; those that
 * start, end, limit, save or reset it report VX_ERR_BUSY. Nothing here may be called from a signal handler.
 */
#ifndef VX_CALL_H
#define VX_CALL_H

/* ---- values and signatures ------------------------------------------- */

/*
 * Signatures are strings: the result, then the arguments in parentheses. "i(pd)" is int f(char *, double).
 *     v  nothing (result only)
 *     i  any integer of up to 32 bits, bool, enum. Smaller ones are extended to 32 bits, as C compilers expect
 *     l  64-bit integer
 *     f  float     d  double (long double has no letter)
 *     p  pointer: a guest address
 *     .  last argument of a host function: the variable arguments; its value is the guest address of the first
 * In calls of variadic functions each argument has its own letter, and float is passed as d.
 */
#define VX_MAX_ARGUMENTS 64

union vx_value {
    int32_t i32; /* i */
    uint32_t u32;
    int64_t i64; /* l */
    uint64_t u64;
    float f32;   /* f */
    double f64;  /* d */
    vx_gaddr ptr; /* p . */
};

/* ---- exports and imports --------------------------------------------- */

/*
 * Address of an exported function or object, load address included. Exports are the defined dynamic
 * symbols with default visibility; an executable without any has those of its symbol table.
 * Takes time proportional to their number: look up once. VX_ERR_NO_SYMBOL.
 */
vx_status vx_image_export(const struct vx_image *image, const char *name, vx_gaddr *address);

enum vx_symbol_kind { VX_SYMBOL_OTHER, VX_SYMBOL_FUNCTION, VX_SYMBOL_OBJECT };
struct vx_symbol {
    const char *name; /* owned by the image */
    enum vx_symbol_kind kind;
    vx_gaddr address; /* import: where the guest calls, 0 before linking, or if weak and left out */
    uint32_t size;    /* bytes, 0 if the file does not say */
    bool is_weak;
    bool is_bound;    /* import: there is a host function */
};
/* Export or import number `index`, from 0, in the file's order; asked for in this order, all take linear time. False past the end. */
bool vx_image_export_at(const struct vx_image *image, size_t index, struct vx_symbol *symbol);
bool vx_image_import_at(const struct vx_image *image, size_t index, struct vx_symbol *symbol);

/* The function (or import) that an address is in, by the file's symbols. False if none is known. Linear time. */
bool vx_image_symbol_at(const struct vx_image *image, vx_gaddr address, struct vx_symbol *symbol);

/* ---- host functions -------------------------------------------------- */

enum vx_host_result {
    VX_HOST_DONE,    /* *result is what the guest gets */
    VX_HOST_FAIL,    /* the guest's call ends with VX_TRAP_HOST, detail = result->u32 */
    VX_HOST_PASS_ON, /* it ends with the trap of the nested call that failed last */
    VX_HOST_SUSPEND  /* it ends with VX_TRAP_SUSPENDED; vx_box_resume gives the result later */
};

/*
 * A function that the guest may call. args holds one value for each argument of the signature; *result is zero
 * before, and its member for the signature's result counts after VX_HOST_DONE. box is the caller's: its memory
 * may be read, written and mapped, its functions called (vx_box_call). Pointers in args are
 * whatever the guest says: use them through vx_box_read, vx_box_pointer and the like only. The
 * function runs on the host's stack, with the host's floating-point control. It may not leave by longjmp, and not
 * free the box. What the guest does while it runs: nothing.
 */
typedef enum vx_host_result (*vx_host_fn)(struct vx_box *box, void *context, const union vx_value *args,
                                          union vx_value *result);

struct vx_host_function {
    const char *name;      /* of the import */
    const char *signature; /* as above */
    vx_host_fn fn;
    void *context;         /* passed on; NULL: what vx_box_set_user gave the box */
};

struct vx_link {
    size_t size; /* sizeof(struct vx_link) */
    const struct vx_host_function *functions; /* copied, but for `context`; those that are not imported are left out */
    size_t function_count;
    bool allow_missing; /* imports without a function: calling one is VX_TRAP_IMPORT */
};

/*
 * Make the image a plug-in: bind its imports and apply its relocations for its load address. Once, before the first box.
 * link may be NULL: no host functions. A file with relocations in its code runs without its cache
 * (vx_image_cache_status: VX_ERR_ELF_RELOC).
 * VX_ERR_IMPORT: imports have no function; error->text names the first of them, error->offset is how many, vx_image_import_at gives
 * all (not is_bound). VX_ERR_SIGNATURE, VX_ERR_ARGUMENT (no fn): error->text names the function, error->offset is its index. VX_ERR_ELF_RELOC: a relocation of unknown kind or place,
 * error->offset is its guest address before load. VX_ERR_BUSY: linked already, or boxes exist. The image is as before then.
 */
vx_status vx_image_link(struct vx_image *image, const struct vx_link *link, struct vx_error *error);

/* A pointer of the embedder's own for each box; NULL at first. */
void vx_box_set_user(struct vx_box *box, void *user);
void *vx_box_user(const struct vx_box *box);

/* ---- starting -------------------------------------------------------- */

/*
 * Let a plug-in that is an executable use `fd` as its descriptor `number` (0 to VX_MAX_STREAMS - 1; 0, 1 and 2 are its standard
 * streams). fd stays the caller's, and open while the box may use it; -1 takes the stream back. What is not granted
 * is EBADF for the guest; a guest that closes a stream that was granted keeps it. VX_ERR_ARGUMENT.
 */
#define VX_MAX_STREAMS 64
vx_status vx_box_set_stream(struct vx_box *box, unsigned number, int fd);

/*
 * Opens a file for a plug-in that is an executable (fopen, open): `name` as the guest wrote it, less than 4096 bytes, to be
 * understood by the host alone; flags are O_RDONLY, O_WRONLY or O_RDWR with O_CREAT, O_EXCL, O_TRUNC and O_APPEND, of <fcntl.h>.
 * Returns a descriptor, which is the box's from then on (closed by the guest, by vx_box_reset and with the box), or -errno for the guest.
 * Called by the thread that runs the box, which may read and write the box's memory meanwhile, and nothing else of it.
 */
typedef int (*vx_open_function)(struct vx_box *box, void *context, const char *name, int flags);

/* NULL, as at first: nothing can be opened, ENOENT. Taken back by a reset, as streams are. VX_ERR_ARGUMENT. */
vx_status vx_box_set_open(struct vx_box *box, vx_open_function open, void *context);

/*
 * Most streams that the box may have, granted, opened and duplicated, 1 to VX_MAX_STREAMS: a guest that opens one more ends in
 * VX_TRAP_STREAMS, and sees EMFILE if it is resumed. 0, as at first: no limit but the table's, EMFILE at once. What is granted is not
 * limited. Stays through a reset. VX_ERR_ARGUMENT.
 */
vx_status vx_box_set_stream_limit(struct vx_box *box, unsigned count);

struct vx_start {
    size_t size;          /* sizeof(struct vx_start) */
    uint32_t stack_bytes; /* of the guest's stack; 0: 1 MiB */
    uint32_t max_nesting; /* guest and host calling each other, in levels; 0: 1200. Each takes about 2 KiB of host stack */
};

/*
 * Prepare a box for calls; once. options and trap may be NULL. A shared object gets a stack and thread-local storage, and its
 * initialisers run in the order of the ELF specification. An executable runs from its entry, with the system calls that
 * its C library needs (docs/abi.md), until it calls vx_park (vx_guest.h). Of an image that was not linked nothing runs: the box gets a
 * stack only. After a reset to before its start, a box has to be started again.
 * VX_ERR_TRAP: it trapped instead, *trap says how: VX_TRAP_EXIT if an executable ended. VX_ERR_BUSY: running, or
 * started already. VX_ERR_RANGE: something is mapped where the stack belongs, below 0xfffe0000. VX_ERR_MEMORY,
 * VX_ERR_TOO_LARGE (max_memory, or a stack above 1 GiB).
 */
vx_status vx_box_start(struct vx_box *box, const struct vx_start *options, struct vx_trap *trap);

/* ---- calls ----------------------------------------------------------- */

/* A function ready to be called: address and signature. Plain data: copy it, share it, forget it. */
struct vx_func {
    vx_gaddr address;
    uint16_t word_count;     /* 4-byte words that the arguments take */
    uint8_t argument_count;
    char result;
    char arguments[VX_MAX_ARGUMENTS];
};
/* VX_ERR_SIGNATURE. `.` is not allowed here. */
vx_status vx_func_make(struct vx_func *func, vx_gaddr address, const char *signature);

/*
 * Call a guest function and wait for its result. args: one value for each argument (NULL if none); result may be NULL. trap may be
 * NULL too, and is set on VX_ERR_TRAP only. May be called by host functions (a nested call).
 * VX_ERR_TRAP: it did not return; *trap says why, the registers hold the state. The box may be inspected, and called again,
 * but what the guest was doing is left half done: reset or free the box if that matters, or go on by vx_box_resume.
 * VX_ERR_BUSY: it runs already, on another thread or below this call without a host function in between.
 * VX_ERR_ARGUMENT: not started (vx_box_start), or a null pointer.
 * A function may be left but not by longjmp or an exception past the host: VX_TRAP_ERROR with VX_ERR_UNWOUND.
 */
vx_status vx_box_call(struct vx_box *box, const struct vx_func *func, const union vx_value *args,
                      union vx_value *result, struct vx_trap *trap);

/*
 * Go on with the call that ended last with a trap and was not abandoned since. Suspended: `value` is the host
 * function's result (NULL: zero). Any other trap: from the registers, as they are now, and value is ignored; what caused the
 * trap should be gone. result and trap as in vx_box_call. A call that begins abandons the one that trapped at the same
 * level, unless that is suspended: it then waits, and its stack is kept. One that is stopped (VX_TRAP_STOPPED, a limit) before it has taken
 * the value still waits for it.
 * VX_ERR_ARGUMENT: no such call.
 */
vx_status vx_box_resume(struct vx_box *box, const union vx_value *value, union vx_value *result, struct vx_trap *trap);

/* ---- after a trap ---------------------------------------------------- */

struct vx_frame {
    vx_gaddr address;   /* of the instruction, then return addresses */
    const char *symbol; /* function or import, owned by the image; NULL: unknown */
    uint32_t offset;    /* of address in it */
    bool is_host;       /* the guest function before this entry was called by the host */
};
/*
 * Where the box stopped and by which calls it got there, the innermost first. Writes at most `capacity` entries and
 * returns how many. The first is exact; the others are found by the file's .eh_frame, which compilers write unless told not to (in a
 * stripped program that is not position-independent it is found only if that was linked with --eh-frame-hdr), and
 * by frame pointers where it has nothing. They are what the guest says: right for a guest that does not lie.
 */
size_t vx_box_backtrace(struct vx_box *box, struct vx_frame *frames, size_t capacity);

#endif

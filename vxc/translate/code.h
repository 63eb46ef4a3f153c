/*
 * What the translator's passes hand to each other: the discovered guest
 * instructions of one translation, sorted by address, and the host code
 * of one chunk.
 */
#ifndef VX_TRANSLATE_CODE_H
#define VX_TRANSLATE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vxc/translate/decode.h"
#include "vxc/translate/translate.h"

/* How control leaves an instruction. */
enum vxt_flow {
    FLOW_NEXT,     /* only to the next instruction */
    FLOW_BRANCH,   /* to .target or the next one: jcc, loop, jecxz */
    FLOW_JUMP,     /* to .target */
    FLOW_CALL,     /* to .target; the next one is a continuation */
    FLOW_CALL_IND, /* the next one is a continuation */
    FLOW_JUMP_IND, /* indirect jump, ret: unknown */
    FLOW_EVENT,    /* to the runtime, then (perhaps) the next instruction */
    FLOW_STOP      /* to the runtime, not back: #UD, #GP, unreadable */
};

enum {
    MARK_START = 1,  /* an instruction starts here */
    MARK_LEADER = 2, /* a block starts here: r14d is up to date */
    MARK_ENTRY = 8,  /* and execution may arrive from elsewhere: goes into the entry map */
    MARK_THUNK = 4,  /* a call that only fetches its own address (call next, or a pc thunk) */
};

/* As many as the decoder looks at: one more than the longest instruction has. */
#define VXT_INSN_BYTES 16

/* One discovered instruction. */
struct vxt_rec {
    vx_gaddr addr;
    vx_gaddr target;   /* BRANCH, JUMP, CALL */
    uint8_t length;
    uint8_t mark;      /* MARK_* */
    uint8_t flow;      /* enum vxt_flow */
    uint8_t pass;      /* discovery pass: lower = surer */
    uint8_t flags_read, flags_written;
    uint8_t live_in, live_out; /* arithmetic flags that may be read after */
    bool deferred;     /* overlaps a surer instruction: goes to the end of its chunk */
    uint8_t thunk;     /* MARK_THUNK: the register that gets the address */
    uint8_t bytes[VXT_INSN_BYTES]; /* read once: the guest's memory may change meanwhile */
};

struct vxt_page;

struct vxt_program {
    const struct vxt_input *input;
    struct vxt_rec *recs; /* sorted by addr */
    size_t count;
    /* guest page -> marks and indices */
    struct vxt_page **pages;
    size_t page_slots, page_count;
    struct vxt_page *last;
};

#define VXT_NO_INDEX UINT32_MAX
/* Of an instruction without a label. A branch to one is a mistake of the translator's: VX_ERR_TRANSLATE, not a jump elsewhere. */
#define VXT_NO_HOST UINT32_MAX

/* Index of the instruction that starts at addr, or VXT_NO_INDEX. Not for concurrent discovery; read-only after. */
uint32_t vxt_find(const struct vxt_program *program, vx_gaddr addr);

/* The guest's virtual CPU. */
static inline uint32_t vxt_cpu(const struct vxt_input *input)
{
    return input->cpu ? input->cpu : VX_CPU_DEFAULT;
}

/* Guest bytes at addr and how many follow in the span; NULL outside. */
const uint8_t *vxt_bytes(const struct vxt_input *input, vx_gaddr addr, uint32_t *available);

/* Find the code. */
vx_status vxt_discover(const struct vxt_input *input, struct vxt_program *program);
void vxt_program_free(struct vxt_program *program);

/* Fill live_in and live_out. */
void vxt_liveness(struct vxt_program *program);

/* A branch in emitted code whose target is known only later. */
struct vxt_branch {
    uint32_t at;      /* offset of its first byte */
    uint32_t target;  /* LOCAL: offset in the chunk; GUEST: index of the instruction */
    uint32_t target_before; /* for relaxation: branches before the target */
    uint8_t kind;     /* enum vxt_branch_kind */
    uint8_t opcode;   /* e9 jmp, e8 call, 0x80..0x8f jcc */
    bool is_short;
};
enum vxt_branch_kind {
    BRANCH_LOCAL, BRANCH_GUEST, BRANCH_FAR, /* GUEST in another chunk */
    PADDING /* no branch: up to 15 bytes of nops, so that what follows is aligned; target: how many */
};

/* Host code of one chunk while it is made. Offsets from its start. */
struct vxt_chunk {
    uint8_t *code;
    uint32_t size, capacity;
    struct vxt_branch *branches;
    size_t branch_count, branch_capacity;
    struct vxf_row *rows;
    size_t row_count, row_capacity;
    struct vxf_reloc *relocs;
    size_t reloc_count, reloc_capacity;
    struct { uint32_t index, host; } *labels; /* leaders: instruction index, offset; sorted by offset */
    size_t label_count, label_capacity;
    uint32_t first, last; /* instructions [first, last) of the program */
    uint32_t zone;        /* zone offset, set when all chunks are done */
    uint32_t guest_bytes;
    bool out_of_memory;
};

/* Emit instructions [first, last) of the program into chunk. host_of: per instruction, written for
 * its own instructions: offset in the chunk, for leaders. */
vx_status vxt_chunk_make(const struct vxt_program *program, struct vxt_chunk *chunk, uint32_t *host_of);
void vxt_chunk_free(struct vxt_chunk *chunk);

#endif

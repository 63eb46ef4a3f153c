/*
 * Lowering: one guest instruction to host instructions.
 */
#ifndef VX_TRANSLATE_LOWER_H
#define VX_TRANSLATE_LOWER_H

#include "vxc/translate/emit.h"

#define ESP 4 /* as a guest register number */
#define MAX_PENDING 64

/* A branch to an address that was not discovered: leaves through a stub at the chunk's end. */
struct vxt_exit {
    vx_gaddr guest;
    uint32_t branch;
};

/* State while a chunk's instructions are lowered in order. */
struct vxt_lower {
    const struct vxt_program *program;
    struct vxt_chunk *chunk;
    int32_t delta;      /* guest ESP = r14d + delta */
    vx_gaddr after_push; /* address behind the last push that was lowered */
    /* where the flags come from at flags_end (returns.c) */
    vx_gaddr flags_end;
    unsigned flags_from;
    uint32_t flags_added, flags_popped;
    /* continuation checks whose miss stub is still to come */
    uint32_t misses[MAX_PENDING], slow_misses[MAX_PENDING];
    unsigned miss_count, slow_miss_count;
    struct vxt_exit *exits;
    size_t exit_count, exit_capacity;
};

/* Lower one instruction; emits its fault-map row. */
void vxt_lower_insn(struct vxt_lower *l, const struct vxt_rec *rec, const struct vxt_insn *insn);
/* Bring r14d up to date: delta becomes 0. */
void vxt_lower_flush(struct vxt_lower *l);
/* Branch (jmp, call or jcc opcode) to guest code, discovered or not. */
void vxt_lower_branch(struct vxt_lower *l, uint8_t opcode, vx_gaddr target);
/* Emit the miss stubs that are due. Only where control does not fall through. */
void vxt_lower_miss_stubs(struct vxt_lower *l);
/* Before an instruction: emit them in between if the oldest short branch would not reach further. */
void vxt_lower_island(struct vxt_lower *l);
/* movl $guest,%r8d; table jump. */
void vxt_lower_exit(struct vxt_lower *l, vx_gaddr guest);
/* Event that tells the runtime that a single-stepped instruction is done. */
void vxt_lower_step(struct vxt_lower *l, vx_gaddr next);

/* returns.c: see what an instruction does to the flags, after it was lowered. */
void vxt_note_flags(struct vxt_lower *l, const struct vxt_insn *insn);
/* Before the host's ret: r10d for the return-miss stub. popped: bytes that this instruction takes off the stack. */
void vxt_return_flags(struct vxt_lower *l, const struct vxt_insn *ret, uint32_t popped);
/* r10d holds the flags as they are, whatever is in its upper half. */
void vxt_keep_flags(struct vxt_chunk *chunk);

#endif

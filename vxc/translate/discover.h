/*
 * What the parts of code discovery share: the work in progress.
 */
#ifndef VX_TRANSLATE_DISCOVER_H
#define VX_TRANSLATE_DISCOVER_H

#include "vxc/translate/code.h"

#define VXT_MAX_GOT 16

/* Of a page of guest code: what each byte is, and the index of the instruction that starts there. */
struct vxt_page {
    uint32_t number;
    uint8_t mark[VX_PAGE_BYTES];
    uint32_t index[VX_PAGE_BYTES];
};

/* A constant in an instruction, and how it is used. */
enum vxt_constant_kind { VXT_IMMEDIATE, VXT_POINTER /* lea */, VXT_INDEXED /* displacement beside an index times 4 */ };
struct vxt_constant {
    uint8_t kind;
    vx_gaddr value;
};

struct vxt_work {
    struct vxt_program *program;
    vx_gaddr *queue; /* where to go on */
    size_t head, count, capacity;
    size_t rec_capacity;
    vx_gaddr got[VXT_MAX_GOT]; /* values that pc-relative code computes as its base */
    size_t got_count;
    struct vxt_constant *constants; /* seen in instructions, not followed yet */
    size_t constant_count, constant_capacity;
    vx_gaddr scanned_from[VXT_MAX_GOT], scanned_to[VXT_MAX_GOT]; /* the table relative to got[i] read last */
    uint64_t words_left; /* of jump tables, that may still be read */
    uint8_t pass;
    bool failed; /* memory is out */
};

/* program.c */

/* The page of addr, made if there is none. NULL if memory is out. */
struct vxt_page *vxt_page_get(struct vxt_program *program, vx_gaddr addr);

/* In the order of their addresses. False if memory is out. */
bool vxt_sort_recs(struct vxt_program *program);

/* discover.c */

/* A place that is reached indirectly, by a call, or from the runtime: a block starts there, which is discovered too. */
void vxt_found_entry(struct vxt_work *work, vx_gaddr addr);

/* Discover what is in the queue. */
void vxt_drain(struct vxt_work *work);

/* constants.c */

/* Code computes `value` as the base of its tables. */
void vxt_note_got(struct vxt_work *work, vx_gaddr value);

/* Constants in an instruction that may be code addresses or jump tables. */
void vxt_note_constants(struct vxt_work *work, const struct vxt_insn *insn);

/* Follow the constants seen, until nothing new turns up. */
void vxt_follow_constants(struct vxt_work *work);

#endif

/*
 * Emitter of host instructions into a chunk: encodings of the sandbox
 * contract, nothing about guest instructions.
 */
#ifndef VX_TRANSLATE_EMIT_H
#define VX_TRANSLATE_EMIT_H

#include "vxc/translate/code.h"

/* Host register numbers as in the encoding. */
enum { EAX, ECX, EDX, EBX, RSP, EBP, ESI, EDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG = -1 };

/* A memory operand: base, index, scale, displacement; all address arithmetic is modulo 2^32. */
struct vxt_mem {
    int8_t base, index; /* host registers or NO_REG */
    uint8_t scale;      /* log2 */
    int32_t disp;
};

/* Opcode with its prefixes. */
struct vxt_op {
    uint8_t map, opcode;   /* map as in struct vxt_insn */
    uint8_t mandatory;     /* 0, 0x66, 0xf2, 0xf3 */
    bool osize16, lock;
    bool is_vex;
    bool vex_l, vex_w;
    uint8_t vvvv;          /* register in VEX.vvvv; 0 where there is none, too: the field holds its complement */
};

#define OP1(opcode_byte) ((struct vxt_op){ .opcode = (opcode_byte) })
#define OP1_16(opcode_byte, is_16) ((struct vxt_op){ .opcode = (opcode_byte), .osize16 = (is_16) })
#define OP2(opcode_byte) ((struct vxt_op){ .map = 1, .opcode = (opcode_byte) })

void emit_bytes(struct vxt_chunk *chunk, const void *bytes, uint32_t size);
void emit8(struct vxt_chunk *chunk, uint8_t value);
void emit32(struct vxt_chunk *chunk, uint32_t value);
/* A guest address (or its negation) that moves with the load bias. */
void emit_gaddr(struct vxt_chunk *chunk, vx_gaddr value, bool negate);

/* Guest memory access: 65 67 [lock] [66] [f2|f3] [REX] opcode ModRM [SIB] [disp]. reg: register or opcode digit. */
void emit_mem(struct vxt_chunk *chunk, struct vxt_op op, int reg, struct vxt_mem mem);
/* lea: no access; 16- or 32-bit destination. */
void emit_lea(struct vxt_chunk *chunk, int reg, struct vxt_mem mem, bool osize16);
/* Register form. */
void emit_reg(struct vxt_chunk *chunk, struct vxt_op op, int reg, int rm);
/* VEX opcode without ModRM. */
void emit_vex_plain(struct vxt_chunk *chunk, struct vxt_op op);
/* Register in the opcode byte. */
void emit_opreg(struct vxt_chunk *chunk, struct vxt_op op, int reg);

void emit_load(struct vxt_chunk *chunk, int reg, struct vxt_mem mem);  /* movl mem, reg */
void emit_store(struct vxt_chunk *chunk, int reg, struct vxt_mem mem); /* movl reg, mem */
void emit_mov(struct vxt_chunk *chunk, int to, int from);              /* movl from, to */
void emit_mov_gaddr(struct vxt_chunk *chunk, int reg, vx_gaddr value);
/* movl disp8(%r15), reg */
void emit_context_load(struct vxt_chunk *chunk, int reg, uint8_t offset);
/* jmpq *disp8(%r15) */
void emit_context_jump(struct vxt_chunk *chunk, uint8_t offset);
/* The tail of S1, after a movl to r8d. */
void emit_table_jump(struct vxt_chunk *chunk, bool is_call);

/* Direct branch, opcode e9, e8 or 0x80+cc, in its long form, relaxed later; or jecxz (e3), always short. */
size_t emit_branch(struct vxt_chunk *chunk, uint8_t opcode, uint8_t kind, uint32_t target);

/* Room for nops, so that what follows is aligned; settled with the branches. */
void emit_padding(struct vxt_chunk *chunk);

void emit_row(struct vxt_chunk *chunk, uint8_t kind, vx_gaddr guest, int32_t esp_delta);

/* Grow one of a chunk's arrays so that one more element fits; false and out_of_memory set if it cannot. */
bool vxt_grow(struct vxt_chunk *chunk, void **array, size_t *capacity, size_t count, size_t element);

#endif

/*
 * Cases for the instruction oracle: one i386 instruction, the registers and
 * memory before it; and what a processor made of them. Read and written as a
 * stream of fixed records, each followed by the bytes of the arena.
 */
#ifndef TESTS_NATIVE_INSN_ORACLE_H
#define TESTS_NATIVE_INSN_ORACLE_H

#include <stdint.h>

#define ARENA 0x20000000u /* two readable, writable pages; what is around them is unmapped */
#define ARENA_PAGES 2u
#define CODE 0x30000000u
#define ARENA_MOST 2048u

struct oracle_case {
    uint32_t regs[8]; /* in encoding order; esp is used as it is */
    uint32_t eflags;
    uint32_t code_size;
    uint8_t code[32];
    uint32_t arena_at;   /* offset of the bytes that follow, in the arena */
    uint32_t arena_size; /* <= ARENA_MOST */
};

struct oracle_result {
    uint32_t regs[8];
    uint32_t eflags;
    uint32_t trapno;  /* vector, or 0xff: none */
    uint32_t eip;     /* offset in the code where it trapped */
    uint32_t cr2;
    uint16_t es, fs;
};

#endif

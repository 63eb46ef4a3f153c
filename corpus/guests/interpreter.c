/*
 * A bytecode interpreter, the worst case of an indirect jump: one jump for
 * every few instructions. Compiled twice: a switch, and with -DTHREADED a
 * computed goto at the end of each operation.
 * The program it runs: a sieve and a linear congruential loop.
 */
#include "guest.h"

#define OPERATIONS(X) X(SET) X(MOVE) X(ADD) X(MUL) X(AND) X(SHIFT) X(LOAD) X(STORE) X(LESS) \
    X(JUMP) X(BRANCH) X(INC) X(HALT)
#define NAME(op) OP_##op,
enum { OPERATIONS(NAME) OPERATION_COUNT };

struct instruction {
    uint8_t op, a, b, c;
    int32_t value;
};

enum { LIMIT = 4096 };

static uint32_t memory[LIMIT];

/* r0 loop variable, r1 factor, r2 limit, r7 the result, the others scratch. */
static const struct instruction program[] = {
    {OP_SET, 2, 0, 0, LIMIT},         /*  0 */
    {OP_SET, 0, 0, 0, 2},             /*  1 i = 2 */
    {OP_LOAD, 3, 0, 0, 0},            /*  2 next: marked? */
    {OP_BRANCH, 3, 0, 0, 10},         /*  3 */
    {OP_INC, 7, 0, 0, 1},             /*  4 one prime more */
    {OP_ADD, 4, 0, 0, 0},             /*  5 j = i + i */
    {OP_SET, 5, 0, 0, 1},             /*  6 */
    {OP_LESS, 6, 4, 2, 0},            /*  7 mark: j < limit? */
    {OP_BRANCH, 6, 0, 0, 14},         /*  8 */
    {OP_JUMP, 0, 0, 0, 10},           /*  9 */
    {OP_INC, 0, 0, 0, 1},             /* 10 i++ */
    {OP_LESS, 6, 0, 2, 0},            /* 11 */
    {OP_BRANCH, 6, 0, 0, 2},          /* 12 */
    {OP_JUMP, 0, 0, 0, 18},           /* 13 */
    {OP_STORE, 5, 4, 0, 0},           /* 14 memory[j] = 1 */
    {OP_ADD, 4, 4, 0, 0},             /* 15 j += i */
    {OP_JUMP, 0, 0, 0, 7},            /* 16 */
    {OP_HALT, 0, 0, 0, 0},            /* 17 */
    {OP_SET, 0, 0, 0, 0},             /* 18 the second part */
    {OP_SET, 1, 0, 0, 1103515245},    /* 19 */
    {OP_MUL, 7, 7, 1, 0},             /* 20 */
    {OP_INC, 7, 0, 0, 12345},         /* 21 */
    {OP_SHIFT, 3, 7, 0, 16},          /* 22 */
    {OP_SET, 4, 0, 0, LIMIT - 1},     /* 23 */
    {OP_AND, 3, 3, 4, 0},             /* 24 */
    {OP_LOAD, 5, 3, 0, 0},            /* 25 */
    {OP_ADD, 7, 7, 5, 0},             /* 26 */
    {OP_INC, 0, 0, 0, 1},             /* 27 */
    {OP_LESS, 6, 0, 2, 0},            /* 28 */
    {OP_BRANCH, 6, 0, 0, 20},         /* 29 */
    {OP_MOVE, 0, 7, 0, 0},            /* 30 */
    {OP_HALT, 0, 0, 0, 0},            /* 31 */
};

#ifdef THREADED
#define CASE(op) do_##op
#define NEXT                                                                                    \
    do {                                                                                        \
        at++;                                                                                   \
        goto *labels[at->op];                                                                   \
    } while (0)
#else
#define CASE(op) case OP_##op
#define NEXT break
#endif

static GUEST_NOINLINE uint32_t interpret(const struct instruction *code, uint32_t start)
{
    uint32_t r[8] = {0, 0, 0, 0, 0, 0, 0, start};
    const struct instruction *at = code - 1;
#ifdef THREADED
#define LABEL(op) &&do_##op,
    static const void *const labels[] = {OPERATIONS(LABEL)};
    NEXT;
#else
    for (;;) {
        at++;
        switch (at->op) {
#endif
    CASE(SET): r[at->a] = (uint32_t)at->value; NEXT;
    CASE(MOVE): r[at->a] = r[at->b]; NEXT;
    CASE(ADD): r[at->a] = r[at->b] + r[at->c]; NEXT;
    CASE(MUL): r[at->a] = r[at->b] * r[at->c]; NEXT;
    CASE(AND): r[at->a] = r[at->b] & r[at->c]; NEXT;
    CASE(SHIFT): r[at->a] = r[at->b] >> at->value; NEXT;
    CASE(LOAD): r[at->a] = memory[r[at->b]]; NEXT;
    CASE(STORE): memory[r[at->b]] = r[at->a]; NEXT;
    CASE(LESS): r[at->a] = r[at->b] < r[at->c]; NEXT;
    CASE(JUMP): at = code + at->value - 1; NEXT;
    CASE(BRANCH): if (r[at->a]) at = code + at->value - 1; NEXT;
    CASE(INC): r[at->a] += (uint32_t)at->value; NEXT;
    CASE(HALT): return r[0];
#ifndef THREADED
        }
    }
#endif
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 100);
    uint32_t sum = GUEST_SUM;
    for (unsigned i = 0; i < count; i++) {
        memset(memory, 0, sizeof memory);
        sum = guest_sum32(sum, interpret(program, i));
    }
    return guest_report("interpreter", guest_sum(sum, memory, sizeof memory));
}

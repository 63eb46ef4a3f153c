/*
 * 512 functions that call each other: more return sites and call targets than
 * a branch predictor's small structures hold. Each takes its arguments on the stack.
 */
#include "guest.h"

static uint32_t visited;

#define ONE(n, next_a, next_b)                                                                  \
    static uint32_t f##n(uint32_t depth, uint32_t value);                                       \
    static uint32_t f##next_a(uint32_t depth, uint32_t value);                                  \
    static uint32_t f##next_b(uint32_t depth, uint32_t value);                                  \
    static GUEST_NOINLINE __attribute__((noclone)) uint32_t f##n(uint32_t depth, uint32_t value)\
    {                                                                                           \
        visited++;                                                                              \
        value = value * 5 + 0x##n;                                                              \
        if (!depth)                                                                             \
            return value;                                                                       \
        if (value & 0x40)                                                                       \
            return f##next_a(depth - 1, value) ^ 0x##n;                                         \
        return f##next_b(depth - 1, value) + (f##next_a(depth / 2, value ^ 0x55) >> 1);         \
    }

/* Sixteen functions of a row h; each calls into the rows P and Q. */
#define ROW(h, P, Q)                                                                            \
    ONE(h##0, P##7, Q##1) ONE(h##1, P##a, Q##4) ONE(h##2, P##d, Q##7) ONE(h##3, P##0, Q##a)     \
    ONE(h##4, P##3, Q##d) ONE(h##5, P##6, Q##0) ONE(h##6, P##9, Q##3) ONE(h##7, P##c, Q##6)     \
    ONE(h##8, P##f, Q##9) ONE(h##9, P##2, Q##c) ONE(h##a, P##5, Q##f) ONE(h##b, P##8, Q##2)     \
    ONE(h##c, P##b, Q##5) ONE(h##d, P##e, Q##8) ONE(h##e, P##1, Q##b) ONE(h##f, P##4, Q##e)

ROW(00, 01, 0b) ROW(01, 02, 0e) ROW(02, 03, 11) ROW(03, 04, 14)
ROW(04, 05, 17) ROW(05, 06, 1a) ROW(06, 07, 1d) ROW(07, 08, 00)
ROW(08, 09, 03) ROW(09, 0a, 06) ROW(0a, 0b, 09) ROW(0b, 0c, 0c)
ROW(0c, 0d, 0f) ROW(0d, 0e, 12) ROW(0e, 0f, 15) ROW(0f, 10, 18)
ROW(10, 11, 1b) ROW(11, 12, 1e) ROW(12, 13, 01) ROW(13, 14, 04)
ROW(14, 15, 07) ROW(15, 16, 0a) ROW(16, 17, 0d) ROW(17, 18, 10)
ROW(18, 19, 13) ROW(19, 1a, 16) ROW(1a, 1b, 19) ROW(1b, 1c, 1c)
ROW(1c, 1d, 1f) ROW(1d, 1e, 02) ROW(1e, 1f, 05) ROW(1f, 00, 08)

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 2500);
    uint32_t sum = GUEST_SUM;
    for (unsigned i = 0; i < count; i++)
        sum = guest_sum32(sum, i & 1 ? f001(40, i * 77) : f000(40, i * 77)); /* each reaches half */
    return guest_report("calls", guest_sum32(sum, visited));
}

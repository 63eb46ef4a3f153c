/* setjmp and longjmp out of nested calls, in loops, with changed locals. */
#include "guest.h"
#include <setjmp.h>

static jmp_buf outer, inner;
static uint32_t sum = GUEST_SUM;

static GUEST_NOINLINE void descend(unsigned depth, unsigned value)
{
    if (depth > 1000)
        return;
    if (!depth)
        longjmp(value & 1 ? outer : inner, (int)(value % 1000) + 1);
    descend(depth - 1, value * 3 + depth);
    sum++; /* keeps the call from becoming a jump; never reached */
}

static GUEST_NOINLINE unsigned catch_inner(unsigned depth, unsigned value)
{
    volatile unsigned tries = 0;
    int got = setjmp(inner);
    if (got) {
        sum = guest_sum32(sum, (uint32_t)got + tries);
        if (tries == 3)
            return (unsigned)got;
    }
    tries++;
    descend(depth, value + tries * 2);
    return 0;
}

int main(int argc, char **argv)
{
    volatile unsigned count = guest_count(argc, argv, 200000);
    volatile unsigned round = 0, caught = 0;
    int got = setjmp(outer);
    if (got) {
        sum = guest_sum32(sum, (uint32_t)got ^ 0x5555);
        caught++;
    }
    while (round < count) {
        round++;
        sum = guest_sum32(sum, catch_inner(round % 40, round));
    }
    return guest_report("longjump", guest_sum32(sum, caught));
}

/* Recursion far deeper than any return stack: 150000 levels, then out again. */
#include "guest.h"

static uint32_t path;

static GUEST_NOINLINE uint32_t down(uint32_t depth, uint32_t value)
{
    path += value & 7;
    if (!depth)
        return value;
    return down(depth - 1, value * 3 + 1) + depth % 3;
}

static GUEST_NOINLINE uint32_t left(uint32_t depth);

static GUEST_NOINLINE uint32_t right(uint32_t depth)
{
    return depth ? left(depth - 1) * 3 + 1 : path;
}

static GUEST_NOINLINE uint32_t left(uint32_t depth)
{
    return depth ? right(depth - 1) ^ depth : path + 1;
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 20);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        sum = guest_sum32(sum, down(150000 + round, round));
        sum = guest_sum32(sum, left(120000 + round));
    }
    return guest_report("deep", sum);
}

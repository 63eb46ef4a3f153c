/* Recursive Fibonacci: nothing but calls and returns. */
#include "guest.h"

static GUEST_NOINLINE unsigned fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 80);
    uint32_t sum = GUEST_SUM;
    for (unsigned i = 0; i < count; i++)
        sum = guest_sum32(sum, fib(24 + i % 4));
    return guest_report("fib", sum);
}

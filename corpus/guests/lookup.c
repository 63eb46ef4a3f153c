/* Arrays through a table: loops that a compiler for AVX2 makes vectors of, some with gathers. */
#include "guest.h"

enum { LENGTH = 4096, TABLE = 1024, GATHER_EVERY = 512 };

static uint32_t table[TABLE], keys[LENGTH], values[LENGTH], mixed[LENGTH];

static GUEST_NOINLINE void look_up(void)
{
    for (int i = 0; i < LENGTH; i++)
        values[i] += table[keys[i] % TABLE];
}

static GUEST_NOINLINE void mix(uint32_t round)
{
    for (int i = 0; i < LENGTH; i++)
        mixed[i] = (mixed[i] ^ values[i] >> (i % 32)) * 2654435761u + (round << (keys[i] % 8));
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 200);
    uint32_t seed = 77, sum = GUEST_SUM;
    for (int i = 0; i < TABLE; i++)
        table[i] = guest_random(&seed);
    for (int i = 0; i < LENGTH; i++)
        keys[i] = guest_random(&seed);
    for (unsigned round = 0; round < count; round++) {
        if (round % GATHER_EVERY == 0)
            look_up();
        mix(round);
    }
    sum = guest_sum(sum, values, sizeof values);
    return guest_report("lookup", guest_sum(sum, mixed, sizeof mixed));
}

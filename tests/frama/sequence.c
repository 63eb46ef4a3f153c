/*
 * Driver for Frama-C's Eva (scripts/frama.sh): vxv_sequence over any bytes, with each length of the instruction before it, and of what is left of the chunk.
 * It looks at no more than 23 bytes ahead and 3 before that instruction, and at nothing but differences of its offsets: larger chunks are no different.
 */
#include <__fc_builtin.h>

#include "verifier/sequence.c"

#define BEFORE 16
#define LEFT 24

static void one(uint32_t size, uint32_t at, uint32_t previous)
{
    uint8_t code[3 + BEFORE + LEFT];
    uint64_t boundaries[1];
    struct vxv_sequence sequence;

    Frama_C_make_unknown((char *)code, size);
    Frama_C_make_unknown((char *)boundaries, sizeof boundaries);
    (void)vxv_sequence(code, size, at, previous, boundaries, &sequence);
}

int main(void)
{
    /*@ loop unroll 100; */
    for (uint32_t before = 0; before <= BEFORE; before++)
        /*@ loop unroll 100; */
        for (uint32_t left = 1; left <= LEFT; left++) {
            one(before + left, before, 0);
            one(3 + before + left, 3 + before, 3);
        }
    return 0;
}

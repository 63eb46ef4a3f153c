/* Driver for Frama-C's Eva (scripts/frama.sh): any chunk of up to CHUNK bytes, anywhere in a zone, with any entries. */
#include <__fc_builtin.h>

#include "verifier/verifier.h"

#ifndef CHUNK
#define CHUNK 64
#endif
#define ZONE 256

int main(void)
{
    uint8_t code[CHUNK];
    uint64_t entries[ZONE / 64], boundaries[(CHUNK + 63) / 64], targets[(CHUNK + 63) / 64];
    struct vxv_result result;
    struct vxv_input input = { code, CHUNK, Frama_C_unsigned_int_interval(0, UINT32_MAX), Frama_C_unsigned_int_interval(0, ZONE), entries };

    Frama_C_make_unknown((char *)code, sizeof code);
    Frama_C_make_unknown((char *)entries, sizeof entries);
    return vxv_verify(&input, boundaries, targets, &result);
}

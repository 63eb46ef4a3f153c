/* Driver for Frama-C's Eva (scripts/frama.sh): the verifier's decoder over any LOOK_AHEAD bytes. It reads no others. */
#include <__fc_builtin.h>

#include "verifier/decode.h"

int main(void)
{
    uint8_t bytes[LOOK_AHEAD];
    struct insn insn;

    Frama_C_make_unknown((char *)bytes, sizeof bytes);
    insn = decode(bytes);
    return (int)insn.length;
}

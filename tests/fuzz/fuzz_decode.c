/*
 * The guest decoder: any bytes at any address. The length is that of an instruction, what was cut off is said to be, and
 * the bytes behind the instruction do not matter.
 */
#include "tests/fuzz/fuzz.h"
#include "vxc/translate/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vxt_insn insn, again;
    vx_gaddr addr = take(&data, &size, 4);
    if (size == 0)
        return 0;
    uint8_t *copy = exact_copy(data, size), longer[32] = { 0 };
    memset(&insn, 0, sizeof insn);
    vxt_decode(copy, (uint32_t)size, addr, &insn);
    PROMISE(insn.klass < VXT_CLASS_COUNT);
    if (insn.klass != VXT_TRUNC) {
        PROMISE(insn.length >= 1 && insn.length <= 15 && insn.length <= size);
        memcpy(longer, copy, insn.length);
        memset(&again, 0, sizeof again);
        vxt_decode(longer, sizeof longer, addr, &again);
        /* of what traps, only where and how counts: an instruction of more than 15 bytes is #GP */
        bool traps = insn.klass == VXT_UD || insn.klass == VXT_GP;
        PROMISE(insn.klass == again.klass && insn.length == again.length);
        PROMISE(traps || memcmp(&insn, &again, sizeof insn) == 0);
    }
    free(copy);
    return 0;
}

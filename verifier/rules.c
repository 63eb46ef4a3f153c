/*
 * One line of text for each rule; the same numbers as in docs/security.md.
 */
#include "verifier/verifier.h"

#include "verifier/rules.h"

const char *vxv_rule_text(uint32_t rule)
{
    static const char *const text[VXV_RULE_COUNT] = {
        [VXV_OK] = "accepted",
        [VXV_INPUT] = "chunk size, offset or zone size out of range",
        [VXV_TRUNCATED] = "instruction runs past the end of the chunk",
        [VXV_PREFIX] = "prefix repeated, out of order, or not allowed (also REX.W outside a sequence)",
        [VXV_UNLISTED] = "instruction form is not on the allow-list",
        [VXV_LOCKED] = "lock without a memory destination that allows it",
        [VXV_MEMORY] = "65 67 missing on a memory operand, or present without one",
        [VXV_RIP] = "RIP-relative operand",
        [VXV_RESERVED] = "rsp, r11, r12, r13 or r15 named outside the listed forms",
        [VXV_REX] = "REX bit without use, or bpl, sil, dil",
        [VXV_CONTEXT] = "context operand is not a listed one",
        [VXV_TABLE_JUMP] = "table jump sequence (S1) is not as listed",
        [VXV_STRING] = "string instruction outside its sequence, or sequence (S2) not as listed",
        [VXV_COMPARE] = "comparison sequence (S3) is not as listed",
        [VXV_BAD_TARGET] = "branch target is not an instruction boundary or declared entry",
        [VXV_ENTRY] = "declared entry is not an instruction boundary",
        [VXV_FALLS_OFF] = "execution can run past the end of the chunk",
    };

    return rule < VXV_RULE_COUNT ? text[rule] : "unknown rule";
}

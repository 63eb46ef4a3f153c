/*
 * What each combination of REX.RXB (0 = no REX) and ModRM asks for, computed by
 * the compiler from one formula. SIB is left to decode.h.
 */
#include "verifier/table.h"

/* Fields of i = REX.RXB << 8 | ModRM. */
#define MOD(i) ((i) >> 6 & 3)
#define R(i) ((i) >> 10 & 1)
#define X(i) ((i) >> 9 & 1)
#define B(i) ((i) >> 8 & 1)
#define REG(i) (((i) >> 3 & 7) | R(i) << 3)
#define RM(i) (((i) & 7) | B(i) << 3)
#define HAS_REX(i) ((i) >= 256)
#define HAS_SIB(i) (MOD(i) != 3 && ((i) & 7) == 4)
#define IS_RIP(i) (MOD(i) == 0 && ((i) & 7) == 5)

#define IS_RESERVED(number) (VXV_RESERVED_REGISTERS >> (number) & 1)
#define IS_NEW(number) ((number) >= 5 && (number) <= 7)

#define ASK(condition, bit) ((condition) ? (uint32_t)(bit) : 0u)
#define LENGTH(i) (MOD(i) == 1 ? 2u : MOD(i) == 2 || IS_RIP(i) ? 5u : 1u)
#define ENTRY(i)                                                                      \
    (ASK(MOD(i) != 3, VXV_MEMORY_FORM) | ASK(MOD(i) == 3, VXV_REGISTER_FORM) |        \
     ASK(IS_RESERVED(REG(i)), VXV_REG_RESERVED) |                                     \
     ASK(HAS_REX(i) && IS_RESERVED(REG(i)), VXV_REG8_RESERVED) |                      \
     ASK(HAS_REX(i) && IS_NEW(REG(i)), VXV_REG8_NEW) |                                \
     ASK(MOD(i) == 3 && IS_RESERVED(RM(i)), VXV_RM_RESERVED) |                        \
     ASK(MOD(i) == 3 && HAS_REX(i) && IS_RESERVED(RM(i)), VXV_RM8_RESERVED) |         \
     ASK(MOD(i) == 3 && HAS_REX(i) && IS_NEW(RM(i)), VXV_RM8_NEW) |                   \
     ASK(R(i), VXV_REX_R) | ASK(MOD(i) == 3 && B(i), VXV_REX_B) |                     \
     ASK(MOD(i) != 3 && !HAS_SIB(i) && !IS_RIP(i) && IS_RESERVED(RM(i)), VXV_BASE_RESERVED) | \
     ASK(IS_RIP(i), VXV_RIP_RELATIVE) | ASK(X(i) && !HAS_SIB(i), VXV_REX_UNUSED) |    \
     ASK(HAS_SIB(i), VXV_HAS_SIB) | LENGTH(i) << 16)

#define E4(i) ENTRY(i), ENTRY(i + 1), ENTRY(i + 2), ENTRY(i + 3)
#define E16(i) E4(i), E4(i + 4), E4(i + 8), E4(i + 12)
#define E64(i) E16(i), E16(i + 16), E16(i + 32), E16(i + 48)
#define E256(i) E64(i), E64(i + 64), E64(i + 128), E64(i + 192)

const uint32_t vxv_modrm[8 * 256] = {
    E256(0), E256(256), E256(512), E256(768), E256(1024), E256(1280), E256(1536), E256(1792),
};

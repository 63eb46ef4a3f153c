/*
 * The guest decoder against Zydis in 32-bit mode: every opcode of the four maps, with
 * the prefixes that matter, every ModRM byte. Length and validity must agree, but
 * for what the virtual CPU does not have and the listed exceptions.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

#include "vxc/translate/decode.h"

#ifdef VX_HAVE_ZYDIS
#include <Zydis/Zydis.h>

static unsigned long cases, differences;
static uint32_t cpu;

/* Instruction sets that the virtual CPU has. */
static bool is_known_set(ZydisISASet set)
{
    switch (set) {
    case ZYDIS_ISA_SET_AES: case ZYDIS_ISA_SET_PCLMULQDQ: case ZYDIS_ISA_SET_SHA: case ZYDIS_ISA_SET_ADOX_ADCX:
    case ZYDIS_ISA_SET_MOVBE: case ZYDIS_ISA_SET_RDRAND: case ZYDIS_ISA_SET_RDSEED: case ZYDIS_ISA_SET_RDTSCP:
    case ZYDIS_ISA_SET_BMI1: case ZYDIS_ISA_SET_LZCNT: case ZYDIS_ISA_SET_BMI2: case ZYDIS_ISA_SET_AVX: case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_AVX2GATHER: case ZYDIS_ISA_SET_FMA: case ZYDIS_ISA_SET_F16C: case ZYDIS_ISA_SET_AVXAES: case ZYDIS_ISA_SET_XSAVE:
    case ZYDIS_ISA_SET_XSAVEC: case ZYDIS_ISA_SET_XSAVEOPT:
        return cpu == VX_CPU_ALL;
    case ZYDIS_ISA_SET_CMOV: case ZYDIS_ISA_SET_FAT_NOP: case ZYDIS_ISA_SET_FCMOV: case ZYDIS_ISA_SET_FXSAVE:
    case ZYDIS_ISA_SET_I186: case ZYDIS_ISA_SET_I286PROTECTED: case ZYDIS_ISA_SET_I286REAL:
    case ZYDIS_ISA_SET_I386: case ZYDIS_ISA_SET_I486: case ZYDIS_ISA_SET_I486REAL: case ZYDIS_ISA_SET_I86:
    case ZYDIS_ISA_SET_LAHF: case ZYDIS_ISA_SET_PAUSE: case ZYDIS_ISA_SET_PENTIUMMMX: case ZYDIS_ISA_SET_PENTIUMREAL:
    case ZYDIS_ISA_SET_POPCNT: case ZYDIS_ISA_SET_PPRO: case ZYDIS_ISA_SET_PREFETCH_NOP: case ZYDIS_ISA_SET_RDPMC:
    case ZYDIS_ISA_SET_SSE: case ZYDIS_ISA_SET_SSE2: case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSE3: case ZYDIS_ISA_SET_SSE3X87: case ZYDIS_ISA_SET_SSE4: case ZYDIS_ISA_SET_SSE42:
    case ZYDIS_ISA_SET_SSEMXCSR: case ZYDIS_ISA_SET_SSE_PREFETCH: case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX: case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_CLFSH:
        return true;
    default:
        return false;
    }
}

/* Where we differ on purpose. */
static bool is_exception(const uint8_t *code, const struct vxt_insn *ours, const ZydisDecodedInstruction *theirs)
{
    if (ours->klass == VXT_UD && ours->map == 0 && (ours->opcode & 0xf8) == 0xd8)
        return true; /* undocumented x87 twins */
    if (ours->klass == VXT_GP)
        return true; /* privileged: nobody asks how long they are */
    switch (theirs->mnemonic) {
    case ZYDIS_MNEMONIC_UD0: case ZYDIS_MNEMONIC_UD1: case ZYDIS_MNEMONIC_UD2: case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_RSM: case ZYDIS_MNEMONIC_SYSRET: case ZYDIS_MNEMONIC_GETSEC:
        return ours->klass == VXT_UD;
    case ZYDIS_MNEMONIC_LFENCE: case ZYDIS_MNEMONIC_MFENCE: case ZYDIS_MNEMONIC_SFENCE:
        return ours->klass == VXT_UD && (code[theirs->length - 1] & 7); /* twins with another rm */
    case ZYDIS_MNEMONIC_VPEXTRD: case ZYDIS_MNEMONIC_VPINSRD:
        return theirs->raw.vex.W && ours->klass == VXT_UD; /* vpextrq, vpinsrq: AMD's processors agree with us, Intel's may not */
    case ZYDIS_MNEMONIC_LZCNT: case ZYDIS_MNEMONIC_TZCNT:
        return cpu != VX_CPU_ALL;
    default:
        break;
    }
    return false;
}

static void check(const ZydisDecoder *decoder, const uint8_t *code)
{
    ZydisDecodedInstruction theirs;
    struct vxt_insn ours;
    bool valid = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(decoder, NULL, code, 24, &theirs));
    vxt_decode_cpu(cpu, code, 24, 0x1000, &ours);
    cases++;
    if (valid && is_exception(code, &ours, &theirs))
        return;
    bool expected = valid && is_known_set(theirs.meta.isa_set);
    bool agrees = expected ? ours.klass != VXT_UD && ours.length == theirs.length
                           : ours.klass == VXT_UD || ours.klass == VXT_GP || ours.klass == VXT_NOP_E;
    if (agrees)
        return;
    if (differences++ < 40) {
        for (unsigned i = 0; i < 10; i++)
            printf("%02x ", code[i]);
        printf(" theirs %s length %u set %s, ours %s class %u length %u\n",
               valid ? ZydisMnemonicGetString(theirs.mnemonic) : "(bad)", valid ? theirs.length : 0,
               valid ? ZydisISASetGetString(theirs.meta.isa_set) : "-", vxt_mnemonic(&ours), ours.klass, ours.length);
    }
}

static void compare(uint32_t which)
{
    static const uint8_t prefixes[][2] = { { 0, 0 }, { 0x66, 0 }, { 0xf2, 0 }, { 0xf3, 0 }, { 0x67, 0 }, { 0x66, 0x67 }, { 0x66, 0xf2 } };
    static const uint8_t sibs[] = { 0x24, 0x65, 0x8d };
    ZydisDecoder decoder;
    cpu = which;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
    for (unsigned p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (unsigned map = 0; map < 4; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++)
                for (unsigned modrm = 0; modrm < 256; modrm++)
                    for (unsigned s = 0; s < sizeof sibs; s++) {
                        uint8_t code[24] = { 0 }, *at = code;
                        for (unsigned i = 0; i < 2; i++)
                            if (prefixes[p][i])
                                *at++ = prefixes[p][i];
                        if (map)
                            *at++ = 0x0f;
                        if (map > 1)
                            *at++ = map == 2 ? 0x38 : 0x3a;
                        *at++ = (uint8_t)opcode;
                        *at++ = (uint8_t)modrm;
                        *at++ = sibs[s];
                        check(&decoder, code);
                    }
}

static void all_encodings(void)
{
    compare(VX_CPU_DEFAULT);
    compare(VX_CPU_ALL);
    printf("%lu cases, %lu differences\n", cases, differences);
    CU_ASSERT_EQUAL(differences, 0);
}
/* Every C5, and C4 with unused and used VEX.vvvv and all W, L and prefixes. */
static void vex_encodings(void)
{
    static const uint8_t sibs[] = { 0x24, 0x65, 0x8d };
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
    cpu = VX_CPU_ALL;
    for (unsigned n = 0; n < 64 + 4 * 3 * 16; n++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned modrm = 0; modrm < 256; modrm++)
                for (unsigned s = 0; s < (modrm < 0xc0 && (modrm & 7) == 4 ? sizeof sibs : 1); s++) {
                    uint8_t code[24] = { 0xc5, (uint8_t)(0xc0 | n) }, *at = code + 2;
                    unsigned k = n - 64;
                    if (n >= 64) {
                        static const uint8_t vvvv[3] = { 0x78, 0x50, 0x30 };
                        code[0] = 0xc4;
                        code[1] = (uint8_t)(0xc0 | k / 48 | (n & 1 ? 0x20 : 0));
                        *at++ = (uint8_t)(vvvv[k / 16 % 3] | (k & 8) << 4 | (k & 7));
                    }
                    *at++ = (uint8_t)opcode;
                    *at++ = (uint8_t)modrm;
                    *at++ = sibs[s];
                    check(&decoder, code);
                }
    printf("%lu cases, %lu differences\n", cases, differences);
    CU_ASSERT_EQUAL(differences, 0);
}
#else
static void vex_encodings(void)
{
}

static void all_encodings(void)
{
    printf("skipped: built without Zydis\n");
}
#endif

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("decode", NULL, NULL);
    CU_add_test(suite, "every encoding against another decoder", all_encodings);
    CU_add_test(suite, "VEX", vex_encodings);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

/*
 * The guest decoder against llvm-mc: validity, length and mnemonic of every opcode of the
 * four maps, without prefix and with 66, f2 and f3, for every ModRM byte.
 *
 * "--dump" writes the cases with our answers, one a line: bytes, then length and mnemonic.
 * Without it, tests/tools/decode_compare.py runs the dump and compares; what it may find different
 * is listed with reasons in tests/tools/decode_allowed.txt.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vxc/translate/decode.h"

#define CASE_BYTES 15
#define SKIPPED 77 /* exit code of the driver: llvm-mc is missing */

/* What follows ModRM: as a SIB byte no index and base ebp, then bytes that are told apart. */
static const uint8_t tail[] = { 0x25, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd };

static unsigned put_opcode(uint8_t *code, uint8_t prefix, unsigned map, unsigned opcode)
{
    unsigned at = 0;
    if (prefix)
        code[at++] = prefix;
    if (map)
        code[at++] = 0x0f;
    if (map > 1)
        code[at++] = map == 2 ? 0x38 : 0x3a;
    code[at++] = (uint8_t)opcode;
    return at;
}

/* One line for each ModRM byte, or a single one where the instruction ends before it. */
static void dump_opcode(uint8_t prefix, unsigned map, unsigned opcode)
{
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        uint8_t code[CASE_BYTES];
        unsigned at = put_opcode(code, prefix, map, opcode);
        code[at] = (uint8_t)modrm;
        memcpy(code + at + 1, tail, CASE_BYTES - at - 1);
        struct vxt_insn insn;
        vxt_decode_cpu(VX_CPU_ALL, code, CASE_BYTES, 0x1000, &insn);
        for (unsigned i = 0; i < CASE_BYTES; i++)
            printf("%02x", code[i]);
        printf(" %u %s\n", insn.length, insn.klass == VXT_UD ? "(bad)" : vxt_mnemonic(&insn));
        if (insn.length <= at && insn.klass != VXT_UD)
            return;
    }
}

static void dump(void)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf2, 0xf3 };
    for (unsigned p = 0; p < sizeof prefixes; p++)
        for (unsigned map = 0; map < 4; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                bool is_prefix = map == 0 && (opcode == 0x0f || (opcode & 0xe7) == 0x26 || (opcode & 0xfc) == 0x64 ||
                                              opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3);
                bool is_escape = map == 1 && (opcode == 0x38 || opcode == 0x3a);
                if (!is_prefix && !is_escape)
                    dump_opcode(prefixes[p], map, opcode);
            }
}

static void same_as_llvm(void)
{
    char self[4096], command[3 * 4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CU_ASSERT_FATAL(length > 0);
    self[length] = 0;
    snprintf(command, sizeof command, "python3 '%s/tests/tools/decode_compare.py' '%s'", SOURCE_DIR, self);
    fflush(stdout);
    int status = system(command);
    if (WIFEXITED(status) && (WEXITSTATUS(status) == SKIPPED || WEXITSTATUS(status) == 127)) {
        printf("skipped: needs python3 and llvm-mc\n");
        return;
    }
    CU_ASSERT_EQUAL(status, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--dump")) {
        dump();
        return 0;
    }
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("decode_llvm", NULL, NULL);
    CU_add_test(suite, "every encoding as llvm-mc reads it", same_as_llvm);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

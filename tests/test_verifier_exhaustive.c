/*
 * All opcodes x prefixes x ModRM x some SIB, one instruction at a time: what
 * the verifier accepts must satisfy a predicate that is written apart from it,
 * on the answer of another decoder (Zydis, loaded at run time). Length, segment,
 * address width, every named and unnamed register, instruction class, CPU feature.
 * Without Zydis nothing is tested and the program says so.
 */
#include <CUnit/Basic.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/table.h"
#include "verifier/verifier.h"

#if __has_include(<Zydis/Zydis.h>)
#include <Zydis/Zydis.h>

#define CHUNK 32u

/* Any change of the allow-list or of the prefix rules changes this number: look at why, then write the new one. */
#define ACCEPTED 1665202u
/* Some of it without REX, which takes a moment, and a digest of the instructions, their lengths and CPU features. */
#define ACCEPTED_PLAIN 58073u
#define DIGEST_PLAIN 0xc9690910u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static uint32_t rex_part = 1, vex_step = 5; /* a third of the work */
#else
static uint32_t rex_part, vex_step = 1;
#endif
/* Bit i: REX 3f + i (3f: none). In part: none, R, B, XB, RXB, W. */
static const uint32_t rex_sets[2] = {0x1ffff, 1u << 0 | 1u << 5 | 1u << 2 | 1u << 4 | 1u << 8 | 1u << 9};
static bool stop_at_first, telling_forms;
static FILE *list;
static uint32_t digest;

static ZydisDecoder decoder;
static ZyanStatus (*decode_full)(const ZydisDecoder *, const void *, ZyanUSize, ZydisDecodedInstruction *,
                                 ZydisDecodedOperand *);
static ZyanStatus (*decoder_init)(ZydisDecoder *, ZydisMachineMode, ZydisStackWidth);
static ZydisRegister (*enclosing)(ZydisMachineMode, ZydisRegister);
static ZydisRegisterClass (*class_of)(ZydisRegister);
static ZyanI8 (*id_of)(ZydisRegister);
static const char *(*mnemonic_text)(ZydisMnemonic);

static uint64_t tried, accepted, failures, by_rule[32], kinds[8];
static bool seen_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1];

/* What one trial consists of. */
struct trial {
    uint8_t bytes[CHUNK];
    uint32_t map, slot, length; /* length: by the verifier's boundaries */
    uint8_t opcode;
    uint32_t cpu;
};

static bool load_zydis(void)
{
    void *lib = dlopen("libZydis.so.4.0", RTLD_NOW);
    if (!lib)
        lib = dlopen("libZydis.so", RTLD_NOW);
    if (!lib)
        return false;
    *(void **)&decode_full = dlsym(lib, "ZydisDecoderDecodeFull");
    *(void **)&decoder_init = dlsym(lib, "ZydisDecoderInit");
    *(void **)&enclosing = dlsym(lib, "ZydisRegisterGetLargestEnclosing");
    *(void **)&class_of = dlsym(lib, "ZydisRegisterGetClass");
    *(void **)&id_of = dlsym(lib, "ZydisRegisterGetId");
    *(void **)&mnemonic_text = dlsym(lib, "ZydisMnemonicGetString");
    return decode_full && decoder_init && enclosing && class_of && id_of && mnemonic_text &&
           ZYAN_SUCCESS(decoder_init(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
}

static bool is_reserved(ZydisRegister reg)
{
    switch (enclosing(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
    case ZYDIS_REGISTER_RSP: case ZYDIS_REGISTER_R11: case ZYDIS_REGISTER_R12:
    case ZYDIS_REGISTER_R13: case ZYDIS_REGISTER_R15: case ZYDIS_REGISTER_RIP:
        return true;
    default:
        return false;
    }
}

static bool is_transfer(const ZydisDecodedInstruction *insn)
{
    switch (insn->meta.category) {
    case ZYDIS_CATEGORY_CALL: case ZYDIS_CATEGORY_RET: case ZYDIS_CATEGORY_COND_BR: case ZYDIS_CATEGORY_UNCOND_BR:
        return true;
    default:
        return false;
    }
}

/* NULL if a register operand is harmless, else what is wrong. */
static const char *judge_register(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operand)
{
    ZydisRegister reg = operand->reg.value;

    switch (class_of(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_DIL)
            return "spl bpl sil dil";
        return is_reserved(reg) ? "reserved register" : NULL;
    case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32:
        return is_reserved(reg) ? "reserved register" : NULL;
    case ZYDIS_REGCLASS_GPR64:
        if (reg == ZYDIS_REGISTER_RSP && operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
            (insn->mnemonic == ZYDIS_MNEMONIC_CALL || insn->mnemonic == ZYDIS_MNEMONIC_RET))
            return NULL;
        return "64-bit register";
    case ZYDIS_REGCLASS_XMM: case ZYDIS_REGCLASS_YMM:
        return id_of(reg) > 7 ? "xmm8-15" : NULL;
    case ZYDIS_REGCLASS_MMX: case ZYDIS_REGCLASS_X87: case ZYDIS_REGCLASS_FLAGS:
        return NULL;
    case ZYDIS_REGCLASS_IP:
        return is_transfer(insn) ? NULL : "instruction pointer";
    default:
        break;
    }
    switch (reg) {
    case ZYDIS_REGISTER_X87CONTROL: case ZYDIS_REGISTER_X87STATUS: case ZYDIS_REGISTER_X87TAG:
    case ZYDIS_REGISTER_MXCSR:
        return NULL;
    default:
        return "register class";
    }
}

static const char *judge_address(ZydisRegister reg, ZydisRegisterClass expected)
{
    if (reg == ZYDIS_REGISTER_NONE)
        return NULL;
    if (class_of(reg) != expected)
        return "address register width";
    return is_reserved(reg) ? "reserved register in an address" : NULL;
}

static const char *judge_memory(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operand)
{
    bool only_address = operand->mem.type == ZYDIS_MEMOP_TYPE_AGEN || insn->mnemonic == ZYDIS_MNEMONIC_NOP;
    ZydisRegisterClass width = only_address ? ZYDIS_REGCLASS_GPR64 : ZYDIS_REGCLASS_GPR32;
    const char *why;

    if (operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        return insn->mnemonic == ZYDIS_MNEMONIC_CALL || insn->mnemonic == ZYDIS_MNEMONIC_RET ?
                   NULL : "memory operand that is not named";
    if (operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
        return "memory operand not in ModRM";
    if (operand->mem.type != ZYDIS_MEMOP_TYPE_MEM && !only_address)
        return "kind of memory operand";
    if (only_address ? insn->address_width != 64 || operand->mem.segment == ZYDIS_REGISTER_GS
                     : insn->address_width != 32 || operand->mem.segment != ZYDIS_REGISTER_GS)
        return "segment or address width";
    if (operand->mem.segment == ZYDIS_REGISTER_FS)
        return "fs";
    why = judge_address(operand->mem.base, width);
    return why ? why : judge_address(operand->mem.index, width);
}

/* Instruction classes that code in the sandbox may use; *cpu gets the features. */
static const char *judge_class(const ZydisDecodedInstruction *insn, uint32_t *cpu)
{
    *cpu = insn->mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B ? VXV_CPU_CX8 : insn->mnemonic == ZYDIS_MNEMONIC_RDTSC ? VXV_CPU_TSC :
           insn->mnemonic == ZYDIS_MNEMONIC_VPCLMULQDQ ? VXV_CPU_PCLMULQDQ : 0;
    switch (insn->meta.isa_set) {
    case ZYDIS_ISA_SET_SSE3: case ZYDIS_ISA_SET_SSE3X87: *cpu |= VXV_CPU_SSE3; break;
    case ZYDIS_ISA_SET_SSSE3: case ZYDIS_ISA_SET_SSSE3MMX: *cpu |= VXV_CPU_SSSE3; break;
    case ZYDIS_ISA_SET_SSE4: *cpu |= VXV_CPU_SSE41; break;
    case ZYDIS_ISA_SET_SSE42: *cpu |= VXV_CPU_SSE42; break;
    case ZYDIS_ISA_SET_POPCNT: *cpu |= VXV_CPU_POPCNT; break;
    case ZYDIS_ISA_SET_LAHF: *cpu |= VXV_CPU_LAHF; break;
    case ZYDIS_ISA_SET_LZCNT: *cpu |= VXV_CPU_LZCNT; break;
    case ZYDIS_ISA_SET_BMI1: *cpu |= VXV_CPU_BMI1; break;
    case ZYDIS_ISA_SET_MOVBE: *cpu |= VXV_CPU_MOVBE; break;
    case ZYDIS_ISA_SET_AES: *cpu |= VXV_CPU_AES; break;
    case ZYDIS_ISA_SET_PCLMULQDQ: *cpu |= VXV_CPU_PCLMULQDQ; break;
    case ZYDIS_ISA_SET_SHA: *cpu |= VXV_CPU_SHA; break;
    case ZYDIS_ISA_SET_ADOX_ADCX: *cpu |= VXV_CPU_ADX; break;
    case ZYDIS_ISA_SET_RDRAND: *cpu |= VXV_CPU_RDRAND; break;
    case ZYDIS_ISA_SET_RDSEED: *cpu |= VXV_CPU_RDSEED; break;
    case ZYDIS_ISA_SET_BMI2: *cpu |= VXV_CPU_BMI2; break;
    case ZYDIS_ISA_SET_AVX: *cpu |= VXV_CPU_AVX; break;
    case ZYDIS_ISA_SET_AVX2: *cpu |= VXV_CPU_AVX2 | VXV_CPU_AVX; break;
    case ZYDIS_ISA_SET_FMA: *cpu |= VXV_CPU_FMA | VXV_CPU_AVX; break;
    case ZYDIS_ISA_SET_F16C: *cpu |= VXV_CPU_F16C | VXV_CPU_AVX; break;
    case ZYDIS_ISA_SET_AVXAES: *cpu |= VXV_CPU_AVX | VXV_CPU_AES; break;
    case ZYDIS_ISA_SET_I86: case ZYDIS_ISA_SET_I186: case ZYDIS_ISA_SET_I386: case ZYDIS_ISA_SET_I486REAL:
    case ZYDIS_ISA_SET_PENTIUMREAL: case ZYDIS_ISA_SET_PPRO: case ZYDIS_ISA_SET_CMOV: case ZYDIS_ISA_SET_FCMOV:
    case ZYDIS_ISA_SET_FAT_NOP: case ZYDIS_ISA_SET_PAUSE: case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_SSE: case ZYDIS_ISA_SET_SSE2: case ZYDIS_ISA_SET_SSE2MMX: case ZYDIS_ISA_SET_SSEMXCSR:
        break;
    default:
        return "instruction set";
    }
    switch (insn->meta.category) {
    case ZYDIS_CATEGORY_SYSCALL: case ZYDIS_CATEGORY_SYSRET: case ZYDIS_CATEGORY_INTERRUPT: case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP: case ZYDIS_CATEGORY_STRINGOP: case ZYDIS_CATEGORY_PUSH: case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_SEGOP: case ZYDIS_CATEGORY_XSAVE: case ZYDIS_CATEGORY_RDWRFSGS: case ZYDIS_CATEGORY_PKU:
        return "category";
    case ZYDIS_CATEGORY_SYSTEM:
        if (insn->mnemonic != ZYDIS_MNEMONIC_HLT && insn->mnemonic != ZYDIS_MNEMONIC_RDTSC)
            return "system instruction";
        break;
    default:
        break;
    }
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FLDENV: case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXSAVE: case ZYDIS_MNEMONIC_FXRSTOR: case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU: case ZYDIS_MNEMONIC_VMASKMOVDQU: case ZYDIS_MNEMONIC_XLAT: case ZYDIS_MNEMONIC_ENTER: case ZYDIS_MNEMONIC_LEAVE:
    case ZYDIS_MNEMONIC_CPUID: case ZYDIS_MNEMONIC_CLFLUSH: case ZYDIS_MNEMONIC_XBEGIN:
        return "mnemonic";
    default:
        break;
    }
    return insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ? "far transfer" : NULL;
}

/* Prefixes: lock only where it means something; none that is ignored. */
static const char *judge_prefixes(const ZydisDecodedInstruction *insn)
{
    ZyanU8 i;

    if (is_transfer(insn) && insn->raw.prefix_count != (insn->mnemonic == ZYDIS_MNEMONIC_JECXZ))
        return "prefix on a transfer";
    for (i = 0; i < insn->raw.prefix_count; i++)
        if (insn->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_IGNORED)
            return "ignored prefix";
    if (insn->attributes & (ZYDIS_ATTRIB_HAS_XACQUIRE | ZYDIS_ATTRIB_HAS_XRELEASE | ZYDIS_ATTRIB_HAS_BND |
                            ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPNE | ZYDIS_ATTRIB_HAS_BRANCH_TAKEN |
                            ZYDIS_ATTRIB_HAS_BRANCH_NOT_TAKEN | ZYDIS_ATTRIB_HAS_NOTRACK))
        return "prefix with another meaning";
    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return insn->raw.prefix_count == (insn->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS ? 2 : 0) ? NULL : "prefix before VEX";
    return insn->raw.rex.W ? "REX.W" : NULL;
}

static uint32_t implicit_of_vex(ZydisMnemonic mnemonic)
{
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_MULX: return 4;
    case ZYDIS_MNEMONIC_VPCMPESTRM: return 5;
    case ZYDIS_MNEMONIC_VPCMPESTRI: return 7;
    case ZYDIS_MNEMONIC_VPCMPISTRI: return 2;
    default: return 0;
    }
}

/* The implicit general registers are those of the allow-list's column. */
static const char *judge_implicit(const struct trial *t, const ZydisDecodedInstruction *insn, uint32_t implicit)
{
    uint32_t form = vxv_forms[t->map][t->slot][t->opcode];

    if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return implicit == implicit_of_vex(insn->mnemonic) ? NULL : "implicit register";

    if (form == 0) /* the "opcode" was a prefix or an escape byte: met again where it is none */
        return NULL;
    if (form & VXV_GROUP) {
        if (insn->mnemonic == ZYDIS_MNEMONIC_FNSTSW && insn->raw.modrm.mod == 3)
            return implicit & ~1u ? "implicit register" : NULL;
        form = vxv_groups[VXV_FORM_GROUP(form)][insn->raw.modrm.reg];
    }
    if (implicit == VXV_FORM_IMPLICIT(form))
        return NULL;
    return insn->mnemonic == ZYDIS_MNEMONIC_NOP && implicit == 0 ? NULL : "implicit register";
}

static const char *judge(const struct trial *t, const ZydisDecodedInstruction *insn,
                         const ZydisDecodedOperand *operands)
{
    uint32_t cpu, implicit = 0;
    const char *why;
    ZyanU8 i;

    if (insn->length != t->length)
        return "length";
    if ((why = judge_class(insn, &cpu)) || (why = judge_prefixes(insn)))
        return why;
    if (cpu != t->cpu)
        return "CPU features";
    for (i = 0; i < insn->operand_count; i++) {
        const ZydisDecodedOperand *o = &operands[i];
        why = NULL;
        if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            why = judge_register(insn, o);
            if (o->encoding == ZYDIS_OPERAND_ENCODING_NONE && class_of(o->reg.value) <= ZYDIS_REGCLASS_GPR32 &&
                class_of(o->reg.value) >= ZYDIS_REGCLASS_GPR8)
                implicit |= 1u << id_of(enclosing(ZYDIS_MACHINE_MODE_LONG_64, o->reg.value));
        } else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            why = judge_memory(insn, o);
        } else if (o->type == ZYDIS_OPERAND_TYPE_POINTER) {
            why = "far pointer";
        }
        if (why)
            return why;
    }
    return judge_implicit(t, insn, implicit);
}

static void report(const struct trial *t, const char *why)
{
    uint32_t i;

    if (failures++ < 20) {
        printf("\n  accepted, but %s:", why);
        for (i = 0; i < t->length + 1; i++)
            printf(" %02x", t->bytes[i]);
    }
    if (stop_at_first)
        exit(1);
}

/* FNV-1a */
static void add_to_digest(const void *bytes, uint32_t size)
{
    uint32_t i;

    for (i = 0; i < size; i++)
        digest = (digest ^ ((const uint8_t *)bytes)[i]) * 16777619u;
}

/* One chunk: the instruction and hlt behind it. */
static void try_one(struct trial *t)
{
    uint64_t entries = 0, boundaries, targets, rest;
    struct vxv_input input = {.code = t->bytes, .size = CHUNK, .zone_size = CHUNK, .entries = &entries};
    struct vxv_result result;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t alone[CHUNK];
    const char *why;

    tried++;
    if (!vxv_verify(&input, &boundaries, &targets, &result)) {
        by_rule[result.rule & 31]++;
        return;
    }
    accepted++;
    rest = boundaries & ~1ull;
    t->length = (uint32_t)__builtin_ctzll(rest);
    /* Once more with hlt right behind: a ModRM byte that was no ModRM counted as an instruction. */
    memcpy(alone, t->bytes, t->length);
    memset(alone + t->length, 0xf4, CHUNK - t->length);
    input.code = alone;
    if (!vxv_verify(&input, &boundaries, &targets, &result)) {
        report(t, "not alone");
        return;
    }
    t->cpu = result.cpu_features;
    if (!(boundaries & 1) || !rest ||
        !ZYAN_SUCCESS(decode_full(&decoder, t->bytes, CHUNK, &insn, operands))) {
        report(t, "not an instruction");
        return;
    }
    add_to_digest(t->bytes, t->length);
    add_to_digest(&t->cpu, sizeof t->cpu);
    if (list) {
        uint32_t i;
        for (i = 0; i < t->length; i++)
            fprintf(list, "%02x", t->bytes[i]);
        fprintf(list, " %s\n", mnemonic_text(insn.mnemonic));
    }
    seen_mnemonic[insn.mnemonic] = true;
    kinds[is_transfer(&insn) ? 0 : insn.attributes & ZYDIS_ATTRIB_HAS_LOCK ? 1 :
          insn.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS ? 2 : 3]++;
    why = judge(t, &insn, operands);
    if (why)
        report(t, why);
}

static const uint8_t sibs[] = {0x24, 0x04, 0x25, 0x65, 0x0d, 0xb1, 0x3c, 0xe3};

/* One of each kind of operand: enough to see whether there is a row, and most of what it grants. Of x87 and 0f ae all register forms. */
static bool is_telling(const struct trial *t, uint32_t modrm)
{
    if (modrm >= 0xc0 && ((t->map == 0 && (t->opcode & 0xf8) == 0xd8) || (t->map == 1 && t->opcode == 0xae)))
        return true;
    switch (modrm & 0xc7) {
    case 0x00: case 0x05: case 0x44: case 0xc0: case 0xc4: case 0xc7:
        return true;
    default:
        return false;
    }
}

/* All ModRM (and SIB) for one prefix and opcode of `n` bytes. */
static void all_modrm(struct trial *t, uint32_t n)
{
    uint8_t behind = t->bytes[n + 1];
    uint32_t modrm, i;

    for (modrm = 0; modrm < 256; modrm++) {
        if (telling_forms && !is_telling(t, modrm))
            continue;
        t->bytes[n] = (uint8_t)modrm;
        if (modrm >= 0xc0 || (modrm & 7) != 4) {
            try_one(t);
            continue;
        }
        for (i = 0; i < (telling_forms ? 2 : sizeof sibs); i++) {
            t->bytes[n + 1] = sibs[i];
            try_one(t);
        }
        t->bytes[n + 1] = behind;
    }
    t->bytes[n] = 0xf4;
}

/* Zero immediates of 0 to 4 bytes, for branches to the next instruction. */
static void zero_immediates(struct trial *t, uint32_t n)
{
    uint32_t k;

    for (k = 0; k <= 4; k++) {
        memset(t->bytes + n, 0, k);
        try_one(t);
    }
    memset(t->bytes + n, 0xf4, 4);
}

static void all_opcodes(const uint8_t *prefix, uint32_t prefix_bytes, uint32_t slot, bool modrm)
{
    static const uint8_t escapes[4][2] = {{0, 0}, {0x0f, 0}, {0x0f, 0x38}, {0x0f, 0x3a}};
    static const uint32_t escape_bytes[4] = {0, 1, 2, 2};
    uint32_t map, op;

    for (map = 0; map < 4; map++) {
        struct trial t = {.map = map, .slot = slot};
        uint32_t n = prefix_bytes + escape_bytes[map];
        memset(t.bytes, 0xf4, sizeof t.bytes);
        memcpy(t.bytes, prefix, prefix_bytes);
        memcpy(t.bytes + prefix_bytes, escapes[map], escape_bytes[map]);
        for (op = 0; op < 256; op++) {
            t.opcode = t.bytes[n] = (uint8_t)op;
            if (modrm)
                all_modrm(&t, n + 1);
            zero_immediates(&t, n + 1);
        }
    }
}

/* The listed order of prefixes, every subset, with that REX (3f: none). Few: only those that could be right. */
static void listed_prefixes(uint32_t rex, bool few)
{
    static const uint8_t segments[4][2] = {{0, 0}, {0x65, 0x67}, {0x67, 0}, {0x65, 0}};
    static const uint32_t segment_bytes[4] = {0, 2, 1, 1};
    uint32_t choice, n;

    for (choice = 0; choice < 4 * 2 * 2 * 3; choice++) {
        uint32_t segment = choice & 3, rep = choice >> 4;
        uint8_t p[8];
        if (few && segment > 1)
            continue;
        memcpy(p, segments[segment], 2);
        n = segment_bytes[segment];
        if (choice & 4)
            p[n++] = 0xf0;
        if (choice & 8)
            p[n++] = 0x66;
        if (rep)
            p[n++] = rep == 1 ? 0xf2 : 0xf3;
        if (rex >= 0x40)
            p[n++] = (uint8_t)rex;
        all_opcodes(p, n, rep == 1 ? VXV_F2 : rep == 2 ? VXV_F3 : choice & 8 ? VXV_66 : VXV_NP, true);
    }
}

static void vex_without_rxb(void);

/* First, as any row that is too much or missing shows here. */
static void test_without_rex(void)
{
    digest = 2166136261u;
    telling_forms = true;
    listed_prefixes(0x3f, true);
    vex_without_rxb();
    telling_forms = false;
    CU_ASSERT_EQUAL(failures, 0);
    if (accepted != ACCEPTED_PLAIN || digest != DIGEST_PLAIN) {
        printf("\n  %llu accepted, digest 0x%08x", (unsigned long long)accepted, digest);
        CU_FAIL("the allow-list has changed");
        if (stop_at_first)
            exit(1);
    }
    tried = accepted = 0; /* they come again below */
    memset(by_rule, 0, sizeof by_rule);
    memset(kinds, 0, sizeof kinds);
}

static void test_listed_prefixes(void)
{
    uint32_t rex;

    for (rex = 0x3f; rex <= 0x4f; rex++)
        if (rex_sets[rex_part] >> (rex - 0x3f) & 1)
            listed_prefixes(rex, false);
    CU_ASSERT_EQUAL(failures, 0);
}

/* Any three prefix bytes in any order, without the ModRM sweep. */
static void test_any_prefixes(void)
{
    static const uint8_t some[] = {0x26, 0x2e, 0x36, 0x3e, 0x40, 0x41, 0x44, 0x48, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    uint32_t a, b, c, count = sizeof some;

    for (a = 0; a < count; a++)
        for (b = 0; b < count; b++)
            for (c = 0; c < count; c++) {
                uint8_t p[3] = {some[a], some[b], some[c]};
                uint32_t i, slot = VXV_NP;
                for (i = 0; i < 3; i++)
                    slot = p[i] == 0xf2 ? VXV_F2 : p[i] == 0xf3 ? VXV_F3 : p[i] == 0x66 ? VXV_66 : slot;
                all_opcodes(p, 3, slot, false);
            }
    CU_ASSERT_EQUAL(failures, 0);
}

static void all_vex_opcodes(const uint8_t *prefix, uint32_t n)
{
    struct trial t = {.map = 0, .slot = VXV_NP};
    uint32_t op;

    memset(t.bytes, 0xf4, sizeof t.bytes);
    memcpy(t.bytes, prefix, n);
    for (op = 0; op < 256; op++) {
        t.opcode = t.bytes[n] = (uint8_t)op;
        all_modrm(&t, n + 1);
        zero_immediates(&t, n + 1);
    }
    if (n < 3 || prefix[n - 3] != 0xc4 || (prefix[n - 2] & 31) != 3)
        return;
    /* vblendv: the immediate names a register, which f4 would make xmm15. What is behind is read as adc $0x14,%al. */
    memset(t.bytes + n, 0x14, CHUNK - 4 - n);
    for (op = 0x4a; op <= 0x4c; op++) {
        t.opcode = t.bytes[n] = (uint8_t)op;
        t.bytes[n + 1] = 0x14;
        all_modrm(&t, n + 1);
    }
}

/* VEX.vvvv: nothing, xmm0 or eax; xmm4 or esp; xmm8 or r8. */
static void vex_without_rxb(void)
{
    static const uint8_t vvvv[] = {0x78, 0x58, 0x38};
    uint32_t segment, map, i, v;

    for (segment = 0; segment < 2; segment++)
        for (map = 1; map <= 3; map++)
            for (v = 0; v < sizeof vvvv; v++)
                for (i = 0; i < 16; i++) {
                    uint8_t p[8] = {0x65, 0x67};
                    p[2 * segment] = 0xc4;
                    p[2 * segment + 1] = (uint8_t)(0xe0 | map);
                    p[2 * segment + 2] = (uint8_t)(vvvv[v] | (i & 8) << 4 | (i & 7));
                    all_vex_opcodes(p, 2 * segment + 3);
                }
}

/*
 * Every C5; C4 with maps 0 to 4, every W, L and prefix, with some of VEX.vvvv for each RXB: nothing, xmm1, r8, and the reserved
 * rsp and r15. vex_step: with sanitizers a part of it.
 */
static void test_vex(void)
{
    static const uint8_t vvvv[] = {0x78, 0x70, 0x58, 0x38, 0x00};
    uint32_t segment, i, map, rxb, v;

    for (segment = 0; segment < 2; segment++) {
        uint8_t p[8] = {0x65, 0x67};
        uint32_t n = segment * 2;
        for (i = 0; i < 256; i += vex_step) {
            p[n] = 0xc5;
            p[n + 1] = (uint8_t)i;
            all_vex_opcodes(p, n + 2);
        }
        p[n] = 0xc4;
        for (map = 0; map < 5; map++)
            for (rxb = 0; rxb < 8; rxb++)
                for (v = 0; v < sizeof vvvv; v++)
                    for (i = 0; i < 16; i += vex_step) {
                        bool is_main = map >= 1 && map <= 3 && (v == 0 || rxb == 7);
                        if (!is_main && (i != 1 || rxb % 7))
                            continue;
                        p[n + 1] = (uint8_t)(rxb << 5 | map);
                        p[n + 2] = (uint8_t)(vvvv[v] | (i & 8) << 4 | (i & 7));
                        all_vex_opcodes(p, n + 3);
                    }
    }
    CU_ASSERT_EQUAL(failures, 0);
}

/* C4, C5 behind any other prefix, and another prefix between: refused. */
static void test_vex_prefixes(void)
{
    static const uint8_t some[] = {0x26, 0x2e, 0x36, 0x3e, 0x40, 0x41, 0x48, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    uint32_t a, b;

    for (a = 0; a < sizeof some; a++)
        for (b = 0; b < sizeof some; b++) {
            uint8_t one[] = {some[a], 0xc5, 0xf8}, two[] = {some[a], some[b], 0xc5, 0xf8};
            uint8_t three[] = {0x65, 0x67, some[a], some[b], 0xc4, 0xe1, 0x78};
            all_vex_opcodes(one, sizeof one);
            all_vex_opcodes(two, sizeof two);
            all_vex_opcodes(three, sizeof three);
        }
    CU_ASSERT_EQUAL(failures, 0);
}

/* mov and lea, all ModRM and SIB, all REX: addressing completely. */
static void test_all_addresses(void)
{
    uint32_t op, rex, modrm, sib;

    for (op = 0; op < 2; op++)
        for (rex = 0x40; rex <= 0x4f; rex++)
            for (modrm = 0; modrm < 256; modrm++)
                for (sib = 0; sib < (modrm < 0xc0 && (modrm & 7) == 4 ? 256u : 1u); sib++) {
                    struct trial t = {.map = 0, .slot = VXV_NP, .opcode = op ? 0x8d : 0x8b};
                    uint32_t n = 0;
                    memset(t.bytes, 0xf4, sizeof t.bytes);
                    if (!op) {
                        t.bytes[n++] = 0x65;
                        t.bytes[n++] = 0x67;
                    }
                    if (rex != 0x40)
                        t.bytes[n++] = (uint8_t)rex;
                    t.bytes[n++] = t.opcode;
                    t.bytes[n++] = (uint8_t)modrm;
                    if (modrm < 0xc0 && (modrm & 7) == 4)
                        t.bytes[n++] = (uint8_t)sib;
                    try_one(&t);
                }
    CU_ASSERT_EQUAL(failures, 0);
}

static void print_counts(void)
{
    uint32_t i, mnemonics = 0;

    for (i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++)
        mnemonics += seen_mnemonic[i];
    printf("\n  tried %llu, accepted %llu, of %u mnemonics (transfers %llu, lock %llu, gs memory %llu, other %llu)\n",
           (unsigned long long)tried, (unsigned long long)accepted, mnemonics, (unsigned long long)kinds[0],
           (unsigned long long)kinds[1], (unsigned long long)kinds[2], (unsigned long long)kinds[3]);
    printf("  rejected by rule:");
    for (i = 0; i < 32; i++)
        if (by_rule[i])
            printf(" V%02u %llu", i, (unsigned long long)by_rule[i]);
    printf("\n  failures %llu\n", (unsigned long long)failures);
    if (!rex_part)
        CU_ASSERT_EQUAL(accepted, ACCEPTED);
}

int main(int argc, char **argv)
{
    CU_pSuite suite;
    unsigned failed;

    if (argc == 2 && strcmp(argv[1], "--first") == 0) {
        stop_at_first = true;
        rex_part = 1;
        vex_step = 5;
    } else if (argc == 3 && strncmp(argv[1], "--write", 7) == 0) {
        if (!(list = fopen(argv[2], "w"))) {
            perror(argv[2]);
            return 2;
        }
        if (strcmp(argv[1], "--write-part") == 0)
            rex_part = 1, vex_step = 5;
    }
    if (!load_zydis()) {
        puts("skipped: libZydis is not installed");
        return 0;
    }
    CU_initialize_registry();
    suite = CU_add_suite("verifier_exhaustive", NULL, NULL);
    CU_add_test(suite, "likely prefixes without REX", test_without_rex);
    CU_add_test(suite, "any prefixes", test_any_prefixes);
    CU_add_test(suite, "all addresses", test_all_addresses);
    CU_add_test(suite, "listed prefixes, all opcodes, all ModRM", test_listed_prefixes);
    CU_add_test(suite, "VEX", test_vex);
    CU_add_test(suite, "prefixes before VEX", test_vex_prefixes);
    CU_add_test(suite, "counts", print_counts);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0 || (list && fclose(list) != 0);
}

#else

int main(void)
{
    puts("skipped: Zydis headers are not installed");
    return 0;
}

#endif

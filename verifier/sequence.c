/*
 * The listed multi-instruction sequences S1, S2, S3 of format/sandbox.h: the
 * only code that computes with 64-bit registers. Each is compared byte by byte.
 * The first instruction of each is also a plain instruction, which verify.c has
 * accepted already; so a sequence is recognised at its first REX.W byte, by
 * looking at the instruction before.
 */
#include "verifier/rules.h"

#include "format/sandbox.h"

struct cursor {
    const uint8_t *code;
    uint32_t size, at;
};

static bool skip(struct cursor *c, const char *bytes, uint32_t count)
{
    uint32_t i;

    if (count > c->size - c->at)
        return false;
    for (i = 0; i < count; i++)
        if (c->code[c->at + i] != (uint8_t)bytes[i])
            return false;
    c->at += count;
    return true;
}

/* Exactly these bytes next; if so the cursor moves past them. */
#define NEXT(c, bytes) skip(c, bytes, sizeof bytes - 1)

/* The (accepted) instruction at p is movl r/m32,%r8d or movl $imm32,%r8d: bits 32-63 of r8 are 0 after it. */
static bool loads_r8d(const uint8_t *p, uint32_t length)
{
    bool memory = length > 2 && p[0] == 0x65;

    if (memory) {
        p += 2;
        length -= 2;
    }
    if (length < 3)
        return false;
    if (p[0] >= 0x44 && p[0] <= 0x47 && p[1] == 0x8b && (p[2] & 0x38) == 0)
        return memory == (p[2] < 0xc0); /* the context load has no 65 67: not listed here */
    return !memory && p[0] == 0x41 && p[1] == 0xb8;
}

/* S1 from its second instruction; the first one is at `previous`. */
static enum vxv_rule table_jump(struct cursor *c, uint32_t previous, struct vxv_sequence *sequence)
{
    _Static_assert(VX_CTX_TABLE == 0x1000, "bytes below");

    if (!loads_r8d(c->code + previous, c->at - previous))
        return VXV_TABLE_JUMP;
    if (!NEXT(c, "\x4f\x8b\x9c\xc7\x00\x10\x00\x00") ||         /* movq VX_CTX_TABLE(%r15,%r8,8),%r11 */
        !NEXT(c, "\x4f\x8d\x1c\x1c"))                           /* leaq (%r12,%r11),%r11 */
        return VXV_TABLE_JUMP;
    sequence->stops = NEXT(c, "\x41\xff\xe3");                  /* jmpq *%r11 */
    return sequence->stops || NEXT(c, "\x41\xff\xd3") ? VXV_OK : VXV_TABLE_JUMP; /* callq *%r11 */
}

enum { USES_SI = 1, USES_DI = 2 };

static int string_uses(uint8_t op)
{
    switch (op) {
    case 0xa4: case 0xa5: case 0xa6: case 0xa7: /* movs cmps */
        return USES_SI | USES_DI;
    case 0xac: case 0xad: /* lods */
        return USES_SI;
    case 0xaa: case 0xab: case 0xae: case 0xaf: /* stos scas */
        return USES_DI;
    default:
        return 0;
    }
}

/* S2; c->at is moved back to its first instruction, movl %esi,%esi or movl %edi,%edi. */
static enum vxv_rule string_instruction(struct cursor *c, uint32_t previous)
{
    int prepared = 0;
    bool counted, words, repeated;

    c->at = previous;
    if (NEXT(c, "\x89\xf6\x49\x8d\x74\x35\x00"))                /* movl %esi,%esi; leaq (%r13,%rsi),%rsi */
        prepared |= USES_SI;
    if (NEXT(c, "\x89\xff\x49\x8d\x7c\x3d\x00"))                /* movl %edi,%edi; leaq (%r13,%rdi),%rdi */
        prepared |= USES_DI;
    counted = NEXT(c, "\x89\xc9");                              /* movl %ecx,%ecx */
    words = NEXT(c, "\x66");
    repeated = NEXT(c, "\xf2") || NEXT(c, "\xf3");
    if (prepared == 0 || counted != repeated || c->at >= c->size ||
        string_uses(c->code[c->at]) != prepared || (words && !(c->code[c->at] & 1)))
        return VXV_STRING;
    c->at++;
    return VXV_OK;
}

/* S3 from its third instruction; the second is at `previous`, the first three bytes before that. */
static enum vxv_rule compare(struct cursor *c, uint32_t previous, uint64_t *boundaries,
                             struct vxv_sequence *sequence)
{
    struct cursor head = *c;
    uint32_t first = previous - 3;

    if (c->at - previous != 7 || previous < 3 || !(boundaries[first >> 6] >> (first & 63) & 1))
        return VXV_COMPARE;
    head.at = first;
    if (!NEXT(&head, "\x41\x89\xc9") ||                         /* movl %ecx,%r9d */
        !NEXT(&head, "\x41\x8d\x88") ||                         /* leal imm32(%r8),%ecx */
        !NEXT(c, "\x48\x8d\x49\xff") ||                         /* leaq -1(%rcx),%rcx */
        !NEXT(c, "\x48\x0f\xc9") ||                             /* bswapq %rcx */
        !NEXT(c, "\x67\xe3") || c->at >= c->size)               /* jecxz rel8 */
        return VXV_COMPARE;
    sequence->branch = c->at - 2;
    c->at++;
    if (!NEXT(c, "\x44\x89\xc9"))                               /* movl %r9d,%ecx */
        return VXV_COMPARE;
    boundaries[previous >> 6] &= ~(1ull << (previous & 63));
    return VXV_OK;
}

enum vxv_rule vxv_sequence(const uint8_t *code, uint32_t size, uint32_t at, uint32_t previous,
                           uint64_t *boundaries, struct vxv_sequence *sequence)
{
    struct cursor c = {code, size, at};
    enum vxv_rule rule;

    sequence->branch = 0;
    sequence->stops = false;
    switch (code[at]) {
    case 0x4f:
        rule = table_jump(&c, previous, sequence);
        break;
    case 0x49:
        rule = string_instruction(&c, previous);
        break;
    case 0x48:
        rule = compare(&c, previous, boundaries, sequence);
        break;
    default:
        rule = VXV_PREFIX;
        break;
    }
    sequence->end = c.at;
    return rule;
}

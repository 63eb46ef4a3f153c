/*
 * The verdict on one chunk. Pass 1 decodes every byte once, in order: each
 * belongs to one accepted instruction or one listed sequence. It notes where
 * code may be entered (boundaries) and where direct branches inside the chunk
 * go (targets). Pass 2 compares the two, a word at a time, and the declared
 * entries with the boundaries.
 */
#include "verifier/verifier.h"

#include <string.h>

#include "format/cache.h"
#include "verifier/decode.h"
#include "verifier/rules.h"

struct scan {
    const struct vxv_input *input;
    uint64_t *boundaries, *targets;
    /* Second run, after a bad target: the complete boundaries, to find the branch. Else NULL. */
    const uint64_t *known;
    uint32_t at, previous;
    bool stops; /* the instruction before `at` does not fall through */
    uint32_t cpu_features;
};

static bool bit_at(const uint64_t *bitmap, uint32_t at)
{
    return bitmap[at >> 6] >> (at & 63) & 1;
}

static void set_bit(uint64_t *bitmap, uint32_t at)
{
    bitmap[at >> 6] |= 1ull << (at & 63);
}

static uint32_t words(uint32_t size)
{
    return (size + 63) / 64;
}

/* The direct branch that ends at `end` with an immediate of imm_bytes (1 or 4) goes somewhere good. */
static inline __attribute__((always_inline)) bool branch(struct scan *s, uint32_t end, uint32_t imm_bytes)
{
    const struct vxv_input *in = s->input;
    const uint8_t *imm = in->code + end - imm_bytes;
    int64_t relative, target;

    if (imm_bytes == 1) {
        relative = (int8_t)imm[0];
    } else {
        int32_t value;
        memcpy(&value, imm, sizeof value);
        relative = value;
    }
    target = (int64_t)end + relative;
    if (target >= 0 && target < (int64_t)in->size) {
        if (s->known)
            return bit_at(s->known, (uint32_t)target);
        set_bit(s->targets, (uint32_t)target);
        return true;
    }
    target += in->zone_offset;
    return target >= 0 && target < (int64_t)in->zone_size && bit_at(in->entries, (uint32_t)target);
}

/* A sequence's part from s->at. */
static enum vxv_rule one_sequence(struct scan *s)
{
    const struct vxv_input *in = s->input;
    struct vxv_sequence sequence;
    enum vxv_rule rule;

    rule = vxv_sequence(in->code, in->size, s->at, s->previous, s->boundaries, &sequence);
    if (rule != VXV_OK)
        return rule;
    if (sequence.branch && !branch(s, sequence.branch + 3, 1)) {
        s->at = sequence.branch;
        return VXV_BAD_TARGET;
    }
    s->stops = sequence.stops;
    s->previous = s->at;
    s->at = sequence.end;
    return VXV_OK;
}

/* 48..4f: REX.W, which only sequences have. */
static bool is_rex_w(uint8_t byte)
{
    return (byte & 0xf8) == 0x48;
}

/* Plain instructions from s->at up to the end or the next REX.W. */
static enum vxv_rule plain_instructions(struct scan *s)
{
    const uint8_t *code = s->input->code;
    uint32_t size = s->input->size, at = s->at, previous = s->previous, cpu = 0;
    enum vxv_rule rule = VXV_OK;
    struct insn insn = {VXV_OK, 0, 0};

    while (at < size && !is_rex_w(code[at])) {
        uint8_t tail[LOOK_AHEAD];
        const uint8_t *p = code + at;
        uint32_t left = size - at, feature;

        if (left < LOOK_AHEAD) {
            memset(tail, 0, sizeof tail);
            memcpy(tail, p, left);
            p = tail;
        }
        insn = decode(p);
        rule = insn.length > left ? VXV_TRUNCATED : insn.rule;
        if (rule != VXV_OK)
            break;
        set_bit(s->boundaries, at);
        if ((insn.form & VXV_TARGET) && !branch(s, at + insn.length, insn.form & VXV_IMM1 ? 1 : 4)) {
            rule = VXV_BAD_TARGET;
            break;
        }
        feature = VXV_FORM_CPU(insn.form);
        if (feature)
            cpu |= 1u << (feature - 1);
        previous = at;
        at += insn.length;
    }
    s->at = at;
    s->previous = previous;
    s->stops = insn.form & VXV_STOP;
    s->cpu_features |= cpu;
    return rule;
}

/* Pass 1. When refused, s->at is the offending instruction. */
static enum vxv_rule scan(struct scan *s)
{
    const struct vxv_input *in = s->input;

    memset(s->boundaries, 0, words(in->size) * sizeof(uint64_t));
    s->at = s->previous = s->cpu_features = 0;
    while (s->at < in->size) {
        enum vxv_rule rule = is_rex_w(in->code[s->at]) ? one_sequence(s) : plain_instructions(s);
        if (rule != VXV_OK)
            return rule;
    }
    if (!s->stops) {
        s->at = s->previous;
        return VXV_FALLS_OFF;
    }
    return VXV_OK;
}

/* Pass 2: every in-chunk target and declared entry is a boundary. */
static enum vxv_rule compare(struct scan *s)
{
    const struct vxv_input *in = s->input;
    const uint64_t *entries = in->entries + in->zone_offset / 64;
    uint32_t i, count = words(in->size);

    for (i = 0; i < count; i++) {
        uint64_t bad = entries[i] & ~s->boundaries[i];
        if (bad) {
            s->at = i * 64 + (uint32_t)__builtin_ctzll(bad);
            return VXV_ENTRY;
        }
    }
    for (i = 0; i < count; i++)
        if (s->targets[i] & ~s->boundaries[i])
            return VXV_BAD_TARGET;
    return VXV_OK;
}

/* Only for the message: where is the branch whose target compare() found bad. */
static void find_branch(struct scan *s)
{
    struct scan again = {.input = s->input, .boundaries = s->targets, .targets = s->targets, .known = s->boundaries};

    (void)scan(&again);
    s->at = again.at;
}

/* What features of rows stand for. */
static uint32_t features(uint32_t cpu)
{
    if (cpu & VXV_CPU_VEX_AES)
        cpu |= VXV_CPU_AES | VXV_CPU_AVX;
    if (cpu & VXV_CPU_VEX_PCLMULQDQ)
        cpu |= VXV_CPU_PCLMULQDQ | VXV_CPU_AVX;
    if (cpu & (VXV_CPU_AVX2 | VXV_CPU_FMA | VXV_CPU_F16C))
        cpu |= VXV_CPU_AVX;
    return cpu & ~(uint32_t)(VXV_CPU_VEX_AES | VXV_CPU_VEX_PCLMULQDQ);
}

bool vxv_verify(const struct vxv_input *input, uint64_t *boundaries, uint64_t *targets,
                struct vxv_result *result)
{
    struct scan s = {.input = input, .boundaries = boundaries, .targets = targets};
    enum vxv_rule rule = VXV_INPUT;

    if (input->size >= 1 && input->size <= VXF_CHUNK_LIMIT && input->zone_size <= VXF_ZONE_LIMIT &&
        input->zone_offset % 64 == 0 && input->zone_offset <= input->zone_size &&
        input->size <= input->zone_size - input->zone_offset) {
        memset(targets, 0, words(input->size) * sizeof(uint64_t));
        rule = scan(&s);
        if (rule == VXV_OK) {
            rule = compare(&s);
            if (rule == VXV_BAD_TARGET)
                find_branch(&s);
        }
    }
    result->rule = rule;
    result->offset = s.at;
    result->cpu_features = rule == VXV_OK ? features(s.cpu_features) : 0;
    return rule == VXV_OK;
}

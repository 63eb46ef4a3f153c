/*
 * One chunk: lower its instructions in the guest's layout, then shorten branches.
 *
 * Code that overlaps surer code, and the stubs, come after the main lane, so
 * that fall-through stays fall-through.
 */
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/lower.h"

/* Where compilers align, the host code is aligned too: loop heads and functions. */
#define ALIGN_GUEST 16

static bool flows_on(const struct vxt_rec *rec)
{
    switch (rec->flow) {
    case FLOW_JUMP: case FLOW_JUMP_IND: case FLOW_STOP: case FLOW_EVENT:
        return false;
    default:
        return true;
    }
}

static void label(struct vxt_chunk *chunk, uint32_t index)
{
    if (vxt_grow(chunk, (void **)&chunk->labels, &chunk->label_capacity, chunk->label_count,
                 sizeof *chunk->labels)) {
        chunk->labels[chunk->label_count].index = index;
        chunk->labels[chunk->label_count++].host = chunk->size;
    }
}

/* Lower instruction i; `next` is the address of what is emitted after it (or 0 with has_next false). */
static void lower_one(struct vxt_lower *l, uint32_t i, bool has_next, vx_gaddr next)
{
    const struct vxt_rec *rec = &l->program->recs[i];
    struct vxt_insn insn;
    if (rec->mark & MARK_LEADER) {
        vxt_lower_flush(l);
        l->flags_end = rec->addr - 1; /* whoever comes here brings his own */
        vxt_lower_island(l);
        if (rec->addr % ALIGN_GUEST == 0 && i > l->chunk->first)
            emit_padding(l->chunk);
        label(l->chunk, i);
    } else {
        vxt_lower_island(l);
    }
    vxt_decode_cpu(vxt_cpu(l->program->input), rec->bytes, sizeof rec->bytes, rec->addr, &insn);
    vxt_lower_insn(l, rec, &insn);
    vxt_note_flags(l, &insn);
    l->chunk->guest_bytes += rec->length;
    vx_gaddr after = rec->addr + rec->length;
    if (flows_on(rec)) {
        if (has_next && next == after)
            return;
        vxt_lower_flush(l);
        if (l->program->input->single)
            vxt_lower_step(l, after);
        else
            vxt_lower_branch(l, 0xe9, after);
    } else if (rec->flow == FLOW_EVENT && insn.klass == VXT_INTO) {
        if (!(has_next && next == after))
            vxt_lower_branch(l, 0xe9, after);
        else
            return;
    }
    l->delta = 0;
    vxt_lower_miss_stubs(l);
}

static void lower_lane(struct vxt_lower *l, bool is_deferred)
{
    const struct vxt_rec *recs = l->program->recs;
    uint32_t i = l->chunk->first, last = l->chunk->last;
    while (i < last && recs[i].deferred != is_deferred)
        i++;
    while (i < last && !l->chunk->out_of_memory) {
        uint32_t next = i + 1;
        while (next < last && recs[next].deferred != is_deferred)
            next++;
        lower_one(l, i, next < last, next < last ? recs[next].addr : 0);
        i = next;
    }
}

static int compare_exit(const void *a, const void *b)
{
    const struct vxt_exit *left = a, *right = b;
    if (left->guest != right->guest)
        return left->guest < right->guest ? -1 : 1;
    return left->branch < right->branch ? -1 : left->branch > right->branch;
}

static void lower_exits(struct vxt_lower *l)
{
    if (l->exit_count == 0 || l->chunk->out_of_memory)
        return;
    emit_row(l->chunk, VXF_ROW_NONE, 0, 0);
    qsort(l->exits, l->exit_count, sizeof *l->exits, compare_exit);
    for (size_t i = 0; i < l->exit_count;) {
        uint32_t here = l->chunk->size;
        vx_gaddr guest = l->exits[i].guest;
        for (; i < l->exit_count && l->exits[i].guest == guest; i++)
            l->chunk->branches[l->exits[i].branch].target = here;
        vxt_lower_exit(l, guest);
    }
}

/* ---- shortening branches ------------------------------------------------- */

#define ALIGNMENT 16u

static uint32_t long_size(const struct vxt_branch *branch)
{
    if (branch->kind == PADDING)
        return ALIGNMENT - 1;
    return branch->opcode == 0xe3 ? 3 : branch->opcode < 0xe0 ? 6 : 5;
}

static uint32_t saving(const struct vxt_branch *branch)
{
    if (branch->kind == PADDING)
        return ALIGNMENT - 1 - branch->target;
    return branch->opcode < 0xe0 ? 4 : 3;
}

/* Number of branches that start before offset. */
static size_t branches_before(const struct vxt_chunk *chunk, uint32_t offset)
{
    size_t low = 0, high = chunk->branch_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (chunk->branches[middle].at < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* saved[i]: bytes saved by branches before the i-th. */
static void sum_savings(const struct vxt_chunk *chunk, uint32_t *saved)
{
    saved[0] = 0;
    for (size_t i = 0; i < chunk->branch_count; i++)
        saved[i + 1] = saved[i] + (chunk->branches[i].is_short ? saving(&chunk->branches[i]) : 0);
}

/* The same, and how much padding each place really needs. Until here all of it was counted, so distances only shrink. */
static void settle_padding(struct vxt_chunk *chunk, uint32_t *saved)
{
    saved[0] = 0;
    for (size_t i = 0; i < chunk->branch_count; i++) {
        struct vxt_branch *branch = &chunk->branches[i];
        if (branch->kind == PADDING) {
            branch->target = (0u - (branch->at - saved[i])) % ALIGNMENT;
            branch->is_short = true;
        }
        saved[i + 1] = saved[i] + (branch->is_short ? saving(branch) : 0);
    }
}

static int32_t distance(const struct vxt_branch *branch, size_t i, const uint32_t *saved)
{
    uint32_t from = branch->at + long_size(branch) - saved[i + 1];
    return (int32_t)(branch->target - saved[branch->target_before] - from);
}

/* Mark branches short until nothing changes: shrinking only brings targets nearer. */
static void choose_short(struct vxt_chunk *chunk, uint32_t *saved)
{
    bool changed = true;
    for (unsigned round = 0; changed && round < 4; round++) {
        changed = false;
        sum_savings(chunk, saved);
        for (size_t i = 0; i < chunk->branch_count; i++) {
            struct vxt_branch *branch = &chunk->branches[i];
            if (branch->is_short || branch->kind >= BRANCH_FAR || branch->opcode == 0xe8 ||
                branch->opcode == 0xe3)
                continue;
            int32_t d = distance(branch, i, saved);
            if (d >= -128 && d <= 127) {
                branch->is_short = true;
                changed = true;
            }
        }
    }
    settle_padding(chunk, saved);
}

static void encode_padding(uint8_t *p, uint32_t size)
{
    static const uint8_t nops[8][7] = {
        { 0 }, { 0x90 }, { 0x66, 0x90 }, { 0x0f, 0x1f, 0x00 }, { 0x0f, 0x1f, 0x40 }, { 0x0f, 0x1f, 0x44 },
        { 0x66, 0x0f, 0x1f, 0x44 }, { 0x0f, 0x1f, 0x80 } };
    while (size) {
        uint32_t length = size < 7 ? size : 7;
        memcpy(p, nops[length], length);
        p += length;
        size -= length;
    }
}

static void encode_branch(uint8_t *p, const struct vxt_branch *branch, int32_t d)
{
    if (branch->kind == PADDING) {
        encode_padding(p, branch->target);
    } else if (branch->opcode == 0xe3) {
        p[0] = 0x67;
        p[1] = 0xe3;
        p[2] = (uint8_t)d;
    } else if (branch->is_short) {
        p[0] = branch->opcode == 0xe9 ? 0xeb : (uint8_t)(branch->opcode - 0x10);
        p[1] = (uint8_t)d;
    } else {
        if (branch->opcode < 0xe0)
            *p++ = 0x0f;
        *p++ = branch->opcode;
        memcpy(p, &d, 4);
    }
}

/* Move the code together and rewrite branches and every recorded offset. */
static void compact(struct vxt_chunk *chunk, const uint32_t *saved)
{
    uint32_t from = 0, to = 0;
    for (size_t i = 0; i < chunk->branch_count; i++) {
        struct vxt_branch *branch = &chunk->branches[i];
        uint32_t plain = branch->at - from;
        memmove(chunk->code + to, chunk->code + from, plain);
        to += plain;
        from = branch->at + long_size(branch);
        uint32_t size = long_size(branch) - (branch->is_short ? saving(branch) : 0);
        if (branch->kind == BRANCH_FAR)
            memmove(chunk->code + to, chunk->code + branch->at, size);
        else
            encode_branch(chunk->code + to, branch,
                          branch->kind == PADDING ? 0 : distance(branch, i, saved));
        to += size;
    }
    memmove(chunk->code + to, chunk->code + from, chunk->size - from);
    chunk->size = to + (chunk->size - from);

    size_t b = 0;
    for (size_t i = 0; i < chunk->row_count; i++) {
        while (b < chunk->branch_count && chunk->branches[b].at < chunk->rows[i].host)
            b++;
        chunk->rows[i].host -= saved[b];
    }
    b = 0;
    for (size_t i = 0; i < chunk->reloc_count; i++) {
        while (b < chunk->branch_count && chunk->branches[b].at < chunk->relocs[i].host)
            b++;
        chunk->relocs[i].host -= saved[b];
    }
    b = 0;
    for (size_t i = 0; i < chunk->label_count; i++) {
        while (b < chunk->branch_count && chunk->branches[b].at < chunk->labels[i].host)
            b++;
        chunk->labels[i].host -= saved[b];
    }
    for (size_t i = 0; i < chunk->branch_count; i++)
        chunk->branches[i].at -= saved[i];
}

/* Rows that a later one at the same offset hides go. */
static void drop_hidden_rows(struct vxt_chunk *chunk)
{
    size_t kept = 0;
    for (size_t i = 0; i < chunk->row_count; i++)
        if (chunk->rows[i].host < chunk->size &&
            (i + 1 == chunk->row_count || chunk->rows[i + 1].host != chunk->rows[i].host))
            chunk->rows[kept++] = chunk->rows[i];
    chunk->row_count = kept;
}

vx_status vxt_chunk_make(const struct vxt_program *program, struct vxt_chunk *chunk, uint32_t *host_of)
{
    struct vxt_lower l = { .program = program, .chunk = chunk };
    lower_lane(&l, false);
    lower_lane(&l, true);
    vxt_lower_miss_stubs(&l);
    lower_exits(&l);
    free(l.exits);
    uint32_t *saved = chunk->out_of_memory ? NULL : malloc((chunk->branch_count + 1) * sizeof *saved);
    if (!saved)
        return VX_ERR_MEMORY;
    for (size_t i = 0; i < chunk->label_count; i++)
        host_of[chunk->labels[i].index] = chunk->labels[i].host;
    for (size_t i = 0; i < chunk->branch_count; i++) {
        struct vxt_branch *branch = &chunk->branches[i];
        if (branch->kind >= BRANCH_FAR)
            continue;
        if (branch->kind == BRANCH_GUEST)
            branch->target = host_of[branch->target];
        if (branch->target == VXT_NO_HOST) {
            free(saved);
            return VX_ERR_TRANSLATE;
        }
        branch->target_before = (uint32_t)branches_before(chunk, branch->target);
    }
    choose_short(chunk, saved);
    compact(chunk, saved);
    free(saved);
    for (size_t i = 0; i < chunk->label_count; i++)
        host_of[chunk->labels[i].index] = chunk->labels[i].host;
    drop_hidden_rows(chunk);
    return VX_OK;
}

void vxt_chunk_free(struct vxt_chunk *chunk)
{
    free(chunk->code);
    free(chunk->branches);
    free(chunk->rows);
    free(chunk->relocs);
    free(chunk->labels);
    *chunk = (struct vxt_chunk){ 0 };
}

/*
 * What the code names: immediates, displacements, and the jump tables that they lead to.
 */
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/discover.h"

#define MAX_TABLE_WORDS 4096
/* Of all tables together: so many, and so many more for each constant. A file may name overlapping tables without end. */
#define ALL_TABLE_WORDS (1u << 20)
#define CONSTANT_WORDS 16

void vxt_note_got(struct vxt_work *work, vx_gaddr value)
{
    for (size_t i = 0; i < work->got_count; i++)
        if (work->got[i] == value)
            return;
    if (work->got_count < VXT_MAX_GOT)
        work->got[work->got_count++] = value;
}

static void note_constant(struct vxt_work *work, uint8_t kind, vx_gaddr value)
{
    if (work->constant_count == work->constant_capacity) {
        size_t capacity = work->constant_capacity ? work->constant_capacity * 2 : 256;
        struct vxt_constant *constants = realloc(work->constants, capacity * sizeof *constants);
        if (!constants) {
            work->failed = true;
            return;
        }
        work->constants = constants;
        work->constant_capacity = capacity;
    }
    work->constants[work->constant_count++] = (struct vxt_constant){ kind, value };
}

void vxt_note_constants(struct vxt_work *work, const struct vxt_insn *insn)
{
    if (insn->addr16)
        return;
    if (insn->klass == VXT_LEA && insn->disp)
        note_constant(work, VXT_POINTER, (vx_gaddr)insn->disp);
    else if (insn->is_mem && insn->index >= 0 && insn->scale == 2 && insn->disp)
        note_constant(work, VXT_INDEXED, (vx_gaddr)insn->disp);
    if (insn->imm_size == 4 && insn->imm)
        note_constant(work, VXT_IMMEDIATE, insn->imm);
}

static bool in_code(const struct vxt_input *input, vx_gaddr addr)
{
    uint32_t available;
    return vxt_bytes(input, addr, &available) != NULL;
}

/* The data at addr, and how many words follow in its span. */
static const uint8_t *data_words(const struct vxt_input *input, vx_gaddr addr, uint32_t *count)
{
    *count = 0;
    for (size_t i = 0; i < input->data_count; i++) {
        const struct vxt_span *span = &input->data[i];
        if (addr - span->addr < span->size && span->size - (addr - span->addr) >= 4) {
            *count = (span->size - (addr - span->addr)) / 4;
            return span->bytes + (addr - span->addr);
        }
    }
    return NULL;
}

/* Follow a table whose entries are base + word, as long as they lead into code. Returns its end. */
static vx_gaddr read_table(struct vxt_work *work, vx_gaddr table, vx_gaddr base)
{
    const struct vxt_input *input = work->program->input;
    uint32_t word, count, i;
    const uint8_t *words = data_words(input, table, &count);
    for (i = 0; i < count && i < MAX_TABLE_WORDS && work->words_left; i++) {
        memcpy(&word, words + 4 * i, 4);
        if (word == 0 || !in_code(input, base + word))
            break;
        work->words_left--;
        vxt_found_entry(work, base + word);
    }
    return table + 4 * i;
}

/* Constants come in ascending order within each kind, not over all kinds: only the table read last is known to be
 * done, not all below its end. */
static void read_got_table(struct vxt_work *work, vx_gaddr table, size_t got)
{
    if (table - work->scanned_from[got] < work->scanned_to[got] - work->scanned_from[got])
        return;
    work->scanned_from[got] = table;
    work->scanned_to[got] = read_table(work, table, work->got[got]);
}

/* A pointer that code computes: a code address, or a table of table-relative or GOT-relative entries. Words inside
 * code are no table-relative tables: every small number would lead into code again. */
static void try_pointer(struct vxt_work *work, vx_gaddr value)
{
    if (in_code(work->program->input, value)) {
        vxt_found_entry(work, value);
        return;
    }
    read_table(work, value, value);
    for (size_t i = 0; i < work->got_count; i++)
        read_got_table(work, value, i);
}

/* Tables of absolute addresses are among the seeds, as address-like words. */
static void try_constant(struct vxt_work *work, const struct vxt_constant *constant)
{
    bool has_absolute = !work->program->input->position_independent;
    if (constant->kind != VXT_INDEXED && has_absolute)
        try_pointer(work, constant->value);
    for (size_t i = 0; i < work->got_count && constant->kind != VXT_IMMEDIATE; i++) {
        vx_gaddr value = work->got[i] + constant->value;
        if (constant->kind == VXT_POINTER)
            try_pointer(work, value);
        else
            read_got_table(work, value, i);
    }
}

static int compare_constant(const void *a, const void *b)
{
    const struct vxt_constant *left = a, *right = b;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    return (left->value > right->value) - (left->value < right->value);
}

void vxt_follow_constants(struct vxt_work *work)
{
    work->words_left = ALL_TABLE_WORDS;
    for (unsigned round = 0; round < 8 && work->constant_count && !work->failed; round++) {
        struct vxt_constant *constants = work->constants;
        size_t count = work->constant_count;
        work->constants = NULL;
        work->constant_count = work->constant_capacity = 0;
        work->words_left += count * CONSTANT_WORDS;
        qsort(constants, count, sizeof *constants, compare_constant);
        for (size_t i = 0; i < count; i++)
            if (i == 0 || compare_constant(&constants[i], &constants[i - 1]))
                try_constant(work, &constants[i]);
        free(constants);
        memset(work->scanned_from, 0, sizeof work->scanned_from);
        memset(work->scanned_to, 0, sizeof work->scanned_to);
        vxt_drain(work);
    }
}

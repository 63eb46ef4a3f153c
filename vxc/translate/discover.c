/*
 * Code discovery: from seeds through direct flow, then what the code names
 * (immediates, displacements, jump tables), then the gaps.
 *
 * Translating bytes that are never run is harmless; missing some only costs a
 * translation at run time. Each pass is less sure than the one before; where
 * two instruction streams overlap, the surer one keeps its place.
 */
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/code.h"

struct vxt_page {
    uint32_t number;
    uint8_t mark[VX_PAGE_BYTES];
    uint32_t index[VX_PAGE_BYTES];
};

#define MAX_GOT 16
#define MAX_TABLE_WORDS 4096

/* A constant in an instruction, and how it is used. */
enum { IMMEDIATE, POINTER /* lea */, INDEXED /* displacement beside an index times 4 */ };
struct constant {
    uint8_t kind;
    vx_gaddr value;
};

struct work {
    struct vxt_program *program;
    vx_gaddr *queue;
    size_t head, count, capacity;
    size_t rec_capacity;
    vx_gaddr *got; /* values that pc-relative code computes as its base */
    size_t got_count;
    struct constant *constants; /* seen in instructions, not followed yet */
    size_t constant_count, constant_capacity;
    vx_gaddr scanned_from[MAX_GOT], scanned_to[MAX_GOT]; /* the table relative to got[i] read last */
    uint8_t pass;
    bool failed;
};

const uint8_t *vxt_bytes(const struct vxt_input *input, vx_gaddr addr, uint32_t *available)
{
    size_t low = 0, high = input->span_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct vxt_span *span = &input->spans[middle];
        if (addr < span->addr)
            high = middle;
        else if (addr - span->addr >= span->size)
            low = middle + 1;
        else {
            *available = span->size - (addr - span->addr);
            return span->bytes + (addr - span->addr);
        }
    }
    *available = 0;
    return NULL;
}

static struct vxt_page *page_lookup(const struct vxt_program *program, uint32_t number)
{
    if (program->page_slots == 0)
        return NULL;
    size_t slot = number * 0x9e3779b1u & (program->page_slots - 1);
    while (program->pages[slot] && program->pages[slot]->number != number)
        slot = (slot + 1) & (program->page_slots - 1);
    return program->pages[slot];
}

static bool page_grow(struct vxt_program *program)
{
    size_t slots = program->page_slots ? program->page_slots * 2 : 16;
    struct vxt_page **pages = calloc(slots, sizeof *pages);
    if (!pages)
        return false;
    for (size_t i = 0; i < program->page_slots; i++) {
        struct vxt_page *page = program->pages[i];
        if (!page)
            continue;
        size_t slot = page->number * 0x9e3779b1u & (slots - 1);
        while (pages[slot])
            slot = (slot + 1) & (slots - 1);
        pages[slot] = page;
    }
    free(program->pages);
    program->pages = pages;
    program->page_slots = slots;
    return true;
}

static struct vxt_page *page_get(struct work *work, vx_gaddr addr)
{
    struct vxt_program *program = work->program;
    uint32_t number = addr / VX_PAGE_BYTES;
    if (program->last && program->last->number == number)
        return program->last;
    struct vxt_page *page = page_lookup(program, number);
    if (!page) {
        if (program->page_count * 2 >= program->page_slots && !page_grow(program))
            return NULL;
        page = calloc(1, sizeof *page);
        if (!page)
            return NULL;
        page->number = number;
        size_t slot = number * 0x9e3779b1u & (program->page_slots - 1);
        while (program->pages[slot])
            slot = (slot + 1) & (program->page_slots - 1);
        program->pages[slot] = page;
        program->page_count++;
    }
    program->last = page;
    return page;
}

uint32_t vxt_find(const struct vxt_program *program, vx_gaddr addr)
{
    struct vxt_page *page = page_lookup(program, addr / VX_PAGE_BYTES);
    if (!page || !(page->mark[addr % VX_PAGE_BYTES] & MARK_START))
        return VXT_NO_INDEX;
    return page->index[addr % VX_PAGE_BYTES];
}

static void push(struct work *work, vx_gaddr addr)
{
    if (work->count == work->capacity) {
        size_t capacity = work->capacity ? work->capacity * 2 : 256;
        vx_gaddr *queue = realloc(work->queue, capacity * sizeof *queue);
        if (!queue) {
            work->failed = true;
            return;
        }
        work->queue = queue;
        work->capacity = capacity;
    }
    work->queue[work->count++] = addr;
}

/* Note that a block starts at addr (marks: MARK_LEADER, perhaps MARK_ENTRY); queue it if it is new. */
static void arrive(struct work *work, vx_gaddr addr, uint8_t marks)
{
    uint32_t available;
    if (!vxt_bytes(work->program->input, addr, &available))
        return;
    struct vxt_page *page = page_get(work, addr);
    if (!page) {
        work->failed = true;
        return;
    }
    uint8_t *mark = &page->mark[addr % VX_PAGE_BYTES];
    bool is_new = !(*mark & (MARK_LEADER | MARK_START));
    *mark |= marks;
    if (is_new)
        push(work, addr);
}

/* The target of a direct branch. */
static void leader(struct work *work, vx_gaddr addr)
{
    arrive(work, addr, MARK_LEADER);
}

/* A place that is reached indirectly, by a call, or from the runtime. */
static void entry(struct work *work, vx_gaddr addr)
{
    arrive(work, addr, MARK_LEADER | MARK_ENTRY);
}

static uint8_t flow_of(const struct vxt_insn *insn)
{
    switch (insn->klass) {
    case VXT_UD: case VXT_GP: case VXT_TRUNC: case VXT_FAR_E:
    case VXT_FAR_JMP: case VXT_FAR_RET:
        return FLOW_STOP;
    case VXT_CALL:
        return FLOW_CALL;
    case VXT_CALL_E:
        return FLOW_CALL_IND;
    case VXT_JMP:
        return FLOW_JUMP;
    case VXT_JMP_E: case VXT_RET:
        return FLOW_JUMP_IND;
    case VXT_JCC: case VXT_LOOP: case VXT_LOOPE: case VXT_LOOPNE: case VXT_JCXZ:
        return FLOW_BRANCH;
    case VXT_ENTER:
        return insn->imm2 & 31 || insn->osize16 ? FLOW_EVENT : FLOW_NEXT;
    case VXT_STRING:
        return insn->addr16 || insn->seg >= 4 ? FLOW_EVENT : FLOW_NEXT;
    case VXT_PASS:
        return insn->map == 1 && insn->opcode == 0xf7 ? FLOW_EVENT : FLOW_NEXT; /* maskmov */
    case VXT_INT: case VXT_INT3: case VXT_INTO: case VXT_INT1: case VXT_PUSHF: case VXT_POPF:
    case VXT_PUSH_SEG: case VXT_POP_SEG: case VXT_BOUND: case VXT_LOAD_FAR: case VXT_MOV_FROM_SEG:
    case VXT_MOV_TO_SEG: case VXT_DAA: case VXT_DAS: case VXT_AAA: case VXT_AAS: case VXT_AAM:
    case VXT_AAD: case VXT_SALC: case VXT_CPUID: case VXT_XGETBV: case VXT_RDTSCP: case VXT_ARPL:
    case VXT_LAR: case VXT_LSL: case VXT_VERR: case VXT_VERW: case VXT_FAR_CALL: case VXT_FNSTENV:
    case VXT_FLDENV: case VXT_FNSAVE: case VXT_FRSTOR: case VXT_FXSAVE: case VXT_FXRSTOR: case VXT_GATHER:
    case VXT_XSAVE: case VXT_XSAVEC: case VXT_XSAVEOPT: case VXT_XRSTOR:
        return FLOW_EVENT;
    default:
        return FLOW_NEXT;
    }
}

/* A call whose only effect is to fetch an address: to the next instruction, or to "mov (%esp),%reg; ret". */
static bool is_thunk_call(const struct vxt_input *input, const struct vxt_insn *insn, uint8_t *reg)
{
    if (insn->klass != VXT_CALL || insn->osize16)
        return false;
    if (insn->target == insn->addr + insn->length)
        return true;
    uint32_t available;
    uint8_t code[4];
    const uint8_t *bytes = vxt_bytes(input, insn->target, &available);
    if (!bytes || available < sizeof code)
        return false;
    memcpy(code, bytes, sizeof code);
    *reg = code[1] >> 3 & 7;
    return code[0] == 0x8b && (code[1] & 0xc7) == 0x04 && code[1] != 0x24 && code[2] == 0x24 && code[3] == 0xc3;
}

static void note_got(struct work *work, vx_gaddr value)
{
    for (size_t i = 0; i < work->got_count; i++)
        if (work->got[i] == value)
            return;
    if (work->got_count < MAX_GOT)
        work->got[work->got_count++] = value;
}

static void note_constant(struct work *work, uint8_t kind, vx_gaddr value)
{
    if (work->constant_count == work->constant_capacity) {
        size_t capacity = work->constant_capacity ? work->constant_capacity * 2 : 256;
        struct constant *constants = realloc(work->constants, capacity * sizeof *constants);
        if (!constants) {
            work->failed = true;
            return;
        }
        work->constants = constants;
        work->constant_capacity = capacity;
    }
    work->constants[work->constant_count++] = (struct constant){ kind, value };
}

/* Constants in an instruction that may be code addresses or jump tables. */
static void note_constants(struct work *work, const struct vxt_insn *insn)
{
    if (insn->addr16)
        return;
    if (insn->klass == VXT_LEA && insn->disp)
        note_constant(work, POINTER, (vx_gaddr)insn->disp);
    else if (insn->is_mem && insn->index >= 0 && insn->scale == 2 && insn->disp)
        note_constant(work, INDEXED, (vx_gaddr)insn->disp);
    if (insn->imm_size == 4 && insn->imm)
        note_constant(work, IMMEDIATE, insn->imm);
}

/* add $imm32, %reg: after a thunk call this computes the GOT's address */
static bool is_add_constant(const struct vxt_insn *insn)
{
    return insn->klass == VXT_PASS && insn->map == 0 && insn->imm_size == 4 &&
           (insn->opcode == 0x05 || (insn->opcode == 0x81 && insn->reg == 0 && !insn->is_mem));
}

/* The target of a call: discovered too, unless it is translated elsewhere. If it turns up here all the same it needs
 * a label. */
static void callee(struct work *work, vx_gaddr addr)
{
    const struct vxt_input *input = work->program->input;
    uint32_t available;
    if (!input->is_known || !input->is_known(input->known_context, addr) || !vxt_bytes(input, addr, &available)) {
        entry(work, addr);
        return;
    }
    struct vxt_page *page = page_get(work, addr);
    if (page)
        page->mark[addr % VX_PAGE_BYTES] |= MARK_LEADER | MARK_ENTRY;
    else
        work->failed = true;
}

/* Record one instruction. NULL if memory is out. */
static struct vxt_rec *add_rec(struct work *work, const struct vxt_insn *insn, const uint8_t *bytes)
{
    struct vxt_program *program = work->program;
    if (program->count == work->rec_capacity) {
        size_t capacity = work->rec_capacity ? work->rec_capacity * 2 : 256;
        struct vxt_rec *recs = realloc(program->recs, capacity * sizeof *recs);
        if (!recs)
            return NULL;
        program->recs = recs;
        work->rec_capacity = capacity;
    }
    struct vxt_rec *rec = &program->recs[program->count++];
    *rec = (struct vxt_rec){ .addr = insn->addr, .target = insn->target, .length = insn->length,
                             .flow = flow_of(insn), .pass = work->pass,
                             .flags_read = insn->flags_read, .flags_written = insn->flags_written };
    memcpy(rec->bytes, bytes, sizeof rec->bytes);
    return rec;
}

static bool is_full(const struct work *work)
{
    const struct vxt_input *input = work->program->input;
    return input->max_insns && work->program->count >= input->max_insns;
}

/* Decode from addr until flow ends or meets known instructions. */
static void walk(struct work *work, vx_gaddr addr)
{
    const struct vxt_input *input = work->program->input;
    bool after_thunk = false;
    vx_gaddr thunk_return = 0;
    while (!work->failed) {
        uint32_t available;
        const uint8_t *bytes = vxt_bytes(input, addr, &available);
        struct vxt_page *page = bytes ? page_get(work, addr) : NULL;
        if (!page) {
            work->failed |= bytes != NULL;
            return;
        }
        uint8_t *mark = &page->mark[addr % VX_PAGE_BYTES];
        if (*mark & MARK_START || is_full(work))
            return;
        struct vxt_insn insn;
        uint8_t copy[VXT_INSN_BYTES] = { 0 };
        if (available > sizeof copy)
            available = sizeof copy;
        memcpy(copy, bytes, available);
        vxt_decode_cpu(vxt_cpu(input), copy, available, addr, &insn);
        if (insn.klass == VXT_TRUNC)
            return;
        struct vxt_rec *rec = add_rec(work, &insn, copy);
        if (!rec) {
            work->failed = true;
            return;
        }
        *mark |= MARK_START;
        page->index[addr % VX_PAGE_BYTES] = (uint32_t)(work->program->count - 1);
        if (after_thunk && is_add_constant(&insn))
            note_got(work, thunk_return + insn.imm);
        after_thunk = after_thunk && insn.klass == VXT_POP_R; /* call next; pop; add */
        if (input->data_count)
            note_constants(work, &insn);
        vx_gaddr next = addr + insn.length;
        switch (rec->flow) {
        case FLOW_CALL:
            if (is_thunk_call(input, &insn, &rec->thunk)) {
                rec->mark |= MARK_THUNK;
                rec->flow = FLOW_NEXT;
                after_thunk = true;
                thunk_return = next;
                if (insn.target != next) /* the unit depends on its bytes */
                    entry(work, insn.target);
                break;
            }
            if (input->follow_calls)
                callee(work, insn.target);
            entry(work, next);
            break;
        case FLOW_CALL_IND: case FLOW_EVENT:
            entry(work, next);
            break;
        case FLOW_BRANCH:
            leader(work, insn.target);
            break;
        case FLOW_JUMP:
            leader(work, insn.target);
            return;
        case FLOW_JUMP_IND: case FLOW_STOP:
            return;
        default:
            break;
        }
        if (input->single)
            return;
        addr = next;
    }
}

static void drain(struct work *work)
{
    while (work->head < work->count && !work->failed && !is_full(work))
        walk(work, work->queue[work->head++]);
    work->head = work->count = 0;
}

static bool in_code(const struct vxt_input *input, vx_gaddr addr)
{
    uint32_t available;
    return vxt_bytes(input, addr, &available) != NULL;
}

static bool data_word(const struct vxt_input *input, vx_gaddr addr, uint32_t *word)
{
    for (size_t i = 0; i < input->data_count; i++) {
        const struct vxt_span *span = &input->data[i];
        if (addr - span->addr < span->size && span->size - (addr - span->addr) >= 4) {
            memcpy(word, span->bytes + (addr - span->addr), 4);
            return true;
        }
    }
    return false;
}

/* Follow a table whose entries are base + word, as long as they lead into code. Returns its end. */
static vx_gaddr read_table(struct work *work, vx_gaddr table, vx_gaddr base)
{
    const struct vxt_input *input = work->program->input;
    uint32_t word;
    unsigned i;
    for (i = 0; i < MAX_TABLE_WORDS && data_word(input, table + 4 * i, &word); i++) {
        if (word == 0 || !in_code(input, base + word))
            break;
        entry(work, base + word);
    }
    return table + 4 * i;
}

/* Constants come in ascending order within each kind, not over all kinds: only the table read last is known to be
 * done, not all below its end. */
static void read_got_table(struct work *work, vx_gaddr table, size_t got)
{
    if (table - work->scanned_from[got] < work->scanned_to[got] - work->scanned_from[got])
        return;
    work->scanned_from[got] = table;
    work->scanned_to[got] = read_table(work, table, work->got[got]);
}

/* A pointer that code computes: a code address, or a table of table-relative or GOT-relative entries. Words inside
 * code are no table-relative tables: every small number would lead into code again. */
static void try_pointer(struct work *work, vx_gaddr value)
{
    if (in_code(work->program->input, value)) {
        entry(work, value);
        return;
    }
    read_table(work, value, value);
    for (size_t i = 0; i < work->got_count; i++)
        read_got_table(work, value, i);
}

/* Tables of absolute addresses are among the seeds, as address-like words. */
static void try_constant(struct work *work, const struct constant *constant)
{
    bool has_absolute = !work->program->input->position_independent;
    if (constant->kind != INDEXED && has_absolute)
        try_pointer(work, constant->value);
    for (size_t i = 0; i < work->got_count && constant->kind != IMMEDIATE; i++) {
        vx_gaddr value = work->got[i] + constant->value;
        if (constant->kind == POINTER)
            try_pointer(work, value);
        else
            read_got_table(work, value, i);
    }
}

static int compare_constant(const void *a, const void *b)
{
    const struct constant *left = a, *right = b;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    return (left->value > right->value) - (left->value < right->value);
}

/* Follow the constants seen, until nothing new turns up. */
static void follow_constants(struct work *work)
{
    for (unsigned round = 0; round < 8 && work->constant_count && !work->failed; round++) {
        struct constant *constants = work->constants;
        size_t count = work->constant_count;
        work->constants = NULL;
        work->constant_count = work->constant_capacity = 0;
        qsort(constants, count, sizeof *constants, compare_constant);
        for (size_t i = 0; i < count; i++)
            if (i == 0 || compare_constant(&constants[i], &constants[i - 1]))
                try_constant(work, &constants[i]);
        free(constants);
        memset(work->scanned_from, 0, sizeof work->scanned_from);
        memset(work->scanned_to, 0, sizeof work->scanned_to);
        drain(work);
    }
}

/* Undiscovered bytes between known code: translate them if they decode cleanly up to the next known
 * instruction or the end of the span. Padding is skipped. */
static void sweep_gaps(struct work *work)
{
    const struct vxt_input *input = work->program->input;
    for (size_t s = 0; s < input->span_count; s++) {
        const struct vxt_span *span = &input->spans[s];
        uint32_t offset = 0;
        while (offset < span->size && !work->failed) {
            vx_gaddr addr = span->addr + offset;
            uint32_t index = vxt_find(work->program, addr);
            struct vxt_insn insn;
            vxt_decode_cpu(vxt_cpu(input), span->bytes + offset, span->size - offset, addr, &insn);
            uint8_t first = span->bytes[offset];
            bool is_padding = first == 0x90 || first == 0xcc || first == 0 || insn.klass == VXT_NOP_E ||
                              insn.klass == VXT_UD || insn.klass == VXT_GP || insn.klass == VXT_TRUNC;
            if (index == VXT_NO_INDEX && !is_padding) {
                entry(work, addr);
                drain(work);
            }
            offset += insn.klass == VXT_UD || insn.klass == VXT_GP || insn.klass == VXT_TRUNC
                          ? 1 : insn.length;
        }
    }
}

static int compare_page(const void *a, const void *b)
{
    const struct vxt_page *left = *(struct vxt_page *const *)a, *right = *(struct vxt_page *const *)b;
    return (left->number > right->number) - (left->number < right->number);
}

/* Put the instructions in the order of their addresses: the pages know where each one starts. */
static bool sort_recs(struct vxt_program *program)
{
    struct vxt_page **pages = malloc((program->page_count + 1) * sizeof *pages);
    struct vxt_rec *sorted = malloc((program->count + 1) * sizeof *sorted);
    size_t page_count = 0, count = 0;
    if (!pages || !sorted) {
        free(pages);
        free(sorted);
        return false;
    }
    for (size_t i = 0; i < program->page_slots; i++)
        if (program->pages[i])
            pages[page_count++] = program->pages[i];
    if (page_count)
        qsort(pages, page_count, sizeof *pages, compare_page);
    for (size_t p = 0; p < page_count; p++)
        for (uint32_t offset = 0; offset < VX_PAGE_BYTES; offset++) {
            uint64_t eight;
            memcpy(&eight, pages[p]->mark + (offset & ~7u), 8);
            if (eight == 0) {
                offset |= 7;
            } else if (pages[p]->mark[offset] & MARK_START) {
                sorted[count] = program->recs[pages[p]->index[offset]];
                sorted[count].mark |= pages[p]->mark[offset];
                pages[p]->index[offset] = (uint32_t)count++;
            }
        }
    free(pages);
    free(program->recs);
    program->recs = sorted;
    return true;
}

/* Set aside what overlaps surer code: an instruction gives way to a surer one that starts inside it, and to a kept
 * one that it starts inside of. */
static void defer_overlaps(struct vxt_program *program)
{
    uint64_t kept_end = 0;
    for (size_t i = 0; i < program->count; i++) {
        struct vxt_rec *rec = &program->recs[i];
        uint64_t end = (uint64_t)rec->addr + rec->length;
        rec->deferred = rec->addr < kept_end;
        for (size_t j = i + 1; j < program->count && program->recs[j].addr < end; j++)
            if (program->recs[j].pass < rec->pass)
                rec->deferred = true;
        if (!rec->deferred)
            kept_end = end;
    }
}

vx_status vxt_discover(const struct vxt_input *input, struct vxt_program *program)
{
    vx_gaddr got[MAX_GOT];
    *program = (struct vxt_program){ .input = input };
    struct work work = { .program = program, .got = got };
    for (size_t i = 0; i < input->seed_count && !input->single; i++)
        entry(&work, input->seeds[i]);
    drain(&work);
    if (input->single) {
        walk(&work, input->seeds[0]);
        if (program->count)
            program->recs[0].mark |= MARK_LEADER | MARK_ENTRY;
    } else if (input->data_count) {
        work.pass = 1;
        follow_constants(&work);
        work.pass = 2;
        sweep_gaps(&work);
        work.pass = 3;
        follow_constants(&work);
    }
    if (sort_recs(program))
        defer_overlaps(program);
    else
        work.failed = true;
    free(work.queue);
    free(work.constants);
    return work.failed ? VX_ERR_MEMORY : VX_OK;
}

void vxt_program_free(struct vxt_program *program)
{
    for (size_t i = 0; i < program->page_slots; i++)
        free(program->pages[i]);
    free(program->pages);
    free(program->recs);
    *program = (struct vxt_program){ 0 };
}

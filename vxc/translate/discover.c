/*
 * Code discovery: from seeds through direct flow, then what the code names
 * (constants.c), then the gaps.
 *
 * Translating bytes that are never run is harmless; missing some only costs a
 * translation at run time. Each pass is less sure than the one before; where
 * two instruction streams overlap, the surer one keeps its place.
 */
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/discover.h"

static void push(struct vxt_work *work, vx_gaddr addr)
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
static void arrive(struct vxt_work *work, vx_gaddr addr, uint8_t marks)
{
    uint32_t available;
    const struct vxt_page *last = work->program->last;
    if (last && last->number == addr / VX_PAGE_BYTES && (last->mark[addr % VX_PAGE_BYTES] & marks) == marks)
        return;
    if (!vxt_bytes(work->program->input, addr, &available))
        return;
    struct vxt_page *page = vxt_page_get(work->program, addr);
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
static void leader(struct vxt_work *work, vx_gaddr addr)
{
    arrive(work, addr, MARK_LEADER);
}

void vxt_found_entry(struct vxt_work *work, vx_gaddr addr)
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

/* add $imm32, %reg: after a thunk call this computes the GOT's address */
static bool is_add_constant(const struct vxt_insn *insn)
{
    return insn->klass == VXT_PASS && insn->map == 0 && insn->imm_size == 4 &&
           (insn->opcode == 0x05 || (insn->opcode == 0x81 && insn->reg == 0 && !insn->is_mem));
}

/* The target of a call: discovered too, unless it is translated elsewhere. If it turns up here all the same it needs
 * a label. */
static void callee(struct vxt_work *work, vx_gaddr addr)
{
    const struct vxt_input *input = work->program->input;
    uint32_t available;
    bool is_wanted = !input->is_known || !input->is_known(input->known_context, addr);
    if (is_wanted || !vxt_bytes(input, addr, &available)) {
        vxt_found_entry(work, addr);
        return;
    }
    struct vxt_page *page = vxt_page_get(work->program, addr);
    if (page)
        page->mark[addr % VX_PAGE_BYTES] |= MARK_LEADER | MARK_ENTRY;
    else
        work->failed = true;
}

/* Record one instruction. NULL if memory is out. */
static struct vxt_rec *add_rec(struct vxt_work *work, const struct vxt_insn *insn, const uint8_t *bytes)
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

static bool is_full(const struct vxt_work *work)
{
    const struct vxt_input *input = work->program->input;
    return input->max_insns && work->program->count >= input->max_insns;
}

/* Decode from addr until flow ends or meets known instructions. */
static void walk(struct vxt_work *work, vx_gaddr addr)
{
    const struct vxt_input *input = work->program->input;
    bool after_thunk = false;
    vx_gaddr thunk_return = 0;
    uint32_t available;
    const uint8_t *bytes = vxt_bytes(input, addr, &available);
    while (!work->failed) {
        struct vxt_page *page = bytes ? vxt_page_get(work->program, addr) : NULL;
        if (!page) {
            work->failed |= bytes != NULL;
            return;
        }
        uint8_t *mark = &page->mark[addr % VX_PAGE_BYTES];
        if (*mark & MARK_START || is_full(work))
            return;
        struct vxt_insn insn;
        uint8_t copy[VXT_INSN_BYTES] = { 0 };
        if (available >= sizeof copy)
            memcpy(copy, bytes, sizeof copy);
        else
            memcpy(copy, bytes, available);
        vxt_decode_cpu(vxt_cpu(input), copy, available < sizeof copy ? available : sizeof copy, addr, &insn);
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
            vxt_note_got(work, thunk_return + insn.imm);
        after_thunk = after_thunk && insn.klass == VXT_POP_R; /* call next; pop; add */
        if (input->data_count)
            vxt_note_constants(work, &insn);
        vx_gaddr next = addr + insn.length;
        switch (rec->flow) {
        case FLOW_CALL:
            if (is_thunk_call(input, &insn, &rec->thunk)) {
                rec->mark |= MARK_THUNK;
                rec->flow = FLOW_NEXT;
                after_thunk = true;
                thunk_return = next;
                if (insn.target != next) /* the unit depends on its bytes */
                    vxt_found_entry(work, insn.target);
                break;
            }
            callee(work, insn.target);
            vxt_found_entry(work, next);
            break;
        case FLOW_CALL_IND: case FLOW_EVENT:
            vxt_found_entry(work, next);
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
        bytes += insn.length;
        available -= insn.length;
        if (available == 0)
            bytes = vxt_bytes(input, addr, &available);
    }
}

void vxt_drain(struct vxt_work *work)
{
    while (work->head < work->count && !work->failed && !is_full(work))
        walk(work, work->queue[work->head++]);
    work->head = work->count = 0;
}

/* Undiscovered bytes between known code: translate them if they decode cleanly up to the next known
 * instruction or the end of the span. Padding is skipped. */
static void sweep_gaps(struct vxt_work *work)
{
    const struct vxt_input *input = work->program->input;
    for (size_t s = 0; s < input->span_count; s++) {
        const struct vxt_span *span = &input->spans[s];
        uint32_t offset = 0;
        while (offset < span->size && !work->failed) {
            vx_gaddr addr = span->addr + offset;
            uint32_t index = vxt_find(work->program, addr);
            struct vxt_insn insn;
            if (index != VXT_NO_INDEX && work->program->recs[index].flow != FLOW_STOP) {
                offset += work->program->recs[index].length;
                continue;
            }
            vxt_decode_cpu(vxt_cpu(input), span->bytes + offset, span->size - offset, addr, &insn);
            uint8_t first = span->bytes[offset];
            bool is_padding = first == 0x90 || first == 0xcc || first == 0 || insn.klass == VXT_NOP_E ||
                              insn.klass == VXT_UD || insn.klass == VXT_GP || insn.klass == VXT_TRUNC;
            if (index == VXT_NO_INDEX && !is_padding) {
                vxt_found_entry(work, addr);
                vxt_drain(work);
            }
            offset += insn.klass == VXT_UD || insn.klass == VXT_GP || insn.klass == VXT_TRUNC
                          ? 1 : insn.length;
        }
    }
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
    *program = (struct vxt_program){ .input = input };
    struct vxt_work work = { .program = program };
    for (size_t i = 0; i < input->seed_count && !input->single; i++)
        vxt_found_entry(&work, input->seeds[i]);
    vxt_drain(&work);
    if (input->single) {
        walk(&work, input->seeds[0]);
        if (program->count)
            program->recs[0].mark |= MARK_LEADER | MARK_ENTRY;
    } else if (input->data_count) {
        work.pass = 1;
        vxt_follow_constants(&work);
        work.pass = 2;
        sweep_gaps(&work);
        work.pass = 3;
        vxt_follow_constants(&work);
    }
    if (vxt_sort_recs(program))
        defer_overlaps(program);
    else
        work.failed = true;
    free(work.queue);
    free(work.constants);
    return work.failed ? VX_ERR_MEMORY : VX_OK;
}

/*
 * Translation of a set of spans: discover, analyse, cut into chunks, make
 * the chunks in parallel, lay them out in the zone and join them.
 *
 * The result depends on the input alone: threads only share out the chunks.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/code.h"

#define HLT 0xf4

struct job {
    const struct vxt_program *program;
    struct vxt_chunk *chunks;
    size_t chunk_count;
    uint32_t *host_of;
    atomic_size_t next;
    atomic_int status;
};

static bool is_barrier(const struct vxt_rec *rec)
{
    return rec->flow == FLOW_JUMP || rec->flow == FLOW_JUMP_IND || rec->flow == FLOW_STOP;
}

/* Instructions that are reached other than by falling through must be leaders, so that they have a label. */
static void mark_leaders(struct vxt_program *program)
{
    for (size_t i = 0; i < program->count; i++) {
        struct vxt_rec *rec = &program->recs[i];
        if (is_barrier(rec))
            continue;
        vx_gaddr after = rec->addr + rec->length;
        size_t next = i + 1;
        while (next < program->count && program->recs[next].deferred)
            next++;
        if (!rec->deferred && next < program->count && program->recs[next].addr == after)
            continue;
        uint32_t index = vxt_find(program, after);
        if (index != VXT_NO_INDEX)
            program->recs[index].mark |= MARK_LEADER;
    }
}

/* The chunk that ends with instruction i may fall through into the next: by a jump, to a leader. */
static void mark_fall_through(struct vxt_program *program, size_t i)
{
    while (i > 0 && program->recs[i].deferred)
        i--;
    uint32_t index = vxt_find(program, program->recs[i].addr + program->recs[i].length);
    if (index != VXT_NO_INDEX)
        program->recs[index].mark |= MARK_LEADER | MARK_ENTRY;
}

/* Cut the program into chunks, preferably where nothing falls through. */
static vx_status cut(struct vxt_program *program, struct vxt_chunk **chunks, size_t *count)
{
    uint32_t aim = program->input->chunk_guest_bytes;
    size_t capacity = 0;
    *chunks = NULL;
    *count = 0;
    for (size_t first = 0, i = 0; i < program->count; i++) {
        uint32_t bytes = program->recs[i].addr - program->recs[first].addr;
        bool is_last = i + 1 == program->count;
        bool is_end = aim && bytes >= aim && (is_barrier(&program->recs[i]) || bytes >= 4 * aim);
        if (!is_last && !is_end)
            continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct vxt_chunk *grown = realloc(*chunks, capacity * sizeof *grown);
            if (!grown)
                return VX_ERR_MEMORY;
            *chunks = grown;
        }
        (*chunks)[(*count)++] = (struct vxt_chunk){ .first = (uint32_t)first, .last = (uint32_t)i + 1 };
        first = i + 1;
        if (!is_last) {
            mark_fall_through(program, i);
            program->recs[first].mark |= MARK_LEADER | MARK_ENTRY; /* so that every chunk has one */
        }
    }
    return VX_OK;
}

static void *make_chunks(void *argument)
{
    struct job *job = argument;
    for (;;) {
        size_t i = atomic_fetch_add(&job->next, 1);
        if (i >= job->chunk_count)
            return NULL;
        vx_status status = vxt_chunk_make(job->program, &job->chunks[i], job->host_of);
        if (status != VX_OK)
            atomic_store(&job->status, status);
    }
}

static void run_job(struct job *job, unsigned threads)
{
    pthread_t ids[64];
    unsigned started = 0;
    if (threads > 64)
        threads = 64;
    while (started + 1 < threads && started + 1 < job->chunk_count &&
           pthread_create(&ids[started], NULL, make_chunks, job) == 0)
        started++;
    make_chunks(job);
    while (started > 0)
        pthread_join(ids[--started], NULL);
}

static uint32_t chunk_of(const struct job *job, uint32_t index)
{
    size_t low = 0, high = job->chunk_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (job->chunks[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* Zone offsets for chunks; false past the limit. */
static bool place(struct job *job, uint32_t zone_base, uint32_t *end)
{
    uint64_t zone = zone_base;
    for (size_t i = 0; i < job->chunk_count; i++) {
        struct vxt_chunk *chunk = &job->chunks[i];
        chunk->zone = (uint32_t)zone;
        zone += (chunk->size + VX_PAGE_BYTES - 1) / VX_PAGE_BYTES * VX_PAGE_BYTES;
        if (zone > VXF_ZONE_LIMIT || chunk->size > VXF_CHUNK_LIMIT)
            return false;
    }
    *end = (uint32_t)zone;
    return true;
}

static void join(struct job *job, struct vxt_chunk *chunk)
{
    for (size_t b = 0; b < chunk->branch_count; b++) {
        struct vxt_branch *branch = &chunk->branches[b];
        if (branch->kind != BRANCH_FAR)
            continue;
        const struct vxt_chunk *target = &job->chunks[chunk_of(job, branch->target)];
        uint32_t opcode_bytes = branch->opcode < 0xe0 ? 2 : 1;
        uint32_t field = branch->at + opcode_bytes;
        uint32_t d = target->zone + job->host_of[branch->target] - (chunk->zone + field + 4);
        chunk->code[branch->at] = opcode_bytes == 2 ? 0x0f : branch->opcode;
        chunk->code[field - 1] = branch->opcode;
        memcpy(chunk->code + field, &d, 4);
    }
}

/* Where other chunks branch to is an entry: the verifier insists. False: a branch has no label to go to. */
static bool mark_far_targets(struct job *job, struct vxt_program *program)
{
    for (size_t i = 0; i < job->chunk_count; i++)
        for (size_t b = 0; b < job->chunks[i].branch_count; b++) {
            const struct vxt_branch *branch = &job->chunks[i].branches[b];
            if (branch->kind != BRANCH_FAR)
                continue;
            if (job->host_of[branch->target] == VXT_NO_HOST)
                return false;
            program->recs[branch->target].mark |= MARK_ENTRY;
        }
    return true;
}

static vx_status collect(struct job *job, uint32_t zone_base, uint32_t zone_end, struct vxt_output *out)
{
    size_t rows = 0, relocs = 0, labels = 0;
    for (size_t i = 0; i < job->chunk_count; i++) {
        rows += job->chunks[i].row_count;
        relocs += job->chunks[i].reloc_count;
        labels += job->chunks[i].label_count;
    }
    out->code_size = zone_end - zone_base;
    out->code = malloc(out->code_size + 1);
    out->chunks = malloc((job->chunk_count + 1) * sizeof *out->chunks);
    out->entries = malloc((labels + 1) * sizeof *out->entries);
    out->rows = malloc((rows + 1) * sizeof *out->rows);
    out->relocs = malloc((relocs + 1) * sizeof *out->relocs);
    if (!out->code || !out->chunks || !out->entries || !out->rows || !out->relocs)
        return VX_ERR_MEMORY;
    memset(out->code, HLT, out->code_size);
    for (size_t i = 0; i < job->chunk_count; i++) {
        struct vxt_chunk *chunk = &job->chunks[i];
        join(job, chunk);
        memcpy(out->code + (chunk->zone - zone_base), chunk->code, chunk->size);
        out->chunks[out->chunk_count++] = (struct vxf_chunk){ chunk->zone, chunk->size };
        for (size_t r = 0; r < chunk->row_count; r++) {
            out->rows[out->row_count] = chunk->rows[r];
            out->rows[out->row_count++].host += chunk->zone;
        }
        for (size_t r = 0; r < chunk->reloc_count; r++) {
            out->relocs[out->reloc_count] = chunk->relocs[r];
            out->relocs[out->reloc_count++].host += chunk->zone;
        }
        for (uint32_t index = chunk->first; index < chunk->last; index++) {
            const struct vxt_rec *rec = &job->program->recs[index];
            if (rec->mark & MARK_ENTRY)
                out->entries[out->entry_count++] =
                    (struct vxf_entry){ rec->addr, chunk->zone + job->host_of[index] };
            out->guest_insns++;
        }
        out->guest_code_bytes += chunk->guest_bytes;
    }
    return VX_OK;
}

/* Every page that the code depends on: a change there makes it stale. */
static vx_status collect_pages(const struct vxt_program *program, struct vxt_output *out)
{
    size_t capacity = 0;
    for (size_t i = 0; i < program->count; i++) {
        const struct vxt_rec *rec = &program->recs[i];
        uint32_t first = rec->addr / VX_PAGE_BYTES;
        uint32_t last = (rec->addr + rec->length - 1u) / VX_PAGE_BYTES;
        for (uint32_t page = first; page <= last; page++) {
            if (out->page_count && out->pages[out->page_count - 1] >= page * VX_PAGE_BYTES)
                continue;
            if (out->page_count == capacity) {
                capacity = capacity ? capacity * 2 : 16;
                vx_gaddr *grown = realloc(out->pages, capacity * sizeof *grown);
                if (!grown)
                    return VX_ERR_MEMORY;
                out->pages = grown;
            }
            out->pages[out->page_count++] = page * VX_PAGE_BYTES;
        }
    }
    return VX_OK;
}

vx_status vxt_translate(const struct vxt_input *input, struct vxt_output *output)
{
    struct vxt_program program;
    struct job job = { .program = &program };
    *output = (struct vxt_output){ 0 };
    vx_status status = vxt_discover(input, &program);
    if (status != VX_OK)
        goto done;
    vxt_liveness(&program);
    mark_leaders(&program);
    status = cut(&program, &job.chunks, &job.chunk_count);
    if (status != VX_OK)
        goto done;
    job.host_of = malloc((program.count + 1) * sizeof *job.host_of);
    if (!job.host_of) {
        status = VX_ERR_MEMORY;
        goto done;
    }
    memset(job.host_of, 0xff, (program.count + 1) * sizeof *job.host_of); /* VXT_NO_HOST */
    run_job(&job, input->threads ? input->threads : 1);
    status = (vx_status)atomic_load(&job.status);
    uint32_t zone_end = 0;
    if (status == VX_OK && !mark_far_targets(&job, &program))
        status = VX_ERR_TRANSLATE;
    if (status == VX_OK && !place(&job, input->zone_base, &zone_end))
        status = VX_ERR_TOO_LARGE;
    if (status == VX_OK)
        status = collect(&job, input->zone_base, zone_end, output);
    if (status == VX_OK)
        status = collect_pages(&program, output);
done:
    for (size_t i = 0; i < job.chunk_count; i++)
        vxt_chunk_free(&job.chunks[i]);
    free(job.chunks);
    free(job.host_of);
    vxt_program_free(&program);
    if (status != VX_OK)
        vxt_output_free(output);
    return status;
}

void vxt_output_free(struct vxt_output *output)
{
    free(output->code);
    free(output->chunks);
    free(output->entries);
    free(output->rows);
    free(output->relocs);
    free(output->pages);
    *output = (struct vxt_output){ 0 };
}

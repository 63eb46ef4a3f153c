/*
 * Flag liveness: which arithmetic flags may be read after each instruction.
 *
 * A backward may-analysis over direct jumps and calls. Where control leaves
 * what is known (indirect jumps, returns, events, undiscovered code) all
 * flags are live, so that clobbering dead flags is never visible to guest code.
 */
#include "vxc/translate/code.h"

#define MAX_ROUNDS 24

static uint8_t live_at(const struct vxt_program *program, vx_gaddr addr)
{
    uint32_t index = vxt_find(program, addr);
    return index == VXT_NO_INDEX ? VXT_FLAGS : program->recs[index].live_in;
}

static uint8_t live_next(const struct vxt_program *program, size_t i)
{
    const struct vxt_rec *rec = &program->recs[i];
    vx_gaddr next = rec->addr + rec->length;
    if (i + 1 < program->count && program->recs[i + 1].addr == next)
        return program->recs[i + 1].live_in;
    return live_at(program, next);
}

void vxt_liveness(struct vxt_program *program)
{
    bool changed = true;
    for (unsigned round = 0; changed && round < MAX_ROUNDS; round++) {
        changed = false;
        for (size_t i = program->count; i-- > 0;) {
            struct vxt_rec *rec = &program->recs[i];
            uint8_t out;
            switch (rec->flow) {
            case FLOW_NEXT:
                out = live_next(program, i);
                break;
            case FLOW_BRANCH:
                out = live_next(program, i) | live_at(program, rec->target);
                break;
            case FLOW_JUMP: case FLOW_CALL:
                out = live_at(program, rec->target);
                break;
            default:
                out = VXT_FLAGS;
            }
            uint8_t in = (uint8_t)(rec->flags_read | (out & ~rec->flags_written));
            changed |= in != rec->live_in || out != rec->live_out;
            rec->live_in = in;
            rec->live_out = out;
        }
    }
    if (changed) /* did not settle: assume nothing */
        for (size_t i = 0; i < program->count; i++)
            program->recs[i].live_in = program->recs[i].live_out = VXT_FLAGS;
}

/*
 * Translation at run time: what one address reaches becomes a unit. The
 * translator is not trusted; its output goes the way of every unit.
 */
#include <stdlib.h>
#include <string.h>

#include "vxrt/internal.h"

#ifdef VX_DYNAMIC
#include "vxc/translate/translate.h"

#define UNIT_INSNS 500u
/* So many units, and three times as many each time after, become one: between units every call goes through
 * the table, inside one it is direct. */
#define MERGE_UNITS 48u
#define MERGE_INSNS 60000u
#define SEED_LIMIT (1u << 20)
#define MAX_INSN_BYTES 15u
#define SINGLE_SLOTS 1024u
#define READ_FAULT_LIMIT 256u
#define READ_FAULT_INSNS 4096u

struct vxi_single {
    uint64_t host; /* 0: free */
    vx_gaddr addr;
    uint8_t length;
    uint8_t bytes[MAX_INSN_BYTES];
};

void vxi_spans_changed(struct vx_box *box)
{
    free(box->spans);
    box->spans = NULL;
    box->span_count = 0;
    box->has_open_code = false;
}

static bool is_plain_code(const struct vx_box *box, uint32_t page)
{
    return (box->pages[page] & (VX_PROT_EXEC | VXI_PAGE_HOT)) == VX_PROT_EXEC;
}

/* The next page, or one after others that are the same. */
static uint32_t after(const struct vx_box *box, uint32_t page)
{
    uint64_t alike = box->pages[page] * UINT64_C(0x0101010101010101), next;
    uint32_t from = page++;
    for (; from + sizeof next <= VXI_PAGE_COUNT; page = from) {
        memcpy(&next, box->pages + from, sizeof next);
        if (next != alike)
            break;
        from += (uint32_t)sizeof next;
    }
    return page;
}

/* Executable ranges; pages that are rewritten all the time are left out. */
static bool make_spans(struct vx_box *box)
{
    size_t capacity = 0;
    for (uint32_t page = vxi_next_exec(box, 0), end; page < VXI_PAGE_COUNT; page = vxi_next_exec(box, end)) {
        end = page;
        if (!is_plain_code(box, page)) {
            end = after(box, page);
            continue;
        }
        for (; end < VXI_PAGE_COUNT && is_plain_code(box, end); end = after(box, end))
            box->has_open_code |= box->pages[end] & VX_PROT_WRITE;
        if (box->span_count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct vxt_span *spans = realloc(box->spans, capacity * sizeof *spans);
            if (!spans) {
                vxi_spans_changed(box);
                return false;
            }
            box->spans = spans;
        }
        vx_gaddr addr = page * VX_PAGE_BYTES;
        uint64_t size = (uint64_t)(end - page) * VX_PAGE_BYTES;
        box->spans[box->span_count++] = (struct vxt_span){
            .addr = addr, .size = (uint32_t)size, .bytes = box->window + addr };
    }
    return true;
}

static void note_profile(struct vx_box *box, vx_gaddr addr)
{
    const struct vx_image *image = box->image;
    vx_gaddr plain = image ? addr - image->bias : addr;
    if ((image && plain - image->elf.low >= image->elf.high - image->elf.low) || box->profile_count == SEED_LIMIT)
        return;
    if (box->profile_count == box->profile_capacity) {
        size_t capacity = box->profile_capacity ? box->profile_capacity * 2 : 64;
        vx_gaddr *profile = realloc(box->profile, capacity * sizeof *profile);
        if (!profile)
            return;
        box->profile = profile;
        box->profile_capacity = capacity;
    }
    box->profile[box->profile_count++] = plain;
}

/* VX_OK with *unit NULL: there is no instruction. */
static vx_status add_output(struct vx_box *box, const struct vxt_output *output, bool is_single,
                            struct vxi_unit **unit, uint32_t *rule)
{
    *unit = NULL;
    if (output->chunk_count == 0 || output->entry_count == 0)
        return VX_OK;
    if (output->chunk_count != 1)
        return VX_ERR_TRANSLATE;
    struct vxi_unit_code code = {
        .code = output->code, .size = output->chunks[0].size,
        .entries = output->entries, .entry_count = output->entry_count,
        .rows = output->rows, .row_count = output->row_count,
        .pages = output->pages, .page_count = output->page_count, .is_single = is_single };
    return vxi_unit_add(box, &code, unit, rule);
}

static bool has_entry(void *box, vx_gaddr addr)
{
    return vxi_unit_entry(box, addr) != 0;
}

/*
 * Translate, and stand a mapped file that is shorter than its mapping: VX_ERR_IO, and *page is the page without
 * bytes. What the translator had allocated then is lost.
 */
static __attribute__((noinline)) vx_status translate_guarded(const struct vx_box *box, const struct vxt_input *input,
                                                             struct vxt_output *output, uint32_t *page)
{
    struct vxi_reader reader = { .window = box->window };
    if (sigsetjmp(reader.out, 1)) {
        *page = reader.page;
        return VX_ERR_IO;
    }
    vxi_reader = &reader;
    vx_status status = vxt_translate(input, output);
    vxi_reader = NULL;
    return status;
}

/* From now on the page's instructions run one by one, each read when it is its turn. False: this happens too often. */
static bool leave_out(struct vx_box *box, uint32_t page)
{
    if (box->read_faults++ == READ_FAULT_LIMIT || page >= VXI_PAGE_COUNT)
        return false;
    vxi_changed(box, page, page);
    box->pages[page] |= VXI_PAGE_HOT;
    box->hot_left = READ_FAULT_INSNS;
    vxi_spans_changed(box);
    return make_spans(box);
}

/* One unit from these seeds; fewer instructions where it grows too large. */
static vx_status translate_unit(struct vx_box *box, const vx_gaddr *seeds, size_t count, uint32_t insns, uint32_t *rule)
{
    vx_status status = VX_ERR_TOO_LARGE;
    /* The translator reads the guest's bytes more than once: no other thread may write them meanwhile. */
    if (box->has_open_code)
        vxi_stop_others(box);
    for (; status == VX_ERR_TOO_LARGE && insns > 0; insns /= 8) {
        struct vxt_input input = { .spans = box->spans, .span_count = box->span_count, .seeds = seeds,
                                   .seed_count = count, .max_insns = insns, .threads = 1,
                                   .cpu = box->cpu,
                                   .is_known = has_entry, .known_context = box };
        struct vxt_output output;
        struct vxi_unit *unit;
        uint32_t page;
        while ((status = translate_guarded(box, &input, &output, &page)) == VX_ERR_IO && leave_out(box, page)) {
            input.spans = box->spans;
            input.span_count = box->span_count;
        }
        if (status != VX_OK)
            continue;
        status = add_output(box, &output, false, &unit, rule);
        box->stats.guest_bytes_translated += output.guest_code_bytes;
        vxt_output_free(&output);
    }
    return status;
}

/* Remember where translation began; the newest comes first. Of too many all are forgotten: a unit has far fewer instructions. */
static bool note_seed(struct vx_box *box, vx_gaddr addr)
{
    uint32_t at;
    if (!vxi_map_get(&box->seed_places, addr, &at)) {
        if (box->seed_count == SEED_LIMIT) {
            vxi_map_clear(&box->seed_places);
            box->seed_count = 0;
        }
        if (box->seed_count == box->seed_capacity) {
            size_t capacity = box->seed_capacity ? box->seed_capacity * 2 : 64;
            vx_gaddr *seeds = realloc(box->seeds, capacity * sizeof *seeds);
            if (!seeds)
                return false;
            box->seeds = seeds;
            box->seed_capacity = capacity;
        }
        at = (uint32_t)box->seed_count;
        if (!vxi_map_set(&box->seed_places, addr, at))
            return false;
        box->seeds[box->seed_count++] = addr;
        note_profile(box, addr);
    }
    /* They change places; both are in the map already. */
    vx_gaddr first = box->seeds[0];
    box->seeds[at] = first;
    box->seeds[0] = addr;
    vxi_map_set(&box->seed_places, first, at);
    vxi_map_set(&box->seed_places, addr, 0);
    return true;
}

vx_status vxi_translate(struct vx_box *box, vx_gaddr addr, uint32_t *rule)
{
    uint64_t start_ns = vxi_now_ns();
    vx_status status = VX_ERR_MEMORY;
    if (!note_seed(box, addr))
        return status;
    if (!box->merge_at)
        box->merge_at = MERGE_UNITS;
    if (++box->units_begun >= box->merge_at) {
        box->merge_at *= 3;
        vxi_units_flush(box);
        if (box->spans || make_spans(box))
            status = translate_unit(box, box->seeds, box->seed_count, MERGE_INSNS, rule);
    } else if (box->spans || make_spans(box)) {
        status = translate_unit(box, &addr, 1, UNIT_INSNS, rule);
    }
    box->stats.units_translated++;
    box->stats.translate_ns += vxi_now_ns() - start_ns;
    return status;
}

/* Bytes at addr that may be executed, up to the longest instruction. */
static uint32_t bytes_at(const struct vx_box *box, vx_gaddr addr)
{
    uint32_t left = VX_PAGE_BYTES - addr % VX_PAGE_BYTES;
    if (left < MAX_INSN_BYTES && !vxi_is_exec(box, addr + left))
        return left;
    if (addr > UINT32_MAX - MAX_INSN_BYTES)
        return left;
    return MAX_INSN_BYTES;
}

vx_status vxi_translate_single(struct vx_box *box, vx_gaddr addr, uint64_t *host, uint32_t *rule)
{
    if (!box->singles)
        box->singles = calloc(SINGLE_SLOTS, sizeof *box->singles);
    if (!box->singles)
        return VX_ERR_MEMORY;
    struct vxi_single *single = &box->singles[addr % SINGLE_SLOTS];
    uint8_t bytes[MAX_INSN_BYTES];
    uint32_t available = bytes_at(box, addr), in_page = VX_PAGE_BYTES - addr % VX_PAGE_BYTES;
    if (vx_box_read(box, addr, bytes, available) != VX_OK) {
        if (available <= in_page || vx_box_read(box, addr, bytes, in_page) != VX_OK)
            return VX_ERR_IO;
        available = in_page;
    }
    if (single->host && single->addr == addr && single->length <= available &&
        memcmp(single->bytes, bytes, single->length) == 0) {
        *host = single->host;
        return VX_OK;
    }
    struct vxt_span span = { .addr = addr, .size = available, .bytes = bytes };
    struct vxt_input input = { .spans = &span, .span_count = 1, .seeds = &addr, .seed_count = 1, .threads = 1,
                               .single = true, .cpu = box->cpu };
    struct vxt_output output;
    struct vxi_unit *unit;
    vx_status status = vxt_translate(&input, &output);
    if (status != VX_OK)
        return status;
    uint32_t length = output.guest_code_bytes;
    status = add_output(box, &output, true, &unit, rule);
    vxt_output_free(&output);
    if (status != VX_OK || !unit)
        return status;
    *host = (uint64_t)box->units.zone + unit->host + unit->entries[0].host;
    /* Adding may have flushed everything, this table too. */
    if (!box->singles)
        return VX_OK;
    single->host = *host;
    single->addr = addr;
    single->length = (uint8_t)(length && length < available ? length : available);
    memcpy(single->bytes, bytes, single->length);
    return VX_OK;
}

void vxi_singles_free(struct vx_box *box)
{
    free(box->singles);
    box->singles = NULL;
}

#else

void vxi_spans_changed(struct vx_box *box)
{
}

vx_status vxi_translate(struct vx_box *box, vx_gaddr addr, uint32_t *rule)
{
    return VX_ERR_UNSUPPORTED;
}

vx_status vxi_translate_single(struct vx_box *box, vx_gaddr addr, uint64_t *host, uint32_t *rule)
{
    return VX_ERR_UNSUPPORTED;
}

void vxi_singles_free(struct vx_box *box)
{
}

#endif

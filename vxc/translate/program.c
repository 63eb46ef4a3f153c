/*
 * The instructions of a program, by address: pages of marks, and one record an instruction.
 */
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/discover.h"

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

struct vxt_page *vxt_page_get(struct vxt_program *program, vx_gaddr addr)
{
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

static int compare_page(const void *a, const void *b)
{
    const struct vxt_page *left = *(struct vxt_page *const *)a, *right = *(struct vxt_page *const *)b;
    return (left->number > right->number) - (left->number < right->number);
}

/* The pages know where each one starts. */
bool vxt_sort_recs(struct vxt_program *program)
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

void vxt_program_free(struct vxt_program *program)
{
    for (size_t i = 0; i < program->page_slots; i++)
        free(program->pages[i]);
    free(program->pages);
    free(program->recs);
    *program = (struct vxt_program){ 0 };
}

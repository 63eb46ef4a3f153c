/*
 * Seeds: the code addresses that an ELF file names, or that words in it may be.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "format/elf32.h"
#include "vxc/translate/translate.h"

struct list {
    const struct vxe_elf *elf;
    vx_gaddr *items;
    size_t count, capacity;
    bool failed;
};

static bool is_code(const struct vxe_elf *elf, vx_gaddr addr)
{
    for (size_t s = 0; s < elf->segment_count; s++) {
        const struct vxe_segment *segment = &elf->segments[s];
        if ((segment->prot & VXE_X) && addr - segment->addr < segment->file_size)
            return true;
    }
    return false;
}

static void add(struct list *list, vx_gaddr addr)
{
    if (list->failed || addr == 0 || !is_code(list->elf, addr)) /* 0 is no address, but "none" */
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 1024;
        vx_gaddr *items = realloc(list->items, capacity * sizeof *items);
        if (!items) {
            list->failed = true;
            return;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = addr;
}

static bool word_at(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *word)
{
    uint32_t available;
    const uint8_t *bytes = vxe_at(elf, addr, &available);
    if (!bytes || available < 4)
        return false;
    memcpy(word, bytes, 4);
    return true;
}

static void add_symbols(struct list *list, bool dynamic)
{
    struct vxe_symbol symbol;
    for (uint32_t i = 0; vxe_symbol(list->elf, dynamic, i, &symbol); i++)
        if (symbol.defined && (symbol.type == STT_FUNC || symbol.type == STT_NOTYPE || symbol.type == STT_GNU_IFUNC))
            add(list, symbol.value);
}

static void add_relocations(struct list *list)
{
    struct vxe_reloc reloc;
    uint32_t word;
    for (uint32_t i = 0; vxe_reloc(list->elf, i, &reloc); i++) {
        if (!word_at(list->elf, reloc.where, &word))
            continue;
        add(list, word);
        struct vxe_symbol symbol;
        if (reloc.type == R_386_32 && vxe_symbol(list->elf, true, reloc.symbol, &symbol) && symbol.defined)
            add(list, symbol.value + word); /* the word is an addend */
    }
    struct vxe_relr_walk walk = { 0 };
    vx_gaddr where;
    while (vxe_relr(list->elf, &walk, &where))
        if (word_at(list->elf, where, &word))
            add(list, word);
}

static void add_array(struct list *list, int32_t tag, int32_t size_tag)
{
    uint32_t addr, size, word;
    if (!vxe_dynamic(list->elf, tag, &addr) || !vxe_dynamic(list->elf, size_tag, &size))
        return;
    for (uint32_t offset = 0; offset + 4 <= size && word_at(list->elf, addr + offset, &word); offset += 4)
        add(list, word);
}

/* Aligned words that look like code addresses. */
static void add_words(struct list *list)
{
    for (size_t s = 0; s < list->elf->segment_count; s++) {
        const struct vxe_segment *segment = &list->elf->segments[s];
        const uint8_t *bytes = list->elf->bytes + segment->file_offset;
        uint32_t word;
        for (uint32_t offset = (0u - segment->addr) & 3; segment->file_size >= 4 && offset <= segment->file_size - 4;
             offset += 4) {
            memcpy(&word, bytes + offset, 4);
            add(list, word);
        }
    }
}

static int compare(const void *a, const void *b)
{
    vx_gaddr left = *(const vx_gaddr *)a, right = *(const vx_gaddr *)b;
    return (left > right) - (left < right);
}

vx_status vxt_elf_seeds(const struct vxe_elf *elf, vx_gaddr **seeds, size_t *count)
{
    struct list list = { .elf = elf };
    uint32_t addr;
    add(&list, elf->entry);
    add_symbols(&list, false);
    add_symbols(&list, true);
    add_relocations(&list);
    add_array(&list, DT_INIT_ARRAY, DT_INIT_ARRAYSZ);
    add_array(&list, DT_FINI_ARRAY, DT_FINI_ARRAYSZ);
    if (vxe_dynamic(elf, DT_INIT, &addr))
        add(&list, addr);
    if (vxe_dynamic(elf, DT_FINI, &addr))
        add(&list, addr);
    if (!elf->is_dyn) /* where the image can move, pointers have relocations */
        add_words(&list);
    *seeds = NULL;
    *count = 0;
    if (list.failed) {
        free(list.items);
        return VX_ERR_MEMORY;
    }
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, compare);
    size_t unique = 0;
    for (size_t i = 0; i < list.count; i++)
        if (unique == 0 || list.items[unique - 1] != list.items[i])
            list.items[unique++] = list.items[i];
    *seeds = list.items;
    *count = unique;
    return VX_OK;
}

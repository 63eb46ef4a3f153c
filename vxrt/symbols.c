/*
 * What a plug-in offers and wants: its exports and imports, from the ELF symbol tables.
 *
 * A shared object imports by undefined dynamic symbols. A static executable cannot have any, so
 * vx_guest.h gives it a slot instead, an object named __vx_import_NAME that linking fills.
 */
#include <elf.h>
#include <string.h>

#include "vxrt/internal.h"

#define SLOT_PREFIX "__vx_import_"
#define SLOT_PREFIX_BYTES (sizeof SLOT_PREFIX - 1)
#ifndef DF_1_PIE
#define DF_1_PIE 0x08000000
#endif

bool vxi_is_executable(const struct vxe_elf *elf)
{
    uint32_t flags;
    return !elf->is_dyn || (vxe_dynamic(elf, DT_FLAGS_1, &flags) && flags & DF_1_PIE);
}

static bool is_slot(const struct vxe_symbol *symbol)
{
    return symbol->defined && strncmp(symbol->name, SLOT_PREFIX, SLOT_PREFIX_BYTES) == 0;
}

static bool is_export(const struct vxe_symbol *symbol)
{
    bool is_global = symbol->binding == STB_GLOBAL || symbol->binding == STB_WEAK || symbol->binding == STB_GNU_UNIQUE;
    bool is_place = symbol->type == STT_FUNC || symbol->type == STT_OBJECT || symbol->type == STT_NOTYPE;
    return symbol->defined && is_global && is_place && symbol->name[0] && !is_slot(symbol);
}

static enum vx_symbol_kind kind_of(uint8_t type)
{
    return type == STT_FUNC || type == STT_GNU_IFUNC ? VX_SYMBOL_FUNCTION
           : type == STT_OBJECT ? VX_SYMBOL_OBJECT : VX_SYMBOL_OTHER;
}

/* Executables are often linked without dynamic symbols: then the table for debuggers counts. */
bool vxi_uses_dynamic(const struct vxe_elf *elf)
{
    struct vxe_symbol symbol;
    if (!vxi_is_executable(elf))
        return true;
    for (uint32_t i = 0; vxe_symbol(elf, true, i, &symbol); i++)
        if (is_export(&symbol))
            return true;
    return false;
}

static bool is_tls_helper(const char *name)
{
    return strcmp(name, "___tls_get_addr") == 0;
}

bool vxi_import(const struct vx_image *image, struct vxi_import_walk *walk, struct vxi_import *import)
{
    const struct vxe_elf *elf = &image->elf;
    struct vxe_symbol symbol;
    for (; !walk->in_slots && vxe_symbol(elf, true, walk->index, &symbol); walk->index++) {
        if (symbol.defined || !symbol.name[0] || symbol.binding == STB_LOCAL || is_tls_helper(symbol.name))
            continue;
        *import = (struct vxi_import){ .name = symbol.name, .symbol = walk->index++, .size = symbol.size,
                                       .kind = kind_of(symbol.type), .is_weak = symbol.binding == STB_WEAK };
        return true;
    }
    if (!walk->in_slots)
        *walk = (struct vxi_import_walk){ .in_slots = true };
    for (; vxe_symbol(elf, image->has_dynamic_exports, walk->index, &symbol); walk->index++) {
        if (!is_slot(&symbol) || symbol.type != STT_OBJECT)
            continue;
        walk->index++;
        *import = (struct vxi_import){ .name = symbol.name + SLOT_PREFIX_BYTES, .symbol = UINT32_MAX,
                                       .slot = symbol.value, .kind = VX_SYMBOL_FUNCTION };
        return true;
    }
    return false;
}

static void describe_import(const struct vx_image *image, const struct vxi_import *import, size_t index,
                            struct vx_symbol *out)
{
    bool is_bound = image->link.is_linked && image->link.hosts[index].fn;
    bool has_gate = image->link.is_linked && (is_bound || !import->is_weak);
    *out = (struct vx_symbol){ .name = import->name, .kind = (enum vx_symbol_kind)import->kind, .size = import->size,
                               .is_weak = import->is_weak, .is_bound = is_bound,
                               .address = has_gate ? vxi_gate(index) : 0 };
}

bool vx_image_import_at(const struct vx_image *image, size_t index, struct vx_symbol *symbol)
{
    struct vxi_import import;
    if (!image || !symbol)
        return false;
    if (image->link.is_linked) {
        if (index < image->link.import_count)
            describe_import(image, &image->link.imports[index], index, symbol);
        return index < image->link.import_count;
    }
    uint64_t last = atomic_load_explicit(&image->last_import, memory_order_relaxed);
    uint32_t number = (uint32_t)(last >> 33);
    struct vxi_import_walk walk = { .index = (uint32_t)last, .in_slots = last >> 32 & 1 };
    if (index < number) {
        walk = (struct vxi_import_walk){ 0 };
        number = 0;
    }
    for (;; number++) {
        last = (uint64_t)number << 33 | (uint64_t)walk.in_slots << 32 | walk.index;
        if (!vxi_import(image, &walk, &import))
            return false;
        if (number < index)
            continue;
        atomic_store_explicit(&((struct vx_image *)image)->last_import, last, memory_order_relaxed);
        describe_import(image, &import, index, symbol);
        return true;
    }
}

bool vx_image_export_at(const struct vx_image *image, size_t index, struct vx_symbol *symbol)
{
    struct vxe_symbol found;
    if (!image || !symbol)
        return false;
    uint64_t last = atomic_load_explicit(&image->last_export, memory_order_relaxed);
    bool goes_on = index >= last >> 32;
    uint32_t number = goes_on ? (uint32_t)(last >> 32) : 0;
    for (uint32_t i = goes_on ? (uint32_t)last : 0; vxe_symbol(&image->elf, image->has_dynamic_exports, i, &found); i++) {
        if (!is_export(&found) || number++ < index)
            continue;
        atomic_store_explicit(&((struct vx_image *)image)->last_export, (uint64_t)index << 32 | i, memory_order_relaxed);
        *symbol = (struct vx_symbol){ .name = found.name, .kind = kind_of(found.type), .size = found.size,
                                      .address = found.value + image->bias, .is_weak = found.binding == STB_WEAK };
        return true;
    }
    return false;
}

vx_status vx_image_export(const struct vx_image *image, const char *name, vx_gaddr *address)
{
    struct vxe_symbol found;
    if (!image || !name || !address)
        return VX_ERR_ARGUMENT;
    for (uint32_t i = 0; vxe_symbol(&image->elf, image->has_dynamic_exports, i, &found); i++) {
        if (!is_export(&found) || strcmp(found.name, name) != 0)
            continue;
        *address = found.value + image->bias;
        return VX_OK;
    }
    return VX_ERR_NO_SYMBOL;
}

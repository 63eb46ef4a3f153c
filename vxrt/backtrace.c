/*
 * Where the guest was, in guest terms: symbols, and the callers by .eh_frame or frame pointers.
 *
 * All of it is the guest's word: the walk reads guest memory with the usual checks, goes up only, and ends.
 */
#include <elf.h>
#include <string.h>

#include "vxrt/internal.h"
#include "vxrt/unwind.h"

/* The last function symbol at or below `addr` (before load bias) that covers it. */
static bool find_in(const struct vxe_elf *elf, bool dynamic, vx_gaddr addr, struct vxe_symbol *best)
{
    struct vxe_symbol symbol;
    bool has_one = false;
    for (uint32_t i = 0; vxe_symbol(elf, dynamic, i, &symbol); i++) {
        /* Local ones without a type are labels inside functions. */
        bool is_code = symbol.type == STT_FUNC || symbol.type == STT_GNU_IFUNC ||
                       (symbol.type == STT_NOTYPE && symbol.binding != STB_LOCAL);
        if (!symbol.defined || !is_code || !symbol.name[0] || symbol.value > addr ||
            (symbol.size && addr - symbol.value >= symbol.size) || (has_one && symbol.value <= best->value))
            continue;
        *best = symbol;
        has_one = true;
    }
    return has_one;
}

static bool is_code(const struct vxe_elf *elf, vx_gaddr addr)
{
    for (size_t i = 0; i < elf->segment_count; i++)
        if (elf->segments[i].prot & VXE_X && addr - elf->segments[i].addr < elf->segments[i].mem_size)
            return true;
    return false;
}

bool vx_image_symbol_at(const struct vx_image *image, vx_gaddr address, struct vx_symbol *symbol)
{
    struct vxe_symbol found;
    if (!image || !symbol)
        return false;
    if (vxi_is_gate(address)) {
        size_t index = (address - VX_GATE_IMPORTS) / VX_GATE_STRIDE;
        return address >= VX_GATE_IMPORTS && vx_image_import_at(image, index, symbol);
    }
    vx_gaddr plain = address - image->bias;
    if (!is_code(&image->elf, plain) ||
        (!find_in(&image->elf, false, plain, &found) && !find_in(&image->elf, true, plain, &found)))
        return false;
    *symbol = (struct vx_symbol){ .name = found.name, .kind = VX_SYMBOL_FUNCTION, .size = found.size,
                                  .address = found.value + image->bias, .is_weak = found.binding == STB_WEAK };
    return true;
}

/* A return address is looked up by the call before it, which may be the last instruction of its function. */
static void describe(const struct vx_box *box, vx_gaddr address, bool is_return, struct vx_frame *frame)
{
    struct vx_symbol symbol;
    bool is_host = address == VX_GATE_RETURN;
    *frame = (struct vx_frame){ .address = address, .is_host = is_host };
    if (is_host || !box->image || !vx_image_symbol_at(box->image, address - (is_return ? 1 : 0), &symbol))
        return;
    frame->symbol = symbol.name;
    frame->offset = address - symbol.address;
}

enum { ESP = 4, EBP = 5, EIP = 8 };

/* To the caller by frame pointer: also where the host called (call.c puts such a frame there). */
static bool follow_frame(struct vx_box *box, uint32_t *r)
{
    uint32_t words[2];
    if (r[EBP] < r[ESP] || r[EBP] % 4 || vx_box_read(box, r[EBP], words, sizeof words) != VX_OK)
        return false;
    r[ESP] = r[EBP] + 8;
    r[EBP] = words[0];
    r[EIP] = words[1];
    return true;
}

/* To the caller. */
static bool step(struct vx_box *box, uint32_t *r, bool is_return)
{
    uint32_t before[9];
    memcpy(before, r, sizeof before);
    if (r[EIP] == VX_GATE_RETURN)
        return follow_frame(box, r);
    if (!vxi_is_exec(box, r[EIP]) && !is_return) {
        /* At an import, or after a jump to nowhere: the caller is what esp points to. */
        r[ESP] += 4;
        return vx_box_read(box, before[ESP], &r[EIP], 4) == VX_OK;
    }
    if (vxi_unwind(box, r, is_return))
        return true;
    memcpy(r, before, sizeof before);
    return follow_frame(box, r);
}

size_t vx_box_backtrace(struct vx_box *box, struct vx_frame *frames, size_t capacity)
{
    if (!box || !frames || capacity == 0)
        return 0;
    const struct vx_regs *regs = &box->ctx->regs;
    uint32_t r[9] = { regs->eax, regs->ecx, regs->edx, regs->ebx, regs->esp, regs->ebp, regs->esi, regs->edi, regs->eip };
    size_t count = 0;
    describe(box, r[EIP], false, &frames[count++]);
    while (count < capacity && step(box, r, count > 1)) {
        describe(box, r[EIP], true, &frames[count++]);
    }
    return count;
}

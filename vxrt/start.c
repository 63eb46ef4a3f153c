/*
 * Starting a box of a plug-in: the gate, a stack, thread-local storage, initialisers.
 */
#include <elf.h>
#include <string.h>

#include "vxrt/helper.h"
#include "vxrt/internal.h"

#define DEFAULT_STACK_BYTES (1u << 20)
#define DEFAULT_NESTING 1200u
#define SELECTOR_TLS 0x63
#define MAX_STACK_BYTES (1u << 30)
#define MAX_TLS_BYTES (1u << 24)

static uint32_t page_up(uint32_t value)
{
    return (value + VX_PAGE_BYTES - 1) & ~(VX_PAGE_BYTES - 1);
}

void vxi_gate_fill(struct vx_box *box)
{
    if (!box->calls.base)
        return;
    *VXI_SLOT(box->ctx, VX_GATE_RETURN) = (uint64_t)vxi_call_done - box->ctx->miss_stub;
    const struct vx_image *image = box->image;
    if (!image || !image->link.is_linked)
        return;
    for (size_t i = 0; i <= image->link.import_count; i++)
        *VXI_SLOT(box->ctx, vxi_gate(i)) = (uint64_t)vxi_stub_host - box->ctx->miss_stub;
}

/* A shared object has a thread; an executable makes its own. */
static uint32_t tls_bytes(const struct vx_box *box)
{
    const struct vx_image *image = box->image;
    if (!image || !image->link.is_linked || vxi_is_executable(&image->elf))
        return 0;
    return page_up(vxi_tls_offset(&image->elf)) + VX_PAGE_BYTES;
}

/*
 * One mapping, because each costs: a page of nothing, the stack, the thread's block, the gate. Guests read what is at
 * the gate's addresses when they unwind; what they write there means nothing.
 */
static vx_status make_stack(struct vx_box *box, uint32_t size)
{
    const struct vx_image *image = box->image;
    size_t imports = image && image->link.is_linked ? image->link.import_count : 0;
    uint32_t gate = page_up(vxi_gate(imports + 1) - VX_GATE_BASE);
    vx_gaddr top = VX_GATE_BASE - tls_bytes(box), low = top - size;
    for (vx_gaddr at = low - VX_PAGE_BYTES; at < VX_GATE_BASE + gate; at += VX_PAGE_BYTES)
        if (vx_box_page_prot(box, at) >= 0)
            return VX_ERR_RANGE;
    vx_status status = vx_box_map(box, low, VX_GATE_BASE + gate - low, VX_PROT_READ | VX_PROT_WRITE);
    if (status == VX_OK)
        status = vx_box_map(box, low - VX_PAGE_BYTES, VX_PAGE_BYTES, VX_PROT_NONE);
    if (status != VX_OK)
        return status;
    box->calls.stack_low = low;
    box->calls.base = top;
    return VX_OK;
}

/* Variant II of thread-local storage: the block ends at the thread pointer. */
static vx_status make_tls(struct vx_box *box)
{
    const struct vxe_elf *elf = &box->image->elf;
    uint32_t offset = vxi_tls_offset(elf);
    vx_status status = VX_OK;
    vx_gaddr pointer = VX_GATE_BASE - VX_PAGE_BYTES;
    uint8_t bytes[256];
    for (uint32_t done = 0; done < elf->tls_file_size; done += sizeof bytes) {
        uint32_t size = elf->tls_file_size - done < sizeof bytes ? elf->tls_file_size - done : sizeof bytes;
        status = vx_box_read(box, elf->tls_addr + box->image->bias + done, bytes, size);
        if (status == VX_OK)
            status = vx_box_write(box, pointer - offset + done, bytes, size);
        if (status != VX_OK)
            return status;
    }
    /* The first word of the thread's own block is its address; the rest is zero. */
    status = vx_box_write(box, pointer, &pointer, sizeof pointer);
    struct vx_regs regs = box->ctx->regs;
    if (status == VX_OK)
        status = vxi_set_tls_entry(box, &regs, VXI_TLS_FIRST, pointer);
    regs.gs = SELECTOR_TLS;
    regs.gs_base = pointer;
    vx_box_set_regs(box, &regs);
    return status;
}

static vx_status call_at(struct vx_box *box, vx_gaddr address, const char *signature, union vx_value *result,
                         struct vx_trap *trap)
{
    static const union vx_value none[3];
    struct vx_func func;
    vx_status status = vx_func_make(&func, address, signature);
    return status == VX_OK ? vx_box_call(box, &func, none, result, trap) : status;
}

/* Relocations whose value is what a resolver returns. */
static vx_status resolve(struct vx_box *box, const struct vxe_reloc *reloc, struct vx_trap *trap)
{
    const struct vx_image *image = box->image;
    struct vxe_symbol symbol = { 0 };
    vx_gaddr where = reloc->where + image->bias;
    uint32_t word;
    union vx_value value;
    vx_status status = vx_box_read(box, where, &word, sizeof word);
    if (status != VX_OK)
        return status;
    vx_gaddr resolver = word + image->bias;
    if (reloc->type != R_386_IRELATIVE && vxe_symbol(&image->elf, true, reloc->symbol, &symbol))
        resolver = symbol.value + image->bias;
    status = call_at(box, resolver, "p()", &value, trap);
    if (status != VX_OK)
        return status;
    if (reloc->type == R_386_32 || reloc->type == R_386_PC32)
        value.u32 += word;
    if (reloc->type == R_386_PC32)
        value.u32 -= where;
    return vx_box_poke(box, where, &value.u32, sizeof value.u32);
}

static vx_status call_array(struct vx_box *box, int32_t tag, int32_t size_tag, struct vx_trap *trap)
{
    const struct vx_image *image = box->image;
    uint32_t addr, size;
    vx_status status = VX_OK;
    if (!vxe_dynamic(&image->elf, tag, &addr) || !vxe_dynamic(&image->elf, size_tag, &size))
        return VX_OK;
    for (uint32_t i = 0; status == VX_OK && i < size / 4; i++) {
        vx_gaddr function;
        status = vx_box_read(box, addr + image->bias + 4 * i, &function, sizeof function);
        if (status == VX_OK && function != 0 && function != UINT32_MAX)
            status = call_at(box, function, "v(ipp)", NULL, trap);
    }
    return status;
}

/* As the dynamic linker of a system would: resolvers, DT_INIT, DT_INIT_ARRAY. */
static vx_status initialise(struct vx_box *box, struct vx_trap *trap)
{
    const struct vx_image *image = box->image;
    uint32_t addr;
    vx_status status = VX_OK;
    for (size_t i = 0; status == VX_OK && i < image->link.at_start_count; i++)
        status = resolve(box, &image->link.at_start[i], trap);
    if (status == VX_OK && vxe_dynamic(&image->elf, DT_INIT, &addr))
        status = call_at(box, addr + image->bias, "v(ipp)", NULL, trap);
    return status == VX_OK ? call_array(box, DT_INIT_ARRAY, DT_INIT_ARRAYSZ, trap) : status;
}

/* A program prepares itself, and parks. Its stack goes on to be that of the calls. */
static vx_status run_program(struct vx_box *box, struct vx_trap *trap)
{
    vx_gaddr esp;
    vx_status status = vxi_system_start(box, box->calls.base, &esp);
    if (status != VX_OK)
        return status;
    struct vx_regs regs = box->ctx->regs;
    regs.esp = esp;
    regs.eip = box->image->elf.entry + box->image->bias;
    vx_box_set_regs(box, &regs);
    status = vx_box_run(box, trap);
    if (status != VX_OK)
        return status;
    box->calls.base = box->ctx->regs.esp;
    return trap->kind == VX_TRAP_SYSCALL && box->ctx->regs.eax == VXI_SYSTEM_PARK ? VX_OK : VX_ERR_TRAP;
}

vx_status vx_box_start(struct vx_box *box, const struct vx_start *options, struct vx_trap *trap)
{
    struct vx_trap unwanted;
    const struct vx_start defaults = { .size = sizeof defaults };
    if (!trap)
        trap = &unwanted;
    if (!box || (options && options->size < sizeof *options))
        return VX_ERR_ARGUMENT;
    if (!options)
        options = &defaults;
    if (atomic_load(&box->is_running) || box->calls.base)
        return VX_ERR_BUSY;
    const struct vxe_elf *elf = box->image ? &box->image->elf : NULL;
    if (options->stack_bytes > MAX_STACK_BYTES ||
        (elf && (elf->tls_align > VX_PAGE_BYTES || elf->tls_mem_size > MAX_TLS_BYTES)))
        return VX_ERR_TOO_LARGE;
    *trap = (struct vx_trap){ 0 };
    vx_status status = make_stack(box, options->stack_bytes ? page_up(options->stack_bytes) : DEFAULT_STACK_BYTES);
    if (status != VX_OK)
        return status;
    box->calls.max_level = options->max_nesting ? options->max_nesting : DEFAULT_NESTING;
    vxi_gate_fill(box);
    if (!box->image || !box->image->link.is_linked)
        return VX_OK;
    if (vxi_is_executable(&box->image->elf))
        return run_program(box, trap);
    status = make_tls(box);
    return status == VX_OK ? initialise(box, trap) : status;
}

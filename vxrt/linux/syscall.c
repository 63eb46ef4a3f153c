/*
 * System call dispatch: int 0x80 with the number in eax and up to six
 * arguments in ebx ecx edx esi edi ebp. What has no handler is refused.
 */
#include "vxrt/internal.h"
#include "vxrt/linux/calls.h"
#include "vxrt/linux/threads.h"

struct row {
    const char *name;
    vxl_handler *handler;
};

#define CALL(number, name, handler) [number] = {#name, vxl_##handler},
#define NONE(number, name) [number] = {#name, NULL},
static const struct row rows[VXL_CALL_LIMIT] = {VXL_CALLS(CALL, NONE)};

const char *vxl_syscall_name(uint32_t number)
{
    return number < VXL_CALL_LIMIT && rows[number].name ? rows[number].name : "unknown";
}

void vxl_syscall(struct vxl_proc *p)
{
    const struct vx_regs *regs = &p->regs;
    uint32_t args[6] = {regs->ebx, regs->ecx, regs->edx, regs->esi, regs->edi, regs->ebp};
    uint32_t number = regs->eax;
    int32_t result = -ENOSYS;
    p->call_number = number;
    p->in_syscall = true;
    p->has_replaced_regs = p->is_blocked = false;
    if (number == VXI_SYSTEM_PARK)
        vxl_end_with(p, VXL_STOPPED, 0, &(struct vx_trap){.kind = VX_TRAP_SYSCALL, .eip = regs->eip});
    else if (number < VXL_CALL_LIMIT && rows[number].handler)
        result = rows[number].handler(p, args);
    else
        p->refused[number < VXL_CALL_LIMIT ? number : VXL_CALL_LIMIT - 1]++;
    if (p->is_blocked) {
        vxl_thread_block(p);
        return;
    }
    if (p->threads && !p->has_ended)
        vxl_thread_goes_on(p);
    if (p->has_replaced_regs)
        p->in_syscall = false;
    else
        p->regs.eax = (uint32_t)result;
}

bool vxl_refused(const struct vxl_proc *p, size_t index, struct vxl_refused *out)
{
    for (uint32_t number = 0; number < VXL_CALL_LIMIT; number++) {
        if (!p->refused[number] || index-- > 0)
            continue;
        *out = (struct vxl_refused){number, vxl_syscall_name(number), p->refused[number]};
        return true;
    }
    return false;
}

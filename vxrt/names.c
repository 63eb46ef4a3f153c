/*
 * Names for people: traps, the version.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vxrt/internal.h"

const char *vx_trap_name(enum vx_trap_kind kind)
{
    static const char *const names[] = {
        [VX_TRAP_SYSCALL] = "system call",
        [VX_TRAP_PAGE] = "page fault",
        [VX_TRAP_DIVIDE] = "divide error",
        [VX_TRAP_UNDEFINED] = "undefined instruction",
        [VX_TRAP_BREAKPOINT] = "breakpoint",
        [VX_TRAP_DEBUG] = "debug trap",
        [VX_TRAP_OVERFLOW] = "overflow",
        [VX_TRAP_BOUND] = "bound range exceeded",
        [VX_TRAP_X87] = "x87 floating-point error",
        [VX_TRAP_SIMD] = "SIMD floating-point error",
        [VX_TRAP_ALIGNMENT] = "alignment check",
        [VX_TRAP_PROTECTION] = "general protection fault",
        [VX_TRAP_INTERRUPT] = "software interrupt",
        [VX_TRAP_LIMIT] = "time limit reached",
        [VX_TRAP_STOPPED] = "stopped",
        [VX_TRAP_NOT_CACHED] = "not in the cache",
        [VX_TRAP_ERROR] = "runtime error",
        [VX_TRAP_HOST] = "host function failed",
        [VX_TRAP_SUSPENDED] = "suspended",
        [VX_TRAP_IMPORT] = "missing import called",
        [VX_TRAP_NESTING] = "nested too deeply",
        [VX_TRAP_EXIT] = "exit",
        [VX_TRAP_CPU_LIMIT] = "processor time limit reached",
        [VX_TRAP_STACK] = "stack overflow",
        [VX_TRAP_MEMORY] = "memory limit reached",
        [VX_TRAP_STREAMS] = "limit of open streams reached",
    };
    if ((unsigned)kind >= sizeof names / sizeof *names || !names[kind])
        return "unknown trap";
    return names[kind];
}

const char *vx_trap_describe(const struct vx_trap *trap, char *text, size_t size)
{
    static const char *const access[] = { "reading", "writing", "executing" };
    const char *name = vx_trap_name(trap->kind);
    switch (trap->kind) {
    case VX_TRAP_PAGE:
        snprintf(text, size, "%s %s 0x%08" PRIx32, name, access[trap->access % 3], trap->address);
        break;
    case VX_TRAP_INTERRUPT:
        snprintf(text, size, "%s 0x%02x", name, trap->vector);
        break;
    case VX_TRAP_EXIT: case VX_TRAP_HOST:
        snprintf(text, size, "%s %" PRIu32, name, trap->detail);
        break;
    case VX_TRAP_ERROR:
        if (trap->status == VX_ERR_REJECTED)
            snprintf(text, size, "%s: %s: V%02" PRIu32, name, vx_strerror(trap->status), trap->detail);
        else
            snprintf(text, size, "%s: %s", name, vx_strerror(trap->status));
        break;
    default:
        snprintf(text, size, "%s", name);
        break;
    }
    return text;
}

const char *vx_version(void)
{
    return VX_VERSION;
}

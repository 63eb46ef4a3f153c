/*
 * Embedding: open a guest, run it, and give it two system calls of our own:
 * write to standard output, and exit. It can do nothing else.
 *
 *     embed GUEST [CACHE.vxc]
 */
#include <stdio.h>
#include <unistd.h>

#include "vxrt.h"

#define GUEST_STACK 0xc0000000u
#define GUEST_STACK_BYTES 0x100000u

/* i386 Linux: number in eax, arguments in ebx, ecx, edx, result in eax. True: exit. */
static bool system_call(struct vx_box *box, struct vx_regs *regs)
{
    if (regs->eax == 1 || regs->eax == 252)
        return true;
    const char *text = vx_box_pointer(box, regs->ecx, regs->edx, VX_PROT_READ);
    if (regs->eax == 4 && text && (regs->ebx == 1 || regs->ebx == 2))
        regs->eax = (uint32_t)write(STDOUT_FILENO, text, regs->edx);
    else
        regs->eax = (uint32_t)-38; /* ENOSYS */
    vx_box_set_regs(box, regs);
    return false;
}

int main(int argc, char **argv)
{
    struct vx_image_options options = { .size = sizeof options, .cache_path = argc > 2 ? argv[2] : NULL };
    struct vx_image *image;
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    struct vx_regs regs;
    if (argc < 2 || vx_image_open(argv[1], &options, &image, &error) != VX_OK ||
        vx_box_new(image, NULL, &box, &error) != VX_OK ||
        vx_box_map(box, GUEST_STACK - GUEST_STACK_BYTES, GUEST_STACK_BYTES, VX_PROT_READ | VX_PROT_WRITE) != VX_OK) {
        fprintf(stderr, "%s: cannot open: %s\n", argc > 1 ? argv[1] : "embed", argc > 1 ? error.text : "no guest");
        return 125;
    }
    vx_box_get_regs(box, &regs);
    regs.esp = GUEST_STACK - 64; /* argc, argv and environment: all zero */
    vx_box_set_regs(box, &regs);
    do {
        if (vx_box_run(box, &trap) != VX_OK || trap.kind != VX_TRAP_SYSCALL) {
            fprintf(stderr, "stopped at 0x%08x: %s\n", trap.eip, vx_trap_name(trap.kind));
            return 1;
        }
        vx_box_get_regs(box, &regs);
    } while (!system_call(box, &regs));
    vx_box_free(box);
    vx_image_close(image);
    return (int)(regs.ebx & 0xff);
}

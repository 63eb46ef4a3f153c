/*
 * The whole load path: any bytes as an ELF file or a cache are opened, put into a box and run for a
 * moment. Whatever they do, the host goes on.
 */
#include <sys/mman.h>

#include "tests/fuzz/fuzz.h"
#include "vxrt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vx_image_options image_options = { .size = sizeof image_options };
    struct vx_box_options box_options = { .size = sizeof box_options, .max_memory = 64u << 20 };
    struct vx_error error = { 0 };
    struct vx_image *image;
    struct vx_box *box;
    image_options.load_bias = take(&data, &size, 1) % 4 * 0x01000000u;
    vx_status status = vx_image_open_memory(data, size, &image_options, &image, &error);
    if (status != VX_OK) {
        PROMISE(error.status == status && error.text[0]);
        return 0;
    }
    status = vx_box_new(image, &box_options, &box, &error);
    vx_image_close(image);
    if (status != VX_OK) {
        PROMISE(error.status == status && error.text[0]);
        return 0;
    }
    struct vx_trap trap;
    struct vx_regs regs;
    vx_box_get_regs(box, &regs);
    regs.esp = 0xf0000000u;
    vx_box_set_regs(box, &regs);
    PROMISE(vx_box_map(box, 0xefff0000u, 0x10000, VX_PROT_READ | VX_PROT_WRITE) != VX_ERR_ARGUMENT);
    vx_box_set_time_limit(box, 2000000);
    for (int i = 0; i < 20; i++) {
        PROMISE(vx_box_run(box, &trap) == VX_OK);
        if (trap.kind != VX_TRAP_SYSCALL && trap.kind != VX_TRAP_BREAKPOINT)
            break;
    }
    PROMISE(vx_box_free(box) == VX_OK);
    return 0;
}

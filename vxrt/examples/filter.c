/*
 * A host: runs samples through a plug-in that somebody else compiled, block by block.
 *
 *     filter lowpass.vxc
 *
 * It plays a low and a high tone through the filter, and says how loud they come out.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <vx/vxrt.h>

#define BLOCK 256
#define BLOCKS 200
#define RATE 48000.0

static enum vx_host_result host_log(struct vx_box *box, void *context, const union vx_value *args,
                                    union vx_value *result)
{
    char text[100];
    if (vx_box_read_string(box, args[0].ptr, text, sizeof text) == VX_OK)
        printf("plug-in: %s\n", text);
    return VX_HOST_DONE;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "filter: %s: %s\n", what, why);
    exit(1);
}

/* A call that was not made, or did not return. */
static void die_of(const char *what, vx_status status, const struct vx_trap *trap)
{
    char text[VX_TRAP_TEXT_BYTES];
    die(what, status == VX_ERR_TRAP ? vx_trap_describe(trap, text, sizeof text) : vx_strerror(status));
}

static struct vx_func find(struct vx_image *image, const char *name, const char *signature)
{
    struct vx_func func;
    vx_gaddr address;
    if (vx_image_export(image, name, &address) != VX_OK || vx_func_make(&func, address, signature) != VX_OK)
        die(name, "not in the plug-in");
    return func;
}

/* The loudest sample that comes out for a sine of this frequency. */
static float play(struct vx_box *box, const struct vx_func *process, float *samples, double frequency)
{
    struct vx_trap trap;
    union vx_value peak = { .f32 = 0 };
    for (int b = 0; b < BLOCKS; b++) {
        for (int i = 0; i < BLOCK; i++)
            samples[i] = (float)sin(6.283185307 * frequency * (b * BLOCK + i) / RATE);
        vx_status status = vx_box_call(box, process, &(union vx_value){ .i32 = BLOCK }, &peak, &trap);
        if (status != VX_OK)
            die_of("process", status, &trap);
    }
    return peak.f32;
}

int main(int argc, char **argv)
{
    const struct vx_host_function log = { "host_log", "v(p)", host_log, NULL };
    const struct vx_link link = { .size = sizeof link, .functions = &log, .function_count = 1 };
    struct vx_image *image;
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    vx_gaddr block;
    if (argc != 2)
        die("usage", "filter PLUGIN");
    if (vx_image_open(argv[1], NULL, &image, &error) != VX_OK || vx_image_link(image, &link, &error) != VX_OK ||
        vx_box_new(image, NULL, &box, &error) != VX_OK)
        die(argv[1], error.text);
    vx_status status = vx_box_start(box, NULL, &trap);
    if (status != VX_OK)
        die_of(argv[1], status, &trap);
    /* Samples go straight to the guest's memory: checked once, no copies. */
    if (vx_image_export(image, "block", &block) != VX_OK)
        die("block", "not in the plug-in");
    float *samples = vx_box_pointer(box, block, BLOCK * sizeof(float), VX_PROT_WRITE);
    struct vx_func configure = find(image, "configure", "v(dd)"), process = find(image, "process", "f(i)");
    if (!samples)
        die("block", "not writable");
    status = vx_box_call(box, &configure, (union vx_value[]){ { .f64 = 1000 }, { .f64 = RATE } }, NULL, &trap);
    if (status != VX_OK)
        die_of("configure", status, &trap);
    printf("100 Hz: %.2f\n", play(box, &process, samples, 100));
    printf("10000 Hz: %.2f\n", play(box, &process, samples, 10000));
    vx_box_free(box);
    vx_image_close(image);
    return 0;
}

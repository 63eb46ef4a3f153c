/*
 * A host: converts pictures to PPM with decoders that are plug-ins, and survives whatever they do.
 *
 *     convert PLUGIN-DIRECTORY FILE...        writes FILE.ppm for each
 *
 * Each picture has a box of its own: 256 MiB, two seconds. A decoder that fails is reported, and the next file
 * is converted. Exit status: 0 all converted, 1 not all, 2 usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include <vx/vxrt.h>

#define MEMORY (256ull << 20)
#define NANOSECONDS 2000000000ull
#define LARGEST_FILE (64 << 20)
#define LARGEST_SIDE 16384

struct file {
    const char *name;
    unsigned char *bytes;
    size_t size;
};

static const char *plugin_for(const struct file *file)
{
    static const struct {
        const char *magic, *plugin;
        size_t offset;
    } kinds[] = { { "\211PNG", "png.vxc", 0 }, { "\377\330\377", "jpeg.vxc", 0 }, { "WEBP", "webp.vxc", 8 } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].magic);
        if (file->size >= kinds[i].offset + length && !memcmp(file->bytes + kinds[i].offset, kinds[i].magic, length))
            return kinds[i].plugin;
    }
    return "bad.vxc";
}

/* What happened, and where in the plug-in. */
static bool report(const struct file *file, struct vx_box *box, vx_status status, const struct vx_trap *trap)
{
    char text[VX_TRAP_TEXT_BYTES];
    struct vx_frame where;
    fprintf(stderr, "%s: %s", file->name,
            status == VX_ERR_TRAP ? vx_trap_describe(trap, text, sizeof text) : vx_strerror(status));
    if (status == VX_ERR_TRAP && vx_box_backtrace(box, &where, 1) == 1 && where.symbol)
        fprintf(stderr, " in %s+0x%x", where.symbol, where.offset);
    fprintf(stderr, "\n");
    return false;
}

static vx_status call(struct vx_image *image, struct vx_box *box, const char *name, const char *signature,
                      const union vx_value *args, union vx_value *result, struct vx_trap *trap)
{
    struct vx_func func;
    vx_gaddr address;
    vx_status status = vx_image_export(image, name, &address);
    if (status == VX_OK)
        status = vx_func_make(&func, address, signature);
    return status == VX_OK ? vx_box_call(box, &func, args, result, trap) : status;
}

/* The plug-in's word is checked before it is used. */
static bool write_picture(const struct file *file, struct vx_box *box, const struct picture *picture)
{
    char name[4096];
    uint32_t width = picture->width, height = picture->height;
    if (!width || !height || width > LARGEST_SIDE || height > LARGEST_SIDE)
        return fprintf(stderr, "%s: a picture of %ux%u\n", file->name, width, height), false;
    const void *pixels = vx_box_pointer(box, picture->pixels, 3 * width * height, VX_PROT_READ);
    if (!pixels)
        return fprintf(stderr, "%s: the picture is not in the plug-in's memory\n", file->name), false;
    snprintf(name, sizeof name, "%s.ppm", file->name);
    FILE *out = fopen(name, "wb");
    bool is_good = out && fprintf(out, "P6\n%u %u\n255\n", width, height) > 0 &&
                   fwrite(pixels, 3 * (size_t)width, height, out) == height;
    if ((out && fclose(out) != 0) || !is_good)
        return perror(name), false;
    printf("%s: %ux%u\n", file->name, width, height);
    return true;
}

static bool decode(const struct file *file, struct vx_image *image, struct vx_box *box)
{
    struct vx_trap trap = { 0 };
    struct picture picture;
    union vx_value at, why;
    vx_gaddr out = 0;
    vx_status status = vx_box_set_time_limit(box, NANOSECONDS);
    if (status == VX_OK)
        status = vx_box_start(box, NULL, &trap);
    if (status == VX_OK)
        status = call(image, box, "reserve", "p(i)", &(union vx_value){ .u32 = (uint32_t)file->size }, &at, &trap);
    if (status == VX_OK)
        status = vx_box_write(box, at.ptr, file->bytes, file->size);
    if (status == VX_OK)
        status = vx_image_export(image, "picture", &out);
    if (status == VX_OK)
        status = call(image, box, "decode", "i(pip)",
                      (union vx_value[]){ at, { .u32 = (uint32_t)file->size }, { .ptr = out } }, &why, &trap);
    if (status == VX_OK && why.i32 != 0)
        return fprintf(stderr, "%s: the decoder refuses it (%d)\n", file->name, why.i32), false;
    if (status == VX_OK)
        status = vx_box_read(box, out, &picture, sizeof picture);
    return status == VX_OK ? write_picture(file, box, &picture) : report(file, box, status, &trap);
}

static bool convert(const char *directory, const struct file *file)
{
    const struct vx_box_options options = { .size = sizeof options, .max_memory = MEMORY };
    struct vx_image *image;
    struct vx_box *box;
    struct vx_error error;
    char path[4096];
    bool is_good = false;
    snprintf(path, sizeof path, "%s/%s", directory, plugin_for(file));
    if (vx_image_open(path, NULL, &image, &error) != VX_OK)
        return fprintf(stderr, "%s: %s\n", path, error.text), false;
    if (vx_image_link(image, NULL, &error) == VX_OK && vx_box_new(image, &options, &box, &error) == VX_OK) {
        is_good = decode(file, image, box);
        vx_box_free(box);
    } else {
        fprintf(stderr, "%s: %s\n", path, error.text);
    }
    vx_image_close(image);
    return is_good;
}

static bool read_file(struct file *file)
{
    FILE *in = fopen(file->name, "rb");
    file->bytes = malloc(LARGEST_FILE);
    file->size = in && file->bytes ? fread(file->bytes, 1, LARGEST_FILE, in) : 0;
    if (in)
        fclose(in);
    if (!in)
        perror(file->name);
    return in && file->bytes;
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: convert PLUGIN-DIRECTORY FILE...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        struct file file = { .name = argv[i] };
        if (!read_file(&file) || !convert(argv[1], &file))
            status = 1;
        free(file.bytes);
    }
    return status;
}

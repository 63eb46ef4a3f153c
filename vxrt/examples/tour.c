/*
 * A host that shows most of the interface, one function for each matter: strings, callbacks with user data, a buffer without
 * copies, limits, snapshots. The documentation quotes it.
 *
 *     tour words.vxc rates.vxc
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vx/vxrt.h>

/* For a tour: the first thing that fails ends it. */
static void check(vx_status status, const char *what, const char *why)
{
    if (status == VX_OK)
        return;
    fprintf(stderr, "tour: %s: %s%s%s\n", what, vx_strerror(status), *why ? ": " : "", why);
    exit(1);
}

static struct vx_func find(const struct vx_image *image, const char *name, const char *signature)
{
    struct vx_func func;
    vx_gaddr address = 0;
    check(vx_image_export(image, name, &address), name, "");
    check(vx_func_make(&func, address, signature), name, signature);
    return func;
}

/* What the plug-in did, if not return. */
static union vx_value call(struct vx_box *box, const struct vx_func *func, const union vx_value *args)
{
    char text[VX_TRAP_TEXT_BYTES];
    struct vx_trap trap = { 0 };
    union vx_value result;
    vx_status status = vx_box_call(box, func, args, &result, &trap);
    check(status, "call", status == VX_ERR_TRAP ? vx_trap_describe(&trap, text, sizeof text) : "");
    return result;
}

/* ---- host functions: context is of the image, vx_box_user of the box --- */

struct longest {
    char word[32];
    unsigned length;
};

static enum vx_host_result host_word(struct vx_box *box, void *context, const union vx_value *args,
                                     union vx_value *result)
{
    struct longest *longest = vx_box_user(box);
    uint32_t length = args[2].u32;
    /* args[0] comes from the guest: a number to look up with, never a pointer to follow. */
    if (args[0].u32 != 42)
        return VX_HOST_FAIL;
    if (length > longest->length && length < sizeof longest->word &&
        vx_box_read(box, args[1].ptr, longest->word, length) == VX_OK) {
        longest->word[length] = 0;
        longest->length = length;
    }
    result->i32 = 0;
    return VX_HOST_DONE;
}

static enum vx_host_result host_rate(struct vx_box *box, void *context, const union vx_value *args,
                                     union vx_value *result)
{
    char currency[8];
    int *asked = context;
    if (vx_box_read_string(box, args[0].ptr, currency, sizeof currency) != VX_OK)
        return VX_HOST_FAIL;
    ++*asked;
    result->i32 = strcmp(currency, "GBP") == 0 ? 85 : -1;
    return VX_HOST_DONE;
}

static const struct vx_box_options options = { .size = sizeof options, .max_memory = 64 << 20 };

/* A box that is ready to be called. */
static struct vx_box *open_plugin(const char *path, const struct vx_host_function *function, struct vx_image **image)
{
    const struct vx_link link = { .size = sizeof link, .functions = function, .function_count = 1 };
    char text[VX_TRAP_TEXT_BYTES];
    struct vx_error error;
    struct vx_trap trap = { 0 };
    struct vx_box *box;
    check(vx_image_open(path, NULL, image, &error), path, error.text);
    check(vx_image_link(*image, &link, &error), path, error.text);
    check(vx_box_new(*image, &options, &box, &error), path, error.text);
    check(vx_box_start(box, NULL, &trap), path, vx_trap_describe(&trap, text, sizeof text));
    return box;
}

/* ---- the stops of the tour ------------------------------------------- */

static void show_words(const char *path)
{
    const struct vx_host_function function = { "host_word", "i(ppi)", host_word, NULL };
    struct longest longest = { 0 };
    struct vx_image *image;
    struct vx_buffer *buffer;
    char text[64];
    struct vx_box *box = open_plugin(path, &function, &image);
    struct vx_func each_word = find(image, "each_word", "i(pip)"), describe = find(image, "describe", "p()");
    vx_box_set_user(box, &longest);

    check(vx_box_read_string(box, call(box, &describe, NULL).ptr, text, sizeof text), "describe", "");
    printf("plug-in: %s\n", text);

    check(vx_buffer_new(1 << 20, &buffer), "buffer", "");
    uint32_t size = (uint32_t)vx_buffer_size(buffer);
    vx_gaddr at = vx_box_find_free(box, size, 0);
    check(vx_box_share(box, buffer, 0, at, size, VX_PROT_READ), "buffer", "");
    char *mine = vx_buffer_data(buffer); /* what is written here the plug-in reads at `at` */
    int length = snprintf(mine, size, "one plug-in counts these words");
    int count = call(box, &each_word, (union vx_value[]){ { .ptr = at }, { .i32 = length }, { .u32 = 42 } }).i32;
    printf("%d words, the longest: %s\n", count, longest.word);

    struct vx_func spin = find(image, "spin", "v()");
    struct vx_trap trap;
    check(vx_box_set_time_limit(box, 50000000), "limit", ""); /* ns, for all that runs from now on */
    if (vx_box_call(box, &spin, NULL, NULL, &trap) == VX_ERR_TRAP)
        printf("spin: %s\n", vx_trap_describe(&trap, text, sizeof text));
    vx_box_free(box);
    vx_buffer_close(buffer);
    vx_image_close(image);
}

static void show_rates(const char *path)
{
    int asked = 0;
    const struct vx_host_function function = { "host_rate", "i(p)", host_rate, &asked };
    struct vx_image *image;
    struct vx_snapshot *ready;
    struct vx_box *other;
    struct vx_error error;
    struct vx_box *first = open_plugin(path, &function, &image);
    struct vx_func convert = find(image, "convert", "i(pi)"), uncaught = find(image, "uncaught", "v()");

    check(vx_box_snapshot(first, &ready), "snapshot", "");
    check(vx_box_new_from(ready, &options, &other, &error), "box", error.text); /* started already */

    vx_gaddr at = vx_box_find_free(other, VX_PAGE_BYTES, 0);
    check(vx_box_map(other, at, VX_PAGE_BYTES, VX_PROT_READ | VX_PROT_WRITE), "memory", "");
    static const char *const currencies[] = { "USD", "GBP", "GBP", "XXX" };
    for (size_t i = 0; i < sizeof currencies / sizeof *currencies; i++) {
        check(vx_box_write(other, at, currencies[i], strlen(currencies[i]) + 1), "argument", "");
        printf("%s: %d\n", currencies[i], call(other, &convert, (union vx_value[]){ { .ptr = at }, { .i32 = 200 } }).i32);
    }
    printf("the host was asked %d times\n", asked);

    char text[VX_TRAP_TEXT_BYTES];
    struct vx_trap trap;
    if (vx_box_call(other, &uncaught, NULL, NULL, &trap) == VX_ERR_TRAP)
        printf("uncaught: %s\n", vx_trap_describe(&trap, text, sizeof text));
    check(vx_box_reset(other), "reset", ""); /* as in the snapshot: nothing of its use remains */

    vx_box_free(other);
    vx_box_free(first);
    vx_snapshot_close(ready);
    vx_image_close(image);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: tour WORDS.vxc RATES.vxc\n");
        return 2;
    }
    show_words(argv[1]);
    show_rates(argv[2]);
    return 0;
}

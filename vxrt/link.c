/*
 * Linking: host functions to imports, once for all boxes of an image.
 *
 * Import number i has the guest address vxi_gate(i), whatever is bound to it, so that relocated bytes
 * can be shared by all boxes, and be checked by nobody: the guest cannot do more with that
 * address than with any other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vxrt/internal.h"

#define MAX_IMPORTS ((VX_GATE_BYTES - (VX_GATE_IMPORTS - VX_GATE_BASE)) / VX_GATE_STRIDE - 1)

void vxi_link_free(struct vxi_link *link)
{
    free(link->imports);
    free(link->hosts);
    free(link->at_start);
    *link = (struct vxi_link){ 0 };
}

static vx_status find_imports(struct vx_image *image, struct vx_error *error)
{
    struct vxi_link *link = &image->link;
    struct vxi_import_walk walk = { 0 };
    struct vxi_import import;
    size_t capacity = 0;
    while (vxi_import(image, &walk, &import)) {
        if (link->import_count == MAX_IMPORTS)
            return vxi_fail(error, VX_ERR_IMPORT, 0, "more than %u imports", (unsigned)MAX_IMPORTS);
        if (link->import_count == capacity) {
            capacity = capacity ? 2 * capacity : 32;
            struct vxi_import *imports = realloc(link->imports, capacity * sizeof *imports);
            if (!imports)
                return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
            link->imports = imports;
        }
        link->imports[link->import_count++] = import;
    }
    return VX_OK;
}

/* ___tls_get_addr: eax points to { module, offset }; there is one module. */
static enum vx_host_result tls_get_addr(struct vx_box *box, void *context, const union vx_value *args,
                                        union vx_value *result)
{
    uint32_t index[2];
    const struct vxi_context *ctx = box->ctx;
    if (vx_box_read(box, ctx->regs.eax, index, sizeof index) != VX_OK)
        return VX_HOST_FAIL;
    result->u32 = ctx->gs_base - vxi_tls_offset(&box->image->elf) + index[1];
    return VX_HOST_DONE;
}

static vx_status bind(struct vx_image *image, const struct vx_link *options, struct vx_error *error)
{
    struct vxi_link *link = &image->link;
    link->hosts = calloc(link->import_count + 1, sizeof *link->hosts);
    if (!link->hosts)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    for (size_t f = 0; f < options->function_count; f++) {
        const struct vx_host_function *function = &options->functions[f];
        struct vxi_host host = { .fn = function->fn, .context = function->context };
        if (!function->name || !function->fn)
            return vxi_fail(error, VX_ERR_ARGUMENT, f, "host function %zu has no name or no function", f);
        if (vxi_signature(&host.func, function->signature, &host.is_variadic) != VX_OK)
            return vxi_fail(error, VX_ERR_SIGNATURE, f, "host function %.40s: malformed signature \"%.30s\"",
                            function->name, function->signature ? function->signature : "");
        for (size_t i = 0; i < link->import_count; i++)
            if (strcmp(link->imports[i].name, function->name) == 0)
                link->hosts[i] = host;
    }
    link->hosts[link->import_count] = (struct vxi_host){ .fn = tls_get_addr, .func = { .result = 'p' } };
    return VX_OK;
}

/* All of them by name, as far as the text has room. */
static vx_status check_missing(const struct vxi_link *link, struct vx_error *error)
{
    char text[sizeof error->text] = "";
    size_t missing = 0, shown = 0, used = 0;
    for (size_t i = 0; i < link->import_count; i++) {
        if (link->hosts[i].fn || link->imports[i].is_weak)
            continue;
        size_t length = strlen(link->imports[i].name);
        if (missing++ == shown && used + length + 2 < sizeof text - 40) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", shown ? ", " : "", link->imports[i].name);
            shown++;
        }
    }
    if (missing == 0)
        return VX_OK;
    if (missing > shown)
        return vxi_fail(error, VX_ERR_IMPORT, missing, "no function for %s%sand %zu more", text, shown ? " " : "",
                        missing - shown);
    return vxi_fail(error, VX_ERR_IMPORT, missing, "no function for %s", text);
}

/* Code that was relocated is not what the cache was made from. */
static void leave_cache(struct vx_image *image)
{
    if (!image->zone)
        return;
    vxi_zone_close(image->zone);
    image->zone = NULL;
    image->cache_status = vxi_fail(&image->cache_error, VX_ERR_ELF_RELOC, 0, "the code has relocations (not built with -fPIC)");
}

vx_status vx_image_link(struct vx_image *image, const struct vx_link *options, struct vx_error *error)
{
    static const struct vx_link none = { .size = sizeof none };
    bool in_code = false;
    if (!image || !error || (options && (options->size < sizeof *options || (options->function_count && !options->functions))))
        return VX_ERR_ARGUMENT;
    if (image->link.is_linked || atomic_load(&image->references) != 1)
        return vxi_fail(error, VX_ERR_BUSY, 0, image->link.is_linked ? "linked already" : "boxes of the image exist");
    if (!options)
        options = &none;
    vx_status status = find_imports(image, error);
    if (status == VX_OK)
        status = bind(image, options, error);
    if (status == VX_OK && !options->allow_missing)
        status = check_missing(&image->link, error);
    if (status == VX_OK)
        status = vxi_relocate(image, &in_code, error);
    if (status != VX_OK) {
        vxi_link_free(&image->link);
        return status;
    }
    image->link.is_linked = true;
    vx_snapshot_close(atomic_exchange(&image->initial, NULL)); /* of boxes that are gone */
    if (in_code)
        leave_cache(image);
    return vxi_succeed(error);
}

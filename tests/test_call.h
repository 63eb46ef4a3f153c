/*
 * For tests of calls: a plug-in opened, linked and started, and its exports called by name.
 */
#ifndef TEST_CALL_H
#define TEST_CALL_H

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vxrt.h"

#define PLUGIN(name) BINARY_DIR "/plugin/" name
/* Exit status of a test program that could not run. */
#define SKIPPED 77

static inline bool has_plugins(void)
{
    if (access(PLUGIN("calls.so"), R_OK) == 0)
        return true;
    fprintf(stderr, "skipped: no plug-ins were built (gcc -m32 is missing)\n");
    return false;
}

static inline struct vx_image *plugin_image(const char *path, const struct vx_host_function *functions, size_t count)
{
    struct vx_image *image = NULL;
    struct vx_error error;
    struct vx_link link = { .size = sizeof link, .functions = functions, .function_count = count, .allow_missing = true };
    CU_ASSERT_EQUAL_FATAL(vx_image_open(path, NULL, &image, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_image_link(image, &link, &error), VX_OK);
    return image;
}

static inline struct vx_box *plugin_box(struct vx_image *image)
{
    struct vx_box *box = NULL;
    struct vx_error error;
    struct vx_trap trap;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(image, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_start(box, NULL, &trap), VX_OK);
    return box;
}

static inline struct vx_func export_of(const struct vx_image *image, const char *name, const char *signature)
{
    struct vx_func func = { 0 };
    vx_gaddr address = 0;
    CU_ASSERT_EQUAL(vx_image_export(image, name, &address), VX_OK);
    CU_ASSERT_EQUAL(vx_func_make(&func, address, signature), VX_OK);
    return func;
}

#define ARGS(...) (const union vx_value[]){ __VA_ARGS__ }
#define I(x) { .i32 = (x) }
#define L(x) { .i64 = (x) }
#define F(x) { .f32 = (x) }
#define D(x) { .f64 = (x) }
#define P(x) { .ptr = (x) }

/* Must return. */
static inline union vx_value call(struct vx_image *image, struct vx_box *box, const char *name, const char *signature,
                                  const union vx_value *args)
{
    struct vx_func func = export_of(image, name, signature);
    struct vx_trap trap;
    union vx_value result = { .u64 = 0 };
    vx_status status = vx_box_call(box, &func, args, &result, &trap);
    CU_ASSERT_EQUAL(status, VX_OK);
    if (status != VX_OK)
        fprintf(stderr, "  %s: status %d, %s at 0x%08x, address 0x%08x, detail %u\n", name, status,
                vx_trap_name(trap.kind), trap.eip, trap.address, trap.detail);
    return result;
}

/* Must trap like this. */
static inline struct vx_trap call_trap(struct vx_image *image, struct vx_box *box, const char *name,
                                       const char *signature, const union vx_value *args, enum vx_trap_kind kind)
{
    struct vx_func func = export_of(image, name, signature);
    struct vx_trap trap = { 0 };
    struct vx_regs regs;
    union vx_value result;
    CU_ASSERT_EQUAL(vx_box_call(box, &func, args, &result, &trap), VX_ERR_TRAP);
    CU_ASSERT_EQUAL(trap.kind, kind);
    if (trap.kind != kind)
        fprintf(stderr, "  %s: %s at 0x%08x, address 0x%08x, status %d, detail %u\n", name, vx_trap_name(trap.kind),
                trap.eip, trap.address, trap.status, trap.detail);
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(regs.eip, trap.eip);
    return trap;
}

#endif

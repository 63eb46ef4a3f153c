/*
 * Streams of a plug-in with a C library: what the host grants and opens, what closes it, and the limits of streams and of memory
 * in every position.
 */
#include <CUnit/Basic.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "test_call.h"

static struct vx_image *program;
static const char *inner, *inner_signature; /* what the innermost call of host_add calls */
static union vx_value inner_arg;
static struct vx_trap inner_trap;

/* a levels of the guest calling the host, then `inner`. */
static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->i32 = args[0].i32 + args[1].i32;
    if (args[1].i32 != -1)
        return VX_HOST_DONE;
    if (args[0].i32 > 0) {
        struct vx_func again = export_of(program, "ask", "i(ii)");
        return vx_box_call(box, &again, ARGS(I(args[0].i32 - 1), I(-1)), result, NULL) == VX_OK ? VX_HOST_DONE : VX_HOST_PASS_ON;
    }
    struct vx_func func = export_of(program, inner, inner_signature);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, &inner_arg, result, &inner_trap), VX_ERR_TRAP);
    return VX_HOST_PASS_ON;
}

static const struct vx_host_function functions[] = { { "host_add", "i(ii)", host_add, NULL } };

/* ---- the host's side of open ---- */

static int opened, last_flags;

/* "file" is one in memory; "wrong..." has an odd answer. */
static int host_open(struct vx_box *box, void *context, const char *name, int flags)
{
    const int *memory = context;
    opened++;
    last_flags = flags;
    if (strcmp(name, "file") == 0)
        return fcntl(*memory, F_DUPFD_CLOEXEC, 0);
    if (strcmp(name, "wrong") == 0)
        return -100000;
    return -EACCES;
}

static int descriptors(void)
{
    int n = 0;
    DIR *all = opendir("/proc/self/fd");
    while (all && readdir(all))
        n++;
    if (all)
        closedir(all);
    return n;
}

static vx_gaddr text(struct vx_box *box, const char *value)
{
    vx_gaddr at = call(program, box, "allocate_bytes", "p(i)", ARGS(I(5000))).ptr;
    CU_ASSERT_NOT_EQUAL_FATAL(at, 0);
    CU_ASSERT_EQUAL(vx_box_write(box, at, value, strlen(value) + 1), VX_OK);
    return at;
}

static int use_file(struct vx_box *box, const char *name, char *read_back)
{
    vx_gaddr to = text(box, "");
    int n = call(program, box, "use_file", "i(pppi)", ARGS(P(text(box, name)), P(text(box, "seven b")), P(to), I(100))).i32;
    CU_ASSERT_EQUAL(vx_box_read(box, to, read_back, 100), VX_OK);
    return n;
}

static void test_open(void)
{
    char back[100], name[5000];
    int memory = memfd_create("file", MFD_CLOEXEC);
    program = plugin_image(PLUGIN("program.vxc"), functions, 1);
    int before = descriptors();
    struct vx_box *box = plugin_box(program);
    CU_ASSERT_EQUAL(use_file(box, "file", back), -ENOENT);
    CU_ASSERT_EQUAL(vx_box_set_open(box, host_open, &memory), VX_OK);
    CU_ASSERT_EQUAL(use_file(box, "file", back), 7 + 7000);
    CU_ASSERT_EQUAL(memcmp(back, "seven b", 7), 0);
    CU_ASSERT_EQUAL(last_flags, O_RDWR | O_CREAT | O_TRUNC);
    CU_ASSERT_EQUAL(use_file(box, "/etc/passwd", back), -EACCES);
    CU_ASSERT_EQUAL(use_file(box, "wrong", back), -EIO);
    CU_ASSERT_EQUAL(opened, 3);
    memset(name, 'x', sizeof name);
    name[4096] = 0;
    CU_ASSERT_EQUAL(use_file(box, name, back), -ENAMETOOLONG);
    name[4095] = 0;
    CU_ASSERT_EQUAL(use_file(box, name, back), -EACCES);
    CU_ASSERT_EQUAL(opened, 4);
    CU_ASSERT_EQUAL(vx_box_set_open(box, NULL, NULL), VX_OK);
    CU_ASSERT_EQUAL(use_file(box, "file", back), -ENOENT);
    CU_ASSERT_EQUAL(vx_box_set_open(NULL, host_open, NULL), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
    CU_ASSERT_EQUAL(descriptors(), before);
    close(memory);
}

/* The table is full; then a reset, or the end of the box: nothing stays open, and what was granted stays the host's. */
static void test_many(void)
{
    int memory = memfd_create("file", MFD_CLOEXEC);
    struct vx_box *box = plugin_box(program);
    struct vx_snapshot *snapshot;
    CU_ASSERT_EQUAL_FATAL(vx_box_snapshot(box, &snapshot), VX_OK);
    int before = descriptors();
    for (int round = 0; round < 4; round++) {
        CU_ASSERT_EQUAL(vx_box_set_stream(box, 1, memory), VX_OK);
        CU_ASSERT_EQUAL(vx_box_set_open(box, host_open, &memory), VX_OK);
        CU_ASSERT_EQUAL(call(program, box, "open_often", "i(p)", ARGS(P(text(box, "file")))).i32, VX_MAX_STREAMS - 1);
        CU_ASSERT_EQUAL(descriptors(), before + VX_MAX_STREAMS - 1);
        if (round == 1) {
            CU_ASSERT_EQUAL(call(program, box, "close_all", "i()", NULL).i32, VX_MAX_STREAMS - 3);
            CU_ASSERT_EQUAL(descriptors(), before + 2); /* 0 and 2 were free */
        }
        if (round == 2) {
            for (unsigned i = 0; i < VX_MAX_STREAMS; i++)
                CU_ASSERT_EQUAL(vx_box_set_stream(box, i, memory), VX_OK);
            CU_ASSERT_EQUAL(descriptors(), before);
        }
        if (round < 3)
            CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        CU_ASSERT_EQUAL(descriptors(), round < 3 ? before : before + VX_MAX_STREAMS - 1);
    }
    CU_ASSERT_EQUAL(vx_box_set_stream(box, VX_MAX_STREAMS, 1), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
    CU_ASSERT_EQUAL(descriptors(), before);
    vx_snapshot_close(snapshot);
    CU_ASSERT_EQUAL(fcntl(memory, F_GETFD), FD_CLOEXEC);
    close(memory);
}

/* ---- limits ---- */

/* In a call, below one host function, below many. The box can be looked at and used. */
static void check_position(struct vx_box *box, int position, enum vx_trap_kind kind)
{
    struct vx_trap trap;
    struct vx_regs regs;
    struct vx_frame frames[32];
    if (position == 0) {
        trap = call_trap(program, box, inner, inner_signature, &inner_arg, kind);
    } else {
        trap = call_trap(program, box, "ask", "i(ii)", ARGS(I(position == 1 ? 0 : 100), I(-1)), kind);
        CU_ASSERT_EQUAL(inner_trap.kind, kind);
    }
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(regs.eip, trap.eip);
    CU_ASSERT_EQUAL(regs.eax, (uint32_t)(kind == VX_TRAP_MEMORY ? -ENOMEM : -EMFILE));
    CU_ASSERT_TRUE(vx_box_backtrace(box, frames, 32) >= 1);
    CU_ASSERT_TRUE(call(program, box, "state", "i()", NULL).i32 > 0);
    CU_ASSERT_EQUAL(call(program, box, "ask", "i(ii)", ARGS(I(2), I(3))).i32, 50);
}

static void test_stream_limit(void)
{
    int memory = memfd_create("file", MFD_CLOEXEC), before = descriptors();
    for (int position = 0; position < 3; position++) {
        struct vx_box *box = plugin_box(program);
        struct vx_trap trap;
        union vx_value result;
        CU_ASSERT_EQUAL(vx_box_set_stream(box, 1, memory), VX_OK);
        CU_ASSERT_EQUAL(vx_box_set_open(box, host_open, &memory), VX_OK);
        CU_ASSERT_EQUAL(vx_box_set_stream_limit(box, 7), VX_OK);
        inner = "open_often";
        inner_signature = "i(p)";
        inner_arg.ptr = text(box, "file");
        check_position(box, position, VX_TRAP_STREAMS);
        CU_ASSERT_EQUAL(descriptors(), before + 6);
        /* One call that goes on, and sees the error. */
        call(program, box, "close_all", "i()", NULL);
        struct vx_func func = export_of(program, inner, inner_signature);
        CU_ASSERT_EQUAL(vx_box_call(box, &func, &inner_arg, &result, &trap), VX_ERR_TRAP);
        CU_ASSERT_EQUAL(trap.kind, VX_TRAP_STREAMS);
        CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_OK);
        CU_ASSERT_EQUAL(result.i32, 4); /* 0, 1 and 2 stay open */
        CU_ASSERT_EQUAL(vx_box_set_stream_limit(box, 0), VX_OK);
        CU_ASSERT_EQUAL(call(program, box, inner, inner_signature, &inner_arg).i32, VX_MAX_STREAMS - 7);
        CU_ASSERT_EQUAL(vx_box_set_stream_limit(box, VX_MAX_STREAMS + 1), VX_ERR_ARGUMENT);
        CU_ASSERT_EQUAL(vx_box_set_stream_limit(NULL, 1), VX_ERR_ARGUMENT);
        CU_ASSERT_EQUAL(vx_box_free(box), VX_OK);
        CU_ASSERT_EQUAL(descriptors(), before);
    }
    close(memory);
}

static void test_memory_limit(void)
{
    for (int position = 0; position < 3; position++) {
        struct vx_box_options options = { .size = sizeof options, .max_memory = 4 << 20, .memory_traps = true };
        struct vx_box *box;
        struct vx_error error;
        struct vx_trap trap;
        CU_ASSERT_EQUAL_FATAL(vx_box_new(program, &options, &box, &error), VX_OK);
        CU_ASSERT_EQUAL(vx_box_start(box, NULL, &trap), VX_OK);
        inner = "allocate_bytes";
        inner_signature = "p(i)";
        inner_arg.i32 = 8 << 20;
        check_position(box, position, VX_TRAP_MEMORY);
        vx_box_free(box);
    }
    vx_image_close(program);
}

int main(void)
{
    if (!has_plugins())
        return SKIPPED;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("streams", NULL, NULL);
    CU_add_test(suite, "open", test_open);
    CU_add_test(suite, "many", test_many);
    CU_add_test(suite, "limit of streams in every position", test_stream_limit);
    CU_add_test(suite, "limit of memory in every position", test_memory_limit);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}

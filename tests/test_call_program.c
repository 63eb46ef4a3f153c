/*
 * Plug-ins with a whole C or C++ library: static executables that start, park, and are called then. And a
 * shared object with relocations in its code.
 */
#include <CUnit/Basic.h>
#include <fcntl.h>

#include "test_call.h"

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->i32 = args[0].i32 + args[1].i32;
    return VX_HOST_DONE;
}

static enum vx_host_result host_double(struct vx_box *box, void *context, const union vx_value *args,
                                       union vx_value *result)
{
    result->f64 = args[0].f64 * 2;
    return VX_HOST_DONE;
}

static const struct vx_host_function functions[] = { { "host_add", "i(ii)", host_add, NULL },
                                                     { "host_double", "d(d)", host_double, NULL } };

static const char *const programs[] = { PLUGIN("program"), PLUGIN("program_pie") };
static const char *const cxx_programs[] = { PLUGIN("cxx"), PLUGIN("cxx_stripped") };

/* A string in the guest's heap. */
static vx_gaddr guest_string(struct vx_image *image, struct vx_box *box, const char *text)
{
    vx_gaddr at = call(image, box, "allocate_bytes", "p(i)", ARGS(I((int)strlen(text) + 1))).ptr;
    CU_ASSERT_EQUAL(vx_box_write(box, at, text, strlen(text) + 1), VX_OK);
    return at;
}

static void check_library(struct vx_image *image, struct vx_box *box)
{
    CU_ASSERT_EQUAL(call(image, box, "state", "i()", NULL).i32, 1111);
    CU_ASSERT_EQUAL(call(image, box, "next_local", "i()", NULL).i32, 5);
    CU_ASSERT_EQUAL(call(image, box, "next_local", "i()", NULL).i32, 6);
    CU_ASSERT_EQUAL(call(image, box, "allocate", "i(ii)", ARGS(I(100), I(10000))).i32, 4950);
    CU_ASSERT_EQUAL(call(image, box, "allocate", "i(ii)", ARGS(I(10), I(1000000))).i32, 45);
    CU_ASSERT_EQUAL(call(image, box, "root", "d(d)", ARGS(D(4))).f64, 10);
    CU_ASSERT_EQUAL(call(image, box, "ask", "i(ii)", ARGS(I(3), I(4))).i32, 70);
    CU_ASSERT_EQUAL(call(image, box, "ask_double", "d(d)", ARGS(D(3))).f64, 7);
    CU_ASSERT_EQUAL(call(image, box, "has_time", "i()", NULL).i32, 1);
    char text[64];
    vx_gaddr name = guest_string(image, box, "/etc/passwd"), to = guest_string(image, box, "...............................");
    CU_ASSERT_EQUAL(call(image, box, "open_file", "i(p)", ARGS(P(name))).i32, 2); /* ENOENT */
    CU_ASSERT_EQUAL(call(image, box, "format", "i(pidp)", ARGS(P(to), I(32), D(1.5), P(name))).i32, 31);
    CU_ASSERT_EQUAL(vx_box_read_string(box, to, text, sizeof text), VX_OK);
    CU_ASSERT_STRING_EQUAL(text, "1.500 /etc/passwd 1099511627776");
}

static void check_streams(struct vx_image *image, struct vx_box *box, int out, int in)
{
    char text[64] = "";
    vx_gaddr name = guest_string(image, box, "hello");
    CU_ASSERT_EQUAL(call(image, box, "print", "i(p)", ARGS(P(name))).i32, 17);
    CU_ASSERT_EQUAL(read(out, text, sizeof text), 17);
    CU_ASSERT_STRING_EQUAL(text, "guest says hello\n");
    CU_ASSERT_EQUAL(write(in, "one\ntwo\n", 8), 8);
    CU_ASSERT_EQUAL(call(image, box, "read_line", "i(pi)", ARGS(P(name), I(6))).i32, 4);
    CU_ASSERT_EQUAL(vx_box_read_string(box, name, text, sizeof text), VX_OK);
    CU_ASSERT_STRING_EQUAL(text, "one\n");
    /* Taken back. */
    CU_ASSERT_EQUAL(vx_box_set_stream(box, 1, -1), VX_OK);
    CU_ASSERT_EQUAL(call(image, box, "print", "i(p)", ARGS(P(name))).i32, -9); /* EBADF */
    CU_ASSERT_EQUAL(vx_box_set_stream(box, VX_MAX_STREAMS, 1), VX_ERR_ARGUMENT);
}

/* By the table of .eh_frame where there is one (-static-pie), else by .eh_frame itself (-static). */
static void check_abort_frames(struct vx_box *box)
{
    struct vx_frame frames[16];
    size_t count = vx_box_backtrace(box, frames, 16), at = 0;
    while (at < count && !(frames[at].symbol && strcmp(frames[at].symbol, "abort") == 0))
        at++;
    CU_ASSERT_EQUAL_FATAL(at + 3, count);
    CU_ASSERT_TRUE(frames[at + 1].symbol && strcmp(frames[at + 1].symbol, "give_up") == 0);
    CU_ASSERT_TRUE(frames[at + 2].is_host);
}

static void test_programs(void)
{
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct vx_image *image = plugin_image(programs[i], functions, 2);
        struct vx_error error;
        struct vx_trap trap;
        struct vx_box *box, *small;
        int out[2], in[2];
        CU_ASSERT_TRUE_FATAL(pipe(out) == 0 && pipe(in) == 0);
        CU_ASSERT_EQUAL_FATAL(vx_box_new(image, NULL, &box, &error), VX_OK);
        CU_ASSERT_EQUAL(vx_box_set_stream(box, 0, in[0]), VX_OK);
        CU_ASSERT_EQUAL(vx_box_set_stream(box, 1, out[1]), VX_OK);
        CU_ASSERT_EQUAL_FATAL(vx_box_start(box, NULL, &trap), VX_OK);
        check_library(image, box);
        check_streams(image, box, out[0], in[1]);
        trap = call_trap(image, box, "ask_missing", "i()", NULL, VX_TRAP_IMPORT);
        trap = call_trap(image, box, "give_up", "v()", NULL, VX_TRAP_EXIT);
        CU_ASSERT_EQUAL(trap.detail, 128 + 6); /* SIGABRT */
        check_abort_frames(box);
        trap = call_trap(image, box, "leave", "v(i)", ARGS(I(7)), VX_TRAP_EXIT);
        CU_ASSERT_EQUAL(trap.detail, 7);
        vx_box_free(box);
        /* Memory is what the host allows. */
        struct vx_box_options options = { .size = sizeof options, .max_memory = 8 << 20 };
        CU_ASSERT_EQUAL_FATAL(vx_box_new(image, &options, &small, &error), VX_OK);
        CU_ASSERT_EQUAL_FATAL(vx_box_start(small, NULL, &trap), VX_OK);
        CU_ASSERT_EQUAL(call(image, small, "allocate", "i(ii)", ARGS(I(3), I(500000))).i32, 3);
        CU_ASSERT_EQUAL(call(image, small, "allocate_bytes", "p(i)", ARGS(I(100 << 20))).ptr, 0);
        vx_box_free(small);
        vx_image_close(image);
        for (int end = 0; end < 2; end++) {
            close(out[end]);
            close(in[end]);
        }
    }
}

static void test_cxx(void)
{
    for (size_t i = 0; i < sizeof cxx_programs / sizeof *cxx_programs; i++) {
        struct vx_image *image = plugin_image(cxx_programs[i], functions, 2);
        struct vx_box *box = plugin_box(image);
        CU_ASSERT_EQUAL(vx_box_map(box, 0x10000, 4096, VX_PROT_READ | VX_PROT_WRITE), VX_OK);
        CU_ASSERT_EQUAL(vx_box_write(box, 0x10000, "two\0four", 9), VX_OK);
        CU_ASSERT_EQUAL(call(image, box, "look_up", "i(p)", ARGS(P(0x10000))).i32, 2);
        CU_ASSERT_EQUAL(call(image, box, "look_up", "i(p)", ARGS(P(0x10004))).i32, -1);
        CU_ASSERT_EQUAL(call(image, box, "unwind", "i(i)", ARGS(I(50))).i32, 50);
        CU_ASSERT_EQUAL(call(image, box, "areas", "i(i)", ARGS(I(10))).i32, 385);
        struct vx_trap trap = call_trap(image, box, "uncaught", "v()", NULL, VX_TRAP_EXIT);
        CU_ASSERT_EQUAL(trap.detail, 128 + 6);
        vx_box_free(box);
        vx_image_close(image);
    }
}

/* Not built with -fPIC: the addresses of host functions stand in the code itself. */
static void test_relocated_code(void)
{
    struct vx_image *image = plugin_image(PLUGIN("calls_textrel.so"), functions, 2);
    struct vx_box *box = plugin_box(image);
    CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    CU_ASSERT_EQUAL(call(image, box, "call_add_often", "i(i)", ARGS(I(1000))).i32, 499500);
    CU_ASSERT_EQUAL(call(image, box, "constructed", "i()", NULL).i32, 212);
    CU_ASSERT_EQUAL(call(image, box, "thread_local_sum", "i()", NULL).i32, 560);
    CU_ASSERT_EQUAL(call(image, box, "through_table", "i(iii)", ARGS(I(1), I(4), I(6))).i32, 10);
    vx_box_free(box);
    vx_image_close(image);
}

/* From the cache alone, in which nothing is translated at run time. */
static void test_cached(void)
{
    static const struct {
        const char *path, *name, *signature;
        int32_t result;
    } cases[] = { { PLUGIN("calls.so.vxc"), "call_add_often", "i(i)", 499500 },
                  { PLUGIN("program.vxc"), "state", "i()", 1111 },
                  { PLUGIN("program_pie.vxc"), "state", "i()", 1111 },
                  { PLUGIN("cxx.vxc"), "unwind", "i(i)", 1000 },
                  { PLUGIN("cxx_stripped.vxc"), "unwind", "i(i)", 1000 } };
    const struct vx_box_options options = { .size = sizeof options, .no_dynamic = true };
    struct vx_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vx_image *image = plugin_image(cases[i].path, functions, 2);
        struct vx_box *box;
        CU_ASSERT_EQUAL(vx_image_cache_status(image, &error), VX_OK);
        CU_ASSERT_EQUAL_FATAL(vx_box_new(image, &options, &box, &error), VX_OK);
        CU_ASSERT_EQUAL(vx_box_start(box, NULL, NULL), VX_OK);
        CU_ASSERT_EQUAL(call(image, box, cases[i].name, cases[i].signature, ARGS(I(1000))).i32, cases[i].result);
        vx_box_free(box);
        vx_image_close(image);
    }
    /* Code that was relocated is not what the cache was made from. */
    struct vx_image *image = plugin_image(PLUGIN("calls_textrel.so.vxc"), functions, 2);
    CU_ASSERT_EQUAL(vx_image_cache_status(image, &error), VX_ERR_ELF_RELOC);
    struct vx_box *box = plugin_box(image);
    CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(2), I(3))).i32, 6);
    vx_box_free(box);
    vx_image_close(image);
}

int main(void)
{
    if (!has_plugins())
        return SKIPPED;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("call_program", NULL, NULL);
    CU_add_test(suite, "C library", test_programs);
    CU_add_test(suite, "C++ library", test_cxx);
    CU_add_test(suite, "relocations in code", test_relocated_code);
    CU_add_test(suite, "from the cache alone", test_cached);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

/*
 * What a call costs: into the guest and back, from the guest to a host function and back, and a new box. Beside it the
 * same calls into a native shared object through a function pointer.
 *
 *     build/bin/calls_bench [ROUNDS]
 *
 * Best and median of ROUNDS (default 200) rounds of 10,000 calls each; boxes in rounds of 50.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vxrt.h"

#define CALLS 10000
#define BOXES 50

static struct vx_image *image;
static struct vx_box *box;
static struct vx_func func;
static int (*native_add)(int, int);
static double (*native_addd)(double, double);
static int (*native_often)(int);
static volatile int sink;

static enum vx_host_result add_values(struct vx_box *caller, void *context, const union vx_value *args,
                                      union vx_value *result)
{
    result->i32 = args[0].i32 + args[1].i32;
    return VX_HOST_DONE;
}

static int native_host_add(int a, int b) { return a + b; }

static void die(const char *what)
{
    fprintf(stderr, "calls_bench: %s\n", what);
    exit(1);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void use(const char *name, const char *signature)
{
    vx_gaddr address;
    if (vx_image_export(image, name, &address) != VX_OK || vx_func_make(&func, address, signature) != VX_OK)
        die("no such export");
}

static void call(const union vx_value *args)
{
    union vx_value result;
    if (vx_box_call(box, &func, args, &result, NULL) != VX_OK)
        die("a call trapped");
    sink = result.i32;
}

static void guest_ints(void)
{
    for (int i = 0; i < CALLS; i++)
        call((const union vx_value[]){ { .i32 = i }, { .i32 = 1 } });
}

static void guest_doubles(void)
{
    for (int i = 0; i < CALLS; i++)
        call((const union vx_value[]){ { .f64 = i }, { .f64 = 1 } });
}

static void guest_callbacks(void) { call((const union vx_value[]){ { .i32 = CALLS } }); }

static void native_ints(void)
{
    for (int i = 0; i < CALLS; i++)
        sink = native_add(i, 1);
}

static void native_doubles(void)
{
    for (int i = 0; i < CALLS; i++)
        sink = (int)native_addd(i, 1);
}

static void native_callbacks(void) { sink = native_often(CALLS); }

static void boxes(void)
{
    struct vx_error error;
    struct vx_box *one;
    for (int i = 0; i < BOXES; i++)
        if (vx_box_new(image, NULL, &one, &error) != VX_OK || vx_box_start(one, NULL, NULL) != VX_OK ||
            vx_box_free(one) != VX_OK)
            die("no box");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, void (*round)(void), int count, int rounds)
{
    double *ns = calloc((size_t)rounds, sizeof *ns);
    if (!ns)
        die("out of memory");
    for (int i = 0; i < rounds; i++) {
        double start = now_ns();
        round();
        ns[i] = (now_ns() - start) / count;
    }
    qsort(ns, (size_t)rounds, sizeof *ns, compare);
    printf("%-34s %10.2f %10.2f\n", name, ns[0], ns[rounds / 2]);
    free(ns);
}

static void open_plugin(const char *path)
{
    static const struct vx_host_function host = { "host_add", "i(ii)", add_values, NULL };
    struct vx_link link = { .size = sizeof link, .functions = &host, .function_count = 1 };
    struct vx_error error;
    if (vx_image_open(path, NULL, &image, &error) != VX_OK || vx_image_link(image, &link, &error) != VX_OK ||
        vx_box_new(image, NULL, &box, &error) != VX_OK || vx_box_start(box, NULL, NULL) != VX_OK)
        die(error.text);
}

static void open_native(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    int (**slot)(int, int) = library ? dlsym(library, "host_add_slot") : NULL;
    if (!slot)
        die("the native library does not open");
    *slot = native_host_add;
    native_add = (int (*)(int, int))dlsym(library, "add");
    native_addd = (double (*)(double, double))dlsym(library, "addd");
    native_often = (int (*)(int))dlsym(library, "call_often");
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 200;
    open_plugin(BINARY_DIR "/plugin/bench_calls.so.vxc");
    open_native(BINARY_DIR "/lib/libbench_calls.so");
    printf("%-34s %10s %10s\n", "ns each", "best", "median");
    use("add", "i(ii)");
    measure("call, two ints", guest_ints, CALLS, rounds);
    measure("  native", native_ints, CALLS, rounds);
    use("addd", "d(dd)");
    measure("call, two doubles", guest_doubles, CALLS, rounds);
    measure("  native", native_doubles, CALLS, rounds);
    use("call_often", "i(i)");
    measure("host function called by the guest", guest_callbacks, CALLS, rounds);
    measure("  native", native_callbacks, CALLS, rounds);
    measure("box: new, start, free", boxes, BOXES, rounds / 4 + 1);
    vx_box_free(box);
    vx_image_close(image);
    return 0;
}

/*
 * What boxes cost: making, resetting, keeping many.
 *
 *     build/bin/boxes_bench [ROUNDS]     from the build directory's tests/plugin; ROUNDS: 300
 *
 * Two plug-ins: a shared object without a C library, and a static program with one. Times are the best and the median of the
 * rounds, in microseconds of wall time. Memory is what the process has more of, for each of 1,000 boxes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vxrt.h"

#define PLUGIN(name) BINARY_DIR "/plugin/" name
#define BOXES 1000
#define SCRATCH 0x30000000u /* where pages are written for resets */
#define MAX_ROUNDS 10000

static double times[MAX_ROUNDS];
static int rounds = 300;

static void check(vx_status status, const char *what)
{
    if (status == VX_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, vx_strerror(status));
    exit(1);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what)
{
    qsort(times, (size_t)rounds, sizeof times[0], compare);
    printf("  %-44s %9.2f %9.2f\n", what, times[0], times[rounds / 2]);
}

static enum vx_host_result host_add(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->i32 = args[0].i32 + args[1].i32;
    return VX_HOST_DONE;
}

static struct vx_image *open_image(const char *path)
{
    struct vx_image *image;
    struct vx_error error;
    const struct vx_host_function add = { "host_add", "i(ii)", host_add, NULL };
    struct vx_link link = { .size = sizeof link, .functions = &add, .function_count = 1, .allow_missing = true };
    check(vx_image_open(path, NULL, &image, &error), path);
    check(vx_image_link(image, &link, &error), path);
    return image;
}

static struct vx_box *new_box(struct vx_image *image)
{
    struct vx_box *box;
    struct vx_error error;
    check(vx_box_new(image, NULL, &box, &error), "vx_box_new");
    return box;
}

static struct vx_box *new_from(struct vx_snapshot *snapshot)
{
    struct vx_box *box;
    struct vx_error error;
    check(vx_box_new_from(snapshot, NULL, &box, &error), "vx_box_new_from");
    return box;
}

static struct vx_func export_of(struct vx_image *image, const char *name, const char *signature)
{
    struct vx_func func;
    vx_gaddr address;
    check(vx_image_export(image, name, &address), name);
    check(vx_func_make(&func, address, signature), name);
    return func;
}

static void call(struct vx_box *box, const struct vx_func *func)
{
    static const union vx_value args[4];
    union vx_value result;
    struct vx_trap trap;
    check(vx_box_call(box, func, args, &result, &trap), "vx_box_call");
}

static void bench_new(struct vx_image *image, struct vx_snapshot *snapshot, const struct vx_func *func)
{
    struct vx_trap trap;
    double start;
    for (int i = 0; i < rounds; i++) {
        start = now_us();
        struct vx_box *box = new_box(image);
        times[i] = now_us() - start;
        vx_box_free(box);
    }
    report("new box from the image");
    for (int i = 0; i < rounds; i++) {
        start = now_us();
        struct vx_box *box = new_box(image);
        check(vx_box_start(box, NULL, &trap), "vx_box_start");
        times[i] = now_us() - start;
        vx_box_free(box);
    }
    report("new box from the image, started");
    for (int i = 0; i < rounds; i++) {
        start = now_us();
        struct vx_box *box = new_from(snapshot);
        times[i] = now_us() - start;
        vx_box_free(box);
    }
    report("new box from the snapshot");
    for (int i = 0; i < rounds; i++) {
        start = now_us();
        struct vx_box *box = new_from(snapshot);
        call(box, func);
        times[i] = now_us() - start;
        vx_box_free(box);
    }
    report("  and a first call");
    for (int i = 0; i < rounds; i++) {
        start = now_us();
        struct vx_box *box = new_from(snapshot);
        call(box, func);
        vx_box_free(box);
        times[i] = now_us() - start;
    }
    report("  and freeing it");
}

static void bench_reset(struct vx_snapshot *snapshot, const struct vx_func *func)
{
    static const int counts[] = { 0, 1, 4, 16, 64, 256, 1024 };
    struct vx_box *box = new_from(snapshot);
    char what[64];
    for (int i = 0; i < rounds; i++) {
        call(box, func);
        double start = now_us();
        check(vx_box_reset(box), "vx_box_reset");
        times[i] = now_us() - start;
    }
    report("reset after a call");
    for (int i = 0; i < rounds; i++) {
        double start = now_us();
        call(box, func);
        check(vx_box_reset(box), "vx_box_reset");
        times[i] = now_us() - start;
    }
    report("a call and a reset");
    vx_box_free(box);
    box = new_from(snapshot);
    check(vx_box_map(box, SCRATCH, 1024 * VX_PAGE_BYTES, VX_PROT_READ | VX_PROT_WRITE), "vx_box_map");
    struct vx_snapshot *larger;
    check(vx_box_snapshot(box, &larger), "vx_box_snapshot");
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        double write_us = 0;
        for (int i = 0; i < rounds; i++) {
            uint32_t word = 1;
            double start = now_us();
            for (int page = 0; page < counts[c]; page++)
                check(vx_box_write(box, SCRATCH + (vx_gaddr)page * VX_PAGE_BYTES, &word, sizeof word), "vx_box_write");
            double middle = now_us();
            check(vx_box_reset(box), "vx_box_reset");
            times[i] = now_us() - middle;
            write_us += middle - start;
        }
        snprintf(what, sizeof what, "reset after %d pages (writing: %.2f)", counts[c], write_us / rounds);
        report(what);
    }
    vx_snapshot_close(larger);
    vx_box_free(box);
}

/* KiB resident, in page tables, and the number of mappings. */
static void measure(long usage[3])
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    usage[0] = usage[1] = usage[2] = 0;
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %ld", &usage[0]);
        sscanf(line, "VmPTE: %ld", &usage[1]);
    }
    if (file)
        fclose(file);
    file = fopen("/proc/self/maps", "re");
    while (file && fgets(line, sizeof line, file))
        usage[2]++;
    if (file)
        fclose(file);
}

static void show(const char *what, const long before[3])
{
    long after[3];
    measure(after);
    printf("  %-32s %7.1f KiB resident %7.1f KiB page tables %5.1f mappings\n", what, (double)(after[0] - before[0]) / BOXES,
           (double)(after[1] - before[1]) / BOXES, (double)(after[2] - before[2]) / BOXES);
}

static void bench_many(struct vx_snapshot *snapshot, const struct vx_func *func)
{
    static struct vx_box *boxes[BOXES];
    long before[3];
    measure(before);
    double start = now_us();
    for (int i = 0; i < BOXES; i++)
        boxes[i] = new_from(snapshot);
    double made = now_us();
    show("each of 1,000 boxes, new", before);
    double used = now_us();
    for (int i = 0; i < BOXES; i++)
        call(boxes[i], func);
    used = now_us() - used;
    show("  after a call", before);
    double reset = now_us();
    for (int i = 0; i < BOXES; i++)
        check(vx_box_reset(boxes[i]), "vx_box_reset");
    reset = now_us() - reset;
    show("  after a reset", before);
    double freed = now_us();
    for (int i = 0; i < BOXES; i++)
        vx_box_free(boxes[i]);
    freed = now_us() - freed;
    printf("  us each: made %.1f, first call %.1f, reset %.1f, freed %.1f\n", (made - start) / BOXES, used / BOXES,
           reset / BOXES, freed / BOXES);
}

static void bench(const char *path, const char *name, const char *signature)
{
    struct vx_image *image = open_image(path);
    struct vx_func func = export_of(image, name, signature);
    struct vx_box *box = new_box(image);
    struct vx_snapshot *snapshot;
    struct vx_trap trap;
    check(vx_box_start(box, NULL, &trap), "vx_box_start");
    double start = now_us();
    check(vx_box_snapshot(box, &snapshot), "vx_box_snapshot");
    printf("%s\n  %-44s %9.2f\n", strrchr(path, '/') + 1, "snapshot", now_us() - start);
    vx_box_free(box);
    bench_new(image, snapshot, &func);
    bench_reset(snapshot, &func);
    bench_many(snapshot, &func);
    vx_snapshot_close(snapshot);
    vx_image_close(image);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = atoi(argv[1]);
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: boxes_bench [ROUNDS]\n");
        return 2;
    }
    printf("us%56s %9s\n", "best", "median");
    bench(PLUGIN("calls.so.vxc"), "add", "i(ii)");
    bench(PLUGIN("program.vxc"), "state", "i()");
    return 0;
}

/*
 * How fast the translator is, in MB of guest code a second: discovery, lowering and layout of a whole guest,
 * without verifying, compressing and writing.
 *
 *     build/bin/translate_bench FILE...       i386 ELF files; one thread, then one for each processor
 *
 * Prints the median and the best of 7 rounds for each number of threads, wall time.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/elf32.h"
#include "vxc/translate/translate.h"

#define ROUNDS 7
#define CHUNK_GUEST_BYTES 4096 /* as vxc compile has it */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool once(const struct vxe_elf *elf, unsigned threads, double *seconds, uint32_t *guest_bytes)
{
    struct vxt_span code[VXE_MAX_SEGMENTS], data[VXE_MAX_SEGMENTS];
    struct vxt_input input = { .spans = code, .data = data, .chunk_guest_bytes = CHUNK_GUEST_BYTES,
                               .threads = threads, .position_independent = elf->is_dyn };
    struct vxt_output output;
    vx_gaddr *seeds = NULL;
    double start = now();
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct vxe_segment *segment = &elf->segments[i];
        struct vxt_span span = { segment->addr, segment->file_size, elf->bytes + segment->file_offset };
        if (segment->prot & VXE_X && segment->file_size)
            code[input.span_count++] = span;
        if (segment->file_size)
            data[input.data_count++] = span;
    }
    bool good = vxt_elf_seeds(elf, &seeds, &input.seed_count) == VX_OK;
    input.seeds = seeds;
    good = good && vxt_translate(&input, &output) == VX_OK;
    *seconds = now() - start;
    if (good) {
        *guest_bytes = output.guest_code_bytes;
        vxt_output_free(&output);
    }
    free(seeds);
    return good;
}

static int measure(const char *path, unsigned threads)
{
    struct vxe_elf elf;
    struct vx_error error = { 0 };
    struct stat info;
    double seconds[ROUNDS];
    uint32_t bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *file = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &info) == 0)
        file = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED) {
        perror(path);
        return 1;
    }
    bool good = vxe_open(file, (size_t)info.st_size, &elf, &error) == VX_OK;
    for (int i = 0; i < ROUNDS && good; i++)
        good = once(&elf, threads, &seconds[i], &bytes);
    if (good) {
        qsort(seconds, ROUNDS, sizeof *seconds, compare);
        printf("%s: %u bytes of guest code, %u thread%s: median %.2f MB/s, best %.2f MB/s\n", path, bytes, threads,
               threads == 1 ? "" : "s", bytes / seconds[ROUNDS / 2] / 1e6, bytes / seconds[0] / 1e6);
    } else {
        fprintf(stderr, "%s: %s\n", path, error.text[0] ? error.text : "cannot be translated");
    }
    munmap(file, (size_t)info.st_size);
    close(fd);
    return !good;
}

int main(int argc, char **argv)
{
    int status = argc < 2;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (argc < 2)
        fputs("usage: translate_bench FILE...\n", stderr);
    for (int i = 1; i < argc; i++) {
        status |= measure(argv[i], 1);
        if (processors > 1)
            status |= measure(argv[i], (unsigned)processors);
    }
    return status;
}

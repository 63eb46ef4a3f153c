/*
 * vxc verify: check caches, and with --against also that they are what a
 * fresh translation of the guest gives.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/sandbox.h"
#include "verifier/verifier.h"
#include "vxc/cli/cli.h"

struct options {
    bool json;
    const char *against;
    const char **files, **profiles;
    size_t file_count, profile_count;
};

struct report {
    const char *path;
    vx_status status;
    struct vx_error error;
    struct verdict verdict;
    double seconds;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static vx_status mismatch(struct vx_error *error, uint64_t offset, const char *what)
{
    error->status = VX_ERR_MISMATCH;
    error->offset = offset;
    snprintf(error->text, sizeof error->text, "%s", what);
    return VX_ERR_MISMATCH;
}

static vx_status compare_chunks(const struct vxf_file *file, const struct vxt_output *fresh,
                                bool has_relocs, struct vx_error *error)
{
    size_t count, row = 0, reloc = 0;
    const struct vxf_chunk *chunks = vxf_chunks(file, &count);
    if (count != fresh->chunk_count || memcmp(chunks, fresh->chunks, count * sizeof *chunks))
        return mismatch(error, 0, "chunk table differs");
    uint8_t *code = malloc(VXF_CHUNK_LIMIT);
    vx_status status = code ? VX_OK : VX_ERR_MEMORY;
    for (size_t i = 0; i < count && status == VX_OK; i++) {
        struct vxf_row *rows = NULL;
        struct vxf_reloc *relocs = NULL;
        size_t row_count = 0, reloc_count = 0;
        status = vxf_read_code(file, i, 0, code, error);
        if (status == VX_OK && memcmp(code, fresh->code + chunks[i].host, chunks[i].size))
            status = mismatch(error, chunks[i].host, "code differs (zone offset of the chunk)");
        if (status == VX_OK)
            status = vxf_read_rows(file, i, &rows, &row_count, error);
        for (size_t r = 0; r < row_count && status == VX_OK; r++, row++) {
            const struct vxf_row *other = &fresh->rows[row];
            if (row >= fresh->row_count || rows[r].host != other->host || rows[r].guest != other->guest ||
                rows[r].esp_delta != other->esp_delta || rows[r].kind != other->kind)
                status = mismatch(error, rows[r].host, "fault map differs (zone offset)");
        }
        if (status == VX_OK)
            status = vxf_read_relocs(file, i, &relocs, &reloc_count, error);
        for (size_t r = 0; r < reloc_count && status == VX_OK; r++, reloc++)
            if (reloc >= fresh->reloc_count || relocs[r].host != fresh->relocs[reloc].host ||
                relocs[r].negate != fresh->relocs[reloc].negate)
                status = mismatch(error, relocs[r].host, "relocations differ (zone offset)");
        free(rows);
        free(relocs);
    }
    free(code);
    if (status == VX_OK && (row != fresh->row_count || (has_relocs && reloc != fresh->reloc_count)))
        status = mismatch(error, 0, "fault map or relocations are incomplete");
    return status;
}

static vx_status compare(const struct vxf_file *file, const struct file *guest,
                         const struct translation *fresh, struct vx_error *error)
{
    uint64_t hash[2];
    size_t count;
    const struct vxf_meta *meta = vxf_meta(file);
    vxf_hash128(guest->bytes, guest->size, hash);
    if (memcmp(hash, meta->guest_hash, sizeof hash) || meta->guest_size != guest->size)
        return error->status = VX_ERR_VXC_GUEST;
    if (meta->translator_hash != VX_TRANSLATOR_HASH)
        return error->status = VX_ERR_VXC_STALE;
    if (meta->options != fresh->cpu)
        return error->status = VX_ERR_VXC_CPU;
    const struct vxf_entry *entries = vxf_entries(file, &count);
    if (count != fresh->output.entry_count || memcmp(entries, fresh->output.entries, count * sizeof *entries))
        return mismatch(error, 0, "entry map differs");
    const struct vxf_page *pages = vxf_pages(file, &count);
    if (count != fresh->page_count)
        return mismatch(error, 0, "page hashes differ");
    for (size_t i = 0; i < count; i++)
        if (pages[i].guest != fresh->pages[i].guest || pages[i].hash != fresh->pages[i].hash)
            return mismatch(error, 0, "page hashes differ");
    return compare_chunks(file, &fresh->output, fresh->elf.is_dyn, error);
}

static void check(struct report *report, const struct file *guest, const struct translation *fresh)
{
    struct file bytes;
    struct vxf_file *file = NULL;
    double start = now();
    if (!read_file(report->path, &bytes)) {
        report->status = VX_ERR_IO;
        return;
    }
    report->status = vxf_open(bytes.bytes, bytes.size, &file, &report->error);
    if (report->status == VX_OK && vxf_meta(file)->contract != VX_CONTRACT_VERSION)
        report->status = VX_ERR_VXC_CONTRACT;
    if (report->status == VX_OK) {
        verify_cache(file, &report->verdict);
        report->status = report->verdict.status;
        report->error = report->verdict.error;
    }
    if (report->status == VX_OK && (report->verdict.cpu_features & ~vxf_meta(file)->cpu_features)) {
        report->status = VX_ERR_VXC_META;
        snprintf(report->error.text, sizeof report->error.text,
                 "the code needs CPU features that the file does not declare");
    }
    if (report->status == VX_OK && guest)
        report->status = compare(file, guest, fresh, &report->error);
    if (file)
        vxf_close(file);
    free(bytes.bytes);
    report->seconds = now() - start;
}

static void print_text(const struct report *report)
{
    if (report->status == VX_OK) {
        printf("%s: accepted, %llu bytes of code in %.1f ms\n", report->path,
               (unsigned long long)report->verdict.code_bytes, report->seconds * 1e3);
    } else if (report->status == VX_ERR_REJECTED) {
        fprintf(stderr, "%s+0x%x: rejected V%02u: %s\n", report->path, report->verdict.host,
                report->verdict.rule, vxv_rule_text(report->verdict.rule));
    } else if (report->status != VX_ERR_IO) {
        complain_file(report->path, report->status, &report->error);
    }
}

static void print_json(const struct report *report, bool is_first)
{
    printf("%s\n    {\"file\": ", is_first ? "" : ",");
    print_json_string(report->path);
    printf(", \"accepted\": %s, \"status\": ", report->status == VX_OK ? "true" : "false");
    print_json_string(vx_strerror(report->status));
    if (report->status == VX_ERR_REJECTED) {
        printf(", \"rule\": \"V%02u\", \"zone_offset\": %u, \"text\": ", report->verdict.rule,
               report->verdict.host);
        print_json_string(vxv_rule_text(report->verdict.rule));
    } else if (report->status != VX_OK) {
        printf(", \"offset\": %llu, \"text\": ", (unsigned long long)report->error.offset);
        print_json_string(report->error.text);
    }
    printf(", \"code_bytes\": %llu, \"seconds\": %.6f}", (unsigned long long)report->verdict.code_bytes,
           report->seconds);
}

static int parse(int argc, char **argv, struct options *options)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            options->json = true;
        else if (!strcmp(argv[i], "--against")) {
            if (i + 1 == argc)
                return usage_error("verify", "--against needs a value");
            options->against = argv[++i];
        } else if (!strcmp(argv[i], "--profile")) {
            if (i + 1 == argc)
                return usage_error("verify", "--profile needs a value");
            options->profiles[options->profile_count++] = argv[++i];
        } else if (argv[i][0] == '-' && argv[i][1])
            return usage_error("verify", "unknown option '%s'", argv[i]);
        else
            options->files[options->file_count++] = argv[i];
    }
    if (options->profile_count && !options->against)
        return usage_error("verify", "--profile needs --against");
    return options->file_count ? EXIT_GOOD : usage_error("verify", "no file given");
}

static int exit_code_of(vx_status status)
{
    if (status == VX_OK)
        return EXIT_GOOD;
    return status == VX_ERR_IO || status == VX_ERR_MEMORY ? EXIT_SYSTEM : EXIT_REJECTED;
}

/* The virtual CPU that a cache is for; what is no cache is judged later. */
static uint32_t cpu_of(const char *path)
{
    uint32_t cpu = VX_CPU_DEFAULT;
    struct vxf_file *file;
    struct vx_error error;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && vxf_open_fd(fd, &file, &error) == VX_OK) {
        cpu = vxf_meta(file)->options;
        vxf_close(file);
    }
    if (fd >= 0)
        close(fd);
    return cpu;
}

/* The guest of --against, translated with the profiles that the cache was made with. */
static int translate_again(const struct options *options, struct file *guest, struct translation *fresh)
{
    struct translate_options how = { .threads = 2, .cpu = cpu_of(options->files[0]) };
    vx_gaddr *extra = NULL;
    uint64_t hash[2];
    int code = EXIT_GOOD;
    if (!read_file(options->against, guest))
        return EXIT_SYSTEM;
    vxf_hash128(guest->bytes, guest->size, hash);
    for (size_t i = 0; i < options->profile_count && code == EXIT_GOOD; i++)
        code = read_profile(options->profiles[i], hash, &extra, &how.extra_count);
    how.extra = extra;
    if (code == EXIT_GOOD)
        code = translate_guest(options->against, guest, &how, fresh);
    free(extra);
    return code;
}

int command_verify(int argc, char **argv)
{
    struct options options = { .files = calloc((size_t)argc + 1, sizeof *options.files),
                               .profiles = calloc((size_t)argc + 1, sizeof *options.profiles) };
    struct file guest = { 0 };
    struct translation fresh = { 0 };
    int code = options.files && options.profiles ? parse(argc, argv, &options) : EXIT_SYSTEM;
    if (code == EXIT_GOOD && options.against)
        code = translate_again(&options, &guest, &fresh);
    if (code == EXIT_GOOD) {
        if (options.json)
            printf("{\"schema\": \"vxc-verify-1\", \"files\": [");
        for (size_t i = 0; i < options.file_count; i++) {
            struct report report = { .path = options.files[i] };
            check(&report, options.against ? &guest : NULL, &fresh);
            if (options.json)
                print_json(&report, i == 0);
            else
                print_text(&report);
            int one = exit_code_of(report.status);
            code = one > code ? one : code;
        }
        if (options.json)
            printf("\n]}\n");
    }
    if (options.against)
        translation_free(&fresh);
    free(guest.bytes);
    free(options.files);
    free(options.profiles);
    return code;
}

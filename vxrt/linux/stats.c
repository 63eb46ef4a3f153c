/*
 * vxrun --stats: what the run did, for people or as one JSON object.
 */
#include <inttypes.h>

#include "vxrt/linux/codes.h"
#include "vxrt/linux/tool.h"

struct number {
    const char *name, *label;
    uint64_t value;
};

#define NUMBERS 13

static void collect(const struct vx_stats *s, struct number numbers[NUMBERS])
{
    const struct number list[NUMBERS] = {
        {"open_ns", "opening the image, ns", s->open_ns},
        {"load_ns", "loading cache chunks, ns", s->load_ns},
        {"verify_ns", "verifying, ns", s->verify_ns},
        {"chunks_loaded", "cache chunks loaded", s->chunks_loaded},
        {"entered_from_cache", "entries answered from the cache", s->cache_lookups},
        {"entered_from_dynamic", "entries answered from run-time code", s->dynamic_lookups},
        {"fragments_translated", "fragments translated at run time", s->units_translated},
        {"guest_bytes_translated", "guest bytes translated at run time", s->guest_bytes_translated},
        {"translate_ns", "translating, ns", s->translate_ns},
        {"dispatcher_misses", "exits to the dispatcher", s->dispatches},
        {"return_misses", "returns out of order", s->return_misses},
        {"helpers", "helper instructions", s->helpers},
        {"code_invalidations", "code pages rewritten", s->code_invalidations},
    };
    for (unsigned i = 0; i < NUMBERS; i++)
        numbers[i] = list[i];
}

void vxl_print_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f) /* bytes, not text in any encoding */
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static const char *end_name(enum vxl_end end)
{
    static const char *const names[] = {"exited", "signaled", "stopped"};
    return names[end];
}

/* Files that were mapped executable; in use: with the code of a cache. */
static void count_files(const struct vxl_codes *codes, unsigned *mapped, unsigned *in_use, unsigned *refused)
{
    struct vxl_code_file file;
    *mapped = *in_use = *refused = 0;
    for (size_t i = 0; vxl_codes_file(codes, i, &file); i++) {
        ++*mapped;
        *in_use += file.status == VX_OK;
        *refused += file.status != VX_OK && file.status != VX_ERR_NOT_FOUND;
    }
}

static void print_json(FILE *out, const struct vxl_report *report, const struct number *numbers,
                       uint64_t traps)
{
    struct vx_error error = {0};
    struct vxl_refused refused;
    vx_status status = report->image ? vx_image_cache_status(report->image, &error) : VX_ERR_NOT_FOUND;
    fputs("{\"schema\":\"vxrun-stats-1\",\"program\":", out);
    vxl_print_json_string(out, report->program);
    fprintf(out, ",\"cache_used\":%s,\"cache_path\":", status == VX_OK ? "true" : "false");
    if (report->cache_path)
        vxl_print_json_string(out, report->cache_path);
    else
        fputs("null", out);
    fputs(",\"cache_status\":", out);
    vxl_print_json_string(out, status == VX_ERR_NOT_FOUND ? "no cache" : vx_strerror(status));
    fputs(",\"cache_detail\":", out);
    vxl_print_json_string(out, status == VX_OK ? "" : error.text);
    for (unsigned i = 0; i < NUMBERS; i++)
        fprintf(out, ",\"%s\":%" PRIu64, numbers[i].name, numbers[i].value);
    fprintf(out, ",\"traps\":%" PRIu64 ",\"end\":\"%s\",\"code\":%d,\"trap\":", traps,
            end_name(report->outcome->end), report->outcome->code);
    if (report->outcome->has_trap)
        vxl_print_json_string(out, vx_trap_name(report->outcome->trap.kind));
    else
        fputs("null", out);
    unsigned mapped, in_use, refused_files;
    count_files(report->codes, &mapped, &in_use, &refused_files);
    fprintf(out, ",\"mapped_files\":%u,\"mapped_files_cached\":%u,\"mapped_files_refused\":%u", mapped, in_use,
            refused_files);
    fputs(",\"refused_calls\":[", out);
    for (size_t i = 0; vxl_refused(report->proc, i, &refused); i++)
        fprintf(out, "%s{\"number\":%" PRIu32 ",\"name\":\"%s\",\"count\":%" PRIu64 "}",
                i ? "," : "", refused.number, refused.name, refused.count);
    fputs("]}\n", out);
}

static void print_text(FILE *out, const struct vxl_report *report, const struct number *numbers,
                       uint64_t traps)
{
    struct vx_error error = {0};
    struct vxl_refused refused;
    vx_status status = report->image ? vx_image_cache_status(report->image, &error) : VX_ERR_NOT_FOUND;
    fprintf(out, "%-36s %s", "cache", status == VX_OK ? "used" : "not used: ");
    if (status == VX_ERR_NOT_FOUND)
        fputs("none found", out);
    else if (status != VX_OK)
        fprintf(out, "%s%s%s", vx_strerror(status), error.text[0] ? ": " : "", error.text);
    if (report->cache_path)
        fprintf(out, " (%s)", report->cache_path);
    fputc('\n', out);
    for (unsigned i = 0; i < NUMBERS; i++)
        fprintf(out, "%-36s %" PRIu64 "\n", numbers[i].label, numbers[i].value);
    fprintf(out, "%-36s %" PRIu64 "\n", "traps", traps);
    unsigned mapped, in_use, refused_files;
    count_files(report->codes, &mapped, &in_use, &refused_files);
    if (report->codes)
        fprintf(out, "%-36s %u, %u with a cache, %u refused\n", "files mapped executable", mapped, in_use, refused_files);
    for (size_t i = 0; vxl_refused(report->proc, i, &refused); i++)
        fprintf(out, "refused system call %3" PRIu32 " %-14s %" PRIu64 "\n", refused.number,
                refused.name, refused.count);
}

void vxl_print_stats(FILE *out, const struct vxl_report *report, bool is_json)
{
    struct vx_stats stats;
    struct number numbers[NUMBERS];
    vx_box_stats(vxl_box(report->proc), &stats);
    collect(&stats, numbers);
    if (is_json)
        print_json(out, report, numbers, stats.traps);
    else
        print_text(out, report, numbers, stats.traps);
}

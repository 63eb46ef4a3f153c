/*
 * vxc info: what a cache holds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/cpu.h"
#include "vxc/cli/cli.h"

#define FEATURE_BITS 32u

struct facts {
    const struct vxf_meta *meta;
    size_t chunks, entries, pages;
    uint64_t code_bytes, file_bytes;
    double growth; /* host code bytes for each guest code byte */
};

static void print_text(const char *path, const struct vxf_file *file, const struct facts *f)
{
    struct vxf_section_info section;
    char cpu[VXF_CPU_TEXT_BYTES];
    printf("file           %s, %llu bytes, format %d, contract %u\n", path,
           (unsigned long long)f->file_bytes, VXF_VERSION, f->meta->contract);
    printf("guest          %016llx%016llx, %llu bytes, %s\n", (unsigned long long)f->meta->guest_hash[1],
           (unsigned long long)f->meta->guest_hash[0], (unsigned long long)f->meta->guest_size,
           vxf_has_guest(file) ? "inside" : "detached");
    printf("translator     %016llx\n", (unsigned long long)f->meta->translator_hash);
    vxf_cpu_text(f->meta->options, cpu);
    printf("virtual cpu    %s\n", cpu);
    printf("placement      %s\n", f->meta->relocatable ? "anywhere" : "fixed");
    printf("cpu features  ");
    for (unsigned bit = 0; bit < FEATURE_BITS; bit++)
        if (f->meta->cpu_features >> bit & 1 && vxf_cpu_feature(bit))
            printf(" %s", vxf_cpu_feature(bit));
    printf("%s\n", f->meta->cpu_features ? "" : " baseline");
    printf("guest code     %u bytes, %u instructions, %zu pages\n", f->meta->guest_code_bytes,
           f->meta->guest_insns, f->pages);
    printf("host code      %llu bytes, %zu chunks, %zu entries\n", (unsigned long long)f->code_bytes,
           f->chunks, f->entries);
    printf("growth         %.2f\n", f->growth);
    for (size_t i = 0; vxf_section(file, i, &section); i++)
        printf("section        %-10s at %-10llu stored %-10llu plain %llu\n", section.name,
               (unsigned long long)section.offset, (unsigned long long)section.stored_bytes,
               (unsigned long long)section.plain_bytes);
}

static void print_json(const char *path, const struct vxf_file *file, const struct facts *f)
{
    struct vxf_section_info section;
    char cpu[VXF_CPU_TEXT_BYTES];
    const char *separator = "";
    printf("{\"schema\": \"vxc-info-1\", \"file\": ");
    print_json_string(path);
    printf(", \"file_bytes\": %llu, \"format\": %d, \"contract\": %u,\n",
           (unsigned long long)f->file_bytes, VXF_VERSION, f->meta->contract);
    printf(" \"guest_hash\": \"%016llx%016llx\", \"guest_bytes\": %llu, \"guest_inside\": %s,\n",
           (unsigned long long)f->meta->guest_hash[1], (unsigned long long)f->meta->guest_hash[0],
           (unsigned long long)f->meta->guest_size, vxf_has_guest(file) ? "true" : "false");
    vxf_cpu_text(f->meta->options, cpu);
    printf(" \"translator\": \"%016llx\", \"options\": %u, \"cpu\": \"%s\", \"relocatable\": %s, \"cpu_features\": [",
           (unsigned long long)f->meta->translator_hash, f->meta->options, cpu,
           f->meta->relocatable ? "true" : "false");
    for (unsigned bit = 0; bit < FEATURE_BITS; bit++)
        if (f->meta->cpu_features >> bit & 1 && vxf_cpu_feature(bit)) {
            printf("%s\"%s\"", separator, vxf_cpu_feature(bit));
            separator = ", ";
        }
    printf("],\n \"guest_code_bytes\": %u, \"guest_instructions\": %u, \"pages\": %zu,\n",
           f->meta->guest_code_bytes, f->meta->guest_insns, f->pages);
    printf(" \"host_code_bytes\": %llu, \"chunks\": %zu, \"entries\": %zu, \"growth\": %.4f,\n \"sections\": [",
           (unsigned long long)f->code_bytes, f->chunks, f->entries, f->growth);
    for (size_t i = 0; vxf_section(file, i, &section); i++)
        printf("%s{\"name\": \"%s\", \"offset\": %llu, \"stored_bytes\": %llu, \"plain_bytes\": %llu}",
               i ? ", " : "", section.name, (unsigned long long)section.offset,
               (unsigned long long)section.stored_bytes, (unsigned long long)section.plain_bytes);
    printf("]}\n");
}

int command_info(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (argv[i][0] == '-' && argv[i][1])
            return usage_error("info", "unknown option '%s'", argv[i]);
        else if (path)
            return usage_error("info", "more than one file: '%s'", argv[i]);
        else
            path = argv[i];
    }
    if (!path)
        return usage_error("info", "no file given");
    struct file bytes;
    struct vxf_file *file;
    struct vx_error error = { 0 };
    if (!read_file(path, &bytes))
        return EXIT_SYSTEM;
    vx_status status = vxf_open(bytes.bytes, bytes.size, &file, &error);
    if (status != VX_OK) {
        free(bytes.bytes);
        return complain_file(path, status, &error);
    }
    struct facts facts = { .meta = vxf_meta(file), .file_bytes = bytes.size };
    const struct vxf_chunk *chunks = vxf_chunks(file, &facts.chunks);
    vxf_entries(file, &facts.entries);
    vxf_pages(file, &facts.pages);
    for (size_t i = 0; i < facts.chunks; i++)
        facts.code_bytes += chunks[i].size;
    if (facts.meta->guest_code_bytes)
        facts.growth = (double)facts.code_bytes / facts.meta->guest_code_bytes;
    if (json)
        print_json(path, file, &facts);
    else
        print_text(path, file, &facts);
    vxf_close(file);
    free(bytes.bytes);
    return EXIT_GOOD;
}

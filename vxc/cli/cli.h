/*
 * Shared by the vxc commands: messages, files, guests, exit codes.
 */
#ifndef VXC_CLI_H
#define VXC_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/cache.h"
#include "format/elf32.h"
#include "vxc/translate/translate.h"

enum { EXIT_GOOD = 0, EXIT_REJECTED = 1, EXIT_USAGE = 2, EXIT_SYSTEM = 3 };

/* Each command gets the arguments after its name. */
int command_compile(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_info(int argc, char **argv);
int command_dump(int argc, char **argv);

/* "vxc: error: ..." to stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "FILE+0xOFFSET: error: STATUS: TEXT" for a refused file; returns the exit code that fits the status. */
int complain_file(const char *path, vx_status status, const struct vx_error *error);
/* A wrong command line; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A file in memory. */
struct file {
    uint8_t *bytes;
    size_t size;
};
/* Read a whole file ("-": stdin), at most VXF_GUEST_LIMIT bytes. Complains itself; false on failure. */
bool read_file(const char *path, struct file *file);

/* A guest translated. Arrays are owned; translation_free releases them. */
struct translation {
    struct vxe_elf elf;
    struct vxt_output output;
    struct vxf_page *pages;
    size_t page_count;
    uint32_t cpu_features;
    uint32_t cpu;          /* what it was translated for, VX_CPU_* */
};
struct translate_options {
    unsigned threads;
    uint32_t cpu;          /* the guest's virtual CPU, VX_CPU_* */
    const vx_gaddr *extra; /* from profiles */
    size_t extra_count;
};
/* Translate a guest ELF and verify the result. Complains itself; returns an exit code. */
int translate_guest(const char *path, const struct file *guest, const struct translate_options *options,
                    struct translation *result);
void translation_free(struct translation *result);

/* Write what was translated. Complains itself; returns an exit code. */
struct write_options {
    unsigned threads; /* --tree: files at a time */
    int level;
    bool is_detached;
    uint32_t cpu;     /* the guest's virtual CPU, VX_CPU_* */
};
int write_cache(const char *path, const struct file *guest, const struct translation *translation,
                const struct write_options *options);
/* Translate every program and library below `root` into a cache directory (tree.c). Returns an exit code. */
int compile_tree(const char *root, const char *directory, const struct write_options *options);

/* Verify every chunk of an open cache, at load bias 0 and, if it can be moved, at another one. */
struct verdict {
    bool accepted;
    vx_status status;      /* VX_ERR_REJECTED, or why a chunk could not be read */
    struct vx_error error;
    uint32_t rule;
    uint32_t host;         /* zone offset of the offending instruction */
    uint32_t cpu_features;
    uint64_t code_bytes;
};
void verify_cache(const struct vxf_file *file, struct verdict *verdict);
/* The same for one chunk's padded code. entries: bitmap over the zone. */
bool verify_chunk(const uint8_t *code, uint32_t padded_size, uint32_t zone_offset, uint32_t zone_size,
                  const uint64_t *entries, uint32_t *rule, uint32_t *offset, uint32_t *cpu_features);
/* Bitmap over the zone of the declared entries; malloc'd, NULL if memory is out. */
uint64_t *entry_bitmap(const struct vxf_entry *entries, size_t count, uint32_t zone_size);

/* Profiles (vxrun --profile-out): appends their addresses if they are for this guest. */
int read_profile(const char *path, const uint64_t guest_hash[2], vx_gaddr **addresses, size_t *count);

/* JSON helpers: a quoted string. */
void print_json_string(const char *text);

#endif

/*
 * vxc compile: guest ELF -> verified .vxc file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/cpu.h"
#include "format/sandbox.h"
#include "verifier/verifier.h"
#include "vxc/cli/cli.h"

#define DEFAULT_LEVEL 6

struct options {
    const char *output, *guest, *tree;
    const char **profiles;
    size_t profile_count;
    unsigned threads;
    int level;
    bool is_detached;
    uint32_t cpu;
};

static bool parse_number(const char *text, long low, long high, long *value)
{
    char *end;
    *value = strtol(text, &end, 10);
    return *text && !*end && *value >= low && *value <= high;
}

/* The value of option `name` at argv[*i]: attached ("-j4", "--level=4") or the next argument. NULL: another option.
 * A missing value is "". */
static const char *option_value(int argc, char **argv, int *i, const char *name)
{
    size_t length = strlen(name);
    bool is_long = name[1] == '-';
    if (strncmp(argv[*i], name, length))
        return NULL;
    if (argv[*i][length] == '\0')
        return *i + 1 < argc ? argv[++*i] : "";
    if (is_long)
        return argv[*i][length] == '=' ? argv[*i] + length + 1 : NULL;
    return argv[*i] + length;
}

/* EXIT_GOOD, or the exit code of a usage error. */
static int parse(int argc, char **argv, struct options *options)
{
    const char *value;
    long number;
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        if ((value = option_value(argc, argv, &i, "-o"))) {
            if (!*value)
                return usage_error("compile", "-o needs a file name");
            options->output = value;
        } else if ((value = option_value(argc, argv, &i, "-j"))) {
            if (!parse_number(value, 1, 1024, &number))
                return usage_error("compile", "-j wants a number from 1 to 1024");
            options->threads = (unsigned)number;
        } else if ((value = option_value(argc, argv, &i, "--level"))) {
            if (!parse_number(value, 0, 9, &number))
                return usage_error("compile", "--level wants a number from 0 to 9");
            options->level = (int)number;
        } else if ((value = option_value(argc, argv, &i, "--profile"))) {
            if (!*value)
                return usage_error("compile", "--profile needs a file name");
            options->profiles[options->profile_count++] = value;
        } else if ((value = option_value(argc, argv, &i, "--tree"))) {
            if (!*value)
                return usage_error("compile", "--tree needs a directory");
            options->tree = value;
        } else if ((value = option_value(argc, argv, &i, "--cpu"))) {
            if (!*value)
                return usage_error("compile", "--cpu needs a name");
            if (!vxf_cpu_parse(value, vxv_cpu_of_this_machine(), &options->cpu))
                return usage_error("compile", "--cpu: no such CPU: '%s'", value);
        } else if (!strcmp(argument, "--detached")) {
            options->is_detached = true;
        } else if (argument[0] == '-' && argument[1]) {
            return usage_error("compile", "unknown option '%s'", argument);
        } else if (options->guest) {
            return usage_error("compile", "more than one guest: '%s'", argument);
        } else {
            options->guest = argument;
        }
    }
    if (!options->tree)
        return options->guest ? EXIT_GOOD : usage_error("compile", "no guest given");
    if (options->guest || options->profile_count || !options->output)
        return usage_error("compile", "--tree needs -o DIRECTORY, and takes no guest and no profile");
    return EXIT_GOOD;
}

int write_cache(const char *path, const struct file *guest, const struct translation *translation,
                const struct write_options *options)
{
    const struct vxt_output *output = &translation->output;
    struct vx_error error = { 0 };
    struct vxf_content content = {
        .meta = { .guest_size = guest->size, .translator_hash = VX_TRANSLATOR_HASH,
                  .contract = VX_CONTRACT_VERSION, .options = options->cpu, .cpu_features = translation->cpu_features,
                  .relocatable = translation->elf.is_dyn, .guest_code_bytes = output->guest_code_bytes,
                  .guest_insns = output->guest_insns },
        .guest = options->is_detached ? NULL : guest->bytes,
        .code = output->code, .zone_size = output->code_size,
        .chunks = output->chunks, .chunk_count = output->chunk_count,
        .entries = output->entries, .entry_count = output->entry_count,
        .rows = output->rows, .row_count = output->row_count,
        .relocs = output->relocs, .reloc_count = translation->elf.is_dyn ? output->reloc_count : 0,
        .pages = translation->pages, .page_count = translation->page_count,
    };
    vxf_hash128(guest->bytes, guest->size, content.meta.guest_hash);
    vx_status status = vxf_write(path, &content, options->level, options->threads, &error);
    return status == VX_OK ? EXIT_GOOD : complain_file(path, status, &error);
}

int command_compile(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct options options = { .level = DEFAULT_LEVEL, .threads = processors > 0 ? (unsigned)processors : 1,
                               .cpu = VX_CPU_DEFAULT };
    struct file guest = { 0 };
    struct translation translation;
    vx_gaddr *extra = NULL;
    size_t extra_count = 0;
    uint64_t hash[2];
    char *default_output = NULL;
    options.profiles = calloc((size_t)argc + 1, sizeof *options.profiles);
    if (!options.profiles) {
        complain("out of memory");
        return EXIT_SYSTEM;
    }
    int code = parse(argc, argv, &options);
    if (code == EXIT_GOOD && options.tree) {
        struct write_options tree = { .threads = options.threads, .level = options.level, .is_detached = true,
                                      .cpu = options.cpu };
        code = compile_tree(options.tree, options.output, &tree);
        goto done;
    }
    if (code != EXIT_GOOD)
        goto done;
    if (!options.output) {
        if (asprintf(&default_output, "%s.vxc", strcmp(options.guest, "-") ? options.guest : "guest") < 0) {
            default_output = NULL;
            complain("out of memory");
            code = EXIT_SYSTEM;
            goto done;
        }
        options.output = default_output;
    }
    if (!strcmp(options.output, "-") && isatty(STDOUT_FILENO)) {
        code = usage_error("compile", "will not write a cache to a terminal");
        goto done;
    }
    if (!read_file(options.guest, &guest)) {
        code = EXIT_SYSTEM;
        goto done;
    }
    vxf_hash128(guest.bytes, guest.size, hash);
    for (size_t i = 0; i < options.profile_count && code == EXIT_GOOD; i++)
        code = read_profile(options.profiles[i], hash, &extra, &extra_count);
    if (code != EXIT_GOOD)
        goto done;
    struct write_options write = { .threads = options.threads, .level = options.level, .is_detached = options.is_detached,
                                   .cpu = options.cpu };
    struct translate_options how = { .threads = options.threads, .cpu = options.cpu, .extra = extra, .extra_count = extra_count };
    code = translate_guest(options.guest, &guest, &how, &translation);
    if (code != EXIT_GOOD)
        goto done;
    code = write_cache(options.output, &guest, &translation, &write);
    translation_free(&translation);
done:
    free(extra);
    free(guest.bytes);
    free(options.profiles);
    free(default_output);
    return code;
}

/*
 * vxc: translate i386 guests ahead of time, verify, inspect.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/sandbox.h"
#include "vxc/cli/cli.h"

static const char help[] =
    "vxc - translate i386 programs and plug-ins into verified x86-64 fragment caches\n"
    "\n"
    "usage:\n"
    "  vxc compile [-o OUT.vxc] [-j N] [--level N] [--cpu NAME] [--profile FILE]... [--detached] GUEST\n"
    "  vxc compile --tree ROOT -o DIRECTORY [-j N] [--level N] [--cpu NAME]\n"
    "  vxc verify [--json] [--against GUEST [--profile FILE]...] FILE.vxc...\n"
    "  vxc info [--json] FILE.vxc\n"
    "  vxc dump [-d] [--at GUEST-ADDR] FILE.vxc\n"
    "  vxc --help | --version\n"
    "\n"
    "compile   translate GUEST, verify the result, write it (default GUEST.vxc)\n"
    "    -o FILE          output file; - is standard output\n"
    "    -j N             threads (default: one per processor); the bytes do not change\n"
    "    --level N        zlib level 0 (stored) to 9; default 6\n"
    "    --profile FILE   also translate what vxrun --profile-out recorded\n"
    "    --cpu NAME       what the guest's processor can do: i686-sse2, sse4.2 (default), avx2, host; with\n"
    "                     +FEATURE or -FEATURE added, as in sse4.2+aes\n"
    "    --detached       leave the guest image out: the guest file is needed to run\n"
    "    --tree ROOT      translate every i386 program and library below ROOT for vxrun --root,\n"
    "                     -j files at a time, into a cache directory; what is current is left alone\n"
    "verify    exit 0 if every file is accepted, 1 if one is rejected\n"
    "    --against GUEST  also translate GUEST again and compare bit by bit (with\n"
    "                     the profiles that the cache was compiled with)\n"
    "info      identity, sizes, counts, CPU features, ratios\n"
    "dump      entries and code; with -d guest and host instructions side by side\n"
    "    --at ADDR        only the block with this guest address\n"
    "\n"
    "examples:\n"
    "  vxc compile -o codec.vxc codec.elf && vxc verify codec.vxc && vxrun codec.vxc input\n"
    "  vxc dump -d --at 0x8049010 codec.vxc\n"
    "\n"
    "exit status: 0 good, 1 rejected or untranslatable, 2 usage, 3 I/O or resources\n";

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("vxc: error: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int complain_file(const char *path, vx_status status, const struct vx_error *error)
{
    fprintf(stderr, "%s", path);
    if (error->offset)
        fprintf(stderr, "+0x%llx", (unsigned long long)error->offset);
    fprintf(stderr, ": error: %s%s%s\n", vx_strerror(status), error->text[0] ? ": " : "", error->text);
    switch (status) {
    case VX_ERR_IO: case VX_ERR_MEMORY: case VX_ERR_NOT_FOUND: case VX_ERR_FULL:
    case VX_ERR_ADDRESS_SPACE:
        return EXIT_SYSTEM;
    default:
        return EXIT_REJECTED;
    }
}

int usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "vxc%s%s: ", command[0] ? " " : "", command);
    vfprintf(stderr, format, arguments);
    fputs("\nTry 'vxc --help'.\n", stderr);
    va_end(arguments);
    return EXIT_USAGE;
}

void print_json_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 32 || c == 127)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static int flush_output(int code)
{
    if (fflush(stdout) || ferror(stdout)) {
        perror("vxc: error: standard output");
        return EXIT_SYSTEM;
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(int, char **); } commands[] = {
        { "compile", command_compile }, { "verify", command_verify },
        { "info", command_info }, { "dump", command_dump },
    };
    if (argc < 2)
        return usage_error("", "no command given");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        fputs(help, stdout);
        return flush_output(EXIT_GOOD);
    }
    if (!strcmp(argv[1], "--version")) {
        printf("vxc %s, format %d, contract %d, translator %016llx\n", VX_VERSION, VXF_VERSION,
               VX_CONTRACT_VERSION, (unsigned long long)VX_TRANSLATOR_HASH);
        return flush_output(EXIT_GOOD);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(argv[1], commands[i].name))
            return flush_output(commands[i].run(argc - 2, argv + 2));
    return usage_error("", "unknown command '%s'", argv[1]);
}

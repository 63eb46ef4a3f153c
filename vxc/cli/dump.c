/*
 * vxc dump: the code in a cache, guest and host side by side.
 *
 * Disassembly needs Zydis at build time; without it bytes are shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef VX_HAVE_ZYDIS
#include <Zydis/Zydis.h>
#endif

#include "vxc/cli/cli.h"

#define MAX_TEXT 96

struct dump {
    const struct vxf_file *file;
    const struct vxe_elf *guest; /* NULL: not available */
    bool disassemble;
    bool has_at;
    vx_gaddr at;
    const struct vxf_entry **by_host; /* entries sorted by host */
    size_t entry_count;
};

/* One instruction as text; returns its length (1 if it cannot be decoded). */
static unsigned disassemble(bool is_64, const uint8_t *code, size_t size, uint64_t address, char text[MAX_TEXT])
{
#ifdef VX_HAVE_ZYDIS
    ZydisDisassembledInstruction instruction;
    if (ZYAN_SUCCESS(ZydisDisassembleATT(
            is_64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32, address, code,
            size, &instruction))) {
        snprintf(text, MAX_TEXT, "%s", instruction.text);
        return instruction.info.length;
    }
#else
    (void)is_64;
    (void)size;
    (void)address;
#endif
    snprintf(text, MAX_TEXT, ".byte 0x%02x", code[0]);
    return 1;
}

static int compare_host(const void *a, const void *b)
{
    const struct vxf_entry *left = *(const struct vxf_entry *const *)a;
    const struct vxf_entry *right = *(const struct vxf_entry *const *)b;
    if (left->host != right->host)
        return left->host < right->host ? -1 : 1;
    return left->guest < right->guest ? -1 : left->guest > right->guest;
}

static void print_host(const uint8_t *code, uint32_t from, uint32_t to, uint32_t zone)
{
    while (from < to) {
        char text[MAX_TEXT], hex[3 * 15 + 1];
        unsigned length = disassemble(true, code + from, to - from, zone + from, text);
        for (unsigned i = 0; i < length && i < 15; i++)
            snprintf(hex + 3 * i, 4, "%02x ", code[from + i]);
        printf("    %8x:  %-38s %s\n", zone + from, hex, text);
        from += length;
    }
}

static void print_guest(const struct dump *dump, const struct vxf_row *row)
{
    char text[MAX_TEXT] = "";
    uint32_t available;
    const uint8_t *bytes = dump->guest ? vxe_at(dump->guest, row->guest, &available) : NULL;
    if (row->kind != VXF_ROW_INSN) {
        printf("  (glue)\n");
        return;
    }
    if (bytes)
        disassemble(false, bytes, available, row->guest, text);
    printf("  %08x  %s", row->guest, text);
    if (row->esp_delta)
        printf("    ; esp = r14d%+d", row->esp_delta);
    putchar('\n');
}

static int dump_chunk(const struct dump *dump, size_t index, size_t *entry)
{
    size_t chunk_count, row_count;
    const struct vxf_chunk *chunk = &vxf_chunks(dump->file, &chunk_count)[index];
    struct vxf_row *rows = NULL;
    struct vx_error error = { 0 };
    uint8_t *code = malloc(chunk->size);
    vx_status status = code ? vxf_read_code(dump->file, index, 0, code, &error) : VX_ERR_MEMORY;
    if (status == VX_OK)
        status = vxf_read_rows(dump->file, index, &rows, &row_count, &error);
    if (status != VX_OK) {
        free(code);
        return complain_file("chunk", status, &error);
    }
    if (!dump->has_at)
        printf("chunk %zu: zone 0x%x, %u bytes\n", index, chunk->host, chunk->size);
    bool is_shown = !dump->has_at;
    for (size_t r = 0; r < row_count; r++) {
        uint32_t end = r + 1 < row_count ? rows[r + 1].host : chunk->host + chunk->size;
        for (; *entry < dump->entry_count && dump->by_host[*entry]->host <= rows[r].host; ++*entry) {
            if (dump->has_at)
                is_shown = false;
            if (!dump->has_at)
                printf("entry %08x at zone 0x%x\n", dump->by_host[*entry]->guest,
                       dump->by_host[*entry]->host);
        }
        if (dump->has_at && rows[r].guest == dump->at && rows[r].kind == VXF_ROW_INSN)
            is_shown = true;
        if (!is_shown || !dump->disassemble)
            continue;
        print_guest(dump, &rows[r]);
        print_host(code, rows[r].host - chunk->host, end - chunk->host, chunk->host);
    }
    free(rows);
    free(code);
    return EXIT_GOOD;
}

static int dump_file(struct dump *dump)
{
    size_t chunk_count, entry = 0;
    const struct vxf_entry *entries = vxf_entries(dump->file, &dump->entry_count);
    vxf_chunks(dump->file, &chunk_count);
    dump->by_host = malloc((dump->entry_count + 1) * sizeof *dump->by_host);
    if (!dump->by_host)
        return EXIT_SYSTEM;
    for (size_t i = 0; i < dump->entry_count; i++)
        dump->by_host[i] = &entries[i];
    qsort(dump->by_host, dump->entry_count, sizeof *dump->by_host, compare_host);
    int code = EXIT_GOOD;
    for (size_t i = 0; i < chunk_count && code == EXIT_GOOD; i++)
        code = dump_chunk(dump, i, &entry);
    free(dump->by_host);
    return code;
}

static int parse(int argc, char **argv, struct dump *dump, const char **path)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "-d")) {
            dump->disassemble = true;
        } else if (!strcmp(argv[i], "--at")) {
            char *end;
            if (i + 1 == argc)
                return usage_error("dump", "--at needs a value");
            unsigned long value = strtoul(argv[++i], &end, 16);
            if (!argv[i][0] || *end || value > UINT32_MAX)
                return usage_error("dump", "--at wants a hexadecimal guest address");
            dump->at = (vx_gaddr)value;
            dump->has_at = dump->disassemble = true;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            return usage_error("dump", "unknown option '%s'", argv[i]);
        } else if (*path) {
            return usage_error("dump", "more than one file: '%s'", argv[i]);
        } else {
            *path = argv[i];
        }
    }
    return *path ? EXIT_GOOD : usage_error("dump", "no file given");
}

int command_dump(int argc, char **argv)
{
    struct dump dump = { 0 };
    struct vxe_elf elf;
    struct file bytes;
    struct vxf_file *file;
    struct vx_error error = { 0 };
    const char *path = NULL;
    uint8_t *guest = NULL;
    int code = parse(argc, argv, &dump, &path);
    if (code != EXIT_GOOD)
        return code;
    if (!read_file(path, &bytes))
        return EXIT_SYSTEM;
    vx_status status = vxf_open(bytes.bytes, bytes.size, &file, &error);
    if (status != VX_OK) {
        free(bytes.bytes);
        return complain_file(path, status, &error);
    }
    dump.file = file;
    const struct vxf_meta *meta = vxf_meta(file);
    if (vxf_has_guest(file) && (guest = malloc(meta->guest_size + 1)) &&
        vxf_read_guest(file, guest, &error) == VX_OK &&
        vxe_open(guest, meta->guest_size, &elf, &error) == VX_OK)
        dump.guest = &elf;
    code = dump_file(&dump);
    free(guest);
    vxf_close(file);
    free(bytes.bytes);
    return code;
}

/*
 * Driver for Frama-C's Eva (scripts/frama.sh): opening a cache (format/open.c, blocks.c), each step of it in any state that the steps before may leave. Tables have
 * some counts, and blocked sections some sizes; the decoders (codec.c) are any.
 */
#include "tests/frama/any_file.h"

const char *vxi_decode_entries(struct vxi_cursor c, struct vxf_entry *out, size_t count)
{
    (void)c;
    Frama_C_make_unknown((char *)out, count * sizeof *out);
    return Frama_C_interval(0, 1) ? NULL : "wrong";
}

const char *vxi_decode_pages(struct vxi_cursor c, struct vxf_page *out, size_t count)
{
    (void)c;
    Frama_C_make_unknown((char *)out, count * sizeof *out);
    return Frama_C_interval(0, 1) ? NULL : "wrong";
}

const char *vxi_check_entries(const struct vxf_entry *entries, size_t count, const struct vxf_chunk *chunks, size_t chunk_count)
{
    /*@ assert \valid_read(entries + (0 .. count)) && \valid_read(chunks + (0 .. chunk_count)); */
    return Frama_C_interval(0, 1) ? NULL : "wrong";
}

#include "format/blocks.c"
#include "format/open.c"

bool vxf_has_guest(const struct vxf_file *file)
{
    return file->section_count == VXI_SECTION_COUNT;
}

static struct vxf_file any_file(uint32_t section_count, size_t count)
{
    struct vxf_file file;

    Frama_C_make_unknown((char *)&file, sizeof file);
    file.bytes = taken;
    file.owned = NULL;
    file.fd = Frama_C_interval(-1, 0);
    file.section_count = section_count;
    file.chunk_count = file.entry_count = file.page_count = count;
    file.chunks = NULL;
    file.blobs = NULL;
    file.entries = NULL;
    file.pages = NULL;
    /*@ loop unroll 10; */
    for (int i = 0; i < VXI_SECTION_COUNT; i++)
        file.sections[i].name = vxi_section_names[i];
    return file;
}

static void tables(size_t count)
{
    struct vxf_file file = any_file(VXI_SECTION_COUNT, count);
    const struct plain plain = {.bytes = taken, .size = Frama_C_unsigned_long_interval(0, UINT32_MAX)};

    if (parse_index(&file, &plain, NULL) == VX_OK)
        (void)parse_entries(&file, &plain, NULL);
    file = any_file(VXI_SECTION_COUNT, count);
    (void)parse_pages(&file, &plain, NULL);
}

static void sections(uint64_t plain_bytes)
{
    struct vxf_file file = any_file(VXI_SECTION_COUNT, 0);
    struct plain plain;

    file.sections[VXI_META].plain_bytes = plain_bytes;
    (void)read_blocked(&file, VXI_META, UINT32_MAX, &plain, NULL);
    free_plain(&plain);
}

static void steps(uint32_t section_count)
{
    struct vxf_file file = any_file(section_count, 0);
    const struct plain plain = {.bytes = taken, .size = Frama_C_unsigned_long_interval(0, UINT32_MAX)};

    (void)check_header(&file, NULL);
    file = any_file(section_count, 0);
    (void)read_table(&file, NULL);
    file = any_file(section_count, 0);
    (void)read_front(&file, NULL);
    file = any_file(section_count, 0);
    (void)check_bulk(&file, NULL);
    (void)check_guest(&file, NULL);
    (void)parse_meta(&file, &plain, NULL);
}

int main(void)
{
    steps(VXI_SECTION_COUNT - 1);
    steps(VXI_SECTION_COUNT);
    tables(0);
    tables(1);
    tables(2);
    tables(5);
    sections(0);
    sections(1);
    sections(VXI_BLOCK_BYTES);
    sections(VXI_BLOCK_BYTES + 1);
    sections(3 * VXI_BLOCK_BYTES);
    return 0;
}

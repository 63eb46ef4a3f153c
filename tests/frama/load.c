/*
 * Driver for Frama-C's Eva (scripts/frama.sh): reading from an open cache (format/load.c): a chunk's code with its relocations, its fault map, and the guest's text.
 * The decoders keep their word (codec.c): relocated fields lie inside their chunk.
 */
#include "tests/frama/any_file.h"

#include "format/parallel.h"

#define HOST 0x3000u
#define CODE 100u

const char *const vxi_section_names[VXI_SECTION_COUNT] = {"", "", "", "", "", "", "", ""};

uint64_t vxi_hash64(const void *bytes, size_t size)
{
    (void)bytes, (void)size;
    return Frama_C_unsigned_long_interval(0, UINT64_MAX);
}

const char *vxi_decode_rows(struct vxi_cursor c, struct vxf_chunk chunk, struct vxf_row *out, size_t count)
{
    (void)c, (void)chunk;
    if (count)
        Frama_C_make_unknown((char *)out, count * sizeof *out);
    return Frama_C_interval(0, 1) ? NULL : "wrong";
}

const char *vxi_decode_relocs(struct vxi_cursor c, struct vxf_chunk chunk, struct vxf_reloc *out, size_t count)
{
    (void)c;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct vxf_reloc){.host = chunk.host + Frama_C_unsigned_int_interval(0, chunk.size - VXI_RELOC_FIELD_BYTES), .negate = Frama_C_interval(0, 1)};
    return Frama_C_interval(0, 1) ? NULL : "wrong";
}

#include "format/blocks.c"

bool vxi_parallel(unsigned threads, size_t count, bool (*task)(void *arg, size_t i), void *arg)
{
    bool good = true;

    (void)threads;
    for (size_t i = 0; i < count; i++)
        good = task(arg, i) && good;
    return good;
}

bool vxi_file_stream(const struct vxf_file *file, uint64_t offset, size_t stored, uint8_t *dst, size_t plain)
{
    (void)file, (void)offset;
    return vxi_inflate(taken, stored, dst, plain);
}

#include "format/load.c"

static struct vxf_file any_file(void)
{
    struct vxf_file file;

    Frama_C_make_unknown((char *)&file, sizeof file);
    file.bytes = taken;
    file.meta.relocatable = Frama_C_interval(0, 1);
    file.chunk_count = 1;
    file.section_count = (uint32_t)Frama_C_interval(VXI_SECTION_COUNT - 1, VXI_SECTION_COUNT);
    /*@ loop unroll 10; */
    for (int i = 0; i < VXI_SECTION_COUNT; i++)
        file.sections[i].name = "";
    return file;
}

static void chunk(size_t index, uint32_t count, uint32_t plain)
{
    struct vxf_chunk place = {.host = HOST, .size = CODE};
    struct vxi_blob blobs[1][VXI_BLOB_KINDS];
    struct vxf_file file = any_file();
    uint8_t code[CODE];
    struct vxf_row *rows;
    struct vxf_reloc *relocs;
    size_t got;

    Frama_C_make_unknown((char *)blobs, sizeof blobs);
    blobs[0][VXI_BLOB_CODE].plain = CODE;
    blobs[0][VXI_BLOB_ROWS].count = blobs[0][VXI_BLOB_RELOCS].count = count;
    blobs[0][VXI_BLOB_ROWS].plain = blobs[0][VXI_BLOB_RELOCS].plain = plain;
    file.chunks = &place;
    file.blobs = blobs;
    if (vxf_read_rows(&file, index, &rows, &got, NULL) == VX_OK)
        free(rows);
    if (vxf_read_relocs(&file, index, &relocs, &got, NULL) == VX_OK)
        free(relocs);
    (void)vxf_read_code(&file, index, Frama_C_unsigned_int_interval(0, UINT32_MAX), code, NULL);
}

static void guest(uint64_t size)
{
    struct vxf_file file = any_file();
    uint8_t *text = malloc(size + 1);

    file.sections[VXI_GUEST].plain_bytes = file.meta.guest_size = size;
    if (text)
        (void)vxf_read_guest(&file, text, NULL);
    free(text);
}

int main(void)
{
    chunk(1, 1, 1);
    chunk(0, 0, 0);
    chunk(0, 1, 1);
    chunk(0, 1, 15);
    chunk(0, CODE / 4, CODE / 4);
    chunk(0, CODE / 4, CODE);
    guest(0);
    guest(1);
    guest(VXI_BLOCK_BYTES);
    guest(2 * VXI_BLOCK_BYTES + 1);
    return 0;
}

/* Driver for Frama-C's Eva (scripts/frama.sh): the decoders of format/decode.c over any cursor, with some counts; their arrays have just so many elements. */
#include "tests/frama/any_cursor.h"

#include "format/decode.c"

#define MOST 70

static struct vxf_chunk any_chunk(void)
{
    return (struct vxf_chunk){.host = Frama_C_unsigned_int_interval(0, VXF_ZONE_LIMIT), .size = Frama_C_unsigned_int_interval(0, VXF_CHUNK_LIMIT)};
}

static void decoders(size_t count)
{
    struct vxf_entry entries[MOST];
    struct vxf_page pages[MOST];
    struct vxf_row rows[MOST];
    struct vxf_reloc relocs[MOST];
    struct vxi_cursor c = vxi_cursor(taken, sizeof taken);

    /* the arrays end where they end for the reader */
    (void)vxi_decode_entries(c, entries + MOST - count, count);
    (void)vxi_decode_pages(c, pages + MOST - count, count);
    (void)vxi_decode_rows(c, any_chunk(), rows + MOST - count, count);
    (void)vxi_decode_relocs(c, any_chunk(), relocs + MOST - count, count);
}

static void checks(size_t count, size_t chunk_count)
{
    struct vxf_entry entries[MOST];
    struct vxf_chunk chunks[MOST];

    Frama_C_make_unknown((char *)entries, sizeof entries);
    Frama_C_make_unknown((char *)chunks, sizeof chunks);
    (void)vxi_check_entries(entries + MOST - count, count, chunks + MOST - chunk_count, chunk_count);
}

int main(void)
{
    static const size_t counts[] = {0, 1, 2, MOST};

    /*@ loop unroll 4; */
    for (int i = 0; i < 4; i++) {
        decoders(counts[i]);
        /*@ loop unroll 4; */
        for (int j = 0; j < 4; j++)
            checks(counts[i], counts[j]);
    }
    return 0;
}

/* OpenJPEG: JPEG 2000, lossless and lossy, encode and decode in memory. */
#include "guest.h"
#include <openjpeg-2.5/openjpeg.h>

enum { WIDTH = 96, HEIGHT = 64, CAPACITY = 1 << 18 };

static unsigned char file[CAPACITY];
static size_t file_length, at;

static OPJ_SIZE_T read_some(void *to, OPJ_SIZE_T length, void *unused)
{
    (void)unused;
    if (at >= file_length)
        return (OPJ_SIZE_T)-1;
    if (length > file_length - at)
        length = file_length - at;
    memcpy(to, file + at, length);
    at += length;
    return length;
}

static OPJ_SIZE_T write_some(void *from, OPJ_SIZE_T length, void *unused)
{
    (void)unused;
    guest_need(length <= CAPACITY - at, "room");
    memcpy(file + at, from, length);
    at += length;
    if (at > file_length)
        file_length = at;
    return length;
}

static OPJ_BOOL seek_to(OPJ_OFF_T where, void *unused)
{
    (void)unused;
    at = (size_t)where;
    return at <= CAPACITY;
}

static OPJ_OFF_T skip_some(OPJ_OFF_T by, void *unused)
{
    (void)unused;
    at += (size_t)by;
    return by;
}

static opj_stream_t *open_stream(int is_input)
{
    opj_stream_t *stream = opj_stream_default_create(is_input);
    guest_need(stream != NULL, "stream");
    at = 0;
    if (!is_input)
        file_length = 0;
    opj_stream_set_read_function(stream, read_some);
    opj_stream_set_write_function(stream, write_some);
    opj_stream_set_seek_function(stream, seek_to);
    opj_stream_set_skip_function(stream, skip_some);
    opj_stream_set_user_data(stream, file, NULL);
    opj_stream_set_user_data_length(stream, file_length);
    return stream;
}

static void encode(const unsigned char *rgb, unsigned round)
{
    opj_image_cmptparm_t components[3];
    opj_cparameters_t options;
    memset(components, 0, sizeof components);
    for (int i = 0; i < 3; i++) {
        components[i].dx = components[i].dy = 1;
        components[i].w = WIDTH;
        components[i].h = HEIGHT;
        components[i].prec = 8;
    }
    opj_image_t *image = opj_image_create(3, components, OPJ_CLRSPC_SRGB);
    guest_need(image != NULL, "image");
    image->x1 = WIDTH;
    image->y1 = HEIGHT;
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        image->comps[i % 3].data[i / 3] = rgb[i];
    opj_set_default_encoder_parameters(&options);
    options.tcp_numlayers = 1;
    options.cp_disto_alloc = 1;
    options.tcp_rates[0] = round & 1 ? 12 : 0;
    options.irreversible = round & 1;
    options.tcp_mct = 1;
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = open_stream(0);
    guest_need(opj_setup_encoder(codec, &options, image), "setup");
    guest_need(opj_start_compress(codec, image, stream), "start");
    guest_need(opj_encode(codec, stream) && opj_end_compress(codec, stream), "encode");
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
}

static uint32_t decode(const unsigned char *rgb, int is_exact)
{
    opj_dparameters_t options;
    opj_image_t *image = NULL;
    uint32_t sum = GUEST_SUM;
    opj_set_default_decoder_parameters(&options);
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *stream = open_stream(1);
    guest_need(opj_setup_decoder(codec, &options), "setup");
    guest_need(opj_read_header(stream, codec, &image), "header");
    guest_need(opj_decode(codec, stream, image) && opj_end_decompress(codec, stream), "decode");
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
        int value = image->comps[i % 3].data[i / 3];
        guest_need(!is_exact || value == rgb[i], "same pixels");
        sum = guest_sum32(sum, (uint32_t)value);
    }
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    return sum;
}

int main(int argc, char **argv)
{
    static unsigned char picture[WIDTH * HEIGHT * 3];
    unsigned count = guest_count(argc, argv, 6);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        guest_picture(picture, WIDTH, HEIGHT, round + 1);
        encode(picture, round);
        sum = guest_sum(sum, file, file_length);
        sum = guest_sum32(sum, decode(picture, !(round & 1)));
    }
    return guest_report("openjpeg", sum);
}

/* FLAC: encode a sound into memory at several levels, decode, compare. */
#include "guest.h"
#include <FLAC/stream_decoder.h>
#include <FLAC/stream_encoder.h>

enum { SAMPLES = 22050 };

static int16_t sound[SAMPLES];
static FLAC__int32 wide[SAMPLES];
static unsigned char file[SAMPLES * 4];
static size_t file_length, read_at;
static unsigned decoded, differing;

static FLAC__StreamEncoderWriteStatus write_bytes(const FLAC__StreamEncoder *encoder,
                                                  const FLAC__byte data[], size_t length,
                                                  uint32_t samples, uint32_t frame, void *client)
{
    (void)encoder, (void)samples, (void)frame, (void)client;
    guest_need(length <= sizeof file - file_length, "room");
    memcpy(file + file_length, data, length);
    file_length += length;
    return FLAC__STREAM_ENCODER_WRITE_STATUS_OK;
}

static FLAC__StreamDecoderReadStatus read_bytes(const FLAC__StreamDecoder *decoder,
                                                FLAC__byte data[], size_t *length, void *client)
{
    (void)decoder, (void)client;
    if (*length > file_length - read_at)
        *length = file_length - read_at;
    memcpy(data, file + read_at, *length);
    read_at += *length;
    return *length ? FLAC__STREAM_DECODER_READ_STATUS_CONTINUE
                   : FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM;
}

static FLAC__StreamDecoderWriteStatus take_samples(const FLAC__StreamDecoder *decoder,
                                                   const FLAC__Frame *frame,
                                                   const FLAC__int32 *const buffer[], void *client)
{
    (void)decoder, (void)client;
    for (unsigned i = 0; i < frame->header.blocksize; i++, decoded++)
        differing += decoded >= SAMPLES || buffer[0][i] != sound[decoded];
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
}

static void report_error(const FLAC__StreamDecoder *decoder, FLAC__StreamDecoderErrorStatus status,
                         void *client)
{
    (void)decoder, (void)client;
    guest_need(0, FLAC__StreamDecoderErrorStatusString[status]);
}

static void encode(unsigned level)
{
    FLAC__StreamEncoder *encoder = FLAC__stream_encoder_new();
    guest_need(encoder != NULL, "encoder");
    FLAC__stream_encoder_set_channels(encoder, 1);
    FLAC__stream_encoder_set_bits_per_sample(encoder, 16);
    FLAC__stream_encoder_set_sample_rate(encoder, 22050);
    FLAC__stream_encoder_set_compression_level(encoder, level);
    file_length = 0;
    guest_need(FLAC__stream_encoder_init_stream(encoder, write_bytes, NULL, NULL, NULL, NULL) ==
                   FLAC__STREAM_ENCODER_INIT_STATUS_OK, "encoder init");
    guest_need(FLAC__stream_encoder_process_interleaved(encoder, wide, SAMPLES), "encode");
    guest_need(FLAC__stream_encoder_finish(encoder), "finish");
    FLAC__stream_encoder_delete(encoder);
}

static void decode(void)
{
    FLAC__StreamDecoder *decoder = FLAC__stream_decoder_new();
    guest_need(decoder != NULL, "decoder");
    read_at = decoded = differing = 0;
    guest_need(FLAC__stream_decoder_init_stream(decoder, read_bytes, NULL, NULL, NULL, NULL,
                                                take_samples, NULL, report_error, NULL) ==
                   FLAC__STREAM_DECODER_INIT_STATUS_OK, "decoder init");
    guest_need(FLAC__stream_decoder_process_until_end_of_stream(decoder), "decode");
    FLAC__stream_decoder_delete(decoder);
    guest_need(decoded == SAMPLES && !differing, "same samples");
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 30);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        guest_sound(sound, SAMPLES, round + 1);
        for (int i = 0; i < SAMPLES; i++)
            wide[i] = sound[i];
        encode(round * 3 % 9);
        decode();
        sum = guest_sum(sum, file, file_length);
    }
    return guest_report("flac", sum);
}

/* Vorbis: encode a sound into packets and decode them: floats, mostly x87. */
#include "guest.h"
#include <vorbis/codec.h>
#include <vorbis/vorbisenc.h>

enum { SAMPLES = 16384, CHUNK = 1024 };

static int16_t sound[SAMPLES];
static uint32_t sum = GUEST_SUM;

struct listener {
    vorbis_info info;
    vorbis_comment comment;
    vorbis_dsp_state dsp;
    vorbis_block block;
};

static void listen(struct listener *to, ogg_packet *packet)
{
    float **channels;
    int samples;
    sum = guest_sum(sum, packet->packet, (size_t)packet->bytes);
    if (vorbis_synthesis(&to->block, packet) == 0)
        vorbis_synthesis_blockin(&to->dsp, &to->block);
    while ((samples = vorbis_synthesis_pcmout(&to->dsp, &channels)) > 0) {
        sum = guest_sum(sum, channels[0], (size_t)samples * sizeof(float));
        vorbis_synthesis_read(&to->dsp, samples);
    }
}

static void start(struct listener *to, ogg_packet *headers)
{
    vorbis_info_init(&to->info);
    vorbis_comment_init(&to->comment);
    for (int i = 0; i < 3; i++)
        guest_need(!vorbis_synthesis_headerin(&to->info, &to->comment, &headers[i]), "header");
    guest_need(!vorbis_synthesis_init(&to->dsp, &to->info), "synthesis");
    vorbis_block_init(&to->dsp, &to->block);
}

static void finish(struct listener *to)
{
    vorbis_block_clear(&to->block);
    vorbis_dsp_clear(&to->dsp);
    vorbis_comment_clear(&to->comment);
    vorbis_info_clear(&to->info);
}

static void feed(vorbis_dsp_state *dsp, int from)
{
    int length = SAMPLES - from < CHUNK ? SAMPLES - from : CHUNK;
    if (length > 0) {
        float **buffer = vorbis_analysis_buffer(dsp, CHUNK);
        for (int i = 0; i < length; i++)
            buffer[0][i] = (float)sound[from + i] / 32768.0f;
    }
    vorbis_analysis_wrote(dsp, length > 0 ? length : 0);
}

static void encode(float quality)
{
    struct listener speaker, to;
    ogg_packet headers[3], packet;
    vorbis_info_init(&speaker.info);
    guest_need(!vorbis_encode_init_vbr(&speaker.info, 1, 44100, quality), "encode init");
    vorbis_comment_init(&speaker.comment);
    vorbis_analysis_init(&speaker.dsp, &speaker.info);
    vorbis_block_init(&speaker.dsp, &speaker.block);
    vorbis_analysis_headerout(&speaker.dsp, &speaker.comment, &headers[0], &headers[1], &headers[2]);
    start(&to, headers);
    for (int from = 0; from < SAMPLES + CHUNK; from += CHUNK) {
        feed(&speaker.dsp, from);
        while (vorbis_analysis_blockout(&speaker.dsp, &speaker.block) == 1) {
            vorbis_analysis(&speaker.block, NULL);
            vorbis_bitrate_addblock(&speaker.block);
            while (vorbis_bitrate_flushpacket(&speaker.dsp, &packet))
                listen(&to, &packet);
        }
    }
    finish(&to);
    finish(&speaker);
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 1);
    for (unsigned round = 0; round < count; round++) {
        guest_sound(sound, SAMPLES, round + 1);
        encode(0.2f + 0.1f * (float)(round % 6));
    }
    return guest_report("vorbis", sum);
}

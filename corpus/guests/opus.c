/* Opus: encode and decode frames of 20 ms, voice and music, several rates. */
#include "guest.h"
#include <opus/opus.h>

enum { RATE = 48000, FRAME = 960, FRAMES = 20, PACKET = 1500 };

int main(int argc, char **argv)
{
    static int16_t sound[FRAME * FRAMES], back[FRAME];
    unsigned char packet[PACKET];
    unsigned count = guest_count(argc, argv, 4);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        int error;
        OpusEncoder *encoder = opus_encoder_create(
            RATE, 1, round & 1 ? OPUS_APPLICATION_AUDIO : OPUS_APPLICATION_VOIP, &error);
        guest_need(error == OPUS_OK, "encoder");
        OpusDecoder *decoder = opus_decoder_create(RATE, 1, &error);
        guest_need(error == OPUS_OK, "decoder");
        opus_encoder_ctl(encoder, OPUS_SET_BITRATE(16000 + (int)(round % 4) * 24000));
        guest_sound(sound, FRAME * FRAMES, round + 1);
        for (int frame = 0; frame < FRAMES; frame++) {
            int length = opus_encode(encoder, sound + frame * FRAME, FRAME, packet, PACKET);
            guest_need(length > 0, "encode");
            sum = guest_sum(sum, packet, (size_t)length);
            guest_need(opus_decode(decoder, packet, length, back, FRAME, 0) == FRAME, "decode");
            sum = guest_sum(sum, back, sizeof back);
        }
        opus_decoder_destroy(decoder);
        opus_encoder_destroy(encoder);
    }
    return guest_report("opus", sum);
}

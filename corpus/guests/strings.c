/* The C library's string functions on strings of every small length. */
#include "guest.h"

int main(int argc, char **argv)
{
    static unsigned char text[8192], copy[8192 + 64];
    static char words[64][40];
    unsigned count = guest_count(argc, argv, 250);
    uint32_t seed = 4711, sum = GUEST_SUM;
    guest_text(text, sizeof text, 5);
    text[sizeof text - 1] = 0;
    for (unsigned round = 0; round < count; round++) {
        for (size_t length = 0; length < 300; length++) {
            size_t from = guest_random(&seed) % 7000, to = guest_random(&seed) % 7000;
            memcpy(copy + to, text + from, length);
            memmove(copy + to + 3, copy + to, length);
            memset(copy + from, (int)length, length / 3);
            sum = sum * 31 + (uint32_t)memcmp(copy + to + 5, text + from + 2, length) / 0x1000000;
            const unsigned char *hit = memchr(copy + to, 'z' - (int)(length % 26), 900);
            sum += hit ? (uint32_t)(hit - copy) : 1;
        }
        for (int i = 0; i < 64; i++) {
            size_t length = guest_random(&seed) % 39;
            memcpy(words[i], text + guest_random(&seed) % 8000, length);
            words[i][length] = 0;
        }
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j++) {
                int order = strcmp(words[i], words[j]);
                sum = sum * 17 + (uint32_t)(order < 0 ? 1 : order > 0 ? 2 : 0);
                sum += (uint32_t)strlen(words[j]) + (strstr(words[i], "the") != NULL);
                const char *space = strchr(words[j], ' ');
                sum ^= space ? (uint32_t)(space - words[j]) : 77;
            }
    }
    return guest_report("strings", guest_sum(sum, copy, sizeof copy));
}

/* rep movs, stos, scas and cmps, short and long, forwards and backwards. */
#include "guest.h"

static void rep_copy(void *to, const void *from, size_t length)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
}

static void rep_copy_back(void *to, const void *from, size_t length)
{
    unsigned char *last_to = (unsigned char *)to + length - 1;
    const unsigned char *last_from = (const unsigned char *)from + length - 1;
    __asm__ volatile("std; rep movsb; cld"
                     : "+D"(last_to), "+S"(last_from), "+c"(length) : : "memory", "cc");
}

static void rep_fill(void *to, unsigned char value, size_t length)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
}

static void rep_fill_words(void *to, uint32_t value, size_t length)
{
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(length) : "a"(value) : "memory");
}

static size_t scan(const void *at, unsigned char value, size_t limit)
{
    size_t left = limit;
    __asm__ volatile("cmpb %%al,%%al; repne scasb" : "+D"(at), "+c"(left) : "a"(value) : "memory", "cc");
    return limit - left;
}

static size_t same(const void *a, const void *b, size_t limit)
{
    size_t left = limit;
    __asm__ volatile("cmpl %%eax,%%eax; repe cmpsb" : "+D"(a), "+S"(b), "+c"(left) : : "memory", "cc");
    return limit - left;
}

int main(int argc, char **argv)
{
    static unsigned char from[8192], to[8192 + 4096];
    unsigned count = guest_count(argc, argv, 9000);
    uint32_t seed = 815, sum = GUEST_SUM;
    guest_text(from, sizeof from, 3);
    for (unsigned round = 0; round < count; round++) {
        for (size_t length = 1; length < 64; length += 3) {
            size_t a = guest_random(&seed) & 4095, b = guest_random(&seed) & 4095;
            rep_copy(to + a, from + b, length);
            rep_fill(to + b, (unsigned char)a, length / 2);
            rep_copy_back(to + a + 64, to + b, length);
            rep_fill_words(to + (a & ~3u) + 128, b, length / 8);
            sum = sum * 33 + (uint32_t)scan(to + a, (unsigned char)b, length);
            sum = sum * 33 + (uint32_t)same(to + a, from + b, length);
        }
        if (round % 64 == 0) {
            rep_copy(to + 7, from, sizeof from);
            rep_copy_back(to + 100, to + 7, 4096);
        }
    }
    return guest_report("repstrings", guest_sum(sum, to, sizeof to));
}

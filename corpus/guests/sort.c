/* The C library's qsort and bsearch with callbacks, three orders. */
#include "guest.h"

struct record {
    uint32_t key;
    char name[12];
};

static int by_key(const void *a, const void *b)
{
    uint32_t x = ((const struct record *)a)->key, y = ((const struct record *)b)->key;
    return x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct record *)a)->name, ((const struct record *)b)->name);
}

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

enum { RECORDS = 2000 };

int main(int argc, char **argv)
{
    static struct record records[RECORDS];
    static int numbers[RECORDS];
    unsigned count = guest_count(argc, argv, 24);
    uint32_t seed = 99, sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        for (int i = 0; i < RECORDS; i++) {
            records[i].key = guest_random(&seed) >> 12;
            snprintf(records[i].name, sizeof records[i].name, "n%u", (unsigned)(seed % 9973));
            numbers[i] = (int)guest_random(&seed);
        }
        qsort(records, RECORDS, sizeof records[0], by_key);
        sum = guest_sum(sum, &records[round % RECORDS], sizeof records[0]);
        const struct record *found =
            bsearch(&records[77], records, RECORDS, sizeof records[0], by_key);
        guest_need(found && found->key == records[77].key, "bsearch");
        qsort(records, RECORDS, sizeof records[0], by_name);
        sum = guest_sum(sum, records[round % RECORDS].name, 4);
        qsort(numbers, RECORDS, sizeof numbers[0], by_number);
        sum = guest_sum(sum, numbers, sizeof numbers);
    }
    return guest_report("sort", sum);
}

/* An open-addressing hash table and a chained one, strings as keys. */
#include "guest.h"

struct node {
    struct node *next;
    char key[16];
    uint32_t value;
};

enum { BUCKETS = 1024, SLOTS = 8192, KEYS = 3000 };

static struct node *buckets[BUCKETS];
static struct { uint32_t key, value; } slots[SLOTS];

static uint32_t *find_string(const char *key)
{
    uint32_t where = guest_sum(GUEST_SUM, key, strlen(key)) % BUCKETS;
    struct node *node = buckets[where];
    while (node && strcmp(node->key, key))
        node = node->next;
    if (!node) {
        node = calloc(1, sizeof *node);
        guest_need(node != NULL, "calloc");
        strcpy(node->key, key);
        node->next = buckets[where];
        buckets[where] = node;
    }
    return &node->value;
}

static uint32_t *find_number(uint32_t key)
{
    uint32_t where = key * 2654435761u % SLOTS;
    while (slots[where].key && slots[where].key != key)
        where = (where + 1) % SLOTS;
    slots[where].key = key;
    return &slots[where].value;
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 100);
    uint32_t seed = 1234567, sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        for (int i = 0; i < KEYS; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%x", (unsigned)(guest_random(&seed) % KEYS));
            *find_string(key) += seed & 7;
            *find_number(guest_random(&seed) % 6000 + 1) += round;
        }
        for (int i = 0; i < BUCKETS; i++)
            for (struct node *node = buckets[i]; node; node = node->next)
                sum = sum * 33 + node->value;
    }
    for (int i = 0; i < BUCKETS; i++)
        while (buckets[i]) {
            struct node *gone = buckets[i];
            buckets[i] = gone->next;
            free(gone);
        }
    return guest_report("hash", guest_sum(sum, slots, sizeof slots));
}

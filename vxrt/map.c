/*
 * Hash map from guest addresses, or numbers of guest pages, to small numbers: open
 * addressing, linear probing, values stored + 2. Guests choose the keys, so that the multiplier is random: nobody
 * outside can choose keys that fall together.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vxrt/internal.h"

#define FREE 0u
#define DELETED 1u
#define FIRST_VALUE 2u
#define MIN_CAPACITY 1024

/* Multiply and shift: two keys share a slot with a probability of 2 / capacity. */
static size_t slot_of(const struct vxi_map *map, vx_gaddr key)
{
    return (size_t)(key * map->multiplier >> (64 - __builtin_ctzll(map->capacity)));
}

static uint64_t random_odd(void)
{
    uint64_t value;
    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        value = (uint64_t)(uintptr_t)&value * 0x9e3779b97f4a7c15u ^ vxi_now_ns();
    return value | 1;
}

/* The slot with key, which may be deleted, or else the first free one on the way. */
static size_t probe(const struct vxi_map *map, vx_gaddr key)
{
    size_t i = slot_of(map, key);
    while (map->values[i] != FREE && map->keys[i] != key)
        i = (i + 1) & (map->capacity - 1);
    return i;
}

/* Without the deleted ones; larger, unless most were deleted. */
static bool grow(struct vxi_map *map)
{
    size_t live = 0;
    for (size_t i = 0; i < map->capacity; i++)
        live += map->values[i] >= FIRST_VALUE;
    struct vxi_map bigger = { .capacity = !map->capacity ? MIN_CAPACITY : live * 4 < map->capacity ? map->capacity : map->capacity * 2,
                              .multiplier = map->multiplier ? map->multiplier : random_odd() };
    bigger.keys = malloc(bigger.capacity * sizeof *bigger.keys);
    bigger.values = calloc(bigger.capacity, sizeof *bigger.values);
    if (!bigger.keys || !bigger.values) {
        vxi_map_free(&bigger);
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->values[i] < FIRST_VALUE)
            continue;
        size_t to = probe(&bigger, map->keys[i]);
        bigger.keys[to] = map->keys[i];
        bigger.values[to] = map->values[i];
        bigger.used++;
    }
    vxi_map_free(map);
    *map = bigger;
    return true;
}

bool vxi_map_set(struct vxi_map *map, vx_gaddr key, uint32_t value)
{
    size_t i = map->capacity ? probe(map, key) : 0;
    if (!map->capacity || map->values[i] == FREE) {
        if (map->used * 2 >= map->capacity && !grow(map))
            return false;
        i = probe(map, key);
        map->used++;
    }
    map->keys[i] = key;
    map->values[i] = value + FIRST_VALUE;
    return true;
}

bool vxi_map_get(const struct vxi_map *map, vx_gaddr key, uint32_t *value)
{
    if (!map->capacity)
        return false;
    size_t i = probe(map, key);
    if (map->values[i] < FIRST_VALUE)
        return false;
    *value = map->values[i] - FIRST_VALUE;
    return true;
}

void vxi_map_remove(struct vxi_map *map, vx_gaddr key)
{
    if (!map->capacity)
        return;
    size_t i = probe(map, key);
    if (map->values[i] >= FIRST_VALUE)
        map->values[i] = DELETED;
}

void vxi_map_clear(struct vxi_map *map)
{
    if (map->capacity)
        memset(map->values, 0, map->capacity * sizeof *map->values);
    map->used = 0;
}

void vxi_map_free(struct vxi_map *map)
{
    free(map->keys);
    free(map->values);
    *map = (struct vxi_map){ 0 };
}

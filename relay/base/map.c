/* Open addressing with linear probing over a power-of-two table of slots. A slot has the hash beside its entry, so that a look-up
 * goes to no other memory before it has found its own entry; an entry holds value and key in one allocation. Removal shifts the
 * following run back, so that there are no tombstones and a look-up stays short. The hash is SipHash-1-3 with a key drawn at random
 * per process. */
#include "map.h"

#include "random.h"
#include "siphash.h"
#include "text.h"

#include <stdlib.h>

#define MAP_FIRST 16

struct entry {
    void *value;
    size_t key_size;
    char key[];
};

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL: nothing is here */
};

struct map {
    struct slot *slots;
    size_t nslots;
    size_t count;
    size_t max;
};

uint64_t map_hash(struct span key)
{
    static unsigned char secret[SIPHASH_KEY_SIZE];
    static bool drawn;
    if (!drawn) {
        random_bytes(secret, sizeof secret);
        drawn = true;
    }
    return siphash_fast(secret, key);
}

struct map *map_new(size_t max)
{
    struct map *map = text_zalloc(sizeof *map);
    map->max = max;
    return map;
}

void map_free(struct map **map, void (*free_value)(void *value))
{
    if (!*map)
        return;
    for (size_t i = 0; i < (*map)->nslots; i++) {
        struct entry *entry = (*map)->slots[i].entry;
        if (entry && free_value)
            free_value(entry->value);
        free(entry);
    }
    free((*map)->slots);
    free(*map);
    *map = NULL;
}

/* The slot of KEY, or the empty one where it would go. */
static size_t find(const struct map *map, struct span key, uint64_t hash)
{
    size_t at = hash & (map->nslots - 1);
    for (;; at = (at + 1) & (map->nslots - 1)) {
        const struct slot *slot = &map->slots[at];
        if (!slot->entry || (slot->hash == hash && span_equal(span_make(slot->entry->key, slot->entry->key_size), key)))
            return at;
    }
}

static void grow(struct map *map)
{
    struct slot *old = map->slots;
    size_t nold = map->nslots;
    map->nslots = nold ? nold * 2 : MAP_FIRST;
    map->slots = text_zalloc(map->nslots * sizeof *map->slots);
    size_t mask = map->nslots - 1;
    for (size_t i = 0; i < nold; i++) {
        size_t at = old[i].hash & mask;
        while (old[i].entry && map->slots[at].entry)
            at = (at + 1) & mask;
        if (old[i].entry)
            map->slots[at] = old[i];
    }
    free(old);
}

void *map_get(const struct map *map, struct span key)
{
    if (!map->count)
        return NULL;
    const struct entry *entry = map->slots[find(map, key, map_hash(key))].entry;
    return entry ? entry->value : NULL;
}

void *map_put(struct map *map, struct span key, void *value, bool *ret_full)
{
    if (ret_full)
        *ret_full = false;
    if (map->count * 4 >= map->nslots * 3)
        grow(map);
    uint64_t hash = map_hash(key);
    size_t at = find(map, key, hash);
    if (map->slots[at].entry) {
        void *before = map->slots[at].entry->value;
        map->slots[at].entry->value = value;
        return before;
    }
    if (map->max && map->count >= map->max) {
        if (ret_full)
            *ret_full = true;
        return NULL;
    }
    struct entry *entry = text_zalloc(sizeof *entry + key.n);
    *entry = (struct entry){ value, key.n };
    if (key.n)
        memcpy(entry->key, key.p, key.n);
    map->slots[at] = (struct slot){ hash, entry };
    map->count++;
    return NULL;
}

void *map_remove(struct map *map, struct span key)
{
    if (!map->count)
        return NULL;
    size_t mask = map->nslots - 1, hole = find(map, key, map_hash(key));
    struct entry *entry = map->slots[hole].entry;
    if (!entry)
        return NULL;
    void *value = entry->value;
    free(entry);
    map->slots[hole].entry = NULL;
    map->count--;
    for (size_t at = (hole + 1) & mask; map->slots[at].entry; at = (at + 1) & mask) {
        size_t home = map->slots[at].hash & mask;
        /* It may fill the hole only where its way from home leads over the hole (all of it around the table's end); else it would stand
         * before its home, where no look-up comes by. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            map->slots[at].entry = NULL;
            hole = at;
        }
    }
    return value;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

void map_each(const struct map *map, bool (*each)(void *context, struct span key, void *value), void *context)
{
    for (size_t i = 0; i < map->nslots; i++) {
        struct entry *entry = map->slots[i].entry;
        if (entry && !each(context, span_make(entry->key, entry->key_size), entry->value))
            return;
    }
}

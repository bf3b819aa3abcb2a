/* A hash map from bytes to a pointer. Keys are copied; values are the caller's. The hash is keyed with random bytes, so
 * that nobody outside can make keys collide. */
#ifndef POSTERN_BASE_MAP_H
#define POSTERN_BASE_MAP_H

#include "span.h"

#include <stdint.h>

struct map;

/* An empty map for at most MAX entries (0: as many as memory holds). */
struct map *map_new(size_t max);

/* Frees *MAP and its keys, and nulls it. FREE_VALUE (may be NULL) is called with each value. NULL is fine. */
void map_free(struct map **map, void (*free_value)(void *value));

/* The value at KEY, or NULL. */
void *map_get(const struct map *map, struct span key);

/* Sets KEY to VALUE (not NULL). Returns what was there before, or NULL. Where the map is full and KEY is new, nothing is set
 * and *ret_full (may be NULL) becomes true. */
void *map_put(struct map *map, struct span key, void *value, bool *ret_full);

/* Takes KEY out and returns its value, or NULL where it was not there. */
void *map_remove(struct map *map, struct span key);

/* How many entries there are. */
size_t map_count(const struct map *map);

/* Calls EACH with every key and value until it returns false. The map must not change meanwhile. */
void map_each(const struct map *map, bool (*each)(void *context, struct span key, void *value), void *context);

/* The keyed hash that maps use: for choosing a bucket, shard or process by bytes from outside. */
uint64_t map_hash(struct span key);

#endif

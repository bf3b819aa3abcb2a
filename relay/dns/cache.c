/* A map from kind and name to the packed answer, and a list in the order of use. An answer that has expired is dropped when it is
 * asked for; one that nobody asks for any more reaches the end of the list and leaves when room is needed. So there is no timer
 * and no sweep, and the cost of a hit is one look-up and two pointers moved. */
#include "cache.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

struct cached {
    struct list node;
    int64_t until_ms;
    uint8_t status;
    bool implicit, secure;
    uint16_t key_size;
    uint16_t body_size;
    char bytes[]; /* key, then body */
};

struct cache {
    struct map *map;
    struct list used; /* the most recent at the front */
    size_t max;
    size_t bytes; /* of all keys and bodies */
};

/* A key is the kind's letter and the name, so that one map holds all. */
struct key {
    char bytes[1 + SMTP_DOMAIN_SIZE];
    size_t n;
};

static struct span make_key(struct key *key, enum cache_kind kind, struct span name)
{
    key->bytes[0] = (char)kind;
    key->n = 1 + (name.n < SMTP_DOMAIN_SIZE ? name.n : SMTP_DOMAIN_SIZE);
    memcpy(key->bytes + 1, name.p, key->n - 1);
    return span_make(key->bytes, key->n);
}

struct cache *cache_new(size_t max)
{
    struct cache *cache = text_zalloc(sizeof *cache);
    cache->map = map_new(0);
    cache->max = max ? max : 1;
    list_init(&cache->used);
    return cache;
}

void cache_free(struct cache **cache)
{
    if (!*cache)
        return;
    map_free(&(*cache)->map, free);
    free(*cache);
    *cache = NULL;
}

static size_t size_of(const struct cached *cached)
{
    return sizeof *cached + cached->key_size + cached->body_size;
}

static void drop(struct cache *cache, struct cached *cached)
{
    cache->bytes -= size_of(cached);
    map_remove(cache->map, span_make(cached->bytes, cached->key_size));
    list_remove(&cached->node);
    free(cached);
}

bool cache_get(struct cache *cache, enum cache_kind kind, struct span name, int64_t now_ms, struct found *ret_found)
{
    struct key key;
    struct cached *cached = map_get(cache->map, make_key(&key, kind, name));
    if (!cached)
        return false;
    if (cached->until_ms <= now_ms) {
        drop(cache, cached);
        return false;
    }
    list_remove(&cached->node);
    list_prepend(&cache->used, &cached->node);
    *ret_found = (struct found){
        .status = cached->status,
        .implicit = cached->implicit,
        .secure = cached->secure,
        .ttl_s = (uint32_t)((cached->until_ms - now_ms + 999) / 1000),
        .body = span_make(cached->bytes + cached->key_size, cached->body_size),
    };
    return true;
}

static bool is_too_large(const struct cache *cache)
{
    size_t count = map_count(cache->map);
    return count > cache->max || (count > 1 && cache->bytes / CACHE_ANSWER_BYTES >= cache->max);
}

static void shrink(struct cache *cache)
{
    while (is_too_large(cache))
        drop(cache, LIST_ENTRY(cache->used.previous, struct cached, node));
}

void cache_put(struct cache *cache, enum cache_kind kind, struct span name, int64_t now_ms, const struct found *found)
{
    struct key key;
    struct span at = make_key(&key, kind, name);
    if (!found->ttl_s || found->body.n > UINT16_MAX)
        return;
    struct cached *cached = text_zalloc(sizeof *cached + at.n + found->body.n);
    cached->until_ms = now_ms + (int64_t)found->ttl_s * 1000;
    cached->status = (uint8_t)found->status;
    cached->implicit = found->implicit;
    cached->secure = found->secure;
    cached->key_size = (uint16_t)at.n;
    cached->body_size = (uint16_t)found->body.n;
    memcpy(cached->bytes, at.p, at.n);
    memcpy(cached->bytes + at.n, found->body.p, found->body.n);
    struct cached *before = map_put(cache->map, at, cached, NULL);
    list_prepend(&cache->used, &cached->node);
    cache->bytes += size_of(cached);
    if (before) {
        cache->bytes -= size_of(before);
        list_remove(&before->node);
        free(before);
    }
    shrink(cache);
}

void cache_drop(struct cache *cache, enum cache_kind kind)
{
    LIST_EACH(node, &cache->used) {
        struct cached *cached = LIST_ENTRY(node, struct cached, node);
        if (cached->bytes[0] == (char)kind)
            drop(cache, cached);
    }
}

void cache_resize(struct cache *cache, size_t max)
{
    cache->max = max ? max : 1;
    shrink(cache);
}

size_t cache_count(const struct cache *cache)
{
    return map_count(cache->map);
}

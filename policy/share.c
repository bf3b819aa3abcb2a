#include "share.h"

#include "../relay/base/list.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>

struct counted {
    struct list node;
    int64_t window; /* the number of the one that `now` is about */
    struct share now, before;
    bool changed; /* since share_each; set on a front part of the list only */
    uint8_t key_size;
    char key[];
};

struct share_table {
    int64_t per_ms;
    struct map *keys;
    struct list used;  /* the last noted at the front */
    struct list *walk; /* the next that share_walk visits: it goes to the front, so that it meets again what moves there */
};

struct share_table *share_new(int64_t per_ms)
{
    struct share_table *table = text_zalloc(sizeof *table);
    table->per_ms = per_ms < 1 ? 1 : per_ms;
    table->keys = map_new(0);
    list_init(&table->used);
    table->walk = &table->used;
    return table;
}

void share_free(struct share_table **table)
{
    if (!*table)
        return;
    map_free(&(*table)->keys, free);
    free(*table);
    *table = NULL;
}

static struct span key_of(const struct counted *counted)
{
    return span_make(counted->key, counted->key_size);
}

/* COUNTED leaves its place in the list. */
static void leave(struct share_table *table, struct counted *counted)
{
    if (table->walk == &counted->node)
        table->walk = counted->node.previous;
    list_remove(&counted->node);
}

static void drop(struct share_table *table, struct counted *counted)
{
    map_remove(table->keys, key_of(counted));
    leave(table, counted);
    free(counted);
}

static struct counted *add(struct share_table *table, struct span key)
{
    if (map_count(table->keys) >= SHARE_KEYS)
        drop(table, LIST_ENTRY(table->used.previous, struct counted, node));
    struct counted *counted = text_zalloc(sizeof *counted + key.n);
    counted->key_size = (uint8_t)key.n;
    if (key.n)
        memcpy(counted->key, key.p, key.n);
    list_init(&counted->node);
    map_put(table->keys, key, counted, NULL);
    return counted;
}

/* Brings COUNTED to the window that NOW_MS is in. A clock that went back stays where it was. */
static void turn(const struct share_table *table, struct counted *counted, int64_t now_ms)
{
    int64_t window = now_ms / table->per_ms;
    if (window <= counted->window)
        return;
    counted->before = window == counted->window + 1 ? counted->now : (struct share){ 0 };
    counted->now = (struct share){ 0 };
    counted->window = window;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static struct counted *note(struct share_table *table, struct span key, struct share more, int64_t now_ms)
{
    key = span_head(key, UINT8_MAX);
    struct counted *counted = map_get(table->keys, key);
    if (!counted) {
        counted = add(table, key);
        counted->window = now_ms / table->per_ms;
    }
    turn(table, counted, now_ms);
    counted->now.bad = sum(counted->now.bad, more.bad);
    counted->now.all = sum(counted->now.all, more.all);
    counted->now.asked = sum(counted->now.asked, more.asked);
    counted->changed = true;
    leave(table, counted);
    list_prepend(&table->used, &counted->node);
    return counted;
}

void share_note(struct share_table *table, struct span key, struct share more, int64_t now_ms)
{
    note(table, key, more, now_ms);
}

void share_restore(struct share_table *table, struct span key, struct share share, int64_t then_ms)
{
    share_forget(table, key);
    note(table, key, share, then_ms)->changed = false; /* it comes from where changes are written to */
}

static uint32_t part(uint32_t count, int64_t left_ms, int64_t per_ms)
{
    return (uint32_t)((unsigned __int128)count * (unsigned __int128)left_ms / (unsigned __int128)per_ms);
}

static struct share look(const struct share_table *table, const struct counted *counted, int64_t now_ms)
{
    struct counted copy = *counted;
    turn(table, &copy, now_ms);
    int64_t left_ms = table->per_ms - (now_ms / table->per_ms == copy.window ? now_ms % table->per_ms : 0);
    return (struct share){
        .bad = sum(copy.now.bad, part(copy.before.bad, left_ms, table->per_ms)),
        .all = sum(copy.now.all, part(copy.before.all, left_ms, table->per_ms)),
        .asked = sum(copy.now.asked, part(copy.before.asked, left_ms, table->per_ms)),
    };
}

uint32_t share_volume(const struct share *share)
{
    return share->all > share->asked / 2 ? share->all : share->asked / 2;
}

struct share share_of(const struct share_table *table, struct span key, int64_t now_ms)
{
    const struct counted *counted = map_get(table->keys, span_head(key, UINT8_MAX));
    return counted ? look(table, counted, now_ms) : (struct share){ 0 };
}

void share_forget(struct share_table *table, struct span key)
{
    struct counted *counted = map_get(table->keys, span_head(key, UINT8_MAX));
    if (counted)
        drop(table, counted);
}

void share_each(struct share_table *table, bool all, int64_t now_ms,
                void (*each)(void *context, struct span key, struct share share), void *context)
{
    LIST_EACH(node, &table->used) {
        struct counted *counted = LIST_ENTRY(node, struct counted, node);
        if (!all && !counted->changed)
            return;
        if (!all)
            counted->changed = false;
        each(context, key_of(counted), look(table, counted, now_ms));
    }
}

bool share_walk(struct share_table *table, size_t *cursor, int64_t now_ms,
                void (*each)(void *context, struct span key, struct share share), void *context)
{
    if (!*cursor)
        table->walk = table->used.previous;
    for (unsigned n = 0; n < SHARE_WALK && table->walk != &table->used; n++, ++*cursor) {
        const struct counted *counted = LIST_ENTRY(table->walk, struct counted, node);
        table->walk = table->walk->previous;
        each(context, key_of(counted), look(table, counted, now_ms));
    }
    return table->walk != &table->used;
}

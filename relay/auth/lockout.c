/* One entry an address, from its first failure until WINDOW_MS after that, or after it was locked. A login that succeeds forgives
 * nothing: whoever has one account of his own could otherwise guess at others without end, one good login between two guesses.
 *
 * The list holds the entries in the order of their last failure. An attacker with more addresses than the map holds pushes the
 * oldest out, and each of his addresses gets its few guesses again; that bounds memory, and the delay still counts. */
#include "lockout.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

/* The part of an address that counts, as bytes: what is compared and hashed. */
struct key {
    char bytes[9];
    size_t size;
};

struct entry {
    struct list by_failure;
    struct key key;
    uint64_t failures;
    int64_t ends_ms; /* when it is forgotten */
    bool locked;
};

struct lockout {
    uint64_t limit;
    int64_t window_ms;
    size_t max;
    struct map *entries;
    struct list by_failure;
};

struct lockout *lockout_new(uint64_t limit, int64_t window_ms, size_t max)
{
    struct lockout *lockout = text_zalloc(sizeof *lockout);
    *lockout = (struct lockout){ .limit = limit, .window_ms = window_ms, .max = max ? max : 1, .entries = map_new(0) };
    list_init(&lockout->by_failure);
    return lockout;
}

static struct key key_of(const struct netaddr *client)
{
    struct key key = { .size = client->family == 6 ? 9 : 5 };
    key.bytes[0] = (char)client->family;
    memcpy(key.bytes + 1, client->bytes, key.size - 1);
    return key;
}

static struct span key_span(const struct key *key)
{
    return span_make(key->bytes, key->size);
}

static void drop(struct lockout *lockout, struct entry *entry)
{
    map_remove(lockout->entries, key_span(&entry->key));
    list_remove(&entry->by_failure);
    free(entry);
}

void lockout_free(struct lockout **lockout)
{
    if (!*lockout)
        return;
    LIST_EACH(node, &(*lockout)->by_failure)
        drop(*lockout, LIST_ENTRY(node, struct entry, by_failure));
    map_free(&(*lockout)->entries, NULL);
    free(*lockout);
    *lockout = NULL;
}

/* The entry of KEY, or NULL; one whose time is over goes. */
static struct entry *find(struct lockout *lockout, const struct key *key, int64_t now_ms)
{
    struct entry *entry = map_get(lockout->entries, key_span(key));
    if (entry && entry->ends_ms <= now_ms) {
        drop(lockout, entry);
        entry = NULL;
    }
    return entry;
}

bool lockout_holds(struct lockout *lockout, const struct netaddr *client, int64_t now_ms)
{
    struct key key = key_of(client);
    const struct entry *entry = find(lockout, &key, now_ms);
    return entry && entry->locked;
}

static struct entry *add(struct lockout *lockout, const struct key *key, int64_t now_ms)
{
    if (map_count(lockout->entries) >= lockout->max)
        drop(lockout, LIST_ENTRY(lockout->by_failure.next, struct entry, by_failure));
    struct entry *entry = text_zalloc(sizeof *entry);
    entry->key = *key;
    entry->ends_ms = now_ms + lockout->window_ms;
    list_init(&entry->by_failure);
    map_put(lockout->entries, key_span(key), entry, NULL);
    return entry;
}

/* 1 s, 2 s, 4 s, then LOCKOUT_DELAY_MAX_MS. */
static uint32_t delay_for(uint64_t failures)
{
    uint32_t delay_ms = LOCKOUT_DELAY_FIRST_MS;
    for (uint64_t i = 1; i < failures && delay_ms < LOCKOUT_DELAY_MAX_MS; i++)
        delay_ms *= 2;
    return delay_ms < LOCKOUT_DELAY_MAX_MS ? delay_ms : LOCKOUT_DELAY_MAX_MS;
}

uint32_t lockout_count(struct lockout *lockout, const struct netaddr *client, int64_t now_ms)
{
    struct key key = key_of(client);
    struct entry *entry = find(lockout, &key, now_ms);
    if (!entry)
        entry = add(lockout, &key, now_ms);
    list_remove(&entry->by_failure);
    list_append(&lockout->by_failure, &entry->by_failure);
    entry->failures++;
    if (!entry->locked && lockout->limit && entry->failures >= lockout->limit) {
        entry->locked = true;
        entry->ends_ms = now_ms + lockout->window_ms;
    }
    return delay_for(entry->failures);
}

void lockout_expire(struct lockout *lockout, int64_t now_ms)
{
    LIST_EACH(node, &lockout->by_failure) {
        struct entry *entry = LIST_ENTRY(node, struct entry, by_failure);
        if (entry->ends_ms <= now_ms)
            drop(lockout, entry);
    }
}

size_t lockout_size(const struct lockout *lockout)
{
    return map_count(lockout->entries);
}

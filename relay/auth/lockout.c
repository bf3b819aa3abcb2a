/* One entry an address or account, from its first failure until WINDOW_MS after that, or after it was locked. A login that succeeds
 * forgives nothing: whoever has one account of his own could otherwise guess at others without end, one good login between two
 * guesses.
 *
 * Each list holds its entries in the order of their last event. An attacker with more addresses than the map holds pushes the
 * oldest out, and each of his addresses gets its few guesses again; that bounds memory, and the delay still counts. */
#include "lockout.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

/* What is counted, as bytes that are compared and hashed: the part of an address that matters, an account's hash, or both. */
struct key {
    char bytes[17];
    size_t size;
};

struct entry {
    struct list by_event;
    struct key key;
    uint64_t events;
    int64_t ends_ms; /* when it is forgotten */
    bool locked;
};

struct table {
    uint64_t limit;
    int64_t window_ms;
    size_t max;
    struct map *entries;
    struct list by_event;
};

struct lockout {
    struct table addresses, accounts;
    struct table places; /* an account and an address of a good login: "locked" from the first on, so to speak */
};

static void table_init(struct table *table, uint64_t limit, int64_t window_ms, size_t max)
{
    *table = (struct table){ .limit = limit, .window_ms = window_ms, .max = max ? max : 1, .entries = map_new(0) };
    list_init(&table->by_event);
}

struct lockout *lockout_new(uint64_t limit, int64_t window_ms, size_t max)
{
    struct lockout *lockout = text_zalloc(sizeof *lockout);
    table_init(&lockout->addresses, limit, window_ms, max);
    table_init(&lockout->accounts, limit * LOCKOUT_ACCOUNT, window_ms, max);
    table_init(&lockout->places, 1, LOCKOUT_TRUST_MS, max);
    return lockout;
}

static struct key address_key(const struct netaddr *client)
{
    struct key key = { .size = client->family == 6 ? 9 : 5 };
    key.bytes[0] = (char)client->family;
    memcpy(key.bytes + 1, client->bytes, key.size - 1);
    return key;
}

static struct key account_key(struct span account)
{
    struct key key = { .size = sizeof(uint64_t) };
    uint64_t hash = map_hash(account);
    memcpy(key.bytes, &hash, sizeof hash);
    return key;
}

static struct key place_key(struct span account, const struct netaddr *client)
{
    struct key key = account_key(account), address = address_key(client);
    memcpy(key.bytes + key.size, address.bytes, address.size);
    key.size += address.size;
    return key;
}

static struct span key_span(const struct key *key)
{
    return span_make(key->bytes, key->size);
}

static void drop(struct table *table, struct entry *entry)
{
    map_remove(table->entries, key_span(&entry->key));
    list_remove(&entry->by_event);
    free(entry);
}

static void table_fini(struct table *table)
{
    LIST_EACH(node, &table->by_event)
        drop(table, LIST_ENTRY(node, struct entry, by_event));
    map_free(&table->entries, NULL);
}

void lockout_free(struct lockout **lockout)
{
    if (!*lockout)
        return;
    table_fini(&(*lockout)->addresses);
    table_fini(&(*lockout)->accounts);
    table_fini(&(*lockout)->places);
    free(*lockout);
    *lockout = NULL;
}

/* The entry of KEY, or NULL; one whose time is over goes. */
static struct entry *find(struct table *table, const struct key *key, int64_t now_ms)
{
    struct entry *entry = map_get(table->entries, key_span(key));
    if (entry && entry->ends_ms <= now_ms) {
        drop(table, entry);
        entry = NULL;
    }
    return entry;
}

static bool holds(struct table *table, struct key key, int64_t now_ms)
{
    const struct entry *entry = find(table, &key, now_ms);
    return entry && entry->locked;
}

static struct entry *add(struct table *table, const struct key *key, int64_t now_ms)
{
    if (map_count(table->entries) >= table->max)
        drop(table, LIST_ENTRY(table->by_event.next, struct entry, by_event));
    struct entry *entry = text_zalloc(sizeof *entry);
    entry->key = *key;
    entry->ends_ms = now_ms + table->window_ms;
    list_init(&entry->by_event);
    map_put(table->entries, key_span(key), entry, NULL);
    return entry;
}

/* Counts an event of KEY. Returns how many there were. */
static uint64_t count(struct table *table, struct key key, int64_t now_ms)
{
    struct entry *entry = find(table, &key, now_ms);
    if (!entry)
        entry = add(table, &key, now_ms);
    list_remove(&entry->by_event);
    list_append(&table->by_event, &entry->by_event);
    entry->events++;
    if (!entry->locked && table->limit && entry->events >= table->limit) {
        entry->locked = true;
        entry->ends_ms = now_ms + table->window_ms;
    }
    return entry->events;
}

static void expire(struct table *table, int64_t now_ms)
{
    LIST_EACH(node, &table->by_event) {
        struct entry *entry = LIST_ENTRY(node, struct entry, by_event);
        if (entry->ends_ms <= now_ms)
            drop(table, entry);
    }
}

/* 1 s, 2 s, 4 s, then LOCKOUT_DELAY_MAX_MS. */
static uint32_t delay_for(uint64_t failures)
{
    uint32_t delay_ms = LOCKOUT_DELAY_FIRST_MS;
    for (uint64_t i = 1; i < failures && delay_ms < LOCKOUT_DELAY_MAX_MS; i++)
        delay_ms *= 2;
    return delay_ms < LOCKOUT_DELAY_MAX_MS ? delay_ms : LOCKOUT_DELAY_MAX_MS;
}

bool lockout_holds(struct lockout *lockout, const struct netaddr *client, int64_t now_ms)
{
    return holds(&lockout->addresses, address_key(client), now_ms);
}

uint32_t lockout_count(struct lockout *lockout, const struct netaddr *client, int64_t now_ms)
{
    return delay_for(count(&lockout->addresses, address_key(client), now_ms));
}

void lockout_count_account(struct lockout *lockout, struct span account, int64_t now_ms)
{
    count(&lockout->accounts, account_key(account), now_ms);
}

void lockout_trust(struct lockout *lockout, struct span account, const struct netaddr *client, int64_t now_ms)
{
    struct key key = place_key(account, client);
    struct entry *entry = find(&lockout->places, &key, now_ms);
    if (entry)
        drop(&lockout->places, entry); /* its time begins anew */
    count(&lockout->places, key, now_ms);
}

bool lockout_holds_account(struct lockout *lockout, struct span account, const struct netaddr *client, int64_t now_ms)
{
    return holds(&lockout->accounts, account_key(account), now_ms) &&
           !holds(&lockout->places, place_key(account, client), now_ms);
}

void lockout_expire(struct lockout *lockout, int64_t now_ms)
{
    expire(&lockout->addresses, now_ms);
    expire(&lockout->accounts, now_ms);
    expire(&lockout->places, now_ms);
}

size_t lockout_size(const struct lockout *lockout)
{
    return map_count(lockout->addresses.entries);
}

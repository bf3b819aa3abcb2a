/* The table is chained through the entries themselves, which costs one pointer an entry and one a bucket. It doubles when there are as
 * many entries as buckets; it never shrinks, since what was once queued will be queued again. */
#include "entry.h"

#include "../base/map.h"
#include "../base/text.h"
#include "pair.h"
#include "unit.h"

#include <stdlib.h>

#define BUCKETS_FIRST 1024

struct entries {
    struct entry **buckets;
    size_t nbuckets; /* a power of two */
    size_t count;
};

struct entries *entries_new(void)
{
    struct entries *entries = text_zalloc(sizeof *entries);
    entries->nbuckets = BUCKETS_FIRST;
    entries->buckets = text_zalloc(entries->nbuckets * sizeof(struct entry *));
    return entries;
}

void entries_free(struct entries **entries)
{
    if (!*entries)
        return;
    for (size_t i = 0; i < (*entries)->nbuckets; i++)
        for (struct entry *entry = (*entries)->buckets[i], *next; entry; entry = next) {
            next = entry->chain;
            for (struct unit *unit = entry->units, *after; unit; unit = after) {
                after = unit->next;
                free(unit);
            }
            free(entry);
        }
    free((*entries)->buckets);
    free(*entries);
    *entries = NULL;
}

size_t entries_count(const struct queue *queue)
{
    return queue->entries->count;
}

static struct entry **bucket(const struct entries *entries, struct uid id)
{
    uint64_t hash = map_hash(span_make((const char *)id.bytes, UID_BYTES));
    return &entries->buckets[hash & (entries->nbuckets - 1)];
}

struct entry *entry_find(const struct queue *queue, struct uid id)
{
    struct entry *entry = *bucket(queue->entries, id);
    while (entry && uid_compare(entry->id, id))
        entry = entry->chain;
    return entry;
}

static void grow(struct entries *entries)
{
    struct entry **old = entries->buckets;
    size_t nold = entries->nbuckets;
    entries->nbuckets *= 2;
    entries->buckets = text_zalloc(entries->nbuckets * sizeof(struct entry *));
    for (size_t i = 0; i < nold; i++)
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            next = entry->chain;
            struct entry **head = bucket(entries, entry->id);
            entry->chain = *head;
            *head = entry;
        }
    free(old);
}

struct entry *entry_new(struct queue *queue, struct uid id, struct pair *pair, uint64_t offset, uint32_t live)
{
    struct entries *entries = queue->entries;
    if (entries->count >= entries->nbuckets)
        grow(entries);
    struct entry *entry = text_zalloc(sizeof *entry);
    entry->id = id;
    entry->offset = offset;
    entry->live = live;
    struct entry **head = bucket(entries, id);
    entry->chain = *head;
    *head = entry;
    entries->count++;
    pair_enter(pair, entry);
    return entry;
}

static void entry_drop(struct queue *queue, struct entry *entry)
{
    struct entry **at = bucket(queue->entries, entry->id);
    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    queue->entries->count--;
    struct pair *pair = entry->pair;
    while (entry->units)
        unit_free(queue, entry->units);
    list_remove(&entry->in_pair);
    free(entry);
    pair_leave(queue, pair);
}

bool entry_settle(struct queue *queue, struct entry *entry, uint32_t n)
{
    entry->live -= n < entry->live ? n : entry->live;
    if (entry->live || entry->notices)
        return false;
    entry_drop(queue, entry);
    return true;
}

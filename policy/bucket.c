/* A key's state is how much it has used, in whole units and a remainder in units/per_ms, at a moment of the monotonic clock. From
 * then on `count` units drain in every per_ms: after dt milliseconds, count * dt of the remainder's unit. N fits when used + N <=
 * burst: so a fresh key gets exactly the burst, then one more every per_ms / count.
 *
 * All keys of a table share one rule, so whatever was not touched for as long as a full bucket takes to drain is empty. The list
 * in the order of use therefore ends in the keys that need not be remembered, and a sweep looks at no others. Its front is what
 * changed since it was last written down: the flag `changed` is set on a prefix of it only.
 *
 * The hash table is chained, not probed, so that nothing moves but when it grows: bucket_walk may be spread over many rounds of the
 * loop. Where it grows in between, the walk begins again. */
#include "bucket.h"

#include "../relay/base/list.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>

#define FIRST_SLOTS 64
#define WALK_SLOTS  4096 /* of one bucket_walk */
#define OVERHEAD    16   /* bytes that malloc adds to a key, on the average */

typedef unsigned __int128 amount; /* units * per_ms */

struct entry {
    struct list node;
    struct entry *next;
    int64_t at_ms;
    uint64_t used;
    uint64_t rest; /* below per_ms */
    bool changed, refused;
    uint8_t key_size;
    char key[];
};

struct bucket_table {
    struct bucket_rule rule;
    int64_t drain_ms; /* what a full bucket takes to be empty */
    size_t max_bytes, bytes;
    struct entry **slots;
    size_t nslots, count;
    struct list used; /* the last used at the front */
};

static uint64_t at_least_one(uint64_t value)
{
    return value ? value : 1;
}

/* What may be used at most. */
static uint64_t most_of(const struct bucket_rule *rule)
{
    return rule->burst + rule->debt;
}

static void set_rule(struct bucket_table *table, const struct bucket_rule *rule)
{
    struct bucket_rule *mine = &table->rule;
    mine->count = at_least_one(rule->count);
    mine->burst = at_least_one(rule->burst);
    mine->debt = rule->debt < UINT64_MAX - mine->burst ? rule->debt : UINT64_MAX - mine->burst;
    mine->per_ms = rule->per_ms < 1 ? 1 : rule->per_ms > BUCKET_TIME_MAX ? BUCKET_TIME_MAX : rule->per_ms;
    amount drain = ((amount)most_of(mine) * (amount)mine->per_ms + mine->count - 1) / mine->count;
    table->drain_ms = drain > BUCKET_TIME_MAX ? BUCKET_TIME_MAX : (int64_t)drain;
}

struct bucket_table *bucket_new(const struct bucket_rule *rule, size_t max_bytes)
{
    struct bucket_table *table = text_zalloc(sizeof *table);
    set_rule(table, rule);
    table->max_bytes = max_bytes;
    table->nslots = FIRST_SLOTS;
    table->slots = text_zalloc(table->nslots * sizeof *table->slots);
    table->bytes = table->nslots * sizeof *table->slots;
    list_init(&table->used);
    return table;
}

void bucket_free(struct bucket_table **table)
{
    if (!*table)
        return;
    LIST_EACH(node, &(*table)->used)
        free(LIST_ENTRY(node, struct entry, node));
    free((*table)->slots);
    free(*table);
    *table = NULL;
}

static struct span key_of(const struct entry *entry)
{
    return span_make(entry->key, entry->key_size);
}

static struct entry **slot_of(const struct bucket_table *table, struct span key)
{
    return &table->slots[map_hash(key) & (table->nslots - 1)];
}

/* The key used last is often asked for again: a message's recipients are all of one account. */
static struct entry *find(const struct bucket_table *table, struct span key)
{
    if (!list_empty(&table->used)) {
        struct entry *latest = LIST_ENTRY(table->used.next, struct entry, node);
        if (span_equal(key_of(latest), key))
            return latest;
    }
    struct entry *entry = *slot_of(table, key);
    while (entry && !span_equal(key_of(entry), key))
        entry = entry->next;
    return entry;
}

static size_t size_of(const struct entry *entry)
{
    return sizeof *entry + entry->key_size + OVERHEAD;
}

static void drop(struct bucket_table *table, struct entry *entry)
{
    struct entry **at = slot_of(table, key_of(entry));
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    list_remove(&entry->node);
    table->bytes -= size_of(entry);
    table->count--;
    free(entry);
}

static struct entry *last(const struct bucket_table *table)
{
    return list_empty(&table->used) ? NULL : LIST_ENTRY(table->used.previous, struct entry, node);
}

/* Makes room for SIZE more bytes by letting go of the keys unused for longest. */
static void make_room(struct bucket_table *table, size_t size)
{
    while (table->bytes + size > table->max_bytes && table->count)
        drop(table, last(table));
}

static void grow(struct bucket_table *table)
{
    size_t added = table->nslots * sizeof *table->slots;
    if (table->bytes + added > table->max_bytes)
        return; /* longer chains instead */
    free(table->slots);
    table->bytes += added;
    table->nslots *= 2;
    table->slots = text_zalloc(table->nslots * sizeof *table->slots);
    LIST_EACH(node, &table->used) {
        struct entry *entry = LIST_ENTRY(node, struct entry, node);
        struct entry **slot = slot_of(table, key_of(entry));
        entry->next = *slot;
        *slot = entry;
    }
}

static struct span cut(struct span key)
{
    return span_head(key, BUCKET_KEY_MAX);
}

static struct entry *add(struct bucket_table *table, struct span key)
{
    size_t size = sizeof(struct entry) + key.n + OVERHEAD;
    make_room(table, size);
    if (table->count >= table->nslots)
        grow(table);
    struct entry *entry = text_zalloc(sizeof *entry + key.n);
    entry->key_size = (uint8_t)key.n;
    if (key.n)
        memcpy(entry->key, key.p, key.n);
    struct entry **slot = slot_of(table, key);
    entry->next = *slot;
    *slot = entry;
    list_init(&entry->node);
    table->bytes += size;
    table->count++;
    return entry;
}

/* What ENTRY has used at NOW_MS. A clock that went back drains nothing. */
static amount used_at(const struct bucket_table *table, const struct entry *entry, int64_t now_ms)
{
    const struct bucket_rule *rule = &table->rule;
    amount used = (amount)entry->used * (amount)rule->per_ms + entry->rest;
    int64_t passed = now_ms > entry->at_ms ? now_ms - entry->at_ms : 0;
    if (passed > BUCKET_TIME_MAX)
        passed = BUCKET_TIME_MAX;
    amount drained = (amount)rule->count * (amount)passed;
    return drained >= used ? 0 : used - drained;
}

static void set_used(struct bucket_table *table, struct entry *entry, amount used, int64_t now_ms)
{
    amount per = (amount)table->rule.per_ms, most = (amount)most_of(&table->rule) * per;
    if (used > most)
        used = most;
    entry->used = (uint64_t)(used / per);
    entry->rest = (uint64_t)(used % per);
    entry->at_ms = now_ms;
    entry->changed = true;
    list_remove(&entry->node);
    list_prepend(&table->used, &entry->node);
}

/* How long until N more fit when USED is used now. */
static int64_t wait_for(const struct bucket_table *table, amount used, uint64_t n)
{
    const struct bucket_rule *rule = &table->rule;
    if (n > rule->burst)
        return BUCKET_NEVER;
    amount room = (amount)(rule->burst - n) * (amount)rule->per_ms;
    if (used <= room)
        return 0;
    amount wait = (used - room + rule->count - 1) / rule->count;
    return wait > BUCKET_TIME_MAX ? BUCKET_TIME_MAX : (int64_t)wait;
}

bool bucket_fits(struct bucket_table *table, struct span key, uint64_t n, int64_t now_ms, int64_t *ret_wait_ms)
{
    const struct entry *entry = find(table, cut(key));
    int64_t wait_ms = wait_for(table, entry ? used_at(table, entry, now_ms) : 0, n);
    if (wait_ms == 0)
        return true;
    *ret_wait_ms = wait_ms;
    return false;
}

void bucket_count(struct bucket_table *table, struct span key, uint64_t n, int64_t now_ms)
{
    struct entry *entry = find(table, cut(key));
    if (!n)
        return;
    if (!entry)
        entry = add(table, cut(key));
    entry->refused = false;
    set_used(table, entry, used_at(table, entry, now_ms) + (amount)n * (amount)table->rule.per_ms, now_ms);
}

/* It stays, empty, until it is written down as such; then the sweep finds it. */
void bucket_clear(struct bucket_table *table, struct span key, int64_t now_ms)
{
    struct entry *entry = find(table, cut(key));
    if (!entry)
        return;
    entry->refused = false;
    set_used(table, entry, 0, now_ms);
}

void bucket_refused(struct bucket_table *table, struct span key, int64_t now_ms)
{
    struct entry *entry = find(table, cut(key));
    if (!entry)
        return;
    entry->refused = true;
    set_used(table, entry, used_at(table, entry, now_ms), now_ms);
}

static struct entry *enter(struct bucket_table *table, struct span key, uint64_t used, int64_t ago_ms, int64_t now_ms)
{
    struct entry *entry = find(table, cut(key));
    if (!entry && !used)
        return NULL;
    if (!entry)
        entry = add(table, cut(key));
    entry->used = used < most_of(&table->rule) ? used : most_of(&table->rule);
    entry->rest = 0;
    entry->at_ms = 0;
    set_used(table, entry, used_at(table, entry, ago_ms < 0 ? 0 : ago_ms), now_ms);
    return entry;
}

void bucket_restore(struct bucket_table *table, struct span key, uint64_t used, int64_t ago_ms, int64_t now_ms)
{
    struct entry *entry = enter(table, key, used, ago_ms, now_ms);
    if (!entry)
        return;
    entry->changed = false; /* it comes from where changes are written to */
    if (!entry->used && !entry->rest)
        drop(table, entry);
}

void bucket_learn(struct bucket_table *table, struct span key, uint64_t used, int64_t ago_ms, int64_t now_ms)
{
    struct entry *entry = enter(table, key, used, ago_ms, now_ms);
    if (entry)
        entry->refused = false; /* until it is noted again */
}

struct bucket_rule bucket_rule_of(const struct bucket_table *table)
{
    return table->rule;
}

void bucket_change(struct bucket_table *table, const struct bucket_rule *rule, size_t max_bytes)
{
    amount old_per = (amount)table->rule.per_ms;
    set_rule(table, rule);
    amount per = (amount)table->rule.per_ms, most = (amount)most_of(&table->rule) * per;
    table->max_bytes = max_bytes;
    make_room(table, 0);
    LIST_EACH(node, &table->used) {
        struct entry *entry = LIST_ENTRY(node, struct entry, node);
        /* The remainder is in parts of the old period; rounded up, so that a reload gives nothing away. */
        amount used = (amount)entry->used * per + ((amount)entry->rest * per + old_per - 1) / old_per;
        if (used > most)
            used = most;
        entry->used = (uint64_t)(used / per);
        entry->rest = (uint64_t)(used % per);
    }
}

static struct bucket describe(const struct bucket_table *table, const struct entry *entry, int64_t now_ms)
{
    amount per = (amount)table->rule.per_ms, used = used_at(table, entry, now_ms);
    struct bucket bucket = {
        .key = key_of(entry),
        .used = (uint64_t)((used + per - 1) / per),
        .wait_ms = wait_for(table, used, 1),
        .idle_ms = now_ms - entry->at_ms,
        .refused = entry->refused,
    };
    bucket.left = bucket.used < table->rule.burst ? table->rule.burst - bucket.used : 0;
    return bucket;
}

struct bucket bucket_look(const struct bucket_table *table, struct span key, int64_t now_ms)
{
    const struct entry *entry = find(table, cut(key));
    if (entry)
        return describe(table, entry, now_ms);
    return (struct bucket){ .key = key, .left = table->rule.burst };
}

void bucket_each(const struct bucket_table *table, int64_t now_ms, bucket_visit visit, void *context)
{
    LIST_EACH(node, &table->used) {
        struct bucket bucket = describe(table, LIST_ENTRY(node, struct entry, node), now_ms);
        if (!visit(context, &bucket))
            return;
    }
}

void bucket_changes(struct bucket_table *table, int64_t now_ms, bucket_visit visit, void *context)
{
    bool wanted = true;
    LIST_EACH(node, &table->used) {
        struct entry *entry = LIST_ENTRY(node, struct entry, node);
        if (!entry->changed)
            return;
        struct bucket bucket = describe(table, entry, now_ms);
        entry->changed = false;
        wanted = wanted && visit(context, &bucket);
    }
}

bool bucket_walk(const struct bucket_table *table, size_t *cursor, int64_t now_ms, bucket_visit visit, void *context)
{
    /* The high half of the cursor is the table's size when the walk began. */
    size_t began = *cursor >> 32, at = *cursor & UINT32_MAX;
    if (began != table->nslots)
        at = 0;
    for (size_t end = at + WALK_SLOTS; at < table->nslots && at < end; at++)
        for (const struct entry *entry = table->slots[at]; entry; entry = entry->next) {
            struct bucket bucket = describe(table, entry, now_ms);
            if (!visit(context, &bucket))
                return true;
        }
    *cursor = table->nslots << 32 | at;
    return at < table->nslots;
}

void bucket_sweep(struct bucket_table *table, int64_t now_ms)
{
    for (struct entry *entry = last(table); entry && now_ms - entry->at_ms >= table->drain_ms; entry = last(table))
        drop(table, entry);
}

size_t bucket_keys(const struct bucket_table *table)
{
    return table->count;
}

size_t bucket_bytes(const struct bucket_table *table)
{
    return table->bytes;
}

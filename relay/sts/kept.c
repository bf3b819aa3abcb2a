/* One file of records (base/journal.h), each the whole policy of a domain, of which the last holds. The lists by mode are in the order of
 * use; the heap knows who expires first. */
#include "kept.h"

#include "../base/clock.h"
#include "../base/heap.h"
#include "../base/journal.h"
#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"
#include "policyfile.h"

#include <stdlib.h>

#define FILE_NAME  "policies.log"
#define FILE_MAGIC "postern sts 1"
#define CLOCK_MIN  ((int64_t)1767225600000) /* 2026: a clock that says less has not been set yet */
#define CLOCK_MAX  (INT64_MAX / 2)          /* no record is from later */

struct entry {
    struct list node;    /* in its mode's list, the longest unused first */
    struct list changed; /* in that list until it is written down */
    struct heap_node expiry;
    struct kept_policy policy; /* its hosts are in `text` */
    uint8_t domain_size;
    char text[]; /* the domain, then the hosts */
};

struct kept {
    struct map *by_domain;
    struct list by_mode[STS_MODES];
    struct list changed;
    struct heap expiring;
    size_t max;
    size_t bytes;
    struct journal *journal; /* NULL until kept_open */
    struct timer timer;
    int64_t read_ms; /* the time by which records are taken in */
};

static struct span domain_of(const struct entry *entry)
{
    return span_make(entry->text, entry->domain_size);
}

static size_t bytes_of(const struct entry *entry)
{
    return sizeof *entry + entry->domain_size + entry->policy.hosts.n;
}

static int64_t expires_ms(const struct kept_policy *policy)
{
    return policy->fetched_ms + (int64_t)policy->max_age_s * 1000;
}

struct kept *kept_new(size_t max)
{
    struct kept *kept = text_zalloc(sizeof *kept);
    kept->by_domain = map_new(0);
    kept->max = max;
    for (unsigned mode = 0; mode < STS_MODES; mode++)
        list_init(&kept->by_mode[mode]);
    list_init(&kept->changed);
    heap_init(&kept->expiring);
    return kept;
}

static void drop(struct kept *kept, struct entry *entry)
{
    map_remove(kept->by_domain, domain_of(entry));
    heap_remove(&kept->expiring, &entry->expiry);
    list_remove(&entry->node);
    list_remove(&entry->changed);
    kept->bytes -= bytes_of(entry);
    free(entry);
}

/* Which one goes for one of MODE, or NULL where all are worth more. */
static struct entry *least(const struct kept *kept, enum sts_mode mode, int64_t wall_ms)
{
    struct heap_node *first = heap_first(&kept->expiring);
    if (first && first->key <= wall_ms)
        return LIST_ENTRY(first, struct entry, expiry);
    for (unsigned lesser = 0; lesser <= mode; lesser++)
        if (!list_empty(&kept->by_mode[lesser]))
            return LIST_ENTRY(kept->by_mode[lesser].next, struct entry, node);
    return NULL;
}

/* Makes room for ENTRY. False where there is none. */
static bool make_room(struct kept *kept, const struct entry *entry, int64_t wall_ms)
{
    while (map_count(kept->by_domain) >= kept->max || kept->bytes + bytes_of(entry) > kept->max * KEPT_BYTES) {
        struct entry *victim = least(kept, entry->policy.mode, wall_ms);
        if (!victim)
            return false;
        drop(kept, victim);
    }
    return true;
}

static struct entry *make_entry(struct span domain, const struct kept_policy *policy)
{
    struct entry *entry = text_zalloc(sizeof *entry + domain.n + policy->hosts.n);
    entry->policy = *policy;
    entry->domain_size = (uint8_t)domain.n;
    memcpy(entry->text, domain.p, domain.n);
    memcpy(entry->text + domain.n, policy->hosts.p, policy->hosts.n);
    entry->policy.hosts = span_make(entry->text + domain.n, policy->hosts.n);
    list_init(&entry->node);
    list_init(&entry->changed);
    return entry;
}

/* Enters POLICY. NULL where it is not kept. */
static struct entry *enter(struct kept *kept, struct span domain, int64_t wall_ms, const struct kept_policy *policy)
{
    struct entry *entry = make_entry(domain, policy); /* first, since the hosts may be those of the one that goes */
    struct entry *old = map_get(kept->by_domain, domain);
    if (old)
        drop(kept, old);
    if (!make_room(kept, entry, wall_ms)) {
        free(entry);
        return NULL;
    }
    kept->bytes += bytes_of(entry);
    map_put(kept->by_domain, domain_of(entry), entry, NULL);
    list_append(&kept->by_mode[policy->mode], &entry->node);
    heap_set(&kept->expiring, &entry->expiry, expires_ms(policy));
    return entry;
}

/* The clock went back: nothing was fetched after WALL_MS. Where that is found out it is written down, or each restart would find a policy
 * that is new. But not by a clock that begins in 1970 until the machine is told the time: by what it says all would have expired then. */
static void settle_clock(struct kept *kept, struct entry *entry, int64_t wall_ms)
{
    if (entry->policy.fetched_ms <= wall_ms || wall_ms < CLOCK_MIN)
        return;
    entry->policy.fetched_ms = wall_ms;
    heap_set(&kept->expiring, &entry->expiry, expires_ms(&entry->policy));
    list_remove(&entry->changed);
    list_append(&kept->changed, &entry->changed);
}

/* --- what is kept on the disk --- */

/* A record; domain, id and hosts follow. In the machine's own byte order. */
struct record {
    int64_t fetched_ms;
    uint32_t max_age_s;
    uint16_t hosts_size;
    uint8_t domain_size;
    uint8_t id_size;
    uint8_t mode;
    uint8_t zero[7];
};

_Static_assert(sizeof(struct record) + SMTP_DOMAIN_SIZE + ANNOUNCEMENT_ID_SIZE + STS_HOSTS_SIZE <= JOURNAL_RECORD_MAX,
               "any policy fits a record");

static void write_entry(struct kept *kept, struct entry *entry)
{
    char bytes[JOURNAL_RECORD_MAX];
    const struct kept_policy *policy = &entry->policy;
    struct span id = span_of(policy->id);
    struct record record = {
        .fetched_ms = policy->fetched_ms,
        .max_age_s = policy->max_age_s,
        .hosts_size = (uint16_t)policy->hosts.n,
        .domain_size = entry->domain_size,
        .id_size = (uint8_t)id.n,
        .mode = (uint8_t)policy->mode,
    };
    const struct span parts[] = { { (const char *)&record, sizeof record }, domain_of(entry), id, policy->hosts };
    size_t size = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(bytes + size, parts[i].p, parts[i].n);
        size += parts[i].n;
    }
    journal_add(kept->journal, span_make(bytes, size));
    list_remove(&entry->changed);
}

static void take_record(void *context, struct span bytes)
{
    struct kept *kept = context;
    struct record record;
    struct kept_policy policy = { .mode = STS_NONE };
    if (bytes.n < sizeof record)
        return;
    memcpy(&record, bytes.p, sizeof record);
    bytes = span_skip(bytes, sizeof record);
    if (record.mode >= STS_MODES || !record.domain_size || record.hosts_size >= STS_HOSTS_SIZE || record.fetched_ms < 0 ||
        record.fetched_ms > CLOCK_MAX || record.max_age_s > POLICYFILE_MAX_AGE_S ||
        bytes.n != (size_t)record.domain_size + record.id_size + record.hosts_size)
        return;
    struct span domain = span_head(bytes, record.domain_size);
    struct span id = span_head(span_skip(bytes, record.domain_size), record.id_size);
    if (!text_copy(policy.id, sizeof policy.id, id))
        return;
    policy.mode = record.mode;
    policy.fetched_ms = record.fetched_ms;
    policy.max_age_s = record.max_age_s;
    policy.hosts = span_skip(bytes, (size_t)record.domain_size + record.id_size);
    struct entry *entry = enter(kept, domain, kept->read_ms, &policy);
    if (entry)
        settle_clock(kept, entry, kept->read_ms);
}

static void write_changes(struct kept *kept, bool sync)
{
    bool all = journal_begin(kept->journal, sync);
    for (unsigned mode = 0; all && mode < STS_MODES; mode++)
        LIST_EACH(node, &kept->by_mode[mode])
            write_entry(kept, LIST_ENTRY(node, struct entry, node));
    LIST_EACH(node, &kept->changed)
        write_entry(kept, LIST_ENTRY(node, struct entry, changed));
    journal_end(kept->journal, sync);
}

/* Where nothing has changed this is no work, but for a disk that failed and is tried again. */
static void tick(void *context)
{
    struct kept *kept = context;
    write_changes(kept, false);
    timer_again(&kept->timer, KEPT_WRITE_MS);
}

/* What has expired is not dropped for that: the clock that says so may be years ahead until it is set. It goes first where room is short. */
void kept_open(struct kept *kept, struct loop *loop, const char *folder, int64_t wall_ms)
{
    kept->read_ms = wall_ms;
    kept->journal = journal_new(folder, FILE_NAME, FILE_MAGIC, take_record, kept);
    timer_set(&kept->timer, loop, KEPT_WRITE_MS, tick, kept);
}

void kept_free(struct kept **kept)
{
    if (!*kept)
        return;
    if ((*kept)->journal)
        write_changes(*kept, true);
    journal_free(&(*kept)->journal);
    timer_fini(&(*kept)->timer);
    map_free(&(*kept)->by_domain, free);
    heap_fini(&(*kept)->expiring);
    free(*kept);
    *kept = NULL;
}

/* --- what is asked and told --- */

bool kept_get(struct kept *kept, struct span domain, int64_t wall_ms, struct kept_policy *ret_policy)
{
    struct entry *entry = map_get(kept->by_domain, domain);
    if (!entry)
        return false;
    settle_clock(kept, entry, wall_ms);
    if (expires_ms(&entry->policy) <= wall_ms)
        return false;
    list_remove(&entry->node);
    list_append(&kept->by_mode[entry->policy.mode], &entry->node);
    *ret_policy = entry->policy;
    return true;
}

void kept_put(struct kept *kept, struct span domain, int64_t wall_ms, const struct kept_policy *policy)
{
    struct entry *entry = enter(kept, domain, wall_ms, policy);
    if (entry)
        list_append(&kept->changed, &entry->changed);
}

size_t kept_count(const struct kept *kept)
{
    return map_count(kept->by_domain);
}

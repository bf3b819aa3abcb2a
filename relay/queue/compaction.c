/* The thread copies and renames (spool/compact.h), in steps between which it does its other jobs. The loop goes on with the old file, whose
 * descriptor the pair keeps, and with the old offsets, until it hears that the new one is there; what is being sent from the old one by
 * then goes on too. Outcomes never stop: the log is the same before and after.
 *
 * The records of finished messages go with the old file. So the log is synced first: one that said no more than that somebody waits
 * would tell of a loss. */
#include "compaction.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../spool/compact.h"
#include "entry.h"
#include "store.h"
#include "visit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PAUSE_MS      60000               /* of all, where there is no room or no descriptor */
#define PAIR_PAUSE_MS (60 * PAUSE_MS)     /* of a pair that cannot be compacted */
#define SPARE_BYTES   (64u * 1024 * 1024) /* that outcomes and new segments need meanwhile */

struct compaction {
    struct job job;
    struct pair *pair;
    int folder;
    struct compact *compact;
    struct compact_item *items;
    size_t count;
    enum compact_verdict verdict;
    int problem;
};

static bool is_worth(struct pair *pair, int64_t now_ms)
{
    bool at_rest = pair->recovered && pair->writer == PAIR_NO_WRITER && !pair->sealing && !pair->removing;
    bool sound = !pair->damaged && !pair->log_damaged && !pair->unreadable && !pair->failing;
    bool remembered = !pair->unsynced && !pair->syncing && !buffer_size(&pair->pending);
    return at_rest && sound && remembered && pair->live && pair->live < pair->small_enough &&
           pair->known_end >= COMPACTION_SIZE_MIN && pair->live <= pair->records / COMPACTION_SHARE &&
           now_ms - pair->newest_ms > COMPACTION_AGE_MS && clock_monotonic_ms() >= pair->compact_ms;
}

/* Is there room for a copy of half of PAIR, and for what else is written meanwhile? Below minimum-free it helps all the more. */
static bool has_room(const struct store *store, const struct pair *pair)
{
    struct statfs room;
    return fstatfs(store->folder, &room) == 0 &&
           (uint64_t)room.f_bavail * (uint64_t)room.f_bsize >= pair->known_end / 2 + SPARE_BYTES;
}

/* The log first: what an earlier process appended may not have been synced by anybody. */
static void begin_work(struct job *job)
{
    struct compaction *compaction = (struct compaction *)job;
    compaction->verdict = outcome_sync_log(compaction->folder, compaction->pair->number) ? COMPACT_MORE : COMPACT_FAILED;
    compaction->problem = errno;
}

static void step(struct job *job)
{
    struct compaction *compaction = (struct compaction *)job;
    compaction->verdict = compact_step(compaction->compact);
    compaction->problem = errno;
}

/* Index of the first item at or behind OFFSET. */
static size_t search(const struct compaction *compaction, uint64_t offset)
{
    size_t low = 0, high = compaction->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compaction->items[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t moved(void *context, uint64_t offset)
{
    const struct compaction *compaction = context;
    size_t i = search(compaction, offset);
    return i < compaction->count ? compaction->items[i].new_offset : UINT64_MAX;
}

/* The new file is there: entries get their new offsets, and the old one is closed. */
static void change_over(struct queue *queue, struct compaction *compaction)
{
    struct pair *pair = compaction->pair;
    uint64_t size = pair->known_end;
    visits_moved(queue, pair->number, moved, compaction);
    LIST_EACH(node, &pair->entries) {
        struct entry *entry = LIST_ENTRY(node, struct entry, in_pair);
        size_t i = search(compaction, entry->offset);
        assert(i < compaction->count && compaction->items[i].offset == entry->offset);
        entry->offset = compaction->items[i].new_offset;
    }
    pair_close_segment(queue->store, pair);
    pair->known_end = compact_end(compaction->compact);
    pair->records = (uint32_t)compaction->count;
    log_say(LOG_INFO, "notice", "segment %016llx was compacted from %llu to %llu bytes; %zu messages in it are not finished",
            (unsigned long long)pair->number, (unsigned long long)size, (unsigned long long)pair->known_end, compaction->count);
}

/* One pair that cannot be compacted keeps no other from it. */
static void pause_after(struct store *store, struct pair *pair, int problem)
{
    int64_t now_ms = clock_monotonic_ms();
    pair->compact_ms = now_ms + PAIR_PAUSE_MS;
    if (problem == ENOSPC || problem == EDQUOT || problem == EMFILE || problem == ENFILE)
        store->compact_ms = now_ms + PAUSE_MS;
}

/* The old file has no name any more, or the new one is given up: to free the blocks of either takes the disk's time. PAIR may be gone. */
static void let_go(struct job *job)
{
    struct compaction *compaction = (struct compaction *)job;
    compact_free(&compaction->compact);
}

static void gone(void *context, struct job *job)
{
    struct compaction *compaction = (struct compaction *)job;
    (void)context;
    free(compaction->items);
    free(compaction);
}

static void end(struct queue *queue, struct compaction *compaction)
{
    struct pair *pair = compaction->pair;
    pair->compacting = queue->store->compacting = false;
    if (compaction->verdict == COMPACT_DONE)
        change_over(queue, compaction);
    if (compaction->verdict == COMPACT_NOTHING || compaction->verdict == COMPACT_DAMAGED)
        pair->small_enough = pair->live / 2 + 1;
    if (compaction->verdict == COMPACT_FAILED) {
        pause_after(queue->store, pair, compaction->problem);
        log_say(LOG_WARNING, "error", "segment %016llx cannot be compacted: %s; it is used as it is",
                (unsigned long long)pair->number, strerror(compaction->problem));
    }
    store_consider(queue->store, pair);
    compaction->job.work = let_go;
    compaction->job.done = gone;
    worker_submit(queue->store->worker, &compaction->job);
}

static void stepped(void *context, struct job *job)
{
    struct queue *queue = context;
    struct compaction *compaction = (struct compaction *)job;
    bool ends = queue->role->draining || !queue->store->writer || !compaction->pair->live;
    compaction->job.work = step;
    if (compaction->verdict == COMPACT_MORE && !ends)
        worker_submit(queue->store->worker, &compaction->job);
    else
        end(queue, compaction);
}

static void begin(struct queue *queue, struct pair *pair)
{
    struct compaction *compaction = text_zalloc(sizeof *compaction);
    *compaction = (struct compaction){
        .job = { .work = begin_work, .done = stepped },
        .pair = pair,
        .folder = queue->store->folder,
        .items = text_zalloc(pair->live * sizeof *compaction->items),
    };
    LIST_EACH(node, &pair->entries) {
        const struct entry *entry = LIST_ENTRY(node, struct entry, in_pair);
        compaction->items[compaction->count++] = (struct compact_item){ .id = entry->id, .offset = entry->offset };
    }
    compaction->compact = compact_new(queue->store->folder, pair->number, compaction->items, compaction->count);
    pair->compacting = queue->store->compacting = true;
    worker_submit(queue->store->worker, &compaction->job);
}

void compaction_tick(struct queue *queue)
{
    struct store *store = queue->store;
    int64_t now_ms = clock_wall_ms();
    if (store->compacting || queue->role->draining || clock_monotonic_ms() < store->compact_ms)
        return;
    LIST_EACH(node, &store->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        if (is_worth(pair, now_ms) && has_room(store, pair) && pair_segment(store, pair) >= 0) {
            begin(queue, pair);
            return;
        }
    }
}

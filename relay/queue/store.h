/* The spool as the queue sees it: all pairs, segments made and handed out, logs written and synced, the room that is left.
 *
 * Handing out: submission (or the queue's own writer, for reports) asks, a job makes the segment, its descriptor goes over. Taking
 * back: when the writer is done or has gone the segment is sealed by a job. When its messages are all done and nobody writes, a job
 * removes the pair. Nothing here makes the loop wait for the disk but short reads and the appends to logs, which are not synced. */
#ifndef POSTERN_QUEUE_STORE_H
#define POSTERN_QUEUE_STORE_H

#include "../base/map.h"
#include "../channels/submission_queue.h"
#include "../spool/writer.h"
#include "pair.h"
#include "worker.h"

struct store {
    struct queue *queue;
    struct loop *loop;
    int folder;
    struct worker *worker;
    struct writer *writer; /* for reports */
    struct map *pairs;     /* by number */
    struct list all;       /* in order of the number */
    struct list dirty;
    struct list open;
    unsigned nopen;
    struct timer flush;
    struct timer recovery;
    uint64_t next_number;
    int64_t complained_ms; /* when it was said last that a segment cannot be made */
    int64_t compact_ms;    /* monotonic: no compaction before */
    bool compacting;       /* one pair is */
    bool enough;           /* there is more room than spool.minimum-free */
};

/* Opens the spool folder of the settings (makes it with mode 0700), locks it, starts the threads. NULL, with a log line, where that
 * fails or another queue has the lock. */
struct store *store_new(struct queue *queue);

/* Ends the thread that writes reports: first of all at the end, since it calls back. NULL is fine. */
void store_end_writer(struct store *store);

/* Ends the threads, appends and syncs what is pending, closes and frees. NULL is fine. */
void store_free(struct store **store);

/* The pair NUMBER, or NULL. */
struct pair *store_pair(const struct store *store, uint64_t number);

/* The first pair whose number is NUMBER or above, or NULL. */
struct pair *store_pair_from(const struct store *store, uint64_t number);

/* Once a second: room, logs to sync, writers that have gone, pairs to remove. */
void store_tick(struct store *store);

/* Syncs what is unsynced, now, waiting for it. */
void store_sync(struct store *store);

/* Removes PAIR where nothing keeps it. */
void store_consider(struct store *store, struct pair *pair);

/* Seals PAIR, which has no writer any more: what lies behind its known end is cut off. Does nothing to one that could not be read: more
 * may lie there than is known; when it is read again it is sealed. */
void store_seal(struct store *store, struct pair *pair);

#endif

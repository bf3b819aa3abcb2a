/* Descriptors are opened when they are needed and kept in order of use; beyond PAIR_OPEN_MAX the one that was not used longest is
 * closed, so that any number of segments (each large message has its own) needs few descriptors.
 *
 * Outcomes gather in `pending` and are appended in one write when control returns to the loop. Where that fails (no room, an I/O
 * error, a disk that turned read-only) they stay pending, the pair is `failing`, and nothing of it is sent until they could be
 * written: to send without being able to remember would be to send twice. */
#include "pair.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../spool/segment.h"
#include "deliverer.h"
#include "entry.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN_MS 10000 /* a pair that could not be read is read again after */

static struct span number_key(const uint64_t *number)
{
    return span_make((const char *)number, sizeof *number);
}

struct pair *store_pair(const struct store *store, uint64_t number)
{
    return map_get(store->pairs, number_key(&number));
}

struct pair *pair_new(struct store *store, uint64_t number)
{
    struct pair *pair = text_zalloc(sizeof *pair);
    pair->number = number;
    pair->writer = PAIR_NO_WRITER;
    pair->segment_fd = pair->log_fd = -1;
    pair->oldest_ms = INT64_MAX;
    pair->small_enough = UINT32_MAX;
    list_init(&pair->entries);
    list_init(&pair->in_dirty);
    list_init(&pair->in_open);
    buffer_init(&pair->pending, PAIR_PENDING_MAX);
    map_put(store->pairs, number_key(&pair->number), pair, NULL);
    struct list *after = store->all.previous; /* numbers rise, so the place is near the end */
    while (after != &store->all && LIST_ENTRY(after, struct pair, in_store)->number > number)
        after = after->previous;
    list_prepend(after, &pair->in_store);
    return pair;
}

void pair_close_segment(struct store *store, struct pair *pair)
{
    if (pair->segment_fd < 0)
        return;
    deliverers_forget(store->queue, pair->number);
    close(pair->segment_fd);
    pair->segment_fd = -1;
}

static void close_descriptors(struct store *store, struct pair *pair)
{
    pair_close_segment(store, pair);
    if (pair->log_fd >= 0)
        close(pair->log_fd);
    pair->log_fd = -1;
    if (!list_empty(&pair->in_open)) {
        list_remove(&pair->in_open);
        store->nopen--;
    }
}

void pair_close(struct store *store, struct pair *pair)
{
    if (!buffer_size(&pair->pending) && !pair->unsynced && !pair->syncing && !pair->compacting)
        close_descriptors(store, pair);
}

void pair_free(struct store *store, struct pair **pair)
{
    close_descriptors(store, *pair);
    buffer_fini(&(*pair)->pending);
    list_remove(&(*pair)->in_dirty);
    list_remove(&(*pair)->in_store);
    map_remove(store->pairs, number_key(&(*pair)->number));
    free(*pair);
    *pair = NULL;
}

void pair_enter(struct pair *pair, struct entry *entry)
{
    entry->pair = pair;
    pair->live++;
    struct list *after = pair->entries.previous;
    while (after != &pair->entries && LIST_ENTRY(after, struct entry, in_pair)->offset > entry->offset)
        after = after->previous;
    list_prepend(after, &entry->in_pair);
    int64_t made_ms = uid_time_ms(entry->id);
    if (made_ms < pair->oldest_ms)
        pair->oldest_ms = made_ms;
    if (made_ms > pair->newest_ms)
        pair->newest_ms = made_ms;
}

void pair_leave(struct queue *queue, struct pair *pair)
{
    if (!--pair->live)
        store_consider(queue->store, pair);
}

/* Notes that PAIR was used, and closes others beyond the limit. */
static void touch(struct store *store, struct pair *pair)
{
    if (list_empty(&pair->in_open))
        store->nopen++;
    list_remove(&pair->in_open);
    list_append(&store->open, &pair->in_open);
    if (store->nopen <= PAIR_OPEN_MAX)
        return;
    LIST_EACH(node, &store->open) {
        struct pair *other = LIST_ENTRY(node, struct pair, in_open);
        if (store->nopen <= PAIR_OPEN_MAX || other == pair)
            return;
        pair_close(store, other);
    }
}

void pair_unread(struct pair *pair, const char *what)
{
    if (!pair->unread)
        log_say(LOG_ERROR, "error", "segment %016llx: %s: %s; what is in it waits until it can be read",
                (unsigned long long)pair->number, what, strerror(errno));
    pair->unread = true;
    pair->recovered = false;
    pair->again_ms = clock_monotonic_ms() + AGAIN_MS;
}

static bool exists(const struct store *store, const struct pair *pair)
{
    char segment[SEGMENT_NAME_SIZE], log[SEGMENT_NAME_SIZE];
    struct stat status;
    segment_name(pair->number, segment);
    segment_log_name(pair->number, log);
    return fstatat(store->folder, segment, &status, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(store->folder, log, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

bool pair_is_damaged(const struct store *store, const struct pair *pair, const char **ret_ending)
{
    bool segment = pair->damaged || pair->unread || pair->unreadable;
    *ret_ending = segment ? ".seg" : ".log";
    return (segment || pair->log_damaged || pair->failing) &&
           (pair->live || exists(store, pair)); /* a person may have moved it away */
}

/* Opens the segment; says once that it cannot be, and when it can be again. */
static bool open_segment(const struct store *store, struct pair *pair)
{
    pair->segment_fd = segment_open(store->folder, pair->number);
    bool opened = pair->segment_fd >= 0;
    int why = errno;
    if (!opened && !pair->unreadable)
        log_say(LOG_ERROR, "error", "segment %016llx cannot be opened: %s; its messages wait until it can be",
                (unsigned long long)pair->number, strerror(why));
    else if (opened && pair->unreadable)
        log_say(LOG_INFO, "notice", "segment %016llx can be opened again", (unsigned long long)pair->number);
    pair->unreadable = !opened;
    errno = why;
    return opened;
}

int pair_segment(struct store *store, struct pair *pair)
{
    if (pair->segment_fd < 0 && !open_segment(store, pair))
        return -1;
    if (store->open.previous != &pair->in_open)
        touch(store, pair);
    return pair->segment_fd;
}

static bool open_log(struct store *store, struct pair *pair)
{
    if (pair->log_fd >= 0)
        return true;
    pair->log_fd = outcome_open(store->folder, pair->number);
    if (pair->log_fd < 0)
        return false;
    off_t size = lseek(pair->log_fd, 0, SEEK_END);
    pair->log_size = size > 0 ? (uint64_t)size : 0;
    touch(store, pair);
    return true;
}

/* Says it once, until it goes again. */
static void fail(struct pair *pair)
{
    if (!pair->failing)
        log_say(LOG_ERROR, "error",
                "the outcome log of segment %016llx cannot be written: %s; nothing of this segment is sent until it can be",
                (unsigned long long)pair->number, strerror(errno));
    pair->failing = true;
}

static void went_again(struct pair *pair)
{
    if (pair->failing)
        log_say(LOG_INFO, "notice", "the outcome log of segment %016llx can be written again", (unsigned long long)pair->number);
    pair->failing = false;
}

bool pair_log_ready(struct store *store, struct pair *pair)
{
    if (!open_log(store, pair))
        fail(pair);
    else if (!buffer_size(&pair->pending))
        went_again(pair);
    return !pair->failing;
}

static void flush_all(void *context)
{
    struct store *store = context;
    LIST_EACH(node, &store->dirty) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_dirty);
        if (pair_flush(store, pair))
            store_consider(store, pair);
    }
}

uint32_t pair_record(struct queue *queue, struct pair *pair, const struct outcome *outcome)
{
    struct store *store = queue->store;
    if (!open_log(store, pair))
        fail(pair);
    size_t before = buffer_size(&pair->pending);
    if (!outcome_encode(outcome, &pair->pending)) {
        log_say(LOG_ERROR, "error",
                "segment %016llx: too many outcomes wait for a log that cannot be written; one is lost, and its recipient may be "
                "sent "
                "to again after a restart",
                (unsigned long long)pair->number);
        return 0;
    }
    if (outcome_is_final(outcome->kind))
        pair->unsynced = true;
    pair->deferred = pair->deferred || outcome->kind == OUTCOME_DEFERRED;
    if (list_empty(&store->dirty) && !pair->failing)
        timer_set(&store->flush, store->loop, 0, flush_all, store);
    if (list_empty(&pair->in_dirty))
        list_append(&store->dirty, &pair->in_dirty);
    uint64_t position = pair->log_size + before + 1;
    return position <= UINT32_MAX ? (uint32_t)position : 0;
}

bool pair_flush(struct store *store, struct pair *pair)
{
    struct span bytes = buffer_span(&pair->pending);
    log_flush(); /* what the spool knows people have heard of: a crash in between tells it twice, and not never */
    if (!open_log(store, pair) || !outcome_append(pair->log_fd, bytes)) {
        fail(pair);
        return false;
    }
    went_again(pair);
    pair->log_size += bytes.n;
    if (bytes.n > 65536)
        buffer_fini(&pair->pending);
    else
        buffer_clear(&pair->pending);
    list_remove(&pair->in_dirty);
    return true;
}

bool pair_read(struct store *store, struct pair *pair, uint32_t position, struct buffer *scratch, struct outcome *ret_outcome)
{
    uint64_t at = position - 1;
    size_t size;
    if (!position || !open_log(store, pair))
        return false;
    if (at >= pair->log_size) /* not appended yet */
        return outcome_decode(span_skip(buffer_span(&pair->pending), (size_t)(at - pair->log_size)), ret_outcome, &size);
    buffer_clear(scratch);
    char *bytes = buffer_reserve(scratch, OUTCOME_SIZE_MAX);
    ssize_t n = bytes ? pread(pair->log_fd, bytes, OUTCOME_SIZE_MAX, (off_t)at) : -1;
    return n > 0 && outcome_decode(span_make(bytes, (size_t)n), ret_outcome, &size);
}

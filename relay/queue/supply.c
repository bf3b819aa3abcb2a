/* A segment is made by a job: two syncs, for which nobody here waits. Whoever asked may have gone when it is there; then the pair has no
 * writer from the start, and is removed. The descriptor is closed as soon as it was handed over, since the lock on the segment, which
 * tells that somebody writes, lasts as long as any copy of it. */
#include "supply.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../spool/segment.h"
#include "arrive.h"
#include "channels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPLAINT_MS 60000
#define NUMBER_TRIES 16 /* numbers that may be taken by files of somebody else */

struct making {
    struct job job;
    int folder;
    int writer;
    bool large;
    uint64_t ticket;
    uint64_t number;
    int fd;
    int problem;
};

static void make(struct job *job)
{
    struct making *making = (struct making *)job;
    for (unsigned i = 0; i < NUMBER_TRIES; i++) {
        making->fd = segment_create(making->folder, making->number);
        if (making->fd >= 0 || errno != EEXIST)
            break;
        making->number += UINT64_C(1) << 32; /* far from those that are given out meanwhile */
    }
    making->problem = making->fd < 0 ? errno : 0;
    int log = making->fd < 0 ? -1 : outcome_open(making->folder, making->number); /* the first outcome need not wait for it */
    if (log >= 0)
        close(log);
}

static void refuse(struct queue *queue, int writer, bool large, uint64_t ticket, bool full)
{
    if (writer == PAIR_OWN_WRITER && queue->store->writer)
        writer_refuse(queue->store->writer, full ? WRITER_FULL : WRITER_FAILED, large, ticket);
    else if (writer != PAIR_OWN_WRITER)
        channels_refuse_segment(queue, (unsigned)writer, large, ticket, full);
}

/* Hands FD over; it is closed here or belongs to the own writer. False where the asker has gone. */
static bool give(struct queue *queue, const struct making *making)
{
    if (making->writer == PAIR_OWN_WRITER) {
        if (!queue->store->writer) {
            close(making->fd);
            return false;
        }
        writer_give(queue->store->writer, making->number, making->fd, making->large, making->ticket);
        return true;
    }
    bool given =
        channels_give_segment(queue, (unsigned)making->writer, making->number, making->fd, making->large, making->ticket);
    close(making->fd);
    return given;
}

/* Says why there is no segment, once a minute: who is refused tries again at once. */
static void complain(struct store *store, const struct making *making)
{
    int64_t now_ms = clock_monotonic_ms();
    if (store->complained_ms && now_ms - store->complained_ms < COMPLAINT_MS)
        return;
    store->complained_ms = now_ms;
    log_say(LOG_ERROR, "error", "segment %016llx cannot be made: %s; senders are told to try again later",
            (unsigned long long)making->number, strerror(making->problem));
}

static void made(void *context, struct job *job)
{
    struct queue *queue = context;
    struct making *making = (struct making *)job;
    if (making->fd < 0) {
        complain(queue->store, making);
        refuse(queue, making->writer, making->large, making->ticket, making->problem == ENOSPC || making->problem == EDQUOT);
    } else {
        struct pair *pair = pair_new(queue->store, making->number);
        pair->recovered = true;
        pair->known_end = SEGMENT_HEADER_SIZE;
        if (give(queue, making))
            pair->writer = making->writer;
        else
            store_consider(queue->store, pair);
    }
    free(making);
}

void supply_ask(struct queue *queue, int writer, bool large, uint64_t ticket)
{
    struct store *store = queue->store;
    if (!store->enough || queue->role->draining || worker_load(store->worker) >= SUPPLY_WAITING_MAX) {
        refuse(queue, writer, large, ticket, !store->enough);
        return;
    }
    struct making *making = text_zalloc(sizeof *making);
    *making = (struct making){
        .job = { .work = make, .done = made },
        .folder = store->folder,
        .writer = writer,
        .large = large,
        .ticket = ticket,
        .number = store->next_number++,
    };
    worker_submit(store->worker, &making->job);
}

/* Enters what lies behind the last known record of PAIR, whose writer told nobody of it. */
static void catch_up(struct queue *queue, struct pair *pair)
{
    arrive_rest(queue, pair);
    pair->settled_end = pair->known_end;
    pair->writer = PAIR_NO_WRITER;
    store_seal(queue->store, pair);
}

void supply_done(struct queue *queue, int writer, uint64_t number, bool failed)
{
    struct pair *pair = store_pair(queue->store, number);
    if (!pair || pair->writer == PAIR_NO_WRITER || (pair->writer != writer && pair->writer != PAIR_FOREIGN_WRITER))
        return;
    if (failed)
        log_say(LOG_ERROR, "error",
                "segment %016llx: a write or sync failed; it is used no more, and its last messages were refused",
                (unsigned long long)number);
    if (pair->writer == PAIR_FOREIGN_WRITER)
        return; /* what it told reached the queue process before this one: supply_watch reads the rest when the lock is free */
    pair->writer = PAIR_NO_WRITER;
    if (pair->recovered)
        pair->settled_end = pair->known_end;
    store_seal(queue->store, pair);
}

void supply_gone(struct queue *queue, int writer)
{
    LIST_EACH(node, &queue->store->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        if (pair->writer == writer)
            catch_up(queue, pair);
    }
}

void supply_watch(struct queue *queue, struct pair *pair)
{
    if (!segment_has_writer(queue->store->folder, pair->number))
        catch_up(queue, pair);
}

static void need_segment(void *context, bool large, uint64_t ticket)
{
    supply_ask(context, PAIR_OWN_WRITER, large, ticket);
}

static void done_segment(void *context, uint64_t number, bool failed)
{
    supply_done(context, PAIR_OWN_WRITER, number, failed);
}

const struct writer_events supply_events = { .need_segment = need_segment, .done_segment = done_segment };

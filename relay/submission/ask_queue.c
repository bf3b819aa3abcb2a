/* The queue makes segments, this process writes them, and each durable message is told to the queue before the client hears 250.
 *
 * When the queue process goes, its segments are given up: the successor walks them, and finds there what was durable. It is told all
 * the same whatever its predecessor may not have heard, since a message can become durable after that walk; an id that it knows
 * it ignores. Until it is there new messages get 451. */
#include "ask_queue.h"

#include "../base/log.h"
#include "../base/text.h"
#include "transaction.h"

#include <stdlib.h>
#include <unistd.h>

#define UNTOLD_RETRY_MS 200
#define UNTOLD_MAX      100000 /* durable messages that no queue process has heard of: beyond, new ones are not taken */
#define STALLED_MS      10000  /* without a message stored, while some wait: no more are taken */
#define WANTED_MAX      64     /* segments asked for and not given */

struct wanted {
    uint64_t ticket;
    bool large;
};

struct ask_queue {
    struct front *front;
    struct ipc *peer;
    struct writer *writer;
    bool no_space;
    bool stalled; /* the disk, when it was looked at last */
    struct wanted wanted[WANTED_MAX];
    unsigned nwanted;
    struct message_stored *untold;
    size_t nuntold;
    size_t untold_capacity;
    struct timer retry;
};

static void need_segment(void *context, bool large, uint64_t ticket)
{
    struct ask_queue *queue = context;
    struct segment_ask ask = { .ticket = ticket, .large = large };
    if (queue->nwanted == WANTED_MAX || !ipc_send(queue->peer, SEGMENT_ASK, &ask, sizeof ask, -1))
        writer_refuse(queue->writer, WRITER_FAILED, large, ticket);
    else
        queue->wanted[queue->nwanted++] = (struct wanted){ ticket, large };
}

static void tell_untold(void *context);

static void done_segment(void *context, uint64_t number, bool failed)
{
    struct ask_queue *queue = context;
    struct segment_done done = { .number = number, .failed = failed };
    if (queue->nuntold)
        tell_untold(queue);
    ipc_send(queue->peer, SEGMENT_DONE, &done, sizeof done, -1);
}

/* Those that are durable since the same moment are told together: the queue wakes once for them. */
static void told(void *context)
{
    struct ask_queue *queue = context;
    if (queue->peer && queue->nuntold)
        tell_untold(queue);
    transaction_answer_all(queue->front);
}

static const struct writer_events events = { .need_segment = need_segment, .done_segment = done_segment, .told = told };

struct ask_queue *ask_queue_new(struct front *front)
{
    struct ask_queue *queue = text_zalloc(sizeof *queue);
    queue->front = front;
    queue->writer = writer_new(front->role->loop, &events, queue);
    return queue;
}

void ask_queue_free(struct ask_queue **queue)
{
    if (!*queue)
        return;
    if ((*queue)->nuntold)
        tell_untold(*queue);
    writer_free(&(*queue)->writer);
    ipc_free(&(*queue)->peer);
    timer_fini(&(*queue)->retry);
    free((*queue)->untold);
    free(*queue);
    *queue = NULL;
}

/* Takes the segment with TICKET off the list of wanted ones; false where it is not on it. */
static bool take_wanted(struct ask_queue *queue, uint64_t ticket, bool large)
{
    for (unsigned i = 0; i < queue->nwanted; i++)
        if (queue->wanted[i].ticket == ticket && queue->wanted[i].large == large) {
            queue->wanted[i] = queue->wanted[--queue->nwanted];
            return true;
        }
    return false;
}

static void take_give(struct ask_queue *queue, const void *body, int fd)
{
    const struct segment_give *give = body;
    if (take_wanted(queue, give->ticket, give->large))
        writer_give(queue->writer, give->number, fd, give->large, give->ticket);
    else
        close(fd);
}

static void take_refuse(struct ask_queue *queue, const void *body, int fd)
{
    const struct segment_refuse *refuse = body;
    (void)fd;
    if (take_wanted(queue, refuse->ticket, refuse->large))
        writer_refuse(queue->writer, refuse->full ? WRITER_FULL : WRITER_FAILED, refuse->large, refuse->ticket);
}

static void take_space(struct ask_queue *queue, const void *body, int fd)
{
    const struct spool_space *space = body;
    (void)fd;
    queue->no_space = !space->enough;
}

static void (*const handlers[SUBMISSION_QUEUE_COUNT])(struct ask_queue *queue, const void *body, int fd) = {
    [SEGMENT_GIVE] = take_give,
    [SEGMENT_REFUSE] = take_refuse,
    [SPOOL_SPACE] = take_space,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    handlers[type](context, body, fd);
}

static void closed(void *context)
{
    struct ask_queue *queue = context;
    ipc_free(&queue->peer);
    while (queue->nwanted) {
        struct wanted wanted = queue->wanted[--queue->nwanted];
        writer_refuse(queue->writer, WRITER_FAILED, wanted.large, wanted.ticket);
    }
    writer_abandon(queue->writer);
}

/* Tells COUNT of those that were not told, from FIRST on; at most STORED_MESSAGES_MAX. */
static bool tell_some(struct ask_queue *queue, size_t first, size_t count)
{
    struct messages_stored stored;
    memset(&stored, 0, offsetof(struct messages_stored, each)); /* with what lies between its members */
    stored.count = (uint32_t)count;
    memcpy(stored.each, queue->untold + first, count * sizeof *stored.each);
    return ipc_send(queue->peer, MESSAGES_STORED, &stored, offsetof(struct messages_stored, each) + count * sizeof *stored.each,
                    -1);
}

/* Tells what was not told, as far as the channel takes it. */
static void tell_untold(void *context)
{
    struct ask_queue *queue = context;
    size_t told = 0, count;
    while ((count = queue->nuntold - told) > 0) {
        count = count < STORED_MESSAGES_MAX ? count : STORED_MESSAGES_MAX;
        if (!tell_some(queue, told, count))
            break;
        told += count;
    }
    queue->nuntold -= told;
    memmove(queue->untold, queue->untold + told, queue->nuntold * sizeof *queue->untold);
    if (queue->nuntold && queue->peer)
        timer_set(&queue->retry, queue->front->role->loop, UNTOLD_RETRY_MS, tell_untold, queue);
    else if (!queue->nuntold)
        front_settle(queue->front);
}

void ask_queue_peer(struct ask_queue *queue, unsigned slot, int fd)
{
    (void)slot;
    if (queue->peer)
        closed(queue);
    queue->no_space = false;
    queue->peer = ipc_new(queue->front->role->loop, fd, &submission_queue_channel, IPC_FRONT, received, closed, queue);
    if (queue->nuntold)
        tell_untold(queue);
}

/* Has the disk not taken a message for long? Said when it begins and when it is over. */
static bool is_stalled(struct ask_queue *queue)
{
    bool stalled = writer_stalled_ms(queue->writer) > STALLED_MS;
    if (stalled && !queue->stalled)
        log_say(LOG_ERROR, "error", "the disk has stored no message for %d seconds: senders are told to try again later",
                STALLED_MS / 1000);
    else if (!stalled && queue->stalled)
        log_say(LOG_INFO, "notice", "the disk stores messages again");
    queue->stalled = stalled;
    return stalled;
}

const char *ask_queue_objection(struct ask_queue *queue)
{
    if (is_stalled(queue))
        return "451 4.3.0 the disk does not answer now; try again later";
    if (!queue->peer || queue->nuntold >= UNTOLD_MAX)
        return "451 4.3.0 messages cannot be stored now; try again later";
    return queue->no_space ? "452 4.3.1 there is not enough space for messages now; try again later" : NULL;
}

struct writer *ask_queue_writer(struct ask_queue *queue)
{
    return queue->writer;
}

void ask_queue_tell(struct ask_queue *queue, const struct writer_place *place)
{
    const struct message_stored stored = { .segment = place->segment, .offset = place->record.offset, .id = place->record.id };
    if (queue->nuntold == queue->untold_capacity) {
        queue->untold_capacity = queue->untold_capacity ? queue->untold_capacity * 2 : 64;
        queue->untold = text_realloc(queue->untold, queue->untold_capacity * sizeof *queue->untold);
    }
    queue->untold[queue->nuntold++] = stored;
}

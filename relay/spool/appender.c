/* One round of the thread: take everything that was posted; write the messages among it; one fdatasync for all of them; hand them
 * back; begin again. While the fdatasync runs the loop posts the next round's messages, so the slower the disk, the more messages
 * one flush covers, with nothing to tune.
 *
 * On a fast disk that alone gives small rounds, and each costs the processor as much as a large one. So a round waits, for two
 * milliseconds at most, for as many messages as the last round had: those clients mostly have a next one. Who sends alone waits for
 * nobody, and what is no message, such as a part of a large one, waits for nothing.
 *
 * Two segments are held, the current one and the next; the next is asked for when the current one is three quarters full. All that
 * the thread knows is in this struct and touched by it alone, but for the two lists under the mutex. */
#include "appender.h"

#include "../base/text.h"
#include "batch.h"
#include "intake.h"
#include "tail.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define GATHER_NS 2000000 /* that a round waits for more messages */

struct appender {
    pthread_t thread;
    int event;
    pthread_mutex_t mutex; /* guards inbox and outbox */
    pthread_cond_t posted;
    struct list inbox;
    struct list outbox;
    unsigned nmessages; /* in the inbox */
    unsigned goal;      /* so many messages make a round that waits no longer: as many as the last one had */
    bool hurried;       /* something else is in the inbox, which does not wait */

    /* The thread's own. */
    struct list back;    /* done with; to the outbox soon */
    struct list waiting; /* messages to be written */
    struct list written; /* to the current segment, not synced */
    struct list large;   /* complete, not synced */
    struct tail *current;
    struct tail *next;
    bool asked;  /* for `next` */
    bool wanted; /* a message has come since a segment was refused */
    bool stopped;
};

static void give_back(struct appender *appender, struct parcel *parcel)
{
    list_append(&appender->back, &parcel->node);
}

/* Moves what is done to the outbox and wakes the loop. */
static void hand_back(struct appender *appender)
{
    static const uint64_t one = 1;
    if (list_empty(&appender->back))
        return;
    pthread_mutex_lock(&appender->mutex);
    bool wake = list_empty(&appender->outbox);
    parcel_move_all(&appender->outbox, &appender->back);
    pthread_mutex_unlock(&appender->mutex);
    if (wake && write(appender->event, &one, sizeof one) < 0)
        abort(); /* a counter of 64 bits that is read back to zero each time cannot be full */
}

static void retire(struct appender *appender, struct tail *tail)
{
    tail_close(tail);
    tail->parcel.kind = PARCEL_CLOSED;
    give_back(appender, &tail->parcel);
}

static void retire_current(struct appender *appender)
{
    if (appender->current)
        retire(appender, appender->current);
    appender->current = NULL;
}

/* Syncs the current segment and hands back the messages that this covers. */
static void settle(struct appender *appender)
{
    if (list_empty(&appender->written))
        return;
    enum writer_verdict verdict = tail_sync(appender->current);
    LIST_EACH(node, &appender->written)
        PARCEL_OF(node)->verdict = verdict;
    parcel_move_all(&appender->back, &appender->written);
    hand_back(appender);
}

static bool have_segment(struct appender *appender)
{
    if (!appender->current) {
        appender->current = appender->next;
        appender->next = NULL;
    }
    return appender->current != NULL;
}

static void refuse_waiting(struct appender *appender, enum writer_verdict verdict)
{
    LIST_EACH(node, &appender->waiting)
        PARCEL_OF(node)->verdict = verdict;
    parcel_move_all(&appender->back, &appender->waiting);
}

/* Writes and syncs all messages that wait, as far as there are segments for them. A fresh segment that cannot be used (its header is not
 * readable) refuses them: the next one may be no better, and they would wait for one segment after the other. */
static void flush(struct appender *appender)
{
    while (!list_empty(&appender->waiting) && have_segment(appender)) {
        struct tail *tail = appender->current;
        if (tail_is_usable(tail))
            batch_write(tail, &appender->waiting, &appender->written, &appender->back);
        else
            refuse_waiting(appender, tail->verdict);
        if (tail->verdict == WRITER_STORED && tail->end < SEGMENT_SIZE_TARGET)
            continue;
        settle(appender);
        retire_current(appender);
    }
    settle(appender);
    if (appender->current && appender->current->verdict != WRITER_STORED)
        retire_current(appender);
}

/* Syncs large messages, each in its own segment. */
static void finish_large(struct appender *appender)
{
    while (!list_empty(&appender->large)) {
        struct parcel *parcel = PARCEL_OF(appender->large.next);
        struct tail *tail = parcel->tail;
        list_remove(&parcel->node);
        parcel->verdict = tail->verdict == WRITER_STORED ? tail_sync(tail) : tail->verdict;
        parcel->tail = NULL;
        give_back(appender, parcel);
        retire(appender, tail);
        hand_back(appender);
    }
}

static void ask_ahead(struct appender *appender)
{
    const struct tail *current = appender->current;
    if (appender->asked || appender->next || !appender->wanted || (current && current->end < SEGMENT_SIZE_TARGET / 4 * 3))
        return;
    struct parcel *need = text_zalloc(sizeof *need);
    need->kind = PARCEL_NEED;
    list_init(&need->node);
    appender->asked = true;
    give_back(appender, need);
}

/* What is done with each kind of parcel. */

static void on_prepare(struct appender *appender, struct parcel *parcel)
{
    appender->wanted = true;
    give_back(appender, parcel);
}

static void on_give(struct appender *appender, struct parcel *parcel)
{
    appender->asked = false;
    if (appender->next)
        retire(appender, parcel->tail);
    else
        appender->next = parcel->tail;
}

static void on_refuse(struct appender *appender, struct parcel *parcel)
{
    flush(appender);
    refuse_waiting(appender, parcel->verdict);
    appender->asked = false;
    appender->wanted = false;
    give_back(appender, parcel);
}

static void on_abandon(struct appender *appender, struct parcel *parcel)
{
    flush(appender);
    retire_current(appender);
    if (have_segment(appender))
        retire_current(appender);
    appender->asked = false;
    appender->wanted = !list_empty(&appender->waiting);
    give_back(appender, parcel);
}

static void on_message(struct appender *appender, struct parcel *parcel)
{
    if (parcel->verdict != WRITER_STORED) {
        give_back(appender, parcel);
        return;
    }
    appender->wanted = true;
    list_append(&appender->waiting, &parcel->node);
}

/* A failure stays with the tail: content with a hole must not be finished. */
static void on_chunk(struct appender *appender, struct parcel *parcel)
{
    struct chunk *chunk = CHUNK_OF(parcel);
    struct tail *tail = parcel->tail;
    struct iovec part = { .iov_base = chunk->bytes, .iov_len = chunk->size };
    if (tail_is_usable(tail))
        tail->verdict = tail_write(tail, &part, 1, tail->end + RECORD_HEADER_SIZE + tail->streamed);
    if (tail->verdict == WRITER_STORED)
        tail->streamed += chunk->size;
    parcel->verdict = tail->verdict;
    parcel->tail = NULL;
    give_back(appender, parcel);
}

static void on_finish(struct appender *appender, struct parcel *parcel)
{
    struct tail *tail = parcel->tail;
    if (tail_is_usable(tail))
        tail->verdict = batch_finish_large(tail, parcel->intake);
    list_append(&appender->large, &parcel->node);
}

static void on_retire(struct appender *appender, struct parcel *parcel)
{
    retire(appender, parcel->tail);
}

static void on_stop(struct appender *appender, struct parcel *parcel)
{
    on_abandon(appender, parcel);
    finish_large(appender);
    refuse_waiting(appender, WRITER_FAILED);
    appender->wanted = false;
    appender->stopped = true;
}

static void (*const handlers[])(struct appender *appender, struct parcel *parcel) = {
    [PARCEL_PREPARE] = on_prepare, [PARCEL_GIVE] = on_give,       [PARCEL_REFUSE] = on_refuse,
    [PARCEL_ABANDON] = on_abandon, [PARCEL_MESSAGE] = on_message, [PARCEL_CHUNK] = on_chunk,
    [PARCEL_FINISH] = on_finish,   [PARCEL_RETIRE] = on_retire,   [PARCEL_STOP] = on_stop,
};

/* The moment until which a round that begins now may wait for more. */
static struct timespec gather_until(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

/* Waits until something is posted, then for as many messages as the last round had, and takes all of it. */
static void receive(struct appender *appender, struct list *parcels)
{
    int late = 0;
    pthread_mutex_lock(&appender->mutex);
    while (list_empty(&appender->inbox))
        pthread_cond_wait(&appender->posted, &appender->mutex);
    struct timespec until = gather_until();
    while (!appender->hurried && appender->nmessages < appender->goal && !late)
        late = pthread_cond_timedwait(&appender->posted, &appender->mutex, &until);
    parcel_move_all(parcels, &appender->inbox);
    appender->goal = appender->nmessages;
    appender->nmessages = 0;
    appender->hurried = false;
    pthread_mutex_unlock(&appender->mutex);
}

static void *run(void *argument)
{
    struct appender *appender = argument;
    struct list parcels;
    list_init(&parcels);
    while (!appender->stopped) {
        receive(appender, &parcels);
        LIST_EACH(node, &parcels) {
            list_remove(node);
            handlers[PARCEL_OF(node)->kind](appender, PARCEL_OF(node));
        }
        flush(appender);
        finish_large(appender);
        ask_ahead(appender);
        hand_back(appender);
    }
    return NULL;
}

struct appender *appender_new(void)
{
    struct appender *appender = text_zalloc(sizeof *appender);
    struct list *lists[] = { &appender->inbox,   &appender->outbox,  &appender->back,
                             &appender->waiting, &appender->written, &appender->large };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_init(lists[i]);
    pthread_mutex_init(&appender->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&appender->posted, &attributes);
    pthread_condattr_destroy(&attributes);
    appender->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    if (appender->event < 0 || pthread_create(&appender->thread, NULL, run, appender) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return appender;
}

void appender_free(struct appender **appender)
{
    if (!*appender)
        return;
    close((*appender)->event);
    pthread_cond_destroy(&(*appender)->posted);
    pthread_mutex_destroy(&(*appender)->mutex);
    free(*appender);
    *appender = NULL;
}

int appender_fd(const struct appender *appender)
{
    return appender->event;
}

void appender_post(struct appender *appender, struct parcel *parcel)
{
    pthread_mutex_lock(&appender->mutex);
    bool wake = list_empty(&appender->inbox);
    list_append(&appender->inbox, &parcel->node);
    if (parcel->kind == PARCEL_MESSAGE) {
        wake = ++appender->nmessages == appender->goal || wake;
    } else {
        wake = !appender->hurried || wake;
        appender->hurried = true;
    }
    pthread_mutex_unlock(&appender->mutex);
    if (wake)
        pthread_cond_signal(&appender->posted);
}

void appender_take(struct appender *appender, struct list *parcels)
{
    uint64_t count;
    ssize_t ignored = read(appender->event, &count, sizeof count);
    (void)ignored; /* nothing there: another call took them already */
    pthread_mutex_lock(&appender->mutex);
    parcel_move_all(parcels, &appender->outbox);
    pthread_mutex_unlock(&appender->mutex);
}

void appender_join(struct appender *appender)
{
    pthread_join(appender->thread, NULL);
}

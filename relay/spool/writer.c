/* The loop's side of the writer: it answers to the caller and to the appender's thread, which does the work (appender.c). What comes
 * back from the thread is told through a table by the kind of parcel. */
#include "writer.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "appender.h"
#include "intake.h"
#include "tail.h"

#include <stdlib.h>

struct writer {
    struct appender *appender;
    struct watch watch;
    const struct writer_events *events;
    void *context;
    struct list large; /* large messages that are not with the thread as a whole */
    uint64_t last_ticket;
    unsigned awaited;    /* messages that the thread has as a whole */
    int64_t progress_ms; /* monotonic: when the first of them went there, or one came back since */
    bool prepared;       /* the thread was told that messages come */
    bool ending;         /* the thread has ended */
};

static struct parcel *new_parcel(enum parcel_kind kind)
{
    struct parcel *parcel = text_zalloc(sizeof *parcel);
    parcel->kind = kind;
    list_init(&parcel->node);
    return parcel;
}

static void on_done(struct writer *writer, struct parcel *parcel)
{
    (void)writer;
    free(parcel);
}

static void on_need(struct writer *writer, struct parcel *parcel)
{
    free(parcel);
    if (!writer->ending)
        writer->events->need_segment(writer->context, false, 0);
}

static void on_intake(struct writer *writer, struct parcel *parcel)
{
    writer->awaited--;
    writer->progress_ms = clock_monotonic_ms();
    intake_finish(parcel->intake);
}

static void on_chunk(struct writer *writer, struct parcel *parcel)
{
    (void)writer;
    intake_chunk_back(CHUNK_OF(parcel));
}

static void on_closed(struct writer *writer, struct parcel *parcel)
{
    struct tail *tail = parcel->tail; /* the parcel stands in it */
    uint64_t number = tail->number;
    bool failed = tail->failed;
    tail_free(&tail);
    writer->events->done_segment(writer->context, number, failed);
}

/* What each kind of parcel means when it comes back. */
static void (*const handlers[PARCEL_KINDS])(struct writer *writer, struct parcel *parcel) = {
    [PARCEL_PREPARE] = on_done, [PARCEL_REFUSE] = on_done,    [PARCEL_ABANDON] = on_done,
    [PARCEL_STOP] = on_done,    [PARCEL_MESSAGE] = on_intake, [PARCEL_FINISH] = on_intake,
    [PARCEL_CHUNK] = on_chunk,  [PARCEL_NEED] = on_need,      [PARCEL_CLOSED] = on_closed,
};

static void take_back(void *context, int fd, unsigned ready)
{
    struct writer *writer = context;
    struct list parcels;
    (void)fd;
    (void)ready;
    list_init(&parcels);
    appender_take(writer->appender, &parcels);
    while (!list_empty(&parcels)) {
        struct parcel *parcel = PARCEL_OF(parcels.next);
        list_remove(&parcel->node);
        handlers[parcel->kind](writer, parcel);
    }
    if (writer->events->told)
        writer->events->told(writer->context);
}

struct writer *writer_new(struct loop *loop, const struct writer_events *events, void *context)
{
    struct writer *writer = text_zalloc(sizeof *writer);
    writer->events = events;
    writer->context = context;
    list_init(&writer->large);
    writer->appender = appender_new();
    watch_set(&writer->watch, loop, appender_fd(writer->appender), WATCH_READ, take_back, writer);
    return writer;
}

void writer_free(struct writer **writer)
{
    struct writer *self = *writer;
    if (!self)
        return;
    writer_abandon(self);
    writer_post(self, new_parcel(PARCEL_STOP));
    appender_join(self->appender);
    self->ending = true;
    take_back(self, -1, 0);
    watch_fini(&self->watch);
    appender_free(&self->appender);
    free(self);
    *writer = NULL;
}

static struct intake *find_large(struct writer *writer, uint64_t ticket)
{
    LIST_EACH(node, &writer->large) {
        struct intake *intake = LIST_ENTRY(node, struct intake, among);
        if (intake->ticket == ticket)
            return intake;
    }
    return NULL;
}

void writer_give(struct writer *writer, uint64_t number, int fd, bool large, uint64_t ticket)
{
    struct tail *tail = tail_new(number, fd);
    struct intake *intake = large ? find_large(writer, ticket) : NULL;
    if (intake && !intake->tail) {
        intake_give(intake, tail);
        return;
    }
    tail->parcel.kind = large ? PARCEL_RETIRE : PARCEL_GIVE;
    writer_post(writer, &tail->parcel);
}

void writer_refuse(struct writer *writer, enum writer_verdict verdict, bool large, uint64_t ticket)
{
    struct intake *intake = large ? find_large(writer, ticket) : NULL;
    if (intake && !intake->tail)
        intake_fail(intake, verdict);
    if (large)
        return;
    struct parcel *parcel = new_parcel(PARCEL_REFUSE);
    parcel->verdict = verdict;
    writer->prepared = false;
    writer_post(writer, parcel);
}

void writer_abandon(struct writer *writer)
{
    while (!list_empty(&writer->large))
        intake_fail(LIST_ENTRY(writer->large.next, struct intake, among), WRITER_FAILED);
    writer->prepared = false;
    writer_post(writer, new_parcel(PARCEL_ABANDON));
}

int64_t writer_stalled_ms(const struct writer *writer)
{
    return writer->awaited ? clock_monotonic_ms() - writer->progress_ms : 0;
}

void writer_post(struct writer *writer, struct parcel *parcel)
{
    if ((parcel->kind == PARCEL_MESSAGE || parcel->kind == PARCEL_FINISH) && !writer->awaited++)
        writer->progress_ms = clock_monotonic_ms();
    appender_post(writer->appender, parcel);
}

void writer_prepare(struct writer *writer)
{
    if (writer->prepared)
        return;
    writer->prepared = true;
    writer_post(writer, new_parcel(PARCEL_PREPARE));
}

void writer_ask_large(struct writer *writer, struct intake *intake)
{
    intake->ticket = ++writer->last_ticket;
    list_append(&writer->large, &intake->among);
    writer->events->need_segment(writer->context, true, intake->ticket);
}

/* A fresh message becomes one unit of all its recipients, which is placed at once. A recovered one becomes a unit for each set of
 * recipients that have the same attempt behind them and the same time before them. */
#include "arrive.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../spool/segment.h"
#include "accounts.h"
#include "envelopes.h"
#include "intervene.h"
#include "place.h"
#include "recover.h"
#include "retry.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void complain(struct pair *pair, uint64_t offset, const char *what)
{
    log_say(LOG_ERROR, "error", "segment %016llx, message at %llu: %s; it stays in the spool and is not sent",
            (unsigned long long)pair->number, (unsigned long long)offset, what);
    pair->damaged = true;
}

/* The record at OFFSET of PAIR is damaged, or cannot be read now: then all of PAIR is read again later. */
static void judge(struct pair *pair, uint64_t offset, enum record_verdict verdict)
{
    if (verdict == RECORD_IO)
        pair_unread(pair, "a message that was stored cannot be read");
    else
        complain(pair, offset, "the record is damaged");
}

/* Notes that RECORD of PAIR is known. */
static void know(struct pair *pair, const struct record *record)
{
    uint64_t next = record_next_offset(record);
    if (next <= pair->known_end)
        return;
    pair->known_end = next;
    pair->records++;
}

static struct entry *enter(struct queue *queue, struct pair *pair, const struct record *record, const struct envelope *envelope,
                           uint32_t live)
{
    struct entry *entry = entry_new(queue, record->id, pair, record->offset, live);
    entry->sender = accounts_hash(envelope);
    entry->null_sender = !envelope->sender[0];
    entry->born_ms = clock_monotonic_ms();
    return entry;
}

static void enter_fresh(struct queue *queue, struct pair *pair, const struct record *record, struct envelope *envelope)
{
    uint32_t count = (uint32_t)envelope->nrecipients;
    struct entry *entry = enter(queue, pair, record, envelope, count);
    struct unit *unit = unit_new(queue, entry, count);
    bool held = envelope->flags & ENVELOPE_HELD;
    rates_note(&queue->rates, RATE_ACCEPTED, 1, clock_monotonic_ms());
    for (uint32_t i = 0; i < count; i++)
        unit->parts[i].recipient = i;
    if (held)
        intervene_hold(queue, entry, "policy");
    envelopes_keep(queue, entry, envelope);
    if (!held)
        place_unit(queue, unit); /* which looks whether its account is suspended */
}

/* Reads and enters the message at OFFSET; ID is what must lie there, or NULL. */
static void enter_at(struct queue *queue, struct pair *pair, uint64_t offset, const struct uid *id)
{
    struct envelope envelope;
    struct record record;
    envelope_init(&envelope);
    enum record_verdict verdict = envelopes_read(queue, pair, offset, &envelope, &record);
    if (verdict != RECORD_OK || !envelope.nrecipients)
        judge(pair, offset, verdict);
    else if (id && uid_compare(record.id, *id) != 0)
        complain(pair, offset, "another message lies there than the one that was told");
    else {
        know(pair, &record);
        if (!entry_find(queue, record.id))
            enter_fresh(queue, pair, &record, &envelope);
    }
    envelope_fini(&envelope);
}

void arrive_stored(struct queue *queue, uint64_t number, uint64_t offset, struct uid id)
{
    struct pair *pair = store_pair(queue->store, number);
    if (!pair) {
        log_say(LOG_ERROR, "error", "a message was told in segment %016llx, which is not there; it is ignored",
                (unsigned long long)number);
        return;
    }
    recover_pair(queue, pair);
    if (pair->recovered && offset >= pair->settled_end && !entry_find(queue, id))
        enter_at(queue, pair, offset, &id);
}

struct walk {
    struct queue *queue;
    struct pair *pair;
};

static bool enter_walked(void *context, const struct record *record)
{
    const struct walk *walk = context;
    enter_at(walk->queue, walk->pair, record->offset, &record->id);
    return true;
}

static void skip_damaged(void *context, uint64_t offset, const char *what)
{
    const struct walk *walk = context;
    complain(walk->pair, offset, what);
}

void arrive_rest(struct queue *queue, struct pair *pair)
{
    struct walk walk = { queue, pair };
    uint64_t end;
    bool torn;
    int fd = segment_open(queue->store->folder, pair->number);
    if (fd < 0) {
        pair_unread(pair, "what was stored last cannot be read");
        return;
    }
    enum record_verdict verdict = segment_walk(fd, pair->known_end, enter_walked, skip_damaged, &walk, &end, &torn);
    if (verdict == RECORD_OK && end > pair->known_end)
        pair->known_end = end;
    else if (verdict == RECORD_IO)
        pair_unread(pair, "what was stored last cannot be read");
    else if (verdict != RECORD_OK)
        complain(pair, 0, "the segment's header is damaged, and what was stored last cannot be found");
    close(fd);
}

/* The recipients of a recovered message that are not finished, in the order of their attempts and times. */
struct pending {
    struct part part;
    uint32_t attempt;
    int64_t next_ms;
};

static int compare_pending(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;
    if (x->attempt != y->attempt)
        return x->attempt < y->attempt ? -1 : 1;
    if (x->next_ms != y->next_ms)
        return x->next_ms < y->next_ms ? -1 : 1;
    return x->part.recipient < y->part.recipient ? -1 : 1;
}

static size_t gather(const struct envelope *envelope, const struct history *history, struct pending *pending)
{
    size_t n = 0;
    for (uint32_t i = 0; i < envelope->nrecipients; i++) {
        const struct history_recipient *known = history_recipient(history, i);
        if (known && known->final)
            continue;
        pending[n] = (struct pending){ .part = { .recipient = i } };
        if (known) {
            pending[n].part.said = known->said;
            pending[n].attempt = known->attempt;
            pending[n].next_ms = known->next_ms;
        }
        n++;
    }
    qsort(pending, n, sizeof *pending, compare_pending);
    return n;
}

static void make_units(struct queue *queue, struct entry *entry, const struct pending *pending, size_t n)
{
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1;
             to < n && pending[to].attempt == pending[from].attempt && pending[to].next_ms == pending[from].next_ms;)
            to++;
        struct unit *unit = unit_new(queue, entry, (uint32_t)(to - from));
        for (size_t i = from; i < to; i++)
            unit->parts[i - from] = pending[i].part;
        unit->attempts = (uint16_t)(pending[from].attempt < UINT16_MAX ? pending[from].attempt : UINT16_MAX);
        if (entry->held)
            unit_hold(queue, unit);
        else
            unit_schedule(queue, unit, retry_recovered_due(queue_conf(queue), pending[from].next_ms));
    }
}

/* A recovered entry is as old as the wall clock says, without the time in which it was held. */
static void set_age(struct queue *queue, struct entry *entry, const struct envelope *envelope, const struct history *history)
{
    int64_t rested_ms = history ? history->rested_ms : 0;
    int64_t since_ms = history && history->held_ms ? history->held_ms : envelope->arrived_ms;
    if (entry->held)
        rested_ms += clock_wall_ms() - since_ms;
    int64_t age_ms = retry_recovered_age(queue_conf(queue), envelope->arrived_ms + (rested_ms > 0 ? rested_ms : 0));
    entry->born_ms = entry->held ? age_ms : clock_monotonic_ms() - age_ms;
}

static void enter_recovered(struct queue *queue, struct pair *pair, const struct record *record, const struct envelope *envelope,
                            const struct history *history)
{
    struct pending *pending = text_zalloc((envelope->nrecipients + 1) * sizeof *pending);
    size_t n = gather(envelope, history, pending);
    if (n) {
        struct entry *entry = enter(queue, pair, record, envelope, (uint32_t)n);
        entry->recovered = true;
        entry->delayed = history && history->delayed;
        entry->held = history && (history->held || history->released) ? history->held : envelope->flags & ENVELOPE_HELD;
        entry->suspended = entry->held && history && history->suspended;
        entry->freed = history && history->freed;
        set_age(queue, entry, envelope, history);
        make_units(queue, entry, pending, n);
        accounts_consider(queue, entry, envelope);
    }
    free(pending);
}

/* RECORD of PAIR has the id of a message that is queued from another place. The copy is finished here, in its own log, so that it is
 * not sent when the other one is done and gone. */
static void drop_copy(struct queue *queue, struct pair *pair, const struct record *record, const struct entry *entry)
{
    char id[UID_TEXT_SIZE];
    uid_print(record->id, id);
    log_say(LOG_ERROR, "error",
            "segment %016llx, at %llu: message %s is in segment %016llx too and sent from there; this copy is not",
            (unsigned long long)pair->number, (unsigned long long)record->offset, id, (unsigned long long)entry->pair->number);
    struct outcome outcome = {
        .kind = OUTCOME_REMOVED,
        .record_offset = record->offset,
        .id = record->id,
        .recipient = OUTCOME_ALL_RECIPIENTS,
        .time_ms = clock_wall_ms(),
        .mx = SPAN(""),
        .tls = SPAN(""),
        .reply = SPAN("a copy of a message in another segment"),
    };
    pair_record(queue, pair, &outcome);
}

void arrive_recovered(struct queue *queue, struct pair *pair, const struct record *record, const struct history *history)
{
    struct envelope envelope;
    know(pair, record);
    if (history && history->final)
        return;
    const struct entry *entry = entry_find(queue, record->id);
    if (entry && entry->pair != pair)
        drop_copy(queue, pair, record, entry);
    if (entry)
        return;
    envelope_init(&envelope);
    enum record_verdict verdict = envelopes_read(queue, pair, record->offset, &envelope, NULL);
    if (verdict == RECORD_OK)
        enter_recovered(queue, pair, record, &envelope, history);
    else
        judge(pair, record->offset, verdict);
    envelope_fini(&envelope);
}

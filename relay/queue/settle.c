/* The order is always the same: the outcome is noted for the pair's log first, then it is logged for people, then memory changes. A
 * bounce is noted only when its report is durable (notify.h): until then the recipient counts as not finished, and a crash costs another
 * attempt, not a report. */
#include "settle.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "accounts.h"
#include "envelopes.h"
#include "notify.h"
#include "pair.h"
#include "retry.h"

#include <stdlib.h>

/* One event of one recipient. */
struct event {
    struct entry *entry;
    enum outcome_kind kind;
    uint32_t recipient;
    unsigned attempt;
    const struct cause *cause;
    int64_t next_ms; /* wall clock, of a deferral */
};

static uint32_t note(struct queue *queue, const struct event *event)
{
    struct outcome outcome = {
        .kind = event->kind,
        .record_offset = event->entry->offset,
        .id = event->entry->id,
        .recipient = event->recipient,
        .attempt = event->attempt,
        .time_ms = event->cause->time_ms,
        .next_ms = event->next_ms,
        .mx = event->cause->mx,
        .tls = event->cause->tls,
        .reply = event->cause->reply,
    };
    return pair_record(queue, event->entry->pair, &outcome);
}

static void log_event(struct queue *queue, const struct event *event)
{
    struct log_entry line;
    char text[CLOCK_TEXT_SIZE];
    const struct envelope *envelope = envelopes_get(queue, event->entry, NULL);
    int64_t age_ms = retry_age(event->entry);
    log_begin(&line, LOG_INFO, outcome_name(event->kind));
    log_uid(&line, "id", event->entry->id);
    log_string(&line, "to",
               envelope && event->recipient < envelope->nrecipients ? envelope->recipients[event->recipient].address : "?");
    log_text(&line, "site", event->cause->site);
    log_text(&line, "mx", event->cause->mx);
    log_text(&line, "tls", event->cause->tls);
    log_number(&line, "attempt", event->attempt);
    text_format(text, sizeof text, "%lld.%03u", (long long)(age_ms / 1000), (unsigned)(age_ms % 1000));
    log_string(&line, "delay", text);
    if (event->next_ms) {
        clock_rfc3339(event->next_ms, text);
        log_string(&line, "next", text);
    }
    if (event->cause->enhanced[0])
        log_string(&line, "status", event->cause->enhanced);
    log_text(&line, "reply", event->cause->reply);
    log_end(&line);
}

void settle_delivered(struct queue *queue, struct unit *unit, uint32_t index, const struct cause *cause)
{
    struct event event = { unit->entry, OUTCOME_DELIVERED, unit->parts[index].recipient, unit->attempts, cause, 0 };
    note(queue, &event);
    log_event(queue, &event);
    rates_note(&queue->rates, RATE_DELIVERED, 1, clock_monotonic_ms());
}

/* A letter that the relay wrote to its postmaster comes back to nobody: the log is the last place where somebody may see that. */
static void miss_postmaster(struct queue *queue, const struct event *event)
{
    struct log_entry line;
    const char *postmaster = queue_conf(queue)->postmaster;
    const struct envelope *envelope = envelopes_get(queue, event->entry, NULL);
    if (!event->entry->null_sender || !envelope || event->recipient >= envelope->nrecipients ||
        !span_equal_nocase(span_of(envelope->recipients[event->recipient].address), span_of(postmaster)))
        return;
    log_begin(&line, LOG_ERROR, "error");
    log_uid(&line, "id", event->entry->id);
    log_string(&line, "to", postmaster);
    log_string(
        &line, "text",
        "nobody gets this letter to the postmaster; set postmaster in the configuration to an address that somebody reads");
    log_end(&line);
}

void settle_bounced(struct queue *queue, struct entry *entry, uint32_t recipient, unsigned attempt, const struct cause *cause)
{
    struct event event = { entry, OUTCOME_BOUNCED, recipient, attempt, cause, 0 };
    rates_note(&queue->rates, RATE_BOUNCED, 1, clock_monotonic_ms());
    note(queue, &event);
    log_event(queue, &event);
    miss_postmaster(queue, &event);
}

void settle_event(struct queue *queue, struct entry *entry, enum outcome_kind kind, const char *why)
{
    struct log_entry line;
    struct cause cause = cause_make(SPAN(""), span_of(why));
    note(queue, &(struct event){ entry, kind, OUTCOME_ALL_RECIPIENTS, 0, &cause, 0 });
    if (kind == OUTCOME_DELAYED)
        return;
    log_begin(&line, LOG_INFO, outcome_name(kind));
    log_uid(&line, "id", entry->id);
    if (why)
        log_string(&line, "reason", why);
    log_end(&line);
}

/* The recipient at PART was put off. */
static void defer_part(struct queue *queue, struct unit *unit, struct part *part, const struct cause *cause, int64_t due_ms)
{
    struct event event = { unit->entry, OUTCOME_DEFERRED, part->recipient, unit->attempts, cause, retry_wall(due_ms) };
    part->said = note(queue, &event);
    rates_note(&queue->rates, RATE_DEFERRED, 1, clock_monotonic_ms());
    log_event(queue, &event);
}

/* What settle_unit finds out before it does anything. */
struct settlement {
    bool expired;
    int64_t due_ms;
    struct notice *bounce;
    struct notice *delay;
    struct notice *relayed;
    bool *gone;
    uint32_t done;
};

/* To the sender the reason is time (4.4.7, RFC 3463 3.5), whatever code came last; what the server said last is still told. */
static void expire_part(struct settlement *settlement, uint32_t recipient, const struct cause *cause)
{
    struct cause old = *cause;
    old.expired = true;
    text_copy(old.enhanced, sizeof old.enhanced, SPAN("4.4.7"));
    struct cause *kept = cause_keep(&old);
    notice_add(settlement->bounce, recipient, kept);
    cause_drop(&kept);
}

/* A person has removed the message meanwhile: nobody hears of it. */
static void note_removed(struct queue *queue, struct unit *unit, uint32_t recipient, const struct cause *cause)
{
    note(queue, &(struct event){ unit->entry, OUTCOME_REMOVED, recipient, unit->attempts, cause, 0 });
}

/* Settles one recipient. True when it leaves the unit. */
static bool settle_part(struct queue *queue, struct unit *unit, uint32_t index, const struct verdict *verdict,
                        struct settlement *settlement)
{
    uint32_t recipient = unit->parts[index].recipient;
    if (verdict->is == VERDICT_DELIVERED) {
        if (verdict->cause)
            notice_add(settlement->relayed, recipient, verdict->cause);
        settlement->done++;
    } else if (unit->entry->removing) {
        if (verdict->is == VERDICT_PERMANENT)
            accounts_bad(queue, unit->entry, recipient, verdict->cause, true);
        note_removed(queue, unit, recipient, verdict->cause);
        settlement->done++;
    } else if (verdict->is == VERDICT_PERMANENT) {
        accounts_bad(queue, unit->entry, recipient, verdict->cause, true);
        notice_add(settlement->bounce, recipient, verdict->cause);
    } else if (settlement->expired) {
        expire_part(settlement, recipient, verdict->cause);
    } else {
        if (unit->attempts <= 1 && verdict->cause->remote)
            accounts_bad(queue, unit->entry, recipient, verdict->cause, false); /* once a message, not once an attempt */
        defer_part(queue, unit, &unit->parts[index], verdict->cause, settlement->due_ms);
        if (settlement->delay)
            notice_add(settlement->delay, recipient, verdict->cause);
        return false;
    }
    return true;
}

static uint32_t count_of(const struct unit *unit, const struct verdict *verdicts, enum verdict_kind is)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < unit->count; i++)
        count += verdicts[i].is == is;
    return count;
}

/* What is left of UNIT waits for its next attempt, or there is no unit any more. */
static void put_off(struct queue *queue, struct unit *unit, int64_t due_ms)
{
    if (!unit->count)
        unit_free(queue, unit);
    else if (unit->entry->held)
        unit_hold(queue, unit);
    else
        unit_schedule(queue, unit, due_ms);
}

void settle_unit(struct queue *queue, struct unit *unit, const struct verdict *verdicts)
{
    const struct conf *conf = queue_conf(queue);
    struct entry *entry = unit->entry;
    uint32_t delivered = count_of(unit, verdicts, VERDICT_DELIVERED);
    bool temporary = count_of(unit, verdicts, VERDICT_TEMPORARY) && !entry->removing;
    struct settlement settlement = { .due_ms = temporary ? clock_monotonic_ms() + retry_delay(conf, unit->attempts) : 0 };
    settlement.expired = temporary && retry_expired(conf, entry);
    settlement.bounce = notice_new(entry, unit->attempts, REPORT_FAILED);
    settlement.relayed = notice_new(entry, unit->attempts, REPORT_RELAYED);
    settlement.delay =
        temporary && !settlement.expired && retry_late(conf, entry) ? notice_new(entry, unit->attempts, REPORT_DELAYED) : NULL;
    settlement.gone = text_zalloc(unit->count * sizeof *settlement.gone + 1);
    if (delivered)
        accounts_good(queue, entry, delivered);
    for (uint32_t i = 0; i < unit->count; i++)
        settlement.gone[i] = settle_part(queue, unit, i, &verdicts[i], &settlement);
    unit_shrink(queue, unit, settlement.gone);
    put_off(queue, unit, settlement.due_ms);
    free(settlement.gone);
    entry->notices++; /* so that it outlives what follows */
    notify_send(queue, settlement.bounce);
    notify_send(queue, settlement.relayed);
    if (settlement.delay)
        notify_send(queue, settlement.delay);
    entry->notices--;
    entry_settle(queue, entry, settlement.done);
}

static void settle_all(struct queue *queue, struct unit *unit, enum verdict_kind is, struct cause *cause)
{
    struct verdict *verdicts = text_zalloc(unit->count * sizeof *verdicts + 1);
    for (uint32_t i = 0; i < unit->count; i++)
        verdicts[i] = (struct verdict){ is, cause };
    settle_unit(queue, unit, verdicts);
    free(verdicts);
}

/* An attempt that ended before anything was sent. Beyond 65,535 the number stays: at the schedule's end it makes no difference. */
static void count_attempt(struct unit *unit)
{
    if (unit->attempts < UINT16_MAX)
        unit->attempts++;
}

void settle_defer(struct queue *queue, struct unit *unit, struct cause *cause)
{
    count_attempt(unit);
    settle_all(queue, unit, VERDICT_TEMPORARY, cause);
}

void settle_bounce(struct queue *queue, struct unit *unit, struct cause *cause)
{
    count_attempt(unit);
    settle_all(queue, unit, VERDICT_PERMANENT, cause);
}

bool settle_returned(struct queue *queue, struct unit *unit)
{
    struct entry *entry = unit->entry;
    struct cause nothing = cause_make(SPAN(""), SPAN(""));
    uint32_t count = unit->count;
    if (entry->held && !entry->removing)
        unit_hold(queue, unit);
    if (!entry->removing)
        return !entry->held;
    for (uint32_t i = 0; i < count; i++)
        note_removed(queue, unit, unit->parts[i].recipient, &nothing);
    unit_free(queue, unit);
    entry_settle(queue, entry, count);
    return false;
}

void settle_waiting(struct queue *queue, struct unit *unit, struct cause *cause, int64_t due_ms, bool tell)
{
    const struct conf *conf = queue_conf(queue);
    if (retry_expired(conf, unit->entry)) {
        struct cause old = *cause;
        old.expired = true;
        text_copy(old.enhanced, sizeof old.enhanced, SPAN("4.4.7"));
        struct cause *kept = cause_keep(&old);
        settle_all(queue, unit, VERDICT_PERMANENT, kept);
        cause_drop(&kept);
        return;
    }
    /* No attempt is counted: nothing was tried for this unit, and its own schedule is not to be used up by others' failures. */
    struct notice *delay = retry_late(conf, unit->entry) ? notice_new(unit->entry, unit->attempts, REPORT_DELAYED) : NULL;
    for (uint32_t i = 0; i < unit->count; i++) {
        if (tell)
            defer_part(queue, unit, &unit->parts[i], cause, due_ms);
        if (delay)
            notice_add(delay, unit->parts[i].recipient, cause);
    }
    if (delay)
        notify_send(queue, delay);
}

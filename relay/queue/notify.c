/* A report goes through the same writer as submitted mail (spool/writer.h), into a segment that the queue gives to itself, and enters the
 * queue as a message with the null sender. Only when it is durable are the recipients' bounces noted: a crash in between costs another
 * attempt at them, never a report. Where the report cannot be stored it is tried again; nothing is forgotten meanwhile, since the
 * recipients still count as not finished.
 *
 * A message to many gets few reports: while more of it is on its way, the recipients that failed are gathered for half of the message's age,
 * in bounds. So the reports of one message grow rarer, and what is over at once is told at once. Who was handed on is noted as delivered
 * already, and nothing would remember a report that waits. */
#include "notify.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../smtp/content.h"
#include "arrive.h"
#include "envelopes.h"
#include "fair.h"
#include "original.h"
#include "report.h"
#include "retry.h"
#include "settle.h"
#include "site.h"
#include "unit.h"

#include <stdlib.h>

#define AGAIN_MS       30000 /* after a report could not be stored */
#define GATHER_MIN_MS  1000
#define GATHER_MAX_MS  30000
#define GATHER_TICK_MS 500
#define GATHER_ITEMS   1000 /* recipients of a report that takes in more of them */
#define GATHER_LOOK    1000 /* reports that are looked at for one of the same message */

struct item {
    uint32_t recipient;
    unsigned attempt;
    struct cause *cause;
};

struct notice {
    struct list node;
    struct queue *queue;
    struct entry *entry;
    unsigned attempt;
    enum report_kind kind;
    uint32_t count;
    uint32_t capacity;
    struct item *items;
    struct uid report;
    int64_t due_ms; /* of one that is gathered (monotonic) */
};

/* Who hears of what: those who asked for it, and (usual) those who did not say what they want (RFC 3461 4.1). */
static const struct {
    const char *name; /* in the log */
    unsigned notify;
    bool usual;
} kinds[] = {
    [REPORT_FAILED] = { "bounced", COMMAND_NOTIFY_FAILURE, true },
    [REPORT_DELAYED] = { "delayed", COMMAND_NOTIFY_DELAY, true },
    [REPORT_RELAYED] = { "relayed", COMMAND_NOTIFY_SUCCESS, false },
};

struct notify {
    struct list gathering;
    struct list waiting;
    struct list running;
    unsigned nrunning;
    struct timer again;
    struct timer gathered;
};

struct notify *notify_new(void)
{
    struct notify *notify = text_zalloc(sizeof *notify);
    list_init(&notify->gathering);
    list_init(&notify->waiting);
    list_init(&notify->running);
    return notify;
}

static void notice_free(struct notice *notice)
{
    for (uint32_t i = 0; i < notice->count; i++)
        cause_drop(&notice->items[i].cause);
    free(notice->items);
    free(notice);
}

static void free_all(struct list *notices)
{
    LIST_EACH(node, notices) {
        notice_free(LIST_ENTRY(node, struct notice, node));
    }
}

void notify_free(struct notify **notify)
{
    if (!*notify)
        return;
    timer_fini(&(*notify)->again);
    timer_fini(&(*notify)->gathered);
    free_all(&(*notify)->gathering);
    free_all(&(*notify)->waiting);
    free_all(&(*notify)->running);
    free(*notify);
    *notify = NULL;
}

unsigned notify_running(const struct queue *queue)
{
    return queue->notify->nrunning;
}

struct notice *notice_new(struct entry *entry, unsigned attempt, enum report_kind kind)
{
    struct notice *notice = text_zalloc(sizeof *notice);
    list_init(&notice->node);
    notice->entry = entry;
    notice->attempt = attempt;
    notice->kind = kind;
    if (kind == REPORT_DELAYED)
        entry->delayed = true; /* once a message */
    return notice;
}

static void add(struct notice *notice, struct item item)
{
    if (notice->count == notice->capacity) {
        notice->capacity = notice->capacity ? notice->capacity * 2 : 4;
        notice->items = text_realloc(notice->items, notice->capacity * sizeof *notice->items);
    }
    notice->items[notice->count++] = item;
}

void notice_add(struct notice *notice, uint32_t recipient, struct cause *cause)
{
    add(notice, (struct item){ recipient, notice->attempt, cause_share(cause) });
}

/* Does the sender want to hear of RECIPIENT (RFC 3461 4.1)? */
static bool is_wanted(const struct notice *notice, const struct envelope *envelope, uint32_t recipient)
{
    if (!envelope) /* it cannot be read now: asked again when the report is written */
        return true;
    if (!envelope->sender[0] || recipient >= envelope->nrecipients)
        return false;
    unsigned notify = envelope->recipients[recipient].notify;
    return notify ? notify & kinds[notice->kind].notify : kinds[notice->kind].usual;
}

/* Settles those nobody wants to hear of; the others stay in NOTICE. Returns how many were settled. */
static uint32_t settle_silent(struct queue *queue, struct notice *notice)
{
    uint32_t kept = 0, settled = 0;
    for (uint32_t i = 0; i < notice->count; i++) {
        struct item item = notice->items[i];
        if (is_wanted(notice, envelopes_get(queue, notice->entry, NULL), item.recipient)) {
            notice->items[kept++] = item;
            continue;
        }
        if (notice->kind == REPORT_FAILED) {
            settle_bounced(queue, notice->entry, item.recipient, item.attempt, item.cause);
            settled++;
        }
        cause_drop(&item.cause);
    }
    notice->count = kept;
    return settled;
}

static void start_waiting(struct queue *queue);

/* May UNIT fail soon? */
static bool is_on_its_way(const struct unit *unit)
{
    bool waits = unit->state == UNIT_SCHEDULED || unit->state == UNIT_HELD;
    return !waits && !(unit->state == UNIT_READY && site_rests(unit->flow->site));
}

static bool is_under_way(const struct entry *entry)
{
    for (const struct unit *unit = entry->units; unit; unit = unit->next)
        if (is_on_its_way(unit))
            return true;
    return false;
}

/* The notice of ENTRY that is gathered and has room for COUNT more recipients, or NULL. */
static struct notice *gathered_of(const struct queue *queue, const struct entry *entry, uint32_t count)
{
    const struct list *all = &queue->notify->gathering;
    unsigned looked = 0;
    for (struct list *node = all->previous; node != all && looked < GATHER_LOOK; node = node->previous, looked++) {
        struct notice *notice = LIST_ENTRY(node, struct notice, node);
        if (notice->entry == entry && notice->count + count <= GATHER_ITEMS)
            return notice;
    }
    return NULL;
}

/* NOTICE is gathered no more. */
static void hand_on(struct queue *queue, struct notice *notice)
{
    notice->entry->gathering--;
    list_remove(&notice->node);
    list_append(&queue->notify->waiting, &notice->node);
}

/* Hands on what was gathered long enough, or of messages of which nothing is under way. */
static void end_gathering(void *context)
{
    struct queue *queue = context;
    int64_t now_ms = clock_monotonic_ms();
    LIST_EACH(node, &queue->notify->gathering) {
        struct notice *notice = LIST_ENTRY(node, struct notice, node);
        if (now_ms >= notice->due_ms || !is_under_way(notice->entry))
            hand_on(queue, notice);
    }
    if (!list_empty(&queue->notify->gathering))
        timer_set(&queue->notify->gathered, queue->loop, GATHER_TICK_MS, end_gathering, queue);
    start_waiting(queue);
}

/* NOTICE waits for more of its kind. */
static void gather_more(struct queue *queue, struct notice *notice)
{
    int64_t wait_ms = retry_age(notice->entry) / 2;
    wait_ms = wait_ms < GATHER_MIN_MS ? GATHER_MIN_MS : wait_ms > GATHER_MAX_MS ? GATHER_MAX_MS : wait_ms;
    notice->due_ms = clock_monotonic_ms() + wait_ms;
    if (list_empty(&queue->notify->gathering))
        timer_set(&queue->notify->gathered, queue->loop, GATHER_TICK_MS, end_gathering, queue);
    list_append(&queue->notify->gathering, &notice->node);
    notice->entry->gathering++;
}

/* NOTICE, which tells of somebody, is gathered with others of its message or goes its way. */
static void enter(struct queue *queue, struct notice *notice)
{
    bool is_gathered = notice->kind == REPORT_FAILED;
    struct notice *other = is_gathered && notice->entry->gathering ? gathered_of(queue, notice->entry, notice->count) : NULL;
    if (other) {
        for (uint32_t i = 0; i < notice->count; i++)
            add(other, notice->items[i]);
        notice->count = 0;
        notice_free(notice);
        return;
    }
    notice->queue = queue;
    notice->entry->notices++;
    if (is_gathered && notice->entry->gathering < UINT8_MAX && is_under_way(notice->entry))
        gather_more(queue, notice);
    else
        list_append(&queue->notify->waiting, &notice->node);
}

/* Nothing of ENTRY is under way any more: what was gathered of it goes its way; what is not found among so many, with the next tick. */
static void end_gathering_of(struct queue *queue, const struct entry *entry)
{
    for (struct notice *notice; (notice = gathered_of(queue, entry, 0));)
        hand_on(queue, notice);
}

void notify_send(struct queue *queue, struct notice *notice)
{
    struct entry *entry = notice->entry;
    uint32_t settled = settle_silent(queue, notice);
    entry->notices++; /* so that it outlives what follows */
    if (notice->count)
        enter(queue, notice);
    else
        notice_free(notice);
    if (entry->gathering && !is_under_way(entry))
        end_gathering_of(queue, entry);
    start_waiting(queue);
    entry->notices--;
    entry_settle(queue, entry, settled);
}

static void start_again(void *context)
{
    start_waiting(context);
}

static void log_report(const struct notice *notice, size_t size)
{
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "accepted");
    log_uid(&entry, "id", notice->report);
    log_string(&entry, "account", "");
    log_string(&entry, "client", "");
    log_string(&entry, "from", "");
    log_number(&entry, "nrcpt", 1);
    log_number(&entry, "size", (int64_t)size);
    log_string(&entry, "report", kinds[notice->kind].name);
    log_uid(&entry, "about", notice->entry->id);
    log_end(&entry);
}

/* The report is durable: what it tells is settled. */
static void finish(struct queue *queue, struct notice *notice)
{
    struct entry *entry = notice->entry;
    uint32_t settled = notice->kind == REPORT_FAILED ? notice->count : 0;
    for (uint32_t i = 0; i < settled; i++)
        settle_bounced(queue, entry, notice->items[i].recipient, notice->items[i].attempt, notice->items[i].cause);
    if (notice->kind == REPORT_DELAYED)
        settle_event(queue, entry, OUTCOME_DELAYED, NULL);
    notice_free(notice);
    entry->notices--;
    entry_settle(queue, entry, settled);
}

static void stored(void *context, enum writer_verdict verdict, const struct writer_place *place)
{
    struct notice *notice = context;
    struct queue *queue = notice->queue;
    list_remove(&notice->node);
    queue->notify->nrunning--;
    if (verdict != WRITER_STORED) {
        log_say(LOG_ERROR, "error", "a report to a sender could not be stored (%s); it is tried again in %d seconds",
                verdict == WRITER_FULL ? "no space" : "the disk failed", AGAIN_MS / 1000);
        list_append(&queue->notify->waiting, &notice->node);
        timer_set(&queue->notify->again, queue->loop, AGAIN_MS, start_again, queue);
        return;
    }
    log_report(notice, place->record.content_size);
    arrive_stored(queue, place->segment, place->record.offset, place->record.id);
    finish(queue, notice);
    start_waiting(queue);
}

/* What report.h needs of NOTICE. False where the original's envelope cannot be read now. */
static bool gather(struct queue *queue, const struct notice *notice, struct report *report, struct report_recipient *recipients)
{
    const struct envelope *envelope = envelopes_get(queue, notice->entry, NULL);
    if (!envelope)
        return false;
    const struct conf *conf = queue_conf(queue);
    *report = (struct report){
        .hostname = conf->hostname,
        .postmaster = conf->postmaster,
        .id = notice->report,
        .about = envelope,
        .kind = notice->kind,
        .now_ms = clock_wall_ms(),
        .until_ms = retry_until(conf, notice->entry),
        .recipients = recipients,
        .nrecipients = notice->count,
    };
    for (uint32_t i = 0; i < notice->count; i++) {
        uint32_t recipient = notice->items[i].recipient;
        if (recipient >= envelope->nrecipients)
            return false;
        recipients[i] = (struct report_recipient){ &envelope->recipients[recipient], notice->items[i].cause };
    }
    return true;
}

/* Hands the finished REPORT (wire form) to the writer. */
static void store(struct queue *queue, struct notice *notice, const char *to, struct span wire, unsigned flags)
{
    struct envelope envelope;
    struct buffer bytes;
    envelope_init(&envelope);
    buffer_init(&bytes, ENVELOPE_STORED_MAX);
    envelope.id = notice->report;
    envelope.arrived_ms = clock_wall_ms();
    envelope.flags = flags | ENVELOPE_REPORT;
    envelope_add(&envelope, to, COMMAND_NOTIFY_NEVER, NULL);
    envelope_store(&envelope, &bytes);
    struct intake *intake = intake_new(queue->store->writer, notice->report, REPORT_SIZE_MAX);
    intake_add(intake, wire);
    list_append(&queue->notify->running, &notice->node);
    queue->notify->nrunning++;
    intake_commit(&intake, buffer_span(&bytes), SPAN(""), stored, notice);
    buffer_fini(&bytes);
    envelope_fini(&envelope);
}

/* Writes the report of NOTICE. False where that is not possible now. */
static bool start(struct queue *queue, struct notice *notice)
{
    struct report report;
    struct buffer original, plain, wire;
    struct report_recipient *recipients = text_zalloc(notice->count * sizeof *recipients);
    buffer_init(&original, REPORT_SIZE_MAX);
    buffer_init(&plain, REPORT_SIZE_MAX);
    buffer_init(&wire, REPORT_SIZE_MAX);
    if (uid_time_ms(notice->report) == 0)
        notice->report = uid_next();
    bool done = gather(queue, notice, &report, recipients);
    if (done) {
        report.whole = original_read(queue, notice->entry, report.about, notice->kind == REPORT_FAILED, &original);
        report.original = buffer_span(&original);
        unsigned flags = report_write(&report, &plain);
        done = content_stuff(buffer_span(&plain), &wire);
        if (!done) { /* a CR or LF by itself in the original: it is not sent on by this door either */
            report.original = SPAN("");
            report.whole = false;
            buffer_clear(&plain);
            flags = report_write(&report, &plain);
            done = content_stuff(buffer_span(&plain), &wire);
        }
        if (done)
            store(queue, notice, report.about->sender, buffer_span(&wire), flags);
    }
    buffer_fini(&original);
    buffer_fini(&plain);
    buffer_fini(&wire);
    free(recipients);
    return done;
}

/* A message that a person has removed is nothing to report of any more: its recipients are done. */
static void drop_removed(struct queue *queue, struct notice *notice)
{
    struct entry *entry = notice->entry;
    uint32_t settled = notice->kind == REPORT_FAILED ? notice->count : 0;
    notice_free(notice);
    entry->notices--;
    entry_settle(queue, entry, settled);
}

static void start_waiting(struct queue *queue)
{
    struct notify *notify = queue->notify;
    while (notify->nrunning < NOTIFY_RUNNING_MAX && !list_empty(&notify->waiting) && !queue->role->draining) {
        struct notice *notice = LIST_ENTRY(notify->waiting.next, struct notice, node);
        list_remove(&notice->node);
        if (notice->entry->removing)
            drop_removed(queue, notice);
        else if (!start(queue, notice)) {
            list_append(&notify->waiting, &notice->node);
            timer_set(&notify->again, queue->loop, AGAIN_MS, start_again, queue);
            return;
        }
    }
}

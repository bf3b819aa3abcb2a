/* What a delivery process says goes through one table. Whatever it says about a connection that is not its own, a recipient that was
 * not assigned, or one that was settled already, is ignored, and its texts go no further unless they are printable: it has read bytes
 * of strangers, and is believed no more than it must be. */
#include "deliverer.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "carrier.h"
#include "dialogues.h"
#include "domain.h"
#include "envelopes.h"
#include "pair.h"
#include "settle.h"
#include "site.h"

#include <stdlib.h>

#define REFUSING_MS 5000 /* a process that takes no connection is not asked again for so long */

struct deliverers {
    struct deliverer *by_slot[ROLE_SLOTS];
};

static const char lost_role[] = "this relay's delivery process ended during the attempt";

struct deliverers *deliverers_new(void)
{
    return text_zalloc(sizeof(struct deliverers));
}

void deliverers_free(struct deliverers **deliverers)
{
    if (!*deliverers)
        return;
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
        struct deliverer *deliverer = (*deliverers)->by_slot[slot];
        if (deliverer)
            ipc_free(&deliverer->ipc);
        free(deliverer);
    }
    free(*deliverers);
    *deliverers = NULL;
}

void deliverers_forget(struct queue *queue, uint64_t number)
{
    for (unsigned slot = 0; queue->deliverers && slot < ROLE_SLOTS; slot++) {
        struct deliverer *deliverer = queue->deliverers->by_slot[slot];
        if (deliverer)
            lent_forget(&deliverer->lent, deliverer->ipc, number);
    }
}

struct deliverer *deliverer_choose(const struct queue *queue)
{
    struct deliverer *best = NULL;
    int64_t now_ms = clock_monotonic_ms();
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
        struct deliverer *deliverer = queue->deliverers->by_slot[slot];
        if (deliverer && deliverer->refusing_ms <= now_ms && (!best || deliverer->count < best->count))
            best = deliverer;
    }
    return best;
}

static struct carrier *find(const struct deliverer *deliverer, uint64_t number)
{
    struct carrier *carrier = carrier_find(deliverer->queue, number);
    return carrier && carrier->deliverer == deliverer ? carrier : NULL;
}

static void take_next(struct deliverer *deliverer, const void *body)
{
    const struct delivery_next *next = body;
    struct queue *queue = deliverer->queue;
    struct carrier *carrier = find(deliverer, next->connection);
    if (!carrier || carrier->phase == CLOSING || carrier->phase == WAITING)
        return;
    struct site *site = carrier->site;
    if (carrier->phase == SENDING) {
        struct cause cause = cause_make(SPAN("4.3.0"), SPAN("this relay's delivery process told no outcome"));
        cause.site = span_of(site->name);
        if (carrier_finish(queue, carrier, &cause) == CARRIER_TOLD_NOTHING)
            site_answered(queue, site, carrier->begun_ms);
    }
    carrier_feed(queue, carrier);
    if (!list_empty(&site->idle) || site->ready)
        carrier_wake(queue, site);
}

/* A text of a delivery process: printable by contract, and nothing else gets further. */
static struct span printable(const char *array, size_t size)
{
    struct span text = span_of_array(array, size);
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
            return SPAN("(unprintable)");
    return text_is_utf8(text) ? text : SPAN("(unprintable)");
}

/* Does TEXT begin with a reply code, so that it is the remote's own words? */
static bool is_reply(struct span text)
{
    uint64_t code;
    return text.n > 3 && text_number(span_head(text, 3), 200, 599, &code) && text.p[3] == ' ';
}

/* Where RECIPIENT is in the unit of CARRIER, or its count. */
static uint32_t index_of(const struct carrier *carrier, uint32_t recipient)
{
    uint32_t i = 0;
    while (i < carrier->unit->count && carrier->unit->parts[i].recipient != recipient)
        i++;
    return i;
}

static enum verdict_kind verdict_of(const struct delivery_outcome *outcome)
{
    static const enum verdict_kind verdicts[] = {
        [DELIVERY_DONE] = VERDICT_DELIVERED,
        [DELIVERY_TEMPORARY] = VERDICT_TEMPORARY,
        [DELIVERY_PERMANENT] = VERDICT_PERMANENT,
        [DELIVERY_DAMAGED] = VERDICT_TEMPORARY,
    };
    return outcome->verdict <= DELIVERY_DAMAGED ? verdicts[outcome->verdict] : VERDICT_TEMPORARY;
}

/* What OUTCOME says, with its texts still in the message. */
static struct cause outcome_cause(const struct carrier *carrier, const struct delivery_outcome *outcome,
                                  enum verdict_kind verdict)
{
    static const char *const otherwise[] = {
        [VERDICT_DELIVERED] = "2.0.0", [VERDICT_TEMPORARY] = "4.0.0", [VERDICT_PERMANENT] = "5.0.0"
    };
    struct span enhanced = printable(outcome->enhanced, sizeof outcome->enhanced);
    struct span reply = printable(outcome->reply, sizeof outcome->reply);
    struct cause cause = cause_make(enhanced.n ? enhanced : span_of(otherwise[verdict]), reply);
    cause.remote = outcome->remote;
    cause.site = span_of(carrier->site->name);
    cause.mx = printable(outcome->mx, sizeof outcome->mx);
    cause.tls = printable(outcome->tls, sizeof outcome->tls);
    return cause;
}

/* Is the sender to hear that the recipient at INDEX was delivered to? */
static bool wants_success(struct queue *queue, const struct unit *unit, uint32_t index)
{
    const struct envelope *envelope = envelopes_get(queue, unit->entry, NULL);
    uint32_t recipient = unit->parts[index].recipient;
    return envelope && recipient < envelope->nrecipients && envelope->recipients[recipient].notify & COMMAND_NOTIFY_SUCCESS;
}

static void take_outcome(struct deliverer *deliverer, const void *body)
{
    const struct delivery_outcome *outcome = body;
    struct carrier *carrier = find(deliverer, outcome->connection);
    if (!carrier || carrier->phase != SENDING || uid_compare(carrier->unit->entry->id, outcome->id) != 0)
        return;
    uint32_t index = index_of(carrier, outcome->recipient);
    if (index == carrier->unit->count || carrier->verdicts[index].is != VERDICT_NONE)
        return;
    struct verdict *verdict = &carrier->verdicts[index];
    verdict->is = verdict_of(outcome);
    if (outcome->verdict == DELIVERY_DAMAGED)
        carrier->unit->entry->pair->damaged = true;
    struct cause cause = outcome_cause(carrier, outcome, verdict->is);
    if (verdict->is == VERDICT_DELIVERED)
        settle_delivered(deliverer->queue, carrier->unit, index, &cause);
    if (verdict->is != VERDICT_DELIVERED || (!outcome->dsn && wants_success(deliverer->queue, carrier->unit, index)))
        verdict->cause = cause_keep(&cause);
}

/* Kept for `postern message` only where it is what it should be: printable lines. */
static void take_dialogue(struct deliverer *deliverer, const void *body)
{
    const struct delivery_dialogue *dialogue = body;
    const struct carrier *carrier = find(deliverer, dialogue->connection);
    if (!carrier || carrier->phase != SENDING || uid_compare(carrier->unit->entry->id, dialogue->id) != 0 ||
        dialogue->size > sizeof dialogue->text)
        return;
    struct span text = span_make(dialogue->text, dialogue->size);
    for (size_t i = 0; i < text.n; i++)
        if (((unsigned char)text.p[i] < ' ' && text.p[i] != '\n') || text.p[i] == 0x7f)
            return;
    if (text_is_utf8(text))
        dialogues_keep(deliverer->queue->dialogues, dialogue->id, text);
}

/* What an end before the first NEXT says of the site. */
static void judge_opening(struct carrier *carrier, unsigned end, const struct cause *cause, bool wants_domain)
{
    struct queue *queue = carrier->deliverer->queue;
    if (wants_domain && domains_separate(queue, carrier->site))
        return; /* on, by other sites */
    if (end == DELIVERY_ENDED)
        carrier->deliverer->refusing_ms = clock_monotonic_ms() + REFUSING_MS;
    else if (end == DELIVERY_IMPOSSIBLE)
        site_impossible(queue, carrier->site, cause);
    else
        site_unreachable(queue, carrier->site, cause, carrier->begun_ms);
}

static struct cause closed_cause(const struct site *site, const struct delivery_closed *closed)
{
    struct span enhanced = printable(closed->enhanced, sizeof closed->enhanced);
    struct cause cause = cause_make(enhanced.n ? enhanced : SPAN("4.4.2"), printable(closed->reply, sizeof closed->reply));
    cause.remote = is_reply(cause.reply);
    cause.site = span_of(site->name);
    cause.mx = printable(closed->mx, sizeof closed->mx);
    return cause;
}

static void take_closed(struct deliverer *deliverer, const void *body)
{
    const struct delivery_closed *closed = body;
    struct queue *queue = deliverer->queue;
    struct carrier *carrier = find(deliverer, closed->connection);
    if (!carrier)
        return;
    struct site *site = carrier->site;
    struct cause cause = closed_cause(site, closed);
    if (carrier->phase == OPENING) {
        judge_opening(carrier, closed->end, &cause, closed->wants_domain);
    } else if (carrier->phase == SENDING && closed->end == DELIVERY_ENDED && carrier_is_untouched(carrier)) {
        carrier_give_back(queue, carrier);
    } else if (carrier->phase == SENDING) {
        if (carrier_finish(queue, carrier, &cause) != CARRIER_REFUSED && closed->end != DELIVERY_ENDED)
            site_lost(queue, site, &cause, carrier->begun_ms);
    }
    carrier_end(queue, carrier);
    sites_feed(queue);
    carrier_wake(queue, site); /* what it gave back may be for another one, which waits */
    site_consider(queue, site);
}

static void take_lacks(struct deliverer *deliverer, const void *body)
{
    const struct delivery_lacks *lacks = body;
    lent_lacks(&deliverer->lent, deliverer->ipc, lacks->place);
}

static void (*const handlers[QUEUE_DELIVERY_COUNT])(struct deliverer *deliverer, const void *body) = {
    [DELIVERY_LACKS] = take_lacks,       [DELIVERY_NEXT] = take_next,     [DELIVERY_OUTCOME] = take_outcome,
    [DELIVERY_DIALOGUE] = take_dialogue, [DELIVERY_CLOSED] = take_closed,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    (void)fd;
    if (handlers[type])
        handlers[type](context, body);
}

/* The process has gone: what it had in hand is put off, its connections are opened elsewhere. */
static void gone(void *context)
{
    struct deliverer *deliverer = context;
    struct queue *queue = deliverer->queue;
    queue->deliverers->by_slot[deliverer->slot] = NULL;
    LIST_EACH(node, &deliverer->carriers) {
        struct carrier *carrier = LIST_ENTRY(node, struct carrier, in_deliverer);
        struct site *site = carrier->site;
        struct cause cause = cause_make(SPAN("4.3.0"), span_of(lost_role));
        cause.site = span_of(site->name);
        if (carrier->phase == SENDING)
            carrier_finish(queue, carrier, &cause);
        carrier_end(queue, carrier);
        site_consider(queue, site);
    }
    ipc_free(&deliverer->ipc);
    free(deliverer);
    sites_fill(queue);
}

void deliverers_peer(struct queue *queue, unsigned slot, int fd)
{
    if (queue->deliverers->by_slot[slot])
        gone(queue->deliverers->by_slot[slot]);
    struct deliverer *deliverer = text_zalloc(sizeof *deliverer);
    deliverer->queue = queue;
    deliverer->slot = slot;
    list_init(&deliverer->carriers);
    deliverer->ipc = ipc_new(queue->loop, fd, &queue_delivery_channel, IPC_FRONT, received, gone, deliverer);
    queue->deliverers->by_slot[slot] = deliverer;
    sites_fill(queue);
}

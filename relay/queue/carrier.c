/* A carrier is opening until its first NEXT, then it waits or sends (and is between the two for a moment), and in the end it is
 * closing until CLOSED comes. The one setter of its phase keeps the sums that its site decides by: how many connections there are, how
 * many of them are not ready yet, how many are at work.
 *
 * While it sends, `verdicts` takes what delivery tells of each recipient. A delivery is noted at once; all else waits for the end of
 * the transaction, so that recipients that failed together are put off or reported together. */
#include "carrier.h"

#include "../base/clock.h"
#include "../base/map.h"
#include "../base/text.h"
#include "deliverer.h"
#include "fair.h"
#include "pair.h"
#include "settle.h"
#include "site.h"

#include <stdlib.h>

#define TROUBLE_MS 30000 /* a message that cannot be read, or whose log cannot be written, is tried again after */
#define CROWD_MIN  200   /* connections begun at once, or … */
#define CROWD_MS   2     /* … over time one in so many ms, are a crowd */
#define CROWD_MAX  1000  /* of them are remembered */

struct carriers {
    struct map *by_number;
    struct list waiting; /* those that wait for work, the one that does so longest first */
    uint64_t last_number;
    unsigned in_phase[PHASES];
    int64_t crowd_ms; /* when the last of those begun lately is forgotten (monotonic) */
};

struct carriers *carriers_new(void)
{
    struct carriers *carriers = text_zalloc(sizeof *carriers);
    carriers->by_number = map_new(0);
    list_init(&carriers->waiting);
    return carriers;
}

static void drop_verdicts(struct carrier *carrier)
{
    for (uint32_t i = 0; carrier->unit && i < carrier->unit->count; i++)
        cause_drop(&carrier->verdicts[i].cause);
    free(carrier->verdicts);
    carrier->verdicts = NULL;
    carrier->unit = NULL;
}

static void free_carrier(void *value)
{
    struct carrier *carrier = value;
    drop_verdicts(carrier);
    free(carrier);
}

void carriers_free(struct carriers **carriers)
{
    if (!*carriers)
        return;
    map_free(&(*carriers)->by_number, free_carrier);
    free(*carriers);
    *carriers = NULL;
}

size_t carriers_count(const struct queue *queue)
{
    return map_count(queue->carriers->by_number);
}

unsigned carriers_waiting(const struct queue *queue)
{
    return queue->carriers->in_phase[WAITING];
}

unsigned carriers_busy(const struct queue *queue)
{
    return queue->carriers->in_phase[SENDING];
}

bool carriers_crowd(const struct queue *queue)
{
    return queue->carriers->crowd_ms - clock_monotonic_ms() >= CROWD_MIN * CROWD_MS;
}

/* One more was begun. Each is remembered for CROWD_MS behind the others. */
static void remember(struct carriers *carriers, int64_t now_ms)
{
    int64_t from_ms = carriers->crowd_ms > now_ms ? carriers->crowd_ms : now_ms, latest_ms = now_ms + CROWD_MAX * CROWD_MS;
    carriers->crowd_ms = from_ms + CROWD_MS < latest_ms ? from_ms + CROWD_MS : latest_ms;
}

static struct span number_key(const uint64_t *number)
{
    return span_make((const char *)number, sizeof *number);
}

struct carrier *carrier_find(const struct queue *queue, uint64_t number)
{
    return map_get(queue->carriers->by_number, number_key(&number));
}

/* The only writer of the phase. */
static void enter(struct queue *queue, struct carrier *carrier, enum phase phase)
{
    struct site *site = carrier->site;
    site->open -= carrier->phase != CLOSING;
    site->opening -= carrier->phase == OPENING;
    site->busy -= carrier->phase == SENDING;
    queue->carriers->in_phase[carrier->phase]--;
    list_remove(&carrier->in_idle);
    list_remove(&carrier->in_waiting);
    carrier->phase = phase;
    site->open += phase != CLOSING;
    site->opening += phase == OPENING;
    site->busy += phase == SENDING;
    queue->carriers->in_phase[phase]++;
    if (phase == WAITING) {
        list_prepend(&site->idle, &carrier->in_idle); /* the last used first, so that those that are not needed end */
        list_append(&queue->carriers->waiting, &carrier->in_waiting);
    }
}

static bool send_open(struct deliverer *deliverer, const struct site *site, uint64_t number)
{
    struct delivery_open open = { .connection = number, .is_mx = site->is_mx, .sts = site->sts, .count = (uint8_t)site->nhosts };
    text_copy(open.site, sizeof open.site, span_of(site->name));
    text_copy(open.route, sizeof open.route, span_of(site->route));
    text_copy(open.source, sizeof open.source, span_of(site->source));
    text_copy(open.domain, sizeof open.domain, span_of(site->domain));
    text_copy(open.alias_of, sizeof open.alias_of, span_of(site->alias_of));
    for (unsigned i = 0; i < site->nhosts; i++) {
        open.hosts[i].preference = site->hosts[i].preference;
        open.hosts[i].port = site->hosts[i].port;
        text_copy(open.hosts[i].name, sizeof open.hosts[i].name, span_of(site->hosts[i].name));
    }
    size_t size = offsetof(struct delivery_open, hosts) + site->nhosts * sizeof *open.hosts;
    return ipc_send_soon(deliverer->ipc, DELIVERY_OPEN, &open, size);
}

bool carrier_open(struct queue *queue, struct site *site)
{
    struct carriers *carriers = queue->carriers;
    struct deliverer *deliverer = deliverer_choose(queue);
    if (!deliverer || !send_open(deliverer, site, carriers->last_number + 1))
        return false;
    struct carrier *carrier = text_zalloc(sizeof *carrier);
    *carrier = (struct carrier){ .number = ++carriers->last_number, .site = site, .deliverer = deliverer };
    carrier->begun_ms = clock_monotonic_ms();
    list_init(&carrier->in_idle);
    list_init(&carrier->in_waiting);
    list_append(&deliverer->carriers, &carrier->in_deliverer);
    deliverer->count++;
    site->connections++;
    site->open++;
    if (!site->opening++)
        site->opening_ms = carrier->begun_ms;
    carriers->in_phase[OPENING]++;
    remember(carriers, carrier->begun_ms);
    map_put(carriers->by_number, number_key(&carrier->number), carrier, NULL);
    return true;
}

/* Takes CONNECTION, which has no transaction any more, out and frees it. */
void carrier_end(struct queue *queue, struct carrier *carrier)
{
    struct site *site = carrier->site;
    enter(queue, carrier, CLOSING);
    queue->carriers->in_phase[CLOSING]--;
    map_remove(queue->carriers->by_number, number_key(&carrier->number));
    list_remove(&carrier->in_deliverer);
    carrier->deliverer->count--;
    site->connections--;
    free(carrier);
}

static bool send_assign(struct carrier *carrier, const struct unit *unit, int fd)
{
    struct deliverer *deliverer = carrier->deliverer;
    int place = lent_place(&deliverer->lent, deliverer->ipc, unit->entry->pair->number, fd);
    struct delivery_assign assign = {
        .connection = carrier->number,
        .id = unit->entry->id,
        .segment = (uint32_t)place,
        .offset = unit->entry->offset,
        .attempt = unit->attempts + 1u,
        .count = unit->count,
    };
    for (uint32_t i = 0; i < unit->count; i++)
        assign.recipients[i] = unit->parts[i].recipient;
    size_t size = offsetof(struct delivery_assign, recipients) + unit->count * sizeof *assign.recipients;
    return place >= 0 && ipc_send_soon(deliverer->ipc, DELIVERY_ASSIGN, &assign, size);
}

enum assigned { ASSIGNED, UNIT_TROUBLE, PEER_TROUBLE };

/* Gives UNIT to CONNECTION. A unit in trouble (its segment cannot be read, or its log not be written) is put off and no attempt counted. */
static enum assigned assign(struct queue *queue, struct carrier *carrier, struct unit *unit)
{
    struct pair *pair = unit->entry->pair;
    int fd = pair_log_ready(queue->store, pair) ? pair_segment(queue->store, pair) : -1;
    if (fd < 0) {
        unit_schedule(queue, unit, clock_monotonic_ms() + TROUBLE_MS);
        return UNIT_TROUBLE;
    }
    if (!send_assign(carrier, unit, fd))
        return PEER_TROUBLE;
    unit_send(queue, unit, carrier);
    site_sent(carrier->site);
    carrier->begun_ms = clock_monotonic_ms();
    carrier->messages++;
    if (unit->attempts < UINT16_MAX)
        unit->attempts++;
    carrier->unit = unit;
    carrier->verdicts = text_zalloc(unit->count * sizeof *carrier->verdicts);
    enter(queue, carrier, SENDING);
    return ASSIGNED;
}

static void close_politely(struct queue *queue, struct carrier *carrier)
{
    struct delivery_close message = { carrier->number };
    ipc_send_soon(carrier->deliverer->ipc, DELIVERY_CLOSE, &message, sizeof message);
    enter(queue, carrier, CLOSING);
}

/* CONNECTION, which is ready, gets the unit whose turn it is, or waits for one, or has carried enough. */
void carrier_feed(struct queue *queue, struct carrier *carrier)
{
    struct unit *unit;
    enum assigned assigned = UNIT_TROUBLE;
    bool used_up = carrier->messages >= carrier->site->messages;
    bool may = !used_up && site_may_send(queue, carrier->site);
    while (may && assigned == UNIT_TROUBLE && (unit = fair_next(carrier->site)))
        assigned = assign(queue, carrier, unit);
    if (assigned == PEER_TROUBLE)
        enter(queue, carrier, CLOSING); /* its process has gone, or hangs: the channel tells */
    else if (queue->role->draining || used_up)
        close_politely(queue, carrier);
    else if (assigned != ASSIGNED)
        enter(queue, carrier, WAITING);
}

void carrier_wake(struct queue *queue, struct site *site)
{
    while (site->ready && !list_empty(&site->idle) && site_may_send(queue, site)) {
        struct carrier *carrier = LIST_ENTRY(site->idle.next, struct carrier, in_idle);
        carrier_feed(queue, carrier);
    }
    site_fill(queue, site);
}

void carriers_close_idle(struct queue *queue)
{
    LIST_EACH(node, &queue->carriers->waiting)
        close_politely(queue, LIST_ENTRY(node, struct carrier, in_waiting));
}

void carriers_make_room(struct queue *queue, unsigned places)
{
    struct carriers *carriers = queue->carriers;
    while (carriers->in_phase[CLOSING] < places && !list_empty(&carriers->waiting))
        close_politely(queue, LIST_ENTRY(carriers->waiting.next, struct carrier, in_waiting));
}

/* What the replies to a transaction mean for its site: the first that means anything. */
static bool tell_site(struct queue *queue, struct carrier *carrier, const struct verdict *verdicts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (verdicts[i].is != VERDICT_DELIVERED && verdicts[i].cause &&
            site_refused(queue, carrier->site, verdicts[i].cause, carrier->begun_ms))
            return true;
    return false;
}

/* The transaction of CONNECTION is over; recipients without an outcome are put off because of CAUSE. */
enum carrier_end carrier_finish(struct queue *queue, struct carrier *carrier, const struct cause *cause)
{
    struct unit *unit = carrier->unit;
    struct verdict *verdicts = carrier->verdicts;
    uint32_t count = unit->count;
    bool delivered = false;
    for (uint32_t i = 0; i < count; i++) {
        delivered = delivered || verdicts[i].is == VERDICT_DELIVERED;
        if (verdicts[i].is == VERDICT_NONE)
            verdicts[i] = (struct verdict){ VERDICT_TEMPORARY, cause_keep(cause) };
    }
    carrier->unit = NULL;
    carrier->verdicts = NULL;
    enter(queue, carrier, BETWEEN);
    settle_unit(queue, unit, verdicts);
    if (delivered)
        site_succeeded(queue, carrier->site, carrier->begun_ms);
    bool refused = tell_site(queue, carrier, verdicts, count);
    for (uint32_t i = 0; i < count; i++)
        cause_drop(&verdicts[i].cause);
    free(verdicts);
    return refused ? CARRIER_REFUSED : delivered ? CARRIER_TOOK : CARRIER_TOLD_NOTHING;
}

/* Was nothing said of any recipient yet? */
bool carrier_is_untouched(const struct carrier *carrier)
{
    for (uint32_t i = 0; i < carrier->unit->count; i++)
        if (carrier->verdicts[i].is != VERDICT_NONE)
            return false;
    return true;
}

/* The connection ended in good order before it saw its assignment: the unit waits again, but where a person holds or has removed its
 * message, and no attempt is counted. */
void carrier_give_back(struct queue *queue, struct carrier *carrier)
{
    struct unit *unit = carrier->unit;
    drop_verdicts(carrier);
    unit->attempts--;
    enter(queue, carrier, BETWEEN);
    if (settle_returned(queue, unit))
        fair_add(queue, carrier->site, unit);
}

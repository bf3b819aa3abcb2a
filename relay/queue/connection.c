/* A connection is opening until its first NEXT, then it waits or sends (and is between the two for a moment), and in the end it is
 * closing until CLOSED comes. The one setter of its phase keeps the site's sums. Whatever a delivery process says about a connection that is not its own, a recipient that was not
 * assigned, or one that was settled already, is ignored. */
#include "connection.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/map.h"
#include "../base/text.h"
#include "fair.h"
#include "pair.h"
#include "settle.h"
#include "site.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFUSING_MS 5000  /* a delivery process that takes no connection is not asked again for so long */
#define TROUBLE_MS  30000 /* a message that cannot be read, or whose log cannot be written, is tried again after */

enum phase { OPENING, WAITING, SENDING, BETWEEN, CLOSING };

/* A delivery process. */
struct deliverer {
    struct queue *queue;
    struct ipc *ipc;
    unsigned slot;
    unsigned count;
    int64_t refusing_ms; /* until then (monotonic) */
    struct list connections;
};

struct connection {
    uint64_t number;
    enum phase phase;
    struct site *site;
    struct deliverer *deliverer;
    struct list in_deliverer;
    struct list in_idle;
    struct unit *unit;        /* SENDING */
    struct verdict *verdicts; /* SENDING: one a recipient of the unit */
};

struct connections {
    struct map *by_number;
    struct deliverer *by_slot[ROLE_SLOTS];
    uint64_t last_number;
    unsigned busy;
};

static const char lost_role[] = "this relay's delivery process ended during the attempt";

struct connections *connections_new(void)
{
    struct connections *connections = text_zalloc(sizeof *connections);
    connections->by_number = map_new(0);
    return connections;
}

static void drop_verdicts(struct connection *connection)
{
    for (uint32_t i = 0; connection->unit && i < connection->unit->count; i++)
        cause_drop(&connection->verdicts[i].cause);
    free(connection->verdicts);
    connection->verdicts = NULL;
    connection->unit = NULL;
}

static void free_connection(void *value)
{
    struct connection *connection = value;
    drop_verdicts(connection);
    free(connection);
}

void connections_free(struct connections **connections)
{
    if (!*connections)
        return;
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
        struct deliverer *deliverer = (*connections)->by_slot[slot];
        if (deliverer)
            ipc_free(&deliverer->ipc);
        free(deliverer);
    }
    map_free(&(*connections)->by_number, free_connection);
    free(*connections);
    *connections = NULL;
}

unsigned connections_busy(const struct queue *queue)
{
    return queue->connections->busy;
}

static struct span number_key(const uint64_t *number)
{
    return span_make((const char *)number, sizeof *number);
}

/* The only writer of the phase. */
static void enter(struct queue *queue, struct connection *connection, enum phase phase)
{
    struct site *site = connection->site;
    site->open -= connection->phase != CLOSING;
    site->opening -= connection->phase == OPENING;
    site->busy -= connection->phase == SENDING;
    queue->connections->busy -= connection->phase == SENDING;
    list_remove(&connection->in_idle);
    connection->phase = phase;
    site->open += phase != CLOSING;
    site->opening += phase == OPENING;
    site->busy += phase == SENDING;
    queue->connections->busy += phase == SENDING;
    if (phase == WAITING)
        list_append(&site->idle, &connection->in_idle);
}

/* The process to ask: the one with the fewest connections. */
static struct deliverer *choose(const struct connections *connections)
{
    struct deliverer *best = NULL;
    int64_t now_ms = clock_monotonic_ms();
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
        struct deliverer *deliverer = connections->by_slot[slot];
        if (deliverer && deliverer->refusing_ms <= now_ms && (!best || deliverer->count < best->count))
            best = deliverer;
    }
    return best;
}

static bool send_open(struct deliverer *deliverer, const struct site *site, uint64_t number)
{
    struct delivery_open open = { .connection = number, .is_mx = site->is_mx, .count = (uint8_t)site->nhosts };
    text_copy(open.site, sizeof open.site, span_of(site->name));
    text_copy(open.route, sizeof open.route, span_of(site->route));
    for (unsigned i = 0; i < site->nhosts; i++) {
        open.hosts[i].preference = site->hosts[i].preference;
        open.hosts[i].port = site->hosts[i].port;
        text_copy(open.hosts[i].name, sizeof open.hosts[i].name, span_of(site->hosts[i].name));
    }
    size_t size = offsetof(struct delivery_open, hosts) + site->nhosts * sizeof *open.hosts;
    return ipc_send(deliverer->ipc, DELIVERY_OPEN, &open, size, -1);
}

bool connection_open(struct queue *queue, struct site *site)
{
    struct connections *connections = queue->connections;
    struct deliverer *deliverer = choose(connections);
    if (!deliverer || !send_open(deliverer, site, connections->last_number + 1))
        return false;
    struct connection *connection = text_zalloc(sizeof *connection);
    *connection = (struct connection){ .number = ++connections->last_number, .site = site, .deliverer = deliverer };
    list_init(&connection->in_idle);
    list_append(&deliverer->connections, &connection->in_deliverer);
    deliverer->count++;
    site->connections++;
    site->open++;
    site->opening++;
    map_put(connections->by_number, number_key(&connection->number), connection, NULL);
    return true;
}

/* Takes CONNECTION, which has no transaction any more, out and frees it. */
static void end_connection(struct queue *queue, struct connection *connection)
{
    struct site *site = connection->site;
    enter(queue, connection, CLOSING);
    map_remove(queue->connections->by_number, number_key(&connection->number));
    list_remove(&connection->in_deliverer);
    connection->deliverer->count--;
    site->connections--;
    free(connection);
}

static bool send_assign(struct connection *connection, const struct unit *unit, int fd)
{
    struct delivery_assign assign = {
        .connection = connection->number,
        .id = unit->entry->id,
        .offset = unit->entry->offset,
        .attempt = unit->attempts + 1u,
        .count = unit->count,
    };
    for (uint32_t i = 0; i < unit->count; i++)
        assign.recipients[i] = unit->parts[i].recipient;
    size_t size = offsetof(struct delivery_assign, recipients) + unit->count * sizeof *assign.recipients;
    return ipc_send(connection->deliverer->ipc, DELIVERY_ASSIGN, &assign, size, fd);
}

enum assigned { ASSIGNED, UNIT_TROUBLE, PEER_TROUBLE };

/* Gives UNIT to CONNECTION. A unit in trouble (its segment cannot be read, or its log not be written) is put off and no attempt counted. */
static enum assigned assign(struct queue *queue, struct connection *connection, struct unit *unit)
{
    int fd = unit->entry->pair->failing ? -1 : pair_segment(queue->store, unit->entry->pair);
    if (fd < 0) {
        unit_schedule(queue, unit, clock_monotonic_ms() + TROUBLE_MS);
        return UNIT_TROUBLE;
    }
    if (!send_assign(connection, unit, fd))
        return PEER_TROUBLE;
    unit_send(queue, unit, connection);
    if (unit->attempts < UINT16_MAX)
        unit->attempts++;
    connection->unit = unit;
    connection->verdicts = text_zalloc(unit->count * sizeof *connection->verdicts);
    enter(queue, connection, SENDING);
    return ASSIGNED;
}

static void close_politely(struct queue *queue, struct connection *connection)
{
    struct delivery_close message = { connection->number };
    ipc_send(connection->deliverer->ipc, DELIVERY_CLOSE, &message, sizeof message, -1);
    enter(queue, connection, CLOSING);
}

/* CONNECTION, which is ready, gets the unit whose turn it is, or waits for one. */
static void feed(struct queue *queue, struct connection *connection)
{
    struct unit *unit;
    enum assigned assigned = UNIT_TROUBLE;
    bool may = !queue->role->draining && !site_rests(connection->site);
    while (may && assigned == UNIT_TROUBLE && (unit = fair_next(connection->site)))
        assigned = assign(queue, connection, unit);
    if (assigned == PEER_TROUBLE)
        enter(queue, connection, CLOSING); /* its process has gone, or hangs: the channel tells */
    else if (queue->role->draining)
        close_politely(queue, connection);
    else if (assigned != ASSIGNED)
        enter(queue, connection, WAITING);
}

void connection_wake(struct queue *queue, struct site *site)
{
    while (site->ready && !list_empty(&site->idle) && !site_rests(site) && !queue->role->draining) {
        struct connection *connection = LIST_ENTRY(site->idle.next, struct connection, in_idle);
        feed(queue, connection);
    }
    site_fill(queue, site);
}

static bool close_idle(void *context, struct span key, void *value)
{
    struct connection *connection = value;
    (void)key;
    if (connection->phase == WAITING)
        close_politely(context, connection);
    return true;
}

void connections_close_idle(struct queue *queue)
{
    map_each(queue->connections->by_number, close_idle, queue);
}

/* The transaction of CONNECTION is over; recipients without an outcome are put off because of CAUSE. */
static void end_transaction(struct queue *queue, struct connection *connection, const struct cause *cause)
{
    struct unit *unit = connection->unit;
    struct verdict *verdicts = connection->verdicts;
    uint32_t count = unit->count;
    bool delivered = false;
    for (uint32_t i = 0; i < count; i++) {
        delivered = delivered || verdicts[i].is == VERDICT_DELIVERED;
        if (verdicts[i].is == VERDICT_NONE)
            verdicts[i] = (struct verdict){ VERDICT_TEMPORARY, cause_keep(cause) };
    }
    connection->unit = NULL;
    connection->verdicts = NULL;
    enter(queue, connection, BETWEEN);
    settle_unit(queue, unit, verdicts);
    for (uint32_t i = 0; i < count; i++)
        cause_drop(&verdicts[i].cause);
    free(verdicts);
    if (delivered)
        site_succeeded(queue, connection->site);
}

/* Was nothing said of any recipient yet? */
static bool is_untouched(const struct connection *connection)
{
    for (uint32_t i = 0; i < connection->unit->count; i++)
        if (connection->verdicts[i].is != VERDICT_NONE)
            return false;
    return true;
}

/* The connection ended in good order before it saw its assignment: the unit waits again, and no attempt is counted. */
static void give_back(struct queue *queue, struct connection *connection)
{
    struct unit *unit = connection->unit;
    drop_verdicts(connection);
    unit->attempts--;
    enter(queue, connection, BETWEEN);
    fair_add(queue, connection->site, unit);
}

static struct connection *find(const struct deliverer *deliverer, uint64_t number)
{
    struct connection *connection = map_get(deliverer->queue->connections->by_number, number_key(&number));
    return connection && connection->deliverer == deliverer ? connection : NULL;
}

static void take_next(struct deliverer *deliverer, const void *body)
{
    const struct delivery_next *next = body;
    struct queue *queue = deliverer->queue;
    struct connection *connection = find(deliverer, next->connection);
    if (!connection || connection->phase == CLOSING || connection->phase == WAITING)
        return;
    struct site *site = connection->site;
    if (connection->phase == SENDING) {
        struct cause cause = cause_make(SPAN("4.3.0"), SPAN("this relay's delivery process told no outcome"));
        cause.site = span_of(site->name);
        end_transaction(queue, connection, &cause);
        site_answered(queue, site);
    }
    feed(queue, connection);
    if (!list_empty(&site->idle) || site->ready)
        connection_wake(queue, site);
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

/* Where RECIPIENT is in the unit of CONNECTION, or its count. */
static uint32_t index_of(const struct connection *connection, uint32_t recipient)
{
    uint32_t i = 0;
    while (i < connection->unit->count && connection->unit->parts[i].recipient != recipient)
        i++;
    return i;
}

static void take_outcome(struct deliverer *deliverer, const void *body)
{
    const struct delivery_outcome *outcome = body;
    struct connection *connection = find(deliverer, outcome->connection);
    if (!connection || connection->phase != SENDING || uid_compare(connection->unit->entry->id, outcome->id) != 0)
        return;
    uint32_t index = index_of(connection, outcome->recipient);
    if (index == connection->unit->count || connection->verdicts[index].is != VERDICT_NONE)
        return;
    static const char *const otherwise[] = {
        [DELIVERY_DONE] = "", [DELIVERY_TEMPORARY] = "4.0.0", [DELIVERY_PERMANENT] = "5.0.0"
    };
    enum delivery_verdict said =
        outcome->verdict <= DELIVERY_PERMANENT ? (enum delivery_verdict)outcome->verdict : DELIVERY_TEMPORARY;
    struct span enhanced = printable(outcome->enhanced, sizeof outcome->enhanced);
    struct cause cause =
        cause_make(enhanced.n ? enhanced : span_of(otherwise[said]), printable(outcome->reply, sizeof outcome->reply));
    cause.remote = outcome->remote;
    cause.site = span_of(connection->site->name);
    cause.mx = printable(outcome->mx, sizeof outcome->mx);
    cause.tls = printable(outcome->tls, sizeof outcome->tls);
    struct verdict *verdict = &connection->verdicts[index];
    if (said == DELIVERY_DONE) {
        *verdict = (struct verdict){ .is = VERDICT_DELIVERED };
        settle_delivered(deliverer->queue, connection->unit, index, &cause);
        return;
    }
    *verdict = (struct verdict){ said == DELIVERY_PERMANENT ? VERDICT_PERMANENT : VERDICT_TEMPORARY, cause_keep(&cause) };
}

/* What an end before the first NEXT says of the site. */
static void judge_opening(struct connection *connection, unsigned end, const struct cause *cause)
{
    struct queue *queue = connection->deliverer->queue;
    if (end == DELIVERY_ENDED)
        connection->deliverer->refusing_ms = clock_monotonic_ms() + REFUSING_MS;
    else if (end == DELIVERY_IMPOSSIBLE)
        site_impossible(queue, connection->site, cause);
    else
        site_unreachable(queue, connection->site, cause);
}

static void take_closed(struct deliverer *deliverer, const void *body)
{
    const struct delivery_closed *closed = body;
    struct queue *queue = deliverer->queue;
    struct connection *connection = find(deliverer, closed->connection);
    if (!connection)
        return;
    struct site *site = connection->site;
    struct span enhanced = printable(closed->enhanced, sizeof closed->enhanced);
    struct cause cause = cause_make(enhanced.n ? enhanced : SPAN("4.4.2"), printable(closed->reply, sizeof closed->reply));
    cause.remote = is_reply(cause.reply);
    cause.site = span_of(site->name);
    cause.mx = printable(closed->mx, sizeof closed->mx);
    if (connection->phase == OPENING) {
        judge_opening(connection, closed->end, &cause);
    } else if (connection->phase == SENDING && closed->end == DELIVERY_ENDED && is_untouched(connection)) {
        give_back(queue, connection);
    } else if (connection->phase == SENDING) {
        end_transaction(queue, connection, &cause);
        if (closed->end != DELIVERY_ENDED)
            site_lost(queue, site, &cause);
    }
    end_connection(queue, connection);
    site_fill(queue, site);
    site_consider(queue, site);
}

static void (*const handlers[QUEUE_DELIVERY_COUNT])(struct deliverer *deliverer, const void *body) = {
    [DELIVERY_NEXT] = take_next,
    [DELIVERY_OUTCOME] = take_outcome,
    [DELIVERY_CLOSED] = take_closed,
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
    queue->connections->by_slot[deliverer->slot] = NULL;
    LIST_EACH(node, &deliverer->connections) {
        struct connection *connection = LIST_ENTRY(node, struct connection, in_deliverer);
        struct site *site = connection->site;
        struct cause cause = cause_make(SPAN("4.3.0"), span_of(lost_role));
        cause.site = span_of(site->name);
        if (connection->phase == SENDING)
            end_transaction(queue, connection, &cause);
        end_connection(queue, connection);
        site_consider(queue, site);
    }
    ipc_free(&deliverer->ipc);
    free(deliverer);
    sites_fill(queue);
}

void connections_peer(struct queue *queue, unsigned slot, int fd)
{
    if (queue->connections->by_slot[slot])
        gone(queue->connections->by_slot[slot]);
    struct deliverer *deliverer = text_zalloc(sizeof *deliverer);
    deliverer->queue = queue;
    deliverer->slot = slot;
    list_init(&deliverer->connections);
    deliverer->ipc = ipc_new(queue->loop, fd, &queue_delivery_channel, IPC_FRONT, received, gone, deliverer);
    queue->connections->by_slot[slot] = deliverer;
    sites_fill(queue);
}

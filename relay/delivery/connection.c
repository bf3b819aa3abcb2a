/* Each recipient of a transaction gets exactly one outcome, and then the queue one NEXT or CLOSED. So there are two ways out of
 * every event only: turn(), when a session is ready and nothing is open, and finish(), which settles what is open, tells CLOSED
 * and frees.
 *
 * A session that ends is looked up in a table: it was refused (go on to the next address), wants another way to the same address,
 * or is over. */
#include "connection.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "nameless.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECTION_SOURCES_MAX     4           /* addresses of ours that a host is asked from, one after the other */
#define CONNECTION_DNS_WAIT_MS     (60 * 1000) /* longer than the DNS role takes for all its tries */
#define CONNECTION_SECRETS_WAIT_MS (5 * 1000)  /* the parent reads a few files */
#define CONNECTION_ANSWER_MS       200         /* that the queue has to say whether there is more */

static struct ipc *queue_of(const struct connection *connection)
{
    return connection->orphan ? NULL : connection->pool->queue;
}

void connection_free(struct connection *connection)
{
    pool_leave(connection->pool, connection);
    client_free(&connection->client);
    race_fini(&connection->race);
    connect_fini(&connection->way);
    route_fini(&connection->route);
    free(connection->domain);
    free(connection->alias_of);
    transaction_drop(&connection->transaction);
    timer_fini(&connection->timer);
    free(connection);
}

/* Ends: what is open of a transaction is for later, whatever the reason says of the connection. */
static void finish(struct connection *connection, enum delivery_end end, const struct reason *reason)
{
    struct reason later = *reason;
    later.enhanced[0] = '4';
    if (connection->transaction) {
        transaction_settle_rest(connection->transaction, DELIVERY_TEMPORARY, &later);
        transcript_add(&connection->transaction->transcript, 'C',
                       (const char *[]){ reason->remote ? "(the session is over)" : reason->text, NULL });
        report_dialogue(queue_of(connection), connection->number, connection->transaction);
    }
    report_closed(queue_of(connection), connection->number, &connection->place, end, reason);
    struct pool *pool = connection->pool;
    client_quit(&connection->client);
    connection_free(connection);
    if (pool->draining && list_empty(&pool->connections))
        pool->emptied(pool->context);
}

static void finish_well(struct connection *connection, const char *why)
{
    struct reason reason;
    reason_local(&reason, "2.0.0", "%s", why);
    finish(connection, DELIVERY_ENDED, &reason);
}

static void idle_over(void *context)
{
    finish_well(context, "the connection was not needed any more");
}

/* A session is ready and no recipient is open: more work, or the end. */
static void turn(struct connection *connection)
{
    struct pool *pool = connection->pool;
    if (connection->transaction) {
        report_dialogue(queue_of(connection), connection->number, connection->transaction);
        transaction_end(&connection->transaction);
    }
    if (connection->orphan || connection->closing || pool->draining) {
        finish_well(connection, "the connection was to be ended");
    } else if (client_is_spent(connection->client)) {
        finish_well(connection, "the server takes no more messages over one connection");
    } else if (client_is_doubted(connection->client)) {
        finish_well(connection, "what the server takes was not heard; the next connection asks for it again");
    } else {
        report_next(pool->queue, connection->number, &connection->place);
        int64_t idle_ms = pool->conf->delivery.idle_timeout_ms;
        timer_set(&connection->timer, pool->loop, idle_ms > CONNECTION_ANSWER_MS ? idle_ms : CONNECTION_ANSWER_MS, idle_over,
                  connection);
    }
}

/* The target serves: what is known of it is kept for the connections to come. */
static void learn(const struct connection *connection)
{
    const struct connect_target *target = &connection->target;
    struct reach *reach = connection->pool->rules.reach;
    reach_answered(reach, &target->address);
    if (connect_has_other(&connection->way, target))
        reach_prefer(reach, target->host, target->address.family, REACH_FAMILY_MS);
}

static void client_ready(void *context)
{
    struct connection *connection = context;
    if (!connection->learnt)
        learn(connection);
    connection->learnt = true;
    text_copy(connection->place.tls, sizeof connection->place.tls, span_of(client_tls(connection->client)));
    if (connection->transaction && connection->transaction->open)
        client_send(connection->client, connection->transaction); /* a fresh session for a transaction that waits */
    else
        turn(connection);
}

/* An address of ours that the host has on a list is left alone there for a while; where there is another one, the host is asked again at
 * once. */
static bool try_other_source(struct connection *connection, const struct reason *reason)
{
    if (!reason->remote || !nameless_listed(reason->text) || !connect_refused_source(&connection->way, &connection->target) ||
        connection->others == CONNECTION_SOURCES_MAX)
        return false;
    connection->others++;
    return race_again(&connection->race, &connection->target);
}

static void on_refused(struct connection *connection, const struct reason *reason)
{
    if (try_other_source(connection, reason))
        return;
    connect_failed(&connection->way, reason, true);
    race_go(&connection->race);
}

/* A login that is refused is for the administrator to mend: an alarm, and mail waits. */
static void login_over(struct connection *connection)
{
    connection->awaits = false;
    timer_stop(&connection->timer);
    log_say(LOG_ERROR, "error", "%s refused the login of user %s: %s; mail over this route waits, nothing is bounced for it",
            connection->place.mx, connection->route.user, connection->way.reason->text);
    race_go(&connection->race);
}

static void secrets_over(void *context)
{
    login_over(context);
}

/* The file may hold a newer password or token than this process was given: looked at once a connection. */
static void on_login(struct connection *connection, const struct reason *reason)
{
    struct pool *pool = connection->pool;
    connect_failed_login(&connection->way, reason);
    if (connection->asked || !pool->ask_secrets) {
        login_over(connection);
        return;
    }
    connection->asked = connection->awaits = true;
    timer_set(&connection->timer, pool->loop, CONNECTION_SECRETS_WAIT_MS, secrets_over, connection);
    pool->ask_secrets(pool->context);
}

static void on_silent(struct connection *connection, const struct reason *reason)
{
    reach_failed(connection->pool->rules.reach, &connection->target.address, clock_monotonic_ms());
    on_refused(connection, reason);
}

static void retry_plain(struct connection *connection, const struct reason *reason)
{
    (void)reason;
    tls_remember_plain(connection->pool->tls, connection->target.host);
    connection->plain = true;
    if (!race_again(&connection->race, &connection->target))
        race_go(&connection->race);
}

static void retry_helo(struct connection *connection, const struct reason *reason)
{
    connection->helo = true;
    connection->helo_unsure = !reason->remote || reason->text[0] != '5';
    if (!race_again(&connection->race, &connection->target))
        race_go(&connection->race);
}

static void on_idle(struct connection *connection, const struct reason *reason)
{
    finish(connection, DELIVERY_ENDED, reason);
}

static void on_lost(struct connection *connection, const struct reason *reason)
{
    finish(connection, DELIVERY_LOST, reason);
}

/* A server may close a connection that waits: that is not the site's failure, so the transaction gets a fresh session, once. */
static void on_stale(struct connection *connection, const struct reason *reason)
{
    if (connection->renewed || connection->orphan) {
        on_lost(connection, reason);
        return;
    }
    connection->renewed = true;
    connect_restart(&connection->way);
    race_go(&connection->race);
}

/* Each session settles one recipient at least, or had sent another message before, so this comes to an end. */
static void on_spent(struct connection *connection, const struct reason *reason)
{
    if (connection->orphan) {
        on_lost(connection, reason);
        return;
    }
    connect_restart(&connection->way);
    race_go(&connection->race);
}

/* Once only, as there is no IPv6 any more then. Recipients that have their outcome keep it. */
static void on_nameless(struct connection *connection, const struct reason *reason)
{
    if (connection->orphan) {
        on_lost(connection, reason);
        return;
    }
    reach_prefer(connection->pool->rules.reach, connection->target.host, 4, REACH_REFUSED_MS);
    connect_use_ipv4(&connection->way);
    connect_failed(&connection->way, reason, true); /* that is why, where IPv4 leads nowhere */
    race_go(&connection->race);
}

static void (*const ends[CLIENT_ENDS])(struct connection *connection, const struct reason *reason) = {
    [CLIENT_REFUSED] = on_refused,    [CLIENT_SILENT] = on_silent,     [CLIENT_LOGIN] = on_login,
    [CLIENT_SPENT] = on_spent,        [CLIENT_NAMELESS] = on_nameless, [CLIENT_RETRY_PLAIN] = retry_plain,
    [CLIENT_RETRY_HELO] = retry_helo, [CLIENT_IDLE] = on_idle,         [CLIENT_STALE] = on_stale,
    [CLIENT_LOST] = on_lost,
};

static void client_ended(void *context, enum client_end end, const struct reason *reason)
{
    struct connection *connection = context;
    if (client_is_mismatched(connection->client) && !*connection->domain)
        connection->place.wants_domain = true;
    if (end == CLIENT_SPENT)
        client_quit(&connection->client);
    else
        client_free(&connection->client);
    ends[end](connection, reason);
}

static const struct client_events client_events = { .ready = client_ready, .ended = client_ended };

/* Does the kernel say that there is no way to such an address at all, without having tried? */
static bool is_no_way(int error)
{
    return error == ENETUNREACH || error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EINVAL;
}

/* "mx1.example.net[192.0.2.1]:25"; a literal stands for itself. */
static void set_place(struct connection *connection, const struct connect_target *target)
{
    char address[NETADDR_TEXT_SIZE];
    struct netaddr literal;
    netaddr_print(&target->address, address);
    const char *name = connect_literal(span_of(target->host), &literal) ? "" : target->host;
    text_format(connection->place.mx, sizeof connection->place.mx, "%s[%s]:%u", name, address, target->address.port);
    text_copy(connection->place.tls, sizeof connection->place.tls, SPAN("none"));
}

/* Begins a session with the target over the socket at WATCH, which is the session's from here on. May free CONNECTION. */
static void begin_session(struct connection *connection, struct watch *watch)
{
    struct pool *pool = connection->pool;
    const struct connect_target *target = &connection->target;
    enum tls_policy policy = route_policy(&connection->route, target->tlsa != NULL);
    bool lenient = policy <= TLS_OPPORTUNISTIC; /* of this host, now: it may have published records since it was tried first */
    struct client_setup setup = { .conf = pool->conf,
                                  .tls = pool->tls,
                                  .route = &connection->route,
                                  .policy = policy,
                                  .tlsa = target->tlsa,
                                  .domain = connection->domain,
                                  .alias_of = connection->alias_of,
                                  .host = target->host,
                                  .hello = target->source ? target->source->helo : pool->conf->hostname,
                                  .port = target->address.port,
                                  .plain = lenient && connection->plain,
                                  .helo = lenient && connection->helo,
                                  .helo_unsure = connection->helo_unsure,
                                  .ipv4_instead = target->address.family == 6 && connect_has_other(&connection->way, target) };
    connection->client = client_new(&setup, watch, &client_events, connection);
    client_begin(connection->client);
}

static void race_failed(void *context, const struct connect_target *target, int error, bool at_once)
{
    struct connection *connection = context;
    struct reason reason;
    bool counted = !(at_once && is_no_way(error));
    set_place(connection, target);
    reason_local(&reason, error == ETIMEDOUT ? "4.4.2" : "4.4.1", "%s: %s while connecting", connection->place.mx,
                 error == ETIMEDOUT ? "timed out" : strerror(error));
    if (counted)
        reach_failed(connection->pool->rules.reach, &target->address, clock_monotonic_ms());
    connect_failed(&connection->way, &reason, counted);
}

static void race_won(void *context, struct watch *watch, const struct connect_target *target)
{
    struct connection *connection = context;
    if (target->host != connection->target.host || !netaddr_same_host(&target->address, &connection->target.address)) {
        connection->helo = connection->helo_unsure = false;
        connection->plain = route_policy(&connection->route, target->tlsa != NULL) == TLS_OPPORTUNISTIC &&
                            tls_is_plain(connection->pool->tls, target->host);
    }
    connection->learnt = false;
    connection->target = *target;
    set_place(connection, target);
    begin_session(connection, watch);
}

static void dns_over(void *context)
{
    struct connection *connection = context;
    connect_unanswered(&connection->way);
    race_go(&connection->race);
}

static void race_waits(void *context)
{
    struct connection *connection = context;
    timer_set(&connection->timer, connection->pool->loop, CONNECTION_DNS_WAIT_MS, dns_over, connection);
}

static void race_over(void *context)
{
    struct connection *connection = context;
    struct reason reason;
    enum delivery_end end = connect_verdict(&connection->way, &reason);
    finish(connection, end, &reason);
}

static bool race_greets(void *context, const struct connect_target *target)
{
    const struct connection *connection = context;
    return !route_is_implicit(&connection->route, target->address.port);
}

static const struct race_events race_events = {
    .greets = race_greets, .won = race_won, .failed = race_failed, .waits = race_waits, .over = race_over
};

static void outcome(void *context, uint32_t index, enum delivery_verdict verdict, const struct reason *reason)
{
    const struct connection *connection = context;
    report_outcome(queue_of(connection), connection->number, &connection->place, connection->transaction->id, index, verdict,
                   reason);
}

static void ask(void *context, unsigned index, const char *host, uint16_t tlsa_port)
{
    struct connection *connection = context;
    pool_ask(connection->pool, connection->serial, index, host, tlsa_port);
}

void connection_open(struct pool *pool, const struct delivery_open *open)
{
    struct connection *connection = text_zalloc(sizeof *connection);
    struct reason reason;
    connection->pool = pool;
    connection->number = open->connection;
    connection->domain = text_dup(span_of_array(open->domain, sizeof open->domain));
    connection->alias_of = text_dup(span_of_array(open->alias_of, sizeof open->alias_of));
    pool_enter(pool, connection);
    if (pool->draining) {
        finish_well(connection, "this process is about to end");
    } else if (!route_find(pool->conf, pool->secrets, open, &connection->route, &reason)) {
        finish(connection, DELIVERY_UNREACHABLE, &reason);
    } else {
        connect_init(&connection->way, open, &pool->rules, ask, connection);
        connection->way.wants_tlsa = connection->route.dane;
        connection->way.is_partial = connection->route.sts;
        race_init(&connection->race, pool->loop, &connection->way, &race_events, connection,
                  pool->conf->delivery.connect_timeout_ms);
        race_go(&connection->race);
    }
}

/* An ASSIGN that the rules of the channel do not allow here: no recipient of it may be lost. */
static void refuse(struct connection *connection, const struct delivery_assign *assign)
{
    struct reason reason;
    log_say(LOG_ERROR, "error", "the queue assigned a message to a connection that was not ready; it is tried again later");
    reason_local(&reason, "4.3.0", "the relay's connection was not ready");
    for (uint32_t i = 0; i < assign->count; i++)
        report_outcome(queue_of(connection), connection->number, &connection->place, assign->id, assign->recipients[i],
                       DELIVERY_TEMPORARY, &reason);
}

void connection_assign(struct connection *connection, const struct delivery_assign *assign, int fd)
{
    if (connection->transaction || !connection->client || !client_is_ready(connection->client)) {
        refuse(connection, assign);
        return;
    }
    timer_stop(&connection->timer);
    connection->renewed = false;
    connection->transaction = transaction_make(outcome, connection);
    transaction_begin(connection->transaction, assign, fd);
    if (connection->transaction->open)
        client_send(connection->client, connection->transaction);
    else
        turn(connection);
}

void connection_close(struct connection *connection)
{
    connection->closing = true;
    if (!connection->transaction)
        finish_well(connection, "the connection was to be ended");
}

void connection_abandon(struct connection *connection)
{
    struct reason reason;
    connection->orphan = true;
    /* A dot that was sent cannot be taken back; everything before it can, and so can the recipients for whom the server had no room in
     * this transaction: nothing more is delivered whose outcome nobody would write down. */
    if (!connection->client || !client_is_committed(connection->client)) {
        finish_well(connection, "the queue has gone");
        return;
    }
    reason_local(&reason, "4.3.0", "the queue has gone");
    transaction_settle_unsent(connection->transaction, DELIVERY_TEMPORARY, &reason);
}

/* Something more is known of the hosts: on, where that was waited for. */
static void go_on(struct connection *connection)
{
    if (connection->client || race_is_on(&connection->race) || connection->awaits)
        return;
    timer_stop(&connection->timer);
    race_go(&connection->race);
}

void connection_address(struct connection *connection, unsigned index, const struct dns_address *answer)
{
    connect_answer(&connection->way, index, answer);
    go_on(connection);
}

void connection_tlsa(struct connection *connection, unsigned index, const struct dns_tlsa *answer)
{
    connect_answer_tlsa(&connection->way, index, answer);
    go_on(connection);
}

void connection_secrets(struct connection *connection)
{
    if (!connection->awaits)
        return;
    if (!route_refresh(&connection->route, connection->pool->secrets)) {
        login_over(connection);
        return;
    }
    connection->awaits = false;
    timer_stop(&connection->timer);
    connect_restart(&connection->way);
    race_go(&connection->race);
}

void connection_ask_again(struct connection *connection)
{
    if (!connection->client && connection->race.loop)
        connect_ask_again(&connection->way);
}

/* An exchange lives from AUTH_BEGIN to AUTH_DONE, and between two messages it waits for the client: seconds, usually. Whatever the
 * other side does, no more than SERVICE_EXCHANGES_MAX a channel are kept and none longer than SERVICE_DEADLINE_MS; a response to
 * one that was dropped is answered AUTH_TEMPORARY, so that no client waits for nothing.
 *
 * Blocking is allowed here: PBKDF2 takes milliseconds, saslauthd as long as it likes; the other auth processes go on meanwhile.
 *
 * A refusal costs the client a delay, which the submission process keeps, and after lockout_failures of them its address hears
 * AUTH_LOCKED, whatever password it brings. So does, after several times as many for one account, every address that was not lately logged in as
 * that account: a password is not guessed from many addresses either. That verdict comes behind the check and always after the same
 * delay, or it would tell whether the password was right. An exchange that is malformed or given up is no failure: nothing was
 * learnt by it. */
#include "service.h"

#include "../base/clock.h"
#include "../base/list.h"
#include "../base/map.h"
#include "../base/scram.h"
#include "../base/text.h"
#include "../channels/submission_auth.h"
#include "attempt.h"
#include "lockout.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define LOCKOUT_MAX 65536 /* addresses, accounts, good logins that are remembered */
#define SWEEP_MS    30000 /* how often what is over is forgotten */

struct service {
    struct loop *loop;
    const struct conf *conf;
    struct attempt_ground ground;
    struct credentials *credentials;
    struct lockout *lockout;
    bool binds; /* SCRAM-SHA-256-PLUS is offered */
    struct list peers;
    struct list by_age; /* all exchanges, the oldest first */
    struct timer sweep;
};

/* A submission process. */
struct peer {
    struct list node;
    struct service *service;
    unsigned slot;
    struct ipc *ipc;
    struct map *exchanges; /* by ticket */
};

struct exchange {
    struct list by_age;
    struct peer *peer;
    uint64_t ticket;
    int64_t began_ms;
    struct netaddr client;
    char mechanism[32];
    struct attempt *attempt; /* NULL where it was refused before libsasl2 saw it */
};

/* How an exchange ended: what submission and the log hear. */
struct end {
    enum auth_verdict verdict;
    const char *reason; /* for the log; "" where accepted */
    struct span data;   /* the server's last message */
    uint32_t delay_ms;  /* how long the answer waits, beside what a failure costs */
};

static struct span key_of(const uint64_t *ticket)
{
    return span_make((const char *)ticket, sizeof *ticket);
}

static void drop(struct exchange *exchange)
{
    map_remove(exchange->peer->exchanges, key_of(&exchange->ticket));
    list_remove(&exchange->by_age);
    attempt_free(&exchange->attempt);
    free(exchange);
}

static void drop_value(void *value)
{
    struct exchange *exchange = value;
    list_remove(&exchange->by_age);
    attempt_free(&exchange->attempt);
    free(exchange);
}

/* A message whose last member is `data`: how many bytes are sent. */
#define SIZE_WITH(message) (offsetof(__typeof__(message), data) + (message).data_size)

/* Puts DATA into a message's array; where it is too long (libsasl2 never makes such) it is left out. */
static uint32_t put_data(char data[AUTH_DATA_MAX], struct span bytes)
{
    if (bytes.n > AUTH_DATA_MAX)
        return 0;
    if (bytes.n)
        memcpy(data, bytes.p, bytes.n);
    return (uint32_t)bytes.n;
}

static void log_verdict(const struct exchange *exchange, const struct end *end, const char *account)
{
    struct log_entry entry;
    char client[NETADDR_TEXT_SIZE];
    bool accepted = end->verdict == AUTH_ACCEPTED;
    netaddr_print(&exchange->client, client);
    log_begin(&entry, LOG_INFO, accepted ? "authenticated" : "auth-failed");
    log_string(&entry, "account", account);
    log_string(&entry, "client", client);
    log_string(&entry, "mechanism", exchange->mechanism);
    if (!accepted)
        log_string(&entry, "reason", end->reason);
    log_end(&entry);
}

/* The account that EXCHANGE is about, in normal form, whether there is such a one or not. False where the name cannot be one's. */
static bool account_of(const struct exchange *exchange, char account[SCRAM_NAME_SIZE])
{
    return exchange->attempt && attempt_name(exchange->attempt, account);
}

/* Counts what VERDICT means for the client's address and the account. Returns for how long the answer is to wait. */
static uint32_t count(const struct exchange *exchange, enum auth_verdict verdict)
{
    struct lockout *lockout = exchange->peer->service->lockout;
    int64_t now_ms = clock_monotonic_ms();
    char account[SCRAM_NAME_SIZE];
    bool named = account_of(exchange, account);
    if (verdict == AUTH_ACCEPTED && named)
        lockout_trust(lockout, span_of(account), &exchange->client, now_ms);
    if (verdict != AUTH_REFUSED)
        return 0;
    if (named)
        lockout_count_account(lockout, span_of(account), now_ms);
    return lockout_count(lockout, &exchange->client, now_ms);
}

/* The one way in which an exchange gets its verdict: tells submission and the log, counts, and drops it. */
static void finish(struct exchange *exchange, const struct end *end)
{
    struct auth_done done = { .ticket = exchange->ticket, .verdict = (uint8_t)end->verdict };
    char account[AUTH_ACCOUNT_SIZE] = "", normal[SCRAM_NAME_SIZE];
    if (end->verdict == AUTH_ACCEPTED)
        text_copy(account, sizeof account, attempt_account(exchange->attempt));
    else if (exchange->attempt)
        text_copy(account, sizeof account, attempt_claimed(exchange->attempt));
    log_verdict(exchange, end, account);
    done.delay_ms = end->delay_ms + count(exchange, end->verdict);
    if (end->verdict == AUTH_ACCEPTED)
        text_copy(done.account, sizeof done.account, span_of(account));
    else if (account_of(exchange, normal))
        text_copy(done.account, sizeof done.account, span_of(normal));
    done.data_size = put_data(done.data, end->data);
    ipc_send(exchange->peer->ipc, AUTH_DONE, &done, SIZE_WITH(done), -1);
    drop(exchange);
}

/* Is it for nothing that the password, whatever it is, was checked? */
static bool account_is_locked(const struct exchange *exchange, enum attempt_state state)
{
    char account[SCRAM_NAME_SIZE];
    return (state == ATTEMPT_ACCEPTED || state == ATTEMPT_REFUSED) && account_of(exchange, account) &&
           lockout_holds_account(exchange->peer->service->lockout, span_of(account), &exchange->client, clock_monotonic_ms());
}

/* The attempt has come to STATE and says OUT. */
static void proceed(struct exchange *exchange, enum attempt_state state, struct span out)
{
    static const enum auth_verdict verdicts[] = {
        [ATTEMPT_ACCEPTED] = AUTH_ACCEPTED,   [ATTEMPT_REFUSED] = AUTH_REFUSED,     [ATTEMPT_MALFORMED] = AUTH_MALFORMED,
        [ATTEMPT_MECHANISM] = AUTH_MECHANISM, [ATTEMPT_TEMPORARY] = AUTH_TEMPORARY,
    };
    static const struct end locked = { AUTH_LOCKED, "too many failures for this account", { "", 0 }, LOCKOUT_DELAY_MAX_MS };
    struct auth_challenge challenge = { .ticket = exchange->ticket };
    if (state != ATTEMPT_CONTINUES) {
        bool accepted = state == ATTEMPT_ACCEPTED;
        struct end end = { verdicts[state], accepted ? "" : attempt_reason(exchange->attempt), accepted ? out : SPAN(""), 0 };
        finish(exchange, account_is_locked(exchange, state) ? &locked : &end);
        return;
    }
    challenge.data_size = put_data(challenge.data, out);
    if (!ipc_send(exchange->peer->ipc, AUTH_CHALLENGE, &challenge, SIZE_WITH(challenge), -1))
        drop(exchange);
}

/* Ends EXCHANGE where its address is locked out. True where it did. */
static bool shut_out(struct exchange *exchange)
{
    static const struct end locked = { AUTH_LOCKED, "too many failures from this address", { "", 0 }, 0 };
    if (!lockout_holds(exchange->peer->service->lockout, &exchange->client, clock_monotonic_ms()))
        return false;
    finish(exchange, &locked);
    return true;
}

static bool is_offered(const struct service *service, struct span mechanism)
{
    const struct conf_strings *offered = &service->conf->auth.mechanisms;
    for (size_t i = 0; i < offered->count; i++)
        if (span_equal(span_of(offered->items[i]), mechanism))
            return attempt_serves(service->conf->auth.backend, mechanism);
    return false;
}

/* Is MECHANISM one that may be used with what the client's connection is? */
static bool is_usable(const struct service *service, struct span mechanism, const struct auth_begin *begin)
{
    return begin->tls && is_offered(service, mechanism) && (begin->binding_size || !span_ends_nocase(mechanism, SPAN("-PLUS")));
}

static struct exchange *open_exchange(struct peer *peer, const struct auth_begin *begin)
{
    struct exchange *old = map_get(peer->exchanges, key_of(&begin->ticket));
    if (old)
        drop(old); /* a ticket that is used twice: the older one can never be answered */
    struct exchange *exchange = text_zalloc(sizeof *exchange);
    exchange->peer = peer;
    exchange->ticket = begin->ticket;
    exchange->client = begin->client;
    exchange->began_ms = clock_monotonic_ms();
    text_escape(exchange->mechanism, sizeof exchange->mechanism, span_of_array(begin->mechanism, sizeof begin->mechanism));
    list_append(&peer->service->by_age, &exchange->by_age);
    map_put(peer->exchanges, key_of(&exchange->ticket), exchange, NULL);
    return exchange;
}

static void begin(struct peer *peer, const void *body, size_t size)
{
    static const struct end mechanism = { AUTH_MECHANISM, "the mechanism is not offered", { "", 0 }, 0 };
    static const struct end crowded = { AUTH_TEMPORARY, "too many logins at once", { "", 0 }, 0 };
    static const struct end broken = { AUTH_TEMPORARY, "libsasl2 does not begin", { "", 0 }, 0 };
    struct service *service = peer->service;
    const struct auth_begin *begin = body;
    struct span name = span_of_array(begin->mechanism, sizeof begin->mechanism), out;
    if (begin->data_size > size - offsetof(struct auth_begin, data) || begin->binding_size > sizeof begin->binding)
        return; /* what submission never sends; its ticket times out there */
    bool room = map_count(peer->exchanges) < SERVICE_EXCHANGES_MAX;
    struct exchange *exchange = open_exchange(peer, begin);
    if (shut_out(exchange))
        return;
    if (!is_usable(service, name, begin) || !room) {
        finish(exchange, room ? &mechanism : &crowded);
        return;
    }
    struct span binding = span_make((const char *)begin->binding, service->binds ? begin->binding_size : 0);
    exchange->attempt = attempt_new(&service->ground, name, binding);
    if (!exchange->attempt) {
        finish(exchange, &broken);
        return;
    }
    enum attempt_state state =
        attempt_begin(exchange->attempt, begin->has_initial, span_make(begin->data, begin->data_size), &out);
    proceed(exchange, state, out);
}

static void respond(struct peer *peer, const void *body, size_t size)
{
    const struct auth_response *response = body;
    struct span out;
    if (response->data_size > size - offsetof(struct auth_response, data))
        return;
    struct exchange *exchange = map_get(peer->exchanges, key_of(&response->ticket));
    if (!exchange) {
        struct auth_done done = { .ticket = response->ticket, .verdict = AUTH_TEMPORARY };
        ipc_send(peer->ipc, AUTH_DONE, &done, SIZE_WITH(done), -1);
        return;
    }
    if (shut_out(exchange))
        return;
    enum attempt_state state = attempt_respond(exchange->attempt, span_make(response->data, response->data_size), &out);
    proceed(exchange, state, out);
}

static void cancel(struct peer *peer, const void *body, size_t size)
{
    const struct auth_cancel *cancelled = body;
    struct exchange *exchange = map_get(peer->exchanges, key_of(&cancelled->ticket));
    (void)size;
    if (exchange)
        drop(exchange);
}

static void (*const handlers[SUBMISSION_AUTH_COUNT])(struct peer *peer, const void *body, size_t size) = {
    [AUTH_BEGIN] = begin,
    [AUTH_RESPONSE] = respond,
    [AUTH_CANCEL] = cancel,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)fd;
    if (type < SUBMISSION_AUTH_COUNT && handlers[type])
        handlers[type](context, body, size);
}

static void drop_peer(void *context)
{
    struct peer *peer = context;
    map_free(&peer->exchanges, drop_value);
    list_remove(&peer->node);
    ipc_free(&peer->ipc);
    free(peer);
}

/* Forgets what is over: exchanges whose client never went on, failures, good passwords. */
static void sweep(void *context)
{
    struct service *service = context;
    int64_t now_ms = clock_monotonic_ms();
    while (!list_empty(&service->by_age)) {
        struct exchange *oldest = LIST_ENTRY(service->by_age.next, struct exchange, by_age);
        if (now_ms - oldest->began_ms < SERVICE_DEADLINE_MS)
            break;
        drop(oldest);
    }
    lockout_expire(service->lockout, now_ms);
    credentials_expire(service->credentials);
    timer_again(&service->sweep, SWEEP_MS);
}

struct service *service_new(struct loop *loop, const struct conf *conf)
{
    struct service *service = text_zalloc(sizeof *service);
    const struct conf_auth *auth = &conf->auth;
    service->loop = loop;
    service->conf = conf;
    service->credentials = credentials_new(auth->backend == CONF_BACKEND_FILE ? auth->file : NULL, auth->cache_ms);
    service->lockout = lockout_new(auth->lockout_failures, auth->lockout_ms, LOCKOUT_MAX);
    service->ground = (struct attempt_ground){ auth->backend, conf, service->credentials };
    service->binds = is_offered(service, SPAN("SCRAM-SHA-256-PLUS"));
    list_init(&service->peers);
    list_init(&service->by_age);
    timer_set(&service->sweep, loop, SWEEP_MS, sweep, service);
    return service;
}

void service_free(struct service **service)
{
    if (!*service)
        return;
    LIST_EACH(node, &(*service)->peers)
        drop_peer(LIST_ENTRY(node, struct peer, node));
    timer_fini(&(*service)->sweep);
    credentials_free(&(*service)->credentials);
    lockout_free(&(*service)->lockout);
    free(*service);
    *service = NULL;
}

void service_peer(struct service *service, unsigned slot, int fd)
{
    LIST_EACH(node, &service->peers) {
        struct peer *old = LIST_ENTRY(node, struct peer, node);
        if (old->slot == slot)
            drop_peer(old);
    }
    struct peer *peer = text_zalloc(sizeof *peer);
    peer->service = service;
    peer->slot = slot;
    peer->exchanges = map_new(0);
    list_append(&service->peers, &peer->node);
    peer->ipc = ipc_new(service->loop, fd, &submission_auth_channel, IPC_BACK, received, drop_peer, peer);
}

size_t service_exchanges(const struct service *service)
{
    size_t count = 0;
    LIST_EACH(node, &service->by_age)
        count++;
    return count;
}

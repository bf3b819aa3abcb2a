/* c-ares sends, repeats, turns to the next server, turns to TCP where an answer was cut, and matches answers with questions by
 * server, id and question. It tells through a callback which sockets it has; each gets a watch. Its own timers are served by a
 * tick that runs while anything is in flight: timeouts of seconds need no finer clock, and asking c-ares after each packet when
 * it wants to be called next would cost a walk over all questions.
 *
 * There is one channel for the life of the process. It seeds its ids from /dev/urandom when it is made, which the sandbox forbids
 * later, and would silently fall back to rand(3): so a reload changes the servers of this channel and never makes another. c-ares
 * takes new servers only while nothing is in flight; the questions are cancelled, kept, and asked again. */
#include "resolve.h"

#include "../base/clock.h"
#include "../base/list.h"
#include "../base/log.h"
#include "../base/text.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <stdlib.h>

#define SOCKETS_MAX      32     /* c-ares has two for each server at most */
#define SERVERS_MAX      8      /* beyond, a name server is not used */
#define TICK_MS          50     /* how late a timeout may be noticed */
#define EDNS_SIZE        1232   /* what passes any network unbroken (DNS flag day 2020) */
#define RECEIVE_BUFFER   524288 /* of a UDP socket: answers to RESOLVE_FLIGHT_MAX questions may come at once */
#define SILENT_QUESTIONS 20     /* so many failures in a row are worth a log line */

struct query {
    struct list node; /* in `waiting` or `flight` */
    struct resolve *resolve;
    char name[SMTP_DOMAIN_SIZE];
    enum answer_type type;
    int64_t asked_ms;
    resolve_done done;
    void *context;
};

struct resolve {
    struct loop *loop;
    ares_channel channel;
    struct watch watches[SOCKETS_MAX];
    struct timer tick;
    struct list waiting;
    struct list flight;
    size_t nwaiting, nflight;
    bool ticking, changing, closing;
    unsigned silent; /* questions in a row that no server answered */
    int64_t timeout_ms;
    uint64_t tries;
    char system_servers[SERVERS_MAX * (NETADDR_PORT_TEXT_SIZE + 1)]; /* of /etc/resolv.conf, as c-ares reads them */
};

static void fill_flight(struct resolve *resolve);

/* Whatever was answered, timed out, or ended: c-ares' view of the sockets, then room for those that wait. */
static void process(struct resolve *resolve, int read_fd, int write_fd)
{
    ares_process_fd(resolve->channel, read_fd, write_fd);
    fill_flight(resolve);
}

static void socket_ready(void *context, int fd, unsigned ready)
{
    process(context, ready & WATCH_READ ? fd : ARES_SOCKET_BAD, ready & WATCH_WRITE ? fd : ARES_SOCKET_BAD);
}

/* c-ares opened, closed, or wants something else of a socket. */
static void socket_changed(void *context, ares_socket_t fd, int readable, int writable)
{
    struct resolve *resolve = context;
    struct watch *spare = NULL;
    unsigned wanted = (readable ? WATCH_READ : 0u) | (writable ? WATCH_WRITE : 0u);
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct watch *watch = &resolve->watches[i];
        if (watch->event && watch->fd == fd) {
            if (wanted)
                watch_want(watch, wanted);
            else
                watch_fini(watch);
            return;
        }
        if (!watch->event && !spare)
            spare = watch;
    }
    if (spare && wanted)
        watch_set(spare, resolve->loop, fd, wanted, socket_ready, resolve);
}

/* Answers those that waited too long for their turn: `waiting` is in order of arrival. */
static void expire_waiting(struct resolve *resolve)
{
    int64_t limit = clock_monotonic_ms() - RESOLVE_WAIT_MS;
    while (!list_empty(&resolve->waiting)) {
        struct query *query = LIST_ENTRY(resolve->waiting.next, struct query, node);
        if (query->asked_ms > limit)
            return;
        list_remove(&query->node);
        resolve->nwaiting--;
        query->done(query->context, DNS_TIMEOUT, SPAN(""));
        free(query);
    }
}

static void tick(void *context)
{
    struct resolve *resolve = context;
    resolve->ticking = false;
    expire_waiting(resolve);
    process(resolve, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void start_ticking(struct resolve *resolve)
{
    if (resolve->ticking || resolve_pending(resolve) == 0)
        return;
    resolve->ticking = true;
    timer_set(&resolve->tick, resolve->loop, TICK_MS, tick, resolve);
}

/* What c-ares' own failures mean. Those not named are trouble between here and the servers. */
static enum dns_status status_of(int status)
{
    static const struct {
        int ares;
        enum dns_status status;
    } meanings[] = {
        {ARES_EFORMERR,   DNS_MALFORMED},
        { ARES_EBADRESP,  DNS_MALFORMED},
        { ARES_ESERVFAIL, DNS_SERVFAIL },
        { ARES_ENOTIMP,   DNS_SERVFAIL },
        { ARES_EREFUSED,  DNS_REFUSED  },
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].ares == status)
            return meanings[i].status;
    return DNS_TIMEOUT;
}

/* Says once that the servers are silent, and once that they are back. */
static void note_silence(struct resolve *resolve, bool answered)
{
    if (answered && resolve->silent >= SILENT_QUESTIONS)
        log_say(LOG_INFO, "notice", "the name servers answer again");
    resolve->silent = answered ? 0 : resolve->silent + 1;
    if (resolve->silent == SILENT_QUESTIONS)
        log_say(LOG_ERROR, "error",
                "none of the name servers answered the last %d questions; mail waits until they do, nothing is returned for it",
                SILENT_QUESTIONS);
}

static void answered(void *context, int status, int timeouts, unsigned char *bytes, int size)
{
    struct query *query = context;
    struct resolve *resolve = query->resolve;
    bool has_bytes = bytes && size > 0 && (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND);
    (void)timeouts;
    list_remove(&query->node);
    resolve->nflight--;
    if (resolve->changing) {
        query->asked_ms = clock_monotonic_ms();
        list_append(&resolve->waiting, &query->node);
        resolve->nwaiting++;
        return;
    }
    if (!resolve->closing) {
        note_silence(resolve, has_bytes || status_of(status) != DNS_TIMEOUT);
        query->done(query->context, has_bytes ? DNS_OK : status_of(status),
                    has_bytes ? span_make((const char *)bytes, (size_t)size) : SPAN(""));
    }
    free(query);
}

static void fill_flight(struct resolve *resolve)
{
    while (resolve->nflight < RESOLVE_FLIGHT_MAX && !list_empty(&resolve->waiting)) {
        struct query *query = LIST_ENTRY(resolve->waiting.next, struct query, node);
        list_remove(&query->node);
        resolve->nwaiting--;
        list_append(&resolve->flight, &query->node);
        resolve->nflight++;
        ares_query(resolve->channel, query->name, ns_c_in, (int)query->type, answered, query);
    }
    start_ticking(resolve);
}

void resolve_query(struct resolve *resolve, const char *name, enum answer_type type, resolve_done done, void *context)
{
    struct query *query = text_zalloc(sizeof *query);
    query->resolve = resolve;
    query->type = type;
    query->asked_ms = clock_monotonic_ms();
    query->done = done;
    query->context = context;
    text_copy(query->name, sizeof query->name, span_of(name));
    list_append(&resolve->waiting, &query->node);
    resolve->nwaiting++;
    fill_flight(resolve);
}

size_t resolve_pending(const struct resolve *resolve)
{
    return resolve->nwaiting + resolve->nflight;
}

/* Remembers the servers that c-ares took from /etc/resolv.conf, as text. */
static void keep_system_servers(struct resolve *resolve)
{
    struct ares_addr_port_node *servers = NULL;
    size_t at = 0;
    ares_get_servers_ports(resolve->channel, &servers);
    for (const struct ares_addr_port_node *server = servers; server; server = server->next) {
        char host[NETADDR_TEXT_SIZE], text[NETADDR_PORT_TEXT_SIZE + 1];
        ares_inet_ntop(server->family, &server->addr, host, sizeof host);
        text_format(text, sizeof text, server->family == AF_INET6 ? "[%s]:%d" : "%s:%d", host,
                    server->udp_port ? server->udp_port : NS_DEFAULTPORT);
        size_t n = strlen(text);
        if (at + n + 2 > sizeof resolve->system_servers)
            break;
        if (at)
            resolve->system_servers[at++] = ',';
        memcpy(resolve->system_servers + at, text, n + 1);
        at += n;
    }
    ares_free_data(servers);
}

/* SETTINGS' servers as c-ares reads them, or the system's. */
static bool set_servers(struct resolve *resolve, const struct conf_dns *settings)
{
    char list[sizeof resolve->system_servers] = "";
    size_t at = 0;
    for (size_t i = 0; i < settings->servers.count && i < SERVERS_MAX; i++) {
        char text[NETADDR_PORT_TEXT_SIZE];
        netaddr_print_port(&settings->servers.items[i], text);
        text_format(list + at, sizeof list - at, at ? ",%s" : "%s", text);
        at += strlen(list + at);
    }
    const char *servers = at ? list : resolve->system_servers;
    if (ares_set_servers_ports_csv(resolve->channel, servers) == ARES_SUCCESS)
        return true;
    log_say(LOG_ERROR, "error", "the name servers %s cannot be used", servers);
    return false;
}

static bool open_channel(struct resolve *resolve, const struct conf_dns *settings)
{
    char lookups[] = "b"; /* never /etc/hosts */
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = (int)settings->timeout_ms,
        .tries = (int)settings->tries,
        .ednspsz = EDNS_SIZE,
        .socket_receive_buffer_size = RECEIVE_BUFFER,
        .lookups = lookups,
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = resolve,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_RCVBUF | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&resolve->channel, &options, mask);
    if (status == ARES_SUCCESS)
        return true;
    log_say(LOG_ERROR, "error", "the resolver cannot be set up (%s); the process is started again later", ares_strerror(status));
    return false;
}

struct resolve *resolve_new(struct loop *loop, const struct conf_dns *settings)
{
    struct resolve *resolve = text_zalloc(sizeof *resolve);
    resolve->loop = loop;
    resolve->timeout_ms = settings->timeout_ms;
    resolve->tries = settings->tries;
    list_init(&resolve->waiting);
    list_init(&resolve->flight);
    if (!open_channel(resolve, settings)) {
        free(resolve);
        return NULL;
    }
    keep_system_servers(resolve);
    if (!set_servers(resolve, settings))
        resolve_free(&resolve);
    return resolve;
}

void resolve_free(struct resolve **resolve)
{
    if (!*resolve)
        return;
    (*resolve)->closing = true;
    ares_destroy((*resolve)->channel);
    while (!list_empty(&(*resolve)->waiting)) {
        struct query *query = LIST_ENTRY((*resolve)->waiting.next, struct query, node);
        list_remove(&query->node);
        free(query);
    }
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        watch_fini(&(*resolve)->watches[i]);
    timer_fini(&(*resolve)->tick);
    ares_library_cleanup();
    free(*resolve);
    *resolve = NULL;
}

void resolve_settings(struct resolve *resolve, const struct conf_dns *settings)
{
    if (settings->timeout_ms != resolve->timeout_ms || settings->tries != resolve->tries)
        log_say(LOG_WARNING, "notice", "dns timeout and tries take effect when posternd is started again, not by a reload");
    resolve->changing = true;
    ares_cancel(resolve->channel);
    resolve->changing = false;
    set_servers(resolve, settings);
    fill_flight(resolve);
}

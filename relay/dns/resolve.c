/* c-ares sends, repeats, turns to the next server when one is silent, turns to TCP where an answer was cut, and matches answers
 * with questions by server, id and question. It tells through a callback which sockets it has; each gets a watch. Its own timers
 * are served by a tick that runs while anything is in flight: timeouts of seconds need no finer clock, and asking c-ares after each
 * packet when it wants to be called next would cost a walk over all questions.
 *
 * Left to itself, c-ares 1.18 also turns to the next server when one answers SERVFAIL, NOTIMP or REFUSED, but then forgets what it
 * was told and reports a refused connection. So the first channel passes such an answer on (ARES_FLAG_NOCHECKRESP), and where it is
 * one of these or FORMERR, and there is more than one server, the question goes to a second channel, which knows them from the last
 * to the first and asks each until one does better. When none does, the first answer's reason stands.
 *
 * A question that is lost comes again after a timeout of seconds. So that none is, those that were sent since the tick before the last and
 * are not answered may be so many only: who answers slowly has taken them from its socket by then.
 *
 * A name whose servers are silent keeps its place for as long as all tries take. So that a line full of such names holds up no other line,
 * a line may have half the flight where nobody else asks, half of what is left where one other does, and so on.
 *
 * The channels live as long as the process. They seed their ids from /dev/urandom when they are made, which the sandbox forbids
 * later, and would silently fall back to rand(3): so a reload changes the servers of these channels and never makes others. c-ares
 * takes new servers only while nothing is in flight; the questions are cancelled, kept, and asked again. */
#include "resolve.h"

#include "../base/buffer.h"
#include "../base/clock.h"
#include "../base/list.h"
#include "../base/log.h"
#include "../base/random.h"
#include "../base/text.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <stdlib.h>

#define SOCKETS_MAX      32     /* c-ares has two for each server at most */
#define SERVERS_MAX      8      /* beyond, a name server is not used */
#define TICK_MS          50     /* how late a timeout may be noticed */
#define EDNS_SIZE        1232   /* what passes any network unbroken (DNS flag day 2020) */
#define RECEIVE_BUFFER   524288 /* of a UDP socket: answers to RESOLVE_FLIGHT_MAX questions may come at once */
#define FLAGS_BYTE       3      /* of a question: RA, Z, AD, CD, RCODE (RFC 6895 2) */
#define FLAG_AD          0x20
#define SILENT_QUESTIONS 20 /* so many failures in a row are worth a log line */

struct query {
    struct list node; /* in its line, or in flight: in `fresh`, then `older` */
    struct resolve *resolve;
    struct line *line;
    char name[SMTP_DOMAIN_SIZE];
    enum answer_type type;
    enum dns_status reason; /* what the first channel's server failed with, once the second is asked; else DNS_OK */
    bool fresh;             /* it is in that list */
    bool without_edns;      /* a server did not understand it with EDNS (RFC 6891 7) */
    int64_t asked_ms, sent_ms;
    resolve_done done;
    void *context;
};

/* Who asks, as far as turns go. */
struct line {
    struct list waiting; /* in order of arrival */
    size_t nflight;
};

struct servers {
    char text[SERVERS_MAX][NETADDR_PORT_TEXT_SIZE];
    unsigned count;
};

struct channel {
    struct resolve *resolve;
    ares_channel ares;
    struct watch watches[SOCKETS_MAX];
};

struct resolve {
    struct loop *loop;
    struct channel first, second;
    struct timer tick;
    struct line lines[RESOLVE_LINES];
    unsigned turn;     /* the line that is looked at first */
    struct list fresh; /* sent a moment ago */
    struct list older;
    size_t nwaiting, nflight, nfresh;
    bool ticking, changing, closing;
    unsigned silent; /* questions in a row that no server answered */
    unsigned nservers;
    bool believed; /* that an answer is signed */
    int64_t timeout_ms;
    uint64_t tries;
    struct servers system_servers; /* of /etc/resolv.conf */
};

static void fill_flight(struct resolve *resolve);

/* c-ares reads, writes, and looks at its timers; then there may be room for those that wait. */
static void socket_ready(void *context, int fd, unsigned ready)
{
    struct channel *channel = context;
    ares_process_fd(channel->ares, ready & WATCH_READ ? fd : ARES_SOCKET_BAD, ready & WATCH_WRITE ? fd : ARES_SOCKET_BAD);
    fill_flight(channel->resolve);
}

/* c-ares opened, closed, or wants something else of a socket. */
static void socket_changed(void *context, ares_socket_t fd, int readable, int writable)
{
    struct channel *channel = context;
    struct watch *spare = NULL;
    unsigned wanted = (readable ? WATCH_READ : 0u) | (writable ? WATCH_WRITE : 0u);
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct watch *watch = &channel->watches[i];
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
        watch_set(spare, channel->resolve->loop, fd, wanted, socket_ready, channel);
}

/* Takes the first that waits in LINE. */
static struct query *leave_line(struct resolve *resolve, struct line *line)
{
    struct query *query = LIST_ENTRY(line->waiting.next, struct query, node);
    list_remove(&query->node);
    resolve->nwaiting--;
    return query;
}

/* Answers those that waited in LINE too long for their turn. */
static void expire_waiting(struct resolve *resolve, struct line *line)
{
    int64_t limit = clock_monotonic_ms() - RESOLVE_WAIT_MS;
    while (!list_empty(&line->waiting) && LIST_ENTRY(line->waiting.next, struct query, node)->asked_ms <= limit) {
        struct query *query = leave_line(resolve, line);
        query->done(query->context, DNS_TIMEOUT, SPAN(""));
        free(query);
    }
}

static void age_fresh(struct resolve *resolve)
{
    int64_t limit = clock_monotonic_ms() - TICK_MS;
    while (!list_empty(&resolve->fresh)) {
        struct query *query = LIST_ENTRY(resolve->fresh.next, struct query, node);
        if (query->sent_ms > limit)
            return;
        list_remove(&query->node);
        list_append(&resolve->older, &query->node);
        query->fresh = false;
        resolve->nfresh--;
    }
}

static void tick(void *context)
{
    struct resolve *resolve = context;
    resolve->ticking = false;
    for (unsigned i = 0; i < RESOLVE_LINES; i++)
        expire_waiting(resolve, &resolve->lines[i]);
    age_fresh(resolve);
    ares_process_fd(resolve->first.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    ares_process_fd(resolve->second.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    fill_flight(resolve);
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
        { ARES_EFORMERR, DNS_MALFORMED }, { ARES_EBADRESP, DNS_MALFORMED }, { ARES_ESERVFAIL, DNS_SERVFAIL },
        { ARES_ENOTIMP, DNS_SERVFAIL },   { ARES_EREFUSED, DNS_REFUSED },
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].ares == status)
            return meanings[i].status;
    return DNS_TIMEOUT;
}

/* What an answer says of the server. That a name does not exist is for answer_read to make something of. */
static enum dns_status status_of_answer(const unsigned char *bytes, int size)
{
    enum dns_status status = answer_code(span_make((const char *)bytes, (size_t)size));
    return status == DNS_NXDOMAIN ? DNS_OK : status;
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

/* Puts QUERY back in line; it begins anew. */
static void wait_again(struct query *query)
{
    query->reason = DNS_OK;
    query->without_edns = false;
    query->asked_ms = clock_monotonic_ms();
    list_append(&query->line->waiting, &query->node);
    query->resolve->nwaiting++;
}

static void answered(void *context, int status, int timeouts, unsigned char *bytes, int size);

/* Asks SERVERS. The question says that we understand the AD bit (RFC 6840 5.7), which c-ares does not put there by itself: a name server
 * that validates sets it in its answer then. */
static void ask_servers(struct query *query, ares_channel servers)
{
    unsigned char *question = NULL;
    uint16_t id;
    int size = 0, udp_size = query->without_edns ? 0 : EDNS_SIZE;
    random_bytes(&id, sizeof id);
    int status = ares_create_query(query->name, ns_c_in, (int)query->type, id, 1, &question, &size, udp_size);
    if (status != ARES_SUCCESS) {
        answered(query, status, 0, NULL, 0);
        return;
    }
    question[FLAGS_BYTE] |= FLAG_AD;
    ares_send(servers, question, size, answered, query);
    ares_free_string(question);
}

static void send_query(struct query *query, struct channel *channel)
{
    struct resolve *resolve = query->resolve;
    list_append(&resolve->fresh, &query->node);
    query->fresh = true;
    query->sent_ms = clock_monotonic_ms();
    resolve->nfresh++;
    resolve->nflight++;
    query->line->nflight++;
    ask_servers(query, channel->ares);
}

/* Is STATUS worth asking another server? */
static bool may_do_better(const struct query *query, enum dns_status status)
{
    bool is_of_server = status == DNS_SERVFAIL || status == DNS_REFUSED || status == DNS_MALFORMED;
    return is_of_server && query->reason == DNS_OK && query->resolve->nservers > 1;
}

static void answered(void *context, int ares_status, int timeouts, unsigned char *bytes, int size)
{
    struct query *query = context;
    struct resolve *resolve = query->resolve;
    enum dns_status status = ares_status == ARES_SUCCESS ? status_of_answer(bytes, size) : status_of(ares_status);
    (void)timeouts;
    if (status == DNS_OK && !resolve->believed)
        bytes[FLAGS_BYTE] &= (unsigned char)~FLAG_AD;
    list_remove(&query->node);
    resolve->nflight--;
    query->line->nflight--;
    resolve->nfresh -= query->fresh;
    if (resolve->changing) {
        wait_again(query);
        return;
    }
    if (!resolve->closing && status == DNS_MALFORMED && !query->without_edns) {
        query->without_edns = true;
        send_query(query, query->reason == DNS_OK ? &resolve->first : &resolve->second);
        return;
    }
    if (!resolve->closing && may_do_better(query, status)) {
        query->without_edns = false;
        query->reason = status;
        send_query(query, &resolve->second);
        return;
    }
    if (!resolve->closing) {
        if (query->reason != DNS_OK && status == DNS_TIMEOUT)
            status = query->reason;
        note_silence(resolve, status != DNS_TIMEOUT);
        query->done(query->context, status, status == DNS_OK ? span_make((const char *)bytes, (size_t)size) : SPAN(""));
    }
    free(query);
}

/* The line whose turn it is, of those that may send one more; NULL: none. */
static struct line *next_line(struct resolve *resolve)
{
    size_t unused = RESOLVE_FLIGHT_MAX - resolve->nflight;
    for (unsigned i = 0; i < RESOLVE_LINES; i++) {
        struct line *line = &resolve->lines[(resolve->turn + i) % RESOLVE_LINES];
        if (!list_empty(&line->waiting) && line->nflight < unused) {
            resolve->turn = (resolve->turn + i + 1) % RESOLVE_LINES;
            return line;
        }
    }
    return NULL;
}

static void fill_flight(struct resolve *resolve)
{
    struct line *line;
    while (resolve->nwaiting && resolve->nfresh < RESOLVE_BURST_MAX && (line = next_line(resolve)))
        send_query(leave_line(resolve, line), &resolve->first);
    start_ticking(resolve);
}

void resolve_query(struct resolve *resolve, unsigned line, const char *name, enum answer_type type, resolve_done done,
                   void *context)
{
    struct query *query = text_zalloc(sizeof *query);
    query->resolve = resolve;
    query->line = &resolve->lines[line];
    query->type = type;
    query->asked_ms = clock_monotonic_ms();
    query->done = done;
    query->context = context;
    text_copy(query->name, sizeof query->name, span_of(name));
    list_append(&query->line->waiting, &query->node);
    resolve->nwaiting++;
    fill_flight(resolve);
}

size_t resolve_pending(const struct resolve *resolve)
{
    return resolve->nwaiting + resolve->nflight;
}

/* Remembers the servers that c-ares took from /etc/resolv.conf. */
static void keep_system_servers(struct resolve *resolve)
{
    struct servers *kept = &resolve->system_servers;
    struct ares_addr_port_node *servers = NULL;
    ares_get_servers_ports(resolve->first.ares, &servers);
    for (const struct ares_addr_port_node *server = servers; server && kept->count < SERVERS_MAX; server = server->next) {
        char host[NETADDR_TEXT_SIZE];
        int port = server->udp_port ? server->udp_port : NS_DEFAULTPORT;
        ares_inet_ntop(server->family, &server->addr, host, sizeof host);
        text_format(kept->text[kept->count++], sizeof *kept->text, server->family == AF_INET6 ? "[%s]:%d" : "%s:%d", host, port);
    }
    ares_free_data(servers);
}

/* Gives SERVERS to both channels, to the second in the opposite order. */
static bool give_servers(struct resolve *resolve, const struct servers *servers)
{
    struct buffer forth, back;
    buffer_init(&forth, SERVERS_MAX * (NETADDR_PORT_TEXT_SIZE + 1));
    buffer_init(&back, SERVERS_MAX * (NETADDR_PORT_TEXT_SIZE + 1));
    for (unsigned i = 0; i < servers->count; i++) {
        buffer_addf(&forth, i ? ",%s" : "%s", servers->text[i]);
        buffer_addf(&back, i ? ",%s" : "%s", servers->text[servers->count - 1 - i]);
    }
    bool given = ares_set_servers_ports_csv(resolve->first.ares, buffer_text(&forth)) == ARES_SUCCESS &&
                 ares_set_servers_ports_csv(resolve->second.ares, buffer_text(&back)) == ARES_SUCCESS;
    if (!given)
        log_say(LOG_ERROR, "error", "the name servers %s cannot be used", buffer_text(&forth));
    buffer_fini(&forth);
    buffer_fini(&back);
    return given;
}

/* Are SERVERS believed that an answer is signed? c-ares does not tell which of them an answer is from, so all are or none. */
static bool is_believed(const struct servers *servers, enum conf_trust_ad trust)
{
    for (unsigned i = 0; trust == CONF_TRUST_AD_LOCAL && i < servers->count; i++) {
        struct netaddr address;
        if (!netaddr_parse_port(span_of(servers->text[i]), &address) || !netaddr_is_self(&address))
            return false;
    }
    return trust != CONF_TRUST_AD_NO;
}

/* SETTINGS' servers, or the system's. */
static bool set_servers(struct resolve *resolve, const struct conf_dns *settings)
{
    struct servers servers = { .count = 0 };
    for (size_t i = 0; i < settings->servers.count && i < SERVERS_MAX; i++)
        netaddr_print_port(&settings->servers.items[i], servers.text[servers.count++]);
    if (!servers.count)
        servers = resolve->system_servers;
    resolve->nservers = servers.count;
    resolve->believed = is_believed(&servers, settings->trust_ad);
    return give_servers(resolve, &servers);
}

static bool open_channel(struct channel *channel, struct resolve *resolve, int flags, int timeout_ms, int tries)
{
    char lookups[] = "b"; /* never /etc/hosts */
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS | flags,
        .timeout = timeout_ms,
        .tries = tries,
        .ednspsz = EDNS_SIZE,
        .socket_receive_buffer_size = RECEIVE_BUFFER,
        .lookups = lookups,
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = channel,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_RCVBUF | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB;
    channel->resolve = resolve;
    int status = ares_init_options(&channel->ares, &options, mask);
    if (status == ARES_SUCCESS)
        return true;
    channel->ares = NULL;
    log_say(LOG_ERROR, "error", "the resolver cannot be set up (%s); the process is started again later", ares_strerror(status));
    return false;
}

static void close_channel(struct channel *channel)
{
    if (channel->ares)
        ares_destroy(channel->ares);
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        watch_fini(&channel->watches[i]);
}

struct resolve *resolve_new(struct loop *loop, const struct conf_dns *settings)
{
    struct resolve *resolve = text_zalloc(sizeof *resolve);
    int timeout_ms = (int)settings->timeout_ms;
    resolve->loop = loop;
    resolve->timeout_ms = settings->timeout_ms;
    resolve->tries = settings->tries;
    for (unsigned i = 0; i < RESOLVE_LINES; i++)
        list_init(&resolve->lines[i].waiting);
    list_init(&resolve->fresh);
    list_init(&resolve->older);
    ares_library_init(ARES_LIB_INIT_ALL);
    if (open_channel(&resolve->first, resolve, ARES_FLAG_NOCHECKRESP, timeout_ms, (int)settings->tries) &&
        open_channel(&resolve->second, resolve, 0, timeout_ms, 1)) {
        keep_system_servers(resolve);
        if (set_servers(resolve, settings))
            return resolve;
    }
    resolve_free(&resolve);
    return NULL;
}

void resolve_free(struct resolve **resolve)
{
    if (!*resolve)
        return;
    (*resolve)->closing = true;
    close_channel(&(*resolve)->first);
    close_channel(&(*resolve)->second);
    for (unsigned i = 0; i < RESOLVE_LINES; i++)
        while (!list_empty(&(*resolve)->lines[i].waiting))
            free(leave_line(*resolve, &(*resolve)->lines[i]));
    timer_fini(&(*resolve)->tick);
    ares_library_cleanup();
    free(*resolve);
    *resolve = NULL;
}

bool resolve_settings(struct resolve *resolve, const struct conf_dns *settings)
{
    bool before = resolve->believed;
    if (settings->timeout_ms != resolve->timeout_ms || settings->tries != resolve->tries)
        log_say(LOG_WARNING, "notice", "dns timeout and tries take effect when posternd is started again, not by a reload");
    resolve->changing = true;
    ares_cancel(resolve->first.ares);
    ares_cancel(resolve->second.ares);
    resolve->changing = false;
    set_servers(resolve, settings);
    fill_flight(resolve);
    return resolve->believed != before;
}

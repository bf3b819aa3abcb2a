/* Hosts are resolved class by class: all hosts of one preference are asked for at once, and none of them is tried before all have
 * answered, because one that turns out to be this relay takes its whole class and all worse ones away (RFC 5321 5.1: a relay that
 * finds itself among the MX hosts must drop those of equal and higher preference number, or mail goes round in circles).
 *
 * Everything that may never be connected to is decided here, before a socket is made: this relay itself, and for MX hosts private
 * addresses, which a foreign domain's owner could otherwise use to reach into the office's network.
 *
 * Failures are sorted into those that time may mend and those that it will not. One of the first kind makes the whole attempt
 * temporary. A route's host is the administrator's own choice: a name in it that does not resolve is a mistake to be mended, so
 * mail waits instead of bouncing. */
#include "connect.h"

#include "../base/clock.h"
#include "../base/random.h"
#include "../base/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_SOURCES_MAX 4 /* that are tried to bind to for one connection */

enum host_state { HOST_UNASKED, HOST_ASKED, HOST_ASKED_TLSA, HOST_ANSWERED };

struct connect_host {
    char name[SMTP_DOMAIN_SIZE];
    uint16_t preference;
    uint16_t port;
    enum host_state state;
    struct dns_tlsa *tlsa; /* its records; NULL: it has none that count, or they do not */
    bool is_unsafe;        /* whether it has some could not be found out: nothing is sent there */
    unsigned naddresses;
    unsigned tries;
    bool tried[DNS_ADDRESSES_MAX];
    struct netaddr addresses[DNS_ADDRESSES_MAX];
};

/* Fisher-Yates over hosts FIRST to END - 1. */
static void shuffle(struct connect_host *hosts, unsigned first, unsigned end)
{
    for (unsigned i = end - 1; i > first; i--) {
        unsigned k = first + random_below(i - first + 1);
        struct connect_host kept = hosts[i];
        hosts[i] = hosts[k];
        hosts[k] = kept;
    }
}

/* Hosts of the class that FIRST begins: up to the returned index. A route's hosts stand for themselves. */
static unsigned class_end(const struct connect *connect, unsigned first)
{
    unsigned end = first + 1;
    while (connect->mx && end < connect->count && connect->hosts[end].preference <= connect->hosts[first].preference)
        end++;
    return end;
}

/* There is a temporary failure: the place for why. */
static struct reason *temporary_reason(struct connect *connect)
{
    if (!connect->reason)
        connect->reason = text_zalloc(sizeof *connect->reason);
    return connect->reason;
}

void connect_init(struct connect *connect, const struct delivery_open *open, const struct connect_rules *rules, connect_ask ask,
                  void *context)
{
    *connect = (struct connect){ .rules = rules, .ask = ask, .context = context, .mx = open->is_mx != 0 };
    connect->pool = text_dup(span_of_array(open->source, sizeof open->source));
    unsigned count = open->count < DNS_HOSTS_MAX ? open->count : DNS_HOSTS_MAX;
    connect->hosts = text_zalloc((count ? count : 1) * sizeof *connect->hosts);
    for (unsigned i = 0; i < count; i++) {
        struct connect_host *host = &connect->hosts[connect->count];
        struct span name = span_of_array(open->hosts[i].name, sizeof open->hosts[i].name);
        if (!name.n || !text_copy(host->name, sizeof host->name, name))
            continue;
        host->preference = open->hosts[i].preference;
        host->port = open->hosts[i].port;
        connect->count++;
    }
    connect->nhosts = connect->count;
    if (!connect->count)
        reason_local(temporary_reason(connect), "4.4.4", "no host was named for this site");
    for (unsigned first = 0; first < connect->count; first = class_end(connect, first))
        shuffle(connect->hosts, first, class_end(connect, first));
}

static void forget_reason(struct connect *connect)
{
    free(connect->reason);
    connect->reason = NULL;
    connect->reason_stays = false;
}

void connect_fini(struct connect *connect)
{
    forget_reason(connect);
    for (unsigned i = 0; i < connect->nhosts; i++)
        free(connect->hosts[i].tlsa);
    free(connect->hosts);
    free(connect->pool);
    connect->pool = NULL;
    connect->hosts = NULL;
    connect->count = 0;
}

void connect_restart(struct connect *connect)
{
    for (unsigned i = 0; i < connect->count; i++)
        connect->hosts[i].state = HOST_UNASKED;
    connect->at = connect->prepared = connect->tries = 0;
    connect->saw_loop = connect->saw_private = connect->saw_rest = connect->last_resort = false;
    forget_reason(connect);
}

void connect_use_ipv4(struct connect *connect)
{
    connect->ipv4_only = true;
    connect_restart(connect);
}

bool connect_literal(struct span host, struct netaddr *ret_address)
{
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = span_make(host.p + 1, host.n - 2);
    if (span_starts_nocase(host, SPAN("IPv6:")))
        host = span_skip(host, 5);
    return netaddr_parse(host, ret_address);
}

/* IPv6 and IPv4 in turn, the one first that served this host last, else IPv6: where a machine's IPv6 leads nowhere, the tries are not
 * used up before IPv4 has its own. */
static void keep_addresses(struct connect_host *host, uint8_t first, const struct netaddr *addresses, unsigned count)
{
    const uint8_t families[2] = { first == 4 ? 4 : 6, first == 4 ? 6 : 4 };
    unsigned from[2] = { 0, 0 };
    host->naddresses = host->tries = 0;
    memset(host->tried, 0, sizeof host->tried);
    for (unsigned turn = 0; from[0] < count || from[1] < count; turn ^= 1) {
        while (from[turn] < count && addresses[from[turn]].family != families[turn])
            from[turn]++;
        if (from[turn] == count)
            continue;
        host->addresses[host->naddresses] = addresses[from[turn]++];
        host->addresses[host->naddresses++].port = host->port;
    }
}

/* What is missing of HOST could not be found out because of STATUS. */
static void note_trouble(struct connect *connect, const struct connect_host *host, const char *missing, enum dns_status status)
{
    reason_local(temporary_reason(connect), dns_is_temporary(status) ? "4.4.3" : "4.4.4", "%s of %s could not be found: %s",
                 missing, host->name, dns_status_text(status));
}

void connect_answer(struct connect *connect, unsigned index, const struct dns_address *answer)
{
    if (index >= connect->count || connect->hosts[index].state != HOST_ASKED)
        return;
    struct connect_host *host = &connect->hosts[index];
    enum dns_status status = (enum dns_status)answer->status;
    keep_addresses(host, reach_family(connect->rules->reach, host->name), answer->addresses,
                   status == DNS_OK && answer->count <= DNS_ADDRESSES_MAX ? answer->count : 0);
    if (status >= DNS_STATUSES || (status == DNS_OK && !host->naddresses))
        status = DNS_MALFORMED;
    host->state = HOST_ANSWERED;
    if (connect->wants_tlsa && host->naddresses && answer->may_have_tlsa) {
        host->state = HOST_ASKED_TLSA;
        connect->ask(connect->context, index, host->name, host->port);
    } else if (dns_is_temporary(status) || (!connect->mx && !host->naddresses)) {
        note_trouble(connect, host, "the address", status);
    }
}

static void keep_tlsa(struct connect_host *host, const struct dns_tlsa *answer)
{
    size_t size = answer->size <= sizeof answer->records ? answer->size : sizeof answer->records;
    host->tlsa = text_zalloc(sizeof *host->tlsa);
    memcpy(host->tlsa, answer, offsetof(struct dns_tlsa, records) + size);
    host->tlsa->size = (uint32_t)size;
    host->tlsa->base[sizeof host->tlsa->base - 1] = '\0';
}

void connect_answer_tlsa(struct connect *connect, unsigned index, const struct dns_tlsa *answer)
{
    if (index >= connect->count || connect->hosts[index].state != HOST_ASKED_TLSA)
        return;
    struct connect_host *host = &connect->hosts[index];
    enum dns_status status = answer->status < DNS_STATUSES ? (enum dns_status)answer->status : DNS_MALFORMED;
    host->state = HOST_ANSWERED;
    if (status == DNS_OK && answer->size && *answer->base)
        keep_tlsa(host, answer);
    else if (status == DNS_OK || dns_is_temporary(status)) {
        host->is_unsafe = true;
        note_trouble(connect, host, "the TLSA records (DANE)", status == DNS_OK ? DNS_MALFORMED : status);
    }
}

void connect_ask_again(const struct connect *connect)
{
    for (unsigned i = 0; i < connect->count; i++) {
        const struct connect_host *host = &connect->hosts[i];
        if (host->state == HOST_ASKED || host->state == HOST_ASKED_TLSA)
            connect->ask(connect->context, i, host->name, host->state == HOST_ASKED ? 0 : host->port);
    }
}

void connect_unanswered(struct connect *connect)
{
    static const struct dns_address no_address = { .status = DNS_TIMEOUT };
    static const struct dns_tlsa no_tlsa = { .status = DNS_TIMEOUT };
    for (unsigned i = 0; i < connect->count; i++) {
        connect_answer_tlsa(connect, i, &no_tlsa);
        connect_answer(connect, i, &no_address);
    }
}

static void resolve(struct connect *connect, unsigned index)
{
    struct connect_host *host = &connect->hosts[index];
    struct dns_address literal = { .status = DNS_OK, .count = 1 };
    host->state = HOST_ASKED;
    host->is_unsafe = false;
    free(host->tlsa);
    host->tlsa = NULL;
    if (connect_literal(span_of(host->name), &literal.addresses[0]))
        connect_answer(connect, index, &literal);
    else
        connect->ask(connect->context, index, host->name, 0);
}

/* Is the strict rule in force: addresses come from the world, and nothing private may be reached? */
static bool is_strict(const struct connect *connect)
{
    return connect->mx && !connect->rules->allow_private;
}

static bool is_this_relay(const struct connect *connect, const struct connect_host *host)
{
    if (connect->mx && span_equal_nocase(span_of(host->name), span_of(connect->rules->hostname)))
        return true;
    for (unsigned i = 0; i < host->naddresses; i++)
        if (own_leads_here(connect->rules->own, &host->addresses[i], is_strict(connect)))
            return true;
    return false;
}

/* Resolves the class that begins at `prepared` and looks for this relay in it. False while an answer is missing. */
static bool prepare_class(struct connect *connect)
{
    unsigned first = connect->prepared, end = class_end(connect, first);
    bool complete = true;
    for (unsigned i = first; i < end; i++) {
        if (connect->hosts[i].state == HOST_UNASKED)
            resolve(connect, i);
        complete = complete && connect->hosts[i].state == HOST_ANSWERED;
    }
    if (!complete)
        return false;
    connect->prepared = end;
    for (unsigned i = first; i < end; i++) {
        if (!is_this_relay(connect, &connect->hosts[i]))
            continue;
        connect->saw_loop = true;
        connect->hosts[i].naddresses = 0;
        if (!connect->mx)
            continue;
        connect->count = connect->prepared = first;
        if (first == 0)
            forget_reason(connect); /* trouble with a host that is dropped does not count */
    }
    return true;
}

/* May ADDRESS be connected to at all? */
static bool is_allowed(const struct connect *connect, const struct netaddr *address)
{
    return !(connect->ipv4_only && address->family != 4) && !(is_strict(connect) && netaddr_is_private(address));
}

/* The next address of HOST that may be tried, not of the family OTHER_THAN (0: any); -1 where there is none. */
static int next_address(struct connect *connect, const struct connect_host *host, uint8_t other_than)
{
    if (connect->tries >= CONNECT_TRIES_MAX || host->tries >= CONNECT_HOST_TRIES_MAX || host->is_unsafe)
        return -1;
    for (unsigned i = 0; i < host->naddresses; i++) {
        const struct netaddr *address = &host->addresses[i];
        if (host->tried[i] || address->family == other_than)
            continue;
        if (!is_allowed(connect, address))
            connect->saw_private = connect->saw_private || (is_strict(connect) && netaddr_is_private(address));
        else if (!connect->last_resort && reach_rests(connect->rules->reach, address, clock_monotonic_ms()))
            connect->saw_rest = true;
        else
            return (int)i;
    }
    return -1;
}

static void take(struct connect *connect, struct connect_host *host, int index, struct connect_target *ret_target)
{
    connect->tries++;
    host->tries++;
    host->tried[index] = true;
    *ret_target = (struct connect_target){ .host = host->name, .address = host->addresses[index], .tlsa = host->tlsa };
    reach_probe(connect->rules->reach, &ret_target->address, clock_monotonic_ms());
}

/* Nothing could be tried since every address rests: they are not left alone for that, as the queue has rested the site long enough. */
static bool resort(struct connect *connect)
{
    if (connect->tries || !connect->saw_rest || connect->last_resort)
        return false;
    connect->last_resort = true;
    connect->at = 0;
    return true;
}

enum connect_progress connect_next(struct connect *connect, struct connect_target *ret_target)
{
    while (connect->at < connect->count || resort(connect)) {
        if (connect->at >= connect->prepared) {
            if (!prepare_class(connect))
                return CONNECT_WAIT;
            continue;
        }
        struct connect_host *host = &connect->hosts[connect->at];
        int index = next_address(connect, host, 0);
        if (index >= 0) {
            take(connect, host, index, ret_target);
            return CONNECT_TARGET;
        }
        if (connect->tries >= CONNECT_TRIES_MAX)
            break;
        connect->at++;
    }
    return CONNECT_OVER;
}

/* The host that the last target is of. */
static struct connect_host *host_of(const struct connect *connect, const struct connect_target *target)
{
    bool is_there = connect->at < connect->prepared && connect->hosts[connect->at].name == target->host;
    return is_there ? &connect->hosts[connect->at] : NULL;
}

bool connect_rival(struct connect *connect, const struct connect_target *target, struct connect_target *ret_rival)
{
    struct connect_host *host = host_of(connect, target);
    int index = host ? next_address(connect, host, target->address.family) : -1;
    if (index >= 0)
        take(connect, host, index, ret_rival);
    return index >= 0;
}

bool connect_has_other(const struct connect *connect, const struct connect_target *target)
{
    const struct connect_host *host = host_of(connect, target);
    for (unsigned i = 0; host && i < host->naddresses; i++)
        if (host->addresses[i].family != target->address.family && is_allowed(connect, &host->addresses[i]))
            return true;
    return false;
}

void connect_failed(struct connect *connect, const struct reason *reason, bool counted)
{
    if (!counted) {
        connect->tries--;
        connect->hosts[connect->at].tries--;
    }
    bool is_first = !connect->reason;
    struct reason *kept = temporary_reason(connect);
    /* What a server said is worth more than that the other family leads nowhere. */
    if (is_first || (counted && !connect->reason_stays))
        *kept = *reason;
}

void connect_failed_login(struct connect *connect, const struct reason *reason)
{
    connect_failed(connect, reason, true);
    connect->reason_stays = true;
}

enum delivery_end connect_verdict(const struct connect *connect, struct reason *ret_reason)
{
    if (connect->reason) {
        *ret_reason = *connect->reason;
        return DELIVERY_UNREACHABLE;
    }
    if (connect->saw_loop)
        reason_local(ret_reason, "5.4.6",
                     "mail for this domain would come back to this relay: its best host is the relay itself");
    else if (connect->saw_private)
        reason_local(ret_reason, "5.4.4", "the domain's hosts have only private or local addresses, which mail is not sent to");
    else
        reason_local(ret_reason, "5.4.4", "none of the domain's hosts has an address");
    if (!connect->is_partial)
        return DELIVERY_IMPOSSIBLE;
    ret_reason->enhanced[0] = '4';
    return DELIVERY_UNREACHABLE;
}

static struct sources_want want_of(const struct connect *connect, const struct connect_target *target)
{
    return (struct sources_want){ connect->pool, target->address.family, target->host, connect->rules->reach };
}

bool connect_refused_source(const struct connect *connect, const struct connect_target *target)
{
    struct sources_want want = want_of(connect, target);
    if (!target->source)
        return false;
    reach_refuse(connect->rules->reach, target->host, &target->source->address);
    return sources_has(connect->rules->sources, &want);
}

/* Binds FD to a source for TARGET. One that cannot be bound to rests; then the others are tried. False with errno. */
static bool bind_source(const struct connect *connect, int fd, struct connect_target *target)
{
    struct sources_want want = want_of(connect, target);
    struct sockaddr_storage address;
    target->source = NULL;
    for (unsigned tries = 0; tries < CONNECT_SOURCES_MAX; tries++) {
        enum sources_choice choice = SOURCES_ANY;
        if (connect->rules->sources)
            choice = sources_choose(connect->rules->sources, &want, &target->source);
        if (choice == SOURCES_ANY)
            return true;
        errno = EADDRNOTAVAIL;
        if (choice == SOURCES_NONE)
            return false;
        /* The port is chosen at connect(), so that 28,000 of them serve each destination and not all together. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int));
        if (bind(fd, (struct sockaddr *)&address, netaddr_to_sockaddr(&target->source->address, &address)) == 0)
            return true;
        sources_rest(target->source, strerror(errno));
    }
    return false;
}

int connect_socket(const struct connect *way, struct connect_target *target)
{
    struct sockaddr_storage address;
    socklen_t size = netaddr_to_sockaddr(&target->address, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* Whole commands and whole contents are written at once: waiting for more (RFC 896) would only hold back their last part. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (bind_source(way, fd, target) && (connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

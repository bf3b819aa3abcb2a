/* Domains that were found good are remembered for a while, so that the ten-thousandth message to the same provider asks nobody. The
 * memory is small and forgets all at once when it is full: it only saves questions. */
#include "ask_dns.h"

#include "../base/clock.h"
#include "../base/map.h"
#include "../base/text.h"
#include "session.h"

#include <stdlib.h>

#define KNOWN_MAX   8192 /* domains */
#define KNOWN_S     300  /* seconds that a domain stays known, unless its TTL is shorter */
#define KNOWN_S_MIN 5

struct ask_dns {
    struct front *front;
    struct ipc *peer;
    struct map *known; /* domain → the second on the monotonic clock until which it counts */
};

struct ask_dns *ask_dns_new(struct front *front)
{
    struct ask_dns *dns = text_zalloc(sizeof *dns);
    dns->front = front;
    dns->known = map_new(KNOWN_MAX);
    return dns;
}

void ask_dns_free(struct ask_dns **dns)
{
    if (!*dns)
        return;
    ipc_free(&(*dns)->peer);
    map_free(&(*dns)->known, NULL);
    free(*dns);
    *dns = NULL;
}

static void closed(void *context)
{
    struct ask_dns *dns = context;
    ipc_free(&dns->peer);
    LIST_EACH(node, &dns->front->sessions) {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->wait.kind == WAIT_DNS)
            wait_answer(session, NULL);
    }
}

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct ask_dns *dns = context;
    const struct dns_mx *answer = body;
    (void)size;
    (void)fd;
    if (type != DNS_MX)
        return;
    struct session *session = wait_find(dns->front, WAIT_DNS, answer->ticket);
    if (session && answer->status < DNS_STATUSES)
        wait_answer(session, answer);
}

void ask_dns_peer(struct ask_dns *dns, unsigned slot, int fd)
{
    (void)slot;
    if (dns->peer)
        closed(dns);
    dns->peer = ipc_new(dns->front->role->loop, fd, &dns_channel, IPC_FRONT, received, closed, dns);
}

static uintptr_t now_s(void)
{
    return (uintptr_t)(clock_monotonic_ms() / 1000);
}

void ask_dns_good(struct ask_dns *dns, struct span domain, uint32_t ttl_s)
{
    uintptr_t until = now_s() + (ttl_s < KNOWN_S_MIN ? KNOWN_S_MIN : ttl_s < KNOWN_S ? ttl_s : KNOWN_S);
    if (map_count(dns->known) == KNOWN_MAX) {
        map_free(&dns->known, NULL);
        dns->known = map_new(KNOWN_MAX);
    }
    map_put(dns->known, domain, (void *)until, NULL);
}

/* Does mail for DOMAIN go to hosts that the settings name? Then its MX is nobody's business. "*" is no such route: a typing mistake
 * is one behind a smart host too. */
static bool is_routed(const struct ask_dns *dns, struct span domain)
{
    return conf_is_routed(dns->front->conf, domain);
}

bool ask_dns_needless(const struct front *front, struct span domain)
{
    const struct ask_dns *dns = front->dns;
    return !dns->peer || !domain.n || domain.n >= SMTP_DOMAIN_SIZE || domain.p[0] == '[' ||
           (uintptr_t)map_get(dns->known, domain) > now_s() || is_routed(dns, domain);
}

bool ask_dns_domain(struct session *session, struct span domain, wait_then then)
{
    struct ask_dns *dns = session->front->dns;
    struct dns_ask_mx question = { .ticket = 0 };
    if (ask_dns_needless(session->front, domain) || !text_copy(question.domain, sizeof question.domain, domain))
        return false;
    question.ticket = wait_ask(session, WAIT_DNS, then);
    if (ipc_send_soon(dns->peer, DNS_ASK_MX, &question, sizeof question))
        return true;
    wait_stop(session);
    return false;
}

const char *ask_dns_refusal(enum dns_status status, char *text, size_t size)
{
    if (status == DNS_OK || dns_is_temporary(status))
        return NULL;
    text_format(text, size, "%s %s %s", status == DNS_NULL_MX ? "556" : "550", dns_status_enhanced(status),
                dns_status_text(status));
    return text;
}

/* The DNS role: takes questions from submission, queue, delivery and control, and answers each once, in whatever order the answers
 * come. It may connect to the network and nothing else: no path is open to it after the start, and it never sees a byte of mail.
 *
 * Each role has its own line to the name servers, whatever its processes ask: what the queue asks for one sender's mail, of domains that
 * do not answer, holds up no client at RCPT.
 *
 * A peer that goes is forgotten with all it asked; the answers still go to the cache. */
#include "../base/list.h"
#include "../base/text.h"
#include "../role/mains.h"
#include "../role/role.h"
#include "addresses.h"
#include "lookup.h"
#include "mx.h"
#include "tlsa.h"
#include "txt.h"

#include <stdlib.h>

_Static_assert(ROLE_KINDS <= RESOLVE_LINES, "each role that asks has a line of its own");

struct dns {
    struct resolve *resolve;
    struct lookup *lookup;
    struct list peers;
};

/* A process of another role. */
struct peer {
    struct list node;
    struct dns *dns;
    struct ipc *ipc;
    enum role_kind kind;
    unsigned slot;
};

static void mx_found(void *context, uint64_t ticket, const struct found *found)
{
    struct peer *peer = context;
    struct dns_mx mx;
    size_t size = mx_unpack(found, ticket, &mx);
    ipc_send_soon(peer->ipc, DNS_MX, &mx,
                  size); /* where it fails, the peer has gone, or is so far behind that it must not wait */
}

static void address_found(void *context, uint64_t ticket, const struct found *found)
{
    struct peer *peer = context;
    struct dns_address address;
    size_t size = addresses_unpack(found, ticket, &address);
    ipc_send_soon(peer->ipc, DNS_ADDRESS, &address, size);
}

static void tlsa_found(void *context, uint64_t ticket, const struct found *found)
{
    struct peer *peer = context;
    struct dns_tlsa tlsa;
    size_t size = tlsa_unpack(found, ticket, &tlsa);
    ipc_send_soon(peer->ipc, DNS_TLSA, &tlsa, size);
}

static void txt_found(void *context, uint64_t ticket, const struct found *found)
{
    struct peer *peer = context;
    struct dns_txt txt;
    size_t size = txt_unpack(found, ticket, &txt);
    ipc_send_soon(peer->ipc, DNS_TXT, &txt, size);
}

static void ask_mx(struct peer *peer, const void *body)
{
    const struct dns_ask_mx *ask = body;
    struct span domain = span_of_array(ask->domain, sizeof ask->domain);
    lookup_ask(peer->dns->lookup, peer->kind, CACHE_MX, domain, mx_found, peer, ask->ticket);
}

static void ask_address(struct peer *peer, const void *body)
{
    const struct dns_ask_address *ask = body;
    struct span host = span_of_array(ask->host, sizeof ask->host);
    lookup_ask(peer->dns->lookup, peer->kind, CACHE_ADDRESS, host, address_found, peer, ask->ticket);
}

/* A name that is too long to exist, or none, has no records: lookup_ask says so of the empty one. */
static void ask_tlsa(struct peer *peer, const void *body)
{
    const struct dns_ask_tlsa *ask = body;
    struct span host = span_of_array(ask->host, sizeof ask->host);
    char name[SMTP_DOMAIN_SIZE];
    if (!host.n || !text_format(name, sizeof name, "_%u._tcp.%.*s", ask->port, SPAN_ARGS(host)))
        name[0] = '\0';
    lookup_ask(peer->dns->lookup, peer->kind, CACHE_TLSA, span_of(name), tlsa_found, peer, ask->ticket);
}

static void ask_txt(struct peer *peer, const void *body)
{
    const struct dns_ask_txt *ask = body;
    struct span name = span_of_array(ask->name, sizeof ask->name);
    lookup_ask(peer->dns->lookup, peer->kind, CACHE_TXT, name, txt_found, peer, ask->ticket);
}

static void (*const handlers[DNS_COUNT])(struct peer *peer, const void *body) = {
    [DNS_ASK_MX] = ask_mx,
    [DNS_ASK_ADDRESS] = ask_address,
    [DNS_ASK_TLSA] = ask_tlsa,
    [DNS_ASK_TXT] = ask_txt,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    (void)fd;
    if (type < DNS_COUNT && handlers[type])
        handlers[type](context, body);
}

static void drop_peer(void *context)
{
    struct peer *peer = context;
    lookup_forget(peer->dns->lookup, peer);
    list_remove(&peer->node);
    ipc_free(&peer->ipc);
    free(peer);
}

static bool start(struct role *role)
{
    struct resolve *resolve = resolve_new(role->loop, &role->conf->dns);
    if (!resolve)
        return false;
    struct dns *dns = text_zalloc(sizeof *dns);
    dns->resolve = resolve;
    dns->lookup = lookup_new(resolve, role->conf);
    list_init(&dns->peers);
    role->state = dns;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    (void)role;
    sandbox->duties = SANDBOX_CONNECT;
}

static void peer_came(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct dns *dns = role->state;
    LIST_EACH(node, &dns->peers) {
        struct peer *old = LIST_ENTRY(node, struct peer, node);
        if (old->kind == kind && old->slot == slot)
            drop_peer(old);
    }
    struct peer *peer = text_zalloc(sizeof *peer);
    *peer = (struct peer){ .dns = dns, .kind = kind, .slot = slot };
    list_append(&dns->peers, &peer->node);
    peer->ipc = ipc_new(role->loop, fd, &dns_channel, IPC_BACK, received, drop_peer, peer);
}

static void settings(struct role *role)
{
    struct dns *dns = role->state;
    lookup_settings(dns->lookup, role->conf);
    if (resolve_settings(dns->resolve, &role->conf->dns))
        lookup_forget_answers(dns->lookup);
}

static void stop(struct role *role)
{
    struct dns *dns = role->state;
    if (!dns)
        return;
    LIST_EACH(node, &dns->peers)
        drop_peer(LIST_ENTRY(node, struct peer, node));
    resolve_free(&dns->resolve);
    lookup_free(&dns->lookup);
    free(dns);
    role->state = NULL;
}

int dns_main(int fd)
{
    static const struct role_steps steps = {
        .start = start,
        .sandbox = sandbox,
        .peer = peer_came,
        .settings = settings,
        .stop = stop,
    };
    struct role role = { .kind = ROLE_DNS };
    return role_run(&role, fd, &steps);
}

/* The MTA-STS role: takes questions from queue and control about the policies of recipient domains (RFC 8461), asks dns for their TXT records
 * and addresses, fetches what is new over HTTPS, and keeps it.
 *
 * It reads what any domain's web server sends, so it is a process by itself. It may connect to the network, to addresses that dns has told
 * it and that are nobody's private ones, and write to its own folder; it reaches no other path, and sees of the mail the recipients'
 * domains and nothing else. */
#include "../base/clock.h"
#include "../base/list.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../role/mains.h"
#include "../role/role.h"
#include "inquiry.h"
#include "policyfile.h"

#include <stdlib.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define WHOLE_MS   30000

struct sts {
    struct role *role;
    struct kept *kept;
    struct fetch *fetch;
    struct inquiries *inquiries;
    struct ipc *dns;
    struct list peers;
    struct sandbox_path path;
    char *ca_file; /* as it was at the start */
};

/* A process that asks. */
struct peer {
    struct list node;
    struct sts *sts;
    struct ipc *ipc;
    enum role_kind kind;
    unsigned slot;
};

/* --- those who ask --- */

static void answered(void *context, uint64_t ticket, const struct inquiry_answer *answer)
{
    struct peer *peer = context;
    struct sts_policy policy = { .ticket = ticket, .mode = answer->mode, .ttl_s = answer->ttl_s };
    if (answer->mode != STS_NONE) {
        policy.size = (uint32_t)answer->hosts.n;
        memcpy(policy.hosts, answer->hosts.p, answer->hosts.n);
    }
    ipc_send_soon(peer->ipc, STS_POLICY, &policy, offsetof(struct sts_policy, hosts) + policy.size);
}

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct peer *peer = context;
    const struct sts_ask *ask = body;
    (void)size;
    (void)fd;
    if (type == STS_ASK)
        inquiry_ask(peer->sts->inquiries, span_of_array(ask->domain, sizeof ask->domain), answered, peer, ask->ticket);
}

static void drop_peer(void *context)
{
    struct peer *peer = context;
    inquiry_forget(peer->sts->inquiries, peer);
    list_remove(&peer->node);
    ipc_free(&peer->ipc);
    free(peer);
}

static void add_peer(struct sts *sts, enum role_kind kind, unsigned slot, int fd)
{
    LIST_EACH(node, &sts->peers) {
        struct peer *old = LIST_ENTRY(node, struct peer, node);
        if (old->kind == kind && old->slot == slot)
            drop_peer(old);
    }
    struct peer *peer = text_zalloc(sizeof *peer);
    *peer = (struct peer){ .sts = sts, .kind = kind, .slot = slot };
    list_append(&sts->peers, &peer->node);
    peer->ipc = ipc_new(sts->role->loop, fd, &sts_channel, IPC_BACK, received, drop_peer, peer);
}

/* --- dns --- */

static void dns_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct sts *sts = context;
    (void)size;
    (void)fd;
    if (type == DNS_TXT)
        inquiry_txt(sts->inquiries, body);
    else if (type == DNS_ADDRESS)
        inquiry_address(sts->inquiries, body);
}

static void dns_closed(void *context)
{
    struct sts *sts = context;
    ipc_free(&sts->dns);
    inquiry_dns(sts->inquiries, NULL);
}

static void peer_came(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct sts *sts = role->state;
    if (kind == ROLE_QUEUE || kind == ROLE_CONTROL) {
        add_peer(sts, kind, slot, fd);
    } else if (kind == ROLE_DNS) {
        ipc_free(&sts->dns);
        sts->dns = ipc_new(role->loop, fd, &dns_channel, IPC_FRONT, dns_received, dns_closed, sts);
        inquiry_dns(sts->inquiries, sts->dns);
    } else {
        close(fd);
    }
}

/* --- the role --- */

static bool start(struct role *role)
{
    struct sts *sts = text_zalloc(sizeof *sts);
    sts->role = role;
    sts->ca_file = text_dup(span_of(conf_ca_file(role->conf)));
    const struct fetch_settings settings = { sts->ca_file, CONNECT_MS, WHOLE_MS, POLICYFILE_SIZE_MAX, "text/plain" };
    sts->fetch = fetch_new(role->loop, &settings);
    sts->kept = kept_new(KEPT_MAX);
    sts->inquiries = inquiry_new(role->loop, sts->kept, sts->fetch, role->conf);
    list_init(&sts->peers);
    role->state = sts;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    struct sts *sts = role->state;
    sts->path = (struct sandbox_path){ role->conf->mta_sts.directory, true };
    sandbox->duties = SANDBOX_CONNECT | SANDBOX_READ_FILES | SANDBOX_WRITE_FILES;
    sandbox->paths = &sts->path;
    sandbox->npaths = 1;
}

/* The sandbox is closed and the user is the role's: only now is a file read that this user wrote. */
static void begin(struct role *role)
{
    struct sts *sts = role->state;
    kept_open(sts->kept, role->loop, role->conf->mta_sts.directory, clock_wall_ms());
}

static void settings(struct role *role)
{
    struct sts *sts = role->state;
    if (strcmp(conf_ca_file(role->conf), sts->ca_file) != 0)
        log_say(LOG_WARNING, "notice",
                "for fetching MTA-STS policies, ca-file takes effect when posternd is started again, not by a reload");
    inquiry_settings(sts->inquiries, role->conf);
}

static void stop(struct role *role)
{
    struct sts *sts = role->state;
    if (!sts)
        return;
    LIST_EACH(node, &sts->peers)
        drop_peer(LIST_ENTRY(node, struct peer, node));
    ipc_free(&sts->dns);
    fetch_free(&sts->fetch);
    inquiry_free(&sts->inquiries);
    kept_free(&sts->kept);
    free(sts->ca_file);
    free(sts);
    role->state = NULL;
}

int sts_main(int fd)
{
    static const struct role_steps steps = {
        .start = start,
        .sandbox = sandbox,
        .open = begin,
        .peer = peer_came,
        .settings = settings,
        .stop = stop,
    };
    struct role role = { .kind = ROLE_STS };
    return role_run(&role, fd, &steps);
}

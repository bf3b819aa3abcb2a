/* One table a channel: the message type finds its handler. A peer that goes, or is replaced by one with the same slot, is told to the
 * room that it concerns before anything of the new one is read. */
#include "channels.h"

#include "../base/text.h"
#include "../channels/queue_policy.h"
#include "../channels/submission_queue.h"
#include "accounts.h"
#include "admin.h"
#include "arrive.h"
#include "deliverer.h"
#include "domain.h"
#include "letters.h"
#include "store.h"
#include "supply.h"

#include <stdlib.h>
#include <unistd.h>

/* A peer other than delivery. */
struct peer {
    struct queue *queue;
    const struct service *service;
    unsigned slot;
    struct ipc *ipc;
};

struct service {
    const struct ipc_channel *channel;
    enum ipc_side side;
    void (*const *handlers)(struct peer *peer, const void *body);
    void (*come)(struct peer *peer);
    void (*gone)(struct peer *peer);
};

struct channels {
    struct peer *peers[ROLE_KINDS][ROLE_SLOTS];
};

static void take_ask(struct peer *peer, const void *body)
{
    const struct segment_ask *ask = body;
    supply_ask(peer->queue, (int)peer->slot, ask->large, ask->ticket);
}

static void take_done(struct peer *peer, const void *body)
{
    const struct segment_done *done = body;
    supply_done(peer->queue, (int)peer->slot, done->number, done->failed);
}

static void take_stored(struct peer *peer, const void *body)
{
    const struct messages_stored *stored = body;
    for (uint32_t i = 0; i < stored->count && i < STORED_MESSAGES_MAX; i++)
        arrive_stored(peer->queue, stored->each[i].segment, stored->each[i].offset, stored->each[i].id);
}

static void (*const submission_handlers[SUBMISSION_QUEUE_COUNT])(struct peer *, const void *) = {
    [SEGMENT_ASK] = take_ask,
    [SEGMENT_DONE] = take_done,
    [MESSAGES_STORED] = take_stored,
};

static void tell_space(struct peer *peer)
{
    struct spool_space space = { .enough = peer->queue->store->enough };
    ipc_send(peer->ipc, SPOOL_SPACE, &space, sizeof space, -1);
}

static void submission_gone(struct peer *peer)
{
    supply_gone(peer->queue, (int)peer->slot);
}

static void take_mx(struct peer *peer, const void *body)
{
    domains_answer(peer->queue, body);
}

static void (*const dns_handlers[DNS_COUNT])(struct peer *, const void *) = { [DNS_MX] = take_mx };

static void dns_come(struct peer *peer)
{
    domains_channel(peer->queue, peer->ipc);
}

static void dns_gone(struct peer *peer)
{
    domains_channel(peer->queue, NULL);
}

static void take_policy(struct peer *peer, const void *body)
{
    domains_policy(peer->queue, body);
}

static void (*const sts_handlers[STS_COUNT])(struct peer *, const void *) = { [STS_POLICY] = take_policy };

static void sts_come(struct peer *peer)
{
    domains_sts(peer->queue, peer->ipc);
}

static void sts_gone(struct peer *peer)
{
    domains_sts(peer->queue, NULL);
}

static void take_admin(struct peer *peer, const void *body)
{
    admin_ask(peer->queue, peer->ipc, body);
}

static void take_want(struct peer *peer, const void *body)
{
    admin_want(peer->queue, peer->ipc, body);
}

static void (*const control_handlers[ADMIN_COUNT])(struct peer *, const void *) = {
    [ADMIN_ASK] = take_admin,
    [ADMIN_WANT] = take_want,
};

static void control_gone(struct peer *peer)
{
    admin_gone(peer->queue, peer->ipc);
}

static void take_hold(struct peer *peer, const void *body)
{
    accounts_hold(peer->queue, body);
}

static void take_free(struct peer *peer, const void *body)
{
    accounts_let_go(peer->queue, body);
}

static void take_told(struct peer *peer, const void *body)
{
    (void)body;
    accounts_told(peer->queue);
}

static void take_letter(struct peer *peer, const void *body)
{
    letters_take(peer->queue, body);
}

static void (*const policy_handlers[QUEUE_POLICY_COUNT])(struct peer *, const void *) = {
    [ACCOUNT_HOLD] = take_hold,
    [ACCOUNT_FREE] = take_free,
    [ACCOUNTS_TOLD] = take_told,
    [LETTER] = take_letter,
};

static void policy_come(struct peer *peer)
{
    accounts_channel(peer->queue, peer->ipc);
}

static void policy_gone(struct peer *peer)
{
    accounts_channel(peer->queue, NULL);
}

static const struct service services[ROLE_KINDS] = {
    [ROLE_SUBMISSION] = { &submission_queue_channel, IPC_BACK, submission_handlers, tell_space, submission_gone },
    [ROLE_DNS] = { &dns_channel, IPC_FRONT, dns_handlers, dns_come, dns_gone },
    [ROLE_POLICY] = { &queue_policy_channel, IPC_FRONT, policy_handlers, policy_come, policy_gone },
    [ROLE_STS] = { &sts_channel, IPC_FRONT, sts_handlers, sts_come, sts_gone },
    [ROLE_CONTROL] = { &admin_channel, IPC_BACK, control_handlers, NULL, control_gone },
};

struct channels *channels_new(void)
{
    return text_zalloc(sizeof(struct channels));
}

void channels_free(struct channels **channels)
{
    if (!*channels)
        return;
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
            struct peer *peer = (*channels)->peers[kind][slot];
            if (peer)
                ipc_free(&peer->ipc);
            free(peer);
        }
    free(*channels);
    *channels = NULL;
}

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct peer *peer = context;
    (void)size;
    if (fd >= 0)
        close(fd); /* nobody hands the queue a descriptor: it makes those of the spool itself */
    if (peer->service->handlers[type])
        peer->service->handlers[type](peer, body);
}

static void gone(void *context)
{
    struct peer *peer = context;
    struct peer **at = &peer->queue->channels->peers[peer->service - services][peer->slot];
    *at = NULL; /* first, so that nothing is sent to it while its room cleans up */
    peer->service->gone(peer);
    ipc_free(&peer->ipc);
    free(peer);
}

void channels_peer(struct queue *queue, enum role_kind kind, unsigned slot, int fd)
{
    const struct service *service = &services[kind];
    if (kind == ROLE_DELIVERY) {
        deliverers_peer(queue, slot, fd);
        return;
    }
    if (!service->channel) {
        close(fd);
        return;
    }
    struct peer **at = &queue->channels->peers[kind][slot];
    if (*at)
        gone(*at);
    struct peer *peer = text_zalloc(sizeof *peer);
    *peer = (struct peer){ .queue = queue, .service = service, .slot = slot };
    peer->ipc = ipc_new(queue->loop, fd, service->channel, service->side, received, gone, peer);
    *at = peer;
    if (service->come)
        service->come(peer);
}

static struct ipc *submission_of(const struct queue *queue, unsigned slot)
{
    /* At the end a segment may still come from the worker when the channels have gone. */
    const struct peer *peer = queue->channels && slot < ROLE_SLOTS ? queue->channels->peers[ROLE_SUBMISSION][slot] : NULL;
    return peer ? peer->ipc : NULL;
}

bool channels_give_segment(struct queue *queue, unsigned slot, uint64_t number, int fd, bool large, uint64_t ticket)
{
    struct segment_give give = { .ticket = ticket, .number = number, .large = large };
    return ipc_send(submission_of(queue, slot), SEGMENT_GIVE, &give, sizeof give, fd);
}

bool channels_refuse_segment(struct queue *queue, unsigned slot, bool large, uint64_t ticket, bool full)
{
    struct segment_refuse refuse = { .ticket = ticket, .large = large, .full = full };
    return ipc_send(submission_of(queue, slot), SEGMENT_REFUSE, &refuse, sizeof refuse, -1);
}

void channels_tell_space(struct queue *queue)
{
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++)
        if (queue->channels->peers[ROLE_SUBMISSION][slot])
            tell_space(queue->channels->peers[ROLE_SUBMISSION][slot]);
}

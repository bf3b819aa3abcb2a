/* A client's address decides which auth process is asked, so that its failures are counted in one place whichever submission process
 * it reached: the process with the highest checksum over address and slot (rendezvous hashing). All submission processes agree on
 * that without a word, and when an auth process goes or comes only the addresses that it had move. */
#include "ask_auth.h"

#include "../base/crc32c.h"
#include "../base/text.h"
#include "clients.h"
#include "session.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* A channel's context: which process it leads to. */
struct peer {
    struct ask_auth *auth;
    unsigned slot;
};

struct ask_auth {
    struct front *front;
    struct role_peers peers;
    struct peer contexts[ROLE_SLOTS];
};

struct ask_auth *ask_auth_new(struct front *front)
{
    struct ask_auth *auth = text_zalloc(sizeof *auth);
    auth->front = front;
    return auth;
}

void ask_auth_free(struct ask_auth **auth)
{
    if (!*auth)
        return;
    while ((*auth)->peers.count)
        role_peers_drop(&(*auth)->peers, (*auth)->peers.slots[0]);
    free(*auth);
    *auth = NULL;
}

/* SESSION's exchange with process SLOT has lost its other side. */
static void lose(struct session *session, unsigned slot)
{
    if (!session->exchange || session->exchange->slot != slot)
        return;
    session->exchange->lost = true;
    if (session->wait.kind == WAIT_AUTH)
        wait_answer(session, NULL);
}

static void closed(void *context)
{
    struct peer *peer = context;
    struct ask_auth *auth = peer->auth;
    role_peers_drop(&auth->peers, peer->slot);
    LIST_EACH(node, &auth->front->sessions)
        lose(LIST_ENTRY(node, struct session, node), peer->slot);
}

static void take_challenge(struct ask_auth *auth, const void *body)
{
    const struct auth_challenge *challenge = body;
    struct session *session = wait_find(auth->front, WAIT_AUTH, challenge->ticket);
    struct ask_auth_answer answer = { .challenge = challenge };
    if (session && challenge->data_size <= sizeof challenge->data)
        wait_answer(session, &answer);
}

static void take_done(struct ask_auth *auth, const void *body)
{
    const struct auth_done *done = body;
    struct session *session = wait_find(auth->front, WAIT_AUTH, done->ticket);
    struct ask_auth_answer answer = { .done = done };
    if (session && done->verdict <= AUTH_LOCKED && done->data_size <= sizeof done->data)
        wait_answer(session, &answer);
}

static void (*const handlers[SUBMISSION_AUTH_COUNT])(struct ask_auth *auth, const void *body) = {
    [AUTH_CHALLENGE] = take_challenge,
    [AUTH_DONE] = take_done,
};

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct peer *peer = context;
    (void)size;
    (void)fd;
    handlers[type](peer->auth, body);
}

void ask_auth_peer(struct ask_auth *auth, unsigned slot, int fd)
{
    struct peer *peer = &auth->contexts[slot];
    if (auth->peers.by_slot[slot])
        closed(peer);
    *peer = (struct peer){ auth, slot };
    role_peers_set(&auth->peers, slot,
                   ipc_new(auth->front->role->loop, fd, &submission_auth_channel, IPC_FRONT, received, closed, peer));
}

/* The slot of the process for CLIENT; false where there is none at all. Every submission process must choose the same one, or a client's
 * failures would be counted in several places. So each process has a weight for each client, which follows from both alone, and the
 * greatest wins (rendezvous hashing); when a process goes, its own clients alone get another one. */
static bool choose(const struct ask_auth *auth, const struct netaddr *client, unsigned *ret_slot)
{
    struct {
        char client[CLIENTS_KEY_SIZE];
        unsigned char slot[2];
    } key = { .client = { 0 } };
    uint32_t best = 0;
    clients_key(client, key.client);
    for (unsigned i = 0; i < auth->peers.count; i++) {
        unsigned slot = auth->peers.slots[i];
        key.slot[0] = (unsigned char)(slot >> 8);
        key.slot[1] = (unsigned char)slot;
        uint32_t weight = crc32c(0, &key, sizeof key);
        if (i == 0 || weight > best) {
            best = weight;
            *ret_slot = slot;
        }
    }
    return auth->peers.count > 0;
}

bool ask_auth_begin(struct session *session, struct auth_begin *begin, size_t size, wait_then then)
{
    struct ask_auth *auth = session->front->auth;
    unsigned slot = 0;
    if (!choose(auth, &session->client, &slot))
        return false;
    session->exchange = text_zalloc(sizeof *session->exchange);
    session->exchange->slot = slot;
    session->exchange->ticket = begin->ticket = wait_ask(session, WAIT_AUTH, then);
    begin->client = session->client;
    if (ipc_send(auth->peers.by_slot[slot], AUTH_BEGIN, begin, size, -1))
        return true;
    wait_stop(session);
    return false;
}

bool ask_auth_respond(struct session *session, struct span data, wait_then then)
{
    struct ask_auth *auth = session->front->auth;
    struct auth_response response = { .ticket = session->exchange->ticket };
    if (session->exchange->lost || data.n > sizeof response.data)
        return false;
    response.data_size = (uint32_t)data.n;
    if (data.n)
        memcpy(response.data, data.p, data.n);
    bool sent = ipc_send(auth->peers.by_slot[session->exchange->slot], AUTH_RESPONSE, &response,
                         offsetof(struct auth_response, data) + data.n, -1);
    OPENSSL_cleanse(&response, sizeof response);
    if (sent)
        wait_more(session, WAIT_AUTH, then);
    return sent;
}

void ask_auth_cancel(struct session *session)
{
    const struct exchange *exchange = session->exchange;
    struct auth_cancel cancel = { exchange->ticket };
    if (!exchange->lost)
        ipc_send(session->front->auth->peers.by_slot[exchange->slot], AUTH_CANCEL, &cancel, sizeof cancel, -1);
    wait_void(session);
}

/* One table a channel: the message type finds its handler. Nothing of a peer is kept but its channel, so that one that goes takes nothing
 * along; what it was allowed stays counted. */
#include "peers.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"
#include "../relay/channels/admin.h"
#include "../relay/channels/submission_policy.h"
#include "admit.h"
#include "desk.h"
#include "tidings.h"

#include <stdlib.h>
#include <unistd.h>

static void send_answer(struct peer *peer, const struct policy_answer *answer)
{
    ipc_send_soon(peer->ipc, POLICY_ANSWER, answer, offsetof(struct policy_answer, reply) + strlen(answer->reply));
}

void peers_decided(void *asker, const struct decision *decision)
{
    static struct policy_rcpt_answer batch; /* large, and not worth to be cleared each time */
    struct peer *peer = asker;
    const struct policy_answer *answer = decide_answer(decision, &batch);
    if (answer) {
        send_answer(peer, answer);
        return;
    }
    ipc_send_soon(peer->ipc, POLICY_RCPT_ANSWER, &batch, policy_rcpt_answer_size(&batch));
}

static void mail_asked(struct peer *peer, const void *body)
{
    struct policy *policy = peer->policy;
    flights_begin(&policy->flights, peer, decide_begin_mail(policy->decide, body, clock_monotonic_ms()));
}

static void rcpt_asked(struct peer *peer, const void *body)
{
    struct policy *policy = peer->policy;
    flights_begin(&policy->flights, peer, decide_begin_rcpt(policy->decide, body, clock_monotonic_ms()));
}

static void content_asked(struct peer *peer, const void *body)
{
    struct policy *policy = peer->policy;
    flights_begin(&policy->flights, peer, decide_begin_content(policy->decide, body, clock_monotonic_ms()));
}

static void connect_asked(struct peer *peer, const void *body)
{
    struct policy_answer answer;
    admit_connect(peer->policy->judge, body, clock_monotonic_ms(), &answer);
    send_answer(peer, &answer);
}

static void login_asked(struct peer *peer, const void *body)
{
    struct policy_answer answer;
    const struct policy *policy = peer->policy;
    const struct policy_login *login = body;
    char account[ACCOUNT_NAME_SIZE];
    admit_login(policy->judge, login, clock_monotonic_ms(), &answer);
    if (login->accepted && answer.verdict == POLICY_ALLOW && policy->opened) {
        account_normal(span_of_array(login->account, sizeof login->account), account);
        answer.tag = tag_of(&policy->reports.key, span_of(account));
    }
    send_answer(peer, &answer);
}

static void report_told(struct peer *peer, const void *body)
{
    struct policy *policy = peer->policy;
    char account[ACCOUNT_NAME_SIZE];
    enum report_verdict verdict =
        report_judge(&policy->reports, judge_logins(policy->judge), decide_seen(policy->decide), body, clock_wall_ms(), account);
    if (verdict == REPORT_COUNTS)
        judge_report(policy->judge, span_of(account), body, clock_monotonic_ms());
}

static void refused_told(struct peer *peer, const void *body)
{
    judge_refused(peer->policy->judge, body, clock_monotonic_ms());
}

static void sample_told(struct peer *peer, const void *body)
{
    judge_sample(peer->policy->judge, body);
}

static void bad_told(struct peer *peer, const void *body)
{
    judge_reply(peer->policy->judge, body, clock_monotonic_ms());
}

static void good_told(struct peer *peer, const void *body)
{
    judge_good(peer->policy->judge, body, clock_monotonic_ms());
}

typedef void (*handler)(struct peer *peer, const void *body);

static const handler submission_handlers[SUBMISSION_POLICY_COUNT] = {
    [POLICY_MAIL] = mail_asked,       [POLICY_RCPT] = rcpt_asked,    [POLICY_CONTENT] = content_asked,
    [POLICY_CONNECT] = connect_asked, [POLICY_LOGIN] = login_asked,  [POLICY_REFUSED] = refused_told,
    [POLICY_SAMPLE] = sample_told,    [POLICY_REPORT] = report_told,
};

static void letter_stored(struct peer *peer, const void *body)
{
    const struct letter_stored *stored = body;
    tidings_stored(peer->policy, stored->ticket);
}

static const handler queue_handlers[QUEUE_POLICY_COUNT] = {
    [REPLY_BAD] = bad_told, [REPLIES_GOOD] = good_told, [LETTER_STORED] = letter_stored
};

static void admin_asked(struct peer *peer, const void *body)
{
    desk_answer(peer, body);
}

static const handler admin_handlers[ADMIN_COUNT] = { [ADMIN_ASK] = admin_asked };

/* What is spoken with each role. */
static const struct service {
    const struct ipc_channel *channel;
    const handler *handlers;
    unsigned count;
    void (*came)(struct peer *peer);
} services[ROLE_KINDS] = {
    [ROLE_SUBMISSION] = { &submission_policy_channel, submission_handlers, SUBMISSION_POLICY_COUNT, tidings_submission },
    [ROLE_QUEUE] = { &queue_policy_channel, queue_handlers, QUEUE_POLICY_COUNT, tidings_queue },
    [ROLE_CONTROL] = { &admin_channel, admin_handlers, ADMIN_COUNT, NULL },
};

static void said(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct peer *peer = context;
    const struct service *service = &services[peer->kind];
    (void)size;
    (void)fd;
    if (type < service->count && service->handlers[type])
        service->handlers[type](peer, body);
}

static void drop_peer(void *context)
{
    struct peer *peer = context;
    flights_forget(&peer->policy->flights, peer);
    list_remove(&peer->node);
    ipc_free(&peer->ipc);
    free(peer);
}

void peers_add(struct policy *policy, enum role_kind kind, unsigned slot, int fd)
{
    const struct service *service = &services[kind];
    if (!service->channel) {
        close(fd);
        return;
    }
    LIST_EACH(node, &policy->peers) {
        struct peer *old = LIST_ENTRY(node, struct peer, node);
        if (old->kind == kind && old->slot == slot)
            drop_peer(old);
    }
    struct peer *peer = text_zalloc(sizeof *peer);
    *peer = (struct peer){ .policy = policy, .kind = kind, .slot = slot };
    list_append(&policy->peers, &peer->node);
    peer->ipc = ipc_new(policy->role->loop, fd, service->channel, IPC_BACK, said, drop_peer, peer);
    if (service->came)
        service->came(peer);
}

struct peer *peers_queue(struct policy *policy)
{
    LIST_EACH(node, &policy->peers) {
        struct peer *peer = LIST_ENTRY(node, struct peer, node);
        if (peer->kind == ROLE_QUEUE)
            return peer;
    }
    return NULL;
}

void peers_drop(struct policy *policy)
{
    LIST_EACH(node, &policy->peers)
        drop_peer(LIST_ENTRY(node, struct peer, node));
}

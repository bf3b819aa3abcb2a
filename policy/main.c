/* The policy role: one process that counts for all of submission, so that a limit holds whichever process a client is at. Each
 * question is answered at once, from memory; the folder is only written (see store_local).
 *
 * Peers ask and are answered on their own channel; nothing of them is kept here, so that one that goes takes nothing along. What it
 * was allowed stays counted. */
#include "../relay/base/clock.h"
#include "../relay/base/list.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "../relay/channels/submission_policy.h"
#include "../relay/role/mains.h"
#include "../relay/role/role.h"
#include "admin.h"
#include "decide.h"
#include "limit.h"
#include "logins.h"
#include "store_local.h"
#include "would.h"

#include <stdlib.h>

#define USER     "postern-queue"
#define SWEEP_MS 5000 /* also what a kill may cost of what is known of refusals and logins */

struct policy {
    struct role *role;
    struct decide *decide;
    struct store_local *store; /* NULL where the folder cannot be used */
    struct logins *logins;
    struct timer sweep;
    struct list peers;
    struct sandbox_path path;
};

/* A process of another role. */
struct peer {
    struct list node;
    struct policy *policy;
    struct ipc *ipc;
    enum role_kind kind;
    unsigned slot;
};

static void send_answer(struct peer *peer, const struct policy_answer *answer)
{
    ipc_send_soon(peer->ipc, POLICY_ANSWER, answer, offsetof(struct policy_answer, reply) + strlen(answer->reply));
}

static void mail_asked(struct peer *peer, const void *body)
{
    struct policy_answer answer;
    decide_mail(peer->policy->decide, body, clock_monotonic_ms(), &answer);
    send_answer(peer, &answer);
}

static void rcpt_asked(struct peer *peer, const void *body)
{
    static struct policy_rcpt_answer answer; /* large, and not worth to be cleared each time */
    decide_rcpt(peer->policy->decide, body, clock_monotonic_ms(), &answer);
    size_t size = offsetof(struct policy_rcpt_answer, each);
    if (answer.count) {
        const struct policy_answer *last = &answer.each[answer.count - 1];
        size += (answer.count - 1) * sizeof *last + offsetof(struct policy_answer, reply) + strlen(last->reply);
    }
    ipc_send_soon(peer->ipc, POLICY_RCPT_ANSWER, &answer, size);
}

static void content_asked(struct peer *peer, const void *body)
{
    struct policy_answer answer;
    decide_content(peer->policy->decide, body, clock_monotonic_ms(), &answer);
    send_answer(peer, &answer);
}

/* An administrator's question that is being answered. */
struct telling {
    struct peer *peer;
    uint64_t ticket;
};

/* Sends one JSON value, in as many pieces as it needs. */
static bool tell(void *context, const char *json)
{
    const struct telling *telling = context;
    struct admin_text piece = { .ticket = telling->ticket };
    struct span rest = span_of(json);
    do {
        struct span part = span_head(rest, sizeof piece.text);
        rest = span_skip(rest, part.n);
        piece.size = (uint32_t)part.n;
        piece.ends = rest.n == 0;
        memcpy(piece.text, part.p, part.n);
        if (!ipc_send(telling->peer->ipc, ADMIN_TEXT, &piece, offsetof(struct admin_text, text) + part.n, -1))
            return false;
    } while (rest.n);
    return true;
}

static void admin_asked(struct peer *peer, const void *body)
{
    const struct admin_ask *ask = body;
    struct limit_set *limits = decide_limits(peer->policy->decide);
    struct telling telling = { peer, ask->ticket };
    struct admin_end end = { .ticket = ask->ticket, .result = ADMIN_REFUSED };
    int64_t now_ms = clock_monotonic_ms(), wall_ms = clock_wall_ms();
    if (ask->verb == ADMIN_LIMITS)
        end.result = admin_limits(limits, ask, now_ms, tell, &telling, end.reason);
    else if (ask->verb == ADMIN_STATUS)
        end.result = admin_status(limits, now_ms, tell, &telling);
    else if (ask->verb == ADMIN_WOULD)
        end.result = admin_would(decide_would(peer->policy->decide), ask, wall_ms, tell, &telling, end.reason);
    else if (ask->verb == ADMIN_LOGIN_OF)
        end.result = admin_login_of(peer->policy->logins, ask, wall_ms, tell, &telling, end.reason);
    else
        text_copy(end.reason, sizeof end.reason, SPAN("policy knows no answer to this; queue may"));
    ipc_send(peer->ipc, ADMIN_END, &end, offsetof(struct admin_end, reason) + strlen(end.reason), -1);
}

typedef void (*handler)(struct peer *peer, const void *body);

static const handler submission_handlers[SUBMISSION_POLICY_COUNT] = {
    [POLICY_MAIL] = mail_asked,
    [POLICY_RCPT] = rcpt_asked,
    [POLICY_CONTENT] = content_asked,
};

static const handler admin_handlers[ADMIN_COUNT] = { [ADMIN_ASK] = admin_asked };

static void submission_said(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    (void)fd;
    if (type < SUBMISSION_POLICY_COUNT && submission_handlers[type])
        submission_handlers[type](context, body);
}

static void control_said(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)size;
    (void)fd;
    if (type < ADMIN_COUNT && admin_handlers[type])
        admin_handlers[type](context, body);
}

static void drop_peer(void *context)
{
    struct peer *peer = context;
    list_remove(&peer->node);
    ipc_free(&peer->ipc);
    free(peer);
}

static void peer_came(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct policy *policy = role->state;
    bool is_control = kind == ROLE_CONTROL;
    LIST_EACH(node, &policy->peers) {
        struct peer *old = LIST_ENTRY(node, struct peer, node);
        if (old->kind == kind && old->slot == slot)
            drop_peer(old);
    }
    struct peer *peer = text_zalloc(sizeof *peer);
    *peer = (struct peer){ .policy = policy, .kind = kind, .slot = slot };
    list_append(&policy->peers, &peer->node);
    peer->ipc = ipc_new(role->loop, fd, is_control ? &admin_channel : &submission_policy_channel, IPC_BACK,
                        is_control ? control_said : submission_said, drop_peer, peer);
}

static void sweep(void *context)
{
    struct policy *policy = context;
    limit_sweep(decide_limits(policy->decide), clock_monotonic_ms());
    would_flush(decide_would(policy->decide), false);
    logins_flush(policy->logins, false);
    timer_again(&policy->sweep, SWEEP_MS);
}

/* A folder that cannot be had is no reason not to serve: limits count in memory then, which is logged. */
static bool start(struct role *role)
{
    store_local_prepare(role->conf->policy.directory, USER);
    struct policy *policy = text_zalloc(sizeof *policy);
    policy->role = role;
    policy->decide = decide_new(role->conf);
    policy->logins = logins_new();
    list_init(&policy->peers);
    role->state = policy;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    struct policy *policy = role->state;
    policy->path = (struct sandbox_path){ role->conf->policy.directory, true };
    sandbox->duties = SANDBOX_READ_FILES | SANDBOX_WRITE_FILES;
    sandbox->paths = &policy->path;
    sandbox->npaths = 1;
}

static void open_store(struct policy *policy)
{
    const struct conf *conf = policy->role->conf;
    if (conf->nlimits)
        policy->store = store_local_new(policy->role->loop, conf->policy.directory, decide_limits(policy->decide),
                                        decide_seen(policy->decide));
}

/* The sandbox is closed and the user is the role's: only now are files read that this user wrote. */
static void begin(struct role *role)
{
    struct policy *policy = role->state;
    if (role->conf->policy.redis_store)
        log_say(LOG_WARNING, "notice",
                "policy { store = redis } is not known to this version: limits count on this machine alone");
    open_store(policy);
    would_open(decide_would(policy->decide), role->conf->policy.directory);
    logins_open(policy->logins, role->conf->policy.directory);
    timer_set(&policy->sweep, role->loop, SWEEP_MS, sweep, policy);
}

static void settings(struct role *role)
{
    struct policy *policy = role->state;
    decide_settings(policy->decide, role->conf);
    if (policy->store)
        store_local_limits(policy->store, decide_limits(policy->decide));
    else
        open_store(policy);
}

static void stop(struct role *role)
{
    struct policy *policy = role->state;
    if (!policy)
        return;
    LIST_EACH(node, &policy->peers)
        drop_peer(LIST_ENTRY(node, struct peer, node));
    timer_fini(&policy->sweep);
    would_flush(decide_would(policy->decide), true);
    logins_flush(policy->logins, true);
    logins_free(&policy->logins);
    store_local_free(&policy->store);
    decide_free(&policy->decide);
    free(policy);
    role->state = NULL;
}

int policy_main(int fd)
{
    static const struct role_steps steps = {
        .start = start,
        .sandbox = sandbox,
        .open = begin,
        .peer = peer_came,
        .settings = settings,
        .stop = stop,
    };
    struct role role = { .kind = ROLE_POLICY };
    return role_run(&role, fd, &steps);
}

/* The policy role: one process that counts for all of submission, so that a limit holds whichever process a client is at. Each
 * question is answered at once, from memory, or as soon as a Redis that is shared with other machines has answered (see flight.h); the
 * folder is only written (see store_local).
 *
 * Peers ask and are answered on their own channel; nothing of them is kept here, so that one that goes takes nothing along. What it
 * was allowed stays counted. */
#include "../relay/base/clock.h"
#include "../relay/base/list.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "../relay/channels/admin.h"
#include "../relay/channels/queue_policy.h"
#include "../relay/channels/submission_policy.h"
#include "../relay/role/mains.h"
#include "../relay/role/role.h"
#include "admin.h"
#include "admin_account.h"
#include "admit.h"
#include "decide.h"
#include "flight.h"
#include "judge.h"
#include "limit.h"
#include "machines.h"
#include "report.h"
#include "sharing.h"
#include "store_local.h"
#include "would.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

#define USER        "postern-queue"
#define LETTERS_MAX 100
#define SWEEP_MS    5000 /* also what a kill may cost of what is known of refusals and logins */

struct policy {
    struct role *role;
    struct decide *decide;
    struct store_local *store; /* NULL where the folder cannot be used */
    struct sharing *sharing;   /* NULL where limits are this machine's alone */
    struct flights flights;
    bool may_connect; /* the sandbox lets it */
    struct judge *judge;
    struct machines machines; /* that share suspensions */
    struct report_desk reports;
    struct letter *letters[LETTERS_MAX]; /* while no queue process is there */
    size_t nletters;
    bool opened; /* what earlier processes left is known */
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

static void decided(void *asker, const struct decision *decision)
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

/* What an administrator may ask, with as much of policy as it takes. */
static enum admin_result tell_limits(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                     char reason[400])
{
    return admin_limits(decide_limits(policy->decide), ask, clock_monotonic_ms(), tell, telling, reason);
}

static enum admin_result tell_status(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                     char reason[400])
{
    struct admin_store store = { .redis = policy->sharing != NULL };
    (void)ask;
    (void)reason;
    if (policy->sharing)
        store.connected = sharing_is_connected(policy->sharing, &store.since_ms);
    return admin_status(decide_limits(policy->decide), judge_standing(policy->judge), &store, clock_monotonic_ms(), tell,
                        telling);
}

static enum admin_result tell_would(struct policy *policy, const struct admin_ask *ask, struct telling *telling, char reason[400])
{
    return admin_would(decide_would(policy->decide), ask, clock_wall_ms(), tell, telling, reason);
}

static enum admin_result tell_login_of(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                       char reason[400])
{
    return admin_login_of(judge_logins(policy->judge), ask, clock_wall_ms(), tell, telling, reason);
}

static enum admin_result list_accounts(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                       char reason[400])
{
    return admin_account_list(policy->judge, ask, tell, telling, reason);
}

static enum admin_result show_account(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                      char reason[400])
{
    return admin_account_show(policy->judge, ask, tell, telling, reason);
}

static enum admin_result suspend_account(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                         char reason[400])
{
    return admin_account_suspend(policy->judge, ask, tell, telling, reason);
}

static enum admin_result resume_account(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                        char reason[400])
{
    return admin_account_resume(policy->judge, ask, tell, telling, reason);
}

typedef enum admin_result (*admin_verb_of_policy)(struct policy *policy, const struct admin_ask *ask, struct telling *telling,
                                                  char reason[400]);

static const admin_verb_of_policy admin_verbs[ADMIN_VERBS] = {
    [ADMIN_LIMITS] = tell_limits,
    [ADMIN_STATUS] = tell_status,
    [ADMIN_WOULD] = tell_would,
    [ADMIN_LOGIN_OF] = tell_login_of,
    [ADMIN_ACCOUNT_LIST] = list_accounts,
    [ADMIN_ACCOUNT_SHOW] = show_account,
    [ADMIN_ACCOUNT_SUSPEND] = suspend_account,
    [ADMIN_ACCOUNT_RESUME] = resume_account,
};

static void admin_asked(struct peer *peer, const void *body)
{
    const struct admin_ask *ask = body;
    struct telling telling = { peer, ask->ticket };
    struct admin_end end = { .ticket = ask->ticket, .result = ADMIN_REFUSED };
    if (ask->verb < ADMIN_VERBS && admin_verbs[ask->verb])
        end.result = admin_verbs[ask->verb](peer->policy, ask, &telling, end.reason);
    else
        text_copy(end.reason, sizeof end.reason, SPAN("policy knows no answer to this; queue may"));
    ipc_send(peer->ipc, ADMIN_END, &end, offsetof(struct admin_end, reason) + strlen(end.reason), -1);
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

static const handler queue_handlers[QUEUE_POLICY_COUNT] = { [REPLY_BAD] = bad_told, [REPLIES_GOOD] = good_told };

static const handler admin_handlers[ADMIN_COUNT] = { [ADMIN_ASK] = admin_asked };

static void queue_came(struct peer *peer);

/* What is spoken with each role. */
static const struct service {
    const struct ipc_channel *channel;
    const handler *handlers;
    unsigned count;
    void (*came)(struct peer *peer);
} services[ROLE_KINDS] = {
    [ROLE_SUBMISSION] = { &submission_policy_channel, submission_handlers, SUBMISSION_POLICY_COUNT, NULL },
    [ROLE_QUEUE] = { &queue_policy_channel, queue_handlers, QUEUE_POLICY_COUNT, queue_came },
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

static void hold_account(struct peer *peer, struct span account)
{
    struct account_hold hold = { .account = "" };
    text_copy(hold.account, sizeof hold.account, account);
    ipc_send(peer->ipc, ACCOUNT_HOLD, &hold, sizeof hold, -1);
}

static bool hold_one(void *context, struct span account)
{
    hold_account(context, account);
    return true;
}

static bool send_letter(struct peer *peer, const struct letter *letter)
{
    return ipc_send(peer->ipc, LETTER, letter, offsetof(struct letter, text) + letter->size, -1);
}

/* A queue process learns who is suspended, and gets the letters that nobody could take. */
static void queue_came(struct peer *peer)
{
    struct policy *policy = peer->policy;
    struct accounts_told told = { 0 };
    if (!policy->opened)
        return; /* begin calls again */
    standing_each(judge_standing(policy->judge), true, hold_one, peer);
    ipc_send(peer->ipc, ACCOUNTS_TOLD, &told, sizeof told, -1);
    for (size_t i = 0; i < policy->nletters; i++) {
        send_letter(peer, policy->letters[i]);
        free(policy->letters[i]);
    }
    policy->nletters = 0;
}

static struct peer *queue_of(struct policy *policy)
{
    LIST_EACH(node, &policy->peers) {
        struct peer *peer = LIST_ENTRY(node, struct peer, node);
        if (peer->kind == ROLE_QUEUE)
            return peer;
    }
    return NULL;
}

/* The judge's: an account is suspended. Its sessions end first. */
static void account_suspended(void *context, struct span account)
{
    struct policy *policy = context;
    struct policy_end end = { .account = "" };
    text_copy(end.account, sizeof end.account, account);
    LIST_EACH(node, &policy->peers) {
        struct peer *peer = LIST_ENTRY(node, struct peer, node);
        if (peer->kind == ROLE_SUBMISSION)
            ipc_send(peer->ipc, POLICY_END, &end, sizeof end, -1);
        else if (peer->kind == ROLE_QUEUE)
            hold_account(peer, account);
    }
    machines_tell(&policy->machines, account);
}

static void account_resumed(void *context, struct span account)
{
    struct policy *policy = context;
    struct peer *queue = queue_of(policy);
    struct account_free free_it = { .account = "" };
    text_copy(free_it.account, sizeof free_it.account, account);
    if (queue)
        ipc_send(queue->ipc, ACCOUNT_FREE, &free_it, sizeof free_it, -1);
    machines_tell(&policy->machines, account);
}

static void letter_written(void *context, const char *to, const char *subject, const char *text)
{
    struct policy *policy = context;
    struct peer *queue = queue_of(policy);
    struct letter *letter = text_zalloc(sizeof *letter);
    struct span cut = span_head(span_of(text), sizeof letter->text);
    text_copy(letter->to, sizeof letter->to, span_of(to));
    text_copy(letter->subject, sizeof letter->subject, span_of(subject));
    letter->size = (uint32_t)cut.n;
    memcpy(letter->text, cut.p, cut.n);
    if ((!queue || !send_letter(queue, letter)) && policy->nletters < LETTERS_MAX)
        policy->letters[policy->nletters++] = letter;
    else
        free(letter);
}

static const struct judge_events judge_events = { account_suspended, account_resumed, letter_written };

static void drop_peer(void *context)
{
    struct peer *peer = context;
    flights_forget(&peer->policy->flights, peer);
    list_remove(&peer->node);
    ipc_free(&peer->ipc);
    free(peer);
}

static void peer_came(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct policy *policy = role->state;
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
    peer->ipc = ipc_new(role->loop, fd, service->channel, IPC_BACK, said, drop_peer, peer);
    if (service->came)
        service->came(peer);
}

static void sweep(void *context)
{
    struct policy *policy = context;
    limit_sweep(decide_limits(policy->decide), clock_monotonic_ms());
    would_flush(decide_would(policy->decide), false);
    judge_flush(policy->judge, false);
    timer_again(&policy->sweep, SWEEP_MS);
}

/* A folder that cannot be had is no reason not to serve: limits count in memory then, which is logged. */
static bool start(struct role *role)
{
    store_local_prepare(role->conf->policy.directory, USER);
    struct policy *policy = text_zalloc(sizeof *policy);
    policy->role = role;
    policy->decide = decide_new(role->conf);
    policy->judge = judge_new(&judge_events, policy);
    machines_init(&policy->machines, policy->judge);
    decide_set_judge(policy->decide, policy->judge);
    flights_init(&policy->flights, policy->decide, decided);
    list_init(&policy->peers);
    role->state = policy;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    struct policy *policy = role->state;
    policy->path = (struct sandbox_path){ role->conf->policy.directory, true };
    policy->may_connect = role->conf->policy.redis_store;
    sandbox->duties = SANDBOX_READ_FILES | SANDBOX_WRITE_FILES | (policy->may_connect ? SANDBOX_CONNECT : 0u);
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

/* Shares limits through the Redis of the settings, or with nobody; what was shared before goes on where the settings are the same. */
static void open_sharing(struct policy *policy)
{
    const struct conf_policy *conf = &policy->role->conf->policy;
    char name[BUNDLE_NAME_MAX], password[1024] = "";
    if (conf->redis_store && !policy->may_connect)
        log_say(LOG_WARNING, "notice",
                "store = redis takes effect when postern is started again; until then limits are not shared");
    if (*conf->redis_password_file && text_format(name, sizeof name, "password:%s", conf->redis_password_file))
        text_copy(password, sizeof password, bundle_line(policy->role->secrets, name));
    const struct sharing_settings settings = { conf->redis, password, conf->redis_timeout_ms };
    bool wanted = conf->redis_store && policy->may_connect;
    if (policy->sharing && (!wanted || !sharing_is_by(policy->sharing, &settings)))
        sharing_free(&policy->sharing);
    if (policy->sharing)
        sharing_limits(policy->sharing, decide_limits(policy->decide));
    else if (wanted)
        policy->sharing =
            sharing_new(policy->role->loop, &settings, decide_limits(policy->decide), &machines_events, &policy->machines);
    flights_set_sharing(&policy->flights, policy->sharing);
    machines_set_sharing(&policy->machines, policy->sharing);
    OPENSSL_cleanse(password, sizeof password);
}

/* The sandbox is closed and the user is the role's: only now are files read that this user wrote. */
static void begin(struct role *role)
{
    struct policy *policy = role->state;
    open_store(policy);
    would_open(decide_would(policy->decide), role->conf->policy.directory);
    judge_open(policy->judge, role->conf->policy.directory);
    open_sharing(policy);
    tag_load(role->conf->policy.directory, &policy->reports.key);
    policy->opened = true;
    if (queue_of(policy))
        queue_came(queue_of(policy));
    timer_set(&policy->sweep, role->loop, SWEEP_MS, sweep, policy);
}

static void settings(struct role *role)
{
    struct policy *policy = role->state;
    if (policy->sharing)
        sharing_settle(policy->sharing); /* what is under way is decided by the limits that it began with */
    decide_settings(policy->decide, role->conf);
    open_sharing(policy);
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
    flights_set_sharing(&policy->flights, NULL);
    machines_set_sharing(&policy->machines, NULL);
    machines_fini(&policy->machines);
    sharing_free(&policy->sharing);
    timer_fini(&policy->sweep);
    would_flush(decide_would(policy->decide), true);
    judge_flush(policy->judge, true);
    for (size_t i = 0; i < policy->nletters; i++)
        free(policy->letters[i]);
    store_local_free(&policy->store);
    decide_set_judge(policy->decide, NULL);
    judge_free(&policy->judge);
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

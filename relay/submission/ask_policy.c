/* Each question costs two context switches, so one is asked only where the settings have something that could object: a sender
 * rule, a limit, a limit that counts recipients or bytes. A From header that is odd in itself (several, unreadable) is always
 * shown to policy, which words the refusal. */
#include "ask_policy.h"

#include "../base/text.h"
#include "../smtp/address.h"
#include "auth.h"
#include "session.h"
#include "transaction.h"

#include <stdlib.h>

#define UNAVAILABLE "451 4.7.0 limits cannot be checked now; try again later"

struct ask_policy {
    struct front *front;
    struct ipc *peer;
    bool has_senders; /* some account is bound to sender addresses or domains */
    struct limited {
        bool messages, recipients, bytes, connections;
    } limited[2]; /* what limits count: of who has not logged in, and of who has */
};

/* A limit of accounts says nothing of who has not logged in. */
static void note_limit(const struct conf_limit *limit, struct limited limited[2])
{
    for (unsigned i = limit->key == CONF_KEY_ACCOUNT; i < 2; i++) {
        bool of_replies = limit->count == CONF_COUNT_HARD_BOUNCES || limit->count == CONF_COUNT_SPAM_REPLIES ||
                          limit->count == CONF_COUNT_ABUSE_REPORTS;
        bool waits = of_replies && limit->then != CONF_THEN_SUSPEND; /* at MAIL it is seen whether there were too many */
        limited[i].messages = limited[i].messages || limit->count == CONF_COUNT_MESSAGES || waits;
        limited[i].connections = limited[i].connections || limit->count == CONF_COUNT_CONNECTIONS;
        limited[i].bytes = limited[i].bytes || limit->count == CONF_COUNT_BYTES;
        limited[i].recipients = limited[i].recipients || limit->count == CONF_COUNT_RECIPIENTS ||
                                limit->count == CONF_COUNT_UNIQUE_RECIPIENTS ||
                                limit->count == CONF_COUNT_FIRST_TIME_RECIPIENTS || limit->count == CONF_COUNT_UNIQUE_DOMAINS;
    }
}

static const struct limited *limited_of(const struct session *session)
{
    return &session->front->policy->limited[session->account != NULL];
}

struct ask_policy *ask_policy_new(struct front *front)
{
    const struct conf *conf = front->conf;
    struct ask_policy *policy = text_zalloc(sizeof *policy);
    policy->front = front;
    policy->has_senders = conf->domains.count > 0;
    for (size_t i = 0; i < conf->naccounts; i++)
        policy->has_senders = policy->has_senders || conf->accounts[i].senders.count > 0;
    for (size_t i = 0; i < conf->nlimits; i++)
        if (conf->limits[i].mode != CONF_MODE_OFF)
            note_limit(&conf->limits[i], policy->limited);
    return policy;
}

void ask_policy_free(struct ask_policy **policy)
{
    if (!*policy)
        return;
    ipc_free(&(*policy)->peer);
    free(*policy);
    *policy = NULL;
}

static void closed(void *context)
{
    struct ask_policy *policy = context;
    ipc_free(&policy->peer);
    LIST_EACH(node, &policy->front->sessions) {
        struct session *session = LIST_ENTRY(node, struct session, node);
        if (session->wait.kind == WAIT_POLICY || session->wait.kind == WAIT_POLICY_RCPT)
            wait_answer(session, NULL);
    }
}

static bool answer_is_sound(const void *body)
{
    const struct policy_answer *answer = body;
    return answer->verdict <= POLICY_HOLD;
}

static bool rcpt_answer_is_sound(const void *body)
{
    const struct policy_rcpt_answer *answer = body;
    bool sound = answer->count >= 1 && answer->count <= POLICY_BATCH_MAX;
    for (uint32_t i = 0; sound && i < answer->count; i++)
        sound = answer_is_sound(&answer->each[i]);
    return sound;
}

/* What comes from the other side, by type: what a session that gets it waits for, and what must hold. */
static const struct {
    enum wait_kind kind;
    bool (*is_sound)(const void *body);
} answers[SUBMISSION_POLICY_COUNT] = {
    [POLICY_ANSWER] = { WAIT_POLICY, answer_is_sound },
    [POLICY_RCPT_ANSWER] = { WAIT_POLICY_RCPT, rcpt_answer_is_sound },
};

/* The sessions of a suspended account end. */
static void end_sessions(const struct ask_policy *policy, const struct policy_end *end)
{
    struct span account = span_of_array(end->account, sizeof end->account);
    LIST_EACH(node, &policy->front->sessions) {
        struct session *session = LIST_ENTRY(node, struct session, node);
        const char *who = auth_account(session);
        if (who && span_equal_nocase(span_of(who), account))
            session_end(session, "421 4.7.0 this account is suspended; the connection is closed");
    }
}

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct ask_policy *policy = context;
    uint64_t ticket; /* what all answers begin with */
    (void)size;
    (void)fd;
    if (type == POLICY_END)
        end_sessions(policy, body);
    if (type >= SUBMISSION_POLICY_COUNT || !answers[type].is_sound)
        return;
    memcpy(&ticket, body, sizeof ticket);
    struct session *session = wait_find(policy->front, answers[type].kind, ticket);
    if (session && answers[type].is_sound(body))
        wait_answer(session, body);
}

void ask_policy_peer(struct ask_policy *policy, unsigned slot, int fd)
{
    (void)slot;
    if (policy->peer)
        closed(policy);
    policy->peer = ipc_new(policy->front->role->loop, fd, &submission_policy_channel, IPC_FRONT, received, closed, policy);
}

/* Sends QUESTION, whose first member is its ticket. Where policy is away the wait ends by itself in the loop's next round. */
static enum ask_policy_result ask(struct session *session, unsigned type, void *question, size_t size, wait_then then)
{
    uint64_t ticket = wait_ask(session, type == POLICY_RCPT ? WAIT_POLICY_RCPT : WAIT_POLICY, then);
    memcpy(question, &ticket, sizeof ticket);
    if (!ipc_send_soon(session->front->policy->peer, type, question, size))
        wait_deadline(session, 0);
    return ASK_POLICY_ASKED;
}

static void set_subject(struct policy_subject *subject, const struct session *session)
{
    subject->client = session->client;
    text_copy(subject->account, sizeof subject->account, span_of(session->account));
    text_copy(subject->sender, sizeof subject->sender, span_of(session->transaction->envelope.sender));
}

enum ask_policy_result ask_policy_connect(struct session *session, wait_then then)
{
    struct policy_connect question = { .client = session->client };
    if (!session->front->policy->limited[0].connections)
        return ASK_POLICY_ALLOWED;
    return ask(session, POLICY_CONNECT, &question, sizeof question, then);
}

void ask_policy_login(struct session *session, const char *account, bool accepted, wait_then then)
{
    struct policy_login question = { .client = session->client, .accepted = accepted };
    text_copy(question.account, sizeof question.account, span_of(account));
    ask(session, POLICY_LOGIN, &question, sizeof question, then);
}

void ask_policy_tell_refused(const struct session *session, const char *recipient)
{
    struct policy_refused refused = { .client = session->client };
    text_copy(refused.account, sizeof refused.account, span_of(session->account));
    text_copy(refused.recipient, sizeof refused.recipient, span_of(recipient));
    ipc_send_soon(session->front->policy->peer, POLICY_REFUSED, &refused, sizeof refused);
}

void ask_policy_tell_sample(const struct transaction *transaction)
{
    const struct envelope *envelope = &transaction->envelope;
    struct policy_sample sample = { .id = envelope->id, .nrecipients = (uint32_t)envelope->nrecipients };
    netaddr_parse(span_of(envelope->client), &sample.client);
    text_copy(sample.account, sizeof sample.account, span_of(envelope->account));
    text_copy(sample.sender, sizeof sample.sender, span_of(envelope->sender));
    text_copy(sample.recipient, sizeof sample.recipient, span_of(envelope->recipients[0].address));
    text_copy(sample.subject, sizeof sample.subject, span_of(transaction->subject));
    ipc_send_soon(transaction->front->policy->peer, POLICY_SAMPLE, &sample, sizeof sample);
}

enum ask_policy_result ask_policy_mail(struct session *session, uint64_t size_bytes, wait_then then)
{
    const struct limited *limited = limited_of(session);
    if (!session->front->policy->has_senders && !limited->messages && !limited->bytes)
        return ASK_POLICY_ALLOWED;
    struct policy_mail question = { .size_bytes = size_bytes };
    set_subject(&question.subject, session);
    return ask(session, POLICY_MAIL, &question, sizeof question, then);
}

bool ask_policy_counts_recipients(const struct session *session)
{
    return limited_of(session)->recipients;
}

void ask_policy_rcpt(struct session *session, struct policy_rcpt *question, wait_then then)
{
    set_subject(&question->subject, session);
    ask(session, POLICY_RCPT, question, policy_rcpt_size(question), then);
}

/* Is there one From field with one address that every reader takes for the same? */
static bool is_plain(const struct header_facts *facts)
{
    return facts->from_fields == 1 && facts->from_addresses == 1 && !facts->from_malformed && !facts->space_before_colon;
}

struct policy_content *ask_policy_content_new(const struct session *session, const struct header_facts *facts)
{
    const struct ask_policy *policy = session->front->policy;
    bool from_matters = session->front->conf->check_from_header && (policy->has_senders || !is_plain(facts));
    if (!from_matters && !limited_of(session)->bytes)
        return NULL;
    struct policy_content *question = text_zalloc(sizeof *question);
    set_subject(&question->subject, session);
    question->from_fields = facts->from_fields;
    question->from_count = facts->from_addresses;
    question->from_malformed = facts->from_malformed || facts->space_before_colon;
    text_copy(question->header_sender, sizeof question->header_sender, span_of(facts->sender));
    for (unsigned i = 0; i < facts->from_addresses && i < HEADER_FROM_MAX && i < POLICY_FROM_MAX; i++)
        text_copy(question->from[i], sizeof question->from[i], span_of(facts->from[i]));
    return question;
}

enum ask_policy_result ask_policy_content(struct session *session, struct policy_content *question, uint64_t size_bytes,
                                          wait_then then)
{
    if (!question)
        return ASK_POLICY_ALLOWED;
    uint32_t shown = question->from_count < POLICY_FROM_MAX ? question->from_count : POLICY_FROM_MAX;
    question->size_bytes = size_bytes;
    ask(session, POLICY_CONTENT, question, offsetof(struct policy_content, from) + shown * sizeof question->from[0], then);
    free(question);
    return ASK_POLICY_ASKED;
}

void ask_policy_tell_report(struct session *session, struct uid id, const struct feedback_result *result)
{
    struct policy_report report = {
        .report = id,
        .id = result->origin.id,
        .mark = result->origin.mark,
        .accuses = result->accuses,
        .has_id = result->has_origin,
        .client = session->client,
        .source = result->source,
    };
    text_copy(report.type, sizeof report.type, span_of(result->type));
    text_copy(report.sender, sizeof report.sender, span_of(result->original_from));
    text_copy(report.recipient, sizeof report.recipient, span_of(result->original_rcpt));
    ipc_send_soon(session->front->policy->peer, POLICY_REPORT, &report, sizeof report);
}

const char *ask_policy_reply(const struct policy_answer *answer, char reply[POLICY_TEXT_SIZE])
{
    if (!answer)
        return UNAVAILABLE;
    struct span text = span_of_array(answer->reply, sizeof answer->reply);
    bool good =
        text.n > 4 && (text.p[0] == '4' || text.p[0] == '5') && text.p[3] == ' ' && text_escape(reply, POLICY_TEXT_SIZE, text);
    return good ? reply : UNAVAILABLE;
}

/* The input loop: each phase that takes input has a step, which takes one thing off the front of the input (a command, a response,
 * a piece of content) or says that it needs more. session_run goes on while steps succeed and nothing is waited for, so a whole
 * group of pipelined commands is worked through at once; their replies gather in `replies` and go out in one write when no
 * complete command is left. Replies are also held while an answer is awaited: order is kept for free, and a client that
 * pipelines waits for the last of them anyway.
 *
 * A session outlives every callback but session_run's end: closing happens there and in session_free alone, so that no command
 * handler has to ask whether its session is still there. */
#include "session.h"

#include "../base/text.h"
#include "ask_auth.h"
#include "ask_policy.h"
#include "auth.h"
#include "body.h"
#include "certificates.h"
#include "clients.h"
#include "tickets.h"
#include "transaction.h"
#include "verbs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSION_INPUT_MAX    65536
#define SESSION_REPLIES_MAX  16384 /* replies that gather before they are sent in any case */
#define SESSION_REPLY_MAX    1024  /* one reply line */
#define SESSION_PENDING_MAX  65536 /* replies that the client does not read: beyond, its commands wait */
#define SESSION_REFUSALS_MAX 1000  /* between two messages, and one more for each recipient that a message may have; then 421 */
#define SESSION_HANDSHAKE_MS 30000
#define SESSION_LINGER_MS    5000
#define SESSION_STALLED_MS   300000

#define BIT(phase)    (1u << (phase))
#define PHASES_OPEN   (BIT(SESSION_HELO) | BIT(SESSION_READY) | BIT(SESSION_AUTH) | PHASES_MAIL)
#define PHASES_MAIL   (BIT(SESSION_MAIL) | BIT(SESSION_RCPT) | BIT(SESSION_DATA))
#define PHASES_BEFORE (BIT(SESSION_NEW) | BIT(SESSION_HANDSHAKE))

/* From which phases each may be entered. */
static const unsigned entered_from[SESSION_PHASES] = {
    [SESSION_NEW] = 0,
    [SESSION_HANDSHAKE] = BIT(SESSION_NEW) | BIT(SESSION_READY),
    [SESSION_HELO] = PHASES_BEFORE,
    [SESSION_READY] = PHASES_OPEN,
    [SESSION_AUTH] = BIT(SESSION_READY) | BIT(SESSION_AUTH),
    [SESSION_MAIL] = BIT(SESSION_READY),
    [SESSION_RCPT] = BIT(SESSION_MAIL) | BIT(SESSION_RCPT),
    [SESSION_DATA] = BIT(SESSION_RCPT),
    [SESSION_CLOSING] = PHASES_BEFORE | PHASES_OPEN | BIT(SESSION_CLOSING),
};

/* Takes one thing off the input; false where more input is needed. */
static bool (*const steps[SESSION_PHASES])(struct session *session) = {
    [SESSION_HELO] = verbs_step, [SESSION_READY] = verbs_step, [SESSION_AUTH] = auth_step,
    [SESSION_MAIL] = verbs_step, [SESSION_RCPT] = verbs_step,  [SESSION_DATA] = body_step,
};

void session_enter(struct session *session, enum session_phase phase)
{
    assert(phase < SESSION_PHASES && entered_from[phase] & BIT(session->phase));
    session->phase = phase;
    session->fresh = true;
}

bool session_is_secure(const struct session *session)
{
    return stream_tls(session->stream) != NULL;
}

void session_log(const struct session *session, struct log_entry *entry)
{
    char client[NETADDR_TEXT_SIZE];
    if (!entry->wanted)
        return;
    netaddr_print(&session->client, client);
    log_string(entry, "client", client);
    if (session->account)
        log_string(entry, "account", session->account);
    log_string(entry, "listener", session->listener->name);
}

/* What is to be said goes to the stream, which sends it when control returns to the loop. */
static void hand_over(struct session *session)
{
    if (!buffer_size(&session->replies))
        return;
    stream_write(session->stream, buffer_span(&session->replies));
    buffer_clear(&session->replies);
}

void session_reply(struct session *session, const char *text)
{
    if (buffer_size(&session->replies) + strlen(text) + 2 > SESSION_REPLIES_MAX)
        hand_over(session);
    buffer_add_text(&session->replies, text);
    buffer_add(&session->replies, SPAN("\r\n"));
}

void session_replyf(struct session *session, const char *format, ...)
{
    char text[SESSION_REPLY_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    session_reply(session, text);
}

void session_close(struct session *session, const char *text)
{
    if (session->phase == SESSION_CLOSING)
        return;
    if (text)
        session_reply(session, text);
    session_enter(session, SESSION_CLOSING);
}

void session_error(struct session *session, const char *text)
{
    if (++session->errors < session->listener->max_errors)
        session_reply(session, text);
    else
        session_close(session, "421 4.7.0 too many errors; the connection is closed");
}

void session_refuse(struct session *session, const char *recipient, const char *text)
{
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "rejected");
    session_log(session, &entry);
    if (session->transaction)
        log_string(&entry, "from", session->transaction->envelope.sender);
    if (recipient)
        log_string(&entry, "to", recipient);
    log_string(&entry, "reply", text);
    log_end(&entry);
    session_reply(session, text);
    if (++session->refusals > session->listener->max_recipients + SESSION_REFUSALS_MAX && !session->ending)
        session->ending = "421 4.7.0 too many refusals; the connection is closed";
}

void session_reset(struct session *session)
{
    transaction_free(&session->transaction);
    if (session->phase != SESSION_HELO)
        session_enter(session, SESSION_READY);
}

static void greet(struct session *session)
{
    session_enter(session, SESSION_HELO);
    session_replyf(session, "220 %s ESMTP postern", session->front->conf->hostname);
}

static void begin_handshake(struct session *session)
{
    session_enter(session, SESSION_HANDSHAKE);
    stream_start_tls(session->stream, certificates_accept(session->front->certificates));
    wait_deadline(session, SESSION_HANDSHAKE_MS);
}

void session_start_tls(struct session *session)
{
    hand_over(session); /* the 220, still in clear */
    session_reset(session);
    free(session->helo);
    free(session->account);
    session->helo = session->account = NULL;
    session->tag = 0;
    begin_handshake(session);
}

static void secured(void *context)
{
    struct session *session = context;
    const SSL *ssl = stream_tls(session->stream);
    struct log_entry entry;
    log_begin(&entry, LOG_DEBUG, "tls");
    session_log(session, &entry);
    log_string(&entry, "version", SSL_get_version(ssl));
    log_string(&entry, "cipher", SSL_get_cipher_name(ssl));
    log_end(&entry);
    if (session->listener->tls == CONF_LISTENER_IMPLICIT)
        greet(session);
    else
        session_enter(session, SESSION_HELO);
    session_run(session);
}

/* Everything that was said is sent; then the stream goes its own way and the session ends. */
static void finish(struct session *session)
{
    hand_over(session);
    stream_finish(&session->stream, SESSION_LINGER_MS);
    session_free(session);
}

static bool in_transaction(const struct session *session)
{
    return BIT(session->phase) & PHASES_MAIL;
}

/* The input is exhausted, or the session closes, or the client has to read first. */
static void rest(struct session *session)
{
    if (session->front->role->draining && !in_transaction(session) && session->phase >= SESSION_HELO)
        session_close(session, "421 4.3.2 the service is restarting; please connect again");
    if (session->ending)
        session_close(session, session->ending);
    if (session->phase == SESSION_CLOSING) {
        finish(session);
        return;
    }
    hand_over(session);
    /* A deadline begins with a new command and not with new bytes: who sends one a minute would else stay for ever. */
    if (session->stalled)
        wait_deadline(session, SESSION_STALLED_MS);
    else if (session->fresh && session->phase >= SESSION_HELO && session->phase != SESSION_DATA)
        wait_deadline(session, session->listener->command_timeout_ms);
    session->fresh = false;
    stream_resume(session->stream);
}

void session_run(struct session *session)
{
    session->stalled = false;
    while (session->wait.kind == WAIT_NOTHING && !session->ending && steps[session->phase] && steps[session->phase](session)) {
        session->stalled = stream_pending(session->stream) > SESSION_PENDING_MAX;
        if (session->stalled)
            break;
    }
    if (session->wait.kind == WAIT_NOTHING)
        rest(session);
}

static void readable(void *context)
{
    struct session *session = context;
    if (session->wait.kind == WAIT_NOTHING && !session->stalled)
        session_run(session);
}

static void drained(void *context)
{
    struct session *session = context;
    if (session->stalled && session->wait.kind == WAIT_NOTHING)
        session_run(session);
}

static void log_flooded(const struct session *session)
{
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "tls");
    session_log(session, &entry);
    log_string(&entry, "text", stream_problem(session->stream));
    log_end(&entry);
}

static void ended(void *context, enum stream_end why)
{
    struct session *session = context;
    if (why == STREAM_TLS_FAILED)
        log_say(LOG_DEBUG, "tls", "a handshake at listener %s failed: %s", session->listener->name,
                stream_problem(session->stream));
    if (why == STREAM_FLOODED)
        log_flooded(session);
    session_free(session);
}

static const struct stream_events events = { .readable = readable, .drained = drained, .secured = secured, .ended = ended };

static void log_connected(const struct session *session)
{
    struct log_entry entry;
    log_begin(&entry, LOG_DEBUG, "connected");
    session_log(session, &entry);
    log_end(&entry);
}

static void welcome(struct session *session)
{
    if (session->listener->tls == CONF_LISTENER_IMPLICIT)
        begin_handshake(session);
    else
        greet(session);
}

/* The delay of a client that had to wait is over. */
static void let_in(struct session *session, const void *answer)
{
    (void)answer;
    welcome(session);
}

/* Policy's answer to a new connection. Where policy is away the client is let in, and told so when it wants to send. */
static void admitted(struct session *session, const void *answer)
{
    const struct policy_answer *it = answer;
    char reply[POLICY_TEXT_SIZE];
    if (it && it->verdict != POLICY_ALLOW) /* under TLS from the start there is nobody yet to tell it to */
        session_close(session, session->listener->tls == CONF_LISTENER_IMPLICIT ? NULL : ask_policy_reply(it, reply));
    else if (it && it->delay_ms)
        wait_delay_then(session, it->delay_ms, let_in); /* and only then its time for a handshake begins */
    else
        welcome(session);
}

void session_new(struct front *front, unsigned listener, int fd, const struct netaddr *client)
{
    struct session *session = text_zalloc(sizeof *session);
    session->front = front;
    session->listener_index = listener;
    session->listener = &front->conf->listeners[listener];
    session->client = *client;
    session->stream = stream_new(front->role->loop, fd, SESSION_INPUT_MAX, &events, session);
    buffer_init(&session->replies, SESSION_REPLIES_MAX);
    wait_init(session);
    list_append(&front->sessions, &session->node);
    front->connections[listener]++;
    log_connected(session);
    if (ask_policy_connect(session, admitted) == ASK_POLICY_ALLOWED)
        welcome(session);
    session_run(session);
}

void session_free(struct session *session)
{
    struct front *front = session->front;
    list_remove(&session->node);
    auth_cancel(session);
    auth_forget(session);
    wait_fini(session);
    transaction_free(&session->transaction);
    buffer_fini(&session->replies);
    stream_free(&session->stream);
    clients_leave(front->clients, session->listener_index, &session->client);
    front->connections[session->listener_index]--;
    free(session->helo);
    free(session->account);
    free(session);
    front_settle(front);
}

void session_end(struct session *session, const char *text)
{
    session->ending = text;
    if (session->wait.kind == WAIT_NOTHING)
        session_run(session);
}

void session_drain(struct session *session)
{
    if (session->wait.kind == WAIT_NOTHING && !in_transaction(session))
        session_run(session);
}

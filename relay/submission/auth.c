/* This side knows base64, TLS and the client's manners; the auth role knows mechanisms and passwords. An exchange is begun by the
 * command, goes on with a response for each challenge, and ends with a verdict, whose reply may be delayed: the session then waits
 * on its own timer and holds nothing else.
 *
 * A mechanism whose last word is the server's (SCRAM) ends with that word as one more challenge, to which the client owes an empty
 * response before it gets its 235 (RFC 4954 4: additional data with success). That word says that the password was right; so policy is
 * asked before it. Nothing that a client sends here is ever logged; what was decoded is wiped. */
#include "auth.h"

#include "../base/base64.h"
#include "../base/text.h"
#include "../smtp/limits.h"
#include "../smtp/line.h"
#include "ask_auth.h"
#include "ask_policy.h"
#include "certificates.h"
#include "commands.h"
#include "session.h"
#include "verbs.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* What becomes of a verdict. */
static const struct {
    const char *reply;
    bool is_failure; /* counts towards auth.max-failures */
    bool closes;
} verdicts[] = {
    [AUTH_ACCEPTED] = { "235 2.7.0 logged in", false, false },
    [AUTH_REFUSED] = { "535 5.7.8 user name or password is wrong", true, false },
    [AUTH_MALFORMED] = { "501 5.5.2 this is not what the mechanism wants", false, false },
    [AUTH_MECHANISM] = { "504 5.5.4 this mechanism is not offered", false, false },
    [AUTH_TEMPORARY] = { "454 4.7.0 passwords cannot be checked now; try again later", false, false },
    [AUTH_LOCKED] = { "421 4.7.0 too many failed logins; try again later", true, true },
};

/* A password that was judged. */
struct login {
    char *account;
    bool accepted;
    uint32_t delay_ms;       /* how long the auth role wants the answer to wait */
    struct buffer last_word; /* what the server still has to say to an accepted one */
};

bool auth_offers(const struct session *session, struct span mechanism)
{
    const struct conf_strings *mechanisms = &session->front->conf->auth.mechanisms;
    SSL *ssl = stream_tls(session->stream);
    if (session->listener->auth == CONF_AUTH_NONE || !ssl)
        return false;
    if (span_ends_nocase(mechanism, SPAN("-PLUS")) && SSL_version(ssl) < TLS1_3_VERSION)
        return false;
    for (size_t i = 0; i < mechanisms->count; i++)
        if (span_equal_nocase(span_of(mechanisms->items[i]), mechanism))
            return true;
    return false;
}

/* The exchange is over, however it ended. */
static void end_exchange(struct session *session)
{
    free(session->exchange->account);
    free(session->exchange);
    session->exchange = NULL;
}

void auth_cancel(struct session *session)
{
    if (!session->exchange)
        return;
    if (!session->exchange->account)
        ask_auth_cancel(session);
    end_exchange(session);
}

const char *auth_account(const struct session *session)
{
    return session->exchange && session->exchange->account ? session->exchange->account : session->account;
}

static void free_login(struct login **login)
{
    free((*login)->account);
    buffer_wipe(&(*login)->last_word);
    free(*login);
    *login = NULL;
}

void auth_forget(struct session *session)
{
    if (session->login)
        free_login(&session->login);
}

/* Says no, in the words of VERDICT or those of REPLY (NULL: none). */
static void refuse(struct session *session, enum auth_verdict verdict, const char *reply, uint32_t delay_ms)
{
    const char *text = reply ? reply : verdicts[verdict].reply;
    if (verdicts[verdict].is_failure)
        session->auth_failures++;
    if (verdicts[verdict].closes || span_starts_nocase(span_of(text), SPAN("421")))
        session_close(session, text);
    else if (session->auth_failures >= session->front->conf->auth.max_failures)
        session_close(session, "421 4.7.0 too many failed logins; the connection is closed");
    else if (verdict == AUTH_MALFORMED || verdict == AUTH_MECHANISM)
        session_error(session, text);
    else
        session_reply(session, text);
    wait_delay(session, delay_ms);
}

/* "334 " and the base64 of DATA. */
static void challenge(struct session *session, struct span data)
{
    struct buffer line;
    buffer_init(&line, SMTP_AUTH_LINE_MAX * 2);
    buffer_add_text(&line, "334 ");
    base64_encode(data, &line);
    session_reply(session, buffer_text(&line));
    buffer_wipe(&line);
    session_enter(session, SESSION_AUTH);
}

/* ACCOUNT (given away) is in. */
static void enter(struct session *session, char *account, uint64_t tag)
{
    session->account = account;
    session->tag = tag;
    session_reply(session, verdicts[AUTH_ACCEPTED].reply);
}

/* Policy lets LOGIN in. */
static void let_in(struct session *session, struct login *login, const struct policy_answer *answer)
{
    char *account = login->account;
    login->account = NULL;
    if (!buffer_size(&login->last_word)) {
        enter(session, account, answer->tag);
    } else {
        session->exchange = text_zalloc(sizeof *session->exchange);
        session->exchange->account = account;
        session->exchange->tag = answer->tag;
        challenge(session, buffer_span(&login->last_word));
    }
    wait_delay(session, answer->delay_ms);
}

/* Policy's answer. Without one nobody logs in, as nobody could say whether the account is suspended; a wrong password is wrong all the
 * same. Where policy refuses a wrong one it would refuse the right one, too; so the answer waits no longer than for that. */
static void policy_answered(struct session *session, const void *answer)
{
    const struct policy_answer *it = answer;
    struct login *login = session->login;
    char reply[POLICY_TEXT_SIZE];
    session->login = NULL;
    if (it && it->verdict != POLICY_ALLOW)
        refuse(session, AUTH_REFUSED, ask_policy_reply(it, reply), it->delay_ms);
    else if (!login->accepted)
        refuse(session, AUTH_REFUSED, NULL, login->delay_ms + (it ? it->delay_ms : 0));
    else if (!it)
        refuse(session, AUTH_TEMPORARY, NULL, login->delay_ms);
    else
        let_in(session, login, it);
    free_login(&login);
}

/* The password is right or wrong, as DONE says; the last word is policy's. */
static void ask_policy(struct session *session, const struct auth_done *done)
{
    struct login *login = session->login = text_zalloc(sizeof *session->login);
    login->account = text_dup(span_of_array(done->account, sizeof done->account));
    login->accepted = done->verdict == AUTH_ACCEPTED;
    login->delay_ms = done->delay_ms;
    buffer_init(&login->last_word, AUTH_DATA_MAX);
    if (login->accepted)
        buffer_add(&login->last_word, span_make(done->data, done->data_size));
    ask_policy_login(session, login->account, login->accepted, policy_answered);
}

static void settle(struct session *session, const struct auth_done *done)
{
    end_exchange(session);
    if (session->phase == SESSION_AUTH)
        session_enter(session, SESSION_READY);
    if (done->verdict == AUTH_ACCEPTED || done->verdict == AUTH_REFUSED)
        ask_policy(session, done);
    else
        refuse(session, done->verdict, NULL, done->delay_ms);
}

static void unavailable(struct session *session)
{
    auth_cancel(session);
    if (session->phase == SESSION_AUTH)
        session_enter(session, SESSION_READY);
    session_reply(session, verdicts[AUTH_TEMPORARY].reply);
}

/* The auth role's answer, struct ask_auth_answer. */
static void answered(struct session *session, const void *answer)
{
    const struct ask_auth_answer *it = answer;
    if (!it) {
        unavailable(session);
    } else if (it->challenge) {
        challenge(session, span_make(it->challenge->data, it->challenge->data_size));
    } else {
        settle(session, it->done);
    }
}

/* Sends AUTH_BEGIN with INITIAL decoded, where there is one (p is not NULL). */
static bool begin(struct session *session, struct span mechanism, const struct buffer *initial)
{
    struct auth_begin message = { .tls = 1, .has_initial = initial != NULL };
    if (certificates_binding(stream_tls(session->stream), message.binding))
        message.binding_size = CERTIFICATES_BINDING_SIZE;
    for (size_t i = 0; i < mechanism.n; i++)
        message.mechanism[i] = mechanism.p[i] >= 'a' && mechanism.p[i] <= 'z' ? (char)(mechanism.p[i] - 32) : mechanism.p[i];
    if (initial) {
        struct span data = buffer_span(initial);
        message.data_size = (uint32_t)data.n;
        memcpy(message.data, data.p, data.n);
    }
    bool sent = ask_auth_begin(session, &message, offsetof(struct auth_begin, data) + message.data_size, answered);
    OPENSSL_cleanse(&message, sizeof message);
    return sent;
}

/* RFC 4954 4: AUTH mechanism [initial-response], where "=" stands for an empty one. */
static void begin_with(struct session *session, struct span mechanism, struct span initial)
{
    struct buffer decoded;
    bool good = true, sent = false;
    buffer_init(&decoded, AUTH_DATA_MAX);
    if (!span_equal(initial, SPAN("=")))
        good = base64_decode(initial, &decoded);
    if (good)
        sent = begin(session, mechanism, initial.n ? &decoded : NULL);
    buffer_wipe(&decoded);
    if (!good)
        session_error(session, "501 5.5.2 this is not base64");
    else if (!sent)
        unavailable(session);
}

void auth_command(struct session *session, struct span argument)
{
    struct span rest = argument, mechanism = span_cut(&rest, ' ');
    if (session->listener->auth == CONF_AUTH_NONE)
        session_error(session, "502 5.5.1 this listener has no AUTH");
    else if (session->account)
        session_error(session, "503 5.5.1 logged in already");
    else if (!mechanism.n || span_find(rest, ' ') < rest.n)
        session_error(session, "501 5.5.4 AUTH takes a mechanism and at most one response");
    else if (mechanism.n >= sizeof((struct auth_begin *)0)->mechanism || !auth_offers(session, mechanism))
        session_error(session, "504 5.5.4 this mechanism is not offered");
    else
        begin_with(session, mechanism, rest);
}

/* The exchange ends without a verdict, by the client's fault or will. */
static void break_off(struct session *session, const char *reply)
{
    auth_cancel(session);
    session_enter(session, SESSION_READY);
    session_error(session, reply);
}

/* The server had the last word; the client answers with nothing. */
static void acknowledged(struct session *session, struct span line)
{
    char *account = session->exchange->account;
    uint64_t tag = session->exchange->tag;
    if (line.n) {
        break_off(session, "501 5.5.2 an empty response was due");
        return;
    }
    session->exchange->account = NULL;
    end_exchange(session);
    session_enter(session, SESSION_READY);
    enter(session, account, tag);
}

static void respond(struct session *session, struct span line)
{
    struct buffer decoded;
    buffer_init(&decoded, AUTH_DATA_MAX);
    bool good = base64_decode(line, &decoded);
    bool sent = good && ask_auth_respond(session, buffer_span(&decoded), answered);
    buffer_wipe(&decoded);
    if (!good)
        break_off(session, "501 5.5.2 this is not base64");
    else if (!sent)
        unavailable(session);
}

static void take_response(struct session *session, struct span line)
{
    if (span_equal(line, SPAN("*")))
        break_off(session, "501 5.7.0 given up, as you say");
    else if (session->exchange->account)
        acknowledged(session, line);
    else
        respond(session, line);
}

bool auth_step(struct session *session)
{
    struct span line;
    size_t used;
    switch (line_next(stream_input(session->stream), SMTP_AUTH_LINE_MAX, &line, &used)) {
    case LINE_MORE:
        return false;
    case LINE_TOO_LONG:
        auth_cancel(session);
        session_enter(session, SESSION_READY);
        verbs_skip_line(session, "500 5.5.6 the response is too long");
        return true;
    case LINE_BARE:
        break_off(session, "501 5.5.2 a line ends in CR LF, and has neither elsewhere");
        break;
    case LINE_DONE:
        take_response(session, line);
        OPENSSL_cleanse((void *)(uintptr_t)line.p, line.n);
        break;
    }
    stream_consume(session->stream, used);
    session->fresh = true;
    return true;
}

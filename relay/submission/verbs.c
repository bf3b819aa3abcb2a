/* One row a verb: whether EHLO must have come, whether TLS and a login must be there, in which phases it may be given, who does it.
 * The checks are made in this order for all of them, so that a client that pipelines MAIL behind a failed AUTH is told 530, one
 * that forgot EHLO behind STARTTLS is told 503, and a password that comes in clear is answered 538 without a look at it.
 *
 * A client that does not wait for the answer to DATA sends its message where DATA was refused, too. Its lines are errors up to the
 * dot, whatever they say: else who writes a message's text could give commands in the name of the program that sends it.
 *
 * A line that is too long is answered once, at its end, and never kept: what is beyond the limit is thrown away as it comes. */
#include "verbs.h"

#include "../smtp/command.h"
#include "../smtp/line.h"
#include "auth.h"
#include "commands.h"
#include "session.h"

#include <openssl/crypto.h>

#define VERBS_SKIP_MAX  65536 /* bytes of an overlong line that are waited for; beyond, the connection ends */
#define VERBS_IDLE_MAX  80 /* commands that lead nowhere, between two messages, that cost nothing; each further one is an error */
#define VERBS_AUTH_LINE (SMTP_AUTH_LINE_MAX + 64) /* "AUTH SCRAM-SHA-256-PLUS " and an initial response */
#define TLS_HANDSHAKE   0x16                      /* the first byte of a TLS record that begins a connection */

#define BIT(phase) (1u << (phase))
#define ANY        (BIT(SESSION_HELO) | BIT(SESSION_READY) | BIT(SESSION_MAIL) | BIT(SESSION_RCPT))

enum { NEEDS_HELO = 1, NEEDS_TLS = 2, NEEDS_LOGIN = 4, LEADS_NOWHERE = 8 };

struct verb {
    void (*carry_out)(struct session *session, struct span argument);
    unsigned needs;
    unsigned phases;
    const char *out_of_phase; /* the reply elsewhere */
};

static const struct verb verbs[COMMAND_VERBS] = {
    [COMMAND_EHLO] = { ehlo_command, LEADS_NOWHERE, ANY, NULL },
    [COMMAND_HELO] = { ehlo_command_helo, LEADS_NOWHERE, ANY, NULL },
    [COMMAND_STARTTLS] = { starttls_command, NEEDS_HELO, BIT(SESSION_READY), "503 5.5.1 STARTTLS inside a transaction" },
    [COMMAND_AUTH] = { auth_command, NEEDS_TLS | NEEDS_HELO, BIT(SESSION_READY), "503 5.5.1 AUTH inside a transaction" },
    [COMMAND_MAIL] = { mail_command, NEEDS_HELO | NEEDS_LOGIN, BIT(SESSION_READY), "503 5.5.1 the transaction has a sender" },
    [COMMAND_RCPT] = { rcpt_command, NEEDS_HELO | NEEDS_LOGIN, BIT(SESSION_MAIL) | BIT(SESSION_RCPT),
                       "503 5.5.1 MAIL comes first" },
    [COMMAND_DATA] = { data_command, NEEDS_HELO | NEEDS_LOGIN, BIT(SESSION_MAIL) | BIT(SESSION_RCPT),
                       "503 5.5.1 MAIL comes first" },
    [COMMAND_RSET] = { minor_rset, LEADS_NOWHERE, ANY, NULL },
    [COMMAND_NOOP] = { minor_noop, LEADS_NOWHERE, ANY, NULL },
    [COMMAND_VRFY] = { minor_vrfy, LEADS_NOWHERE, ANY, NULL },
    [COMMAND_HELP] = { minor_help, LEADS_NOWHERE, ANY, NULL },
    [COMMAND_QUIT] = { minor_quit, 0, ANY, NULL },
};

/* Verbs of SMTP that postern knows and does not have: 502, all others 500. */
static const char *const not_here[] = { "BDAT", "EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML", "XCLIENT", "XFORWARD" };

/* What other protocols begin their lines with. */
static const char *const foreign[] = { "GET ",   "POST ",    "PUT ",  "HEAD ",       "OPTIONS ", "CONNECT ", "DELETE ",
                                       "TRACE ", "PROPFIND", "HOST:", "USER-AGENT:", "PROXY ",   "SSH-",     "PRI * HTTP" };

bool verbs_is_foreign(struct span line)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (span_starts_nocase(line, span_of(foreign[i])))
            return true;
    return false;
}

static void unknown_verb(struct session *session, struct span line)
{
    struct span verb = span_cut(&line, ' ');
    for (size_t i = 0; i < sizeof not_here / sizeof *not_here; i++)
        if (span_equal_nocase(verb, span_of(not_here[i]))) {
            session_error(session, "502 5.5.1 this command is not available here");
            return;
        }
    session_error(session, "500 5.5.2 this is no command of SMTP");
}

/* Why SESSION may not give the command of this row, or NULL. */
static const char *objection(const struct session *session, const struct verb *verb)
{
    if (verb->needs & NEEDS_TLS && session->listener->auth != CONF_AUTH_NONE && !session_is_secure(session))
        return "538 5.7.11 a password is taken over TLS only";
    if (verb->needs & NEEDS_HELO && session->phase == SESSION_HELO)
        return "503 5.5.1 EHLO comes first";
    if (verb->needs & NEEDS_LOGIN && session->listener->auth == CONF_AUTH_REQUIRED && !session->account)
        return session_is_secure(session) ? "530 5.7.0 log in with AUTH first" : "530 5.7.0 use STARTTLS and AUTH first";
    return verb->phases & BIT(session->phase) ? NULL : verb->out_of_phase;
}

static void carry_out(struct session *session, const struct command *command)
{
    const struct verb *verb = &verbs[command->verb];
    const char *reply = objection(session, verb);
    if (reply) {
        session_error(session, reply);
        return;
    }
    if (verb->needs & LEADS_NOWHERE && ++session->idle_commands > VERBS_IDLE_MAX) {
        session_error(session, "450 4.7.0 too many commands that lead nowhere");
        return;
    }
    verb->carry_out(session, command->argument);
}

/* No command's first word has a colon, every header field's has. */
static bool is_field(struct span line)
{
    struct span word = span_head(line, span_find(line, ' '));
    return span_find(word, ':') < word.n;
}

/* Is LINE content behind a refused DATA? QUIT is obeyed all the same, it can do no harm. */
static bool is_stray(struct session *session, struct span line)
{
    if (session->stray == STRAY_POSSIBLE)
        session->stray = is_field(line) ? STRAY_COMES : STRAY_NONE;
    if (session->stray == STRAY_NONE || span_equal_nocase(line, SPAN("QUIT")))
        return false;
    if (span_equal(line, SPAN(".")))
        session->stray = STRAY_NONE;
    return true;
}

/* DATA, LINE, may have been refused. Who sent more behind a DATA that has no recipient did not wait for its answer, and by RFC 2920
 * 3.1 no command may stand there. */
static void watch_for_stray(struct session *session, struct span line)
{
    bool more = stream_input(session->stream).n > line.n + 2;
    if (session->phase != SESSION_DATA)
        session->stray = session->phase == SESSION_MAIL && more ? STRAY_COMES : STRAY_POSSIBLE;
}

static void take_line(struct session *session, struct span line)
{
    struct command command;
    if (is_stray(session, line))
        session_error(session, "500 5.5.2 DATA was refused, and this is content; it ends with a line that has only a dot");
    else if (verbs_is_foreign(line))
        session_close(session, "421 4.7.0 this is a mail server; the connection is closed");
    else if (!command_parse(line, &command))
        session_error(session, "500 5.5.2 a command is one line of printable text");
    else if (command.verb == COMMAND_UNKNOWN)
        unknown_verb(session, line);
    else {
        carry_out(session, &command);
        if (command.verb == COMMAND_DATA)
            watch_for_stray(session, line);
    }
}

void verbs_skip_line(struct session *session, const char *reply)
{
    session->skipping = reply;
    session->skipped = 0;
}

/* Goes on throwing away an overlong line. False where more input is needed. */
static bool skip(struct session *session, struct span input)
{
    size_t end = span_find(input, '\n');
    bool found = end < input.n;
    size_t taken = found ? end + 1 : input.n;
    session->skipped += taken;
    stream_consume(session->stream, taken);
    if (session->skipped > VERBS_SKIP_MAX) {
        session_close(session, session->skipping);
        return true;
    }
    if (!found)
        return false;
    session_error(session, session->skipping);
    session->skipping = NULL;
    session->fresh = true;
    return true;
}

bool verbs_step(struct session *session)
{
    struct span input = stream_input(session->stream), line;
    size_t used;
    if (session->skipping)
        return input.n && skip(session, input);
    if (input.n && input.p[0] == TLS_HANDSHAKE) {
        session_close(session, NULL);
        return true;
    }
    bool is_auth = span_starts_nocase(input, SPAN("AUTH "));
    switch (line_next(input, is_auth ? VERBS_AUTH_LINE : SMTP_COMMAND_LINE_MAX, &line, &used)) {
    case LINE_MORE:
        return false;
    case LINE_TOO_LONG:
        verbs_skip_line(session, is_auth ? "500 5.5.6 the line is too long" : "500 5.5.2 the line is too long");
        return true;
    case LINE_BARE:
        session_error(session, "500 5.5.2 a line ends in CR LF, and has neither elsewhere");
        break;
    case LINE_DONE:
        session->in_hand = used;
        take_line(session, line);
        session->in_hand = 0;
        break;
    }
    if (is_auth)
        OPENSSL_cleanse((void *)(uintptr_t)line.p, line.n); /* the stream's own bytes, which nobody reads any more */
    stream_consume(session->stream, used);
    session->fresh = true;
    return true;
}

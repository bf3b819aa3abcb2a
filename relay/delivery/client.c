/* The machine: it gathers a reply, finds the row of the stage in the tables of greet.c and post.c, takes the step for the reply's
 * class, and enters what the step returns. enter() is the only writer of the stage; with each stage a deadline begins for its whole
 * reply, so that a server which drips bytes gains nothing. 421 ends the session in any stage (RFC 5321 3.8).
 *
 * Nothing from the server is believed beyond its bounds: lines, lines a reply and the text kept are limited (reply.h), what is
 * no reply ends the session. */
#include "session.h"

#include "../base/text.h"
#include "../smtp/line.h"
#include "nameless.h"
#include "quota.h"

#include <assert.h>
#include <stdlib.h>

#define CLIENT_INPUT_MAX      (2 * SMTP_REPLY_LINE_MAX)
#define CLIENT_LINGER_MS      2000 /* for QUIT to get out */
#define CLIENT_CLOSING        421
#define CLIENT_EXCERPT_LENGTH 80 /* bytes shown of a line that is no reply */

static enum stage nonsense(struct client *client, struct span line);

static const struct stage_row *row_of(enum stage stage)
{
    return stage <= STAGE_LOGIN ? &greet_stages[stage] : &post_stages[stage];
}

/* Is something said to the server on entering STAGE? */
static bool speaks(const struct client *client, enum stage stage)
{
    if (stage == STAGE_RCPT || stage == STAGE_DATA)
        return !client->pipelined;
    return stage == STAGE_READY || row_of(stage)->perform;
}

/* Does what the stage begins with, under its deadline; returns the stage that follows. */
static enum stage perform(struct client *client)
{
    const struct stage_row *row = row_of(client->stage);
    const char *timeouts = (const char *)&client->setup.conf->delivery;
    stream_deadline(client->stream, *(const int64_t *)(const void *)(timeouts + row->timeout));
    return row->perform ? row->perform(client) : client->stage;
}

/* Enters STAGE and those that follow at once. False where the client may be gone: it ended, or its owner was told that it is
 * ready. */
static bool enter(struct client *client, enum stage stage)
{
    while (stage != STAGE_ENDED) {
        struct span unasked = stream_input(client->stream);
        client->stage = stage;
        reply_init(&client->reply);
        /* A server that has answered before it was asked is out of step, or somebody else speaks for it: what it said must not
         * be taken for the answer to what is said now. A 421 that came right behind the last reply shows up here as well. */
        if (unasked.n && speaks(client, stage)) {
            nonsense(client, unasked);
            return false;
        }
        if (stage == STAGE_READY && client->transaction &&
            client->transaction->open) { /* some recipients were not in the last one */
            stage = post_begin(client);
            continue;
        }
        if (stage == STAGE_READY) {
            client->transaction = NULL;
            stream_deadline(client->stream, 0);
            client->events->ready(client->context);
            return false;
        }
        enum stage next = perform(client);
        if (next == stage)
            return true;
        stage = next;
    }
    return false;
}

enum stage client_end(struct client *client, enum client_end end, const struct reason *reason)
{
    client->events->ended(client->context, end, reason);
    return STAGE_ENDED;
}

enum stage client_fail(struct client *client, const struct reason *reason)
{
    enum client_end end = client->stage < STAGE_READY ? CLIENT_REFUSED : CLIENT_LOST;
    return client_end(client, client->stage == STAGE_READY ? CLIENT_IDLE : end, reason);
}

enum stage client_refused(struct client *client)
{
    struct reason reason;
    reason_remote(&reason, &client->reply, '4');
    return client_fail(client, &reason);
}

enum stage client_puzzled(struct client *client)
{
    struct reason reason;
    reason_local(&reason, "4.5.0", "%s gave a reply that makes no sense while %s: %u %s", client->setup.host,
                 row_of(client->stage)->doing, client->reply.code, client->reply.text);
    return client_fail(client, &reason);
}

enum stage client_lost(struct client *client)
{
    struct reason reason;
    const char *problem = stream_problem(client->stream);
    reason_local(&reason, "4.4.2", "%s: %s while %s", client->setup.host, problem[0] ? problem : "the connection was ended",
                 row_of(client->stage)->doing);
    return client_fail(client, &reason);
}

static enum stage nonsense(struct client *client, struct span line)
{
    struct reason reason;
    struct span shown = span_head(span_cut(&line, '\r'), CLIENT_EXCERPT_LENGTH);
    reason_local(&reason, "4.5.0", "%s sent something that was not expected while %s: %.*s", client->setup.host,
                 row_of(client->stage)->doing, SPAN_ARGS(shown));
    return client_fail(client, &reason);
}

enum taken { TAKEN_NOTHING, TAKEN_LINE, TAKEN_REPLY, TAKEN_ENDED };

/* Takes one line of input into the reply. */
static enum taken take_line(struct client *client)
{
    struct span line, input = stream_input(client->stream);
    size_t used;
    enum line_progress found = line_next(input, SMTP_REPLY_LINE_MAX, &line, &used);
    if (found == LINE_MORE)
        return TAKEN_NOTHING;
    enum reply_progress progress = found == LINE_DONE ? reply_feed(&client->reply, line) : REPLY_MALFORMED;
    if (progress == REPLY_MALFORMED) {
        nonsense(client, input);
        return TAKEN_ENDED;
    }
    if (client->stage == STAGE_EHLO && client->reply.lines > 1)
        ehlo_line(&client->ehlo, reply_line_text(line));
    stream_consume(client->stream, used);
    return progress == REPLY_DONE ? TAKEN_REPLY : TAKEN_LINE;
}

/* A receiver that wants names of IPv6 addresses mostly takes the mail over IPv4, where the address has one. */
static enum stage nameless(struct client *client)
{
    struct reason reason;
    reason_remote(&reason, &client->reply, '4');
    return client_end(client, CLIENT_NAMELESS, &reason);
}

/* The session has had its share: the transaction goes over another one, and nobody has refused it. Never of a session's first, so this comes
 * to an end. */
static enum stage share_is_used_up(struct client *client)
{
    struct reason reason;
    reason_remote(&reason, &client->reply, '4');
    return client_end(client, CLIENT_SPENT, &reason);
}

/* Notes what the reply answers, and the reply: of the transaction alone, and without the message, which is in the queue. */
static void note(struct client *client)
{
    static const char *const words[STAGES] = {
        [STAGE_MAIL] = "MAIL FROM:<",  [STAGE_RCPT] = "RCPT TO:<",  [STAGE_DATA] = "DATA",
        [STAGE_CONTENT] = "(message)", [STAGE_DOT] = "(message) .", [STAGE_RSET] = "RSET",
    };
    struct transaction *transaction = client->transaction;
    char code[] = "000 ";
    if (!transaction || !words[client->stage])
        return;
    const char *said[] = { words[client->stage], NULL, ">", NULL };
    if (client->stage == STAGE_MAIL)
        said[1] = transaction->envelope.sender;
    else if (client->stage == STAGE_RCPT)
        said[1] = client->at < transaction->count ? transaction_address(transaction, client->at) : "";
    for (unsigned i = 0, rest = client->reply.code; i < 3; i++, rest /= 10)
        code[2 - i] = (char)('0' + rest % 10);
    transcript_add(&transaction->transcript, 'C', said);
    transcript_add(&transaction->transcript, 'S', (const char *[]){ code, client->reply.text, NULL });
}

/* The step that the finished reply calls for. */
static enum stage step(struct client *client)
{
    unsigned class = client->reply.code / 100;
    note(client);
    stage_step on = class >= 2 && class <= 5 ? row_of(client->stage)->on[class - 2] : NULL;
    if (client->reply.code == CLIENT_CLOSING)
        on = client_refused;
    if (client->stage == STAGE_MAIL && client->mails > 1 && quota_said(&client->reply))
        on = share_is_used_up;
    if (client->setup.ipv4_instead && nameless_said(&client->reply))
        on = nameless;
    return on ? on(client) : client_puzzled(client);
}

static void readable(void *context)
{
    struct client *client = context;
    for (;;) {
        enum taken taken = take_line(client);
        if (taken == TAKEN_NOTHING || taken == TAKEN_ENDED)
            return;
        if (taken == TAKEN_REPLY && !enter(client, step(client)))
            return;
    }
}

static void drained(void *context)
{
    struct client *client = context;
    if (client->stage != STAGE_CONTENT)
        return;
    enum stage next = perform(client);
    if (next != STAGE_CONTENT)
        enter(client, next);
}

static void secured(void *context)
{
    struct client *client = context;
    client->secured = true;
    tls_describe(stream_tls(client->stream), client->tls);
    enter(client, greet_secured(client));
}

/* Did a kept connection turn out to be dead before the server said anything of this transaction? */
static bool is_stale(const struct client *client)
{
    return client->stage == STAGE_MAIL && client->mails > 1 && client->reply.lines == 0;
}

static void ended(void *context, enum stream_end why)
{
    struct client *client = context;
    const struct stage_row *row = row_of(client->stage);
    struct reason reason;
    client->timed_out = why == STREAM_TIMEOUT;
    if (!client->timed_out && is_stale(client)) {
        reason_local(&reason, "4.4.2", "%s closed the connection that was kept open", client->setup.host);
        client_end(client, CLIENT_STALE, &reason);
    } else if (row->lost) {
        row->lost(client);
    } else {
        client_lost(client);
    }
}

static const struct stream_events stream_events = {
    .readable = readable, .drained = drained, .secured = secured, .ended = ended
};

struct client *client_new(const struct client_setup *setup, struct watch *watch, const struct client_events *events,
                          void *context)
{
    struct client *client = text_zalloc(sizeof *client);
    client->setup = *setup;
    client->events = events;
    client->context = context;
    text_copy(client->tls, sizeof client->tls, SPAN("none"));
    client->stream = stream_adopt(watch, CLIENT_INPUT_MAX, &stream_events, client);
    return client;
}

void client_begin(struct client *client)
{
    enter(client, greet_begin(client));
}

void client_free(struct client **client)
{
    if (!*client)
        return;
    stream_free(&(*client)->stream);
    login_free(&(*client)->login);
    free((*client)->challenge);
    free((*client)->domain_hashes);
    free(*client);
    *client = NULL;
}

void client_quit(struct client **client)
{
    if (*client && (*client)->stage == STAGE_READY) {
        stream_write((*client)->stream, SPAN("QUIT\r\n"));
        stream_finish(&(*client)->stream, CLIENT_LINGER_MS);
    }
    client_free(client);
}

void client_send(struct client *client, struct transaction *transaction)
{
    assert(client->stage == STAGE_READY);
    client->transaction = transaction;
    enter(client, post_begin(client));
}

bool client_is_ready(const struct client *client)
{
    return client->stage == STAGE_READY;
}

bool client_is_committed(const struct client *client)
{
    return client->stage == STAGE_DOT;
}

bool client_is_doubted(const struct client *client)
{
    return client->doubted;
}

bool client_is_mismatched(const struct client *client)
{
    return client->mismatched;
}

bool client_is_spent(const struct client *client)
{
    return client->ehlo.mail_max && client->mails >= client->ehlo.mail_max;
}

const char *client_tls(const struct client *client)
{
    return client->tls;
}

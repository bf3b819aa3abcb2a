/* The header is held in memory until its end, since its fields are judged, some are taken out, and the lines that go in front depend
 * on it; everything behind it goes to the writer as it comes. The scanner (smtp/content.h) finds the one true end and sees bare
 * CR and LF; once a message cannot be taken any more its content is thrown away as it comes, but always to that end, so that
 * none of it is ever read as a command.
 *
 * A header that has a line which is no field ends in front of it: an empty line is put there. Receivers differ in what they make
 * of such a header; with that line it means the same to all of them, and to the check of From here.
 *
 * Time: each piece must come within data-timeout, and the message as a whole must keep a minimum rate. While the disk is slower than
 * the client (intake_is_full) the session waits and the client's clock stands. */
#include "body.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../message/received.h"
#include "../smtp/address.h"
#include "../smtp/content.h"
#include "ask_policy.h"
#include "ask_queue.h"
#include "session.h"
#include "transaction.h"

#include <stdlib.h>

#define BODY_RATE_MIN     512         /* bytes a second over the whole message, beyond the first data-timeout */
#define BODY_RECEIVED_MAX 100         /* Received fields; so many are a loop (RFC 5321 6.3) */
#define BODY_PREFIX_MAX   (16 * 1024) /* the lines that are put in front */
#define BODY_EXCESS_MAX   (1u << 30)  /* what is drained beyond the maximum size; then the connection ends */

struct body {
    struct content scan;
    struct buffer head;   /* the header as far as it has come */
    size_t head_searched; /* its first bytes that have no end */
    bool head_done;
    struct intake *intake;
    struct buffer prefix;
    struct policy_content *question; /* for policy, or NULL */
    struct feedback *feedback;       /* reads a report of abuse, or NULL */
    const char *refusal;             /* the reply that is due at the end, static; NULL while all is well */
    int64_t began_ms;
    uint64_t came; /* bytes */
};

void body_free(struct body **body)
{
    if (!*body)
        return;
    intake_free(&(*body)->intake);
    buffer_fini(&(*body)->head);
    buffer_fini(&(*body)->prefix);
    free((*body)->question);
    feedback_free(&(*body)->feedback);
    free(*body);
    *body = NULL;
}

static void set_deadline(struct session *session)
{
    const struct body *body = session->transaction->body;
    int64_t patience = session->listener->data_timeout_ms;
    int64_t next = clock_monotonic_ms() + patience;
    int64_t whole = body->began_ms + patience + (int64_t)(body->came * 1000 / BODY_RATE_MIN);
    wait_until(session, next < whole ? next : whole);
}

/* Is the message for the address that gets reports, from a listener where nobody can log in to accuse a colleague? */
static bool may_report(const struct session *session)
{
    const struct envelope *envelope = &session->transaction->envelope;
    char wanted[ADDRESS_KEY_SIZE], found[ADDRESS_KEY_SIZE];
    struct span address = address_key(span_of(session->front->conf->policy.report_address), wanted);
    if (!address.n || session->listener->auth != CONF_AUTH_NONE)
        return false;
    for (size_t i = 0; i < envelope->nrecipients; i++)
        if (span_equal_nocase(address_key(span_of(envelope->recipients[i].address), found), address))
            return true;
    return false;
}

void body_begin(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct body *body = text_zalloc(sizeof *body);
    transaction->envelope.id = uid_next();
    transaction->envelope.arrived_ms = clock_wall_ms();
    buffer_init(&body->head, HEADER_SIZE_MAX);
    buffer_init(&body->prefix, BODY_PREFIX_MAX);
    body->intake =
        intake_new(ask_queue_writer(session->front->queue), transaction->envelope.id, session->listener->max_message_size);
    body->began_ms = clock_monotonic_ms();
    if (may_report(session))
        body->feedback = feedback_new(session->front->conf->hostname);
    transaction->body = body;
    set_deadline(session);
}

/* The message will be refused with REPLY, and no more of it is stored. The first reason is the one that is told. What came of the header
 * stays where it is: whoever found the reason is looking at it (take). */
static void spoil(struct body *body, const char *reply)
{
    if (body->refusal)
        return;
    body->refusal = reply;
    intake_free(&body->intake);
}

static const char *intake_refusal(const struct intake *intake)
{
    switch (intake_verdict(intake)) {
    case WRITER_FULL:
        return "452 4.3.1 there is not enough space for the message now; try again later";
    case WRITER_FAILED:
        return "451 4.3.0 the message could not be stored; try again later";
    default:
        return "552 5.3.4 the message is larger than this server takes";
    }
}

static void store(struct body *body, struct span content)
{
    if (content.n && !body->refusal && !intake_add(body->intake, content))
        spoil(body, intake_refusal(body->intake));
}

/* The part of HEAD that is fields, and behind it the empty line or what is no header. */
static struct span fields_of(struct span head)
{
    struct span rest = head;
    struct header_field field;
    while (header_next(&rest, &field))
        continue;
    return span_head(head, head.n - rest.n);
}

static bool write_prefix(struct session *session, const struct header_facts *header)
{
    const SSL *ssl = stream_tls(session->stream);
    struct transaction *transaction = session->transaction;
    struct received_facts facts = {
        .hostname = session->front->conf->hostname,
        .tls_version = ssl ? SSL_get_version(ssl) : NULL,
        .tls_cipher = ssl ? SSL_get_cipher_name(ssl) : NULL,
        .esmtp = session->esmtp,
        .hide_client = session->listener->hide_client,
        .tag = session->tag,
    };
    return received_write(&transaction->envelope, &facts, header, &transaction->body->prefix);
}

/* Judges HEAD, prepares the lines in front and the question for policy. Returns the part of HEAD that is its fields. */
static struct span judge(struct session *session, struct span head)
{
    struct body *body = session->transaction->body;
    struct header_facts facts;
    struct span fields = head;
    header_examine(head, &facts);
    if (facts.malformed) {
        bool odd = facts.space_before_colon;
        fields = fields_of(head);
        header_examine(fields, &facts);
        facts.space_before_colon |= odd;
    }
    if (session->transaction->watched)
        session->transaction->subject = text_dup(span_of(facts.subject));
    if (facts.received >= BODY_RECEIVED_MAX)
        spoil(body, "554 5.4.6 the message has been through too many servers: it goes in a circle");
    else if (!write_prefix(session, &facts))
        spoil(body, "554 5.6.0 the header cannot be completed");
    else
        body->question = ask_policy_content_new(session, &facts);
    return fields;
}

/* The header is complete, or the content ended within it. */
static void finish_head(struct session *session, struct span head)
{
    struct body *body = session->transaction->body;
    struct buffer kept;
    body->head_done = true;
    struct span fields = judge(session, head);
    struct span rest = span_skip(head, fields.n);
    buffer_init(&kept, HEADER_SIZE_MAX);
    if (!header_strip(fields, &kept))
        spoil(body, "552 5.3.4 the header is too large");
    store(body, buffer_span(&kept));
    if (rest.n && rest.p[0] != '\r')
        store(body, SPAN("\r\n"));
    store(body, rest);
    buffer_fini(&kept);
}

/* Adds CONTENT to the header, and looks for its end. */
static void take_head(struct session *session, struct span content)
{
    struct body *body = session->transaction->body;
    if (!buffer_size(&body->head)) {
        size_t end = header_end(content, 0); /* mostly all of it comes in one piece */
        if (end) {
            finish_head(session, span_head(content, end));
            store(body, span_skip(content, end));
            return;
        }
    }
    if (!buffer_add(&body->head, content)) {
        spoil(body, "552 5.3.4 the header is too large");
        return;
    }
    struct span head = buffer_span(&body->head);
    size_t end = header_end(head, body->head_searched);
    body->head_searched = head.n;
    if (!end)
        return;
    finish_head(session, span_head(head, end));
    store(body, span_skip(head, end));
    buffer_fini(&body->head);
}

static void take(struct session *session, struct span content)
{
    struct body *body = session->transaction->body;
    if (content.n && !body->refusal) {
        if (body->feedback)
            feedback_add(body->feedback, content);
        if (body->head_done)
            store(body, content);
        else
            take_head(session, content);
    }
    if (body->refusal)
        buffer_fini(&body->head);
}

/* A report is told when nothing speaks against the message any more. Should it not be stored, it comes again; policy knows those that it
 * was told of. */
static void tell_report(struct session *session)
{
    struct body *body = session->transaction->body;
    struct feedback_result result;
    if (!body->feedback)
        return;
    feedback_end(body->feedback, &result);
    if (result.is_report)
        ask_policy_tell_report(session, session->transaction->envelope.id, &result);
}

static void commit(struct session *session)
{
    struct body *body = session->transaction->body;
    tell_report(session);
    if (body->scan.eight_bit)
        session->transaction->envelope.flags |= ENVELOPE_8BIT;
    transaction_commit(session, &body->intake, buffer_span(&body->prefix));
}

static void refuse(struct session *session, const char *reply)
{
    session_refuse(session, NULL, reply);
    session_reset(session);
}

/* Policy's answer. */
static void answered(struct session *session, const void *answer)
{
    const struct policy_answer *it = answer;
    char reply[POLICY_TEXT_SIZE];
    if (!it || (it->verdict != POLICY_ALLOW && it->verdict != POLICY_HOLD)) {
        refuse(session, ask_policy_reply(it, reply));
        if (it)
            wait_delay(session, it->delay_ms);
        return;
    }
    if (it->verdict == POLICY_HOLD)
        transaction_hold(session->transaction, span_of_array(it->reply, sizeof it->reply));
    commit(session);
}

/* The end was found. */
static void finish(struct session *session)
{
    struct body *body = session->transaction->body;
    if (!body->refusal && !body->head_done)
        finish_head(session, buffer_span(&body->head));
    if (body->refusal) {
        refuse(session, body->refusal);
        return;
    }
    struct policy_content *question = body->question;
    body->question = NULL;
    if (ask_policy_content(session, question, intake_size(body->intake), answered) == ASK_POLICY_ALLOWED)
        commit(session);
}

/* The writer has room again. */
static void room(void *context)
{
    struct session *session = context;
    if (session->wait.kind == WAIT_ROOM)
        wait_answer(session, NULL);
}

static void went_on(struct session *session, const void *answer)
{
    (void)answer;
    set_deadline(session);
}

/* What the scanner saw, and how much came. */
static void check_limits(struct session *session)
{
    struct body *body = session->transaction->body;
    if (body->scan.bare_cr || body->scan.bare_lf)
        spoil(body, "550 5.5.2 the message has a CR or LF that is not a line's end");
    else if (body->scan.nul)
        spoil(body, "554 5.6.0 the message has a NUL byte");
    if (body->came > session->listener->max_message_size + BODY_EXCESS_MAX)
        session_close(session, "552 5.3.4 the message is larger than this server takes; the connection is closed");
}

bool body_step(struct session *session)
{
    struct body *body = session->transaction->body;
    struct span input = stream_input(session->stream), held, content;
    size_t used;
    if (!input.n)
        return false;
    enum content_progress progress = content_scan(&body->scan, input, &held, &content, &used);
    take(session, held);
    take(session, content);
    body->came += used;
    check_limits(session);
    stream_consume(session->stream, used);
    if (session->phase != SESSION_DATA)
        return true;
    if (progress == CONTENT_END) {
        finish(session);
    } else if (body->intake && intake_is_full(body->intake)) {
        wait_more(session, WAIT_ROOM, went_on);
        intake_on_drained(body->intake, room, session);
    } else {
        set_deadline(session);
    }
    return true;
}

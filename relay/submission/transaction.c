/* The order that a 250 stands for: the message is durable (the writer says so), then the queue is told (ask_queue.c) and it is in the log, then
 * the client hears it: one step after the other for all that became durable at the same moment. None of this needs the session: a
 * client that goes away between its dot and the reply leaves a message that is delivered once. */
#include "transaction.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "ask_policy.h"
#include "ask_queue.h"
#include "batch.h"
#include "body.h"
#include "session.h"

#include <stdlib.h>

#define HELD_SIZE 400 /* bytes of the reason, with a NUL: a reply line has 512 (RFC 5321 4.5.3.1.5) */

struct transaction *transaction_new(const struct session *session, const struct command_mail *mail)
{
    struct transaction *transaction = text_zalloc(sizeof *transaction);
    struct envelope *envelope = &transaction->envelope;
    transaction->front = session->front;
    envelope_init(envelope);
    envelope->ret = mail->ret;
    envelope->flags = (mail->body_8bit ? ENVELOPE_8BIT : 0u) | (mail->smtputf8 ? ENVELOPE_SMTPUTF8 : 0u);
    netaddr_print(&session->client, envelope->client);
    text_copy(envelope->account, sizeof envelope->account, span_of(session->account));
    text_copy(envelope->helo, sizeof envelope->helo, span_of(session->helo));
    text_copy(envelope->sender, sizeof envelope->sender, span_of(mail->sender));
    text_copy(envelope->envid, sizeof envelope->envid, span_of(mail->envid));
    return transaction;
}

void transaction_hold(struct transaction *transaction, struct span reason)
{
    transaction->envelope.flags |= ENVELOPE_HELD;
    if (transaction->held)
        return; /* the first reason is the one that is told */
    transaction->held = text_zalloc(HELD_SIZE);
    text_escape(transaction->held, HELD_SIZE, reason.n ? reason : SPAN("an administrator will look at it"));
}

void transaction_free(struct transaction **transaction)
{
    if (!*transaction)
        return;
    batch_free(&(*transaction)->batch);
    body_free(&(*transaction)->body);
    envelope_fini(&(*transaction)->envelope);
    free((*transaction)->held);
    free((*transaction)->subject);
    free(*transaction);
    *transaction = NULL;
}

static void log_accepted(const struct transaction *transaction, uint64_t size)
{
    const struct envelope *envelope = &transaction->envelope;
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "accepted");
    log_uid(&entry, "id", envelope->id);
    log_string(&entry, "account", envelope->account);
    log_string(&entry, "client", envelope->client);
    log_string(&entry, "from", envelope->sender);
    log_number(&entry, "nrcpt", (int64_t)envelope->nrecipients);
    log_number(&entry, "size", (int64_t)size);
    log_end(&entry);
}

/* The writer's verdict. */
static void stored(void *context, enum writer_verdict verdict, const struct writer_place *place)
{
    struct transaction *transaction = context;
    struct front *front = transaction->front;
    transaction->verdict = verdict;
    list_append(&front->ended, &transaction->node);
    if (verdict != WRITER_STORED)
        return;
    ask_queue_tell(front->queue, place);
    log_gather(true);
    log_accepted(transaction, place->record.content_size);
    if (transaction->watched)
        ask_policy_tell_sample(transaction);
}

static void answer(struct transaction *transaction)
{
    struct front *front = transaction->front;
    struct session *session = wait_find(front, WAIT_STORE, transaction->ticket);
    struct transaction_end end = { transaction->verdict, transaction->envelope.id, transaction->held };
    front->committing--;
    if (session)
        wait_answer(session, &end);
    transaction_free(&transaction);
}

void transaction_answer_all(struct front *front)
{
    log_gather(false);
    LIST_EACH(node, &front->ended) {
        list_remove(node);
        answer(LIST_ENTRY(node, struct transaction, node));
    }
    front_settle(front);
}

/* The reply to the dot. */
static void settled(struct session *session, const void *answer)
{
    const struct transaction_end *end = answer;
    char id[UID_TEXT_SIZE];
    session_enter(session, SESSION_READY);
    if (end && end->verdict == WRITER_STORED) {
        uid_print(end->id, id);
        if (end->held)
            session_replyf(session, "250 2.0.0 %s queued, and held: %s", id, end->held);
        else
            session_replyf(session, "250 2.0.0 %s queued", id);
    } else if (end && end->verdict == WRITER_FULL) {
        session_refuse(session, NULL, "452 4.3.1 there is not enough space for the message now; try again later");
    } else {
        session_refuse(session, NULL, "451 4.3.0 the message could not be stored; try again later");
    }
}

void transaction_commit(struct session *session, struct intake **intake, struct span prefix)
{
    struct transaction *transaction = session->transaction;
    struct buffer envelope;
    buffer_init(&envelope, ENVELOPE_STORED_MAX);
    if (!envelope_store(&transaction->envelope, &envelope)) {
        buffer_fini(&envelope);
        intake_free(intake);
        session_reset(session);
        session_refuse(session, NULL, "452 4.5.3 too many recipients for one message");
        return;
    }
    session->transaction = NULL;
    session->front->committing++;
    transaction->ticket = wait_ask(session, WAIT_STORE, settled);
    intake_commit(intake, buffer_span(&envelope), prefix, stored, transaction);
    buffer_fini(&envelope);
}

/* RCPT in three steps, of which the last two may have to ask another process: is there room for one more, does its domain take mail,
 * may it be sent to. A refusal here concerns one recipient and leaves the transaction as it was. */
#include "../base/text.h"
#include "../smtp/address.h"
#include "ask_dns.h"
#include "ask_policy.h"
#include "batch.h"
#include "commands.h"
#include "session.h"
#include "transaction.h"

#define RCPT_EXCESS_MAX 1000 /* recipients beyond the maximum that are answered 452; then 421 */
#define RCPT_REPLY_SIZE 256

static void accept_recipient(struct session *session)
{
    struct transaction *transaction = session->transaction;
    const struct command_rcpt *rcpt = &transaction->rcpt;
    if (!envelope_add(&transaction->envelope, rcpt->recipient, rcpt->notify, rcpt->orcpt)) {
        session_refuse(session, rcpt->recipient, "452 4.5.3 too many recipients");
        return;
    }
    session_enter(session, SESSION_RCPT);
    session_reply(session, "250 2.1.5 recipient ok");
}

/* What policy says of the recipient in hand; NULL: it says nothing. */
static void obey(struct session *session, const struct policy_answer *answer)
{
    char reply[POLICY_TEXT_SIZE];
    if (!answer || (answer->verdict != POLICY_ALLOW && answer->verdict != POLICY_HOLD)) {
        session_refuse(session, session->transaction->rcpt.recipient, ask_policy_reply(answer, reply));
    } else {
        if (answer->verdict == POLICY_HOLD)
            transaction_hold(session->transaction, span_of_array(answer->reply, sizeof answer->reply));
        accept_recipient(session);
    }
    if (answer)
        wait_delay(session, answer->delay_ms);
}

static void policy_answered(struct session *session, const void *answer)
{
    const struct policy_rcpt_answer *it = answer;
    batch_answered(session->transaction->batch, it);
    session->transaction->watched |= it && it->watched;
    obey(session, it ? &it->each[0] : NULL);
}

static void check_policy(struct session *session)
{
    if (ask_policy_counts_recipients(session))
        batch_ask(session, policy_answered);
    else
        accept_recipient(session);
}

/* Trouble with DNS refuses nothing: delivery will see. */
static void dns_answered(struct session *session, const void *answer)
{
    const struct dns_mx *it = answer;
    const char *recipient = session->transaction->rcpt.recipient;
    char text[RCPT_REPLY_SIZE];
    const char *refusal = it ? ask_dns_refusal(it->status, text, sizeof text) : NULL;
    if (it && it->status == DNS_OK)
        ask_dns_good(session->front->dns, address_domain(span_of(recipient)), it->ttl_s);
    if (refusal) {
        session_refuse(session, recipient, refusal);
        ask_policy_tell_refused(session, recipient);
    } else {
        check_policy(session);
    }
}

static void check_domain(struct session *session)
{
    const char *recipient = session->transaction->rcpt.recipient;
    if (rcpt_is_settled(session, recipient) || !ask_dns_domain(session, address_domain(span_of(recipient)), dns_answered))
        check_policy(session);
}

static void too_many(struct session *session)
{
    if (++session->transaction->excess > RCPT_EXCESS_MAX)
        session_close(session, "421 4.7.0 far too many recipients; the connection is closed");
    else
        session_reply(session, "452 4.5.3 too many recipients for one message; send the rest in another");
}

enum command_fault rcpt_parse(const struct session *session, struct span argument, struct command_rcpt *ret_rcpt)
{
    bool smtputf8 = session->transaction->envelope.flags & ENVELOPE_SMTPUTF8;
    enum command_fault fault = command_parse_rcpt(argument, smtputf8, ret_rcpt);
    if (fault == COMMAND_FINE && !address_domain(span_of(ret_rcpt->recipient)).n)
        text_copy(ret_rcpt->recipient, sizeof ret_rcpt->recipient, span_of(session->front->conf->postmaster));
    return fault;
}

bool rcpt_is_settled(const struct session *session, const char *recipient)
{
    return !session->listener->check_recipient_domain || strcmp(recipient, session->front->conf->postmaster) == 0 ||
           ask_dns_needless(session->front, address_domain(span_of(recipient)));
}

void rcpt_command(struct session *session, struct span argument)
{
    struct transaction *transaction = session->transaction;
    struct command_rcpt *rcpt = &transaction->rcpt;
    enum command_fault fault = rcpt_parse(session, argument, rcpt);
    if (fault != COMMAND_FINE) {
        session_error(session, command_fault_reply(fault));
    } else if (transaction->envelope.nrecipients >= session->listener->max_recipients) {
        too_many(session);
    } else {
        const struct policy_answer *answer = batch_take(transaction->batch, rcpt->recipient);
        if (answer)
            obey(session, answer);
        else
            check_domain(session);
    }
}

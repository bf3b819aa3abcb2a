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

/* The domain of RECIPIENT as it is looked up; it may lie in ROOM. */
static struct span domain_of(const char *recipient, char room[ADDRESS_KEY_SIZE])
{
    return address_domain(address_key(span_of(recipient), room));
}

/* The one in hand, as those behind it are. */
static struct batch_recipient in_hand(const struct session *session)
{
    const struct command_rcpt *rcpt = &session->transaction->rcpt;
    return (struct batch_recipient){ .address = rcpt->recipient, .notify = rcpt->notify, .orcpt = rcpt->orcpt };
}

static void accept_recipient(struct session *session, const struct batch_recipient *recipient)
{
    if (!envelope_add(&session->transaction->envelope, recipient->address, recipient->notify, recipient->orcpt)) {
        session_refuse(session, recipient->address, "452 4.5.3 too many recipients");
        return;
    }
    session_enter(session, SESSION_RCPT);
    session_reply(session, "250 2.1.5 recipient ok");
}

/* What policy says of RECIPIENT; NULL: it says nothing. */
static void obey(struct session *session, const struct batch_recipient *recipient, const struct policy_answer *answer)
{
    char reply[POLICY_TEXT_SIZE];
    if (!answer || (answer->verdict != POLICY_ALLOW && answer->verdict != POLICY_HOLD)) {
        session_refuse(session, recipient->address, ask_policy_reply(answer, reply));
    } else {
        if (answer->verdict == POLICY_HOLD)
            transaction_hold(session->transaction, span_of_array(answer->reply, sizeof answer->reply));
        accept_recipient(session, recipient);
    }
    if (answer)
        wait_delay(session, answer->delay_ms);
}

/* Those behind the one in hand are carried out here, as far as there is an answer; the others when their line is read. */
static void policy_answered(struct session *session, const void *answer)
{
    const struct policy_rcpt_answer *it = answer;
    struct transaction *transaction = session->transaction;
    struct batch_recipient recipient = in_hand(session);
    transaction->watched |= it && it->watched;
    obey(session, &recipient, it ? &it->each[0] : NULL);
    for (uint32_t i = 1; it && i < it->count && session->wait.kind == WAIT_NOTHING && !session->ending &&
                         batch_take(transaction->batch, &recipient);
         i++) {
        stream_consume(session->stream, recipient.size);
        obey(session, &recipient, &it->each[i]);
    }
    batch_free(&transaction->batch);
}

static void check_policy(struct session *session)
{
    const struct batch_recipient recipient = in_hand(session);
    if (ask_policy_counts_recipients(session))
        batch_ask(session, policy_answered);
    else
        accept_recipient(session, &recipient);
}

/* Trouble with DNS refuses nothing: delivery will see. */
static void dns_answered(struct session *session, const void *answer)
{
    const struct dns_mx *it = answer;
    const char *recipient = session->transaction->rcpt.recipient;
    char text[RCPT_REPLY_SIZE], room[ADDRESS_KEY_SIZE];
    const char *refusal = it ? ask_dns_refusal(it->status, text, sizeof text) : NULL;
    if (it && it->status == DNS_OK)
        ask_dns_good(session->front->dns, domain_of(recipient, room), it->ttl_s);
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
    char room[ADDRESS_KEY_SIZE];
    if (rcpt_is_settled(session, recipient) || !ask_dns_domain(session, domain_of(recipient, room), dns_answered))
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
    char room[ADDRESS_KEY_SIZE];
    return !session->listener->check_recipient_domain || strcmp(recipient, session->front->conf->postmaster) == 0 ||
           ask_dns_needless(session->front, domain_of(recipient, room));
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
        check_domain(session);
    }
}

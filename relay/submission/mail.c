/* MAIL begins a transaction. What can be known now is refused now, while the client has sent no content: no queue process, no space,
 * a message larger than it may be, a sender that the account may not use. */
#include "../base/text.h"
#include "ask_policy.h"
#include "ask_queue.h"
#include "commands.h"
#include "session.h"
#include "transaction.h"

static void refuse(struct session *session, const char *reply)
{
    session_refuse(session, NULL, reply);
    session_reset(session);
}

static void begin(struct session *session)
{
    session->messages++;
    session_enter(session, SESSION_MAIL);
    session_reply(session, "250 2.1.0 sender ok");
}

/* Policy's answer. */
static void answered(struct session *session, const void *answer)
{
    const struct policy_answer *it = answer;
    char reply[POLICY_TEXT_SIZE];
    if (!it || (it->verdict != POLICY_ALLOW && it->verdict != POLICY_HOLD)) {
        refuse(session, ask_policy_reply(it, reply));
    } else {
        if (it->verdict == POLICY_HOLD)
            transaction_hold(session->transaction, span_of_array(it->reply, sizeof it->reply));
        session->transaction->watched = it->watched;
        begin(session);
    }
    if (it)
        wait_delay(session, it->delay_ms);
}

void mail_command(struct session *session, struct span argument)
{
    const struct conf_listener *listener = session->listener;
    struct command_mail mail;
    enum command_fault fault = command_parse_mail(argument, &mail);
    const char *objection = ask_queue_objection(session->front->queue);
    if (session->messages >= listener->max_messages) {
        session_close(session, "421 4.7.0 enough messages for one connection; please connect again");
    } else if (fault != COMMAND_FINE) {
        session_error(session, command_fault_reply(fault));
    } else if (mail.size > listener->max_message_size) {
        session_refuse(session, NULL, "552 5.3.4 the message is larger than this server takes");
    } else if (objection) {
        session_refuse(session, NULL, objection);
    } else {
        session->transaction = transaction_new(session, &mail);
        if (ask_policy_mail(session, mail.size, answered) == ASK_POLICY_ALLOWED)
            begin(session);
    }
}

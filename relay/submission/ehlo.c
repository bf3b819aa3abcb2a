/* EHLO and HELO begin anew: a transaction is forgotten, a login stays (RFC 5321 4.1.4). What is offered depends on where the session
 * stands: STARTTLS while it is plain, AUTH under TLS only, mechanisms with channel binding only where there is a channel to
 * bind. */
#include "../base/text.h"
#include "../smtp/command.h"
#include "auth.h"
#include "commands.h"
#include "session.h"

#include <stdlib.h>

#define EHLO_AUTH_LINE 512

static bool take_name(struct session *session, struct span argument)
{
    if (!command_is_helo_name(argument)) {
        session_error(session, "501 5.5.4 give a host name or an address literal");
        return false;
    }
    free(session->helo);
    session->helo = text_dup(argument);
    session_reset(session);
    if (session->phase == SESSION_HELO)
        session_enter(session, SESSION_READY);
    return true;
}

void ehlo_command_helo(struct session *session, struct span argument)
{
    if (!take_name(session, argument))
        return;
    session->esmtp = false;
    session_replyf(session, "250 %s", session->front->conf->hostname);
}

/* "250-AUTH PLAIN …", where there is anything to offer. */
static void offer_auth(struct session *session)
{
    const struct conf_strings *mechanisms = &session->front->conf->auth.mechanisms;
    char line[EHLO_AUTH_LINE] = "250-AUTH";
    size_t bare = strlen(line);
    for (size_t i = 0; i < mechanisms->count; i++) {
        size_t n = strlen(line);
        if (auth_offers(session, span_of(mechanisms->items[i])))
            text_format(line + n, sizeof line - n, " %s", mechanisms->items[i]);
    }
    if (strlen(line) > bare)
        session_reply(session, line);
}

void ehlo_command(struct session *session, struct span argument)
{
    const struct conf_listener *listener = session->listener;
    if (!take_name(session, argument))
        return;
    session->esmtp = true;
    session_replyf(session, "250-%s", session->front->conf->hostname);
    session_reply(session, "250-PIPELINING");
    session_replyf(session, "250-SIZE %llu", (unsigned long long)listener->max_message_size);
    if (listener->tls == CONF_LISTENER_STARTTLS && !session_is_secure(session))
        session_reply(session, "250-STARTTLS");
    offer_auth(session);
    session_reply(session, "250-8BITMIME");
    session_reply(session, "250-ENHANCEDSTATUSCODES");
    session_reply(session, "250-DSN");
    session_reply(session, "250 SMTPUTF8");
}

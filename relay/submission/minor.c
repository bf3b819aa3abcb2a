#include "commands.h"
#include "session.h"

void minor_rset(struct session *session, struct span argument)
{
    if (argument.n) {
        session_error(session, "501 5.5.4 RSET takes no argument");
        return;
    }
    session_reset(session);
    session_reply(session, "250 2.0.0 ok");
}

void minor_noop(struct session *session, struct span argument)
{
    (void)argument;
    session_reply(session, "250 2.0.0 ok");
}

void minor_vrfy(struct session *session, struct span argument)
{
    if (argument.n)
        session_reply(session, "252 2.0.0 send the message, and delivery will be tried");
    else
        session_error(session, "501 5.5.4 VRFY takes an address");
}

void minor_help(struct session *session, struct span argument)
{
    (void)argument;
    session_reply(session, "214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT");
}

void minor_quit(struct session *session, struct span argument)
{
    if (argument.n)
        session_error(session, "501 5.5.4 QUIT takes no argument");
    else
        session_close(session, "221 2.0.0 bye");
}

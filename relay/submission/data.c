#include "body.h"
#include "commands.h"
#include "session.h"

/* 354 is said only where somebody will get the message (RFC 2920 3.1: a client may have pipelined DATA behind recipients that were
 * all refused). */
void data_command(struct session *session, struct span argument)
{
    if (argument.n) {
        session_error(session, "501 5.5.4 DATA takes no argument");
    } else if (session->phase == SESSION_MAIL) {
        session_error(session, "554 5.5.1 no recipient was accepted");
    } else {
        session_enter(session, SESSION_DATA);
        body_begin(session);
        session->idle_commands = session->refusals = 0;
        session_reply(session, "354 end with a line that has only a dot");
    }
}

#include "commands.h"
#include "session.h"

/* RFC 3207 4. The handshake begins when 220 has gone out in clear; what the client sent behind STARTTLS is thrown away by the stream
 * (CVE-2011-0411), and everything it said before is forgotten (RFC 3207 4.2). */
void starttls_command(struct session *session, struct span argument)
{
    if (session->listener->tls == CONF_LISTENER_NONE)
        session_error(session, "502 5.5.1 this listener has no TLS");
    else if (session_is_secure(session))
        session_error(session, "503 5.5.1 the connection is under TLS");
    else if (argument.n)
        session_error(session, "501 5.5.4 STARTTLS takes no argument");
    else if (!session->front->certificates)
        session_refuse(session, NULL, "454 4.7.0 TLS is not available now");
    else {
        session_reply(session, "220 2.0.0 begin TLS");
        session_start_tls(session);
    }
}

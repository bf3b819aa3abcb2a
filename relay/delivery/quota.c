/* RFC 9422 lets a server say beforehand how many messages a session may have (MAILMAX) and how many recipients a message (RCPTMAX); most say
 * it when they have had enough. It is not a matter of how much is sent: the next is welcome at once. 4.5.3 is "too many recipients" (RFC
 * 3463 3.6), and at MAIL there are none yet; the rest are words that servers use, with one whose text each was seen in. */
#include "quota.h"

#include <string.h>
#include <strings.h>

static const char *const words[] = {
    "this connection", /* Exim, smtp_accept_max_per_connection: "421 too many messages in this connection" */
    "per connection",  /* Yahoo: "421 Max message per connection reached, closing transmission channel" */
    "one connection",  /* this relay, max-messages: "421 4.7.0 enough messages for one connection; please connect again" */
    "this session",
    "per session",
    "one session",
    "too many messages sent", /* OpenSMTPD, "smtp limit max-mails": "452 4.5.3 Too many recipients: Too many messages sent" */
    "connect again",          /* this relay, where it is restarted: "421 4.3.2 the service is restarting; please connect again" */
    "reconnect",
};

bool quota_said(const struct reply *reply)
{
    if (reply->code < 400 || reply->code > 499)
        return false;
    if (strcmp(reply->enhanced, "4.5.3") == 0)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(reply->text, words[i]))
            return true;
    return false;
}

/* Exim, recipients_max: "452 too many recipients"; OpenSMTPD: "451 4.5.3 Too many recipients: Too many recipients"; Postfix: "452 4.5.3 Error: too
 * many recipients"; Outlook: "452 4.5.3 Recipients belong to multiple regions". */
bool quota_of_recipients_said(const struct reply *reply)
{
    if (reply->code < 400 || reply->code > 499)
        return false;
    if (!reply->enhanced[0])
        return reply->code == 452 && strcasestr(reply->text, "too many recipients");
    return strcmp(reply->enhanced, "4.5.3") == 0;
}

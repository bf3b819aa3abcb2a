/* What a reply says of the quotas of a session: how many messages it may have, and how many recipients each. Bytes only. */
#ifndef POSTERN_DELIVERY_QUOTA_H
#define POSTERN_DELIVERY_QUOTA_H

#include "../smtp/reply.h"

#include <stdbool.h>

/* Does the refusal REPLY (4xx) to MAIL say that another session would be answered otherwise? Only of one that has sent a message before. */
bool quota_said(const struct reply *reply);

/* Does the refusal REPLY (4xx) to RCPT say that another transaction would be? Only of one that had a recipient taken before. */
bool quota_of_recipients_said(const struct reply *reply);

#endif

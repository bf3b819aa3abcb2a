/* What a reply to MAIL says of the session: that it has had as many messages as it gets. Bytes only. */
#ifndef POSTERN_DELIVERY_QUOTA_H
#define POSTERN_DELIVERY_QUOTA_H

#include "../smtp/reply.h"

#include <stdbool.h>

/* Does the refusal REPLY (4xx) to MAIL say that another session would be answered otherwise? Only of one that has sent a message before. */
bool quota_said(const struct reply *reply);

#endif

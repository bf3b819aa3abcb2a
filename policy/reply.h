/* What a remote server's reply says about the sender of a message: nothing, that it wrote to somebody who does not exist, or that its
 * mail is taken for spam. */
#ifndef POSTERN_POLICY_REPLY_H
#define POSTERN_POLICY_REPLY_H

#include "../relay/conf/conf.h"

enum reply_kind {
    REPLY_OTHER,   /* neither: greylisting, a full mailbox, a missing signature, a fault of the server … */
    REPLY_UNKNOWN, /* for good: the recipient, or its domain, does not exist or takes no mail any more */
    REPLY_SPAM /* the message, its sender or this server's address is called spam, listed, or of bad reputation; for good or not */
};

/* What a reply means. PERMANENT: the message is given up for it. ENHANCED: its enhanced status code; "" and "x.0.0" where it has none.
 * TEXT: its text in one line as the queue keeps it ("550 5.1.1 no such user"), lines joined by " / ". The phrases of CONF's policy
 * (check.h has them in lower case) count before those that are built in. */
enum reply_kind reply_kind(const struct conf *conf, bool permanent, struct span enhanced, struct span text);

#endif

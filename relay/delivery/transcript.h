/* What was said in a transaction, for a person who asks why it failed: commands and replies, without the message, bounded. */
#ifndef POSTERN_DELIVERY_TRANSCRIPT_H
#define POSTERN_DELIVERY_TRANSCRIPT_H

#include "../base/buffer.h"
#include "../channels/queue_delivery.h"

struct transcript {
    struct buffer lines; /* each ends in LF; DELIVERY_DIALOGUE_MAX bytes at most */
    bool full;           /* something was left out */
};

/* Nothing said yet, in place; no memory is taken before something is. */
void transcript_init(struct transcript *transcript);

/* Forgets what was said. */
void transcript_fini(struct transcript *transcript);

/* Adds a line of the client's ('C') or the server's ('S'): TEXTS one behind the other, up to a NULL, each printable. What does not fit is left
 * out, and that is said at the end. */
void transcript_add(struct transcript *transcript, char who, const char *const *texts);

#endif

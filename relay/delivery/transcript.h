/* What was said in a transaction, for a person who asks why it failed: commands and replies, without the message, bounded. */
#ifndef POSTERN_DELIVERY_TRANSCRIPT_H
#define POSTERN_DELIVERY_TRANSCRIPT_H

#include "../base/span.h"
#include "../channels/queue_delivery.h"

struct transcript {
    size_t size;
    bool full;                        /* something was left out */
    char text[DELIVERY_DIALOGUE_MAX]; /* lines that end in LF; printable */
};

/* Nothing said yet. */
void transcript_clear(struct transcript *transcript);

/* Adds a line of the client's ('C') or the server's ('S'); TEXT is escaped. What does not fit is left out, and that is said at the end. */
void transcript_add(struct transcript *transcript, char who, struct span text);

#endif

/* The message that a report is about, or a list shows: read back from its segment. */
#ifndef POSTERN_QUEUE_ORIGINAL_H
#define POSTERN_QUEUE_ORIGINAL_H

#include "../message/envelope.h"
#include "entry.h"

#define ORIGINAL_HEADER_MAX (64 * 1024) /* bytes of header that are given back; the rest is cut at a line */

/* Appends ENTRY's message, prefix included, to OUT without dot-stuffing: the whole of it where WHOLE_ALLOWED, its sender (ENVELOPE)
 * did not ask for the header alone, and it is no larger than queue.bounce-body-size; else its header lines. True when it is whole.
 * Nothing is added where it cannot be read or is not as it was written. */
bool original_read(struct queue *queue, const struct entry *entry, const struct envelope *envelope, bool whole_allowed,
                   struct buffer *out);

#endif

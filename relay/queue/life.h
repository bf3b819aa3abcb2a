/* The life of one message, queued or finished, as the disk knows it. */
#ifndef POSTERN_QUEUE_LIFE_H
#define POSTERN_QUEUE_LIFE_H

#include <jansson.h>

#include "../base/uid.h"
#include "queue.h"

#define LIFE_EVENTS_MAX 5000 /* beyond, "truncated": true */

/* {"id", …, "events": [{"time", "event", …as in the log}]} of the message ID; NULL where no pair has it (any more). */
json_t *life_of(struct queue *queue, struct uid id);

#endif

/* Messages enter the queue: told by submission, found behind what was told, or found by a start. */
#ifndef POSTERN_QUEUE_ARRIVE_H
#define POSTERN_QUEUE_ARRIVE_H

#include "../spool/record.h"
#include "history.h"
#include "store.h"

/* The message ID is durable at OFFSET of segment NUMBER. One that is known already is ignored. */
void arrive_stored(struct queue *queue, uint64_t number, uint64_t offset, struct uid id);

/* Enters all whole records of PAIR behind its known end. */
void arrive_rest(struct queue *queue, struct pair *pair);

/* Enters the message of RECORD, of which the log of PAIR says HISTORY (NULL: nothing), as far as it is not finished. */
void arrive_recovered(struct queue *queue, struct pair *pair, const struct record *record, const struct history *history);

#endif

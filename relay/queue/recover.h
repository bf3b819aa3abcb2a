/* What a start finds in the spool: pairs, one after the other, while the role is at work already. */
#ifndef POSTERN_QUEUE_RECOVER_H
#define POSTERN_QUEUE_RECOVER_H

#include "store.h"

/* Finds all pairs in the folder and begins to recover one a round of the loop. False, with a log line, where the folder cannot be read. */
bool recover_start(struct queue *queue);

/* The same once more, for pairs that came into the folder since; *RET_FOUND is how many. */
bool recover_new(struct queue *queue, unsigned *ret_found);

/* Recovers PAIR now, where that has not been done: reads its log, walks its records, enters what is not finished. What is damaged is
 * logged and skipped. */
void recover_pair(struct queue *queue, struct pair *pair);

#endif

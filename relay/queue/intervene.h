/* What a person (or policy) does to queued messages. */
#ifndef POSTERN_QUEUE_INTERVENE_H
#define POSTERN_QUEUE_INTERVENE_H

#include "entry.h"

/* Each returns whether it changed anything; WHY is logged. What is being sent just then is finished first: a hold or removal acts on
 * what comes back. intervene_remove frees ENTRY where nothing of it is on its way. A removed message is reported to nobody. */
bool intervene_hold(struct queue *queue, struct entry *entry, const char *why);
bool intervene_release(struct queue *queue, struct entry *entry, const char *why);
bool intervene_remove(struct queue *queue, struct entry *entry, const char *why);

/* What waits for its time is due now, and a site that it waits for rests no longer. Not for held messages. */
bool intervene_retry(struct queue *queue, struct entry *entry, const char *why);

#endif

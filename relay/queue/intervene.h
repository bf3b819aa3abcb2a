/* What a person (or policy) does to queued messages. */
#ifndef POSTERN_QUEUE_INTERVENE_H
#define POSTERN_QUEUE_INTERVENE_H

#include "entry.h"

/* Nothing more of ENTRY is sent until it is released; a restart changes nothing about that. What is being sent just then is finished
 * first, and held when it comes back. Returns whether it changed anything; WHY is logged. */
bool intervene_hold(struct queue *queue, struct entry *entry, const char *why);

/* The same because its account is suspended: what a person or a limit holds already stays theirs. */
bool intervene_suspend(struct queue *queue, struct entry *entry, const char *why);

/* What was held is due now, and no suspension holds it again. Returns and logs as intervene_hold. */
bool intervene_release(struct queue *queue, struct entry *entry, const char *why);

/* The same because its account is suspended no more: what is not held for that stays held. The next suspension holds it again. */
bool intervene_unsuspend(struct queue *queue, struct entry *entry, const char *why);

/* Gives ENTRY up, and reports it to nobody. It is freed here, unless something of it is being sent: then when that has come back. Returns
 * and logs as intervene_hold. */
bool intervene_remove(struct queue *queue, struct entry *entry, const char *why);

/* What waits for its time is due now, and a site that it waits for rests no longer; one that was tried since a person asked for it, when
 * RESTS had begun (sites_rests_begun), goes on resting, so that however many messages are retried cost a dead site one attempt. Not for
 * held messages. Returns whether anything of ENTRY waited so. */
bool intervene_retry(struct queue *queue, struct entry *entry, uint64_t rests);

#endif

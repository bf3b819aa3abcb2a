/* Messages that policy has written: to the postmaster about a suspended account, and the like. They enter the queue as reports do. */
#ifndef POSTERN_QUEUE_LETTERS_H
#define POSTERN_QUEUE_LETTERS_H

#include "../channels/queue_policy.h"
#include "queue.h"

#define LETTERS_MAX 1000 /* that wait for the disk; more are dropped, which is logged */

struct letters;

/* No letter yet. */
struct letters *letters_new(void);

/* Frees *LETTERS and nulls it; what was not stored yet is forgotten, which is logged: policy keeps it until it hears that it is stored. NULL
 * is fine. */
void letters_free(struct letters **letters);

/* Stores LETTER and queues it. Where the disk does not take it, it waits: one of those that wait is tried every half minute, and the
 * others once a letter was stored. That they wait is logged once, and that they wait no more. */
void letters_take(struct queue *queue, const struct letter *letter);

/* Is one being stored just now? */
bool letters_running(const struct queue *queue);

#endif

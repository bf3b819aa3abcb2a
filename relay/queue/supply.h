/* Segments for those who write: made, handed out, taken back. */
#ifndef POSTERN_QUEUE_SUPPLY_H
#define POSTERN_QUEUE_SUPPLY_H

#include "store.h"

/* Segments that may be in the making at the same time; who asks beyond is refused (451). */
#define SUPPLY_WAITING_MAX 2000

/* A segment for WRITER: a submission process's slot, or PAIR_OWN_WRITER. It is given or refused later, in the loop. */
void supply_ask(struct queue *queue, int writer, bool large, uint64_t ticket);

/* WRITER writes no more into segment NUMBER. FAILED: what lies behind the last message that it told was refused. */
void supply_done(struct queue *queue, int writer, uint64_t number, bool failed);

/* The submission process WRITER has gone: what it made durable without telling is entered, and its segments are sealed. */
void supply_gone(struct queue *queue, int writer);

/* Looks whether the writer of PAIR that an earlier queue process gave it to has gone. */
void supply_watch(struct queue *queue, struct pair *pair);

/* What the queue's own writer tells. */
extern const struct writer_events supply_events;

#endif

/* The channel to the queue role, and the writer that it feeds with segments: how a message becomes durable and known. What is said is
 * in channels/submission_queue.h. */
#ifndef POSTERN_SUBMISSION_ASK_QUEUE_H
#define POSTERN_SUBMISSION_ASK_QUEUE_H

#include "../channels/submission_queue.h"
#include "../spool/writer.h"
#include "front.h"

/* Starts the writer with its thread (so: before the sandbox closes). No queue process yet. */
struct ask_queue *ask_queue_new(struct front *front);

/* Ends the writer after what it has is on the disk; no intake may be left. */
void ask_queue_free(struct ask_queue **queue);

/* The queue process is there, at FD (owned from here on): it is told what its predecessor was not told. */
void ask_queue_peer(struct ask_queue *queue, unsigned slot, int fd);

/* May a message be taken now? NULL, or the reply that says why not: 451 4.3.0 without a queue process, or
 * where the disk has not answered for ten seconds, 452 4.3.1 without space. */
const char *ask_queue_objection(struct ask_queue *queue);

/* The writer that messages go to. Borrowed. */
struct writer *ask_queue_writer(struct ask_queue *queue);

/* The message at PLACE is durable: the queue process is told, with all that ended at the same moment, before their sessions are answered;
 * where it has gone, its successor is told. */
void ask_queue_tell(struct ask_queue *queue, const struct writer_place *place);

#endif

/* What the other roles say to the queue, and what it says back, but for delivery (deliverer.h). */
#ifndef POSTERN_QUEUE_CHANNELS_H
#define POSTERN_QUEUE_CHANNELS_H

#include "queue.h"

/* No peer yet. */
struct channels *channels_new(void);

/* Closes the channels of all peers, frees *CHANNELS and nulls it. NULL is fine. */
void channels_free(struct channels **channels);

/* A peer's channel, over to here. */
void channels_peer(struct queue *queue, enum role_kind kind, unsigned slot, int fd);

/* Hands segment NUMBER, whose writer's descriptor is FD (the caller's to close), to the submission process SLOT, as it asked with
 * TICKET. False where that process has gone. */
bool channels_give_segment(struct queue *queue, unsigned slot, uint64_t number, int fd, bool large, uint64_t ticket);

/* Says instead that there is none: FULL, because the disk is (452), else because it failed (451). False as above. */
bool channels_refuse_segment(struct queue *queue, unsigned slot, bool large, uint64_t ticket, bool full);

/* Tells every submission process whether there is room. */
void channels_tell_space(struct queue *queue);

#endif

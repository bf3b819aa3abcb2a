/* The alarm when nothing at all is delivered, though there is mail to deliver: the network is down, a smart host refuses the login, nobody
 * answers in the DNS.
 *
 * A relay with little to do must not cry wolf because a message or two wait for hosts that are dead, which is so for days. So there is trouble
 * while mail is due and does not move, or once STALL_FAILURES places that were well before have failed since the last delivery: sites, or
 * domains in the DNS; each new attempt at a route's host counts, since there may be no other. */
#ifndef POSTERN_QUEUE_STALL_H
#define POSTERN_QUEUE_STALL_H

#include <jansson.h>

#include "cause.h"
#include "queue.h"

#define STALL_FAILURES 3

/* Something that was well before could not be reached because of CAUSE (kept). */
void stall_failed(struct queue *queue, const struct cause *cause);

/* Once a second: raises the alarm when the time of queue.stall-alarm has passed in trouble, and ends it with the trouble: with the next
 * delivery, when no mail waits any more but what is held, or when what was due was tried and waits for a place or two that are dead. */
void stall_tick(struct queue *queue);

/* {"since", "reply"} of the alarm, or null where there is none: the caller's. */
json_t *stall_describe(const struct queue *queue);

/* Forgets everything: the role ends. */
void stall_fini(struct queue *queue);

#endif

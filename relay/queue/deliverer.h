/* The delivery processes: their channels, and what they tell. */
#ifndef POSTERN_QUEUE_DELIVERER_H
#define POSTERN_QUEUE_DELIVERER_H

#include "lent.h"
#include "queue.h"

/* A delivery process. */
struct deliverer {
    struct queue *queue;
    struct ipc *ipc;
    unsigned slot;
    unsigned count;       /* connections that it has */
    int64_t refusing_ms;  /* it takes no more until then (monotonic) */
    struct list carriers; /* its connections */
    struct lent lent;
};

/* No process yet. */
struct deliverers *deliverers_new(void);

/* Closes all their channels, frees *DELIVERERS and nulls it. NULL is fine. */
void deliverers_free(struct deliverers **deliverers);

/* The channel of the process SLOT, at FD, over to here. One that had the slot before has gone: what it carried is put off. */
void deliverers_peer(struct queue *queue, unsigned slot, int fd);

/* The segment NUMBER is closed, and may be another file from here on, or none: no process keeps what it was lent of it. */
void deliverers_forget(struct queue *queue, uint64_t number);

/* The process to ask for a connection: the one with the fewest. NULL where none takes any. */
struct deliverer *deliverer_choose(const struct queue *queue);

#endif

/* Connections that delivery processes hold for the queue, and what they carry. */
#ifndef POSTERN_QUEUE_CONNECTION_H
#define POSTERN_QUEUE_CONNECTION_H

#include "../channels/queue_delivery.h"
#include "queue.h"

struct site;

struct connections *connections_new(void);
void connections_free(struct connections **connections);

/* A delivery process's channel, over to the connections; one that SLOT had before has gone. */
void connections_peer(struct queue *queue, unsigned slot, int fd);

/* Asks a delivery process for one more connection to SITE. False where none can be asked. */
bool connection_open(struct queue *queue, struct site *site);

/* A connection of SITE that waits gets to work, where it can. */
void connection_wake(struct queue *queue, struct site *site);

/* Closes those that wait: the settings have changed, or the role drains. */
void connections_close_idle(struct queue *queue);

/* How many are in a transaction. */
unsigned connections_busy(const struct queue *queue);

#endif

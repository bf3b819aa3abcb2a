/* What control asks on behalf of an administrator (channels/admin.h), answered in pieces as fast as control reads them. */
#ifndef POSTERN_QUEUE_ADMIN_H
#define POSTERN_QUEUE_ADMIN_H

#include "../channels/admin.h"
#include "queue.h"

/* Questions that may be open; who asks beyond is refused. */
#define ADMIN_OPEN_MAX 64

/* No question open yet. */
struct admin *admin_new(void);

/* Drops what is open without an answer, frees *ADMIN and nulls it. NULL is fine. */
void admin_free(struct admin **admin);

/* A question that came over CONTROL; it is answered there, at once or bit by bit. */
void admin_ask(struct queue *queue, struct ipc *control, const struct admin_ask *ask);

/* How fast the answer to a question of CONTROL should come. */
void admin_want(struct queue *queue, struct ipc *control, const struct admin_want *want);

/* CONTROL has gone: what it asked is dropped. */
void admin_gone(struct queue *queue, struct ipc *control);

#endif

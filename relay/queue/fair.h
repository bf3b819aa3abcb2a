/* Fairness inside a site: the units that wait there, by sender, round-robin over the senders. */
#ifndef POSTERN_QUEUE_FAIR_H
#define POSTERN_QUEUE_FAIR_H

#include "../base/map.h"
#include "unit.h"

struct site;

/* What one sender has waiting at one site. Exists while there is something. */
struct flow {
    struct list in_site;
    struct list units;
    struct site *site;
    uint32_t sender;
    uint32_t count;
};

/* UNIT is ready for SITE: behind the others of its sender. */
void fair_add(struct queue *queue, struct site *site, struct unit *unit);

/* The unit whose turn it is, or NULL. It stays where it is until its state changes; the next call gives another sender's. */
struct unit *fair_next(struct site *site);

/* A unit of so many RECIPIENTS has left FLOW (unit.c tells). */
void fair_left(struct queue *queue, struct flow *flow, uint32_t recipients);

/* Calls EACH with every waiting unit of SITE, which may take it away. */
void fair_each(struct queue *queue, struct site *site, void (*each)(struct queue *queue, struct unit *unit, void *context),
               void *context);

#endif

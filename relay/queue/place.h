/* Units on their way to their sites: cut by domain and site, sent on, merged. */
#ifndef POSTERN_QUEUE_PLACE_H
#define POSTERN_QUEUE_PLACE_H

#include "unit.h"

struct site;

/* No unit on its way yet. */
struct place *place_new(void);

/* Frees *PLACE and nulls it; units on their way must not be used any more. NULL is fine. */
void place_free(struct place **place);

/* UNIT is due: it, or the units it is cut into, go to the sites of their recipients, or wait for an answer where they go. */
void place_unit(struct queue *queue, struct unit *unit);

/* The same, some rounds of the loop later: for many at a time. */
void place_later(struct queue *queue, struct unit *unit);

/* UNIT goes to SITE: cut to ASSIGN_RECIPIENTS_MAX recipients, or together with another unit of its message that waits there. */
void place_at(struct queue *queue, struct unit *unit, struct site *site);

/* UNIT's domain leads to SITE, as it is known by now. Where others of its message still wait for their domains it waits for them, for a
 * moment: those of one site are to be one transaction. */
void place_resolved(struct queue *queue, struct unit *unit, struct site *site);

/* A unit's time has come (the schedule tells). */
void place_due(void *queue, struct heap_node *node);

#endif

/* Recipients of one message that travel together: the same next step at the same time. The only writer of a unit's state is here.
 *
 * A unit begins with any recipients of its message; before it is sent it is cut into units of one site and at most
 * ASSIGN_RECIPIENTS_MAX recipients each (place.h). */
#ifndef POSTERN_QUEUE_UNIT_H
#define POSTERN_QUEUE_UNIT_H

#include "../base/heap.h"
#include "entry.h"

struct domain;
struct flow;
struct carrier;

/* A recipient. */
struct part {
    uint32_t recipient; /* index in the envelope */
    uint32_t said;      /* where its last deferral stands in the pair's log, and 1; 0: none */
};

struct unit {
    struct entry *entry;
    struct unit *next; /* in the entry */
    union {
        struct heap_node due; /* scheduled */
        struct list place;    /* unplaced, resolving, ready */
    };
    union {
        struct domain *domain;   /* resolving */
        struct flow *flow;       /* ready */
        struct carrier *carrier; /* sending */
    };
    uint32_t count;
    uint16_t attempts; /* made so far; a running one counts */
    uint8_t state;     /* enum unit_state */
    struct part parts[];
};

/* A new unit of ENTRY with room for COUNT recipients, to be filled in before anything else. State UNIT_NEW. */
struct unit *unit_new(struct queue *queue, struct entry *entry, uint32_t count);

/* Takes UNIT out of wherever it is and frees it. */
void unit_free(struct queue *queue, struct unit *unit);

/* UNIT waits for its time, DUE_MS (monotonic). Each of these six leaves the state that the unit was in. */
void unit_schedule(struct queue *queue, struct unit *unit, int64_t due_ms);

/* UNIT is due, and last in UNPLACED (place.c's). */
void unit_unplace(struct queue *queue, struct unit *unit, struct list *unplaced);

/* UNIT is due, and last in WAITING: of those who wait for the site of DOMAIN (domain.c's). */
void unit_resolve(struct queue *queue, struct unit *unit, struct domain *domain, struct list *waiting);

/* UNIT is due, and last in READY: FLOW's units that wait for a connection (fair.c's, which counts it). */
void unit_ready(struct queue *queue, struct unit *unit, struct flow *flow, struct list *ready);

/* UNIT is with CARRIER. */
void unit_send(struct queue *queue, struct unit *unit, struct carrier *carrier);

/* UNIT is nowhere until a person releases it. */
void unit_hold(struct queue *queue, struct unit *unit);

/* Takes the recipients that are marked in GONE (count entries) out of UNIT, which must be in UNIT_SENDING or UNIT_NEW. The unit may be
 * empty afterwards. */
void unit_shrink(struct queue *queue, struct unit *unit, const bool *gone);

/* The name of a unit's state for people: "scheduled", "due", "sending", "held". */
const char *unit_state_name(enum unit_state state);

/* The scheduled unit that NODE is in. */
struct unit *unit_of_due(struct heap_node *node);

/* The unit that NODE of a list is in. */
struct unit *unit_of_place(struct list *node);

#endif

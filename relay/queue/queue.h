/* The state of the queue role: its rooms, each behind its own header. Nothing here is seen outside this folder.
 *
 * The words: an *entry* is a queued message, a *unit* some of its recipients that travel together, a *site* where they go, a *pair*
 * the segment that holds them with its outcome log. */
#ifndef POSTERN_QUEUE_QUEUE_H
#define POSTERN_QUEUE_QUEUE_H

#include "../base/list.h"
#include "../base/loop.h"
#include "../role/role.h"
#include "rates.h"

/* Where a unit is; see unit.h. */
enum unit_state {
    UNIT_NEW,       /* nowhere yet */
    UNIT_SCHEDULED, /* waits for its time */
    UNIT_UNPLACED,  /* due, and to be given to a site in this or the next rounds */
    UNIT_RESOLVING, /* due, and waits for the answer to where its domain's mail goes */
    UNIT_READY,     /* due, and waits for a connection of its site */
    UNIT_SENDING,   /* with a connection */
    UNIT_HELD,      /* waits for a person */
    UNIT_STATES
};

struct cause;

/* stall.c's. */
struct stall {
    uint64_t delivered;  /* recipients, so far */
    unsigned failures;   /* since the last of them */
    struct cause *cause; /* of the last */
    int64_t well_ms;     /* monotonic: trouble began after this; 0: nothing is known */
    int64_t since_ms;    /* wall clock: the alarm's; 0: none */
};

struct queue {
    struct role *role;
    struct loop *loop;
    struct store *store;           /* store.h: the spool */
    struct entries *entries;       /* entry.h: messages by id */
    struct envelopes *envelopes;   /* envelopes.h: those read last */
    struct schedule *due;          /* schedule.h: units that wait for their time */
    struct schedule *backoff;      /* schedule.h: sites that wait to be probed */
    struct schedule *turns;        /* schedule.h: sites where the next message waits for its turn */
    struct place *place;           /* place.h: units on their way to a site */
    struct domains *domains;       /* domain.h */
    struct sites *sites;           /* site.h */
    struct carriers *carriers;     /* carrier.h: connections */
    struct deliverers *deliverers; /* deliverer.h: the processes that hold them */
    struct notify *notify;         /* notify.h: reports in the making */
    struct channels *channels;     /* channels.h: submission, dns and control */
    struct admin *admin;           /* admin.h: what control asked */
    struct accounts *accounts;     /* accounts.h: who is suspended, and what the world says */
    struct letters *letters;       /* letters.h: what policy has written */
    struct dialogues *dialogues;   /* dialogues.h: what was said in failed attempts */
    struct list visits;            /* visit.h: those that go through all messages */
    uint64_t recipients[UNIT_STATES];
    struct rates rates; /* rates.h: what was done of late */
    struct stall stall; /* stall.h: whether anything moves at all */
    struct timer tick;  /* once a second */
};

/* The settings of this moment. */
static inline const struct conf *queue_conf(const struct queue *queue)
{
    return queue->role->conf;
}

#endif

/* What waits to be asked for, in a line for each sender, and what was asked and is not answered. The lines take turns, and a line has no more
 * open than it leaves for the others: what nobody answers for keeps its place for as long as it is tried, and a sender with thousands of
 * those delays only itself. What is wanted for mail to many recipients has half as many at most, so that the sender's other mail (of an
 * office, whose server is one sender) goes on too. */
#ifndef POSTERN_QUEUE_WAITLIST_H
#define POSTERN_QUEUE_WAITLIST_H

#include "../base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define WAITLIST_ASKED_MAX 200 /* open questions, as many as the dns role sends at once for one role; others wait */

struct waitlist;
struct waitline;

/* One that waits, or was asked for, inside the caller's struct. All zero, with its node made, is one that does neither. */
struct waiter {
    struct list node;
    struct waitline *line; /* NULL: it does neither */
    bool few;              /* some mail to few recipients wants it */
    bool asked;
    int64_t since_ms; /* in line, or asked, since (monotonic) */
};

/* Nobody waits. */
struct waitlist *waitlist_new(void);

/* Frees *LIST and nulls it; who is there must not be used any more. NULL is fine. */
void waitlist_free(struct waitlist **list);

/* WAITER, which does not wait, is in line for SENDER from now on: in FRONT, or at the end. */
void waitlist_enter(struct waitlist *list, struct waiter *waiter, uint32_t sender, bool few, bool front);

/* WAITER neither waits nor is asked for any more. */
void waitlist_leave(struct waitlist *list, struct waiter *waiter);

/* The same, and it is in front of its line again: it was asked in vain. */
void waitlist_return(struct waitlist *list, struct waiter *waiter);

/* How many are in line for SENDER. */
unsigned waitlist_count(const struct waitlist *list, uint32_t sender);

/* Would WAITER, which is in line, have its turn sooner for SENDER and FEW? */
bool waitlist_is_sooner(const struct waitlist *list, const struct waiter *waiter, uint32_t sender, bool few);

/* The one whose turn it is; NULL where nobody waits or too many are asked for. Its line goes to the end. */
struct waiter *waitlist_next(struct waitlist *list);

/* WAITER, which waitlist_next gave, is asked for. */
void waitlist_asked(struct waitlist *list, struct waiter *waiter);

/* All that are asked for, by their nodes, the one asked longest ago in front. */
struct list *waitlist_open(struct waitlist *list);

/* Calls EACH with those in line since before LIMIT_MS; it must let them leave. */
void waitlist_overdue(struct waitlist *list, int64_t limit_ms, void (*each)(void *context, struct waiter *waiter), void *context);

#endif

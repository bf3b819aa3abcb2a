/* Decisions under way: begun, put to the Redis that limits are shared through, and ended when it has answered; at once, by what is counted
 * here, where there is none or it is away. Answers may overtake each other. */
#ifndef POSTERN_POLICY_FLIGHT_H
#define POSTERN_POLICY_FLIGHT_H

#include "../relay/base/list.h"
#include "decide.h"
#include "sharing.h"

/* Gets a decision that has ended, for whoever asked. Borrowed. */
typedef void (*flight_done)(void *asker, const struct decision *decision);

struct flights {
    struct list all;
    struct decide *decide;
    struct sharing *sharing; /* or NULL */
    flight_done done;
};

/* None is under way. They are ended by DECIDE (borrowed) and told to DONE. */
void flights_init(struct flights *flights, struct decide *decide, flight_done done);

/* Asks SHARING (borrowed; NULL: nobody) from here on. Those that are under way stay with the one before, which must end them before the
 * limits change (sharing_free, sharing_settle). */
void flights_set_sharing(struct flights *flights, struct sharing *sharing);

/* Ends DECISION, now or later, tells ASKER and frees it. */
void flights_begin(struct flights *flights, void *asker, struct decision *decision);

/* ASKER is gone: what it asked is decided, since it was counted, and told to nobody. */
void flights_forget(struct flights *flights, const void *asker);

#endif

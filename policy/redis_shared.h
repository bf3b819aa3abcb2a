/* What all machines of one Redis tell each other. Suspensions: the hash postern:suspended, a field for each account, and a channel of the
 * same name that tells which field changed. And messages over the channel postern:pairs, which whoever is away misses. */
#ifndef POSTERN_POLICY_REDIS_SHARED_H
#define POSTERN_POLICY_REDIS_SHARED_H

#include "redis_pipe.h"

#define REDIS_SHARED_TEXT_MAX    65536 /* of what is kept for an account; more is not sent and not believed */
#define REDIS_SHARED_ACCOUNT_MAX 255
#define REDIS_SHARED_WAITING_MAX 4096 /* changes that wait for Redis */

/* What other machines did, and this one: own changes come back. From the loop; none may free the store. */
struct redis_shared_events {
    /* All that are suspended are told from here on. Comes again whenever something may have been missed. */
    void (*begins)(void *context);
    /* ACCOUNT has the text JSON; a NULL pointer in it: it is not suspended. Both borrowed. */
    void (*changed)(void *context, struct span account, struct span json);
    /* All were told since the last `begins`: what was not is not suspended. */
    void (*complete)(void *context);
    /* Another machine, or this one, said MESSAGE by redis_shared_say. */
    void (*heard)(void *context, struct span message);
};

struct redis_shared;

/* Hears at the Redis of SETTINGS over a connection of its own, and asks and tells over PIPE (borrowed). EVENTS are static. */
struct redis_shared *redis_shared_new(struct loop *loop, const struct redis_link_settings *settings, struct redis_pipe *pipe,
                                      const struct redis_shared_events *events, void *context);

/* Frees *SHARED and nulls it; before its pipe. NULL is fine. */
void redis_shared_free(struct redis_shared **shared);

/* The pipe can be used (again): what waits is sent, then all is read. */
void redis_shared_opened(struct redis_shared *shared);

/* ACCOUNT has the text JSON from now on (a NULL pointer: none), on all machines. What cannot be sent now is sent when Redis is back. False
 * where it is too large, or too many wait. */
bool redis_shared_publish(struct redis_shared *shared, struct span account, struct span json);

/* Says MESSAGE to all machines that are there now. What cannot be sent now, or is larger than REDIS_SHARED_TEXT_MAX, is not. */
void redis_shared_say(struct redis_shared *shared, struct span message);

#endif

/* What one submission process owns: the front end of postern. Everything hangs off this struct, nothing is global.
 *
 * The settings never change under a process: a reload starts a new generation of submission, the old one drains. */
#ifndef POSTERN_SUBMISSION_FRONT_H
#define POSTERN_SUBMISSION_FRONT_H

#include "../base/list.h"
#include "../role/role.h"

struct ask_auth;
struct ask_dns;
struct ask_policy;
struct ask_queue;
struct certificates;
struct clients;
struct tickets;

struct front {
    struct role *role;
    const struct conf *conf;
    struct list listeners;
    struct list arrivals; /* connections whose PROXY header is awaited */
    struct list sessions;
    struct tickets *tickets;
    struct clients *clients;
    struct certificates *certificates; /* NULL where no listener speaks TLS */
    struct ask_auth *auth;
    struct ask_dns *dns;
    struct ask_policy *policy;
    struct ask_queue *queue;
    uint64_t *connections; /* open ones, by listener of the settings */
    size_t committing;     /* messages that the writer has and that are not settled */
    struct list ended;     /* transactions whose fate is known and not told */
    struct timer finish;   /* the end of a drain waits for the callback that is running */
};

/* Makes the front end of ROLE: certificates read, the writer's thread started. NULL, with a log line, where that fails. */
struct front *front_new(struct role *role);

/* Frees *FRONT with all sessions and listeners, and nulls it. NULL is fine. */
void front_free(struct front **front);

/* No new sessions; those that are in no transaction end now, the others when theirs is done. */
void front_drain(struct front *front);

/* To be called when something ended: finishes the role once a drain has nothing left to wait for. */
void front_settle(struct front *front);

#endif

/* What limits have counted, shared by all machines that use one Redis. One round trip a decision, by a script (redis_script.h).
 *
 * Redis is asked, never waited for: where it is away or slow, store_redis_ask says so at once, and the caller decides by what it counts
 * itself and notes it here (store_redis_owe), to be added when Redis is back. The log has one event=error line when Redis goes and one
 * event=notice line when it is back. */
#ifndef POSTERN_POLICY_STORE_REDIS_H
#define POSTERN_POLICY_STORE_REDIS_H

#include "redis_script.h"
#include "redis_shared.h"

#define STORE_REDIS_CONNECT_MS 200   /* for connecting, and for each step until decisions go there */
#define STORE_REDIS_OWED_MAX   65536 /* buckets whose counts wait for Redis; beyond, counts stay on this machine */

struct store_redis;

struct store_redis_settings {
    const char *where;    /* "127.0.0.1:6379" or the path of a socket */
    const char *password; /* "" for none */
    int64_t decision_ms, connect_ms;
};

/* What is told. */
struct store_redis_events {
    /* What was owed for the bucket NAME is added, and with what others counted USED are used now, or a little later than ASKED_MS
     * (monotonic). NAME is borrowed. */
    void (*learned)(void *context, struct span name, uint64_t used, int64_t asked_ms);
    struct redis_shared_events suspended;
};

/* Begins to connect. EVENTS (static) are told to CONTEXT. */
struct store_redis *store_redis_new(struct loop *loop, const struct store_redis_settings *settings,
                                    const struct store_redis_events *events, void *context);

/* What OLD still owes to its Redis, STORE, which owes nothing yet, owes from here on. */
void store_redis_inherit(struct store_redis *store, struct store_redis *old);

/* Frees *STORE and nulls it; questions under way are answered STORE_REDIS_UNKNOWN before. What is owed is lost. NULL is fine. */
void store_redis_free(struct store_redis **store);

enum store_redis_outcome {
    STORE_REDIS_DECIDED,   /* the numbers hold, and what was to be counted is counted */
    STORE_REDIS_UNCOUNTED, /* Redis could not do it: decide yourself, and owe what you count */
    STORE_REDIS_UNKNOWN /* no answer in time: decide yourself. Perhaps it was counted, so it is not to be owed; should Redis not have it,
                            * a later question of this machine tells it (`known` in redis_script.h) */
};

struct store_redis_answer {
    enum store_redis_outcome outcome;
    const int64_t *waits_ms; /* for each claim; see redis_script_answer */
    const uint64_t *used;    /* for each key; as of `asked_ms` or later */
    int64_t asked_ms;        /* monotonic */
};

/* Gets the answer, borrowed for the call. It may ask, owe and publish. */
typedef void (*store_redis_answered)(void *context, const struct store_redis_answer *answer);

/* Asks. True: ANSWERED is called once with CONTEXT, within decision_ms or soon after, never from this call. False: Redis is away, too many
 * questions are under way, or ASK is too large: decide at once, and owe what you count. */
bool store_redis_ask(struct store_redis *store, const struct redis_ask *ask, store_redis_answered answered, void *context);

/* N were counted for KEY without Redis; KEY->known is what this machine knows to be used now, N among it. */
void store_redis_owe(struct store_redis *store, const struct redis_key *key, uint64_t n);

/* KEY begins anew, in Redis too, as soon as it can be told. For two seconds from then on Redis believes nobody who knows of more; by then
 * the other machines should have heard of it. */
void store_redis_forget(struct store_redis *store, const struct redis_key *key);

/* Another machine has done that with the bucket NAME. */
void store_redis_forgotten(struct store_redis *store, struct span name);

/* How much of what this machine counted for the bucket NAME is not in Redis yet. */
uint64_t store_redis_owed(const struct store_redis *store, struct span name);

/* Answers all that is under way STORE_REDIS_UNKNOWN, now: before what the questions are about changes. */
void store_redis_settle(struct store_redis *store);

/* Do decisions go to Redis? *ret_since_ms says since when (wall clock). */
bool store_redis_is_connected(const struct store_redis *store, int64_t *ret_since_ms);

/* Tells all machines that ACCOUNT has the text JSON from now on, or with a NULL pointer in it none; see redis_shared.h. */
bool store_redis_publish(struct store_redis *store, struct span account, struct span json);

/* Says MESSAGE to all machines that are there now; see redis_shared.h. */
void store_redis_say(struct store_redis *store, struct span message);

#endif

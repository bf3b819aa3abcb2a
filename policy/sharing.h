/* The limits and the Redis that they are shared through: puts what decisions claim to it, keeps the buckets of this machine at what all
 * machines have counted together, and tells it what was counted here without it. */
#ifndef POSTERN_POLICY_SHARING_H
#define POSTERN_POLICY_SHARING_H

#include "limit.h"
#include "redis_shared.h"

struct sharing;

struct sharing_settings {
    const char *where;    /* as of store_redis.h */
    const char *password; /* "" for none */
    int64_t decision_ms;
};

/* Shares LIMITS (borrowed until sharing_limits) through the Redis of SETTINGS. EVENTS (static) tell CONTEXT what accounts other machines
 * suspend. */
struct sharing *sharing_new(struct loop *loop, const struct sharing_settings *settings, struct limit_set *limits,
                            const struct redis_shared_events *events, void *context);

/* Frees *SHARING and nulls it, before its limits; questions under way are answered before. NULL is fine. */
void sharing_free(struct sharing **sharing);

/* Goes over to the Redis of SETTINGS, unless they are those that SHARING has. Questions under way are answered before; what is not told yet is
 * told to that one. */
void sharing_change(struct sharing *sharing, const struct sharing_settings *settings);

/* Answers all questions that are under way: before the limits change. */
void sharing_settle(struct sharing *sharing);

/* Goes over to LIMITS, made from the ones before. */
void sharing_limits(struct sharing *sharing, struct limit_set *limits);

/* What has become of a question: WAITS_MS and UNSHARED as in limit.h (struct limit_settling). WAITS_MS is borrowed for the call. */
typedef void (*sharing_answered)(void *context, const int64_t *waits_ms, bool unshared);

/* Asks what of CLAIMS (borrowed until the answer) fits. True: ANSWERED is called once with CONTEXT, later. False: decide by the buckets
 * here. */
bool sharing_ask(struct sharing *sharing, const struct claims *claims, sharing_answered answered, void *context);

/* As store_redis.h has them. */
bool sharing_is_connected(const struct sharing *sharing, int64_t *ret_since_ms);
bool sharing_publish(struct sharing *sharing, struct span account, struct span json);

#endif

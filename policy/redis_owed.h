/* What this machine counted while Redis was not asked, to be added there later: how much for which bucket. Bounded; what was counted
 * long ago has drained since, and is not owed any more. */
#ifndef POSTERN_POLICY_REDIS_OWED_H
#define POSTERN_POLICY_REDIS_OWED_H

#include "redis_script.h"

#define REDIS_OWED_BATCH 100 /* buckets of one redis_owed_take */

struct redis_owed;

/* Nothing is owed. At most MAX buckets. */
struct redis_owed *redis_owed_new(size_t max);

/* Frees *OWED and nulls it. NULL is fine. */
void redis_owed_free(struct redis_owed **owed);

/* N more were counted for KEY at NOW_MS (monotonic), of which this machine now knows that KEY->known are used, N among them. False where
 * the table is full and KEY is new: then it is not owed. */
bool redis_owed_add(struct redis_owed *owed, const struct redis_key *key, uint64_t n, int64_t now_ms);

/* KEY begins anew: what is owed for it is not, and what Redis has for it is forgotten when the rest is told. False as above. */
bool redis_owed_clear(struct redis_owed *owed, const struct redis_key *key);

/* Another machine has let the bucket NAME begin anew: what is owed for it still is, but nothing is known of it beside that. */
void redis_owed_begun_anew(struct redis_owed *owed, struct span name);

/* How much is owed for the bucket NAME. */
uint64_t redis_owed_of(const struct redis_owed *owed, struct span name);

/* How many buckets there are. */
size_t redis_owed_count(const struct redis_owed *owed);

/* Takes some out, at most REDIS_OWED_BATCH, and writes the command that counts them by the script of SHA. False where OUT is full. */
bool redis_owed_take(struct redis_owed *owed, const char *sha, int64_t now_ms, struct buffer *out);

/* Gets a bucket and what is used of it. */
typedef void (*redis_owed_visit)(void *context, struct span name, uint64_t used);

/* Reads the answer to the command that was taken last, and tells VISIT of the buckets in it. False where REPLY is no such answer.
 * *ret_count is how many there are. */
bool redis_owed_answer(struct redis_owed *owed, const redisReply *reply, redis_owed_visit visit, void *context,
                       size_t *ret_count);

#endif

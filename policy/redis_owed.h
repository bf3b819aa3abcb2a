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

/* How many buckets there are. */
size_t redis_owed_count(const struct redis_owed *owed);

/* Takes some out, at most REDIS_OWED_BATCH, and writes the command that counts them by the script of SHA; also where nothing is owed: then
 * it only shows that Redis can be written to. *ret_claims and *ret_keys say what its answer has (redis_script_answer). False where OUT
 * is full. */
bool redis_owed_take(struct redis_owed *owed, const char *sha, int64_t now_ms, struct buffer *out, size_t *ret_claims,
                     size_t *ret_keys);

#endif

/* How much of what a key sent came back, of late: the share that a limit may ask for beside a number, so that who sends much is not
 * taken for who sends badly.
 *
 * Counted in windows of the limit's time: what is told is this window and the part of the last one that a window ending now still
 * covers. Bounded: beyond SHARE_KEYS the key that was noted longest ago is forgotten. */
#ifndef POSTERN_POLICY_SHARE_H
#define POSTERN_POLICY_SHARE_H

#include "../relay/base/span.h"

#include <stdint.h>

#define SHARE_KEYS 100000
#define SHARE_WALK 4096 /* of one share_walk */

struct share_table;

/* Nothing counted yet, in windows of PER_MS (at least 1). */
struct share_table *share_new(int64_t per_ms);

/* Frees *TABLE and nulls it. NULL is fine. */
void share_free(struct share_table **table);

/* What is counted for a key. */
struct share {
    uint32_t bad;
    uint32_t all;   /* that the world has answered, the bad ones, too */
    uint32_t asked; /* that were asked for, answered or not */
};

/* What SHARE's bad ones are a part of: all that were answered, or half of what was asked for where that is more. What is bad often comes
 * back first: dead addresses are refused at once, while a slow server takes its time with the good ones. */
uint32_t share_volume(const struct share *share);

/* MORE has come for KEY at NOW_MS (of the wall clock: a window's number outlives the process). */
void share_note(struct share_table *table, struct span key, struct share more, int64_t now_ms);

/* What counts for KEY at NOW_MS; all zero where nothing is known. */
struct share share_of(const struct share_table *table, struct span key, int64_t now_ms);

/* Enters what an earlier process knew: SHARE counted for KEY at THEN_MS. It is no change. */
void share_restore(struct share_table *table, struct span key, struct share share, int64_t then_ms);

/* Forgets KEY. */
void share_forget(struct share_table *table, struct span key);

/* Calls EACH with every key (ALL), or with those that were noted since the last call, and what counts for it at NOW_MS. EACH must not
 * change the table. */
void share_each(struct share_table *table, bool all, int64_t now_ms,
                void (*each)(void *context, struct span key, struct share share), void *context);

/* The same for some keys, at most SHARE_WALK, from *CURSOR (0 at first) on, which moves; true while there are more. A key that is there from
 * the first to the last call is visited at least once. One walk of a table at a time. */
bool share_walk(struct share_table *table, size_t *cursor, int64_t now_ms,
                void (*each)(void *context, struct span key, struct share share), void *context);

#endif

/* Token buckets of one limit, one for each key: exact, compact, bounded.
 *
 * What is kept is not what is left but what is used; it drains at the limit's rate and may never pass the burst. A key that has
 * used nothing needs no memory. All arithmetic is in whole numbers of 128 bits, so that neither a rate of a thousandth a day nor
 * one of terabytes a month rounds or overflows. */
#ifndef POSTERN_POLICY_BUCKET_H
#define POSTERN_POLICY_BUCKET_H

#include "../relay/base/span.h"

#include <stdint.h>

#define BUCKET_KEY_MAX  255                     /* bytes of a key; more are cut */
#define BUCKET_NEVER    INT64_MAX               /* wait of what is larger than the burst */
#define BUCKET_TIME_MAX ((int64_t)315576000000) /* ten years: longer periods and pauses count as this */

/* COUNT in PER_MS, at most BURST at once. Each at least 1. Who counts what does not fit may owe up to DEBT more than the burst. */
struct bucket_rule {
    uint64_t count;
    int64_t per_ms;
    uint64_t burst;
    uint64_t debt;
};

struct bucket_table;

/* An empty table for a limit of RULE that takes MAX_BYTES of memory at most; the keys unused for longest leave first. */
struct bucket_table *bucket_new(const struct bucket_rule *rule, size_t max_bytes);

/* Frees *TABLE and nulls it. NULL is fine. */
void bucket_free(struct bucket_table **table);

/* Another rule or bound for the same keys: what was used stays used. */
void bucket_change(struct bucket_table *table, const struct bucket_rule *rule, size_t max_bytes);

/* Would N more fit for KEY at NOW_MS (monotonic)? Counts nothing. False: *ret_wait_ms says in how many milliseconds it would, if
 * nothing else comes; BUCKET_NEVER where N is more than the burst. */
bool bucket_fits(struct bucket_table *table, struct span key, uint64_t n, int64_t now_ms, int64_t *ret_wait_ms);

/* Counts N for KEY, fit or not; used never passes the burst and the debt. */
void bucket_count(struct bucket_table *table, struct span key, uint64_t n, int64_t now_ms);

/* Forgets KEY: nothing is used. */
void bucket_clear(struct bucket_table *table, struct span key, int64_t now_ms);

/* Notes that KEY was refused just now, for bucket_each and so that it stays remembered. */
void bucket_refused(struct bucket_table *table, struct span key, int64_t now_ms);

/* What is known of a key. */
struct bucket {
    struct span key; /* borrowed */
    uint64_t used;   /* rounded up */
    uint64_t left;   /* of the burst */
    int64_t wait_ms; /* until one more fits; 0: now */
    int64_t idle_ms; /* since it was last counted or refused */
    bool refused;    /* and nothing was counted since */
};

/* What is known of KEY; all unused where it is not known. */
struct bucket bucket_look(const struct bucket_table *table, struct span key, int64_t now_ms);

/* KEY has USED as of AGO_MS ago (less than 0 counts as 0), as others know better. */
void bucket_learn(struct bucket_table *table, struct span key, uint64_t used, int64_t ago_ms, int64_t now_ms);

/* The rule, within its bounds. */
struct bucket_rule bucket_rule_of(const struct bucket_table *table);

/* Enters what an earlier process knew: KEY had USED, AGO_MS ago (less than 0 counts as 0). */
void bucket_restore(struct bucket_table *table, struct span key, uint64_t used, int64_t ago_ms, int64_t now_ms);

/* Gets one key; false ends the visits. BUCKET is borrowed for the call, and the table must not be changed from it. */
typedef bool (*bucket_visit)(void *context, const struct bucket *bucket);

/* Visits the keys, those used last first, until VISIT returns false. */
void bucket_each(const struct bucket_table *table, int64_t now_ms, bucket_visit visit, void *context);

/* Visits the keys that changed since the last call. Where VISIT returns false, the rest is skipped and counts as visited: whoever
 * keeps them elsewhere has to walk the whole table again. */
void bucket_changes(struct bucket_table *table, int64_t now_ms, bucket_visit visit, void *context);

/* Visits some keys from *CURSOR (0 at first) on and moves it; true while there are more. A key that is there from the first to the
 * last call is visited at least once. */
bool bucket_walk(const struct bucket_table *table, size_t *cursor, int64_t now_ms, bucket_visit visit, void *context);

/* Lets go of keys that have nothing used any more. */
void bucket_sweep(struct bucket_table *table, int64_t now_ms);

/* How many keys are in the table. */
size_t bucket_keys(const struct bucket_table *table);

/* How many bytes of memory they take: never more than the table's bound. */
size_t bucket_bytes(const struct bucket_table *table);

#endif

/* How often limits did not let something pass, or would not have, by limit and key and day: what `postern limits --would` sums up.
 *
 * Limits that enforce are counted as well, apart, so that what was refused can be seen beside what would have been. All of it is
 * bounded: WOULD_PAIRS_MAX keys, of which those noted longest ago leave first, and as many days as there are WOULD_DAYS, in UTC. */
#ifndef POSTERN_POLICY_WOULD_H
#define POSTERN_POLICY_WOULD_H

#include "../relay/conf/conf.h"

#define WOULD_DAYS       8     /* today and the seven before */
#define WOULD_PAIRS_MAX  20000 /* limits and keys; at 400 bytes each that is 8 MB */
#define WOULD_LIMITS_MAX 500   /* limits, over all of their keys */

struct would;

/* Nothing is noted yet, and nothing kept when the process ends. */
struct would *would_new(void);

/* Frees *WOULD and nulls it; writes nothing. NULL is fine. */
void would_free(struct would **would);

/* Enters what earlier processes left in FOLDER, and keeps everything there from the next would_flush on. */
void would_open(struct would *would, const char *folder);

/* Writes down what has changed, every few seconds and at the end; SYNC: and waits until it is on the disk. */
void would_flush(struct would *would, bool sync);

/* At WALL_MS the limit CONF did not let pass N for KEY; or would not have, where it is not ENFORCED. */
void would_note(struct would *would, const struct conf_limit *conf, bool enforced, const char *key, uint64_t n, int64_t wall_ms);

/* What happened on one day. */
struct would_day {
    uint32_t day;  /* since 1970-01-01 */
    uint32_t keys; /* how many were affected; of a pair 0 */
    uint64_t questions;
    uint64_t units; /* messages, recipients, bytes …, as the limit counts */
};

/* A limit and a key; or a limit over all of its keys. */
struct would_row {
    const char *limit; /* its name; borrowed */
    const char *value; /* the key; borrowed; NULL: all of them */
    enum conf_limit_key key;
    enum conf_limit_count count;
    enum conf_limit_then then;
    bool enforced;
    struct would_day days[WOULD_DAYS]; /* the oldest first; only those on which there was something */
    size_t ndays;
    uint64_t questions, units; /* of these days */
};

/* Gets one row, borrowed for the call; false ends the visits. */
typedef bool (*would_visit)(void *context, const struct would_row *row);

/* Visits what was noted in the WOULD_DAYS days up to WALL_MS: first the pairs, then the limits, in each case those with most units
 * first. */
void would_each(struct would *would, int64_t wall_ms, would_visit visit, void *context);

/* How many pairs are known. */
size_t would_count(const struct would *would);

#endif

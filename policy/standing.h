/* How accounts stand: who is suspended and why, their strikes, and the evidence: what came back, samples of what they sent.
 *
 * An account has a record from the first thing that speaks against it. Records are bounded (STANDING_MAX, STANDING_ITEMS): those that
 * were touched longest ago and have no strike leave first, then those with old strikes; a suspended account's never does. They are kept
 * in the policy folder, one file an account, in JSON, so that a person can read it when nothing else runs. With a strike or a suspension
 * it is written, synced, before that is told to anybody; what is only evidence waits for standing_flush, since a spam run makes thousands
 * of it. Names are in normal form (account.h), times of the wall clock in ms. */
#ifndef POSTERN_POLICY_STANDING_H
#define POSTERN_POLICY_STANDING_H

#include "account.h"

#include <jansson.h>

#define STANDING_MAX        10000 /* records; suspended ones may be more */
#define STANDING_STRIKES    32    /* of an account, the newest */
#define STANDING_SIGNALS    32
#define STANDING_SAMPLES    16
#define STANDING_THRESHOLD  100                     /* the sum of weights at which an account is suspended */
#define STANDING_FULL_MS    ((int64_t)86400000)     /* a strike weighs whole for a day … */
#define STANDING_AGE_MS     ((int64_t)7 * 86400000) /* … and nothing after a week */
#define STANDING_REASON_MAX 400
#define STANDING_SUSPENDED  50000                          /* accounts that may be suspended: all are told at once to who comes */
#define STANDING_ITEMS      50000                          /* signals and samples of all accounts together */
#define STANDING_TIME_MAX   ((int64_t)253402300799 * 1000) /* the last second of the year 9999: a later time is none */

struct standing;

/* Nobody is known; nothing is kept on a disk. */
struct standing *standing_new(void);

/* Frees *STANDING and nulls it; nothing is written. NULL is fine. */
void standing_free(struct standing **standing);

/* Reads what earlier processes left in FOLDER, and keeps records there from now on. What cannot be read is logged and left alone. */
void standing_open(struct standing *standing, const char *folder);

/* Writes down records that have changed, every few seconds and at the end: for some milliseconds (then the rest has to wait for the next
 * call), or ALL. Failures are logged; after several in a row only every second, fourth … call tries again, but for ALL. */
void standing_flush(struct standing *standing, bool all);

/* Is ACCOUNT suspended? Costs next to nothing. */
bool standing_is_suspended(const struct standing *standing, struct span account);

/* Has ACCOUNT a record, so that more of what it does is worth keeping? */
bool standing_is_watched(const struct standing *standing, struct span account);

/* Why ACCOUNT is suspended: borrowed, "" where it is not. */
const char *standing_reason(const struct standing *standing, struct span account);

/* Since when ACCOUNT stands as it does, of the wall clock; 0 where it was never suspended. */
int64_t standing_since(const struct standing *standing, struct span account);

/* Something speaks against ACCOUNT: SIGNAL, an object (given away), to which "time" is added. */
void standing_signal(struct standing *standing, struct span account, json_t *signal, int64_t now_ms);

/* ACCOUNT, if it is watched, sent SAMPLE, an object (given away), to which "time" is added. */
void standing_sample(struct standing *standing, struct span account, json_t *sample, int64_t now_ms);

/* A strike of WEIGHT for ACCOUNT: STRIKE, an object (given away), to which "time" and "weight" are added. Returns whether its strikes now
 * come to the threshold. */
bool standing_strike(struct standing *standing, struct span account, unsigned weight, json_t *strike, int64_t now_ms);

/* What ACCOUNT's strikes weigh at NOW_MS. */
unsigned standing_weight(const struct standing *standing, struct span account, int64_t now_ms);

/* ACCOUNT is suspended, because of REASON, by BY ("limit bounces", "administrator", a machine); EVIDENCE (may be NULL; given away) is an
 * object whose members go into the record. False where it was already, or too many are, which is logged: nothing changes then. */
bool standing_suspend(struct standing *standing, struct span account, const char *reason, const char *by, json_t *evidence,
                      int64_t now_ms);

/* The letters about ACCOUNT, which is suspended, are on their way, whatever happens here. */
void standing_told(struct standing *standing, struct span account);

/* Calls EACH, which changes nothing here, with every account that is suspended and of which they are not, until it returns false: those
 * that are so longest first, as far as this process knows. */
void standing_each_untold(const struct standing *standing, bool (*each)(void *context, struct span account), void *context);

/* ACCOUNT is suspended no more, by BY, since NOW_MS or just behind the time from which it was, whichever is later; its strikes are forgiven: they stay as evidence and weigh nothing. False where it was not
 * suspended: its strikes are forgiven all the same. */
bool standing_resume(struct standing *standing, struct span account, const char *by, int64_t now_ms);

/* A copy of what is known of ACCOUNT, to be json_decref'd: {"account", "state", "reason", "since", "by", "strikes", "weight", "signals",
 * "samples", …}. For one that nothing is known of: active, with empty lists. */
json_t *standing_show(const struct standing *standing, struct span account, int64_t now_ms);

/* Calls EACH with every account that has a record (SUSPENDED: that is suspended) until it returns false. */
void standing_each(const struct standing *standing, bool suspended, bool (*each)(void *context, struct span account),
                   void *context);

/* How many accounts are suspended. */
size_t standing_suspended(const struct standing *standing);

#endif

/* When again, and when no more: the retry schedule and the age of messages. */
#ifndef POSTERN_QUEUE_RETRY_H
#define POSTERN_QUEUE_RETRY_H

#include "entry.h"

/* How long to wait after ATTEMPT attempts (1: the first): the schedule's step, the last one repeating, with 10 % jitter to both sides. */
int64_t retry_delay(const struct conf *conf, unsigned attempt);

/* How old ENTRY is, by a clock that does not jump; the time in which it was held does not count. */
int64_t retry_age(const struct entry *entry);

/* An attempt for ENTRY has just failed for now: is it too old for another? For a message that an earlier process took in, the age
 * comes from the wall clock at the start, which may have been wrong: there the lifetime must have passed already when an attempt
 * failed, another one, a retry step later, must have failed too, and the wall clock, which may have been set right since, must still
 * say the same. Held messages do not grow too old. */
bool retry_expired(const struct conf *conf, struct entry *entry);

/* Should its sender be told that ENTRY is late, now that an attempt failed for now? */
bool retry_late(const struct conf *conf, const struct entry *entry);

/* Until when ENTRY is tried, by the wall clock; now, where its time is over. */
int64_t retry_until(const struct conf *conf, const struct entry *entry);

/* The wall clock's time of DUE_MS on the monotonic clock, as of now. */
int64_t retry_wall(int64_t due_ms);

/* When, on the monotonic clock, a message is due that an earlier process put off to NEXT_MS of the wall clock (0: at once): never later
 * than the schedule's longest step from now, whatever the wall clock says. */
int64_t retry_recovered_due(const struct conf *conf, int64_t next_ms);

/* The age of a message that arrived at ARRIVED_MS of the wall clock: never negative, at most the lifetime. One that should have ended
 * longer than a retry step ago comes from a clock that jumped, or from a relay that was switched off for days: it is tried for another
 * RETRY_GRACE_MS, or half the lifetime where that is shorter. */
#define RETRY_GRACE_MS (12 * 60 * 60 * 1000)
int64_t retry_recovered_age(const struct conf *conf, int64_t arrived_ms);

#endif

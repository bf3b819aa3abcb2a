/* Failures by client address: how long the answer to one waits, and when an address is not heard any more for a while. */
#ifndef POSTERN_AUTH_LOCKOUT_H
#define POSTERN_AUTH_LOCKOUT_H

#include "../base/netaddr.h"

#include <stddef.h>

#define LOCKOUT_DELAY_FIRST_MS 1000 /* of an address's first failure; each further one doubles it */
#define LOCKOUT_DELAY_MAX_MS   5000

struct lockout;

/* Remembers at most MAX addresses (an IPv6 address counts by its /64); the one that failed longest ago goes first. LIMIT failures
 * within WINDOW_MS lock an address out for WINDOW_MS (0: never). */
struct lockout *lockout_new(uint64_t limit, int64_t window_ms, size_t max);

/* Frees *LOCKOUT and nulls it. NULL is fine. */
void lockout_free(struct lockout **lockout);

/* Is CLIENT locked out at NOW_MS (monotonic)? */
bool lockout_holds(struct lockout *lockout, const struct netaddr *client, int64_t now_ms);

/* Counts a failure of CLIENT. Returns for how many milliseconds the answer to it is to wait. */
uint32_t lockout_count(struct lockout *lockout, const struct netaddr *client, int64_t now_ms);

/* Forgets addresses whose time is over. */
void lockout_expire(struct lockout *lockout, int64_t now_ms);

/* How many addresses are remembered. */
size_t lockout_size(const struct lockout *lockout);

#endif

/* Failures by client address and by account: how long the answer to one waits, when an address is not heard any more for a while, and
 * when an account is open only to where it was used before. */
#ifndef POSTERN_AUTH_LOCKOUT_H
#define POSTERN_AUTH_LOCKOUT_H

#include "../base/netaddr.h"
#include "../base/span.h"

#include <stddef.h>

#define LOCKOUT_DELAY_FIRST_MS 1000 /* of an address's first failure; each further one doubles it */
#define LOCKOUT_DELAY_MAX_MS   5000
#define LOCKOUT_ACCOUNT        3 /* so many addresses, each with as many failures as it may have, lock an account */
#define LOCKOUT_TRUST_MS       (INT64_C(30) * 24 * 3600 * 1000) /* how long a good login is remembered */

struct lockout;

/* Remembers at most MAX addresses (an IPv6 address counts by its /64), MAX accounts, and MAX good logins; the oldest go first. LIMIT
 * failures within WINDOW_MS lock an address, LOCKOUT_ACCOUNT times as many an account, for WINDOW_MS (0: never). */
struct lockout *lockout_new(uint64_t limit, int64_t window_ms, size_t max);

/* Frees *LOCKOUT and nulls it. NULL is fine. */
void lockout_free(struct lockout **lockout);

/* Is CLIENT locked out at NOW_MS (monotonic)? */
bool lockout_holds(struct lockout *lockout, const struct netaddr *client, int64_t now_ms);

/* Counts a failure of CLIENT. Returns for how many milliseconds the answer to it is to wait. */
uint32_t lockout_count(struct lockout *lockout, const struct netaddr *client, int64_t now_ms);

/* Counts a failure of ACCOUNT (in normal form; whether it exists does not matter), wherever it came from. */
void lockout_count_account(struct lockout *lockout, struct span account, int64_t now_ms);

/* Remembers that CLIENT logged in as ACCOUNT. */
void lockout_trust(struct lockout *lockout, struct span account, const struct netaddr *client, int64_t now_ms);

/* Is ACCOUNT locked for CLIENT? Never where CLIENT was lately logged in as ACCOUNT: who guesses from everywhere cannot lock out those
 * whose account it is. */
bool lockout_holds_account(struct lockout *lockout, struct span account, const struct netaddr *client, int64_t now_ms);

/* Forgets what is over. */
void lockout_expire(struct lockout *lockout, int64_t now_ms);

/* How many addresses are remembered. */
size_t lockout_size(const struct lockout *lockout);

#endif

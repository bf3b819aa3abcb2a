/* Who may come in: decisions about connections and logins. */
#ifndef POSTERN_POLICY_ADMIT_H
#define POSTERN_POLICY_ADMIT_H

#include "judge.h"

#define ADMIT_GUESS_MS 1000 /* how long who is refused for wrong passwords waits for that, as for a first wrong one */

/* Decides about a connection. The reply of one that may not come is a 421. */
void admit_connect(struct judge *judge, const struct policy_connect *connect, int64_t now_ms, struct policy_answer *ret_answer);

/* Decides about a login, right or wrong. A right one of a suspended account gets 525 5.7.13; one from a network too many gets 421 4.7.0,
 * and so it does when it is tried again, since what was refused is not counted; and what a limit of wrong passwords refuses gets 421 4.7.0,
 * right or wrong, and is not counted. */
void admit_login(struct judge *judge, const struct policy_login *login, int64_t now_ms, struct policy_answer *ret_answer);

#endif

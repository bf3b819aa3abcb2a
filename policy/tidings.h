/* What policy tells the others of its own accord: who is suspended, who is so no more, and letters. */
#ifndef POSTERN_POLICY_TIDINGS_H
#define POSTERN_POLICY_TIDINGS_H

#include "policy.h"

/* For judge_new, with a struct policy as context. */
extern const struct judge_events tidings_events;

/* PEER, a queue process, has come, or what earlier processes left is known by now: it learns who is suspended, and gets the letters that
 * nobody could take. */
void tidings_queue(struct peer *peer);

/* Drops the letters that nobody took. */
void tidings_drop(struct policy *policy);

#endif

/* What policy tells the others of its own accord: who is suspended, who is so no more, and letters. */
#ifndef POSTERN_POLICY_TIDINGS_H
#define POSTERN_POLICY_TIDINGS_H

#include "policy.h"

/* For judge_new, with a struct policy as context. */
extern const struct judge_events tidings_events;

/* PEER, a queue process, has come: it learns who is suspended, and gets the letters that nobody could take. */
void tidings_queue(struct peer *peer);

/* PEER, a submission process, has come: it may have sessions of accounts that were suspended just when an earlier process ended. */
void tidings_submission(struct peer *peer);

/* What earlier processes left is known by now: letters that they could not see off are written again, and those who came before are told. */
void tidings_opened(struct policy *policy);

/* The queue has stored the letter of that TICKET: there may be room for letters that there was none for. */
void tidings_stored(struct policy *policy, uint64_t ticket);

/* Drops the letters that nobody has stored: the next process writes them again. */
void tidings_drop(struct policy *policy);

#endif

/* The words of an answer: one printable line that tells user and help desk which limit it was, for whom, how much, and until when. */
#ifndef POSTERN_POLICY_ANSWER_H
#define POSTERN_POLICY_ANSWER_H

#include "../relay/channels/submission_policy.h"
#include "limit.h"

#define ANSWER_SHOWN_SIZE   100   /* bytes of a name or address in a reply, with a NUL */
#define ANSWER_DELAY_MAX_MS 30000 /* then = slow: a client waits minutes for an answer, but not all do */

/* How long who is slowed down by REFUSAL waits for the answer. */
uint32_t answer_delay(const struct limit_refusal *refusal);

/* ACCOUNT is suspended because of REASON: refused with a text behind CODE ("550 5.7.1 ") that names both and whom to ask. */
void answer_suspended(struct policy_answer *answer, const char *code, struct span account, const char *reason, const char *ask);

/* Fills in VERDICT with a text. A reply line is ASCII: what is not becomes "?". */
void answer_say(struct policy_answer *answer, enum policy_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with what a person needs to know of REFUSAL, behind CODE ("450 4.7.1 ", or ""). */
void answer_limit(struct policy_answer *answer, enum policy_verdict verdict, const char *code,
                  const struct limit_refusal *refusal);

#endif

/* Recipients that policy is asked about in one question: the one that the RCPT in hand names, and those of the RCPTs that the client
 * has sent right behind it (RFC 2920). A client with a hundred recipients then waits once and not a hundred times, as it does where it
 * does not pipeline. */
#ifndef POSTERN_SUBMISSION_BATCH_H
#define POSTERN_SUBMISSION_BATCH_H

#include "../channels/submission_policy.h"
#include "wait.h"

struct batch;

/* Asks policy about the recipient in SESSION's transaction->rcpt and those behind it; THEN gets a struct policy_rcpt_answer, or NULL. */
void batch_ask(struct session *session, wait_then then);

/* The first in ANSWER (NULL: there is none) is for the recipient in hand and the caller's business; those behind it are kept for
 * batch_take. BATCH may be NULL: there is nobody behind it. */
void batch_answered(struct batch *batch, const struct policy_rcpt_answer *answer);

/* The answer for RECIPIENT, the next that the client named, where it came with an earlier one; NULL: it has to be asked for.
 * Borrowed until the next call. */
const struct policy_answer *batch_take(struct batch *batch, const char *recipient);

/* Frees *BATCH and nulls it. NULL is fine. */
void batch_free(struct batch **batch);

#endif

/* Recipients that policy is asked about in one question: the one that the RCPT in hand names, and those of the RCPTs that the client
 * has sent right behind it (RFC 2920). A client with a hundred recipients then waits once and not a hundred times, as it does where it
 * does not pipeline. */
#ifndef POSTERN_SUBMISSION_BATCH_H
#define POSTERN_SUBMISSION_BATCH_H

#include "wait.h"

#include <stdbool.h>
#include <stddef.h>

struct batch;

/* A RCPT behind the one in hand, which has no fault. */
struct batch_recipient {
    const char *address;
    unsigned notify;
    const char *orcpt;
    size_t size; /* bytes of its line, at the front of the input */
};

/* Asks policy about the recipient in SESSION's transaction->rcpt and those behind it; THEN gets a struct policy_rcpt_answer, or NULL. */
void batch_ask(struct session *session, wait_then then);

/* Takes the next of those behind the one in hand out of BATCH (NULL: there are none). Its texts are borrowed until BATCH is freed. False
 * where there is none left. */
bool batch_take(struct batch *batch, struct batch_recipient *ret_recipient);

/* Frees *BATCH and nulls it. NULL is fine. */
void batch_free(struct batch **batch);

#endif

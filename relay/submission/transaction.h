/* A mail transaction: from MAIL until its message is stored, or it is given up. */
#ifndef POSTERN_SUBMISSION_TRANSACTION_H
#define POSTERN_SUBMISSION_TRANSACTION_H

#include "../channels/submission_policy.h"
#include "../message/envelope.h"
#include "../spool/writer.h"
#include "front.h"

struct batch;
struct body;
struct session;

struct transaction {
    struct list node; /* of those whose fate is known (front.h) */
    enum writer_verdict verdict;
    struct front *front;
    uint64_t ticket; /* of the session that waits for it to be stored */
    struct envelope envelope;
    struct command_rcpt rcpt; /* the recipient that is being asked about */
    struct batch *batch;      /* those behind it that are being asked about with it, or NULL */
    unsigned excess;          /* recipients beyond the maximum */
    bool watched;             /* policy wants to know of the message */
    char *subject;            /* of a watched one: what its field says, escaped; NULL: nothing yet */
    char *held;               /* why policy holds it; NULL: it does not */
    struct body *body;        /* from DATA on */
};

/* How a message's storing ended: what the continuation of transaction_commit gets. */
struct transaction_end {
    enum writer_verdict verdict;
    struct uid id;
    const char *held; /* NULL, or why it waits for an administrator */
};

/* SESSION's transaction begins with what MAIL said. */
struct transaction *transaction_new(const struct session *session, const struct command_mail *mail);

/* Policy lets the message be taken and holds it because of REASON, which may be "". */
void transaction_hold(struct transaction *transaction, struct span reason);

/* Frees *TRANSACTION with what of its message was not committed, and nulls it. NULL is fine. */
void transaction_free(struct transaction **transaction);

/* Hands the message, INTAKE with the header lines PREFIX, to the writer. SESSION waits for the end (struct transaction_end) and its
 * transaction is the writer's business from here on: it is told to the queue and logged even if the session goes meanwhile. */
void transaction_commit(struct session *session, struct intake **intake, struct span prefix);

/* Of all messages that ended together it is known how, and the queue has been told: their sessions hear it when it is in the log. */
void transaction_answer_all(struct front *front);

#endif

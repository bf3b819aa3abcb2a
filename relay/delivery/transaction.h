/* One message to some recipients over one connection: from ASSIGN to exactly one outcome for each recipient. */
#ifndef POSTERN_DELIVERY_TRANSACTION_H
#define POSTERN_DELIVERY_TRANSACTION_H

#include "../channels/queue_delivery.h"
#include "body.h"
#include "reason.h"
#include "transcript.h"

/* Told once for each recipient: INDEX is the envelope's. */
typedef void (*transaction_outcome)(void *context, uint32_t index, enum delivery_verdict verdict, const struct reason *reason);

/* A recipient of the transaction. */
struct transaction_recipient {
    uint32_t index; /* in the envelope */
    bool sent;      /* named to the server in RCPT; post.c's */
    bool settled;
};

struct transaction {
    struct uid id;
    struct envelope envelope;
    struct body body;
    struct transaction_recipient *recipients;
    unsigned count;
    unsigned open; /* recipients without an outcome */
    bool failed;   /* one had another outcome than delivery */
    struct transcript transcript;
    transaction_outcome outcome;
    void *context;
};

/* An empty transaction; OUTCOME is called with CONTEXT. */
struct transaction *transaction_make(transaction_outcome outcome, void *context);

/* Frees *TRANSACTION and nulls it, whatever is open of it. NULL is fine. */
void transaction_drop(struct transaction **transaction);

/* Begins with ASSIGN and its segment's descriptor FD (borrowed; -1 where there is none). What cannot be read or is damaged gets its outcomes at
 * once (temporary, since the disk may be mended); `open` is 0 then. */
void transaction_begin(struct transaction *transaction, const struct delivery_assign *assign, int fd);

/* The address of recipient I (0 to count - 1) as it is sent. */
const char *transaction_address(const struct transaction *transaction, unsigned i);

/* The outcome of recipient I, unless it has one already. */
void transaction_settle(struct transaction *transaction, unsigned i, enum delivery_verdict verdict, const struct reason *reason);

/* The outcome of all that have none yet. */
void transaction_settle_rest(struct transaction *transaction, enum delivery_verdict verdict, const struct reason *reason);

/* The outcome of those that were sent to the server in the last transaction and have none yet. */
void transaction_settle_sent(struct transaction *transaction, enum delivery_verdict verdict, const struct reason *reason);

/* The outcome of those that were not sent to the server and have none yet. */
void transaction_settle_unsent(struct transaction *transaction, enum delivery_verdict verdict, const struct reason *reason);

/* Has one of those that were sent no outcome yet? */
bool transaction_is_under_way(const struct transaction *transaction);

/* The same after the last outcome. */
void transaction_end(struct transaction **transaction);

#endif

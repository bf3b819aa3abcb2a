/* What delivery tells the queue (channels/queue_delivery.h). A NULL channel is a queue that has gone: nothing is told. */
#ifndef POSTERN_DELIVERY_REPORT_H
#define POSTERN_DELIVERY_REPORT_H

#include "../channels/queue_delivery.h"
#include "reason.h"
#include "transaction.h"

/* Where a connection leads, as told with each outcome and logged by the queue. */
struct report_place {
    char mx[DELIVERY_MX_SIZE];   /* "mx1.example.net[192.0.2.1]:25"; "" while nothing was reached */
    bool wants_domain;           /* a certificate was for another name */
    char tls[DELIVERY_TLS_SIZE]; /* "TLSv1.3 TLS_AES_256_GCM_SHA384", "none" */
};

/* What became of RECIPIENT (index into the envelope) of the message ID. */
void report_outcome(struct ipc *queue, uint64_t connection, const struct report_place *place, struct uid id, uint32_t recipient,
                    enum delivery_verdict verdict, const struct reason *reason);

/* What was said in TRANSACTION, where it failed for somebody; else nothing. */
void report_dialogue(struct ipc *queue, uint64_t connection, const struct transaction *transaction);

/* The connection is ready for a message. */
void report_next(struct ipc *queue, uint64_t connection, const struct report_place *place);

/* The connection is over. */
void report_closed(struct ipc *queue, uint64_t connection, const struct report_place *place, enum delivery_end end,
                   const struct reason *reason);

#endif

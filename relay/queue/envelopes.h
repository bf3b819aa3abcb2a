/* Envelopes that were read lately: a message's is needed when it comes in, when it is sent, and for each outcome. */
#ifndef POSTERN_QUEUE_ENVELOPES_H
#define POSTERN_QUEUE_ENVELOPES_H

#include "../message/envelope.h"
#include "../spool/record.h"
#include "entry.h"

/* Reads the envelope of the record at OFFSET of PAIR into ENVELOPE (initialised; the caller's to free) and its header into
 * *ret_record (may be NULL). */
enum record_verdict envelopes_read(struct queue *queue, struct pair *pair, uint64_t offset, struct envelope *envelope,
                                   struct record *ret_record);

/* None read yet. */
struct envelopes *envelopes_new(void);

/* Frees those that are kept, and nulls *ENVELOPES. NULL is fine. */
void envelopes_free(struct envelopes **envelopes);

/* ENTRY's envelope, borrowed until the next call or the entry's end; NULL where it cannot be read (*ret_verdict, may be NULL). */
const struct envelope *envelopes_get(struct queue *queue, const struct entry *entry, enum record_verdict *ret_verdict);

/* Keeps ENVELOPE, which was read for ENTRY, and leaves the caller's empty. */
void envelopes_keep(struct queue *queue, const struct entry *entry, struct envelope *envelope);

#endif

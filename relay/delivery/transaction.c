/* The bookkeeping of "exactly one outcome a recipient". Whoever comes to know something settles what it knows, in any order and
 * as often as it likes: the first word on a recipient counts, so a server that refuses RCPT and then breaks the connection
 * cannot turn a refusal into a retry or the other way round. transaction_end asserts that nobody was forgotten.
 *
 * The envelope comes from the segment, not over the channel: a message to 1,000 recipients costs the channel their indices. It
 * is read and checked here again (CRC, id, control bytes in addresses) though the queue has read it before: what goes into a
 * command must be what was accepted, and the disk may have changed in between. A damaged one is temporary, since a disk can be
 * mended and mail cannot be taken back. */
#include "transaction.h"

#include "../base/log.h"
#include "../base/text.h"

#include <assert.h>
#include <stdlib.h>

struct transaction *transaction_make(transaction_outcome outcome, void *context)
{
    struct transaction *transaction = text_zalloc(sizeof *transaction);
    transaction->outcome = outcome;
    transaction->context = context;
    envelope_init(&transaction->envelope);
    body_init(&transaction->body);
    transcript_init(&transaction->transcript);
    return transaction;
}

void transaction_drop(struct transaction **transaction)
{
    if (!*transaction)
        return;
    envelope_fini(&(*transaction)->envelope);
    body_fini(&(*transaction)->body);
    transcript_fini(&(*transaction)->transcript);
    free((*transaction)->recipients);
    free(*transaction);
    *transaction = NULL;
}

/* Has the envelope all the recipients that were assigned? (That none of them holds a control byte, envelope_load has seen to.) */
static const char *check_recipients(const struct transaction *transaction)
{
    for (unsigned i = 0; i < transaction->count; i++)
        if (transaction->recipients[i].index >= transaction->envelope.nrecipients)
            return "it has fewer recipients than expected";
    return NULL;
}

void transaction_begin(struct transaction *transaction, const struct delivery_assign *assign, int fd)
{
    assert(transaction->open == 0 && assign->count <= ASSIGN_RECIPIENTS_MAX);
    transaction->id = assign->id;
    transaction->failed = false;
    transaction->count = transaction->open = assign->count;
    transaction->recipients = text_zalloc(assign->count * sizeof *transaction->recipients);
    for (unsigned i = 0; i < assign->count; i++)
        transaction->recipients[i].index = assign->recipients[i];
    const char *wrong = body_load(&transaction->body, fd, assign->offset, assign->id, &transaction->envelope);
    if (!wrong)
        wrong = check_recipients(transaction);
    if (!wrong)
        return;
    struct log_entry entry;
    log_begin(&entry, LOG_ERROR, "error");
    log_uid(&entry, "id", assign->id);
    log_number(&entry, "offset", (int64_t)assign->offset);
    log_string(&entry, "text", "the message's record in the spool is not usable; nothing was sent, and it stays in the queue");
    log_string(&entry, "why", wrong);
    log_end(&entry);
    struct reason reason;
    reason_local(&reason, "4.3.0", "the message's record in the relay's spool is not usable: %s", wrong);
    transaction_settle_rest(transaction, wrong == body_unreadable ? DELIVERY_TEMPORARY : DELIVERY_DAMAGED, &reason);
}

const char *transaction_address(const struct transaction *transaction, unsigned i)
{
    return transaction->envelope.recipients[transaction->recipients[i].index].address;
}

void transaction_settle(struct transaction *transaction, unsigned i, enum delivery_verdict verdict, const struct reason *reason)
{
    struct transaction_recipient *recipient = &transaction->recipients[i];
    if (recipient->settled)
        return;
    recipient->settled = true;
    transaction->failed = transaction->failed || verdict != DELIVERY_DONE;
    transaction->open--;
    transaction->outcome(transaction->context, recipient->index, verdict, reason);
}

void transaction_settle_rest(struct transaction *transaction, enum delivery_verdict verdict, const struct reason *reason)
{
    for (unsigned i = 0; transaction->open && i < transaction->count; i++)
        transaction_settle(transaction, i, verdict, reason);
}

static void settle_where(struct transaction *transaction, bool sent, enum delivery_verdict verdict, const struct reason *reason)
{
    for (unsigned i = 0; transaction->open && i < transaction->count; i++)
        if (transaction->recipients[i].sent == sent)
            transaction_settle(transaction, i, verdict, reason);
}

void transaction_settle_sent(struct transaction *transaction, enum delivery_verdict verdict, const struct reason *reason)
{
    settle_where(transaction, true, verdict, reason);
}

void transaction_settle_unsent(struct transaction *transaction, enum delivery_verdict verdict, const struct reason *reason)
{
    settle_where(transaction, false, verdict, reason);
}

bool transaction_is_under_way(const struct transaction *transaction)
{
    for (unsigned i = 0; i < transaction->count; i++)
        if (transaction->recipients[i].sent && !transaction->recipients[i].settled)
            return true;
    return false;
}

void transaction_end(struct transaction **transaction)
{
    assert((*transaction)->open == 0);
    transaction_drop(transaction);
}

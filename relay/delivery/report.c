#include "report.h"

#include "../base/text.h"

/* Copies TEXT into the array of SIZE bytes that ends a message; returns how many bytes of the message count, where the array
 * begins at OFFSET. */
static size_t put_tail(char *array, size_t size, size_t offset, const char *text)
{
    text_copy(array, size, span_of(text));
    return offset + strnlen(array, size - 1) + 1;
}

void report_outcome(struct ipc *queue, uint64_t connection, const struct report_place *place, struct uid id, uint32_t recipient,
                    enum delivery_verdict verdict, const struct reason *reason)
{
    struct delivery_outcome outcome = { .connection = connection,
                                        .id = id,
                                        .recipient = recipient,
                                        .verdict = verdict,
                                        .remote = reason->remote,
                                        .dsn = reason->dsn };
    text_copy(outcome.enhanced, sizeof outcome.enhanced, span_of(reason->enhanced));
    text_copy(outcome.mx, sizeof outcome.mx, span_of(place->mx));
    text_copy(outcome.tls, sizeof outcome.tls, span_of(place->tls));
    size_t size = put_tail(outcome.reply, sizeof outcome.reply, offsetof(struct delivery_outcome, reply), reason->text);
    ipc_send_soon(queue, DELIVERY_OUTCOME, &outcome, size);
}

void report_dialogue(struct ipc *queue, uint64_t connection, const struct transaction *transaction)
{
    struct span lines = buffer_span(&transaction->transcript.lines);
    struct delivery_dialogue dialogue; /* large, so that what is not sent is not filled either */
    if (!transaction->failed || !lines.n)
        return;
    dialogue.connection = connection;
    dialogue.id = transaction->id;
    dialogue.size = (uint32_t)lines.n;
    memcpy(dialogue.text, lines.p, lines.n);
    ipc_send_soon(queue, DELIVERY_DIALOGUE, &dialogue, offsetof(struct delivery_dialogue, text) + dialogue.size);
}

void report_next(struct ipc *queue, uint64_t connection, const struct report_place *place)
{
    struct delivery_next next = { .connection = connection };
    text_copy(next.mx, sizeof next.mx, span_of(place->mx));
    text_copy(next.tls, sizeof next.tls, span_of(place->tls));
    ipc_send_soon(queue, DELIVERY_NEXT, &next, sizeof next);
}

void report_closed(struct ipc *queue, uint64_t connection, const struct report_place *place, enum delivery_end end,
                   const struct reason *reason)
{
    struct delivery_closed closed = { .connection = connection, .end = end, .wants_domain = place->wants_domain };
    text_copy(closed.enhanced, sizeof closed.enhanced, span_of(reason->enhanced));
    text_copy(closed.mx, sizeof closed.mx, span_of(place->mx));
    size_t size = put_tail(closed.reply, sizeof closed.reply, offsetof(struct delivery_closed, reply), reason->text);
    ipc_send_soon(queue, DELIVERY_CLOSED, &closed, size);
}

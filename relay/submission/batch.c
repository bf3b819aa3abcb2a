/* The commands behind the one in hand are read where they lie in the input, which stays as it is while policy is asked: they are carried
 * out, and taken from there, when the answer has come. What was read of them is kept close together, since a client may name many and
 * policy be slow.
 *
 * Only what is sure to get as far as policy is looked at: the first other command, a RCPT with a fault, a domain that DNS has to be
 * asked about, or one recipient more than the listener allows ends the batch. All in it was asked for by the client and counts as
 * such, even if it goes away before the answer. */
#include "batch.h"

#include "../base/text.h"
#include "../smtp/line.h"
#include "ask_policy.h"
#include "commands.h"
#include "session.h"
#include "transaction.h"

#include <stdlib.h>

/* What is kept of a command, in front of its two texts. */
struct kept {
    size_t size;
    unsigned notify;
};

#define KEPT_MAX (sizeof(struct kept) + sizeof(struct command_rcpt)) /* bytes of one command */

struct batch {
    struct buffer bytes;
    size_t taken; /* of them */
};

void batch_free(struct batch **batch)
{
    if (!*batch)
        return;
    buffer_fini(&(*batch)->bytes);
    free(*batch);
    *batch = NULL;
}

static void keep_text(struct batch *batch, const char *text)
{
    buffer_add(&batch->bytes, span_make(text, strlen(text) + 1));
}

static void keep(struct batch *batch, const struct command_rcpt *rcpt, size_t size)
{
    const struct kept kept = { size, rcpt->notify };
    buffer_add(&batch->bytes, span_make((const char *)&kept, sizeof kept));
    keep_text(batch, rcpt->recipient);
    keep_text(batch, rcpt->orcpt);
}

static const char *take_text(struct span *bytes)
{
    const char *text = bytes->p;
    *bytes = span_skip(*bytes, strlen(text) + 1);
    return text;
}

bool batch_take(struct batch *batch, struct batch_recipient *ret_recipient)
{
    struct span bytes = batch ? span_skip(buffer_span(&batch->bytes), batch->taken) : SPAN("");
    struct kept kept;
    if (!bytes.n)
        return false;
    memcpy(&kept, bytes.p, sizeof kept);
    bytes = span_skip(bytes, sizeof kept);
    *ret_recipient = (struct batch_recipient){ .notify = kept.notify, .size = kept.size };
    ret_recipient->address = take_text(&bytes);
    ret_recipient->orcpt = take_text(&bytes);
    batch->taken = buffer_size(&batch->bytes) - bytes.n;
    return true;
}

/* Reads the next line of INPUT, *RET_SIZE bytes. False where it is no RCPT that would have to be asked about. */
static bool next_recipient(const struct session *session, struct span input, struct command_rcpt *rcpt, size_t *ret_size)
{
    struct span line;
    struct command command;
    return line_next(input, SMTP_COMMAND_LINE_MAX, &line, ret_size) == LINE_DONE && command_parse(line, &command) &&
           command.verb == COMMAND_RCPT && rcpt_parse(session, command.argument, rcpt) == COMMAND_FINE &&
           rcpt_is_settled(session, rcpt->recipient);
}

/* How many recipients may be asked about at once: an answer that allows them all must not be for more than there is room. */
static size_t most(const struct session *session)
{
    size_t room = session->listener->max_recipients - session->transaction->envelope.nrecipients;
    return room < POLICY_BATCH_MAX ? room : POLICY_BATCH_MAX;
}

void batch_ask(struct session *session, wait_then then)
{
    struct transaction *transaction = session->transaction;
    struct span input = span_skip(stream_input(session->stream), session->in_hand);
    struct policy_rcpt question;
    struct command_rcpt rcpt;
    size_t size;
    memset(&question, 0, offsetof(struct policy_rcpt, recipients)); /* of the rest, only what is used is sent */
    policy_rcpt_add(&question, transaction->rcpt.recipient);
    batch_free(&transaction->batch);
    while (question.count < most(session) && next_recipient(session, input, &rcpt, &size)) {
        if (!transaction->batch) {
            transaction->batch = text_zalloc(sizeof *transaction->batch);
            buffer_init(&transaction->batch->bytes, POLICY_BATCH_MAX * KEPT_MAX);
        }
        keep(transaction->batch, &rcpt, size);
        policy_rcpt_add(&question, rcpt.recipient);
        input = span_skip(input, size);
    }
    ask_policy_rcpt(session, &question, then);
}

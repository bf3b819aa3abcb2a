/* The commands behind the one in hand are looked at without being taken: they stay in the input and are carried out in their turn, each
 * with the answer that is there by then. What a client has sent cannot change any more, so the same recipients come in the same order;
 * nevertheless each answer is compared with the name that it is for, so that none is ever given to somebody else.
 *
 * Only what is sure to get as far as policy is looked at: the first other command, a RCPT with a fault, a domain that DNS has to be
 * asked about, or one recipient more than the listener allows ends the batch. All in it was asked for by the client and counts as
 * such, even if it goes away before the answer. */
#include "batch.h"

#include "../base/map.h"
#include "../base/text.h"
#include "../smtp/line.h"
#include "ask_policy.h"
#include "commands.h"
#include "session.h"
#include "transaction.h"

#include <stdlib.h>

struct batch {
    uint32_t count, next;
    struct policy_answer *answers; /* COUNT of them; NULL where all are plain, as mostly */
    uint64_t names[];              /* hashes of the recipients behind the first */
};

static struct batch *batch_new(const struct policy_rcpt *question)
{
    uint32_t count = question->count - 1;
    struct batch *batch = text_zalloc(sizeof *batch + count * sizeof *batch->names);
    for (; batch->count < count; batch->count++)
        batch->names[batch->count] = map_hash(span_of(question->recipients[batch->count + 1]));
    return batch;
}

void batch_free(struct batch **batch)
{
    if (!*batch)
        return;
    free((*batch)->answers);
    free(*batch);
    *batch = NULL;
}

static void add(struct policy_rcpt *question, const char *recipient)
{
    char *place = question->recipients[question->count++];
    memset(place, 0, sizeof question->recipients[0]);
    text_copy(place, sizeof question->recipients[0], span_of(recipient));
}

/* Takes the next line off *INPUT. False where it is no RCPT that would have to be asked about. */
static bool next_recipient(const struct session *session, struct span *input, struct command_rcpt *rcpt)
{
    struct span line;
    struct command command;
    size_t used;
    if (line_next(*input, SMTP_COMMAND_LINE_MAX, &line, &used) != LINE_DONE || !command_parse(line, &command) ||
        command.verb != COMMAND_RCPT || rcpt_parse(session, command.argument, rcpt) != COMMAND_FINE)
        return false;
    *input = span_skip(*input, used);
    return rcpt_is_settled(session, rcpt->recipient);
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
    memset(&question, 0, offsetof(struct policy_rcpt, recipients)); /* of the rest, only what is used is sent */
    add(&question, transaction->rcpt.recipient);
    while (question.count < most(session) && next_recipient(session, &input, &rcpt))
        add(&question, rcpt.recipient);
    batch_free(&transaction->batch);
    if (question.count > 1)
        transaction->batch = batch_new(&question);
    ask_policy_rcpt(session, &question, then);
}

static bool all_plain(const struct policy_answer *answers, uint32_t count)
{
    while (count && policy_is_plain(&answers[count - 1]))
        count--;
    return count == 0;
}

void batch_answered(struct batch *batch, const struct policy_rcpt_answer *answer)
{
    if (!batch)
        return;
    uint32_t count = answer ? answer->count - 1 : 0;
    if (count < batch->count)
        batch->count = count;
    if (!batch->count || all_plain(answer->each + 1, batch->count))
        return;
    batch->answers = text_zalloc(batch->count * sizeof *batch->answers);
    memcpy(batch->answers, answer->each + 1, batch->count * sizeof *batch->answers);
}

const struct policy_answer *batch_take(struct batch *batch, const char *recipient)
{
    static const struct policy_answer plain = { .verdict = POLICY_ALLOW };
    if (!batch || batch->next == batch->count)
        return NULL;
    uint32_t at = batch->next++;
    if (batch->names[at] == map_hash(span_of(recipient)))
        return batch->answers ? &batch->answers[at] : &plain;
    batch->next = batch->count;
    return NULL;
}

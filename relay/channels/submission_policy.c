#include "submission_policy.h"

#include "../base/text.h"

#include <string.h>

static const struct ipc_kind kinds[] = { SUBMISSION_POLICY_MESSAGES(IPC_KIND) };

const struct ipc_channel submission_policy_channel = { "submission_policy", kinds, sizeof kinds / sizeof *kinds, false };

void policy_rcpt_add(struct policy_rcpt *question, const char *recipient)
{
    char *place = question->recipients + question->size;
    text_copy(place, SMTP_ADDRESS_SIZE, span_of(recipient));
    question->size += (uint32_t)strlen(place) + 1;
    question->count++;
}

struct span policy_rcpt_next(const struct policy_rcpt *question, size_t *at)
{
    size_t end = question->size < sizeof question->recipients ? question->size : sizeof question->recipients;
    if (*at >= end)
        return SPAN("");
    struct span recipient = span_of_array(question->recipients + *at, end - *at);
    *at += recipient.n + 1;
    return recipient;
}

size_t policy_rcpt_size(const struct policy_rcpt *question)
{
    return offsetof(struct policy_rcpt, recipients) + question->size;
}

size_t policy_rcpt_answer_size(const struct policy_rcpt_answer *answer)
{
    if (!answer->told)
        return offsetof(struct policy_rcpt_answer, each);
    const struct policy_answer *last = &answer->each[answer->told - 1];
    return (size_t)((const char *)last->reply - (const char *)answer) + strlen(last->reply);
}

#include "submission_policy.h"

#include <string.h>

static const struct ipc_kind kinds[] = { SUBMISSION_POLICY_MESSAGES(IPC_KIND) };

const struct ipc_channel submission_policy_channel = { "submission_policy", kinds, sizeof kinds / sizeof *kinds, false };

size_t policy_rcpt_answer_size(const struct policy_rcpt_answer *answer)
{
    uint32_t count = answer->count;
    while (count && policy_is_plain(&answer->each[count - 1]))
        count--;
    if (!count)
        return offsetof(struct policy_rcpt_answer, each);
    const struct policy_answer *last = &answer->each[count - 1];
    return (size_t)((const char *)last->reply - (const char *)answer) + strlen(last->reply);
}

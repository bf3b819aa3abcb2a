/* Where an administrator's questions, which control passes on, are answered. */
#ifndef POSTERN_POLICY_DESK_H
#define POSTERN_POLICY_DESK_H

#include "../relay/channels/admin.h"
#include "policy.h"

/* Answers ASK over PEER's channel. */
void desk_answer(struct peer *peer, const struct admin_ask *ask);

#endif

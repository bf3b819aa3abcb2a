#include "submission_policy.h"

static const struct ipc_kind kinds[] = { SUBMISSION_POLICY_MESSAGES(IPC_KIND) };

const struct ipc_channel submission_policy_channel = { "submission_policy", kinds, sizeof kinds / sizeof *kinds, false };

#include "queue_policy.h"

static const struct ipc_kind kinds[] = { QUEUE_POLICY_MESSAGES(IPC_KIND) };

const struct ipc_channel queue_policy_channel = { "queue_policy", kinds, sizeof kinds / sizeof *kinds, false };

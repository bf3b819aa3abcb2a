#include "submission_queue.h"

static const struct ipc_kind kinds[] = { SUBMISSION_QUEUE_MESSAGES(IPC_KIND) };

const struct ipc_channel submission_queue_channel = { "submission_queue", kinds, sizeof kinds / sizeof *kinds, false };

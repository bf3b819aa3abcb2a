#include "submission_auth.h"

static const struct ipc_kind kinds[] = { SUBMISSION_AUTH_MESSAGES(IPC_KIND) };

const struct ipc_channel submission_auth_channel = { "submission_auth", kinds, sizeof kinds / sizeof *kinds, true };

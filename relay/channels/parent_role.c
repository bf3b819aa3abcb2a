#include "parent_role.h"

static const struct ipc_kind kinds[] = { PARENT_ROLE_MESSAGES(IPC_KIND) };

const struct ipc_channel parent_role_channel = { "parent_role", kinds, sizeof kinds / sizeof *kinds, false };

#include "admin.h"

static const struct ipc_kind kinds[] = { ADMIN_MESSAGES(IPC_KIND) };

const struct ipc_channel admin_channel = { "admin", kinds, sizeof kinds / sizeof *kinds, false };

#include "queue_delivery.h"

static const struct ipc_kind kinds[] = { QUEUE_DELIVERY_MESSAGES(IPC_KIND) };

const struct ipc_channel queue_delivery_channel = { "queue_delivery", kinds, sizeof kinds / sizeof *kinds, false };

/* The roles, and which of them talk to each other. The parent makes a channel for each pair of living processes whose roles are
 * linked here, and a new one whenever one of them was started again. */
#ifndef POSTERN_CHANNELS_ROLES_H
#define POSTERN_CHANNELS_ROLES_H

#include "../base/ipc.h"

enum role_kind {
    ROLE_PARENT,
    ROLE_SUBMISSION,
    ROLE_AUTH,
    ROLE_DNS,
    ROLE_POLICY,
    ROLE_QUEUE,
    ROLE_DELIVERY,
    ROLE_CONTROL,
    ROLE_STS,
    ROLE_KINDS
};

/* A process's place among those of its role. Slots of two generations never overlap. */
#define ROLE_SLOTS 256

struct role_link {
    enum role_kind front; /* asks */
    enum role_kind back;  /* answers */
    const struct ipc_channel *channel;
};

extern const struct role_link role_links[];
extern const unsigned role_nlinks;

/* "submission", … */
const char *role_name(enum role_kind kind);

/* The link between two roles, or NULL. *ret_side (may be NULL) is A's side. */
const struct role_link *role_link_between(enum role_kind a, enum role_kind b, enum ipc_side *ret_side);

#endif

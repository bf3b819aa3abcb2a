/* The control role's own state: who asks, whom it asks on their behalf. It keeps nothing about mail: each answer comes from the role
 * that owns it. */
#ifndef POSTERN_CONTROL_CONTROL_H
#define POSTERN_CONTROL_CONTROL_H

#include "../role/role.h"

/* The roles that control asks. */
enum control_peer { CONTROL_QUEUE, CONTROL_POLICY, CONTROL_DNS, CONTROL_STS, CONTROL_PEERS };

struct control {
    struct role *role;
    struct ipc *peers[CONTROL_PEERS]; /* NULL while the role is being started again */
    struct asking *asking;            /* what queue and policy were asked */
    struct looking *looking;          /* what dns and sts were asked */
    struct visitors *visitors;        /* administrators on the admin socket */
    struct http *http;                /* NULL where control.http is "" */
    uint64_t last_command;            /* ticket of what the parent was told last */
    int64_t since_ms;                 /* wall clock: when the daemon was started */
    int socket_fd;                    /* listening, made before the sandbox closes; -1 once handed on */
    int http_fd;                      /* the same; -1 also where there is none */
};

#endif

/* Parent and role: how a role gets its settings, secrets, peers and listeners, and how both end. FRONT is the parent.
 *
 * Order at a start: SETTINGS, SECRETS, PEER for each living peer, LISTENER for each socket (submission), START; the role closes
 * its sandbox and answers READY. Later PEER comes again whenever a peer was started anew. DRAIN asks for the end: no new work,
 * finish what is in hand (bounded by the parent, who kills in the end), FINISHED, exit 0. If the parent goes, every role ends at
 * once, finishing nothing; if a role goes, the parent starts it again with backoff.
 * A delivery process whose login was refused says SECRETS: the parent reads the files anew and answers with SECRETS of its own. */
#ifndef POSTERN_CHANNELS_PARENT_ROLE_H
#define POSTERN_CHANNELS_PARENT_ROLE_H

#include "roles.h"

#define PARENT_ROLE_TEXT 60000

/* fd: the configuration as conf_write gives it, in a sealed memory file. Before START the first, later a reload. */
struct parent_settings {
    uint64_t size_bytes;
    bool debug;     /* posternd -d */
    bool keep_user; /* posternd -u, or not root */
    uint8_t reload; /* 1: the role runs already */
};

/* fd: a bundle. */
struct parent_secrets {
    uint8_t reload;
};

/* fd: this role's end of the channel. */
struct parent_peer {
    uint32_t kind; /* enum role_kind */
    uint32_t slot;
};

/* fd: a listening socket. */
struct parent_listener {
    uint32_t listener; /* index into conf's listeners */
    uint32_t address;  /* index into that listener's addresses */
};

struct parent_start {
    uint32_t slot;
    uint32_t processes; /* how many of this role there are in this generation */
};

struct parent_empty {
    uint8_t unused;
};

/* control → parent: `postern reload`, `postern stop`. */
struct parent_command {
    uint32_t verb; /* enum parent_verb */
    uint64_t ticket;
};
enum parent_verb { PARENT_RELOAD, PARENT_STOP };

/* parent → control: the answer; text has the complaints of a configuration that was refused, one a line. */
struct parent_answer {
    uint64_t ticket;
    uint8_t done;
    char text[PARENT_ROLE_TEXT]; /* sent in part */
};

#define PARENT_ROLE_MESSAGES(X)                                                                                                  \
    X(PARENT_SETTINGS, IPC_FRONT, struct parent_settings, IPC_WHOLE(struct parent_settings), true)                               \
    X(PARENT_SECRETS, IPC_FRONT, struct parent_secrets, IPC_WHOLE(struct parent_secrets), true)                                  \
    X(PARENT_PEER, IPC_FRONT, struct parent_peer, IPC_WHOLE(struct parent_peer), true)                                           \
    X(PARENT_LISTENER, IPC_FRONT, struct parent_listener, IPC_WHOLE(struct parent_listener), true)                               \
    X(PARENT_START, IPC_FRONT, struct parent_start, IPC_WHOLE(struct parent_start), false)                                       \
    X(PARENT_DRAIN, IPC_FRONT, struct parent_empty, IPC_WHOLE(struct parent_empty), false)                                       \
    X(PARENT_PING, IPC_FRONT, struct parent_empty, IPC_WHOLE(struct parent_empty), false)                                        \
    X(PARENT_ANSWER, IPC_FRONT, struct parent_answer, IPC_PART(struct parent_answer, text), false)                               \
    X(ROLE_READY, IPC_BACK, struct parent_empty, IPC_WHOLE(struct parent_empty), false)                                          \
    X(ROLE_PONG, IPC_BACK, struct parent_empty, IPC_WHOLE(struct parent_empty), false)                                           \
    X(ROLE_FINISHED, IPC_BACK, struct parent_empty, IPC_WHOLE(struct parent_empty), false)                                       \
    X(ROLE_SECRETS, IPC_BACK, struct parent_empty, IPC_WHOLE(struct parent_empty), false)                                        \
    X(ROLE_COMMAND, IPC_BACK, struct parent_command, IPC_WHOLE(struct parent_command), false)

enum parent_role_message { IPC_ENUM(PARENT_ROLE_MESSAGES) PARENT_ROLE_COUNT };
extern const struct ipc_channel parent_role_channel;

#endif

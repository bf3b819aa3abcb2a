/* One running process of a role, as the parent sees it: start, connect, watch, start again, end. */
#ifndef POSTERN_PARENT_PROCESS_H
#define POSTERN_PARENT_PROCESS_H

#include "parent.h"

struct process {
    struct list node;
    struct parent *parent;
    enum role_kind kind;
    unsigned slot;
    unsigned generation; /* for submission, auth, delivery: of which reload; else 0 */
    unsigned processes;  /* how many of its role there are */
    pid_t pid;           /* 0 while it waits to be started again */
    struct ipc *channel;
    bool ready;
    bool draining;
    int64_t started_ms;
    int64_t pong_ms;
    int64_t patience_until_ms; /* while draining (monotonic) */
    unsigned failures;         /* in a row, each soon after its start */
    struct timer timer;        /* of the next start, or of the end of patience while draining */
};

/* Starts COUNT processes of KIND in GENERATION. */
void process_start_all(struct parent *parent, enum role_kind kind, unsigned count, unsigned generation);

/* Takes note of every child that has ended; those that should be there are started again. */
void process_reap(struct parent *parent);

/* Asks a process to finish and end; after PATIENCE_MS it is killed. Asked again it ends at the earlier of the two times: a stop does not
 * wait as long as a reload does. */
void process_drain(struct process *process, int64_t patience_ms);

/* Sends current settings and secrets once more, after a reload. */
void process_resettle(struct process *process);

/* Is there a process that is not READY yet? */
bool process_any_unready(const struct parent *parent);

/* Is there still a process of KIND and GENERATION (~0u: of any)? */
bool process_any(const struct parent *parent, enum role_kind kind, unsigned generation);

/* Asks each for a sign of life; kills what has given none for a minute. */
void process_ping_all(struct parent *parent);

/* Kills all that is left and frees the list. */
void process_kill_all(struct parent *parent);

#endif

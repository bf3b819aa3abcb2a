/* The state of the policy role: its rooms, each behind its own header. Nothing here is seen outside this folder.
 *
 * The words: a *question* is submission's, a *decision* what comes of it (decide.h), a *signal* something that happened (judge.h), a
 * *strike* what a limit gives an account for signals, its *standing* what has come of them. */
#ifndef POSTERN_POLICY_POLICY_H
#define POSTERN_POLICY_POLICY_H

#include "../relay/channels/queue_policy.h"
#include "../relay/role/role.h"
#include "flight.h"
#include "judge.h"
#include "machines.h"
#include "report.h"
#include "store_local.h"

#define LETTERS_MAX 100

struct policy {
    struct role *role;
    struct decide *decide;
    struct store_local *store; /* NULL where the folder cannot be used */
    struct sharing *sharing;   /* NULL where limits are this machine's alone */
    struct flights flights;
    bool may_connect; /* the sandbox lets it */
    struct judge *judge;
    struct machines machines; /* that share suspensions */
    struct report_desk reports;
    struct kept_letter *letters[LETTERS_MAX]; /* tidings.c: not stored by the queue yet */
    size_t nletters;
    bool letters_late;    /* there was no room for some */
    uint64_t last_ticket; /* begins with the time, so that no earlier process's come again */
    bool opened;          /* what earlier processes left is known */
    struct timer sweep;
    struct list peers;
    struct sandbox_path path;
};

/* A process of another role. */
struct peer {
    struct list node;
    struct policy *policy;
    struct ipc *ipc;
    enum role_kind kind;
    unsigned slot;
};

#endif

/* What every role has in common: the twin of relay/parent. It takes over settings, secrets, peers and listeners from the parent,
 * closes the sandbox, answers pings, and ends when told to or when the parent has gone. A role brings a table of what it does at
 * each of these moments and nothing else:
 *
 *     static const struct role_steps steps = { .start = start, .peer = peer, … };
 *     int dns_main(int fd) { struct role role = { .kind = ROLE_DNS }; return role_run(&role, fd, &steps); }
 */
#ifndef POSTERN_ROLE_ROLE_H
#define POSTERN_ROLE_ROLE_H

#include "../base/bundle.h"
#include "../base/loop.h"
#include "../base/sandbox.h"
#include "../channels/admin.h"
#include "../channels/dns.h"
#include "../channels/parent_role.h"
#include "../conf/conf.h"

struct role {
    enum role_kind kind;
    unsigned slot;      /* this process among those of its role */
    unsigned processes; /* how many of its role there are */
    struct loop *loop;
    const struct conf *conf;      /* current settings; a reload replaces it (the old one lives until the next reload) */
    const struct bundle *secrets; /* what the parent read for this role */
    bool draining;
    void *state; /* the role's own */
    struct role_runtime *runtime;
};

/* Each may be NULL. */
struct role_steps {
    /* Settings and secrets are there, the sandbox is not: open what needs paths or rights, start threads. False (with a log line)
     * ends the process; the parent tries again later. */
    bool (*start)(struct role *role);
    /* Fills in what stays allowed (user is set by the caller). Called after `start`. */
    void (*sandbox)(struct role *role, struct sandbox *sandbox);
    /* The sandbox is closed: begin work. Peers and listeners that came before are told right after. */
    void (*open)(struct role *role);
    /* A channel to a peer: FD is the role's end, over to it (ipc_new with the link's channel and this role's side). One that the
     * role had for the same KIND and SLOT is replaced. That a peer has gone is told by its channel's `closed`. */
    void (*peer)(struct role *role, enum role_kind kind, unsigned slot, int fd);
    /* A listening socket for ADDRESS of LISTENER (indices into the settings). The role's from here on. */
    void (*listener)(struct role *role, unsigned listener, unsigned address, int fd);
    /* role->conf and role->secrets have been replaced (dns, policy, queue, control: those that outlive a reload), or role->secrets alone
     * after role_refresh_secrets. */
    void (*settings)(struct role *role);
    /* No new work; finish what is in hand, then call role_finished. Without this step the role ends at once. */
    void (*drain)(struct role *role);
    /* The parent's answer to role_command (control only). */
    void (*answer)(struct role *role, uint64_t ticket, bool done, const char *text);
    /* Before the process ends, after role_finished: free everything (leak checkers look). */
    void (*stop)(struct role *role);
    /* Log lines are gathered until the loop would rest (log_gather): where there are many of which nobody outside hears at once. */
    bool gathers_log;
};

/* The user that a role drops to when posternd is started as root: "postern", "postern-queue", "postern-auth"; NULL for the parent. */
const char *role_user(enum role_kind kind);

/* Runs the role over the parent's channel at descriptor FD until it has finished. Returns the exit status. */
int role_run(struct role *role, int fd, const struct role_steps *steps);

/* All is done after `drain`: the process ends. */
void role_finished(struct role *role);

/* Asks the parent (control only); role_steps.answer follows. False where it cannot be asked. */
bool role_command(struct role *role, enum parent_verb verb, uint64_t ticket);

/* Asks the parent to read this role's secrets anew (delivery only); role->secrets is replaced and role_steps.settings follows, whether they
 * have changed or not. */
void role_refresh_secrets(struct role *role);

/* Peers of one kind, by slot: a small table that most roles need. Zero is an empty one. */
struct role_peers {
    struct ipc *by_slot[ROLE_SLOTS];
    unsigned slots[ROLE_SLOTS]; /* the slots in use, in order of arrival */
    unsigned count;
};

/* Enters CHANNEL for SLOT, freeing one that was there. */
void role_peers_set(struct role_peers *peers, unsigned slot, struct ipc *channel);

/* Takes SLOT out and frees its channel. */
void role_peers_drop(struct role_peers *peers, unsigned slot);

/* One of them by HASH (spread evenly, stable while none comes or goes), or NULL where there is none. */
struct ipc *role_peers_pick(const struct role_peers *peers, uint64_t hash);

#endif

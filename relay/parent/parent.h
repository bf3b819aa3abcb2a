/* The parent: what it keeps. It never sees a byte of the network; it starts the other processes, connects them, hands them what they
 * may not open themselves, and ends them. Only the files of this folder include this header. */
#ifndef POSTERN_PARENT_PARENT_H
#define POSTERN_PARENT_PARENT_H

#include "../base/bundle.h"
#include "../base/list.h"
#include "../base/loop.h"
#include "../channels/parent_role.h"
#include "../conf/conf.h"
#include "ports.h"

#include <sys/types.h>

/* How the daemon was called. */
struct parent_options {
    const char *file; /* -f */
    bool check;       /* -n */
    bool debug;       /* -d */
    bool keep_user;   /* -u, or not root */
};

/* Settings and secrets of one generation, ready to be handed out. */
struct parent_settings_files {
    struct conf *conf;
    struct bundle *secrets[ROLE_KINDS]; /* NULL: nothing for that role */
};

struct parent {
    struct loop *loop;
    struct parent_options options;
    struct parent_settings_files now;
    struct ports ports;
    struct list processes; /* struct process, see process.h */
    unsigned generation;   /* counts reloads */
    bool stopping;
    bool announced;        /* systemd was told that we are ready */
    int status;            /* exit status */
    int64_t passwords_ms;  /* when those of routes were read again last (monotonic) */
    unsigned early_deaths; /* of roles that were never ready, before everything was up once */
    struct timer deadline; /* of stopping */
    struct timer heartbeat;
    uint64_t asked;          /* the control role's ticket of a reload whose processes are not READY yet; 0: none */
    struct timer asked_late; /* how long it waits for them */
    char ticket_key[80];     /* for TLS session tickets, the same in all submission processes */
};

/* Runs the daemon as OPTIONS say, until SIGTERM. Returns the exit status. */
int parent_main(const struct parent_options *options);

/* Stops in order: submission and delivery first, then the rest; then the loop ends. */
void parent_stop(struct parent *parent);

/* A command of the control role; answered over CHANNEL. */
void parent_command(struct parent *parent, struct ipc *channel, const struct parent_command *command);

/* Called whenever a process became ready or ended: what waits for that goes on. */
void parent_progress(struct parent *parent);

#endif

/* Connecting over TCP to the next address of a way. Where a host has IPv6 and IPv4, one family gets a head start and then both are tried
 * side by side, so that a path which swallows everything costs a quarter of a second and no timeout (RFC 8305, adapted: two at a time
 * and one host, since each of them is a connection that a mail server counts). */
#ifndef POSTERN_DELIVERY_RACE_H
#define POSTERN_DELIVERY_RACE_H

#include "../base/loop.h"
#include "connect.h"

#define RACE_HEAD_START_MS 250 /* RFC 8305 5: Connection Attempt Delay */
#define RACE_LANES         2   /* a family each */

/* Each but `greets` and `failed` comes last in its call and may free the race. */
struct race_events {
    /* Does the server of TARGET speak first? */
    bool (*greets)(void *context, const struct connect_target *target);
    /* A connection to TARGET is made; WATCH waits at its socket, and both are the callee's. */
    void (*won)(void *context, struct watch *watch, const struct connect_target *target);
    /* TARGET could not be connected to; ERROR is an errno, ETIMEDOUT also where the time was up. AT_ONCE: the kernel said so without
     * having tried. To be noted with connect_failed. */
    void (*failed)(void *context, const struct connect_target *target, int error, bool at_once);
    /* The DNS was asked: call race_go after connect_answer. */
    void (*waits)(void *context);
    /* No address is left. */
    void (*over)(void *context);
};

struct race_lane {
    struct race *race;
    struct connect_target target;
    struct watch watch; /* its fd is -1: the lane is free */
    struct timer limit;
};

struct race {
    struct loop *loop;
    struct connect *way;
    const struct race_events *events;
    void *context;
    int64_t timeout_ms;      /* of one address */
    struct timer head_start; /* of the first lane */
    struct race_lane lanes[RACE_LANES];
};

/* A race over WAY in place, in which nothing runs; all pointers are borrowed. It must not move. */
void race_init(struct race *race, struct loop *loop, struct connect *way, const struct race_events *events, void *context,
               int64_t timeout_ms);

/* Ends what runs; fine on an all-zero one. */
void race_fini(struct race *race);

/* Tries the next address; an event follows, perhaps from within this call. Nothing must be running. */
void race_go(struct race *race);

/* Tries TARGET, which was had before, once more; an event follows. Nothing must be running. False, and told by `failed`, where the kernel
 * refuses at once. */
bool race_again(struct race *race, const struct connect_target *target);

/* Is an address being tried? */
bool race_is_on(const struct race *race);

#endif

/* Whose turn it is to be fetched: bounded at a time, and to one server, and servers take turns, so that those that keep a fetch waiting,
 * however many domains they have, leave places for others. */
#ifndef POSTERN_STS_TURNS_H
#define POSTERN_STS_TURNS_H

#include "../base/list.h"
#include "../base/netaddr.h"

#define TURNS_MAX                                                                                                                \
    100 /* at a time: more than the silent servers that one sender's mail can make wait in a connection's patience */
#define TURNS_PER_SERVER_MAX 4 /* of them, to one address */

struct turns;
struct server;

/* One that waits or has its turn, inside the caller's struct. All zero is one that does neither. */
struct turn {
    struct list node;      /* in its server's line while it waits */
    struct server *server; /* NULL: it is not wanted */
    bool has_come;
    void (*come)(void *context);
    void *context;
};

/* Nobody waits. */
struct turns *turns_new(void);

/* Frees *TURNS and nulls it; whoever waits must have left. NULL is fine. */
void turns_free(struct turns **turns);

/* Calls COME(CONTEXT) when it is TURN's turn with the server at ADDRESS, maybe from within this call. */
void turns_join(struct turns *turns, struct turn *turn, const struct netaddr *address, void (*come)(void *context),
                void *context);

/* TURN is at its end, or no more wanted; fine where it is in none. Others may have theirs from within this call, unless it is made from
 * within `come`. */
void turns_leave(struct turns *turns, struct turn *turn);

/* How many wait. */
size_t turns_waiting(const struct turns *turns);

#endif

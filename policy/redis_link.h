/* One connection to a Redis server that is made again whenever it goes: connecting, logging in, bounds, waiting longer and longer
 * between attempts. What is said over it is its owner's matter. */
#ifndef POSTERN_POLICY_REDIS_LINK_H
#define POSTERN_POLICY_REDIS_LINK_H

#include "../relay/base/loop.h"
#include "redis_reply.h"

#define REDIS_LINK_WAIT_MAX_MS 1000              /* between attempts */
#define REDIS_LINK_OUTPUT_MAX  ((size_t)4 << 20) /* of commands that the server does not read */
#define REDIS_LINK_WHERE_SIZE  128
#define REDIS_LINK_WHY_SIZE    200

struct redis_link;

struct redis_link_settings {
    const char *where;    /* "127.0.0.1:6379", "[::1]:6379" or the path of a socket, with a slash first */
    const char *password; /* "" for none */
    int64_t connect_ms;   /* for connecting and logging in together */
};

/* All come from the loop, or from redis_link_drop; none may free its link. */
struct redis_link_events {
    void (*opened)(void *context);                            /* connected and logged in: commands may be sent */
    void (*answered)(void *context, const redisReply *reply); /* borrowed for the call; in the order of the commands */
    void (*lost)(void *context, const char *why);             /* closed, or not come to be; it is tried again */
};

/* Begins to connect. SETTINGS are copied, EVENTS (static) told to CONTEXT. */
struct redis_link *redis_link_new(struct loop *loop, const struct redis_link_settings *settings,
                                  const struct redis_link_events *events, void *context);

/* Closes, wipes the password, frees *LINK and nulls it; no event comes. NULL is fine. */
void redis_link_free(struct redis_link **link);

/* Sends COMMAND, written by redis_script_arguments or redis_script_command. False, with `lost` called where it was open, if the
 * server does not take it. */
bool redis_link_send(struct redis_link *link, struct span command);

/* Closes the connection for the reason WHY, calls `lost`, and tries again. Nothing happens where it is closed. */
void redis_link_drop(struct redis_link *link, const char *why);

/* The server does what it should: after the next loss it is tried again at once. */
void redis_link_proved(struct redis_link *link);

/* Is it open? */
bool redis_link_is_open(const struct redis_link *link);

#endif

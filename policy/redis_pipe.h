/* Commands to Redis and their answers: each command has its own deadline and callback. Answers come in the order of the commands; one
 * that does not come in time ends the connection, so that no answer can be taken for another's, and what comes too late is not heard. */
#ifndef POSTERN_POLICY_REDIS_PIPE_H
#define POSTERN_POLICY_REDIS_PIPE_H

#include "redis_link.h"

#define REDIS_PIPE_MAX 4096 /* commands under way; no more are taken */

struct redis_pipe;

/* From the loop, or from a call that finds the connection of no use. None may free its pipe. */
struct redis_pipe_events {
    void (*opened)(void *context);
    void (*lost)(void *context, const char *why); /* before the commands under way are told */
};

/* The answer to a command: borrowed for the call; NULL where none will come. Then it is unknown whether Redis did it. */
typedef void (*redis_answered)(void *context, const redisReply *reply);

/* Begins to connect, as redis_link_new does. */
struct redis_pipe *redis_pipe_new(struct loop *loop, const struct redis_link_settings *settings,
                                  const struct redis_pipe_events *events, void *context);

/* Frees *PIPE and nulls it. Commands under way are told that no answer will come. NULL is fine. */
void redis_pipe_free(struct redis_pipe **pipe);

/* Sends COMMAND; ANSWERED is called once with CONTEXT, within WITHIN_MS, never from this call. False where the connection is closed, or
 * as many as REDIS_PIPE_MAX are under way: nothing was sent then, and nothing will be called. */
bool redis_pipe_send(struct redis_pipe *pipe, struct span command, int64_t within_ms, redis_answered answered, void *context);

/* As redis_link_drop and redis_link_proved. */
void redis_pipe_drop(struct redis_pipe *pipe, const char *why);
void redis_pipe_proved(struct redis_pipe *pipe);

/* Is the connection open? */
bool redis_pipe_is_open(const struct redis_pipe *pipe);

/* Are REDIS_PIPE_MAX commands under way? */
bool redis_pipe_is_full(const struct redis_pipe *pipe);

#endif

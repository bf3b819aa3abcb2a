/* Commands under way stand in a ring. The timer is set for one deadline at a time and looks at all of them when it comes; so a command
 * costs no timer of its own. Where it finds one overdue it lets the loop go round once more before it gives up: when it was this process
 * that had no processor, the answer is there already. */
#include "redis_pipe.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"

#include <stdlib.h>

struct command {
    redis_answered answered;
    void *context;
    int64_t until_ms;
};

struct redis_pipe {
    struct redis_link *link;
    const struct redis_pipe_events *events;
    void *context;
    struct timer timer;
    int64_t timer_ms; /* what the timer is set for; INT64_MAX: nothing */
    bool once_more;
    size_t first, count;
    struct command ring[REDIS_PIPE_MAX];
};

static struct command take(struct redis_pipe *pipe)
{
    struct command command = pipe->ring[pipe->first];
    pipe->first = (pipe->first + 1) % REDIS_PIPE_MAX;
    pipe->count--;
    return command;
}

static void opened(void *context)
{
    struct redis_pipe *pipe = context;
    pipe->events->opened(pipe->context);
}

static void answered(void *context, const redisReply *reply)
{
    struct redis_pipe *pipe = context;
    if (!pipe->count) {
        redis_link_drop(pipe->link, "it answers what was not asked");
        return;
    }
    struct command command = take(pipe);
    command.answered(command.context, reply);
}

/* Callbacks may send again only once the connection is back, which is not before the loop's next round. */
static void tell_lost(struct redis_pipe *pipe)
{
    pipe->timer_ms = INT64_MAX;
    pipe->once_more = false;
    timer_stop(&pipe->timer);
    while (pipe->count) {
        struct command command = take(pipe);
        command.answered(command.context, NULL);
    }
}

static void lost(void *context, const char *why)
{
    struct redis_pipe *pipe = context;
    pipe->events->lost(pipe->context, why);
    tell_lost(pipe);
}

static void set_timer(struct redis_pipe *pipe, int64_t until_ms, int64_t now_ms)
{
    if (until_ms >= pipe->timer_ms)
        return;
    pipe->timer_ms = until_ms;
    timer_again(&pipe->timer, until_ms > now_ms ? until_ms - now_ms : 0);
}

static void overdue(void *context)
{
    struct redis_pipe *pipe = context;
    int64_t now_ms = clock_monotonic_ms(), earliest_ms = INT64_MAX;
    for (size_t i = 0; i < pipe->count; i++) {
        const struct command *command = &pipe->ring[(pipe->first + i) % REDIS_PIPE_MAX];
        earliest_ms = command->until_ms < earliest_ms ? command->until_ms : earliest_ms;
    }
    pipe->timer_ms = INT64_MAX;
    if (earliest_ms <= now_ms && pipe->once_more) {
        pipe->once_more = false;
        redis_link_drop(pipe->link, "it does not answer in time");
        return;
    }
    pipe->once_more = earliest_ms <= now_ms;
    set_timer(pipe, earliest_ms, now_ms);
}

struct redis_pipe *redis_pipe_new(struct loop *loop, const struct redis_link_settings *settings,
                                  const struct redis_pipe_events *events, void *context)
{
    static const struct redis_link_events link_events = { opened, answered, lost };
    struct redis_pipe *pipe = text_zalloc(sizeof *pipe);
    pipe->events = events;
    pipe->context = context;
    pipe->timer_ms = INT64_MAX;
    timer_set(&pipe->timer, loop, 0, overdue, pipe);
    timer_stop(&pipe->timer);
    pipe->link = redis_link_new(loop, settings, &link_events, pipe);
    return pipe;
}

void redis_pipe_free(struct redis_pipe **pipe)
{
    if (!*pipe)
        return;
    redis_link_free(&(*pipe)->link);
    tell_lost(*pipe);
    timer_fini(&(*pipe)->timer);
    free(*pipe);
    *pipe = NULL;
}

bool redis_pipe_send(struct redis_pipe *pipe, struct span command, int64_t within_ms, redis_answered then, void *context)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!pipe->link || pipe->count == REDIS_PIPE_MAX || !redis_link_send(pipe->link, command))
        return false;
    pipe->ring[(pipe->first + pipe->count++) % REDIS_PIPE_MAX] = (struct command){ then, context, now_ms + within_ms };
    set_timer(pipe, now_ms + within_ms, now_ms);
    return true;
}

void redis_pipe_drop(struct redis_pipe *pipe, const char *why)
{
    redis_link_drop(pipe->link, why);
}

void redis_pipe_proved(struct redis_pipe *pipe)
{
    redis_link_proved(pipe->link);
}

bool redis_pipe_is_open(const struct redis_pipe *pipe)
{
    return redis_link_is_open(pipe->link);
}

bool redis_pipe_is_full(const struct redis_pipe *pipe)
{
    return pipe->count == REDIS_PIPE_MAX;
}

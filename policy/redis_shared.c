/* What is heard on the channel is only which account changed; what it has now is asked over the pipe. All answers thus come in the order
 * in which Redis did things, and the last one told of an account is true. Reading everything goes by HSCAN over the same pipe, begun when
 * the pipe opens and when the hearing connection does, so that no change falls between.
 *
 * A command that Redis refuses (a user of it that may not do everything, say) does not cost the decisions their connection: all is told and
 * read anew each second until it is not refused, and the log has it.
 *
 * A connection over which nothing is heard for long may be dead without knowing: it is asked for a sign of life each second. */
#include "redis_shared.h"

#include "../relay/base/list.h"
#include "../relay/base/log.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"
#include "redis_script.h"

#include <stdlib.h>

#define NAME        "postern:suspended"
#define MESSAGES    "postern:pairs"
#define WITHIN_MS   2000
#define ALIVE_MS    1000
#define SILENT_MAX  3 /* times ALIVE_MS without a word before the log has it */
#define COMMAND_MAX (REDIS_SHARED_TEXT_MAX + 4096)

struct waiting {
    struct list node;
    bool set;
    size_t size;
    char account[REDIS_SHARED_ACCOUNT_MAX + 1];
    char json[];
};

struct redis_shared {
    struct redis_pipe *pipe;
    struct redis_link *hearing;
    const struct redis_shared_events *events;
    void *context;
    struct timer alive;
    bool pinged;     /* and nothing was heard since */
    bool subscribed; /* Redis has said so */
    bool refused;    /* something was, since the last sign of life was asked for */
    unsigned silent; /* so many times in turn one of these was so, though Redis is there */
    char why[REDIS_LINK_WHY_SIZE];
    bool stale;       /* something could not be asked: all is to be read anew */
    unsigned reading; /* counts the readings of everything; an answer to an older one is not told */
    struct map *by_account;
    struct list waiting;
};

/* A question under way. */
struct asked {
    struct redis_shared *shared;
    unsigned reading; /* of an HSCAN */
    char account[REDIS_SHARED_ACCOUNT_MAX + 1];
};

static bool send(struct redis_shared *shared, const struct span *argv, size_t argc, redis_answered answered, void *context)
{
    struct buffer out;
    buffer_init(&out, COMMAND_MAX);
    bool sent = redis_script_arguments(argv, argc, &out) &&
                redis_pipe_send(shared->pipe, buffer_span(&out), WITHIN_MS, answered, context);
    buffer_fini(&out);
    return sent;
}

static void scan(struct redis_shared *shared, unsigned reading, struct span cursor);

static void refuse(struct redis_shared *shared, const char *why)
{
    shared->refused = shared->stale = true;
    text_copy(shared->why, sizeof shared->why, span_of(why));
}

/* Two elements of an HSCAN's answer: the next cursor, and fields with their values in turn. */
static void tell_fields(struct redis_shared *shared, const redisReply *fields)
{
    for (size_t i = 0; i + 1 < (size_t)fields->elements; i += 2) {
        struct span account = redis_reply_text(fields->element[i]), json = redis_reply_text(fields->element[i + 1]);
        if (account.p && account.n <= REDIS_SHARED_ACCOUNT_MAX && json.p && json.n <= REDIS_SHARED_TEXT_MAX)
            shared->events->changed(shared->context, account, json);
    }
}

static void scanned(void *context, const redisReply *reply)
{
    struct asked *asked = context;
    struct redis_shared *shared = asked->shared;
    bool whole = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                 reply->element[1]->type == REDIS_REPLY_ARRAY && redis_reply_text(reply->element[0]).p;
    if (whole && asked->reading == shared->reading) {
        struct span cursor = redis_reply_text(reply->element[0]);
        tell_fields(shared, reply->element[1]);
        if (span_equal(cursor, SPAN("0")))
            shared->events->complete(shared->context);
        else
            scan(shared, asked->reading, cursor);
    } else if (!whole && reply) {
        char why[REDIS_LINK_WHY_SIZE];
        refuse(shared, redis_reply_error(reply, why, sizeof why) ? why : "it does not tell who is suspended");
    }
    free(asked);
}

static void scan(struct redis_shared *shared, unsigned reading, struct span cursor)
{
    const struct span argv[] = { SPAN("HSCAN"), SPAN(NAME), cursor, SPAN("COUNT"), SPAN("100") };
    struct asked *asked = text_zalloc(sizeof *asked);
    asked->shared = shared;
    asked->reading = reading;
    if (send(shared, argv, 5, scanned, asked))
        return;
    free(asked);
    shared->stale = true;
}

static void forget(struct redis_shared *shared, struct waiting *waiting)
{
    map_remove(shared->by_account, span_of(waiting->account));
    list_remove(&waiting->node);
    free(waiting);
}

/* A change that is refused is kept by its own machine, which tells it again when all was read. SHARED may be gone where no answer comes. */
static void done(void *context, const redisReply *reply)
{
    struct redis_shared *shared = context;
    char why[REDIS_LINK_WHY_SIZE];
    if (redis_reply_error(reply, why, sizeof why))
        refuse(shared, why);
}

static bool tell(struct redis_shared *shared, struct span account, struct span json)
{
    const struct span change[] = { json.p ? SPAN("HSET") : SPAN("HDEL"), SPAN(NAME), account, json };
    const struct span publish[] = { SPAN("PUBLISH"), SPAN(NAME), account };
    return send(shared, change, json.p ? 4 : 3, done, shared) && send(shared, publish, 3, done, shared);
}

static bool tell_waiting(struct redis_shared *shared)
{
    LIST_EACH(node, &shared->waiting) {
        struct waiting *waiting = LIST_ENTRY(node, struct waiting, node);
        struct span json = waiting->set ? span_make(waiting->json, waiting->size) : span_make(NULL, 0);
        if (!tell(shared, span_of(waiting->account), json))
            return false;
        forget(shared, waiting);
    }
    return true;
}

/* Tells what waits and reads everything. */
static void catch_up(struct redis_shared *shared)
{
    shared->reading++;
    shared->stale = redis_pipe_is_open(shared->pipe) && !tell_waiting(shared);
    if (shared->stale || !redis_pipe_is_open(shared->pipe))
        return;
    shared->events->begins(shared->context);
    scan(shared, shared->reading, SPAN("0"));
}

static void looked_up(void *context, const redisReply *reply)
{
    struct asked *asked = context;
    struct redis_shared *shared = asked->shared;
    struct span json = redis_reply_text(reply);
    if (reply && (reply->type == REDIS_REPLY_NIL || (json.p && json.n <= REDIS_SHARED_TEXT_MAX)))
        shared->events->changed(shared->context, span_of(asked->account), json);
    free(asked);
}

/* The channel says that ACCOUNT changed: what has it now? */
static void look_up(struct redis_shared *shared, struct span account)
{
    const struct span argv[] = { SPAN("HGET"), SPAN(NAME), account };
    struct asked *asked = text_zalloc(sizeof *asked);
    asked->shared = shared;
    bool fits = text_copy(asked->account, sizeof asked->account, account);
    if (fits && send(shared, argv, 3, looked_up, asked))
        return;
    free(asked);
    shared->stale = shared->stale || fits;
}

static void hearing_opened(void *context)
{
    struct redis_shared *shared = context;
    const struct span argv[] = { SPAN("SUBSCRIBE"), SPAN(NAME), SPAN(MESSAGES) };
    struct buffer out;
    buffer_init(&out, 256);
    redis_script_arguments(argv, 3, &out);
    redis_link_send(shared->hearing, buffer_span(&out));
    buffer_fini(&out);
    shared->pinged = false;
}

static void take_message(struct redis_shared *shared, struct span channel, struct span message)
{
    if (!channel.p || !message.p)
        return;
    if (span_equal(channel, SPAN(NAME)))
        look_up(shared, message);
    else if (span_equal(channel, SPAN(MESSAGES)))
        shared->events->heard(shared->context, message);
}

static void heard(void *context, const redisReply *reply)
{
    struct redis_shared *shared = context;
    bool is_array = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2;
    struct span kind = redis_reply_text(is_array ? reply->element[0] : NULL);
    char why[REDIS_LINK_WHY_SIZE];
    shared->pinged = false;
    if (redis_reply_error(reply, why, sizeof why)) {
        redis_link_drop(shared->hearing, why);
    } else if (kind.p && span_equal(kind, SPAN("subscribe")) && !shared->subscribed) {
        shared->subscribed = true;
        redis_link_proved(shared->hearing);
        catch_up(shared);
    } else if (kind.p && span_equal(kind, SPAN("message")) && reply->elements == 3) {
        take_message(shared, redis_reply_text(reply->element[1]), redis_reply_text(reply->element[2]));
    }
}

static void hearing_lost(void *context, const char *why)
{
    struct redis_shared *shared = context;
    shared->subscribed = false;
    text_copy(shared->why, sizeof shared->why, span_of(why));
}

/* While all of Redis is away, its store says so; here only that nothing is heard, or told, though Redis is there. */
static void complain(struct redis_shared *shared)
{
    bool lacks = (!shared->subscribed || shared->refused) && redis_pipe_is_open(shared->pipe);
    shared->silent = lacks ? shared->silent + 1 : 0;
    shared->refused = false;
    if (shared->silent == SILENT_MAX)
        log_say(LOG_ERROR, "error", "Redis does not pass on who is suspended: %s; it is tried again", shared->why);
}

static void check_alive(void *context)
{
    struct redis_shared *shared = context;
    const struct span argv[] = { SPAN("PING") };
    struct buffer out;
    timer_again(&shared->alive, ALIVE_MS);
    complain(shared);
    if (shared->stale)
        catch_up(shared);
    if (!redis_link_is_open(shared->hearing))
        return;
    if (shared->pinged) {
        redis_link_drop(shared->hearing, "it does not answer in time");
        return;
    }
    shared->pinged = true;
    buffer_init(&out, 256);
    redis_script_arguments(argv, 1, &out);
    redis_link_send(shared->hearing, buffer_span(&out));
    buffer_fini(&out);
}

struct redis_shared *redis_shared_new(struct loop *loop, const struct redis_link_settings *settings, struct redis_pipe *pipe,
                                      const struct redis_shared_events *events, void *context)
{
    static const struct redis_link_events link_events = { hearing_opened, heard, hearing_lost };
    struct redis_shared *shared = text_zalloc(sizeof *shared);
    shared->pipe = pipe;
    shared->events = events;
    shared->context = context;
    shared->by_account = map_new(REDIS_SHARED_WAITING_MAX);
    list_init(&shared->waiting);
    timer_set(&shared->alive, loop, ALIVE_MS, check_alive, shared);
    shared->hearing = redis_link_new(loop, settings, &link_events, shared);
    return shared;
}

void redis_shared_free(struct redis_shared **shared)
{
    if (!*shared)
        return;
    redis_link_free(&(*shared)->hearing);
    timer_fini(&(*shared)->alive);
    LIST_EACH(node, &(*shared)->waiting)
        forget(*shared, LIST_ENTRY(node, struct waiting, node));
    map_free(&(*shared)->by_account, NULL);
    free(*shared);
    *shared = NULL;
}

void redis_shared_opened(struct redis_shared *shared)
{
    catch_up(shared);
}

/* Keeps a change until Redis is back, in place of an earlier one for the same account. */
static bool wait(struct redis_shared *shared, struct span account, struct span json)
{
    struct waiting *before = map_get(shared->by_account, account);
    bool full = false;
    if (before)
        forget(shared, before);
    struct waiting *waiting = text_zalloc(sizeof *waiting + json.n);
    waiting->set = json.p != NULL;
    waiting->size = json.n;
    text_copy(waiting->account, sizeof waiting->account, account);
    if (json.n)
        memcpy(waiting->json, json.p, json.n);
    map_put(shared->by_account, account, waiting, &full);
    if (full) {
        free(waiting);
        return false;
    }
    list_append(&shared->waiting, &waiting->node);
    return true;
}

bool redis_shared_publish(struct redis_shared *shared, struct span account, struct span json)
{
    if (!account.n || account.n > REDIS_SHARED_ACCOUNT_MAX || memchr(account.p, '\0', account.n) ||
        json.n > REDIS_SHARED_TEXT_MAX)
        return false;
    if (list_empty(&shared->waiting) && tell(shared, account, json))
        return true;
    shared->stale = true; /* what came before goes first */
    return wait(shared, account, json);
}

void redis_shared_say(struct redis_shared *shared, struct span message)
{
    const struct span publish[] = { SPAN("PUBLISH"), SPAN(MESSAGES), message };
    if (redis_pipe_is_open(shared->pipe))
        send(shared, publish, 3, done, shared);
}

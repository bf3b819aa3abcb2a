/* away → (connected) the script is loaded → it counts something, within the time of a decision → what is owed is added, batch by batch,
 * while decisions still go by this machine → up.
 *
 * Each step is proved by Redis's answer before the next one; so a Redis that can be connected to but not written to (a replica, a full
 * one), or that is too slow, stays away instead of coming and going with each decision. Whatever is not as it should be, an error
 * for an answer or a script that was forgotten, ends the connection: coming back does all that is needed. */
#include "store_redis.h"

#include "../relay/base/clock.h"
#include "../relay/base/list.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "redis_owed.h"

#include <stdlib.h>

#define COMMAND_MAX ((size_t)2 << 20)
#define PROVED_MS   5000 /* up for so long, it is proved */

enum state { STORE_AWAY, STORE_LOADING, STORE_PROBING, STORE_JOINING, STORE_UP };

struct store_redis {
    struct redis_pipe *pipe;
    struct redis_shared *shared;
    struct redis_owed *owed;
    struct timer proof;
    enum state state;
    bool said_away; /* in the log */
    int64_t since_ms;
    char where[REDIS_LINK_WHERE_SIZE];
    char sha[REDIS_SCRIPT_SHA_SIZE];
    int64_t decision_ms, connect_ms;
    uint64_t joined, unjoined; /* since Redis went */
    bool joining;              /* a batch is under way … */
    int64_t join_ms;           /* … since */
    const struct store_redis_events *events;
    void *context;
    struct list asked;
};

/* A question under way. */
struct question {
    struct list node;
    struct store_redis *store;
    store_redis_answered answered; /* NULL once it is settled */
    void *context;
    size_t nclaims, nkeys;
    int64_t asked_ms;
};

static void enter(struct store_redis *store, enum state state)
{
    if ((store->state == STORE_UP) != (state == STORE_UP))
        store->since_ms = clock_wall_ms();
    store->state = state;
}

static void join(struct store_redis *store);

static void come_up(struct store_redis *store)
{
    enter(store, STORE_UP);
    timer_again(&store->proof, PROVED_MS);
    if (store->said_away)
        log_say(
            LOG_WARNING, "notice",
            "Redis at %s is back: limits are shared again; counts of %llu keys were added to it, those of %llu stay here alone",
            store->where, (unsigned long long)store->joined, (unsigned long long)store->unjoined);
    else
        log_say(LOG_INFO, "notice", "limits are shared through Redis at %s", store->where);
    store->said_away = false;
    store->joined = store->unjoined = 0;
    redis_shared_opened(store->shared);
}

static void learned(void *context, struct span name, uint64_t used)
{
    struct store_redis *store = context;
    store->events->learned(store->context, name, used, store->join_ms);
}

static void joined(void *context, const redisReply *reply)
{
    struct store_redis *store = context;
    char why[REDIS_LINK_WHY_SIZE] = "its answer to the script is none";
    size_t count;
    if (!reply)
        return;
    store->joining = false;
    if (!redis_owed_answer(store->owed, reply, learned, store, &count)) {
        redis_reply_error(reply, why, sizeof why);
        redis_pipe_drop(store->pipe, why);
        return;
    }
    store->joined += count;
    if (redis_owed_count(store->owed))
        join(store);
    else if (store->state == STORE_JOINING)
        come_up(store);
}

/* Adds some of what is owed. A batch whose answer does not come is not added twice: perhaps it was. */
static void join(struct store_redis *store)
{
    struct buffer out;
    if (store->joining || redis_pipe_is_full(store->pipe))
        return;
    buffer_init(&out, COMMAND_MAX);
    store->join_ms = clock_monotonic_ms();
    if (redis_owed_take(store->owed, store->sha, store->join_ms, &out))
        store->joining = redis_pipe_send(store->pipe, buffer_span(&out), store->connect_ms, joined, store);
    buffer_fini(&out);
}

/* The answer to a decision that nobody waits for. */
static void probed(void *context, const redisReply *reply)
{
    struct store_redis *store = context;
    char why[REDIS_LINK_WHY_SIZE] = "its answer to the script is none";
    int64_t wait_ms;
    uint64_t used;
    if (!reply)
        return;
    if (!redis_script_answer(reply, &wait_ms, 1, &used, 1)) {
        redis_reply_error(reply, why, sizeof why);
        redis_pipe_drop(store->pipe, why);
        return;
    }
    enter(store, STORE_JOINING);
    if (redis_owed_count(store->owed))
        join(store);
    else
        come_up(store);
}

static void probe(struct store_redis *store)
{
    const struct redis_key key = { .name = SPAN("postern:probe"), .rule = { 1, 1000, 1, 0 } };
    const struct redis_claim claim = { .n = 1 };
    struct buffer out;
    enter(store, STORE_PROBING);
    buffer_init(&out, COMMAND_MAX);
    redis_script_command(&(struct redis_ask){ &key, 1, &claim, 1 }, store->sha, &out);
    redis_pipe_send(store->pipe, buffer_span(&out), store->decision_ms, probed, store);
    buffer_fini(&out);
}

static void loaded(void *context, const redisReply *reply)
{
    struct store_redis *store = context;
    struct span sha = redis_reply_text(reply);
    char why[REDIS_LINK_WHY_SIZE] = "it does not take the script";
    if (!reply)
        return;
    if (sha.n == REDIS_SCRIPT_SHA_SIZE - 1 && text_copy(store->sha, sizeof store->sha, sha)) {
        probe(store);
        return;
    }
    redis_reply_error(reply, why, sizeof why);
    redis_pipe_drop(store->pipe, why);
}

static void opened(void *context)
{
    struct store_redis *store = context;
    const struct span load[] = { SPAN("SCRIPT"), SPAN("LOAD"), redis_script_text() };
    struct buffer out;
    enter(store, STORE_LOADING);
    buffer_init(&out, COMMAND_MAX);
    redis_script_arguments(load, 3, &out);
    redis_pipe_send(store->pipe, buffer_span(&out), store->connect_ms, loaded, store);
    buffer_fini(&out);
}

static void lost(void *context, const char *why)
{
    struct store_redis *store = context;
    enter(store, STORE_AWAY);
    store->joining = false;
    timer_stop(&store->proof);
    if (store->said_away)
        return;
    store->said_away = true;
    store->joined = store->unjoined = 0;
    log_say(LOG_ERROR, "error", "Redis at %s is away: %s; until it is back, limits count on this machine alone", store->where,
            why);
}

static void proved(void *context)
{
    struct store_redis *store = context;
    redis_pipe_proved(store->pipe);
}

struct store_redis *store_redis_new(struct loop *loop, const struct store_redis_settings *settings,
                                    const struct store_redis_events *events, void *context)
{
    static const struct redis_pipe_events pipe_events = { opened, lost };
    const struct redis_link_settings link = { settings->where, settings->password, settings->connect_ms };
    struct store_redis *store = text_zalloc(sizeof *store);
    store->decision_ms = settings->decision_ms;
    store->connect_ms = settings->connect_ms;
    store->since_ms = clock_wall_ms();
    store->events = events;
    store->context = context;
    text_copy(store->where, sizeof store->where, span_of(settings->where));
    store->owed = redis_owed_new(STORE_REDIS_OWED_MAX);
    list_init(&store->asked);
    timer_set(&store->proof, loop, PROVED_MS, proved, store);
    timer_stop(&store->proof);
    store->pipe = redis_pipe_new(loop, &link, &pipe_events, store);
    store->shared = redis_shared_new(loop, &link, store->pipe, &events->suspended, context);
    return store;
}

void store_redis_inherit(struct store_redis *store, struct store_redis *old)
{
    struct redis_owed *nothing = store->owed;
    store->owed = old->owed;
    old->owed = nothing;
}

void store_redis_free(struct store_redis **store)
{
    if (!*store)
        return;
    enter(*store, STORE_AWAY); /* nothing new is asked */
    store_redis_settle(*store);
    redis_shared_free(&(*store)->shared);
    redis_pipe_free(&(*store)->pipe);
    redis_owed_free(&(*store)->owed);
    timer_fini(&(*store)->proof);
    free(*store);
    *store = NULL;
}

static void tell(struct question *question, const struct store_redis_answer *answer)
{
    store_redis_answered answered_then = question->answered;
    question->answered = NULL;
    list_remove(&question->node);
    if (answered_then)
        answered_then(question->context, answer);
}

/* An answer of the right form is told; anything else ends the connection behind it. */
static void answered(void *context, const redisReply *reply)
{
    struct question *question = context;
    struct store_redis *store = question->store;
    int64_t *waits_ms = text_zalloc((question->nclaims + 1) * sizeof *waits_ms);
    uint64_t *used = text_zalloc((question->nkeys + 1) * sizeof *used);
    struct store_redis_answer answer = { STORE_REDIS_UNKNOWN, waits_ms, used, question->asked_ms };
    char why[REDIS_LINK_WHY_SIZE] = "its answer to the script is none";
    if (redis_script_answer(reply, waits_ms, question->nclaims, used, question->nkeys))
        answer.outcome = STORE_REDIS_DECIDED;
    else if (redis_reply_error(reply, why, sizeof why))
        answer.outcome = STORE_REDIS_UNCOUNTED;
    if (reply && answer.outcome != STORE_REDIS_DECIDED)
        redis_pipe_drop(store->pipe, why);
    tell(question, &answer);
    free(question);
    free(waits_ms);
    free(used);
    if (store->state == STORE_UP && redis_owed_count(store->owed))
        join(store); /* what found the pipe full */
}

bool store_redis_ask(struct store_redis *store, const struct redis_ask *ask, store_redis_answered then, void *context)
{
    struct buffer out;
    if (store->state != STORE_UP)
        return false;
    struct question *question = text_zalloc(sizeof *question);
    *question = (struct question){ .store = store, .answered = then, .context = context };
    question->nclaims = ask->nclaims;
    question->nkeys = ask->nkeys;
    question->asked_ms = clock_monotonic_ms();
    buffer_init(&out, COMMAND_MAX);
    bool sent = redis_script_command(ask, store->sha, &out) &&
                redis_pipe_send(store->pipe, buffer_span(&out), store->decision_ms, answered, question);
    buffer_fini(&out);
    if (sent)
        list_append(&store->asked, &question->node);
    else
        free(question);
    return sent;
}

void store_redis_settle(struct store_redis *store)
{
    while (!list_empty(&store->asked)) {
        struct question *question = LIST_ENTRY(store->asked.next, struct question, node);
        const struct store_redis_answer unknown = { .outcome = STORE_REDIS_UNKNOWN, .asked_ms = question->asked_ms };
        tell(question, &unknown);
    }
}

void store_redis_owe(struct store_redis *store, const struct redis_key *key, uint64_t n)
{
    if (!redis_owed_add(store->owed, key, n, clock_monotonic_ms()))
        store->unjoined++;
    else if (store->state == STORE_UP)
        join(store);
}

void store_redis_forget(struct store_redis *store, const struct redis_key *key)
{
    if (redis_owed_clear(store->owed, key) && store->state == STORE_UP)
        join(store);
}

void store_redis_forgotten(struct store_redis *store, struct span name)
{
    redis_owed_begun_anew(store->owed, name);
}

uint64_t store_redis_owed(const struct store_redis *store, struct span name)
{
    return redis_owed_of(store->owed, name);
}

bool store_redis_is_connected(const struct store_redis *store, int64_t *ret_since_ms)
{
    *ret_since_ms = store->since_ms;
    return store->state == STORE_UP;
}

bool store_redis_publish(struct store_redis *store, struct span account, struct span json)
{
    return redis_shared_publish(store->shared, account, json);
}

void store_redis_say(struct store_redis *store, struct span message)
{
    redis_shared_say(store->shared, message);
}

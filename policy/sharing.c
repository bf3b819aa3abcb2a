/* A bucket's name in Redis is postern:KEY:COUNT:LIMIT:VALUE, such as postern:account:recipients:hourly:alice. A limit's name may have
 * colons, which are written as %3a there; so names that differ stay different.
 *
 * A bucket that begins anew does so on all machines: they are told over the channel of the pairs, as a pair "begun anew", of the machine that
 * says so and the bucket's name.
 *
 * Each answer says what is used now, and this machine's bucket is set to it; with what is still owed, since Redis does not have that yet.
 * When Redis goes, counting goes on from there. */
#include "sharing.h"

#include "../relay/base/clock.h"
#include "../relay/base/random.h"
#include "../relay/base/text.h"
#include "store_redis.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define PREFIX_SIZE 1024
#define NAME_SIZE   (PREFIX_SIZE + KEY_SIZE)
#define TELL_MS     20 /* pairs are gathered for so long */
#define OWN_SIZE    17
#define ANEW        SPAN("begun anew")

struct sharing {
    struct loop *loop;
    struct store_redis *store;
    struct limit_set *limits;
    char (*prefixes)[PREFIX_SIZE]; /* of each limit's names */
    const struct redis_shared_events *events;
    void *context;
    char own[OWN_SIZE];     /* what this machine calls itself to the others */
    char *where, *password; /* as the settings had them */
    int64_t decision_ms;
    struct buffer pairs; /* to be told when the timer comes */
    struct timer telling;
};

/* A question under way. */
struct question {
    struct sharing *sharing;
    const struct claims *claims;
    sharing_answered answered;
    void *context;
};

static void set_prefix(const struct conf_limit *conf, char prefix[PREFIX_SIZE])
{
    struct buffer out;
    buffer_init(&out, PREFIX_SIZE - 2);
    buffer_addf(&out, "postern:%s:%s:", key_name(conf->key), limit_count_name(conf->count));
    for (const char *at = conf->name; *at; at++)
        if (*at == ':' || *at == '%')
            buffer_addf(&out, "%%%02x", (unsigned)*at);
        else
            buffer_add_byte(&out, *at);
    text_copy(prefix, PREFIX_SIZE - 1, buffer_span(&out));
    size_t size = strlen(prefix);
    memcpy(prefix + size, ":", 2);
    buffer_fini(&out);
}

static size_t index_of(const struct sharing *sharing, const struct limit *limit)
{
    return (size_t)(limit - limit_at(sharing->limits, 0));
}

static struct span name_of(const struct sharing *sharing, const struct limit *limit, struct span key, char name[NAME_SIZE])
{
    const char *prefix = sharing->prefixes[index_of(sharing, limit)];
    text_format(name, NAME_SIZE, "%s%.*s", prefix, SPAN_ARGS(key));
    return span_of(name);
}

/* What the bucket of LIMIT for KEY is to Redis, as NAME. */
static struct redis_key key_for(const struct sharing *sharing, const struct limit *limit, struct span key, char name[NAME_SIZE],
                                int64_t now_ms)
{
    struct redis_key redis = { .name = name_of(sharing, limit, key, name), .rule = bucket_rule_of(limit->buckets) };
    redis.known = bucket_look(limit->buckets, key, now_ms).used;
    return redis;
}

static void counted(void *context, const struct limit *limit, struct span key, uint64_t n, int64_t now_ms)
{
    struct sharing *sharing = context;
    char name[NAME_SIZE];
    struct redis_key redis = key_for(sharing, limit, key, name, now_ms);
    store_redis_owe(sharing->store, &redis, n);
}

/* LIMIT's bucket for KEY has USED, as Redis said to a question of ASKED_MS. */
static void learn(struct sharing *sharing, const struct limit *limit, struct span key, uint64_t used, int64_t asked_ms,
                  int64_t now_ms)
{
    char name[NAME_SIZE];
    uint64_t owed = store_redis_owed(sharing->store, name_of(sharing, limit, key, name));
    bucket_learn(limit->buckets, key, used + owed, now_ms - asked_ms, now_ms);
}

/* Whose bucket has NAME, and for which key; NULL where none of ours has. */
static struct limit *limit_of(const struct sharing *sharing, struct span name, struct span *ret_key)
{
    for (size_t i = 0; i < limit_number(sharing->limits); i++) {
        struct span prefix = span_of(sharing->prefixes[i]);
        *ret_key = span_skip(name, prefix.n < name.n ? prefix.n : name.n);
        if (span_equal(span_head(name, prefix.n), prefix))
            return limit_at(sharing->limits, i);
    }
    return NULL;
}

static void learned(void *context, struct span name, uint64_t used, int64_t asked_ms)
{
    struct sharing *sharing = context;
    struct span key;
    struct limit *limit = limit_of(sharing, name, &key);
    if (limit)
        learn(sharing, limit, key, used, asked_ms, clock_monotonic_ms());
}

static void tell_pairs(void *context)
{
    struct sharing *sharing = context;
    store_redis_say(sharing->store, buffer_span(&sharing->pairs));
    buffer_clear(&sharing->pairs);
}

/* Others know it in a moment. What is too much for that is new to them when they are asked. */
static void paired(void *context, const struct pair_texts *pair)
{
    struct sharing *sharing = context;
    if (!buffer_size(&sharing->pairs))
        timer_again(&sharing->telling, TELL_MS);
    pairs_add(&sharing->pairs, pair);
}

/* Redis is told first, then the others. */
static void forgot(void *context, const struct limit *limit, struct span key)
{
    struct sharing *sharing = context;
    char name[NAME_SIZE];
    const struct redis_key redis = { name_of(sharing, limit, key, name), bucket_rule_of(limit->buckets), 0 };
    store_redis_forget(sharing->store, &redis);
    paired(sharing, &(struct pair_texts){ ANEW, span_of(sharing->own), redis.name });
}

static void begin_anew(struct sharing *sharing, const struct pair_texts *told)
{
    struct span key;
    const struct limit *limit = limit_of(sharing, told->whom, &key);
    if (!limit || span_equal(told->who, span_of(sharing->own)))
        return;
    bucket_clear(limit->buckets, key, clock_monotonic_ms());
    store_redis_forgotten(sharing->store, told->whom);
}

static void heard(void *context, struct span message)
{
    struct sharing *sharing = context;
    struct pair_texts pair;
    while (pairs_next(&message, &pair))
        if (span_equal(pair.what, ANEW))
            begin_anew(sharing, &pair);
        else
            limit_learn_pair(sharing->limits, &pair, clock_monotonic_ms());
}

static void begins(void *context)
{
    struct sharing *sharing = context;
    sharing->events->begins(sharing->context);
}

static void changed(void *context, struct span account, struct span json)
{
    struct sharing *sharing = context;
    sharing->events->changed(sharing->context, account, json);
}

static void complete(void *context)
{
    struct sharing *sharing = context;
    sharing->events->complete(sharing->context);
}

void sharing_limits(struct sharing *sharing, struct limit_set *limits)
{
    static const struct limit_sharing told = { counted, forgot, paired };
    sharing->limits = limits;
    free(sharing->prefixes);
    sharing->prefixes = text_zalloc((limit_number(limits) + 1) * sizeof *sharing->prefixes);
    for (size_t i = 0; i < limit_number(limits); i++)
        set_prefix(limit_at(limits, i)->conf, sharing->prefixes[i]);
    limit_set_sharing(limits, &told, sharing);
}

static void open_store(struct sharing *sharing, const struct sharing_settings *settings)
{
    static const struct store_redis_events events = { learned, { begins, changed, complete, heard } };
    const struct store_redis_settings store = { settings->where, settings->password, settings->decision_ms,
                                                STORE_REDIS_CONNECT_MS > settings->decision_ms ? STORE_REDIS_CONNECT_MS
                                                                                               : settings->decision_ms };
    sharing->where = text_dup(span_of(settings->where));
    sharing->password = text_dup(span_of(settings->password));
    sharing->decision_ms = settings->decision_ms;
    sharing->store = store_redis_new(sharing->loop, &store, &events, sharing);
}

static void forget_settings(struct sharing *sharing)
{
    OPENSSL_cleanse(sharing->password, strlen(sharing->password));
    free(sharing->password);
    free(sharing->where);
}

struct sharing *sharing_new(struct loop *loop, const struct sharing_settings *settings, struct limit_set *limits,
                            const struct redis_shared_events *events, void *context)
{
    struct sharing *sharing = text_zalloc(sizeof *sharing);
    sharing->loop = loop;
    sharing->events = events;
    sharing->context = context;
    uint64_t own;
    random_bytes(&own, sizeof own);
    text_format(sharing->own, sizeof sharing->own, "%016llx", (unsigned long long)own);
    buffer_init(&sharing->pairs, REDIS_SHARED_TEXT_MAX);
    timer_set(&sharing->telling, loop, TELL_MS, tell_pairs, sharing);
    timer_stop(&sharing->telling);
    sharing_limits(sharing, limits);
    open_store(sharing, settings);
    return sharing;
}

void sharing_free(struct sharing **sharing)
{
    if (!*sharing)
        return;
    limit_set_sharing((*sharing)->limits, NULL, NULL);
    store_redis_free(&(*sharing)->store);
    timer_fini(&(*sharing)->telling);
    buffer_fini(&(*sharing)->pairs);
    forget_settings(*sharing);
    free((*sharing)->prefixes);
    free(*sharing);
    *sharing = NULL;
}

static bool is_by(const struct sharing *sharing, const struct sharing_settings *settings)
{
    return strcmp(sharing->where, settings->where) == 0 && strcmp(sharing->password, settings->password) == 0 &&
           sharing->decision_ms == settings->decision_ms;
}

void sharing_change(struct sharing *sharing, const struct sharing_settings *settings)
{
    struct store_redis *old = sharing->store;
    if (is_by(sharing, settings))
        return;
    forget_settings(sharing);
    open_store(sharing, settings);
    store_redis_inherit(sharing->store, old);
    store_redis_free(&old);
}

void sharing_settle(struct sharing *sharing)
{
    store_redis_settle(sharing->store);
}

static void answer(const struct question *question, const struct store_redis_answer *from)
{
    const struct claims *claims = question->claims;
    int64_t *waits_ms = text_zalloc((claims->count + 1) * sizeof *waits_ms), now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < claims->ntargets; i++) {
        const struct claim_target *target = &claims->targets[i];
        learn(question->sharing, target->limit, span_of(target->key), from->used[i], from->asked_ms, now_ms);
    }
    for (size_t i = 0, k = 0; i < claims->count; i++)
        waits_ms[i] = claims->items[i].n ? from->waits_ms[k++] : 0;
    question->answered(question->context, waits_ms, false);
    free(waits_ms);
}

static void answered(void *context, const struct store_redis_answer *from)
{
    struct question *question = context;
    if (from->outcome == STORE_REDIS_DECIDED)
        answer(question, from);
    else
        question->answered(question->context, NULL, from->outcome == STORE_REDIS_UNKNOWN);
    free(question);
}

/* What a claim does where it does not fit. Whoever has to wait, or gets a strike, is not looked at any further. */
static unsigned flags_of(const struct claim_target *target, const struct claim *claim)
{
    enum limit_verdict verdict = limit_then_verdict(target->limit->conf->then);
    unsigned flags = claim->look ? REDIS_LOOK : 0;
    if (!target->limit->enforced)
        return flags | REDIS_IF_FITS;
    if (!target->acts)
        return flags;
    if (verdict >= LIMIT_REFUSE)
        flags |= REDIS_REFUSE;
    return verdict == LIMIT_SLOW || verdict == LIMIT_SUSPEND ? flags | REDIS_STOP : flags;
}

/* The targets as keys, with room for their names behind them. */
static struct redis_key *make_keys(const struct sharing *sharing, const struct claims *claims, int64_t now_ms)
{
    size_t count = claims->ntargets;
    struct redis_key *keys = text_zalloc(count * (sizeof *keys + NAME_SIZE));
    char *names = (char *)(keys + count);
    for (size_t i = 0; i < count; i++) {
        const struct claim_target *target = &claims->targets[i];
        keys[i] = key_for(sharing, target->limit, span_of(target->key), names + i * NAME_SIZE, now_ms);
        uint64_t owed = store_redis_owed(sharing->store, keys[i].name);
        keys[i].known = keys[i].known > owed ? keys[i].known - owed : 0;
    }
    return keys;
}

bool sharing_ask(struct sharing *sharing, const struct claims *claims, sharing_answered then, void *context)
{
    int64_t since_ms;
    if (!store_redis_is_connected(sharing->store, &since_ms))
        return false;
    struct redis_claim *items = text_zalloc((claims->count + 1) * sizeof *items);
    struct redis_ask ask = { .nkeys = claims->ntargets, .claims = items };
    for (size_t i = 0; i < claims->count; i++) {
        const struct claim *claim = &claims->items[i];
        if (claim->n)
            items[ask.nclaims++] = (struct redis_claim){ .question = claim->question,
                                                         .key = claim->target,
                                                         .flags = flags_of(&claims->targets[claim->target], claim),
                                                         .group = claim->group,
                                                         .n = claim->n };
    }
    struct redis_key *keys = ask.nclaims ? make_keys(sharing, claims, clock_monotonic_ms()) : NULL;
    struct question *question = text_zalloc(sizeof *question);
    *question = (struct question){ sharing, claims, then, context };
    ask.keys = keys;
    bool asked = keys && store_redis_ask(sharing->store, &ask, answered, question);
    if (!asked)
        free(question);
    free(keys);
    free(items);
    return asked;
}

bool sharing_is_connected(const struct sharing *sharing, int64_t *ret_since_ms)
{
    return store_redis_is_connected(sharing->store, ret_since_ms);
}

bool sharing_publish(struct sharing *sharing, struct span account, struct span json)
{
    return store_redis_publish(sharing->store, account, json);
}

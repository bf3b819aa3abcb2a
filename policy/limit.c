/* Each limit has a table of buckets of its own, with an equal part of the memory: a flood of made-up client addresses can then push
 * out what is known of other addresses, but not what accounts have used.
 *
 * A question goes over all limits twice: first to see that it fits everywhere, then to count it. Refusals are logged, but a client
 * that goes on asking is told of in the log once in TOLD_MS, with the number of times since (`again`): a limit must not turn into a
 * way to fill the log. */
#include "limit.h"

#include "../relay/base/log.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>

#define TOLD_SLOTS 1024
#define TOLD_MS    10000

/* What was logged lately. Collisions only cost a log line more. */
struct told {
    uint64_t hash;
    int64_t at_ms;
    int64_t again;
};

struct limit_set {
    struct limit *limits;
    size_t count;
    struct told told[TOLD_SLOTS];
};

static const struct {
    const char *name;
    bool counted;
} counts[] = {
    [CONF_COUNT_MESSAGES] = { "messages", true },
    [CONF_COUNT_RECIPIENTS] = { "recipients", true },
    [CONF_COUNT_BYTES] = { "bytes", true },
    [CONF_COUNT_UNIQUE_RECIPIENTS] = { "unique-recipients", false },
    [CONF_COUNT_FIRST_TIME_RECIPIENTS] = { "first-time-recipients", false },
    [CONF_COUNT_UNIQUE_DOMAINS] = { "unique-domains", false },
    [CONF_COUNT_HARD_BOUNCES] = { "hard-bounces", false },
    [CONF_COUNT_SPAM_REPLIES] = { "spam-replies", false },
    [CONF_COUNT_AUTH_FAILURES] = { "auth-failures", false },
    [CONF_COUNT_CONNECTIONS] = { "connections", false },
    [CONF_COUNT_LOGIN_NETWORKS] = { "login-networks", false },
};

static const struct {
    const char *name;
    bool enforced;
} thens[] = {
    [CONF_THEN_SLOW] = { "slow", false }, [CONF_THEN_DEFER] = { "defer", true },      [CONF_THEN_REJECT] = { "reject", true },
    [CONF_THEN_HOLD] = { "hold", false }, [CONF_THEN_SUSPEND] = { "suspend", false },
};

const char *limit_count_name(enum conf_limit_count count)
{
    return (size_t)count < sizeof counts / sizeof *counts ? counts[count].name : "unknown";
}

const char *limit_then_name(enum conf_limit_then then)
{
    return (size_t)then < sizeof thens / sizeof *thens ? thens[then].name : "unknown";
}

static struct bucket_rule rule_of(const struct conf_limit *conf)
{
    struct bucket_rule rule = { conf->rate.count, conf->rate.per_ms, conf->burst ? conf->burst : conf->rate.count };
    if (rule.burst < conf->at_least)
        rule.burst = conf->at_least; /* below this much it never acts */
    return rule;
}

/* What this version does not do is said once, at the start and at each reload; nothing is silently left out. */
static void warn(const struct limit *limit)
{
    if (!limit->counted)
        log_say(LOG_WARNING, "notice", "limit %s has no effect: %s are not counted by this version", limit->conf->name,
                limit_count_name(limit->conf->count));
    else if (!limit->enforced && !limit->conf->observe)
        log_say(LOG_WARNING, "notice", "limit %s only logs: this version does not know how to %s; defer and reject it does",
                limit->conf->name, limit_then_name(limit->conf->then));
}

struct limit *limit_named(struct limit_set *set, struct span name, unsigned key, unsigned count)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct conf_limit *conf = set->limits[i].conf;
        if ((unsigned)conf->key == key && (unsigned)conf->count == count && span_equal(span_of(conf->name), name))
            return &set->limits[i];
    }
    return NULL;
}

/* Takes the buckets of the limit in OLD that CONF goes on with. */
static struct bucket_table *inherit(struct limit_set *old, const struct conf_limit *conf)
{
    struct limit *before = old ? limit_named(old, span_of(conf->name), conf->key, conf->count) : NULL;
    struct bucket_table *buckets = before ? before->buckets : NULL;
    if (before)
        before->buckets = NULL;
    return buckets;
}

struct limit_set *limit_new(const struct conf *conf, struct limit_set **old)
{
    struct limit_set *set = text_zalloc(sizeof *set);
    size_t part = conf->nlimits ? LIMIT_MEMORY / conf->nlimits : 0;
    if (part < LIMIT_MEMORY_MIN)
        part = LIMIT_MEMORY_MIN;
    set->count = conf->nlimits;
    set->limits = text_zalloc(set->count * sizeof *set->limits);
    for (size_t i = 0; i < set->count; i++) {
        struct limit *limit = &set->limits[i];
        struct bucket_rule rule = rule_of(&conf->limits[i]);
        limit->conf = &conf->limits[i];
        limit->counted = (size_t)limit->conf->count < sizeof counts / sizeof *counts && counts[limit->conf->count].counted;
        limit->enforced = limit->counted && !limit->conf->observe && (size_t)limit->conf->then < sizeof thens / sizeof *thens &&
                          thens[limit->conf->then].enforced;
        limit->buckets = old ? inherit(*old, limit->conf) : NULL;
        if (limit->buckets)
            bucket_change(limit->buckets, &rule, part);
        else
            limit->buckets = bucket_new(&rule, part);
        warn(limit);
    }
    if (old)
        limit_free(old);
    return set;
}

void limit_free(struct limit_set **set)
{
    if (!*set)
        return;
    for (size_t i = 0; i < (*set)->count; i++)
        bucket_free(&(*set)->limits[i].buckets);
    free((*set)->limits);
    free(*set);
    *set = NULL;
}

size_t limit_number(const struct limit_set *set)
{
    return set->count;
}

struct limit *limit_at(struct limit_set *set, size_t index)
{
    return &set->limits[index];
}

bool limit_is_final(const struct limit_refusal *refusal)
{
    return refusal->wait_ms == BUCKET_NEVER || refusal->limit->conf->then == CONF_THEN_REJECT;
}

static void tell(struct limit_set *set, const struct limit_refusal *refusal, const struct key_subject *subject, int64_t now_ms)
{
    const struct conf_limit *conf = refusal->limit->conf;
    uint64_t hash = map_hash(span_of(refusal->key)) ^ map_hash(span_of(conf->name));
    struct told *told = &set->told[hash % TOLD_SLOTS];
    char client[NETADDR_TEXT_SIZE];
    struct log_entry entry;
    bool known = told->hash == hash;
    if (known && now_ms - told->at_ms < TOLD_MS) {
        told->again++;
        return;
    }
    netaddr_print(&subject->client, client);
    log_begin(&entry, LOG_WARNING, "throttled");
    log_string(&entry, "limit", conf->name);
    log_string(&entry, "key", key_name(conf->key));
    log_string(&entry, "value", refusal->key);
    log_string(&entry, "then", limit_then_name(conf->then));
    if (!refusal->limit->enforced)
        log_string(&entry, "mode", "observe");
    log_string(&entry, "count", limit_count_name(conf->count));
    log_text(&entry, "account", subject->account);
    log_string(&entry, "client", client);
    if (refusal->wait_ms != BUCKET_NEVER)
        log_number(&entry, "wait_ms", refusal->wait_ms);
    if (known && told->again)
        log_number(&entry, "again", told->again);
    log_end(&entry);
    *told = (struct told){ hash, now_ms, 0 };
}

/* Is LIMIT about this question? Then KEY is for whom it counts. */
static bool is_about(const struct limit *limit, const struct key_subject *subject, const struct limit_ask *ask,
                     char key[KEY_SIZE])
{
    const struct conf_limit *conf = limit->conf;
    return limit->counted && conf->count == ask->count && ask->n && key_of(conf->key, subject, key) &&
           (!conf->apply_to.count || key_selected(&conf->apply_to, subject)) && !key_selected(&conf->except, subject);
}

/* Does B matter more to who asked than A? */
static bool is_worse(const struct limit_refusal *a, const struct limit_refusal *b)
{
    if (!a->limit)
        return true;
    if (limit_is_final(a) != limit_is_final(b))
        return limit_is_final(b);
    return b->wait_ms > a->wait_ms;
}

/* Looks at one limit; what it would refuse is logged, and kept in *WORST where it may refuse. */
static void look(struct limit_set *set, const struct limit *limit, const struct key_subject *subject, const struct limit_ask *ask,
                 int64_t now_ms, struct limit_refusal *worst)
{
    struct limit_refusal refusal = { .limit = limit, .n = ask->n };
    if (!is_about(limit, subject, ask, refusal.key) ||
        bucket_fits(limit->buckets, span_of(refusal.key), ask->n, now_ms, &refusal.wait_ms))
        return;
    bucket_refused(limit->buckets, span_of(refusal.key), now_ms);
    tell(set, &refusal, subject, now_ms);
    if (limit->enforced && is_worse(worst, &refusal))
        *worst = refusal;
}

static void count(const struct limit *limit, const struct key_subject *subject, const struct limit_ask *ask, int64_t now_ms)
{
    char key[KEY_SIZE];
    int64_t wait_ms;
    if (!ask->look && is_about(limit, subject, ask, key) && bucket_fits(limit->buckets, span_of(key), ask->n, now_ms, &wait_ms))
        bucket_count(limit->buckets, span_of(key), ask->n, now_ms);
}

bool limit_take(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *asks, size_t nasks,
                int64_t now_ms, struct limit_refusal *ret_refusal)
{
    struct limit_refusal worst = { .limit = NULL };
    for (size_t i = 0; i < set->count; i++)
        for (size_t k = 0; k < nasks; k++)
            look(set, &set->limits[i], subject, &asks[k], now_ms, &worst);
    if (worst.limit) {
        *ret_refusal = worst;
        return false;
    }
    for (size_t i = 0; i < set->count; i++)
        for (size_t k = 0; k < nasks; k++)
            count(&set->limits[i], subject, &asks[k], now_ms);
    return true;
}

void limit_sweep(struct limit_set *set, int64_t now_ms)
{
    for (size_t i = 0; i < set->count; i++)
        bucket_sweep(set->limits[i].buckets, now_ms);
}

/* Each limit has a table of buckets of its own, with an equal part of the memory: a flood of made-up client addresses can then push
 * out what is known of other addresses, but not what accounts have used.
 *
 * A question goes over all limits twice: first to see that it fits everywhere, then to count it. Refusals are logged, but a client
 * that goes on asking is told of in the log once in TOLD_MS, with the number of times since (`again`): a limit must not turn into a
 * way to fill the log. */
#include "limit.h"

#include "../relay/base/clock.h"
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
    struct seen *seen;
    struct would *would; /* or NULL */
    const struct limit_sharing *sharing;
    void *sharing_context;
    struct claims scratch;
    int64_t to_wall_ms; /* from the monotonic clock, when the set was made: pairs outlive the process */
    struct told told[TOLD_SLOTS];
};

/* What is counted: everything asked for, what was not counted within the time of the rate, or what was never seen before. */
enum how { HOW_ALL, HOW_UNIQUE, HOW_FIRST };

static const struct {
    const char *name;
    enum how how;
    bool by_looks; /* it is counted as it happens, and what it leads to is asked for by looks alone: at MAIL, at a login */
} counts[] = {
    [CONF_COUNT_MESSAGES] = { "messages", HOW_ALL, false },
    [CONF_COUNT_RECIPIENTS] = { "recipients", HOW_ALL, false },
    [CONF_COUNT_BYTES] = { "bytes", HOW_ALL, false },
    [CONF_COUNT_UNIQUE_RECIPIENTS] = { "unique-recipients", HOW_UNIQUE, false },
    [CONF_COUNT_FIRST_TIME_RECIPIENTS] = { "first-time-recipients", HOW_FIRST, false },
    [CONF_COUNT_UNIQUE_DOMAINS] = { "unique-domains", HOW_UNIQUE, false },
    [CONF_COUNT_HARD_BOUNCES] = { "hard-bounces", HOW_ALL, true },
    [CONF_COUNT_SPAM_REPLIES] = { "spam-replies", HOW_ALL, true },
    [CONF_COUNT_AUTH_FAILURES] = { "auth-failures", HOW_ALL, true },
    [CONF_COUNT_CONNECTIONS] = { "connections", HOW_ALL, false },
    [CONF_COUNT_LOGIN_NETWORKS] = { "login-networks", HOW_UNIQUE, false },
    [CONF_COUNT_ABUSE_REPORTS] = { "abuse-reports", HOW_ALL, true },
};
#define DAY_S 86400 /* a pair that is in use is noted again after */

static const struct {
    const char *name;
    enum limit_verdict verdict;
} thens[] = {
    [CONF_THEN_SLOW] = { "slow", LIMIT_SLOW },          [CONF_THEN_DEFER] = { "defer", LIMIT_REFUSE },
    [CONF_THEN_REJECT] = { "reject", LIMIT_REFUSE },    [CONF_THEN_HOLD] = { "hold", LIMIT_HOLD },
    [CONF_THEN_SUSPEND] = { "suspend", LIMIT_SUSPEND },
};

const char *limit_count_name(enum conf_limit_count count)
{
    return (size_t)count < sizeof counts / sizeof *counts ? counts[count].name : "unknown";
}

enum limit_verdict limit_then_verdict(enum conf_limit_then then)
{
    return (size_t)then < sizeof thens / sizeof *thens ? thens[then].verdict : LIMIT_ALLOW;
}

const char *limit_then_name(enum conf_limit_then then)
{
    return (size_t)then < sizeof thens / sizeof *thens ? thens[then].name : "unknown";
}

static struct bucket_rule rule_of(const struct conf_limit *conf)
{
    struct bucket_rule rule = { conf->rate.count, conf->rate.per_ms, conf->burst ? conf->burst : conf->rate.count, 0 };
    if (rule.burst < conf->at_least && !conf->share)
        rule.burst = conf->at_least; /* below this much it never acts; with a share, the floor is of all that was sent */
    if (conf->then == CONF_THEN_SLOW)
        rule.debt = rule.burst; /* what many connections ask for at once is waited for one behind the other */
    return rule;
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

/* LIMIT goes on with what BEFORE (may be NULL) has counted, in PART bytes. */
static void inherit(struct limit *limit, struct limit *before, size_t part)
{
    struct bucket_rule rule = rule_of(limit->conf);
    bool same_window = before && before->conf->rate.per_ms == limit->conf->rate.per_ms;
    if (before) {
        limit->buckets = before->buckets;
        before->buckets = NULL;
        bucket_change(limit->buckets, &rule, part);
    } else {
        limit->buckets = bucket_new(&rule, part);
    }
    if (same_window && before->shares && limit->conf->share) {
        limit->shares = before->shares;
        before->shares = NULL;
    } else if (limit->conf->share) {
        limit->shares = share_new(limit->conf->rate.per_ms);
    }
}

struct limit_set *limit_new(const struct conf *conf, struct seen *seen, struct limit_set **old)
{
    struct limit_set *set = text_zalloc(sizeof *set);
    size_t part = conf->nlimits ? LIMIT_MEMORY / conf->nlimits : 0;
    if (part < LIMIT_MEMORY_MIN)
        part = LIMIT_MEMORY_MIN;
    set->count = conf->nlimits;
    set->seen = seen;
    set->to_wall_ms = clock_wall_ms() - clock_monotonic_ms();
    set->limits = text_zalloc(set->count * sizeof *set->limits);
    for (size_t i = 0; i < set->count; i++) {
        struct limit *limit = &set->limits[i];
        const struct conf_limit *it = limit->conf = &conf->limits[i];
        limit->counted = it->mode != CONF_MODE_OFF;
        limit->enforced = it->mode == CONF_MODE_ENFORCE;
        inherit(limit, old && *old ? limit_named(*old, span_of(it->name), it->key, it->count) : NULL, part);
    }
    if (old)
        limit_free(old);
    return set;
}

void limit_set_would(struct limit_set *set, struct would *would)
{
    set->would = would;
}

void limit_set_sharing(struct limit_set *set, const struct limit_sharing *sharing, void *context)
{
    set->sharing = sharing;
    set->sharing_context = context;
}

void limit_free(struct limit_set **set)
{
    if (!*set)
        return;
    for (size_t i = 0; i < (*set)->count; i++) {
        bucket_free(&(*set)->limits[i].buckets);
        share_free(&(*set)->limits[i].shares);
    }
    claims_fini(&(*set)->scratch);
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

int64_t limit_wall_ms(const struct limit_set *set, int64_t now_ms)
{
    return now_ms + set->to_wall_ms;
}

static uint32_t seconds(const struct limit_set *set, int64_t now_ms)
{
    int64_t wall_s = limit_wall_ms(set, now_ms) / 1000;
    return wall_s > 0 ? (uint32_t)wall_s : 0;
}

/* A question as one limit sees it. */
struct view {
    uint64_t n;
    uint64_t pair;   /* 0: it does not matter who */
    uint32_t seen_s; /* when it was seen last; 0: never */
};

/* As what a pair of LIMIT is noted. */
static struct span pair_kind(const struct limit *limit)
{
    return counts[limit->conf->count].how == HOW_FIRST ? SPAN("first") : span_of(limit->conf->name);
}

static bool counts_pairs(const struct limit *limit)
{
    return counts[limit->conf->count].how != HOW_ALL;
}

/* What LIMIT sees of ASK about PAIR: nothing where what is asked for is not new to it. */
static struct view view_of(struct limit_set *set, const struct limit *limit, uint64_t pair, const struct limit_ask *ask,
                           int64_t now_ms)
{
    struct view view = { .n = ask->n, .pair = pair };
    if (!pair)
        return view;
    uint32_t now_s = seconds(set, now_ms);
    uint64_t per_s = counts[limit->conf->count].how == HOW_FIRST ? now_s : (uint64_t)limit->conf->rate.per_ms / 1000;
    view.seen_s = seen_last(set->seen, pair);
    if (view.seen_s && view.seen_s >= (per_s < now_s ? now_s - (uint32_t)per_s : 0))
        view.n = 0;
    return view;
}

/* A new network is a question to a limit that lets the login in or not, and something that has happened to one that suspends: who is refused
 * had the right password all the same. */
static bool counts_events(const struct limit *limit)
{
    bool by_event = limit->conf->count == CONF_COUNT_LOGIN_NETWORKS && limit->conf->then == CONF_THEN_SUSPEND;
    return by_event || counts[limit->conf->count].by_looks;
}

bool limit_is_about(const struct limit *limit, const struct key_subject *subject, char key[KEY_SIZE])
{
    const struct conf_limit *conf = limit->conf;
    return key_of(conf->key, subject, key) && (!conf->apply_to.count || key_selected(&conf->apply_to, subject)) &&
           !key_selected(&conf->except, subject);
}

static enum limit_verdict verdict_of(const struct limit_refusal *refusal)
{
    if (!refusal->limit || !refusal->limit->enforced)
        return LIMIT_ALLOW;
    return thens[refusal->limit->conf->then].verdict;
}

/* Does B matter more to who asked than A? */
static bool is_worse(const struct limit_refusal *a, const struct limit_refusal *b)
{
    if (verdict_of(a) != verdict_of(b))
        return verdict_of(b) > verdict_of(a);
    if (limit_is_final(a) != limit_is_final(b))
        return limit_is_final(b);
    return b->wait_ms > a->wait_ms;
}

/* Of a limit with a share: is so much of what KEY sent bad, and enough sent at all, that it may act? */
static bool share_is_reached(const struct limit_set *set, const struct limit *limit, struct span key, int64_t now_ms)
{
    if (!limit->shares)
        return true;
    struct share share = share_of(limit->shares, key, limit_wall_ms(set, now_ms));
    uint32_t volume = share_volume(&share);
    return volume >= limit->conf->at_least && (uint64_t)share.bad * 100 >= limit->conf->share * volume;
}

/* Each question that is refused counts, and each that would have been, once: a look that does not refuse is followed by the question itself,
 * unless there is none. What has happened is no question, but where a limit suspends for it. */
static void note_would(struct limit_set *set, const struct limit_refusal *refusal, bool is_look)
{
    const struct limit *limit = refusal->limit;
    bool by_looks = counts[limit->conf->count].by_looks && limit->conf->then != CONF_THEN_SUSPEND;
    if (set->would && (by_looks ? is_look : !is_look || verdict_of(refusal) >= LIMIT_REFUSE))
        would_note(set->would, limit->conf, limit->enforced, refusal->key, refusal->n, clock_wall_ms());
}

/* The target that LIMIT has for SUBJECT. False where it is not about it. Of the limits that count by recipient it is another one for each
 * question, else what was found for the first one holds. */
static bool find_target(struct limit_set *set, const struct limit *limit, const struct key_subject *subject, int64_t now_ms,
                        struct claims *claims, unsigned *ret_target)
{
    unsigned *scope = claims_scope(claims, (size_t)(limit - set->limits), set->count);
    if (!*scope || limit->conf->key == CONF_KEY_RECIPIENT_DOMAIN) {
        char key[KEY_SIZE];
        *scope = CLAIMS_NOT_ABOUT;
        if (limit_is_about(limit, subject, key))
            *scope = claims_target(claims, limit, key, share_is_reached(set, limit, span_of(key), now_ms)) + 1;
    }
    *ret_target = *scope - 1;
    return *scope != CLAIMS_NOT_ABOUT;
}

/* The pair of TARGET and WHOM. */
static uint64_t pair_at(const struct limit_set *set, struct claim_target *target, struct span whom)
{
    if (!target->begun)
        seen_pair_begin(set->seen, pair_kind(target->limit), span_of(target->key), &target->pairs);
    target->begun = true;
    return seen_pair_end(&target->pairs, whom);
}

/* Adds what one limit claims. */
static void gather(struct limit_set *set, const struct limit *limit, const struct key_subject *subject,
                   const struct limit_ask *ask, int64_t now_ms, unsigned question, struct claims *claims)
{
    struct claim claim = { .question = question, .look = ask->look };
    if (limit->conf->then == CONF_THEN_SUSPEND && (ask->look || counts_events(limit)))
        return; /* nobody is suspended for what only might be, and what has happened is limit_note's */
    if (!ask->n || !find_target(set, limit, subject, now_ms, claims, &claim.target))
        return;
    uint64_t pair = counts_pairs(limit) ? pair_at(set, &claims->targets[claim.target], ask->whom) : 0;
    struct view view = view_of(set, limit, pair, ask, now_ms);
    claim.n = view.n;
    claim.pair = view.pair;
    claim.seen_s = view.seen_s;
    if (view.pair)
        claim.group = claims_group(claims, view.pair);
    if (view.pair && set->sharing && claims_keep(claims, ask->whom, &claim.whom))
        claim.whom_size = ask->whom.n;
    claims_add(claims, &claim);
}

void limit_gather(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *asks, size_t nasks,
                  unsigned question, int64_t now_ms, struct claims *claims)
{
    unsigned asked = 0; /* a bit each count */
    for (size_t k = 0; k < nasks; k++)
        asked |= 1u << asks[k].count;
    for (size_t i = 0; i < set->count; i++) {
        const struct limit *limit = &set->limits[i];
        bool is_asked = limit->counted && asked >> limit->conf->count & 1;
        for (size_t k = 0; k < nasks && is_asked; k++)
            if (limit->conf->count == asks[k].count)
                gather(set, limit, subject, &asks[k], now_ms, question, claims);
    }
}

/* Where the claims of QUESTION begin: all claims stand in the order of the questions. */
static size_t first_claim(const struct claims *claims, unsigned question)
{
    size_t from = 0, to = claims->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (claims->items[middle].question < question)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* How much claim I is for: nothing where an earlier question has counted the same. */
static uint64_t amount_of(const struct limit_settling *settling, size_t i)
{
    const struct claim *claim = &settling->claims->items[i];
    unsigned counted = claim->group ? settling->claims->items[claim->group - 1].counted : 0;
    return counted && counted != claim->question + 1 ? 0 : claim->n;
}

/* Does claim I fit? If not, *ret_wait_ms says when it would. */
static bool fits(const struct limit_settling *settling, size_t i, int64_t *ret_wait_ms)
{
    const struct claim_target *target = &settling->claims->targets[settling->claims->items[i].target];
    uint64_t n = amount_of(settling, i);
    if (!n)
        return true;
    if (!settling->waits_ms)
        return bucket_fits(target->limit->buckets, span_of(target->key), n, settling->now_ms, ret_wait_ms);
    *ret_wait_ms = settling->waits_ms[i];
    return *ret_wait_ms == 0;
}

/* Looks at claim I; what does not pass is logged, and kept in *WORST where its limit acts. */
static void look(struct limit_set *set, const struct limit_settling *settling, size_t i, const struct key_subject *subject,
                 struct limit_refusal *worst)
{
    struct claim *claim = &settling->claims->items[i];
    const struct claim_target *target = &settling->claims->targets[claim->target];
    int64_t wait_ms;
    if (fits(settling, i, &wait_ms) || !target->acts)
        return;
    struct limit_refusal refusal = { .limit = target->limit, .n = claim->n, .wait_ms = wait_ms };
    memcpy(refusal.key, target->key, sizeof refusal.key);
    bucket_refused(target->limit->buckets, span_of(refusal.key), settling->now_ms);
    tell(set, &refusal, subject, settling->now_ms);
    if (!claim->noted)
        note_would(set, &refusal, claim->look);
    claim->noted = true;
    if (target->limit->enforced && (!worst->limit || is_worse(worst, &refusal)))
        *worst = refusal;
}

/* A pair of LIMIT that was asked about: WHO and WHOM, which is empty where others are not to be told. */
struct noted {
    const struct limit *limit;
    uint64_t pair;
    uint32_t seen_s; /* 0: it was never seen before */
    bool is_new;     /* it counts now */
    struct span who, whom;
};

/* Is it time to note what was seen last at SEEN_S (0: never)? */
static bool is_old(uint32_t seen_s, uint32_t now_s)
{
    return !seen_s || (now_s > DAY_S && seen_s < now_s - DAY_S);
}

static void note_pair(struct limit_set *set, const struct noted *noted, int64_t now_ms)
{
    uint32_t now_s = seconds(set, now_ms);
    bool first = counts[noted->limit->conf->count].how == HOW_FIRST;
    if (first && noted->seen_s ? !is_old(noted->seen_s, now_s) : !noted->is_new)
        return;
    if (first && !is_old(seen_last(set->seen, noted->pair), now_s))
        return; /* noted meanwhile: by another limit, or for the same recipient named twice */
    seen_note(set->seen, noted->pair, now_s);
    const struct pair_texts texts = { pair_kind(noted->limit), noted->who, noted->whom };
    if (set->sharing && noted->whom.n)
        set->sharing->paired(set->sharing_context, &texts);
}

void limit_learn_pair(struct limit_set *set, const struct pair_texts *texts, int64_t now_ms)
{
    uint64_t pair = seen_pair(set->seen, texts->what, texts->who, texts->whom);
    uint32_t now_s = seconds(set, now_ms);
    if (is_old(seen_last(set->seen, pair), now_s))
        seen_note(set->seen, pair, now_s);
}

/* Counts in the buckets here. */
static void count_here(struct limit_set *set, const struct limit *limit, struct span key, uint64_t n, bool unshared,
                       int64_t now_ms)
{
    bucket_count(limit->buckets, key, n, now_ms);
    if (set->sharing && !unshared)
        set->sharing->counted(set->sharing_context, limit, key, n, now_ms);
}

/* Notes the pair of claim I, where it has one. */
static void note_claim(struct limit_set *set, const struct claims *claims, size_t i, bool is_new, int64_t now_ms)
{
    const struct claim *claim = &claims->items[i];
    const struct claim_target *target = &claims->targets[claim->target];
    const struct noted noted = {
        target->limit, claim->pair,          claim->seen_s,
        is_new,        span_of(target->key), span_head(span_skip(buffer_span(&claims->texts), claim->whom), claim->whom_size)
    };
    if (claim->pair)
        note_pair(set, &noted, now_ms);
}

/* What was asked of LIMIT passes, whether it FITS or not: is its pair known from now on? Not where the limit only observes, and would have
 * refused it; but whom the account now writes to for the first time, it has written to. */
static bool pair_stays(const struct limit *limit, bool fits)
{
    return fits || limit_then_verdict(limit->conf->then) < LIMIT_REFUSE || counts[limit->conf->count].how == HOW_FIRST;
}

static void count(struct limit_set *set, const struct limit_settling *settling, size_t i)
{
    const struct claim *claim = &settling->claims->items[i];
    const struct claim_target *target = &settling->claims->targets[claim->target];
    uint64_t n = amount_of(settling, i);
    int64_t wait_ms;
    if (claim->look)
        return;
    bool counted = target->limit->enforced || fits(settling, i, &wait_ms);
    if (n && counted && !settling->waits_ms)
        count_here(set, target->limit, span_of(target->key), n, settling->unshared, settling->now_ms);
    note_claim(set, settling->claims, i, n && pair_stays(target->limit, counted), settling->now_ms);
    if (claim->group && n)
        settling->claims->items[claim->group - 1].counted = settling->question + 1;
}

enum limit_verdict limit_settle(struct limit_set *set, const struct limit_settling *settling, const struct key_subject *subject,
                                struct limit_refusal *ret_refusal)
{
    struct claims *claims = settling->claims;
    struct limit_refusal worst = { .limit = NULL };
    size_t first = first_claim(claims, settling->question), end = first_claim(claims, settling->question + 1);
    for (size_t i = first; i < end; i++)
        look(set, settling, i, subject, &worst);
    enum limit_verdict verdict = verdict_of(&worst);
    if (verdict != LIMIT_ALLOW)
        *ret_refusal = worst;
    for (size_t i = first; i < end && verdict < LIMIT_REFUSE; i++)
        count(set, settling, i);
    return verdict;
}

/* Is claim I the first for its pair, or another of the same question? What later ones ask for is counted by then. */
static bool is_first(const struct claims *claims, size_t i)
{
    const struct claim *claim = &claims->items[i];
    return !claim->group || claims->items[claim->group - 1].question == claim->question;
}

bool limit_settle_whole(struct limit_set *set, const struct limit_settling *settling)
{
    struct claims *claims = settling->claims;
    int64_t wait_ms;
    if (settling->waits_ms)
        return false;
    for (size_t i = 0; i < claims->ntargets; i++)
        claims->targets[i].sum = 0;
    for (size_t i = 0; i < claims->count; i++)
        claims->targets[claims->items[i].target].sum += is_first(claims, i) ? claims->items[i].n : 0;
    for (size_t i = 0; i < claims->ntargets; i++) {
        const struct claim_target *target = &claims->targets[i];
        if (target->sum && !bucket_fits(target->limit->buckets, span_of(target->key), target->sum, settling->now_ms, &wait_ms))
            return false;
    }
    for (size_t i = 0; i < claims->ntargets; i++) {
        const struct claim_target *target = &claims->targets[i];
        if (target->sum)
            count_here(set, target->limit, span_of(target->key), target->sum, settling->unshared, settling->now_ms);
    }
    for (size_t i = 0; i < claims->count; i++)
        note_claim(set, claims, i, is_first(claims, i) && claims->items[i].n, settling->now_ms);
    return true;
}

enum limit_verdict limit_take(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *asks,
                              size_t nasks, int64_t now_ms, struct limit_refusal *ret_refusal)
{
    const struct limit_settling settling = { .claims = &set->scratch, .now_ms = now_ms };
    claims_clear(&set->scratch);
    limit_gather(set, subject, asks, nasks, 0, now_ms, &set->scratch);
    return limit_settle(set, &settling, subject, ret_refusal);
}

/* As look and count, for what has happened. */
static void note_one(struct limit_set *set, const struct limit *limit, const struct key_subject *subject,
                     const struct limit_ask *ask, int64_t now_ms, struct limit_refusal *worst)
{
    char text[KEY_SIZE];
    int64_t wait_ms = 0;
    if (!limit->counted || limit->conf->count != ask->count || !counts_events(limit) || !ask->n ||
        !limit_is_about(limit, subject, text))
        return;
    struct span key = span_of(text);
    uint64_t pair = counts_pairs(limit) ? seen_pair(set->seen, pair_kind(limit), key, ask->whom) : 0;
    struct view view = view_of(set, limit, pair, ask, now_ms);
    if (limit->shares && view.n)
        share_note(limit->shares, key, (struct share){ .bad = (uint32_t)view.n, .all = (uint32_t)view.n },
                   limit_wall_ms(set, now_ms));
    bool beyond =
        view.n && !bucket_fits(limit->buckets, key, view.n, now_ms, &wait_ms) && share_is_reached(set, limit, key, now_ms);
    if (view.n)
        count_here(set, limit, key, view.n, false, now_ms);
    const struct noted noted = { limit, view.pair, view.seen_s, view.n > 0, key, ask->whom };
    if (view.pair)
        note_pair(set, &noted, now_ms);
    if (!beyond)
        return;
    struct limit_refusal refusal = { .limit = limit, .n = view.n, .wait_ms = wait_ms };
    memcpy(refusal.key, text, sizeof refusal.key);
    tell(set, &refusal, subject, now_ms);
    note_would(set, &refusal, ask->look);
    if (limit->enforced && (!worst->limit || is_worse(worst, &refusal)))
        *worst = refusal;
}

enum limit_verdict limit_note(struct limit_set *set, const struct key_subject *subject, const struct limit_ask *ask,
                              int64_t now_ms, struct limit_refusal *ret_refusal)
{
    struct limit_refusal worst = { .limit = NULL };
    for (size_t i = 0; i < set->count; i++)
        note_one(set, &set->limits[i], subject, ask, now_ms, &worst);
    enum limit_verdict verdict = verdict_of(&worst);
    if (verdict != LIMIT_ALLOW)
        *ret_refusal = worst;
    return verdict;
}

static void note_share(struct limit_set *set, const struct key_subject *subject, struct share share, int64_t now_ms)
{
    char key[KEY_SIZE];
    for (size_t i = 0; i < set->count; i++)
        if (set->limits[i].shares && key_of(set->limits[i].conf->key, subject, key))
            share_note(set->limits[i].shares, span_of(key), share, limit_wall_ms(set, now_ms));
}

void limit_good(struct limit_set *set, const struct key_subject *subject, uint32_t n, int64_t now_ms)
{
    note_share(set, subject, (struct share){ .all = n }, now_ms);
}

void limit_asked(struct limit_set *set, const struct key_subject *subject, uint32_t n, int64_t now_ms)
{
    note_share(set, subject, (struct share){ .asked = n }, now_ms);
}

void limit_clear(struct limit_set *set, const struct limit *limit, struct span key, int64_t now_ms)
{
    bucket_clear(limit->buckets, key, now_ms);
    if (set->sharing)
        set->sharing->forgot(set->sharing_context, limit, key);
}

void limit_forget(struct limit_set *set, struct span account)
{
    int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < set->count; i++) {
        struct limit *limit = &set->limits[i];
        if (limit->conf->then != CONF_THEN_SUSPEND || limit->conf->key != CONF_KEY_ACCOUNT)
            continue;
        limit_clear(set, limit, account, now_ms);
        if (limit->shares)
            share_forget(limit->shares, account);
    }
}

void limit_sweep(struct limit_set *set, int64_t now_ms)
{
    for (size_t i = 0; i < set->count; i++)
        bucket_sweep(set->limits[i].buckets, now_ms);
}

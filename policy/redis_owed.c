/* Each machine that was cut off drains its own part, Redis drains what it had. To add what was counted as it was would count what has
 * drained here since; so no more of it is owed than this machine would still have as used. For one machine that makes the sum right;
 * for several it is never too high, so that nobody is refused for having been counted twice. */
#include "redis_owed.h"

#include "../relay/base/list.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>

typedef unsigned __int128 amount;

struct debt {
    struct list node;
    struct bucket_rule rule;
    uint64_t n, used; /* at `at_ms` */
    bool clear;       /* before */
    int64_t at_ms;
    size_t size;
    char name[];
};

struct redis_owed {
    struct map *by_name;
    struct list all; /* the oldest first */
    struct debt *taken[REDIS_OWED_BATCH];
    size_t ntaken;
};

struct redis_owed *redis_owed_new(size_t max)
{
    struct redis_owed *owed = text_zalloc(sizeof *owed);
    owed->by_name = map_new(max);
    list_init(&owed->all);
    return owed;
}

static struct span name_of(const struct debt *debt)
{
    return span_make(debt->name, debt->size);
}

static void remove_debt(struct redis_owed *owed, struct debt *debt)
{
    map_remove(owed->by_name, name_of(debt));
    list_remove(&debt->node);
}

static void forget_taken(struct redis_owed *owed)
{
    for (size_t i = 0; i < owed->ntaken; i++)
        free(owed->taken[i]);
    owed->ntaken = 0;
}

void redis_owed_free(struct redis_owed **owed)
{
    if (!*owed)
        return;
    forget_taken(*owed);
    LIST_EACH(node, &(*owed)->all) {
        struct debt *debt = LIST_ENTRY(node, struct debt, node);
        remove_debt(*owed, debt);
        free(debt);
    }
    map_free(&(*owed)->by_name, NULL);
    free(*owed);
    *owed = NULL;
}

static struct debt *find_or_make(struct redis_owed *owed, struct span name)
{
    bool full = false;
    struct debt *debt = map_get(owed->by_name, name);
    if (debt)
        return debt;
    debt = text_zalloc(sizeof *debt + name.n);
    debt->size = name.n;
    memcpy(debt->name, name.p, name.n);
    map_put(owed->by_name, name, debt, &full);
    if (full) {
        free(debt);
        return NULL;
    }
    list_append(&owed->all, &debt->node);
    return debt;
}

bool redis_owed_add(struct redis_owed *owed, const struct redis_key *key, uint64_t n, int64_t now_ms)
{
    struct debt *debt = find_or_make(owed, key->name);
    if (!debt)
        return false;
    debt->rule = key->rule;
    debt->n = debt->n > UINT64_MAX - n ? UINT64_MAX : debt->n + n;
    debt->used = key->known;
    debt->at_ms = now_ms;
    return true;
}

bool redis_owed_clear(struct redis_owed *owed, const struct redis_key *key)
{
    struct debt *debt = find_or_make(owed, key->name);
    if (!debt)
        return false;
    debt->rule = key->rule;
    debt->n = debt->used = 0;
    debt->clear = true;
    return true;
}

void redis_owed_begun_anew(struct redis_owed *owed, struct span name)
{
    struct debt *debt = map_get(owed->by_name, name);
    if (debt && debt->used > debt->n)
        debt->used = debt->n;
}

uint64_t redis_owed_of(const struct redis_owed *owed, struct span name)
{
    const struct debt *debt = map_get(owed->by_name, name);
    return debt ? debt->n : 0;
}

size_t redis_owed_count(const struct redis_owed *owed)
{
    return map_count(owed->by_name);
}

/* What of `used` is left at NOW_MS. */
static uint64_t left_of(const struct debt *debt, int64_t now_ms)
{
    int64_t passed = now_ms > debt->at_ms ? now_ms - debt->at_ms : 0;
    uint64_t per_ms = debt->rule.per_ms > 0 ? (uint64_t)debt->rule.per_ms : 1;
    amount drained = (amount)debt->rule.count * (amount)passed / per_ms;
    return drained >= debt->used ? 0 : debt->used - (uint64_t)drained;
}

bool redis_owed_take(struct redis_owed *owed, const char *sha, int64_t now_ms, struct buffer *out)
{
    struct redis_key keys[REDIS_OWED_BATCH];
    struct redis_claim claims[REDIS_OWED_BATCH];
    struct redis_ask ask = { keys, 0, claims, 0 };
    forget_taken(owed);
    LIST_EACH(node, &owed->all) {
        struct debt *debt = LIST_ENTRY(node, struct debt, node);
        uint64_t left = left_of(debt, now_ms), n = debt->n < left ? debt->n : left;
        unsigned at = (unsigned)ask.nkeys;
        if (owed->ntaken == REDIS_OWED_BATCH)
            break;
        keys[at] = (struct redis_key){ name_of(debt), debt->rule, debt->clear ? 0 : left - n };
        claims[at] = (struct redis_claim){ .question = at, .key = at, .n = n, .flags = debt->clear ? REDIS_CLEAR : 0 };
        ask.nkeys = ask.nclaims = at + 1;
        owed->taken[owed->ntaken++] = debt;
    }
    bool fits = redis_script_command(&ask, sha, out);
    for (size_t i = 0; i < owed->ntaken && fits; i++)
        remove_debt(owed, owed->taken[i]);
    if (!fits)
        owed->ntaken = 0;
    return fits;
}

bool redis_owed_answer(struct redis_owed *owed, const redisReply *reply, redis_owed_visit visit, void *context, size_t *ret_count)
{
    int64_t waits_ms[REDIS_OWED_BATCH];
    uint64_t used[REDIS_OWED_BATCH];
    if (!redis_script_answer(reply, waits_ms, owed->ntaken, used, owed->ntaken))
        return false;
    for (size_t i = 0; i < owed->ntaken; i++)
        visit(context, name_of(owed->taken[i]), used[i]);
    *ret_count = owed->ntaken;
    return true;
}

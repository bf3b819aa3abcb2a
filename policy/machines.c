#include "machines.h"

#include "../relay/base/clock.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>
#include <string.h>

#define OVER_MS ((int64_t)30 * 86400000) /* how long it is told that a suspension is over */

void machines_init(struct machines *machines, struct judge *judge)
{
    *machines = (struct machines){ .judge = judge };
}

void machines_fini(struct machines *machines)
{
    map_free(&machines->untold, NULL);
}

void machines_set_sharing(struct machines *machines, struct sharing *sharing)
{
    machines->sharing = sharing;
}

void machines_tell(struct machines *machines, struct span account)
{
    const struct standing *standing = judge_standing(machines->judge);
    if (!machines->sharing || machines->hearing)
        return;
    json_t *word =
        json_pack("{s:s, s:s, s:I}", "state", standing_is_suspended(standing, account) ? "suspended" : "active", "reason",
                  standing_reason(standing, account), "since_ms", (json_int_t)standing_since(standing, account));
    char *text = word ? json_dumps(word, JSON_COMPACT) : NULL;
    if (text)
        sharing_publish(machines->sharing, account, span_of(text));
    free(text);
    json_decref(word);
}

static bool add_untold(void *context, struct span account)
{
    const struct machines *machines = context;
    map_put(machines->untold, account, context, NULL);
    return true;
}

static void begins(void *context)
{
    struct machines *machines = context;
    map_free(&machines->untold, NULL);
    machines->untold = map_new(0);
    standing_each(judge_standing(machines->judge), true, add_untold, machines);
}

/* ACCOUNT is suspended, or no more, says another machine, or this one's own echo. */
static void obey(struct machines *machines, struct span account, const json_t *word)
{
    const char *state = json_string_value(json_object_get(word, "state"));
    const char *reason = json_string_value(json_object_get(word, "reason"));
    int64_t since_ms = json_integer_value(json_object_get(word, "since_ms"));
    int64_t known_ms = standing_since(judge_standing(machines->judge), account);
    bool suspended = state && strcmp(state, "suspended") == 0;
    const struct judge_order order = { reason ? reason : "", "another machine", since_ms, true };
    if (!state || since_ms <= 0 || since_ms > STANDING_TIME_MAX)
        return;
    if (since_ms < known_ms) {
        machines_tell(machines, account); /* it has not heard yet */
        return;
    }
    machines->hearing = true;
    if (suspended)
        judge_suspend(machines->judge, account, &order);
    else if (standing_is_suspended(judge_standing(machines->judge), account))
        judge_resume(machines->judge, account, &order); /* else strikes since then would be forgiven each time that it is told */
    machines->hearing = false;
    if (!suspended && clock_wall_ms() - since_ms > OVER_MS)
        sharing_publish(machines->sharing, account, (struct span){ .p = NULL });
}

static void changed(void *context, struct span account, struct span json)
{
    struct machines *machines = context;
    char name[ACCOUNT_NAME_SIZE];
    account_normal(account, name);
    if (!json.p || !*name || !machines->sharing)
        return; /* a word that was forgotten as too old says nothing */
    json_t *word = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
    if (machines->untold)
        map_remove(machines->untold, span_of(name));
    if (json_is_object(word))
        obey(machines, span_of(name), word);
    json_decref(word);
}

static bool tell_one(void *context, struct span account, void *value)
{
    (void)value;
    machines_tell(context, account);
    return true;
}

/* Who is suspended here and known to nobody else: Redis has lost it, or was away. */
static void complete(void *context)
{
    struct machines *machines = context;
    if (machines->untold)
        map_each(machines->untold, tell_one, machines);
    map_free(&machines->untold, NULL);
}

const struct redis_shared_events machines_events = { .begins = begins, .changed = changed, .complete = complete };

/* What one stolen password may send before somebody looks, and what a person hardly ever needs: they are in postern.conf(5) as a table. An
 * account that is meant to send much more has class = bulk, and is limited by what the file says alone. */
#include "defaults.h"

#include "../base/text.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000ll
#define DAY_MS  (24 * HOUR_MS)

/* What comes back counts as a share too, so that a newsletter to ten thousand may have its three hundred dead addresses; and both hold
 * for bulk: who sends much and badly is the greatest harm of all. */
static const struct {
    const char *name;
    enum conf_limit_count count;
    struct conf_rate rate;
    enum conf_limit_then then;
    unsigned at_least, share, weight;
    bool for_bulk;
} limits[] = {
    { "hourly", CONF_COUNT_RECIPIENTS, { 500, HOUR_MS }, CONF_THEN_DEFER, 0, 0, 100, false },
    { "daily", CONF_COUNT_RECIPIENTS, { 2000, DAY_MS }, CONF_THEN_DEFER, 0, 0, 100, false },
    { "first-time", CONF_COUNT_FIRST_TIME_RECIPIENTS, { 200, DAY_MS }, CONF_THEN_DEFER, 0, 0, 100, false },
    { "bounces", CONF_COUNT_HARD_BOUNCES, { 25, DAY_MS }, CONF_THEN_SUSPEND, 50, 20, 100, true },
    { "spam", CONF_COUNT_SPAM_REPLIES, { 15, DAY_MS }, CONF_THEN_SUSPEND, 50, 10, 100, true },
    { "reports", CONF_COUNT_ABUSE_REPORTS, { 2, 7 * DAY_MS }, CONF_THEN_SUSPEND, 0, 0, 100, false },
    { "networks", CONF_COUNT_LOGIN_NETWORKS, { 10, HOUR_MS }, CONF_THEN_SUSPEND, 0, 0, 50, false },
    { "guesses", CONF_COUNT_AUTH_FAILURES, { 100, HOUR_MS }, CONF_THEN_DEFER, 0, 0, 100, true },
};
#define LIMITS (sizeof limits / sizeof *limits)

static bool is_named(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->nlimits; i++)
        if (strcmp(conf->limits[i].name, name) == 0)
            return true;
    return false;
}

void defaults_add(struct conf *conf)
{
    conf->limits = text_realloc(conf->limits, (conf->nlimits + LIMITS) * sizeof *conf->limits);
    for (size_t i = 0; i < LIMITS; i++) {
        if (is_named(conf, limits[i].name))
            continue;
        struct conf_limit *limit = &conf->limits[conf->nlimits++];
        *limit = (struct conf_limit){
            .name = text_dup(span_of(limits[i].name)),
            .count = limits[i].count,
            .rate = limits[i].rate,
            .then = limits[i].then,
            .at_least = limits[i].at_least,
            .share = limits[i].share,
            .weight = limits[i].weight,
        };
        if (limits[i].for_bulk)
            continue;
        limit->except.items = text_zalloc(sizeof *limit->except.items);
        limit->except.items[limit->except.count++] = text_dup(SPAN("class:bulk"));
    }
}

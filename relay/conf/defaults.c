/* What one stolen password may send before somebody looks, and what a person hardly ever needs: they are in postern.conf(5) as a table. An
 * account that is meant to send much more has class = bulk, and is limited by what the file says alone. */
#include "defaults.h"

#include "../base/text.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000ll
#define DAY_MS  (24 * HOUR_MS)

static const struct {
    const char *name;
    enum conf_limit_count count;
    struct conf_rate rate;
} limits[] = {
    { "hourly", CONF_COUNT_RECIPIENTS, { 500, HOUR_MS } },
    { "daily", CONF_COUNT_RECIPIENTS, { 2000, DAY_MS } },
    { "first-time", CONF_COUNT_FIRST_TIME_RECIPIENTS, { 200, DAY_MS } },
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
            .name = text_dup(span_of(limits[i].name)), .count = limits[i].count, .rate = limits[i].rate, .then = CONF_THEN_DEFER
        };
        limit->except.items = text_zalloc(sizeof *limit->except.items);
        limit->except.items[limit->except.count++] = text_dup(SPAN("class:bulk"));
    }
}

#include "rates.h"

#include <string.h>

static const char *const names[RATE_KINDS] = {
    [RATE_ACCEPTED] = "accepted",
    [RATE_DELIVERED] = "delivered",
    [RATE_DEFERRED] = "deferred",
    [RATE_BOUNCED] = "bounced",
};

void rates_note(struct rates *rates, enum rate_kind kind, uint32_t n, int64_t now_ms)
{
    int64_t second = now_ms / 1000;
    size_t at = (size_t)(second % RATES_SECONDS);
    if (rates->second[at] != second) {
        rates->second[at] = second;
        memset(rates->counts[at], 0, sizeof rates->counts[at]);
    }
    rates->counts[at][kind] += n;
    rates->totals[kind] += n;
}

json_t *rates_describe(const struct rates *rates, int64_t now_ms)
{
    int64_t now = now_ms / 1000;
    json_t *all = json_object();
    for (unsigned kind = 0; kind < RATE_KINDS; kind++) {
        uint64_t minute = 0;
        for (size_t at = 0; at < RATES_SECONDS; at++)
            if (rates->second[at] < now && rates->second[at] >= now - RATES_SECONDS)
                minute += rates->counts[at][kind];
        json_object_set_new(all, names[kind],
                            json_pack("{s:I, s:I}", "total", (json_int_t)rates->totals[kind], "minute", (json_int_t)minute));
    }
    return all;
}

/* The step depends on the number of attempts alone. RFC 5321 4.5.4.1 asks for 30 minutes between attempts and leaves room for
 * reasons: the defaults begin with 5 and 15, since a greylisting server takes the second attempt after some minutes, and come to
 * hours later. The jitter spreads what failed together: a thousand messages of one outage should not come back in one second. It
 * is 10 % to both sides, so the average stays what the configuration says.
 *
 * Two clocks: the queue runs on the monotonic one, which no administrator and no NTP step can move; the disk has times of the
 * wall clock, the only one that outlives a restart. They meet here and nowhere else, and the wall clock is believed only within
 * bounds: a wait from the disk is at most the longest step, an age at most the lifetime. A machine that comes up in the year
 * 2000 or 2040 therefore neither loses its queue (each message gets at least two more attempts, see retry_expired) nor lets it
 * lie for years. */
#include "retry.h"

#include "../base/clock.h"
#include "../base/random.h"

#define FALLBACK_STEP_MS (5 * 60 * 1000) /* a schedule is never empty; were it so, this */

static int64_t step(const struct conf *conf, unsigned attempt)
{
    const struct conf_queue *queue = &conf->queue;
    if (!queue->retry.count)
        return FALLBACK_STEP_MS;
    size_t at = attempt ? attempt - 1 : 0;
    return queue->retry.items[at < queue->retry.count ? at : queue->retry.count - 1];
}

int64_t retry_delay(const struct conf *conf, unsigned attempt)
{
    int64_t base = step(conf, attempt), tenth = base / 10;
    uint32_t width = (uint32_t)(2 * tenth < INT32_MAX ? 2 * tenth : INT32_MAX);
    return base - width / 2 + random_below(width + 1);
}

int64_t retry_age(const struct entry *entry)
{
    return entry->held ? entry->born_ms : clock_monotonic_ms() - entry->born_ms;
}

static int64_t shortest_step(const struct conf *conf)
{
    int64_t shortest = step(conf, 1);
    for (size_t i = 1; i < conf->queue.retry.count; i++)
        if (conf->queue.retry.items[i] < shortest)
            shortest = conf->queue.retry.items[i];
    return shortest;
}

/* Does the wall clock say by now that ENTRY is younger than the lifetime? The time in its id is that of its arrival, or later: one that
 * lies ahead says nothing. */
static bool is_younger_by_wall(const struct conf *conf, const struct entry *entry)
{
    int64_t age_ms = clock_wall_ms() - uid_time_ms(entry->id);
    return age_ms >= 0 && age_ms < conf->queue.lifetime_ms;
}

bool retry_expired(const struct conf *conf, struct entry *entry)
{
    if (entry->held || retry_age(entry) < conf->queue.lifetime_ms)
        return false;
    if (!entry->recovered)
        return true;
    if (is_younger_by_wall(conf, entry))
        return false;
    int64_t now_ms = clock_monotonic_ms();
    /* Not a whole step: jitter takes up to a tenth off it, and recipients of one message that travel apart fail at moments apart. */
    if (entry->over_ms)
        return now_ms - entry->over_ms >= shortest_step(conf) * 8 / 10;
    entry->over_ms = now_ms ? now_ms : 1; /* 0 is "not yet" */
    return false;
}

bool retry_late(const struct conf *conf, const struct entry *entry)
{
    int64_t warning_ms = conf->queue.delay_warning_ms;
    return warning_ms && !entry->delayed && !entry->null_sender && retry_age(entry) >= warning_ms;
}

int64_t retry_until(const struct conf *conf, const struct entry *entry)
{
    int64_t left_ms = conf->queue.lifetime_ms - retry_age(entry);
    return clock_wall_ms() + (left_ms > 0 ? left_ms : 0);
}

int64_t retry_wall(int64_t due_ms)
{
    return clock_wall_ms() + due_ms - clock_monotonic_ms();
}

static int64_t longest_step(const struct conf *conf)
{
    int64_t longest = step(conf, 1);
    for (size_t i = 1; i < conf->queue.retry.count; i++)
        if (conf->queue.retry.items[i] > longest)
            longest = conf->queue.retry.items[i];
    return longest + longest / 10;
}

int64_t retry_recovered_due(const struct conf *conf, int64_t next_ms)
{
    int64_t wait_ms = next_ms ? next_ms - clock_wall_ms() : 0, most_ms = longest_step(conf);
    wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
    return clock_monotonic_ms() + (wait_ms > 0 ? wait_ms : 0);
}

int64_t retry_recovered_age(const struct conf *conf, int64_t arrived_ms)
{
    int64_t age_ms = clock_wall_ms() - arrived_ms, lifetime_ms = conf->queue.lifetime_ms;
    if (age_ms > lifetime_ms + longest_step(conf))
        return lifetime_ms - (lifetime_ms / 2 < RETRY_GRACE_MS ? lifetime_ms / 2 : RETRY_GRACE_MS);
    age_ms = age_ms < lifetime_ms ? age_ms : lifetime_ms;
    return age_ms > 0 ? age_ms : 0;
}

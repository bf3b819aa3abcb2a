/* What the wall clock is believed at a start, and what it is not. */
#include "../../../relay/queue/retry.h"

#include "../../../relay/base/clock.h"
#include "../unit.h"

#define MINUTE_MS (INT64_C(60) * 1000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)
#define YEAR_MS   (365 * DAY_MS)
#define SLACK_MS  5000 /* the clocks go on while the test looks */

static int64_t steps[] = { 5 * MINUTE_MS, 15 * MINUTE_MS, 4 * HOUR_MS };

static struct conf *settings(int64_t lifetime_ms)
{
    static struct conf conf;
    conf.queue.retry.items = steps;
    conf.queue.retry.count = 3;
    conf.queue.lifetime_ms = lifetime_ms;
    return &conf;
}

static void ages(void **state)
{
    static const struct {
        int64_t ago_ms, lifetime_ms, age_ms;
    } cases[] = {
        { 0, 3 * DAY_MS, 0 },
        { HOUR_MS, 3 * DAY_MS, HOUR_MS },
        { -HOUR_MS, 3 * DAY_MS, 0 },
        { -10 * YEAR_MS, 3 * DAY_MS, 0 },
        { 3 * DAY_MS + HOUR_MS, 3 * DAY_MS, 3 * DAY_MS },                    /* its last attempt may be due yet */
        { 3 * DAY_MS + 5 * HOUR_MS, 3 * DAY_MS, 2 * DAY_MS + 12 * HOUR_MS }, /* somebody should have given it up */
        { 10 * YEAR_MS, 3 * DAY_MS, 2 * DAY_MS + 12 * HOUR_MS },
        { 10 * YEAR_MS, 2 * HOUR_MS, HOUR_MS },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t age_ms = retry_recovered_age(settings(cases[i].lifetime_ms), clock_wall_ms() - cases[i].ago_ms);
        assert_in_range(age_ms, (uintmax_t)cases[i].age_ms, (uintmax_t)cases[i].age_ms + SLACK_MS);
    }
}

static void waits(void **state)
{
    static const int64_t ahead_ms[] = { -10 * YEAR_MS, -1, 10 * MINUTE_MS, 10 * YEAR_MS };
    static const int64_t wait_ms[] = { 0, 0, 10 * MINUTE_MS, 4 * HOUR_MS + 24 * MINUTE_MS };
    (void)state;
    for (size_t i = 0; i < COUNT(ahead_ms); i++) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t due_ms = retry_recovered_due(settings(3 * DAY_MS), clock_wall_ms() + ahead_ms[i]);
        assert_true(due_ms >= now_ms + wait_ms[i] - SLACK_MS && due_ms <= now_ms + wait_ms[i] + SLACK_MS);
    }
}

/* What the sender of a message that is late is told: time on hold does not count, and nothing is promised for the past. */
static void until_when(void **state)
{
    int64_t now_ms = clock_monotonic_ms();
    const struct {
        struct entry entry;
        int64_t left_ms;
    } cases[] = {
        { { .born_ms = now_ms - HOUR_MS }, 3 * DAY_MS - HOUR_MS },
        { { .born_ms = HOUR_MS, .held = true }, 3 * DAY_MS - HOUR_MS },
        { { .born_ms = now_ms - 4 * DAY_MS }, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t left_ms = retry_until(settings(3 * DAY_MS), &cases[i].entry) - clock_wall_ms();
        assert_true(left_ms >= cases[i].left_ms - SLACK_MS && left_ms <= cases[i].left_ms + SLACK_MS);
    }
}

/* An id whose time is AGO_MS before now. */
static struct uid made(int64_t ago_ms)
{
    struct uid id = uid_next();
    int64_t time_ms = clock_wall_ms() - ago_ms;
    for (unsigned i = 0; i < 6; i++)
        id.bytes[i] = (unsigned char)(time_ms >> (40 - 8 * i));
    return id;
}

/* Recovered with an age beyond the lifetime, it fails twice, a step apart: given up unless the clock, set right, calls it young. */
static void ends(void **state)
{
    static const struct {
        int64_t ago_ms;
        bool recovered, expired;
    } cases[] = {
        { HOUR_MS, false, true }, /* known all its life */
        { HOUR_MS, true, false },
        { 4 * DAY_MS, true, true },
        { -YEAR_MS, true, true }, /* an id from the future tells nothing */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf *conf = settings(3 * DAY_MS);
        struct entry entry = { .id = made(cases[i].ago_ms), .recovered = cases[i].recovered };
        entry.born_ms = clock_monotonic_ms() - 3 * DAY_MS - 1;
        if (entry.recovered) {
            assert_false(retry_expired(conf, &entry));
            entry.over_ms = clock_monotonic_ms() - 5 * MINUTE_MS;
        }
        assert_int_equal(retry_expired(conf, &entry), cases[i].expired);
    }
}

/* A held message grows no older, however long that is. */
static void held(void **state)
{
    struct conf *conf = settings(3 * DAY_MS);
    struct entry entry = { .id = made(10 * DAY_MS), .held = true, .born_ms = 2 * HOUR_MS };
    (void)state;
    assert_int_equal(retry_age(&entry), 2 * HOUR_MS);
    assert_false(retry_expired(conf, &entry));
    assert_false(retry_late(conf, &entry));
    entry.born_ms = 4 * DAY_MS;
    assert_false(retry_expired(conf, &entry));
    entry.held = false;
    entry.born_ms = clock_monotonic_ms() - 4 * DAY_MS;
    assert_true(retry_expired(conf, &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages), cmocka_unit_test(waits), cmocka_unit_test(until_when),
        cmocka_unit_test(ends), cmocka_unit_test(held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What each account did in each of the last 24 hours. */
#include "../../../policy/curve.h"

#include "../unit.h"

#define HOUR ((int64_t)3600000)
#define NOW  (480000 * HOUR)

static struct curve *curve;

static int set_up(void **state)
{
    (void)state;
    curve = curve_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    curve_free(&curve);
    curve_free(&curve);
    return 0;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const char *shown(const char *account, int64_t wall_ms)
{
    static char text[8192];
    json_t *list = curve_show(curve, span_of(account), wall_ms);
    char *dumped = json_dumps(list, JSON_COMPACT);
    snprintf(text, sizeof text, "%s", dumped);
    free(dumped);
    json_decref(list);
    return text;
}

static size_t hours(const char *account, int64_t wall_ms)
{
    json_t *list = curve_show(curve, span_of(account), wall_ms);
    size_t count = json_array_size(list);
    json_decref(list);
    return count;
}

static void hour_by_hour(void **state)
{
    (void)state;
    assert_string_equal(shown("alice", NOW), "[]");
    curve_note(curve, SPAN("alice"), CURVE_RECIPIENTS, 2, NOW);
    curve_note(curve, SPAN("alice"), CURVE_RECIPIENTS, 3, NOW + HOUR - 1);
    curve_note(curve, SPAN("alice"), CURVE_SPAM, 1, NOW + HOUR);
    curve_note(curve, SPAN("bob"), CURVE_REFUSED, 1, NOW + HOUR);
    curve_note(curve, SPAN(""), CURVE_REFUSED, 1, NOW);
    assert_string_equal(shown("alice", NOW + HOUR),
                        "[{\"hour\":\"2024-10-04T00:00:00.000Z\",\"recipients\":5,\"refused\":0,\"delivered\":0,\"bounced\":0,"
                        "\"spam\":0},{\"hour\":\"2024-10-04T01:00:00.000Z\",\"recipients\":0,\"refused\":0,\"delivered\":0,"
                        "\"bounced\":0,\"spam\":1}]");
    assert_string_equal(shown("", NOW), "[]");
}

static void a_day_and_no_more(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++)
        curve_note(curve, SPAN("alice"), CURVE_DELIVERED, 1, NOW + i * HOUR);
    assert_int_equal(hours("alice", NOW + 59 * HOUR), 24);
    assert_int_equal(hours("alice", NOW + 70 * HOUR), 13);
    assert_int_equal(hours("alice", NOW + 83 * HOUR), 0);
}

/* A clock that goes back finds nothing of then, and what it notes there is shown there. */
static void clock_jumps(void **state)
{
    (void)state;
    curve_note(curve, SPAN("alice"), CURVE_BOUNCED, 1, NOW);
    assert_int_equal(hours("alice", NOW - HOUR), 0);
    curve_note(curve, SPAN("alice"), CURVE_BOUNCED, 1, NOW - 24 * HOUR);
    assert_int_equal(hours("alice", NOW - 24 * HOUR), 1);
    assert_int_equal(hours("alice", NOW), 0);
    curve_note(curve, SPAN("alice"), CURVE_BOUNCED, 1, -HOUR);
    curve_note(curve, SPAN("alice"), CURVE_BOUNCED, 1, 0);
    assert_int_equal(hours("alice", 0), 0);
    assert_int_equal(hours("alice", -5 * HOUR), 0);
    curve_note(curve, SPAN("alice"), CURVE_BOUNCED, UINT32_MAX, NOW);
    curve_note(curve, SPAN("alice"), CURVE_BOUNCED, UINT32_MAX, NOW);
    assert_non_null(strstr(shown("alice", NOW), "\"bounced\":4294967295"));
}

static void bounded(void **state)
{
    char name[300];
    (void)state;
    memset(name, 'x', 255);
    name[255] = '\0';
    curve_note(curve, span_of(name), CURVE_SPAM, 1, NOW);
    assert_int_equal(hours(name, NOW), 1);
    curve_note(curve, SPAN("alice"), CURVE_SPAM, 1, NOW);
    for (unsigned i = 0; i < CURVE_ACCOUNTS + 10; i++) {
        snprintf(name, sizeof name, "user%u", i);
        curve_note(curve, span_of(name), CURVE_SPAM, 1, NOW);
        if (i % 1000 == 0)
            curve_note(curve, SPAN("alice"), CURVE_SPAM, 1, NOW);
    }
    assert_int_equal(hours("alice", NOW), 1);
    assert_int_equal(hours("user10", NOW), 0);
    assert_int_equal(hours("user20", NOW), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(hour_by_hour), TEST(a_day_and_no_more), TEST(clock_jumps), TEST(bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

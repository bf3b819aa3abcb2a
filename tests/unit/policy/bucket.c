#include "../../../policy/bucket.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

#define HOUR 3600000

static struct bucket_table *table;

static int tear_down(void **state)
{
    (void)state;
    bucket_free(&table);
    return 0;
}

static void make(uint64_t count, int64_t per_ms, uint64_t burst)
{
    table = bucket_new(&(struct bucket_rule){ count, per_ms, burst, 0 }, 1 << 20);
}

/* Counts N for KEY where it fits. */
static bool take(const char *key, uint64_t n, int64_t now_ms)
{
    int64_t wait_ms = -1;
    if (!bucket_fits(table, span_of(key), n, now_ms, &wait_ms)) {
        assert_true(wait_ms > 0);
        return false;
    }
    bucket_count(table, span_of(key), n, now_ms);
    return true;
}

static int64_t wait_for(const char *key, uint64_t n, int64_t now_ms)
{
    int64_t wait_ms = 0;
    bucket_fits(table, span_of(key), n, now_ms, &wait_ms);
    return wait_ms;
}

static void exact_at_the_burst(void **state)
{
    static const struct {
        uint64_t count;
        int64_t per_ms;
        uint64_t burst;
    } cases[] = {
        { 200, HOUR, 50 },
        { 20, HOUR, 20 },
        { 1, 1, 1 },
        { 7, 13, 3 },
        { 3, 86400000, 1 },
        { 500, 1, 1000 }, /* a period far below a second */
        { 1, (int64_t)30 * 86400000, 10 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        make(cases[i].count, cases[i].per_ms, cases[i].burst);
        for (uint64_t k = 0; k < cases[i].burst; k++)
            assert_true(take("a", 1, 1000));
        for (unsigned k = 0; k < 5; k++)
            assert_false(take("a", 1, 1000));
        assert_true(take("b", 1, 1000));
        int64_t wait_ms = wait_for("a", 1, 1000);
        if (wait_ms > 1)
            assert_false(take("a", 1, 1000 + wait_ms - 1));
        assert_true(take("a", 1, 1000 + wait_ms));
        bucket_free(&table);
    }
}

/* The long run: no more than burst + rate, and no less. */
static void rate_in_the_long_run(void **state)
{
    (void)state;
    make(200, HOUR, 50);
    unsigned passed = 0;
    for (int64_t now = 0; now < 24 * HOUR; now += 1000)
        for (unsigned i = 0; i < 3; i++)
            passed += take("a", 1, now);
    assert_int_equal(passed, 50 + 24 * 200 - 1); /* the last hour's last one is not due yet */
}

static void refused_counts_nothing(void **state)
{
    (void)state;
    make(10, HOUR, 10);
    assert_true(take("a", 8, 0));
    assert_false(take("a", 3, 0));
    assert_int_equal(bucket_look(table, SPAN("a"), 0).used, 8);
    assert_true(take("a", 2, 0));
    assert_false(take("new", 11, 0));
    assert_int_equal(bucket_keys(table), 1);
}

static void larger_than_the_burst(void **state)
{
    int64_t wait_ms = 0;
    (void)state;
    make(10, HOUR, 10);
    assert_false(bucket_fits(table, SPAN("a"), 11, 0, &wait_ms));
    assert_true(wait_ms == BUCKET_NEVER);
    assert_int_equal(wait_for("a", 10, 0), 0);
}

/* Extremes of rates and times: whole numbers, no overflow. */
static void no_overflow(void **state)
{
    (void)state;
    make(UINT64_MAX, BUCKET_TIME_MAX, UINT64_MAX);
    assert_true(take("a", UINT64_MAX, 0));
    assert_false(take("a", 1, 0));
    assert_true(take("a", UINT64_MAX, BUCKET_TIME_MAX));
    bucket_free(&table);
    make(1, INT64_MAX, UINT64_MAX);
    assert_true(take("a", UINT64_MAX, 0));
    assert_true(wait_for("a", UINT64_MAX, 0) > 0);
    assert_true(take("a", 1, INT64_MAX / 2));
    bucket_free(&table);
    make(0, 0, 0); /* nonsense becomes the least that makes sense */
    assert_true(take("a", 1, 0));
    assert_false(take("a", 1, 0));
    assert_true(take("a", 1, 1));
}

static void clock_that_jumps(void **state)
{
    (void)state;
    make(10, HOUR, 10);
    assert_true(take("a", 10, 1000000000));
    assert_false(take("a", 1, 0)); /* back: nothing drains */
    assert_int_equal(bucket_look(table, SPAN("a"), 0).used, 10);
    assert_true(take("a", 10, INT64_MAX / 4)); /* far ahead: all has drained, no more than that */
    assert_false(take("a", 1, INT64_MAX / 4));
}

static void what_is_seen(void **state)
{
    (void)state;
    make(60, 60000, 5);
    assert_int_equal(bucket_look(table, SPAN("a"), 0).left, 5);
    take("a", 5, 0);
    struct bucket bucket = bucket_look(table, SPAN("a"), 500);
    assert_int_equal(bucket.used, 5); /* four and a half */
    assert_int_equal(bucket.left, 0);
    assert_int_equal(bucket.wait_ms, 500);
    assert_int_equal(bucket.idle_ms, 500);
    assert_false(bucket.refused);
    bucket_refused(table, SPAN("a"), 600);
    assert_true(bucket_look(table, SPAN("a"), 600).refused);
    take("a", 1, 1600);
    assert_false(bucket_look(table, SPAN("a"), 1600).refused);
}

static void another_rule(void **state)
{
    (void)state;
    make(10, HOUR, 10);
    take("a", 7, 0);
    bucket_change(table, &(struct bucket_rule){ 5, HOUR, 5, 0 }, 1 << 20);
    assert_int_equal(bucket_look(table, SPAN("a"), 0).used, 5);
    assert_false(take("a", 1, 0));
    bucket_change(table, &(struct bucket_rule){ 100, HOUR, 100, 0 }, 1 << 20);
    assert_true(take("a", 95, 0));
    assert_false(take("a", 1, 0));
}

static void restored(void **state)
{
    (void)state;
    make(10, 10000, 10);
    bucket_restore(table, SPAN("a"), 10, 4000, 77);
    assert_int_equal(bucket_look(table, SPAN("a"), 77).used, 6);
    bucket_restore(table, SPAN("b"), 10, -4000, 77);
    assert_int_equal(bucket_look(table, SPAN("b"), 77).used, 10);
    bucket_restore(table, SPAN("c"), 10, INT64_MAX, 77);
    bucket_restore(table, SPAN("d"), 1000, 0, 77);
    assert_int_equal(bucket_look(table, SPAN("d"), 77).used, 10);
    assert_int_equal(bucket_keys(table), 3);
    bucket_restore(table, SPAN("d"), 0, 0, 77);
    assert_int_equal(bucket_keys(table), 2);
}

static bool count_visit(void *context, const struct bucket *bucket)
{
    (void)bucket;
    ++*(unsigned *)context;
    return true;
}

static unsigned changes(int64_t now_ms)
{
    unsigned count = 0;
    bucket_changes(table, now_ms, count_visit, &count);
    return count;
}

static void changes_are_told_once(void **state)
{
    (void)state;
    make(10, HOUR, 10);
    take("a", 1, 0);
    take("b", 1, 0);
    take("a", 1, 0);
    assert_int_equal(changes(0), 2);
    assert_int_equal(changes(0), 0);
    take("b", 1, 0);
    bucket_restore(table, SPAN("c"), 1, 0, 0);
    take("c", 1, 0);
    assert_int_equal(changes(0), 2);
}

static void swept_when_empty(void **state)
{
    (void)state;
    make(10, 10000, 5);
    take("a", 1, 0);
    take("b", 5, 3000);
    bucket_sweep(table, 4999);
    assert_int_equal(bucket_keys(table), 2);
    bucket_sweep(table, 5000); /* any key has drained after five seconds */
    assert_int_equal(bucket_keys(table), 1);
    bucket_sweep(table, 8000);
    assert_int_equal(bucket_keys(table), 0);
}

static void memory_is_bounded(void **state)
{
    char key[40];
    (void)state;
    table = bucket_new(&(struct bucket_rule){ 10, HOUR, 10, 0 }, 64 << 10);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key-number-%u", i);
        assert_true(take(key, 1, i));
        assert_true(bucket_bytes(table) <= 64 << 10);
    }
    assert_true(bucket_keys(table) > 400);
    assert_int_equal(bucket_look(table, span_of(key), 20000).used, 1); /* the last ones stay */
    assert_int_equal(bucket_look(table, SPAN("key-number-0"), 20000).used, 0);
}

/* A million keys in 128 MB, and none of them pushed out. */
static void a_million_keys(void **state)
{
    char key[40];
    (void)state;
    table = bucket_new(&(struct bucket_rule){ 10, HOUR, 10, 0 }, (size_t)128 << 20);
    for (unsigned i = 0; i < 1000000; i++) {
        snprintf(key, sizeof key, "account%u", i);
        bucket_count(table, span_of(key), 1, 0);
    }
    assert_int_equal(bucket_keys(table), 1000000);
    assert_true(bucket_bytes(table) <= (size_t)128 << 20);
    print_message("a million keys: %zu MB\n", bucket_bytes(table) >> 20);
}

static bool mark(void *context, const struct bucket *bucket)
{
    bool *seen = context;
    uint64_t i = 0;
    assert_true(text_number(bucket->key, 0, 9999, &i));
    seen[i] = true;
    return true;
}

/* A walk in steps sees every key that is there throughout, though others come and go and the table grows. */
static void walk_in_steps(void **state)
{
    static bool seen[100000];
    size_t cursor = 0;
    unsigned next = 5000, rounds = 0;
    char key[40];
    (void)state;
    make(10, HOUR, 10);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%u", i);
        bucket_count(table, span_of(key), 1, 0);
    }
    while (bucket_walk(table, &cursor, 0, mark, seen)) {
        for (unsigned i = 0; i < 1500 && next < 10000; i++, next++) {
            snprintf(key, sizeof key, "%u", next);
            bucket_count(table, span_of(key), 1, 0);
        }
        assert_true(++rounds < 100);
    }
    for (unsigned i = 0; i < 5000; i++)
        assert_true(seen[i]);
}

static void long_and_odd_keys(void **state)
{
    char key[400];
    (void)state;
    make(10, HOUR, 1);
    memset(key, 'k', sizeof key);
    bucket_count(table, span_make(key, 400), 1, 0);
    assert_int_equal(bucket_look(table, span_make(key, BUCKET_KEY_MAX), 0).used, 1);
    bucket_count(table, SPAN("a\0b"), 1, 0);
    assert_int_equal(bucket_look(table, SPAN("a\0c"), 0).used, 0);
    bucket_count(table, SPAN(""), 1, 0);
    assert_int_equal(bucket_look(table, SPAN(""), 0).used, 1);
    assert_int_equal(bucket_keys(table), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(exact_at_the_burst, tear_down),
        cmocka_unit_test_teardown(rate_in_the_long_run, tear_down),
        cmocka_unit_test_teardown(refused_counts_nothing, tear_down),
        cmocka_unit_test_teardown(larger_than_the_burst, tear_down),
        cmocka_unit_test_teardown(no_overflow, tear_down),
        cmocka_unit_test_teardown(clock_that_jumps, tear_down),
        cmocka_unit_test_teardown(what_is_seen, tear_down),
        cmocka_unit_test_teardown(another_rule, tear_down),
        cmocka_unit_test_teardown(restored, tear_down),
        cmocka_unit_test_teardown(changes_are_told_once, tear_down),
        cmocka_unit_test_teardown(swept_when_empty, tear_down),
        cmocka_unit_test_teardown(memory_is_bounded, tear_down),
        cmocka_unit_test_teardown(a_million_keys, tear_down),
        cmocka_unit_test_teardown(walk_in_steps, tear_down),
        cmocka_unit_test_teardown(long_and_odd_keys, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

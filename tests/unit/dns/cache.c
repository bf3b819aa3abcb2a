#include "../../../relay/dns/cache.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

static struct cache *cache;

static void put(const char *name, enum dns_status status, uint32_t ttl_s, const char *body, int64_t now_ms)
{
    struct found found = { .status = status, .ttl_s = ttl_s, .body = span_of(body) };
    cache_put(cache, CACHE_MX, span_of(name), now_ms, &found);
}

static bool knows(const char *name, const char *body, int64_t now_ms)
{
    struct found found;
    return cache_get(cache, CACHE_MX, span_of(name), now_ms, &found) && span_equal(found.body, span_of(body));
}

static int set_up(void **state)
{
    (void)state;
    cache = cache_new(3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cache_free(&cache);
    return cache != NULL;
}

static void holds_as_long_as_said(void **state)
{
    struct found found;
    (void)state;
    put("a", DNS_OK, 10, "body", 1000);
    assert_true(cache_get(cache, CACHE_MX, SPAN("a"), 1000, &found));
    assert_int_equal(found.ttl_s, 10);
    assert_true(cache_get(cache, CACHE_MX, SPAN("a"), 10999, &found));
    assert_int_equal(found.ttl_s, 1);
    assert_false(cache_get(cache, CACHE_MX, SPAN("a"), 11000, &found));
    assert_int_equal(cache_count(cache), 0);
    put("b", DNS_NXDOMAIN, 0, "", 1000);
    assert_int_equal(cache_count(cache), 0);
}

static void kinds_are_apart(void **state)
{
    struct found found = { .status = DNS_OK, .implicit = true, .ttl_s = 10, .body = SPAN("x") };
    (void)state;
    put("a", DNS_NXDOMAIN, 10, "", 0);
    cache_put(cache, CACHE_ADDRESS, SPAN("a"), 0, &found);
    assert_int_equal(cache_count(cache), 2);
    assert_true(cache_get(cache, CACHE_MX, SPAN("a"), 1, &found));
    assert_int_equal(found.status, DNS_NXDOMAIN);
    assert_false(found.implicit);
    cache_drop(cache, CACHE_MX);
    assert_false(cache_get(cache, CACHE_MX, SPAN("a"), 1, &found));
    assert_true(cache_get(cache, CACHE_ADDRESS, SPAN("a"), 1, &found));
    assert_true(found.implicit);
}

static void replaces(void **state)
{
    (void)state;
    put("a", DNS_OK, 10, "old", 0);
    put("a", DNS_OK, 10, "new", 0);
    assert_int_equal(cache_count(cache), 1);
    assert_true(knows("a", "new", 1));
}

static void least_used_leaves(void **state)
{
    (void)state;
    put("a", DNS_OK, 10, "1", 0);
    put("b", DNS_OK, 10, "2", 0);
    put("c", DNS_OK, 10, "3", 0);
    assert_true(knows("a", "1", 1));
    put("d", DNS_OK, 10, "4", 0);
    assert_int_equal(cache_count(cache), 3);
    assert_false(knows("b", "2", 1));
    assert_true(knows("a", "1", 1));
    cache_resize(cache, 1);
    assert_int_equal(cache_count(cache), 1);
    assert_true(knows("a", "1", 1));
}

static void many(void **state)
{
    char name[40];
    (void)state;
    cache_resize(cache, 1000);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "host%u.example", i);
        put(name, DNS_OK, 10, "x", 0);
    }
    assert_int_equal(cache_count(cache), 1000);
    assert_true(knows("host19999.example", "x", 1));
    assert_false(knows("host18999.example", "x", 1));
}

/* Answers as large as they come take the room of many. */
static void large_ones(void **state)
{
    static char body[4000];
    char name[40];
    (void)state;
    cache_resize(cache, 1000);
    memset(body, 'x', sizeof body - 1);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "host%u.example", i);
        put(name, DNS_OK, 10, i % 2 ? body : "x", 0);
    }
    assert_in_range(cache_count(cache), 200, 1000 * CACHE_ANSWER_BYTES / 2000);
    assert_true(knows("host999.example", body, 1));
    for (unsigned i = 0; i < 1000; i++)
        put("host999.example", DNS_OK, 10, body, 0);
    assert_in_range(cache_count(cache), 200, 1000 * CACHE_ANSWER_BYTES / 2000);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "small%u.example", i);
        put(name, DNS_OK, 10, "x", 0);
    }
    assert_int_equal(cache_count(cache), 1000);
    cache_resize(cache, 1);
    put("large.example", DNS_OK, 10, body, 0);
    assert_int_equal(cache_count(cache), 1);
    assert_true(knows("large.example", body, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holds_as_long_as_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kinds_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(least_used_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_ones, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

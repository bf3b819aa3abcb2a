#include "../../../policy/admin.h"

#include "../../../relay/base/text.h"
#include "../unit.h"
#include "settings.h"

#include <jansson.h>

#define HOUR 3600000

static struct limit_set *limits;
static struct conf_limit rows[4];
static struct conf conf = { .limits = rows, .nlimits = 4 };
static json_t *told; /* what was sent, an array */

static int set_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        rows[i] = (struct conf_limit){ .then = CONF_THEN_DEFER, .rate = { 10, HOUR }, .count = CONF_COUNT_RECIPIENTS };
    rows[0].name = settings_text("hourly");
    rows[1].name = settings_text("addresses");
    rows[1].key = CONF_KEY_CLIENT;
    rows[2].name = settings_text("watched");
    rows[2].count = CONF_COUNT_MESSAGES;
    rows[2].mode = CONF_MODE_OBSERVE;
    rows[3].name = settings_text("off");
    rows[3].mode = CONF_MODE_OFF;
    limits = limit_new(&conf, NULL, NULL);
    told = json_array();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    limit_free(&limits);
    json_decref(told);
    return 0;
}

static bool hear(void *context, const char *json)
{
    json_error_t error;
    json_t *value = json_loads(json, 0, &error);
    (void)context;
    assert_non_null(value);
    json_array_append_new(told, value);
    return true;
}

static enum admin_result ask(const char *account, const char *client)
{
    struct admin_ask question = { .verb = ADMIN_LIMITS };
    char reason[400];
    text_copy(question.account, sizeof question.account, span_of(account));
    text_copy(question.client, sizeof question.client, span_of(client));
    json_array_clear(told);
    enum admin_result result = admin_limits(limits, &question, 0, hear, NULL, reason);
    assert_int_equal(result == ADMIN_DONE, reason[0] == '\0');
    return result;
}

static const char *text(size_t row, const char *field)
{
    return json_string_value(json_object_get(json_array_get(told, row), field));
}

static int number(size_t row, const char *field)
{
    return (int)json_integer_value(json_object_get(json_array_get(told, row), field));
}

static void use(size_t index, const char *key, uint64_t n)
{
    bucket_count(limit_at(limits, index)->buckets, span_of(key), n, 0);
}

static void all_that_is_used(void **state)
{
    (void)state;
    assert_int_equal(ask("", ""), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 0);
    use(0, "alice", 4);
    use(0, "b\"\\\xff", 1);
    use(1, "192.0.2.1", 10);
    assert_int_equal(ask("", ""), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 3);
    assert_string_equal(text(0, "value"), "b\"\\x5c\\xff");
    assert_string_equal(text(1, "limit"), "hourly");
    assert_string_equal(text(1, "key"), "account");
    assert_string_equal(text(1, "value"), "alice");
    assert_string_equal(text(1, "count"), "recipients");
    assert_int_equal(number(1, "used"), 4);
    assert_int_equal(number(1, "left"), 6);
    assert_string_equal(text(1, "per"), "1h");
    assert_string_equal(text(1, "then"), "defer");
    assert_string_equal(text(1, "mode"), "enforce");
    assert_null(text(1, "next"));
    assert_non_null(text(2, "next"));
}

static void by_filter(void **state)
{
    (void)state;
    use(0, "alice", 4);
    use(1, "2001:db8:1:2::/64", 10);
    assert_int_equal(ask("Alice", ""), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 2); /* hourly, and watched with nothing used */
    assert_int_equal(number(0, "used"), 4);
    assert_int_equal(number(1, "used"), 0);
    assert_string_equal(text(1, "mode"), "observe");
    assert_int_equal(ask("", "2001:db8:1:2::99"), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 1);
    assert_string_equal(text(0, "value"), "2001:db8:1:2::/64");
    assert_int_equal(number(0, "left"), 0);
    assert_int_equal(ask("", "nonsense"), ADMIN_REFUSED);
    assert_int_equal(ask("alice", "192.0.2.1"), ADMIN_REFUSED);
}

static void accounts_in_trouble(void **state)
{
    (void)state;
    use(0, "alice", 10);
    use(0, "bob", 9);
    use(0, "carol", 5);
    bucket_refused(limit_at(limits, 0)->buckets, SPAN("carol"), 0);
    use(1, "192.0.2.1", 10);
    use(2, "dave", 10);
    assert_int_equal(admin_status(limits, 0, hear, NULL), ADMIN_DONE);
    json_t *accounts = json_object_get(json_array_get(told, 0), "accounts");
    assert_int_equal(json_array_size(accounts), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(accounts, 0), "account")), "carol");
    assert_string_equal(json_string_value(json_object_get(json_array_get(accounts, 1), "account")), "alice");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_is_used),
        TEST(by_filter),
        TEST(accounts_in_trouble),
    };
    log_setup(LOG_LOGFMT, LOG_ERROR, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

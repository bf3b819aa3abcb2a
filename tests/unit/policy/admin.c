#include "../../../policy/admin.h"

#include "../../../relay/base/text.h"
#include "../unit.h"
#include "settings.h"

#include <jansson.h>

#define HOUR 3600000

static struct limit_set *limits;
static struct conf_limit rows[4];
static struct conf_account entries[2];
static struct conf conf = { .limits = rows, .nlimits = 4, .accounts = entries, .naccounts = 2 };
static struct account_table *table;
static struct judge *judge;
static json_t *told; /* what was sent, an array */

/* By the rows as they are now. */
static void make_limits(void)
{
    limits = limit_new(&conf, NULL, &limits);
    judge_settings(judge, &conf, table, limits);
}

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
    entries[0] = (struct conf_account){ .name = settings_text("*"), .class = settings_text("staff") };
    entries[1] = (struct conf_account){ .name = settings_text("newsletter"), .class = settings_text("bulk") };
    table = account_new(&conf);
    judge = judge_new(NULL, NULL);
    make_limits();
    told = json_array();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    judge_free(&judge);
    account_free(&table);
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
    enum admin_result result = admin_limits(judge, &question, 0, hear, NULL, reason);
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
    assert_int_equal(number(1, "burst"), number(1, "left") + number(1, "used"));
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

/* As the decision about mail has it; what is not known of who asks, may be. */
static void only_what_counts(void **state)
{
    static const struct {
        const char *account, *client, *limits;
    } cases[] = {
        { "alice", "", "hourly watched " },      { "Newsletter", "", "watched " },           { "bob", "", "hourly " },
        { "", "192.0.2.1", "addresses " },       { "", "2001:db8::1", "addresses guests " }, { "", "2001:db8:0:1::1", "" },
        { "", "10.9.9.9", "addresses guests " },
    };
    (void)state;
    rows[0].except = (struct conf_strings)SETTINGS_TEXTS("class:BULK", "192.0.2.0/24");
    rows[1].except = (struct conf_strings)SETTINGS_TEXTS("2001:db8:0:1::/64");
    rows[2].apply_to = (struct conf_strings)SETTINGS_TEXTS("203.0.113.0/24");
    rows[2].except = (struct conf_strings)SETTINGS_TEXTS("bob");
    rows[3].name = settings_text("guests");
    rows[3].mode = CONF_MODE_ENFORCE;
    rows[3].key = CONF_KEY_NETWORK;
    rows[3].apply_to = (struct conf_strings)SETTINGS_TEXTS("class:guest", "10.0.0.0/8");
    rows[3].except = (struct conf_strings)SETTINGS_TEXTS("2001:db8:0:1::/64", "192.0.2.0/24");
    make_limits();
    for (size_t i = 0; i < COUNT(cases); i++) {
        char names[200] = "";
        assert_int_equal(ask(cases[i].account, cases[i].client), ADMIN_DONE);
        for (size_t row = 0; row < json_array_size(told); row++)
            text_format(names + strlen(names), sizeof names - strlen(names), "%s ", text(row, "limit"));
        assert_string_equal(names, cases[i].limits);
    }
}

static void accounts_in_trouble(void **state)
{
    const struct admin_store store = { true, false, 0 };
    (void)state;
    use(0, "alice", 10);
    use(0, "bob", 9);
    use(0, "carol", 5);
    bucket_refused(limit_at(limits, 0)->buckets, SPAN("carol"), 0);
    use(1, "192.0.2.1", 10);
    use(2, "dave", 10);
    assert_int_equal(admin_status(limits, judge_standing(judge), &store, 0, hear, NULL), ADMIN_DONE);
    const json_t *shown = json_object_get(json_array_get(told, 0), "store");
    assert_string_equal(json_string_value(json_object_get(shown, "state")), "away");
    assert_string_equal(json_string_value(json_object_get(shown, "since")), "1970-01-01T00:00:00.000Z");
    json_t *accounts = json_object_get(json_array_get(told, 0), "accounts");
    assert_int_equal(json_array_size(accounts), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(accounts, 0), "account")), "carol");
    assert_string_equal(json_string_value(json_object_get(json_array_get(accounts, 1), "account")), "alice");
}

#define DAY ((int64_t)86400000)
#define NOW (20780 * DAY + 5) /* 2026-11-23 */

static enum admin_result ask_would(struct would *would, const char *account, const char *client, char reason[400])
{
    struct admin_ask question = { .verb = ADMIN_WOULD };
    text_copy(question.account, sizeof question.account, span_of(account));
    text_copy(question.client, sizeof question.client, span_of(client));
    json_array_clear(told);
    return admin_would(would, &question, NOW, hear, NULL, reason);
}

static void what_would_have_been(void **state)
{
    char reason[400], key[32];
    (void)state;
    struct would *would = would_new();
    assert_int_equal(ask_would(would, "", "", reason), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 0);
    would_note(would, &rows[2], false, "al\"ice", 4, NOW - DAY);
    would_note(would, &rows[2], false, "al\"ice", 2, NOW);
    would_note(would, &rows[1], true, "2001:db8:1:2::/64", 1, NOW);
    assert_int_equal(ask_would(would, "", "", reason), ADMIN_DONE);
    assert_string_equal(reason, "");
    assert_int_equal(json_array_size(told), 4);
    json_t *wanted = json_loads(
        "{\"limit\": \"watched\", \"key\": \"account\", \"value\": \"al\\\"ice\", \"count\": \"messages\", \"mode\": "
        "\"observe\", "
        "\"then\": \"defer\", \"days\": [{\"day\": \"2026-11-22\", \"questions\": 1, \"units\": 4}, {\"day\": \"2026-11-23\", "
        "\"questions\": 1, \"units\": 2}], \"questions\": 2, \"units\": 6}",
        0, NULL);
    assert_true(json_equal(json_array_get(told, 0), wanted));
    json_decref(wanted);
    assert_string_equal(text(1, "mode"), "enforce");
    assert_true(json_is_null(json_object_get(json_array_get(told, 2), "value")));
    json_t *days = json_object_get(json_array_get(told, 2), "days");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(days, 0), "keys")), 1);
    assert_int_equal(ask_would(would, "AL\"ice", "", reason), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 1);
    assert_int_equal(ask_would(would, "", "2001:db8:1:2::77", reason), ADMIN_DONE);
    assert_int_equal(json_array_size(told), 1);
    assert_int_equal(ask_would(would, "a", "192.0.2.1", reason), ADMIN_REFUSED);
    for (unsigned i = 0; i < ADMIN_WOULD_MAX; i++) {
        text_format(key, sizeof key, "user%u", i);
        would_note(would, &rows[2], false, key, 1, NOW);
    }
    assert_int_equal(ask_would(would, "", "", reason), ADMIN_DONE);
    assert_int_equal(json_array_size(told), ADMIN_WOULD_MAX + 2);
    assert_memory_equal(reason, "only the first 1000", 19);
    would_free(&would);
}

static void who_logged_in(void **state)
{
    static const struct {
        const char *client;
        enum admin_result result;
    } cases[] = {
        { "192.0.2.1", ADMIN_DONE },
        { "192.0.2.2", ADMIN_NOT_FOUND },
        { "", ADMIN_REFUSED },
        { "192.0.2.0/24", ADMIN_REFUSED },
    };
    struct netaddr client;
    char reason[400];
    (void)state;
    struct logins *logins = logins_new();
    netaddr_parse(SPAN("192.0.2.1"), &client);
    logins_note(logins, &client, SPAN("al\"ice"), NOW);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct admin_ask question = { .verb = ADMIN_LOGIN_OF };
        text_copy(question.client, sizeof question.client, span_of(cases[i].client));
        json_array_clear(told);
        assert_int_equal(admin_login_of(logins, &question, NOW, hear, NULL, reason), cases[i].result);
        assert_int_equal(json_array_size(told), cases[i].result == ADMIN_DONE);
        assert_int_equal(reason[0] == '\0', cases[i].result == ADMIN_DONE);
    }
    json_array_clear(told);
    struct admin_ask question = { .client = "192.0.2.1" };
    admin_login_of(logins, &question, NOW, hear, NULL, reason);
    assert_string_equal(text(0, "client"), "192.0.2.1");
    assert_string_equal(text(0, "account"), "al\"ice");
    assert_string_equal(text(0, "when"), "2026-11-23T00:00:00.005Z");
    logins_free(&logins);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_is_used),     TEST(by_filter),     TEST(only_what_counts), TEST(accounts_in_trouble),
        TEST(what_would_have_been), TEST(who_logged_in),
    };
    log_setup(LOG_LOGFMT, LOG_ERROR, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an administrator hears of accounts, and does about them. */
#include "../../../policy/admin_account.h"

#include "../../../relay/base/clock.h"
#include "court.h"

static struct {
    json_t *values;
    char reason[400];
    unsigned most; /* then nobody listens any more */
} heard;

static bool take(void *context, const char *json)
{
    (void)context;
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    json_array_append_new(heard.values, value);
    return !heard.most || json_array_size(heard.values) < heard.most;
}

typedef enum admin_result (*verb)(struct judge *judge, const struct admin_ask *ask, admin_send send, void *context,
                                  char ret_reason[400]);

static enum admin_result ask(verb answer, const char *account)
{
    struct admin_ask question = { .ticket = 1 };
    memset(question.account, 'z', sizeof question.account); /* a peer may leave the NUL out */
    if (strlen(account) < sizeof question.account)
        text_copy(question.account, sizeof question.account, span_of(account));
    json_decref(heard.values);
    heard.values = json_array();
    memset(heard.reason, '!', sizeof heard.reason);
    enum admin_result result = answer(court.judge, &question, take, NULL, heard.reason);
    assert_non_null(memchr(heard.reason, '\0', sizeof heard.reason));
    return result;
}

static size_t count(void)
{
    return json_array_size(heard.values);
}

/* The text at NAME of the value at INDEX. */
static const char *text(size_t index, const char *name)
{
    const char *value = json_string_value(json_object_get(json_array_get(heard.values, index), name));
    return value ? value : "";
}

static int64_t number(size_t index, const char *name)
{
    return json_integer_value(json_object_get(json_array_get(heard.values, index), name));
}

static int begin(void **state)
{
    int made = folder_make(state);
    court_new(NULL, 0);
    heard.most = 0;
    return made;
}

static int finish(void **state)
{
    json_decref(heard.values);
    heard.values = NULL;
    return court_close(state);
}

static void signal_of(const char *account)
{
    standing_signal(judge_standing(court.judge), span_of(account), json_pack("{s:s}", "kind", "hard-bounces"), 1700000000000);
}

/* The suspended ones first; with a name that one, whether something is known of it or not. */
static void listed(void **state)
{
    (void)state;
    assert_int_equal(ask(admin_account_list, ""), ADMIN_DONE);
    assert_int_equal(count(), 0);
    signal_of("alice");
    court_suspend("bob", "a reason");
    signal_of("carol");
    assert_int_equal(ask(admin_account_list, ""), ADMIN_DONE);
    assert_int_equal(count(), 3);
    assert_string_equal(text(0, "account"), "bob");
    assert_string_equal(text(0, "state"), "suspended");
    assert_string_equal(text(0, "reason"), "a reason");
    assert_string_equal(text(0, "by"), "administrator");
    assert_int_equal(number(1, "signals") + number(2, "signals"), 2);
    assert_int_equal(ask(admin_account_list, "ALICE"), ADMIN_DONE);
    assert_int_equal(count(), 1);
    assert_string_equal(text(0, "account"), "alice");
    assert_int_equal(ask(admin_account_list, "nobody"), ADMIN_DONE);
    assert_string_equal(text(0, "state"), "active");
    assert_string_equal(heard.reason, "");
    heard.most = 1;
    assert_int_equal(ask(admin_account_list, ""), ADMIN_DONE);
    assert_in_range(count(), 1, 2); /* one of each kind, and no more */
}

static void a_long_list(void **state)
{
    char name[32];
    (void)state;
    for (unsigned i = 0; i < ADMIN_ROWS_MAX; i++) {
        snprintf(name, sizeof name, "user%u", i);
        signal_of(name);
    }
    assert_int_equal(ask(admin_account_list, ""), ADMIN_DONE);
    assert_int_equal(count(), ADMIN_ROWS_MAX);
    assert_string_equal(heard.reason, "");
    court_suspend("bob", "a reason");
    signal_of("one more");
    assert_int_equal(ask(admin_account_list, ""), ADMIN_DONE);
    assert_int_equal(count(), ADMIN_ROWS_MAX);
    assert_string_equal(text(0, "account"), "bob");
    assert_string_equal(heard.reason, "only the first 10000 are shown; ask for one account");
}

static void shown(void **state)
{
    struct netaddr client = court_address("192.0.2.1");
    (void)state;
    logins_note(judge_logins(court.judge), &client, SPAN("alice"), clock_wall_ms());
    curve_note(judge_curve(court.judge), SPAN("alice"), CURVE_RECIPIENTS, 3, clock_wall_ms());
    assert_int_equal(ask(admin_account_show, "Alice"), ADMIN_DONE);
    assert_string_equal(text(0, "state"), "active");
    assert_int_equal(json_array_size(json_object_get(json_array_get(heard.values, 0), "networks")), 1);
    assert_int_equal(json_array_size(json_object_get(json_array_get(heard.values, 0), "curve")), 1);
    assert_null(json_object_get(json_array_get(heard.values, 0), "name"));
    court_suspend("alice", "a reason");
    client = court_address("198.51.100.1");
    logins_note(judge_logins(court.judge), &client, SPAN("alice"), clock_wall_ms());
    ask(admin_account_show, "alice");
    assert_int_equal(json_array_size(json_object_get(json_array_get(heard.values, 0), "networks")), 1); /* as they were then */
    assert_int_equal(ask(admin_account_show, "nobody"), ADMIN_DONE);
    assert_int_equal(count(), 1);
    assert_int_equal(court_records(), 1);
}

static void changed(void **state)
{
    (void)state;
    assert_int_equal(ask(admin_account_suspend, "Alice"), ADMIN_DONE);
    assert_string_equal(text(0, "state"), "suspended");
    assert_true(json_is_true(json_object_get(json_array_get(heard.values, 0), "changed")));
    assert_int_equal(ask(admin_account_suspend, "alice"), ADMIN_DONE);
    assert_true(json_is_false(json_object_get(json_array_get(heard.values, 0), "changed")));
    assert_int_equal(ask(admin_account_resume, "ALICE"), ADMIN_DONE);
    assert_string_equal(text(0, "state"), "active");
    assert_int_equal(ask(admin_account_resume, "alice"), ADMIN_DONE);
    assert_true(json_is_false(json_object_get(json_array_get(heard.values, 0), "changed")));
    assert_string_equal(court.told, "suspended alice;resumed alice;");
    assert_int_equal(court.nletters, 1);
    court_restart();
    assert_int_equal(standing_suspended(judge_standing(court.judge)), 0);
}

/* No name, names that are odd, and one that fills its place. */
static void names(void **state)
{
    static const verb verbs[] = { admin_account_show, admin_account_suspend, admin_account_resume };
    static const char *const odd[] = { "corp\\bob", "m\xc3\xbcller", "\xff\r\n", "\"}{" };
    char full[2 * ACCOUNT_NAME_SIZE];
    (void)state;
    memset(full, 'x', sizeof full - 1);
    full[sizeof full - 1] = '\0';
    for (size_t i = 0; i < COUNT(verbs); i++) {
        assert_int_equal(ask(verbs[i], ""), ADMIN_REFUSED);
        assert_string_equal(heard.reason, "this command needs the name of an account");
        assert_int_equal(count(), 0);
        for (size_t k = 0; k < COUNT(odd); k++) {
            assert_int_equal(ask(verbs[i], odd[k]), ADMIN_DONE);
            assert_int_equal(count(), 1);
        }
        assert_int_equal(ask(verbs[i], full), ADMIN_DONE);
        assert_int_equal(strlen(text(0, "account")), ACCOUNT_NAME_SIZE - 1);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(listed), TEST(a_long_list), TEST(shown), TEST(changed), TEST(names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

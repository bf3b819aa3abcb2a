/* Words of other machines about accounts, true, late, repeated and wrong. What is said to them is in tests/lab/redis_lab.py. */
#include "../../../policy/machines.h"

#include "../../../relay/base/clock.h"
#include "court.h"

static struct machines machines;
static int64_t now_ms;

static int begin(void **state)
{
    static char nobody; /* stands for a Redis that nothing is said to here */
    int made = folder_make(state);
    court_new(NULL, 0);
    machines_init(&machines, court.judge);
    machines_set_sharing(&machines, (struct sharing *)(void *)&nobody);
    now_ms = clock_wall_ms();
    return made;
}

static int finish(void **state)
{
    machines_fini(&machines);
    return court_close(state);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, finish)

static void hear(const char *account, const char *json)
{
    machines_events.changed(&machines, span_of(account), span_of(json));
}

static void word(const char *account, const char *state, int64_t since_ms)
{
    char json[200];
    snprintf(json, sizeof json, "{\"state\": \"%s\", \"reason\": \"theirs\", \"since_ms\": %lld}", state, (long long)since_ms);
    hear(account, json);
}

static void a_newer_word_holds(void **state)
{
    (void)state;
    word("Alice", "suspended", now_ms);
    assert_string_equal(court.told, "suspended alice;");
    assert_string_equal(standing_reason(judge_standing(court.judge), SPAN("alice")), "theirs");
    word("alice", "suspended", now_ms); /* its echo */
    word("alice", "suspended", now_ms + 5);
    word("alice", "active", now_ms + 10);
    word("alice", "active", now_ms + 10);
    word("bob", "active", now_ms);
    assert_string_equal(court.told, "suspended alice;resumed alice;");
    assert_int_equal(court.nletters, 0);
}

/* "No more suspended" is told again at each connection: it forgives nothing that came since. */
static void an_old_resume_forgives_nothing(void **state)
{
    struct standing *standing = judge_standing(court.judge);
    (void)state;
    word("alice", "suspended", now_ms);
    word("alice", "active", now_ms + 1);
    standing_strike(standing, SPAN("alice"), 50, json_object(), now_ms);
    standing_strike(standing, SPAN("bob"), 50, json_object(), now_ms);
    for (unsigned i = 0; i < 3; i++) {
        word("alice", "active", now_ms + 1);
        word("bob", "active", now_ms);
    }
    assert_int_equal(standing_weight(standing, SPAN("alice"), now_ms), 50);
    assert_int_equal(standing_weight(standing, SPAN("bob"), now_ms), 50);
}

static void wrong_words(void **state)
{
    static const char *const wrong[] = { "",
                                         "7",
                                         "[]",
                                         "{",
                                         "{\"state\": 7, \"since_ms\": \"x\"}",
                                         "{\"a\":1,\"a\":2}",
                                         "{\"state\": \"suspended\", \"since_ms\": 9223372036854775807}",
                                         "{\"state\": \"suspended\", \"since_ms\": -1}" };
    char longest[600];
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        hear("alice", wrong[i]);
    hear("", "{\"state\": \"suspended\", \"since_ms\": 1}");
    machines_events.changed(&machines, SPAN("alice"), (struct span){ .p = NULL });
    assert_string_equal(court.told, "");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    word(longest, "suspended", now_ms);
    assert_int_equal(standing_suspended(judge_standing(court.judge)), 1);
    machines_set_sharing(&machines, NULL);
    word("alice", "suspended", now_ms);
    assert_int_equal(standing_suspended(judge_standing(court.judge)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(a_newer_word_holds), TEST(an_old_resume_forgives_nothing), TEST(wrong_words) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

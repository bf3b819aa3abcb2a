/* Who may come in: connections, logins right and wrong, and what somebody who guesses can learn. */
#include "../../../policy/admit.h"

#include "../../../policy/answer.h"
#include "../../../relay/base/clock.h"
#include "court.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, folder_make, court_close)

static struct policy_answer answer;

static enum policy_verdict login(const char *account, bool accepted, const char *client, int64_t now_ms)
{
    struct policy_login ask = { .ticket = 7, .client = court_address(client), .accepted = accepted };
    text_copy(ask.account, sizeof ask.account, span_of(account));
    admit_login(court.judge, &ask, now_ms, &answer);
    assert_int_equal(answer.ticket, 7);
    return answer.verdict;
}

static enum policy_verdict connection(const char *client, int64_t now_ms)
{
    struct policy_connect ask = { .ticket = 8, .client = court_address(client) };
    admit_connect(court.judge, &ask, now_ms, &answer);
    assert_int_equal(answer.ticket, 8);
    return answer.verdict;
}

static bool replied(const char *begin)
{
    return strncmp(answer.reply, begin, strlen(begin)) == 0;
}

/* How often the limits "doors" and "pace" would not have let something pass. */
static bool add_questions(void *context, const struct would_row *row)
{
    uint64_t *questions = context;
    if (row->value)
        questions[strcmp(row->limit, "pace") == 0] += row->questions;
    return true;
}

static void connections(void **state)
{
    (void)state;
    struct conf_limit limits[] = {
        court_limit("rush", CONF_KEY_CLIENT, CONF_COUNT_CONNECTIONS, 2, CONF_THEN_DEFER),
        court_limit("calm", CONF_KEY_NETWORK, CONF_COUNT_CONNECTIONS, 3, CONF_THEN_SLOW),
    };
    court_new(limits, 2);
    assert_int_equal(connection("192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(connection("192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 0);
    assert_int_equal(connection("192.0.2.1", 0), POLICY_DEFER);
    assert_true(replied("421 4.7.0 limit rush of client 192.0.2.1 is used up: 2 connections in 1h; more from "));
    assert_int_equal(connection("192.0.2.2", 0), POLICY_ALLOW);
    assert_int_equal(connection("192.0.2.3", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, ANSWER_DELAY_MAX_MS);
    court.limits[0].then = CONF_THEN_REJECT;
    assert_int_equal(connection("192.0.2.1", 0), POLICY_REJECT);
}

/* Above the limit the right password is answered as a wrong one, in words and time; and neither leaves anything, so that the next answer
 * does not tell either. */
static void a_guesser_learns_nothing(void **state)
{
    char first[POLICY_TEXT_SIZE];
    (void)state;
    struct conf_limit limits[] = {
        court_limit("guesses", CONF_KEY_ACCOUNT, CONF_COUNT_AUTH_FAILURES, 3, CONF_THEN_DEFER),
        court_limit("addresses", CONF_KEY_CLIENT, CONF_COUNT_AUTH_FAILURES, 5, CONF_THEN_REJECT),
    };
    court_new(limits, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(login("alice", false, "192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(login(i % 2 ? "ALICE" : "alice", i & 1, "192.0.2.1", 0), POLICY_DEFER);
        assert_true(replied("421 4.7.0 limit guesses of account alice is used up: 3 auth-failures in 1h; more from "));
        assert_int_equal(answer.delay_ms, ADMIT_GUESS_MS);
        if (i == 0)
            text_copy(first, sizeof first,
                      span_of_array(answer.reply, strlen("421 4.7.0 limit guesses of account alice is used up: 3 ")));
        assert_true(replied(first));
        assert_int_equal(court_used(0, "alice", 0), 3);
        assert_int_equal(court_used(1, "192.0.2.1", 0), 3);
    }
    assert_int_equal(login("alice", true, "192.0.2.1", COURT_HOUR / 3), POLICY_ALLOW);
    assert_int_equal(login("bob", true, "192.0.2.1", 0), POLICY_ALLOW);
}

/* An address that tries many names is stopped by its own limit, for those names that are right, too. Made-up names leave nothing. */
static void many_names_from_one_address(void **state)
{
    char name[32];
    size_t networks;
    (void)state;
    struct conf_limit limits[] = { court_limit("addresses", CONF_KEY_CLIENT, CONF_COUNT_AUTH_FAILURES, 20, CONF_THEN_REJECT) };
    court_new(limits, 1);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "made-up-%u", i);
        assert_int_equal(login(name, false, "2001:db8:1:2::1", 0), i < 20 ? POLICY_ALLOW : POLICY_REJECT);
    }
    assert_int_equal(login("alice", true, "2001:db8:1:2::ffff", 0), POLICY_REJECT);
    assert_int_equal(login("alice", true, "2001:db8:1:3::1", 0), POLICY_ALLOW);
    assert_int_equal(court_records(), 0);
    assert_int_equal(logins_count(judge_logins(court.judge), &networks), 1);
    assert_int_equal(networks, 1);
    assert_int_equal(login("", false, "192.0.2.9", 0), POLICY_ALLOW);
}

/* Nobody locks out a colleague by guessing: the account's limit does not hold where it logged in before, the address's does. */
static void known_places(void **state)
{
    (void)state;
    struct conf_limit limits[] = {
        court_limit("guesses", CONF_KEY_ACCOUNT, CONF_COUNT_AUTH_FAILURES, 3, CONF_THEN_DEFER),
        court_limit("addresses", CONF_KEY_CLIENT, CONF_COUNT_AUTH_FAILURES, 5, CONF_THEN_DEFER),
    };
    court_new(limits, 2);
    assert_int_equal(login("alice", true, "192.0.2.1", 0), POLICY_ALLOW);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(login("alice", false, "198.51.100.7", 0), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "198.51.100.7", 0), POLICY_DEFER);
    assert_int_equal(login("alice", true, "192.0.2.99", 0), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "192.0.3.1", 0), POLICY_DEFER);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(login("alice", false, "192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "192.0.2.1", 0), POLICY_DEFER);
    assert_true(replied("421 4.7.0 limit addresses of client 192.0.2.1 "));
}

/* then = slow makes logins wait, and refuses none. */
static void slow_logins(void **state)
{
    (void)state;
    struct conf_limit limits[] = {
        court_limit("guesses", CONF_KEY_CLIENT, CONF_COUNT_AUTH_FAILURES, 1800, CONF_THEN_SLOW),
        court_limit("networks", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 900, CONF_THEN_SLOW),
    };
    limits[0].burst = limits[1].burst = 1;
    court_new(limits, 2);
    assert_int_equal(login("alice", false, "192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 0);
    assert_int_equal(login("bob", false, "192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 2000);
    assert_int_equal(login("carol", true, "192.0.3.1", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 0);
    assert_int_equal(login("carol", true, "192.0.4.1", 0), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 4000);
    assert_int_equal(login("carol", true, "192.0.4.1", 4000), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 0);
}

static void many_networks(void **state)
{
    char client[32];
    (void)state;
    struct conf_limit limits[] = { court_limit("networks", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 2, CONF_THEN_DEFER) };
    court_new(limits, 1);
    assert_int_equal(login("alice", true, "192.0.2.1", 0), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "192.0.2.2", 0), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "192.0.3.1", 0), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "192.0.4.1", 0), POLICY_DEFER);
    assert_int_equal(login("alice", false, "192.0.5.1", 0), POLICY_ALLOW);
    court.limits[0].then = CONF_THEN_SUSPEND;
    court.limits[0].weight = 50;
    court_settings();
    for (unsigned i = 0; i < 6; i++) {
        snprintf(client, sizeof client, "198.51.%u.1", i);
        assert_int_equal(login("bob", true, client, 0), i < 5 ? POLICY_ALLOW : POLICY_REJECT);
    }
    assert_true(replied("525 5.7.13 account bob is suspended: more than 2 login-networks in 1h (limit networks); ask "));
    assert_string_equal(court.told, "suspended bob;");
}

/* What is refused is not counted, so that trying again is of no use; where the account was let in, it still is. */
static void a_network_too_many(void **state)
{
    static const enum conf_limit_then thens[] = { CONF_THEN_DEFER, CONF_THEN_REJECT };
    char client[32];
    (void)state;
    struct conf_limit limits[] = { court_limit("networks", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 2, CONF_THEN_DEFER) };
    court_new(limits, 1);
    for (size_t t = 0; t < COUNT(thens); t++) {
        const char *account = t ? "bob" : "alice";
        court.limits[0].then = thens[t];
        assert_int_equal(login(account, true, "192.0.2.1", 0), POLICY_ALLOW);
        assert_int_equal(login(account, true, "192.0.3.1", 0), POLICY_ALLOW);
        for (unsigned i = 0; i < 10; i++) {
            snprintf(client, sizeof client, "198.51.%u.1", i / 2);
            assert_int_equal(login(account, true, client, i), t ? POLICY_REJECT : POLICY_DEFER);
            assert_true(replied("421 4.7.0 limit networks of account "));
        }
        assert_int_equal(court_used(0, account, 10), 2);
        assert_int_equal(login(account, true, "192.0.2.9", 10), POLICY_ALLOW);
        assert_int_equal(login(account, true, client, COURT_HOUR / 2), POLICY_ALLOW); /* one more a half hour */
        assert_int_equal(login(account, true, client, COURT_HOUR / 2), POLICY_ALLOW);
        assert_int_equal(login(account, true, "198.51.0.1", COURT_HOUR / 2), t ? POLICY_REJECT : POLICY_DEFER);
    }
}

/* A login that another limit refuses had the right password: it is evidence. A strike that is not the last one lets nobody in. */
static void a_refused_network_is_evidence(void **state)
{
    char client[32];
    (void)state;
    struct conf_limit limits[] = {
        court_limit("doors", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 1, CONF_THEN_DEFER),
        court_limit("networks", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 2, CONF_THEN_SUSPEND),
    };
    limits[1].weight = 50;
    court_new(limits, 2);
    assert_int_equal(login("alice", true, "192.0.2.1", 0), POLICY_ALLOW);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(client, sizeof client, "198.51.%u.1", i / 2);
        assert_int_equal(login("alice", true, client, 0), POLICY_DEFER);
    }
    assert_int_equal(court_used(1, "alice", 0), 2);
    assert_int_equal(login("alice", true, "198.51.4.1", 0), POLICY_REJECT);
    assert_true(replied("525 5.7.13 account alice is suspended: more than 2 login-networks in 1h (limit networks); ask "));
    assert_int_equal(court_used(0, "alice", 0), 1);
}

/* It counts what it would let in, notes what it would not each time, and refuses nothing: as if it were in force. */
static void observed_networks(void **state)
{
    (void)state;
    struct conf_limit limits[] = {
        court_limit("doors", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 1, CONF_THEN_DEFER),
        court_limit("pace", CONF_KEY_ACCOUNT, CONF_COUNT_LOGIN_NETWORKS, 1, CONF_THEN_SLOW),
    };
    limits[0].mode = limits[1].mode = CONF_MODE_OBSERVE;
    court_new(limits, 2);
    struct would *would = would_new();
    limit_set_would(court.set, would);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(login("alice", true, i % 2 ? "192.0.2.1" : "192.0.3.1", i), POLICY_ALLOW);
        assert_int_equal(answer.delay_ms, 0);
    }
    assert_int_equal(court_used(0, "alice", 6), 1);
    uint64_t questions[2] = { 0 };
    would_each(would, clock_wall_ms(), add_questions, questions);
    assert_int_equal(questions[0], 3);
    assert_int_equal(questions[1], 1);
    court.limits[0].mode = CONF_MODE_ENFORCE;
    court_settings();
    assert_int_equal(login("alice", true, "192.0.3.1", 6), POLICY_ALLOW);
    assert_int_equal(login("alice", true, "192.0.2.1", 6), POLICY_DEFER);
    would_free(&would);
}

/* Only the right password hears of it, whatever the name and the reason are made of. */
static void suspended(void **state)
{
    static const char *const names[] = { "alice", "corp\\bob", "m\xc3\xbcller", "\xff\xfe", NULL };
    char longest[ACCOUNT_NAME_SIZE];
    (void)state;
    struct conf_limit limits[] = { court_limit("guesses", CONF_KEY_ACCOUNT, CONF_COUNT_AUTH_FAILURES, 3, CONF_THEN_DEFER) };
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    court_new(limits, 1);
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *name = names[i] ? names[i] : longest;
        assert_true(court_suspend(name, "by decision\r\n550 of \"the\" m\xc3\xbcller"));
        assert_int_equal(login(name, false, "192.0.2.1", 0), POLICY_ALLOW);
        assert_int_equal(login(name, true, "192.0.2.1", 0), POLICY_REJECT);
        assert_true(replied("525 5.7.13 account "));
        assert_non_null(strstr(answer.reply, " is suspended: by decision\\x0d\\x0a550 of \"the\" m"));
        for (const char *at = answer.reply; *at; at++)
            assert_in_range(*at, ' ', '~');
        assert_int_equal(login("other", true, "192.0.2.1", 0), POLICY_ALLOW);
        assert_true(court_resume(name));
        assert_int_equal(login(name, true, "192.0.2.1", 0), POLICY_ALLOW);
    }
    court_suspend("alice", "x");
    for (unsigned i = 0; i < 3; i++)
        login("alice", false, "198.51.100.1", 0);
    assert_int_equal(login("alice", true, "198.51.100.1", 0), POLICY_DEFER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections),
        TEST(a_guesser_learns_nothing),
        TEST(many_names_from_one_address),
        TEST(known_places),
        TEST(slow_logins),
        TEST(many_networks),
        TEST(a_network_too_many),
        TEST(a_refused_network_is_evidence),
        TEST(observed_networks),
        TEST(suspended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

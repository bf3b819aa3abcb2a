/* What happened to an account, what comes of it, and who is told. */
#include "../../../policy/judge.h"

#include "../../../policy/decide.h"
#include "../../../relay/base/clock.h"
#include "court.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, folder_make, court_close)

static void reply(const char *account, const char *enhanced, const char *text)
{
    struct reply_bad bad = { .client = court_address("192.0.2.1"), .permanent = 1 };
    text_copy(bad.account, sizeof bad.account, span_of(account));
    text_copy(bad.sender, sizeof bad.sender, SPAN("a@example.net"));
    text_copy(bad.recipient, sizeof bad.recipient, SPAN("b@example.com"));
    text_copy(bad.enhanced, sizeof bad.enhanced, span_of(enhanced));
    text_copy(bad.reply, sizeof bad.reply, span_of(text));
    judge_reply(court.judge, &bad, 0);
}

static void bounce(const char *account, unsigned times)
{
    while (times--)
        reply(account, "5.1.1", "550 5.1.1 no such user");
}

static void spam(const char *account, unsigned times)
{
    while (times--)
        reply(account, "5.7.1", "550 5.7.1 this is spam");
}

static void good(const char *account, uint32_t count)
{
    struct replies_good it = { .client = court_address("192.0.2.1"), .count = count };
    text_copy(it.account, sizeof it.account, span_of(account));
    judge_good(court.judge, &it, 0);
}

static bool is_suspended(const char *account)
{
    return standing_is_suspended(judge_standing(court.judge), span_of(account));
}

static unsigned weight(const char *account)
{
    return standing_weight(judge_standing(court.judge), span_of(account), clock_wall_ms());
}

/* ACCOUNT's whole record as text. */
static const char *record(const char *account)
{
    static char text[65536];
    json_t *json = standing_show(judge_standing(court.judge), span_of(account), clock_wall_ms());
    char *dumped = json_dumps(json, JSON_COMPACT);
    snprintf(text, sizeof text, "%s", dumped);
    free(dumped);
    json_decref(json);
    return text;
}

/* Beyond the limit there is a strike, and the limit begins anew; the second strike suspends, and all are told once. */
static void strikes_come_to_a_suspension(void **state)
{
    (void)state;
    struct conf_limit limit = court_limit("bounces", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 3, CONF_THEN_SUSPEND);
    limit.weight = 50;
    court_new(&limit, 1);
    court.accounts[0].contact = settings_text("alice@home.example");
    bounce("alice", 3);
    assert_int_equal(weight("alice"), 0);
    bounce("Alice", 1);
    assert_int_equal(weight("alice"), 50);
    assert_int_equal(court_used(0, "alice", 0), 0);
    assert_string_equal(court.told, "");
    reply("alice", "5.2.2", "552 5.2.2 mailbox full");
    bounce("alice", 3);
    assert_false(is_suspended("alice"));
    bounce("alice", 1);
    assert_true(is_suspended("alice"));
    bounce("alice", 20);
    assert_string_equal(court.told, "suspended alice;");
    assert_int_equal(court.nletters, 2);
    assert_string_equal(court.letters[0].to, "postmaster@example.net");
    assert_string_equal(court.letters[0].subject, "The account alice is suspended");
    assert_non_null(strstr(court.letters[0].text, "more than 3 hard-bounces in 1h (limit bounces)"));
    assert_string_equal(court.letters[1].to, "alice@home.example");
    assert_non_null(strstr(record("alice"), "\"by\":\"limit bounces\""));
    assert_non_null(strstr(record("alice"), "\"bounced\":"));
    court_restart();
    assert_true(is_suspended("alice"));
    assert_int_equal(court.nletters, 2);
    assert_true(court_resume("alice"));
    assert_false(court_resume("alice"));
    assert_string_equal(court.told, "suspended alice;resumed alice;");
    bounce("alice", 3);
    assert_int_equal(weight("alice"), 0);
    bounce("alice", 1);
    assert_false(is_suspended("alice"));
}

/* An orderly restart loses no evidence, also what no strike followed on. */
static void evidence_outlives_a_restart(void **state)
{
    struct policy_sample sample = { .client = court_address("192.0.2.1"), .nrecipients = 3, .account = "alice" };
    char before[2][65536];
    (void)state;
    court_new(NULL, 0);
    bounce("alice", 1);
    assert_true(court_suspend("alice", "a reason"));
    bounce("alice", 5);
    judge_sample(court.judge, &sample);
    spam("bob", 1);
    text_copy(before[0], sizeof before[0], span_of(record("alice")));
    text_copy(before[1], sizeof before[1], span_of(record("bob")));
    court_restart();
    assert_string_equal(record("alice"), before[0]);
    assert_string_equal(record("bob"), before[1]);
}

/* A limit with a share needs a volume, and that so much of it came back; a resume begins both anew. */
static void a_share(void **state)
{
    (void)state;
    struct conf_limit limit = court_limit("bounces", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 5, CONF_THEN_SUSPEND);
    limit.share = 20;
    limit.at_least = 50;
    court_new(&limit, 1);
    bounce("few", 20);
    assert_false(is_suspended("few"));
    good("many", 1000);
    bounce("many", 100);
    assert_false(is_suspended("many"));
    good("bad", 60);
    bounce("bad", 20);
    assert_true(is_suspended("bad"));
    court_resume("bad");
    bounce("bad", 20);
    assert_false(is_suspended("bad"));
    bounce("bad", 30);
    assert_true(is_suspended("bad"));
}

/* Where many accounts are called spammers it is the relay that is; where it is one of many, it is that one. */
static void the_relay_itself(void **state)
{
    char name[32];
    (void)state;
    struct conf_limit limit = court_limit("spam", CONF_KEY_ACCOUNT, CONF_COUNT_SPAM_REPLIES, 5, CONF_THEN_SUSPEND);
    limit.share = 10;
    limit.at_least = 10;
    court_new(&limit, 1);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "user%u", i);
        good(name, 20);
    }
    spam("user0", 10);
    assert_true(is_suspended("user0"));
    for (unsigned i = 1; i < 10; i++) {
        snprintf(name, sizeof name, "user%u", i);
        spam(name, 5);
    }
    assert_string_equal(court.told, "suspended user0;");
    spam("user1", 10);
    assert_string_equal(court.told, "suspended user0;");
    assert_int_equal(weight("user1"), 0);
}

/* A limit that does not suspend gives no strikes; one that only watches does nothing. */
static void other_limits(void **state)
{
    (void)state;
    struct conf_limit limits[] = {
        court_limit("slow", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 2, CONF_THEN_DEFER),
        court_limit("watch", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 2, CONF_THEN_SUSPEND),
    };
    limits[1].mode = CONF_MODE_OBSERVE;
    court_new(limits, 2);
    bounce("alice", 30);
    assert_int_equal(weight("alice"), 0);
    assert_string_equal(court.told, "");
    assert_true(standing_is_watched(judge_standing(court.judge), SPAN("alice")));
    assert_false(standing_is_watched(judge_standing(court.judge), SPAN("bob")));
}

/* What each signal leaves, whatever its text is made of; who has no account leaves nothing. */
static void signals(void **state)
{
    struct policy_refused refused = { .client = court_address("2001:db8::1"),
                                      .account = "alice",
                                      .recipient = "x@nowhere.example" };
    struct policy_report report = { .client = court_address("192.0.2.9"), .recipient = "r@example.org", .type = "abuse\r\n\xff" };
    struct policy_sample sample = { .client = court_address("192.0.2.1"), .nrecipients = 3, .account = "alice" };
    (void)state;
    struct conf_limit limit = court_limit("reports", CONF_KEY_ACCOUNT, CONF_COUNT_ABUSE_REPORTS, 1, CONF_THEN_SUSPEND);
    court_new(&limit, 1);
    text_copy(sample.subject, sizeof sample.subject, SPAN("=?x?= \x1b[2J \xc3"));
    judge_sample(court.judge, &sample);
    assert_false(standing_is_watched(judge_standing(court.judge), SPAN("alice")));
    reply("alice", "5.1.1", "550 5.1.1 no \"user\"\r\n\xff\x1b[31m m\xc3\xbcller");
    judge_refused(court.judge, &refused, 0);
    judge_sample(court.judge, &sample);
    judge_report(court.judge, SPAN("alice"), &report, 0);
    const char *text = record("alice");
    assert_non_null(strstr(text, "550 5.1.1 no \\\"user\\\"\\\\x0d\\\\x0a\\\\xff\\\\x1b[31m m\xc3\xbcller"));
    assert_non_null(strstr(text, "\"client\":\"2001:db8::1\",\"to\":\"x@nowhere.example\""));
    assert_non_null(strstr(text, "reported as abuse\\\\x0d\\\\x0a\\\\xff, handed in by 192.0.2.9"));
    assert_non_null(strstr(text, "\"subject\":\"=?x?= \\\\x1b[2J \\\\xc3\""));
    judge_report(court.judge, SPAN("alice"), &report, 0);
    assert_true(is_suspended("alice"));
    reply("", "5.1.1", "550 5.1.1 no such user");
    good("", 5);
    assert_int_equal(court_records(), 1);
}

/* New settings in the middle: limits come, go and change, and accounts' entries, too. */
static void new_settings(void **state)
{
    (void)state;
    struct conf_limit limits[] = {
        court_limit("bounces", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 3, CONF_THEN_SUSPEND),
        court_limit("spam", CONF_KEY_ACCOUNT, CONF_COUNT_SPAM_REPLIES, 3, CONF_THEN_SUSPEND),
    };
    court_new(limits, 2);
    bounce("alice", 3);
    court.conf.nlimits = 0;
    court.conf.naccounts = 0;
    court_settings();
    bounce("alice", 30);
    assert_false(is_suspended("alice"));
    court.conf.nlimits = 2;
    court_settings();
    bounce("alice", 3);
    assert_false(is_suspended("alice"));
    bounce("alice", 1);
    assert_true(is_suspended("alice"));
    assert_int_equal(court.nletters, 1);
    court.conf.nlimits = 1;
    court_settings();
    assert_true(court_resume("alice"));
    bounce("alice", 4);
    assert_true(is_suspended("alice"));
}

/* Names in letters and records. */
static void odd_names(void **state)
{
    static const char *const names[] = { "corp\\bob", "m\xc3\xbcller", "a\r\nBcc: x", "\xff", NULL };
    char longest[ACCOUNT_NAME_SIZE];
    (void)state;
    memset(longest, '\xfe', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    court_new(NULL, 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *name = names[i] ? names[i] : longest;
        court.nletters = 0;
        assert_true(court_suspend(name, "a reason"));
        assert_false(court_suspend(name, "another"));
        assert_int_equal(court.nletters, 1);
        for (const char *at = court.letters[0].subject; *at; at++)
            assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
        assert_true(strlen(court.letters[0].subject) < LETTER_SUBJECT_SIZE);
        assert_true(text_is_utf8(span_of(court.letters[0].text)));
        assert_non_null(strstr(court.letters[0].text, "If this is a false alarm"));
        assert_null(strstr(court.letters[0].text, "\nBcc"));
    }
}

static void name_recipients(struct policy_rcpt *ask, unsigned count)
{
    char address[40];
    for (unsigned i = 0; i < count; i++) {
        text_format(address, sizeof address, "r%u@example.com", i);
        policy_rcpt_add(ask, address);
    }
}

/* In the middle of a batch: those before the limit are allowed, the rest hears of the suspension, and it is told once. */
static void suspended_within_a_batch(void **state)
{
    static struct policy_rcpt ask = { .ticket = 5 };
    static struct policy_rcpt_answer answer;
    (void)state;
    struct conf_limit limit = court_limit("first", CONF_KEY_ACCOUNT, CONF_COUNT_FIRST_TIME_RECIPIENTS, 3, CONF_THEN_SUSPEND);
    court_new(&limit, 1);
    struct decide *decide = decide_new(&court.conf);
    decide_set_judge(decide, court.judge);
    ask.subject.client = court_address("192.0.2.1");
    text_copy(ask.subject.account, sizeof ask.subject.account, SPAN("Alice"));
    name_recipients(&ask, 6);
    decide_rcpt(decide, &ask, 0, &answer);
    assert_int_equal(answer.count, 6);
    for (unsigned i = 0; i < ask.count; i++)
        assert_int_equal(answer.each[i].verdict, i < 3 ? POLICY_ALLOW : POLICY_REJECT);
    assert_non_null(
        strstr(answer.each[3].reply, "550 5.7.1 account alice is suspended: more than 3 first-time-recipients in 1h"));
    assert_string_equal(answer.each[5].reply, answer.each[3].reply);
    assert_string_equal(court.told, "suspended alice;");
    court.set = limit_new(&court.conf, court.seen, &court.set);
    judge_settings(court.judge, &court.conf, court.table, court.set);
    decide_set_judge(decide, NULL);
    decide_free(&decide);
}

static bool count_questions(void *context, const struct would_row *row)
{
    uint64_t *questions = context;
    if (row->value)
        questions[row->enforced] += row->questions;
    return true;
}

/* A question that brings a strike is settled once more, but stands once in what limits would have refused. */
static void a_strike_is_one_question(void **state)
{
    static struct policy_rcpt ask = { .ticket = 5 };
    static struct policy_rcpt_answer answer;
    uint64_t questions[2] = { 0 };
    (void)state;
    struct conf_limit limits[] = { court_limit("strikes", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 4, CONF_THEN_SUSPEND),
                                   court_limit("watched", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 1, CONF_THEN_DEFER) };
    limits[0].weight = 10;
    limits[1].mode = CONF_MODE_OBSERVE;
    court_new(limits, 2);
    struct decide *decide = decide_new(&court.conf);
    decide_set_judge(decide, court.judge);
    text_copy(ask.subject.account, sizeof ask.subject.account, SPAN("alice"));
    name_recipients(&ask, 6);
    decide_rcpt(decide, &ask, 0, &answer);
    for (unsigned i = 0; i < ask.count; i++)
        assert_int_equal(answer.each[i].verdict, POLICY_ALLOW);
    would_each(decide_would(decide), clock_wall_ms(), count_questions, questions);
    assert_int_equal(questions[0], 5);
    assert_int_equal(questions[1], 1);
    court.set = limit_new(&court.conf, court.seen, &court.set);
    judge_settings(court.judge, &court.conf, court.table, court.set);
    decide_set_judge(decide, NULL);
    decide_free(&decide);
}

/* Samples are wanted of an account that something speaks against, also where nothing is asked about recipients. */
static void watched_at_mail(void **state)
{
    struct policy_mail ask = { .ticket = 5 };
    struct policy_answer answer;
    (void)state;
    struct conf_limit limit = court_limit("messages", CONF_KEY_ACCOUNT, CONF_COUNT_MESSAGES, 100, CONF_THEN_DEFER);
    court_new(&limit, 1);
    struct decide *decide = decide_new(&court.conf);
    decide_set_judge(decide, court.judge);
    text_copy(ask.subject.account, sizeof ask.subject.account, SPAN("Alice"));
    decide_mail(decide, &ask, 0, &answer);
    assert_false(answer.watched);
    standing_signal(judge_standing(court.judge), SPAN("alice"), json_object(), 0);
    decide_mail(decide, &ask, 0, &answer);
    assert_true(answer.watched);
    court.set = limit_new(&court.conf, court.seen, &court.set);
    judge_settings(court.judge, &court.conf, court.table, court.set);
    decide_set_judge(decide, NULL);
    decide_free(&decide);
}

/* One that is suspended, or no more, elsewhere: the same here, but no letter. */
static void decided_elsewhere(void **state)
{
    struct judge_order order = { .reason = "elsewhere", .by = "another machine", .since_ms = 1700000000000, .elsewhere = true };
    (void)state;
    court_new(NULL, 0);
    assert_true(judge_suspend(court.judge, SPAN("alice"), &order));
    assert_int_equal(standing_since(judge_standing(court.judge), SPAN("alice")), 1700000000000);
    assert_int_equal(court.nletters, 0);
    order.since_ms++;
    assert_true(judge_resume(court.judge, SPAN("alice"), &order));
    assert_int_equal(standing_since(judge_standing(court.judge), SPAN("alice")), 1700000000001);
    assert_string_equal(court.told, "suspended alice;resumed alice;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strikes_come_to_a_suspension),
        TEST(evidence_outlives_a_restart),
        TEST(a_share),
        TEST(the_relay_itself),
        TEST(other_limits),
        TEST(signals),
        TEST(new_settings),
        TEST(odd_names),
        TEST(suspended_within_a_batch),
        TEST(a_strike_is_one_question),
        TEST(watched_at_mail),
        TEST(decided_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../../../policy/decide.h"

#include "../../../policy/limit.h"
#include "../../../policy/would.h"
#include "../../../relay/base/clock.h"
#include "../../../relay/base/text.h"
#include "../unit.h"
#include "settings.h"

#define HOUR 3600000

static struct decide *decide;
static struct policy_answer answer;
static struct policy_rcpt_answer answers;

static int tear_down(void **state)
{
    (void)state;
    decide_free(&decide);
    return 0;
}

static struct policy_subject subject_of(const char *account, const char *sender)
{
    struct policy_subject subject = { .client = { .family = 4, .bytes = { 192, 0, 2, 1 } } };
    text_copy(subject.account, sizeof subject.account, span_of(account));
    text_copy(subject.sender, sizeof subject.sender, span_of(sender));
    return subject;
}

static enum policy_verdict mail(const char *account, const char *sender, uint64_t size, int64_t now_ms)
{
    struct policy_mail question = { 7, subject_of(account, sender), size };
    memset(&answer, 0xff, sizeof answer);
    decide_mail(decide, &question, now_ms, &answer);
    assert_int_equal(answer.ticket, 7);
    assert_int_equal(answer.delay_ms, 0);
    assert_int_equal(answer.verdict == POLICY_ALLOW, answer.reply[0] == '\0');
    return answer.verdict;
}

static enum policy_verdict rcpt(const char *account, int64_t now_ms)
{
    struct policy_rcpt question = { .ticket = 8, .count = 1, .subject = subject_of(account, "alice@example.net") };
    decide_rcpt(decide, &question, now_ms, &answers);
    assert_int_equal(answers.ticket, 8);
    assert_int_equal(answers.count, 1);
    answer = answers.each[0];
    return answer.verdict;
}

static bool replied(const char *start)
{
    return strncmp(answer.reply, start, strlen(start)) == 0;
}

static struct conf_account alice_only = { .name = NULL };

/* Settings in which alice has one address and a domain, and others those of example.net. */
static struct conf conf_with_senders(void)
{
    static char *senders[] = { NULL, NULL }, *domains[] = { NULL };
    senders[0] = settings_text("alice@example.net");
    senders[1] = settings_text("@sales.example.net");
    domains[0] = settings_text("example.net");
    alice_only = (struct conf_account){ settings_text("alice"), { senders, 2 }, settings_text("bulk"), NULL };
    return (struct conf){ .accounts = &alice_only, .naccounts = 1, .domains = { domains, 1 }, .check_from_header = true };
}

static void senders_at_mail(void **state)
{
    static const struct {
        const char *account, *sender;
        const char *reply; /* "": allowed */
    } cases[] = {
        { "alice", "alice@example.net", "" },
        { "ALICE", "x@sales.example.net", "" },
        { "alice", "bob@example.net", "553 5.7.1 " },
        { "bob", "bob@example.net", "" },
        { "bob", "bob@example.com", "553 5.7.1 " },
        { "", "printer@example.net", "" },
        { "", "printer@example.com", "553 5.7.1 " },
        { "alice", "", "" },
        { "", "", "" },
    };
    struct conf conf = conf_with_senders();
    (void)state;
    decide = decide_new(&conf);
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum policy_verdict verdict = mail(cases[i].account, cases[i].sender, 0, 0);
        if (verdict != (*cases[i].reply ? POLICY_REJECT : POLICY_ALLOW) || !replied(cases[i].reply))
            fail_msg("%s %s: %s", cases[i].account, cases[i].sender, answer.reply);
    }
}

/* Whatever stands in names and addresses, a reply is one printable line that fits. */
static void replies_are_printable(void **state)
{
    struct conf conf = conf_with_senders();
    char account[POLICY_ACCOUNT_SIZE], sender[SMTP_ADDRESS_SIZE];
    (void)state;
    decide = decide_new(&conf);
    assert_int_equal(mail("a\r\nb\x1b[0m", "x\r\n250 ok\"\xc3\xa4\xff@e", 0, 0), POLICY_REJECT);
    memset(account, '\x01', sizeof account - 1);
    memset(sender, '\xe4', sizeof sender - 1);
    account[sizeof account - 1] = sender[sizeof sender - 1] = '\0';
    for (unsigned i = 0; i < 2; i++) {
        for (const char *at = answer.reply; *at; at++)
            assert_true(*at >= 0x20 && *at <= 0x7e);
        assert_true(strlen(answer.reply) < sizeof answer.reply);
        assert_int_equal(mail(account, sender, 0, 0), POLICY_REJECT);
    }
}

/* Arrays that another process filled to the last byte. */
static void arrays_without_end(void **state)
{
    struct conf conf = conf_with_senders();
    struct policy_mail question = { .ticket = 1 };
    static struct policy_content content;
    (void)state;
    decide = decide_new(&conf);
    memset(&question, 'x', sizeof question);
    decide_mail(decide, &question, 0, &answer);
    assert_int_equal(answer.verdict, POLICY_REJECT);
    memset(&content, 'x', sizeof content);
    content.from_malformed = 0;
    content.from_fields = 1;
    content.from_count = POLICY_FROM_MAX;
    decide_content(decide, &content, 0, &answer);
    assert_int_equal(answer.verdict, POLICY_REJECT);
}

static void from_header(void **state)
{
    static const struct {
        const char *about;
        const char *account;
        unsigned fields, count;
        bool malformed;
        const char *from[2], *sender;
        const char *reply;
    } cases[] = {
        { "its own", "alice", 1, 1, false, { "alice@example.net", "" }, "", "" },
        { "another's", "alice", 1, 1, false, { "boss@example.net", "" }, "", "550 5.7.1 " },
        { "none at all", "alice", 0, 0, false, { "", "" }, "", "" },
        { "two fields", "alice", 2, 2, false, { "alice@example.net", "alice@example.net" }, "alice@example.net", "550 5.7.1 " },
        { "two, no Sender", "alice", 1, 2, false, { "alice@example.net", "x@sales.example.net" }, "", "550 5.7.1 " },
        { "two and Sender", "alice", 1, 2, false, { "alice@example.net", "x@sales.example.net" }, "alice@example.net", "" },
        { "one foreign of two",
          "alice",
          1,
          2,
          false,
          { "alice@example.net", "boss@example.net" },
          "alice@example.net",
          "550 5.7.1 " },
        { "foreign Sender", "alice", 1, 1, false, { "alice@example.net", "" }, "boss@example.net", "550 5.7.1 " },
        { "foreign From, Sender", "alice", 1, 1, false, { "boss@example.net", "" }, "alice@example.net", "550 5.7.1 " },
        { "malformed", "alice", 1, 1, true, { "alice@example.net", "" }, "", "554 5.6.0 " },
        { "field, no address", "alice", 1, 0, false, { "", "" }, "", "554 5.6.0 " },
        { "too many", "alice", 1, 33, false, { "alice@example.net", "" }, "alice@example.net", "550 5.7.1 " },
        { "counted, not sent", "alice", 1, 2, false, { "alice@example.net", "" }, "alice@example.net", "550 5.7.1 " },
        { "no login, domain", "", 1, 1, false, { "printer@example.net", "" }, "", "" },
        { "no login, foreign", "", 1, 1, false, { "printer@example.com", "" }, "", "550 5.7.1 " },
    };
    struct conf conf = conf_with_senders();
    (void)state;
    decide = decide_new(&conf);
    for (size_t i = 0; i < COUNT(cases); i++) {
        static struct policy_content content;
        content = (struct policy_content){ .ticket = 9, .subject = subject_of(cases[i].account, "") };
        content.from_fields = cases[i].fields;
        content.from_count = cases[i].count;
        content.from_malformed = cases[i].malformed;
        text_copy(content.header_sender, sizeof content.header_sender, span_of(cases[i].sender));
        for (unsigned k = 0; k < 2; k++)
            text_copy(content.from[k], sizeof content.from[k], span_of(cases[i].from[k]));
        conf.check_from_header = true;
        decide_content(decide, &content, 0, &answer);
        if (answer.verdict != (*cases[i].reply ? POLICY_REJECT : POLICY_ALLOW) || !replied(cases[i].reply))
            fail_msg("%s: %s", cases[i].about, answer.reply);
        conf.check_from_header = false; /* from-header = ignore */
        decide_content(decide, &content, 0, &answer);
        assert_int_equal(answer.verdict, POLICY_ALLOW);
    }
}

static struct conf_limit limit_of(const char *name, enum conf_limit_key key, enum conf_limit_count count, uint64_t rate,
                                  uint64_t burst, enum conf_limit_then then)
{
    return (struct conf_limit){
        .name = settings_text(name),
        .key = key,
        .count = count,
        .rate = { rate, HOUR },
        .burst = burst,
        .then = then,
    };
}

static void recipients_of_an_account(void **state)
{
    struct conf_limit limit = limit_of("hourly", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 200, 50, CONF_THEN_DEFER);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(rcpt(i % 2 ? "alice" : "Alice", 0), POLICY_ALLOW);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rcpt("alice", 0), POLICY_DEFER);
    assert_true(replied("450 4.7.1 "));
    assert_non_null(strstr(answer.reply, "hourly"));
    assert_non_null(strstr(answer.reply, "alice"));
    assert_non_null(strstr(answer.reply, "200 recipients in 1h"));
    assert_non_null(strstr(answer.reply, "Z"));
    assert_int_equal(rcpt("bob", 0), POLICY_ALLOW);
    assert_int_equal(rcpt("", 0), POLICY_ALLOW); /* no account: not about it */
    assert_int_equal(rcpt("alice", 17999), POLICY_DEFER);
    assert_int_equal(rcpt("alice", 18000), POLICY_ALLOW);
    assert_int_equal(rcpt("alice", 18000), POLICY_DEFER);
}

static void messages_of_a_client(void **state)
{
    struct conf_limit limit = limit_of("few", CONF_KEY_CLIENT, CONF_COUNT_MESSAGES, 2, 0, CONF_THEN_REJECT);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    (void)state;
    decide = decide_new(&conf);
    assert_int_equal(mail("a", "", 0, 0), POLICY_ALLOW);
    assert_int_equal(mail("b", "", 0, 0), POLICY_ALLOW); /* burst not given: the rate's count */
    assert_int_equal(mail("c", "", 0, 0), POLICY_REJECT);
    assert_true(replied("550 5.7.1 "));
    assert_int_equal(rcpt("c", 0), POLICY_ALLOW);
}

static void bytes_count_when_known(void **state)
{
    struct conf_limit limit = limit_of("volume", CONF_KEY_ACCOUNT, CONF_COUNT_BYTES, 1000, 1000, CONF_THEN_DEFER);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    struct policy_content content = { .subject = subject_of("alice", ""), .size_bytes = 600 };
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(mail("alice", "", 900, 0), POLICY_ALLOW); /* announced, not counted */
    decide_content(decide, &content, 0, &answer);
    assert_int_equal(answer.verdict, POLICY_ALLOW);
    assert_int_equal(mail("alice", "", 401, 0), POLICY_DEFER);
    assert_int_equal(mail("alice", "", 400, 0), POLICY_ALLOW);
    decide_content(decide, &content, 0, &answer);
    assert_int_equal(answer.verdict, POLICY_DEFER);
    content.size_bytes = 1001; /* never fits: not worth coming again */
    decide_content(decide, &content, 0, &answer);
    assert_int_equal(answer.verdict, POLICY_REJECT);
    assert_true(replied("550 5.7.1 "));
}

/* What one limit refuses is counted in none. */
static void all_or_nothing(void **state)
{
    struct conf_limit limits[] = {
        limit_of("wide", CONF_KEY_CLIENT, CONF_COUNT_RECIPIENTS, 100, 100, CONF_THEN_DEFER),
        limit_of("narrow", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 2, 2, CONF_THEN_REJECT),
    };
    struct conf conf = { .limits = limits, .nlimits = 2 };
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(rcpt("alice", 0), i < 2 ? POLICY_ALLOW : POLICY_REJECT);
    struct limit *wide = limit_at(decide_limits(decide), 0);
    assert_int_equal(bucket_look(wide->buckets, SPAN("192.0.2.1"), 0).used, 2);
}

/* Rejection wins over deferral, the longer wait over the shorter. */
static void the_refusal_that_matters(void **state)
{
    struct conf_limit limits[] = {
        limit_of("short", CONF_KEY_CLIENT, CONF_COUNT_RECIPIENTS, 3600, 1, CONF_THEN_DEFER),
        limit_of("long", CONF_KEY_CLIENT, CONF_COUNT_RECIPIENTS, 1, 1, CONF_THEN_DEFER),
        limit_of("final", CONF_KEY_CLIENT, CONF_COUNT_RECIPIENTS, 3600, 1, CONF_THEN_REJECT),
    };
    struct conf conf = { .limits = limits, .nlimits = 2 };
    (void)state;
    decide = decide_new(&conf);
    rcpt("alice", 0);
    assert_int_equal(rcpt("alice", 0), POLICY_DEFER);
    assert_non_null(strstr(answer.reply, "limit long"));
    decide_free(&decide);
    conf.nlimits = 3;
    decide = decide_new(&conf);
    rcpt("alice", 0);
    assert_int_equal(rcpt("alice", 0), POLICY_REJECT);
    assert_non_null(strstr(answer.reply, "limit final"));
}

static void who_a_limit_is_for(void **state)
{
    struct conf_limit limit = limit_of("bulk", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 1, 1, CONF_THEN_DEFER);
    char *apply[] = { settings_text("class:bulk") }, *except[] = { settings_text("192.0.2.0/24") };
    struct conf conf = conf_with_senders();
    (void)state;
    conf.limits = &limit;
    conf.nlimits = 1;
    limit.apply_to = (struct conf_strings){ apply, 1 };
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rcpt("alice", 0), i < 1 ? POLICY_ALLOW : POLICY_DEFER);
        assert_int_equal(rcpt("bob", 0), POLICY_ALLOW);
    }
    limit.except = (struct conf_strings){ except, 1 };
    decide_settings(decide, &conf);
    assert_int_equal(rcpt("alice", 0), POLICY_ALLOW);
}

static bool sum_units(void *context, const struct would_row *row)
{
    uint64_t *sums = context;
    if (row->value)
        sums[row->enforced] += row->units;
    return true;
}

/* Units that limits would not have let pass, and that they did not. */
static void would_be(uint64_t observed, uint64_t enforced)
{
    uint64_t sums[2] = { 0 };
    would_each(decide_would(decide), clock_wall_ms(), sum_units, sums);
    assert_int_equal(sums[0], observed);
    assert_int_equal(sums[1], enforced);
}

/* What would have been refused counts all of it, however often it was told; bytes count when they come and not when they are announced. */
static void all_that_would_be_refused_is_noted(void **state)
{
    struct conf_limit limits[] = {
        limit_of("watch", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 10, 10, CONF_THEN_DEFER),
        limit_of("real", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 30, 30, CONF_THEN_DEFER),
        limit_of("bytes", CONF_KEY_ACCOUNT, CONF_COUNT_BYTES, 100, 100, CONF_THEN_REJECT),
    };
    struct conf conf = { .limits = limits, .nlimits = 3 };
    static struct policy_content content = { .size_bytes = 200 };
    (void)state;
    limits[0].mode = limits[2].mode = CONF_MODE_OBSERVE;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 35; i++)
        rcpt("alice", 0);
    would_be(25, 5);
    assert_int_equal(mail("alice", "", 200, 0), POLICY_ALLOW);
    would_be(25, 5);
    content.subject = subject_of("alice", "");
    decide_content(decide, &content, 0, &answer);
    would_be(225, 5);
    limits[2].mode = CONF_MODE_ENFORCE;
    decide_settings(decide, &conf);
    assert_int_equal(mail("alice", "", 200, 0), POLICY_REJECT);
    would_be(225, 205);
}

/* A wrong password is looked for before it is counted, where that does not refuse it, and stands there once. */
static void a_wrong_password_is_noted_once(void **state)
{
    struct conf_limit limits[] = { limit_of("guesses", CONF_KEY_ACCOUNT, CONF_COUNT_AUTH_FAILURES, 10, 10, CONF_THEN_DEFER) };
    struct conf conf = { .limits = limits, .nlimits = 1 };
    struct key_subject subject = { .account = SPAN("alice") };
    struct limit_ask ask = { .count = CONF_COUNT_AUTH_FAILURES, .n = 1 };
    struct limit_refusal refusal;
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 15; i++) {
        ask.look = true;
        assert_int_equal(limit_take(decide_limits(decide), &subject, &ask, 1, 0, &refusal), i < 10 ? LIMIT_ALLOW : LIMIT_REFUSE);
        ask.look = false;
        if (i < 10)
            limit_note(decide_limits(decide), &subject, &ask, 0, &refusal);
    }
    would_be(0, 5);
}

static void bounces(unsigned n)
{
    const struct key_subject subject = { .account = SPAN("alice") };
    const struct limit_ask ask = { .count = CONF_COUNT_HARD_BOUNCES, .n = 1 };
    struct limit_refusal refusal;
    while (n--)
        limit_note(decide_limits(decide), &subject, &ask, 0, &refusal);
}

/* Of what has happened each message is noted that is not taken for it, or would not be, and not what happens beyond the limit; but where
 * that suspends it is all there is. */
static void what_has_happened_is_noted_by_message(void **state)
{
    struct conf_limit limits[] = { limit_of("bounces", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 2, 2, CONF_THEN_DEFER) };
    struct conf conf = { .limits = limits, .nlimits = 1 };
    (void)state;
    limits[0].mode = CONF_MODE_OBSERVE;
    decide = decide_new(&conf);
    assert_int_equal(mail("alice", "", 0, 0), POLICY_ALLOW);
    bounces(4);
    would_be(0, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mail("alice", "", 0, 0), POLICY_ALLOW);
    assert_int_equal(mail("bob", "", 0, 0), POLICY_ALLOW);
    would_be(3, 0);
    limits[0].mode = CONF_MODE_ENFORCE;
    decide_settings(decide, &conf);
    bounces(1);
    would_be(3, 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(mail("alice", "", 0, 0), POLICY_DEFER);
    would_be(3, 2);
    limits[0].then = CONF_THEN_HOLD;
    decide_settings(decide, &conf);
    assert_int_equal(mail("alice", "", 0, 0), POLICY_HOLD);
    would_be(3, 3);
    limits[0].then = CONF_THEN_SUSPEND;
    limits[0].mode = CONF_MODE_OBSERVE;
    decide_settings(decide, &conf);
    bounces(2);
    assert_int_equal(mail("alice", "", 0, 0), POLICY_ALLOW);
    would_be(5, 3);
}

static void observed_only(void **state)
{
    struct conf_limit limits[] = {
        limit_of("watch", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 1, 1, CONF_THEN_REJECT),
        limit_of("later", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 1, 1, CONF_THEN_SUSPEND),
        limit_of("unknown", CONF_KEY_ACCOUNT, CONF_COUNT_HARD_BOUNCES, 1, 1, CONF_THEN_REJECT),
    };
    struct conf conf = { .limits = limits, .nlimits = 3 };
    (void)state;
    limits[0].mode = limits[1].mode = CONF_MODE_OBSERVE;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(rcpt("alice", 0), POLICY_ALLOW);
    assert_int_equal(bucket_look(limit_at(decide_limits(decide), 0)->buckets, SPAN("alice"), 0).used, 1);
}

/* A reload keeps what was counted, by the limit's name, whatever its place or rate. */
static void reload_keeps_counts(void **state)
{
    struct conf_limit before[] = {
        limit_of("a", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 10, 10, CONF_THEN_DEFER),
        limit_of("b", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 100, 100, CONF_THEN_DEFER),
    };
    struct conf_limit after[] = {
        limit_of("c", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 50, 50, CONF_THEN_DEFER),
        limit_of("b", CONF_KEY_CLIENT, CONF_COUNT_RECIPIENTS, 100, 100, CONF_THEN_DEFER),
        limit_of("a", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 4, 4, CONF_THEN_DEFER),
    };
    struct conf conf = { .limits = before, .nlimits = 2 }, reloaded = { .limits = after, .nlimits = 3 };
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 3; i++)
        rcpt("alice", 0);
    decide_settings(decide, &reloaded);
    struct limit_set *limits = decide_limits(decide);
    assert_int_equal(bucket_keys(limit_at(limits, 0)->buckets), 0);
    assert_int_equal(bucket_keys(limit_at(limits, 1)->buckets), 0); /* counts for another key now */
    assert_int_equal(bucket_look(limit_at(limits, 2)->buckets, SPAN("alice"), 0).used, 3);
    assert_int_equal(rcpt("alice", 0), POLICY_ALLOW);
    assert_int_equal(rcpt("alice", 0), POLICY_DEFER);
}

/* To ADDRESS; answer.delay_ms and the reply are the test's to look at. */
static enum policy_verdict rcpt_to(const char *account, const char *address, int64_t now_ms)
{
    struct policy_rcpt question = { .ticket = 8, .subject = subject_of(account, "alice@example.net") };
    policy_rcpt_add(&question, address);
    decide_rcpt(decide, &question, now_ms, &answers);
    answer = answers.each[0];
    return answer.verdict;
}

/* To COUNT addresses ("a@DOMAIN", "b@DOMAIN" …, every third at third.example) at once: "ad" where the first is allowed and the
 * second deferred. */
static const char *batch_to(const char *domain, uint32_t count, int64_t now_ms)
{
    static char verdicts[POLICY_BATCH_MAX + 1];
    static struct policy_rcpt question;
    char address[100];
    question = (struct policy_rcpt){ .ticket = 8, .subject = subject_of("alice", "alice@example.net") };
    for (uint32_t i = 0; i < count && i < POLICY_BATCH_MAX; i++) {
        snprintf(address, sizeof address, "%c@%s", 'a' + (char)(i % 26), i % 3 == 2 ? "third.example" : domain);
        policy_rcpt_add(&question, address);
    }
    question.count = count;
    memset(&answers, 0xff, sizeof answers);
    decide_rcpt(decide, &question, now_ms, &answers);
    assert_int_equal(answers.ticket, 8);
    for (uint32_t i = 0; i < answers.count; i++)
        verdicts[i] = "adrh"[answers.each[i].verdict];
    verdicts[answers.count] = '\0';
    return verdicts;
}

static unsigned told_pairs;

static void told_of_pair(void *context, const struct pair_texts *texts)
{
    (void)context;
    assert_true(texts->whom.n > 0);
    told_pairs++;
}

static void told_of_count(void *context, const struct limit *limit, struct span key, uint64_t n, int64_t now_ms)
{
    (void)context;
    (void)limit;
    (void)key;
    (void)n;
    (void)now_ms;
}

/* Others are told of a pair once, though two limits count it and the batch names it twice; and once more when a day has gone by. */
static void a_pair_is_told_once(void **state)
{
    static const struct limit_sharing sharing = { .counted = told_of_count, .paired = told_of_pair };
    struct conf_limit limits[] = {
        limit_of("day", CONF_KEY_ACCOUNT, CONF_COUNT_FIRST_TIME_RECIPIENTS, 100, 100, CONF_THEN_DEFER),
        limit_of("tried", CONF_KEY_ACCOUNT, CONF_COUNT_FIRST_TIME_RECIPIENTS, 10, 10, CONF_THEN_DEFER),
    };
    struct conf conf = { .limits = limits, .nlimits = COUNT(limits) };
    const int64_t day_ms = 24 * 3600 * 1000;
    (void)state;
    limits[1].mode = CONF_MODE_OBSERVE;
    decide = decide_new(&conf);
    limit_set_sharing(decide_limits(decide), &sharing, NULL);
    for (int64_t round = 0; round < 3; round++) {
        for (unsigned again = 0; again < 2; again++)
            assert_string_equal(batch_to("one.example", 79, round * (day_ms + 5000)),
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_int_equal(told_pairs, 52 * (round + 1));
    }
}

/* Each one as if it were alone: the burst is exact in the middle, and who is refused by another limit does not count in this one. */
static void a_batch_is_exact(void **state)
{
    struct conf_limit limits[] = {
        limit_of("provider", CONF_KEY_RECIPIENT_DOMAIN, CONF_COUNT_RECIPIENTS, 2, 2, CONF_THEN_REJECT),
        limit_of("hourly", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 8, 8, CONF_THEN_DEFER),
    };
    struct conf conf = { .limits = limits, .nlimits = 2 };
    (void)state;
    decide = decide_new(&conf);
    assert_string_equal(batch_to("one.example", 7, 0), "aaarrar");
    assert_string_equal(batch_to("two.example", 3, 0), "aar");
    assert_string_equal(batch_to("four.example", 1, 0), "a");
    assert_string_equal(batch_to("five.example", 5, 0), "adrdd");
    assert_int_equal(strncmp(answers.each[2].reply, "550 5.7.1 ", 10), 0);
    assert_int_equal(strncmp(answers.each[4].reply, "450 4.7.1 ", 10), 0);
    assert_int_equal(bucket_look(limit_at(decide_limits(decide), 1)->buckets, SPAN("alice"), 0).used, 8);
}

static void a_batch_has_bounds(void **state)
{
    struct conf_limit limit = limit_of("hourly", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 99, 99, CONF_THEN_DEFER);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    (void)state;
    decide = decide_new(&conf);
    assert_string_equal(batch_to("one.example", 0, 0), "");
    const char *verdicts = batch_to("one.example", UINT32_MAX, 0);
    assert_int_equal(strspn(verdicts, "a"), 99);
    assert_string_equal(verdicts + 99, "d");
}

/* Whatever is named in whatever batches, each recipient gets what it gets where it is named alone, and the same is counted. */
static void a_batch_says_what_its_recipients_would_hear(void **state)
{
    struct conf_limit limits[] = {
        limit_of("provider", CONF_KEY_RECIPIENT_DOMAIN, CONF_COUNT_RECIPIENTS, 40, 40, CONF_THEN_REJECT),
        limit_of("hourly", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 90, 90, CONF_THEN_DEFER),
        limit_of("new", CONF_KEY_ACCOUNT, CONF_COUNT_FIRST_TIME_RECIPIENTS, 12, 12, CONF_THEN_DEFER),
        limit_of("newer", CONF_KEY_ACCOUNT, CONF_COUNT_FIRST_TIME_RECIPIENTS, 15, 15, CONF_THEN_HOLD),
        limit_of("unlike", CONF_KEY_CLIENT, CONF_COUNT_UNIQUE_RECIPIENTS, 14, 14, CONF_THEN_REJECT),
        limit_of("domains", CONF_KEY_ACCOUNT, CONF_COUNT_UNIQUE_DOMAINS, 3, 3, CONF_THEN_DEFER),
    };
    struct conf conf = { .limits = limits, .nlimits = COUNT(limits) };
    unsigned refused = 0, seed = 1;
    char name[40];
    (void)state;
    limits[3].mode = CONF_MODE_OBSERVE;
    for (unsigned round = 0; round < 40; round++) {
        struct decide *batches = decide_new(&conf), *singles = decide_new(&conf);
        for (unsigned n = 0; n < 12; n++) {
            struct policy_rcpt question = { .ticket = 8, .subject = subject_of("alice", "alice@example.net") };
            int64_t now_ms = n * 60000;
            unsigned size = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 20;
            for (unsigned i = 0; i < size; i++) {
                seed = seed * 1103515245 + 12345;
                text_format(name, sizeof name, "r%u@d%u.example", seed / 65536 % 5, seed / 1048576 % 4);
                policy_rcpt_add(&question, name);
            }
            decide_rcpt(batches, &question, now_ms, &answers);
            assert_int_equal(answers.count, size);
            size_t at = 0;
            for (unsigned i = 0; i < size; i++) {
                struct policy_rcpt alone = { .ticket = 8, .subject = question.subject };
                static struct policy_rcpt_answer one;
                policy_rcpt_add(&alone, policy_rcpt_next(&question, &at).p);
                decide_rcpt(singles, &alone, now_ms, &one);
                assert_int_equal(answers.each[i].verdict, one.each[0].verdict);
                assert_int_equal(answers.each[i].delay_ms, one.each[0].delay_ms);
                refused += one.each[0].verdict != POLICY_ALLOW;
            }
            for (size_t l = 1; l < COUNT(limits); l++) {
                struct span key = l == 4 ? SPAN("192.0.2.1") : SPAN("alice");
                assert_int_equal(bucket_look(limit_at(decide_limits(batches), l)->buckets, key, now_ms).used,
                                 bucket_look(limit_at(decide_limits(singles), l)->buckets, key, now_ms).used);
            }
        }
        decide_free(&batches);
        decide_free(&singles);
    }
    assert_in_range(refused, 100, 4000);
}

/* Named at once or one behind the other, it takes as long. */
static void a_batch_is_as_slow_as_its_recipients(void **state)
{
    struct conf_limit limit = limit_of("pace", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 3600, 2, CONF_THEN_SLOW);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    (void)state;
    decide = decide_new(&conf);
    assert_string_equal(batch_to("one.example", 9, 0), "aaa");
    assert_int_equal(answers.each[1].delay_ms, 0);
    assert_int_equal(answers.each[2].delay_ms, 1000);
    assert_string_equal(batch_to("one.example", 6, 1000), "a");
    assert_int_equal(answers.each[0].delay_ms, 1000);
}

static void recipients_of_a_domain(void **state)
{
    struct conf_limit limits[] = {
        limit_of("provider", CONF_KEY_RECIPIENT_DOMAIN, CONF_COUNT_RECIPIENTS, 2, 2, CONF_THEN_DEFER),
        limit_of("all", CONF_KEY_GLOBAL, CONF_COUNT_RECIPIENTS, 4, 4, CONF_THEN_DEFER),
    };
    struct conf conf = { .limits = limits, .nlimits = 2 };
    (void)state;
    decide = decide_new(&conf);
    assert_int_equal(rcpt_to("a", "x@there.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("b", "y@THERE.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("c", "z@there.example", 0), POLICY_DEFER);
    assert_true(replied("450 4.7.1 limit provider of recipient-domain there.example is used up"));
    assert_int_equal(rcpt_to("c", "z@other.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("c", "z@other.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("c", "z@third.example", 0), POLICY_DEFER);
    assert_true(replied("450 4.7.1 limit all of global all is used up"));
    decide_free(&decide);
    conf.nlimits = 1;
    decide = decide_new(&conf);
    assert_int_equal(rcpt_to("a", "x@b\u00fccher.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("b", "y@xn--bcher-kva.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("c", "z@B\u00dccher.example", 0), POLICY_DEFER);
    assert_true(replied("450 4.7.1 limit provider of recipient-domain xn--bcher-kva.example is used up"));
}

/* A recipient counts once in the time of the rate, for each account, however its name is spelt; what is refused is not known. */
static void unique_recipients_and_domains(void **state)
{
    struct conf_limit limits[] = {
        limit_of("people", CONF_KEY_ACCOUNT, CONF_COUNT_UNIQUE_RECIPIENTS, 2, 2, CONF_THEN_DEFER),
        limit_of("domains", CONF_KEY_ACCOUNT, CONF_COUNT_UNIQUE_DOMAINS, 2, 2, CONF_THEN_REJECT),
    };
    struct conf conf = { .limits = limits, .nlimits = 1 };
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rcpt_to("alice", "Bob@there.example", 0), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "bob@there.example", 0), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "carol@b\u00fccher.example", 0), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "carol@xn--bcher-kva.example", 0), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "dave@there.example", 0), POLICY_DEFER);
        assert_int_equal(rcpt_to("eve", "dave@there.example", 0), POLICY_ALLOW);
    }
    assert_int_equal(rcpt_to("alice", "dave@there.example", HOUR), POLICY_ALLOW);
    assert_int_equal(rcpt_to("alice", "bob@there.example", HOUR + 2000), POLICY_ALLOW); /* once more: an hour has passed */
    assert_int_equal(rcpt_to("alice", "carol@there.example", HOUR + 2000), POLICY_DEFER);
    decide_free(&decide);
    conf = (struct conf){ .limits = &limits[1], .nlimits = 1 };
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rcpt_to("alice", "x@a.example", 0), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "y@b.example", 0), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "z@c.example", 0), POLICY_REJECT);
    }
}

/* Whom the account wrote to before never counts again; in mode observe, too, it is known then. */
static void first_time_recipients(void **state)
{
    struct conf_limit limit = limit_of("new", CONF_KEY_ACCOUNT, CONF_COUNT_FIRST_TIME_RECIPIENTS, 2, 2, CONF_THEN_DEFER);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    (void)state;
    limit.mode = CONF_MODE_OBSERVE;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rcpt_to("alice", i % 2 ? "old@there.example" : "older@there.example", 0), POLICY_ALLOW);
    assert_int_equal(rcpt_to("alice", "oldest@there.example", 0), POLICY_ALLOW);
    limit.mode = CONF_MODE_ENFORCE;
    decide_settings(decide, &conf);
    assert_int_equal(rcpt_to("alice", "new@there.example", 0), POLICY_DEFER);
    assert_int_equal(rcpt_to("alice", "new@there.example", 0), POLICY_DEFER);
    assert_int_equal(rcpt_to("alice", "oldest@there.example", 0), POLICY_ALLOW);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(rcpt_to("alice", "old@there.example", 50 * HOUR + i), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "new@there.example", 50 * HOUR + i), POLICY_ALLOW);
        assert_int_equal(rcpt_to("alice", "newer@there.example", 50 * HOUR + i), POLICY_ALLOW);
    }
    assert_int_equal(rcpt_to("alice", "newest@there.example", 50 * HOUR + 100), POLICY_DEFER);
    assert_true(replied("450 4.7.1 limit new of account alice is used up: 2 first-time-recipients in 1h; more from "));
}

/* Nothing is refused: each answer waits until it would have been allowed, and no longer than a client has patience for. */
static void slow_is_as_slow_as_the_rate(void **state)
{
    struct conf_limit limit = limit_of("pace", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 3600, 2, CONF_THEN_SLOW);
    struct conf conf = { .limits = &limit, .nlimits = 1 };
    (void)state;
    decide = decide_new(&conf);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rcpt("alice", 0), POLICY_ALLOW);
        assert_int_equal(answer.delay_ms, 0);
    }
    for (unsigned i = 0; i < 50; i++) { /* one a second: that is the rate */
        assert_int_equal(rcpt("alice", i * 1000), POLICY_ALLOW);
        assert_int_equal(answer.delay_ms, 1000);
    }
    limit.rate.count = 1;
    decide_settings(decide, &conf);
    assert_int_equal(rcpt("alice", 51000), POLICY_ALLOW);
    assert_int_equal(answer.delay_ms, 30000);
    assert_int_equal(answer.reply[0], '\0');
}

static void hold_takes_and_says_why(void **state)
{
    struct conf_limit limits[] = {
        limit_of("quarantine", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 1, 1, CONF_THEN_HOLD),
        limit_of("pace", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 1, 1, CONF_THEN_SLOW),
        limit_of("end", CONF_KEY_ACCOUNT, CONF_COUNT_RECIPIENTS, 3, 3, CONF_THEN_REJECT),
    };
    struct conf conf = { .limits = limits, .nlimits = 3 };
    (void)state;
    decide = decide_new(&conf);
    assert_int_equal(rcpt("alice", 0), POLICY_ALLOW);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rcpt("alice", 0), POLICY_HOLD);
        assert_true(replied("limit quarantine of account alice is used up: 1 recipients in 1h; more from "));
        assert_int_equal(answer.delay_ms, 0);
    }
    assert_int_equal(rcpt("alice", 0), POLICY_REJECT); /* the others count what is held, too */
}

#define TEST(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(senders_at_mail),
        TEST(replies_are_printable),
        TEST(arrays_without_end),
        TEST(from_header),
        TEST(recipients_of_an_account),
        TEST(messages_of_a_client),
        TEST(bytes_count_when_known),
        TEST(all_or_nothing),
        TEST(the_refusal_that_matters),
        TEST(who_a_limit_is_for),
        TEST(observed_only),
        TEST(all_that_would_be_refused_is_noted),
        TEST(a_wrong_password_is_noted_once),
        TEST(what_has_happened_is_noted_by_message),
        TEST(reload_keeps_counts),
        TEST(recipients_of_a_domain),
        TEST(unique_recipients_and_domains),
        TEST(first_time_recipients),
        TEST(slow_is_as_slow_as_the_rate),
        TEST(hold_takes_and_says_why),
        TEST(a_pair_is_told_once),
        TEST(a_batch_is_exact),
        TEST(a_batch_has_bounds),
        TEST(a_batch_says_what_its_recipients_would_hear),
        TEST(a_batch_is_as_slow_as_its_recipients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

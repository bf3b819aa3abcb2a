/* Whom a report accuses: the account that sent the message, of each message once, and nobody where the mark does not fit. */
#include "../../../policy/report.h"

#include "../../../relay/base/log.h"
#include "../../../relay/base/text.h"
#include "../../../relay/message/mark.h"
#include "../unit.h"

#define NOW 1795558503000

static struct report_desk desk;
static struct logins *logins;
static struct seen *seen;
static char account[ACCOUNT_NAME_SIZE];

static int set_up(void **state)
{
    struct netaddr client;
    (void)state;
    log_setup(LOG_LOGFMT, LOG_ERROR, "test");
    desk = (struct report_desk){ .key = { { 7 } } };
    logins = logins_new();
    seen = seen_new(1 << 16);
    if (!netaddr_parse(SPAN("192.0.2.1"), &client))
        return -1;
    logins_note(logins, &client, SPAN("alice"), NOW);
    logins_note(logins, &client, SPAN("bob"), NOW);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    logins_free(&logins);
    seen_free(&seen);
    return 0;
}

/* A report of a message that SENDER sent. */
static struct policy_report report_of(const char *sender)
{
    struct policy_report report = { .report = uid_next(), .id = uid_next(), .has_id = true, .accuses = true, .type = "abuse" };
    report.mark = mark_of(tag_of(&desk.key, span_of(sender)), report.id);
    return report;
}

static enum report_verdict verdict_of(const struct policy_report *report)
{
    return report_judge(&desk, logins, seen, report, NOW, account);
}

static void it_counts_once(void **state)
{
    struct policy_report report = report_of("bob"), other = report_of("bob");
    (void)state;
    assert_int_equal(verdict_of(&report), REPORT_COUNTS);
    assert_string_equal(account, "bob");
    report.report = uid_next();
    assert_int_equal(verdict_of(&report), REPORT_AGAIN);
    assert_string_equal(account, "bob");
    assert_int_equal(verdict_of(&other), REPORT_COUNTS);
}

static void marks_that_do_not_fit(void **state)
{
    struct policy_report report = report_of("alice"), other = report_of("alice");
    (void)state;
    report.id = other.id; /* of another message of the same account */
    assert_int_equal(verdict_of(&report), REPORT_NOBODY);
    assert_string_equal(account, "");
    other.mark = 0;
    assert_int_equal(verdict_of(&other), REPORT_NOBODY);
    report = report_of("alice");
    report.has_id = false;
    assert_int_equal(verdict_of(&report), REPORT_NOBODY);
    report = report_of("mallory"); /* who never logged in */
    assert_int_equal(verdict_of(&report), REPORT_NOBODY);
}

/* A report that accuses nobody does not use up the one that would. */
static void harmless_types(void **state)
{
    struct policy_report report = report_of("alice");
    (void)state;
    report.accuses = false;
    assert_int_equal(verdict_of(&report), REPORT_HARMLESS);
    assert_string_equal(account, "alice");
    report.accuses = true;
    assert_int_equal(verdict_of(&report), REPORT_COUNTS);
}

static void a_flood(void **state)
{
    struct policy_report report = report_of("alice");
    (void)state;
    for (unsigned i = 0; i < REPORT_SEARCHES_MAX; i++)
        assert_int_not_equal(verdict_of(&report), REPORT_TOO_MANY);
    assert_int_equal(verdict_of(&report), REPORT_TOO_MANY);
    assert_int_equal(report_judge(&desk, logins, seen, &report, NOW + 1000, account), REPORT_AGAIN);
}

/* Texts that fill their arrays without a NUL. */
static void full_texts(void **state)
{
    struct policy_report report = report_of("alice");
    (void)state;
    log_setup(LOG_LOGFMT, LOG_INFO, "test");
    memset(report.type, '\n', sizeof report.type);
    memset(report.recipient, 'x', sizeof report.recipient);
    assert_int_equal(verdict_of(&report), REPORT_COUNTS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(it_counts_once), TEST(marks_that_do_not_fit), TEST(harmless_types), TEST(a_flood), TEST(full_texts),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}

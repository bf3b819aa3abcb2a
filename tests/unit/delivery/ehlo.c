/* What the lines of a reply to EHLO offer. */
#include "../../../relay/delivery/ehlo.h"

#include "../unit.h"

static void test_lines(void **state)
{
    static const struct {
        const char *lines; /* separated by "|" */
        unsigned offers, mechanisms;
        uint64_t size_max;
    } rows[] = {
        { "", 0, 0, 0 },
        { "PIPELINING", EHLO_PIPELINING, 0, 0 },
        { "pipelining|8bitmime", EHLO_PIPELINING | EHLO_8BITMIME, 0, 0 },
        { "PIPELININGX", 0, 0, 0 },
        { " PIPELINING", 0, 0, 0 },
        { "SIZE", EHLO_SIZE, 0, 0 },
        { "SIZE 0", EHLO_SIZE, 0, 0 },
        { "SIZE 35882577", EHLO_SIZE, 0, 35882577 },
        { "SIZE  10 ", EHLO_SIZE, 0, 10 },
        { "SIZE 99999999999999999999999", EHLO_SIZE, 0, 0 },
        { "SIZE -1", EHLO_SIZE, 0, 0 },
        { "SIZE 10 20", EHLO_SIZE, 0, 0 },
        { "STARTTLS|SMTPUTF8|DSN|ENHANCEDSTATUSCODES", EHLO_STARTTLS | EHLO_SMTPUTF8 | EHLO_DSN, 0, 0 },
        { "AUTH PLAIN LOGIN CRAM-MD5", EHLO_AUTH, EHLO_AUTH_PLAIN | EHLO_AUTH_LOGIN, 0 },
        { "AUTH login", EHLO_AUTH, EHLO_AUTH_LOGIN, 0 },
        { "AUTH=LOGIN PLAIN", EHLO_AUTH, EHLO_AUTH_PLAIN | EHLO_AUTH_LOGIN, 0 },
        { "AUTH PLAINER", EHLO_AUTH, 0, 0 },
        { "AUTH", EHLO_AUTH, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ehlo ehlo = { 0 };
        struct span rest = { rows[i].lines, strlen(rows[i].lines) };
        while (rest.n)
            ehlo_line(&ehlo, span_cut(&rest, '|'));
        if (ehlo.offers != rows[i].offers || ehlo.mechanisms != rows[i].mechanisms || ehlo.size_max != rows[i].size_max)
            fail_msg("%s: %x %x %llu", rows[i].lines, ehlo.offers, ehlo.mechanisms, (unsigned long long)ehlo.size_max);
    }
}

/* A keyword of 10 KB, and bytes that are no text. */
static void test_hostile(void **state)
{
    static char line[10240];
    struct ehlo ehlo = { 0 };
    (void)state;
    memset(line, 'A', sizeof line);
    ehlo_line(&ehlo, span_make(line, sizeof line));
    memset(line, ' ', sizeof line);
    ehlo_line(&ehlo, span_make(line, sizeof line));
    memset(line, 0xff, sizeof line);
    memcpy(line, "AUTH ", 5);
    ehlo_line(&ehlo, span_make(line, sizeof line));
    assert_int_equal(ehlo.offers, EHLO_AUTH);
    assert_int_equal(ehlo.mechanisms, 0);
}

/* LIMITS (RFC 9422): what is no number, or none that makes sense, is no limit. */
static void test_limits(void **state)
{
    static const struct {
        const char *line;
        uint64_t mail, rcpt, domain;
    } rows[] = {
        { "LIMITS", 0, 0, 0 },
        { "LIMITS RCPTMAX=20", 0, 20, 0 },
        { "limits mailmax=5 RCPTMAX=20 RCPTDOMAINMAX=1", 5, 20, 1 },
        { "LIMITS OTHER=x RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=", 0, 0, 0 },
        { "LIMITS RCPTMAX RCPTMAX=9999999 =3  MAILMAX=1000", 1000, 0, 0 },
        { "LIMITSX RCPTMAX=20", 0, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ehlo ehlo = { 0 };
        ehlo_line(&ehlo, span_of(rows[i].line));
        if (ehlo.mail_max != rows[i].mail || ehlo.rcpt_max != rows[i].rcpt || ehlo.domain_max != rows[i].domain)
            fail_msg("%s", rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_hostile),
                                        cmocka_unit_test(test_limits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

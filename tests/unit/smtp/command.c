/* Command lines and the parameters of MAIL and RCPT. */
#include "../../../relay/smtp/command.h"

#include "../unit.h"

#define X10  "xxxxxxxxxx"
#define X50  X10 X10 X10 X10 X10
#define X100 X50 X50
#define X500 X100 X100 X100 X100 X100

static const struct {
    struct span line;
    bool good;
    enum command_verb verb;
    const char *argument;
} lines[] = {
    { SPAN("EHLO a.example"), true, COMMAND_EHLO, "a.example" },
    { SPAN("ehlo  a  "), true, COMMAND_EHLO, "a" },
    { SPAN("QUIT"), true, COMMAND_QUIT, "" },
    { SPAN("QUIT "), true, COMMAND_QUIT, "" },
    { SPAN("dAtA"), true, COMMAND_DATA, "" },
    { SPAN("StartTLS x"), true, COMMAND_STARTTLS, "x" },
    { SPAN("MAIL FROM:<a@b> SIZE=1"), true, COMMAND_MAIL, "FROM:<a@b> SIZE=1" },
    { SPAN("NOOP a\tb"), true, COMMAND_NOOP, "a\tb" },
    { SPAN("RCPT TO:<\xc3\xbc@b>"), true, COMMAND_RCPT, "TO:<\xc3\xbc@b>" },
    { SPAN(""), true, COMMAND_UNKNOWN, "" },
    { SPAN(" QUIT"), true, COMMAND_UNKNOWN, "QUIT" },
    { SPAN("QUITX"), true, COMMAND_UNKNOWN, "" },
    { SPAN("QUI"), true, COMMAND_UNKNOWN, "" },
    { SPAN("GET / HTTP/1.1"), true, COMMAND_UNKNOWN, "/ HTTP/1.1" },
    { SPAN("\xc3\xbcHLO x"), true, COMMAND_UNKNOWN, "x" },
    /* control bytes, and what is no UTF-8 */
    { SPAN("QUIT\0"), false, COMMAND_UNKNOWN, "" },
    { SPAN("QU\0IT"), false, COMMAND_UNKNOWN, "" },
    { SPAN("NOOP \x01"), false, COMMAND_UNKNOWN, "" },
    { SPAN("NOOP \x7f"), false, COMMAND_UNKNOWN, "" },
    { SPAN("NOOP\tx"), false, COMMAND_UNKNOWN, "" },
    { SPAN("NOOP a\rb"), false, COMMAND_UNKNOWN, "" },
    { SPAN("NOOP \xff"), false, COMMAND_UNKNOWN, "" },
    { SPAN("\x16\x03\x01\x02"), false, COMMAND_UNKNOWN, "" },
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct command command;
        bool good = command_parse(lines[i].line, &command);
        assert_int_equal(good, lines[i].good);
        if (!good)
            continue;
        assert_int_equal(command.verb, lines[i].verb);
        assert_true(span_equal(command.argument, span_of(lines[i].argument)));
    }
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned verb = 0; verb < COMMAND_VERBS; verb++) {
        struct command command;
        assert_true(command_parse(span_of(command_name((enum command_verb)verb)), &command));
        assert_int_equal(command.verb, verb);
    }
    assert_string_equal(command_name(COMMAND_UNKNOWN), "?");
}

static const struct {
    struct span argument;
    enum command_fault fault;
    struct command_mail mail;
} mails[] = {
    { SPAN("FROM:<a@b>"), COMMAND_FINE, { .sender = "a@b" } },
    { SPAN("from: <a@B>"), COMMAND_FINE, { .sender = "a@b" } },
    { SPAN("FROM:<>"), COMMAND_FINE, { .sender = "" } },
    { SPAN("FROM:<a@b> SIZE=1000"), COMMAND_FINE, { .sender = "a@b", .size = 1000 } },
    { SPAN("FROM:<a@b>  size=0  body=8bitmime"), COMMAND_FINE, { .sender = "a@b", .body_8bit = true } },
    { SPAN("FROM:<a@b> BODY=7BIT RET=FULL"), COMMAND_FINE, { .sender = "a@b", .ret = COMMAND_RET_FULL } },
    { SPAN("FROM:<a@b> RET=HDRS ENVID=Q+2B1"), COMMAND_FINE, { .sender = "a@b", .ret = COMMAND_RET_HEADERS, .envid = "Q+1" } },
    { SPAN("FROM:<a@b> AUTH=<>"), COMMAND_FINE, { .sender = "a@b" } },
    { SPAN("FROM:<a@b> AUTH=e+3Dmc2@example.com"), COMMAND_FINE, { .sender = "a@b" } },
    { SPAN("FROM:<\xc3\xbc@b> SMTPUTF8"), COMMAND_FINE, { .sender = "\xc3\xbc@b", .smtputf8 = true } },
    { SPAN("FROM:<a@b> ENVID=" X100), COMMAND_FINE, { .sender = "a@b", .envid = X100 } },
    { SPAN("FROM:<a@b> SIZE=18446744073709551615"), COMMAND_FINE, { .sender = "a@b", .size = UINT64_MAX } },
    { SPAN(""), COMMAND_BAD_SYNTAX, { .size = 0 } },
    { SPAN("<a@b>"), COMMAND_BAD_SYNTAX, { .size = 0 } },
    { SPAN("TO:<a@b>"), COMMAND_BAD_SYNTAX, { .size = 0 } },
    { SPAN("FROM <a@b>"), COMMAND_BAD_SYNTAX, { .size = 0 } },
    { SPAN("FROM:<a@b>SIZE=1"), COMMAND_BAD_SYNTAX, { .size = 0 } },
    { SPAN("FROM:<a@b>\tSIZE=1"), COMMAND_BAD_SYNTAX, { .size = 0 } },
    { SPAN("FROM:"), COMMAND_BAD_SENDER, { .size = 0 } },
    { SPAN("FROM:a@b"), COMMAND_BAD_SENDER, { .size = 0 } },
    { SPAN("FROM:<a@b"), COMMAND_BAD_SENDER, { .size = 0 } },
    { SPAN("FROM:<\xff@b> SMTPUTF8"), COMMAND_BAD_SENDER, { .size = 0 } },
    { SPAN("FROM:<\xc3\xbc@b>"), COMMAND_NEEDS_SMTPUTF8, { .size = 0 } },
    { SPAN("FROM:<a@\xc2\xad.b> SMTPUTF8"), COMMAND_NO_SENDER_NAME, { .size = 0 } },
    /* sizes */
    { SPAN("FROM:<a@b> SIZE=99999999999999999999"), COMMAND_TOO_BIG, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE=18446744073709551616"), COMMAND_TOO_BIG, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE=-1"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE=+1"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE=0x10"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE="), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE=1 SIZE=1"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZE=1=2"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SMTPUTF8 SMTPUTF8"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SMTPUTF8=yes"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> BODY=BINARYMIME"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> RET=ALL"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> FOO=1"), COMMAND_UNKNOWN_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> SIZ=1"), COMMAND_UNKNOWN_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> NOTIFY=NEVER"), COMMAND_UNKNOWN_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ="), COMMAND_UNKNOWN_PARAMETER, { .size = 0 } },
    /* what decodes to control bytes, or is no xtext */
    { SPAN("FROM:<a@b> ENVID=" X100 "x"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ENVID=+41" X50 X10 X10 X10 X10 "xxxxxxxx"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ENVID=a+0A"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ENVID=a+00"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ENVID=a+G1"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ENVID=a+2"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> ENVID="), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> AUTH=a+0Ab"), COMMAND_BAD_PARAMETER, { .size = 0 } },
    { SPAN("FROM:<a@b> AUTH=" X500 "x"), COMMAND_BAD_PARAMETER, { .size = 0 } },
};

static void test_mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mails); i++) {
        struct command_mail mail;
        enum command_fault fault = command_parse_mail(mails[i].argument, &mail);
        if (fault != mails[i].fault)
            fail_msg("MAIL %.*s: fault %d", SPAN_ARGS(mails[i].argument), (int)fault);
        if (fault != COMMAND_FINE)
            continue;
        assert_string_equal(mail.sender, mails[i].mail.sender);
        assert_string_equal(mail.envid, mails[i].mail.envid);
        assert_true(mail.size == mails[i].mail.size);
        assert_int_equal(mail.ret, mails[i].mail.ret);
        assert_int_equal(mail.body_8bit, mails[i].mail.body_8bit);
        assert_int_equal(mail.smtputf8, mails[i].mail.smtputf8);
    }
}

static const struct {
    struct span argument;
    bool smtputf8;
    enum command_fault fault;
    struct command_rcpt rcpt;
} rcpts[] = {
    { SPAN("TO:<a@b>"), false, COMMAND_FINE, { .recipient = "a@b" } },
    { SPAN("to: <Postmaster>"), false, COMMAND_FINE, { .recipient = "postmaster" } },
    { SPAN("TO:<@x:a@b>"), false, COMMAND_FINE, { .recipient = "a@b" } },
    { SPAN("TO:<a@b> NOTIFY=NEVER"), false, COMMAND_FINE, { .recipient = "a@b", .notify = COMMAND_NOTIFY_NEVER } },
    { SPAN("TO:<a@b> notify=success,Delay,FAILURE"),
      false,
      COMMAND_FINE,
      { .recipient = "a@b", .notify = COMMAND_NOTIFY_SUCCESS | COMMAND_NOTIFY_DELAY | COMMAND_NOTIFY_FAILURE } },
    { SPAN("TO:<a@b> ORCPT=rfc822;x+2By@z"), false, COMMAND_FINE, { .recipient = "a@b", .orcpt = "rfc822;x+y@z" } },
    { SPAN("TO:<a@b> ORCPT=rfc822;+22a+20b+22@z"), false, COMMAND_FINE, { .recipient = "a@b", .orcpt = "rfc822;\"a b\"@z" } },
    { SPAN("TO:<\xc3\xbc@b>"), true, COMMAND_FINE, { .recipient = "\xc3\xbc@b" } },
    { SPAN("TO:<\xc3\xbc@b>"), false, COMMAND_NEEDS_SMTPUTF8, { .notify = 0 } },
    { SPAN("TO:<a@\xc2\xad.b>"), false, COMMAND_NEEDS_SMTPUTF8, { .notify = 0 } },
    { SPAN("TO:<a@\xc2\xad.b>"), true, COMMAND_NO_RECIPIENT_NAME, { .notify = 0 } },
    { SPAN("TO:<>"), false, COMMAND_BAD_RECIPIENT, { .notify = 0 } },
    { SPAN("TO:a@b"), false, COMMAND_BAD_RECIPIENT, { .notify = 0 } },
    { SPAN("FROM:<a@b>"), false, COMMAND_BAD_SYNTAX, { .notify = 0 } },
    { SPAN("TO:<a@b> SIZE=1"), false, COMMAND_UNKNOWN_PARAMETER, { .notify = 0 } },
    /* the same for a recipient */
    { SPAN("TO:<a@b> NOTIFY=NEVER,DELAY"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> NOTIFY="), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> NOTIFY=SUCCESS,"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> NOTIFY=,SUCCESS"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> NOTIFY=SUCCESS,SUCCESS"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> NOTIFY=OFTEN"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=rfc822;x+0D+0Ay"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=rfc822;x+80"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=rfc822;"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=;x"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=x"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=rf+0Ac822;x"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=rfc822;" X500), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=rfc822;+41" X100 X100 X100 X100 X50 X10 X10 X10 X10 "x"),
      false,
      COMMAND_BAD_PARAMETER,
      { .notify = 0 } },
    { SPAN("TO:<a@b> ORCPT=" X500 ";x"), false, COMMAND_BAD_PARAMETER, { .notify = 0 } },
};

static void test_rcpt(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rcpts); i++) {
        struct command_rcpt rcpt;
        enum command_fault fault = command_parse_rcpt(rcpts[i].argument, rcpts[i].smtputf8, &rcpt);
        if (fault != rcpts[i].fault)
            fail_msg("RCPT %.*s: fault %d", SPAN_ARGS(rcpts[i].argument), (int)fault);
        if (fault != COMMAND_FINE)
            continue;
        assert_string_equal(rcpt.recipient, rcpts[i].rcpt.recipient);
        assert_string_equal(rcpt.orcpt, rcpts[i].rcpt.orcpt);
        assert_int_equal(rcpt.notify, rcpts[i].rcpt.notify);
    }
}

/* Each fault has a reply of its own with a code, an enhanced code, and words. */
static void test_fault_replies(void **state)
{
    static const char *const codes[] = {
        [COMMAND_FINE] = "250 2.0.0 ",
        [COMMAND_BAD_SYNTAX] = "501 5.5.4 ",
        [COMMAND_BAD_SENDER] = "501 5.1.7 ",
        [COMMAND_BAD_RECIPIENT] = "501 5.1.3 ",
        [COMMAND_NO_SENDER_NAME] = "501 5.1.7 ",
        [COMMAND_NO_RECIPIENT_NAME] = "501 5.1.3 ",
        [COMMAND_NEEDS_SMTPUTF8] = "553 5.6.7 ",
        [COMMAND_BAD_PARAMETER] = "501 5.5.4 ",
        [COMMAND_UNKNOWN_PARAMETER] = "555 5.5.4 ",
        [COMMAND_TOO_BIG] = "552 5.3.4 ",
    };
    (void)state;
    for (unsigned fault = COMMAND_FINE; fault <= COMMAND_TOO_BIG; fault++)
        assert_true(span_starts_nocase(span_of(command_fault_reply((enum command_fault)fault)), span_of(codes[fault])));
}

static void test_helo(void **state)
{
    static const struct {
        struct span name;
        bool good;
    } names[] = {
        { SPAN("relay.example.net"), true },
        { SPAN("printer_3"), true },
        { SPAN("localhost"), true },
        { SPAN("[192.0.2.1]"), true },
        { SPAN("[IPv6:::1]"), true },
        { SPAN(X100 X100 X50 "xxxxx"), true },
        /* names that are none */
        { SPAN(""), false },
        { SPAN("a b"), false },
        { SPAN("[x"), false },
        { SPAN("[x]"), false },
        { SPAN("[192.0.2.1"), false },
        { SPAN("a\tb"), false },
        { SPAN("a\x1b[1m"), false },
        { SPAN("a%n(b)"), false },
        { SPAN("m\xc3\xbcnchen"), false },
        { SPAN(X100 X100 X50 "xxxxxx"), false },
        { SPAN(X100 X100 X100), false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(command_is_helo_name(names[i].name), names[i].good);
}

static void test_xtext(void **state)
{
    struct span text = SPAN("a+b=c \"d\" e\xc3\xbc\r\n");
    struct buffer out;
    char decoded[64];
    (void)state;
    buffer_init(&out, 50);
    assert_true(command_xtext_encode(text, &out));
    assert_true(span_equal(buffer_span(&out), SPAN("a+2Bb+3Dc+20\"d\"+20e+C3+BC+0D+0A")));
    assert_false(command_xtext_decode(buffer_span(&out), decoded, sizeof decoded));
    assert_true(command_xtext_decode(SPAN("a+2Bb+3Dc+20"), decoded, sizeof decoded));
    assert_string_equal(decoded, "a+b=c ");
    assert_true(command_xtext_decode(SPAN("abc"), decoded, 4));
    assert_false(command_xtext_decode(SPAN("abcd"), decoded, 4));
    assert_false(command_xtext_decode(SPAN("+2b"), decoded, sizeof decoded));
    assert_false(command_xtext_decode(SPAN("a=b"), decoded, sizeof decoded));
    assert_false(command_xtext_decode(SPAN("+7F"), decoded, sizeof decoded));
    size_t size = buffer_size(&out);
    assert_false(command_xtext_encode(text, &out));
    assert_int_equal(buffer_size(&out), size);
    buffer_fini(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_names), cmocka_unit_test(test_mail),
        cmocka_unit_test(test_rcpt),  cmocka_unit_test(test_helo),  cmocka_unit_test(test_fault_replies),
        cmocka_unit_test(test_xtext),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Reports as providers send them, and as somebody would who wants the reader to stumble. Each is read whole and byte by byte: how the
 * content is cut makes no difference. */
#include "../../../relay/message/feedback.h"

#include "../../../relay/base/text.h"
#include "../../../relay/message/mime.h"
#include "../../../relay/smtp/content.h"
#include "../unit.h"

#define HOSTNAME "relay.example.net"
#define ID       "0123456789abcdefghj0"
#define RECEIVED                                                                                                                 \
    "Received: from pc ([192.0.2.1])\n\tby " HOSTNAME " with ESMTPSA id " ID                                                     \
    "\n\t(mark 00000000000000ff)\n\tfor <b@example.com>;\n"                                                                      \
    "\tTue, 24 Nov 2026 22:15:03 +0000\n"
#define TOP                                                                                                                      \
    "From: <abusedesk@example.com>\nSubject: FW: Earn money\nMIME-Version: 1.0\nContent-Type: multipart/report; "                \
    "report-type=feedback-report;\n  boundary=\"part1_13d.2e68ed54_boundary\"\n\n"
#define CUT   "--part1_13d.2e68ed54_boundary\n"
#define END   "--part1_13d.2e68ed54_boundary--\n"
#define WORDS CUT "Content-Type: text/plain; charset=\"US-ASCII\"\n\nThis is an email abuse report.\n\n"
#define FIELDS                                                                                                                   \
    CUT "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n"             \
        "Original-Mail-From: <alice@Example.NET>\nOriginal-Rcpt-To: <bob@example.com>\nOriginal-Rcpt-To: <carl@example.com>\n"   \
        "Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT\nSource-IP: 192.0.2.1\n\n"
#define ORIGINAL CUT "Content-Type: message/rfc822\nContent-Disposition: inline\n\n"
#define MESSAGE  "From: <alice@example.net>\n" RECEIVED "To: <bob@example.com>\n\nSpam Spam Spam\n"

static void read_plain(struct span plain, size_t step, struct feedback_result *ret_result)
{
    struct feedback *feedback = feedback_new(HOSTNAME);
    struct buffer crlf, wire;
    buffer_init(&crlf, 1 << 21);
    buffer_init(&wire, 1 << 21);
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] == '\n')
            buffer_add_byte(&crlf, '\r');
        buffer_add_byte(&crlf, plain.p[i]);
    }
    assert_true(content_stuff(buffer_span(&crlf), &wire));
    for (struct span rest = buffer_span(&wire); rest.n; rest = span_skip(rest, step))
        feedback_add(feedback, span_head(rest, step));
    feedback_end(feedback, ret_result);
    feedback_free(&feedback);
    assert_null(feedback);
    buffer_fini(&crlf);
    buffer_fini(&wire);
}

/* The result, however the text is cut. */
static struct feedback_result result_of(const char *text)
{
    struct feedback_result whole, cut;
    read_plain(span_of(text), SIZE_MAX, &whole);
    for (size_t step = 1; step < 8; step += 3) {
        read_plain(span_of(text), step, &cut);
        assert_memory_equal(&whole, &cut, sizeof whole);
    }
    return whole;
}

static void an_abuse_report(void **state)
{
    struct feedback_result result = result_of(TOP WORDS FIELDS ORIGINAL MESSAGE END);
    struct uid id;
    char source[NETADDR_TEXT_SIZE];
    (void)state;
    assert_true(result.is_report && result.accuses && result.has_origin);
    assert_string_equal(result.type, "abuse");
    assert_string_equal(result.original_from, "alice@example.net");
    assert_string_equal(result.original_rcpt, "bob@example.com");
    netaddr_print(&result.source, source);
    assert_string_equal(source, "192.0.2.1");
    assert_true(uid_parse(SPAN(ID), &id) && uid_compare(result.origin.id, id) == 0);
    assert_true(result.origin.mark == 0xff);
}

/* Where the original is found. */
static void originals(void **state)
{
    static const struct {
        const char *text;
        uint64_t mark; /* 0: no origin */
    } cases[] = {
        { TOP WORDS FIELDS CUT "Content-Type: text/rfc822-headers\n\nSubject: x\n" RECEIVED END, 0xff },
        { TOP WORDS FIELDS CUT "Content-Type: TEXT/RFC822-Headers ; charset=utf-8\n\n\n" RECEIVED END, 0xff },
        { TOP WORDS FIELDS ORIGINAL MESSAGE, 0xff },     /* no end */
        { TOP WORDS FIELDS ORIGINAL RECEIVED, 0xff },    /* nor an end of the header */
        { TOP WORDS ORIGINAL MESSAGE FIELDS END, 0xff }, /* another order */
        { "Subject: x\n" TOP CUT "\nno words\n" FIELDS ORIGINAL RECEIVED "\n" END "\nepilogue\n", 0xff },
        { TOP WORDS FIELDS ORIGINAL "Subject: x\n\n" RECEIVED END, 0 }, /* in the body */
        { TOP WORDS FIELDS ORIGINAL "not a field\n \xff\n:\n.hidden\n" RECEIVED END, 0xff },
        { TOP WORDS FIELDS ORIGINAL "Received: by elsewhere id " ID "\n" RECEIVED END, 0xff },
        { TOP WORDS FIELDS ORIGINAL "Subject: x\n\n" ORIGINAL RECEIVED END, 0 }, /* the first counts */
        { TOP WORDS FIELDS ORIGINAL "Received: by " HOSTNAME " id " ID " (mark 00000000000000aa)\n" RECEIVED END, 0xaa },
        { TOP WORDS FIELDS END ORIGINAL RECEIVED, 0 }, /* behind the end */
        { TOP WORDS FIELDS CUT "Content-Type: application/octet-stream\n\n" RECEIVED END, 0 },
        { TOP WORDS FIELDS CUT
          "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: BASE64\n\n"
          "UmVjZWl2ZWQ6IGJ5IHJlbGF5LmV4YW1wbGUubmV0IGlkIDAxMjM0\nNTY3ODlhYmNk\n ZWZnaGowIChtYXJrIDAwMDAwMDAwMDAw\n"
          "MDAwZmYpDQo=\nAAAA\n" END,
          0xff },
        { TOP WORDS FIELDS CUT "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: quoted-printable\n\n"
                               "Subject: =\n=3D=zz=\nReceived: by relay=2Eexample.net=20=\n id " ID
                               " (mark=\n 00000000000000ff)  \n" END,
          0 },
        { TOP WORDS FIELDS CUT "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: quoted-printable\n\n"
                               "Subject: =3D=zz=\n=\nx\nReceived: by relay=2Eexample.net=20=\n id " ID
                               " (mark=\n 00000000000000ff)  \n" END,
          0xff },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct feedback_result result = result_of(cases[i].text);
        if (!result.is_report || result.has_origin != (cases[i].mark != 0) || result.origin.mark != cases[i].mark)
            fail_msg("case %zu: report %d, origin %d, mark %llx", i, result.is_report, result.has_origin,
                     (unsigned long long)result.origin.mark);
    }
}

static void no_reports(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "Subject: x\n\nhello\n" FIELDS,
        "Content-Type: multipart/report; report-type=delivery-status; boundary=part1_13d.2e68ed54_boundary\n\n" FIELDS END,
        "Content-Type: multipart/mixed; report-type=feedback-report; boundary=part1_13d.2e68ed54_boundary\n\n" FIELDS END,
        "Content-Type: multipart/report; report-type=feedback-report\n\n" FIELDS END,
        "Content-Type: multipart/report; report-type=feedback-report; boundary=\"\"\n\n--\n" FIELDS END,
        "Content-Type: multipart/report; report-type=\"feedback-report; boundary=part1_13d.2e68ed54_boundary\n\n" FIELDS END,
        TOP WORDS ORIGINAL MESSAGE END,
        TOP WORDS CUT "Content-Type: message/feedback-report\n\nVersion: 1\n" ORIGINAL MESSAGE END,
        TOP WORDS CUT "Content-Type: message/feedback-report\n\nFeedback-Type:\n" END,
        TOP CUT "Content-Type: multipart/mixed; boundary=inner\n\n--inner\nContent-Type: "
                "message/feedback-report\n\nFeedback-Type: abuse\n"
                "--inner--\n" END,
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct feedback_result result = result_of(texts[i]), none = { .is_report = false };
        if (memcmp(&result, &none, sizeof none) != 0)
            fail_msg("case %zu", i);
    }
}

static void fields(void **state)
{
    static const struct {
        const char *fields;
        const char *type, *from, *rcpt;
        bool accuses, source;
    } cases[] = {
        { "feedback-type : Fraud\n", "fraud", "", "", true, false },
        { "Feedback-Type: virus\nFeedback-Type: not-spam\n", "virus", "", "", true, false },
        { "Feedback-Type: not-spam\n", "not-spam", "", "", false, false },
        { "Feedback-Type: auth-failure\n", "auth-failure", "", "", false, false },
        { "Feedback-Type: abuse\" x=1\n", "other", "", "", false, false },
        { "Feedback-Type: abuseabuseabuseabuseabuseabuseabuse\n", "other", "", "", false, false },
        { "Feedback-Type:\n abuse\nOriginal-Mail-From: bounce\n\t@example.net\nSource-IP: 192.0.2\n", "abuse", "", "", true,
          false },
        { "Feedback-Type: abuse\nOriginal-Mail-From: <>\nOriginal-Rcpt-To: redacted\nOriginal-Rcpt-To: bob@example.com\n",
          "abuse", "", "bob@example.com", true, false },
        { "Feedback-Type: abuse\nno field\n more of it\nSource-IP: 2001:db8::1\nOriginal-Mail-From: a b@c\n", "abuse", "", "",
          true, true },
        { "\nFeedback-Type: abuse\n\nSource-IP: 192.0.2.1\n", "abuse", "", "", true, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[2048];
        text_format(text, sizeof text, "%sContent-Type: message/feedback-report\n\n%s%s", TOP CUT, cases[i].fields, END);
        struct feedback_result result = result_of(text);
        if (!result.is_report || strcmp(result.type, cases[i].type) != 0 || strcmp(result.original_from, cases[i].from) != 0 ||
            strcmp(result.original_rcpt, cases[i].rcpt) != 0 || result.accuses != cases[i].accuses ||
            (result.source.family != 0) != cases[i].source)
            fail_msg("case %zu: %s, %s, %s", i, result.type, result.original_from, result.original_rcpt);
    }
}

/* Multiparts in multiparts, boundaries that are the beginning of others, delimiters in headers. */
static void boundaries(void **state)
{
    static const char *const texts[] = {
        TOP CUT "Content-Type: multipart/alternative; boundary=a\n\n--a\n\nx\n--a--\n--a\n" FIELDS ORIGINAL MESSAGE END,
        TOP CUT "Content-Type: multipart/alternative; "
                "boundary=\"part1_13d.2e68ed54_boundary2\"\n\n--part1_13d.2e68ed54_boundary2\n\nx\n" FIELDS ORIGINAL MESSAGE END,
        TOP CUT "Content-Type: text/plain\n" FIELDS ORIGINAL MESSAGE END,
        TOP CUT "\n--part1_13d.2e68ed54_boundary3\n--part1_13d\n--\n-\n" FIELDS ORIGINAL MESSAGE END,
        TOP CUT "\n--part1_13d.2e68ed54_boundary \t\nContent-Type: text/plain\n\n" FIELDS ORIGINAL MESSAGE END,
        TOP
        "--part1_13d.2e68ed54_boundary\nContent-Type: multipart/a; boundary=b\n\n--b\nContent-Type: multipart/a; "
        "boundary=c\n\n--c\n"
        "Content-Type: multipart/a; boundary=d\n\n--d\nContent-Type: multipart/a; boundary=e\n\n--e\nContent-Type: multipart/a; "
        "boundary=f\n\n--f\n\n" FIELDS ORIGINAL MESSAGE END,
        "Content-Type: Multipart/Report(x); Report-Type = \"feedback\\-report\"; x=\";boundary=no\";\n "
        "BOUNDARY=part1_13d.2e68ed54_boundary\n\n" FIELDS ORIGINAL MESSAGE END,
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct feedback_result result = result_of(texts[i]);
        bool comment = i + 1 == COUNT(texts); /* comments in a type are not understood: no report, and no harm */
        if (result.is_report == comment || result.has_origin == comment)
            fail_msg("case %zu: report %d, origin %d", i, result.is_report, result.has_origin);
    }
}

/* What is beyond a limit is left out, and what is in front of it counts. */
static void limits(void **state)
{
    static char text[MIME_BYTES_MAX + 8192];
    static char filler[MIME_BYTES_MAX];
    struct feedback_result result;
    (void)state;
    memset(filler, 'x', sizeof filler);
    text_format(text, sizeof text, "%s%.*s%s", TOP WORDS, 100000, filler, "\n" FIELDS ORIGINAL MESSAGE END);
    assert_true(result_of(text).has_origin); /* a very long line */
    text_format(text, sizeof text, "%s%.*s%s", TOP WORDS, (int)sizeof filler - 500, filler, "\n" FIELDS ORIGINAL MESSAGE END);
    result = result_of(text);
    assert_false(result.has_origin); /* too late */
    text_format(text, sizeof text, "%s%.*s%s", TOP WORDS FIELDS ORIGINAL "X: ", 100000, filler, "\n" RECEIVED END);
    assert_true(result_of(text).has_origin); /* a long line in the original's header */
    for (size_t i = 0; i + 80 < sizeof filler; i += 80)
        memcpy(filler + i, "X: y\n ", 6);
    text_format(text, sizeof text, "%s%.*s%s", TOP WORDS FIELDS ORIGINAL, FEEDBACK_ORIGINAL_MAX, filler, "\n" RECEIVED END);
    result = result_of(text);
    assert_true(result.is_report && !result.has_origin); /* a long header */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_abuse_report), cmocka_unit_test(originals),  cmocka_unit_test(no_reports),
        cmocka_unit_test(fields),          cmocka_unit_test(boundaries), cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests_name("feedback", tests, NULL, NULL);
}

/* The pass over a header and what it finds, strips and shows. */
#include "../../../relay/message/header.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

#define MEGABYTE (1 << 20)

static void test_end(void **state)
{
    static const struct {
        const char *content;
        size_t end;
    } cases[] = {
        { "", 0 },
        { "\r\n", 2 },
        { "\r\nbody", 2 },
        { "A: b\r\n\r\n", 8 },
        { "A: b\r\n\r\nbody\r\n\r\n", 8 },
        { "A: b\r\n", 0 },
        { "A: b\n\nbody", 0 },
        { "A: b\r\n\n", 0 },
        { "A: b\r\n \r\n\r\n", 11 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span whole = span_of(cases[i].content);
        assert_int_equal(header_end(whole, 0), cases[i].end);
        /* in two parts, cut at every byte: FROM is the size of the first */
        for (size_t cut = 0; cut < whole.n; cut++) {
            size_t first = header_end(span_head(whole, cut), 0);
            assert_int_equal(first ? first : header_end(whole, cut), cases[i].end);
        }
    }
}

static void test_next(void **state)
{
    static const struct {
        const char *header, *name, *value, *rest;
    } cases[] = {
        { "A: b\r\nC: d\r\n", "A", " b", "C: d\r\n" },
        { "A:b\r\n c\r\n\td\r\nE: f\r\n", "A", "b\r\n c\r\n\td", "E: f\r\n" },
        { "A:\r\n", "A", "", "" },
        { "A: b", "A", " b", "" },
        { "A : b\r\n", "A", " b", "" },
        { "A \t: b\r\n", "A", " b", "" },
        { "A\r\n : b\r\n", "A", " b", "" },
        { "A: b: c\r\n", "A", " b: c", "" },
        { "X-a.b: c\r\n", "X-a.b", " c", "" },
        { "", NULL, NULL, "" },
        { "\r\n", NULL, NULL, "\r\n" },
        { " A: b\r\n", NULL, NULL, " A: b\r\n" },
        { ": b\r\n", NULL, NULL, ": b\r\n" },
        { "A\r\nB: c\r\n", NULL, NULL, "A\r\nB: c\r\n" },
        { "A b: c\r\n", NULL, NULL, "A b: c\r\n" },
        { "A\r\n b: c\r\n", NULL, NULL, "A\r\n b: c\r\n" },
        { "A\xc3\xbc: c\r\n", NULL, NULL, "A\xc3\xbc: c\r\n" },
        { "..A: c\r\n", NULL, NULL, "..A: c\r\n" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span rest = span_of(cases[i].header);
        struct header_field field;
        bool found = header_next(&rest, &field);
        assert_int_equal(found, cases[i].name != NULL);
        assert_true(span_equal(rest, span_of(cases[i].rest)));
        if (!found)
            continue;
        assert_true(span_equal(field.name, span_of(cases[i].name)));
        assert_true(span_equal(field.value, span_of(cases[i].value)));
        assert_int_equal(field.whole.n + rest.n, strlen(cases[i].header));
    }
}

/* Who wrote it, as any receiver might read it. */
static const struct {
    const char *header;
    unsigned fields, addresses;
    bool malformed, from_malformed, space;
    const char *first, *second, *sender;
} authors[] = {
    { "From: a@b\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "FROM:A <a@B>\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "From: a@b\r\nFrom: c@d\r\n\r\n", 2, 2, false, false, false, "a@b", "c@d", "" },
    { "From: a@b, c@d\r\nSender: e@F\r\n\r\n", 1, 2, false, false, false, "a@b", "c@d", "e@f" },
    { "From: a@b\r\n , c@d\r\n\r\n", 1, 2, false, false, false, "a@b", "c@d", "" },
    { "From : a@b\r\n\r\n", 1, 1, false, false, true, "a@b", "", "" },
    { "From\t: a@b\r\n\r\n", 1, 1, false, false, true, "a@b", "", "" },
    { "From\r\n : a@b\r\n\r\n", 1, 1, false, false, true, "a@b", "", "" },
    { "From : a@b\r\nFrom: c@d\r\n\r\n", 2, 2, false, false, true, "a@b", "c@d", "" },
    { " From: a@b\r\nFrom: c@d\r\n\r\n", 1, 1, true, false, true, "c@d", "", "" },
    { "Fr\r\n om: a@b\r\n\r\n", 0, 0, true, false, false, "", "", "" },
    { "From:\r\n a@b\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "From: a@b <c@d>\r\n\r\n", 1, 0, false, true, false, "", "", "" },
    { "From: <a@b> <c@d>\r\n\r\n", 1, 0, false, true, false, "", "", "" },
    { "From: <@x,@y:a@b>\r\n\r\n", 1, 0, false, true, false, "", "", "" },
    { "From: \r\n\r\n", 1, 0, false, true, false, "", "", "" },
    { "From: nobody\r\n\r\n", 1, 0, false, true, false, "", "", "" },
    { "From: undisclosed:;\r\n\r\n", 1, 0, false, false, false, "", "", "" },
    { "From: \"a@b\" <c@d>\r\n\r\n", 1, 1, false, false, false, "c@d", "", "" },
    { "From: \"x@evil y\"@good.example\r\n\r\n", 1, 1, false, false, false, "\"x@evil y\"@good.example", "", "" },
    { "From: a@b\r\nSender: x\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "From: a@b\r\nSender: c@d, e@f\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "From: a@b\r\nSender: c@d\r\nSender: e@f\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "From: a@b\r\nSender : c@d\r\n\r\n", 1, 1, false, false, true, "a@b", "", "c@d" },
    { "Subject : x\r\nFrom: a@b\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "Resent-From: x@y\r\nFrom: a@b\r\n\r\n", 1, 1, false, false, false, "a@b", "", "" },
    { "hello\r\nFrom: a@b\r\n\r\n", 1, 1, true, false, false, "a@b", "", "" },
    { "From a@b Mon Jan  1\r\nFrom: a@b\r\n\r\n", 1, 1, true, false, false, "a@b", "", "" },
    { "From: a@b", 1, 1, false, false, false, "a@b", "", "" },
    { "\r\n", 0, 0, false, false, false, "", "", "" },
    { "", 0, 0, false, false, false, "", "", "" },
};

static void test_authors(void **state)
{
    static struct header_facts facts;
    (void)state;
    for (size_t i = 0; i < COUNT(authors); i++) {
        header_examine(span_of(authors[i].header), &facts);
        if (facts.from_fields != authors[i].fields || facts.from_addresses != authors[i].addresses)
            fail_msg("%s: %u fields, %u addresses", authors[i].header, facts.from_fields, facts.from_addresses);
        assert_int_equal(facts.malformed, authors[i].malformed);
        assert_int_equal(facts.from_malformed, authors[i].from_malformed);
        assert_int_equal(facts.space_before_colon, authors[i].space);
        assert_string_equal(facts.from[0], authors[i].first);
        assert_string_equal(facts.from[1], authors[i].second);
        assert_string_equal(facts.sender, authors[i].sender);
    }
}

static void test_facts(void **state)
{
    static struct header_facts facts;
    (void)state;
    header_examine(SPAN("Received: a\r\nreceived: b\r\n\tc\r\nDATE: now\r\nMessage-Id: <x@y>\r\nSubject: hello\r\n  world\\\r\n"
                        "Subject: other\r\nReceived-SPF: no\r\n\r\nReceived: in the body\r\n"),
                   &facts);
    assert_int_equal(facts.received, 2);
    assert_true(facts.has_date && facts.has_message_id && !facts.has_sender && !facts.has_stripped);
    assert_string_equal(facts.message_id, "<x@y>");
    assert_string_equal(facts.subject, "hello world\\x5c");
    header_examine(SPAN("bcc : a@b\r\n\r\n"), &facts);
    assert_true(facts.has_stripped && !facts.has_date && !facts.has_message_id);
}

/* More addresses than are checked: counted as one more, and the reading stops. */
static void test_many_addresses(void **state)
{
    static struct header_facts facts;
    struct buffer header;
    (void)state;
    buffer_init(&header, MEGABYTE);
    buffer_add_text(&header, "From: a@b");
    for (unsigned i = 1; i < HEADER_FROM_MAX; i++)
        buffer_add_text(&header, ", a@b");
    header_examine(buffer_span(&header), &facts);
    assert_int_equal(facts.from_addresses, HEADER_FROM_MAX);
    for (unsigned i = 0; i < 100000; i++)
        buffer_add_text(&header, ", a@b");
    header_examine(buffer_span(&header), &facts);
    assert_int_equal(facts.from_addresses, HEADER_FROM_MAX + 1);
    assert_false(facts.from_malformed);
    buffer_fini(&header);
}

/* A megabyte of each of these; a pass that is not linear would not end in the test's time. */
static void test_linear(void **state)
{
    static const char *const units[] = {
        "A: b\r\n",
        "x",
        " ",
        "\r\n ",
        "x\r\n",
        "From: a@b\r\n",
        "From:(\r\n",
        ":",
        "A:\r\n b",
        "Subject:\r\n\t\r\n\tx",
        "\t\r\n",
        "\n",
        "\r",
        "From\r\n ",
        "Received: x;\r\n",
        "From: a,b,c,\r\n",
        "From: ((((\r\n",
    };
    static struct header_facts facts;
    struct buffer header, out;
    (void)state;
    buffer_init(&header, 2 * MEGABYTE);
    buffer_init(&out, 2 * MEGABYTE);
    for (size_t i = 0; i < COUNT(units); i++) {
        while (buffer_size(&header) < MEGABYTE)
            buffer_add_text(&header, units[i]);
        header_examine(buffer_span(&header), &facts);
        assert_true(header_strip(buffer_span(&header), &out));
        assert_true(span_equal(buffer_span(&out), buffer_span(&header)));
        buffer_clear(&header);
        buffer_clear(&out);
    }
    buffer_fini(&header);
    buffer_fini(&out);
}

static void test_strip(void **state)
{
    static const struct {
        const char *header, *stripped;
    } cases[] = {
        { "A: b\r\n\r\n", "A: b\r\n\r\n" },
        { "Bcc: x\r\nA: b\r\n\r\n", "A: b\r\n\r\n" },
        { "A: b\r\nBCC: x,\r\n y\r\n\tz\r\nC: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n" },
        { "Return-Path: <x>\r\nBcc : y\r\nResent-Bcc: z\r\n\r\n", "\r\n" },
        { "A: b\r\nBcc: x\r\n", "A: b\r\n" },
        { "Bcc: x", "" },
        { "Bccx: y\r\n\r\n", "Bccx: y\r\n\r\n" },
        { "junk\r\nBcc: x\r\njunk\r\n\r\n", "junk\r\njunk\r\n\r\n" },
        { "\r\n", "\r\n" },
        { "", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out;
        size_t size = strlen(cases[i].stripped);
        buffer_init(&out, size + 1);
        buffer_add_byte(&out, '!');
        assert_true(header_strip(span_of(cases[i].header), &out));
        assert_string_equal(buffer_text(&out) + 1, cases[i].stripped);
        buffer_fini(&out);
        buffer_init(&out, size);
        buffer_add_byte(&out, '!');
        assert_int_equal(header_strip(span_of(cases[i].header), &out), size == 0);
        assert_int_equal(buffer_size(&out), size != 0);
        buffer_fini(&out);
    }
}

static void test_unfold(void **state)
{
    static const struct {
        const char *value, *text;
        bool whole;
    } cases[] = {
        { " hello", "hello", true },
        { "", "", true },
        { " a\r\n b\r\n\t\tc ", "a b c", true },
        { "\r\n a", "a", true },
        { "a\r\n \r\n b", "a b", true },
        { "a\tb\x1b[0m", "a\\x09b\\x1b[0m", true },
        { "0123456789abcdef", "0123456789abcde", false },
        { "0123456789abcd\r\n e", "0123456789abcd ", false },
        { "0123456789abcde\r\n f", "0123456789abcde", false },
        { "0123456789ab\x01", "0123456789ab", false },
        { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char dest[16];
        assert_int_equal(header_unfold(span_of(cases[i].value), dest, sizeof dest), cases[i].whole);
        assert_string_equal(dest, cases[i].text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),    cmocka_unit_test(test_next),   cmocka_unit_test(test_authors),
        cmocka_unit_test(test_facts),  cmocka_unit_test(test_strip),  cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_linear), cmocka_unit_test(test_unfold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

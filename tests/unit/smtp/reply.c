/* Replies of remote servers: what counts as one, and that what is kept of it is harmless. */
#include "../../../relay/smtp/reply.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

static const struct {
    const char *lines[4];
    enum reply_progress progress; /* of the last line given */
    unsigned code;
    const char *enhanced, *text;
} cases[] = {
    { { "250 2.1.5 Ok" }, REPLY_DONE, 250, "2.1.5", "2.1.5 Ok" },
    { { "250" }, REPLY_DONE, 250, "", "" },
    { { "250 " }, REPLY_DONE, 250, "", "" },
    { { "354 go ahead" }, REPLY_DONE, 354, "", "go ahead" },
    { { "250-mx.example", "250-SIZE 10", "250 HELP" }, REPLY_DONE, 250, "", "mx.example / SIZE 10 / HELP" },
    { { "550-5.1.1 no such", "550 5.1.1 user" }, REPLY_DONE, 550, "5.1.1", "5.1.1 no such / 5.1.1 user" },
    { { "250-", "250-x", "250 " }, REPLY_DONE, 250, "", "x" },
    { { "250-a" }, REPLY_MORE, 250, "", "a" },
    /* the class of the enhanced code must fit: the reply code counts */
    { { "450 5.1.1 later" }, REPLY_DONE, 450, "", "5.1.1 later" },
    { { "550 2.0.0 no" }, REPLY_DONE, 550, "", "2.0.0 no" },
    { { "550-5.1.1 x", "550 y" }, REPLY_DONE, 550, "", "5.1.1 x / y" },
    /* not printable, or made to look like something else */
    { { "550 a\\b" }, REPLY_DONE, 550, "", "a\\x5cb" },
    { { "550 a\x1b[2Jb" }, REPLY_DONE, 550, "", "a\\x1b[2Jb" },
    { { "550 a\nb" }, REPLY_DONE, 550, "", "a\\x0ab" },
    { { "550 gr\xc3\xbc\xc3\x9f" }, REPLY_DONE, 550, "", "gr\xc3\xbc\xc3\x9f" },
    { { "550 \xff" }, REPLY_DONE, 550, "", "\\xff" },
    { { "550 %n%s" }, REPLY_DONE, 550, "", "%n%s" },
    /* against the grammar */
    { { "250-a", "550 b" }, REPLY_MALFORMED, 250, "", "a" },
    { { "2xx ok" }, REPLY_MALFORMED, 0, "", "" },
    { { "25" }, REPLY_MALFORMED, 0, "", "" },
    { { "" }, REPLY_MALFORMED, 0, "", "" },
    { { "000 x" }, REPLY_MALFORMED, 0, "", "" },
    { { "199 x" }, REPLY_MALFORMED, 0, "", "" },
    { { "600 x" }, REPLY_MALFORMED, 0, "", "" },
    { { "260 x" }, REPLY_MALFORMED, 0, "", "" },
    { { "999 x" }, REPLY_MALFORMED, 0, "", "" },
    { { "2500 x" }, REPLY_MALFORMED, 0, "", "" },
    { { "250ok" }, REPLY_MALFORMED, 0, "", "" },
    { { " 250 ok" }, REPLY_MALFORMED, 0, "", "" },
    { { "250\tok" }, REPLY_MALFORMED, 0, "", "" },
    { { "250 a\rb" }, REPLY_MALFORMED, 0, "", "" },
    { { "HTTP/1.1 200 OK" }, REPLY_MALFORMED, 0, "", "" },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        enum reply_progress progress = REPLY_MORE;
        reply_init(&reply);
        for (size_t j = 0; j < COUNT(cases[i].lines) && cases[i].lines[j]; j++) {
            assert_int_equal(progress, REPLY_MORE);
            progress = reply_feed(&reply, span_of(cases[i].lines[j]));
        }
        assert_int_equal(progress, cases[i].progress);
        assert_int_equal(reply.code, cases[i].code);
        assert_string_equal(reply.enhanced, cases[i].enhanced);
        assert_string_equal(reply.text, cases[i].text);
    }
}

static void test_nul(void **state)
{
    struct reply reply;
    (void)state;
    reply_init(&reply);
    assert_int_equal(reply_feed(&reply, SPAN("250 a\0b")), REPLY_MALFORMED);
}

/* 128 lines are a reply, 129 are none. */
static void test_too_many_lines(void **state)
{
    struct reply reply;
    (void)state;
    reply_init(&reply);
    for (unsigned i = 0; i < SMTP_REPLY_LINES_MAX; i++)
        assert_int_equal(reply_feed(&reply, SPAN("250-x")), REPLY_MORE);
    assert_int_equal(reply_feed(&reply, SPAN("250 x")), REPLY_MALFORMED);
}

/* However long, in however many lines: one printable line that ends in the mark, in its array. */
static void test_cut(void **state)
{
    static const struct span units[] = { SPAN("x"), SPAN("\xc3\xbc"), SPAN("\x01"), SPAN("\xe2\x82\xac") };
    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        for (size_t n = 400; n < 620; n++) {
            char line[2048] = "550-";
            struct reply reply;
            for (size_t j = 0; j < n; j++)
                memcpy(line + 4 + j * units[i].n, units[i].p, units[i].n);
            reply_init(&reply);
            assert_int_equal(reply_feed(&reply, span_make(line, 4 + n * units[i].n)), REPLY_MORE);
            assert_int_equal(reply_feed(&reply, SPAN("550 5.7.1 no")), REPLY_DONE);
            assert_string_equal(reply.enhanced, "5.7.1");
            struct span text = span_of(reply.text);
            assert_in_range(text.n, 400, sizeof reply.text - 1);
            assert_true(text_is_utf8(text));
            assert_int_equal(reply.cut, span_ends_nocase(text, SPAN("…")));
            assert_true(reply.cut || span_ends_nocase(text, SPAN(" / 5.7.1 no")));
        }
    }
}

static void test_line_text(void **state)
{
    (void)state;
    assert_true(span_equal(reply_line_text(SPAN("250-SIZE 5")), SPAN("SIZE 5")));
    assert_int_equal(reply_line_text(SPAN("250")).n, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_nul),       cmocka_unit_test(test_too_many_lines),
        cmocka_unit_test(test_cut),   cmocka_unit_test(test_line_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Address lists (RFC 5322 3.4): read, or refused where two readers could differ. */
#include "../../../relay/message/header.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

#define D10 "((((((((((" /* ten deep */
#define U10 "))))))))))"

static const struct {
    const char *value;
    bool good;
    const char *addresses; /* each with a "|" behind it */
} cases[] = {
    { "a@b", true, "a@b|" },
    { " A@B.Example ", true, "A@b.example|" },
    { "a@b,c@d", true, "a@b|c@d|" },
    { "a@b,,c@d,", true, "a@b|c@d|" },
    { "Alice <a@b>", true, "a@b|" },
    { "Alice A. Adams <a@b>, Bob <c@d>", true, "a@b|c@d|" },
    { "<a@b>", true, "a@b|" },
    { "< a @ b >", true, "a@b|" },
    { "a@b (Alice)", true, "a@b|" },
    { "(x) a (y) @ (z) b (w)", true, "a@b|" },
    { "(a, <x@y>) a@b", true, "a@b|" },
    { "(a \\) ( b ) c) a@b", true, "a@b|" },
    { "\"Adams, Alice\" <a@b>", true, "a@b|" },
    { "\"x <y@z>\" <a@b>", true, "a@b|" },
    { "\"x\\\" <y@z>,\" <a@b>", true, "a@b|" },
    { "=?utf-8?q?=C3=A4?= <a@b>", true, "a@b|" },
    { "\xc3\xa4 \xe4 <a@b>", true, "a@b|" },
    { "\"a b\"@c", true, "\"a b\"@c|" },
    { "\"ab\"@c", true, "ab@c|" },
    { "a . b@c . d", true, "a.b@c.d|" },
    { "a@[192.0.2.1]", true, "a@[192.0.2.1]|" },
    { "a@\r\n b,\r\n\tc@d", true, "a@b|c@d|" },
    { "\xc3\xbc@b", true, "\xc3\xbc@b|" },
    { "team: a@b, C <c@d>;", true, "a@b|c@d|" },
    { "team:;", true, "" },
    { "x:;, a@b, y: c@d;", true, "a@b|c@d|" },
    { "team: a@b;, c@d", true, "a@b|c@d|" },
    { D10 D10 D10 "((" U10 U10 U10 ")) a@b", true, "a@b|" },
    /* not a list */
    { "", false, "" },
    { "  ", false, "" },
    { ",", false, "" },
    { "a", false, "" },
    { "a b", false, "" },
    { "a@", false, "" },
    { "@b", false, "" },
    { "a@b@c", false, "" },
    { "a@b c", false, "" },
    { "a@b c@d", false, "" },
    { "a b@c", false, "" },
    { "a(x)b@c", false, "" },
    { "a@b <c@d>", false, "" },
    { "a@b, c@d <e@f>", false, "a@b|" },
    { "<a@b> c", false, "" },
    { "<a@b> <c@d>", false, "" },
    { "<a@b", false, "" },
    { "a@b>", false, "" },
    { "<>", false, "" },
    { "<a>", false, "" },
    { "<<a@b>>", false, "" },
    { "<@x:a@b>", false, "" },
    { "<a@b, c@d>", false, "" },
    { "Alice <a@b", false, "" },
    { "\"Alice <a@b>", false, "" },
    { "\"a\"b@c", false, "" },
    { "(a@b", false, "" },
    { "a@b (", false, "" },
    { "a@b )", false, "" },
    { "a..b@c", false, "" },
    { ".a@b", false, "" },
    { "a@b..c", false, "" },
    { "a@b.", false, "" },
    { "a@b [x]", false, "" },
    { "[x] <a@b>", false, "" },
    { "a\\@b@c", false, "" },
    { "team: a@b", false, "" },
    { "team: x: a@b;;", false, "" },
    { "a@b;", false, "" },
    { ":;", false, "" },
    { "team:; a@b", false, "" },
    { "team:;;", false, "" },
    { "team: a@b; <c@d>", false, "a@b|" },
    { "a\x01@b", false, "" },
    { "\xff@b", false, "" },
    { D10 D10 D10 "(((" U10 U10 U10 "))) a@b", false, "" },
};

static bool gather(void *context, const char *address)
{
    struct buffer *found = context;
    return buffer_addf(found, "%s|", address);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer found;
        buffer_init(&found, 4096);
        bool good = header_addresses(span_of(cases[i].value), gather, &found);
        if (good != cases[i].good || strcmp(buffer_text(&found), cases[i].addresses) != 0)
            fail_msg("%s: %d %s", cases[i].value, good, buffer_text(&found));
        buffer_fini(&found);
    }
}

/* Cut at every byte, nothing is read behind the end. */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t n = 0; n < strlen(cases[i].value); n++) {
            struct buffer found;
            char *copy = malloc(n + !n);
            memcpy(copy, cases[i].value, n);
            buffer_init(&found, 4096);
            (void)!header_addresses(span_make(copy, n), gather, &found);
            buffer_fini(&found);
            free(copy);
        }
    }
}

static bool stop(void *context, const char *address)
{
    unsigned *calls = context;
    (void)address;
    return ++*calls < 2;
}

static void test_stop(void **state)
{
    unsigned calls = 0;
    (void)state;
    assert_true(header_addresses(SPAN("a@b, a@b, a@b, garbage <<"), stop, &calls));
    assert_int_equal(calls, 2);
}

static bool count(void *context, const char *address)
{
    unsigned *calls = context;
    (void)address;
    ++*calls;
    return true;
}

/* A megabyte of each. */
static void test_linear(void **state)
{
    static const char *const units[] = { "a@b,", "a ", "(",   "()", "\"",  "\"\" ", "<", ",",
                                         ".",    "a.", "x:;", "\\", "(\\", "\r\n ", "[" };
    struct buffer value;
    (void)state;
    buffer_init(&value, 2 << 20);
    for (size_t i = 0; i < COUNT(units); i++) {
        unsigned calls = 0;
        while (buffer_size(&value) < 1 << 20)
            buffer_add_text(&value, units[i]);
        assert_int_equal(header_addresses(buffer_span(&value), count, &calls), i == 0);
        assert_int_equal(calls, i == 0 ? (1 << 20) / 4 : 0);
        buffer_clear(&value);
    }
    buffer_fini(&value);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

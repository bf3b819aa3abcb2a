/* Paths and addresses: what is accepted, and the one form that comes of it. */
#include "../../../relay/smtp/address.h"

#include "../unit.h"

#define L16  "abcdefghijklmnop"
#define L63  L16 L16 L16 "abcdefghijklmno"
#define L64  L16 L16 L16 L16
#define D255 L63 "." L63 "." L63 "." L63
#define D189 L63 "." L63 "." L16 L16 L16 "abcdefghijklm"
#define D190 L63 "." L63 "." L16 L16 L16 "abcdefghijklmn"

enum kind { SENDER, SENDER_UTF8, RECIPIENT, RECIPIENT_UTF8 };

static const struct {
    enum kind kind;
    struct span text;
    enum address_verdict verdict;
    const char *normal, *rest;
} paths[] = {
    { SENDER, SPAN("<a@b.example>"), ADDRESS_OK, "a@b.example", "" },
    { SENDER, SPAN("<a@b> SIZE=1"), ADDRESS_OK, "a@b", " SIZE=1" },
    { SENDER, SPAN("<a@B.Example>"), ADDRESS_OK, "a@b.example", "" },
    { SENDER, SPAN("<A.B+c@b>"), ADDRESS_OK, "A.B+c@b", "" },
    { SENDER, SPAN("<>"), ADDRESS_OK, "", "" },
    { SENDER, SPAN("<> BODY=7BIT"), ADDRESS_OK, "", " BODY=7BIT" },
    { RECIPIENT, SPAN("<>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<postmaster>"), ADDRESS_OK, "postmaster", "" },
    { RECIPIENT, SPAN("<PostMaster> x"), ADDRESS_OK, "postmaster", " x" },
    { SENDER, SPAN("<postmaster>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<root>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"postmaster\">"), ADDRESS_SYNTAX, "", "" },
    /* not a path at all */
    { SENDER, SPAN(""), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("a@b"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@b"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("< a@b>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@b >"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<@>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<@b>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a b@c>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@b@c>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<<a@b>>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a>@b>"), ADDRESS_SYNTAX, "", "" },
    /* dots */
    { SENDER, SPAN("<.a@b>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a.@b>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a..b@c>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<\"a..b\"@c>"), ADDRESS_OK, "\"a..b\"@c", "" },
    { SENDER, SPAN("<a@b.>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@.b>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@b..c>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@-b>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@b->"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<a@b_c>"), ADDRESS_SYNTAX, "", "" },
    /* quotes, needed and not */
    { RECIPIENT, SPAN("<\"\"@d>"), ADDRESS_OK, "\"\"@d", "" },
    { RECIPIENT, SPAN("<\"a b\"@d>"), ADDRESS_OK, "\"a b\"@d", "" },
    { RECIPIENT, SPAN("<a\\@b@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"ab\"@d>"), ADDRESS_OK, "ab@d", "" },
    { RECIPIENT, SPAN("<\"a\\b\"@d>"), ADDRESS_OK, "ab@d", "" },
    { RECIPIENT, SPAN("<\"a\\\"b\"@d>"), ADDRESS_OK, "\"a\\\"b\"@d", "" },
    { RECIPIENT, SPAN("<\"a\\\\b\"@d>"), ADDRESS_OK, "\"a\\\\b\"@d", "" },
    { RECIPIENT, SPAN("<\"\\ \"@d>"), ADDRESS_OK, "\" \"@d", "" },
    { RECIPIENT, SPAN("<\"a\"b@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\\\"@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\\"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\""), ADDRESS_SYNTAX, "", "" },
    /* the domain is behind the quotes */
    { RECIPIENT, SPAN("<\"x@evil.example y\"@good.example>"), ADDRESS_OK, "\"x@evil.example y\"@good.example", "" },
    { RECIPIENT, SPAN("<\"x@evil.example\"@good.example>"), ADDRESS_OK, "\"x@evil.example\"@good.example", "" },
    { RECIPIENT, SPAN("<\"x@evil.example>\"@good.example>"), ADDRESS_OK, "\"x@evil.example>\"@good.example", "" },
    { RECIPIENT, SPAN("<\"x'/**/UNION/**/SELECT--\"@a>"), ADDRESS_OK, "x'/**/UNION/**/SELECT--@a", "" },
    /* source routes are dropped */
    { RECIPIENT, SPAN("<@a,@b:u@c>"), ADDRESS_OK, "u@c", "" },
    { RECIPIENT, SPAN("<@a:u@c>"), ADDRESS_OK, "u@c", "" },
    { RECIPIENT, SPAN("<@[192.0.2.1]:u@c>"), ADDRESS_OK, "u@c", "" },
    { RECIPIENT, SPAN("<@a,b:u@c>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<@a,@b>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<@a,:u@c>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<@a,,@b:u@c>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<@a:>"), ADDRESS_SYNTAX, "", "" },
    { SENDER, SPAN("<@a:>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<@a,"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<@a"), ADDRESS_SYNTAX, "", "" },
    /* nothing is rewritten */
    { RECIPIENT, SPAN("<u%v@here>"), ADDRESS_OK, "u%v@here", "" },
    { RECIPIENT, SPAN("<v!u@here>"), ADDRESS_OK, "v!u@here", "" },
    { RECIPIENT, SPAN("<v!u>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@v@here>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"u@v\">"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"u@v\"@[192.0.2.1]>"), ADDRESS_OK, "\"u@v\"@[192.0.2.1]", "" },
    /* literals */
    { RECIPIENT, SPAN("<u@[IPv6:2001:DB8::1]>"), ADDRESS_OK, "u@[ipv6:2001:db8::1]", "" },
    { RECIPIENT, SPAN("<u@[2001:db8::1]>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@[IPv6:192.0.2.1]>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@[192.0.2.256]>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@[192.0.2]>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@[x-tag:foo]>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@[]>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<u@[192.0.2.1>"), ADDRESS_SYNTAX, "", "" },
    /* at the limit and above */
    { RECIPIENT, SPAN("<" L64 "@d>"), ADDRESS_OK, L64 "@d", "" },
    { RECIPIENT, SPAN("<" L64 "x@d>"), ADDRESS_TOO_LONG, "", "" },
    { RECIPIENT, SPAN("<u@" L63 ">"), ADDRESS_OK, "u@" L63, "" },
    { RECIPIENT, SPAN("<u@" L64 ">"), ADDRESS_TOO_LONG, "", "" },
    { RECIPIENT, SPAN("<u@" D255 ">"), ADDRESS_TOO_LONG, "", "" },
    { RECIPIENT, SPAN("<" L64 "@" D189 ">"), ADDRESS_OK, L64 "@" D189, "" },
    { RECIPIENT, SPAN("<" L64 "@" D190 ">"), ADDRESS_TOO_LONG, "", "" },
    { RECIPIENT, SPAN("<@a:" L64 "@" D189 ">"), ADDRESS_TOO_LONG, "", "" },
    /* control bytes and 8-bit */
    { RECIPIENT, SPAN("<a\0b@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\0b\"@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\x01\"@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\tb\"@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\\\x7f\"@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<\"a\r\nb\"@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT, SPAN("<gr\xc3\xbc\x6e@d>"), ADDRESS_NOT_ASCII, "", "" },
    { RECIPIENT_UTF8, SPAN("<gr\xc3\xbc\x6e@d>"), ADDRESS_OK, "gr\xc3\xbc\x6e@d", "" },
    { SENDER_UTF8, SPAN("<a@m\xc3\xbcnchen.example>"), ADDRESS_OK, "a@m\xc3\xbcnchen.example", "" },
    { RECIPIENT_UTF8, SPAN("<\"\xc3\xbc \xc3\xb6\"@d>"), ADDRESS_OK, "\"\xc3\xbc \xc3\xb6\"@d", "" },
    { RECIPIENT_UTF8, SPAN("<a@-m\xc3\xbcnchen.example>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT_UTF8, SPAN("<a@a\xe2\x80\x8d.example>"), ADDRESS_NO_NAME, "", "" },
    { SENDER_UTF8, SPAN("<a@\xc3\xbc" L16 L16 L16 L16 ".example>"), ADDRESS_TOO_LONG, "", "" },
    { SENDER_UTF8, SPAN("<a@\xc3\xbc" L16 L16 L16 ".xn--\xc3\xbc>"), ADDRESS_NO_NAME, "", "" },
    { RECIPIENT_UTF8, SPAN("<gr\xfcn@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT_UTF8, SPAN("<a\xc0\xae@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT_UTF8, SPAN("<a\xc2\x85@d>"), ADDRESS_SYNTAX, "", "" },
    { RECIPIENT_UTF8, SPAN("<a\xc2"), ADDRESS_SYNTAX, "", "" },
};

static enum address_verdict parse(enum kind kind, struct span *text, struct address *ret_address)
{
    bool null_allowed = kind == SENDER || kind == SENDER_UTF8, utf8 = kind == SENDER_UTF8 || kind == RECIPIENT_UTF8;
    return address_parse_path(text, null_allowed, utf8, ret_address);
}

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct span text = paths[i].text;
        struct address address;
        char normal[SMTP_ADDRESS_SIZE];
        enum address_verdict verdict = parse(paths[i].kind, &text, &address);
        if (verdict != paths[i].verdict)
            fail_msg("%.*s: verdict %d", SPAN_ARGS(paths[i].text), (int)verdict);
        if (verdict != ADDRESS_OK) {
            assert_true(text.p == paths[i].text.p && text.n == paths[i].text.n);
            continue;
        }
        assert_true(address_normal(&address, normal, sizeof normal));
        assert_string_equal(normal, paths[i].normal);
        assert_true(span_equal(text, span_of(paths[i].rest)));
    }
}

/* The normal form reads back as itself: it is stored, and parsed again by whoever sends it. */
static void test_normal_is_stable(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct address address;
        char again[SMTP_ADDRESS_SIZE];
        struct span normal = span_of(paths[i].normal);
        if (paths[i].verdict != ADDRESS_OK || !address_domain(normal).n)
            continue;
        assert_int_equal(address_parse(normal, true, &address), ADDRESS_OK);
        assert_true(address_normal(&address, again, sizeof again));
        assert_string_equal(again, paths[i].normal);
    }
}

/* Cut at every byte, a path is never accepted, and nothing is read behind its end (address sanitizer watches the copy). */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        size_t whole = paths[i].text.n - strlen(paths[i].rest);
        for (size_t n = 0; n < whole; n++) {
            struct address address;
            char *copy = malloc(n + !n);
            memcpy(copy, paths[i].text.p, n);
            struct span text = span_make(copy, n);
            assert_int_not_equal(parse(paths[i].kind, &text, &address), ADDRESS_OK);
            free(copy);
        }
    }
}

static void test_bare(void **state)
{
    static const struct {
        struct span text;
        enum address_verdict verdict;
    } bare[] = {
        { SPAN("a@b"), ADDRESS_OK },
        { SPAN("\"a b\"@c.example"), ADDRESS_OK },
        { SPAN("a@[192.0.2.1]"), ADDRESS_OK },
        { SPAN(""), ADDRESS_SYNTAX },
        { SPAN("postmaster"), ADDRESS_SYNTAX },
        { SPAN("<a@b>"), ADDRESS_SYNTAX },
        { SPAN("a@b "), ADDRESS_SYNTAX },
        { SPAN("@a:b@c"), ADDRESS_SYNTAX },
        { SPAN("a@b,c@d"), ADDRESS_SYNTAX },
        { SPAN("a@b\r\nc"), ADDRESS_SYNTAX },
        { SPAN("a@"), ADDRESS_SYNTAX },
        { SPAN("\xc3\xbc@b"), ADDRESS_NOT_ASCII },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bare); i++) {
        struct address address;
        assert_int_equal(address_parse(bare[i].text, false, &address), bare[i].verdict);
    }
}

static void test_normal_needs_room(void **state)
{
    struct span text = SPAN("<\"a b\"@d>");
    struct address address;
    char dest[9];
    (void)state;
    assert_int_equal(address_parse_path(&text, false, false, &address), ADDRESS_OK);
    assert_true(address_normal(&address, dest, 8));
    assert_string_equal(dest, "\"a b\"@d");
    for (size_t size = 0; size < 8; size++)
        assert_false(address_normal(&address, dest, size));
}

static void test_domain(void **state)
{
    static const struct {
        const char *normal, *domain;
    } domains[] = { { "a@b", "b" }, { "\"x@y z\"@good.example", "good.example" }, { "", "" }, { "postmaster", "" } };
    (void)state;
    for (size_t i = 0; i < COUNT(domains); i++)
        assert_true(span_equal(address_domain(span_of(domains[i].normal)), span_of(domains[i].domain)));
    assert_true(address_is_domain(SPAN(D255), false));
    assert_false(address_is_domain(SPAN(D255 "x"), false));
    assert_false(address_is_domain(SPAN("a b"), false));
    assert_false(address_is_domain(SPAN("b\xc3\xbc.example"), false));
    assert_true(address_is_domain(SPAN("b\xc3\xbc.example"), true));
    assert_false(address_is_domain(SPAN("b\xff.example"), true));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_normal_is_stable),  cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_bare),  cmocka_unit_test(test_normal_needs_room), cmocka_unit_test(test_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

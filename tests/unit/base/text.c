/* Spans, buffers, texts, numbers, base64, ids, clock, checksums: tables of cases. */
#include "../../../relay/base/text.h"
#include "../../../relay/base/base64.h"
#include "../../../relay/base/buffer.h"
#include "../../../relay/base/clock.h"
#include "../../../relay/base/crc32c.h"
#include "../../../relay/base/uid.h"
#include "../unit.h"

static void test_span(void **state)
{
    struct span list = SPAN("one,two,,three");
    static const char *const parts[] = { "one", "two", "", "three" };
    (void)state;
    for (size_t i = 0; i < COUNT(parts); i++)
        assert_true(span_equal(span_cut(&list, ','), span_of(parts[i])));
    assert_int_equal(list.n, 0);
    assert_true(span_equal_nocase(SPAN("MaIl"), SPAN("mAiL")));
    assert_false(span_equal_nocase(SPAN("[\\]"), SPAN("{|}")));
    assert_true(span_starts_nocase(SPAN("FROM:<a>"), SPAN("from:")));
    assert_false(span_starts_nocase(SPAN("FR"), SPAN("from:")));
    assert_true(span_ends_nocase(SPAN("x.Example.COM"), SPAN(".example.com")));
    assert_true(span_equal(span_trim(SPAN(" \t a b \t")), SPAN("a b")));
    assert_int_equal(span_trim(SPAN("   ")).n, 0);
    assert_int_equal(span_skip(SPAN("abc"), 9).n, 0);
    assert_int_equal(span_find(SPAN("abc"), 'z'), 3);
    assert_int_equal(span_of_array("ab\0c", 4).n, 2);
    char bytes[8];
    assert_true(span_equal(span_lower(SPAN("aZ@[\xc3\x84"), bytes), SPAN("az@[\xc3\x84")));
}

static void test_buffer_keeps_its_maximum(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 10);
    assert_true(buffer_add_text(&buffer, "12345678"));
    assert_false(buffer_add_text(&buffer, "901"));
    assert_true(buffer.overflow);
    assert_true(buffer_add_text(&buffer, "90"));
    assert_string_equal(buffer_text(&buffer), "1234567890");
    buffer_consume(&buffer, 4);
    assert_true(buffer_addf(&buffer, "%d", 4321));
    assert_false(buffer_add_byte(&buffer, 'x'));
    assert_string_equal(buffer_text(&buffer), "5678904321");
    buffer_truncate(&buffer, 3);
    assert_string_equal(buffer_text(&buffer), "567");
    buffer_clear(&buffer);
    assert_false(buffer.overflow);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_wipe(&buffer);
}

static void test_buffer_moves_and_grows(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 1 << 20);
    size_t added = 0, taken = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char byte = (char)(added++ % 251);
        assert_true(buffer_add_byte(&buffer, byte));
        if (i % 3 == 0) {
            assert_int_equal((unsigned char)buffer_span(&buffer).p[0], taken++ % 251);
            buffer_consume(&buffer, 1);
        }
    }
    assert_int_equal(buffer_size(&buffer), added - taken);
    buffer_fini(&buffer);
}

static void test_text_copy(void **state)
{
    char small[5];
    (void)state;
    assert_true(text_copy(small, sizeof small, SPAN("abcd")));
    assert_false(text_copy(small, sizeof small, SPAN("abcde")));
    assert_string_equal(small, "abcd");
    assert_false(text_copy(small, sizeof small, SPAN("abc\xc3\xa9")));
    assert_string_equal(small, "abc");
    assert_false(text_copy(small, sizeof small, SPAN("a\0b")));
    assert_string_equal(small, "a");
}

static void test_text_number(void **state)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        bool good;
        uint64_t value;
    } cases[] = {
        { "0", 0, 10, true, 0 },
        { "10", 0, 10, true, 10 },
        { "11", 0, 10, false, 0 },
        { "", 0, 10, false, 0 },
        { "-1", 0, 10, false, 0 },
        { "+1", 0, 10, false, 0 },
        { " 1", 0, 10, false, 0 },
        { "1x", 0, 10, false, 0 },
        { "3", 5, 10, false, 0 },
        { "007", 0, 10, true, 7 },
        { "18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", 0, UINT64_MAX, false, 0 },
        { "99999999999999999999999", 0, UINT64_MAX, false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t value = 0;
        assert_int_equal(text_number(span_of(cases[i].text), cases[i].min, cases[i].max, &value), cases[i].good);
        assert_int_equal(value, cases[i].value);
    }
}

static void test_text_escape(void **state)
{
    static const struct {
        const char *bytes, *shown;
    } cases[] = {
        { "plain text", "plain text" },
        { "a\r\nb", "a\\x0d\\x0ab" },
        { "\x1b[31m", "\\x1b[31m" },
        { "back\\slash", "back\\x5cslash" },
        { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
        { "bad\xff", "bad\\xff" },
        { "\xc2\x85", "\\xc2\\x85" }, /* C1 control */
        { "\xe2\x80\xae"
          "abc",
          "\\xe2\\x80\\xae"
          "abc" }, /* right-to-left override */
        { "\xe2\x81\xa6"
          "abc",
          "\\xe2\\x81\\xa6"
          "abc" }, /* left-to-right isolate */
        { "\x7f", "\\x7f" },
    };
    char shown[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(text_escape(shown, sizeof shown, span_of(cases[i].bytes)));
        assert_string_equal(shown, cases[i].shown);
    }
    assert_false(text_escape(shown, 6, SPAN("ab\ncd")));
    assert_string_equal(shown, "ab");
}

static void test_text_utf8(void **state)
{
    static const struct {
        const char *bytes;
        bool good;
    } cases[] = {
        { "ascii", true },     { "\xc3\xa9", true },      { "\xe2\x82\xac", true },  { "\xf0\x9f\x93\xa7", true },
        { "\xc0\xaf", false }, { "\xe0\x80\xaf", false }, { "\xed\xa0\x80", false }, { "\xf4\x90\x80\x80", false },
        { "\x80", false },     { "\xc3", false },         { "\xe2\x82", false },     { "\xf8\x88\x80\x80\x80", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(text_is_utf8(span_of(cases[i].bytes)), cases[i].good);
}

static void test_base64(void **state)
{
    static const struct {
        const char *plain, *coded;
    } cases[] = { { "", "" },
                  { "f", "Zg==" },
                  { "fo", "Zm8=" },
                  { "foo", "Zm9v" },
                  { "foob", "Zm9vYg==" },
                  { "fooba", "Zm9vYmE=" },
                  { "foobar", "Zm9vYmFy" } };
    static const char *const bad[] = { "Z",      "Zg",    "Zg=",  "Zg==Zg==", "Zh==",     "Zm9=",
                                       "Zm9v\n", "Zm 9v", "====", "Z===",     "Zm9v=AAA", "Zm-_" };
    struct buffer out;
    (void)state;
    buffer_init(&out, 100);
    for (size_t i = 0; i < COUNT(cases); i++) {
        buffer_clear(&out);
        assert_true(base64_encode(span_of(cases[i].plain), &out));
        assert_string_equal(buffer_text(&out), cases[i].coded);
        buffer_clear(&out);
        assert_true(base64_decode(span_of(cases[i].coded), &out));
        assert_string_equal(buffer_text(&out), cases[i].plain);
    }
    buffer_clear(&out);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(base64_decode(span_of(bad[i]), &out));
    assert_int_equal(buffer_size(&out), 0);
    buffer_fini(&out);
}

static void test_uid(void **state)
{
    char before[UID_TEXT_SIZE] = "", text[UID_TEXT_SIZE];
    struct uid again;
    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        struct uid id = uid_next();
        uid_print(id, text);
        assert_true(strcmp(before, text) < 0);
        strncpy(before, text, sizeof before - 1);
    }
    assert_true(uid_parse(span_of(text), &again));
    uid_print(again, before);
    assert_string_equal(before, text);
    assert_true(llabs(uid_time_ms(again) - clock_wall_ms()) < 60000);
    assert_false(uid_parse(SPAN("short"), &again));
    assert_false(uid_parse(SPAN("0000000000000000000z"), &again)); /* bits beyond the last byte */
    assert_false(uid_parse(SPAN("00000000000000000O00"), &again));
    assert_false(uid_parse(SPAN("0000000000000000000\0"), &again));
}

static void test_clock(void **state)
{
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    clock_rfc5322(1795558503123, text);
    assert_string_equal(text, "Tue, 24 Nov 2026 22:15:03 +0000");
    clock_rfc3339(1795558503123, text);
    assert_string_equal(text, "2026-11-24T22:15:03.123Z");
    clock_rfc5322(-5, text);
    assert_string_equal(text, "Thu, 1 Jan 1970 00:00:00 +0000");
    clock_rfc5322(INT64_MAX, text);
    assert_string_equal(text, "Thu, 1 Jan 1970 00:00:00 +0000");
}

static void test_crc32c(void **state)
{
    static const char digits[] = "123456789";
    unsigned char zeros[32] = { 0 };
    (void)state;
    assert_int_equal(crc32c(0, digits, 9), 0xe3069283u);
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aau); /* RFC 3720 B.4 */
    assert_int_equal(crc32c(crc32c(0, digits, 4), digits + 4, 5), 0xe3069283u);
    assert_int_equal(crc32c(7, digits, 0), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_buffer_keeps_its_maximum),
        cmocka_unit_test(test_buffer_moves_and_grows),
        cmocka_unit_test(test_text_copy),
        cmocka_unit_test(test_text_number),
        cmocka_unit_test(test_text_escape),
        cmocka_unit_test(test_text_utf8),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_uid),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_crc32c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

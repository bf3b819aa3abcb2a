/* Which MX hosts a policy's patterns allow (RFC 8461 4.1). */
#include "../../../relay/channels/sts.h"
#include "../unit.h"

static void patterns(void **state)
{
    static const struct {
        const char *hosts, *host;
        bool allowed;
    } cases[] = {
        { "mx.example.com", "mx.example.com", true },
        { "mx.example.com", "MX.Example.COM", true },
        { "MX.example.com", "mx.example.com", true },
        { "mx.example.com", "mx.example.com.", true },
        { "mx.example.com", "mx2.example.com", false },
        { "mx.example.com", "a.mx.example.com", false },
        { "mx.example.com", "example.com", false },
        { "*.example.com", "mx.example.com", true },
        { "*.example.com", "mx.example.com.", true },
        { "*.example.com", "a.mx.example.com", false },
        { "*.example.com", "example.com", false },
        { "*.example.com", ".example.com", false },
        { "*.example.com", "*.example.com", true }, /* no MX host is called so */
        { "*.example.com", "mxexample.com", false },
        { "*.example.com", "mx.example.com.evil.example", false },
        { "*.com", "example.com", true },
        { "*.", "mx.", false },
        { "*.", "mx", false },
        { "*", "mx.example.com", false },
        { "a*.example.com", "ab.example.com", false },
        { "mx1.example.com *.example.net mx2.example.com", "mx2.example.com", true },
        { "mx1.example.com *.example.net mx2.example.com", "a.example.net", true },
        { "mx1.example.com *.example.net mx2.example.com", "mx3.example.com", false },
        { "mx1.example.com *.example.net", "*.example.net mx1.example.com", false },
        { "a.example  b.example", "", false },
        { "", "mx.example.com", false },
        { "", "", false },
        { "mx.example.com", "", false },
        { "mx.example.com", ".", false },
        { "*.example.com", ".", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (sts_allows(span_of(cases[i].hosts), span_of(cases[i].host)) != cases[i].allowed)
            fail_msg("%s and %s", cases[i].hosts, cases[i].host);
}

static void modes_have_names(void **state)
{
    (void)state;
    assert_string_equal(sts_mode_text(STS_NONE), "none");
    assert_string_equal(sts_mode_text(STS_TESTING), "testing");
    assert_string_equal(sts_mode_text(STS_ENFORCE), "enforce");
    assert_string_equal(sts_mode_text(STS_MODES), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(patterns), cmocka_unit_test(modes_have_names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

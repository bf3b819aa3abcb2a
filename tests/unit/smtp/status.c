/* Enhanced status codes: found only where they are ones, and always with words. */
#include "../../../relay/smtp/status.h"

#include "../unit.h"

static void test_find(void **state)
{
    static const struct {
        const char *text, *code;
    } cases[] = {
        { "5.1.1 no such user", "5.1.1" },
        { "2.0.0", "2.0.0" },
        { "4.7.999 x", "4.7.999" },
        { "5.1.10: null", "5.1.10" },
        { "5.1.1<a@b>", "5.1.1" },
        { "", "" },
        { "5", "" },
        { "5.1", "" },
        { "5.1.", "" },
        { "5..1 x", "" },
        { "3.1.1 x", "" },
        { "1.1.1 x", "" },
        { "5.1.1.1 is listed", "" },
        { "5.01.1 x", "" },
        { "5.1.01 x", "" },
        { "5.1000.1 x", "" },
        { "5.1.1000 x", "" },
        { "5.1.1x", "" },
        { "55.1.1 x", "" },
        { " 5.1.1 x", "" },
        { "5.1.-1", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span found = status_find(span_of(cases[i].text));
        assert_true(span_equal(found, span_of(cases[i].code)));
    }
}

/* A code cut at every byte reads nothing behind its end. */
static void test_cut(void **state)
{
    struct span text = SPAN("5.123.123");
    (void)state;
    for (size_t n = 0; n < text.n; n++) {
        char *copy = malloc(n + !n);
        memcpy(copy, text.p, n);
        assert_int_equal(status_find(span_make(copy, n)).n, n < 7 ? 0 : n);
        free(copy);
    }
}

static void test_meaning(void **state)
{
    static const struct {
        const char *code, *same_as;
        bool same;
    } cases[] = {
        { "5.1.1", "4.1.1", true },   /* any class */
        { "5.1.1", "5.1.2", false },  /* the detail counts */
        { "5.1.99", "5.1.98", true }, /* the subject for want of it */
        { "5.1.99", "5.2.99", false }, { "5.1.1", "5.1.10", false },
        { "5.1.1", "5.1.11", false },  { "4.7.0", "5.7.0", false }, /* a row for one class only */
        { "5.99.1", "5.98.1", true },                               /* at last the class */
        { "5.99.1", "4.99.1", false }, { "", "nonsense", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *one = status_meaning(span_of(cases[i].code)), *other = status_meaning(span_of(cases[i].same_as));
        assert_non_null(one);
        assert_non_null(other);
        assert_int_equal(strcmp(one, other) == 0, cases[i].same);
    }
    assert_string_equal(status_meaning(SPAN("5.1.1")), "the mailbox does not exist there");
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_find), cmocka_unit_test(test_cut),
                                               cmocka_unit_test(test_meaning) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Domains that failed: left in peace for five minutes, and bounded in number. */
#include "../../../relay/sts/failures.h"

#include "../unit.h"

static void five_minutes(void **state)
{
    struct failures *failures = failures_new();
    (void)state;
    failures_add(failures, SPAN("a.example"), 1000);
    failures_add(failures, SPAN("b.example"), 2000);
    assert_int_equal(failures_rest_ms(failures, SPAN("a.example"), 1000), FAILURES_REST_MS);
    assert_int_equal(failures_rest_ms(failures, SPAN("a.example"), FAILURES_REST_MS + 999), 1);
    assert_int_equal(failures_rest_ms(failures, SPAN("c.example"), 1000), 0);
    failures_add(failures, SPAN("a.example"), 3000); /* once more: from now on */
    assert_int_equal(failures_rest_ms(failures, SPAN("a.example"), FAILURES_REST_MS + 2000), 1000);
    assert_int_equal(failures_count(failures), 1);
    assert_int_equal(failures_rest_ms(failures, SPAN("a.example"), FAILURES_REST_MS + 3000), 0);
    assert_int_equal(failures_count(failures), 0);
    failures_free(&failures);
    failures_free(&failures);
}

static void bounded(void **state)
{
    struct failures *failures = failures_new();
    char domain[32];
    (void)state;
    for (int i = 0; i < FAILURES_MAX + 5; i++) {
        int n = snprintf(domain, sizeof domain, "%d.example", i);
        failures_add(failures, span_make(domain, (size_t)n), i);
    }
    assert_int_equal(failures_count(failures), FAILURES_MAX);
    assert_int_equal(failures_rest_ms(failures, SPAN("4.example"), FAILURES_MAX), 0);
    assert_true(failures_rest_ms(failures, SPAN("5.example"), FAILURES_MAX) > 0);
    failures_free(&failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(five_minutes), cmocka_unit_test(bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The last minute: whole seconds, places used again, totals. */
#include "../../../relay/queue/rates.h"
#include "../unit.h"

static struct rates rates;

static int64_t of(const char *kind, const char *which, int64_t now_ms)
{
    json_t *all = rates_describe(&rates, now_ms);
    int64_t value = json_integer_value(json_object_get(json_object_get(all, kind), which));
    json_decref(all);
    return value;
}

static void the_last_minute(void **state)
{
    (void)state;
    assert_int_equal(of("accepted", "minute", 100000), 0);
    rates_note(&rates, RATE_ACCEPTED, 2, 100000);
    rates_note(&rates, RATE_ACCEPTED, 3, 100999);
    rates_note(&rates, RATE_DELIVERED, 7, 101000);
    assert_int_equal(of("accepted", "minute", 100999), 0); /* its second is not over */
    assert_int_equal(of("accepted", "minute", 101000), 5);
    assert_int_equal(of("accepted", "minute", 160999), 5);
    assert_int_equal(of("accepted", "minute", 161000), 0);
    assert_int_equal(of("delivered", "minute", 161000), 7);
    rates_note(&rates, RATE_ACCEPTED, 1, 160000); /* the same place, a minute later */
    assert_int_equal(of("accepted", "minute", 161000), 1);
    assert_int_equal(of("accepted", "total", 161000), 6);
    assert_int_equal(of("bounced", "total", 161000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_last_minute) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

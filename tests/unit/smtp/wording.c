/* The words of a reply, as tables compare them. */
#include "../../../relay/smtp/wording.h"

#include "../unit.h"

static void words_are_read_as_a_person_reads_them(void **state)
{
    struct wording said;
    (void)state;
    wording_take(&said, false, SPAN("4.7.28"), SPAN("421 4.7.28 Our system has detected an Unusual / 4.7.28 rate of mail"));
    assert_true(wording_fits(&said, SPAN("4.7.28"), SPAN("unusual rate")));
    assert_true(wording_fits(&said, SPAN("4.7"), SPAN("")));
    assert_true(wording_fits(&said, SPAN(""), SPAN("detected an unusual")));
    assert_false(wording_fits(&said, SPAN("4.7.2"), SPAN("")));
    assert_false(wording_fits(&said, SPAN(""), SPAN("usual rate")));
}

static void an_address_is_no_word(void **state)
{
    struct wording said;
    (void)state;
    wording_take(&said, true, SPAN(""), SPAN("550 <rate.limit@there.example>: no"));
    assert_false(wording_fits(&said, SPAN(""), SPAN("rate.limit")));
    assert_true(wording_fits(&said, SPAN("5"), SPAN("no")));
    assert_false(wording_fits(&said, SPAN("4"), SPAN("")));
}

static void phrases_may_begin_with_a_code(void **state)
{
    static char code[] = "4.7.650", both[] = "4.7.1 come back later", words[] = "slow down";
    char *const phrases[] = { code, both, words };
    struct wording said;
    (void)state;
    wording_take(&said, false, SPAN("4.7.650"), SPAN("451 4.7.650 whatever"));
    assert_true(wording_fits_any(&said, phrases, 3));
    wording_take(&said, false, SPAN("4.7.1"), SPAN("451 4.7.1 whatever"));
    assert_false(wording_fits_any(&said, phrases, 3));
    wording_take(&said, false, SPAN("4.0.0"), SPAN("451 4.7.1 Come back later"));
    assert_true(wording_fits_any(&said, phrases, 3));
    wording_take(&said, false, SPAN("4.0.0"), SPAN("451 please SLOW DOWN"));
    assert_true(wording_fits_any(&said, phrases, 3));
    assert_false(wording_fits_any(&said, phrases, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_as_a_person_reads_them),
        cmocka_unit_test(an_address_is_no_word),
        cmocka_unit_test(phrases_may_begin_with_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

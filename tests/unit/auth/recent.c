#include "../../../relay/auth/recent.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

static const struct scram_verifier old_verifier = { .stored_key = "old" }, new_verifier = { .stored_key = "new" };

static void remembers_for_a_while(void **state)
{
    struct recent *recent = recent_new(1000, 10);
    (void)state;
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 0));
    recent_keep(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 0);
    assert_true(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 999));
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("Pencil"), &old_verifier, 999));
    assert_false(recent_knows(recent, SPAN("alice"), SPAN(""), &old_verifier, 999));
    assert_false(recent_knows(recent, SPAN("bob"), SPAN("pencil"), &old_verifier, 999));
    assert_true(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 999));   /* a wrong one forgets nothing */
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 1000)); /* and use extends nothing */
    assert_int_equal(recent_count(recent), 0);
    recent_free(&recent);
    recent_free(&recent);
}

static void forgets_changes(void **state)
{
    struct recent *recent = recent_new(1000, 10);
    (void)state;
    recent_keep(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 0);
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &new_verifier, 1));
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 1)); /* it is gone, not only skipped */
    recent_keep(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 0);
    recent_keep(recent, SPAN("alice"), SPAN("crayon"), &old_verifier, 0);
    assert_int_equal(recent_count(recent), 1);
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 1));
    recent_forget(recent, SPAN("alice"));
    recent_forget(recent, SPAN("alice"));
    assert_int_equal(recent_count(recent), 0);
    recent_free(&recent);
}

static void keeps_its_bound(void **state)
{
    struct recent *recent = recent_new(1000, 3);
    char name[16];
    (void)state;
    for (int i = 0; i < 10; i++) {
        text_format(name, sizeof name, "user%d", i);
        recent_keep(recent, span_of(name), SPAN("pencil"), &old_verifier, i);
    }
    assert_int_equal(recent_count(recent), 3);
    assert_false(recent_knows(recent, SPAN("user6"), SPAN("pencil"), &old_verifier, 10));
    assert_true(recent_knows(recent, SPAN("user7"), SPAN("pencil"), &old_verifier, 10));
    recent_expire(recent, 1008);
    assert_int_equal(recent_count(recent), 1);
    recent_free(&recent);
}

/* The account is part of the digest, and where it ends is: "ab" with "c" is not "a" with "bc". */
static void tells_accounts_apart(void **state)
{
    struct recent *recent = recent_new(1000, 10);
    static char longest[SCRAM_PASSWORD_MAX + 1];
    (void)state;
    recent_keep(recent, SPAN("ab"), SPAN("c"), &old_verifier, 0);
    recent_keep(recent, SPAN("a"), SPAN("x"), &old_verifier, 0);
    assert_false(recent_knows(recent, SPAN("a"), SPAN("bc"), &old_verifier, 1));
    memset(longest, 'p', sizeof longest);
    recent_keep(recent, SPAN("c"), span_make(longest, sizeof longest), &old_verifier, 0);
    assert_int_equal(recent_count(recent), 2);
    recent_free(&recent);
}

static void keeps_nothing_when_told_so(void **state)
{
    struct recent *recent = recent_new(0, 10);
    (void)state;
    recent_keep(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 0);
    assert_int_equal(recent_count(recent), 0);
    assert_false(recent_knows(recent, SPAN("alice"), SPAN("pencil"), &old_verifier, 0));
    recent_free(&recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_for_a_while),
        cmocka_unit_test(forgets_changes),
        cmocka_unit_test(keeps_its_bound),
        cmocka_unit_test(tells_accounts_apart),
        cmocka_unit_test(keeps_nothing_when_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

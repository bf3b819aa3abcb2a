#include "../../../relay/auth/lockout.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

static struct netaddr address(const char *text)
{
    struct netaddr made;
    assert_true(netaddr_parse(span_of(text), &made));
    return made;
}

static void locks_and_lets_go(void **state)
{
    struct lockout *lockout = lockout_new(3, 1000, 10);
    struct netaddr client = address("192.0.2.1");
    (void)state;
    assert_false(lockout_holds(lockout, &client, 0));
    assert_int_equal(lockout_count(lockout, &client, 0), 1000);
    assert_int_equal(lockout_count(lockout, &client, 1), 2000);
    assert_false(lockout_holds(lockout, &client, 2));
    assert_int_equal(lockout_count(lockout, &client, 900), 4000);
    assert_true(lockout_holds(lockout, &client, 901));
    assert_true(lockout_holds(lockout, &client, 1899)); /* a whole window from when it was locked */
    assert_false(lockout_holds(lockout, &client, 1900));
    assert_int_equal(lockout_count(lockout, &client, 1901), 1000); /* all is forgotten */
    lockout_free(&lockout);
    lockout_free(&lockout);
}

/* Failures that are further apart than the window never add up, and one inside the lock does not prolong it. */
static void counts_within_the_window(void **state)
{
    struct lockout *lockout = lockout_new(2, 1000, 10);
    struct netaddr client = address("192.0.2.1");
    (void)state;
    for (int64_t now = 0; now < 10000; now += 1000) {
        assert_int_equal(lockout_count(lockout, &client, now), 1000);
        assert_false(lockout_holds(lockout, &client, now));
    }
    lockout_count(lockout, &client, 9001);
    assert_true(lockout_holds(lockout, &client, 9002));
    lockout_count(lockout, &client, 9500);
    assert_false(lockout_holds(lockout, &client, 10001));
    lockout_free(&lockout);
}

static void tells_addresses_apart(void **state)
{
    static const struct {
        const char *other;
        bool held;
    } cases[] = {
        { "2001:db8:0:1::1", true }, { "2001:db8:0:1:ffff::", true }, { "2001:db8:0:2::1", false },
        { "192.0.2.1", false },      { "32.1.13.184", false }, /* 2001:db8 as IPv4 */
    };
    struct lockout *lockout = lockout_new(1, 1000, 10);
    struct netaddr client = address("2001:db8:0:1::25"), nobody = { .family = 0 };
    (void)state;
    lockout_count(lockout, &client, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr other = address(cases[i].other);
        assert_int_equal(lockout_holds(lockout, &other, 1), cases[i].held);
    }
    assert_false(lockout_holds(lockout, &nobody, 1));
    lockout_free(&lockout);
}

static void keeps_its_bound(void **state)
{
    struct lockout *lockout = lockout_new(2, 1000, 4);
    struct netaddr first = address("192.0.2.1"), client = first;
    (void)state;
    lockout_count(lockout, &first, 0);
    for (uint8_t i = 2; i < 100; i++) {
        client.bytes[3] = i;
        lockout_count(lockout, &client, 1);
        if (i == 2) /* failed again since: younger than the others */
            lockout_count(lockout, &first, 1);
        assert_true(lockout_size(lockout) <= 4);
        assert_int_equal(lockout_holds(lockout, &first, 1), i >= 2 && i < 6);
    }
    lockout_expire(lockout, 1000);
    assert_int_equal(lockout_size(lockout), 4);
    lockout_expire(lockout, 1001);
    assert_int_equal(lockout_size(lockout), 0);
    lockout_free(&lockout);
}

static void never_locks_when_told_so(void **state)
{
    struct lockout *lockout = lockout_new(0, 1000, 4);
    struct netaddr client = address("192.0.2.1");
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(lockout_count(lockout, &client, 0) <= LOCKOUT_DELAY_MAX_MS);
    assert_false(lockout_holds(lockout, &client, 0));
    lockout_free(&lockout);
}

/* Many addresses, each with few failures, on one account: it is locked, but not for those who were there before; others are not. */
static void locks_accounts(void **state)
{
    struct lockout *lockout = lockout_new(2, 1000, 100);
    struct span alice = SPAN("alice"), bob = SPAN("bob");
    struct netaddr home = address("2001:db8:0:1::25"), client = address("192.0.2.1");
    (void)state;
    lockout_trust(lockout, alice, &home, 0);
    for (uint8_t i = 1; i <= 2 * LOCKOUT_ACCOUNT; i++) {
        assert_false(lockout_holds_account(lockout, alice, &client, 10));
        client.bytes[3] = i;
        lockout_count(lockout, &client, 10);
        lockout_count_account(lockout, alice, 10);
    }
    assert_false(lockout_holds(lockout, &client, 11));
    assert_true(lockout_holds_account(lockout, alice, &client, 11));
    assert_false(lockout_holds_account(lockout, bob, &client, 11));
    assert_false(lockout_holds_account(lockout, alice, &home, 11));
    home.bytes[7] = 2; /* another /64 */
    assert_true(lockout_holds_account(lockout, alice, &home, 11));
    lockout_count_account(lockout, alice, 500); /* prolongs nothing */
    assert_true(lockout_holds_account(lockout, alice, &client, 1009));
    assert_false(lockout_holds_account(lockout, alice, &client, 1010));
    lockout_free(&lockout);
}

/* Names without end push out the oldest, and so do good logins; what is trusted is trusted for a time. */
static void forgets_accounts_and_places(void **state)
{
    struct lockout *lockout = lockout_new(1, 1000, 4);
    struct netaddr client = address("192.0.2.1");
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        text_format(name, sizeof name, "user%u", i);
        lockout_trust(lockout, span_of(name), &client, 0);
        for (unsigned k = 0; k < LOCKOUT_ACCOUNT; k++)
            lockout_count_account(lockout, span_of(name), 0);
        assert_false(lockout_holds_account(lockout, span_of(name), &client, 1));
        client.bytes[3]++;
        assert_true(lockout_holds_account(lockout, span_of(name), &client, 1));
        assert_false(lockout_holds_account(lockout, SPAN("user"), &client, 1));
    }
    assert_false(lockout_holds_account(lockout, SPAN("user0"), &client, 1));
    lockout_trust(lockout, SPAN("user"), &client, 0);
    lockout_expire(lockout, LOCKOUT_TRUST_MS);
    for (unsigned k = 0; k < LOCKOUT_ACCOUNT; k++)
        lockout_count_account(lockout, SPAN("user"), LOCKOUT_TRUST_MS);
    assert_true(lockout_holds_account(lockout, SPAN("user"), &client, LOCKOUT_TRUST_MS));
    lockout_free(&lockout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_and_lets_go),           cmocka_unit_test(counts_within_the_window),
        cmocka_unit_test(tells_addresses_apart),       cmocka_unit_test(keeps_its_bound),
        cmocka_unit_test(never_locks_when_told_so),    cmocka_unit_test(locks_accounts),
        cmocka_unit_test(forgets_accounts_and_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who logged in from where: the last account of an address, the networks of an account, bounded, aged, kept. */
#include "../../../policy/logins.h"

#include "../../../relay/base/text.h"
#include "../folder.h"

#define DAY ((int64_t)86400000)
#define NOW (20000 * DAY)

static struct netaddr address(const char *text)
{
    struct netaddr parsed;
    assert_true(netaddr_parse(span_of(text), &parsed));
    parsed.port = 4711; /* means nothing */
    return parsed;
}

static void note(struct logins *logins, const char *client, const char *account, int64_t wall_ms)
{
    struct netaddr from = address(client);
    logins_note(logins, &from, span_of(account), wall_ms);
}

/* Who logged in last from CLIENT, and how long before WALL_MS; "" for nobody. */
static const char *last(const struct logins *logins, const char *client, int64_t wall_ms)
{
    static char text[400];
    char account[ACCOUNT_NAME_SIZE];
    struct netaddr from = address(client);
    int64_t when_ms;
    if (!logins_of(logins, &from, wall_ms, account, &when_ms))
        return "";
    snprintf(text, sizeof text, "%s %lld", account, (long long)(wall_ms - when_ms));
    return text;
}

/* The networks of ACCOUNT: "TEXT FIRST LAST COUNT;" each, times before NOW. */
static const char *networks(const struct logins *logins, const char *account)
{
    static char text[8192];
    struct logins_network found[LOGINS_NETWORKS_MAX];
    size_t count = logins_networks(logins, span_of(account), NOW, found), at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s %lld %lld %llu;", found[i].text,
                               (long long)(NOW - found[i].first_ms), (long long)(NOW - found[i].last_ms),
                               (unsigned long long)found[i].count);
    return text;
}

static void the_last_account_of_an_address(void **state)
{
    (void)state;
    struct logins *logins = logins_new();
    assert_string_equal(last(logins, "192.0.2.1", NOW), "");
    note(logins, "192.0.2.1", "alice", NOW - 50);
    note(logins, "2001:db8::1", "carol", NOW - 40);
    assert_string_equal(last(logins, "192.0.2.1", NOW), "alice 50");
    assert_string_equal(last(logins, "192.0.2.2", NOW), "");
    note(logins, "192.0.2.1", "bob", NOW - 20);
    assert_string_equal(last(logins, "192.0.2.1", NOW), "bob 20");
    assert_string_equal(last(logins, "2001:db8::1", NOW), "carol 40");
    assert_string_equal(last(logins, "2001:db8::2", NOW), "");
    struct netaddr none = { .family = 0 };
    logins_note(logins, &none, SPAN("dave"), NOW);
    note(logins, "192.0.2.9", "", NOW);
    assert_string_equal(last(logins, "192.0.2.9", NOW), "");
    assert_string_equal(networks(logins, "dave"), "");
    logins_free(&logins);
    logins_free(&logins);
}

static void the_networks_of_an_account(void **state)
{
    (void)state;
    struct logins *logins = logins_new();
    note(logins, "192.0.2.1", "alice", NOW - 50);
    note(logins, "192.0.2.77", "alice", NOW - 40);
    note(logins, "192.0.2.77", "bob", NOW - 35);
    note(logins, "2001:db8:1:2::3", "alice", NOW - 30);
    note(logins, "198.51.100.9", "alice", NOW - 20);
    note(logins, "192.0.2.1", "alice", NOW - 10);
    assert_string_equal(networks(logins, "alice"), "192.0.2.0/24 50 10 3;198.51.100.0/24 20 20 1;2001:db8:1::/48 30 30 1;");
    assert_string_equal(networks(logins, "bob"), "192.0.2.0/24 35 35 1;");
    assert_string_equal(networks(logins, "nobody"), "");
    logins_free(&logins);
}

static void what_is_old_is_forgotten(void **state)
{
    size_t nnetworks;
    (void)state;
    struct logins *logins = logins_new();
    note(logins, "192.0.2.1", "alice", NOW - 6 * DAY);
    note(logins, "192.0.3.1", "bob", NOW);
    assert_string_equal(last(logins, "192.0.2.1", NOW + DAY), "alice 604800000");
    assert_string_equal(last(logins, "192.0.2.1", NOW + DAY + 1), "");
    assert_int_equal(logins_count(logins, &nnetworks), 2);
    note(logins, "192.0.4.1", "bob", NOW + 2 * DAY);
    assert_int_equal(logins_count(logins, &nnetworks), 2);
    assert_int_equal(nnetworks, 2);
    assert_string_equal(networks(logins, "alice"), "");
    logins_free(&logins);
}

static void an_account_has_so_many_networks(void **state)
{
    char client[64];
    size_t nnetworks;
    (void)state;
    struct logins *logins = logins_new();
    for (unsigned i = 0; i < 200; i++) {
        snprintf(client, sizeof client, "10.0.%u.1", i);
        note(logins, client, "alice", NOW - 200 + i);
    }
    assert_int_equal(logins_count(logins, &nnetworks), 200);
    assert_int_equal(nnetworks, LOGINS_NETWORKS_MAX);
    assert_memory_equal(networks(logins, "alice"), "10.0.199.0/24 1 1 1;10.0.198.0/24 2 2 1;", 40);
    assert_string_equal(last(logins, "10.0.0.1", NOW), "alice 200");
    logins_free(&logins);
}

static bool knows(const struct logins *logins, const char *client, const char *account, int64_t wall_ms)
{
    struct netaddr address;
    assert_true(netaddr_parse(span_of(client), &address));
    return logins_knows(logins, &address, span_of(account), wall_ms);
}

static void networks_are_known(void **state)
{
    (void)state;
    struct logins *logins = logins_new();
    note(logins, "192.0.2.1", "alice", NOW);
    note(logins, "2001:db8:1:2::3", "alice", NOW);
    note(logins, "198.51.100.1", "bob", NOW);
    assert_true(knows(logins, "192.0.2.77", "alice", NOW) && knows(logins, "2001:db8:1:ff::9", "alice", NOW));
    assert_false(knows(logins, "192.0.3.1", "alice", NOW) || knows(logins, "2001:db8:2::", "alice", NOW));
    assert_false(knows(logins, "198.51.100.1", "alice", NOW) || knows(logins, "192.0.2.1", "nobody", NOW));
    assert_true(knows(logins, "192.0.2.1", "alice", NOW + LOGINS_AGE_MS));
    assert_false(knows(logins, "192.0.2.1", "alice", NOW + LOGINS_AGE_MS + 1));
    logins_free(&logins);
}

static void all_of_it_is_bounded(void **state)
{
    enum { MORE = 5000 };
    char client[64], account[64];
    size_t nnetworks;
    (void)state;
    struct logins *logins = logins_new();
    for (unsigned i = 0; i < LOGINS_NETWORKS_ALL + MORE; i++) {
        snprintf(client, sizeof client, "10.%u.%u.7", i >> 8 & 255, i & 255);
        snprintf(account, sizeof account, "user%u", i / 3);
        note(logins, client, account, NOW);
    }
    assert_int_equal(logins_count(logins, &nnetworks), 65536);
    assert_int_equal(nnetworks, LOGINS_NETWORKS_ALL);
    for (unsigned i = 0; i < LOGINS_ADDRESSES_MAX; i++) {
        snprintf(client, sizeof client, "11.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        note(logins, client, "alice", NOW);
    }
    assert_int_equal(logins_count(logins, &nnetworks), LOGINS_ADDRESSES_MAX);
    assert_string_equal(last(logins, "11.0.0.0", NOW), "alice 0");
    assert_string_equal(last(logins, "10.0.0.7", NOW), "");
    logins_open(logins, folder);
    logins_flush(logins, false);
    logins_free(&logins);
    logins = logins_new();
    logins_open(logins, folder);
    size_t again;
    assert_int_equal(logins_count(logins, &again), LOGINS_ADDRESSES_MAX);
    assert_int_equal(again, nnetworks);
    logins_free(&logins);
}

static void again(struct logins **logins)
{
    logins_free(logins);
    *logins = logins_new();
    logins_open(*logins, folder);
}

static void logins_are_kept(void **state)
{
    (void)state;
    struct logins *logins = logins_new();
    logins_open(logins, folder);
    note(logins, "192.0.2.1", "alice", NOW - 50);
    note(logins, "2001:db8:1:2::3", "alice", NOW - 30);
    logins_flush(logins, false);
    note(logins, "192.0.2.1", "bob", NOW - 20);
    note(logins, "192.0.2.7", "alice", NOW - 10);
    logins_flush(logins, true);
    again(&logins);
    assert_string_equal(last(logins, "192.0.2.1", NOW), "bob 20");
    assert_string_equal(last(logins, "2001:db8:1:2::3", NOW), "alice 30");
    assert_string_equal(networks(logins, "alice"), "192.0.2.0/24 50 10 2;2001:db8:1::/48 30 30 1;");
    note(logins, "192.0.2.1", "carol", NOW);
    again(&logins);
    assert_string_equal(last(logins, "192.0.2.1", NOW), "bob 20");
    folder_damage("logins.log", folder_size("logins.log") - 20);
    again(&logins);
    assert_string_equal(last(logins, "192.0.2.1", NOW), "");
    logins_free(&logins);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_account_of_an_address),
        TEST(the_networks_of_an_account),
        TEST(what_is_old_is_forgotten),
        TEST(an_account_has_so_many_networks),
        TEST(networks_are_known),
        TEST(all_of_it_is_bounded),
        TEST(logins_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Addresses, networks, and which of them are private; bundles of secrets. */
#include "../../../relay/base/netaddr.h"
#include "../../../relay/base/bundle.h"
#include "../unit.h"

#include <unistd.h>

static void test_parse_and_print(void **state)
{
    static const struct {
        const char *text, *shown; /* shown NULL: refused */
    } cases[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "2001:DB8::1", "2001:db8::1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "::", "::" },
        { "192.0.2.256", NULL },
        { "192.0.2", NULL },
        { "", NULL },
        { "[::1]", NULL },
        { "1.2.3.4 ", NULL },
        { "localhost", NULL },
        { "fe80::1%eth0", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr address;
        char shown[NETADDR_TEXT_SIZE];
        assert_int_equal(netaddr_parse(span_of(cases[i].text), &address), cases[i].shown != NULL);
        if (!cases[i].shown)
            continue;
        netaddr_print(&address, shown);
        assert_string_equal(shown, cases[i].shown);
    }
}

static void test_ports(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "192.0.2.1:25", true },     { "[2001:db8::1]:587", true },
        { "192.0.2.1", false },       { "192.0.2.1:", false },
        { "192.0.2.1:65536", false }, { "2001:db8::1:25", false },
        { "[192.0.2.1]:25", false },  { "[::1]25", false },
        { "[::1]", false },           { ":25", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr address;
        char shown[NETADDR_PORT_TEXT_SIZE];
        assert_int_equal(netaddr_parse_port(span_of(cases[i].text), &address), cases[i].good);
        if (cases[i].good) {
            netaddr_print_port(&address, shown);
            assert_string_equal(shown, cases[i].text);
        }
    }
}

static void test_networks(void **state)
{
    static const struct {
        const char *network, *inside, *outside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1", "11.0.0.1" }, { "192.0.2.128/25", "192.0.2.200", "192.0.2.127" },
        { "192.0.2.7", "192.0.2.7", "192.0.2.8" },  { "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
        { "0.0.0.0/0", "8.8.8.8", "2001:db8::1" },
    };
    static const char *const bad[] = { "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::/129", "2001:db8::1/64" };
    struct netaddr_network network;
    struct netaddr address;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(netaddr_parse_network(span_of(cases[i].network), &network));
        assert_true(netaddr_parse(span_of(cases[i].inside), &address));
        assert_true(netaddr_in_network(&address, &network));
        assert_true(netaddr_parse(span_of(cases[i].outside), &address));
        assert_false(netaddr_in_network(&address, &network));
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(netaddr_parse_network(span_of(bad[i]), &network));
}

static void test_private(void **state)
{
    static const struct {
        const char *text;
        bool private, self;
    } cases[] = {
        { "127.0.0.1", true, true },
        { "0.0.0.0", true, true },
        { "::", true, true },
        { "::1", true, true },
        { "::ffff:127.0.0.1", true, true },
        { "10.1.2.3", true, false },
        { "172.31.0.1", true, false },
        { "172.32.0.1", false, false },
        { "192.168.0.1", true, false },
        { "169.254.1.1", true, false },
        { "100.64.0.1", true, false },
        { "224.0.0.1", true, false },
        { "255.255.255.255", true, false },
        { "fe80::1", true, false },
        { "fd00::1", true, false },
        { "ff02::1", true, false },
        { "8.8.8.8", false, false },
        { "2606:4700::1", false, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct netaddr address;
        assert_true(netaddr_parse(span_of(cases[i].text), &address));
        assert_int_equal(netaddr_is_private(&address), cases[i].private);
        assert_int_equal(netaddr_is_self(&address), cases[i].self);
    }
}

static void test_sockaddr_and_back(void **state)
{
    static const char *const texts[] = { "192.0.2.1:25", "[2001:db8::1]:587" };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct netaddr address, again;
        struct sockaddr_storage sockaddr;
        assert_true(netaddr_parse_port(span_of(texts[i]), &address));
        assert_true(netaddr_to_sockaddr(&address, &sockaddr) > 0);
        assert_true(netaddr_from_sockaddr((struct sockaddr *)&sockaddr, &again));
        assert_memory_equal(&address, &again, sizeof address);
    }
}

static void test_bundle(void **state)
{
    struct bundle *bundle = bundle_new(), *again;
    (void)state;
    assert_true(bundle_add(bundle, "key:/a", SPAN("first")));
    assert_true(bundle_add(bundle, "key:/a", SPAN("second\0part")));
    assert_true(bundle_add(bundle, "empty", SPAN("")));
    assert_false(bundle_add_file(bundle, "missing", "/nonexistent/file"));
    int fd = bundle_save(bundle);
    assert_true(fd >= 0);
    again = bundle_load(fd);
    close(fd);
    assert_non_null(again);
    assert_true(span_equal(bundle_get(again, "key:/a"), SPAN("second\0part")));
    assert_non_null(bundle_get(again, "empty").p);
    assert_null(bundle_get(again, "other").p);
    assert_null(bundle_get(NULL, "other").p);
    bundle_free(&bundle);
    bundle_free(&again);
    bundle_free(&again);
    FILE *garbage = tmpfile();
    fputs("not a bundle at all", garbage);
    fflush(garbage);
    assert_null(bundle_load(fileno(garbage)));
    fclose(garbage);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse_and_print),   cmocka_unit_test(test_ports),
                                        cmocka_unit_test(test_networks),          cmocka_unit_test(test_private),
                                        cmocka_unit_test(test_sockaddr_and_back), cmocka_unit_test(test_bundle) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

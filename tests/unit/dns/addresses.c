#include "../../../relay/dns/addresses.h"

#include "../unit.h"

static struct netaddr address(uint8_t family, uint8_t last)
{
    struct netaddr made = { .family = family };
    made.bytes[family == 4 ? 3 : 15] = last;
    return made;
}

static void fill(struct addresses *addresses, unsigned count4, unsigned count6)
{
    for (unsigned i = 0; i < count4; i++) {
        struct netaddr four = address(4, (uint8_t)i);
        addresses_add(addresses, &four);
    }
    for (unsigned i = 0; i < count6; i++) {
        struct netaddr six = address(6, (uint8_t)i);
        addresses_add(addresses, &six);
    }
}

/* How many come out of COUNT4 and COUNT6, and in which turn. */
static void in_turn(void **state)
{
    static const struct {
        unsigned count4, count6;
        const char *families;
    } cases[] = {
        { 0, 0, "" },
        { 1, 0, "4" },
        { 2, 1, "644" },
        { 1, 3, "6466" },
        { 50, 0, "4444444444444444" },
        { 50, 50, "6464646464646464" },
        { 2, 40, "6464666666666666" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addresses addresses = { .count4 = 0 };
        struct buffer out;
        struct dns_address message;
        char families[DNS_ADDRESSES_MAX + 1] = "";
        fill(&addresses, cases[i].count4, cases[i].count6);
        buffer_init(&out, ADDRESSES_PACKED_MAX);
        addresses_pack(&addresses, &out);
        assert_false(out.overflow);
        struct found found = { .status = DNS_OK, .ttl_s = 9, .body = buffer_span(&out) };
        size_t size = addresses_unpack(&found, 3, &message);
        assert_int_equal(size, offsetof(struct dns_address, addresses) + message.count * sizeof(struct netaddr));
        assert_int_equal(message.ticket, 3);
        assert_int_equal(message.ttl_s, 9);
        for (unsigned k = 0; k < message.count; k++)
            families[k] = (char)('0' + message.addresses[k].family);
        assert_string_equal(families, cases[i].families);
        buffer_fini(&out);
    }
}

static void once_each(void **state)
{
    struct addresses addresses = { .count4 = 0 };
    struct netaddr one = address(4, 1), six = address(6, 1);
    (void)state;
    addresses_add(&addresses, &one);
    addresses_add(&addresses, &one);
    addresses_add(&addresses, &six);
    assert_int_equal(addresses.count4, 1);
    assert_int_equal(addresses.count6, 1);
}

static void both_answers_together(void **state)
{
    static const struct {
        unsigned count;
        enum dns_status a, aaaa, together;
    } cases[] = {
        { 1, DNS_OK, DNS_SERVFAIL, DNS_OK },
        { 1, DNS_TIMEOUT, DNS_OK, DNS_OK },
        { 1, DNS_OK, DNS_NXDOMAIN, DNS_OK },
        { 0, DNS_NO_MAIL, DNS_NO_MAIL, DNS_NO_MAIL },
        { 0, DNS_NXDOMAIN, DNS_NXDOMAIN, DNS_NXDOMAIN },
        { 0, DNS_NO_MAIL, DNS_NXDOMAIN, DNS_NO_MAIL },
        { 0, DNS_NXDOMAIN, DNS_NO_MAIL, DNS_NO_MAIL },
        { 0, DNS_NO_MAIL, DNS_SERVFAIL, DNS_SERVFAIL },
        { 0, DNS_TIMEOUT, DNS_NO_MAIL, DNS_TIMEOUT },
        { 0, DNS_NXDOMAIN, DNS_TIMEOUT, DNS_NXDOMAIN },
        { 0, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NXDOMAIN },
        { 0, DNS_REFUSED, DNS_TIMEOUT, DNS_REFUSED },
        { 0, DNS_MALFORMED, DNS_NO_MAIL, DNS_MALFORMED },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addresses addresses = { .count4 = cases[i].count };
        assert_int_equal(addresses_status(&addresses, cases[i].a, cases[i].aaaa), cases[i].together);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn),
        cmocka_unit_test(once_each),
        cmocka_unit_test(both_answers_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

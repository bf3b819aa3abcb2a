#include "../../../relay/dns/mx.h"

#include "../../../relay/base/text.h"
#include "../unit.h"

#define OWN "relay.example.net"

static void add(struct mx_set *set, unsigned preference, const char *host)
{
    struct answer_record record = { .preference = (uint16_t)preference };
    assert_true(name_to_wire(span_of(host), &record.host));
    mx_add(set, &record);
}

/* "10 mx1 20 mx2": the hosts of a set in one line. */
static void print(const struct mx_set *set, char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < set->count; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%u %s", at ? " " : "", set->hosts[i].preference, set->hosts[i].name);
}

static void sets(void **state)
{
    static const struct {
        const char *records; /* "preference host" each; "." is the root */
        enum dns_status status;
        const char *hosts;
    } cases[] = {
        { "10 b 10 a 5 c", DNS_OK, "5 c 10 a 10 b" },
        { "0 .", DNS_NULL_MX, "" },
        { "10 .", DNS_NULL_MX, "" },
        { "0 . 10 a", DNS_OK, "10 a" },
        { "0 . 0 .", DNS_MALFORMED, "" },
        { "10 192.0.2.1", DNS_MALFORMED, "" },
        { "10 192.0.2.1 20 a", DNS_OK, "20 a" },
        { "10 a 20 a 5 b", DNS_OK, "5 b 10 a" },
        { "20 a 10 a 15 b", DNS_OK, "10 a 15 b" },
        { "10 relay.example.net", DNS_LOOP, "" },
        { "10 Relay.Example.Net", DNS_LOOP, "" },
        { "10 relay.example.net 20 a", DNS_LOOP, "" },
        { "10 relay.example.net 10 a", DNS_LOOP, "" },
        { "10 a 20 relay.example.net 30 b", DNS_OK, "10 a" },
        { "10 a 20 relay.example.net 20 b", DNS_OK, "10 a" },
        { "10 a 30 relay.example.net 20 relay.example.net 20 b", DNS_OK, "10 a" },
        { "0 . 10 relay.example.net", DNS_LOOP, "" },
        { "65535 a 0 b", DNS_OK, "0 b 65535 a" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mx_set set;
        char hosts[2000], host[80];
        unsigned preference;
        int used;
        mx_init(&set, OWN);
        for (const char *at = cases[i].records; sscanf(at, " %u %79s%n", &preference, host, &used) == 2; at += used)
            add(&set, preference, strcmp(host, ".") == 0 ? "" : host);
        enum dns_status status = mx_settle(&set);
        print(&set, hosts, sizeof hosts);
        if (status != cases[i].status || strcmp(hosts, cases[i].hosts) != 0)
            fail_msg("%s: %u %s", cases[i].records, status, hosts);
    }
}

static void names_that_are_none(void **state)
{
    struct mx_set set;
    struct answer_record record = { .host = { "\3a b\0", 5 } };
    (void)state;
    mx_init(&set, OWN);
    mx_add(&set, &record);
    assert_int_equal(mx_settle(&set), DNS_MALFORMED);
    mx_init(&set, OWN);
    mx_add(&set, &record);
    add(&set, 10, "good.example");
    assert_int_equal(mx_settle(&set), DNS_OK);
    assert_int_equal(set.count, 1);
}

/* Of five hundred in the worst order the best are kept; the relay's own name counts wherever it stands. */
static void five_hundred(void **state)
{
    struct mx_set set;
    char host[40];
    (void)state;
    mx_init(&set, OWN);
    add(&set, 8, OWN);
    for (unsigned i = 500; i > 0; i--) {
        snprintf(host, sizeof host, "mx%03u", i);
        add(&set, i, host);
    }
    assert_int_equal(set.count, DNS_HOSTS_MAX);
    assert_int_equal(mx_settle(&set), DNS_OK);
    assert_int_equal(set.count, 7);
    assert_string_equal(set.hosts[0].name, "mx001");
    assert_string_equal(set.hosts[6].name, "mx007");
}

static void implicit(void **state)
{
    struct mx_set set;
    (void)state;
    mx_init(&set, OWN);
    assert_int_equal(mx_implicit(&set, SPAN("example.net")), DNS_OK);
    assert_string_equal(set.hosts[0].name, "example.net");
    mx_init(&set, OWN);
    assert_int_equal(mx_implicit(&set, SPAN(OWN)), DNS_LOOP);
}

static void pack_and_unpack(void **state)
{
    struct mx_set set;
    struct buffer out;
    struct dns_mx mx;
    char host[SMTP_DOMAIN_SIZE];
    (void)state;
    mx_init(&set, OWN);
    for (unsigned i = 0; i < DNS_HOSTS_MAX; i++) { /* names as long as they get */
        memset(host, 'a', sizeof host);
        host[60] = host[120] = host[180] = host[240] = '.';
        host[253] = '\0';
        host[0] = (char)('a' + i);
        add(&set, 65535 - i, host);
    }
    buffer_init(&out, MX_PACKED_MAX);
    mx_pack(&set, &out);
    assert_false(out.overflow);
    struct found found = { .status = DNS_OK, .implicit = true, .ttl_s = 77, .body = buffer_span(&out) };
    memset(&mx, 0xff, sizeof mx);
    assert_int_equal(mx_unpack(&found, 5, &mx), offsetof(struct dns_mx, hosts) + sizeof mx.hosts);
    assert_int_equal(mx.ticket, 5);
    assert_int_equal(mx.status, DNS_OK);
    assert_int_equal(mx.ttl_s, 77);
    assert_int_equal(mx.implicit, 1);
    assert_int_equal(mx.count, DNS_HOSTS_MAX);
    assert_memory_equal(mx.hosts, set.hosts, sizeof mx.hosts);
    buffer_fini(&out);
    struct found none = { .status = DNS_NXDOMAIN };
    assert_int_equal(mx_unpack(&none, 6, &mx), offsetof(struct dns_mx, hosts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),     cmocka_unit_test(names_that_are_none), cmocka_unit_test(five_hundred),
        cmocka_unit_test(implicit), cmocka_unit_test(pack_and_unpack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

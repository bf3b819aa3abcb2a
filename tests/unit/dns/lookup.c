/* Questions through cache, c-ares and loopback to a scripted server and back. */
#include "../../../relay/dns/lookup.h"

#include "../../../relay/base/clock.h"
#include "../../../relay/base/text.h"
#include "../../../relay/dns/addresses.h"
#include "../../../relay/dns/mx.h"
#include "../unit.h"
#include "server.h"

#define OWN "relay.example.net"

static void two_hosts(struct message *message, const char *name)
{
    message_mx(message, name, 300, 20, "mx2.example");
    message_mx(message, name, 300, 10, "MX1.example");
}

static void null_mx(struct message *message, const char *name)
{
    message_mx(message, name, 300, 0, "");
}

static void own_first(struct message *message, const char *name)
{
    message_mx(message, name, 300, 10, OWN);
    message_mx(message, name, 300, 20, "backup.example");
}

static void own_second(struct message *message, const char *name)
{
    message_mx(message, name, 300, 10, "primary.example");
    message_mx(message, name, 300, 20, OWN);
}

static void no_data(struct message *message, const char *name)
{
    message_soa(message, name, 300, 300);
}

static void one_a(struct message *message, const char *name)
{
    message_a(message, name, 300, 0xc0000201);
}

static void one_aaaa(struct message *message, const char *name)
{
    message_aaaa(message, name, 300, 7);
}

static void nothing_said(struct message *message, const char *name)
{
    (void)message;
    (void)name;
}

static void no_data_for_long(struct message *message, const char *name)
{
    message_soa(message, name, 86400, 86400);
}

static void one_a_for_long(struct message *message, const char *name)
{
    message_a(message, name, 86400, 0xc0000201);
}

static void five_hundred(struct message *message, const char *name)
{
    char host[64];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(host, sizeof host, "a-rather-long-name-%u.example", i);
        message_mx(message, name, 300, 1000 - i, host);
    }
}

static void short_rdata(struct message *message, const char *name)
{
    message_head(message, name, 15, 300, 1);
    message_byte(message, 0);
}

static struct server_rule rules[] = {
    { "two.example", 15, 0, two_hosts, SERVER_PLAIN, 0 },
    { "null.example", 15, 0, null_mx, SERVER_PLAIN, 0 },
    { "own-first.example", 15, 0, own_first, SERVER_PLAIN, 0 },
    { "own-second.example", 15, 0, own_second, SERVER_PLAIN, 0 },
    { "implicit.example", 15, 0, no_data, SERVER_PLAIN, 0 },
    { "implicit.example", 1, 0, one_a, SERVER_PLAIN, 0 },
    { "implicit.example", 28, 0, no_data, SERVER_PLAIN, 0 },
    { OWN, 15, 0, no_data, SERVER_PLAIN, 0 },
    { OWN, 1, 0, one_a, SERVER_PLAIN, 0 },
    { OWN, 28, 0, no_data, SERVER_PLAIN, 0 },
    { "bare.example", 15, 0, nothing_said, SERVER_PLAIN, 0 },
    { "bare.example", 1, 0, one_a_for_long, SERVER_PLAIN, 0 },
    { "bare.example", 28, 0, no_data, SERVER_PLAIN, 0 },
    { "long.example", 15, 0, no_data_for_long, SERVER_PLAIN, 0 },
    { "long.example", 1, 0, one_a_for_long, SERVER_PLAIN, 0 },
    { "long.example", 28, 0, no_data_for_long, SERVER_PLAIN, 0 },
    { "nothing.example", 15, 0, no_data, SERVER_PLAIN, 0 },
    { "nothing.example", 1, 0, no_data, SERVER_PLAIN, 0 },
    { "nothing.example", 28, 0, no_data, SERVER_PLAIN, 0 },
    { "half.example", 15, 0, no_data, SERVER_PLAIN, 0 },
    { "half.example", 1, 2, NULL, SERVER_PLAIN, 0 },
    { "half.example", 28, 0, no_data, SERVER_PLAIN, 0 },
    { "both.example", 1, 0, one_a, SERVER_PLAIN, 0 },
    { "both.example", 28, 0, one_aaaa, SERVER_PLAIN, 0 },
    { "four.example", 1, 0, one_a, SERVER_PLAIN, 0 },
    { "four.example", 28, 0, NULL, SERVER_SILENT, 0 },
    { "fails.example", 15, 2, NULL, SERVER_PLAIN, 0 },
    { "fails.example", 1, 2, NULL, SERVER_PLAIN, 0 },
    { "fails.example", 28, 2, NULL, SERVER_PLAIN, 0 },
    { "refused.example", 15, 5, NULL, SERVER_PLAIN, 0 },
    { "odd.example", 15, 1, NULL, SERVER_PLAIN, 0 },
    { "silent.example", 15, 0, NULL, SERVER_SILENT, 0 },
    { "slow.example", 15, 0, two_hosts, SERVER_SLOW, 0 },
    { "wrong-id.example", 15, 0, two_hosts, SERVER_WRONG_ID, 0 },
    { "wrong-q.example", 15, 0, two_hosts, SERVER_WRONG_QUESTION, 0 },
    { "only-wrong.example", 15, 0, NULL, SERVER_ONLY_WRONG, 0 },
    { "empty.example", 15, 0, two_hosts, SERVER_EMPTY_PACKET, 0 },
    { "large.example", 15, 0, five_hundred, SERVER_BY_TCP, 0 },
    { "short.example", 15, 0, short_rdata, SERVER_PLAIN, 0 },
    { "ancient.example", 15, 0, two_hosts, SERVER_WITHOUT_EDNS, 0 },
    { "antique.example", 15, 0, two_hosts, SERVER_WITHOUT_EDNS, 0 },
};

static struct server server;
static struct loop *loop;
static struct resolve *resolve;
static struct lookup *lookup;
static struct netaddr address;
static struct conf conf = {
    .hostname = (char *)(uintptr_t)OWN,
    .dns = {
        .servers = { &address, 1 },
        .timeout_ms = 300,
        .tries = 2,
        .cache_entries = 100,
        .cache_ttl_max_ms = 3600000,
        .cache_negative_ms = 900000,
    },
};

/* What the last answers were. */
struct heard {
    unsigned count;
    enum dns_status status;
    bool implicit;
    uint32_t ttl_s;
    char hosts[DNS_HOSTS_MAX * SMTP_DOMAIN_SIZE]; /* names or addresses, blanks between */
};

static void hear(void *context, const struct found *found, bool is_mx)
{
    struct heard *heard = context;
    struct dns_mx mx;
    struct dns_address addresses;
    size_t at = 0;
    heard->count++;
    heard->status = found->status;
    heard->implicit = found->implicit;
    heard->ttl_s = found->ttl_s;
    heard->hosts[0] = '\0';
    if (is_mx)
        mx_unpack(found, 0, &mx);
    else
        addresses_unpack(found, 0, &addresses);
    for (unsigned i = 0; i < (is_mx ? mx.count : addresses.count); i++) {
        char text[NETADDR_TEXT_SIZE];
        if (!is_mx)
            netaddr_print(&addresses.addresses[i], text);
        at +=
            (size_t)snprintf(heard->hosts + at, sizeof heard->hosts - at, "%s%s", at ? " " : "", is_mx ? mx.hosts[i].name : text);
    }
}

static void hear_mx(void *context, uint64_t ticket, const struct found *found)
{
    (void)ticket;
    hear(context, found, true);
}

static void hear_address(void *context, uint64_t ticket, const struct found *found)
{
    (void)ticket;
    hear(context, found, false);
}

static void ask_in_line(unsigned line, enum cache_kind kind, const char *name, struct heard *heard)
{
    lookup_ask(lookup, line, kind, span_of(name), kind == CACHE_MX ? hear_mx : hear_address, heard, 0);
}

static void ask(enum cache_kind kind, const char *name, struct heard *heard)
{
    ask_in_line(0, kind, name, heard);
}

static void wait_for(const struct heard *heard, unsigned count)
{
    int64_t end = clock_monotonic_ms() + 20000;
    while (heard->count < count) {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < end);
    }
}

static int set_up(void **state)
{
    (void)state;
    if (!server_start(&server, rules, COUNT(rules)))
        return -1;
    for (size_t i = 0; i < COUNT(rules); i++)
        atomic_store(&rules[i].asked, 0);
    assert_true(netaddr_parse(SPAN("127.0.0.1"), &address));
    address.port = server.port;
    loop = loop_new();
    resolve = resolve_new(loop, &conf.dns);
    lookup = lookup_new(resolve, &conf);
    return resolve ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    resolve_free(&resolve);
    lookup_free(&lookup);
    loop_free(&loop);
    server_stop(&server);
    return 0;
}

static unsigned asked(const char *name, unsigned type)
{
    struct server_query query = { .type = type };
    text_copy(query.name, sizeof query.name, span_of(name));
    const struct server_rule *rule = server_find(&server, &query);
    return rule ? atomic_load(&rule->asked) : 0;
}

static void each_kind_of_answer(void **state)
{
    static const struct {
        enum cache_kind kind;
        const char *name;
        enum dns_status status;
        const char *hosts;
        bool implicit;
    } cases[] = {
        { CACHE_MX, "two.example", DNS_OK, "mx1.example mx2.example", false },
        { CACHE_MX, "TWO.example.", DNS_OK, "mx1.example mx2.example", false },
        { CACHE_MX, "null.example", DNS_NULL_MX, "", false },
        { CACHE_MX, "own-first.example", DNS_LOOP, "", false },
        { CACHE_MX, "own-second.example", DNS_OK, "primary.example", false },
        { CACHE_MX, "implicit.example", DNS_OK, "implicit.example", true },
        { CACHE_MX, OWN, DNS_LOOP, "", true },
        { CACHE_MX, "nothing.example", DNS_NO_MAIL, "", true },
        { CACHE_MX, "half.example", DNS_SERVFAIL, "", true },
        { CACHE_MX, "absent.example", DNS_NXDOMAIN, "", false },
        { CACHE_MX, "fails.example", DNS_SERVFAIL, "", false },
        { CACHE_MX, "refused.example", DNS_REFUSED, "", false },
        { CACHE_MX, "odd.example", DNS_MALFORMED, "", false },
        { CACHE_MX, "silent.example", DNS_TIMEOUT, "", false },
        { CACHE_MX, "wrong-id.example", DNS_OK, "mx1.example mx2.example", false },
        { CACHE_MX, "wrong-q.example", DNS_OK, "mx1.example mx2.example", false },
        { CACHE_MX, "only-wrong.example", DNS_TIMEOUT, "", false },
        { CACHE_MX, "empty.example", DNS_OK, "mx1.example mx2.example", false },
        { CACHE_MX, "short.example", DNS_MALFORMED, "", false },
        { CACHE_MX, "[192.0.2.9]", DNS_OK, "[192.0.2.9]", true },
        { CACHE_MX, "[IPv6:2001:db8::9]", DNS_OK, "[IPv6:2001:db8::9]", true },
        { CACHE_MX, "[192.0.2]", DNS_NXDOMAIN, "", false },
        { CACHE_MX, "no such.example", DNS_NXDOMAIN, "", false },
        { CACHE_MX, "", DNS_NXDOMAIN, "", false },
        { CACHE_ADDRESS, "both.example", DNS_OK, "2001:db8::7 192.0.2.1", false },
        { CACHE_ADDRESS, "four.example", DNS_OK, "192.0.2.1", false },
        { CACHE_ADDRESS, "implicit.example", DNS_OK, "192.0.2.1", false },
        { CACHE_ADDRESS, "nothing.example", DNS_NO_MAIL, "", false },
        { CACHE_ADDRESS, "half.example", DNS_SERVFAIL, "", false },
        { CACHE_ADDRESS, "absent.example", DNS_NXDOMAIN, "", false },
        { CACHE_ADDRESS, "fails.example", DNS_SERVFAIL, "", false },
        { CACHE_ADDRESS, "192.0.2.9", DNS_OK, "192.0.2.9", false },
        { CACHE_ADDRESS, "[192.0.2.9]", DNS_OK, "192.0.2.9", false },
        { CACHE_ADDRESS, "[IPv6:2001:db8::9]", DNS_OK, "2001:db8::9", false },
        { CACHE_ADDRESS, "2001:db8::9", DNS_OK, "2001:db8::9", false },
    };
    struct heard heard[COUNT(cases)] = { { .count = 0 } };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        ask(cases[i].kind, cases[i].name, &heard[i]);
    for (size_t i = 0; i < COUNT(cases); i++) {
        wait_for(&heard[i], 1);
        if (heard[i].status != cases[i].status || strcmp(heard[i].hosts, cases[i].hosts) != 0 ||
            heard[i].implicit != cases[i].implicit)
            fail_msg("%s: status %u, hosts %s, implicit %u", cases[i].name, heard[i].status, heard[i].hosts, heard[i].implicit);
        assert_int_equal(heard[i].count, 1);
    }
}

static void large_set_by_tcp(void **state)
{
    struct heard heard = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "large.example", &heard);
    wait_for(&heard, 1);
    assert_int_equal(heard.status, DNS_OK);
    assert_non_null(strstr(heard.hosts, "a-rather-long-name-499.example"));
    assert_null(strstr(heard.hosts, "a-rather-long-name-483.example"));
}

/* c-ares asks anew by itself, but only the first time. */
static void a_server_without_edns(void **state)
{
    struct heard heard = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "ancient.example", &heard);
    wait_for(&heard, 1);
    assert_string_equal(heard.hosts, "mx1.example mx2.example");
    ask(CACHE_MX, "antique.example", &heard);
    wait_for(&heard, 2);
    assert_string_equal(heard.hosts, "mx1.example mx2.example");
}

/* Who asks while the question is in flight gets its answer; who asks later gets the cache's. */
static void asked_once(void **state)
{
    struct heard heard = { .count = 0 };
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        ask(CACHE_MX, i % 2 ? "slow.example" : "Slow.Example", &heard);
    assert_int_equal(heard.count, 0);
    wait_for(&heard, 50);
    assert_int_equal(asked("slow.example", 15), 1);
    ask(CACHE_MX, "slow.example", &heard);
    assert_int_equal(heard.count, 51);
    assert_string_equal(heard.hosts, "mx1.example mx2.example");
    assert_int_equal(asked("slow.example", 15), 1);
}

static void noes_and_trouble_are_kept(void **state)
{
    struct heard heard = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "refused.example", &heard);
    wait_for(&heard, 1);
    unsigned before = atomic_load(&server.asked);
    ask(CACHE_MX, "refused.example", &heard);
    assert_int_equal(heard.count, 2);
    assert_int_equal(heard.status, DNS_REFUSED);
    ask(CACHE_MX, "absent.example", &heard);
    wait_for(&heard, 3);
    ask(CACHE_MX, "absent.example", &heard);
    assert_int_equal(heard.count, 4);
    assert_int_equal(heard.status, DNS_NXDOMAIN);
    assert_int_equal(atomic_load(&server.asked), before + 1);
}

/* Where there is no MX the address serves for as long as that "no" holds, and no longer: tomorrow there may be one (RFC 2308 5). */
static void an_implicit_mx_holds_as_long_as_the_no(void **state)
{
    static const struct {
        enum cache_kind kind;
        const char *name;
        uint32_t ttl_s;
    } cases[] = {
        { CACHE_MX, "implicit.example", 300 },
        { CACHE_MX, "bare.example", LOOKUP_NEGATIVE_S },
        { CACHE_MX, "long.example", 900 },
        { CACHE_ADDRESS, "long.example", 3600 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct heard heard = { .count = 0 };
        ask(cases[i].kind, cases[i].name, &heard);
        wait_for(&heard, 1);
        assert_int_equal(heard.status, DNS_OK);
        if (heard.ttl_s != cases[i].ttl_s)
            fail_msg("%s holds for %u s", cases[i].name, heard.ttl_s);
    }
}

static void who_has_gone_is_not_told(void **state)
{
    struct heard gone = { .count = 0 }, there = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "slow.example", &gone);
    ask(CACHE_MX, "slow.example", &there);
    lookup_forget(lookup, &gone);
    wait_for(&there, 1);
    assert_int_equal(gone.count, 0);
    ask(CACHE_MX, "implicit.example", &gone);
    lookup_forget(lookup, &gone);
    ask(CACHE_MX, "implicit.example", &there);
    wait_for(&there, 2);
    assert_int_equal(there.status, DNS_OK);
    assert_int_equal(gone.count, 0);
}

/* More different names than may be in flight: all are answered, in their turn. */
static void a_thousand_names(void **state)
{
    struct heard heard = { .count = 0 };
    char name[40];
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "name%u.example", i);
        ask(CACHE_MX, name, &heard);
    }
    assert_int_equal(resolve_pending(resolve), 1000);
    wait_for(&heard, 1000);
    assert_int_equal(resolve_pending(resolve), 0);
    assert_int_equal(heard.status, DNS_NXDOMAIN);
}

/* How many questions a server that answers none has got by now. */
static unsigned arrived(const struct server *silent)
{
    char bytes[512];
    unsigned count = 0;
    while (recv(silent->udp, bytes, sizeof bytes, MSG_DONTWAIT) >= 0)
        count++;
    return count;
}

/* A server that is about to read its socket finds no more there than the socket surely holds; one that is slow gets more. */
static void bursts_are_bounded(void **state)
{
    struct server silent;
    struct heard heard = { .count = 0 };
    char name[40];
    (void)state;
    assert_true(server_bind(&silent, NULL, 0));
    address.port = silent.port;
    resolve_settings(resolve, &conf.dns);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "name%u.example", i);
        ask(CACHE_MX, name, &heard);
    }
    unsigned count = arrived(&silent);
    assert_int_equal(count, RESOLVE_BURST_MAX);
    while (count == RESOLVE_BURST_MAX) {
        loop_once(loop, true);
        count += arrived(&silent);
    }
    assert_in_range(count, RESOLVE_BURST_MAX + 1, 2 * RESOLVE_BURST_MAX);
    assert_true(server_answer(&silent));
    server_stop(&silent);
}

/* How many questions for names that begin with PREFIX a server that answers none has got by now. */
static unsigned arrived_for(const struct server *silent, const char *prefix)
{
    uint8_t bytes[512];
    struct server_query query;
    unsigned count = 0;
    for (ssize_t n; (n = recv(silent->udp, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0;)
        count += server_parse(bytes, (size_t)n, &query) && strncmp(query.name, prefix, strlen(prefix)) == 0;
    return count;
}

/* One line has the whole silence to itself, and another, and a third: who comes last still gets to the servers, before anybody was answered. */
static void a_line_leaves_places(void **state)
{
    struct server silent;
    struct heard heard = { .count = 0 };
    struct conf patient = conf;
    char name[40];
    (void)state;
    assert_true(server_bind(&silent, NULL, 0));
    address.port = silent.port;
    patient.dns.timeout_ms = 60000;
    resolve_free(&resolve);
    lookup_free(&lookup);
    resolve = resolve_new(loop, &patient.dns);
    lookup = lookup_new(resolve, &patient);
    for (unsigned line = 0; line < 4; line++) {
        unsigned first = RESOLVE_FLIGHT_MAX >> (line + 1), count = 0;
        for (unsigned i = 0; i < 2 * RESOLVE_FLIGHT_MAX; i++) {
            snprintf(name, sizeof name, "line%u-name%u.example", line, i);
            ask_in_line(line, CACHE_MX, name, &heard);
        }
        snprintf(name, sizeof name, "line%u-", line);
        while ((count += arrived_for(&silent, name)) < first && !heard.count)
            loop_once(loop, true);
        assert_int_equal(heard.count, 0);
        assert_int_equal(count, first);
    }
    assert_true(server_answer(&silent));
    server_stop(&silent);
}

/* A reload moves what is in flight to the new servers, and keeps what is known. */
static void other_servers(void **state)
{
    struct server second;
    struct heard heard = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "two.example", &heard);
    wait_for(&heard, 1);
    ask(CACHE_MX, "silent.example", &heard);
    static struct server_rule other[] = { { "silent.example", 15, 0, own_second, SERVER_PLAIN, 0 } };
    assert_true(server_start(&second, other, COUNT(other)));
    address.port = second.port;
    resolve_settings(resolve, &conf.dns);
    lookup_settings(lookup, &conf);
    wait_for(&heard, 2);
    assert_string_equal(heard.hosts, "primary.example");
    ask(CACHE_MX, "two.example", &heard);
    assert_int_equal(heard.count, 3);
    assert_string_equal(heard.hosts, "mx1.example mx2.example");
    server_stop(&second);
}

static void own_name_changes(void **state)
{
    struct heard heard = { .count = 0 };
    struct conf renamed = conf;
    (void)state;
    ask(CACHE_MX, "own-first.example", &heard);
    wait_for(&heard, 1);
    assert_int_equal(heard.status, DNS_LOOP);
    renamed.hostname = (char *)(uintptr_t) "other.example.net";
    lookup_settings(lookup, &renamed);
    ask(CACHE_MX, "own-first.example", &heard);
    wait_for(&heard, 2);
    assert_int_equal(heard.status, DNS_OK);
}

/* One server fails or refuses, the other knows: its answer counts. Where it fails too, the first one's reason does. */
static void second_server_does_better(void **state)
{
    static struct server_rule other[] = {
        { "fails.example", 15, 0, own_second, SERVER_PLAIN, 0 }, { "refused.example", 15, 2, NULL, SERVER_PLAIN, 0 },
        { "odd.example", 15, 0, own_second, SERVER_PLAIN, 0 },   { "half.example", 1, 0, NULL, SERVER_SILENT, 0 },
        { "half.example", 28, 0, NULL, SERVER_SILENT, 0 },
    };
    struct server second;
    struct heard heard = { .count = 0 };
    struct conf two = conf;
    struct netaddr addresses[2] = { address, address };
    (void)state;
    assert_true(server_start(&second, other, COUNT(other)));
    addresses[1].port = second.port;
    two.dns.servers = (struct conf_addresses){ addresses, 2 };
    resolve_settings(resolve, &two.dns);
    ask(CACHE_MX, "fails.example", &heard);
    wait_for(&heard, 1);
    assert_int_equal(heard.status, DNS_OK);
    assert_string_equal(heard.hosts, "primary.example");
    ask(CACHE_MX, "refused.example", &heard);
    wait_for(&heard, 2);
    assert_int_equal(heard.status, DNS_REFUSED);
    ask(CACHE_ADDRESS, "half.example", &heard);
    wait_for(&heard, 3);
    assert_int_equal(heard.status, DNS_SERVFAIL);
    ask(CACHE_MX, "odd.example", &heard);
    wait_for(&heard, 4);
    assert_int_equal(heard.status, DNS_OK);
    assert_string_equal(heard.hosts, "primary.example");
    server_stop(&second);
}

/* Nobody is there: a timeout, and never "no such name". */
static void no_server(void **state)
{
    struct heard heard = { .count = 0 };
    (void)state;
    address.port = 1;
    resolve_settings(resolve, &conf.dns);
    ask(CACHE_MX, "two.example", &heard);
    ask(CACHE_ADDRESS, "two.example", &heard);
    wait_for(&heard, 2);
    assert_int_equal(heard.status, DNS_TIMEOUT);
}

static void ended_in_mid_flight(void **state)
{
    struct heard heard = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "silent.example", &heard);
    ask(CACHE_ADDRESS, "four.example", &heard);
    for (unsigned i = 0; i < 3; i++)
        loop_once(loop, false);
    resolve_free(&resolve);
    lookup_free(&lookup);
    assert_int_equal(heard.count, 0);
}

/* The hot path: printed, and only held against a bound that no machine should miss. */
static void cache_hit_is_fast(void **state)
{
    enum { ROUNDS = 20000 };
    struct heard heard = { .count = 0 };
    (void)state;
    ask(CACHE_MX, "two.example", &heard);
    wait_for(&heard, 1);
    int64_t begin = clock_monotonic_ms();
    for (unsigned i = 0; i < ROUNDS; i++)
        ask(CACHE_MX, "two.example", &heard);
    int64_t took = clock_monotonic_ms() - begin;
    print_message("a cache hit: %lld ns\n", (long long)(took * 1000000 / ROUNDS));
    assert_int_equal(heard.count, ROUNDS + 1);
    assert_true(took < 4000);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(each_kind_of_answer),
        WITH_SERVER(large_set_by_tcp),
        WITH_SERVER(a_server_without_edns),
        WITH_SERVER(asked_once),
        WITH_SERVER(noes_and_trouble_are_kept),
        WITH_SERVER(an_implicit_mx_holds_as_long_as_the_no),
        WITH_SERVER(who_has_gone_is_not_told),
        WITH_SERVER(a_thousand_names),
        WITH_SERVER(bursts_are_bounded),
        WITH_SERVER(a_line_leaves_places),
        WITH_SERVER(other_servers),
        WITH_SERVER(own_name_changes),
        WITH_SERVER(second_server_does_better),
        WITH_SERVER(no_server),
        WITH_SERVER(ended_in_mid_flight),
        WITH_SERVER(cache_hit_is_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

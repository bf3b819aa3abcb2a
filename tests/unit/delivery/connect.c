/* Which addresses are tried, in which order, and what is said when none is left. */
#include "world.h"

#include <errno.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* What the DNS says of a host: addresses, or a failure. */
struct answer {
    const char *host;
    const char *addresses;
    enum dns_status status;
};

struct way {
    const char *name;
    bool mx;
    bool allow_private;
    const char *hosts; /* NAME/PREFERENCE … */
    struct answer answers[6];
    const char *tried; /* addresses in order */
    enum delivery_end end;
    const char *enhanced;
};

/* clang-format off: it would make columns of the rows */
static const struct way ways[] = {
    { "one host", true, false, "a.test/10", { { "a.test", "8.8.4.1" } }, "8.8.4.1 ", DELIVERY_UNREACHABLE, "4.4.1" },
    { "by preference",
      true,
      false,
      "a.test/10 b.test/20",
      { { "a.test", "192.88.99.1" }, { "b.test", "8.8.8.8" } },
      "192.88.99.1 8.8.8.8 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "IPv6 and IPv4 in turn, three of one host",
      true,
      false,
      "a.test/10",
      { { "a.test", "8.8.8.8 8.8.4.4 2600::1 2600::2 2600::3" } },
      "2600::1 8.8.8.8 2600::2 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "at most five",
      true,
      false,
      "a.test/10 b.test/20",
      { { "a.test", "8.8.8.1 8.8.8.2 8.8.8.3" }, { "b.test", "8.8.8.4 8.8.8.5 8.8.8.6 8.8.8.7" } },
      "8.8.8.1 8.8.8.2 8.8.8.3 8.8.8.4 8.8.8.5 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "no such host", true, false, "a.test/10", { { "a.test", NULL, DNS_NXDOMAIN } }, "", DELIVERY_IMPOSSIBLE, "5.4.4" },
    { "no address",
      true,
      false,
      "a.test/10 b.test/10",
      { { "a.test", NULL, DNS_NXDOMAIN }, { "b.test", NULL, DNS_NO_MAIL } },
      "",
      DELIVERY_IMPOSSIBLE,
      "5.4.4" },
    { "one that does not exist, one that is in trouble",
      true,
      false,
      "a.test/10 b.test/10",
      { { "a.test", NULL, DNS_NXDOMAIN }, { "b.test", NULL, DNS_SERVFAIL } },
      "",
      DELIVERY_UNREACHABLE,
      "4.4.3" },
    { "timeout", true, false, "a.test/10", { { "a.test", NULL, DNS_TIMEOUT } }, "", DELIVERY_UNREACHABLE, "4.4.3" },
    { "an answer without addresses makes no sense",
      true,
      false,
      "a.test/10",
      { { "a.test", "" } },
      "",
      DELIVERY_UNREACHABLE,
      "4.4.3" },
    { "the host of a route does not exist: a mistake to be mended",
      false,
      false,
      "a.test/0",
      { { "a.test", NULL, DNS_NXDOMAIN } },
      "",
      DELIVERY_UNREACHABLE,
      "4.4.4" },
    { "no hosts at all", true, false, "", { { 0 } }, "", DELIVERY_UNREACHABLE, "4.4.4" },
    { "private addresses are left out",
      true,
      false,
      "a.test/10",
      { { "a.test", "10.1.2.3 8.8.8.8" } },
      "8.8.8.8 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "nothing but private addresses",
      true,
      false,
      "a.test/10",
      { { "a.test", "10.1.2.3 fd00::1 169.254.1.1 100.64.0.1" } },
      "",
      DELIVERY_IMPOSSIBLE,
      "5.4.4" },
    { "private addresses allowed",
      true,
      true,
      "a.test/10",
      { { "a.test", "10.1.2.3" } },
      "10.1.2.3 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "a route may lead to private addresses",
      false,
      false,
      "a.test/0",
      { { "a.test", "10.1.2.3" } },
      "10.1.2.3 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "localhost", true, false, "a.test/10", { { "a.test", "127.0.0.1" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "127.8.8.8", true, false, "a.test/10", { { "a.test", "127.8.8.8" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "0.0.0.0", true, false, "a.test/10", { { "a.test", "0.0.0.0" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "::", true, false, "a.test/10", { { "a.test", "::" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "::1", true, false, "a.test/10", { { "a.test", "::1" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "::ffff:127.0.0.1", true, false, "a.test/10", { { "a.test", "::ffff:127.0.0.1" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "an interface's address", true, false, "a.test/10", { { "a.test", "203.0.113.77" } }, "", DELIVERY_IMPOSSIBLE, "5.4.6" },
    { "a listener's address, on any port",
      true,
      false,
      "a.test/10",
      { { "a.test", "9.9.9.9" } },
      "",
      DELIVERY_IMPOSSIBLE,
      "5.4.6" },
    { "our own name",
      true,
      false,
      "a.test/10 Relay.Test/20",
      { { "a.test", "8.8.8.8" }, { "Relay.Test", "8.8.4.4" } },
      "8.8.8.8 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "this relay takes its class and all below away",
      true,
      false,
      "a.test/10 b.test/20 c.test/20 d.test/30",
      { { "a.test", "8.8.8.1" }, { "b.test", "8.8.8.2" }, { "c.test", "127.0.0.1" }, { "d.test", "8.8.8.4" } },
      "8.8.8.1 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "this relay in the best class: a loop, whatever the others are",
      true,
      false,
      "a.test/10 b.test/10 c.test/20",
      { { "a.test", NULL, DNS_SERVFAIL }, { "b.test", "127.0.0.1" }, { "c.test", "8.8.8.8" } },
      "",
      DELIVERY_IMPOSSIBLE,
      "5.4.6" },
    { "private allowed: the listener's own port",
      true,
      true,
      "a.test/10",
      { { "a.test", "127.0.0.1" } },
      "",
      DELIVERY_IMPOSSIBLE,
      "5.4.6" },
    { "private allowed: another address on that port",
      true,
      true,
      "a.test/10",
      { { "a.test", "10.9.9.9" } },
      "10.9.9.9 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "a route to our own listener is a loop; its other hosts are not",
      false,
      false,
      "a.test/0 b.test/0",
      { { "a.test", "127.0.0.1" }, { "b.test", "8.8.8.8" } },
      "8.8.8.8 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
    { "literals need no DNS",
      true,
      false,
      "[8.8.8.8]/10 [IPv6:2600::9]/20",
      { { 0 } },
      "8.8.8.8 2600::9 ",
      DELIVERY_UNREACHABLE,
      "4.4.1" },
};
/* clang-format on */

static const struct way *current;
static struct connect tested;

static void answer(void *context, unsigned index, const char *host, uint16_t tlsa_port)
{
    (void)context;
    (void)tlsa_port;
    for (size_t i = 0; current->answers[i].host; i++) {
        struct dns_address found = { .status = current->answers[i].status };
        if (strcmp(current->answers[i].host, host) != 0)
            continue;
        struct span rest = span_of(current->answers[i].addresses);
        while (rest.n)
            assert_true(netaddr_parse(span_cut(&rest, ' '), &found.addresses[found.count++]));
        connect_answer(&tested, index, &found);
        return;
    }
    fail_msg("%s: asked for %s", current->name, host);
}

static void try_all(char *tried, size_t size, const char *name)
{
    struct connect_target target;
    enum connect_progress progress;
    tried[0] = '\0';
    while ((progress = connect_next(&tested, &target)) == CONNECT_TARGET) {
        char text[NETADDR_TEXT_SIZE];
        struct reason reason;
        netaddr_print(&target.address, text);
        snprintf(tried + strlen(tried), size - strlen(tried), "%s ", text);
        assert_int_equal(target.address.port, 25);
        reason_local(&reason, "4.4.1", "no");
        connect_failed(&tested, &reason, true);
    }
    if (progress != CONNECT_OVER)
        fail_msg("%s: still waiting", name);
}

static void make_open(struct delivery_open *open, const char *hosts, bool mx)
{
    struct span rest = span_of(hosts);
    *open = (struct delivery_open){ .is_mx = mx };
    while (rest.n) {
        struct span one = span_cut(&rest, ' ');
        uint64_t preference;
        assert_true(text_copy(open->hosts[open->count].name, SMTP_DOMAIN_SIZE, span_cut(&one, '/')));
        assert_true(text_number(one, 0, 65535, &preference));
        open->hosts[open->count].preference = (uint16_t)preference;
        open->hosts[open->count++].port = 25;
    }
}

/* This machine: one interface, a listener on all addresses, and one on an address that no interface has (behind a NAT). */
static struct netaddr interfaces[1], listened[2];
static struct conf_listener listener = { .address = { listened, 2 } };
static const struct conf conf = { .listeners = &listener, .nlisteners = 1 };
static struct own own = { interfaces, 1, &conf };

static void test_ways(void **state)
{
    (void)state;
    assert_true(netaddr_parse(SPAN("203.0.113.77"), &interfaces[0]));
    assert_true(netaddr_parse_port(SPAN("0.0.0.0:25"), &listened[0]));
    assert_true(netaddr_parse_port(SPAN("9.9.9.9:587"), &listened[1]));
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct connect_rules rules = { .own = &own, .allow_private = ways[i].allow_private, .hostname = "relay.test" };
        struct delivery_open open;
        struct reason reason;
        char tried[1024];
        current = &ways[i];
        make_open(&open, current->hosts, current->mx);
        connect_init(&tested, &open, &rules, answer, NULL);
        try_all(tried, sizeof tried, current->name);
        enum delivery_end end = connect_verdict(&tested, &reason);
        if (strcmp(tried, current->tried) != 0 || end != current->end || strcmp(reason.enhanced, current->enhanced) != 0)
            fail_msg("%s: tried \"%s\", end %d, %s %s", current->name, tried, (int)end, reason.enhanced, reason.text);
        connect_restart(&tested);
        try_all(tried, sizeof tried, current->name);
        assert_string_equal(tried, current->tried);
        connect_fini(&tested);
    }
}

/* Hosts of one preference are tried in any order, and before all worse ones. */
static void test_shuffle(void **state)
{
    static const struct way way = {
        "shuffle", true, false, "", { { "a.test", "8.8.8.1" }, { "b.test", "8.8.8.2" }, { "c.test", "8.8.8.3" } }
    };
    struct connect_rules rules = { .own = &own, .hostname = "relay.test" };
    unsigned first[2] = { 0, 0 };
    (void)state;
    current = &way;
    for (unsigned i = 0; i < 200; i++) {
        struct delivery_open open;
        char tried[1024];
        make_open(&open, "a.test/10 b.test/10 c.test/20", true);
        connect_init(&tested, &open, &rules, answer, NULL);
        try_all(tried, sizeof tried, "shuffle");
        first[tried[6] == '2']++;
        assert_string_equal(tried + 16, "8.8.8.3 ");
        connect_fini(&tested);
    }
    assert_true(first[0] > 40 && first[1] > 40);
}

static void ask_nobody(void *context, unsigned index, const char *host, uint16_t tlsa_port)
{
    unsigned *asked = context;
    (void)index;
    (void)host;
    (void)tlsa_port;
    (*asked)++;
}

/* Waiting, asking again, and giving up. */
static void test_waiting(void **state)
{
    struct connect_rules rules = { .own = &own, .hostname = "relay.test" };
    struct connect_target target;
    struct delivery_open open;
    struct reason reason;
    struct dns_address found = { .status = DNS_OK, .count = 1 };
    unsigned asked = 0;
    (void)state;
    make_open(&open, "a.test/10 b.test/10 c.test/20", true);
    connect_init(&tested, &open, &rules, ask_nobody, &asked);
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    assert_int_equal(asked, 2);
    assert_true(netaddr_parse(SPAN("8.8.8.8"), &found.addresses[0]));
    connect_answer(&tested, 0, &found);
    connect_answer(&tested, 9, &found);
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    connect_ask_again(&tested);
    assert_int_equal(asked, 3);
    connect_unanswered(&tested);
    assert_int_equal(connect_next(&tested, &target), CONNECT_TARGET);
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    connect_unanswered(&tested);
    assert_int_equal(connect_next(&tested, &target), CONNECT_OVER);
    assert_int_equal(connect_verdict(&tested, &reason), DELIVERY_UNREACHABLE);
    assert_string_equal(reason.enhanced, "4.4.3");
    connect_fini(&tested);
}

/* What of a host was asked for last: its index, and whether its TLSA records. */
static struct asked {
    unsigned count, index;
    uint16_t tlsa_port;
} asked_last;

static void note_asked(void *context, unsigned index, const char *host, uint16_t tlsa_port)
{
    (void)context;
    (void)host;
    asked_last = (struct asked){ asked_last.count + 1, index, tlsa_port };
}

/* TLSA records are asked for behind the addresses, where a host may have some; without an answer it is not tried. */
static void test_tlsa(void **state)
{
    struct connect_rules rules = { .own = &own, .hostname = "relay.test" };
    struct connect_target target;
    struct delivery_open open;
    struct reason reason;
    struct dns_address found = { .status = DNS_OK, .count = 1, .may_have_tlsa = 1 };
    struct dns_tlsa tlsa = { .status = DNS_OK, .base = "a.test", .size = 5 };
    (void)state;
    make_open(&open, "a.test/10 b.test/20 c.test/30", true);
    connect_init(&tested, &open, &rules, note_asked, NULL);
    tested.wants_tlsa = true;
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    assert_int_equal(asked_last.tlsa_port, 0);
    assert_true(netaddr_parse(SPAN("8.8.8.8"), &found.addresses[0]));
    connect_answer_tlsa(&tested, 0, &tlsa); /* which nobody asked for yet */
    connect_answer(&tested, 0, &found);
    assert_int_equal(asked_last.tlsa_port, 25);
    connect_answer(&tested, 0, &found);
    assert_int_equal(asked_last.count, 2);
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    connect_ask_again(&tested);
    assert_int_equal(asked_last.count, 3);
    assert_int_equal(asked_last.tlsa_port, 25);
    connect_answer_tlsa(&tested, 0, &tlsa);
    assert_int_equal(connect_next(&tested, &target), CONNECT_TARGET);
    assert_string_equal(target.tlsa->base, "a.test");
    assert_int_equal(target.tlsa->size, 5);
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    connect_answer(&tested, 1, &found); /* b.test's are not to be had: c.test */
    connect_unanswered(&tested);
    assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
    found.may_have_tlsa = 0;
    connect_answer(&tested, 2, &found);
    assert_int_equal(connect_next(&tested, &target), CONNECT_TARGET);
    assert_string_equal(target.host, "c.test");
    assert_null(target.tlsa);
    connect_restart(&tested); /* nobody's are to be had */
    found.may_have_tlsa = 1;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(connect_next(&tested, &target), CONNECT_WAIT);
        connect_answer(&tested, i, &found);
        connect_unanswered(&tested);
    }
    assert_int_equal(connect_next(&tested, &target), CONNECT_OVER);
    assert_int_equal(connect_verdict(&tested, &reason), DELIVERY_UNREACHABLE);
    assert_string_equal(reason.enhanced, "4.4.3");
    assert_non_null(strstr(reason.text, "TLSA"));
    connect_fini(&tested);
}

/* The whole pool with two hosts, of which the first refuses. */
static void test_next_host(void **state)
{
    struct world world;
    struct world_server server;
    (void)state;
    world_init(&world);
    world_serve(&server, (const char *const[]){ "accept", "> 554 no", "accept", "> 421 busy", NULL }, NULL);
    world_begin(&world, &world_plain, NULL);
    world_open(&world, "a.test/10 b.test/20", server.port, NULL);
    assert_true(world_run(&world, &world.closed, 3000));
    assert_string_equal(world.events, "unreachable 4.0.0;");
    assert_string_equal(world.asked, "a.test;b.test;");
    assert_non_null(strstr(world.replies, "421 busy"));
    world_end(&world);
    world_served(&server);
}

/* Addresses of this machine, and one that is not, with weights. */
static struct source ours[] = {
    { .pool = "", .helo = "relay.test" },
    { .pool = "bulk", .helo = "b1.test", .weight = 1 },
    { .pool = "bulk", .helo = "b2.test", .weight = 3 },
    { .pool = "far", .helo = "far.test", .weight = 1 },
    { .pool = "far", .helo = "near.test", .weight = 1 },
};
static const char *const our_addresses[] = { "127.0.0.9", "127.0.0.10", "127.0.0.11", "192.0.2.99", "127.0.0.12" };
static struct sources sources = { ours, COUNT(ours) };

/* Connects to SERVER from POOL; which of `ours` it came from, or -1 with errno. */
static int connect_from(const char *pool, const char *host, uint16_t port)
{
    struct connect_rules rules = { .own = &own, .sources = &sources, .hostname = "relay.test", .reach = NULL };
    struct connect_target target = { .host = "a.test" };
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct netaddr local;
    struct delivery_open open;
    make_open(&open, "a.test/0", false);
    text_copy(open.source, sizeof open.source, span_of(pool));
    connect_init(&tested, &open, &rules, ask_nobody, NULL);
    assert_true(netaddr_parse(span_of(host), &target.address));
    target.address.port = port;
    int fd = connect_socket(&tested, &target), error = errno, found = -1;
    if (fd >= 0) {
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        assert_true(netaddr_from_sockaddr((struct sockaddr *)&address, &local));
        assert_true(netaddr_same_host(&local, &target.source->address));
        found = (int)(target.source - ours);
        close(fd);
    }
    connect_fini(&tested);
    errno = error;
    return found;
}

/* Connections come from the pool that is meant, by weight; what cannot be bound to rests; no other pool steps in. */
static void test_sources(void **state)
{
    unsigned counts[COUNT(ours)] = { 0 };
    uint16_t port = 0;
    int server = world_listen("127.0.0.1", &port, 1024);
    (void)state;
    for (size_t i = 0; i < COUNT(ours); i++) {
        assert_true(netaddr_parse(span_of(our_addresses[i]), &ours[i].address));
        ours[i].weight = ours[i].weight ? ours[i].weight : 1;
    }
    assert_int_equal(connect_from("", "127.0.0.1", port), 0);
    for (unsigned i = 0; i < 400; i++)
        counts[connect_from("bulk", "127.0.0.1", port)]++;
    assert_true(counts[1] > 50 && counts[2] > 200 && counts[1] + counts[2] == 400);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(connect_from("far", "127.0.0.1", port), 4);
    int64_t until_ms = ours[3].rests_until_ms;
    assert_true(until_ms > clock_monotonic_ms());
    usleep(2000);
    sources_rest(&ours[3], "chosen though it rests, as all do"); /* it is tried again no later for that, and not logged */
    assert_int_equal(ours[3].rests_until_ms, until_ms);
    assert_int_equal(connect_from("bulk", "::1", port), -1); /* it has no IPv6 */
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(connect_from("unknown", "127.0.0.1", port), -1);
    close(server);
}

/* A host that refuses one of our addresses is asked from another one; so are others from all. */
static void test_refused_source(void **state)
{
    struct reach *reach = reach_new();
    struct connect_rules rules = { .own = &own, .sources = &sources, .hostname = "relay.test", .reach = reach };
    struct connect_target target = { .host = "a.test", .address = ours[0].address, .source = &ours[1] };
    struct sources_want here = { "bulk", 4, "a.test", reach }, there = { "bulk", 4, "b.test", reach };
    struct delivery_open open;
    struct source *chosen;
    unsigned first = 0;
    (void)state;
    make_open(&open, "a.test/0", false);
    text_copy(open.source, sizeof open.source, SPAN("bulk"));
    connect_init(&tested, &open, &rules, ask_nobody, NULL);
    assert_true(connect_refused_source(&tested, &target));
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(sources_choose(&sources, &here, &chosen), SOURCES_ONE);
        assert_ptr_equal(chosen, &ours[2]);
        assert_int_equal(sources_choose(&sources, &there, &chosen), SOURCES_ONE);
        first += chosen == &ours[1];
    }
    assert_true(first > 5);
    target.source = &ours[2];
    assert_false(connect_refused_source(&tested, &target)); /* none is left: then all are again */
    assert_int_equal(sources_choose(&sources, &here, &chosen), SOURCES_ONE);
    connect_fini(&tested);
    reach_free(&reach);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ways),          cmocka_unit_test(test_shuffle),
                                        cmocka_unit_test(test_waiting),       cmocka_unit_test(test_tlsa),
                                        cmocka_unit_test(test_next_host),     cmocka_unit_test(test_sources),
                                        cmocka_unit_test(test_refused_source) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

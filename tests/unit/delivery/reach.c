/* Two families, one of which leads nowhere, is refused, or has no name; and what is remembered of that. */
#include "../../../relay/delivery/reach.h"
#include "../../../relay/delivery/nameless.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define GREET      "accept", "> 220 mx.test ESMTP", "< EHLO relay.test", "> 250-mx.test", "> 250 PIPELINING"
#define ASKED      "< MAIL FROM:<alice@example.net>", "< RCPT TO:<bob@mx.test>", "< RCPT TO:<carol@mx.test>", "< DATA"
#define OK         "> 250 ok"
#define LOOPBACKS  "::1 127.0.0.1"

/* Both families of loopback at one port: [0] is IPv6, [1] is IPv4. */
static void listen_both(int listeners[2], uint16_t *ret_port, int backlog)
{
    listeners[0] = -1;
    for (unsigned tries = 0; listeners[0] < 0; tries++) {
        uint16_t port = 0;
        assert_true(tries < 100);
        listeners[1] = world_listen("127.0.0.1", &port, 10);
        listeners[0] = world_listen("::1", &port, backlog);
        *ret_port = port;
        if (listeners[0] < 0)
            close(listeners[1]);
    }
}

static const char *both(const char *host)
{
    (void)host;
    return LOOPBACKS;
}

static struct netaddr address_of(const char *text, uint16_t port)
{
    struct netaddr address;
    assert_true(netaddr_parse(span_of(text), &address));
    address.port = port;
    return address;
}

/* Connections to LISTENER, whose backlog is 0, that fill its queue: nobody else gets in, and nobody is told so. */
static void fill(const char *host, uint16_t port, int fillers[4])
{
    struct netaddr address = address_of(host, port);
    struct sockaddr_storage name;
    socklen_t size = netaddr_to_sockaddr(&address, &name);
    for (unsigned i = 0; i < 4; i++) {
        fillers[i] = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&name, size);
    }
}

/* IPv6 swallows everything: IPv4 serves after the head start, long before the timeout, and goes first from then on. */
static void test_black_hole(void **state)
{
    struct world world;
    struct world_server server;
    int listeners[2], fillers[4];
    uint16_t port;
    (void)state;
    listen_both(listeners, &port, 0);
    fill("::1", port, fillers);
    world_init(&world);
    world.resolve = both;
    world.conf.delivery.connect_timeout_ms = 60000;
    world_serve_on(&server, listeners[1], LINES(GREET, "< QUIT", GREET, "< QUIT"), NULL);
    world_begin(&world, &world_plain, NULL);
    world.messages = 0;
    for (unsigned i = 0; i < 2; i++) {
        world.connection++;
        world_open(&world, "mx.test/10", port, NULL);
        assert_true(world_run(&world, &world.closed, 20000));
        assert_int_equal(reach_family(world.pool.rules.reach, "mx.test"), 4);
    }
    assert_string_equal(world.events, "next;ended;next;ended;");
    world_end(&world);
    world_served(&server);
    for (unsigned i = 0; i < 4; i++)
        close(fillers[i]);
    close(listeners[0]);
}

/* IPv6 refuses: IPv4 serves at once, and the address that refused rests. */
static void test_refused(void **state)
{
    struct world world;
    struct world_server server;
    int listeners[2];
    uint16_t port;
    (void)state;
    listen_both(listeners, &port, 0);
    close(listeners[0]);
    world_init(&world);
    world.resolve = both;
    world_serve_on(&server, listeners[1], LINES(GREET, "< QUIT"), NULL);
    world_begin(&world, &world_plain, NULL);
    world.messages = 0;
    world_open(&world, "mx.test/10", port, NULL);
    assert_true(world_run(&world, &world.closed, 20000));
    assert_string_equal(world.events, "next;ended;");
    struct netaddr dead = address_of("::1", port), good = address_of("127.0.0.1", port);
    assert_true(reach_rests(world.pool.rules.reach, &dead, clock_monotonic_ms()));
    assert_false(reach_rests(world.pool.rules.reach, &good, clock_monotonic_ms()));
    world_end(&world);
    world_served(&server);
}

/* Nobody is there. */
static void test_both_dead(void **state)
{
    struct world world;
    int listeners[2];
    uint16_t port;
    (void)state;
    listen_both(listeners, &port, 0);
    close(listeners[0]);
    close(listeners[1]);
    world_init(&world);
    world.resolve = both;
    world_begin(&world, &world_plain, NULL);
    for (unsigned i = 0; i < 2; i++) { /* the second time both rest, and are tried all the same: there is no other */
        world.connection++;
        world_open(&world, "mx.test/10", port, NULL);
        assert_true(world_run(&world, &world.closed, 20000));
    }
    assert_string_equal(world.events, "unreachable 4.4.1;unreachable 4.4.1;");
    assert_non_null(strstr(world.replies, "Connection refused while connecting"));
    world_end(&world);
}

struct refusal {
    const char *name;
    const char *const *six;
    const char *const *four;
    const char *events;
    unsigned recipients;
};

#define SEND ASKED, OK, OK, OK, "> 354 go", "content", OK, "< QUIT"
#define NO                                                                                                                       \
    "> 550-5.7.1 [2001:db8::1] Our system has detected that this message does not meet",                                         \
        "> 550 5.7.1 IPv6 sending guidelines regarding PTR records and authentication."

/* clang-format off: it would make columns of the scripts */
static const struct refusal refusals[] = {
    { "in the greeting", LINES("accept", "> 554 5.7.25 no PTR record for your address", "gone"), LINES(GREET, SEND),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 2 },
    { "at EHLO", LINES("accept", "> 220 mx.test", "< EHLO", "> 550 5.7.1 fix your reverse DNS first", "gone"), LINES(GREET, SEND),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 2 },
    { "at MAIL", LINES(GREET, ASKED, "> 450 4.7.25 no name", "gone"), LINES(GREET, SEND),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 2 },
    { "at the second recipient", LINES(GREET, ASKED, OK, OK, "> 550 5.7.25 no name", "gone"), LINES(GREET, SEND),
      "next;0 done 2.0.0 remote;1 done 2.0.0 remote;next;ended;", 2 },
    { "after the whole message; a recipient that was refused before stays so",
      LINES(GREET, ASKED, OK, "> 550 5.1.1 no bob", OK, "> 354 go", "content", NO, "gone"),
      LINES(GREET, "< MAIL FROM:<alice@example.net>", "< RCPT TO:<carol@mx.test>", "< DATA", OK, OK, "> 354 go", "content", OK,
            "< QUIT"),
      "next;0 permanent 5.1.1 remote;1 done 2.0.0 remote;next;ended;", 2 },
    { "over IPv4 too: then it is final", LINES(GREET, ASKED, OK, OK, OK, "> 354 go", "content", NO, "gone"),
      LINES(GREET, ASKED, OK, OK, OK, "> 354 go", "content", NO, "< QUIT"),
      "next;0 permanent 5.7.1 remote;1 permanent 5.7.1 remote;next;ended;", 2 },
};
/* clang-format on */

static bool play(const struct refusal *refusal)
{
    struct world world;
    struct world_server six, four;
    int listeners[2];
    uint16_t port;
    listen_both(listeners, &port, 10);
    world_init(&world);
    world.resolve = both;
    world.recipients = refusal->recipients;
    world_serve_on(&six, listeners[0], refusal->six, NULL);
    world_serve_on(&four, listeners[1], refusal->four, NULL);
    world_begin(&world, &world_plain, NULL);
    world_open(&world, "mx.test/10", port, NULL);
    world_run(&world, &world.closed, 20000);
    bool right = !strcmp(world.events, refusal->events) && reach_family(world.pool.rules.reach, "mx.test") == 4;
    if (!right)
        print_error("%s:\n%s\n%s", refusal->name, world.events, world.replies);
    if (four.contents)
        right = right && strstr(four.content, "Subject: hello\r\n\r\nText\r\n..dot\r\n");
    world_end(&world);
    world_served(&six);
    world_served(&four);
    return right;
}

static void test_nameless(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++)
        wrong += play(&refusals[i]) ? 0 : 1;
    assert_int_equal(wrong, 0);
}

/* Without IPv4 the refusal stands. */
static void test_nameless_without_ipv4(void **state)
{
    struct world world;
    struct world_server six;
    int listeners[2];
    uint16_t port;
    (void)state;
    listen_both(listeners, &port, 10);
    close(listeners[1]);
    world_init(&world);
    world_serve_on(
        &six, listeners[0],
        LINES(GREET, "< MAIL", "< RCPT", "< DATA", "> 550 5.7.25 no name", "> 503 no", "> 503 no", "< RSET", OK, "< QUIT"), NULL);
    world_begin(&world, &world_plain, NULL);
    world_open(&world, "[IPv6:::1]/10", port, NULL);
    assert_true(world_run(&world, &world.closed, 20000));
    assert_string_equal(world.events, "next;0 permanent 5.7.25 remote;next;ended;");
    world_end(&world);
    world_served(&six);
}

static const char *six_and_broadcast(const char *host)
{
    (void)host;
    return "::1 255.255.255.255"; /* the kernel connects to no such address */
}

/* The host has IPv4, but this machine does not: what the host said is told, not that there is no way. */
static void test_nameless_without_a_way(void **state)
{
    struct world world;
    struct world_server six;
    int listeners[2];
    uint16_t port;
    (void)state;
    listen_both(listeners, &port, 10);
    close(listeners[1]);
    world_init(&world);
    world.resolve = six_and_broadcast;
    world_serve_on(&six, listeners[0], LINES("accept", "> 554 5.7.25 no PTR record for your address", "gone"), NULL);
    world_begin(&world, &world_plain, NULL);
    world_open(&world, "mx.test/10", port, NULL);
    assert_true(world_run(&world, &world.closed, 20000));
    assert_string_equal(world.events, "unreachable 4.7.25;");
    assert_non_null(strstr(world.replies, "no PTR record for your address"));
    world_end(&world);
    world_served(&six);
}

/* Connections that fail together make an address rest as long as one does; failures one behind the other make it rest longer. */
static void test_one_outage(void **state)
{
    struct reach *reach = reach_new();
    struct netaddr address = address_of("192.0.2.1", 25);
    int64_t now_ms = 1000;
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        reach_failed(reach, &address, now_ms + i);
    assert_true(reach_rests(reach, &address, now_ms + REACH_REST_FIRST_MS - 1));
    now_ms += REACH_REST_FIRST_MS;
    assert_false(reach_rests(reach, &address, now_ms));
    for (int64_t rest_ms = 2 * REACH_REST_FIRST_MS; rest_ms < 64 * REACH_REST_FIRST_MS; rest_ms *= 2) {
        int64_t expected_ms = rest_ms < REACH_REST_MAX_MS ? rest_ms : REACH_REST_MAX_MS;
        reach_probe(reach, &address, now_ms);
        reach_failed(reach, &address, now_ms + 500);
        assert_true(reach_rests(reach, &address, now_ms + 500 + expected_ms - 1));
        now_ms += 500 + expected_ms;
        assert_false(reach_rests(reach, &address, now_ms));
    }
    reach_free(&reach);
}

/* What a reply must say to be one about our name. */
static void test_words(void **state)
{
    static const struct {
        const char *line;
        bool said;
    } rows[] = {
        { "550-5.7.25 [2001:db8::1] The IP address sending this message does not have a", true },
        { "550 5.7.1 Client host rejected: cannot find your reverse hostname, [2001:db8::1]", true },
        { "450 4.7.1 Client host rejected: cannot find your hostname, [2001:db8::1]", true },
        { "554 IMA04 no rdns", true },
        { "421 4.7.0 [2001:db8::1] Reverse DNS lookup failed", true },
        { "250 2.0.0 PTR record: fine", false },
        { "550 5.1.1 no such user", false },
        { "550 5.7.26 unauthenticated", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reply reply;
        reply_init(&reply);
        if (reply_feed(&reply, span_of(rows[i].line)) == REPLY_MORE)
            reply_feed(&reply, SPAN("550 5.7.25 PTR record setup."));
        if (nameless_said(&reply) != rows[i].said)
            fail_msg("%s", rows[i].line);
    }
}

/* What a refusal at the greeting must say to be one about our address. */
static void test_lists(void **state)
{
    (void)state;
    assert_true(nameless_listed("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"));
    assert_true(nameless_listed("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"));
    assert_true(nameless_listed("421 4.7.0 your IP has a poor reputation"));
    assert_false(nameless_listed("421 4.3.2 too many connections"));
    assert_false(nameless_listed("554 5.3.2 no service"));
}

/* The memory is bounded, and of a dead address one probe at a time is let through. */
static void test_memory(void **state)
{
    struct reach *reach = reach_new();
    struct netaddr address = address_of("192.0.2.1", 25), other = address_of("192.0.2.1", 26);
    (void)state;
    reach_answered(reach, &address);
    assert_false(reach_rests(reach, &address, clock_monotonic_ms()));
    reach_failed(reach, &address, clock_monotonic_ms());
    assert_true(reach_rests(reach, &address, clock_monotonic_ms()));
    assert_false(reach_rests(reach, &other, clock_monotonic_ms()));
    reach_answered(reach, &address);
    assert_false(reach_rests(reach, &address, clock_monotonic_ms()));
    for (unsigned i = 0; i < 3 * REACH_ADDRESSES_MAX; i++) {
        char host[64];
        address.bytes[1] = (uint8_t)(i >> 8);
        address.bytes[2] = (uint8_t)i;
        address.bytes[3] = (uint8_t)(i >> 16);
        reach_failed(reach, &address, clock_monotonic_ms());
        snprintf(host, sizeof host, "mx%u.test", i);
        reach_prefer(reach, host, 4, REACH_FAMILY_MS);
        assert_true(reach_rests(reach, &address, clock_monotonic_ms()));
        assert_int_equal(reach_family(reach, host), 4);
    }
    assert_int_equal(reach_family(reach, "mx0.test"), 0);
    reach_prefer(reach, "a.test", 6, 0);
    assert_int_equal(reach_family(reach, "a.test"), 0);
    reach_free(&reach);
    reach_free(&reach);
    assert_false(reach_rests(NULL, &address, clock_monotonic_ms()));
    assert_int_equal(reach_family(NULL, "a.test"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_black_hole),
                                        cmocka_unit_test(test_refused),
                                        cmocka_unit_test(test_both_dead),
                                        cmocka_unit_test(test_nameless),
                                        cmocka_unit_test(test_nameless_without_ipv4),
                                        cmocka_unit_test(test_nameless_without_a_way),
                                        cmocka_unit_test(test_one_outage),
                                        cmocka_unit_test(test_words),
                                        cmocka_unit_test(test_lists),
                                        cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

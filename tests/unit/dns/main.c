/* The DNS role as a process, in its sandbox: questions over channels, a reload, peers that come, go and misbehave. */
#include "../parent.h"

#include "../../../relay/base/text.h"
#include "../../../relay/channels/dns.h"
#include "../../../relay/role/mains.h"
#include "server.h"

static void two_hosts(struct message *message, const char *name)
{
    message_mx(message, name, 300, 20, "mx2.example");
    message_mx(message, name, 300, 10, "mx1.example");
}

static void one_host(struct message *message, const char *name)
{
    message_mx(message, name, 300, 10, "relay.example.net");
}

static void one_a(struct message *message, const char *name)
{
    message_a(message, name, 300, 0xc0000201);
}

static struct server_rule rules[] = {
    { "two.example", 15, 0, two_hosts, SERVER_PLAIN, 0 },
    { "slow.example", 15, 0, two_hosts, SERVER_SLOW, 0 },
    { "own.example", 15, 0, one_host, SERVER_PLAIN, 0 },
    { "host.example", 1, 0, one_a, SERVER_PLAIN, 0 },
};

static struct server server;
static struct parent parent;

/* What a peer heard last. */
struct heard {
    bool came;
    struct dns_mx mx;
    struct dns_address address;
};

static void hear(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct heard *heard = context;
    (void)size;
    (void)fd;
    heard->came = true;
    if (type == DNS_MX)
        heard->mx = *(const struct dns_mx *)body;
    else
        heard->address = *(const struct dns_address *)body;
}

static void settings_text(char text[600], uint16_t port)
{
    snprintf(text, 600,
             "hostname = \"relay.example.net\"\n"
             "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
             "dns { servers = { \"127.0.0.1:%u\" } timeout = 500ms tries = 2 }\n",
             port);
}

static int set_up(void **state)
{
    char text[600];
    (void)state;
    if (!server_bind(&server, rules, COUNT(rules)))
        return -1;
    settings_text(text, server.port);
    parent_start(&parent, dns_main, text);
    return server_answer(&server) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    int status = parent_end(&parent, true);
    server_stop(&server);
    return status;
}

static void ask_mx(struct ipc *ipc, const char *domain, struct heard *heard)
{
    struct dns_ask_mx ask = { .ticket = 42 };
    text_copy(ask.domain, sizeof ask.domain, span_of(domain));
    heard->came = false;
    assert_true(ipc_send(ipc, DNS_ASK_MX, &ask, sizeof ask, -1));
}

static void ask_address(struct ipc *ipc, const char *host, struct heard *heard)
{
    struct dns_ask_address ask = { .ticket = 43 };
    text_copy(ask.host, sizeof ask.host, span_of(host));
    heard->came = false;
    assert_true(ipc_send(ipc, DNS_ASK_ADDRESS, &ask, sizeof ask, -1));
}

static void asked_and_answered(void **state)
{
    static struct heard heard;
    struct ipc *ipc = parent_peer(&parent, ROLE_SUBMISSION, 3, &dns_channel, hear, &heard);
    (void)state;
    ask_mx(ipc, "Two.Example", &heard);
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.mx.ticket, 42);
    assert_int_equal(heard.mx.status, DNS_OK);
    assert_int_equal(heard.mx.count, 2);
    assert_string_equal(heard.mx.hosts[0].name, "mx1.example");
    assert_int_equal(heard.mx.hosts[1].preference, 20);
    assert_true(heard.mx.ttl_s > 290 && heard.mx.ttl_s <= 300);
    ask_mx(ipc, "own.example", &heard);
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.mx.status, DNS_LOOP);
    ask_address(ipc, "host.example", &heard);
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.address.ticket, 43);
    assert_int_equal(heard.address.status, DNS_OK);
    assert_int_equal(heard.address.count, 1);
    assert_memory_equal(heard.address.addresses[0].bytes, "\xc0\0\2\1", 4);
    ipc_free(&ipc);
}

/* A name that fills its array to the last byte, without a NUL. */
static void name_without_end(void **state)
{
    static struct heard heard;
    struct ipc *ipc = parent_peer(&parent, ROLE_QUEUE, 0, &dns_channel, hear, &heard);
    struct dns_ask_mx ask = { .ticket = 1 };
    (void)state;
    memset(ask.domain, 'a', sizeof ask.domain);
    assert_true(ipc_send(ipc, DNS_ASK_MX, &ask, sizeof ask, -1));
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.mx.status, DNS_NXDOMAIN);
    ipc_free(&ipc);
}

static void peer_goes_and_comes(void **state)
{
    static struct heard first, second;
    struct ipc *ipc = parent_peer(&parent, ROLE_DELIVERY, 0, &dns_channel, hear, &first);
    (void)state;
    ask_mx(ipc, "slow.example", &first);
    for (unsigned i = 0; i < 20; i++)
        loop_once(parent.loop, false);
    ipc_free(&ipc); /* in the middle of the question */
    ipc = parent_peer(&parent, ROLE_DELIVERY, 0, &dns_channel, hear, &second);
    struct ipc *replaced = ipc;
    ipc = parent_peer(&parent, ROLE_DELIVERY, 0, &dns_channel, hear, &second);
    ask_mx(ipc, "slow.example", &second);
    parent_wait(&parent, &second.came);
    assert_int_equal(second.mx.status, DNS_OK);
    assert_false(first.came);
    ipc_free(&replaced);
    ipc_free(&ipc);
}

static void reload_changes_servers(void **state)
{
    static struct server_rule other_rules[] = { { "new.example", 15, 0, two_hosts, SERVER_PLAIN, 0 } };
    static struct heard heard;
    struct server other;
    char text[600];
    struct ipc *ipc = parent_peer(&parent, ROLE_CONTROL, 0, &dns_channel, hear, &heard);
    (void)state;
    ask_mx(ipc, "two.example", &heard);
    parent_wait(&parent, &heard.came);
    assert_true(server_start(&other, other_rules, COUNT(other_rules)));
    settings_text(text, other.port);
    parent_settings(&parent, text, true);
    ask_mx(ipc, "new.example", &heard);
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.mx.status, DNS_OK);
    ask_mx(ipc, "two.example", &heard); /* known from before */
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.mx.status, DNS_OK);
    ipc_free(&ipc);
    server_stop(&other);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asked_and_answered),
        TEST(name_without_end),
        TEST(peer_goes_and_comes),
        TEST(reload_changes_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

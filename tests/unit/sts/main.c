/* The MTA-STS role as a process, in its sandbox, with a web server that misbehaves and a dns role that says what the test wants: what is
 * asked, fetched, kept and answered, over restarts and reloads, and when others come and go. */
#include "../parent.h"

#include "../../../relay/base/text.h"
#include "../../../relay/channels/dns.h"
#include "../../../relay/channels/sts.h"
#include "../../../relay/role/mains.h"
#include "../../../relay/sts/inquiry.h"
#include "web.h"

#define ENFORCE "version: STSv1\\nmode: enforce\\nmx: MX.Example.com\\nmx: *.example.net\\nmax_age: 86400\\n"
#define TESTING "version: STSv1\\nmode: testing\\nmx: mx.example.com\\nmax_age: 86400\\n"
#define NO_MODE "version: STSv1\\nmode: none\\nmax_age: 86400\\n"
#define HOSTS   "mx.example.com *.example.net"

static struct web web;
static struct parent parent;

/* --- dns --- */

/* What dns says about all domains now. */
static struct {
    struct ipc *ipc;
    bool silent;            /* it does not answer */
    enum dns_status status; /* of TXT records */
    const char *record;     /* NULL: none is told although status is DNS_OK */
    enum dns_status found;  /* of addresses */
    const char *address;
    unsigned txt, addresses; /* questions so far */
    bool asked;
    char last[SMTP_DOMAIN_SIZE]; /* name that was asked for */
} dns;

static void tell_txt(const struct dns_ask_txt *ask)
{
    struct dns_txt txt = { .ticket = ask->ticket, .status = dns.status, .ttl_s = 300 };
    size_t n = dns.record ? strlen(dns.record) : 0;
    if (n) {
        txt.records[0] = (char)(n >> 8);
        txt.records[1] = (char)(n & 0xff);
        memcpy(txt.records + 2, dns.record, n);
        txt.size = (uint32_t)n + 2;
    }
    ipc_send(dns.ipc, DNS_TXT, &txt, offsetof(struct dns_txt, records) + txt.size, -1);
}

static void tell_address(const struct dns_ask_address *ask)
{
    struct dns_address address = { .ticket = ask->ticket, .status = dns.found, .ttl_s = 300 };
    if (dns.found == DNS_OK && netaddr_parse(span_of(dns.address), &address.addresses[0]))
        address.count = 1;
    ipc_send(dns.ipc, DNS_ADDRESS, &address, sizeof address, -1);
}

static void dns_asked(void *context, unsigned type, const void *body, size_t size, int fd)
{
    const struct dns_ask_txt *txt = body;
    const struct dns_ask_address *address = body;
    (void)context;
    (void)size;
    (void)fd;
    dns.asked = true;
    dns.txt += type == DNS_ASK_TXT;
    dns.addresses += type == DNS_ASK_ADDRESS;
    text_copy(dns.last, sizeof dns.last, span_of(type == DNS_ASK_TXT ? txt->name : address->host));
    if (dns.silent)
        return;
    if (type == DNS_ASK_TXT)
        tell_txt(txt);
    else
        tell_address(address);
}

/* Links the role with a dns role as the parent does. */
static void dns_comes(void)
{
    struct parent_peer peer = { ROLE_DNS, 0 };
    int fds[2];
    assert_true(ipc_pair(fds));
    assert_true(ipc_send(parent.ipc, PARENT_PEER, &peer, sizeof peer, fds[1]));
    close(fds[1]);
    ipc_free(&dns.ipc);
    dns.ipc = ipc_new(parent.loop, fds[0], &dns_channel, IPC_BACK, dns_asked, NULL, NULL);
}

/* --- the queue --- */

struct heard {
    bool came;
    unsigned count;
    struct sts_policy policy;
};

static void hear(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct heard *heard = context;
    (void)size;
    (void)fd;
    assert_int_equal(type, STS_POLICY);
    heard->came = true;
    heard->count++;
    heard->policy = *(const struct sts_policy *)body;
}

static struct heard heard;
static struct ipc *queue;

static void send_ask(struct ipc *ipc, const char *domain, uint64_t ticket)
{
    struct sts_ask ask = { .ticket = ticket };
    text_copy(ask.domain, sizeof ask.domain, span_of(domain));
    assert_true(ipc_send(ipc, STS_ASK, &ask, sizeof ask, -1));
}

/* Asks for DOMAIN and waits: the mode. */
static enum sts_mode ask(const char *domain)
{
    static uint64_t ticket = 100;
    heard.came = false;
    send_ask(queue, domain, ++ticket);
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.policy.ticket, ticket);
    assert_in_range(heard.policy.ttl_s, 60, 3600);
    return heard.policy.mode;
}

/* Waits until the file of DOMAIN was asked for COUNT times. */
static void await_fetches(const char *domain, int count)
{
    int64_t end_ms = clock_monotonic_ms() + PARENT_PATIENCE_MS;
    while (web_count(&web, domain) < count) {
        loop_once(parent.loop, false);
        usleep(5000);
        assert_true(clock_monotonic_ms() < end_ms);
    }
}

/* --- the role --- */

static void settings_text(char text[1200], bool allow_private)
{
    snprintf(text, 1200,
             "hostname = \"relay.example.net\"\n"
             "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
             "delivery { allow-private = %s ca-file = \"%s\" }\nmta-sts { directory = \"%s\" port = %u }\n",
             allow_private ? "yes" : "no", web.authority, folder, web.port);
}

static void start_role(void)
{
    char text[1200];
    settings_text(text, true);
    parent_start(&parent, sts_main, text);
    dns_comes();
    queue = parent_peer(&parent, ROLE_QUEUE, 0, &sts_channel, hear, &heard);
}

static int end_role(void)
{
    ipc_free(&dns.ipc);
    ipc_free(&queue);
    return parent_end(&parent, true);
}

static void restart(void)
{
    assert_int_equal(end_role(), 0);
    start_role();
}

static int set_up(void **state)
{
    memset(&dns, 0, sizeof dns);
    dns.record = "v=STSv1; id=1;";
    dns.address = "127.0.0.1";
    assert_int_equal(folder_make(state), 0);
    web_start(&web);
    start_role();
    return 0;
}

static int tear_down(void **state)
{
    int status = end_role();
    web_stop(&web);
    folder_remove(state);
    return status;
}

/* --- the tests --- */

static void no_announcement(void **state)
{
    static const char *const records[] = { NULL, "v=spf1 -all", "v=STSv1; id=" };
    (void)state;
    web_serve(&web, "example.com", "none", ENFORCE);
    for (size_t i = 0; i < COUNT(records); i++) {
        dns.record = records[i];
        assert_int_equal(ask("example.com"), STS_NONE);
        assert_int_equal(heard.policy.ttl_s, 300);
        assert_int_equal(heard.policy.size, 0);
    }
    dns.status = DNS_NXDOMAIN;
    assert_int_equal(ask("example.com"), STS_NONE);
    assert_int_equal(heard.policy.ttl_s, 300);
    dns.status = DNS_TIMEOUT;
    assert_int_equal(ask("example.com"), STS_NONE);
    assert_int_equal(heard.policy.ttl_s, 60);
    assert_string_equal(dns.last, "_mta-sts.example.com");
    assert_int_equal(dns.addresses, 0);
    assert_int_equal(web_count(&web, "example.com"), 0);
}

static void fetched_once_and_kept(void **state)
{
    (void)state;
    web_serve(&web, "example.com", "none", ENFORCE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask("Example.COM"), STS_ENFORCE);
        assert_int_equal(heard.policy.ttl_s, 300);
        assert_int_equal(heard.policy.size, strlen(HOSTS));
        assert_string_equal(heard.policy.hosts, HOSTS);
    }
    assert_int_equal(web_count(&web, "example.com"), 1);
    assert_int_equal(dns.txt, 3);
    assert_int_equal(dns.addresses, 1);
    assert_string_equal(dns.last, "_mta-sts.example.com");
    restart();
    web_serve(&web, "example.com", "missing", "");
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    assert_string_equal(heard.policy.hosts, HOSTS);
    assert_int_equal(web_count(&web, "example.com"), 1);
}

/* Whoever hides the record or the server takes nothing away. */
static void kept_whatever_happens(void **state)
{
    (void)state;
    web_serve(&web, "example.com", "none", ENFORCE);
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    dns.status = DNS_NXDOMAIN;
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    dns.status = DNS_SERVFAIL;
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    assert_int_equal(heard.policy.ttl_s, 60);
    dns.status = DNS_OK;
    dns.record = "v=STSv1; id=2;";
    dns.found = DNS_NXDOMAIN;
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    assert_int_equal(heard.policy.ttl_s, 300);
    assert_int_equal(dns.addresses, 2);
    dns.found = DNS_OK;
    assert_int_equal(ask("example.com"), STS_ENFORCE); /* it failed a moment ago and is not asked again */
    assert_int_equal(dns.addresses, 2);
    assert_int_equal(web_count(&web, "example.com"), 1);
}

static void another_id_is_another_policy(void **state)
{
    (void)state;
    web_serve(&web, "example.com", "none", ENFORCE);
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    web_serve(&web, "example.com", "none", TESTING);
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    dns.record = "v=STSv1; id=2;";
    assert_int_equal(ask("example.com"), STS_TESTING);
    assert_string_equal(heard.policy.hosts, "mx.example.com");
    web_serve(&web, "example.com", "none", NO_MODE);
    dns.record = "v=STSv1; id=3;";
    assert_int_equal(ask("example.com"), STS_NONE);
    assert_int_equal(heard.policy.size, 0);
    dns.record = NULL; /* nothing is left of those before */
    assert_int_equal(ask("example.com"), STS_NONE);
    dns.record = "v=STSv1; id=3;";
    assert_int_equal(ask("example.com"), STS_NONE);
    restart();
    assert_int_equal(ask("example.com"), STS_NONE);
    assert_int_equal(web_count(&web, "example.com"), 3);
}

/* As an earlier process has left it: fetched AGO_S before, for MAX_AGE_S. */
static void keep(const char *domain, int64_t ago_s, uint32_t max_age_s)
{
    struct loop *loop = loop_new();
    struct kept *kept = kept_new(KEPT_MAX);
    struct kept_policy policy = { STS_ENFORCE, "1", clock_wall_ms() - ago_s * 1000, max_age_s, SPAN("old.example.com") };
    kept_open(kept, loop, folder, policy.fetched_ms);
    kept_put(kept, span_of(domain), policy.fetched_ms, &policy);
    kept_free(&kept);
    loop_free(&loop);
}

/* Asks until what is fetched behind the scenes is there. */
static void await_mode(const char *domain, enum sts_mode mode)
{
    int64_t end_ms = clock_monotonic_ms() + PARENT_PATIENCE_MS;
    while (ask(domain) != mode)
        assert_true(clock_monotonic_ms() < end_ms);
}

/* What is old is fetched anew when it is asked for, and nobody waits for it; what has expired is waited for. */
static void fetched_anew(void **state)
{
    enum { DAY_S = 86400 };
    static const char *const domains[] = { "fresh.test", "day.test", "half.test", "expired.test" };
    (void)state;
    assert_int_equal(end_role(), 0);
    keep("expired.test", DAY_S + 600, DAY_S + 1);
    keep("failing.test", DAY_S + 600, 30 * DAY_S);
    keep("day.test", DAY_S + 600, 30 * DAY_S);
    keep("fresh.test", DAY_S - 600, 30 * DAY_S);
    keep("half.test", DAY_S / 2, DAY_S - 600);
    start_role();
    for (size_t i = 0; i < COUNT(domains); i++)
        web_serve(&web, domains[i], "none", TESTING);
    web_serve(&web, "failing.test", "silent", TESTING);
    assert_int_equal(ask("fresh.test"), STS_ENFORCE);
    assert_int_equal(ask("day.test"), STS_ENFORCE);
    assert_string_equal(heard.policy.hosts, "old.example.com");
    assert_int_equal(ask("half.test"), STS_ENFORCE);
    assert_int_equal(ask("failing.test"), STS_ENFORCE);
    assert_int_equal(ask("expired.test"), STS_TESTING);
    await_fetches("failing.test", 1);
    assert_int_equal(ask("failing.test"), STS_ENFORCE); /* while it is being fetched */
    await_mode("day.test", STS_TESTING);
    await_mode("half.test", STS_TESTING);
    assert_int_equal(web_count(&web, "fresh.test"), 0);
    assert_int_equal(web_count(&web, "day.test"), 1);
}

/* Beyond so many domains in question whoever asks is told that there is no policy, and may ask again in a minute. */
static void more_than_can_be_asked(void **state)
{
    char domain[64];
    (void)state;
    dns.silent = true;
    heard.count = 0;
    for (unsigned i = 0; i < INQUIRY_MAX; i++) {
        text_format(domain, sizeof domain, "d%u.test", i);
        send_ask(queue, domain, i);
    }
    assert_int_equal(ask("one-more.test"), STS_NONE);
    assert_int_equal(heard.policy.ttl_s, 60);
    assert_int_equal(heard.count, 1);
}

/* What cannot be had is told once, and not tried again soon. */
static void failures_are_remembered(void **state)
{
    static const struct {
        const char *trick, *text;
    } cases[] = { { "redirect", ENFORCE }, { "html", ENFORCE }, { "large", ENFORCE }, { "none", "nonsense\\n" }, { "none", "" } };
    char domain[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        text_format(domain, sizeof domain, "f%u.test", (unsigned)i);
        web_serve(&web, domain, cases[i].trick, cases[i].text);
        assert_int_equal(ask(domain), STS_NONE);
        assert_int_equal(heard.policy.ttl_s, 300);
        web_serve(&web, domain, "none", ENFORCE);
        assert_int_equal(ask(domain), STS_NONE);
        assert_int_equal(web_count(&web, domain), 1);
    }
}

/* Many who ask the same are one question, and one fetch; one who has gone is not answered. */
static void many_ask_the_same(void **state)
{
    static struct heard control_heard;
    (void)state;
    web_serve(&web, "example.com", "none", ENFORCE);
    struct ipc *control = parent_peer(&parent, ROLE_CONTROL, 0, &sts_channel, hear, &control_heard);
    struct ipc *gone = parent_peer(&parent, ROLE_QUEUE, 1, &sts_channel, hear, &control_heard);
    heard = control_heard = (struct heard){ .came = false };
    dns.silent = true;
    for (unsigned i = 0; i < 50; i++) {
        send_ask(queue, "example.com", i);
        send_ask(gone, "example.com", i);
    }
    send_ask(control, "example.com", 7);
    dns.asked = false;
    parent_wait(&parent, &dns.asked);
    ipc_free(&gone);
    dns.silent = false;
    dns_comes(); /* another dns role: it is asked again what the one before did not answer */
    parent_wait(&parent, &control_heard.came);
    assert_int_equal(control_heard.policy.ticket, 7);
    assert_int_equal(control_heard.policy.mode, STS_ENFORCE);
    while (heard.count < 50)
        loop_once(parent.loop, true);
    assert_int_equal(control_heard.count, 1);
    assert_int_equal(dns.txt, 2);
    assert_int_equal(web_count(&web, "example.com"), 1);
    ipc_free(&control);
}

/* Nobody is kept waiting longer than ten seconds; what comes later is there for who asks then. */
static void patience_ends(void **state)
{
    int64_t begun_ms = clock_monotonic_ms();
    (void)state;
    web_serve(&web, "slow.test", "silent", ENFORCE);
    web_serve(&web, "quick.test", "none", ENFORCE);
    send_ask(queue, "slow.test", 1);
    await_fetches("slow.test", 1);
    assert_int_equal(ask("quick.test"), STS_ENFORCE);
    heard.came = false;
    parent_wait(&parent, &heard.came);
    assert_in_range(clock_monotonic_ms() - begun_ms, STS_PATIENCE_MS - 100, STS_PATIENCE_MS + 5000);
    assert_int_equal(heard.policy.ticket, 1);
    assert_int_equal(heard.policy.mode, STS_NONE);
    assert_int_equal(heard.policy.ttl_s, 60);
    begun_ms = clock_monotonic_ms();
    assert_int_equal(ask("slow.test"), STS_NONE); /* at once */
    assert_in_range(clock_monotonic_ms() - begun_ms, 0, 5000);
    assert_int_equal(web_count(&web, "slow.test"), 1);
    ipc_free(&dns.ipc); /* and where dns is away */
    begun_ms = clock_monotonic_ms();
    assert_int_equal(ask("other.test"), STS_NONE);
    assert_in_range(clock_monotonic_ms() - begun_ms, STS_PATIENCE_MS - 100, STS_PATIENCE_MS + 5000);
    begun_ms = clock_monotonic_ms();
    assert_int_equal(ask("quick.test"), STS_ENFORCE); /* what is known is told at once */
    assert_int_equal(heard.policy.ttl_s, 60);
    assert_in_range(clock_monotonic_ms() - begun_ms, 0, 5000);
    dns_comes();
    assert_int_equal(ask("quick.test"), STS_ENFORCE);
}

/* Addresses of our own networks are nobody's policy host. */
static void private_addresses(void **state)
{
    char text[1200];
    (void)state;
    web_serve(&web, "example.com", "none", ENFORCE);
    settings_text(text, false);
    parent_settings(&parent, text, true);
    assert_int_equal(ask("example.com"), STS_NONE);
    dns.address = "169.254.169.254";
    assert_int_equal(ask("example.org"), STS_NONE);
    assert_int_equal(dns.addresses, 2);
    assert_int_equal(web_count(&web, "example.com"), 0);
}

static void what_can_have_none(void **state)
{
    static const char *const names[] = { "",
                                         ".",
                                         "localhost",
                                         "a",
                                         "[192.0.2.1]",
                                         "192.0.2.1",
                                         "1.2",
                                         "a..b",
                                         ".example.com",
                                         "example.com.",
                                         "a b.example",
                                         "a/b.example",
                                         "-",
                                         "a@b.example",
                                         "\xc3\xa4.example",
                                         "a.example:443" };
    char longest[SMTP_DOMAIN_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_int_equal(ask(names[i]), STS_NONE);
        assert_int_equal(heard.policy.ttl_s, 3600);
    }
    for (size_t i = 0; i < sizeof longest - 1; i++)
        longest[i] = i % 50 == 49 ? '.' : 'a';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(ask(longest), STS_NONE);
    longest[245] = '\0'; /* with "_mta-sts." one more than there may be */
    assert_int_equal(ask(longest), STS_NONE);
    assert_int_equal(dns.txt, 0);
    dns.status = DNS_NXDOMAIN;
    longest[244] = '\0';
    assert_int_equal(ask(longest), STS_NONE);
    assert_int_equal(dns.txt, 1);
}

/* A peer that none is linked with is let go, and one that breaks the rules ends itself alone. */
static void strangers(void **state)
{
    static struct heard stranger_heard;
    struct sts_ask wrong = { .ticket = 1 };
    const struct sts_ask early = { .ticket = 1, .domain = "example.com" };
    (void)state;
    struct ipc *stranger = parent_peer(&parent, ROLE_DELIVERY, 0, &sts_channel, hear, &stranger_heard);
    ipc_send(stranger, STS_ASK, &early, sizeof early, -1); /* where it is not closed yet */
    memset(wrong.domain, 'a', sizeof wrong.domain);
    assert_true(ipc_send(queue, STS_ASK, &wrong, sizeof wrong, -1)); /* a text without an end */
    heard.came = false;
    parent_wait(&parent, &heard.came);
    assert_int_equal(heard.policy.mode, STS_NONE);
    web_serve(&web, "example.com", "none", ENFORCE);
    assert_int_equal(ask("example.com"), STS_ENFORCE);
    assert_false(stranger_heard.came);
    ipc_free(&stranger);
}

/* Ended with fetches under way, as at each stop. */
static void ended_in_the_middle(void **state)
{
    (void)state;
    web_serve(&web, "silent.test", "silent", ENFORCE);
    web_serve(&web, "mute.test", "mute", ENFORCE);
    send_ask(queue, "silent.test", 1);
    send_ask(queue, "mute.test", 2);
    await_fetches("silent.test", 1);
    dns.silent = true;
    dns.asked = false;
    send_ask(queue, "asked.test", 3);
    parent_wait(&parent, &dns.asked);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fetched_anew),
        TEST(more_than_can_be_asked),
        TEST(no_announcement),
        TEST(fetched_once_and_kept),
        TEST(kept_whatever_happens),
        TEST(another_id_is_another_policy),
        TEST(failures_are_remembered),
        TEST(many_ask_the_same),
        TEST(patience_ends),
        TEST(private_addresses),
        TEST(what_can_have_none),
        TEST(strangers),
        TEST(ended_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

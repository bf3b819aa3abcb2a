/* The configuration: good files become the struct and come back the same; each mistake is told at its line with what would be right. */
#include "../../../relay/conf/read.h"
#include "../../../relay/base/text.h"
#include "../../../relay/conf/keys.h"
#include "../../../relay/conf/warn.h"
#include "../unit.h"

#include <unistd.h>

#define BASE                                                                                                                     \
    "hostname = \"relay.example.net\"\ntls { certificate = \"c\" key = \"k\" }\nlistener s { address = { \"127.0.0.1:587\" } "   \
    "}\n"

struct complaints {
    char text[8192];
    unsigned count;
};

static void collect(void *context, const char *line)
{
    struct complaints *complaints = context;
    size_t used = strlen(complaints->text);
    text_format(complaints->text + used, sizeof complaints->text - used, "%s\n", line);
    complaints->count++;
}

static struct conf *read_text(const char *text, struct complaints *complaints)
{
    *complaints = (struct complaints){ "", 0 };
    return conf_read_text("test.conf", span_of(text), collect, complaints);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text;
        const char *told; /* part of a complaint */
    } cases[] = {
        { "", "test.conf:1: hostname is missing" },
        { "hostname = \"relay.example.net\"\n", "test.conf:1: there is no listener" },
        { BASE "hostnam = x\n", "test.conf:4: there is no hostnam at the top level; did you mean hostname?" },
        { BASE "queue { retri = 5min }\n", "test.conf:4: there is no retri in section queue; did you mean retry?" },
        { BASE "quueue { retry = 5min }\n", "test.conf:4: there is no quueue at the top level; did you mean queue?" },
        { BASE "queue {\n lifetime = 3parsec\n}\n", "test.conf:5: lifetime = 3parsec is wrong; it must be a time from 1s" },
        { BASE "queue { retry = { 5min, soon } }\n", "test.conf:4: retry = 5min is wrong; it must be a time" },
        { BASE "log { level = loud }\n", "test.conf:4: level = loud is wrong; it must be one of debug, info, warning, error" },
        { BASE "delivery { port = 70000 }\n", "test.conf:4: port = 70000 is wrong; it must be a port" },
        { BASE "delivery {\n port = 25\n", "test.conf:4: section delivery is never closed" },
        { BASE "delivery { port = 25 }\n}\n", "test.conf:5: } is out of place" },
        { BASE "delivery { port }\n", "test.conf:4: behind port = and a value are missing" },
        { BASE "hostname = \"x.example\"\n", "test.conf:4: hostname is set twice" },
        { BASE "dns { servers = { \"192.0.2.1\" \"192.0.2.2\" } }\n",
          "test.conf:4: unexpected token '192.0.2.2'; between the elements of a list stands a comma" },
        { BASE "policy {\n spam-phrases = { \"spam mail\", \"bad\" }\n}\n", "test.conf:5: a phrase has 5 to 200 letters" },
        { BASE "delivery { slow-phrases = { \"slow\" } }\n", "test.conf:4: a phrase has 5 to 200 letters" },
        { BASE "site \"no host\" { connections = 1 }\n", "test.conf:4: no host is no host or domain" },
        { BASE "site \"x.example\" { rate = \"fast\" }\n", "test.conf:4: rate = fast is wrong" },
        { BASE "policy { report-address = \"abuse@example.net\" }\n",
          "test.conf:4: reports are only taken at a listener with auth = none" },
        { BASE "policy { report-address = abuse }\n", "test.conf:4: report-address = abuse is no address" },
        { BASE "policy { unknown-phrases = { \"\" } }\n", "test.conf:4: a phrase has 5 to 200 letters" },
        { BASE "dns { servers = { \"192.0.2.1:x\" } }\n", "addresses with or without ports such as \"192.0.2.1:53\"" },
        { BASE "dns { tries = 1 }\ndns { tries = 2 }\n", "test.conf:5: dns is there twice" },
        { BASE "listener { address = { \"127.0.0.1:25\" } }\n", "test.conf:4: section listener needs a name" },
        { BASE "dns x { tries = 1 }\n", "test.conf:4: section dns has no name" },
        { BASE "listener t { address = { \"127.0.0.1:25\" } auth = none }\n", "would be an open relay" },
        { BASE "listener t { address = { \"127.0.0.1:25\" } auth = optional }\n", "would be an open relay" },
        { BASE "listener t { address = { \"127.0.0.1:25\" } tls = none }\n", "passwords are taken only under TLS" },
        { BASE "listener t { address = { \"127.0.0.1:587\" } }\n", "127.0.0.1:587 is listed twice" },
        { BASE "listener t { address = { \"localhost:25\" } }\n", "not \"localhost:25\"" },
        { BASE "listener t { tls = starttls }\n", "address is missing in section listener" },
        { BASE "listener t { address = { \"127.0.0.1:25\" } networks = { \"10.0.0.1/8\" } }\n", "no bits behind the mask" },
        { BASE "auth { mechanisms = { \"CRAM-MD5\" } }\n", "CRAM-MD5 is not offered" },
        { BASE "auth { backend = saslauthd\n mechanisms = { \"PLAIN\", \"scram-sha-256\" } }\n",
          "test.conf:5: saslauthd wants the password itself, which SCRAM-SHA-256 does not tell; write mechanisms" },
        { BASE "auth { backend = sasldb }\naccount \"carol@Relay.example.net\" { class = x }\n",
          "test.conf:5: carol@Relay.example.net logs in as carol with backend = sasldb; write carol" },
        { BASE "auth { backend = saslauthd }\nlimit hourly { rate = \"1/1h\" except = { \"carol@example.net\" } }\n",
          "test.conf:5: carol@example.net logs in as carol with backend = saslauthd; write carol, or auth { realm = keep }" },
        { BASE "account \"a\" { senders = { \"not an address\" } }\n", "neither an address nor @domain" },
        { BASE "limit l { key = account }\n", "rate is missing in section limit" },
        { BASE "limit l { rate = \"many\" }\n", "a count and a time" },
        { BASE "limit l { rate = \"1/1h\" key = recipient-domain count = messages }\n", "count recipients" },
        { BASE "limit l { rate = \"1/1h\" key = sender-domain count = login-networks }\n", "not counted for domains" },
        { BASE "limit l { rate = \"1/1h\" count = connections }\n", "a connection has no login yet" },
        { BASE "limit l { rate = \"1/1h\" key = client then = suspend }\n", "only an account can be suspended" },
        { BASE "limit l { rate = \"1/1h\" key = client count = connections then = hold }\n", "a connection cannot be held" },
        { BASE "limit l { rate = \"1/1h\" count = auth-failures then = hold }\n", "a login cannot be held" },
        { BASE "limit l { rate = \"1/1h\" share = 10 }\n", "share is for hard-bounces and spam-replies" },
        { BASE "limit l { rate = \"1/1h\" share = 101 }\n", "a number from 0 to 100" },
        { BASE "account a { contact = nobody }\n", "nobody is no address" },
        { BASE "policy { redis = \"localhost:6379\" }\n", "neither an address with port nor a path" },
        { BASE "policy { redis-timeout = 1h }\n", "redis-timeout" },
        { BASE "dkim \"example.net\" { selector = s key = k }\n", "not available in this version" },
        { BASE "route \"x.example\" { via = \"h:587\" user = u password-file = p }\n", "only to a named host over verified TLS" },
        { BASE "route \"x.example\" { via = \"h:587\" tls = verify user = u }\n", "user and password-file belong together" },
        { BASE "route \"x.example\" { via = \"h:0\" }\n", "mx, or hosts such as" },
        { BASE "route \"*x\" { via = mx }\n", "*x is no domain" },
        { BASE "route \"a\u200d.example\" { via = mx }\n", "test.conf:4: a\\xe2\\x80\\x8d.example is no domain" },
        { BASE "route \"b\u00fccher.example\" { via = mx }\nroute \"xn--bcher-kva.example\" { via = mx }\n",
          "test.conf:4: route b\u00fccher.example is there twice, also as xn--bcher-kva.example" },
        { BASE "domains = { \"-\u00fc.example\" }\n", "-\u00fc.example is no domain" },
        { BASE "postmaster = \"a@\u00ad.example\"\n", "is no address" },
        { BASE "route \"*\" { via = mx source = \"x\" }\n", "there is no source or pool of sources x" },
        { BASE "delivery { bounce-source = \"x\" }\n", "there is no source or pool of sources x" },
        { BASE "source \"x\" { helo = \"out\" }\n", "source x has no addresses" },
        { BASE "source \"x\" { addresses = { \"192.0.2\" } }\n", "192.0.2 is no address" },
        { BASE "source \"x\" { addresses = { \"192.0.2.1\" } helo = \"a b\" }\n", "a b is no host name" },
        { BASE "source \"x\" { addresses = { \"192.0.2.1\" } weight = 0 }\n", "a number from 1" },
        { BASE "route \"a\" { domains = { \"*\", \"x y\" } via = mx }\n", "x y is no domain" },
        { BASE "route \"*\" { senders = { \"alice\" } via = mx }\n", "neither an address nor @domain" },
        { BASE "route \"x.example\" { tls = verify }\n", "via is missing" },
        { BASE "queue { retry = { 5d } lifetime = 1d }\n", "lifetime is shorter than the first step" },
        { BASE "hostname2 = \"a\nb", "never closed" },
        { BASE "include(\"/nonexistent/file\")\n", "test.conf:4: /nonexistent/file cannot be read" },
        { "hostname = \"no_host\"\n" BASE, "hostname is set twice" },
        { "hostname = \"-bad-\"\nlistener s { address = { \"127.0.0.1:587\" } }\n",
          "listener s offers TLS but there is no certificate" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct complaints complaints;
        struct conf *conf = read_text(cases[i].text, &complaints);
        if (conf || !strstr(complaints.text, cases[i].told))
            fail_msg("case %zu: %s\nwas told: %s\ninstead of: %s", i, cases[i].text, complaints.text, cases[i].told);
    }
}

/* Mistakes that are told in one line, and nothing false behind it. */
static void test_mistakes_told_once(void **state)
{
    static const struct {
        const char *text;
        const char *told; /* how the complaint begins */
    } cases[] = {
        { BASE "queue { lifetime = }\n", "test.conf:4: behind lifetime = a value is missing; such as lifetime = 3d" },
        { BASE "queue {\n lifetime =\n retry = { 5min }\n}\n", "test.conf:5: behind lifetime = a value is missing" },
        { BASE "queue { lifetime 3d }\n", "test.conf:4: behind lifetime a = is missing; such as lifetime = 3d" },
        { BASE "queue { lifetime 3d\n retry = { 5min } }\n", "test.conf:4: behind lifetime a = is missing" },
        { BASE "queue { retry { 5min } }\n", "test.conf:4: behind retry a = is missing; such as retry = { 5min, 15min" },
        { BASE "queue { lifetime: 3d }\n", "test.conf:4: there is no lifetime: in section queue; did you mean lifetime?" },
        { BASE "delivery { port }\n", "test.conf:4: behind port = and a value are missing; such as port = 25" },
        { BASE "domains \"example.net\"\nlog { level = info }\n",
          "test.conf:4: behind domains a = is missing; such as domains = {" },
        { BASE "domains =\n", "test.conf:4: behind domains = a value is missing" },
        { BASE "domains = { \"example.net\"\n", "test.conf:4: the list of domains is never closed; a } is missing" },
        { BASE "limit x { rate = \"200\" }\n", "test.conf:4: rate = 200 is wrong; it must be a count and a time" },
        { BASE "sppool { directory = \"/x\" minimum-free = 1G }\n",
          "test.conf:4: there is no sppool at the top level; did you mean spool?" },
        { BASE "log { level = info }\nlog { level = debug }\n", "test.conf:5: log is there twice" },
        { BASE "account alice { class = x }\naccount Alice { class = y }\n",
          "test.conf:5: account Alice is there twice, before as alice; put everything into one" },
        { BASE "route \"Example.com\" {\n via = \"h:0\"\n}\n", "test.conf:5: via = h:0 is wrong" },
        { BASE "account a { senders = { \"*@example.net\" } }\n",
          "test.conf:4: *@example.net is not how all addresses of a domain are written; write @example.net" },
        { BASE "auth { backend = pam }\n", "test.conf:4: backend = pam is wrong; it must be one of file, sasldb, saslauthd\n" },
        { BASE "auth { backend = dovecot }\n", "test.conf:4: backend = dovecot is wrong; it must be one of file, sasldb, "
                                               "saslauthd; dovecot is not available in this" },
        { BASE "auth { file = \"users2\" }\n", "test.conf:4: file = users2 is no absolute path; such as \"/etc/postern/users\"" },
        { BASE "spool { directory = spool }\n", "test.conf:4: directory = spool is no absolute path" },
        { BASE "mta-sts { directory = sts }\n", "test.conf:4: directory = sts is no absolute path" },
        { BASE "delivery { ca-file = ca.pem }\n", "test.conf:4: ca-file = ca.pem is no absolute path" },
        { BASE "include(\"rel.conf\")\n", "test.conf:4: rel.conf is no absolute path; such as include(\"/etc/postern/conf.d" },
        { BASE "include(\"/nonexistent/file\")\n", "test.conf:4: /nonexistent/file cannot be read" },
        { BASE "include \"/etc/x\"\n", "test.conf:4: include is written include(" },
        { "\xef\xbb\xbf" BASE, "test.conf:1: the file begins with a byte order mark; save it as UTF-8 without one" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct complaints complaints;
        struct conf *conf = read_text(cases[i].text, &complaints);
        if (conf || complaints.count != 1 || strncmp(complaints.text, cases[i].told, strlen(cases[i].told)) != 0)
            fail_msg("case %zu: %s\nwas told: %s\ninstead of: %s", i, cases[i].text, complaints.text, cases[i].told);
    }
}

/* postern(1) asks for the socket of a file that somebody is just editing. */
static void test_socket_of_a_file_with_mistakes(void **state)
{
    char path[] = "/tmp/postern-conf-XXXXXX", socket[200], why[CONF_WHY_SIZE];
    int fd = mkstemp(path);
    (void)state;
    dprintf(fd, "control { socket = \"/run/x.sock\" }\nqueue { lifetime = soon }\n");
    assert_true(conf_read_socket(path, socket, sizeof socket, why));
    assert_string_equal(socket, "/run/x.sock");
    dprintf(fd, "queue { lifetime = }\n");
    close(fd);
    assert_false(conf_read_socket(path, socket, sizeof socket, why));
    unlink(path);
}

static void test_all_mistakes_in_one_go(void **state)
{
    struct complaints complaints;
    (void)state;
    assert_null(
        read_text("hostnam = x\nqueue { lifetime = x\n retri = 5 }\nlog { level = loud }\ndelivery { port = 25\n", &complaints));
    assert_true(complaints.count >= 6);
}

static void test_defaults(void **state)
{
    struct complaints complaints;
    struct conf *conf = read_text(BASE, &complaints);
    (void)state;
    assert_non_null(conf);
    assert_string_equal(conf->postmaster, "postmaster@relay.example.net");
    assert_int_equal(conf->listeners[0].tls, CONF_LISTENER_STARTTLS);
    assert_int_equal(conf->listeners[0].auth, CONF_AUTH_REQUIRED);
    assert_int_equal(conf->listeners[0].max_recipients, 1000);
    assert_int_equal(conf->listeners[0].max_message_size, 50 << 20);
    assert_true(conf->listeners[0].check_recipient_domain);
    assert_true(conf->check_from_header);
    assert_int_equal(conf->queue.retry.count, 6);
    assert_int_equal(conf->queue.retry.items[5], 4 * 3600 * 1000);
    assert_int_equal(conf->queue.lifetime_ms, 3 * 86400 * 1000);
    assert_int_equal(conf->delivery.port, 25);
    assert_int_equal(conf->delivery.tls, CONF_DELIVERY_OPPORTUNISTIC);
    assert_int_equal(conf->auth.mechanisms.count, 4);
    assert_string_equal(conf->spool.directory, "/var/spool/postern");
    assert_true(conf->delivery.mta_sts);
    assert_string_equal(conf->mta_sts.directory, "/var/lib/postern/sts");
    assert_int_equal(conf->mta_sts.port, 443);
    conf_free(&conf);
    assert_null(conf);
}

/* What is offered where the file does not say: what the backend can serve. */
static void test_default_mechanisms(void **state)
{
    static const struct {
        const char *backend;
        size_t count;
    } cases[] = { { "file", 4 }, { "sasldb", 4 }, { "saslauthd", 2 } };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct complaints complaints;
        char text[512];
        text_format(text, sizeof text, BASE "auth { backend = %s }\n", cases[i].backend);
        struct conf *conf = read_text(text, &complaints);
        assert_non_null(conf);
        assert_int_equal(conf->auth.mechanisms.count, cases[i].count);
        assert_string_equal(conf->auth.mechanisms.items[1], "LOGIN");
        conf_free(&conf);
    }
}

/* Every section of the manual's page, written out and read again. */
static void test_round_trip(void **state)
{
    static const char text[] =
        BASE "postmaster = \"pm@example.net\"\ndomains = { \"Example.net\", \"b.example\" }\nfrom-header = ignore\n"
             "certificate \"mail.other.example\" { certificate = \"x \\\"quoted\\\" \\\\\" key = 'y${HOME}' }\n"
             "listener six { address = { \"[::1]:465\" } tls = implicit networks = { \"2001:db8::/32\", \"10.0.0.0/8\" } "
             "client-address = hide }\n"
             "account \"alice\" { senders = { \"alice@example.net\", \"@sales.example.net\" } class = bulk } # comment\n"
             "account \"*\" { class = staff }\n// comment\n/* and\n one more */\n"
             "limit hourly { key = account count = bytes rate = \"200M/1h\" burst = 50 then = reject mode = observe }\n"
             "queue { retry = { 90s, 250min } lifetime = 36h }\n"
             "delivery { mta-sts = no }\n"
             "route \"Example.com\" { via = { \"a.example:587\", \"[2001:db8::1]:25\" } tls = encrypt }\nroute \"*\" { via = mx "
             "mta-sts = yes }\n"
             "control { http = \"127.0.0.1:8587\" }\nlog { format = json level = debug }\n";
    struct complaints complaints;
    struct buffer first, second;
    struct conf *conf = read_text(text, &complaints), *again;
    (void)state;
    assert_string_equal(complaints.text, "");
    assert_non_null(conf);
    buffer_init(&first, 1 << 20);
    buffer_init(&second, 1 << 20);
    assert_true(conf_write(conf, &first));
    again = conf_read_text("again", buffer_span(&first), collect, &complaints);
    assert_string_equal(complaints.text, "");
    assert_non_null(again);
    assert_true(conf_write(again, &second));
    assert_string_equal(buffer_text(&first), buffer_text(&second));
    assert_string_equal(again->certificates[0].certificate, "x \"quoted\" \\");
    assert_string_equal(again->certificates[0].key, "y${HOME}");
    assert_string_equal(again->routes[0].name, "example.com");
    assert_int_equal(again->routes[0].via.count, 2);
    assert_true(again->routes[0].tls_given);
    assert_false(again->routes[1].tls_given);
    assert_false(again->routes[0].mta_sts_given || again->routes[0].mta_sts);
    assert_true(again->routes[1].mta_sts_given && again->routes[1].mta_sts);
    assert_true(again->routes[1].via.mx);
    assert_int_equal(again->limits[0].mode, CONF_MODE_OBSERVE);
    conf_free(&conf);
    conf_free(&again);
    buffer_fini(&first);
    buffer_fini(&second);
}

static void test_include(void **state)
{
    char path[] = "/tmp/postern-conf-XXXXXX", text[512];
    struct complaints complaints;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_true(write(fd, "route \"a.example\" { via = mx }\nnonsense = 1\n", 44) == 44);
    text_format(text, sizeof text, BASE "include(\"%s\")\n", path);
    assert_null(read_text(text, &complaints));
    assert_non_null(strstr(complaints.text, path));
    assert_non_null(strstr(complaints.text, ":2: there is no nonsense"));
    assert_int_equal(ftruncate(fd, 31), 0);
    struct conf *conf = read_text(text, &complaints);
    assert_non_null(conf);
    assert_int_equal(conf->nroutes, 1);
    conf_free(&conf);
    close(fd);
    unlink(path);
}

static void test_routes_and_accounts(void **state)
{
    static const struct {
        const char *domain, *route;
    } cases[] = {
        { "example.com", "example.com" },         { "EXAMPLE.com", "example.com" }, { "a.example.com", "*.example.com" },
        { "a.b.example.com", "*.b.example.com" }, { "notexample.com", "*" },        { "other.test", "*" }
    };
    struct complaints complaints;
    struct conf *conf = read_text(
        BASE "route \"*\" { via = mx }\nroute \"*.example.com\" { via = mx }\nroute \"example.com\" { via = mx }\n"
             "route \"*.b.example.com\" { via = mx }\naccount \"*\" { class = staff }\naccount \"Bob\" { class = boss }\n",
        &complaints);
    (void)state;
    assert_non_null(conf);
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(conf_route_for(conf, span_of(cases[i].domain))->name, cases[i].route);
    assert_string_equal(conf_account_for(conf, SPAN("bob"))->class, "boss");
    assert_string_equal(conf_account_for(conf, SPAN("alice"))->class, "staff");
    assert_null(conf_route_named(conf, SPAN("nothing")));
    conf_free(&conf);
}

/* Domains are kept in their ASCII form, however the file writes them. */
static void test_domains_in_other_letters(void **state)
{
    struct complaints complaints;
    struct conf *conf =
        read_text(BASE "domains = { \"B\u00fccher.example\" }\n"
                       "account \"bob\" { senders = { \"@m\u00fcnchen.example\", \"b\u00f6b@b\u00fccher.example\" } }\n"
                       "route \"*.B\u00fccher.example\" { via = mx }\n"
                       "route \"M\u00dcNCHEN.example\" { via = mx }\n"
                       "route \"sales\" { domains = { \"*\", \"*.\u00fc.example\" } senders = { "
                       "\"@\u00fc.example\" } via = \"a:1\" }\n"
                       "site \"b\u00fccher.example\" { }\n",
                  &complaints);
    (void)state;
    assert_non_null(conf);
    assert_string_equal(conf->domains.items[0], "xn--bcher-kva.example");
    assert_string_equal(conf_account_for(conf, SPAN("bob"))->senders.items[0], "@xn--mnchen-3ya.example");
    assert_string_equal(conf_account_for(conf, SPAN("bob"))->senders.items[1], "b\u00f6b@xn--bcher-kva.example");
    assert_string_equal(conf_route_for(conf, SPAN("a.xn--bcher-kva.example"))->name, "*.xn--bcher-kva.example");
    assert_string_equal(conf_route_for(conf, SPAN("xn--mnchen-3ya.example"))->name, "xn--mnchen-3ya.example");
    assert_string_equal(conf_route_named(conf, SPAN("sales"))->domains.items[1], "*.xn--tda.example");
    assert_non_null(conf_route_special(conf, SPAN("x.test"), SPAN("a@\u00dc.example"), SPAN("")));
    assert_null(conf_route_special(conf, SPAN("x.test"), SPAN("a@\u00f6.example"), SPAN("")));
    assert_non_null(conf_site_for(conf, SPAN("mx.xn--bcher-kva.example")));
    conf_free(&conf);
}

static void test_bounds_of_sites(void **state)
{
    static const struct {
        const char *host, *site; /* site "": none */
    } cases[] = {
        { "mx.example.com", "example.com" },    { "example.com", "example.com" }, { "mx1.eu.example.com", "eu.example.com" },
        { "eu.example.com", "eu.example.com" }, { "notexample.com", "" },         { "com", "" },
    };
    struct complaints complaints;
    struct conf *conf = read_text(BASE "site \"Example.com\" { connections = 5 rate = \"10/1s\" messages-per-connection = 20 }\n"
                                       "site \"eu.example.com\" { }\n",
                                  &complaints);
    (void)state;
    assert_non_null(conf);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct conf_site *site = conf_site_for(conf, span_of(cases[i].host));
        assert_string_equal(site ? site->name : "", cases[i].site);
    }
    assert_int_equal(conf->sites[0].rate.count, 10);
    assert_int_equal(conf->sites[0].rate.per_ms, 1000);
    assert_int_equal(conf->sites[1].connections, 0);
    conf_free(&conf);
}

/* Routes for some senders and accounts: the domain comes first, then the one for fewer. */
static void test_special_routes(void **state)
{
    static const struct {
        const char *domain, *sender, *account, *route; /* route "": none that is special */
    } cases[] = {
        { "x.test", "alice@sales.example", "alice", "sales" },
        { "x.test", "Alice@Sales.example", "", "sales" },
        { "x.test", "boss@sales.example", "alice", "the-boss" },
        { "x.test", "alice@notsales.example", "alice", "" },
        { "x.test", "", "", "" },
        { "x.test", "alice@sales.example", "robot", "robots" },
        { "x.test", "a@b.example", "batch", "class" },
        { "x.test", "a@b.example", "BATCH", "class" },
        { "exact.test", "alice@sales.example", "alice", "" },
        { "both.test", "alice@sales.example", "alice", "sales" },
        { "both.test", "alice@sales.example", "robot", "narrow" },
        { "both.test", "a@b.example", "robot", "robots" },
    };
    struct complaints complaints;
    struct conf *conf =
        read_text(BASE "route \"*\" { via = mx }\nroute \"exact.test\" { via = mx }\n"
                       "route \"sales\" { domains = { \"*\" } senders = { \"@sales.example\" } via = \"a:1\" }\n"
                       "route \"the-boss\" { domains = { \"*\" } senders = { \"boss@sales.example\" } via = \"b:1\" }\n"
                       "route \"robots\" { domains = { \"*\" } accounts = { \"robot\" } via = \"c:1\" }\n"
                       "route \"class\" { domains = { \"*\" } accounts = { \"class:Bulk\" } via = \"d:1\" }\n"
                       "route \"narrow\" { domains = { \"y.test\", \"both.test\" } accounts = { \"robot\" } senders = { "
                       "\"@sales.example\" } via = mx }\n"
                       "account \"batch\" { class = bulk }\n",
                  &complaints);
    (void)state;
    assert_non_null(conf);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span domain = span_of(cases[i].domain);
        const struct conf_route *route = conf_route_special(conf, domain, span_of(cases[i].sender), span_of(cases[i].account));
        if (strcmp(route ? route->name : "", cases[i].route) != 0)
            fail_msg("%s %s %s: %s", cases[i].domain, cases[i].sender, cases[i].account, route ? route->name : "none");
        assert_true(conf_route_for(conf, domain)->name[0] == '*' || strcmp(cases[i].domain, "exact.test") == 0);
    }
    assert_false(conf_is_routed(conf, SPAN("x.test")));
    assert_false(conf_is_routed(conf, SPAN("both.test"))); /* by MX */
    conf_free(&conf);
}

static void test_values(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t bytes;
    } sizes[] = { { "0", true, 0 },   { "50M", true, 50 << 20 }, { "1G", true, 1 << 30 },      { "1k", false, 0 },
                  { "M", false, 0 },  { "1.5M", false, 0 },      { "99999999999T", false, 0 }, { "-1", false, 0 },
                  { "1MB", false, 0 } };
    static const struct {
        const char *text;
        bool good;
        int64_t ms;
    } times[] = { { "250ms", true, 250 },
                  { "10s", true, 10000 },
                  { "5min", true, 300000 },
                  { "2h", true, 7200000 },
                  { "3d", true, 259200000 },
                  { "1w", true, 604800000 },
                  { "7", true, 7000 },
                  { "5m", false, 0 },
                  { "", false, 0 },
                  { "h", false, 0 },
                  { "999999999999999d", false, 0 } };
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        uint64_t bytes = 0;
        char text[32];
        assert_int_equal(values_size(span_of(sizes[i].text), &bytes), sizes[i].good);
        assert_int_equal(bytes, sizes[i].bytes);
        values_size_print(bytes, text);
        if (sizes[i].good)
            assert_string_equal(text, sizes[i].text);
    }
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t ms = 0, again = -1;
        char text[32];
        assert_int_equal(values_time(span_of(times[i].text), &ms), times[i].good);
        assert_int_equal(ms, times[i].ms);
        values_time_print(ms, text);
        assert_true(values_time(span_of(text), &again));
        assert_int_equal(again, ms);
    }
}

/* The manual's tables are those that the rows give, and the sample's examples are accepted once uncommented. */
static void test_manual_has_not_drifted(void **state)
{
    struct buffer tables, page;
    FILE *file = fopen("relay/conf/postern.conf.5", "r");
    (void)state;
    assert_non_null(file);
    buffer_init(&tables, 1 << 20);
    buffer_init(&page, 1 << 20);
    for (char *to; (to = buffer_reserve(&page, 4096));) {
        size_t n = fread(to, 1, 4096, file);
        buffer_commit(&page, n);
        if (!n)
            break;
    }
    fclose(file);
    keys_manual(&tables);
    assert_false(tables.overflow);
    if (!strstr(buffer_text(&page), buffer_text(&tables)))
        fail_msg("the tables of relay/conf/postern.conf.5 are not those of keys.c; they must be:\n%s", buffer_text(&tables));
    buffer_clear(&page);
    keys_sample(&page);
    for (size_t i = 0; i < keys_nsections; i++)
        for (size_t j = 0; j < keys_sections[i].nkeys; j++)
            assert_non_null(strstr(buffer_text(&page), keys_sections[i].keys[j].prose));
    buffer_fini(&tables);
    buffer_fini(&page);
}

/* What is no mistake, and is told all the same. */
static void test_warnings(void **state)
{
    static const struct {
        const char *text;
        const char *told; /* part of the one warning; "": there is none */
    } cases[] = {
        { BASE, "warning: nobody reads postmaster@relay.example.net, where letters about suspended accounts go, unless" },
        { BASE "postmaster = \"me@Relay.example.net\"\n", "warning: nobody reads me@Relay.example.net" },
        { BASE "route \"*.example.net\" { via = mx }\n", "warning: nobody reads postmaster@relay.example.net" },
        { BASE "route \"relay.example.net\" { via = \"mail.example.net\" }\n", "" },
        { BASE "postmaster = \"postmaster@example.net\"\n", "" },
        { BASE "postmaster = \"p@example.net\"\nlimit x { rate = \"1/1h\" apply-to = { \"alice\", \"class:nosuch\" } }\n",
          "warning: no account has the class nosuch; add account \"NAME\" { class = nosuch }" },
        { BASE "postmaster = \"p@example.net\"\nroute \"*\" { via = mx accounts = { \"class:nosuch\" } }\n",
          "warning: no account has the class nosuch" },
        { BASE "postmaster = \"p@example.net\"\naccount \"*\" { class = Staff }\n"
               "limit x { rate = \"1/1h\" apply-to = { \"class:staff\" } except = { \"class:later\" } }\n",
          "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct complaints complaints;
        struct conf *conf = read_text(cases[i].text, &complaints);
        assert_non_null(conf);
        conf_warn(conf, collect, &complaints);
        if (complaints.count != (*cases[i].told != '\0') || !strstr(complaints.text, cases[i].told))
            fail_msg("case %zu: %s\nwas told: %s\ninstead of: %s", i, cases[i].text, complaints.text, cases[i].told);
        conf_free(&conf);
    }
}

static void test_places_outside_the_file(void **state)
{
    char path[] = "/tmp/postern-conf-XXXXXX", wanted[200];
    struct complaints complaints = { "", 0 };
    int fd = mkstemp(path);
    (void)state;
    dprintf(fd, "%sroute \"x.example\" {\n via = \"y.example\"\n}\n", BASE);
    close(fd);
    struct conf *conf = conf_read(path, collect, &complaints);
    assert_non_null(conf);
    conf_complain_of(conf, "route", "x.example", "via", "via: no", collect, &complaints);
    snprintf(wanted, sizeof wanted, "%s:5: via: no\n", path);
    assert_string_equal(complaints.text, wanted);
    unlink(path);
    complaints = (struct complaints){ "", 0 };
    conf_complain_of(conf, "route", "x.example", "via", "via: no", collect, &complaints);
    assert_string_equal(complaints.text, "via: no\n");
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_mistakes_told_once),
        cmocka_unit_test(test_socket_of_a_file_with_mistakes),
        cmocka_unit_test(test_all_mistakes_in_one_go),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_include),
        cmocka_unit_test(test_routes_and_accounts),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_places_outside_the_file),
        cmocka_unit_test(test_bounds_of_sites),
        cmocka_unit_test(test_domains_in_other_letters),
        cmocka_unit_test(test_special_routes),
        cmocka_unit_test(test_manual_has_not_drifted),
        cmocka_unit_test(test_default_mechanisms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
